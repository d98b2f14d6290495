/* Published numbers: the tables of Spark's own suites, and its documented example, with Spark's generators
 * and Spark's start. The targets are those of the suites; `measured` is what Spark's lines 2 and 3 reach, in
 * that order, to the digits that were printed. */
#include "mllib/spark_impl.h"
#include "rdd/memory.h"
#include "tests/fixtures.h"
#include "tests/spark_golden.h"
#include "tests/testkit.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const als_spark release[2] = {ALS_SPARK_2, ALS_SPARK_3};

static rdd_comm *one(void) {
  rdd_err err = {0};
  rdd_comm *comm = NULL;
  TK_OK(rdd_comm_single(&comm, &err), &err);
  return comm;
}

/* Spark's parameters and its start; seed 0. */
static fx_setup spark_setup(const fx_list *train, int k, double reg, int iterations,
                            int user_blocks, int item_blocks) {
  fx_setup setup = {.train = train, .partitions = 3, .batch_rows = 1000};
  setup.params = als_params_default();
  setup.params.balance = false; /* Spark does not */
  setup.params.rank = k;
  setup.params.max_iter = iterations;
  setup.params.reg[ALS_USERS] = setup.params.reg[ALS_ITEMS] = reg;
  setup.blocks[ALS_USERS] = user_blocks;
  setup.blocks[ALS_ITEMS] = item_blocks;
  return setup;
}

/* False, with a failed check, where that goes wrong. */
static bool fit_as_spark(fx_fit *fit, rdd_comm *comm, fx_setup setup, als_spark as) {
  setup.spark = as;
  return fx_open(fit, comm, &setup) && fx_run(fit, comm, &setup);
}

static void generators(void) {
  static const int64_t state[2] = {4790425454436209838, -9171266021732529057};
  static const int64_t side_seed[2][2] = {{-1197698364908232837, -6224379526640065051},
                                          {2236810499658231116, 1880247635712773362}};
  for (int v = 0; v < 2; v++) {
    als_xorshift random = als_xorshift_seeded(release[v], 0);
    TK_CHECK((int64_t)random.state == state[v]);
    TK_CHECK(als_xorshift_long(&random) == side_seed[v][0]);
    TK_CHECK(als_xorshift_long(&random) == side_seed[v][1]);
  }
  TK_CHECK(als_spark_block_seed(1, 0) == -6957962358446964858);
  TK_CHECK(als_spark_block_seed(0, 1) == -6957962358446964858);
}

/* ---- The newer suite's tests of the error on a test part: 10 iterations, seed 0 ---- */

typedef struct suite_row {
  int users, items, rank;
  double noise;
  int train, test; /* how many ratings that makes */
  int k;
  double reg;
  int blocks[2];
  double target, measured[2], digit; /* digit: the last one that was printed */
} suite_row;

/* The suite's error for implicit ratings: of what is clipped to [0, 1], weighted by confidence. */
static double implicit_error(const als_model *model, const fx_list *test) {
  double sum = 0, weights = 0;
  for (int64_t r = 0; r < test->n; r++) {
    int64_t u = als_ids_find_int64(model->side[ALS_USERS].ids, test->at[r].user);
    int64_t i = als_ids_find_int64(model->side[ALS_ITEMS].ids, test->at[r].item);
    if (u < 0 || i < 0) continue;
    double value = test->at[r].value, weight = 1 + fabs(value);
    double error = fmin(fmax(als_model_predict(model, u, i), 0), 1) - fmin(fmax(value, 0), 1);
    sum += weight * error * error;
    weights += weight;
  }
  return sqrt(sum / weights);
}

