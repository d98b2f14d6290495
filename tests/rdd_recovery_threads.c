/* What is lost is computed again, and only that: crashed tasks, blocks in memory and in a store,
 * the results of wide stages. On 1 to 4 ranks. Cases that follow one of Spark's suites name it. */
#include "rdd/hash.h"
#include "rdd/memory.h"
#include "rdd/rdd_impl.h"
#include "tests/rdd_kit.h"
#include "tests/testkit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { PARTITIONS = 6, FINGERPRINT = 77 };

static rdd_status add_one(void *arg, const rdd_batch *in, rdd_task *task, rdd_batch *out,
                          rdd_err *err) {
  const int64_t *n = in->column[0].values;
  int64_t *to = rdd_task_scratch(task, (size_t)in->rows, sizeof *to);
  (void)arg;
  if (!to) return rdd_set(err, RDD_ENOMEM, "no scratch");
  for (int64_t i = 0; i < in->rows; i++) to[i] = n[i] + 1;
  *out = *in;
  out->column[0].values = to;
  return RDD_OK;
}

static rdd *plus_one(rdd *parent, const char *name) {
  rdd *r = NULL;
  rdd_err err;
  TK_OK(rdd_map_batches(&r, parent, name, rdd_schema_of(parent), add_one, NULL, &err), &err);
  return r;
}

/* The digest of kit_rows() with `added` added to n. */
static uint64_t digest(const kit *k, int64_t partitions, int64_t added) {
  uint64_t hash = 0;
  for (int64_t p = 0; p < partitions; p++)
    for (int64_t i = 0; i < k->rows; i++)
      hash = rdd_mix64_2(hash, (uint64_t)(1000 * p + i + added));
  return hash;
}

/* ---- Tasks ---- */

static const struct {
  const char *name;
  rdd_fault_kind kind;
  int number;
  const char *said;
} DEATHS[] = {
    {"SIGSEGV", RDD_FAULT_SIGNAL, SIGSEGV, "died of signal 11 (segmentation fault)"},
    {"SIGKILL", RDD_FAULT_SIGNAL, SIGKILL, "died of signal 9 (killed)"},
    {"exit(0)", RDD_FAULT_EXIT, 0, "left with exit status 0 before it was done"},
    {"exit(3)", RDD_FAULT_EXIT, 3, "left with exit status 3"},
    {"hang", RDD_FAULT_HANG, 0, "ran longer than 0."},
    {"corrupt", RDD_FAULT_CORRUPT, 0, "left a result that is damaged"},
};
enum { DEATH_KINDS = sizeof DEATHS / sizeof DEATHS[0] };

static void only_that_partition(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  rdd *source = kit_rows(k, PARTITIONS), *r = plus_one(source, "plus");
  for (int d = 0; d < DEATH_KINDS; d++) {
    kit_reset(k);
    kit_strike(k, 0, 3, 1, DEATHS[d].kind, DEATHS[d].number);
    rdd_run_opts opts = kit_opts(k, 2);
    rdd_parts *parts = NULL;
    rdd_counters counters;
    rdd_err err;
    int64_t rows = 0;
    if (DEATHS[d].kind == RDD_FAULT_HANG) opts.time_limit = 0.6; /* no other task comes near it */
    if (!TK_OK(rdd_compute(r, comm, &opts, &parts, &counters, &err), &err)) continue;
    for (int64_t i = 0; i < parts->n; i++) rows += parts->part[i].rows;
    rdd_allreduce(comm, &rows, 1, RDD_SUM);
    TK_CHECK(rows == PARTITIONS * k->rows && counters.value[0] == PARTITIONS);
    for (int64_t p = 0; p < PARTITIONS; p++) {
      TK_CHECK(kit_count(k, RDD_TASK_STARTED, p) == 1 + (p == 3));
      TK_CHECK(kit_count(k, RDD_TASK_CRASHED, p) == (p == 3));
      TK_CHECK(kit_count(k, RDD_TASK_FINISHED, p) == 1);
      TK_CHECK(kit_runs(k, p) == 1 + (p == 3));
    }
    TK_CHECK(kit_said(k, RDD_TASK_CRASHED, DEATHS[d].said));
    rdd_parts_free(parts);
  }
  rdd_release(r), rdd_release(source);
  kit_free(k);
}

