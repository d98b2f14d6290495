/* Actions: what all ranks do together with the tasks of each. Between two fences a rank works
 * alone; what goes wrong there is carried, as a status, to the next fence, where all leave. */
#include "rdd/rdd_impl.h"

#include "rdd/memory.h"

#include <stdlib.h>
#include <string.h>

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

/* ---- Compute and count: each partition stays where it was computed ---- */

/* Parts as they come, in any order. */
typedef struct bag {
  rdd_parts *parts;
  int64_t room;
} bag;

static rdd_status put_in_bag(void *arg, int64_t partition, rdd_part *part, rdd_err *err) {
  bag *b = arg;
  rdd_parts *parts = b->parts;
  if (parts->n == b->room) {
    int64_t room = b->room ? 2 * b->room : 16;
    int64_t *number = rdd_realloc(parts->number, (size_t)room, sizeof *number);
    if (number) parts->number = number;
    rdd_part *more = number ? rdd_realloc(parts->part, (size_t)room, sizeof *more) : NULL;
    if (more) parts->part = more;
    if (!more) {
      rdd_part_close(part);
      return rdd_set(err, RDD_ENOMEM, "no memory for the table of %lld partitions",
                     (long long)room);
    }
    b->room = room;
  }
  int64_t i = parts->n++;
  for (; i > 0 && parts->number[i - 1] > partition; i--) { /* mostly it comes last */
    parts->number[i] = parts->number[i - 1];
    parts->part[i] = parts->part[i - 1];
  }
  parts->number[i] = partition;
  parts->part[i] = *part;
  return RDD_OK;
}

/* wanted == NULL: all. */
static rdd_status want_only(rdd_plan *plan, const int64_t *wanted, int64_t n, rdd_err *err) {
  int64_t np = plan->target->partitions;
  if (!wanted) return RDD_OK;
  memset(plan->want, false, (size_t)np * sizeof *plan->want);
  for (int64_t i = 0; i < n; i++) {
    if (wanted[i] < 0 || wanted[i] >= np)
      return rdd_set(err, RDD_EUSAGE, "%s has no partition %lld: expected 0 to %lld",
                     plan->target->name, (long long)wanted[i], (long long)np - 1);
    plan->want[wanted[i]] = true;
  }
  return RDD_OK;
}

rdd_status rdd_compute_some(rdd *r, rdd_comm *comm, const rdd_run_opts *opts, const int64_t *wanted,
                            int64_t n, rdd_parts **parts_out, rdd_counters *counters_out,
                            rdd_err *err) {
  rdd_plan plan;
  bag b = {.parts = rdd_calloc(1, sizeof *b.parts)};
  rdd_status st = rdd_plan_open(&plan, r, comm, opts, err);
  if (st) goto done;
  if (!b.parts) st = rdd_set(err, RDD_ENOMEM, "no memory for the partitions of %s", r->name);
  if (!st) st = want_only(&plan, wanted, n, err);
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  b.parts->schema = r->schema;
  st = rdd_plan_run(&plan, put_in_bag, &b, err);
  if (st) goto done;
  combine_tallies(comm, &plan.tally, counters_out);
  *parts_out = b.parts;
  b.parts = NULL;
done:
  rdd_plan_close(&plan);
  rdd_parts_free(b.parts);
  return st;
}

rdd_status rdd_compute(rdd *r, rdd_comm *comm, const rdd_run_opts *opts, rdd_parts **parts_out,
                       rdd_counters *counters_out, rdd_err *err) {
  return rdd_compute_some(r, comm, opts, NULL, 0, parts_out, counters_out, err);
}

static rdd_status count_only(void *arg, int64_t partition, rdd_part *part, rdd_err *err) {
  (void)arg, (void)partition, (void)err;
  rdd_part_close(part);
  return RDD_OK;
}

