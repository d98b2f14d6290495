/* Stages. An action computes a target; what of its lineage is kept (persisted, or the result of a
 * wide dependency) is a boundary: the blocks behind it that are needed and not there are computed
 * first, each boundary in a stage of its own, parents before children.
 *
 * All ranks know who has which block, so all make the same plan. When a block turns out to be lost
 * (gone or damaged), the stage ends without the partitions that needed it, every rank learns of it,
 * and the plan is made again: now the block is missing, so it is computed, it and what it needs;
 * what was done is not done again. */
#include "rdd/rdd_impl.h"

#include "rdd/memory.h"

#include <stdlib.h>
#include <string.h>

enum { NEEDED = 1, TOLD = 2 };

/* ---- Opening and closing ---- */

static rdd_status no_memory(const rdd_plan *plan, rdd_err *err) {
  return rdd_set(err, RDD_ENOMEM, "no memory to plan the stages of %s", plan->target->name);
}

static const char *kept_text(const rdd *r) {
  if (!r->kept) return "";
  if (r->kept->checkpointed) return "checkpointed";
  return r->kept->level == RDD_LEVEL_NONE ? "" : rdd_level_name(r->kept->level);
}

/* list[n] is of a walk: parents first. */
static void tell_lineage(const rdd_plan *plan, rdd *const *list, int64_t n) {
  _Static_assert(RDD_MAX_DEPS == 2, "an event has room for all parents");
  if (!plan->opts->event) return;
  for (int64_t i = 0; i < n; i++) {
    const rdd *r = list[i];
    list[i]->mark = i;
    rdd_event event = {.kind = RDD_LINEAGE,
                       .rdd = r->name,
                       .partition = r->partitions,
                       .slot = -1,
                       .node = i,
                       .parent = {-1, -1},
                       .wide = rdd_is_wide(r),
                       .message = kept_text(r)};
    for (int d = 0; d < r->deps; d++) event.parent[d] = r->dep[d].parent->mark;
    rdd_tell(plan->opts, event);
  }
  for (int64_t i = 0; i < n; i++) list[i]->mark = -1;
}

static rdd_status open_here(rdd_plan *plan, rdd_err *err) {
  rdd **list;
  size_t np = (size_t)plan->target->partitions;
  int64_t all = rdd_walk(plan->target, &list);
  if (!list) return no_memory(plan, err);
  tell_lineage(plan, list, all);
  for (int64_t i = 0; i < all; i++) {
    if (!list[i]->kept) continue;
    list[i]->place = plan->nodes;
    list[plan->nodes++] = list[i];
  }
  plan->node = list;
  plan->need = rdd_calloc((size_t)plan->nodes, sizeof *plan->need);
  for (int64_t k = 0; k < plan->nodes && plan->need; k++) {
    plan->need[k] = rdd_calloc((size_t)list[k]->partitions, 1);
    if (!plan->need[k]) return no_memory(plan, err);
  }
  plan->want = rdd_alloc(np, sizeof *plan->want);
  plan->wire = rdd_alloc(np, sizeof *plan->wire);
  if (!plan->need || !plan->want || !plan->wire) return no_memory(plan, err);
  memset(plan->want, true, np);
  return RDD_OK;
}

rdd_status rdd_plan_open(rdd_plan *plan, rdd *target, rdd_comm *comm, const rdd_run_opts *opts,
                         rdd_err *err) {
  *plan = (rdd_plan){.target = target, .comm = comm, .opts = opts};
  plan->tally.note_partition = INT64_MAX;
  return rdd_agree(comm, open_here(plan, err), err);
}

void rdd_plan_close(rdd_plan *plan) {
  for (int64_t k = 0; k < plan->nodes; k++) {
    rdd_kept_trim(plan->node[k]);
    if (plan->need) rdd_free(plan->need[k]);
  }
  rdd_free(plan->need);
  rdd_free(plan->node);
  rdd_free(plan->want);
  rdd_free(plan->wire);
}

