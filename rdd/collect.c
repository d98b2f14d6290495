/* Actions whose result every rank gets. Rank 0 puts it together from partitions in order, so that
 * no result depends on who computed what, and sends it to all. */
#include "rdd/rdd_impl.h"

#include "rdd/memory.h"

#include <string.h>

/* ---- Rows ---- */

/* Rank 0's segment of the rows so far. */
typedef struct gathering {
  rdd_segment *segment;
  int64_t rows, most;
} gathering;

static rdd_status gather(void *arg, int64_t partition, const rdd_part *part, rdd_err *err) {
  gathering *g = arg;
  rdd_status st = RDD_OK;
  (void)partition;
  for (int64_t b = 0; b < part->batches && g->rows < g->most && !st; b++) {
    rdd_batch batch = part->batch[b];
    if (batch.rows > g->most - g->rows)
      batch.rows = g->most - g->rows; /* a view of its first rows */
    g->rows += batch.rows;
    st = rdd_segment_append(g->segment, &batch, err);
  }
  return st;
}

static void free_bytes(void *bytes, size_t size) {
  (void)size;
  rdd_free(bytes);
}

/* Rank 0's segment becomes a part on every rank. Collective. */
static rdd_status spread(rdd_comm *comm, const rdd_schema *schema, gathering *g, rdd_part *part_out,
                         rdd_err *err) {
  void *bytes = NULL;
  size_t size = 0;
  rdd_status st = RDD_OK;
  if (comm->rank == 0) st = rdd_segment_finish(g->segment, &bytes, &size, err);
  st = rdd_agree(comm, st, err);
  if (st) return st;
  int64_t wire = (int64_t)size;
  rdd_bcast(comm, &wire, sizeof wire, 0);
  if (comm->rank != 0) bytes = rdd_alloc((size_t)wire, 1);
  if (!bytes) st = rdd_set(err, RDD_ENOMEM, "no memory to collect %lld bytes", (long long)wire);
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  rdd_bcast(comm, bytes, wire, 0);
  rdd_part part = {0};
  st = rdd_part_open(&part, schema, bytes, (size_t)wire, free_bytes, err);
  if (!st) bytes = NULL;
  st = rdd_agree(comm, st, err);
  if (st)
    rdd_part_close(&part);
  else
    *part_out = part;
done:
  rdd_free(bytes);
  return st;
}

/* The first `most` rows. Collective. */
static rdd_status collect(rdd *r, rdd_comm *comm, const rdd_run_opts *opts, int64_t most,
                          int64_t first_step, rdd_part *part_out, rdd_err *err) {
  gathering g = {.most = most};
  int64_t np = r->partitions, step = first_step;
  rdd_status st = RDD_OK;
  if (most < 0) st = rdd_set(err, RDD_EUSAGE, "cannot take %lld rows", (long long)most);
  if (!st && comm->rank == 0) st = rdd_segment_new(&g.segment, &r->schema, -1, err);
  st = rdd_agree(comm, st, err);
  for (int64_t first = 0; first < np && g.rows < most && !st; first += step / 4) {
    int64_t last = np - first < step ? np : first + step;
    st = rdd_visit_range(r, first, last, comm, opts, gather, &g, NULL, err);
    rdd_bcast(comm, &g.rows, sizeof g.rows, 0);
    step = last - first > INT64_MAX / 8 ? step : 4 * (last - first);
  }
  if (!st) st = spread(comm, &r->schema, &g, part_out, err);
  rdd_segment_free(g.segment);
  return st;
}

rdd_status rdd_collect(rdd *r, rdd_comm *comm, const rdd_run_opts *opts, rdd_part *part_out,
                       rdd_err *err) {
  return collect(r, comm, opts, INT64_MAX, r->partitions, part_out, err);
}

rdd_status rdd_take(rdd *r, rdd_comm *comm, const rdd_run_opts *opts, int64_t n, rdd_part *part_out,
                    rdd_err *err) {
  return collect(r, comm, opts, n, 1, part_out, err);
}

/* ---- Folds ---- */

/* A partition's state is one row of plain bytes. */
typedef struct fold {
  const rdd_aggregate_fns *fns;
  const void *empty;
  size_t bytes;
  char *state; /* rank 0: of the partitions so far */
} fold;

static rdd_status fold_partition(void *arg, const rdd_part *const *in, rdd_task *task,
                                 rdd_err *err) {
  const fold *f = arg;
  char *state = rdd_alloc(f->bytes, 1);
  int32_t offsets[2] = {0, (int32_t)f->bytes};
  if (!state) return rdd_set(err, RDD_ENOMEM, "no memory for a state of %zu bytes", f->bytes);
  memcpy(state, f->empty, f->bytes);
  for (int64_t b = 0; b < in[0]->batches; b++) f->fns->add(f->fns->arg, state, &in[0]->batch[b]);
  rdd_batch out = {.rows = 1, .column = {{.values = state, .offsets = offsets}}};
  rdd_status st = rdd_task_emit(task, &out, err);
  rdd_free(state);
  return st;
}

