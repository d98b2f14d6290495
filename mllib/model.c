/* The model's tables, their first contents, and the prediction. */
#include "mllib/model.h"

#include "mllib/solver_impl.h"
#include "mllib/threads_impl.h"
#include "rdd/hash.h"
#include "rdd/memory.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

rdd_status als_model_new(rdd_comm *comm, als_ids *const ids[2], int k, bool bias,
                         als_model **model_out, rdd_err *err) {
  rdd_status st = RDD_OK;
  als_model *model = rdd_calloc(1, sizeof *model);
  if (!model) st = rdd_set(err, RDD_ENOMEM, "out of memory for a model");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  model->k = k;
  for (int s = 0; s < 2 && !st; s++) {
    als_factors *side = &model->side[s];
    size_t n = (size_t)ids[s]->n;
    st = rdd_table_new(comm, n * (size_t)k * sizeof(float), &side->factors, err);
    if (!st && bias) st = rdd_table_new(comm, n * sizeof(float), &side->bias, err);
  }
  if (st) goto done;
  for (int s = 0; s < 2; s++) model->side[s].ids = ids[s];
  *model_out = model;
  model = NULL;
done:
  als_model_free(model);
  return st;
}

void als_model_free(als_model *model) {
  if (!model) return;
  for (int s = 0; s < 2; s++) {
    als_ids_free(model->side[s].ids);
    rdd_table_free(model->side[s].factors);
    rdd_table_free(model->side[s].bias);
  }
  rdd_free(model);
}

/* Rows [share[r], share[r + 1]) are rank r's to write.                    Collective. */
static rdd_status share_rows(rdd_comm *comm, int64_t rows, int64_t **share_out, rdd_err *err) {
  size_t size = (size_t)comm->size;
  rdd_status st = RDD_OK;
  int64_t *share = rdd_alloc(size + 1, sizeof *share);
  if (!share) st = rdd_set(err, RDD_ENOMEM, "out of memory for the shares of %d ranks", comm->size);
  st = rdd_agree(comm, st, err);
  if (st) {
    rdd_free(share);
    return st;
  }
  for (size_t r = 0; r <= size; r++) share[r] = rows * (int64_t)r / comm->size;
  *share_out = share;
  return RDD_OK;
}

static void sync_rows(rdd_table *table, int64_t *share, int size, int64_t row_bytes) {
  for (int r = 0; r <= size; r++) share[r] *= row_bytes;
  rdd_table_sync(table, share);
  for (int r = 0; r <= size; r++) share[r] /= row_bytes;
}

/* k Gaussians by Box and Muller from a counter, then scaled to length 1. */
static void draw_row(uint64_t key, int k, float *x) {
  const double two_pi = 6.283185307179586476925;
  double squares = 0;
  for (int j = 0; j < k; j += 2) {
    double radius = sqrt(-2 * log(1 - rdd_uniform(rdd_mix64_2(key, (uint64_t)j))));
    double angle = two_pi * rdd_uniform(rdd_mix64_2(key, (uint64_t)j + 1));
    x[j] = (float)(radius * cos(angle));
    if (j + 1 < k) x[j + 1] = (float)(radius * sin(angle));
  }
  for (int j = 0; j < k; j++) squares += (double)x[j] * x[j];
  if (squares > 0) {
    float scale = (float)(1 / sqrt(squares));
    for (int j = 0; j < k; j++) x[j] *= scale;
  } else {
    x[0] = 1;
  }
}

rdd_status als_model_init(als_model *model, rdd_comm *comm, int side, uint64_t seed, rdd_err *err) {
  const als_factors *f = &model->side[side];
  size_t k = (size_t)model->k;
  float *x = rdd_table_data(f->factors);
  uint64_t key = rdd_mix64_2(seed, (uint64_t)side);
  int64_t *share = NULL;
  rdd_status st = share_rows(comm, f->ids->n, &share, err);
  if (st) goto done;
#pragma omp parallel for schedule(static) num_threads(als_threads())
  for (int64_t i = share[comm->rank]; i < share[comm->rank + 1]; i++)
    draw_row(rdd_mix64_2(key, als_ids_hash(f->ids, i)), model->k, x + (size_t)i * k);
  sync_rows(f->factors, share, comm->size, (int64_t)(k * sizeof *x));
done:
  rdd_free(share);
  return st;
}