/* ---- Who needs what ---- */

/* A block is used: told once, by the rank that has it or answers for it. */
static void tell_found(rdd_plan *plan, const rdd *r, int64_t p) {
  uint8_t *need = &plan->need[r->place][p];
  if (*need & TOLD) return;
  *need |= TOLD;
  int holder = r->kept->holder[p];
  if (holder < 0) holder = rdd_range_owner(r, p, plan->comm->size);
  if (holder != plan->comm->rank) return;
  rdd_tell(plan->opts, (rdd_event){.kind = RDD_BLOCK_FOUND,
                                   .rdd = r->name,
                                   .stage = plan->stages,
                                   .partition = p,
                                   .slot = -1,
                                   .rows = r->kept->part[p].rows,
                                   .bytes = (int64_t)r->kept->part[p].size});
}

static rdd_status irrecoverable(const rdd *r, int64_t p, rdd_err *err) {
  return rdd_set(err, RDD_EIO,
                 "partition %lld of %s was checkpointed, and its block is gone or damaged: its "
                 "lineage is cut, so it cannot be computed again",
                 (long long)p, r->name);
}

/* Mark what is needed, from the target back to blocks that are there. Not collective, and the same
 * on all ranks. */
static rdd_status mark_needs(rdd_plan *plan, rdd_err *err) {
  rdd_spots stack = {0};
  rdd_status st = RDD_OK;
  for (int64_t k = 0; k < plan->nodes; k++)
    for (int64_t p = 0; p < plan->node[k]->partitions; p++) plan->need[k][p] &= TOLD;
  for (int64_t p = 0; p < plan->target->partitions && !st; p++) {
    bool ok = !plan->want[p] || rdd_spots_push(&stack, plan->target, p);
    while (stack.n > 0 && ok && !st) {
      rdd_spot s = stack.at[--stack.n];
      if (s.node->kept) {
        uint8_t *need = &plan->need[s.node->place][s.partition];
        if (*need & NEEDED) continue;
        *need |= NEEDED;
        if (rdd_kept_anywhere(s.node, s.partition)) {
          tell_found(plan, s.node, s.partition);
          continue;
        }
        if (s.node->kept->checkpointed) st = irrecoverable(s.node, s.partition, err);
      }
      if (!st) ok = rdd_spots_push_parents(&stack, s.node, s.partition);
    }
    if (!ok) st = no_memory(plan, err);
  }
  rdd_free(stack.at);
  return st;
}

/* ---- Running one stage ---- */

rdd_stage rdd_plan_stage(rdd_plan *plan, const rdd *target, const rdd *deal_to, int64_t n) {
  rdd_stage stage = {.target = target,
                     .deal_to = deal_to,
                     .number = plan->stages++,
                     .store = !deal_to && rdd_kept_on_disk(target),
                     .rank = plan->comm->rank,
                     .opts = plan->opts};
  rdd_tell(plan->opts, (rdd_event){.kind = RDD_STAGE_STARTED,
                                   .rdd = deal_to ? deal_to->name : target->name,
                                   .stage = stage.number,
                                   .partition = n,
                                   .slot = -1});
  return stage;
}

/* What a stage tells its caller goes through here. */
typedef struct running {
  rdd_plan *plan;
  rdd_queue *queue;
  rdd_result_fn done;
  void *arg;
} running;

static int64_t next_partition(void *arg) {
  return rdd_queue_next(((running *)arg)->queue);
}

static int64_t partitions_left(void *arg) {
  return rdd_queue_left(((running *)arg)->queue);
}

static void took(void *arg, double seconds) {
  rdd_queue_took(((running *)arg)->queue, seconds);
}

static double median(void *arg, double *done_out) {
  return rdd_queue_median(((running *)arg)->queue, done_out);
}

static rdd_status hand_on(void *arg, int64_t partition, rdd_part *part, bool stored,
                          const rdd_err *why, rdd_err *err) {
  running *r = arg;
  return r->done(r->arg, partition, part, stored, why, err);
}

