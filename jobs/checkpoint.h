/* Checkpoints of a training run, so that a rerun of the gang begins where the last one was.
 *
 * A checkpoint is a model file (kind "checkpoint") with the iteration, the history and a fingerprint of
 * what decides the factors: the ratings as a multiset, those of validation and what is watched over them,
 * the parameters, the seed, the start model, the format version. Two generations are kept: checkpoint-I.h5
 * of the two highest iterations I. One is used again if, and only if, its fingerprint is that of this run.
 *
 * What is not in the fingerprint may be another one in the rerun: the number of iterations, whether an
 * exact one follows, the tolerance, the test part. A checkpoint is passed over where this run would have ended before it; test
 * errors of another test part become NaN. */
#ifndef JOB_CHECKPOINT_H
#define JOB_CHECKPOINT_H

#include "jobs/model_file.h"
#include "jobs/run.h"
#include "mllib/als.h"
#include "rdd/comm.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct job_checkpoints job_checkpoints;

typedef struct job_checkpoint_opts {
  const char *dir;           /* where; made if missing. One run at a time uses it */
  int64_t interval;          /* iterations between checkpoints, >= 1 */
  job_mark mark;             /* fingerprints of this run, see job_checkpoint_mark() */
  als_watch watch;           /* what --tol looks at */
  als_best *best;            /* with validation: the best iteration, which a checkpoint holds too */
  const job_provenance *how; /* of the run, but for iterations and history; outlives the handle */
  job_run *run;              /* for the event log, and faults on purpose */
} job_checkpoint_opts;

/* The fingerprints of a run that is about to begin.                       Collective.
 *   model    [in]  with the initial factors, and the biases where there are any
 *   problem  [in]  not yet given to als_fit() */
job_mark job_checkpoint_mark(rdd_comm *comm, const als_model *model, const als_problem *problem,
                             const als_params *params, int64_t seed);

/* Use a directory; what a killed writer left there is removed.            Collective.
 *   opts  [in] the same on all ranks; copied */
RDD_MUST_CHECK rdd_status job_checkpoints_open(job_checkpoints **out, rdd_comm *comm,
                                               const job_checkpoint_opts *opts, rdd_err *err);

/* Read the newest checkpoint of this run that is whole into the model.    Collective.
 * One that is damaged, or another run's, is passed over, with a line that says so.
 *   model      [in,out] untouched where there is none; so is opts.best
 *   history    [out] [max_iter] iterations already made
 *   start_out  [out] how many; 0 where there is no checkpoint
 * Fails with RDD_ENOMEM. */
RDD_MUST_CHECK rdd_status job_checkpoints_resume(job_checkpoints *c, als_model *model,
                                                 als_iteration *history, int *start_out,
                                                 rdd_err *err);

/* After iteration `done`: write a checkpoint if it is due, or if `now`.   Collective.
 * A child of rank 0 writes from a snapshot while the next iteration runs; the one before is waited for
 * first. That it cannot be written (a full disk) is a warning and no failure: training goes on.
 * Fails with a fault on purpose only. */
RDD_MUST_CHECK rdd_status job_checkpoints_save(job_checkpoints *c, const als_model *model,
                                               const als_iteration *history, int done, bool now,
                                               rdd_err *err);

/* Wait for the last write; which iteration the newest whole checkpoint is of, 0: there is none.
 * Collective. */
int job_checkpoints_flush(job_checkpoints *c);

/* Remove this run's checkpoints: the model is written. Rank 0, not collective. */
void job_checkpoints_remove(job_checkpoints *c);

/* Waits for the last write, and frees. Not collective; NULL is accepted. */
void job_checkpoints_close(job_checkpoints *c);

#endif
