/* Actions on several ranks: who has what, what arrives at rank 0, and that all leave together. */
#include "rdd/memory.h"
#include "rdd/rdd.h"
#include "tests/testkit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
#define FORKS 0 /* ThreadSanitizer does not follow a fork from one of several threads */
#else
#define FORKS 1
#endif

enum { MOST_PARTITIONS = 11 };

typedef struct plan {
  int64_t bad[2];  /* partitions with a data error; -1: none */
  int64_t crashes; /* the partition whose first attempt dies; -1: none */
  bool for_good;   /* and all others */
} plan;

static const plan NO_FAULTS = {.bad = {-1, -1}, .crashes = -1};

static rdd_status rows_source(void *arg, int64_t partition, rdd_task *task, rdd_err *err) {
  const plan *p = arg;
  rdd_task_count(task, 0, partition);
  if (partition >= 1 && partition % 2 == 1) rdd_task_note(task, "from %lld", (long long)partition);
  if (partition == p->bad[0] || partition == p->bad[1])
    return rdd_set(err, RDD_EDATA, "partition %lld is bad", (long long)partition);
  if (partition == p->crashes && (p->for_good || rdd_task_attempt(task) == 0))
    kill(getpid(), SIGKILL);
  for (int64_t b = 0; b < partition % 3; b++) { /* 0, 1 or 2 batches */
    int64_t *n = rdd_task_scratch(task, (size_t)partition, sizeof *n);
    int32_t *offsets = rdd_task_scratch(task, (size_t)partition + 1, sizeof *offsets);
    char *text = rdd_task_scratch(task, 2 * (size_t)partition, 1);
    if (!n || !offsets || !text) return rdd_set(err, RDD_ENOMEM, "no scratch");
    for (int64_t i = 0; i < partition; i++) {
      n[i] = 100 * partition + 10 * b + i;
      offsets[i] = (int32_t)(2 * i);
      text[2 * i] = (char)('a' + i);
      text[2 * i + 1] = (char)('A' + partition);
    }
    offsets[partition] = (int32_t)(2 * partition);
    rdd_batch batch = {.rows = partition, .column = {{.values = n}, {text, offsets}}};
    rdd_status st = rdd_task_emit(task, &batch, err);
    if (st) return st;
  }
  return RDD_OK;
}

static void check_part(int64_t p, const rdd_part *part) {
  TK_CHECK(part->batches == p % 3 && part->rows == p * (p % 3));
  for (int64_t b = 0; b < part->batches; b++) {
    const rdd_batch *batch = &part->batch[b];
    const int64_t *n = batch->column[0].values;
    const int32_t *offsets = batch->column[1].offsets;
    const char *text = batch->column[1].values;
    bool right = batch->rows == p;
    for (int64_t i = 0; i < p && right; i++)
      right &= n[i] == 100 * p + 10 * b + i && offsets[i] == 2 * i && text[2 * i] == 'a' + i &&
               text[2 * i + 1] == 'A' + p;
    TK_CHECK(right);
  }
}

static rdd *rows(int64_t partitions, const plan *p) {
  rdd_schema schema = {0};
  rdd_schema_add(&schema, "n", RDD_INT64);
  rdd_schema_add(&schema, "s", RDD_UTF8);
  rdd *r = NULL;
  rdd_err err;
  TK_OK(rdd_source(&r, "rows", partitions, &schema, rows_source, (void *)(uintptr_t)p, &err), &err);
  return r;
}

static void check_counters(int64_t np, const rdd_counters *counters) {
  TK_CHECK(counters->value[0] == np * (np - 1) / 2);
  TK_CHECK(strcmp(counters->note, np > 1 ? "from 1" : "") == 0);
}

static void compute(rdd_comm *comm) {
  for (int64_t np = 0; np <= MOST_PARTITIONS && FORKS; np++) {
    plan p = NO_FAULTS;
    p.crashes = np / 2;
    rdd *r = rows(np, &p);
    rdd_parts *parts = NULL;
    rdd_counters counters;
    rdd_run_opts opts = {.slots = 1 + comm->rank};
    rdd_err err;
    rdd_status st = rdd_compute(r, comm, &opts, &parts, &counters, &err);
    if (TK_OK(st, &err)) {
      int64_t mine[2] = {parts->n, 0}; /* how many, and the sum of their numbers */
      for (int64_t i = 0; i < parts->n; i++) {
        TK_CHECK(i == 0 || parts->number[i - 1] < parts->number[i]);
        check_part(parts->number[i], &parts->part[i]);
        mine[1] += parts->number[i];
      }
      rdd_allreduce(comm, mine, 2, RDD_SUM);
      TK_CHECK(mine[0] == np && mine[1] == np * (np - 1) / 2); /* each is on one rank */
      check_counters(np, &counters);
    }
    rdd_parts_free(parts);
    int64_t n = -1, expected = 0;
    for (int64_t i = 0; i < np; i++) expected += i * (i % 3);
    TK_OK(rdd_count(r, comm, &opts, &n, &err), &err);
    TK_CHECK(n == expected);
    rdd_release(r);
  }
}

