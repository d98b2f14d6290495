/* Actions: what all ranks do together with the tasks of each. Between two fences a rank works
 * alone; what goes wrong there is carried, as a status, to the next fence, where all leave. */
#include "rdd/rdd_impl.h"

#include "rdd/memory.h"

#include <string.h>

static int slots_of(const rdd_run_opts *opts, int64_t partitions) {
  int64_t slots = opts->slots < partitions ? opts->slots : partitions;
  return slots > 1 ? (int)slots : 1;
}

/* Sums over ranks, and the note of the lowest partition that left one.    Collective. */
static void combine_tallies(rdd_comm *comm, const rdd_tally *tally, rdd_counters *counters_out) {
  rdd_counters all;
  memcpy(all.value, tally->value, sizeof all.value);
  memcpy(all.note, tally->note, sizeof all.note);
  rdd_allreduce(comm, all.value, RDD_COUNTERS, RDD_SUM);
  int64_t lowest = tally->note_partition;
  rdd_allreduce(comm, &lowest, 1, RDD_MIN);
  int64_t owner = tally->note_partition == lowest ? comm->rank : comm->size;
  rdd_allreduce(comm, &owner, 1, RDD_MIN);
  rdd_bcast(comm, all.note, sizeof all.note, (int)owner); /* without any note: rank 0's "" */
  if (counters_out) *counters_out = all;
}

/* ---- Compute and count: neighbouring partitions, each stays where it was computed ---- */

/* Run this rank's partitions; parts == NULL: only count rows. Not collective. */
static rdd_status run_own(const rdd *r, const rdd_comm *comm, const rdd_run_opts *opts,
                          rdd_parts *parts, rdd_tally *tally_out, rdd_err *err) {
  int64_t first = r->locate(r->partitions, comm->rank, comm->size);
  int64_t n = r->locate(r->partitions, comm->rank + 1, comm->size) - first;
  rdd_runner *runner = NULL;
  rdd_status st = rdd_runner_open(&runner, r, comm->rank, slots_of(opts, n), n, opts, err);
  if (st) goto done;
  if (parts) {
    parts->schema = r->schema;
    parts->first = first;
    parts->part = rdd_calloc((size_t)n, sizeof *parts->part);
    if (!parts->part) {
      st = rdd_set(err, RDD_ENOMEM, "no memory for the table of %lld partitions", (long long)n);
      goto done;
    }
    parts->n = n;
  }
  int64_t failed;
  rdd_runner_start(runner, first, 1, n, parts ? parts->part : NULL);
  st = rdd_runner_finish(runner, &failed, err);
  *tally_out = *rdd_runner_tally(runner);
done:
  rdd_runner_close(runner);
  return st;
}

rdd_status rdd_compute(rdd *r, rdd_comm *comm, const rdd_run_opts *opts, rdd_parts **parts_out,
                       rdd_counters *counters_out, rdd_err *err) {
  rdd_tally tally;
  rdd_status st = RDD_OK;
  rdd_parts *parts = rdd_calloc(1, sizeof *parts);
  if (!parts) st = rdd_set(err, RDD_ENOMEM, "no memory for the partitions of %s", r->name);
  if (!st) st = run_own(r, comm, opts, parts, &tally, err);
  /* ranks hold ascending runs, so the lowest failing rank has the lowest failing partition */
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  combine_tallies(comm, &tally, counters_out);
  *parts_out = parts;
  parts = NULL;
done:
  rdd_parts_free(parts);
  return st;
}

rdd_status rdd_count(rdd *r, rdd_comm *comm, const rdd_run_opts *opts, int64_t *rows_out,
                     rdd_err *err) {
  rdd_tally tally;
  rdd_status st = run_own(r, comm, opts, NULL, &tally, err);
  st = rdd_agree(comm, st, err);
  if (st) return st;
  rdd_allreduce(comm, &tally.rows, 1, RDD_SUM);
  *rows_out = tally.rows;
  return RDD_OK;
}

void rdd_parts_drop(rdd_parts *parts, int64_t i) {
  if (parts) rdd_part_close(&parts->part[i]);
}

void rdd_parts_free(rdd_parts *parts) {
  if (!parts) return;
  for (int64_t i = 0; i < parts->n; i++) rdd_part_close(&parts->part[i]);
  rdd_free(parts->part);
  rdd_free(parts);
}

