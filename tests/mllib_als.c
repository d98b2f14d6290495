/* The fit on one rank: against the dense oracle, and properties that any ALS has to have. */
#include "mllib/als.h"
#include "mllib/topn.h"
#include "rdd/memory.h"
#include "tests/fixtures.h"
#include "tests/oracle.h"
#include "tests/testkit.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

static rdd_comm *one(void) {
  rdd_err err = {0};
  rdd_comm *comm = NULL;
  TK_OK(rdd_comm_single(&comm, &err), &err);
  return comm;
}

static float *factors(const als_model *model, int side) {
  return rdd_table_data(model->side[side].factors);
}

static size_t factor_count(const als_model *model, int side) {
  return (size_t)model->side[side].ids->n * (size_t)model->k;
}

/* The ratings of a side (all of it: one rank) as the oracle wants them. */
static oracle_rating *oracle_ratings(const als_side *side) {
  oracle_rating *out = rdd_alloc((size_t)side->start[side->rows], sizeof *out);
  for (int64_t r = 0; r < side->rows; r++)
    for (int64_t e = side->start[r]; e < side->start[r + 1]; e++)
      out[e] = (oracle_rating){r, side->entry[e].column, side->entry[e].value};
  return out;
}

static double *widen(const als_model *model, int side) {
  size_t n = factor_count(model, side);
  double *out = rdd_alloc(n, sizeof *out);
  for (size_t i = 0; i < n; i++) out[i] = factors(model, side)[i];
  return out;
}

static void agrees_with_the_oracle(void) {
  enum { K = 5, ITERATIONS = 3 };
  rdd_comm *comm = one();
  fx_list list = {0};
  fx_fit fit;
  fx_planted(40, 30, 3, 12, 0.3, &list);
  fx_setup setup = {.train = &list, .partitions = 2, .batch_rows = 50, .seed = 4};
  setup.params = (als_params){
      .rank = K, .reg = {0.05, 0.05}, .reg_exponent = 1, .max_iter = ITERATIONS};
  if (fx_open(&fit, comm, &setup)) {
    double *x[2] = {widen(fit.model, 0), widen(fit.model, 1)};
    oracle_rating *r[2];
    for (int s = 0; s < 2; s++) r[s] = oracle_ratings(&fit.problem.side[s]);
    for (int i = 0; i < ITERATIONS; i++)
      for (int s = 1; s >= 0; s--)
        oracle_half_step(r[s], list.n, fit.problem.side[s].rows, K, 0.05, x[!s], x[s]);
    if (fx_run(&fit, comm, &setup)) {
      for (int s = 0; s < 2; s++)
        for (size_t i = 0; i < factor_count(fit.model, s); i++)
          TK_NEAR(factors(fit.model, s)[i], x[s][i], 1e-5);
      double objective = oracle_objective(r[0], list.n, K, 0.05, x[0], x[1]);
      double squares = oracle_objective(r[0], list.n, K, 0, x[0], x[1]);
      TK_CHECK(fit.iterations == ITERATIONS);
      TK_NEAR(fit.history[2].objective, objective, 1e-6 * objective);
      TK_NEAR(fit.history[2].rmse_train, sqrt(squares / (double)list.n), 1e-6);
      TK_NEAR(fx_rmse(fit.model, &list), sqrt(squares / (double)list.n), 1e-6);
      TK_CHECK(isnan(fit.history[2].rmse_test));
    }
    for (int s = 0; s < 2; s++) {
      rdd_free(x[s]);
      rdd_free(r[s]);
    }
  }
  fx_close(&fit);
  fx_reset(&list);
  rdd_comm_close(comm);
}

static void objective_never_rises(void) {
  rdd_comm *comm = one();
  fx_list list = {0};
  fx_planted(70, 50, 4, 15, 0.5, &list);
  for (int bias = 0; bias < 2; bias++) {
    for (int k = 1; k <= 12; k += 11) {
      fx_fit fit;
      fx_setup setup = {.train = &list, .partitions = 2, .batch_rows = 100};
      setup.params = (als_params){.rank = k,
                                  .reg = {0.02, 0.02},
                                  .reg_exponent = 1,
                                  .max_iter = 25,
                                  .bias = bias,
                                  .bias_reg = 5};
      if (fx_open(&fit, comm, &setup) && fx_run(&fit, comm, &setup)) {
        for (int i = 1; i < 25; i++)
          TK_CHECK(fit.history[i].objective <= fit.history[i - 1].objective * (1 + 1e-6));
        TK_CHECK(fit.history[24].objective < 0.99 * fit.history[0].objective);
        TK_NEAR(fit.history[24].rmse_train, fx_rmse(fit.model, &list), 1e-5);
      }
      fx_close(&fit);
    }
  }
  fx_reset(&list);
  rdd_comm_close(comm);
}

