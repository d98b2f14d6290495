/* Top-N: Spark's published tables, and a brute-force ranking with ties, filters, and numbers that make
 * float32 useless; cosines; what rows have seen, between ranks. */
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

/* One question: open, ask, close. */
static void ask(const als_topn_query *query, const int64_t *row, int64_t n, const als_seen *seen,
                int64_t *column, float *score) {
  rdd_err err = {0};
  als_topn *topn = NULL;
  if (!TK_OK(als_topn_open(query, &topn, &err), &err)) return;
  als_topn_rows(topn, row, n, seen, column, score);
  als_topn_close(topn);
}

static als_topn_query query_of(const als_model *model, int side, int top) {
  return (als_topn_query){.model = model, .side = side, .top = top, .threshold = -INFINITY};
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
  rdd_comm *comm = one();
  als_model *model = make_model(comm, first, n, 2, false);
  memcpy(factors(model, ALS_USERS), user, sizeof user);
  memcpy(factors(model, ALS_ITEMS), item, sizeof item);
  for (int top = 1; top <= 6; top++) { /* fewer than there are, all, and more */
    int64_t column[4 * 6];
    float score[4 * 6];
    const als_topn_query for_users = query_of(model, ALS_USERS, top);
    const als_topn_query for_items = query_of(model, ALS_ITEMS, top);
    ask(&for_users, rows, 3, NULL, column, score);
    for (int u = 0; u < 3; u++) {
      for (int j = 0; j < top; j++) {
        bool there = j < 4;
        TK_CHECK(column[u * top + j] == (there ? items_of_user[u][j] - 3 : -1));
        TK_CHECK(there ? score[u * top + j] == scores_of_user[u][j] : isnan(score[u * top + j]));
      }
    }
    ask(&for_items, rows, 4, NULL, column, score);
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
  fx_seed(&random, 5);
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

/* What a query means, column by column. */
static int64_t rank_all(const als_topn_query *q, int64_t row, const als_seen *seen, int64_t at,
                        scored *all) {
  int64_t n = 0, columns = q->model->side[q->cosine ? q->side : !q->side].ids->n;
  if (q->column) columns = q->columns;
  for (int64_t i = 0; i < columns; i++) {
    int64_t column = q->column ? q->column[i] : i;
    bool out = q->cosine && column == row;
    for (int64_t e = seen ? seen->start[at] : 0; seen && e < seen->start[at + 1]; e++)
      out |= seen->column[e] == column;
    float score = q->cosine              ? als_model_cosine(q->model, q->side, row, column)
                  : q->side == ALS_USERS ? als_model_predict(q->model, row, column)
                                         : als_model_predict(q->model, column, row);
    if (!out && (double)score >= q->threshold) all[n++] = (scored){score, column};
  }
  qsort(all, (size_t)n, sizeof *all, best_first);
  return n;
}

/* Hold the answer against brute force, place by place. */
static bool agrees(const als_topn_query *q, const int64_t *row, int64_t rows,
                   const als_seen *seen) {
  int64_t top = q->top, wrong = 0;
  size_t most = (size_t)(q->model->side[0].ids->n + q->model->side[1].ids->n);
  int64_t *column = rdd_alloc((size_t)(rows * top), sizeof *column);
  float *score = rdd_alloc((size_t)(rows * top), sizeof *score);
  scored *all = rdd_alloc(most, sizeof *all);
  ask(q, row, rows, seen, column, score);
  for (int64_t r = 0; r < rows; r++) {
    int64_t n = rank_all(q, row[r], seen, r, all);
    for (int64_t j = 0; j < top; j++) {
      if (j < n)
        wrong += column[r * top + j] != all[j].column || score[r * top + j] != all[j].score;
      else
        wrong += column[r * top + j] != -1 || !isnan(score[r * top + j]);
    }
  }
  rdd_free(column);
  rdd_free(score);
  rdd_free(all);
  return wrong == 0;
}

/* Row number r has seen columns r, r + 7, ..., some of them twice; the last row has seen all. */
static als_seen see(int64_t rows) {
  als_seen seen = {rdd_calloc((size_t)rows + 1, sizeof(int64_t)),
                   rdd_alloc((size_t)rows * ITEMS, sizeof(uint32_t))};
  int64_t n = 0;
  for (int64_t r = 0; r < rows; r++) {
    bool all = r == rows - 1;
    for (int64_t i = all ? 0 : r; i < ITEMS; i += all ? 1 : 7)
      for (int64_t times = 0; times < 1 + (i % 5 == 0 && !all); times++)
        seen.column[n++] = (uint32_t)i;
    seen.start[r + 1] = n;
  }
  return seen;
}

static void brute_force_agrees(void) {
  rdd_comm *comm = one();
  als_model *model = big_model(comm);
  als_seen seen = see(USERS);
  int64_t row[USERS], few[ITEMS], twice[3] = {4, 9, 4}, n_few = 0;
  for (int u = 0; u < USERS; u++) row[u] = USERS - 1 - u; /* in any order */
  for (int i = 1; i < ITEMS; i += 1 + i % 5) few[n_few++] = i;
  static const int tops[] = {1, TOP, ITEMS + 5};
  for (size_t t = 0; t < sizeof tops / sizeof *tops; t++) {
    als_topn_query q = query_of(model, ALS_USERS, tops[t]);
    TK_CHECK(agrees(&q, row, USERS, NULL));
    TK_CHECK(agrees(&q, row, USERS, &seen));
    TK_CHECK(agrees(&q, twice, 3, NULL));
    q.threshold = 3.4;
    TK_CHECK(agrees(&q, row, USERS, NULL));
    q.column = few;
    q.columns = n_few;
    TK_CHECK(agrees(&q, row, USERS, &seen));
    q.threshold = -INFINITY;
    TK_CHECK(agrees(&q, row, USERS, &seen));
    als_topn_query back = query_of(model, ALS_ITEMS, tops[t] > 1000 ? 200 : tops[t]);
    TK_CHECK(agrees(&back, few, 300, NULL));
  }
  als_seen_reset(&seen);
  als_model_free(model);
  rdd_comm_close(comm);
}

/* Threshold: a score that is exactly it stays. */
static void thresholds_are_inclusive(void) {
  rdd_comm *comm = one();
  als_model *model = big_model(comm);
  int64_t row[1] = {7}, column[TOP];
  float score[TOP];
  als_topn_query q = query_of(model, ALS_USERS, TOP);
  ask(&q, row, 1, NULL, column, score);
  q.threshold = (double)score[4];
  TK_CHECK(agrees(&q, row, 1, NULL));
  ask(&q, row, 1, NULL, column, score);
  TK_CHECK(column[4] >= 0 && (double)score[4] == q.threshold);
  als_model_free(model);
  rdd_comm_close(comm);
}

/* Ties of all kinds: users of zeros, items of zeros, whole numbers, all items alike. */
static void ties_go_to_the_smaller_index(void) {
  const int64_t first[2] = {0, 0}, n[2] = {40, 1500};
  rdd_comm *comm = one();
  for (int kind = 0; kind < 5; kind++) {
    als_model *model = make_model(comm, first, n, 7, kind == 4);
    float *x = factors(model, ALS_USERS), *y = factors(model, ALS_ITEMS);
    int64_t row[40];
    fx_random random;
    fx_seed(&random, kind);
    for (int u = 0; u < 40; u++) row[u] = u;
    for (int i = 0; i < 40 * 7; i++) x[i] = kind == 0 ? 0 : (float)(fx_int(&random) % 3) - 1.1f;
    for (int i = 0; i < 1500 * 7; i++)
      y[i] = kind == 1   ? -fx_float(&random) * (float)(i / 7 % 4 == 0)
             : kind == 2 ? 0.3f
                         : (float)(fx_int(&random) % 3);
    for (int i = 0; kind == 4 && i < 40; i++)
      ((float *)rdd_table_data(model->side[ALS_USERS].bias))[i] = 1e6f;
    for (int top = 1; top <= 100; top += 33) {
      als_topn_query q = query_of(model, ALS_USERS, top), back = query_of(model, ALS_ITEMS, top);
      TK_CHECK(agrees(&q, row, 40, NULL));
      TK_CHECK(agrees(&back, row, 40, NULL));
      q.threshold = 0;
      TK_CHECK(agrees(&q, row, 40, NULL));
    }
    als_model_free(model);
  }
  rdd_comm_close(comm);
}

/* Numbers for which float32 sums overflow, vanish, or cancel to nothing. */
static void numbers_of_any_size(void) {
  static const float size[] = {1e36f, 1e-30f, 1e19f, 1e-42f};
  const int64_t first[2] = {0, 0}, n[2] = {30, 700};
  rdd_comm *comm = one();
  for (int s = 0; s < 4; s++) {
    als_model *model = make_model(comm, first, n, 8, false);
    float *x = factors(model, ALS_USERS), *y = factors(model, ALS_ITEMS);
    int64_t row[30];
    fx_random random;
    fx_seed(&random, s);
    for (int u = 0; u < 30; u++) row[u] = u;
    for (int i = 0; i < 30 * 8; i++) x[i] = (fx_float(&random) - 0.5f) * (i % 8 < 2 ? 1e4f : 1);
    for (int i = 0; i < 700 * 8; i++) y[i] = (fx_float(&random) - 0.5f) * size[s];
    for (int u = 0; u < 30; u++) x[u * 8 + 1] = -x[u * 8];
    for (int i = 0; i < 700; i++) y[i * 8 + 1] = y[i * 8]; /* the largest terms cancel */
    als_topn_query q = query_of(model, ALS_USERS, 12);
    TK_CHECK(agrees(&q, row, 30, NULL));
    q.cosine = true;
    q.side = ALS_ITEMS;
    TK_CHECK(agrees(&q, row, 30, NULL));
    als_model_free(model);
  }
  rdd_comm_close(comm);
}

/* Similar rows: each without itself; zeros are similar to nothing. */
static void cosines(void) {
  rdd_comm *comm = one();
  als_model *model = big_model(comm);
  int64_t row[ITEMS], column[2 * TOP];
  float score[2 * TOP];
  for (int i = 0; i < ITEMS; i++) row[i] = i;
  memset(factors(model, ALS_ITEMS) + 10 * K, 0, K * sizeof(float));
  memset(factors(model, ALS_ITEMS) + 2000 * K, 0, K * sizeof(float));
  als_topn_query q = query_of(model, ALS_ITEMS, TOP);
  q.cosine = true;
  TK_CHECK(agrees(&q, row, 400, NULL));
  q.threshold = 0.9;
  TK_CHECK(agrees(&q, row, 400, NULL));
  q.side = ALS_USERS;
  q.top = 200; /* there are 99 */
  TK_CHECK(agrees(&q, row, USERS, NULL));
  q = query_of(model, ALS_ITEMS, TOP);
  q.cosine = true;
  ask(&q, row + 10, 2, NULL, column, score);
  TK_CHECK(column[0] == -1 && isnan(score[0]));
  TK_CHECK(column[TOP] >= 0);
  ask(&q, row + 4, 1, NULL, column, score);
  TK_CHECK(column[0] == 5 && score[0] == 1); /* its twin */
  als_model_free(model);
  rdd_comm_close(comm);
}

/* One row by itself, and all rows with other numbers of threads, give the same bits. */
static void neighbours_and_threads_do_not_matter(void) {
  rdd_comm *comm = one();
  als_model *model = big_model(comm);
  int64_t row[USERS], column[2][USERS * 3], alone[3];
  float score[2][USERS * 3], alone_score[3];
  als_topn_query q = query_of(model, ALS_USERS, 3);
  for (int u = 0; u < USERS; u++) row[u] = u;
#ifdef _OPENMP
  int before = omp_get_max_threads();
  omp_set_num_threads(1);
#endif
  ask(&q, row, USERS, NULL, column[0], score[0]);
#ifdef _OPENMP
  omp_set_num_threads(3);
#endif
  ask(&q, row, USERS, NULL, column[1], score[1]);
#ifdef _OPENMP
  omp_set_num_threads(before);
#endif
  TK_CHECK(memcmp(column[0], column[1], sizeof column[0]) == 0);
  TK_CHECK(memcmp(score[0], score[1], sizeof score[0]) == 0);
  for (int u = 0; u < USERS; u += 33) {
    ask(&q, &row[u], 1, NULL, alone, alone_score);
    TK_CHECK(memcmp(alone, column[0] + (size_t)u * 3, sizeof alone) == 0);
    TK_CHECK(memcmp(alone_score, score[0] + (size_t)u * 3, sizeof alone_score) == 0);
  }
  ask(&q, row, 0, NULL, alone, alone_score);
  als_model_free(model);
  rdd_comm_close(comm);
}

/* Each rank fetches what its rows have seen: every third row, dealt out in runs that are not those of the
 * owners. */
static void fetch(rdd_comm *comm, void *arg) {
  enum { USERS_SEEN = 9000 };
  rdd_err err = {0};
  fx_list list = {0};
  als_ids *ids[2] = {NULL, NULL};
  als_side side = {0};
  als_seen seen = {0};
  int64_t cold, *row = rdd_alloc(USERS_SEEN, sizeof *row), n = 0, begin[5], wrong = 0;
  (void)arg;
  for (int u = 0; u < USERS_SEEN; u++)
    for (int i = 0; i < u % 4; i++) fx_add(&list, u, (u * 7 + i * 13) % 101, 1);
  for (int u = 3; u < USERS_SEEN - 1; u += 3) row[n++] = u - 1; /* u = 0 has no id */
  rdd_parts *parts = fx_parts(&list, 4, 5000, false, comm);
  for (int s = 0; s < 2; s++) TK_OK(als_ids_build(comm, parts, s, &ids[s], &err), &err);
  const als_ids *const known[2] = {ids[0], ids[1]};
  TK_OK(als_side_build(comm, parts, ALS_USERS, known, NULL, K, 0, &side, &cold, &err), &err);
  while (n > 0 && row[n - 1] >= known[0]->n) n--;
  for (int r = 0; r <= comm->size; r++) begin[r] = r == comm->size ? n : n * r * r / 30;
  TK_OK(als_seen_fetch(comm, &side, row, begin, &seen, &err), &err);
  for (int64_t i = begin[comm->rank]; i < begin[comm->rank + 1]; i++) {
    int64_t u = als_ids_int64(known[0], row[i]), at = i - begin[comm->rank];
    const uint32_t *column = seen.column + seen.start[at];
    int64_t count = seen.start[at + 1] - seen.start[at];
    wrong += count != u % 4;
    for (int64_t j = 0; j < count; j++) {
      bool found = false;
      for (int t = 0; t < u % 4; t++)
        found |= als_ids_int64(known[1], column[j]) == (u * 7 + t * 13) % 101;
      wrong += !found || (j > 0 && column[j] < column[j - 1]);
    }
  }
  TK_CHECK(n > 1000);
  TK_CHECK(wrong == 0);
  als_seen_reset(&seen);
  als_side_reset(&side);
  for (int s = 0; s < 2; s++) als_ids_free(ids[s]);
  rdd_parts_free(parts);
  fx_reset(&list);
  rdd_free(row);
}

static void seen_columns_come_from_their_owners(void) {
  rdd_err err = {0};
  for (int ranks = 1; ranks <= 4; ranks++) TK_OK(rdd_threads_run(ranks, fetch, NULL, &err), &err);
}

int main(void) {
  static const tk_case cases[] = {
      {"the published tables", published_tables},
      {"brute force agrees", brute_force_agrees},
      {"thresholds are inclusive", thresholds_are_inclusive},
      {"ties go to the smaller index", ties_go_to_the_smaller_index},
      {"numbers of any size", numbers_of_any_size},
      {"cosines", cosines},
      {"seen columns come from their owners", seen_columns_come_from_their_owners},
      {"neighbours and threads do not matter", neighbours_and_threads_do_not_matter},
  };
  openblas_set_num_threads(1);
  return tk_main("mllib topn", cases, sizeof cases / sizeof *cases);
}
