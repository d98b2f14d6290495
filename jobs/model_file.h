/* Model files: HDF5 as docs/formats.md describes it. A checkpoint is a model file that also says which
 * run it belongs to, so one writer and one reader serve both. */
#ifndef JOB_MODEL_FILE_H
#define JOB_MODEL_FILE_H

#include "jobs/params.h"
#include "mllib/als.h"
#include "mllib/model.h"
#include "rdd/comm.h"

#include <stdbool.h>
#include <stdint.h>

enum { JOB_DIGEST_TEXT = 18 }; /* bytes of a digest, with its 0 */

/* How a model came to be. */
typedef struct job_provenance {
  als_params params;
  job_start start;
  int64_t ratings; /* training ratings */
  int ranks;
  int iterations;
  int best;                     /* the iteration that the factors are of */
  const als_iteration *history; /* [iterations] */
  const char *inputs;           /* paths as given, separated by blanks */
  const char *command_line;
  const char *settings; /* those that repeat the run, see settings.h; NULL: none are known */
  const char *digest;   /* of the model, see job_model_digest(); NULL: none is written */
  double seconds;
} job_provenance;

/* The rows of one side, where they are: in a model's tables, or in a snapshot of them. */
typedef struct job_rows_image {
  const als_ids *ids;
  const float *factors; /* [n][k] */
  const float *bias;    /* [n], or NULL */
} job_rows_image;

typedef struct job_model_image {
  int k;
  double mean;
  float rating_min, rating_max;
  job_rows_image side[2];
  int best_iteration;     /* of a checkpoint: the best iteration before its own, 0: none */
  job_rows_image best[2]; /* its rows then; biases where they are fitted in the iterations */
} job_model_image;

/* A model as it is now; borrowed from it. */
job_model_image job_model_image_of(const als_model *model);

/* What makes a model file a checkpoint: fingerprints of what it was computed from. */
typedef struct job_mark {
  uint64_t run;  /* of what decides the factors */
  uint64_t test; /* of the test ratings, which decide history/rmse_test; 0: there are none */
} job_mark;

/* A column of /history: a double of als_iteration. */
typedef struct job_history_column {
  const char *name, *units, *description;
  size_t offset; /* in als_iteration */
  bool newer;    /* files of before it was there may lack it */
} job_history_column;

enum { JOB_HISTORY_COLUMNS = 9 };
extern const job_history_column job_history[JOB_HISTORY_COLUMNS];

/* Write a model, whole or not at all.                                     Not collective.
 *   mark  [in]  makes it a checkpoint; NULL: a model
 * The datasets that hold the model (ids, factors, biases) depend on the model alone. */
RDD_MUST_CHECK rdd_status job_model_save(const char *path, const job_model_image *image,
                                         const job_provenance *how, const job_mark *mark,
                                         rdd_err *err);

/* What tells two models apart: "1a2b3c4d-5e6f7a8b", of users and of items the CRC-32 of all ids, then factors,
 * then biases, as docs/formats.md says. Models of the same bits have the same, and it does not depend on the number
 * of ranks. Fails with RDD_ENOMEM.                                        Collective.
 *   text  [out]  the same on every rank; undefined on failure */
RDD_MUST_CHECK rdd_status job_model_digest(rdd_comm *comm, const als_model *model,
                                           char text[JOB_DIGEST_TEXT], rdd_err *err);

/* A finished model: rank 0 writes, all ranks return the same status.      Collective.
 *   how         [in]   but for the digest, which is made here
 *   digest_out  [out]  that, on every rank; undefined on failure */
RDD_MUST_CHECK rdd_status job_model_write(rdd_comm *comm, const char *path, const als_model *model,
                                          const job_provenance *how,
                                          char digest_out[JOB_DIGEST_TEXT], rdd_err *err);

/* Read a model, or a checkpoint as the model that it is; every rank reads its share of the rows into
 * the node's tables.                                                      Collective.
 * Fails with RDD_ENOINPUT, RDD_EDATA (not HDF5, not a model, wrong shapes, NaN), RDD_EIO. */
RDD_MUST_CHECK rdd_status job_model_read(rdd_comm *comm, const char *path, als_model **out,
                                         rdd_err *err);

/* ---- A checkpoint, in steps: what it is, then whether it is wanted, then its rows ---- */

typedef struct job_saved job_saved;

/* Open a checkpoint and look at all but its rows.                         Collective.
 * Fails as job_model_read() does. */
RDD_MUST_CHECK rdd_status job_saved_open(job_saved **out, rdd_comm *comm, const char *path,
                                         rdd_err *err);

/* Look at the mark of one alone; false where it cannot be read.           Not collective. */
bool job_saved_peek(const char *path, job_mark *mark_out);

job_mark job_saved_mark(const job_saved *saved);
int job_saved_iteration(const job_saved *saved);

/* Its history.                                                            Collective.
 *   history  [out] [iteration]; undefined on failure */
RDD_MUST_CHECK rdd_status job_saved_history(const job_saved *saved, als_iteration *history,
                                            rdd_err *err);

/* Its factors into a model over the same ids.                             Collective.
 *   bias  [in]  the biases too, for they are fitted in the iterations. Others are checked and left
 *               alone: als_fit() computes them from the ratings
 *   best  [in,out] or NULL: gets the best iteration's rows, if the checkpoint has some; else its
 *               iteration is 0
 * All that is read is checked first, so nothing is touched on failure. */
RDD_MUST_CHECK rdd_status job_saved_load(const job_saved *saved, bool bias, als_model *model,
                                         als_best *best, rdd_err *err);

void job_saved_close(job_saved *saved); /* NULL is accepted */

#endif
