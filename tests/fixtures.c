/* Published generators, remade; see fixtures.h. */
#include "tests/fixtures.h"

#include "rdd/memory.h"
#include "tests/testkit.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- java.util.Random ---- */

static const uint64_t MULTIPLIER = 0x5deece66du, MASK = (1ull << 48) - 1;

void fx_seed(fx_random *random, int64_t seed) {
  *random = (fx_random){.state = ((uint64_t)seed ^ MULTIPLIER) & MASK};
}

static int32_t next(fx_random *random, int bits) {
  random->state = (random->state * MULTIPLIER + 0xb) & MASK;
  return (int32_t)(uint32_t)(random->state >> (48 - bits));
}

int32_t fx_int(fx_random *random) {
  return next(random, 32);
}

int32_t fx_below(fx_random *random, int32_t bound) {
  int32_t bits, rest;
  do {
    bits = next(random, 31);
    rest = bits % bound;
  } while (bits - rest > INT32_MAX - (bound - 1)); /* the last, incomplete run */
  return rest;
}

float fx_float(fx_random *random) {
  return (float)next(random, 24) / 16777216.0f;
}

double fx_double(fx_random *random) {
  int64_t high = (int64_t)next(random, 26) << 27;
  return (double)(high + next(random, 27)) * 0x1p-53;
}

double fx_gaussian(fx_random *random) {
  double x, y, s;
  if (random->has_gaussian) {
    random->has_gaussian = false;
    return random->gaussian;
  }
  do {
    x = 2 * fx_double(random) - 1;
    y = 2 * fx_double(random) - 1;
    s = x * x + y * y;
  } while (s >= 1 || s == 0);
  double scale = sqrt(-2 * log(s) / s);
  random->has_gaussian = true;
  random->gaussian = y * scale;
  return x * scale;
}

/* ---- Lists of ratings ---- */

void fx_add(fx_list *list, int64_t user, int64_t item, float value) {
  if (list->n == list->room) {
    list->room = list->room ? 2 * list->room : 256;
    list->at = rdd_realloc(list->at, (size_t)list->room, sizeof *list->at);
  }
  list->at[list->n++] = (fx_rating){user, item, value};
}

void fx_reset(fx_list *list) {
  rdd_free(list->at);
  *list = (fx_list){0};
}

void fx_shuffle(fx_list *list, int64_t seed) {
  fx_random random;
  fx_seed(&random, seed);
  for (int64_t i = list->n - 1; i > 0; i--) {
    int64_t j = (int64_t)(fx_double(&random) * (double)(i + 1));
    fx_rating swap = list->at[i];
    list->at[i] = list->at[j];
    list->at[j] = swap;
  }
}

