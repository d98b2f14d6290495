/* The best iteration so far: a copy of the model's tables, so that a fit that went too far can go back. */
#include "mllib/als.h"

#include "rdd/memory.h"

#include <string.h>

rdd_status als_best_new(rdd_comm *comm, const als_model *model, const als_params *params,
                        als_best **out, rdd_err *err) {
  rdd_status st = RDD_OK;
  als_best *best = rdd_calloc(1, sizeof *best);
  if (best) best->begin = rdd_alloc((size_t)comm->size + 1, sizeof *best->begin);
  if (!best || !best->begin) st = rdd_set(err, RDD_ENOMEM, "out of memory for the best iteration");
  st = rdd_agree(comm, st, err);
  for (int s = 0; s < 2 && !st; s++) {
    const als_factors *from = &model->side[s];
    als_factors *to = &best->side[s];
    to->ids = from->ids;
    st = rdd_table_new(comm, rdd_table_size(from->factors), &to->factors, err);
    if (!st && params->update_bias)
      st = rdd_table_new(comm, rdd_table_size(from->bias), &to->bias, err);
  }
  if (st) {
    als_best_free(best);
    return st;
  }
  *out = best;
  return RDD_OK;
}

void als_best_free(als_best *best) {
  if (!best) return;
  for (int s = 0; s < 2; s++) {
    rdd_table_free(best->side[s].factors);
    rdd_table_free(best->side[s].bias);
  }
  rdd_free(best->begin);
  rdd_free(best);
}

/* Own rows of a table of `values` floats a row, then everybody's. */
static void copy_table(const als_blocks *blocks, const rdd_comm *comm, const rdd_table *from,
                       rdd_table *to, int values, int64_t *begin) {
  for (int r = 0; r <= comm->size; r++)
    begin[r] = als_blocks_row(blocks, r) * values * (int64_t)sizeof(float);
  int64_t first = begin[comm->rank], bytes = begin[comm->rank + 1] - first;
  if (bytes > 0)
    memcpy((char *)rdd_table_data(to) + first, (const char *)rdd_table_data(from) + first,
           (size_t)bytes);
  rdd_table_sync(to, begin);
}

static void copy_sides(const als_problem *problem, const rdd_comm *comm, int k,
                       const als_factors from[2], als_factors to[2], int64_t *begin) {
  for (int s = 0; s < 2; s++) {
    const als_blocks *blocks = &problem->side[s].blocks;
    copy_table(blocks, comm, from[s].factors, to[s].factors, k, begin);
    if (from[s].bias && to[s].bias) copy_table(blocks, comm, from[s].bias, to[s].bias, 1, begin);
  }
}

void als_best_keep(als_best *best, rdd_comm *comm, const als_problem *problem,
                   const als_model *model, int iteration) {
  copy_sides(problem, comm, model->k, model->side, best->side, best->begin);
  best->iteration = iteration;
}

void als_best_restore(const als_best *best, rdd_comm *comm, const als_problem *problem,
                      als_model *model) {
  copy_sides(problem, comm, model->k, best->side, model->side, best->begin);
}
