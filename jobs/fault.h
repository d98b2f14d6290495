/* Faults on purpose, for tests and for teaching: one line of text says what breaks, where and when.
 *
 *   WHERE[,KEY=VALUE]...:ACTION[=VALUE]
 *
 *   task,partition=3:kill=SEGV             the first attempt of that task dies of a segmentation fault
 *   gang,rank=last,iteration=5:kill        a rank dies before its first half-step of iteration 5
 *   checkpoint,iteration=4:cut=100         the writer of that checkpoint dies after 100 bytes
 *
 * Two tables in fault.c say which keys and actions go with which place. Here is no clock, no rank and
 * no run: see run.h for what strikes. */
#ifndef JOB_FAULT_H
#define JOB_FAULT_H

#include "rdd/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum job_fault_where {
  JOB_FAULT_TASK,
  JOB_FAULT_GANG,
  JOB_FAULT_CHECKPOINT,
  JOB_FAULT_BLOCK,
  JOB_FAULT_MODEL,
} job_fault_where;

typedef enum job_fault_key {
  JOB_FAULT_STAGE,     /* of an action, 0 is the first */
  JOB_FAULT_PARTITION, /* 0 is the first */
  JOB_FAULT_RANK,      /* or JOB_FAULT_LAST */
  JOB_FAULT_ITERATION, /* 1 is the first */
  JOB_FAULT_SIDE,      /* 0 users, 1 items */
  JOB_FAULT_ATTEMPT,   /* 1 is the first: of the task; elsewhere the attempt that gangrun counts */
  JOB_FAULT_RERUN,     /* 1 is the gang's first try inside one attempt */
  JOB_FAULT_LAUNCH,    /* for tasks: the attempt that gangrun counts */
  JOB_FAULT_KEYS
} job_fault_key;

typedef enum job_fault_action {
  JOB_FAULT_KILL, /* number: the signal */
  JOB_FAULT_EXIT, /* number: the exit status */
  JOB_FAULT_HANG,
  JOB_FAULT_ERROR,
  JOB_FAULT_CORRUPT,
  JOB_FAULT_CUT, /* number: bytes */
} job_fault_action;

enum { JOB_FAULT_ANY = -1, JOB_FAULT_LAST = -2, JOB_FAULT_TEXT = 160 };

typedef struct job_fault {
  job_fault_where where;
  job_fault_action action;
  int64_t number;              /* of the action */
  int64_t key[JOB_FAULT_KEYS]; /* JOB_FAULT_ANY, or the one it has to be */
  char phase[32];              /* "": any */
  char text[JOB_FAULT_TEXT];   /* as it was given */
} job_fault;

/* A moment at which a fault may strike. */
typedef struct job_fault_moment {
  job_fault_where where;
  int64_t key[JOB_FAULT_KEYS]; /* JOB_FAULT_ANY where it has no such thing */
  const char *phase;
  int ranks;
} job_fault_moment;

/* Read a spec. Fails with RDD_EUSAGE and the part that is wrong.          Not collective. */
RDD_MUST_CHECK rdd_status job_fault_parse(const char *spec, job_fault *out, rdd_err *err);

/* Does it strike at this moment? */
bool job_fault_strikes(const job_fault *fault, const job_fault_moment *now);

/* A signal's number by name ("KILL", "SIGKILL", "9"), or -1. */
int job_signal_number(const char *name);

#endif