static void last_cause(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  rdd *source = kit_rows(k, PARTITIONS), *r = plus_one(source, "plus");
  for (int d = 0; d < DEATH_KINDS; d++) {
    kit_reset(k);
    kit_strike(k, 0, 2, 100, DEATHS[d].kind, DEATHS[d].number);
    rdd_run_opts opts = kit_opts(k, 2);
    int64_t rows = -1;
    rdd_err err = {0};
    if (DEATHS[d].kind == RDD_FAULT_HANG) opts.time_limit = 0.2;
    TK_CHECK(rdd_count(r, comm, &opts, &rows, &err) == RDD_ETASK && rows == -1);
    TK_CHECK(strstr(err.message, "partition 2 of 6 of plus <- rows: attempt 4 of 4 "));
    TK_CHECK(strstr(err.message, DEATHS[d].said));
    TK_CHECK(kit_count(k, RDD_TASK_CRASHED, 2) == 4 && kit_runs(k, 2) == 4);
  }
  /* the ranks live on */
  kit_reset(k);
  TK_CHECK(kit_collect(k, r, 2) == digest(k, PARTITIONS, 1));
  rdd_release(r), rdd_release(source);
  kit_free(k);
}

static void data_errors(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  rdd *source = kit_rows(k, PARTITIONS);
  rdd_run_opts opts = kit_opts(k, 1);
  int64_t rows = -1;
  rdd_err err = {0};
  kit_strike(k, 0, 4, 1, RDD_FAULT_ERROR, 0);
  kit_strike(k, 0, 1, 1, RDD_FAULT_ERROR, 0);
  TK_CHECK(rdd_count(source, comm, &opts, &rows, &err) == RDD_EDATA);
  TK_CHECK(strcmp(err.message, "partition 1 of rows: injected error") == 0);
  TK_CHECK(kit_count(k, RDD_TASK_CRASHED, -1) == 0 && kit_count(k, RDD_TASK_FAILED, 1) == 1);
  TK_CHECK(kit_runs(k, 1) == 1);
  rdd_release(source);
  kit_free(k);
}

static void speculation(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  enum { MANY = 16 };
  rdd *source = kit_rows(k, MANY);
  rdd_run_opts opts = kit_opts(k, 2);
  rdd_parts *parts = NULL;
  rdd_counters counters;
  rdd_err err;
  opts.speculation = true;
  kit_strike(k, 0, 0, 1, RDD_FAULT_HANG, 0); /* for ever, had it no other copy */
  if (TK_OK(rdd_compute(source, comm, &opts, &parts, &counters, &err), &err)) {
    TK_CHECK(kit_count(k, RDD_TASK_STARTED, 0) == 2 && kit_count(k, RDD_TASK_CRASHED, -1) == 0);
    TK_CHECK(kit_count(k, RDD_TASK_ABANDONED, 0) == 1 && kit_count(k, RDD_TASK_FINISHED, 0) == 1);
    TK_CHECK(counters.value[0] == MANY);
    TK_CHECK(kit_said(k, RDD_TASK_ABANDONED, "its other copy finished first"));
  }
  rdd_parts_free(parts);
  kit_reset(k);
  TK_CHECK(kit_collect(k, source, 2) == digest(k, MANY, 0));
  rdd_release(source);
  kit_free(k);
}

/* The copy that crashes is not rerun while the other one runs, and counts. */
static void crashed_copy(rdd_comm *comm) {
  if (!KIT_FORKS || comm->size > 1) return;
  kit *k = kit_new(comm);
  rdd *source = kit_rows(k, PARTITIONS);
  rdd_run_opts opts = kit_opts(k, 2);
  int64_t rows = -1;
  rdd_err err;
  opts.speculation = true;
  k->slow_below = 1; /* only the first attempt of partition 0 */
  k->slow_seconds = 0.5;
  kit_strike(k, 0, 0, 1, RDD_FAULT_NONE, 0);
  kit_strike(k, 0, 0, 2, RDD_FAULT_SIGNAL, SIGKILL);
  TK_OK(rdd_count(source, comm, &opts, &rows, &err), &err);
  TK_CHECK(rows == PARTITIONS * k->rows && kit_count(k, RDD_TASK_CRASHED, 0) >= 1);
  TK_CHECK(kit_count(k, RDD_TASK_FINISHED, 0) == 1);
  rdd_release(source);
  kit_free(k);
}

/* ---- Blocks ---- */

static void cached_in_memory(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  rdd *source = kit_rows(k, PARTITIONS), *kept = plus_one(source, "kept"),
      *r = plus_one(kept, "more");
  rdd_err err;
  TK_OK(rdd_persist(kept, RDD_LEVEL_MEMORY, NULL, 0, &err), &err);
  kit_strike(k, -1, 2, 2, RDD_FAULT_SIGNAL, SIGKILL); /* RDDSuite: caching with failures */
  TK_CHECK(kit_collect(k, r, 2) == digest(k, PARTITIONS, 2));
  TK_CHECK(kit_count(k, RDD_BLOCK_STORED, -1) == PARTITIONS && kit_runs(k, -1) == PARTITIONS + 2);
  for (int again = 0; again < 2; again++) {
    kit_reset(k);
    TK_CHECK(kit_collect(k, r, 2) == digest(k, PARTITIONS, 2));
    TK_CHECK(kit_count(k, RDD_BLOCK_FOUND, -1) == PARTITIONS && kit_runs(k, -1) == 0);
  }
  kit_reset(k); /* the kept one itself: no task at all */
  TK_CHECK(kit_collect(k, kept, 1) == digest(k, PARTITIONS, 1));
  TK_CHECK(kit_count(k, RDD_TASK_STARTED, -1) == 0);
  rdd_release(kept), rdd_release(r), rdd_release(source);
  kit_free(k);
}

