/* Explanations, by hand: one factor, three items, one user. */
#include "mllib/explain.h"
#include "rdd/memory.h"
#include "tests/testkit.h"

#include <math.h>

/* Item factors 1, 2, 3; user factor and biases as given. Ids are 10, 11, ... */
static als_model *small_model(rdd_comm *comm, float user, bool bias) {
  rdd_err err = {0};
  als_ids *ids[2];
  als_model *model = NULL;
  int64_t begin[5] = {0};
  for (int s = 0; s < 2; s++) {
    int64_t n = s == ALS_USERS ? 1 : 3;
    TK_OK(als_ids_new(comm, RDD_INT64, n, 0, &ids[s], &err), &err);
    int64_t *id = rdd_table_data(ids[s]->value);
    if (comm->rank == 0)
      for (int i = 0; i < n; i++) id[i] = 10 + i;
    for (int r = 1; r <= comm->size; r++) begin[r] = n * (int64_t)sizeof *id;
    rdd_table_sync(ids[s]->value, begin);
  }
  TK_OK(als_model_new(comm, ids, 1, bias, &model, &err), &err);
  for (int s = 0; s < 2; s++) {
    int64_t n = s == ALS_USERS ? 1 : 3;
    for (int r = 1; r <= comm->size; r++) begin[r] = n * (int64_t)sizeof(float);
    float *x = rdd_table_data(model->side[s].factors);
    float *b = bias ? rdd_table_data(model->side[s].bias) : NULL;
    for (int i = 0; comm->rank == 0 && i < n; i++) {
      x[i] = s == ALS_USERS ? user : (float)(i + 1);
      if (b) b[i] = s == ALS_USERS ? 0.5f : 0.25f * (float)i;
    }
    rdd_table_sync(model->side[s].factors, begin);
    if (bias) rdd_table_sync(model->side[s].bias, begin);
  }
  if (bias) model->mean = 3;
  return model;
}

static als_params small_params(als_mode mode) {
  als_params p = als_params_default();
  p.rank = 1;
  p.loss.mode = mode;
  p.reg[ALS_USERS] = 0.5;
  return p;
}

/* Explain item 2 with ratings 3 and 4 of items 0 and 1, and more where there are more.
 *   share  [in]  [n] what is expected, the largest first */
static void expect(rdd_comm *comm, als_model *model, const als_params *params, int64_t n,
                   const double *share, double base) {
  static const als_entry rating[] = {{0, 3}, {1, 4}, {2, -2}};
  rdd_err err = {0};
  als_explanation e;
  TK_OK(als_explain(comm, model, params, 0, 2, rating, n, &e, &err), &err);
  double total = base;
  if (comm->rank == 0) {
    TK_CHECK(e.n == n);
    for (int64_t i = 0; i < e.n && i < n; i++) {
      TK_NEAR(e.share[i].contribution, share[i], 1e-12);
      total += share[i];
    }
    TK_NEAR(e.base, base, 1e-12);
    TK_NEAR(e.total, total, 1e-12);
    TK_CHECK(e.stored == als_model_predict(model, 0, 2));
  } else {
    TK_CHECK(!e.share && e.n == 0);
  }
  rdd_free(e.share);
}

/* A = 1 + 4 + 2 * 0.5. */
static void explicit_ratings(rdd_comm *comm) {
  const double share[] = {4 * 2 * 3 / 6., 3 * 1 * 3 / 6.};
  als_params params = small_params(ALS_EXPLICIT);
  als_model *model = small_model(comm, 11 / 6.f, false);
  expect(comm, model, &params, 2, share, 0);
  params.nonnegative = true; /* the same, since the factor is above 0 */
  expect(comm, model, &params, 2, share, 0);
  als_model_free(model);
}

/* A = 14 + 3 * 1 + 4 * 4 + 2 * 9 + 2 * 0.5; the negative rating weighs, but pulls to 0. */
static void implicit_ratings(rdd_comm *comm) {
  const double share[] = {5 * 2 * 3 / 52., 4 * 1 * 3 / 52., 0};
  als_params params = small_params(ALS_IMPLICIT);
  als_model *model = small_model(comm, 0.2f, false);
  expect(comm, model, &params, 3, share, 0);
  /* A = 0.1 * 14 + 1 + 4 + 9 + 0.5 (2 + 0.1 * 3) */
  const double a = 1.4 + 14 + 0.5 * 2.3, of_ials[] = {1 * 2 * 3 / a, 1 * 1 * 3 / a, 0};
  params = small_params(ALS_IALS);
  params.loss.unobserved = 0.1;
  expect(comm, model, &params, 3, of_ials, 0);
  als_model_free(model);
}

/* Biases that are taken off first: residuals are 3 - 3.5 and 4 - 3.75, base 3 + 0.5 + 0.5. */
static void biases(rdd_comm *comm) {
  const double share[] = {0.25 * 2 * 3 / 6., -0.5 * 1 * 3 / 6.};
  als_params params = small_params(ALS_EXPLICIT);
  als_model *model = small_model(comm, 0.1f, true);
  params.bias = true;
  expect(comm, model, &params, 2, share, 4);
  /* the user's bias as an unknown: (1, 1) and (2, 1), t = 0 and 0.75, and A is 6, 3; 3, 3 */
  const double z0 = (3 * 3 - 3 * 1) / 9., z1 = (6 * 1 - 3 * 3) / 9.;
  const double fitted[] = {0.75 * (2 * z0 + z1), 0};
  params.update_bias = true;
  expect(comm, model, &params, 2, fitted, 3.5);
  als_model_free(model);
}

static void no_solution(rdd_comm *comm) {
  static const als_entry rating[] = {{0, 1}};
  rdd_err err = {0};
  als_explanation e;
  als_params params = small_params(ALS_EXPLICIT);
  als_model *model = small_model(comm, 0, false);
  params.reg[ALS_USERS] = 0;
  float *y = rdd_table_data(model->side[ALS_ITEMS].factors);
  rdd_barrier(comm);
  if (comm->rank == 0) y[0] = 0;
  rdd_barrier(comm);
  rdd_status st = als_explain(comm, model, &params, 0, 2, rating, 1, &e, &err);
  TK_CHECK(st == RDD_ESINGULAR);
  TK_CHECK(!e.share);
  als_model_free(model);
}

int main(void) {
  static const tk_comm_case cases[] = {
      {"explicit ratings", explicit_ratings},
      {"implicit ratings", implicit_ratings},
      {"biases", biases},
      {"no solution", no_solution},
  };
  return tk_threads_main("mllib explain", cases, sizeof cases / sizeof *cases);
}
