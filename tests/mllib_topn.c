/* Top-N: Spark's published tables, and a brute-force ranking. */
#include "mllib/topn.h"
#include "rdd/memory.h"
#include "tests/fixtures.h"
#include "tests/testkit.h"

#include <cblas.h>
#include <math.h>
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

/* A model whose ids are first[side], first[side] + 1, ... */
static als_model *make_model(rdd_comm *comm, const int64_t first[2], const int64_t n[2], int k,
                             bool bias) {
  rdd_err err = {0};
  als_ids *ids[2];
  als_model *model = NULL;
  for (int s = 0; s < 2; s++) {
    int64_t begin[2] = {0, n[s] * (int64_t)sizeof(int64_t)};
    TK_OK(als_ids_new(comm, RDD_INT64, n[s], 0, &ids[s], &err), &err);
    for (int64_t i = 0; i < n[s]; i++) ((int64_t *)rdd_table_data(ids[s]->value))[i] = first[s] + i;
    rdd_table_sync(ids[s]->value, begin);
  }
  TK_OK(als_model_new(comm, ids, k, bias, &model, &err), &err);
  return model;
}

static float *factors(als_model *model, int side) {
  return rdd_table_data(model->side[side].factors);
}

static void published_tables(void) {
  static const float user[] = {6, 4, 3, 4, 3, 6}, item[] = {5, 6, 6, 2, 3, 6, 4, 1};
  static const int64_t items_of_user[3][4] = {{3, 4, 5, 6}, {3, 5, 4, 6}, {3, 5, 4, 6}};
  static const float scores_of_user[3][4] = {{54, 44, 42, 28}, {39, 33, 26, 16}, {51, 45, 30, 18}};
  static const int64_t users_of_item[4][3] = {{0, 2, 1}, {0, 2, 1}, {2, 0, 1}, {0, 2, 1}};
  static const float scores_of_item[4][3] = {
      {54, 51, 39}, {44, 30, 26}, {45, 42, 33}, {28, 18, 16}};
  static const int64_t rows[] = {0, 1, 2, 3};
  const int64_t first[2] = {0, 3}, n[2] = {3, 4};
  rdd_err err = {0};
  rdd_comm *comm = one();
  als_model *model = make_model(comm, first, n, 2, false);
  memcpy(factors(model, ALS_USERS), user, sizeof user);
  memcpy(factors(model, ALS_ITEMS), item, sizeof item);
  for (int top = 1; top <= 6; top++) { /* fewer than there are, all, and more */
    int64_t column[4 * 6];
    float score[4 * 6];
    TK_OK(als_topn(model, ALS_USERS, rows, 3, NULL, top, column, score, &err), &err);
    for (int u = 0; u < 3; u++) {
      for (int j = 0; j < top; j++) {
        bool there = j < 4;
        TK_CHECK(column[u * top + j] == (there ? items_of_user[u][j] - 3 : -1));
        TK_CHECK(there ? score[u * top + j] == scores_of_user[u][j] : isnan(score[u * top + j]));
      }
    }
    TK_OK(als_topn(model, ALS_ITEMS, rows, 4, NULL, top, column, score, &err), &err);
    for (int i = 0; i < 4; i++) {
      for (int j = 0; j < top; j++) {
        bool there = j < 3;
        TK_CHECK(column[i * top + j] == (there ? users_of_item[i][j] : -1));
        TK_CHECK(there ? score[i * top + j] == scores_of_item[i][j] : isnan(score[i * top + j]));
      }
    }
  }
  als_model_free(model);
  rdd_comm_close(comm);
}

/* 100 users (one block and a part), 2100 items (two tiles and a part), biases; every third item is
 * the twin of the one before, so that there are ties. */
enum { USERS = 100, ITEMS = 2100, K = 5, TOP = 30 };

static als_model *big_model(rdd_comm *comm) {
  const int64_t first[2] = {0, 0}, n[2] = {USERS, ITEMS};
  als_model *model = make_model(comm, first, n, K, true);
  float *x = factors(model, ALS_USERS), *y = factors(model, ALS_ITEMS);
  float *user_bias = rdd_table_data(model->side[ALS_USERS].bias);
  float *item_bias = rdd_table_data(model->side[ALS_ITEMS].bias);
  fx_random random;
  fx_seed(&random, FX_JAVA, 5);
  for (int i = 0; i < USERS * K; i++) x[i] = fx_float(&random) - 0.5f;
  for (int i = 0; i < ITEMS * K; i++) y[i] = fx_float(&random) - 0.5f;
  for (int i = 0; i < USERS; i++) user_bias[i] = fx_float(&random);
  for (int i = 0; i < ITEMS; i++) item_bias[i] = fx_float(&random) / 4;
  for (int i = 2; i < ITEMS; i += 3) {
    memcpy(y + i * K, y + (i - 1) * K, K * sizeof *y);
    item_bias[i] = item_bias[i - 1];
  }
  model->mean = 3;
  return model;
}

typedef struct scored {
  float score;
  int64_t column;
} scored;