static void planted_model_is_recovered(void) {
  rdd_comm *comm = one();
  fx_list list = {0};
  fx_fit fit;
  double *truth = NULL, worst = 0;
  fx_matrix(FX_LOW_RANK, 60, 50, 3, 0.5, &list, &truth);
  fx_setup setup = {.train = &list, .partitions = 2, .batch_rows = 1000, .seed = 1};
  setup.params = (als_params){.rank = 3, .reg = {1e-5, 1e-5}, .reg_exponent = 1, .max_iter = 60};
  if (fx_open(&fit, comm, &setup) && fx_run(&fit, comm, &setup)) {
    for (int u = 0; u < 60; u++)
      for (int i = 0; i < 50; i++)
        worst = fmax(worst, fabs(als_model_predict(fit.model, u, i) - truth[u * 50 + i]));
    TK_NEAR(worst, 0, 0.01);
  }
  fx_close(&fit);
  rdd_free(truth);
  fx_reset(&list);
  rdd_comm_close(comm);
}

/* Give ids in the other order; every row starts where it did, and has to end where it did. */
static void permuting_ids_permutes_factors(void) {
  enum { K = 4 };
  rdd_comm *comm = one();
  fx_list list = {0}, other = {0};
  fx_fit a, b;
  fx_planted(30, 20, 2, 10, 0.2, &list);
  for (int64_t r = 0; r < list.n; r++)
    fx_add(&other, -list.at[r].user, -list.at[r].item, list.at[r].value);
  fx_setup setup = {.train = &list, .partitions = 2, .batch_rows = 64};
  setup.params = (als_params){.rank = K, .reg = {0.1, 0.1}, .reg_exponent = 1, .max_iter = 5};
  bool ok = fx_open(&a, comm, &setup);
  setup.train = &other;
  ok &= fx_open(&b, comm, &setup);
  if (ok) {
    int64_t n = a.model->side[ALS_USERS].ids->n;
    for (int64_t u = 0; u < n; u++)
      memcpy(factors(b.model, ALS_USERS) + (n - 1 - u) * K, als_model_row(a.model, ALS_USERS, u),
             K * sizeof(float));
    ok = fx_run(&b, comm, &setup);
    setup.train = &list;
    ok &= fx_run(&a, comm, &setup);
  }
  for (int s = 0; ok && s < 2; s++) {
    int64_t n = a.model->side[s].ids->n;
    for (int64_t i = 0; i < n; i++)
      for (int j = 0; j < K; j++)
        TK_NEAR(als_model_row(a.model, s, i)[j], als_model_row(b.model, s, n - 1 - i)[j], 1e-5);
  }
  fx_close(&a);
  fx_close(&b);
  fx_reset(&list);
  fx_reset(&other);
  rdd_comm_close(comm);
}

static void singular_row_is_named(void) {
  rdd_err err = {0};
  rdd_comm *comm = one();
  fx_list list = {0};
  fx_fit fit;
  int done = -1;
  /* item 40 has one rating, too few for two factors without a penalty; so has item 70 */
  for (int u = 0; u < 6; u++)
    for (int i = 0; i < 4; i++) fx_add(&list, 100 + u, 10 * i, (float)(1 + (u * i) % 5));
  fx_add(&list, 100, 40, 3);
  fx_add(&list, 101, 70, 3);
  fx_setup setup = {.train = &list, .partitions = 1, .batch_rows = 64};
  setup.params = (als_params){.rank = 2, .max_iter = 3};
  if (fx_open(&fit, comm, &setup)) {
    TK_CHECK(als_fit(comm, &fit.problem, &setup.params, fit.model, 0, NULL, fit.history, &done,
                     &err) == RDD_ESINGULAR);
    TK_CHECK(err.detail[0] == ALS_ITEMS && err.detail[1] == 4);
    TK_CHECK(
        strstr(err.message,
               "item 40: its normal equations are not positive definite with 1 rating, rank") !=
        NULL);
    TK_CHECK(strstr(err.message, "raise --reg-param") != NULL);
    TK_CHECK(done == -1);
  }
  fx_close(&fit);
  fx_reset(&list);
  rdd_comm_close(comm);
}

static void infinite_factors_are_singular(void) {
  rdd_err err = {0};
  rdd_comm *comm = one();
  fx_list list = {0};
  fx_fit fit;
  fx_add(&list, 0, 0, 1);
  fx_add(&list, 1, 1, INFINITY);
  fx_setup setup = {.train = &list, .partitions = 1, .batch_rows = 64};
  setup.params = (als_params){.rank = 1, .max_iter = 1, .reg = {1, 1}, .reg_exponent = 1};
  if (fx_open(&fit, comm, &setup)) {
    TK_CHECK(als_half_step(comm, &fit.problem.side[ALS_ITEMS], ALS_ITEMS, &setup.params, fit.model,
                           NULL, &err) == RDD_ESINGULAR);
    TK_CHECK(err.detail[0] == ALS_ITEMS && err.detail[1] == 1);
  }
  fx_close(&fit);
  fx_reset(&list);
  rdd_comm_close(comm);
}

