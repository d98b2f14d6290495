/* Fold-in: rows are those of a dense oracle, and of one more half-step; merging keeps every other row; the
 * same bits on any number of ranks. */
#include "mllib/fold_in.h"
#include "rdd/memory.h"
#include "tests/fixtures.h"
#include "tests/oracle.h"
#include "tests/testkit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { K = 4, USERS = 40, ITEMS = 25 };

static als_params params_of(als_mode mode) {
  als_params p = als_params_default();
  p.rank = K;
  p.max_iter = 2;
  p.loss = (als_loss){.mode = mode, .alpha = 2, .unobserved = 0.2};
  return p;
}

/* A fitted model of a planted set; one item in three is rated by everybody. */
static bool fit(rdd_comm *comm, const als_params *params, bool text, fx_list *list, fx_fit *out) {
  fx_planted(USERS, ITEMS, 3, 8, 0.1, list);
  const fx_setup setup = {
      .train = list, .partitions = 5, .batch_rows = 32, .text = text, .params = *params, .seed = 4};
  return fx_open(out, comm, &setup) && fx_run(out, comm, &setup);
}

static int64_t index_of(const als_ids *ids, int64_t id) {
  return als_ids_find_int64(ids, id);
}

/* Users that are new, with ratings of known items, against Gaussian elimination. */
static void check_oracle(rdd_comm *comm, als_mode mode) {
  als_params params = params_of(mode);
  fx_list list = {0}, new = {0};
  fx_fit f = {0};
  als_factors rows = {0};
  als_fold_in_counts counts;
  rdd_err err = {0};
  oracle_rating rating[64];
  double other[64 * K], own[8 * K];
  if (!fit(comm, &params, false, &list, &f)) return;
  const als_ids *items = f.model->side[ALS_ITEMS].ids;
  int n = 0;
  for (int u = 0; u < 3; u++) /* ids on both sides of the known ones */
    for (int i = 0; i < 9; i++) {
      int64_t column = (u * 5 + i * 2) % items->n;
      float value = (float)((u + i) % 5);
      fx_add(&new, u == 0 ? -100000 : 100000 + u, als_ids_int64(items, column), value);
      rating[n++] = (oracle_rating){u, column, (double)value};
    }
  fx_add(&new, 100002, 777777777, 3);
  rdd_parts *parts = fx_parts(&new, 3, 4, false, comm);
  rdd_status st = als_fold_in(comm, f.model, &params, ALS_USERS, &parts, 1, &rows, &counts, &err);
  rdd_parts_free(parts);
  if (TK_OK(st, &err)) {
    const oracle_loss loss = {(oracle_mode)mode, params.loss.alpha, params.loss.unobserved, 1, 0};
    for (int64_t i = 0; i < items->n * K; i++) other[i] = als_model_row(f.model, ALS_ITEMS, 0)[i];
    oracle_rows(&loss, rating, n, 3, items->n, K, params.reg[ALS_USERS], other, own);
    const float *x = rdd_table_data(rows.factors);
    TK_CHECK(rows.ids->n == 3 && counts.ratings == n && counts.unknown == 1);
    for (int i = 0; i < 3 * K; i++) TK_NEAR((double)x[i], own[i], 1e-5 * (1 + fabs(own[i])));
  }
  als_factors_reset(&rows);
  fx_close(&f);
  fx_reset(&new);
  fx_reset(&list);
}

static void test_oracle(rdd_comm *comm) {
  check_oracle(comm, ALS_EXPLICIT);
  check_oracle(comm, ALS_IMPLICIT);
  check_oracle(comm, ALS_IALS);
}