rdd_status rdd_count(rdd *r, rdd_comm *comm, const rdd_run_opts *opts, int64_t *rows_out,
                     rdd_err *err) {
  rdd_plan plan;
  rdd_status st = rdd_plan_open(&plan, r, comm, opts, err);
  if (!st) st = rdd_plan_run(&plan, count_only, NULL, err);
  int64_t rows = plan.tally.rows;
  rdd_plan_close(&plan);
  if (st) return st;
  rdd_allreduce(comm, &rows, 1, RDD_SUM);
  *rows_out = rows;
  return RDD_OK;
}

void rdd_parts_drop(rdd_parts *parts, int64_t i) {
  if (parts) rdd_part_close(&parts->part[i]);
}

void rdd_parts_free(rdd_parts *parts) {
  if (!parts) return;
  for (int64_t i = 0; i < parts->n; i++) rdd_part_close(&parts->part[i]);
  rdd_free(parts->part);
  rdd_free(parts->number);
  rdd_free(parts);
}

/* ---- Checkpoint ---- */

rdd_status rdd_checkpoint(rdd *r, rdd_comm *comm, const rdd_run_opts *opts, rdd_store *store,
                          uint64_t fingerprint, rdd_err *err) {
  rdd_plan plan;
  rdd_status st = RDD_OK;
  if (rdd_kept_on_disk(r) && (r->kept->store != store || r->kept->fingerprint != fingerprint))
    st = rdd_set(err, RDD_EUSAGE,
                 "%s is kept in another store already, and cannot be checkpointed in this one",
                 r->name);
  if (!st && !r->kept) st = rdd_kept_new(r, err);
  st = rdd_agree(comm, st, err);
  if (st) return st;
  if (r->kept->checkpointed) return RDD_OK;
  bool had_store = r->kept->store != NULL;
  r->kept->store = store;
  r->kept->fingerprint = fingerprint;

  st = rdd_plan_open(&plan, r, comm, opts, err);
  if (!st) st = rdd_plan_checkpoint(&plan, err);
  rdd_plan_close(&plan);
  if (st) {
    if (!had_store) r->kept->store = NULL;
    return st;
  }
  r->kept->checkpointed = true;
  for (int d = 0; d < r->deps; d++) rdd_release(r->dep[d].parent);
  r->deps = 0;
  return RDD_OK;
}

/* ---- Visit: partitions in waves, each brought to rank 0 ----
 *
 * Partition p runs on rank p % size, or where its blocks are. A wave is `slots` rounds of `size`:
 *
 *              rank 0   rank 1   rank 2
 *   round 0       0        1        2      \  wave 0
 *   round 1       3        4        5      /
 *   round 2       6        7        8         wave 1 ...
 *
 * One round is one exchange, and rank 0 visits it from left to right. The tasks of wave w + 1 run
 * while wave w is exchanged and visited. */
typedef struct waves {
  rdd_plan plan;
  rdd_comm *comm;
  int64_t first, last; /* partitions to visit: from first up to last */
  int64_t width;       /* partitions of a wave */
  rdd_runner *runner;
  rdd_stage stage;
  rdd_items items; /* what the tasks of the wave that runs compute; own ones are taken in turn */
  int64_t taken;
  int64_t begin;                 /* first partition of the wave that runs */
  rdd_part *ready, *coming;      /* [width] own parts of the wave that is exchanged, that runs */
  int *ready_home, *coming_home; /* [width] who has which */
  int64_t *bytes;                /* [width] sizes of the wave that is exchanged */
  int64_t *counts;               /* [4][size] for the exchange */
  char *gathered;                /* own parts of one round, where there are several */
  char *received;                /* rank 0: one round of the other ranks' parts */
  int64_t gathered_room, received_room;
  rdd_visit_fn visit;
  void *arg;
} waves;

static int64_t next_of_wave(void *arg) {
  waves *v = arg;
  while (v->taken < v->items.n) {
    int64_t i = v->taken++;
    if (v->items.home[i] == v->comm->rank) return v->items.partition[i];
  }
  return -1;
}