static void biases_are_damped_means(void) {
  rdd_comm *comm = one();
  fx_list list = {0};
  fx_fit fit;
  fx_add(&list, 0, 0, 5);
  fx_add(&list, 0, 1, 1);
  fx_add(&list, 1, 0, 3);
  fx_setup setup = {.train = &list, .test = &list, .partitions = 1, .batch_rows = 64};
  setup.params = (als_params){.rank = 1, .bias = true, .bias_reg = 2};
  if (fx_open(&fit, comm, &setup) && fx_run(&fit, comm, &setup)) {
    const als_model *model = fit.model;
    const float *user = rdd_table_data(model->side[ALS_USERS].bias);
    const float *item = rdd_table_data(model->side[ALS_ITEMS].bias);
    TK_NEAR(model->mean, 3, 1e-12);
    TK_NEAR(item[0], 2.0 / 4, 1e-7); /* (2 + 0) / (2 + 2) */
    TK_NEAR(item[1], -2.0 / 3, 1e-7);
    TK_NEAR(user[0], (1.5 - 4.0 / 3) / 4, 1e-7); /* (2 - .5) + (-2 + 2/3), over 2 + 2 */
    TK_NEAR(user[1], -0.5 / 3, 1e-7);
    const als_entry *first = fit.problem.side[ALS_USERS].entry;
    TK_NEAR(first[0].value, 5 - 3.5 - user[0], 1e-6);
    for (int64_t e = 0; e < 3; e++) { /* both sides hold the same residuals: items 0, 0, 1 */
      const als_entry *entry = &fit.problem.side[ALS_ITEMS].entry[e];
      TK_CHECK(entry->value == first[e == 0 ? 0 : e == 1 ? 2 : 1].value);
    }
    TK_CHECK(model->rating_min == 1 && model->rating_max == 5 && fit.iterations == 0);
    memset(factors(model, ALS_USERS), 0, 2 * sizeof(float));
    TK_NEAR(als_model_predict(model, 0, 1), 3 + user[0] + item[1], 1e-6);
  }
  fx_close(&fit);
  fx_reset(&list);
  rdd_comm_close(comm);
}

static void evaluation_clamps_where_asked(void) {
  rdd_err err = {0};
  rdd_comm *comm = one();
  fx_list train = {0};
  fx_fit fit;
  als_error plain, clamped;
  for (int i = 0; i < 4; i++) fx_add(&train, i, i, (float)(1 + i));
  fx_setup setup = {.train = &train, .test = &train, .partitions = 2, .batch_rows = 64};
  setup.params.rank = 1;
  if (fx_open(&fit, comm, &setup) && fx_run(&fit, comm, &setup)) {
    for (int i = 0; i < 4; i++) factors(fit.model, 0)[i] = 1;
    for (int i = 0; i < 4; i++) factors(fit.model, 1)[i] = (float)(4 * i - 2); /* -2, 2, 6, 10 */
    TK_OK(als_evaluate(comm, fit.model, &fit.test, false, &plain, &err), &err);
    TK_OK(als_evaluate(comm, fit.model, &fit.test, true, &clamped, &err), &err);
    TK_CHECK(plain.n == 4 && clamped.n == 4);
    TK_NEAR(plain.squared, 9 + 0 + 9 + 36, 1e-9);
    TK_NEAR(plain.absolute, 3 + 0 + 3 + 6, 1e-9);
    TK_NEAR(clamped.squared, 0 + 0 + 1 + 0, 1e-9); /* clamped to 1, 2, 4, 4 */
    TK_NEAR(clamped.absolute, 1, 1e-9);
    TK_CHECK(isnan(als_model_predict(fit.model, -1, 0)));
    TK_CHECK(isnan(als_model_predict(fit.model, 0, -1)));
  }
  fx_close(&fit);
  fx_reset(&train);
  rdd_comm_close(comm);
}

static void test_error_is_followed(void) {
  rdd_comm *comm = one();
  fx_list train = {0}, test = {0};
  fx_fit fit;
  fx_explicit(20, 40, 2, 0.01, &train, &test);
  fx_setup setup = {.train = &train, .test = &test, .partitions = 2, .batch_rows = 64};
  setup.params = (als_params){.rank = 3, .max_iter = 4, .reg = {0.01, 0.01}, .reg_exponent = 1};
  if (fx_open(&fit, comm, &setup) && fx_run(&fit, comm, &setup)) {
    TK_NEAR(fit.history[3].rmse_test, fx_rmse(fit.model, &test), 1e-12);
    TK_CHECK(fit.history[3].rmse_test > 0 && fit.history[3].iteration == 4);
  }
  fx_close(&fit);
  fx_reset(&train);
  fx_reset(&test);
  rdd_comm_close(comm);
}

