/* What every command gets, and the table of commands. */
#ifndef JOB_JOB_H
#define JOB_JOB_H

#include "jobs/cli.h"
#include "jobs/json.h"
#include "jobs/run.h"
#include "rdd/comm.h"
#include "rdd/rdd.h"

#include <stdbool.h>

enum { JOB_STAGES = 8 };

typedef struct job job;

/* A stage of tasks, as its callbacks know it. */
typedef struct job_stage {
  job *j;
  const char *what; /* "reading" */
} job_stage;

struct job {
  rdd_comm *comm;
  job_run *run;        /* work directory, event log, faults; never NULL inside a command */
  const char *command; /* "train" */
  bool json, quiet;
  double task_time_limit; /* s, for the tasks of job_run_opts(); 0: none */
  int threads;      /* of this rank: cores it may use, shared fairly with the node's other ranks */
  job_json *result; /* keys of --json; printed by rank 0 when the command succeeds */
  const char *command_line;    /* as typed, for provenance */
  job_stage stage[JOB_STAGES]; /* a ring */
  int stages;
};

/* A command: its options (also its help), and what it does. */
typedef struct job_command {
  const char *name;
  const char *summary;       /* one line for `als --help` */
  const char *usage;         /* "RATINGS -o MODEL [OPTION]..." */
  const char *example;       /* one command line */
  const job_option *options; /* ends with a zeroed entry */
  /* those that --help tells, " rank max-iter "; NULL: its own, without those of reading */
  const char *daily;
  int positional_min, positional_max;                            /* -1: no limit */
  rdd_status (*run)(job *j, const job_args *args, rdd_err *err); /* collective */
  bool fits;     /* it takes the settings of a model, too */
  bool in_place; /* its output may take the place of its first argument, though of no other */
} job_command;

extern const job_command job_fold_in, job_plan_fit, job_tune, job_generate, job_import, job_split,
    job_train, job_evaluate, job_predict, job_recommend, job_similar, job_explain, job_info,
    job_report;

/* What a run of als train will take with the ranks that are here, told as als plan tells it; nothing is fitted.
 *   args         [in]  of als train
 *   checkpoints  [in]  it will write some                                  Collective.
 * Fails as reading the ratings does. */
RDD_MUST_CHECK rdd_status job_plan_train(job *j, const job_args *args, bool checkpoints,
                                         rdd_err *err);

/* The program: find the command, open the communicator, parse, run, report; the exit status.
 *   commands  [in] ends with NULL */
int job_main(int argc, char **argv, const job_command *const *commands);

/* Exit status for a status code: 0, 2, 65, 66, 70, 74, 75. */
int job_exit_code(rdd_status status);

/* Fill in how a stage of tasks runs on this rank: slots, a progress bar called `what`, the event log, and
 * faults on purpose. Good until JOB_STAGES more were asked for. */
rdd_run_opts job_run_opts(job *j, const char *what);

#endif