static void check_suite_row(const suite_row *row, als_mode mode) {
  rdd_comm *comm = one();
  fx_list train = {0}, test = {0};
  (mode == ALS_IMPLICIT ? fx_implicit : fx_explicit)(row->users, row->items, row->rank, row->noise,
                                                     &train, &test);
  TK_CHECK(train.n == row->train && test.n == row->test);
  for (int v = 0; v < 2; v++) {
    fx_fit fit;
    fx_setup setup = spark_setup(&train, row->k, row->reg, 10, row->blocks[0], row->blocks[1]);
    setup.params.loss.mode = mode;
    if (fit_as_spark(&fit, comm, setup, release[v])) {
      double error = mode == ALS_IMPLICIT ? implicit_error(fit.model, &test)
                                          : fx_rmse(fit.model, &test);
      TK_CHECK(error < row->target);
      TK_NEAR(error, row->measured[v], 0.51 * row->digit);
    }
    fx_close(&fit);
  }
  fx_reset(&train);
  fx_reset(&test);
  rdd_comm_close(comm);
}

static void check_suite_rows(const suite_row *row, size_t n) {
  for (size_t i = 0; i < n; i++) check_suite_row(&row[i], ALS_EXPLICIT);
}

static void exact_rank_1(void) {
  static const suite_row row[] = {
      {20, 40, 1, 0, 442, 270, 1, 1e-5, {2, 3}, .001, {.000232, .000353}, 1e-6},
      {20, 40, 1, 0, 442, 270, 2, 1e-5, {2, 3}, .001, {.0000593, .0000578}, 1e-7},
  };
  check_suite_rows(row, 2);
}

static void approximate_rank_1(void) {
  static const suite_row row[] = {
      {20, 40, 1, .01, 442, 270, 1, .01, {2, 3}, .02, {.01322, .01470}, 1e-5},
      {20, 40, 1, .01, 442, 270, 2, .01, {2, 3}, .02, {.01417, .01405}, 1e-5},
  };
  check_suite_rows(row, 2);
}

static void approximate_rank_2(void) {
  static const suite_row row[] = {
      {20, 40, 2, .01, 444, 267, 2, .01, {2, 3}, .03, {.02634, .02741}, 1e-5},
      {20, 40, 2, .01, 444, 267, 3, .01, {2, 3}, .03, {.02530, .02553}, 1e-5},
  };
  check_suite_rows(row, 2);
}

static void different_block_settings(void) {
  static const suite_row row[] = {
      {20, 40, 2, .01, 444, 267, 3, .01, {1, 1}, .03, {.02513, .02594}, 1e-5},
      {20, 40, 2, .01, 444, 267, 3, .01, {1, 2}, .03, {.02513, .02594}, 1e-5},
      {20, 40, 2, .01, 444, 267, 3, .01, {2, 1}, .03, {.02530, .02553}, 1e-5},
      {20, 40, 2, .01, 444, 267, 3, .01, {2, 2}, .03, {.02530, .02553}, 1e-5},
  };
  check_suite_rows(row, 4);
}

static void more_blocks_than_ratings(void) {
  static const suite_row row = {4, 4, 1, 0, 10, 4, 1, 1e-4, {5, 5}, .002, {.001762, .001877}, 1e-6};
  check_suite_rows(&row, 1);
}

static void implicit_feedback(void) {
  static const suite_row row = {20,  40, 2, .01, 226, 130, 2, .01, {2, 3}, .3, {.28764, .25982},
                                1e-5};
  check_suite_row(&row, ALS_IMPLICIT);
}

