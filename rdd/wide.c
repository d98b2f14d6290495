/* The wide dependency. Tasks compute the parent's partitions and deal their rows to the partitions
 * of the wide node; then all ranks exchange, one partition a rank in each round:
 *
 *   a deal (one memory file a task):  where[0], ..., where[n] | segment for partition 0 | ... for n
 *   - 1
 *
 *   round j: partition first(r) + j of rank r gets its segments from all deals, and puts their
 *   batches
 *            end to end, in the order of the parent's partitions
 *
 * So beside what is dealt and what is made, a rank holds one partition more. */
#include "rdd/rdd_impl.h"

#include "rdd/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ALIGNMENT = 64 };

/* ---- In a task ---- */

struct rdd_deal {
  const rdd *wide;
  rdd_segment **segment; /* [partitions] those that got rows */
  int64_t *begin;        /* [partitions + 1] of each partition's rows in the batch at hand */
};

rdd_status rdd_deal_new(rdd_deal **out, const rdd *wide, rdd_err *err) {
  size_t n = (size_t)wide->partitions;
  rdd_deal *deal = rdd_calloc(1, sizeof *deal);
  if (deal) {
    deal->wide = wide;
    deal->segment = rdd_calloc(n, sizeof *deal->segment);
    deal->begin = rdd_alloc(n + 1, sizeof *deal->begin);
  }
  *out = deal;
  if (deal && deal->segment && deal->begin) return RDD_OK;
  return rdd_set(err, RDD_ENOMEM, "no memory to deal rows to %zu partitions", n);
}

rdd_status rdd_deal_add(rdd_deal *deal, rdd_task *task, const rdd_batch *batch, rdd_err *err) {
  const rdd *wide = deal->wide;
  const rdd_partitioner *by = &wide->partitioner;
  const rdd_column *key = &batch->column[by->column];
  rdd_type type = wide->schema.field[by->column].type;
  int64_t n = wide->partitions, rows = batch->rows, *begin = deal->begin;
  if (rows > INT32_MAX)
    return rdd_set(err, RDD_EINTERNAL, "a batch of %lld rows is dealt: expected at most %d",
                   (long long)rows, INT32_MAX);
  int64_t *to = rdd_task_scratch(task, (size_t)rows, sizeof *to);
  int32_t *row = rdd_task_scratch(task, (size_t)rows, sizeof *row);
  if (!to || !row) return rdd_set(err, RDD_ENOMEM, "no memory to deal %lld rows", (long long)rows);

  /* row numbers ordered by partition: begin[p + 1] runs ahead through the rows of p */
  memset(begin, 0, (size_t)(n + 1) * sizeof *begin);
  for (int64_t i = 0; i < rows; i++) {
    to[i] = rdd_partition_of(by, type, key, i);
    if (to[i] + 2 <= n) begin[to[i] + 2]++;
  }
  for (int64_t p = 2; p <= n; p++) begin[p] += begin[p - 1];
  for (int64_t i = 0; i < rows; i++) row[begin[to[i] + 1]++] = (int32_t)i;

  rdd_status st = RDD_OK;
  for (int64_t p = 0; p < n && !st; p++) {
    rdd_batch some = {0};
    if (begin[p + 1] == begin[p]) continue;
    st = rdd_take_rows(task, &wide->schema, batch, row + begin[p], begin[p + 1] - begin[p], &some,
                       err);
    if (!st && !deal->segment[p]) st = rdd_segment_new(&deal->segment[p], &wide->schema, -1, err);
    if (!st) st = rdd_segment_append(deal->segment[p], &some, err);
  }
  return st;
}

static int64_t index_bytes(const rdd *wide) {
  int64_t bytes = (wide->partitions + 1) * (int64_t)sizeof(int64_t);
  return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static rdd_status write_all(int fd, const void *bytes, int64_t n, int64_t at, rdd_err *err) {
  const char *from = bytes;
  while (n > 0) {
    ssize_t wrote = pwrite(fd, from, (size_t)n, at);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0)
      return rdd_set(err, RDD_ENOMEM, "cannot write byte %lld of a deal to its memory file: %s",
                     (long long)at, wrote == 0 ? "nothing was written" : strerror(errno));
    from += wrote, at += wrote, n -= wrote;
  }
  return RDD_OK;
}