static void compute_fails_together(rdd_comm *comm) {
  if (!FORKS) return;
  plan p = {.bad = {4, 9}, .crashes = -1};
  rdd *r = rows(MOST_PARTITIONS, &p);
  rdd_parts *parts = NULL;
  rdd_run_opts opts = {.slots = 2};
  rdd_err err;
  TK_CHECK(rdd_compute(r, comm, &opts, &parts, NULL, &err) == RDD_EDATA && !parts);
  TK_CHECK(strcmp(err.message, "partition 4 is bad") == 0);
  p = (plan){.bad = {10, -1}, .crashes = 8, .for_good = true};
  opts.max_failures = 2;
  TK_CHECK(rdd_compute(r, comm, &opts, &parts, NULL, &err) == RDD_ETASK && !parts);
  TK_CHECK(strstr(err.message, "partition 8 of 11 of rows: attempt 2 of 2 died of signal 9"));
  rdd_release(r);
}

typedef struct visits {
  int64_t next, stop_at;
} visits;

static rdd_status in_order(void *arg, int64_t partition, const rdd_part *part, rdd_err *err) {
  visits *v = arg;
  TK_CHECK(partition == v->next);
  v->next++;
  check_part(partition, part);
  if (partition == v->stop_at) return rdd_set(err, RDD_EIO, "enough");
  return RDD_OK;
}

static void visit(rdd_comm *comm) {
  for (int64_t np = 0; np <= MOST_PARTITIONS && FORKS; np++) {
    for (int slots = 1; slots <= 3; slots++) {
      plan p = NO_FAULTS;
      p.crashes = np - 1;
      rdd *r = rows(np, &p);
      visits v = {.stop_at = -1};
      rdd_counters counters;
      /* ranks need not have equally many slots */
      rdd_run_opts opts = {.slots = slots + (comm->rank == comm->size - 1)};
      rdd_err err;
      if (TK_OK(rdd_visit(r, comm, &opts, in_order, &v, &counters, &err), &err))
        check_counters(np, &counters);
      TK_CHECK(v.next == (comm->rank == 0 ? np : 0));
      rdd_release(r);
    }
  }
}

static void visit_fails_together(rdd_comm *comm) {
  for (int slots = 1; slots <= 3 && FORKS; slots++) {
    plan p = {.bad = {7, 6}, .crashes = -1}; /* 6 comes first, on whichever rank it is */
    rdd *r = rows(MOST_PARTITIONS, &p);
    visits v = {.stop_at = -1};
    rdd_run_opts opts = {.slots = slots};
    rdd_err err;
    TK_CHECK(rdd_visit(r, comm, &opts, in_order, &v, NULL, &err) == RDD_EDATA);
    TK_CHECK(strcmp(err.message, "partition 6 is bad") == 0 && err.rank == 6 % comm->size);
    TK_CHECK(v.next <= 6);

    p = NO_FAULTS;
    for (int64_t stop = 0; stop < MOST_PARTITIONS; stop += 5) {
      v = (visits){.stop_at = stop};
      TK_CHECK(rdd_visit(r, comm, &opts, in_order, &v, NULL, &err) == RDD_EIO);
      TK_CHECK(strcmp(err.message, "enough") == 0 && err.rank == 0);
      TK_CHECK(v.next == (comm->rank == 0 ? stop + 1 : 0));
    }
    rdd_release(r);
  }
}

/* One rank's allocation fails, whichever it is: all ranks get its error or all succeed. */
static void allocations_may_fail(rdd_comm *comm) {
  for (int n = 1; n < 40 && FORKS; n++) {
    rdd *r = rows(5, &NO_FAULTS);
    visits v = {.stop_at = -1};
    rdd_run_opts opts = {.slots = 2};
    rdd_err err;
    rdd_barrier(comm);
    if (comm->rank == 0) rdd_memory_fail_at(n);
    rdd_barrier(comm);
    rdd_status st = rdd_visit(r, comm, &opts, in_order, &v, NULL, &err);
    rdd_barrier(comm);
    if (comm->rank == 0) rdd_memory_fail_at(0);
    TK_CHECK(st == RDD_OK || st == RDD_ENOMEM);
    int64_t least = st, most = st;
    rdd_allreduce(comm, &least, 1, RDD_MIN);
    rdd_allreduce(comm, &most, 1, RDD_MAX);
    TK_CHECK(least == most && (n > 1 || st == RDD_ENOMEM));
    rdd_release(r);
  }
}

int main(void) {
  static const tk_comm_case cases[] = {
      {"compute and count", compute},
      {"compute fails together", compute_fails_together},
      {"visit", visit},
      {"visit fails together", visit_fails_together},
      {"allocations may fail", allocations_may_fail},
  };
  return tk_threads_main("rdd_task_threads", cases, sizeof cases / sizeof cases[0]);
}
