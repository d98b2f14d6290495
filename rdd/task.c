/* A task, seen from inside: one partition of a piece of lineage, in a child of its own.
 *
 *   source --emit--> batch --step--> batch --step--> ... --append--> segment in a memory file
 *
 * One batch goes all the way down before the source makes the next, so a task holds one batch for
 * each step and never a whole partition; only where a function takes whole partitions (zip) are
 * those of its parents made first. Blocks that are kept stand for the lineage behind them. Steps and
 * parts are not freed: the child ends with _exit(). */
#include "rdd/rdd_impl.h"

#include "rdd/memory.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ALIGNMENT = 64, CHUNK_BYTES = 1 << 20 };

/* Scratch for one batch: a list of chunks, handed out front to back. After a batch that needed
 * several, they are replaced by one of the same total, so that in the long run there is one. */
typedef struct chunk chunk;
struct chunk {
  chunk *next;
  size_t room, used;
  _Alignas(ALIGNMENT) char bytes[];
};

/* Where rows end: in a segment, or dealt to partitions. */
typedef struct sink {
  rdd_segment *segment;
  rdd_deal *deal;
} sink;

/* Partition `partition` of node has to go through the steps from `above` on into a sink. */
typedef struct work work;
struct work {
  work *next; /* the one that comes after it */
  const rdd *node;
  int64_t partition;
  rdd_step *above;
  sink *into;
  rdd_part *input[RDD_MAX_DEPS]; /* for a function of parts, */
  sink *made[RDD_MAX_DEPS];      /* or where they are made */
  bool ready;                    /* they are there */
};

struct rdd_task {
  const rdd_order *order;
  rdd_report *report;
  work *todo;      /* a stack */
  rdd_step *above; /* of the pipeline that runs: */
  sink *into;
  bool struck;       /* the fault on purpose has been committed */
  chunk *scratch;    /* the newest first */
  size_t chunk_room; /* of the next chunk */
};

/* Returns how much there was. */
static size_t free_scratch(rdd_task *task) {
  size_t total = 0;
  while (task->scratch) {
    chunk *next = task->scratch->next;
    total += task->scratch->room;
    rdd_free(task->scratch);
    task->scratch = next;
  }
  return total;
}

static void reset_scratch(rdd_task *task) {
  chunk *first = task->scratch;
  if (!first) return;
  if (first->next)
    task->chunk_room = free_scratch(task);
  else
    first->used = 0;
}

void *rdd_task_scratch(rdd_task *task, size_t n, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX / 2) return NULL;
  bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  chunk *c = task->scratch;
  if (!c || bytes > c->room - c->used) {
    size_t room = bytes > task->chunk_room ? bytes : task->chunk_room;
    c = rdd_alloc(sizeof *c + room, 1);
    if (!c) return NULL;
    c->next = task->scratch;
    c->room = room;
    c->used = 0;
    task->scratch = c;
  }
  void *p = c->bytes + c->used;
  c->used += bytes;
  return p;
}

/* ---- Faults on purpose ---- */

/* In the middle of the work: after the first batch, or at the end where there was none. */
static rdd_status strike(rdd_task *task, rdd_err *err) {
  const rdd_fault *fault = &task->order->fault;
  if (task->struck) return RDD_OK;
  task->struck = true;
  switch (fault->kind) {
  case RDD_FAULT_SIGNAL:
    signal(fault->number, SIG_DFL);
    raise(fault->number);
    break;
  case RDD_FAULT_EXIT:
    _exit(fault->number);
  case RDD_FAULT_HANG:
    for (;;) pause();
  case RDD_FAULT_ERROR:
    return rdd_set(err, RDD_EDATA, "partition %lld of %s: injected error",
                   (long long)task->order->partition, task->order->target->name);
  case RDD_FAULT_CORRUPT: /* when there is a result */
  case RDD_FAULT_NONE:
    break;
  }
  return RDD_OK;
}

/* Change the last byte of the result, after its checksum was made. */
static void damage(int fd) {
  struct stat file;
  unsigned char byte;
  if (fstat(fd, &file) != 0 || file.st_size == 0) return;
  if (pread(fd, &byte, 1, file.st_size - 1) != 1) return;
  byte ^= 1;
  ssize_t ignored = pwrite(fd, &byte, 1, file.st_size - 1);
  (void)ignored;
}

/* ---- The pipeline ---- */

rdd_status rdd_task_emit(rdd_task *task, const rdd_batch *batch, rdd_err *err) {
  rdd_batch in = *batch;
  rdd_status st = RDD_OK;
  const rdd *caller = task->report->inside;
  for (rdd_step *step = task->above; step && in.rows != 0 && !st; step = step->next) {
    rdd_batch out = {0};
    task->report->inside = step->node;
    st = step->node->compute.step(step, task, &in, &out, err);
    step->rows += in.rows;
    in = out;
  }
  task->report->inside = caller;
  if (!st && in.rows != 0)
    st = task->into->deal ? rdd_deal_add(task->into->deal, task, &in, err)
                          : rdd_segment_append(task->into->segment, &in, err);
  reset_scratch(task);
  return st ? st : strike(task, err);
}