/* Partitions of this rank in the rest of the wave and in later ones, as far as can be told. */
static int64_t left_of_waves(void *arg) {
  const waves *v = arg;
  int64_t left = 0, later = v->last - (v->begin + v->width);
  for (int64_t i = v->taken; i < v->items.n; i++) left += v->items.home[i] == v->comm->rank;
  return later > v->comm->rank ? left + (later - v->comm->rank - 1) / v->comm->size + 1 : left;
}

static rdd_status take_part(void *arg, int64_t partition, rdd_part *part, bool stored,
                            const rdd_err *why, rdd_err *err) {
  waves *v = arg;
  rdd *target = v->plan.target;
  rdd_status st = RDD_OK;
  if (target->kept && !target->kept->stored[partition])
    st = rdd_plan_keep(&v->plan, target, partition, part, stored, why, false, err);
  v->plan.want[partition] = false;
  v->coming[partition - v->begin] = *part;
  return st;
}

static void lose_block(void *arg, const rdd *r, int64_t partition, const char *message) {
  rdd_plan_lose(&((waves *)arg)->plan, r, partition, message);
}

static rdd_status waves_init(waves *v, const rdd_run_opts *opts, int slots, rdd_err *err) {
  size_t width = (size_t)v->width;
  rdd_status st = rdd_items_new(&v->items, v->width, err);
  v->ready = rdd_calloc(width, sizeof *v->ready);
  v->coming = rdd_calloc(width, sizeof *v->coming);
  v->ready_home = rdd_calloc(width, sizeof *v->ready_home);
  v->coming_home = rdd_calloc(width, sizeof *v->coming_home);
  v->bytes = rdd_calloc(width, sizeof *v->bytes);
  v->counts = rdd_calloc(4 * (size_t)v->comm->size, sizeof *v->counts);
  if (st || !v->ready || !v->coming || !v->ready_home || !v->coming_home || !v->bytes || !v->counts)
    return rdd_set(err, RDD_ENOMEM, "no memory for waves of %zu partitions", width);
  memset(v->plan.want, false, (size_t)v->plan.target->partitions * sizeof *v->plan.want);
  for (int64_t p = v->first; p < v->last; p++) v->plan.want[p] = true;
  v->plan.deal = true;
  v->stage = (rdd_stage){.target = v->plan.target, .rank = v->comm->rank, .opts = opts};
  return rdd_runner_open(&v->runner, &v->stage, slots, &v->plan.tally, err);
}

static void waves_reset(waves *v) {
  rdd_runner_close(v->runner);
  for (int64_t i = 0; i < v->width; i++) {
    if (v->ready) rdd_part_close(&v->ready[i]);
    if (v->coming) rdd_part_close(&v->coming[i]);
  }
  rdd_items_free(&v->items);
  rdd_free(v->ready);
  rdd_free(v->coming);
  rdd_free(v->ready_home);
  rdd_free(v->coming_home);
  rdd_free(v->bytes);
  rdd_free(v->counts);
  rdd_free(v->gathered);
  rdd_free(v->received);
}

/* Begin the wave at v->begin, or go on with what it lacks: fork this rank's tasks, share its
 * blocks. The visit of the wave before has come to `st` on this rank. Past the last wave there is
 * nothing. Collective where blocks are kept. */
static rdd_status start_wave(waves *v, rdd_err *err) {
  rdd *target = v->plan.target;
  rdd_kept *kept = target->kept;
  int64_t end = v->begin + v->width < v->last ? v->begin + v->width : v->last;
  rdd_status st = RDD_OK;
  v->items.n = v->taken = 0;
  for (int64_t p = v->begin; p < end; p++) {
    if (!v->plan.want[p]) continue;
    if (kept && kept->holder[p] >= 0)
      v->coming_home[p - v->begin] = kept->holder[p];
    else
      v->items.partition[v->items.n++] = p;
  }
  if (v->plan.nodes > 0 || v->items.n > 0) st = rdd_plan_assign(&v->plan, target, &v->items, err);
  for (int64_t i = 0; i < v->items.n && !st; i++)
    v->coming_home[v->items.partition[i] - v->begin] = v->items.home[i];
  if (st) return st;
  for (int64_t p = v->begin; p < end && kept && !st; p++) {
    if (!v->plan.want[p] || kept->holder[p] != v->comm->rank) continue;
    st = rdd_kept_get(target, p, &v->coming[p - v->begin], err);
    if (st == RDD_EIO)
      rdd_plan_lose(&v->plan, target, p, err->message), st = RDD_OK;
    else if (!st)
      v->plan.want[p] = false;
  }
  if (!st) rdd_runner_start(v->runner);
  return st;
}