static rdd_status merge_state(void *arg, int64_t partition, const rdd_part *part, rdd_err *err) {
  fold *f = arg;
  (void)partition, (void)err;
  if (part->rows == 1) f->fns->merge(f->fns->arg, f->state, part->batch[0].column[0].values);
  return RDD_OK;
}

rdd_status rdd_aggregate(rdd *r, rdd_comm *comm, const rdd_run_opts *opts,
                         const rdd_aggregate_fns *fns, void *state, size_t bytes, rdd_err *err) {
  fold f = {.fns = fns, .empty = state, .bytes = bytes};
  rdd_schema schema = {0};
  rdd *folded = NULL;
  rdd_status st = RDD_OK;
  rdd_schema_add(&schema, "state", RDD_UTF8);
  if (bytes == 0 || bytes > INT32_MAX)
    st = rdd_set(err, RDD_EUSAGE, "a state of %zu bytes: expected 1 to %d", bytes, INT32_MAX);
  if (!st) st = rdd_map_partitions(&folded, r, "aggregate", &schema, fold_partition, &f, err);
  if (!st) f.state = rdd_alloc(bytes, 1);
  if (!st && !f.state) st = rdd_set(err, RDD_ENOMEM, "no memory for a state of %zu bytes", bytes);
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  memcpy(f.state, state, bytes);
  st = rdd_visit(folded, comm, opts, merge_state, &f, NULL, err);
  if (st) goto done;
  rdd_bcast(comm, f.state, (int64_t)bytes, 0);
  memcpy(state, f.state, bytes);
done:
  rdd_free(f.state);
  rdd_release(folded);
  return st;
}

/* A value, and whether there is any. */
typedef struct accumulator {
  int64_t rows;
  char value[8];
} accumulator;

typedef struct reduction {
  rdd_combine_fn combine;
  void *arg;
  int column;
  size_t size;
} reduction;

static void add_value(const reduction *red, accumulator *acc, const void *value) {
  if (acc->rows++ == 0)
    memcpy(acc->value, value, red->size);
  else
    red->combine(red->arg, acc->value, value);
}

static void add_batch(void *arg, void *state, const rdd_batch *batch) {
  const reduction *red = arg;
  const char *value = batch->column[red->column].values;
  for (int64_t i = 0; i < batch->rows; i++) add_value(red, state, value + i * (int64_t)red->size);
}

static void merge_accumulators(void *arg, void *state, const void *other) {
  accumulator from; /* a state in a batch may lie anywhere */
  memcpy(&from, other, sizeof from);
  if (from.rows > 0) add_value(arg, state, from.value);
}

rdd_status rdd_reduce(rdd *r, rdd_comm *comm, const rdd_run_opts *opts, const char *column,
                      rdd_combine_fn combine, void *arg, void *acc_out, rdd_err *err) {
  reduction red = {.combine = combine, .arg = arg, .column = rdd_schema_find(&r->schema, column)};
  accumulator acc = {0};
  if (red.column < 0) return rdd_set(err, RDD_EUSAGE, "%s has no column %s", r->name, column);
  rdd_type type = r->schema.field[red.column].type;
  if (type == RDD_UTF8)
    return rdd_set(err, RDD_EUSAGE, "cannot reduce %s of %s: it is text", column, r->name);
  red.size = rdd_type_size(type);
  rdd_aggregate_fns fns = {.add = add_batch, .merge = merge_accumulators, .arg = &red};
  rdd_status st = rdd_aggregate(r, comm, opts, &fns, &acc, sizeof acc, err);
  if (st) return st;
  if (acc.rows == 0)
    return rdd_set(err, RDD_EUSAGE, "cannot reduce %s: it has no rows (empty collection)", r->name);
  memcpy(acc_out, acc.value, red.size);
  return RDD_OK;
}

/* ---- For what it does outside ---- */

rdd_status rdd_foreach_partition(rdd *r, rdd_comm *comm, const rdd_run_opts *opts, rdd_parts_fn fn,
                                 void *arg, rdd_err *err) {
  rdd *each = NULL;
  int64_t rows;
  rdd_status st = rdd_map_partitions(&each, r, "foreach", &r->schema, fn, arg, err);
  st = rdd_agree(comm, st, err);
  if (!st) st = rdd_count(each, comm, opts, &rows, err);
  rdd_release(each);
  return st;
}
