/* What happens to tasks and blocks, told as it happens: for logs, progress, and tests that count.
 * Plain data; the layer itself prints and writes nothing. */
#ifndef RDD_EVENT_H
#define RDD_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum rdd_event_kind {
  RDD_LINEAGE, /* an action begins: one for each RDD of its lineage, parents first. partition: how many
                * it has; node, parents; message: how it is kept */
  RDD_STAGE_STARTED, /* partition: how many partitions the stage computes, over all ranks */
  RDD_TASK_STARTED,
  RDD_TASK_FINISHED,  /* rows, bytes, seconds */
  RDD_TASK_CRASHED,   /* message says of what; it is run again unless attempts are used up */
  RDD_TASK_FAILED,    /* an error in the data; message; never run again */
  RDD_TASK_ABANDONED, /* its other copy finished first (speculation), or the job is ending */
  RDD_BLOCK_STORED,   /* a persisted partition is kept; bytes */
  RDD_BLOCK_FOUND,    /* and was used instead of being computed */
  RDD_BLOCK_LOST,     /* it is gone or damaged; message; it is computed again */
} rdd_event_kind;

typedef struct rdd_event {
  rdd_event_kind kind;
  const char *rdd; /* name of the stage's last RDD, or of the block's */
  int64_t stage;   /* 0, 1, ... within one action */
  int64_t partition;
  int attempt;      /* 0 is the first */
  bool speculative; /* a second copy of a slow task */
  int slot;         /* place among this rank's tasks, or -1 */
  double seconds;   /* how long the task ran; 0 where nothing ran */
  int64_t rows, bytes;
  const char *message; /* "" where there is none */
  int64_t node;        /* RDD_LINEAGE: 0, 1, ... within one action */
  int64_t parent[2];   /* nodes it is made of; -1: none */
  bool wide;           /* of its parent by way of an exchange */
} rdd_event;

/* "task-crashed", ... as logs write it. */
const char *rdd_event_name(rdd_event_kind kind);

/* A fault on purpose, for tests and teaching: what a task is to do in the middle of its work. */
typedef enum rdd_fault_kind {
  RDD_FAULT_NONE,
  RDD_FAULT_SIGNAL,  /* number: the signal that kills it */
  RDD_FAULT_EXIT,    /* number: the exit status */
  RDD_FAULT_HANG,    /* it sleeps for ever */
  RDD_FAULT_ERROR,   /* it returns an error, as if the data were wrong */
  RDD_FAULT_CORRUPT, /* it damages its result after it was checksummed */
} rdd_fault_kind;

typedef struct rdd_fault {
  rdd_fault_kind kind;
  int number;
} rdd_fault;

#ifdef __cplusplus
}
#endif
#endif