/* ---- Visit: partitions in waves, each brought to rank 0 ----
 *
 * Partition p runs on rank p % size. A wave is `slots` rounds of one partition a rank:
 *
 *              rank 0   rank 1   rank 2
 *   round 0       0        1        2      \  wave 0
 *   round 1       3        4        5      /
 *   round 2       6        7        8         wave 1 ...
 *
 * One round is one exchange, and rank 0 visits it from left to right. The tasks of wave w + 1 run
 * while wave w is exchanged and visited. */
typedef struct waves {
  const rdd *r;
  rdd_comm *comm;
  int slots;
  rdd_runner *runner;
  rdd_part *ready;     /* [slots] own parts of the wave that is exchanged */
  rdd_part *coming;    /* [slots] own parts of the wave that runs */
  int64_t *row, *rows; /* [1 + slots] lowest failed partition, sizes of parts; [size] such rows */
  int64_t *counts;     /* [4][size] for the exchange */
  char *received;      /* rank 0: one round of the other ranks' parts */
  int64_t room;        /* bytes of received */
  rdd_visit_fn visit;
  void *arg;
} waves;

/* How many partitions rank `rank` has among those from `begin` up to `end`, a multiple of size each
 * or the last. */
static int64_t share(int64_t begin, int64_t end, int rank, int size) {
  return end - begin <= rank ? 0 : (end - begin - rank - 1) / size + 1;
}

static rdd_status waves_init(waves *v, const rdd_run_opts *opts, rdd_err *err) {
  size_t slots = (size_t)v->slots, size = (size_t)v->comm->size;
  v->ready = rdd_calloc(slots, sizeof *v->ready);
  v->coming = rdd_calloc(slots, sizeof *v->coming);
  v->row = rdd_calloc(1 + slots, sizeof *v->row);
  v->rows = rdd_calloc(size * (1 + slots), sizeof *v->rows);
  v->counts = rdd_calloc(4 * size, sizeof *v->counts);
  if (!v->ready || !v->coming || !v->row || !v->rows || !v->counts)
    return rdd_set(err, RDD_ENOMEM, "no memory for waves of %d tasks a rank", v->slots);
  int64_t total = share(0, v->r->partitions, v->comm->rank, v->comm->size);
  return rdd_runner_open(&v->runner, v->r, v->comm->rank, v->slots, total, opts, err);
}

static void waves_reset(waves *v) {
  rdd_runner_close(v->runner);
  for (int i = 0; i < v->slots; i++) {
    if (v->ready) rdd_part_close(&v->ready[i]);
    if (v->coming) rdd_part_close(&v->coming[i]);
  }
  rdd_free(v->ready);
  rdd_free(v->coming);
  rdd_free(v->row);
  rdd_free(v->rows);
  rdd_free(v->counts);
  rdd_free(v->received);
}

/* Fork this rank's tasks of one wave; they fill `coming`. Past the last wave there are none. */
static void start_wave(waves *v, int64_t wave) {
  int64_t np = v->r->partitions, width = (int64_t)v->slots * v->comm->size;
  int64_t begin = wave * width, end = begin + width < np ? begin + width : np;
  int64_t n = share(begin, end, v->comm->rank, v->comm->size);
  rdd_runner_start(v->runner, begin + v->comm->rank, v->comm->size, n, v->coming);
}

/* Rank 0: room for the largest round of the wave. */
static rdd_status reserve_round(waves *v, rdd_err *err) {
  int64_t most = 0;
  for (int j = 0; j < v->slots; j++) {
    int64_t bytes = 0;
    for (int r = 1; r < v->comm->size; r++) bytes += v->rows[(int64_t)r * (1 + v->slots) + 1 + j];
    if (bytes > most) most = bytes;
  }
  if (most <= v->room) return RDD_OK;
  rdd_free(v->received);
  v->room = 0;
  v->received = rdd_alloc((size_t)most, 1);
  if (!v->received)
    return rdd_set(err, RDD_ENOMEM, "no memory to bring %lld bytes of partitions to rank 0",
                   (long long)most);
  v->room = most;
  return RDD_OK;
}

/* End of the wave that runs: all ranks know its sizes, or leave with the error of its lowest
 * partition. visited: what visiting the wave before came to on this rank.       Collective. */