void rdd_plan_lose(rdd_plan *plan, const rdd *r, int64_t partition, const char *message) {
  plan->lost = true;
  if (!r->kept || r->kept->lost[partition]) return;
  r->kept->lost[partition] = true;
  rdd_tell(plan->opts, (rdd_event){.kind = RDD_BLOCK_LOST,
                                   .rdd = r->name,
                                   .stage = plan->stages - 1,
                                   .partition = partition,
                                   .slot = -1,
                                   .message = message});
}

static void lose(void *arg, const rdd *r, int64_t partition, const char *message) {
  rdd_plan_lose(((running *)arg)->plan, r, partition, message);
}

rdd_status rdd_plan_agree(rdd_plan *plan, rdd_status status, int64_t failed, rdd_err *err) {
  int64_t lowest = status ? failed : INT64_MAX;
  rdd_allreduce(plan->comm, &lowest, 1, RDD_MIN);
  if (status && failed > lowest) status = RDD_OK; /* another rank has the error to report */
  return rdd_agree(plan->comm, status, err);
}

rdd_status rdd_plan_run_stage(rdd_plan *plan, rdd_stage stage, const rdd_items *items,
                              rdd_result_fn done, void *arg, rdd_tally *tally, rdd_err *err) {
  running run = {.plan = plan, .done = done, .arg = arg};
  rdd_runner *runner = NULL;
  int64_t failed = -1; /* before all partitions */
  stage.next = next_partition;
  stage.left = partitions_left;
  stage.took = took;
  stage.median = median;
  stage.done = hand_on;
  stage.lost = lose;
  stage.arg = &run;
  rdd_status st = rdd_queue_open(&run.queue, plan->comm, items->partition, items->home,
                                 items->fixed, items->n, err);
  if (st) return st;
  int slots = plan->opts->slots < items->n ? plan->opts->slots : (int)items->n;
  st = rdd_runner_open(&runner, &stage, slots > 1 ? slots : 1, tally, err);
  if (!st) {
    rdd_runner_start(runner);
    st = rdd_runner_finish(runner, &failed, err);
  }
  rdd_runner_close(runner);
  st = rdd_plan_agree(plan, st, failed, err);
  rdd_queue_close(run.queue);
  return st;
}

void rdd_plan_count(rdd_plan *plan, const rdd_tally *tally) {
  for (int c = 0; c < RDD_COUNTERS; c++) plan->tally.value[c] += tally->value[c];
  if (tally->note_partition >= plan->tally.note_partition) return;
  plan->tally.note_partition = tally->note_partition;
  memcpy(plan->tally.note, tally->note, sizeof tally->note);
}

/* ---- Boundaries ---- */

rdd_status rdd_plan_keep(rdd_plan *plan, rdd *r, int64_t partition, const rdd_part *part,
                         bool stored, const rdd_err *why, bool must, rdd_err *err) {
  rdd_event event = {.kind = RDD_BLOCK_STORED,
                     .rdd = r->name,
                     .stage = plan->stages - 1,
                     .partition = partition,
                     .slot = -1,
                     .rows = part->rows,
                     .bytes = (int64_t)part->size};
  rdd_status st = rdd_kept_put(r, part, partition, stored, err);
  if (st) return st;
  if (stored || rdd_kept_in_memory(r)) rdd_tell(plan->opts, event);
  if (!why) return RDD_OK;
  if (must) {
    *err = *why;
    return err->code;
  }
  event.kind = RDD_BLOCK_LOST;
  event.message = why->message;
  rdd_tell(plan->opts, event);
  return RDD_OK;
}

typedef struct keeping {
  rdd_plan *plan;
  rdd *r;
  bool must; /* be stored */
} keeping;

static rdd_status keep_block(void *arg, int64_t partition, rdd_part *part, bool stored,
                             const rdd_err *why, rdd_err *err) {
  keeping *k = arg;
  rdd_status st = rdd_plan_keep(k->plan, k->r, partition, part, stored, why, k->must, err);
  rdd_part_close(part);
  return st;
}

