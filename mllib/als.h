/* Alternating least squares: the gang's work.
 *
 * One iteration is the items' half-step, then the users', as in Spark. A half-step minimises, for each row
 * x of its side, with the other side's factors fixed,
 *
 *   loss(x) + ridge |x|^2        ridge = max(reg n^reg_exponent, min_ridge)
 *
 * where the loss is one of loss.h and n the row's count of ratings (plus unobserved times the number of
 * columns, for iALS). With explicit ratings, exponent 1 and the Cholesky solver that is ALS-WR (Zhou et al.
 * 2008, eq. 6) with Spark's arithmetic: float32 ratings and factors, float64 sums and solves. */
#ifndef ALS_ALS_H
#define ALS_ALS_H

#include "mllib/exchange.h"
#include "mllib/loss.h"
#include "mllib/model.h"
#include "mllib/ratings.h"
#include "mllib/wire.h"
#include "rdd/comm.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { ALS_MAX_RANK = 4096 };

typedef enum als_solver { ALS_CHOLESKY, ALS_CG, ALS_SUBSPACE } als_solver;

/* Of the sums and solutions of a row; ratings and factors are float always. */
typedef enum als_precision { ALS_DOUBLE, ALS_SINGLE } als_precision;

typedef struct als_params {
  int rank;     /* k, 1 to ALS_MAX_RANK */
  int max_iter; /* >= 0 */
  als_loss loss;
  double reg[2];       /* of users and of items, >= 0 */
  double reg_exponent; /* >= 0; 1: times the count, as Spark; 0: the same for all rows */
  double min_ridge;    /* >= 0 */
  als_solver solver;
  als_precision precision; /* ALS_SINGLE: with ALS_CHOLESKY and ALS_CG, and not with nonnegative */
  int cg_steps;            /* of ALS_CG, >= 1 */
  int block;               /* unknowns that ALS_SUBSPACE takes at a time, >= 1 */
  bool nonnegative;        /* factors >= 0, exactly; with ALS_CHOLESKY alone */
  bool bias;               /* mean and biases are taken off before the factors are fitted */
  bool update_bias; /* they are fitted anew in each half-step; needs bias. Explicit only, both */
  double bias_reg;  /* damping of the biases that are taken off first, >= 0 (ratings) */
  double tol;       /* stop when an iteration brings less than this share, see als_converged(); 0:
                       never */
  bool final_exact; /* after other solvers one more iteration, of ALS_CHOLESKY */
  bool balance;     /* before each iteration scale one side up and the other down, see als_fit() */
  als_exchange_kind exchange; /* between nodes; the model is the same with each */
  als_wire wire;   /* what new factors are rounded to, so that they take less between nodes */
  bool no_overlap; /* rows leave when all are solved, not while others are; the same model */
} als_params;

/* The kernels that this process computes with: "avx512", "avx2" or "portable", the best that the processor
 * has, or what the environment variable GANGPLANK_KERNELS asks for, if it can run them. Not collective. */
const char *als_kernels_name(void);

/* Explicit, rank 10, 10 iterations, reg 0.1, Cholesky, balanced. */
als_params als_params_default(void);

/* Fails with RDD_EUSAGE for parameters that are out of range, or do not go together. Not collective. */
RDD_MUST_CHECK rdd_status als_params_check(const als_params *params, rdd_err *err);

/* What one iteration came to. objective = loss_ratings + loss_pairs + loss_reg. */
typedef struct als_iteration {
  int iteration;     /* 1 is the first */
  bool exact;        /* the one of final_exact: it has no other after it, and no checkpoint */
  double rmse_train; /* explicit: over all ratings, with the factors of this iteration; else NaN */
  double rmse_test;  /* not clamped; NaN without a test part */
  double rmse_validation; /* the same over the validation part, where ALS_RMSE is watched */
  double ndcg_validation; /* NDCG at ALS_WATCHED_CUTOFF over it, where ALS_NDCG is; else NaN */
  double loss_ratings;    /* the part of the loss over ratings (loss.h) */
  double loss_pairs;      /* w times the sum of s^2 over all pairs */
  double loss_reg;        /* ridges times squared norms, both sides */
  double objective;
  double seconds; /* wall time of the iteration, test included */
  /* of this rank; 0 for iterations of a run before this one */
  int64_t exchange_bytes;  /* its new rows, times the nodes that they went to */
  double exchange_seconds; /* in which it did nothing but pack, send, wait for and unpack rows */
  /* of this rank too, without what it was in the communicator */
  double gram_seconds;  /* for its part of Gram matrices */
  double solve_seconds; /* for its rows */
  double test_seconds;  /* for the test and validation parts */
} als_iteration;