/* A negative rating is not the same as none: SPARK-20790. */
static void implicit_feedback_regression(void) {
  static const float value[2] = {-3, 0};
  /* release 2.4: [third rating][side][row] */
  static const double want[2][2][2] = {{{.954224, .905277}, {.714935, .341394}},
                                       {{.962585, .962585}, {.687733, .687733}}};
  rdd_comm *comm = one();
  for (int v = 0; v < 2; v++) {
    float x[2][2][2];
    for (int t = 0; t < 2; t++) {
      fx_list list = {0};
      fx_fit fit;
      fx_add(&list, 0, 0, 1);
      fx_add(&list, 1, 1, 1);
      fx_add(&list, 0, 1, value[t]);
      fx_setup setup = spark_setup(&list, 1, .01, 10, 2, 3);
      setup.params.loss.mode = ALS_IMPLICIT;
      memset(x[t], 0, sizeof x[t]);
      if (fit_as_spark(&fit, comm, setup, release[v]))
        for (int side = 0; side < 2; side++)
          memcpy(x[t][side], als_model_row(fit.model, side, 0), sizeof x[t][side]);
      fx_close(&fit);
      fx_reset(&list);
      for (int i = 0; v == 0 && i < 4; i++)
        TK_NEAR(x[t][i / 2][i % 2], want[t][i / 2][i % 2], 6e-7);
    }
    for (int i = 0; i < 4; i++) TK_CHECK(x[0][i / 2][i % 2] != x[1][i / 2][i % 2]);
  }
  rdd_comm_close(comm);
}

/* ---- The older suite: 15 iterations, lambda .01, the whole matrix is looked at ---- */

typedef struct old_row {
  fx_kind kind;
  int users, items, rank, n; /* n: ratings; 0: not published */
  int user_blocks, item_blocks;
  int shift; /* added to the ids */
  double bound, measured[2];
} old_row;

static double predict(const als_model *model, int64_t user, int64_t item) {
  return als_model_predict(model, als_ids_find_int64(model->side[ALS_USERS].ids, user),
                           als_ids_find_int64(model->side[ALS_ITEMS].ids, item));
}

/* The largest error; for counts the error of the preferences, weighted by confidence. */
static double old_error(const als_model *model, const old_row *row, const double *truth) {
  double largest = 0, sum = 0, weights = 0;
  bool counts = row->kind == FX_COUNTS || row->kind == FX_SIGNED_COUNTS;
  for (int u = 0; u < row->users; u++) {
    for (int i = 0; i < row->items; i++) {
      double r = truth[u * row->items + i], weight = 1 + fabs(r);
      double error = predict(model, u + row->shift, i + row->shift) - (counts ? r > 0 : r);
      if (!(fabs(error) <= largest)) largest = fabs(error); /* a NaN, too */
      sum += weight * error * error;
      weights += weight;
    }
  }
  return counts ? sqrt(sum / weights) : largest;
}

static void check_old_row(const old_row *row, int k) {
  rdd_comm *comm = one();
  fx_list list = {0};
  double *truth = NULL;
  fx_matrix(row->kind, row->users, row->items, row->rank, 0.7, &list, &truth);
  if (row->n > 0) TK_CHECK(list.n == row->n);
  for (int64_t r = 0; r < list.n; r++) {
    list.at[r].user += row->shift;
    list.at[r].item += row->shift;
  }
  for (int v = 0; v < 2; v++) {
    fx_fit fit;
    fx_setup setup = spark_setup(&list, k, 0.01, 15, row->user_blocks, row->item_blocks);
    setup.params.nonnegative = row->kind == FX_POSITIVE;
    if (row->kind == FX_COUNTS || row->kind == FX_SIGNED_COUNTS)
      setup.params.loss.mode = ALS_IMPLICIT;
    if (fit_as_spark(&fit, comm, setup, release[v])) {
      double error = old_error(fit.model, row, truth);
      TK_CHECK(error <= row->bound);
      if (row->measured[v] > 0) TK_NEAR(error, row->measured[v], 0.51e-4);
      for (int64_t i = 0; setup.params.nonnegative && i < row->users * k; i++)
        TK_CHECK(als_model_row(fit.model, ALS_USERS, 0)[i] >= 0);
    }
    fx_close(&fit);
  }
  rdd_free(truth);
  fx_reset(&list);
  rdd_comm_close(comm);
}

static void old_rank_1(void) {
  check_old_row(&(old_row){FX_LOW_RANK, 50, 100, 1, 3474, 2, 2, 0, .3, {.0424, .0330}}, 1);
}

static void old_rank_2(void) {
  check_old_row(&(old_row){FX_LOW_RANK, 100, 200, 2, 13944, 2, 2, 0, .3, {.0632, .0687}}, 2);
}