static rdd_block key(const rdd *r, int64_t partition) {
  return (rdd_block){.rdd = r->name,
                     .fingerprint = FINGERPRINT,
                     .partition = partition,
                     .partitions = r->partitions};
}

static void cached_on_disk(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  char dir[40];
  for (int level = RDD_LEVEL_DISK; level <= RDD_LEVEL_MEMORY_AND_DISK; level++) {
    kit *k = kit_new(comm);
    snprintf(dir, sizeof dir, "disk-%d-%d", comm->size, level);
    rdd_store *store = kit_store_new(dir);
    rdd_err err;
    for (int run = 0; run < 2; run++) { /* the second is another job, which finds the blocks */
      rdd *source = kit_rows(k, PARTITIONS), *kept = plus_one(source, "kept");
      rdd *r = plus_one(kept, "more");
      kit_reset(k);
      TK_OK(rdd_persist(kept, (rdd_level)level, store, FINGERPRINT, &err), &err);
      TK_CHECK(kit_collect(k, r, 2) == digest(k, PARTITIONS, 2));
      TK_CHECK(kit_runs(k, -1) == (run ? 0 : PARTITIONS));
      TK_CHECK(kit_count(k, RDD_BLOCK_FOUND, -1) == (run ? PARTITIONS : 0));
      TK_CHECK(kit_store_files(store) == PARTITIONS);
      rdd_release(kept), rdd_release(r), rdd_release(source);
    }
    rdd *source = kit_rows(k, PARTITIONS), *other = plus_one(source, "kept");
    kit_reset(k); /* other data of the same name */
    TK_OK(rdd_persist(other, (rdd_level)level, store, FINGERPRINT + 1, &err), &err);
    TK_CHECK(kit_collect(k, other, 2) == digest(k, PARTITIONS, 1) && kit_runs(k, -1) == PARTITIONS);
    rdd_unpersist(other, comm);
    TK_CHECK(kit_store_files(store) == PARTITIONS);
    rdd_release(other), rdd_release(source);
    kit_store_free(store);
    kit_free(k);
  }
}

/* FailureSuite: cached partitions missing from disk; damaged ones; and only those are made
 * again. */
static void lost_on_disk(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  char dir[40];
  snprintf(dir, sizeof dir, "lost-%d", comm->size);
  rdd_store *store = kit_store_new(dir);
  rdd *source = kit_rows(k, PARTITIONS), *kept = plus_one(source, "kept"),
      *r = plus_one(kept, "more");
  rdd_err err;
  TK_OK(rdd_persist(kept, RDD_LEVEL_DISK, store, FINGERPRINT, &err), &err);
  for (int target = 0; target < 2; target++) { /* of an ancestor, and of the RDD itself */
    rdd *asked = target ? kept : r;
    uint64_t right = digest(k, PARTITIONS, target ? 1 : 2);
    kit_reset(k);
    TK_CHECK(kit_collect(k, asked, 2) == right);
    for (int damaged = 0; damaged < 2; damaged++) {
      kit_reset(k);
      rdd_block missing[] = {key(kept, 1), key(kept, 4)};
      for (int i = 0; i < 2 && comm->rank == 0; i++)
        if (damaged)
          kit_store_damage(store, &missing[i]);
        else
          store->drop(store, &missing[i]);
      rdd_barrier(comm);
      TK_CHECK(kit_collect(k, asked, 2) == right);
      TK_CHECK(kit_runs(k, -1) == 2 && kit_runs(k, 1) == 1 && kit_runs(k, 4) == 1);
      TK_CHECK(kit_count(k, RDD_BLOCK_LOST, -1) == 2 && kit_count(k, RDD_BLOCK_STORED, -1) == 2);
      TK_CHECK(kit_said(k, RDD_BLOCK_LOST, damaged ? "damaged" : "not in the store any more"));
      kit_reset(k);
      int64_t rows = 0;
      rdd_run_opts opts = kit_opts(k, 2);
      TK_OK(rdd_count(asked, comm, &opts, &rows, &err), &err);
      TK_CHECK(rows == PARTITIONS * k->rows && kit_runs(k, -1) == 0);
    }
  }
  rdd_release(kept), rdd_release(r), rdd_release(source);
  kit_store_free(store);
  kit_free(k);
}