/* All users again, from two sets of partitions: the bits of the model, with and without biases. */
static void check_known(rdd_comm *comm, const als_params *params, bool text) {
  fx_list list = {0}, half[2] = {{0}, {0}};
  fx_fit f = {0};
  als_factors rows = {0};
  als_fold_in_counts counts;
  rdd_err err = {0};
  if (!fit(comm, params, text, &list, &f)) return;
  /* the first set has a rating of every user */
  for (int64_t i = 0; i < list.n; i++) {
    bool first = true;
    for (int64_t e = 0; e < i; e++) first &= list.at[e].user != list.at[i].user;
    fx_add(&half[!first], list.at[i].user, list.at[i].item, list.at[i].value);
  }
  rdd_parts *parts[2] = {fx_parts(&half[0], 2, 8, text, comm),
                         fx_parts(&half[1], 3, 16, text, comm)};
  rdd_status st = als_fold_in(comm, f.model, params, ALS_USERS, parts, 2, &rows, &counts, &err);
  if (TK_OK(st, &err)) {
    const als_factors *own = &f.model->side[ALS_USERS];
    size_t n = (size_t)own->ids->n;
    TK_CHECK(rows.ids->n == own->ids->n && counts.ratings == list.n && counts.unknown == 0);
    TK_CHECK(
        !memcmp(rdd_table_data(rows.factors), rdd_table_data(own->factors), n * K * sizeof(float)));
    TK_CHECK(!params->bias ||
             !memcmp(rdd_table_data(rows.bias), rdd_table_data(own->bias), n * sizeof(float)));
  }
  for (int i = 0; i < 2; i++) {
    rdd_parts_free(parts[i]);
    fx_reset(&half[i]);
  }
  als_factors_reset(&rows);
  fx_close(&f);
  fx_reset(&list);
}

static void test_known(rdd_comm *comm) {
  als_params params = params_of(ALS_EXPLICIT);
  check_known(comm, &params, true);
  params.bias = true;
  check_known(comm, &params, false);
  params.update_bias = true;
  check_known(comm, &params, true);
  params = params_of(ALS_IALS);
  check_known(comm, &params, false);
}

/* ---- One more half-step, of either side ---- */

/* The ratings as they came, and the tables of a model that is fitted to them. Collective. */
static bool open_again(rdd_comm *comm, const als_params *params, const fx_list *list,
                       const fx_fit *fitted, fx_fit *out) {
  const fx_setup setup = {.train = list, .partitions = 3, .batch_rows = 64, .params = *params};
  bool ok = fx_open(out, comm, &setup);
  rdd_barrier(comm);
  for (int s = 0; ok && s < 2 && comm->node_rank == 0; s++) {
    const als_factors *from = &fitted->model->side[s], *to = &out->model->side[s];
    memcpy(rdd_table_data(to->factors), rdd_table_data(from->factors),
           rdd_table_size(from->factors));
    if (from->bias)
      memcpy(rdd_table_data(to->bias), rdd_table_data(from->bias), rdd_table_size(from->bias));
  }
  if (ok) out->model->mean = fitted->model->mean;
  rdd_barrier(comm);
  return ok;
}

/* Damped biases of own rows, and what they leave of the ratings. */
static void take_off(fx_fit *f, int side, double reg) {
  als_side *rows = &f->problem.side[side];
  float *own = rdd_table_data(f->model->side[side].bias);
  const float *other = rdd_table_data(f->model->side[!side].bias);
  for (int64_t r = 0; r < rows->rows; r++) {
    int64_t begin = rows->start[r], end = rows->start[r + 1];
    double sum = 0;
    for (int64_t e = begin; e < end; e++)
      sum += rows->entry[e].value - f->model->mean - other[rows->entry[e].column];
    float bias = (float)(sum / ((double)(end - begin) + reg));
    own[rows->first + r] = bias;
    for (int64_t e = begin; e < end; e++) {
      als_entry *entry = &rows->entry[e];
      entry->value = (float)(entry->value -
                             (f->model->mean + ((double)bias + other[entry->column])));
    }
  }
}