/* Rows that the blocks have but the ratings do not: all zeros. */
static void row_without_ratings_is_zero(void) {
  rdd_err err = {0};
  rdd_comm *comm = one();
  fx_list train = {0}, few = {0};
  fx_fit fit;
  als_sums sums = {.ratings = -1, .pairs = -1, .reg = -1};
  for (int u = 0; u < 3; u++) fx_add(&train, u, 0, 2);
  fx_add(&few, 1, 0, 2);
  fx_setup setup = {.train = &train, .test = &few, .partitions = 1, .batch_rows = 64};
  setup.params = (als_params){.rank = 1, .reg = {1, 1}, .reg_exponent = 1};
  if (fx_open(&fit, comm, &setup)) {
    factors(fit.model, ALS_ITEMS)[0] = 1;
    TK_OK(als_half_step(comm, &fit.test, ALS_USERS, &setup.params, fit.model, &sums, &err), &err);
    const float *x = factors(fit.model, ALS_USERS);
    TK_CHECK(x[0] == 0 && x[1] == 1 && x[2] == 0); /* 2 / (1 + 1) */
    TK_NEAR(sums.ratings, 1, 1e-12);
    TK_NEAR(sums.reg, 1, 1e-12);
    TK_CHECK(sums.pairs == 0);
  }
  fx_close(&fit);
  fx_reset(&train);
  fx_reset(&few);
  rdd_comm_close(comm);
}

static void initial_factors_are_keyed_by_id(void) {
  enum { K = 7 };
  rdd_comm *comm = one();
  fx_list a = {0}, b = {0};
  fx_fit small, large;
  for (int i = 0; i < 50; i++) fx_add(&b, i, i, 1);
  for (int i = 20; i < 50; i += 3) fx_add(&a, i, i, 1);
  fx_setup setup = {.train = &a, .partitions = 1, .batch_rows = 64, .seed = 9};
  setup.params.rank = K;
  bool ok = fx_open(&small, comm, &setup);
  setup.train = &b;
  ok &= fx_open(&large, comm, &setup);
  double mean = 0;
  for (int s = 0; ok && s < 2; s++) {
    for (int i = 0; i < 10; i++)
      TK_CHECK(memcmp(als_model_row(small.model, s, i), als_model_row(large.model, s, 20 + 3 * i),
                      K * sizeof(float)) == 0);
    for (int i = 0; i < 50; i++) {
      double squares = 0;
      for (int j = 0; j < K; j++) {
        double x = als_model_row(large.model, s, i)[j];
        squares += x * x;
        mean += x / (2 * 50 * K);
      }
      TK_NEAR(squares, 1, 1e-6);
    }
  }
  TK_NEAR(mean, 0, 0.06); /* signs are mixed: standard error 0.014 */
  TK_CHECK(ok && memcmp(factors(large.model, 0), factors(large.model, 1), K * sizeof(float)) != 0);
  fx_close(&small);
  fx_close(&large);
  fx_reset(&a);
  fx_reset(&b);
  rdd_comm_close(comm);
}

static void start_factors_are_copied_by_id(void) {
  enum { K = 3 };
  rdd_err err = {0};
  rdd_comm *comm = one();
  fx_list old = {0}, new = {0};
  fx_fit from, to, wrong;
  int64_t matched[2] = {-1, -1};
  for (int i = 0; i < 10; i++) fx_add(&old, i, 2 * i, 1); /* users 0-9, items 0-18 even */
  for (int i = 5; i < 15; i++) fx_add(&new, i, i, 1); /* both know users 5-9, items 6 to 14 even */
  fx_setup setup = {.train = &old, .partitions = 1, .batch_rows = 64, .seed = 1};
  setup.params = (als_params){.rank = K, .bias = true};
  bool ok = fx_open(&from, comm, &setup);
  setup.train = &new;
  setup.seed = 2;
  ok &= fx_open(&to, comm, &setup);
  setup.params.rank = K + 1;
  ok &= fx_open(&wrong, comm, &setup);
  if (ok) {
    ((float *)rdd_table_data(from.model->side[ALS_USERS].bias))[5] = 0.25f;
    TK_OK(als_model_start_from(to.model, comm, from.model, matched, &err), &err);
    TK_CHECK(matched[ALS_USERS] == 5 && matched[ALS_ITEMS] == 5);
    TK_CHECK(
        !memcmp(als_model_row(to.model, 0, 0), als_model_row(from.model, 0, 5), K * sizeof(float)));
    TK_CHECK(
        !memcmp(als_model_row(to.model, 1, 1), als_model_row(from.model, 1, 3), K * sizeof(float)));
    TK_CHECK(
        memcmp(als_model_row(to.model, 1, 0), als_model_row(from.model, 1, 2), K * sizeof(float)));
    TK_CHECK(((float *)rdd_table_data(to.model->side[ALS_USERS].bias))[0] == 0.25f);
    TK_CHECK(als_model_start_from(wrong.model, comm, from.model, matched, &err) == RDD_EUSAGE);
    TK_CHECK(strstr(err.message, "has rank 3; this one has rank 4") != NULL);
  }
  fx_close(&from);
  fx_close(&to);
  fx_close(&wrong);
  fx_reset(&old);
  fx_reset(&new);
  rdd_comm_close(comm);
}

