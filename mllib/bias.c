/* Damped biases:
 *
 *   b_i = sum over i's ratings of (r - mean - b_u) / (n_i + reg), with b_u = 0 the first time
 *   b_u = sum over u's ratings of (r - mean - b_i) / (n_u + reg)
 *
 * Both are stored as float; residuals are taken against the stored values, so that a prediction
 * adds back exactly what was taken off. */
#include "mllib/bias_impl.h"

#include "mllib/blocks.h"
#include "rdd/memory.h"

#include <inttypes.h>

/* Own rows of block b, as [*row, return value). */
static int64_t block_rows(const als_blocks *blocks, int64_t b, int64_t *row) {
  int64_t end = (b + 1) * blocks->block_rows;
  *row = b * blocks->block_rows;
  return end < blocks->rows ? end : blocks->rows;
}

static rdd_status mean_rating(rdd_comm *comm, const als_problem *problem, double *mean_out,
                              rdd_err *err) {
  const als_side *side = &problem->side[ALS_USERS];
  const als_blocks *blocks = &side->blocks;
  int64_t first = blocks->owner[comm->rank], end = blocks->owner[comm->rank + 1];
  rdd_status st = RDD_OK;
  double sum, *partial = rdd_alloc((size_t)(end - first), sizeof *partial);
  if (!partial) st = rdd_set(err, RDD_ENOMEM, "out of memory for the mean of the ratings");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  for (int64_t b = first; b < end; b++) {
    int64_t row, last = block_rows(blocks, b, &row);
    double *in_block = &partial[b - first];
    *in_block = 0;
    for (int64_t e = side->start[row - side->first]; e < side->start[last - side->first]; e++)
      *in_block += side->entry[e].value;
  }
  st = als_blocks_sum(blocks, comm, partial, 1, &sum, err);
  if (st) goto done;
  *mean_out = sum / (double)problem->ratings;
done:
  rdd_free(partial);
  return st;
}

rdd_status als_bias_fit_side(rdd_comm *comm, const als_side *side, double reg, int which,
                             als_model *model, rdd_err *err) {
  rdd_table *table = model->side[which].bias;
  float *own = rdd_table_data(table);
  const float *other = rdd_table_data(model->side[!which].bias);
  rdd_status st = RDD_OK;
  int64_t *begin = rdd_alloc((size_t)comm->size + 1, sizeof *begin);
  if (!begin) st = rdd_set(err, RDD_ENOMEM, "out of memory for the owners of biases");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
#pragma omp parallel for schedule(static)
  for (int64_t r = 0; r < side->rows; r++) {
    double sum = 0, n = (double)(side->start[r + 1] - side->start[r]);
    for (int64_t e = side->start[r]; e < side->start[r + 1]; e++)
      sum += side->entry[e].value - model->mean - other[side->entry[e].column];
    own[side->first + r] = n + reg > 0 ? (float)(sum / (n + reg)) : 0;
  }
  for (int r = 0; r <= comm->size; r++)
    begin[r] = als_blocks_row(&side->blocks, r) * (int64_t)sizeof(float);
  rdd_table_sync(table, begin);
done:
  rdd_free(begin);
  return st;
}

void als_bias_take_off_side(als_side *side, int which, const als_model *model) {
  const float *own = rdd_table_data(model->side[which].bias);
  const float *other = rdd_table_data(model->side[!which].bias);
#pragma omp parallel for schedule(static)
  for (int64_t r = 0; r < side->rows; r++) {
    double base = own[side->first + r];
    for (int64_t e = side->start[r]; e < side->start[r + 1]; e++) {
      als_entry *entry = &side->entry[e];
      /* the two biases first: the same bits, whichever side does it */
      double bias = base + other[entry->column];
      entry->value = (float)(entry->value - (model->mean + bias));
    }
  }
}

rdd_status als_bias_fit(rdd_comm *comm, const als_problem *problem, double reg, als_model *model,
                        rdd_err *err) {
  rdd_status st = mean_rating(comm, problem, &model->mean, err);
  /* the order of the sides is the order of the half-steps */
  if (!st) st = als_bias_fit_side(comm, &problem->side[ALS_ITEMS], reg, ALS_ITEMS, model, err);
  if (!st) st = als_bias_fit_side(comm, &problem->side[ALS_USERS], reg, ALS_USERS, model, err);
  return st;
}

void als_bias_take_off(als_problem *problem, const als_model *model) {
  for (int side = 0; side < 2; side++) als_bias_take_off_side(&problem->side[side], side, model);
}
