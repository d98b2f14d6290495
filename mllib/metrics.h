/* How good a model is on ratings that it has not seen: errors of its predictions, and where the items
 * that a user turned out to like stand in the list that the model makes for them.
 * docs/metrics.md has every definition as a formula. */
#ifndef ALS_METRICS_H
#define ALS_METRICS_H

#include "mllib/als.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { ALS_MAX_CUTOFFS = 16, ALS_MAX_CUTOFF = 10000 };

/* What a model is judged by; everything is borrowed. Rows and columns of `test` need not be the
 * model's: `user` and `item` say which of its indices they are. All of `user` and `item` that are not -1
 * rise, as they do where both sides are in the order of ids. */
typedef struct als_held_out {
  const als_model *model;
  const als_side *test; /* held-out ratings by user */
  const int64_t *user;  /* [rows of test, over all ranks] dense indices of the model, -1: it
                              * lacks the user; NULL: rows are the model's users */
  const int64_t *item;  /* [columns of test] the same for items */
  const als_side *seen; /* or NULL: training ratings, with the rows and blocks of `test`; columns
                              * are the model's items */
  const als_side
      *negatives; /* or NULL, like `seen`: candidates are these and those of `test`; without
                              * it all items of the model. Values do not matter in either */
} als_held_out;

/* Errors of the predictions for the held-out ratings whose user and item the model knows. Collective.
 *   clamp    [in]  predictions to the range of the training ratings
 * Sums are made in the order of rows, so that their bits do not depend on the ranks. */
RDD_MUST_CHECK rdd_status als_errors(rdd_comm *comm, const als_held_out *h, bool clamp,
                                     als_error *out, rdd_err *err);

typedef struct als_ranking_options {
  const int *cutoff; /* [cutoffs] 1 to ALS_MAX_CUTOFF, in any order */
  int cutoffs;       /* 1 to ALS_MAX_CUTOFFS */
  double above;      /* a rating above this makes its item relevant to its user */
  bool drop_cold; /* relevant items that the model lacks are left out; else they count as missed */
} als_ranking_options;

/* Means over the users that were evaluated. NaN where there are none. */
typedef struct als_at_k {
  int k;
  double precision, recall, map, ndcg, hit_rate;
  double coverage; /* share of the model's items that are among the first k of any user */
} als_at_k;

typedef struct als_ranking {
  als_at_k at[ALS_MAX_CUTOFFS]; /* in the order of the options */
  double mrr;
  double auc;                     /* mean over the users that have an irrelevant candidate */
  int64_t users;                  /* evaluated: known to the model, with a relevant item */
  int64_t users_without_relevant; /* known, but none of their held-out items is relevant */
  int64_t users_cold;             /* not known to the model */
  int64_t users_auc;              /* evaluated, with an irrelevant candidate */
  int64_t relevant;               /* items of the users evaluated */
  int64_t relevant_cold;          /* of users known: items that the model lacks */
  int64_t relevant_seen;          /* of users known: left out since they are in `seen` too */
} als_ranking;

/* Rank the candidates of each user with held-out ratings, and look where the relevant ones stand.
 * Collective. Each rank does the users that it owns. Scores are als_model_predict()'s to the last bit,
 * ties go by dense index; a float32 GEMM only decides which pairs need not be looked at closer.
 * Memory: scores of a block of users for each thread, and 8 bytes an item. Fails with RDD_EUSAGE for
 * options out of range, RDD_ENOMEM. */
RDD_MUST_CHECK rdd_status als_rank_held_out(rdd_comm *comm, const als_held_out *h,
                                            const als_ranking_options *options, als_ranking *out,
                                            rdd_err *err);

/* ---- Held-out ratings as a file has them, whatever ids ---- */

typedef struct als_test_set {
  als_ids *ids[2];   /* of the ratings */
  als_side by_user;  /* rows and columns are indices into ids */
  int64_t *index[2]; /* [ids->n] dense indices of the model, or -1 */
  int64_t cold[2];   /* users and items that the model lacks */
} als_test_set;

/* Take in held-out ratings, those with unknown ids too.                   Collective.
 *   parts    [in,out] columns user, item, rating; dropped as they are read
 *   out      [in,out] zeroed by the caller; free it with als_test_set_reset(), after a failure too */
RDD_MUST_CHECK rdd_status als_test_set_build(rdd_comm *comm, const als_model *model,
                                             rdd_parts *parts, als_test_set *out, rdd_err *err);

/* Ratings (seen ones, negatives) of the users of a test set, with the model's items as columns.
 *   unused_out  [out] ratings left out: of other users, of items that the model lacks
 * Collective. Reset *out with als_side_reset(). */
RDD_MUST_CHECK rdd_status als_test_set_match(rdd_comm *comm, const als_test_set *set,
                                             const als_model *model, rdd_parts *parts,
                                             als_side *out, int64_t *unused_out, rdd_err *err);

void als_test_set_reset(als_test_set *set); /* collective */

/* What als_errors() and als_rank_held_out() need of it. */
als_held_out als_test_set_view(const als_test_set *set, const als_model *model);

#ifdef __cplusplus
}
#endif
#endif