static void stops_at_the_tolerance_and_reports(void) {
  rdd_comm *comm = one();
  fx_list list = {0};
  fx_fit fit;
  fx_planted(40, 30, 2, 15, 0.3, &list);
  fx_setup setup = {.train = &list, .partitions = 1, .batch_rows = 64};
  setup.params = (als_params){
      .rank = 3, .max_iter = 60, .reg = {0.1, 0.1}, .reg_exponent = 1, .tol = 1e-3};
  if (fx_open(&fit, comm, &setup) && fx_run(&fit, comm, &setup)) {
    int n = fit.iterations;
    TK_CHECK(n >= 2 && n < 60);
    for (int i = 1; i < n; i++) {
      double before = fit.history[i - 1].objective, now = fit.history[i].objective;
      TK_CHECK((before - now <= 1e-3 * before) == (i == n - 1));
    }
  }
  fx_close(&fit);
  fx_reset(&list);
  rdd_comm_close(comm);
}

static void parameters_out_of_range_are_refused(void) {
  static const struct {
    als_params params;
    const char *says;
  } row[] = {
      {{.rank = 0}, "rank is 0"},
      {{.rank = ALS_MAX_RANK + 1}, "has to be 1 to 4096"},
      {{.rank = 3}, "the model has 2 factors"},
      {{.rank = 2, .max_iter = -1}, "iterations is -1"},
      {{.rank = 2, .reg = {-0.5, -0.5}, .reg_exponent = 1}, "the regularisation of users is -0.5"},
      {{.rank = 2, .reg = {NAN, NAN}, .reg_exponent = 1}, "the regularisation of users is nan"},
      {{.rank = 2, .tol = -1}, "the tolerance is -1"},
      {{.rank = 2, .bias = true}, "no room for biases"},
  };
  rdd_err err = {0};
  rdd_comm *comm = one();
  fx_list list = {0};
  fx_fit fit;
  int done;
  fx_add(&list, 1, 1, 1);
  fx_setup setup = {.train = &list, .partitions = 1, .batch_rows = 64};
  setup.params.rank = 2;
  if (fx_open(&fit, comm, &setup)) {
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
      TK_CHECK(als_fit(comm, &fit.problem, &row[i].params, fit.model, 0, NULL, fit.history, &done,
                       &err) == RDD_EUSAGE);
      TK_CHECK(strstr(err.message, row[i].says) != NULL);
    }
    fit.problem.ratings = 0;
    TK_CHECK(als_fit(comm, &fit.problem, &setup.params, fit.model, 0, NULL, fit.history, &done,
                     &err) == RDD_EDATA);
  }
  fx_close(&fit);
  fx_reset(&list);
  rdd_comm_close(comm);
}

/* ---- Hooks and resumed fits ---- */

/* What the hooks of a fit have seen, and what they are to do. */
typedef struct watch {
  int befores, afters;
  int fail_at, stop_at; /* the before of this iteration's users; after this many iterations */
  bool in_order;
} watch;

static rdd_status watch_before(void *arg, int iteration, int side, rdd_err *err) {
  watch *w = arg;
  if (iteration != w->befores / 2 + 1 || side != (w->befores % 2 ? ALS_USERS : ALS_ITEMS))
    w->in_order = false;
  w->befores++;
  if (iteration == w->fail_at && side == ALS_USERS)
    return rdd_set(err, RDD_EIO, "no luck in iteration %d", iteration);
  return RDD_OK;
}

static rdd_status watch_after(void *arg, rdd_comm *comm, const als_model *model,
                              const als_iteration *history, int done, bool *stop_out,
                              rdd_err *err) {
  watch *w = arg;
  (void)comm, (void)model, (void)err;
  if (done != ++w->afters || w->befores != 2 * done || history[done - 1].iteration != done ||
      !(history[done - 1].objective > 0))
    w->in_order = false;
  *stop_out = done == w->stop_at;
  return done == -w->stop_at ? rdd_set(err, RDD_EIO, "no luck after %d", done) : RDD_OK;
}

