/* Ratings and initial factors for the tests: published generators, remade from their description, so
 * that results can be held against published numbers.
 *
 * The generators are those of Spark's ALS test suites (java.util.Random) and of its initial factors
 * (an XORShift generator; releases before 3.0 seed it in another way). */
#ifndef FIXTURES_H
#define FIXTURES_H

#include "mllib/als.h"

#include <stdbool.h>
#include <stdint.h>

/* ---- Random numbers ---- */

typedef enum fx_kind { FX_JAVA, FX_XORSHIFT_2, FX_XORSHIFT_3 } fx_kind;

typedef struct fx_random {
  fx_kind kind;
  uint64_t state;
  bool has_gaussian; /* the second one of the last pair */
  double gaussian;
} fx_random;

void fx_seed(fx_random *random, fx_kind kind, int64_t seed);
int32_t fx_int(fx_random *random);
int64_t fx_long(fx_random *random);
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

/* Spark's explicit test data: random int32 ids, factors in [-1, 1), 60 % training with Gaussian
 * noise, 30 % test without. */
void fx_explicit(int users, int items, int rank, double noise, fx_list *train, fx_list *test);

/* The older suite's: ids 0..n-1, a low-rank matrix of which a share `rate` is rated.
 *   truth_out  [out] [users][items] the matrix; free with rdd_free() */
void fx_low_rank(int users, int items, int rank, double rate, fx_list *list, double **truth_out);

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
  int64_t partitions, batch_rows, round;
  bool text;
  als_params params;
  uint64_t seed;
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

/* Give a side the initial factors that Spark would, with `blocks` blocks; one rank. */
void fx_spark_init(als_model *model, int side, fx_kind kind, int64_t seed, int blocks);

/* RMSE over a list; one rank, integer ids. Pairs with an unknown id are left out. */
double fx_rmse(const als_model *model, const fx_list *list);

#endif
