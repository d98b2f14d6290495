/* Status codes and the error that travels with them.
 *
 * Every function that can fail returns an rdd_status and takes an rdd_err* last. The function that
 * decides that something is an error writes the message, once, with rdd_set(); callers pass on
 * both. The struct is plain data without pointers, so one broadcast carries it to every rank. */
#ifndef RDD_STATUS_H
#define RDD_STATUS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RDD_MUST_CHECK __attribute__((warn_unused_result))

typedef enum rdd_status {
  RDD_OK = 0,
  RDD_EUSAGE,    /* the caller asked for something impossible: an option, a rank, a size */
  RDD_EDATA,     /* the data are wrong: malformed line, NaN, mixed id types; never retried */
  RDD_ENOINPUT,  /* an input cannot be opened */
  RDD_EIO,       /* reading or writing failed half-way: disk full, bad checksum */
  RDD_ENOMEM,    /* an allocation failed */
  RDD_ESINGULAR, /* a row's normal equations are not positive definite */
  RDD_ETASK,     /* a task crashed more often than is allowed */
  RDD_EINTERNAL, /* a bug, or an outside library that failed for no reason of the user's */
  RDD_ESTOPPED,  /* asked to stop, and stopped where it can go on later: no failure, no result */
} rdd_status;

typedef struct rdd_err {
  rdd_status code;
  int rank; /* the rank that failed; filled in by rdd_agree() */
  int line; /* where in the source the error was decided */
  char file[44];
  int64_t detail[2]; /* meaning is the deciding function's; -1 where unused */
  char message[700]; /* lower case, exact, without a final full stop or newline */
} rdd_err;

/* Set *err and return code.                                               Not collective.
 * A message that does not fit is cut. Use through the macro, which adds the place. */
rdd_status rdd_err_set(rdd_err *err, rdd_status code, const char *file, int line,
                       const char *format, ...) __attribute__((format(printf, 5, 6)));

#define rdd_set(err, code, ...) rdd_err_set((err), (code), __FILE__, __LINE__, __VA_ARGS__)

/* The code's name in one or two words ("bad data"), for logs.            Not collective. */
const char *rdd_status_name(rdd_status code);

#ifdef __cplusplus
}
#endif
#endif