static void old_implicit_rank_1(void) {
  check_old_row(&(old_row){FX_COUNTS, 80, 160, 1, 8914, 2, 2, 0, .4, {.1614, .1567}}, 1);
}

static void old_implicit_rank_2(void) {
  check_old_row(&(old_row){FX_COUNTS, 100, 200, 2, 13925, 2, 2, 0, .4, {.1689, .1647}}, 2);
}

static void old_implicit_negative(void) {
  check_old_row(&(old_row){FX_SIGNED_COUNTS, 100, 200, 2, 13925, 2, 2, 0, .4, {.3641, .3640}}, 2);
}

static void old_blocks(void) {
  check_old_row(&(old_row){FX_LOW_RANK, 100, 200, 2, 13944, 4, 2, 0, .4, {.0709, .0708}}, 2);
}

static void old_nonnegative(void) {
  check_old_row(&(old_row){FX_POSITIVE, 100, 200, 2, 13944, 2, 2, 0, .4, {.1219, .1019}}, 2);
}

static void old_negative_ids(void) {
  check_old_row(&(old_row){FX_LOW_RANK, 50, 50, 2, 0, 2, 2, -25, .4, {0, 0}}, 5);
}

/* ---- The documented example ---- */

static void golden_values(void) {
  static const fx_rating rating[] = {{0, 0, 4}, {0, 1, 2}, {1, 1, 3},
                                     {1, 2, 4}, {2, 1, 1}, {2, 2, 5}};
  rdd_comm *comm = one();
  fx_list list = {0};
  for (int i = 0; i < 6; i++) fx_add(&list, rating[i].user, rating[i].item, rating[i].value);
  for (size_t g = 0; g < sizeof spark_goldens / sizeof *spark_goldens; g++) {
    const spark_golden *want = &spark_goldens[g];
    fx_fit fit;
    fx_setup setup = spark_setup(&list, want->rank, 0.1, want->iterations, 10, 10);
    setup.params.loss.mode = want->mode;
    setup.params.nonnegative = want->nonnegative;
    bool ok = fit_as_spark(&fit, comm, setup, want->release);
    for (int i = 0; ok && i < 9; i++)
      TK_NEAR(als_model_predict(fit.model, i / 3, i % 3), want->prediction[i / 3][i % 3], 1e-6);
    bool factors = want->rank == 10 && want->iterations == 5 && want->mode == ALS_EXPLICIT;
    for (int i = 0; ok && factors && i < 60; i++) {
      int side = i / 30, row = i / 10 % 3, f = i % 10;
      TK_NEAR(als_model_row(fit.model, side, row)[f],
              spark_golden_factors[want->release - ALS_SPARK_2][side][row][f], 3e-7);
    }
    fx_close(&fit);
  }
  fx_reset(&list);
  rdd_comm_close(comm);
}

/* ---- The sample data that come with Spark ---- */

/* Numbers of a text file, whatever is between them; `columns` in a line, of which 3 are used. */
static bool read_ratings(const char *name, int columns, fx_list *list) {
  const char *path = tk_data(name);
  FILE *file = path ? fopen(path, "rb") : NULL;
  char line[200];
  if (!file) return false;
  while (fgets(line, sizeof line, file)) {
    double value[4] = {0};
    char *at = line;
    for (int c = 0; c < columns; c++) {
      at += strcspn(at, "-0123456789");
      value[c] = strtod(at, &at);
    }
    fx_add(list, (int64_t)value[0], (int64_t)value[1], (float)value[2]);
  }
  fclose(file);
  return true;
}