static void hooks_are_called(void) {
  static const struct {
    watch set;
    rdd_status status;
    int befores, afters, done;
    const char *says;
  } row[] = {
      {{.in_order = true}, RDD_OK, 10, 5, 5, NULL},
      {{.in_order = true, .stop_at = 3}, RDD_OK, 6, 3, 3, NULL},
      {{.in_order = true, .stop_at = 5}, RDD_OK, 10, 5, 5, NULL},
      {{.in_order = true, .stop_at = -2}, RDD_EIO, 4, 2, -1, "no luck after 2"},
      {{.in_order = true, .fail_at = 4}, RDD_EIO, 8, 3, -1, "no luck in iteration 4"},
  };
  rdd_comm *comm = one();
  fx_list list = {0};
  fx_planted(20, 15, 2, 8, 0.3, &list);
  fx_setup setup = {.train = &list, .partitions = 1, .batch_rows = 64};
  setup.params = (als_params){.rank = 2, .max_iter = 5, .reg = {0.1, 0.1}, .reg_exponent = 1};
  for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
    watch w = row[i].set;
    const als_hooks hooks = {.before = watch_before, .after = watch_after, .arg = &w};
    rdd_err err = {0};
    fx_fit fit;
    int done = -1;
    if (fx_open(&fit, comm, &setup)) {
      TK_CHECK(als_fit(comm, &fit.problem, &setup.params, fit.model, 0, &hooks, fit.history, &done,
                       &err) == row[i].status);
      TK_CHECK(w.in_order && w.befores == row[i].befores && w.afters == row[i].afters);
      TK_CHECK(done == row[i].done);
      TK_CHECK(!row[i].says || strcmp(err.message, row[i].says) == 0);
    }
    fx_close(&fit);
  }
  fx_reset(&list);
  rdd_comm_close(comm);
}

static void start_out_of_range_is_refused(void) {
  rdd_err err = {0};
  rdd_comm *comm = one();
  fx_list list = {0};
  fx_fit fit;
  int done;
  fx_add(&list, 1, 1, 1);
  fx_setup setup = {.train = &list, .partitions = 1, .batch_rows = 64};
  setup.params = (als_params){.rank = 1, .max_iter = 3, .reg = {1, 1}, .reg_exponent = 1};
  if (fx_open(&fit, comm, &setup)) {
    static const int start[] = {-1, 4};
    for (int i = 0; i < 2; i++) {
      TK_CHECK(als_fit(comm, &fit.problem, &setup.params, fit.model, start[i], NULL, fit.history,
                       &done, &err) == RDD_EUSAGE);
      TK_CHECK(strstr(err.message, "it has to be 0 to 3") != NULL);
    }
  }
  fx_close(&fit);
  fx_reset(&list);
  rdd_comm_close(comm);
}

static void what_is_watched_decides(void) {
  als_iteration h[5] = {{.objective = 100, .rmse_validation = 2.0, .ndcg_validation = 0.20},
                        {.objective = 50, .rmse_validation = 1.0, .ndcg_validation = 0.40},
                        {.objective = 40, .rmse_validation = 1.0, .ndcg_validation = 0.30},
                        {.objective = 39, .rmse_validation = 0.9, .ndcg_validation = 0.40},
                        {.objective = 38, .rmse_validation = 0.95, .ndcg_validation = 0.41}};
  static const struct {
    als_watch watch;
    double tol;
    int best[5], ends; /* after 1 to 5 of them; the first that brings too little, 6: none does */
  } row[] = {
      {ALS_OBJECTIVE, 0.03, {1, 2, 3, 4, 5}, 4}, {ALS_RMSE, 1e-9, {1, 2, 2, 4, 4}, 3},
      {ALS_NDCG, 1e-9, {1, 2, 2, 2, 5}, 3},      {ALS_NDCG, 0.99, {1, 2, 2, 2, 5}, 3},
      {ALS_NDCG, 1, {1, 2, 2, 2, 5}, 2},         {ALS_RMSE, 0, {1, 2, 2, 4, 4}, 6},
      {ALS_OBJECTIVE, 1e-3, {1, 2, 3, 4, 5}, 6},
  };
  for (size_t t = 0; t < sizeof row / sizeof *row; t++) {
    const als_params params = {.tol = row[t].tol};
    int ends = 6;
    for (int made = 5; made >= 1; made--) {
      TK_CHECK(als_best_iteration(row[t].watch, h, made) == row[t].best[made - 1]);
      if (als_converged(&params, row[t].watch, h, made)) ends = made;
    }
    TK_CHECK(ends == row[t].ends);
  }
  const als_params params = {
      .tol = 0.01}; /* a gain of 2.5 % over the best before, not over the last */
  TK_CHECK(!als_converged(&params, ALS_NDCG, h, 5));
  h[0].ndcg_validation = h[1].ndcg_validation = 0;
  TK_CHECK(als_converged(&params, ALS_NDCG, h, 2) && !als_converged(&params, ALS_NDCG, h, 3));
}

static uint64_t fingerprint(rdd_comm *comm, const fx_list *list, bool text) {
  uint64_t found = 0;
  fx_fit fit;
  fx_setup setup = {.train = list, .partitions = 2, .batch_rows = 5, .text = text};
  setup.params.rank = 1;
  if (fx_open(&fit, comm, &setup))
    found = als_fingerprint(comm, fit.model, &fit.problem.side[ALS_USERS]);
  fx_close(&fit);
  return found;
}