/* What decides when to stop, and which iteration is kept. */
typedef enum als_watch {
  ALS_OBJECTIVE, /* without a validation part: the last iteration is kept */
  ALS_RMSE,      /* over the validation part; explicit ratings only */
  ALS_NDCG, /* of lists of ALS_WATCHED_CUTOFF items, as als_rank_held_out() has it: relevant is what has
                    a rating above 0 in the validation part, candidates are all items but those that the
                    user has in the training part */
} als_watch;

enum { ALS_WATCHED_CUTOFF = 10 };

/* The factors of the best iteration so far. */
typedef struct als_best {
  int iteration;       /* 0: none yet */
  als_factors side[2]; /* ids borrowed; biases where they are fitted in the iterations, else NULL */
  int64_t *begin[2];   /* [size + 1] first row of each rank */
  bool whole;          /* every node has all of it; else each rank its own rows alone */
} als_best;

typedef struct als_problem {
  als_side side[2];     /* the training ratings, seen from users and from items */
  int64_t ratings;      /* over all ranks */
  const als_side *test; /* ratings by user to evaluate after each iteration, or NULL; not changed */
  const als_side *validation; /* the same, for `watch`; or NULL */
  als_watch watch;            /* ALS_OBJECTIVE where, and only where, there is no validation part */
  /* Where the best iteration is kept on the way; NULL: als_fit() makes one for itself. */
  als_best *best;
  als_exchange_plan
      exchange[2]; /* out: how the rows of a side travel, before the first half-step */
} als_problem;

/* Make an empty one for a model's tables.                                 Collective.
 *   model  [in]  its ids are borrowed */
RDD_MUST_CHECK rdd_status als_best_new(rdd_comm *comm, const als_model *model,
                                       const als_params *params, als_best **out, rdd_err *err);
void als_best_free(als_best *best); /* collective; NULL on all ranks is accepted */

/* Copy the model as iteration `iteration` has left it, or copy it back.   Collective.
 *   problem  [in]  who owns which rows */
void als_best_keep(als_best *best, rdd_comm *comm, const als_problem *problem,
                   const als_model *model, int iteration);
void als_best_restore(als_best *best, rdd_comm *comm, const als_problem *problem, als_model *model);

/* Bring all of it to every node, if it is not there; NULL is accepted.    Collective. */
void als_best_make_whole(als_best *best, rdd_comm *comm, int k);

/* Which iteration's factors a model has after `made` (>= 1) of them: the first of those with the best
 * measure of validation, or the last.                                     Not collective. */
int als_best_iteration(als_watch watch, const als_iteration *history, int made);

/* True where the last of `made` iterations brought too little: what is watched is not better than the best
 * before by more than `tol` of that. A fit makes no further iteration then, but for the exact one.
 * Not collective. */
bool als_converged(const als_params *params, als_watch watch, const als_iteration *history,
                   int made);

/* What a job hangs onto the iterations. Each may be NULL. */
typedef struct als_hooks {
  /* Before each half-step, on every rank: heart beats, faults on purpose. Not collective; a status
   * that is not RDD_OK is agreed on and ends the fit. */
  rdd_status (*before)(void *arg, int iteration, int side, rdd_err *err);
  /* After each iteration: saves checkpoints, asks to stop. Collective, all ranks return alike. A rank
   * reads rows of the model that its ratings name; for others see als_model_make_whole().
   *   history  [in]  [done] of all iterations so far */
  rdd_status (*after)(void *arg, rdd_comm *comm, const als_model *model,
                      const als_iteration *history, int done, bool *stop_out, rdd_err *err);
  void *arg;
} als_hooks;