static int best_first(const void *a, const void *b) {
  const scored *x = a, *y = b;
  if (x->score != y->score) return x->score < y->score ? 1 : -1;
  return (x->column > y->column) - (x->column < y->column);
}

static bool is_seen(const als_side *seen, int64_t row, int64_t column) {
  for (int64_t e = seen->start[row]; e < seen->start[row + 1]; e++)
    if (seen->entry[e].column == column) return true;
  return false;
}

/* Ratings by user: user u has seen items u, u + 7, ..., all of them for the last user. */
static void see(rdd_comm *comm, const als_model *model, als_side *seen) {
  rdd_err err = {0};
  fx_list list = {0};
  int64_t cold;
  const als_ids *const ids[2] = {model->side[0].ids, model->side[1].ids};
  for (int u = 0; u < USERS; u++)
    for (int i = u == USERS - 1 ? 0 : u; i < ITEMS; i += u == USERS - 1 ? 1 : 7)
      fx_add(&list, u, i, 1);
  rdd_parts *parts = fx_parts(&list, 1, 5000, false, comm);
  TK_OK(als_side_build(comm, parts, ALS_USERS, ids, NULL, K, 0, seen, &cold, &err), &err);
  rdd_parts_free(parts);
  fx_reset(&list);
}

static void brute_force_agrees(void) {
  rdd_err err = {0};
  rdd_comm *comm = one();
  als_model *model = big_model(comm);
  als_side seen = {0};
  int64_t row[USERS];
  int64_t *column = rdd_alloc(USERS * TOP, sizeof *column);
  float *score = rdd_alloc(USERS * TOP, sizeof *score);
  scored *all = rdd_alloc(ITEMS, sizeof *all);
  see(comm, model, &seen);
  for (int u = 0; u < USERS; u++) row[u] = USERS - 1 - u; /* in any order */
  for (int with_seen = 0; with_seen < 2; with_seen++) {
    TK_OK(
        als_topn(model, ALS_USERS, row, USERS, with_seen ? &seen : NULL, TOP, column, score, &err),
        &err);
    int wrong = 0;
    for (int r = 0; r < USERS; r++) {
      int64_t n = 0;
      for (int64_t i = 0; i < ITEMS; i++)
        if (!with_seen || !is_seen(&seen, row[r], i))
          all[n++] = (scored){als_model_predict(model, row[r], i), i};
      qsort(all, (size_t)n, sizeof *all, best_first);
      for (int j = 0; j < TOP; j++) {
        if (j < n)
          wrong += column[r * TOP + j] != all[j].column || score[r * TOP + j] != all[j].score;
        else
          wrong += column[r * TOP + j] != -1 || !isnan(score[r * TOP + j]);
      }
    }
    TK_CHECK(wrong == 0);
  }
  TK_CHECK(column[0] == -1); /* the last user has seen everything */
  rdd_free(column);
  rdd_free(score);
  rdd_free(all);
  als_side_reset(&seen);
  als_model_free(model);
  rdd_comm_close(comm);
}

/* One row by itself, and all rows with other numbers of threads, give the same bits. */
static void neighbours_and_threads_do_not_matter(void) {
  rdd_err err = {0};
  rdd_comm *comm = one();
  als_model *model = big_model(comm);
  int64_t row[USERS], column[2][USERS * 3], alone[3];
  float score[2][USERS * 3], alone_score[3];
  for (int u = 0; u < USERS; u++) row[u] = u;
#ifdef _OPENMP
  int before = omp_get_max_threads();
  omp_set_num_threads(1);
#endif
  TK_OK(als_topn(model, ALS_USERS, row, USERS, NULL, 3, column[0], score[0], &err), &err);
#ifdef _OPENMP
  omp_set_num_threads(3);
#endif
  TK_OK(als_topn(model, ALS_USERS, row, USERS, NULL, 3, column[1], score[1], &err), &err);
#ifdef _OPENMP
  omp_set_num_threads(before);
#endif
  TK_CHECK(memcmp(column[0], column[1], sizeof column[0]) == 0);
  TK_CHECK(memcmp(score[0], score[1], sizeof score[0]) == 0);
  for (int u = 0; u < USERS; u += 33) {
    TK_OK(als_topn(model, ALS_USERS, &row[u], 1, NULL, 3, alone, alone_score, &err), &err);
    TK_CHECK(memcmp(alone, column[0] + (size_t)u * 3, sizeof alone) == 0);
    TK_CHECK(memcmp(alone_score, score[0] + (size_t)u * 3, sizeof alone_score) == 0);
  }
  TK_OK(als_topn(model, ALS_USERS, row, 0, NULL, 3, alone, alone_score, &err), &err);
  als_model_free(model);
  rdd_comm_close(comm);
}

int main(void) {
  static const tk_case cases[] = {
      {"the published tables", published_tables},
      {"brute force agrees", brute_force_agrees},
      {"neighbours and threads do not matter", neighbours_and_threads_do_not_matter},
  };
  openblas_set_num_threads(1);
  return tk_main("mllib topn", cases, sizeof cases / sizeof *cases);
}
