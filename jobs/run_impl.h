/* Private to a run: what run.c and run_log.c share. */
#ifndef JOB_RUN_IMPL_H
#define JOB_RUN_IMPL_H

#include "jobs/fault.h"
#include "jobs/json.h"
#include "jobs/record.h"
#include "jobs/run.h"

#include <limits.h>
#include <sys/types.h>

typedef struct job_armed {
  job_fault fault;
  bool struck; /* in this try of the gang */
} job_armed;

struct job_run {
  rdd_comm *comm;
  pid_t pid;          /* of the rank; a forked child writes no record */
  char dir[PATH_MAX]; /* "": none */
  int log;            /* descriptor of the event log, or -1 */
  job_record record;
  double written; /* when the record last was, on the clock of rdd_seconds() */
  int tries;      /* of the gang in this attempt: how often "hand-off" began */
  int faults;
  job_armed *armed; /* [faults] */
};

/* ---- Lines of the event log (run_log.c). docs/events.md has them all. ---- */

void job_run_log_start(job_run *run, const char *command_line);
void job_run_log_phase(job_run *run); /* the record's */
void job_run_log_end(job_run *run, int exit_code, const rdd_err *err);

#endif
