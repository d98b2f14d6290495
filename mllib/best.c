/* The best iteration so far: a copy of the model's tables, so that a fit that went too far can go back. */
#include "mllib/exchange_impl.h"

#include "rdd/memory.h"

#include <string.h>

rdd_status als_best_new(rdd_comm *comm, const als_model *model, const als_params *params,
                        als_best **out, rdd_err *err) {
  rdd_status st = RDD_OK;
  als_best *best = rdd_calloc(1, sizeof *best);
  for (int s = 0; s < 2 && best; s++)
    best->begin[s] = rdd_alloc((size_t)comm->size + 1, sizeof *best->begin[s]);
  if (!best || !best->begin[0] || !best->begin[1])
    st = rdd_set(err, RDD_ENOMEM, "out of memory for the best iteration");
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
  best->whole = true;
  *out = best;
  return RDD_OK;
}

void als_best_free(als_best *best) {
  if (!best) return;
  for (int s = 0; s < 2; s++) {
    rdd_table_free(best->side[s].factors);
    rdd_table_free(best->side[s].bias);
    rdd_free(best->begin[s]);
  }
  rdd_free(best);
}

/* Own rows of a table of `values` floats a row. */
static void copy_rows(const int64_t *begin, const rdd_comm *comm, const rdd_table *from,
                      rdd_table *to, int values) {
  size_t row = (size_t)values * sizeof(float), first = (size_t)begin[comm->rank] * row;
  size_t bytes = (size_t)begin[comm->rank + 1] * row - first;
  if (bytes > 0)
    memcpy((char *)rdd_table_data(to) + first, (const char *)rdd_table_data(from) + first, bytes);
}

static void copy_own(const als_best *best, const rdd_comm *comm, int k, const als_factors from[2],
                     const als_factors to[2]) {
  for (int s = 0; s < 2; s++) {
    copy_rows(best->begin[s], comm, from[s].factors, to[s].factors, k);
    if (from[s].bias && to[s].bias) copy_rows(best->begin[s], comm, from[s].bias, to[s].bias, 1);
  }
}

/* Own rows to everybody. */
static void sync_rows(int64_t *begin, const rdd_comm *comm, rdd_table *table, int values) {
  const int64_t row = values * (int64_t)sizeof(float);
  for (int r = 0; r <= comm->size; r++) begin[r] *= row;
  rdd_table_sync(table, begin);
  for (int r = 0; r <= comm->size; r++) begin[r] /= row;
}

static void sync_own(const als_best *best, const rdd_comm *comm, int k, const als_factors of[2]) {
  for (int s = 0; s < 2; s++) {
    sync_rows(best->begin[s], comm, of[s].factors, k);
    if (best->side[s].bias) sync_rows(best->begin[s], comm, of[s].bias, 1);
  }
}

static void find_owners(als_best *best, const rdd_comm *comm, const als_problem *problem) {
  for (int s = 0; s < 2; s++)
    for (int r = 0; r <= comm->size; r++)
      best->begin[s][r] = als_blocks_row(&problem->side[s].blocks, r);
}

/* Nobody but the owner reads them before they are made whole. */
void als_best_keep(als_best *best, rdd_comm *comm, const als_problem *problem,
                   const als_model *model, int iteration) {
  find_owners(best, comm, problem);
  copy_own(best, comm, model->k, model->side, best->side);
  best->iteration = iteration;
  best->whole = false;
}

void als_best_restore(als_best *best, rdd_comm *comm, const als_problem *problem,
                      als_model *model) {
  find_owners(best, comm, problem);
  copy_own(best, comm, model->k, best->side, model->side);
  sync_own(best, comm, model->k, model->side);
  als_exchange_made_whole(model);
}

void als_best_make_whole(als_best *best, rdd_comm *comm, int k) {
  if (!best || best->whole) return;
  sync_own(best, comm, k, best->side);
  best->whole = true;
}