rdd_status rdd_deal_finish(rdd_deal *deal, int fd, rdd_err *err) {
  int64_t n = deal->wide->partitions, at = index_bytes(deal->wide), *where = deal->begin;
  rdd_status st = RDD_OK;
  for (int64_t p = 0; p < n && !st; p++) {
    void *bytes = NULL;
    size_t size = 0;
    where[p] = at;
    if (deal->segment[p]) st = rdd_segment_finish(deal->segment[p], &bytes, &size, err);
    if (!st) st = write_all(fd, bytes, (int64_t)size, at, err);
    at += (int64_t)size;
    rdd_free(bytes);
  }
  where[n] = at;
  if (!st) st = write_all(fd, where, (n + 1) * (int64_t)sizeof *where, 0, err);
  if (!st && ftruncate(fd, at) != 0)
    st = rdd_set(err, RDD_EIO, "cannot set the size of a memory file: %s", strerror(errno));
  return st;
}

/* ---- In the rank ---- */

rdd_status rdd_deal_verify(const rdd *wide, const rdd_part *raw, int64_t *rows_out, rdd_err *err) {
  const int64_t *where = raw->bytes;
  int64_t n = wide->partitions, at = index_bytes(wide);
  bool whole = raw->size >= (size_t)at && where[0] == at && where[n] == (int64_t)raw->size;
  for (int64_t p = 0; p < n && whole; p++) whole = where[p] <= where[p + 1];
  if (!whole)
    return rdd_set(err, RDD_EIO, "a deal of %zu bytes is damaged: its index is wrong", raw->size);
  int64_t rows = 0;
  for (int64_t p = 0; p < n; p++) {
    if (where[p] == where[p + 1]) continue;
    rdd_part part = {0};
    rdd_status st = rdd_part_open(&part, &wide->schema, (const char *)raw->bytes + where[p],
                                  (size_t)(where[p + 1] - where[p]), NULL, err);
    if (!st) st = rdd_part_verify(&part, err);
    rows += part.rows;
    rdd_part_close(&part);
    if (st) return st;
  }
  *rows_out = rows;
  return RDD_OK;
}

/* What this rank's tasks have dealt. */
typedef struct dealt {
  int64_t source; /* the parent's partition */
  rdd_part raw;
} dealt;

typedef struct exchange {
  rdd_plan *plan;
  rdd *wide;
  dealt *deal; /* [deals] */
  int64_t deals;
  rdd_piece *out; /* [deals * ranks] */
} exchange;

static rdd_status take_deal(void *arg, int64_t partition, rdd_part *part, bool stored,
                            const rdd_err *why, rdd_err *err) {
  exchange *x = arg;
  (void)stored, (void)why, (void)err;
  x->deal[x->deals++] = (dealt){.source = partition, .raw = *part};
  return RDD_OK;
}

static int by_source(const void *a, const void *b) {
  const dealt *x = a, *y = b;
  return (x->source > y->source) - (x->source < y->source);
}

static int by_key(const void *a, const void *b) {
  const rdd_piece *x = a, *y = b;
  return (x->key > y->key) - (x->key < y->key);
}

/* The partition that a rank makes in round j; -1: none. */
static int64_t made_by(const exchange *x, int rank, int64_t j) {
  const rdd *w = x->wide;
  int size = x->plan->comm->size;
  int64_t p = w->locate(w->partitions, rank, size) + j;
  if (p >= w->locate(w->partitions, rank + 1, size)) return -1;
  return w->kept->holder[p] >= 0 || w->kept->stored[p] ? -1 : p;
}

static rdd_status join_pieces(const exchange *x, rdd_segment *segment, rdd_piece *in, int64_t n,
                              rdd_err *err) {
  rdd_status st = RDD_OK;
  qsort(in, (size_t)n, sizeof *in, by_key);
  for (int64_t i = 0; i < n && !st; i++) {
    rdd_part part = {0};
    st = rdd_part_open(&part, &x->wide->schema, in[i].bytes, (size_t)in[i].size, NULL, err);
    for (int64_t b = 0; b < part.batches && !st; b++)
      st = rdd_segment_append(segment, &part.batch[b], err);
    rdd_part_close(&part);
  }
  return st;
}