static void deadly_blocks(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  char dir[40];
  snprintf(dir, sizeof dir, "deadly-%d", comm->size);
  rdd_store *store = kit_store_new(dir);
  rdd *source = kit_rows(k, PARTITIONS), *kept = plus_one(source, "kept"), *r = plus_one(kept, "r");
  rdd_err err;
  TK_OK(rdd_persist(kept, RDD_LEVEL_DISK, store, FINGERPRINT, &err), &err);
  TK_CHECK(kit_collect(k, r, 2) == digest(k, PARTITIONS, 2));
  kit_reset(k);
  rdd_block block = key(kept, 2);
  if (comm->rank == 0) kit_store_poison(store, &block);
  rdd_barrier(comm);
  TK_CHECK(kit_collect(k, r, 2) == digest(k, PARTITIONS, 2));
  TK_CHECK(kit_count(k, RDD_TASK_CRASHED, 2) == 1 && kit_count(k, RDD_BLOCK_LOST, 2) == 1);
  TK_CHECK(kit_said(k, RDD_BLOCK_LOST, "a task that read it died of signal 11"));
  TK_CHECK(kit_runs(k, -1) == 1 && kit_runs(k, 2) == 1);
  rdd_release(kept), rdd_release(r), rdd_release(source);
  kit_store_free(store);
  kit_free(k);
}

static void free_bytes(void *bytes, size_t size) {
  (void)size;
  rdd_free(bytes);
}

/* Nobody can write to a sealed block, so a damaged copy takes its place. */
static void damage_in_memory(rdd *r, int64_t p) {
  rdd_part *part = &r->kept->part[p], copy = {0};
  rdd_err err;
  if (!part->bytes) return; /* another rank's */
  size_t size = part->size;
  char *bytes = rdd_alloc(size, 1);
  memcpy(bytes, part->bytes, size);
  bytes[size - 9] ^= 4;
  if (TK_OK(rdd_part_open(&copy, &r->schema, bytes, size, free_bytes, &err), &err)) {
    rdd_part_close(part);
    *part = copy;
  }
}

static void lost_in_memory(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  rdd *source = kit_rows(k, PARTITIONS), *kept = plus_one(source, "kept"),
      *r = plus_one(kept, "more");
  rdd_err err;
  TK_OK(rdd_persist(kept, RDD_LEVEL_MEMORY, NULL, 0, &err), &err);
  TK_CHECK(kit_collect(k, r, 2) == digest(k, PARTITIONS, 2));
  for (int target = 0; target < 2; target++) {
    kit_reset(k);
    damage_in_memory(kept, 3);
    TK_CHECK(kit_collect(k, target ? kept : r, 2) == digest(k, PARTITIONS, target ? 1 : 2));
    TK_CHECK(kit_runs(k, -1) == 1 && kit_runs(k, 3) == 1);
    TK_CHECK(kit_count(k, RDD_BLOCK_LOST, 3) == 1 && kit_said(k, RDD_BLOCK_LOST, "checksum"));
  }
  rdd_release(kept), rdd_release(r), rdd_release(source);
  kit_free(k);
}

/* DistributedSuite: compute when no, or only some, blocks are there. */
static void some_blocks(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  rdd *source = kit_rows(k, PARTITIONS), *kept = plus_one(source, "kept"),
      *r = plus_one(kept, "more");
  const int64_t some[] = {0, 4, 5};
  rdd_run_opts opts = kit_opts(k, 2);
  rdd_parts *parts = NULL;
  rdd_err err;
  TK_OK(rdd_persist(kept, RDD_LEVEL_MEMORY, NULL, 0, &err), &err);
  TK_OK(rdd_compute_some(r, comm, &opts, some, 3, &parts, NULL, &err), &err);
  TK_CHECK(kit_runs(k, -1) == 3 && kit_count(k, RDD_BLOCK_STORED, -1) == 3);
  rdd_parts_free(parts);
  kit_reset(k);
  TK_CHECK(kit_collect(k, r, 2) == digest(k, PARTITIONS, 2));
  TK_CHECK(kit_runs(k, -1) == 3 && kit_count(k, RDD_BLOCK_FOUND, -1) == 3);
  rdd_unpersist(kept, comm); /* and now none */
  kit_reset(k);
  TK_CHECK(kit_collect(k, r, 2) == digest(k, PARTITIONS, 2) && kit_runs(k, -1) == PARTITIONS);
  rdd_release(kept), rdd_release(r), rdd_release(source);
  kit_free(k);
}