static void sample_movielens_converges_as_spark(void) {
  static const double want[2][5] = {{.888171, .457275, .345541, .301130, .275926},
                                    {1.183533, .611142, .420837, .338523, .297443}};
  static const double at_10[2] = {.399558, .397073}; /* reg .1 */
  fx_list list = {0};
  if (!read_ratings("spark/sample_movielens_ratings.txt", 4, &list)) return;
  rdd_comm *comm = one();
  TK_CHECK(list.n == 1501);
  for (int v = 0; v < 2; v++) {
    fx_fit fit;
    if (fit_as_spark(&fit, comm, spark_setup(&list, 10, 0.01, 5, 10, 10), release[v]))
      for (int i = 0; i < 5; i++) TK_NEAR(fit.history[i].rmse_train, want[v][i], 6e-7);
    fx_close(&fit);
    if (fit_as_spark(&fit, comm, spark_setup(&list, 10, 0.1, 10, 10, 10), release[v]))
      TK_NEAR(fit.history[9].rmse_train, at_10[v], 6e-7);
    fx_close(&fit);
  }
  fx_reset(&list);
  rdd_comm_close(comm);
}

static void checkerboard_as_spark(void) {
  static const double want[2] = {5.4e-6, 5.0e-6};
  fx_list list = {0};
  if (!read_ratings("spark/test.data", 3, &list)) return;
  rdd_comm *comm = one();
  TK_CHECK(list.n == 16);
  for (int v = 0; v < 2; v++) {
    fx_fit fit;
    if (fit_as_spark(&fit, comm, spark_setup(&list, 10, 0.01, 10, 2, 2), release[v]))
      TK_NEAR(pow(fx_rmse(fit.model, &list), 2), want[v], 0.6e-7);
    fx_close(&fit);
  }
  fx_reset(&list);
  rdd_comm_close(comm);
}

/* Ratings 1 and 5 of the same pair count as two observations. */
static void duplicates_are_averaged(void) {
  rdd_comm *comm = one();
  fx_list list = {0};
  fx_fit fit;
  fx_add(&list, 0, 0, 1);
  fx_add(&list, 0, 0, 5);
  fx_add(&list, 1, 1, 3);
  if (fit_as_spark(&fit, comm, spark_setup(&list, 1, 0.01, 10, 2, 3), ALS_SPARK_2)) {
    TK_NEAR(als_model_predict(fit.model, 0, 0), 2.9960814, 3e-6);
    TK_NEAR(als_model_predict(fit.model, 1, 1), 2.9960814, 3e-6);
  }
  fx_close(&fit);
  fx_reset(&list);
  rdd_comm_close(comm);
}

int main(void) {
  static const tk_case cases[] = {
      {"generators give the published seeds", generators},
      {"ALSSuite: exact rank-1 matrix", exact_rank_1},
      {"ALSSuite: approximate rank-1 matrix", approximate_rank_1},
      {"ALSSuite: approximate rank-2 matrix", approximate_rank_2},
      {"ALSSuite: different block settings", different_block_settings},
      {"ALSSuite: more blocks than ratings", more_blocks_than_ratings},
      {"ALSSuite: implicit feedback", implicit_feedback},
      {"ALSSuite: implicit feedback regression", implicit_feedback_regression},
      {"mllib ALSSuite: rank-1 matrices", old_rank_1},
      {"mllib ALSSuite: rank-2 matrices", old_rank_2},
      {"mllib ALSSuite: rank-1 matrices implicit", old_implicit_rank_1},
      {"mllib ALSSuite: rank-2 matrices implicit", old_implicit_rank_2},
      {"mllib ALSSuite: rank-2 matrices implicit negative", old_implicit_negative},
      {"mllib ALSSuite: rank-2 matrices with different user and product blocks", old_blocks},
      {"mllib ALSSuite: NNALS, rank 2", old_nonnegative},
      {"mllib ALSSuite: negative ids", old_negative_ids},
      {"golden values: predictions and factors of the documented example", golden_values},
      {"golden values: training error on the sample ratings", sample_movielens_converges_as_spark},
      {"golden values: error on the checkerboard", checkerboard_as_spark},
      {"duplicates are averaged", duplicates_are_averaged},
  };
  openblas_set_num_threads(1);
  return tk_main("mllib spark", cases, sizeof cases / sizeof *cases);
}
