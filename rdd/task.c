/* A task, seen from inside: one partition of one chain, in a child of its own.
 *
 *   source --emit--> batch --map--> batch --map--> ... --append--> segment in a memory file
 *
 * One batch goes all the way down before the source makes the next, so a task holds one batch for
 * each step and never a whole partition. Nothing here is freed: the child ends with _exit(). */
#include "rdd/rdd_impl.h"

#include "rdd/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ALIGNMENT = 64, CHUNK_BYTES = 1 << 20 };

/* Scratch for one batch: a list of chunks, handed out front to back. After a batch that needed
 * several, they are replaced by one of the same total, so that in the long run there is one. */
typedef struct chunk chunk;
struct chunk {
  chunk *next;
  size_t room, used;
  _Alignas(ALIGNMENT) char bytes[];
};

struct rdd_task {
  const rdd_chain *chain;
  int64_t partition;
  int attempt;
  rdd_segment *segment;
  rdd_report *report;
  chunk *scratch;    /* the newest first */
  size_t chunk_room; /* of the next chunk */
};

static void reset_scratch(rdd_task *task) {
  chunk *first = task->scratch;
  if (!first) return;
  if (!first->next) {
    first->used = 0;
    return;
  }
  size_t total = 0;
  while (task->scratch) {
    chunk *next = task->scratch->next;
    total += task->scratch->room;
    rdd_free(task->scratch);
    task->scratch = next;
  }
  task->chunk_room = total;
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

rdd_status rdd_task_emit(rdd_task *task, const rdd_batch *batch, rdd_err *err) {
  rdd_batch in = *batch;
  rdd_status st = RDD_OK;
  for (int64_t s = 1; s < task->chain->stages && in.rows != 0 && !st; s++) {
    const rdd *stage = task->chain->stage[s];
    rdd_batch out = {0};
    st = stage->compute.map(stage->compute.arg, &in, task, &out, err);
    in = out;
  }
  if (!st) st = rdd_segment_append(task->segment, &in, err);
  reset_scratch(task);
  return st;
}

int64_t rdd_task_partition(const rdd_task *task) {
  return task->partition;
}

int rdd_task_attempt(const rdd_task *task) {
  return task->attempt;
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

void rdd_task_run(const rdd_chain *chain, int64_t partition, int attempt, int fd,
                  rdd_report *report) {
  rdd_task task = {.chain = chain,
                   .partition = partition,
                   .attempt = attempt,
                   .report = report,
                   .chunk_room = CHUNK_BYTES};
  const rdd *source = chain->stage[0], *target = chain->stage[chain->stages - 1];
  rdd_err *err = &report->err;
  size_t bytes;
  rdd_status st = rdd_segment_new(&task.segment, &target->schema, fd, err);
  if (!st) st = source->compute.source(source->compute.arg, partition, &task, err);
  if (!st) st = rdd_segment_finish(task.segment, NULL, &bytes, err);
  report->status = st;
  report->finished = 1; /* last: from here on the report is believed */
}