static void levels(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  char dir[40];
  snprintf(dir, sizeof dir, "levels-%d", comm->size);
  rdd_store *store = kit_store_new(dir);
  rdd *r = kit_rows(k, PARTITIONS);
  rdd_err err;
  TK_CHECK(rdd_level_of(r) == RDD_LEVEL_NONE);
  TK_CHECK(rdd_persist(r, RDD_LEVEL_DISK, NULL, 1, &err) == RDD_EUSAGE);
  TK_OK(rdd_persist(r, RDD_LEVEL_MEMORY_AND_DISK, store, 1, &err), &err);
  TK_OK(rdd_persist(r, RDD_LEVEL_MEMORY_AND_DISK, store, 1, &err), &err); /* the same again */
  TK_CHECK(rdd_persist(r, RDD_LEVEL_MEMORY, NULL, 1, &err) == RDD_EUSAGE);
  TK_CHECK(strstr(err.message, "cannot change the storage level of rows after it was already "
                               "assigned one (memory and disk)"));
  TK_CHECK(kit_collect(k, r, 1) == digest(k, PARTITIONS, 0));
  char *text = rdd_debug_string(r);
  TK_CHECK(text && strstr(text, "[memory and disk]\n") && strstr(text, "CachedPartitions: 6"));
  rdd_free(text);
  TK_CHECK(kit_store_files(store) == PARTITIONS);
  rdd_barrier(comm);
  rdd_unpersist(r, comm);
  TK_CHECK(kit_store_files(store) == 0 && rdd_level_of(r) == RDD_LEVEL_NONE);
  TK_OK(rdd_persist(r, RDD_LEVEL_MEMORY, NULL, 1, &err), &err);
  TK_CHECK(kit_collect(k, r, 1) == digest(k, PARTITIONS, 0));
  TK_CHECK(strcmp(rdd_level_name(rdd_level_of(r)), "memory") == 0);
  rdd_release(r);
  kit_store_free(store);
  kit_free(k);
}

static void full_disk(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  char dir[40];
  snprintf(dir, sizeof dir, "full-%d", comm->size);
  rdd_store *store = kit_store_new(dir);
  rdd *source = kit_rows(k, PARTITIONS), *kept = plus_one(source, "kept"),
      *r = plus_one(kept, "more");
  rdd_run_opts opts = kit_opts(k, 2);
  int64_t rows = -1;
  rdd_err err;
  kit_store_break(store, true);
  TK_OK(rdd_persist(kept, RDD_LEVEL_DISK, store, FINGERPRINT, &err), &err);
  TK_CHECK(rdd_count(r, comm, &opts, &rows, &err) == RDD_EIO && rows == -1);
  TK_CHECK(strstr(err.message, "the test's disk is full"));
  kit_reset(k); /* what is asked for itself is there, stored or not */
  TK_CHECK(kit_collect(k, kept, 2) == digest(k, PARTITIONS, 1));
  TK_CHECK(kit_count(k, RDD_BLOCK_LOST, -1) == PARTITIONS);
  rdd_unpersist(kept, comm);
  TK_OK(rdd_persist(kept, RDD_LEVEL_MEMORY_AND_DISK, store, FINGERPRINT, &err), &err);
  kit_reset(k); /* and so is what is in memory */
  TK_CHECK(kit_collect(k, r, 2) == digest(k, PARTITIONS, 2));
  TK_CHECK(rdd_checkpoint(kept, comm, &opts, store, FINGERPRINT, &err) == RDD_EIO);
  kit_store_break(store, false);
  TK_OK(rdd_checkpoint(kept, comm, &opts, store, FINGERPRINT, &err), &err);
  rdd_release(kept), rdd_release(r), rdd_release(source);
  kit_store_free(store);
  kit_free(k);
}

/* Two kept RDDs whose blocks are on different ranks meet in one task. */
static rdd_status first_of_two(void *arg, const rdd_part *const *in, rdd_task *task, rdd_err *err) {
  rdd_status st = in[0]->rows == in[1]->rows ? RDD_OK : RDD_EINTERNAL;
  (void)arg;
  if (st)
    return rdd_set(err, st, "%lld rows meet %lld", (long long)in[0]->rows, (long long)in[1]->rows);
  for (int64_t b = 0; b < in[0]->batches && !st; b++) {
    const int64_t *x = in[0]->batch[b].column[0].values, *y = in[1]->batch[b].column[0].values;
    int64_t rows = in[0]->batch[b].rows, *n = rdd_task_scratch(task, (size_t)rows, sizeof *n);
    for (int64_t i = 0; i < rows; i++) n[i] = 2 * x[i] - y[i];
    rdd_batch out = {.rows = rows, .column = {{n, NULL}}};
    st = rdd_task_emit(task, &out, err);
  }
  return st;
}

