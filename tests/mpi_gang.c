/* From tasks to the gang, over MPI: the hand-off, and that each kind of failure ends on all ranks
 * with the same status and message; then the cases that the thread ring has too. "hang": see
 * gang_hang.sh. */
#include "mpi_bridge/gang.h"
#include "tests/gang_cases.h"
#include "tests/testkit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTITIONS = 9, ROWS = 1000, BATCHES = 3, NOWHERE = -1, ALWAYS = 99, MAX_CASES = 50 };

/* What goes wrong in the tasks. */
typedef struct plan {
  int64_t crash, crashes;  /* this partition crashes on so many first attempts */
  int64_t bad;             /* this partition finds bad data */
  int body_fails;          /* this rank fails in the body */
  int64_t sum[2], rows[2]; /* what the body found, over all ranks */
  bool in_place;           /* partitions are what they should be, in order */
} plan;

static const plan all_is_well = {.crash = NOWHERE, .bad = NOWHERE, .body_fails = NOWHERE};

static const rdd_schema schema = {1, {{"value", RDD_INT64}}};

/* Partition p is BATCHES batches of ROWS + p rows. */
static rdd_status compute(void *arg, int64_t p, rdd_task *task, rdd_err *err) {
  const plan *at = arg;
  int64_t value[ROWS + PARTITIONS];
  rdd_batch batch = {.rows = ROWS + p, .column = {{.values = value}}};
  for (int b = 0; b < BATCHES; b++) {
    if (p == at->bad) return rdd_set(err, RDD_EDATA, "partition %d is bad", (int)p);
    for (int64_t i = 0; i < batch.rows; i++) value[i] = p * 10000 + b * 3000 + i;
    rdd_status st = rdd_task_emit(task, &batch, err);
    if (st) return st;
    if (p == at->crash && rdd_task_attempt(task) < at->crashes) raise(SIGSEGV);
  }
  rdd_task_count(task, 0, batch.rows);
  return RDD_OK;
}

static rdd_status negate(void *arg, const rdd_batch *in, rdd_task *task, rdd_batch *out,
                         rdd_err *err) {
  (void)arg;
  int64_t *value = rdd_task_scratch(task, (size_t)in->rows, sizeof *value);
  if (!value) return rdd_set(err, RDD_ENOMEM, "no memory for a batch of %d rows", (int)in->rows);
  const int64_t *from = in->column[0].values;
  for (int64_t i = 0; i < in->rows; i++) value[i] = -from[i];
  out->rows = in->rows;
  out->column[0].values = value;
  return RDD_OK;
}

static rdd_status body(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  rdd_comm *comm = gang_comm(g);
  plan *at = arg;
  at->in_place = true;
  for (int i = 0; i < 2; i++) {
    at->sum[i] = at->rows[i] = 0;
    for (int64_t p = 0; p < parts[i]->n; p++) {
      const rdd_part *part = &parts[i]->part[p];
      if (part->rows != BATCHES * (ROWS + parts[i]->number[p])) at->in_place = false;
      if (p > 0 && parts[i]->number[p] <= parts[i]->number[p - 1]) at->in_place = false;
      at->rows[i] += part->rows;
      for (int64_t b = 0; b < part->batches; b++)
        for (int64_t r = 0; r < part->batch[b].rows; r++)
          at->sum[i] += ((const int64_t *)part->batch[b].column[0].values)[r];
      if (p % 2) rdd_parts_drop(parts[i], p);
    }
  }
  rdd_allreduce(comm, at->sum, 2, RDD_SUM);
  rdd_allreduce(comm, at->rows, 2, RDD_SUM);
  if (comm->rank == at->body_fails)
    return rdd_set(err, RDD_ESINGULAR, "row 7 of rank %d is singular", comm->rank);
  return RDD_OK;
}

/* A source and its negation through gang_run(). */
static rdd_status run(rdd_comm *comm, plan *at, rdd_counters counters[2], rdd_err *err) {
  const rdd_run_opts opts[2] = {{.slots = 2}, {.slots = 1}};
  rdd *rdds[2] = {NULL, NULL};
  rdd_status st = rdd_source(&rdds[0], "numbers", PARTITIONS, &schema, compute, at, err);
  if (st) goto done;
  st = rdd_map_batches(&rdds[1], rdds[0], "negate", &schema, negate, NULL, err);
  if (st) goto done;
  st = gang_run(comm, rdds, 2, opts, counters, NULL, body, at, err);
done:
  rdd_release(rdds[1]);
  rdd_release(rdds[0]);
  return st;
}