static int64_t find_same(const als_ids *ids, const als_ids *as, int64_t i) {
  if (as->type == RDD_INT64) return als_ids_find_int64(ids, als_ids_int64(as, i));
  int64_t length;
  const char *text = als_ids_utf8(as, i, &length);
  return als_ids_find_utf8(ids, text, length);
}

/* Copy the rows of one side that this rank shares out; returns how many were known. */
static int64_t copy_rows(als_factors *to, const als_factors *from, int k, int64_t begin,
                         int64_t end) {
  size_t row = (size_t)k;
  float *x = rdd_table_data(to->factors);
  const float *y = rdd_table_data(from->factors);
  int64_t matched = 0;
  for (int64_t i = begin; i < end; i++) {
    int64_t j = find_same(from->ids, to->ids, i);
    if (j < 0) continue;
    memcpy(x + (size_t)i * row, y + (size_t)j * row, row * sizeof *x);
    if (to->bias && from->bias)
      ((float *)rdd_table_data(to->bias))[i] = ((const float *)rdd_table_data(from->bias))[j];
    matched++;
  }
  return matched;
}

static rdd_status check_alike(const als_model *model, const als_model *from, rdd_err *err) {
  static const char *const what[2] = {"user", "item"};
  if (model->k != from->k)
    return rdd_set(err, RDD_EUSAGE, "the model to start from has rank %d; this one has rank %d",
                   from->k, model->k);
  for (int s = 0; s < 2; s++) {
    rdd_type here = model->side[s].ids->type, there = from->side[s].ids->type;
    if (here != there)
      return rdd_set(err, RDD_EUSAGE,
                     "the %s ids of the model to start from are %s; here they are %s", what[s],
                     rdd_type_name(there), rdd_type_name(here));
  }
  return RDD_OK;
}

rdd_status als_model_start_from(als_model *model, rdd_comm *comm, const als_model *from,
                                int64_t matched_out[2], rdd_err *err) {
  int64_t *share = NULL, matched[2];
  rdd_status st = check_alike(model, from, err); /* the same on all ranks */
  if (st) return st;
  for (int s = 0; s < 2; s++) {
    als_factors *side = &model->side[s];
    rdd_free(share);
    share = NULL;
    st = share_rows(comm, side->ids->n, &share, err);
    if (st) goto done;
    matched[s] = copy_rows(side, &from->side[s], model->k, share[comm->rank],
                           share[comm->rank + 1]);
    sync_rows(side->factors, share, comm->size, model->k * (int64_t)sizeof(float));
    if (side->bias) sync_rows(side->bias, share, comm->size, sizeof(float));
  }
  rdd_allreduce(comm, matched, 2, RDD_SUM);
  memcpy(matched_out, matched, sizeof matched);
done:
  rdd_free(share);
  return st;
}

const float *als_model_row(const als_model *model, int side, int64_t i) {
  return (const float *)rdd_table_data(model->side[side].factors) + (size_t)i * (size_t)model->k;
}

/* Eight sums side by side: a fixed order that is also a vectorisable one. */
double als_dot_floats(const float *x, const float *y, int k) {
  double sum[8] = {0};
  int j = 0;
  for (; j + 8 <= k; j += 8)
    for (int l = 0; l < 8; l++) sum[l] += (double)x[j + l] * y[j + l];
  for (int l = 0; j < k; j++, l++) sum[l] += (double)x[j] * y[j];
  return als_strands(sum);
}

float als_model_predict(const als_model *model, int64_t u, int64_t i) {
  if (u < 0 || i < 0) return NAN;
  double sum = als_dot_floats(als_model_row(model, ALS_USERS, u),
                              als_model_row(model, ALS_ITEMS, i), model->k);
  const rdd_table *user_bias = model->side[ALS_USERS].bias,
                  *item_bias = model->side[ALS_ITEMS].bias;
  if (user_bias) sum += ((const float *)rdd_table_data(user_bias))[u];
  if (item_bias) sum += ((const float *)rdd_table_data(item_bias))[i];
  return (float)(sum + model->mean);
}

float als_model_cosine(const als_model *model, int side, int64_t a, int64_t b) {
  const float *x = als_model_row(model, side, a), *y = als_model_row(model, side, b);
  double of_x = als_dot_floats(x, x, model->k), of_y = als_dot_floats(y, y, model->k);
  if (!(of_x > 0 && of_y > 0)) return NAN;
  return (float)(als_dot_floats(x, y, model->k) / (sqrt(of_x) * sqrt(of_y)));
}