/* Fit a model.                                                            Collective.
 *   problem   [in,out] with bias and without update_bias, values become residuals
 *   model     [in,out] in: initial factors, or those after iteration `start` (with mean and biases then,
 *                  if they are fitted in the iterations); out: the result. Also sets mean, biases.
 *                  The Cholesky solver reads the users' initial factors alone; the others,
 *                  nonnegative factors and the balance read the items' too.
 *   start     [in]  iterations already made (resumed from a checkpoint), 0 to max_iter;
 *                  history[0..start) is filled, and problem->best where an earlier one is the best
 *   hooks     [in]  or NULL; the same on all ranks
 *   history   [in,out] [max_iter + final_exact] what each iteration came to
 *   done_out  [out] iterations made, `start` and the exact one included
 * With `balance` every iteration begins by scaling the users' factors by c and the items' by 1/c: predictions
 * stay as they are, and c is what makes the regularisation least, where both sides' parts of it are equal. It
 * is what softImpute-ALS (Hastie et al. 2015) does for every factor by itself; one number is enough to make the
 * objective after a few iterations independent of how long the initial factors were. Nothing is scaled where a
 * side has no regularisation. Spark does not scale.
 * With a validation part the result is the model of the best iteration, see als_best_iteration(); else of
 * the last. The exact iteration begins with it.
 * Resumed or not, the result has the same bits: what is neither in the factors nor in the history is
 * computed anew, and a fit that had come to its tolerance makes no further iteration.
 * Fails with RDD_ESINGULAR where a row's equations are not positive definite: err->detail is
 * {side, dense index of the lowest such row}; with RDD_EUSAGE for parameters out of range; with RDD_EDATA
 * where the validation part has nothing to measure; with what a hook returns. */
RDD_MUST_CHECK rdd_status als_fit(rdd_comm *comm, als_problem *problem, const als_params *params,
                                  als_model *model, int start, const als_hooks *hooks,
                                  als_iteration *history, int *done_out, rdd_err *err);

/* Sums over the rows of a half-step, as the solver has left them (before x is rounded to float32). */
typedef struct als_sums {
  double ratings; /* loss over ratings */
  double pairs;   /* w times the sum of s^2 over all pairs */
  double reg;     /* ridge |x|^2 of this side */
  /* of als_half_step() alone: as in als_iteration */
  double gram_seconds, solve_seconds;
} als_sums;

/* One half-step: solve the rows of `side` against the factors of the other.  Collective.
 * A row without ratings becomes zeros, and so does one of which no rating counts (all are negative or 0,
 * not explicit): its b is 0. On failure the rows of `side` are undefined.
 *   ratings   [in]  the problem's of this side
 *   model     [in,out] rows of `side` in: where iterative solvers start
 *   sums_out  [out] or NULL */
RDD_MUST_CHECK rdd_status als_half_step(rdd_comm *comm, const als_side *ratings, int side,
                                        const als_params *params, als_model *model,
                                        als_sums *sums_out, rdd_err *err);

/* The objective of a model as it is, summed anew, rating by rating.      Collective.
 *   problem  [in]  as als_fit() leaves it */
RDD_MUST_CHECK rdd_status als_objective(rdd_comm *comm, const als_problem *problem,
                                        const als_params *params, const als_model *model,
                                        als_sums *sums_out, rdd_err *err);

/* The regularisation of a model's factors, without biases' part.          Collective.
 *   problem  [in]  as als_fit() leaves it
 *   reg_out  [out] of users and of items, the same bits on every rank
 * Fails with RDD_ENOMEM. */
RDD_MUST_CHECK rdd_status als_regularisation(rdd_comm *comm, const als_problem *problem,
                                             const als_params *params, const als_model *model,
                                             double reg_out[2], rdd_err *err);

/* Error of a model over ratings by user.                                  Collective. */
typedef struct als_error {
  int64_t n;
  double squared;  /* sum of squared errors */
  double absolute; /* sum of absolute errors */
  double spread;   /* sum of squared distances of the ratings from their mean */
} als_error;
RDD_MUST_CHECK rdd_status als_evaluate(rdd_comm *comm, const als_model *model,
                                       const als_side *by_user, bool clamp, als_error *out,
                                       rdd_err *err);

/* A 64-bit fingerprint of the ratings as a multiset: a sum over ratings of a hash of (user id, item
 * id, value bits). The same for any order, partitions and ranks.          Collective.
 *   model    [in]  whose ids the rows and columns are
 *   by_user  [in]  the ratings before als_fit() takes the biases off them */
uint64_t als_fingerprint(rdd_comm *comm, const als_model *model, const als_side *by_user);

#ifdef __cplusplus
}
#endif
#endif