/* All ranks have the same status and message as rank 0. */
static void check_same(rdd_comm *comm, rdd_status st, const rdd_err *err) {
  struct {
    int64_t status;
    char message[sizeof err->message];
  } mine = {st, ""}, root;
  snprintf(mine.message, sizeof mine.message, "%s", err->message);
  root = mine;
  rdd_bcast(comm, &root, sizeof root, 0);
  TK_CHECK(mine.status == root.status);
  TK_CHECK(strcmp(mine.message, root.message) == 0);
}

static void check_result(const plan *at, const rdd_counters counters[2]) {
  int64_t sum = 0, rows = 0, counted = 0;
  for (int64_t p = 0; p < PARTITIONS; p++) {
    int64_t n = ROWS + p;
    counted += n;
    rows += BATCHES * n;
    for (int b = 0; b < BATCHES; b++) sum += n * (p * 10000 + b * 3000) + n * (n - 1) / 2;
  }
  TK_CHECK(at->in_place);
  for (int i = 0; i < 2; i++) {
    TK_CHECK(at->sum[i] == (i ? -sum : sum));
    TK_CHECK(at->rows[i] == rows);
    TK_CHECK(counters[i].value[0] == counted);
  }
}

static void test_hand_off(rdd_comm *comm) {
  plan at = all_is_well;
  rdd_counters counters[2];
  rdd_err err = {0};
  if (TK_OK(run(comm, &at, counters, &err), &err)) check_result(&at, counters);
}

/* A task dies twice, once its first batch is out: it is run again, and nothing is there twice. */
static void test_crash(rdd_comm *comm) {
  plan at = all_is_well;
  rdd_counters counters[2];
  rdd_err err = {0};
  at.crash = PARTITIONS - 2;
  at.crashes = 2;
  if (TK_OK(run(comm, &at, counters, &err), &err)) check_result(&at, counters);
}

static void test_crash_for_ever(rdd_comm *comm) {
  plan at = all_is_well;
  rdd_counters counters[2];
  rdd_err err = {0};
  at.crash = 4;
  at.crashes = ALWAYS;
  rdd_status st = run(comm, &at, counters, &err);
  TK_CHECK(st == RDD_ETASK);
  TK_CHECK(strstr(err.message, "partition 4") != NULL);
  check_same(comm, st, &err);
}

static void test_bad_data(rdd_comm *comm) {
  plan at = all_is_well;
  rdd_counters counters[2];
  rdd_err err = {0};
  at.bad = 3;
  rdd_status st = run(comm, &at, counters, &err);
  TK_CHECK(st == RDD_EDATA);
  TK_CHECK(strcmp(err.message, "partition 3 is bad") == 0);
  check_same(comm, st, &err);
}

static void test_body_fails(rdd_comm *comm) {
  plan at = all_is_well;
  rdd_counters counters[2];
  char expected[60];
  rdd_err err = {0};
  at.body_fails = comm->size - 1;
  snprintf(expected, sizeof expected, "row 7 of rank %d is singular", at.body_fails);
  rdd_status st = run(comm, &at, counters, &err);
  TK_CHECK(st == RDD_ESINGULAR);
  TK_CHECK(err.rank == at.body_fails);
  TK_CHECK(strcmp(err.message, expected) == 0);
  check_same(comm, st, &err);
}

static void test_launched(rdd_comm *comm) {
  TK_CHECK(gang_launched() == (comm->size > 1));
  TK_CHECK(strlen(gang_mpi_version()) > 3);
}

int main(int argc, char **argv) {
  static const tk_comm_case cases[] = {
      {"hand-off", test_hand_off},
      {"a task crashes twice and is run again", test_crash},
      {"a task that always crashes", test_crash_for_ever},
      {"bad data in one partition", test_bad_data},
      {"the body fails on one rank", test_body_fails},
      {"the launcher is noticed", test_launched},
  };
  rdd_comm *comm = NULL;
  rdd_err err = {0};
  if (gang_open(&argc, &argv, &comm, &err)) {
    fprintf(stderr, "%s\n", err.message);
    return 1;
  }
  if (argc == 2 && !strcmp(argv[1], "hang")) gang_hang(comm);
  tk_comm_case all[sizeof cases / sizeof *cases + MAX_CASES];
  int n = sizeof cases / sizeof *cases;
  memcpy(all, cases, sizeof cases);
  for (int i = 0; i < gang_case_count && i < MAX_CASES; i++) all[n++] = gang_cases[i];
  int status = tk_comm_main("gang", all, n, comm);
  rdd_comm_close(comm);
  return status;
}