static rdd_status out_of_memory(const rdd *node, rdd_err *err) {
  return rdd_set(err, RDD_ENOMEM, "no memory for a task of %s", node->name);
}

static rdd_status lose(rdd_task *task, const rdd *r, int64_t partition, rdd_status status) {
  task->report->lost_partition = partition;
  task->report->lost = r;
  return status;
}

/* A block instead of what it was computed from. One in memory is not verified yet; a store gives
 * what it has verified. */
static rdd_status read_block(rdd_task *task, const rdd *r, int64_t partition,
                             const rdd_part **part_out, rdd_err *err) {
  *part_out = &r->kept->part[partition];
  if ((*part_out)->bytes) return RDD_OK;
  rdd_block block = rdd_kept_block(r, partition);
  rdd_part *copy = rdd_calloc(1, sizeof *copy);
  if (!copy) return out_of_memory(r, err);
  *part_out = copy;
  lose(task, r, partition, RDD_OK); /* until it is read: what is damaged may kill its reader */
  task->report->reading = true;
  rdd_status st = r->kept->store->get(r->kept->store, &block, &r->schema, copy, err);
  task->report->reading = false;
  task->report->lost = NULL;
  return st == RDD_EIO || st == RDD_ENOINPUT ? lose(task, r, partition, st) : st;
}

/* All of it, verified. */
static rdd_status read_whole_block(rdd_task *task, const rdd *r, int64_t partition,
                                   const rdd_part **part_out, rdd_err *err) {
  rdd_status st = read_block(task, r, partition, part_out, err);
  if (st || !r->kept->part[partition].bytes) return st;
  st = rdd_part_verify(*part_out, err);
  return st ? lose(task, r, partition, st) : RDD_OK;
}

/* The batches of a block go down the chain. One in memory is verified batch by batch, just before
 * each is used, so that it comes from memory once; what was emitted before a damaged batch is lost
 * with the task. */
static rdd_status emit_block(rdd_task *task, const rdd *r, int64_t partition, rdd_err *err) {
  const rdd_part *part = NULL;
  rdd_status st = read_block(task, r, partition, &part, err);
  if (st) return st;
  bool unverified = r->kept->part[partition].bytes != NULL;
  int64_t at = 0;
  if (unverified) st = rdd_part_verify_next(part, &at, err); /* the header */
  if (st) return lose(task, r, partition, st);
  for (int64_t b = 0; b < part->batches && !st; b++) {
    if (unverified && (st = rdd_part_verify_next(part, &at, err)))
      return lose(task, r, partition, st);
    st = rdd_task_emit(task, &part->batch[b], err);
  }
  return st;
}

static rdd_status push(rdd_task *task, work w) {
  work *copy = rdd_alloc(1, sizeof *copy);
  if (!copy) return RDD_ENOMEM;
  w.next = task->todo;
  *copy = w;
  task->todo = copy;
  return RDD_OK;
}

/* A function of whole partitions: it runs when those that are no blocks have been made. */
static rdd_status push_parts(rdd_task *task, const rdd *node, int64_t p, const work *w,
                             rdd_err *err) {
  work after = {.node = node, .partition = p, .above = w->above, .into = w->into, .ready = true};
  rdd_status st = RDD_OK;
  for (int d = 0; d < node->deps && !st; d++) {
    const rdd *parent = node->dep[d].parent;
    if (rdd_kept_here(parent, p)) {
      const rdd_part *block = NULL;
      st = read_whole_block(task, parent, p, &block, err);
      after.input[d] = (rdd_part *)(uintptr_t)block;
    } else {
      after.made[d] = rdd_calloc(1, sizeof *after.made[d]);
      if (!after.made[d]) return out_of_memory(node, err);
      st = rdd_segment_new(&after.made[d]->segment, &parent->schema, -1, err);
    }
  }
  if (st) return st;
  if (push(task, after)) return out_of_memory(node, err);
  for (int d = node->deps - 1; d >= 0; d--)
    if (after.made[d] &&
        push(task, (work){.node = node->dep[d].parent, .partition = p, .into = after.made[d]}))
      return out_of_memory(node, err);
  return RDD_OK;
}

static rdd_status run_parts(rdd_task *task, const work *w, rdd_err *err) {
  const rdd_part *in[RDD_MAX_DEPS] = {NULL};
  for (int d = 0; d < w->node->deps; d++) {
    in[d] = w->input[d];
    if (!w->made[d]) continue;
    rdd_part *part = rdd_calloc(1, sizeof *part);
    void *bytes;
    size_t size;
    if (!part) return out_of_memory(w->node, err);
    rdd_status st = rdd_segment_finish(w->made[d]->segment, &bytes, &size, err);
    if (!st) st = rdd_part_open(part, &w->node->dep[d].parent->schema, bytes, size, NULL, err);
    if (st) return st;
    in[d] = part;
  }
  task->report->inside = w->node;
  rdd_status st = w->node->compute.parts(w->node->compute.arg, in, task, err);
  task->report->inside = NULL;
  return st;
}