/* Make a sealed partition of what came. Not collective. */
static rdd_status make_partition(exchange *x, int64_t p, rdd_piece *in, int64_t n, rdd_err *err) {
  rdd *wide = x->wide;
  rdd_segment *segment = NULL;
  size_t size;
  rdd_status st = RDD_OK;
  int fd = memfd_create("gangplank-partition", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0)
    return rdd_set(err, RDD_ENOMEM, "cannot create a memory file for partition %lld of %s: %s",
                   (long long)p, wide->name, strerror(errno));
  st = rdd_segment_new(&segment, &wide->schema, fd, err);
  if (!st) st = join_pieces(x, segment, in, n, err);
  if (!st) st = rdd_segment_finish(segment, NULL, &size, err);
  if (!st) st = rdd_seal(fd, &wide->schema, &wide->kept->part[p], err);
  if (!st && rdd_kept_in_memory(wide))
    st = rdd_plan_keep(x->plan, wide, p, &wide->kept->part[p], false, NULL, true, err);
  rdd_segment_free(segment);
  close(fd);
  return st;
}

/* Collective. */
static rdd_status run_round(exchange *x, int64_t j, rdd_err *err) {
  rdd_comm *comm = x->plan->comm;
  rdd_piece *in = NULL;
  void *room = NULL;
  int64_t n = 0, n_in = 0;
  for (int r = 0; r < comm->size; r++) {
    int64_t p = made_by(x, r, j);
    for (int64_t d = 0; d < x->deals && p >= 0; d++) {
      const int64_t *where = x->deal[d].raw.bytes;
      if (where[p] == where[p + 1]) continue;
      x->out[n++] = (rdd_piece){.bytes = (const char *)x->deal[d].raw.bytes + where[p],
                                .size = where[p + 1] - where[p],
                                .key = x->deal[d].source,
                                .rank = r};
    }
  }
  rdd_status st = rdd_ship(comm, x->out, n, &in, &n_in, &room, err);
  if (st) return st;
  int64_t mine = made_by(x, comm->rank, j);
  if (mine >= 0) st = make_partition(x, mine, in, n_in, err);
  rdd_free(in);
  rdd_free(room);
  return rdd_agree(comm, st, err);
}

static rdd_status exchange_all(exchange *x, rdd_err *err) {
  const rdd *wide = x->wide;
  rdd_comm *comm = x->plan->comm;
  rdd_status st = RDD_OK;
  qsort(x->deal, (size_t)x->deals, sizeof *x->deal, by_source);
  x->out = rdd_alloc((size_t)x->deals * (size_t)comm->size, sizeof *x->out);
  if (!x->out) st = rdd_set(err, RDD_ENOMEM, "no memory to exchange %s", wide->name);
  st = rdd_agree(comm, st, err);
  int64_t rounds = wide->partitions / comm->size + 1; /* the longest run of a rank, or one more */
  for (int64_t j = 0; j < rounds && !st; j++) st = run_round(x, j, err);
  return st;
}

rdd_status rdd_wide_run(rdd_plan *plan, rdd *wide, rdd_err *err) {
  exchange x = {.plan = plan, .wide = wide};
  const rdd *parent = wide->dep[0].parent;
  rdd_items items = {0};
  rdd_tally tally = {.note_partition = INT64_MAX};
  rdd_status st = rdd_items_new(&items, parent->partitions, err);
  x.deal = rdd_calloc((size_t)parent->partitions, sizeof *x.deal);
  if (!st && !x.deal)
    st = rdd_set(err, RDD_ENOMEM, "no memory for deals of %lld partitions",
                 (long long)parent->partitions);
  for (int64_t p = 0; p < parent->partitions && !st; p++) items.partition[items.n++] = p;
  st = rdd_agree(plan->comm, st, err);
  if (!st) st = rdd_plan_assign(plan, parent, &items, err);
  if (st) goto done;

  rdd_stage stage = rdd_plan_stage(plan, parent, wide, items.n);
  st = rdd_plan_run_stage(plan, stage, &items, take_deal, &x, &tally, err);
  rdd_plan_count(plan, &tally);
  if (st) goto done;
  int64_t lost = plan->lost;
  rdd_allreduce(plan->comm, &lost, 1, RDD_MAX);
  if (!lost) st = exchange_all(&x, err);
  if (!st) rdd_kept_refresh(wide, plan->comm, plan->opts);
done:
  for (int64_t d = 0; d < x.deals; d++) rdd_part_close(&x.deal[d].raw);
  rdd_free(x.deal);
  rdd_free(x.out);
  rdd_items_free(&items);
  return st;
}
