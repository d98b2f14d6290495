/* One fold of a cross-validation: training ratings as a fit wants them, held-out ratings as the metrics
 * want them; and what one point of the search comes to on it.
 *
 * A fold is what `als split --folds`, `als train` and `als evaluate --cold-start-strategy drop` would make of
 * it, bit for bit: only ids with a rating in the training part are in its model. */
#ifndef JOB_TUNE_FOLD_H
#define JOB_TUNE_FOLD_H

#include "jobs/params.h"
#include "mllib/als.h"
#include "mllib/metrics.h"
#include "rdd/comm.h"
#include "rdd/rdd.h"

#include <stdbool.h>

typedef enum job_metric_kind {
  JOB_RMSE,
  JOB_MAE,
  JOB_NDCG,
  JOB_MAP,
  JOB_PRECISION,
  JOB_RECALL,
  JOB_HIT_RATE,
  JOB_MRR,
  JOB_AUC,
} job_metric_kind;

typedef struct job_metric {
  job_metric_kind kind;
  int k;        /* of those at k, else 10 */
  double above; /* ratings above this are relevant */
  char name[32];
} job_metric;

/* "rmse", "ndcg@10", ... Fails with RDD_EUSAGE. Not collective, all three. */
RDD_MUST_CHECK rdd_status job_metric_read(const char *text, double above, job_metric *out,
                                          rdd_err *err);
bool job_metric_ranks(const job_metric *metric);
bool job_metric_better(const job_metric *metric, double a, double b); /* a than b */

typedef struct job_fold {
  rdd_comm *comm; /* borrowed */
  als_ids *ids[2];
  als_side side[2];
  int64_t ratings;       /* training, over all ranks */
  als_test_set held_out; /* empty where all ratings are training */
  als_side seen;         /* training ratings of held-out users, for metrics of ranking */
  int64_t tests, cold;   /* held-out ratings, those whose user or item is not in training */
} job_fold;

/* Build fold number `fold` of `folds`, or with fold -1 all ratings as training.    Collective over comm.
 *   parts  [in]  of the ranks of comm; kept, but with fold -1 dropped as they are read
 *   k      [in]  factors, for sharing out rows; the result does not depend on it
 *   out    [in,out] zeroed; free it with job_fold_reset(), after a failure too
 * Fails with RDD_EDATA where a part is empty, or none of the held-out ratings is of a user and an item that
 * are in training. */
RDD_MUST_CHECK rdd_status job_fold_build(rdd_comm *comm, rdd_parts *parts, int fold, int folds,
                                         uint64_t seed, const job_metric *metric, int k,
                                         job_fold *out, rdd_err *err);
void job_fold_reset(job_fold *fold); /* collective */

/* Fit a point to the training part.                                       Collective over its comm.
 *   hooks        [in]  as als_fit()
 *   model_out    [out] free it with job_fold_drop_model(): its ids are the fold's
 *   history_out  [out] [*done_out] free with rdd_free(); or NULL */
RDD_MUST_CHECK rdd_status job_fold_fit(const job_fold *fold, const als_params *params,
                                       const job_start *start, const als_hooks *hooks,
                                       als_model **model_out, als_iteration **history_out,
                                       int *done_out, rdd_err *err);
void job_fold_drop_model(als_model *model); /* collective; NULL on all ranks is accepted */

/* The metric of a model on the held-out ratings that are not cold.        Collective over its comm.
 * Fails with RDD_EDATA where it has no value: nobody to rank for, or a prediction that is not finite. */
RDD_MUST_CHECK rdd_status job_fold_score(const job_fold *fold, const als_model *model,
                                         const job_metric *metric, double *out, rdd_err *err);

#endif