/* Each single change of the multiset of ratings is a change of its fingerprint; their order is not.
 * */
static void fingerprint_tells_ratings_apart(void) {
  enum { VERSIONS = 8 };
  rdd_comm *comm = one();
  fx_list list[VERSIONS] = {{0}};
  for (int v = 0; v < VERSIONS; v++)
    for (int i = 0; i < 40; i++) fx_add(&list[v], i % 8, i % 7, (float)(i % 5));
  fx_shuffle(&list[1], 3);
  list[2].at[9].value += 0.5f;
  list[3].at[9].user = 99; /* the order of the ids is another one as well */
  list[4].at[9].item = 3;
  fx_add(&list[5], 1, 1, 1);
  list[6].n--;
  int64_t swap = list[7].at[9].user; /* 1 rated 2 with 4, not 2 rated 1 */
  list[7].at[9].user = list[7].at[9].item;
  list[7].at[9].item = swap;
  uint64_t first = fingerprint(comm, &list[0], false);
  TK_CHECK(first != 0 && first == fingerprint(comm, &list[1], false));
  for (int v = 2; v < VERSIONS; v++) TK_CHECK(first != fingerprint(comm, &list[v], false));
  TK_CHECK(first != fingerprint(comm, &list[0], true));
  TK_CHECK(fingerprint(comm, &list[0], true) == fingerprint(comm, &list[1], true));
  for (int v = 0; v < VERSIONS; v++) fx_reset(&list[v]);
  rdd_comm_close(comm);
}

static void threads_do_not_matter(void) {
#ifdef _OPENMP
  rdd_comm *comm = one();
  fx_list list = {0};
  fx_fit fit[3];
  const int threads[3] = {1, 2, 5};
  int before = omp_get_max_threads();
  bool ok = true;
  fx_planted(300, 200, 3, 20, 0.3, &list);
  fx_setup setup = {.train = &list, .test = &list, .partitions = 1, .batch_rows = 999};
  setup.params = (als_params){
      .rank = 6, .max_iter = 3, .reg = {0.1, 0.1}, .reg_exponent = 1, .bias = true};
  for (int t = 0; t < 3; t++) {
    omp_set_num_threads(threads[t]);
    ok &= fx_open(&fit[t], comm, &setup) && fx_run(&fit[t], comm, &setup);
  }
  omp_set_num_threads(before);
  for (int t = 1; ok && t < 3; t++) {
    for (int s = 0; s < 2; s++)
      TK_CHECK(memcmp(factors(fit[0].model, s), factors(fit[t].model, s),
                      factor_count(fit[0].model, s) * sizeof(float)) == 0);
    TK_CHECK(fit[0].history[2].objective == fit[t].history[2].objective);
    TK_CHECK(fit[0].history[2].rmse_test == fit[t].history[2].rmse_test);
  }
  for (int t = 0; t < 3; t++) fx_close(&fit[t]);
  fx_reset(&list);
  rdd_comm_close(comm);
#endif
}

/* The published quality on MovieLens 100K, its own five folds, predictions clamped. */
static double movielens_rmse(const als_params *params) {
  rdd_comm *comm = one();
  double mean = 0;
  for (int f = 1; f <= 5; f++) {
    static const char *const part[2] = {"base", "test"};
    fx_list list[2] = {{0}, {0}};
    for (int i = 0; i < 2; i++) {
      char name[40];
      long user, item;
      float value;
      snprintf(name, sizeof name, "ml-100k/u%d.%s", f, part[i]);
      const char *path = tk_data(name);
      FILE *file = path ? fopen(path, "r") : NULL;
      while (file && fscanf(file, "%ld %ld %f %*d", &user, &item, &value) == 3)
        fx_add(&list[i], user, item, value);
      if (file) fclose(file);
      TK_CHECK(list[i].n > 0);
    }
    fx_setup setup = {.train = &list[0], .test = &list[1], .partitions = 2, .batch_rows = 4096};
    rdd_err err = {0};
    fx_fit fit;
    als_error e = {0};
    setup.params = *params;
    if (fx_open(&fit, comm, &setup) && fx_run(&fit, comm, &setup))
      TK_OK(als_evaluate(comm, fit.model, &fit.test, true, &e, &err), &err);
    mean += sqrt(e.squared / (double)e.n) / 5;
    fx_close(&fit);
    fx_reset(&list[0]);
    fx_reset(&list[1]);
  }
  rdd_comm_close(comm);
  return mean;
}

static void movielens_quality(void) {
  if (!tk_data("ml-100k/u5.test")) return;
  als_params params = {.rank = 10, .reg = {0.1, 0.1}, .reg_exponent = 1, .max_iter = 20};
  double rmse = movielens_rmse(&params);
  TK_CHECK(rmse <= 0.925);
  if (TK_SANITIZED) return; /* the large one takes a minute */
  params = (als_params){.rank = 100,
                        .reg = {0.12, 0.12},
                        .reg_exponent = 1,
                        .max_iter = 20,
                        .bias = true,
                        .bias_reg = 5};
  rmse = movielens_rmse(&params);
  TK_CHECK(rmse <= 0.917);
}

