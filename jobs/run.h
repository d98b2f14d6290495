/* One run of a job: its work directory, what it has come to, and faults on purpose.
 *
 * A supervised run (gangrun) has a work directory, named by GANGPLANK_WORK_DIR, that outlives the
 * attempt: there are the record (how far this attempt came and how it ended), the event log, the
 * checkpoints and the blocks. Without one nothing is recorded; faults strike all the same.
 *
 *   WORK_DIR/record.json                    rank 0's, replaced by rename; the only word on success
 *   WORK_DIR/events/attempt-A.rank-R.jsonl  one JSON object a line, flushed line by line
 *   WORK_DIR/checkpoint/                    see checkpoint.h
 *   WORK_DIR/blocks/                        persisted partitions
 *
 * Every function accepts a NULL run and then does nothing. In a forked child of the rank only the event
 * log and the questions about faults work. */
#ifndef JOB_RUN_H
#define JOB_RUN_H

#include "jobs/cli.h"
#include "jobs/json.h"
#include "jobs/memory_use.h"
#include "mllib/als.h"
#include "rdd/comm.h"
#include "rdd/event.h"
#include "rdd/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct job_run job_run;

/* Begin: the work directory is made where it is missing, the event log opened, the first record
 * written.                                                                Collective.
 *   out           [out] set on failure too, so that job_run_close() can record it
 *   command_line  [in]  as typed, for the log
 *   dir           [in]  work directory; NULL: rank 0's GANGPLANK_WORK_DIR, or none
 *   faults        [in]  [n] specs of --fault; rank 0's GANGPLANK_FAULT adds more, separated by ';'
 * Fails with RDD_EUSAGE for a bad spec, RDD_EIO for a work directory that cannot be written. */
RDD_MUST_CHECK rdd_status job_run_open(job_run **out, rdd_comm *comm, const char *command_line,
                                       const char *dir, const char *const *faults, int n,
                                       rdd_err *err);

/* Write the last record (rank 0) with the exit code, and close. Not collective.
 * False where the record could not be written: a supervisor would run the work again. */
bool job_run_close(job_run *run, int exit_code, const rdd_err *err);

/* Record a failure before there is a communicator: any rank may be the one that sees it. */
void job_run_record_failure(int exit_code, const rdd_err *err);

const char *job_run_dir(const job_run *run); /* NULL where there is none */
int job_run_attempt(const job_run *run);     /* 1 is the first; gangrun counts */

/* The job has come so far: "reading", "hand-off", "checkpoint", "writing" and an iteration, or 0. On
 * rank 0 it gets into the record; every call is a heartbeat, of which at most five a second reach the
 * disk. Not collective. Also where a fault of that phase strikes this rank: then it does not return, or
 * returns RDD_EINTERNAL for a soft one, which the caller brings to the next fence. A second "hand-off"
 * begins a second try of the gang. */
RDD_MUST_CHECK rdd_status job_run_phase(job_run *run, const char *phase, int iteration,
                                        rdd_err *err);
/* The same before a half-step: phase "iteration"; side is ALS_USERS or ALS_ITEMS. */
RDD_MUST_CHECK rdd_status job_run_half_step(job_run *run, int iteration, int side, rdd_err *err);

/* A sign of life between phases. */
void job_run_heartbeat(job_run *run);

/* ---- The event log. Not collective. ---- */

/* One line: printf format of the inside of a JSON object, without the time, which is added. */
void job_run_log(job_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same, of a JSON object, which is freed. */
void job_run_log_json(job_run *run, job_json *json);

/* What was asked for, once the command line is parsed, and what a command that succeeded has to tell; rank
 * 0's. */
void job_run_log_settings(job_run *run, const char *command, int threads, const job_args *args);
void job_run_log_result(job_run *run, const job_json *result);

/* What an iteration came to, rank 0's; and what it took of this rank's time. */
void job_run_log_iteration(job_run *run, const als_iteration *iteration);
void job_run_log_spent(job_run *run, const als_iteration *iteration);

/* The gang is tried again inside this attempt; rank 0's. */
void job_run_log_rerun(job_run *run, int try_number, const rdd_err *why);

/* What happened to a task or a block in the stages called `what`; a heartbeat too. */
void job_run_log_event(job_run *run, const char *what, const rdd_event *event);

/* This rank's memory.
 *   partitions  [in]  bytes of those that it was given */
void job_run_log_memory(job_run *run, const char *after, int64_t partitions,
                        const job_memory_use *use);

/* ---- Stopping ---- */

/* While allowed, SIGTERM and SIGUSR1 only set the wish to stop; a second SIGTERM, two seconds later or
 * more, ends the process as it would otherwise. Not collective. */
void job_run_allow_stop(job_run *run, bool allowed);

/* Set by SIGTERM or SIGUSR1: stop at the next checkpoint. Not collective; agree before acting. */
bool job_run_stop_asked(const job_run *run);

/* ---- Faults on purpose. Not collective. ---- */

/* What a task of the stages called `what` has to suffer; attempt 0 is the first. */
rdd_fault job_run_task_fault(job_run *run, const char *what, int64_t stage, int64_t partition,
                             int attempt);

/* Ask before writing a file: "checkpoint" of iteration `number`, "block" of partition `number`, or
 * "model" (number is ignored).
 *   job_fault_cut      bytes after which the writer has to stop as if it had been killed; -1: none
 *   job_fault_corrupt  the file is to be damaged after it is written and checksummed */
int64_t job_fault_cut(job_run *run, const char *where, int64_t number);
bool job_fault_corrupt(job_run *run, const char *where, int64_t number);

#endif