static rdd_status finish_wave(waves *v, rdd_status visited, rdd_err *err) {
  rdd_status st = visited;
  int64_t failed = -1; /* before all partitions of this wave */
  if (!st) st = rdd_runner_finish(v->runner, &failed, err);
  v->row[0] = failed;
  for (int j = 0; j < v->slots; j++) v->row[1 + j] = (int64_t)v->coming[j].size;
  rdd_allgather(v->comm, v->row, (1 + v->slots) * (int64_t)sizeof *v->row, v->rows);
  int64_t lowest = failed;
  for (int r = 0; r < v->comm->size; r++) {
    int64_t theirs = v->rows[(int64_t)r * (1 + v->slots)];
    if (theirs < lowest) lowest = theirs;
  }
  if (lowest < failed) st = RDD_OK; /* another rank has the error to report */
  if (lowest == INT64_MAX && v->comm->rank == 0) st = reserve_round(v, err);
  st = rdd_agree(v->comm, st, err);
  if (st) return st;
  rdd_part *swap = v->ready;
  v->ready = v->coming;
  v->coming = swap;
  return RDD_OK;
}

/* Bring round j of the wave to rank 0.                                    Collective. */
static void exchange_round(waves *v, int j) {
  int size = v->comm->size;
  int64_t *send = v->counts, *send_at = send + size, *recv = send_at + size, *recv_at = recv + size;
  memset(v->counts, 0, 4 * (size_t)size * sizeof *v->counts);
  if (v->comm->rank != 0) send[0] = (int64_t)v->ready[j].size;
  int64_t at = 0;
  for (int r = 1; r < size && v->comm->rank == 0; r++) {
    recv[r] = v->rows[(int64_t)r * (1 + v->slots) + 1 + j];
    recv_at[r] = at;
    at += recv[r];
  }
  rdd_alltoallv(v->comm, v->ready[j].bytes, send, send_at, v->received, recv, recv_at);
}

/* Rank 0: visit the partitions base, base + 1, ... of round j in order. Not collective. */
static rdd_status visit_round(waves *v, int64_t base, int j, rdd_err *err) {
  const int64_t *recv = v->counts + 2 * (int64_t)v->comm->size, *recv_at = recv + v->comm->size;
  rdd_status st = v->visit(v->arg, base, &v->ready[j], err);
  for (int r = 1; r < v->comm->size && base + r < v->r->partitions && !st; r++) {
    rdd_part part = {0};
    st = rdd_part_open(&part, &v->r->schema, v->received + recv_at[r], (size_t)recv[r], NULL, err);
    if (!st) st = v->visit(v->arg, base + r, &part, err);
    rdd_part_close(&part);
  }
  return st;
}

/* Exchange and visit the rounds of a wave that is ready. After a failure rank 0 still takes part in
 * the remaining exchanges; the status is for the next fence.              Collective. */
static rdd_status visit_wave(waves *v, int64_t wave, rdd_err *err) {
  rdd_status st = RDD_OK;
  for (int j = 0; j < v->slots; j++) {
    int64_t base = (wave * v->slots + j) * v->comm->size;
    if (base >= v->r->partitions) break;
    exchange_round(v, j);
    if (v->comm->rank == 0 && !st) st = visit_round(v, base, j, err);
    rdd_part_close(&v->ready[j]);
  }
  return st;
}

rdd_status rdd_visit(rdd *r, rdd_comm *comm, const rdd_run_opts *opts, rdd_visit_fn visit,
                     void *arg, rdd_counters *counters_out, rdd_err *err) {
  waves v = {.r = r, .comm = comm, .visit = visit, .arg = arg};
  int64_t slots = slots_of(opts, share(0, r->partitions, 0, comm->size));
  rdd_allreduce(comm, &slots, 1, RDD_MIN); /* the waves of all ranks are equally wide */
  v.slots = (int)slots;
  int64_t width = slots * comm->size, wave_count = (r->partitions + width - 1) / width;
  rdd_status st = rdd_agree(comm, waves_init(&v, opts, err), err);
  if (st) goto done;
  start_wave(&v, 0);
  for (int64_t w = 0; w < wave_count; w++) {
    st = finish_wave(&v, st, err);
    if (st) goto done;
    start_wave(&v, w + 1);
    st = visit_wave(&v, w, err);
  }
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  combine_tallies(comm, rdd_runner_tally(v.runner), counters_out);
done:
  waves_reset(&v);
  return st;
}