/* Whatever allocation fails, the answer is a clean RDD_ENOMEM and nothing is left behind. */
static rdd_status fit_all(rdd_comm *comm, rdd_parts *parts, rdd_err *err) {
  als_ids *ids[2] = {NULL, NULL};
  als_side users = {0}, items = {0};
  als_model *model = NULL;
  als_params params = {.rank = 3,
                       .max_iter = 1,
                       .reg = {0.1, 0.1},
                       .reg_exponent = 1,
                       .bias = true,
                       .balance = true};
  als_iteration history[1];
  als_problem problem = {0};
  int64_t cold, row[1] = {0}, column[2];
  float score[2];
  int done;
  rdd_status st = als_ids_build(comm, parts, 0, &ids[0], err);
  if (!st) st = als_ids_build(comm, parts, 1, &ids[1], err);
  const als_ids *const known[2] = {ids[0], ids[1]};
  if (!st) st = als_side_build(comm, parts, 0, known, NULL, 3, 7, &users, &cold, err);
  if (!st) st = als_side_transpose(comm, &users, ids[1]->n, 3, 7, &items, err);
  if (!st) st = als_model_new(comm, ids, 3, true, &model, err);
  if (!st) st = als_model_init(model, comm, ALS_USERS, 0, err);
  if (!st) {
    problem = (als_problem){.side = {users, items}, .ratings = 30};
    problem.test = &problem.side[0];
    st = als_fit(comm, &problem, &params, model, 0, NULL, history, &done, err);
  }
  const als_topn_query query = {.model = model, .top = 2, .threshold = -INFINITY};
  als_topn *topn = NULL;
  if (!st) st = als_topn_open(&query, &topn, err);
  if (!st) als_topn_rows(topn, row, 1, NULL, column, score);
  als_topn_close(topn);
  als_side_reset(&users);
  als_side_reset(&items);
  als_model_free(model);
  for (int s = 0; !model && s < 2; s++) als_ids_free(ids[s]);
  return st;
}

static void every_allocation_may_fail(void) {
  rdd_comm *comm = one();
  fx_list list = {0};
  for (int i = 0; i < 30; i++) fx_add(&list, i % 6, i % 5, (float)i);
  rdd_status st = RDD_OK;
  int failed = 0;
  for (int64_t n = 1; n <= 200; n++) {
    rdd_err err = {0};
    rdd_parts *parts = fx_parts(&list, 2, 8, n % 2, comm);
    int64_t before = rdd_memory_live();
    rdd_memory_fail_at(n);
    st = fit_all(comm, parts, &err);
    rdd_memory_fail_at(0);
    TK_CHECK(st == RDD_OK || (st == RDD_ENOMEM && err.message[0] != '\0'));
    failed += st == RDD_ENOMEM;
    TK_CHECK(rdd_memory_live() <= before); /* parts are dropped as they are read */
    rdd_parts_free(parts);
  }
  TK_CHECK(st == RDD_OK); /* so 200 was past the last one */
  TK_CHECK(failed > 40);
  fx_reset(&list);
  rdd_comm_close(comm);
}

int main(void) {
  static const tk_case cases[] = {
      {"the fit agrees with the dense oracle", agrees_with_the_oracle},
      {"the objective never rises", objective_never_rises},
      {"a planted model is recovered", planted_model_is_recovered},
      {"permuting ids permutes factors", permuting_ids_permutes_factors},
      {"a singular row is named", singular_row_is_named},
      {"infinite factors are singular", infinite_factors_are_singular},
      {"biases are damped means", biases_are_damped_means},
      {"evaluation clamps where asked", evaluation_clamps_where_asked},
      {"the test error is followed", test_error_is_followed},
      {"a row without ratings is zero", row_without_ratings_is_zero},
      {"initial factors are keyed by id", initial_factors_are_keyed_by_id},
      {"start factors are copied by id", start_factors_are_copied_by_id},
      {"iterations stop at the tolerance", stops_at_the_tolerance_and_reports},
      {"what is watched decides which is best, and when to stop", what_is_watched_decides},
      {"parameters out of range are refused", parameters_out_of_range_are_refused},
      {"hooks are called, and may stop or fail", hooks_are_called},
      {"a start out of range is refused", start_out_of_range_is_refused},
      {"the fingerprint tells ratings apart", fingerprint_tells_ratings_apart},
      {"the number of threads does not matter", threads_do_not_matter},
      {"every allocation may fail", every_allocation_may_fail},
      {"quality on MovieLens 100K", movielens_quality},
  };
  openblas_set_num_threads(1);
  return tk_main("mllib als", cases, sizeof cases / sizeof *cases);
}