static void blocks_on_other_ranks(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  enum { MANY = 12 };
  kit *k = kit_new(comm);
  rdd_schema schema = kit_schema_n();
  rdd *source = kit_rows(k, MANY), *a = plus_one(source, "a"), *b = plus_one(a, "b");
  rdd *zipped = NULL, *few = NULL;
  rdd_run_opts opts = kit_opts(k, 1);
  int64_t rows;
  rdd_err err;
  TK_OK(rdd_persist(b, RDD_LEVEL_MEMORY, NULL, 0, &err), &err);
  k->slow_below = 4; /* these are taken over by other ranks */
  k->slow_seconds = 0.02;
  TK_OK(rdd_count(b, comm, &opts, &rows, &err), &err);
  k->slow_below = 0;
  TK_OK(rdd_persist(a, RDD_LEVEL_MEMORY, NULL, 0, &err), &err);
  TK_OK(rdd_count(a, comm, &opts, &rows, &err), &err);
  TK_OK(rdd_zip_partitions(&zipped, b, a, "zipped", &schema, first_of_two, NULL, &err), &err);
  TK_OK(rdd_coalesce(&few, b, "few", 2, &err), &err);
  kit_reset(k);
  for (int again = 0; again < 2; again++) {
    rdd_parts *parts = NULL;
    TK_CHECK(kit_collect(k, zipped, 2) == digest(k, MANY, 3));
    TK_CHECK(kit_collect(k, few, 2) == digest(k, MANY, 2));
    TK_OK(rdd_compute(zipped, comm, &opts, &parts, NULL, &err), &err);
    rdd_parts_free(parts);
  }
  TK_CHECK(kit_runs(k, -1) == 0);
  rdd_release(few), rdd_release(zipped), rdd_release(b), rdd_release(a), rdd_release(source);
  kit_free(k);
}

/* ---- Several stages ---- */

static uint64_t dealt_digest(const kit *k, int64_t partitions, int64_t parts) {
  uint64_t hash = 0;
  for (int64_t to = 0; to < parts; to++)
    for (int64_t p = 0; p < partitions; p++)
      for (int64_t i = 0; i < k->rows; i++) {
        int64_t n = 1000 * p + i;
        if ((int64_t)(rdd_mix64((uint64_t)(n % 17 - 8)) % (uint64_t)parts) == to)
          hash = rdd_mix64_2(hash, (uint64_t)(n + 1));
      }
  return hash;
}

/* FailureSuite: failure in a map stage, in a two-stage job; DistributedSuite: repeated failures of
 * either side. */
static void two_stages(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  rdd *source = kit_rows(k, PARTITIONS), *dealt = NULL;
  rdd_run_opts opts = kit_opts(k, 2);
  int64_t rows = -1;
  rdd_err err;
  TK_OK(rdd_partition_by(&dealt, source, "dealt", "key", 4, &err), &err);
  rdd *r = plus_one(dealt, "plus");
  for (int stage = 0; stage < 2; stage++) {
    for (int d = 0; d < DEATH_KINDS; d++) {
      if (DEATHS[d].kind == RDD_FAULT_HANG) continue;
      kit_reset(k);
      kit_strike(k, stage, 1, 3, DEATHS[d].kind, DEATHS[d].number);
      kit_strike(k, stage, 2, 1, DEATHS[d].kind, DEATHS[d].number);
      TK_CHECK(kit_collect(k, r, 2) == dealt_digest(k, PARTITIONS, 4));
      TK_CHECK(kit_count(k, RDD_TASK_CRASHED, -1) == 4);
      TK_CHECK(kit_runs(k, -1) == PARTITIONS + (stage ? 0 : 4));
    }
    kit_reset(k);
    kit_strike(k, stage, 3, 4, RDD_FAULT_SIGNAL, SIGSEGV);
    TK_CHECK(rdd_count(r, comm, &opts, &rows, &err) == RDD_ETASK && rows == -1);
    TK_CHECK(strstr(err.message, stage ? "partition 3 of 4 of plus <- dealt <- rows"
                                       : "partition 3 of 6 of rows: attempt 4 of 4 died"));
  }
  rdd_release(r), rdd_release(dealt), rdd_release(source);
  kit_free(k);
}

/* DistributedSuite: recover from node failures: what a wide stage made is lost, so it runs
 * again. */
