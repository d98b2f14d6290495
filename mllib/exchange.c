/* Rows of a fit on their way between nodes. See exchange.h. */
#include "mllib/exchange_impl.h"

#include "mllib/gram_impl.h"
#include "rdd/clock.h"
#include "rdd/memory.h"
#include "rdd/need.h"

/* Groups of rows that are on their way while the next are solved: the last one is what is waited for. */
enum { GROUPS = 8 };

struct als_exchange {
  const als_blocks *blocks; /* borrowed: of the problem's side */
  rdd_need *need;           /* NULL: all, when they are solved */
  bool all;                 /* every node needs every row */
  bool overlap;             /* rows leave while others are solved */
  bool bias;                /* biases travel, too */
  als_wire wire;            /* rows are rounded to */
  bool whole;               /* every node has every row as it is now */
  int64_t *begin;           /* [size + 1] scratch */
  als_exchanged made;       /* since it was taken last */
};

double als_own_seconds(const rdd_comm *comm) {
  return rdd_seconds() - comm->traffic.moving - comm->traffic.waiting;
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
  enum { TEST, VALIDATION, PARTS };
  const als_side *held_out[PARTS] = {[TEST] = problem->test, [VALIDATION] = problem->validation};
  add_columns(bits, &problem->side[!side]);
  for (int i = 0; i < PARTS; i++) {
    if (!held_out[i]) continue;
    if (side == ALS_ITEMS && i == VALIDATION && problem->watch == ALS_NDCG)
      add_range(bits, 0, problem->side[ALS_ITEMS].blocks.rows); /* lists are ranked of all items */
    else if (side == ALS_ITEMS)
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
  return (params->rank + params->update_bias) * (int64_t)als_wire_bytes(params->wire);
}

/* A rank's rows as they are in `bits`. Collective. */
static rdd_status open_need(als_exchange *x, rdd_comm *comm, const uint64_t *bits, int64_t bytes,
                            rdd_err *err) {
  const als_blocks *blocks = x->blocks;
  for (int r = 0; r <= comm->size; r++) x->begin[r] = als_blocks_row(blocks, r);
  return rdd_need_new(comm, x->begin, blocks->block_rows, x->overlap ? GROUPS : 1, bits, bytes,
                      &x->need, err);
}

/* Ask who needs what, and whether that is the way. Where it is not, rows that leave while others are
 * solved go to every node in the same manner.                             Collective. */
static rdd_status find_need(als_exchange *x, rdd_comm *comm, const als_problem *problem,
                            const als_params *params, int side, als_exchange_plan *plan,
                            rdd_err *err) {
  int64_t rows = x->blocks->rows, bytes = row_bytes(params);
  rdd_status st = RDD_OK;
  uint64_t *bits = rdd_calloc((size_t)(rows + 63) / 64, sizeof *bits);
  if (!bits) st = rdd_set(err, RDD_ENOMEM, "out of memory for the rows that this rank needs");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  add_needed(bits, comm, problem, params, side);
  st = open_need(x, comm, bits, bytes, err);
  if (st) goto done;
  plan->need_bytes = rdd_need_rows(x->need) * bytes;
  rdd_allreduce(comm, &plan->need_bytes, 1, RDD_SUM);
  plan->need_only = params->exchange == ALS_EXCHANGE_NEED ||
                    (params->exchange == ALS_EXCHANGE_AUTO && plan->need_bytes < plan->all_bytes);
  x->all = !plan->need_only;
  if (!x->all) goto done;
  rdd_need_free(x->need);
  x->need = NULL;
  add_range(bits, 0, rows);
  if (x->overlap || x->wire) st = open_need(x, comm, bits, bytes, err);
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
    *x = (als_exchange){.blocks = blocks,
                        .bias = params->update_bias,
                        .all = true,
                        .whole = true,
                        .wire = params->wire};
    x->overlap = comm->nodes > 1 && !params->no_overlap;
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

static rdd_need_table on_wire(const als_exchange *x, rdd_table *table, int64_t numbers) {
  rdd_need_table t = {.table = table,
                      .bytes = numbers * (int64_t)sizeof(float),
                      .wire_bytes = numbers * als_wire_bytes(x->wire),
                      .numbers = numbers};
  if (x->wire == ALS_WIRE_FLOAT32) return t;
  bool ieee = x->wire == ALS_WIRE_FLOAT16;
  t.pack = ieee ? als_wire_pack_float16 : als_wire_pack_bfloat16;
  t.unpack = ieee ? als_wire_unpack_float16 : als_wire_unpack_bfloat16;
  return t;
}

/* The tables of a side that travel; returns how many. */
static int tables_of(const als_exchange *x, const als_factors *side, int k,
                     rdd_need_table table[2]) {
  table[0] = on_wire(x, side->factors, k);
  table[1] = on_wire(x, side->bias, 1);
  return 1 + x->bias;
}

static bool overlaps(const als_exchange *x) {
  return x && x->overlap;
}

int als_exchange_groups(const als_factors *side) {
  return overlaps(side->exchange) ? rdd_need_groups(side->exchange->need) : 1;
}

int64_t als_exchange_block(const als_factors *side, const als_blocks *blocks, int rank, int g) {
  if (!overlaps(side->exchange)) return blocks->owner[rank + g];
  /* the last one of a side may be short */
  return (rdd_need_first(side->exchange->need, g) + blocks->block_rows - 1) / blocks->block_rows;
}

void als_exchange_send(rdd_comm *comm, const als_factors *side, int k, int g) {
  als_exchange *x = side->exchange;
  rdd_need_table table[2];
  if (!overlaps(x)) return;
  int n = tables_of(x, side, k, table);
  int64_t before = comm->traffic.between_nodes;
  double start = rdd_seconds();
  if (g > 0) rdd_need_finish(x->need, table, n, g - 1);
  if (g < rdd_need_groups(x->need)) rdd_need_start(x->need, table, n, g);
  x->made.bytes += comm->traffic.between_nodes - before;
  x->made.seconds += rdd_seconds() - start;
}

void als_exchange_poll(const als_factors *side) {
  if (overlaps(side->exchange)) rdd_need_poll(side->exchange->need);
}

void als_exchange_publish(rdd_comm *comm, const als_blocks *blocks, const als_factors *side, int k,
                          bool bias, int64_t *begin) {
  als_exchange *x = side->exchange;
  rdd_need_table table[2];
  int64_t before = comm->traffic.between_nodes;
  double start = rdd_seconds();
  if (overlaps(x))
    rdd_need_end(x->need); /* they were sent */
  else if (x && x->need)
    rdd_need_publish(x->need, table, tables_of(x, side, k, table));
  else
    sync_side(blocks, side, k, bias, begin);
  if (!x) return;
  x->whole = x->all;
  x->made.bytes += comm->traffic.between_nodes - before;
  x->made.seconds += rdd_seconds() - start;
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
  return side->exchange && !side->exchange->all ? side->exchange->blocks : NULL;
}
