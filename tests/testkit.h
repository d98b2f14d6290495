/* The test kit: CUnit underneath, TAP on stdout, for all three rings.
 *
 * Checks are never fatal, so that a rank which fails one still reaches the next collective; they are
 * thread-safe, so that ranks-as-threads may use them. After each case the count of live allocations
 * has to be what it was before. */
#ifndef TESTKIT_H
#define TESTKIT_H

#include "rdd/comm.h"

#include <stdbool.h>

/* True under a sanitizer, which makes all slow: cases that repeat the same code with other numbers then take
 * some of them. (Not told by clang's __has_feature; there all are run.) */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { TK_SANITIZED = 1 };
#else
enum { TK_SANITIZED = 0 };
#endif

typedef struct tk_case {
  const char *name;
  void (*run)(void);
} tk_case;

typedef struct tk_comm_case {
  const char *name;
  void (*run)(rdd_comm *comm); /* collective */
} tk_comm_case;

/* Run unit cases; prints TAP, returns the exit status of the test program. */
int tk_main(const char *suite, const tk_case *cases, int n);

/* Run each case with ranks as threads, at 1, 2, 3 and 4 ranks; under a sanitizer at 1 and 3. */
int tk_threads_main(const char *suite, const tk_comm_case *cases, int n);

/* Run each case on `comm` (MPI); failures are summed over ranks, and rank 0 prints the closing line
 * "ALL RANKS PASSED" if there were none. Collective; the status is the same on all ranks. */
int tk_comm_main(const char *suite, const tk_comm_case *cases, int n, rdd_comm *comm);

/* Record a check; returns condition. */
bool tk_check(bool condition, const char *text, const char *file, int line);

#define TK_CHECK(condition) tk_check((condition), #condition, __FILE__, __LINE__)
/* Status is OK, with the error's message printed where it is not. */
#define TK_OK(status, err) tk_check_ok((status), (err), #status, __FILE__, __LINE__)
#define TK_NEAR(a, b, tolerance)                                                                   \
  tk_check_near((a), (b), (tolerance), #a " ~ " #b, __FILE__, __LINE__)

bool tk_check_ok(rdd_status status, const rdd_err *err, const char *text, const char *file,
                 int line);
bool tk_check_near(double a, double b, double tolerance, const char *text, const char *file,
                   int line);

/* A fresh directory for this test program's files, removed at its end. */
const char *tk_tmpdir(void);

/* Path of an optional data file under the folder named by GANGPLANK_TEST_DATA, or NULL (then the test
 * prints a TAP skip line that says so). */
const char *tk_data(const char *name);

#endif
