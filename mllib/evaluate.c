/* How far predictions are from ratings. */
#include "mllib/metrics.h"

#include "rdd/memory.h"

#include <math.h>
#include <string.h>

enum { SQUARED, ABSOLUTE, RATINGS, SUMS };

typedef struct errors {
  const als_held_out *h;
  bool clamp, spread; /* spread: sum (r - mean)^2 alone, into SQUARED */
  double mean;
} errors;

/* Returns how many ratings of the row are of a known user and known items. */
static int64_t add_row(const errors *e, int64_t row, double sum[SUMS]) {
  const als_side *test = e->h->test;
  const als_model *model = e->h->model;
  int64_t user = e->h->user ? e->h->user[row] : row, n = 0;
  if (user < 0) return 0;
  for (int64_t i = test->start[row - test->first]; i < test->start[row - test->first + 1]; i++) {
    const als_entry *entry = &test->entry[i];
    int64_t item = e->h->item ? e->h->item[entry->column] : (int64_t)entry->column;
    if (item < 0) continue;
    n++;
    double r = entry->value;
    if (e->spread) {
      sum[SQUARED] += (r - e->mean) * (r - e->mean);
      continue;
    }
    float p = als_model_predict(model, user, item);
    if (e->clamp) p = fminf(fmaxf(p, model->rating_min), model->rating_max);
    double error = (double)p - r;
    sum[SQUARED] += error * error;
    sum[ABSOLUTE] += fabs(error);
    sum[RATINGS] += r;
  }
  return n;
}

/* All rows. Collective.
 *   partial  [in]  scratch, [own blocks][SUMS] */
static rdd_status add_rows(const errors *e, rdd_comm *comm, double *partial, double total[SUMS],
                           int64_t *n_out, rdd_err *err) {
  const als_blocks *blocks = &e->h->test->blocks;
  int64_t first = blocks->owner[comm->rank], end = blocks->owner[comm->rank + 1], n = 0;
#pragma omp parallel for schedule(dynamic, 1) reduction(+ : n)
  for (int64_t b = first; b < end; b++) {
    double sum[SUMS] = {0};
    int64_t row = b * blocks->block_rows, last = row + blocks->block_rows;
    if (last > blocks->rows) last = blocks->rows;
    for (; row < last; row++) n += add_row(e, row, sum);
    memcpy(partial + (b - first) * SUMS, sum, sizeof sum);
  }
  rdd_allreduce(comm, &n, 1, RDD_SUM);
  *n_out = n;
  return als_blocks_sum(blocks, comm, partial, SUMS, total, err);
}

rdd_status als_errors(rdd_comm *comm, const als_held_out *h, bool clamp, als_error *out,
                      rdd_err *err) {
  const als_blocks *blocks = &h->test->blocks;
  int64_t own = blocks->owner[comm->rank + 1] - blocks->owner[comm->rank], n;
  errors e = {.h = h, .clamp = clamp};
  double total[SUMS], spread[SUMS];
  rdd_status st = RDD_OK;
  double *partial = rdd_alloc((size_t)own, SUMS * sizeof *partial);
  if (!partial) st = rdd_set(err, RDD_ENOMEM, "out of memory to evaluate a model");
  st = rdd_agree(comm, st, err);
  if (!st) st = add_rows(&e, comm, partial, total, &n, err);
  if (st) goto done;
  e.spread = true; /* about the mean, in a second pass: a difference of sums would lose digits */
  e.mean = n ? total[RATINGS] / (double)n : 0;
  st = add_rows(&e, comm, partial, spread, &n, err);
  if (!st) *out = (als_error){n, total[SQUARED], total[ABSOLUTE], spread[SQUARED]};
done:
  rdd_free(partial);
  return st;
}

rdd_status als_evaluate(rdd_comm *comm, const als_model *model, const als_side *by_user, bool clamp,
                        als_error *out, rdd_err *err) {
  const als_held_out h = {.model = model, .test = by_user};
  return als_errors(comm, &h, clamp, out, err);
}