/* All rows, and as many strangers who have the ratings of one each. */
static void check_next(rdd_comm *comm, const als_params *params, int side) {
  enum { FAR = 1000000 };
  fx_list list = {0}, all = {0};
  fx_fit f = {0}, next = {0};
  als_factors rows = {0};
  als_fold_in_counts counts;
  als_params exact = *params;
  rdd_err err = {0};
  exact.solver = ALS_CHOLESKY;
  bool ok = fit(comm, params, false, &list, &f) && open_again(comm, params, &list, &f, &next);
  for (int64_t i = 0; i < 2 * list.n; i++) {
    const fx_rating *r = &list.at[i / 2];
    int64_t far = i % 2 * FAR;
    fx_add(&all, side == ALS_USERS ? r->user + far : r->user,
           side == ALS_ITEMS ? r->item + far : r->item, r->value);
  }
  rdd_parts *parts = fx_parts(&all, 4, 16, false, comm);
  if (ok && params->bias && !params->update_bias) take_off(&next, side, params->bias_reg);
  rdd_barrier(comm);
  ok = ok &&
       TK_OK(als_half_step(comm, &next.problem.side[side], side, &exact, next.model, NULL, &err),
             &err);
  if (ok &&
      TK_OK(als_fold_in(comm, f.model, params, side, &parts, 1, &rows, &counts, &err), &err)) {
    const als_factors *want = &next.model->side[side];
    int64_t n = want->ids->n;
    const float *x = rdd_table_data(rows.factors), *y = rdd_table_data(want->factors);
    TK_CHECK(rows.ids->n == 2 * n && counts.ratings == all.n && counts.unknown == 0);
    TK_CHECK(!memcmp(x, y, (size_t)n * K * sizeof *x));
    for (int64_t i = 0; i < n * K; i++) {
      TK_NEAR((double)x[n * K + i], (double)y[i], 1e-6 * (1 + fabs((double)y[i])));
      TK_CHECK(!params->nonnegative || x[n * K + i] >= 0);
    }
    for (int part = 0; part < 2 && params->bias; part++)
      TK_CHECK(!memcmp((float *)rdd_table_data(rows.bias) + part * n, rdd_table_data(want->bias),
                       (size_t)n * sizeof *x));
  }
  rdd_parts_free(parts);
  als_factors_reset(&rows);
  fx_close(&next);
  fx_close(&f);
  fx_reset(&all);
  fx_reset(&list);
}

static void test_next(rdd_comm *comm) {
  for (int t = 0; t < 9; t++) {
    als_params params = params_of(t == 7 ? ALS_IMPLICIT : t == 8 ? ALS_IALS : ALS_EXPLICIT);
    params.max_iter = 3;
    params.reg[ALS_ITEMS] = 0.3;
    params.nonnegative = t < 2 || t > 6;
    params.bias = t % 2 == 1 && t < 7;
    params.update_bias = t == 5;
    if (t == 4 || t == 5) params.solver = ALS_CG;
    if (t == 6) params.solver = ALS_SUBSPACE;
    for (int side = 0; side < 2; side++) check_next(comm, &params, side);
  }
}