static void lost_wide_blocks(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  char dir[40];
  kit *k = kit_new(comm);
  snprintf(dir, sizeof dir, "wide-%d", comm->size);
  rdd_store *store = kit_store_new(dir);
  for (int level = RDD_LEVEL_MEMORY; level <= RDD_LEVEL_MEMORY_AND_DISK; level++) {
    rdd *source = kit_rows(k, PARTITIONS), *dealt = NULL;
    rdd_err err;
    TK_OK(rdd_partition_by(&dealt, source, "dealt", "key", 4, &err), &err);
    rdd *r = plus_one(dealt, "plus");
    TK_OK(rdd_persist(dealt, (rdd_level)level, store, FINGERPRINT, &err), &err);
    kit_reset(k);
    TK_CHECK(kit_collect(k, r, 2) == dealt_digest(k, PARTITIONS, 4));
    TK_CHECK(kit_runs(k, -1) == PARTITIONS);
    kit_reset(k);
    TK_CHECK(kit_collect(k, r, 2) == dealt_digest(k, PARTITIONS, 4) && kit_runs(k, -1) == 0);
    kit_reset(k);
    if (level == RDD_LEVEL_DISK) {
      rdd_block block = key(dealt, 2);
      if (comm->rank == 0) kit_store_damage(store, &block);
      rdd_barrier(comm);
    } else {
      damage_in_memory(dealt, 2);
    }
    TK_CHECK(kit_collect(k, r, 2) == dealt_digest(k, PARTITIONS, 4));
    TK_CHECK(kit_count(k, RDD_BLOCK_LOST, 2) == 1 && kit_runs(k, -1) == PARTITIONS);
    kit_reset(k);
    TK_CHECK(kit_collect(k, r, 2) == dealt_digest(k, PARTITIONS, 4) && kit_runs(k, -1) == 0);
    rdd_unpersist(dealt, comm);
    TK_CHECK(kit_store_files(store) == 0);
    rdd_release(r), rdd_release(dealt), rdd_release(source);
  }
  kit_store_free(store);
  kit_free(k);
}

/* A block is lost behind another one: only what is needed is brought back. */
static void nearest_ancestor(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  rdd *source = kit_rows(k, PARTITIONS), *a = plus_one(source, "a"), *b = plus_one(a, "b");
  rdd *r = plus_one(b, "r");
  rdd_err err;
  TK_OK(rdd_persist(a, RDD_LEVEL_MEMORY, NULL, 0, &err), &err);
  TK_OK(rdd_persist(b, RDD_LEVEL_MEMORY, NULL, 0, &err), &err);
  TK_CHECK(kit_collect(k, r, 2) == digest(k, PARTITIONS, 3) && kit_runs(k, -1) == PARTITIONS);
  kit_reset(k); /* b's is made again of a's */
  damage_in_memory(b, 1);
  TK_CHECK(kit_collect(k, r, 2) == digest(k, PARTITIONS, 3) && kit_runs(k, -1) == 0);
  kit_reset(k); /* nobody needs a's, so nobody notices */
  damage_in_memory(a, 5);
  TK_CHECK(kit_collect(k, r, 2) == digest(k, PARTITIONS, 3) && kit_runs(k, -1) == 0);
  TK_CHECK(kit_count(k, RDD_BLOCK_LOST, -1) == 0);
  kit_reset(k); /* until b's is gone too */
  damage_in_memory(b, 5);
  TK_CHECK(kit_collect(k, r, 2) == digest(k, PARTITIONS, 3));
  TK_CHECK(kit_runs(k, -1) == 1 && kit_runs(k, 5) == 1 && kit_count(k, RDD_BLOCK_LOST, 5) == 2);
  rdd_release(r), rdd_release(b), rdd_release(a), rdd_release(source);
  kit_free(k);
}

/* ---- Checkpoints ---- */

static rdd_status all_rows(void *arg, const rdd_batch *in, rdd_task *task, uint8_t *keep,
                           rdd_err *err) {
  (void)arg, (void)task, (void)err;
  memset(keep, 1, (size_t)in->rows);
  return RDD_OK;
}

/* One of every kind of RDD. */
static rdd *of_kind(kit *k, int kind) {
  rdd *source = kit_rows(k, PARTITIONS), *r = NULL, *half = NULL;
  rdd_schema schema = kit_schema_n();
  rdd_err err = {0};
  rdd_status st = RDD_OK;
  switch (kind) {
  case 0:
    return source;
  case 1:
    st = rdd_map_batches(&r, source, "kind", rdd_schema_of(source), add_one, NULL, &err);
    break;
  case 2:
    st = rdd_filter(&r, source, "kind", all_rows, NULL, &err);
    break;
  case 3:
    st = rdd_union(&r, source, source, "kind", &err);
    break;
  case 4:
    st = rdd_coalesce(&r, source, "kind", 2, &err);
    break;
  case 5:
    st = rdd_partition_by(&r, source, "kind", "word", 3, &err);
    break;
  case 6:
    half = plus_one(source, "half");
    st = rdd_zip_partitions(&r, half, source, "kind", &schema, first_of_two, NULL, &err);
    break;
  default:
    st = rdd_sample(&r, source, "kind", 0.5, 9, &err);
  }
  TK_OK(st, &err);
  rdd_release(source);
  rdd_release(half);
  return r;
}

