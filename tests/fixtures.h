/* Ratings for the tests: the published generators of Spark's ALS test suites, remade from their
 * description over java.util.Random, so that results can be held against published numbers. */
#ifndef FIXTURES_H
#define FIXTURES_H

#include "mllib/als.h"
#include "mllib/spark_init.h"

#include <stdbool.h>
#include <stdint.h>

/* ---- Random numbers ---- */

typedef struct fx_random {
  uint64_t state;
  bool has_gaussian; /* the second one of the last pair */
  double gaussian;
} fx_random;

void fx_seed(fx_random *random, int64_t seed);
int32_t fx_int(fx_random *random);
int32_t fx_below(fx_random *random, int32_t bound); /* 0 to bound - 1 */
float fx_float(fx_random *random);
double fx_double(fx_random *random);
double fx_gaussian(fx_random *random);

/* ---- Ratings ---- */

typedef struct fx_rating {
  int64_t user, item;
  float value;
} fx_rating;

typedef struct fx_list {
  fx_rating *at;
  int64_t n, room;
} fx_list;

void fx_add(fx_list *list, int64_t user, int64_t item, float value);
void fx_reset(fx_list *list);

/* Put the list into another order; the same one for the same seed. */
void fx_shuffle(fx_list *list, int64_t seed);

/* Spark's test data: random int32 ids, factors in [-1, 1); of what is rated 60 % is for training, with
 * Gaussian noise, and 30 % for the test, without. All is rated; or (implicit) 80 % of what is above 0 and
 * 20 % of the rest. */
void fx_explicit(int users, int items, int rank, double noise, fx_list *train, fx_list *test);
void fx_implicit(int users, int items, int rank, double noise, fx_list *train, fx_list *test);

/* The older suite's: ids 0..n-1, a matrix of which a share `rate` is rated: low rank with factors in
 * [-1, 1) or in [0, 1), or counts 0..9 or -2..7.
 *   truth_out  [out] [users][items] the matrix; free with rdd_free() */
typedef enum fx_kind { FX_LOW_RANK, FX_POSITIVE, FX_COUNTS, FX_SIGNED_COUNTS } fx_kind;
void fx_matrix(fx_kind kind, int users, int items, int rank, double rate, fx_list *list,
               double **truth_out);

/* A planted model with noise, for tests that need no published numbers: about `per_user` ratings for
 * each user, popular items more often, ids with gaps, some negative. */
void fx_planted(int users, int items, int rank, int per_user, double noise, fx_list *list);

/* This rank's share of the list as partitions of several batches, as if tasks had computed them.
 * With `text`, ids are strings ("u-12"). The list is the same on all ranks. */
rdd_parts *fx_parts(const fx_list *list, int64_t partitions, int64_t batch_rows, bool text,
                    const rdd_comm *comm);

/* ---- Models ---- */

typedef struct fx_setup {
  const fx_list *train, *test; /* test may be NULL */
  als_watch watch;             /* the test part is that of validation, too; or ALS_OBJECTIVE */
  int64_t partitions, batch_rows, round;
  bool text;
  als_params params;
  uint64_t seed;
  als_spark spark; /* start as this release of Spark would; 0: as our own */
  int blocks[2];   /* then, of users and of items */
} fx_setup;

/* A problem ready to be fitted. */
typedef struct fx_fit {
  als_problem problem;
  als_side test;
  als_model *model;
  als_iteration history[64];
  int iterations;
} fx_fit;

/* Ids, both sides, the model and its initial factors. Collective; checks what it calls. */
bool fx_open(fx_fit *fit, rdd_comm *comm, const fx_setup *setup);

/* als_fit(), into fit->history. */
bool fx_run(fx_fit *fit, rdd_comm *comm, const fx_setup *setup);
void fx_close(fx_fit *fit);

/* RMSE over a list; one rank, integer ids. Pairs with an unknown id are left out. */
double fx_rmse(const als_model *model, const fx_list *list);

#endif