/* Rows are passed on: from one partition of one parent (true, with which), or from several, which
 * are then to be done one after the other. */
static bool follow(rdd_task *task, const rdd **node, int64_t *partition, const work *w,
                   rdd_status *st, rdd_err *err) {
  const rdd *r = *node;
  int64_t p = *partition, found = 0, begin, end;
  for (int d = 0; d < r->deps; d++) {
    rdd_dep_range(r, &r->dep[d], p, &begin, &end);
    if (end > begin) *node = r->dep[d].parent, *partition = begin;
    found += end - begin;
  }
  if (found == 1) return true;
  for (int d = r->deps - 1; d >= 0 && found > 1; d--) {
    rdd_dep_range(r, &r->dep[d], p, &begin, &end);
    for (int64_t q = end - 1; q >= begin; q--) {
      work one = {.node = r->dep[d].parent, .partition = q, .above = w->above, .into = w->into};
      if (!push(task, one)) continue;
      *st = out_of_memory(r, err);
      return false;
    }
  }
  return false;
}

/* Go up the lineage, collecting steps, to where rows come from, and let them come. */
static rdd_status run_pipeline(rdd_task *task, work *w, rdd_err *err) {
  const rdd *node = w->node;
  int64_t p = w->partition;
  rdd_status st = RDD_OK;
  for (;;) {
    if (rdd_kept_here(node, p)) {
      task->above = w->above, task->into = w->into;
      return emit_block(task, node, p, err);
    }
    if (node->compute.source) {
      task->above = w->above, task->into = w->into;
      return node->compute.source(node->compute.arg, p, task, err);
    }
    if (node->compute.parts) return push_parts(task, node, p, w, err);
    if (rdd_is_wide(node)) {
      rdd_set(err, RDD_EIO, "its rows are not here");
      return lose(task, node, p, RDD_EIO);
    }
    if (node->compute.step) {
      rdd_step *step = rdd_calloc(1, sizeof *step);
      if (!step) return out_of_memory(node, err);
      *step = (rdd_step){.node = node, .partition = p, .next = w->above};
      w->above = step;
      node = node->dep[0].parent;
    } else if (!follow(task, &node, &p, w, &st, err)) {
      return st;
    }
  }
}

int64_t rdd_task_partition(const rdd_task *task) {
  return task->order->partition;
}

int rdd_task_attempt(const rdd_task *task) {
  return task->order->attempt;
}

void rdd_task_count(rdd_task *task, int counter, int64_t n) {
  if (counter >= 0 && counter < RDD_COUNTERS) task->report->counter[counter] += n;
}

void rdd_task_note(rdd_task *task, const char *format, ...) {
  if (task->report->note[0]) return;
  va_list args;
  va_start(args, format);
  vsnprintf(task->report->note, sizeof task->report->note, format, args);
  va_end(args);
}

/* What is stored is what the rank will map. A store that fails does not spoil the result. */
static void store_result(const rdd_order *order, int fd, size_t size, rdd_report *report) {
  const rdd *target = order->target;
  rdd_part part = {0};
  rdd_err *err = &report->store_err;
  rdd_status st = RDD_OK;
  void *bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
  if (bytes == MAP_FAILED) st = rdd_set(err, RDD_ENOMEM, "cannot map %zu bytes", size);
  if (!st) st = rdd_part_open(&part, &target->schema, bytes, size, NULL, err);
  rdd_block block = rdd_kept_block(target, order->partition);
  if (!st) st = target->kept->store->put(target->kept->store, &block, &target->schema, &part, err);
  report->stored = st == RDD_OK;
  report->store_failed = st != RDD_OK;
}

void rdd_task_run(const rdd_order *order, int fd, rdd_report *report) {
  rdd_task task = {.order = order, .report = report, .chunk_room = CHUNK_BYTES};
  sink result = {0};
  rdd_err *err = &report->err;
  size_t size = 0;
  rdd_status st = order->deal_to
                      ? rdd_deal_new(&result.deal, order->deal_to, err)
                      : rdd_segment_new(&result.segment, &order->target->schema, fd, err);
  work all = {.node = order->target, .partition = order->partition, .into = &result};
  if (!st && push(&task, all)) st = out_of_memory(order->target, err);
  while (task.todo && !st) {
    work *w = task.todo;
    task.todo = w->next;
    task.above = w->above, task.into = w->into;
    st = w->ready ? run_parts(&task, w, err) : run_pipeline(&task, w, err);
    rdd_free(w);
  }
  if (!st) st = strike(&task, err);
  if (!st && order->deal_to) st = rdd_deal_finish(result.deal, fd, err);
  if (!st && !order->deal_to) st = rdd_segment_finish(result.segment, NULL, &size, err);
  if (!st && order->store) store_result(order, fd, size, report);
  if (order->fault.kind == RDD_FAULT_CORRUPT) damage(fd);
  rdd_segment_free(result.segment);
  free_scratch(&task);
  report->status = st;
  report->finished = 1; /* last: from here on the report is believed */
}