/* The blocks of node k that are needed and not there (or not in the store yet). Collective. */
static rdd_status run_boundary(rdd_plan *plan, int64_t k, bool to_store, bool must, rdd_err *err) {
  rdd *r = plan->node[k];
  keeping keep = {.plan = plan, .r = r, .must = must};
  rdd_items items;
  rdd_tally tally = {.note_partition = INT64_MAX};
  rdd_status st = rdd_agree(plan->comm, rdd_items_new(&items, r->partitions, err), err);
  if (st) goto done;
  for (int64_t p = 0; p < r->partitions; p++)
    if (plan->need[k][p] & NEEDED && (to_store ? !r->kept->stored[p] : !rdd_kept_anywhere(r, p)))
      items.partition[items.n++] = p;
  if (items.n == 0) goto done;
  st = rdd_plan_assign(plan, r, &items, err);
  if (st) goto done;
  rdd_stage stage = rdd_plan_stage(plan, r, NULL, items.n);
  st = rdd_plan_run_stage(plan, stage, &items, keep_block, &keep, &tally, err);
  rdd_plan_count(plan, &tally);
  if (!st) rdd_kept_refresh(r, plan->comm, plan->opts);
done:
  rdd_items_free(&items);
  return st;
}

/* Is a needed block of node k missing? The same on all ranks. */
static bool misses(const rdd_plan *plan, int64_t k) {
  const rdd *r = plan->node[k];
  for (int64_t p = 0; p < r->partitions; p++)
    if (plan->need[k][p] & NEEDED && !rdd_kept_anywhere(r, p)) return true;
  return false;
}

/* Collective, and on all ranks the same way out. */
static rdd_status any_lost(rdd_plan *plan, bool *again_out, rdd_err *err) {
  int64_t lost = plan->lost;
  rdd_allreduce(plan->comm, &lost, 1, RDD_MAX);
  plan->lost = false;
  *again_out = lost;
  int most = plan->opts->max_failures > 0 ? plan->opts->max_failures : RDD_MAX_FAILURES;
  if (!lost || ++plan->resubmits < most) return RDD_OK;
  return rdd_agree(plan->comm,
                   rdd_set(err, RDD_ETASK, "blocks that %s needs were lost %d times in a row",
                           plan->target->name, most),
                   err);
}

rdd_status rdd_plan_prepare(rdd_plan *plan, rdd_err *err) {
  rdd_status st = RDD_OK;
  bool again = plan->nodes > 0;
  while (again) {
    for (int64_t k = 0; k < plan->nodes; k++)
      rdd_kept_refresh(plan->node[k], plan->comm, plan->opts);
    st = rdd_agree(plan->comm, mark_needs(plan, err), err);
    again = false;
    for (int64_t k = 0; k < plan->nodes && !st && !again; k++) {
      rdd *r = plan->node[k];
      if (!misses(plan, k)) continue;
      bool wide = rdd_is_wide(r);
      if (wide)
        st = rdd_wide_run(plan, r, err);
      else if (r != plan->target)
        st = run_boundary(plan, k, false, !rdd_kept_in_memory(r), err);
      if (!st) st = any_lost(plan, &again, err);
      if (st || again || !wide || !rdd_kept_on_disk(r)) continue;
      st = run_boundary(plan, k, true, !rdd_kept_in_memory(r), err);
      if (!st) st = any_lost(plan, &again, err);
    }
    if (st) return st;
  }
  return RDD_OK;
}

/* ---- The action's own stage ---- */

typedef struct final {
  rdd_plan *plan;
  rdd_done_fn done;
  void *arg;
} final;

static rdd_status finish_partition(void *arg, int64_t partition, rdd_part *part, bool stored,
                                   const rdd_err *why, rdd_err *err) {
  final *f = arg;
  rdd *target = f->plan->target;
  rdd_status st = RDD_OK;
  if (target->kept && !rdd_kept_anywhere(target, partition))
    st = rdd_plan_keep(f->plan, target, partition, part, stored, why, false, err);
  if (st) {
    rdd_part_close(part);
    return st;
  }
  f->plan->want[partition] = false;
  return f->done(f->arg, partition, part, err);
}

