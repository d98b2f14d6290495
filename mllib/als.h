/* Alternating least squares: the gang's work.
 *
 * One iteration is the items' half-step, then the users', as in Spark. A half-step solves, for each
 * row with n ratings r_j of columns with factors f_j,
 *
 *   (sum f_j f_j' + n reg I) x = sum r_j f_j                       (Zhou et al. 2008, eq. 6)
 *
 * Ratings, factors: float32. Gram matrix, right-hand side and solve: float64. */
#ifndef ALS_ALS_H
#define ALS_ALS_H

#include "mllib/model.h"
#include "mllib/ratings.h"
#include "rdd/comm.h"

#include <stdbool.h>

enum { ALS_MAX_RANK = 4096 };

typedef struct als_params {
  int rank;         /* k, 1 to ALS_MAX_RANK */
  int max_iter;     /* >= 0 */
  double reg_param; /* >= 0, times the number of ratings of the row */
  double bias_reg;  /* damping of the biases, >= 0 (ratings); used with bias */
  double tol;       /* stop when the objective falls by less than this share; 0: never */
  bool bias;        /* mean and biases are taken off before the factors are fitted */
} als_params;

/* What one iteration came to. */
typedef struct als_iteration {
  int iteration;     /* 1 is the first */
  double rmse_train; /* over all ratings, with the factors of this iteration */
  double rmse_test;  /* not clamped; NaN without a test part */
  double objective;  /* squared error + regularisation */
  double seconds;    /* wall time of the iteration, test included */
} als_iteration;

typedef struct als_problem {
  als_side side[2];     /* the training ratings, seen from users and from items */
  int64_t ratings;      /* over all ranks */
  const als_side *test; /* ratings by user to evaluate after each iteration, or NULL; not changed */
} als_problem;

/* What a job hangs onto the iterations. Each may be NULL. */
typedef struct als_hooks {
  /* Before each half-step, on every rank: heart beats, faults on purpose. Not collective; a status
   * that is not RDD_OK is agreed on and ends the fit. */
  rdd_status (*before)(void *arg, int iteration, int side, rdd_err *err);
  /* After each iteration: saves checkpoints, asks to stop. Collective, all ranks return alike.
   *   history  [in]  [done] of all iterations so far */
  rdd_status (*after)(void *arg, rdd_comm *comm, const als_model *model,
                      const als_iteration *history, int done, bool *stop_out, rdd_err *err);
  void *arg;
} als_hooks;

/* Fit a model.                                                            Collective.
 *   problem   [in,out] with params->bias, values become residuals
 *   model     [in,out] in: the users' initial factors, or those after iteration `start` (with the
 *                  items', where no iteration may be left to make); out: the result. Also sets
 *                  mean, biases.
 *   start     [in]  iterations already made (resumed from a checkpoint), 0 to max_iter;
 *                  history[0..start) is filled
 *   hooks     [in]  or NULL; the same on all ranks
 *   history   [in,out] [params->max_iter] what each iteration came to
 *   done_out  [out] iterations made, `start` included
 * Resumed or not, the result has the same bits: what is not in the users' factors is computed anew,
 * and a fit that had come to its tolerance makes no further iteration.
 * Fails with RDD_ESINGULAR where a row's equations are not positive definite: err->detail is
 * {side, dense index of the lowest such row}; with RDD_EUSAGE for parameters out of range; with
 * what a hook returns. */
RDD_MUST_CHECK rdd_status als_fit(rdd_comm *comm, als_problem *problem, const als_params *params,
                                  als_model *model, int start, const als_hooks *hooks,
                                  als_iteration *history, int *done_out, rdd_err *err);

/* One half-step: solve the rows of `side` against the factors of the other.  Collective.
 * A row without ratings becomes zeros. On failure the rows of `side` are undefined.
 *   error_out  [out] sum over all ratings of the squared error with the new rows (before they are
 *                    rounded to float32), or NULL
 *   norm_out   [out] sum over rows of n * |x|^2, or NULL */
RDD_MUST_CHECK rdd_status als_half_step(rdd_comm *comm, const als_side *ratings, int side,
                                        double reg_param, als_model *model, double *error_out,
                                        double *norm_out, rdd_err *err);

/* Error of a model over ratings by user.                                  Collective. */
typedef struct als_error {
  int64_t n;
  double squared;  /* sum of squared errors */
  double absolute; /* sum of absolute errors */
} als_error;
RDD_MUST_CHECK rdd_status als_evaluate(rdd_comm *comm, const als_model *model,
                                       const als_side *by_user, bool clamp, als_error *out,
                                       rdd_err *err);

/* A 64-bit fingerprint of the ratings as a multiset: a sum over ratings of a hash of (user id, item
 * id, value bits). The same for any order, partitions and ranks.          Collective.
 *   model    [in]  whose ids the rows and columns are
 *   by_user  [in]  the ratings before als_fit() takes the biases off them */
uint64_t als_fingerprint(rdd_comm *comm, const als_model *model, const als_side *by_user);

#endif
