/* The objective of a model, summed rating by rating: what half-steps get from their solves for nothing,
 * but for any model. */
#include "mllib/als.h"

#include "mllib/exchange_impl.h"
#include "mllib/gram_impl.h"
#include "mllib/kernels_impl.h"
#include "mllib/solver_impl.h"
#include "mllib/threads_impl.h"
#include "rdd/memory.h"

#include <stdint.h>
#include <string.h>

enum { SUM_RATINGS, SUM_PAIRS, SUM_REG, SUMS };

typedef struct pass {
  const als_problem *problem;
  const als_params *params;
  const als_model *model;
  double *gram; /* of the items, or NULL */
} pass;

/* The regularisation of row `at` of a side. */
static double reg_of_row(const pass *p, int side, int64_t at, double bias) {
  const als_side *ratings = &p->problem->side[side];
  const float *f = als_model_row(p->model, side, at);
  int64_t begin = ratings->start[at - ratings->first],
          end = ratings->start[at - ratings->first + 1];
  double norm = bias * bias + als_dot_floats(f, f, p->model->k), ridge;
  (void)als_row_ridge(p->params, side, p->model->side[!side].ids->n, ratings->entry + begin,
                      end - begin, &ridge);
  return ridge * norm;
}

/* Row `at` of a side: its regularisation, and for users all that their ratings say. */
static void add_row(const pass *p, int side, int64_t at, double *x, double sum[SUMS]) {
  const als_side *ratings = &p->problem->side[side];
  const als_factors *own = &p->model->side[side], *other = &p->model->side[!side];
  const float *f = als_model_row(p->model, side, at);
  const als_entry *entry = ratings->entry + ratings->start[at - ratings->first];
  const als_entry *end = ratings->entry + ratings->start[at - ratings->first + 1];
  bool biased = p->params->update_bias;
  double bias = biased ? ((const float *)rdd_table_data(own->bias))[at] : 0;
  int k = p->model->k;
  sum[SUM_REG] += reg_of_row(p, side, at, bias);
  if (side != ALS_USERS) return;
  for (int j = 0; p->gram && j < k; j++) x[j] = f[j];
  if (p->gram) sum[SUM_PAIRS] += als_form(p->gram, als_kernels_width(ALS_DOUBLE, k), x, k);
  for (; entry < end; entry++) {
    const float *g = als_model_row(p->model, !side, entry->column);
    double r = entry->value, s = bias;
    if (biased) r -= p->model->mean + ((const float *)rdd_table_data(other->bias))[entry->column];
    for (int j = 0; j < k; j++) s += f[j] * (double)g[j];
    als_term term = als_term_of(&p->params->loss, r);
    sum[SUM_RATINGS] += term.c * s * s - 2 * term.t * s + term.p;
  }
}

/* All rows of a side. Collective. */
static rdd_status add_side(const pass *p, rdd_comm *comm, int side, double sum_out[SUMS],
                           rdd_err *err) {
  const als_blocks *blocks = &p->problem->side[side].blocks;
  int64_t first = blocks->owner[comm->rank], end = blocks->owner[comm->rank + 1];
  rdd_status st = RDD_OK;
  double *partial = rdd_calloc((size_t)(end - first), SUMS * sizeof *partial);
  double *x = rdd_alloc((size_t)p->model->k, sizeof *x);
  if (!partial || !x) st = rdd_set(err, RDD_ENOMEM, "out of memory for the objective");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  for (int64_t b = first; b < end; b++) {
    int64_t row = b * blocks->block_rows, last = row + blocks->block_rows;
    if (last > blocks->rows) last = blocks->rows;
    for (; row < last; row++) add_row(p, side, row, x, partial + (b - first) * SUMS);
  }
  st = als_blocks_sum(blocks, comm, partial, SUMS, sum_out, err);
done:
  rdd_free(x);
  rdd_free(partial);
  return st;
}

rdd_status als_objective(rdd_comm *comm, const als_problem *problem, const als_params *params,
                         const als_model *model, als_sums *sums_out, rdd_err *err) {
  pass p = {.problem = problem, .params = params, .model = model};
  const als_factors *items = &model->side[ALS_ITEMS];
  double w = als_loss_of_all(&params->loss), sum[2][SUMS];
  size_t lines = (size_t)als_kernels_width(ALS_DOUBLE, model->k);
  rdd_status st = RDD_OK;
  if (w != 0) {
    p.gram = rdd_alloc(lines * lines, sizeof *p.gram);
    if (!p.gram) st = rdd_set(err, RDD_ENOMEM, "out of memory for a Gram matrix");
    st = rdd_agree(comm, st, err);
    if (!st)
      st = als_gram(comm, rdd_table_data(items->factors), items->ids->n, model->k, w,
                    als_exchange_owners(items), p.gram, err);
  }
  for (int side = 0; side < 2 && !st; side++) st = add_side(&p, comm, side, sum[side], err);
  if (!st)
    *sums_out = (als_sums){.ratings = sum[ALS_USERS][SUM_RATINGS],
                           .pairs = sum[ALS_USERS][SUM_PAIRS],
                           .reg = sum[ALS_USERS][SUM_REG] + sum[ALS_ITEMS][SUM_REG]};
  rdd_free(p.gram);
  return st;
}

rdd_status als_regularisation(rdd_comm *comm, const als_problem *problem, const als_params *params,
                              const als_model *model, double reg_out[2], rdd_err *err) {
  const pass p = {.problem = problem, .params = params, .model = model};
  rdd_status st = RDD_OK;
  for (int side = 0; side < 2 && !st; side++) {
    const als_blocks *blocks = &problem->side[side].blocks;
    int64_t first = blocks->owner[comm->rank], end = blocks->owner[comm->rank + 1];
    double *partial = rdd_calloc((size_t)(end - first), sizeof *partial);
    if (!partial) st = rdd_set(err, RDD_ENOMEM, "out of memory for the regularisation");
    st = rdd_agree(comm, st, err);
#pragma omp parallel for schedule(dynamic, 1) num_threads(als_threads())
    for (int64_t b = first; b < (st ? first : end); b++) {
      int64_t last = (b + 1) * blocks->block_rows;
      if (last > blocks->rows) last = blocks->rows;
      for (int64_t row = b * blocks->block_rows; row < last; row++)
        partial[b - first] += reg_of_row(&p, side, row, 0);
    }
    if (!st) st = als_blocks_sum(blocks, comm, partial, 1, &reg_out[side], err);
    rdd_free(partial);
  }
  return st;
}