/* Partitions of the target that are in this rank's memory need no task. Not collective. */
static rdd_status share_blocks(final *f, int64_t *failed, rdd_err *err) {
  rdd_plan *plan = f->plan;
  rdd *target = plan->target;
  rdd_status st = RDD_OK;
  for (int64_t p = 0; p < target->partitions && target->kept && !st; p++) {
    if (!plan->want[p] || target->kept->holder[p] != plan->comm->rank) continue;
    rdd_part part = {0};
    *failed = p;
    st = rdd_kept_get(target, p, &part, err);
    if (st == RDD_EIO) {
      rdd_plan_lose(plan, target, p, err->message);
      st = RDD_OK;
    } else if (!st) {
      plan->tally.rows += part.rows;
      plan->want[p] = false;
      st = f->done(f->arg, p, &part, err);
    }
  }
  return st;
}

/* One round: what is not in some rank's memory is a task's. Collective. */
static rdd_status run_wanted(final *f, rdd_err *err) {
  rdd_plan *plan = f->plan;
  rdd *target = plan->target;
  rdd_items items = {0};
  int64_t failed = -1;
  rdd_status st = rdd_items_new(&items, target->partitions, err);
  for (int64_t p = 0; p < target->partitions && !st; p++)
    if (plan->want[p] && !(target->kept && target->kept->holder[p] >= 0))
      items.partition[items.n++] = p;
  if (!st) st = share_blocks(f, &failed, err);
  st = rdd_plan_agree(plan, st, failed, err);
  if (st || items.n == 0) goto done;
  st = rdd_plan_assign(plan, target, &items, err);
  if (st) goto done;
  rdd_stage stage = rdd_plan_stage(plan, target, NULL, items.n);
  st = rdd_plan_run_stage(plan, stage, &items, finish_partition, f, &plan->tally, err);
done:
  rdd_items_free(&items);
  return st;
}

rdd_status rdd_plan_lost(rdd_plan *plan, bool *again_out, rdd_err *err) {
  *again_out = false;
  if (plan->nodes == 0) return RDD_OK; /* nothing is kept, so nothing can be lost */
  rdd_status st = any_lost(plan, again_out, err);
  int64_t n = plan->target->partitions;
  if (st || !*again_out) return st;
  for (int64_t p = 0; p < n; p++) plan->wire[p] = plan->want[p];
  rdd_allreduce(plan->comm, plan->wire, n, RDD_MIN); /* what one rank has done is not wanted */
  for (int64_t p = 0; p < n; p++) plan->want[p] = plan->wire[p];
  return RDD_OK;
}

rdd_status rdd_plan_run(rdd_plan *plan, rdd_done_fn done, void *arg, rdd_err *err) {
  final f = {.plan = plan, .done = done, .arg = arg};
  bool again;
  do {
    rdd_status st = rdd_plan_prepare(plan, err);
    if (!st) st = run_wanted(&f, err);
    if (!st) st = rdd_plan_lost(plan, &again, err);
    if (st) return st;
  } while (again);
  rdd_plan_settle(plan);
  return RDD_OK;
}

void rdd_plan_settle(rdd_plan *plan) {
  if (plan->target->kept) rdd_kept_refresh(plan->target, plan->comm, plan->opts);
}

rdd_status rdd_plan_checkpoint(rdd_plan *plan, rdd_err *err) {
  rdd *r = plan->target;
  bool again;
  do { /* what can be found is found, what is missing is computed as for a boundary */
    rdd_status st = rdd_plan_prepare(plan, err);
    if (!st) st = run_boundary(plan, r->place, true, true, err);
    if (!st) st = any_lost(plan, &again, err);
    if (st) return st;
  } while (again);
  return RDD_OK;
}