/* Merged rows are found under their ids, and no other row moves. */
static void test_merge(rdd_comm *comm) {
  als_params params = params_of(ALS_EXPLICIT);
  fx_list list = {0}, new = {0};
  fx_fit f = {0};
  als_factors rows = {0};
  als_fold_in_counts counts;
  rdd_err err = {0};
  int64_t known = -1;
  float before[USERS][K], folded[3][K];
  int64_t id[USERS];
  params.reg_exponent = 0;
  if (!fit(comm, &params, false, &list, &f)) return;
  als_factors *users = &f.model->side[ALS_USERS];
  int64_t n = users->ids->n, item = als_ids_int64(f.model->side[ALS_ITEMS].ids, 1);
  TK_CHECK(n > 2 && n <= USERS);
  for (int64_t i = 0; i < n; i++) {
    id[i] = als_ids_int64(users->ids, i);
    memcpy(before[i], als_model_row(f.model, ALS_USERS, i), sizeof before[i]);
  }
  fx_add(&new, id[2], item, 5);
  fx_add(&new, INT64_MIN, item, 1);
  fx_add(&new, INT64_MAX, item, 2);
  rdd_parts *parts = fx_parts(&new, 2, 4, false, comm);
  rdd_status st = als_fold_in(comm, f.model, &params, ALS_USERS, &parts, 1, &rows, &counts, &err);
  rdd_parts_free(parts);
  if (TK_OK(st, &err)) memcpy(folded, rdd_table_data(rows.factors), sizeof folded);
  if (!st) st = als_model_merge(f.model, comm, ALS_USERS, &rows, &known, &err);
  if (TK_OK(st, &err)) {
    TK_CHECK(known == 1 && users->ids->n == n + 2);
    TK_CHECK(index_of(users->ids, INT64_MIN) == 0 && index_of(users->ids, INT64_MAX) == n + 1);
    for (int64_t i = 0; i < n; i++) {
      const float *x = als_model_row(f.model, ALS_USERS, index_of(users->ids, id[i]));
      TK_CHECK(!memcmp(x, i == 2 ? folded[1] : before[i], sizeof before[i]));
    }
    TK_CHECK(!memcmp(als_model_row(f.model, ALS_USERS, 0), folded[0], sizeof folded[0]));
    TK_CHECK(!memcmp(als_model_row(f.model, ALS_USERS, n + 1), folded[2], sizeof folded[2]));
  }
  als_factors_reset(&rows);
  fx_close(&f);
  fx_reset(&new);
  fx_reset(&list);
}

/* Types of ids, rank and biases that are not the model's. */
static void test_refused(rdd_comm *comm) {
  als_params params = params_of(ALS_EXPLICIT);
  fx_list list = {0};
  fx_fit f = {0};
  als_factors rows = {0};
  als_fold_in_counts counts;
  rdd_err err = {0};
  if (!fit(comm, &params, false, &list, &f)) return;
  rdd_parts *parts = fx_parts(&list, 2, 8, true, comm);
  TK_CHECK(als_fold_in(comm, f.model, &params, ALS_USERS, &parts, 1, &rows, &counts, &err) ==
               RDD_EDATA &&
           strstr(err.message, "user ids"));
  params.rank = K + 1;
  TK_CHECK(als_fold_in(comm, f.model, &params, ALS_USERS, &parts, 1, &rows, &counts, &err) ==
           RDD_EUSAGE);
  params.rank = K;
  params.bias = true;
  TK_CHECK(als_fold_in(comm, f.model, &params, ALS_USERS, &parts, 1, &rows, &counts, &err) ==
           RDD_EUSAGE);
  rdd_parts_free(parts);
  parts = fx_parts(&list, 2, 8, false, comm);
  params = params_of(ALS_EXPLICIT);
  params.reg[ALS_USERS] = 0;
  fx_list one = {0};
  fx_add(&one, 123456789, list.at[0].item, 3);
  rdd_parts *lonely = fx_parts(&one, 1, 8, false, comm);
  TK_CHECK(als_fold_in(comm, f.model, &params, ALS_USERS, &lonely, 1, &rows, &counts, &err) ==
               RDD_ESINGULAR &&
           strstr(err.message, "user 123456789"));
  rdd_parts_free(lonely);
  rdd_parts_free(parts);
  fx_reset(&one);
  fx_close(&f);
  fx_reset(&list);
}

int main(void) {
  static const tk_comm_case cases[] = {
      {"new rows are those of an oracle", test_oracle},
      {"known rows are those of one more half-step", test_known},
      {"rows of either side are those of the next half-step", test_next},
      {"merging keeps all other rows", test_merge},
      {"what does not fit is refused", test_refused},
  };
  return tk_threads_main("mllib_fold_in_threads", cases, sizeof cases / sizeof *cases);
}