static rdd_status reserve(char **buffer, int64_t *room, int64_t bytes, rdd_err *err) {
  if (bytes <= *room) return RDD_OK;
  rdd_free(*buffer);
  *room = 0;
  *buffer = rdd_alloc((size_t)bytes, 1);
  if (!*buffer)
    return rdd_set(err, RDD_ENOMEM, "no memory to bring %lld bytes of partitions to rank 0",
                   (long long)bytes);
  *room = bytes;
  return RDD_OK;
}

/* Room for the largest round of the wave: rank 0 receives, the others may have to gather. */
static rdd_status reserve_rounds(waves *v, rdd_err *err) {
  int size = v->comm->size, me = v->comm->rank;
  int64_t most = 0, most_own = 0;
  for (int64_t i = 0; i < v->width; i += size) {
    int64_t bytes = 0, own = 0;
    for (int64_t k = i; k < i + size && k < v->width; k++) {
      if (v->ready_home[k] != 0) bytes += v->bytes[k];
      if (v->ready_home[k] == me && me != 0) own += v->bytes[k];
    }
    if (bytes > most) most = bytes;
    if (own > most_own) most_own = own;
  }
  if (me != 0) return reserve(&v->gathered, &v->gathered_room, most_own, err);
  return reserve(&v->received, &v->received_room, most, err);
}

/* End of the wave that runs: all ranks know its sizes, or leave with the error of its lowest
 * partition. visited: what visiting the wave before came to on this rank. Collective. */
static rdd_status finish_wave(waves *v, rdd_status visited, rdd_err *err) {
  rdd_status st = visited;
  for (bool again = true; again;) {
    int64_t failed = -1; /* before all partitions of this wave */
    if (!st) st = rdd_runner_finish(v->runner, &failed, err);
    st = rdd_plan_agree(&v->plan, st, failed, err);
    if (!st) st = rdd_plan_lost(&v->plan, &again, err);
    if (st) return st;
    if (again) st = rdd_plan_prepare(&v->plan, err);
    if (again && !st) st = start_wave(v, err);
    if (again && v->plan.nodes > 0) st = rdd_agree(v->comm, st, err);
    if (st) return st;
  }
  rdd_part *swap = v->ready;
  int *swap_home = v->ready_home;
  v->ready = v->coming, v->ready_home = v->coming_home;
  v->coming = swap, v->coming_home = swap_home;
  for (int64_t i = 0; i < v->width; i++) v->bytes[i] = (int64_t)v->ready[i].size;
  rdd_allreduce(v->comm, v->bytes, v->width, RDD_SUM);
  return rdd_agree(v->comm, reserve_rounds(v, err), err);
}

/* Bring the round from place i on to rank 0.                              Collective. */
static void exchange_round(waves *v, int64_t i) {
  int size = v->comm->size, me = v->comm->rank;
  int64_t *send = v->counts, *send_at = send + size, *recv = send_at + size, *recv_at = recv + size;
  const void *from = v->gathered;
  int64_t gathered = 0, at = 0;
  memset(v->counts, 0, 4 * (size_t)size * sizeof *v->counts);
  for (int64_t k = i; k < i + size && k < v->width; k++) {
    int home = v->ready_home[k];
    if (home == 0) continue;
    if (me == 0) recv[home] += v->bytes[k];
    if (me != home || v->bytes[k] == 0) continue;
    memcpy(v->gathered + gathered, v->ready[k].bytes, (size_t)v->bytes[k]);
    gathered += v->bytes[k];
  }
  send[0] = gathered;
  for (int r = 0; r < size; r++) {
    recv_at[r] = at;
    at += recv[r];
  }
  rdd_alltoallv(v->comm, from, send, send_at, v->received, recv, recv_at);
}