static int compare_ids(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* Distinct random ids in ascending order, then a row of factors for each. */
static void random_factors(fx_random *random, int n, int rank, int64_t *ids, float *factors) {
  for (int i = 0; i < n;) {
    int64_t id = fx_int(random);
    bool taken = false;
    for (int j = 0; j < i; j++) taken |= ids[j] == id;
    if (!taken) ids[i++] = id;
  }
  qsort(ids, (size_t)n, sizeof *ids, compare_ids);
  for (int i = 0; i < n * rank; i++) factors[i] = -1 + fx_float(random) * 2;
}

/* What the two data sets of Spark's newer suite have in common: planted factors. */
enum { MOST = 64, MOST_RANK = 4 };

typedef struct planted {
  int64_t user[MOST], item[MOST];
  float x[MOST * MOST_RANK], y[MOST * MOST_RANK];
} planted;

static void plant(fx_random *random, int users, int items, int rank, planted *p) {
  fx_seed(random, 11);
  random_factors(random, users, rank, p->user, p->x);
  random_factors(random, items, rank, p->item, p->y);
}

static float rating_of(const planted *p, int u, int i, int rank) {
  float r = 0;
  for (int f = 0; f < rank; f++) r += p->x[u * rank + f] * p->y[i * rank + f];
  return r;
}

/* 60 % to the training part, with noise, 30 % to the test part. */
static void deal(fx_random *random, const planted *p, int u, int i, float r, double noise,
                 fx_list *train, fx_list *test) {
  double draw = fx_double(random);
  if (draw >= 0.9) return;
  if (draw < 0.6)
    fx_add(train, p->user[u], p->item[i], r + (float)(noise * fx_gaussian(random)));
  else
    fx_add(test, p->user[u], p->item[i], r);
}

void fx_explicit(int users, int items, int rank, double noise, fx_list *train, fx_list *test) {
  fx_random random;
  planted p;
  plant(&random, users, items, rank, &p);
  for (int u = 0; u < users; u++)
    for (int i = 0; i < items; i++)
      deal(&random, &p, u, i, rating_of(&p, u, i, rank), noise, train, test);
}

void fx_implicit(int users, int items, int rank, double noise, fx_list *train, fx_list *test) {
  fx_random random;
  planted p;
  plant(&random, users, items, rank, &p);
  for (int u = 0; u < users; u++) {
    for (int i = 0; i < items; i++) {
      float r = rating_of(&p, u, i, rank);
      if (fx_double(&random) < (r > 0 ? 0.8 : 0.2)) deal(&random, &p, u, i, r, noise, train, test);
    }
  }
}

void fx_matrix(fx_kind kind, int users, int items, int rank, double rate, fx_list *list,
               double **truth_out) {
  fx_random random;
  fx_seed(&random, 42);
  double low = kind == FX_POSITIVE ? 0 : -1;
  double *x = rdd_alloc((size_t)(users * rank), sizeof *x);
  double *y = rdd_alloc((size_t)(items * rank), sizeof *y);
  double *truth = rdd_calloc((size_t)users * (size_t)items, sizeof *truth);
  for (int i = 0; i < users * rank; i++) x[i] = low + (1 - low) * fx_double(&random);
  for (int i = 0; i < items * rank; i++) y[i] = low + (1 - low) * fx_double(&random);
  for (int i = 0; i < items; i++) { /* all of them are column-major */
    for (int u = 0; u < users; u++) {
      double *r = &truth[u * items + i];
      if (kind == FX_COUNTS || kind == FX_SIGNED_COUNTS)
        *r = fx_below(&random, 10) - (kind == FX_SIGNED_COUNTS ? 2 : 0);
      else
        for (int f = 0; f < rank; f++) *r += x[u + f * users] * y[f + i * rank];
    }
  }
  for (int u = 0; u < users; u++)
    for (int i = 0; i < items; i++)
      if (fx_double(&random) < rate) fx_add(list, u, i, (float)truth[u * items + i]);
  rdd_free(x);
  rdd_free(y);
  *truth_out = truth;
}

void fx_planted(int users, int items, int rank, int per_user, double noise, fx_list *list) {
  fx_random random;
  fx_seed(&random, 7);
  size_t n = (size_t)(users + items) * (size_t)rank;
  double *factors = rdd_alloc(n, sizeof *factors);
  for (size_t i = 0; i < n; i++) factors[i] = fx_gaussian(&random) / sqrt(rank);
  for (int u = 0; u < users; u++) {
    for (int j = 0; j < per_user; j++) {
      double draw = fx_double(&random);
      int i = (int)(draw * draw * items);
      double r = 3 + noise * fx_gaussian(&random);
      for (int f = 0; f < rank; f++) r += factors[u * rank + f] * factors[(users + i) * rank + f];
      fx_add(list, 3 * (int64_t)u - 50, 7 * (int64_t)i * i - 1000, (float)r);
    }
  }
  rdd_free(factors);
}

/* ---- Partitions ---- */

static void release_heap(void *bytes, size_t size) {
  (void)size;
  rdd_free(bytes);
}

/* Append ratings [begin, end) as one batch. */
static rdd_status append(rdd_segment *segment, const fx_rating *r, int64_t n, bool text,
                         rdd_err *err) {
  enum { ID_BYTES = 24 };
  rdd_batch batch = {.rows = n};
  int64_t *ids[2];
  int32_t *offsets[2];
  char *bytes[2];
  float *value = rdd_alloc((size_t)n, sizeof *value);
  for (int side = 0; side < 2; side++) {
    ids[side] = rdd_alloc((size_t)n, sizeof *ids[side]);
    offsets[side] = rdd_calloc((size_t)n + 1, sizeof *offsets[side]);
    bytes[side] = rdd_alloc((size_t)n + 1, ID_BYTES);
  }
  for (int64_t i = 0; i < n; i++) {
    value[i] = r[i].value;
    for (int side = 0; side < 2; side++) {
      int64_t id = side == ALS_USERS ? r[i].user : r[i].item;
      int32_t at = offsets[side][i];
      ids[side][i] = id;
      offsets[side][i + 1] = at + sprintf(bytes[side] + at, "%c%" PRId64, "ui"[side], id);
    }
  }
  for (int side = 0; side < 2; side++) {
    batch.column[side].values = text ? (const void *)bytes[side] : ids[side];
    batch.column[side].offsets = text ? offsets[side] : NULL;
  }
  batch.column[2].values = value;
  rdd_status st = rdd_segment_append(segment, &batch, err);
  for (int side = 0; side < 2; side++) {
    rdd_free(ids[side]);
    rdd_free(offsets[side]);
    rdd_free(bytes[side]);
  }
  rdd_free(value);
  return st;
}

static void make_part(rdd_part *part, const rdd_schema *schema, const fx_rating *r, int64_t n,
                      int64_t batch_rows, bool text) {
  rdd_err err = {0};
  rdd_segment *segment = NULL;
  void *bytes = NULL;
  size_t size = 0;
  TK_OK(rdd_segment_new(&segment, schema, -1, &err), &err);
  for (int64_t i = 0; i < n; i += batch_rows)
    TK_OK(append(segment, r + i, n - i < batch_rows ? n - i : batch_rows, text, &err), &err);
  TK_OK(rdd_segment_finish(segment, &bytes, &size, &err), &err);
  rdd_segment_free(segment);
  TK_OK(rdd_part_open(part, schema, bytes, size, release_heap, &err), &err);
}

rdd_parts *fx_parts(const fx_list *list, int64_t partitions, int64_t batch_rows, bool text,
                    const rdd_comm *comm) {
  rdd_parts *parts = rdd_calloc(1, sizeof *parts);
  rdd_type id = text ? RDD_UTF8 : RDD_INT64;
  rdd_schema_add(&parts->schema, "user", id);
  rdd_schema_add(&parts->schema, "item", id);
  rdd_schema_add(&parts->schema, "rating", RDD_FLOAT32);
  int64_t first = partitions * comm->rank / comm->size;
  parts->n = partitions * (comm->rank + 1) / comm->size - first;
  parts->number = rdd_calloc((size_t)parts->n, sizeof *parts->number);
  parts->part = rdd_calloc((size_t)parts->n, sizeof *parts->part);
  for (int64_t p = 0; p < parts->n; p++) {
    int64_t begin = list->n * (first + p) / partitions;
    int64_t end = list->n * (first + p + 1) / partitions;
    parts->number[p] = first + p;
    make_part(&parts->part[p], &parts->schema, list->at + begin, end - begin, batch_rows, text);
  }
  return parts;
}

/* ---- Models ---- */

static bool open_test(fx_fit *fit, rdd_comm *comm, const fx_setup *setup,
                      const als_ids *const ids[2]) {
  rdd_err err = {0};
  int64_t cold;
  rdd_parts *parts = fx_parts(setup->test, setup->partitions, setup->batch_rows, setup->text, comm);
  bool ok = TK_OK(als_side_build(comm, parts, ALS_USERS, ids, &fit->problem.side[ALS_USERS].blocks,
                                 setup->params.rank, setup->round, &fit->test, &cold, &err),
                  &err);
  rdd_parts_free(parts);
  if (ok) fit->problem.test = &fit->test;
  fit->problem.watch = setup->watch;
  if (ok && setup->watch) fit->problem.validation = &fit->test;
  return ok;
}

static rdd_status init_side(als_model *model, rdd_comm *comm, int side, const fx_setup *setup,
                            rdd_err *err) {
  if (setup->spark)
    return als_model_init_spark(model, comm, side, setup->spark, (int64_t)setup->seed,
                                setup->blocks[side], err);
  return als_model_init(model, comm, side, setup->seed, err);
}

bool fx_open(fx_fit *fit, rdd_comm *comm, const fx_setup *setup) {
  rdd_err err = {0};
  const als_params *p = &setup->params;
  als_problem *problem = &fit->problem;
  als_ids *ids[2] = {NULL, NULL};
  int64_t cold = -1;
  *fit = (fx_fit){0};
  rdd_parts *parts = fx_parts(setup->train, setup->partitions, setup->batch_rows, setup->text,
                              comm);
  bool ok = TK_OK(als_ids_build(comm, parts, ALS_USERS, &ids[ALS_USERS], &err), &err) &&
            TK_OK(als_ids_build(comm, parts, ALS_ITEMS, &ids[ALS_ITEMS], &err), &err);
  const als_ids *const known[2] = {ids[0], ids[1]};
  ok = ok &&
       TK_OK(als_side_build(comm, parts, ALS_USERS, known, NULL, p->rank, setup->round,
                            &problem->side[ALS_USERS], &cold, &err),
             &err) &&
       TK_OK(als_side_transpose(comm, &problem->side[ALS_USERS], ids[ALS_ITEMS]->n, p->rank,
                                setup->round, &problem->side[ALS_ITEMS], &err),
             &err);
  rdd_parts_free(parts);
  TK_CHECK(cold == 0);
  if (ok && setup->test) ok = open_test(fit, comm, setup, known);
  if (ok) problem->ratings = als_side_count(&problem->side[ALS_USERS], comm);
  ok = ok && TK_OK(als_model_new(comm, ids, p->rank, p->bias, &fit->model, &err), &err);
  for (int side = 0; ok && side < 2; side++)
    ok = TK_OK(init_side(fit->model, comm, side, setup, &err), &err);
  if (!fit->model) {
    als_ids_free(ids[0]);
    als_ids_free(ids[1]);
  }
  return ok;
}

bool fx_run(fx_fit *fit, rdd_comm *comm, const fx_setup *setup) {
  rdd_err err = {0};
  return TK_OK(als_fit(comm, &fit->problem, &setup->params, fit->model, 0, NULL, fit->history,
                       &fit->iterations, &err),
               &err);
}

void fx_close(fx_fit *fit) {
  als_side_reset(&fit->problem.side[ALS_USERS]);
  als_side_reset(&fit->problem.side[ALS_ITEMS]);
  als_side_reset(&fit->test);
  als_model_free(fit->model);
  *fit = (fx_fit){0};
}

double fx_rmse(const als_model *model, const fx_list *list) {
  double sum = 0;
  int64_t n = 0;
  for (int64_t r = 0; r < list->n; r++) {
    int64_t u = als_ids_find_int64(model->side[ALS_USERS].ids, list->at[r].user);
    int64_t i = als_ids_find_int64(model->side[ALS_ITEMS].ids, list->at[r].item);
    if (u < 0 || i < 0) continue;
    double error = (double)als_model_predict(model, u, i) - list->at[r].value;
    sum += error * error;
    n++;
  }
  return sqrt(sum / (double)n);
}