static void checkpoints(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  for (int kind = 0; kind < 8; kind++) {
    char dir[40];
    snprintf(dir, sizeof dir, "checkpoint-%d-%d", comm->size, kind);
    rdd_store *store = kit_store_new(dir);
    kit *k = kit_new(comm);
    rdd *r = of_kind(k, kind), *same = NULL;
    rdd_run_opts opts = kit_opts(k, 2);
    uint64_t before = kit_collect(k, r, 2);
    int64_t rows = -1;
    rdd_err err;
    TK_OK(rdd_checkpoint(r, comm, &opts, store, FINGERPRINT, &err), &err);
    TK_CHECK(kit_store_files(store) == rdd_partitions(r));
    char *text = rdd_debug_string(r);
    TK_CHECK(text && strstr(text, "[checkpointed]") && !strstr(text, "+-"));
    TK_CHECK(text && (kind == 0 || !strstr(text, "rows")));
    rdd_free(text);
    kit_reset(k);
    TK_CHECK(kit_collect(k, r, 1) == before && kit_runs(k, -1) == 0);
    TK_OK(rdd_checkpoint(r, comm, &opts, store, FINGERPRINT, &err), &err); /* is done */
    if (kind == 5) { /* the partitioner survives */
      TK_OK(rdd_partition_by(&same, r, "same", "word", 3, &err), &err);
      TK_CHECK(same == r);
      rdd_release(same);
    }
    rdd_block block = key(r, 1);
    if (comm->rank == 0) kit_store_damage(store, &block);
    rdd_barrier(comm);
    TK_CHECK(rdd_count(r, comm, &opts, &rows, &err) == RDD_EIO && rows == -1);
    TK_CHECK(strstr(err.message, "partition 1 of ") && strstr(err.message, "lineage is cut"));
    rdd_release(r);
    kit_free(k);
    kit_store_free(store);
  }
}

/* The n-th allocation of one rank fails, for many n: all ranks fail together or succeed, nothing
 * leaks, and what is kept is right afterwards. */
static void allocations_may_fail(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  int ok = 0;
  for (int n = 1; n < 400 && ok < 2; n += n < 60 ? 1 : 7) {
    rdd *source = kit_rows(k, 3), *kept = plus_one(source, "kept"), *dealt = NULL;
    rdd_run_opts opts = kit_opts(k, 2);
    rdd_parts *parts = NULL;
    int64_t least, most;
    rdd_err err;
    kit_reset(k);
    TK_OK(rdd_persist(kept, RDD_LEVEL_MEMORY, NULL, 0, &err), &err);
    TK_OK(rdd_partition_by(&dealt, kept, "dealt", "key", 2, &err), &err);
    rdd_barrier(comm);
    if (comm->rank == comm->size - 1) rdd_memory_fail_at(n);
    rdd_barrier(comm);
    rdd_status st = rdd_compute(dealt, comm, &opts, &parts, NULL, &err);
    rdd_barrier(comm);
    if (comm->rank == comm->size - 1) rdd_memory_fail_at(0);
    rdd_barrier(comm);
    least = most = st;
    rdd_allreduce(comm, &least, 1, RDD_MIN);
    rdd_allreduce(comm, &most, 1, RDD_MAX);
    TK_CHECK(least == most && (st == RDD_OK || st == RDD_ENOMEM));
    ok = st == RDD_OK ? ok + 1 : 0;
    rdd_parts_free(parts);
    kit_reset(k);
    int64_t rows = 0;
    TK_OK(rdd_count(dealt, comm, &opts, &rows, &err), &err);
    TK_CHECK(rows == 3 * k->rows);
    rdd_release(dealt), rdd_release(kept), rdd_release(source);
  }
  TK_CHECK(ok == 2);
  kit_free(k);
}

int main(void) {
  static const tk_comm_case cases[] = {
      {"DistributedSuite: task that kills its process; only that partition is recomputed",
       only_that_partition},
      {"DistributedSuite: repeatedly failing task; FailureSuite: last cause is reported",
       last_cause},
      {"errors in the data are not retried", data_errors},
      {"speculation: the copy of a task that hangs finishes", speculation},
      {"speculation: a copy that crashes", crashed_copy},
      {"RDDSuite: caching with failures, in memory", cached_in_memory},
      {"blocks on disk are found by a later run", cached_on_disk},
      {"FailureSuite: cached partitions missing from disk, or damaged", lost_on_disk},
      {"a block whose damage kills its reader", deadly_blocks},
      {"DistributedSuite: recover from lost blocks in memory", lost_in_memory},
      {"DistributedSuite: compute when no or only some blocks are there", some_blocks},
      {"DistributedSuite: unpersist; levels cannot change", levels},
      {"a disk that is full", full_disk},
      {"blocks on other ranks", blocks_on_other_ranks},
      {"FailureSuite: failures in the stages of a two-stage job", two_stages},
      {"DistributedSuite: recover from lost results of a wide stage", lost_wide_blocks},
      {"lineage recomputes from the nearest ancestor", nearest_ancestor},
      {"CheckpointSuite: every kind of RDD; partitioner; a lost checkpoint", checkpoints},
      {"allocations may fail", allocations_may_fail},
  };
  return tk_threads_main("rdd_recovery_threads", cases, sizeof cases / sizeof cases[0]);
}