/* Rank 0: visit the partitions of a round in order. Not collective. */
static rdd_status visit_round(waves *v, int64_t base, int64_t i, rdd_err *err) {
  int64_t *at = v->counts + 3 * (int64_t)v->comm->size; /* where each rank's next part begins */
  rdd_status st = RDD_OK;
  for (int64_t k = i; k < i + v->comm->size && base + k < v->last && k < v->width && !st; k++) {
    int home = v->ready_home[k];
    rdd_part part = {0};
    if (home == 0) {
      st = v->visit(v->arg, base + k, &v->ready[k], err);
      continue;
    }
    st = rdd_part_open(&part, &v->plan.target->schema, v->received + at[home], (size_t)v->bytes[k],
                       NULL, err);
    at[home] += v->bytes[k];
    if (!st) st = v->visit(v->arg, base + k, &part, err);
    rdd_part_close(&part);
  }
  return st;
}

/* Exchange and visit the rounds of the wave that begins at `base` and is ready. After a failure
 * rank 0 still takes part in the remaining exchanges; the status is for the next fence.
 * Collective. */
static rdd_status visit_wave(waves *v, int64_t base, rdd_err *err) {
  rdd_status st = RDD_OK;
  for (int64_t i = 0; i < v->width && base + i < v->last; i += v->comm->size) {
    exchange_round(v, i);
    if (v->comm->rank == 0 && !st) st = visit_round(v, base, i, err);
    for (int64_t k = i; k < i + v->comm->size && k < v->width; k++) rdd_part_close(&v->ready[k]);
  }
  return st;
}

rdd_status rdd_visit_range(rdd *r, int64_t first, int64_t last, rdd_comm *comm,
                           const rdd_run_opts *opts, rdd_visit_fn visit, void *arg,
                           rdd_counters *counters_out, rdd_err *err) {
  waves v = {
      .comm = comm, .first = first, .last = last, .begin = first, .visit = visit, .arg = arg};
  int64_t np = last - first, most = (np + comm->size - 1) / comm->size;
  int64_t slots = opts->slots < most ? opts->slots : most;
  if (slots < 1) slots = 1;
  rdd_allreduce(comm, &slots, 1, RDD_MIN); /* the waves of all ranks are equally wide */
  v.width = slots * comm->size;
  rdd_status st = rdd_plan_open(&v.plan, r, comm, opts, err);
  if (st) goto done;
  st = rdd_agree(comm, waves_init(&v, opts, (int)slots, err), err);
  if (!st) st = rdd_plan_prepare(&v.plan, err);
  if (st) goto done;
  v.stage = rdd_plan_stage(&v.plan, r, NULL, np);
  v.stage.next = next_of_wave;
  v.stage.left = left_of_waves;
  v.stage.done = take_part;
  v.stage.lost = lose_block;
  v.stage.arg = &v;
  st = rdd_agree(comm, start_wave(&v, err), err);
  if (st) goto done;
  for (int64_t base = first; base < last; base += v.width) {
    st = finish_wave(&v, st, err);
    if (st) goto done;
    v.begin = base + v.width;
    rdd_err later;
    rdd_status started = start_wave(&v, &later);
    st = visit_wave(&v, base, err);
    if (!st && started) st = started, *err = later;
  }
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  rdd_plan_settle(&v.plan);
  combine_tallies(comm, &v.plan.tally, counters_out);
done:
  waves_reset(&v);
  rdd_plan_close(&v.plan);
  return st;
}

rdd_status rdd_visit(rdd *r, rdd_comm *comm, const rdd_run_opts *opts, rdd_visit_fn visit,
                     void *arg, rdd_counters *counters_out, rdd_err *err) {
  return rdd_visit_range(r, 0, r->partitions, comm, opts, visit, arg, counters_out, err);
}
