/* How far predictions are from ratings. */
#include "mllib/als.h"

#include "rdd/memory.h"

#include <math.h>
#include <string.h>

enum { SQUARED, ABSOLUTE, SUMS };

static void add_row(const als_model *model, const als_side *side, int64_t row, bool clamp,
                    double sum[SUMS]) {
  int64_t begin = side->start[row - side->first], end = side->start[row - side->first + 1];
  for (int64_t e = begin; e < end; e++) {
    float p = als_model_predict(model, row, side->entry[e].column);
    if (clamp) p = fminf(fmaxf(p, model->rating_min), model->rating_max);
    double error = (double)p - side->entry[e].value;
    sum[SQUARED] += error * error;
    sum[ABSOLUTE] += fabs(error);
  }
}

rdd_status als_evaluate(rdd_comm *comm, const als_model *model, const als_side *by_user, bool clamp,
                        als_error *out, rdd_err *err) {
  const als_blocks *blocks = &by_user->blocks;
  int64_t first = blocks->owner[comm->rank], end = blocks->owner[comm->rank + 1];
  int64_t n = als_side_count(by_user, comm);
  double total[SUMS];
  rdd_status st = RDD_OK;
  double *partial = rdd_alloc((size_t)(end - first), SUMS * sizeof *partial);
  if (!partial) st = rdd_set(err, RDD_ENOMEM, "out of memory to evaluate a model");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
#pragma omp parallel for schedule(dynamic, 1)
  for (int64_t b = first; b < end; b++) {
    double sum[SUMS] = {0};
    int64_t row = b * blocks->block_rows, last = row + blocks->block_rows;
    if (last > blocks->rows) last = blocks->rows;
    for (; row < last; row++) add_row(model, by_user, row, clamp, sum);
    memcpy(partial + (b - first) * SUMS, sum, sizeof sum);
  }
  st = als_blocks_sum(blocks, comm, partial, SUMS, total, err);
  if (st) goto done;
  *out = (als_error){n, total[SQUARED], total[ABSOLUTE]};
done:
  rdd_free(partial);
  return st;
}
