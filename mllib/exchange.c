/* Rows of a fit on their way between nodes. See exchange.h. */
#include "mllib/exchange_impl.h"

#include "mllib/gram_impl.h"
#include "rdd/memory.h"
#include "rdd/need.h"

#include <time.h>

struct als_exchange {
  const als_blocks *blocks; /* borrowed: of the problem's side */
  rdd_need *need;           /* NULL: all */
  bool bias;                /* biases travel, too */
  bool whole;               /* every node has every row as it is now */
  int64_t *begin;           /* [size + 1] scratch */
  als_exchanged made;       /* since it was taken last */
};

double als_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- What this rank needs ---- */

static void add(uint64_t *bits, int64_t row) {
  bits[row / 64] |= (uint64_t)1 << (row % 64);
}

static void add_range(uint64_t *bits, int64_t first, int64_t end) {
  for (int64_t row = first; row < end; row++) add(bits, row);
}

static void add_columns(uint64_t *bits, const als_side *ratings) {
  for (int64_t e = 0; e < ratings->start[ratings->rows]; e++) add(bits, ratings->entry[e].column);
}

/* Rows of `side` that this rank reads in an iteration, its own among them or not. */
static void add_needed(uint64_t *bits, const rdd_comm *comm, const als_problem *problem,
                       const als_params *params, int side) {
  const als_side *held_out[] = {problem->test, problem->validation};
  add_columns(bits, &problem->side[!side]);
  for (int i = 0; i < 2; i++) {
    if (!held_out[i]) continue;
    if (side == ALS_ITEMS)
      add_columns(bits, held_out[i]);
    else
      add_range(bits, held_out[i]->first, held_out[i]->first + held_out[i]->rows);
  }
  if (als_loss_of_all(&params->loss) != 0) {
    int64_t first, end;
    als_gram_rows(&problem->side[side].blocks, params->rank, comm->rank, &first, &end);
    add_range(bits, first, end);
  }
}

/* ---- Choosing ---- */

static int64_t row_bytes(const als_params *params) {
  return (params->rank + params->update_bias) * (int64_t)sizeof(float);
}

/* Ask who needs what, and keep it where that is the way.                  Collective. */
static rdd_status find_need(als_exchange *x, rdd_comm *comm, const als_problem *problem,
                            const als_params *params, int side, als_exchange_plan *plan,
                            rdd_err *err) {
  const als_blocks *blocks = x->blocks;
  rdd_status st = RDD_OK;
  uint64_t *bits = rdd_calloc((size_t)(blocks->rows + 63) / 64, sizeof *bits);
  if (!bits) st = rdd_set(err, RDD_ENOMEM, "out of memory for the rows that this rank needs");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  add_needed(bits, comm, problem, params, side);
  for (int r = 0; r <= comm->size; r++) x->begin[r] = als_blocks_row(blocks, r);
  st = rdd_need_new(comm, x->begin, blocks->block_rows, bits, row_bytes(params), &x->need, err);
  if (st) goto done;
  plan->need_bytes = rdd_need_rows(x->need) * row_bytes(params);
  rdd_allreduce(comm, &plan->need_bytes, 1, RDD_SUM);
  plan->need_only = params->exchange == ALS_EXCHANGE_NEED || plan->need_bytes < plan->all_bytes;
  if (params->exchange == ALS_EXCHANGE_ALL) plan->need_only = false;
  if (!plan->need_only) {
    rdd_need_free(x->need);
    x->need = NULL;
  }
done:
  rdd_free(bits);
  return st;
}

static rdd_status open_side(rdd_comm *comm, als_problem *problem, const als_params *params,
                            als_model *model, int side, rdd_err *err) {
  const als_blocks *blocks = &problem->side[side].blocks;
  als_exchange_plan *plan = &problem->exchange[side];
  rdd_status st = RDD_OK;
  als_exchange *x = model->side[side].exchange = rdd_calloc(1, sizeof *x);
  if (x) {
    *x = (als_exchange){.blocks = blocks, .bias = params->update_bias, .whole = true};
    x->begin = rdd_alloc((size_t)comm->size + 1, sizeof *x->begin);
  }
  if (!x || !x->begin) st = rdd_set(err, RDD_ENOMEM, "out of memory for the exchange of rows");
  st = rdd_agree(comm, st, err);
  *plan = (als_exchange_plan){.all_bytes = blocks->rows * (comm->nodes - 1) * row_bytes(params)};
  if (st || comm->nodes == 1) return st;
  return find_need(x, comm, problem, params, side, plan, err);
}

rdd_status als_exchange_open(rdd_comm *comm, als_problem *problem, const als_params *params,
                             als_model *model, rdd_err *err) {
  rdd_status st = RDD_OK;
  for (int side = 0; side < 2 && !st; side++)
    st = open_side(comm, problem, params, model, side, err);
  return st;
}

void als_exchange_close(als_model *model) {
  for (int side = 0; side < 2; side++) {
    als_exchange *x = model->side[side].exchange;
    if (!x) continue;
    rdd_need_free(x->need);
    rdd_free(x->begin);
    rdd_free(x);
    model->side[side].exchange = NULL;
  }
}

/* ---- Publishing ---- */

/* All rows of a table to all. */
static void sync_table(const als_blocks *blocks, rdd_table *table, int values, int64_t *begin) {
  for (int r = 0; r <= blocks->size; r++)
    begin[r] = als_blocks_row(blocks, r) * values * (int64_t)sizeof(float);
  rdd_table_sync(table, begin);
}

static void sync_side(const als_blocks *blocks, const als_factors *side, int k, bool bias,
                      int64_t *begin) {
  sync_table(blocks, side->factors, k, begin);
  if (bias) sync_table(blocks, side->bias, 1, begin);
}

void als_exchange_publish(rdd_comm *comm, const als_blocks *blocks, als_model *model, int side,
                          bool bias, int64_t *begin) {
  als_factors *own = &model->side[side];
  als_exchange *x = own->exchange;
  int64_t before = comm->traffic.between_nodes;
  double start = als_seconds();
  if (x && x->need) {
    const rdd_need_table table[2] = {{own->factors, model->k * (int64_t)sizeof(float)},
                                     {own->bias, sizeof(float)}};
    rdd_need_publish(x->need, table, bias ? 2 : 1);
    x->whole = false;
  } else {
    sync_side(blocks, own, model->k, bias, begin);
  }
  if (!x) return;
  x->made.bytes += comm->traffic.between_nodes - before;
  x->made.seconds += als_seconds() - start;
}

void als_model_make_whole(const als_model *model, rdd_comm *comm) {
  (void)comm;
  for (int side = 0; side < 2; side++) {
    als_exchange *x = model->side[side].exchange;
    if (!x || x->whole) continue;
    sync_side(x->blocks, &model->side[side], model->k, x->bias, x->begin);
    x->whole = true;
  }
}

void als_exchange_made_whole(als_model *model) {
  for (int side = 0; side < 2; side++)
    if (model->side[side].exchange) model->side[side].exchange->whole = true;
}

als_exchanged als_exchange_take(als_model *model) {
  als_exchanged sum = {0};
  for (int side = 0; side < 2; side++) {
    als_exchange *x = model->side[side].exchange;
    if (!x) continue;
    sum.bytes += x->made.bytes;
    sum.seconds += x->made.seconds;
    x->made = (als_exchanged){0};
  }
  return sum;
}

const als_blocks *als_exchange_owners(const als_factors *side) {
  return side->exchange && side->exchange->need ? side->exchange->blocks : NULL;
}
