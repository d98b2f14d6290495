/* What ranks of a gang see of each other: syncs, wrong syncs, late and missing ranks, reruns. */
#include "tests/gang_cases.h"

#include "mpi_bridge/gang.h"
#include "rdd/hash.h"
#include "rdd/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { MAX_MESSAGE = 65536, MANY = 50 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void sleep_for(double seconds) {
  struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
  nanosleep(&t, NULL);
}

/* Reruns as rank 0 is told of them. */
typedef struct story {
  int reruns;
  int attempt[MANY];
  rdd_err why[MANY];
} story;

static void note_rerun(void *arg, int attempt, const rdd_err *why) {
  story *s = arg;
  if (s->reruns == MANY) return;
  s->attempt[s->reruns] = attempt;
  s->why[s->reruns++] = *why;
}

/* A gang without RDDs. */
static rdd_status run(rdd_comm *comm, const gang_opts *opts, gang_body body, void *arg,
                      rdd_err *err) {
  return gang_run(comm, NULL, 0, NULL, NULL, opts, body, arg, err);
}

/* All ranks have the status and message of rank 0. Collective. */
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

static void check_says(const rdd_err *err, const char *text) {
  if (TK_CHECK(strstr(err->message, text) != NULL)) return;
  char full[900];
  snprintf(full, sizeof full, "\"%s\" is in \"%s\"", text, err->message);
  tk_check(false, full, __FILE__, __LINE__);
}

/* Run a body that has to fail on all ranks alike, with a message that says `says`. */
static void check_fails(rdd_comm *comm, gang_body body, rdd_status expected, const char *says) {
  const gang_opts once = {.max_attempts = 1};
  rdd_err err = {0};
  rdd_status st = run(comm, &once, body, NULL, &err);
  TK_CHECK(st == expected);
  check_says(&err, says);
  check_same(comm, st, &err);
}

/* ---- Syncs ---- */

/* Nobody leaves a barrier before the last has come to it. */
static rdd_status sync_body(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  rdd_comm *comm = gang_comm(g);
  const int *rounds = arg;
  (void)parts;
  for (int i = 0; i < *rounds; i++) {
    double time[2], all[2 * 64];
    sleep_for(0.2 * rdd_uniform(rdd_mix64_2((uint64_t)i, (uint64_t)gang_rank(g))));
    time[0] = now();
    rdd_status st = gang_barrier(g, err);
    if (st) return st;
    time[1] = now();
    rdd_allgather(comm, time, sizeof time, all);
    for (int r = 0; r < comm->size; r++) TK_CHECK(all[2 * r] <= time[1]);
  }
  return RDD_OK;
}

static void test_global_sync(rdd_comm *comm) {
  rdd_err err = {0};
  int rounds = 1;
  TK_OK(run(comm, NULL, sync_body, &rounds, &err), &err);
}

static void test_two_barriers(rdd_comm *comm) {
  const gang_opts bounded = {.sync_timeout = 30};
  rdd_err err = {0};
  int rounds = 2;
  TK_OK(run(comm, &bounded, sync_body, &rounds, &err), &err);
}

/* Messages of different sizes, none and the largest among them. */
static int64_t message_bytes(int rank, int round) {
  static const int64_t bytes[] = {1, 0, MAX_MESSAGE, 17};
  return bytes[(rank + round) % 4];
}

static rdd_status allgather_body(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  rdd_status st = RDD_OK;
  char *message = rdd_alloc(MAX_MESSAGE, 1);
  (void)parts, (void)arg;
  for (int round = 0; round < 5 && !st; round++) {
    const void *const *all;
    const int64_t *bytes;
    memset(message, 'a' + gang_rank(g) + round, MAX_MESSAGE);
    st = gang_allgather(g, message, message_bytes(gang_rank(g), round), &all, &bytes, err);
    memset(message, 'x', MAX_MESSAGE); /* it is the caller's again */
    for (int r = 0; r < gang_size(g) && !st; r++) {
      const char *text = all[r];
      bool right = bytes[r] == message_bytes(r, round) && (uintptr_t)text % 16 == 0;
      for (int64_t i = 0; i < bytes[r] && right; i++) right = text[i] == 'a' + r + round;
      TK_CHECK(right);
    }
    if (!st && round % 2) st = gang_barrier(g, err);
  }
  rdd_free(message);
  return st;
}

static void test_allgather(rdd_comm *comm) {
  rdd_err err = {0};
  TK_OK(run(comm, NULL, allgather_body, NULL, &err), &err);
}

/* Spark's own: every task brings its partition number, and gets "0", "1", "2", "3". */
static rdd_status barrier_then_allgather_body(gang *g, rdd_parts *const *parts, void *arg,
                                              rdd_err *err) {
  const void *const *all;
  const int64_t *bytes;
  char text[12];
  (void)parts, (void)arg;
  rdd_status st = gang_barrier(g, err);
  if (st) return st;
  int n = snprintf(text, sizeof text, "%d", gang_rank(g));
  st = gang_allgather(g, text, n, &all, &bytes, err);
  if (st) return st;
  for (int r = 0; r < gang_size(g); r++)
    TK_CHECK(bytes[r] == 1 && *(const char *)all[r] == '0' + r);
  st = gang_barrier(g, err);
  if (st) return st;
  return gang_allgather(g, NULL, 0, &all, &bytes, err);
}

static void test_barrier_then_allgather(rdd_comm *comm) {
  rdd_err err = {0};
  TK_OK(run(comm, NULL, barrier_then_allgather_body, NULL, &err), &err);
}

/* Syncs and the communicator's own functions, in any order. */
static rdd_status interleaved_body(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  rdd_comm *comm = gang_comm(g);
  (void)parts, (void)arg;
  for (int64_t i = 0; i < 30; i++) {
    int64_t sum = comm->rank + i;
    rdd_status st = i % 3 ? gang_barrier(g, err) : RDD_OK;
    if (st) return st;
    rdd_allreduce(comm, &sum, 1, RDD_SUM);
    TK_CHECK(sum == comm->size * (comm->size - 1) / 2 + i * comm->size);
  }
  return RDD_OK;
}

static void test_interleaved(rdd_comm *comm) {
  rdd_err err = {0};
  TK_OK(run(comm, NULL, interleaved_body, NULL, &err), &err);
}

/* ---- Ranks that do not meet ---- */

static rdd_status mix_body(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  const void *const *all;
  const int64_t *bytes;
  (void)parts, (void)arg;
  if (gang_rank(g) != 1) return gang_barrier(g, err);
  return gang_allgather(g, "one", 3, &all, &bytes, err);
}

static void test_mix(rdd_comm *comm) {
  static const char *const says[] = {"", "", "rank 0 in barrier, rank 1 in allgather",
                                     "ranks 0, 2 in barrier, rank 1 in allgather",
                                     "ranks 0, 2 to 3 in barrier, rank 1 in allgather"};
  if (comm->size > 1) check_fails(comm, mix_body, RDD_EINTERNAL, says[comm->size]);
}

static rdd_status never_body(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  (void)parts, (void)arg;
  return gang_rank(g) == 0 ? RDD_OK : gang_barrier(g, err);
}

static void test_one_never_calls(rdd_comm *comm) {
  if (comm->size == 1) return;
  check_fails(comm, never_body, RDD_EINTERNAL, " in barrier");
  check_fails(comm, never_body, RDD_EINTERNAL, "rank 0 gone from the body;");
  check_fails(comm, never_body, RDD_EINTERNAL, "sync 1 of attempt 1");
}

/* One rank meets an error on its way to the first barrier, swallows it, and skips the barrier. */
static rdd_status unequal_body(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  (void)parts, (void)arg;
  int last = gang_size(g) - 1;
  for (int i = 0; i < 2; i++) {
    bool trouble = i == 0 && gang_rank(g) == last;
    rdd_status st = trouble ? RDD_OK : gang_barrier(g, err);
    if (st) return st;
  }
  return RDD_OK;
}

static void test_unequal_calls(rdd_comm *comm) {
  char says[60];
  if (comm->size == 1) return;
  snprintf(says, sizeof says, "rank %d gone from the body;", comm->size - 1);
  check_fails(comm, unequal_body, RDD_EINTERNAL, says);
  check_fails(comm, unequal_body, RDD_EINTERNAL, "sync 2 of attempt 1");
}

/* The error of a sync is no accident of one rank, so to swallow it helps nobody. */
static rdd_status swallow_body(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  rdd_err again = {0};
  rdd_status st = mix_body(g, parts, arg, err);
  TK_CHECK(st == RDD_EINTERNAL);
  for (int i = 0; i < gang_rank(g) + 2; i++) {
    TK_CHECK(gang_barrier(g, &again) == st);
    TK_CHECK(strcmp(again.message, err->message) == 0);
  }
  return RDD_OK;
}

static void test_swallowed(rdd_comm *comm) {
  if (comm->size > 1) check_fails(comm, swallow_body, RDD_EINTERNAL, "ranks met in different");
}

/* What ended the gang is the error of the rank that had one, not that others waited for it. */
static rdd_status fails_body(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  (void)parts, (void)arg;
  int last = gang_size(g) - 1;
  if (gang_rank(g) == last) return rdd_set(err, RDD_EDATA, "row 7 of rank %d is odd", last);
  rdd_status st = gang_barrier(g, err);
  TK_CHECK(st == RDD_EINTERNAL);
  check_says(err, "gone from the body with an error");
  return st;
}

static void test_one_fails(rdd_comm *comm) {
  char says[60];
  snprintf(says, sizeof says, "row 7 of rank %d is odd", comm->size - 1);
  check_fails(comm, fails_body, RDD_EDATA, says);
}

static rdd_status oversize_body(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  static const char message[MAX_MESSAGE + 1];
  const void *const *all;
  const int64_t *bytes;
  (void)parts, (void)arg;
  bool last = gang_rank(g) == gang_size(g) - 1;
  return gang_allgather(g, message, last ? (int64_t)sizeof message : 1, &all, &bytes, err);
}

static void test_oversize(rdd_comm *comm) {
  char says[80];
  snprintf(says, sizeof says, "rank %d brings a message of 65537 bytes", comm->size - 1);
  check_fails(comm, oversize_body, RDD_EUSAGE, says);
}

/* ---- Late ranks ---- */

/* In attempt 1 the last rank comes late; after that nobody does. */
static rdd_status late_body(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  int *attempts = arg;
  (void)parts;
  *attempts = gang_attempt(g);
  if (gang_attempt(g) == 1 && gang_rank(g) == gang_size(g) - 1) sleep_for(0.9);
  rdd_status st = gang_barrier(g, err);
  if (gang_attempt(g) == 1) TK_CHECK(st == RDD_EINTERNAL);
  return st;
}

static void test_late(rdd_comm *comm) {
  story told = {0};
  /* a machine under load may make others late as well */
  const gang_opts opts = {.sync_timeout = 0.4,
                          .sync_grace = 60,
                          .max_attempts = MANY,
                          .rerun = note_rerun,
                          .arg = &told};
  rdd_err err = {0};
  char says[40];
  int attempts = 0;
  if (comm->size == 1) return;
  snprintf(says, sizeof says, " %d came ", comm->size - 1);
  TK_OK(run(comm, &opts, late_body, &attempts, &err), &err);
  TK_CHECK(attempts >= 2);
  if (comm->rank != 0) return;
  TK_CHECK(told.reruns == attempts - 1);
  check_says(&told.why[0], says);
  check_says(&told.why[0], "in barrier, sync 1 of attempt 1 of the gang:");
  check_says(&told.why[0], "the limit is 0.4 s");
}

/* No limit, or a rank that is done: nobody is late. */
static rdd_status slow_body(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  const double *limit = arg;
  (void)parts;
  if (gang_rank(g) == 0) sleep_for(0.3);
  return *limit > 0 ? RDD_OK : gang_barrier(g, err);
}

static void test_slow_is_not_late(rdd_comm *comm) {
  const double limits[] = {0, 0.1};
  for (int i = 0; i < 2; i++) {
    const gang_opts opts = {.sync_timeout = limits[i], .max_attempts = 1};
    rdd_err err = {0};
    TK_OK(run(comm, &opts, slow_body, (void *)(uintptr_t)&limits[i], &err), &err);
  }
}

/* A meeting is left waiting, and the other functions pass it by. */
static void test_meeting(rdd_comm *comm) {
  int64_t all[64], own = 10 + comm->rank, sum = 1;
  bool came[64];
  if (comm->size > 1 && comm->rank == 0) {
    TK_CHECK(!rdd_meet(comm, &own, sizeof own, all, came, 0.05));
    TK_CHECK(came[0] && !came[comm->size - 1]);
  }
  rdd_allreduce(comm, &sum, 1, RDD_SUM);
  TK_CHECK(sum == comm->size);
  TK_CHECK(rdd_meet(comm, &own, sizeof own, all, came, 0));
  for (int r = 0; r < comm->size; r++) TK_CHECK(came[r] && all[r] == 10 + r);
  for (int64_t i = 0; i < 100; i++) {
    own = comm->rank * 1000 + i;
    TK_CHECK(rdd_meet(comm, &own, sizeof own, all, came, 60));
    for (int r = 0; r < comm->size; r++) TK_CHECK(all[r] == r * 1000 + i);
  }
}

static rdd_status hang_body(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  (void)parts, (void)arg;
  while (gang_rank(g) == gang_size(g) - 1) sleep_for(60);
  return gang_barrier(g, err);
}

void gang_hang(rdd_comm *comm) {
  const gang_opts opts = {.sync_timeout = 0.3, .sync_grace = 0.2};
  rdd_err err = {0};
  TK_OK(run(comm, &opts, hang_body, NULL, &err), &err);
}

/* ---- Admission and infos ---- */

static rdd_status must_not_run(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  (void)g, (void)parts, (void)arg, (void)err;
  TK_CHECK(!"a gang that is not whole has started");
  return RDD_OK;
}

static rdd_status infos_body(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  const gang_task_info *info = gang_task_infos(g);
  char host[64] = "";
  (void)parts, (void)arg, (void)err;
  gethostname(host, sizeof host - 1);
  TK_CHECK(gang_size(g) == gang_comm(g)->size && gang_rank(g) == gang_comm(g)->rank);
  for (int r = 0; r < gang_size(g); r++) {
    TK_CHECK(info[r].rank == r && info[r].node == 0 && info[r].partitions == 0);
    TK_CHECK(strcmp(info[r].host, host) == 0);
  }
  return RDD_OK;
}

static void test_slots(rdd_comm *comm) {
  const int asked[] = {comm->size + 1, comm->size + 100, comm->size - 1};
  rdd_err err = {0};
  char says[60];
  for (int i = 0; i < 3; i++) {
    if (asked[i] == 0) continue; /* that means any number */
    const gang_opts opts = {.ranks = asked[i]};
    TK_CHECK(run(comm, &opts, must_not_run, NULL, &err) == RDD_EUSAGE);
    snprintf(says, sizeof says, "needs %d ranks", asked[i]);
    check_says(&err, says);
    snprintf(says, sizeof says, "this job has %d:", comm->size);
    check_says(&err, says);
  }
  const gang_opts opts = {.ranks = comm->size};
  TK_OK(run(comm, &opts, infos_body, NULL, &err), &err);
}

static void test_infos(rdd_comm *comm) {
  rdd_err err = {0};
  TK_OK(run(comm, NULL, infos_body, NULL, &err), &err);
}

static void test_usage(rdd_comm *comm) {
  rdd_err err = {0};
  TK_CHECK(gang_run(comm, NULL, -1, NULL, NULL, NULL, must_not_run, NULL, &err) == RDD_EUSAGE);
  TK_CHECK(gang_run(comm, NULL, 5, NULL, NULL, NULL, must_not_run, NULL, &err) == RDD_EUSAGE);
  check_says(&err, "0 to 4 rdds, not 5");
}

/* ---- Reruns ---- */

/* Each attempt before `good` fails with `status`: on the ranks attempt % size and, if `both`, on
 * the ranks after it. */
typedef struct flaky {
  rdd_status status;
  int good;
  bool both, in_sync; /* others wait in a barrier, or are done */
  int runs;           /* of the body on this rank */
} flaky;

static rdd_status flaky_body(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  flaky *f = arg;
  int attempt = gang_attempt(g), lowest = attempt % gang_size(g);
  (void)parts;
  TK_CHECK(attempt == ++f->runs);
  bool fails = f->both ? gang_rank(g) >= lowest : gang_rank(g) == lowest;
  if (fails && attempt < f->good)
    return rdd_set(err, f->status, "trouble %d on rank %d", attempt, gang_rank(g));
  return f->in_sync ? gang_barrier(g, err) : RDD_OK;
}

static void check_reruns(rdd_comm *comm, flaky f) {
  story told = {0};
  const gang_opts opts = {.rerun = note_rerun, .arg = &told};
  rdd_err err = {0};
  TK_OK(run(comm, &opts, flaky_body, &f, &err), &err);
  TK_CHECK(f.runs == f.good);
  TK_CHECK(told.reruns == (comm->rank == 0 ? f.good - 1 : 0));
  for (int i = 0; i < told.reruns; i++) {
    char says[60];
    snprintf(says, sizeof says, "trouble %d on rank %d", i + 1, (i + 1) % comm->size);
    TK_CHECK(told.attempt[i] == i + 2);
    TK_CHECK(told.why[i].code == f.status && told.why[i].rank == (i + 1) % comm->size);
    TK_CHECK(strcmp(told.why[i].message, says) == 0);
  }
}

static void test_all_are_rerun(rdd_comm *comm) {
  static const rdd_status again[] = {RDD_ENOMEM, RDD_EINTERNAL};
  for (int i = 0; i < 2; i++)
    for (int in_sync = 0; in_sync < 2; in_sync++)
      check_reruns(comm, (flaky){.status = again[i], .good = 2 + i, .in_sync = in_sync});
}

static void test_one_rerun_for_several_failures(rdd_comm *comm) {
  check_reruns(comm, (flaky){.status = RDD_EINTERNAL, .good = 3, .both = true});
  check_reruns(comm, (flaky){.status = RDD_EINTERNAL, .good = 3, .both = true, .in_sync = true});
}

static void test_attempts_end(rdd_comm *comm) {
  static const struct {
    int given, made;
    const char *says;
  } row[] = {{0, 4, "after 4 attempts: trouble 4"},
             {2, 2, "after 2 attempts: trouble 2"},
             {1, 1, "trouble 1"}};
  for (int i = 0; i < 3; i++) {
    story told = {0};
    flaky f = {.status = RDD_EINTERNAL, .good = MANY};
    const gang_opts opts = {.max_attempts = row[i].given, .rerun = note_rerun, .arg = &told};
    rdd_err err = {0};
    rdd_status st = run(comm, &opts, flaky_body, &f, &err);
    TK_CHECK(st == RDD_EINTERNAL && f.runs == row[i].made);
    TK_CHECK(err.rank == row[i].made % comm->size);
    TK_CHECK(strncmp(err.message, row[i].says, strlen(row[i].says)) == 0);
    TK_CHECK(comm->rank != 0 || told.reruns == row[i].made - 1);
    check_same(comm, st, &err);
  }
}

static void test_some_errors_stay(rdd_comm *comm) {
  static const rdd_status stays[] = {RDD_EUSAGE, RDD_EDATA,     RDD_ENOINPUT,
                                     RDD_EIO,    RDD_ESINGULAR, RDD_ETASK};
  for (size_t i = 0; i < sizeof stays / sizeof *stays; i++) {
    story told = {0};
    flaky f = {.status = stays[i], .good = MANY};
    const gang_opts opts = {.rerun = note_rerun, .arg = &told};
    rdd_err err = {0};
    rdd_status st = run(comm, &opts, flaky_body, &f, &err);
    TK_CHECK(st == stays[i] && f.runs == 1 && told.reruns == 0);
    TK_CHECK(strncmp(err.message, "trouble 1 on rank ", 18) == 0);
    check_same(comm, st, &err);
  }
}

/* A sync that failed in one attempt is forgotten in the next. */
static rdd_status mix_once_body(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  int *runs = arg;
  ++*runs;
  if (gang_attempt(g) == 1) return mix_body(g, parts, NULL, err);
  return barrier_then_allgather_body(g, parts, NULL, err);
}

static void test_old_failures_are_forgotten(rdd_comm *comm) {
  rdd_err err = {0};
  int runs = 0;
  TK_OK(run(comm, NULL, mix_once_body, &runs, &err), &err);
  TK_CHECK(runs == (comm->size > 1 ? 2 : 1));
}

/* ---- Reruns and lineage ---- */

enum { PARTITIONS = 7, ROWS = 100, RDDS = 2, DROPPED = 3 };

/* How often each partition was computed: written by tasks, so in memory that they share. */
typedef struct computed {
  int times[PARTITIONS];
} computed;

static rdd_status numbers(void *arg, int64_t p, rdd_task *task, rdd_err *err) {
  computed *c = arg;
  int64_t value[ROWS];
  rdd_batch batch = {.rows = ROWS, .column = {{.values = value}}};
  for (int i = 0; i < ROWS; i++) value[i] = p * ROWS + i;
  __atomic_fetch_add(&c->times[p], 1, __ATOMIC_RELAXED);
  return rdd_task_emit(task, &batch, err);
}

/* Sums both RDDs, drops one partition of the first, whoever has it, and fails until attempt 3. */
static rdd_status consume_body(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  int64_t sum[RDDS] = {0}, n[RDDS] = {0};
  (void)arg;
  for (int i = 0; i < RDDS; i++)
    for (int64_t p = 0; p < parts[i]->n; p++) {
      const rdd_part *part = &parts[i]->part[p];
      n[i] += part->rows;
      for (int64_t b = 0; b < part->batches; b++)
        for (int64_t r = 0; r < part->batch[b].rows; r++)
          sum[i] += ((const int64_t *)part->batch[b].column[0].values)[r];
      TK_CHECK(p == 0 || parts[i]->number[p] > parts[i]->number[p - 1]);
      if (i == 0 && parts[i]->number[p] == DROPPED) rdd_parts_drop(parts[i], p);
    }
  rdd_allreduce(gang_comm(g), sum, RDDS, RDD_SUM);
  rdd_allreduce(gang_comm(g), n, RDDS, RDD_SUM);
  for (int i = 0; i < RDDS; i++) {
    TK_CHECK(n[i] == PARTITIONS * ROWS);
    TK_CHECK(sum[i] == (int64_t)PARTITIONS * ROWS * (PARTITIONS * ROWS - 1) / 2);
  }
  int64_t partitions = 0;
  for (int r = 0; r < gang_size(g); r++) partitions += gang_task_infos(g)[r].partitions;
  TK_CHECK(partitions == RDDS * PARTITIONS);
  if (gang_attempt(g) < 3 && gang_rank(g) == 0) return rdd_set(err, RDD_EINTERNAL, "not this time");
  return RDD_OK;
}

/* Only what the body has dropped is computed again. */
static void test_lineage(rdd_comm *comm) {
  static const rdd_schema schema = {1, {{"value", RDD_INT64}}};
  const rdd_run_opts run_opts[RDDS] = {{.slots = 2}, {.slots = 1}};
  rdd *rdds[RDDS] = {NULL};
  rdd_err err = {0};
  computed *c = mmap(NULL, RDDS * sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                     0);
  if (!TK_CHECK(c != MAP_FAILED)) exit(99);
  for (int i = 0; i < RDDS; i++)
    TK_OK(rdd_source(&rdds[i], i ? "kept" : "dropped", PARTITIONS, &schema, numbers, &c[i], &err),
          &err);
  TK_OK(gang_run(comm, rdds, RDDS, run_opts, NULL, NULL, consume_body, NULL, &err), &err);
  int64_t times[RDDS] = {0};
  for (int i = 0; i < RDDS; i++)
    for (int p = 0; p < PARTITIONS; p++) times[i] += c[i].times[p];
  rdd_allreduce(comm, times, RDDS, RDD_SUM);
  TK_CHECK(times[0] == PARTITIONS + 2); /* two attempts have failed */
  TK_CHECK(times[1] == PARTITIONS);
  for (int i = 0; i < RDDS; i++) rdd_release(rdds[i]);
  munmap(c, RDDS * sizeof *c);
}

/* ---- Memory ---- */

static rdd_status memory_body(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  const void *const *all;
  const int64_t *bytes;
  (void)parts, (void)arg;
  rdd_status st = gang_allgather(g, "message", 7, &all, &bytes, err);
  return st ? st : gang_barrier(g, err);
}

/* One rank is out of memory somewhere: all return the same, and nobody hangs. */
static void test_memory(rdd_comm *comm) {
  const gang_opts once = {.max_attempts = 1};
  int failed = 0;
  for (int64_t n = 1; n < 12; n++) {
    rdd_err err = {0};
    rdd_barrier(comm);
    if (comm->rank == comm->size - 1) rdd_memory_fail_at(n);
    rdd_barrier(comm);
    rdd_status st = run(comm, &once, memory_body, NULL, &err);
    rdd_barrier(comm);
    if (comm->rank == comm->size - 1) rdd_memory_fail_at(0);
    TK_CHECK(st == RDD_OK || (st == RDD_ENOMEM && strstr(err.message, "memory")));
    check_same(comm, st, &err);
    failed += st == RDD_ENOMEM;
  }
  TK_CHECK(failed > 6);
}

/* Attempt 1 drops everything and fails; from there on the n-th allocation of one rank fails. */
static rdd_status drop_body(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  const int64_t *n = arg;
  if (gang_attempt(g) > 1) return RDD_OK;
  for (int64_t p = 0; p < parts[0]->n; p++) rdd_parts_drop(parts[0], p);
  if (gang_rank(g) == gang_size(g) - 1) rdd_memory_fail_at(*n);
  return rdd_set(err, RDD_EINTERNAL, "once more");
}

static void test_memory_of_a_rerun(rdd_comm *comm) {
  static const rdd_schema schema = {1, {{"value", RDD_INT64}}};
  const rdd_run_opts run_opts = {.slots = 1};
  int failed = 0;
  for (int64_t n = 1; n < 6; n++) {
    computed c = {{0}};
    rdd_err err = {0};
    rdd *r = NULL;
    TK_OK(rdd_source(&r, "dropped", PARTITIONS, &schema, numbers, &c, &err), &err);
    rdd_status st = gang_run(comm, &r, 1, &run_opts, NULL, NULL, drop_body, &n, &err);
    rdd_barrier(comm);
    if (comm->rank == comm->size - 1) rdd_memory_fail_at(0);
    TK_CHECK(st == RDD_OK || (st == RDD_ENOMEM && strstr(err.message, "memory")));
    check_same(comm, st, &err);
    failed += st == RDD_ENOMEM;
    rdd_release(r);
    rdd_barrier(comm);
  }
  TK_CHECK(failed > 2);
}

const tk_comm_case gang_cases[] = {
    {"global sync by barrier with random sleeps [BarrierTaskContextSuite]", test_global_sync},
    {"two barrier calls [BarrierTaskContextSuite]", test_two_barriers},
    {"allgather gives all messages [BarrierTaskContextSuite]", test_allgather},
    {"allgather after barrier [BarrierTaskContextSuite]", test_barrier_then_allgather},
    {"barrier and allgather in one sync fail [BarrierTaskContextSuite]", test_mix},
    {"a late rank fails the sync, and all are rerun [BarrierTaskContextSuite]", test_late},
    {"one rank never calls barrier [BarrierTaskContextSuite]", test_one_never_calls},
    {"unequal numbers of barrier calls [BarrierTaskContextSuite]", test_unequal_calls},
    {"a rank that fails frees those in barrier [BarrierTaskContextSuite]", test_one_fails},
    {"a swallowed error of a sync comes again", test_swallowed},
    {"slow is not late without a limit, or after the body", test_slow_is_not_late},
    {"too many slots, too few slots are refused [BarrierStageOnSubmittedSuite]", test_slots},
    {"task infos: one for each rank [RDDBarrierSuite, SparkContextSuite]", test_infos},
    {"all ranks are rerun on failure [DAGSchedulerSuite]", test_all_are_rerun},
    {"several failures, one rerun [DAGSchedulerSuite]", test_one_rerun_for_several_failures},
    {"at most four attempts [DAGSchedulerSuite]", test_attempts_end},
    {"failures of an old attempt are forgotten [DAGSchedulerSuite]",
     test_old_failures_are_forgotten},
    {"errors that would come again are not rerun", test_some_errors_stay},
    {"only what was dropped is computed again", test_lineage},
    {"syncs and the communicator's functions", test_interleaved},
    {"a meeting that waits is passed by", test_meeting},
    {"a message that is too large", test_oversize},
    {"too few rdds, too many rdds", test_usage},
    {"one rank is out of memory", test_memory},
    {"one rank is out of memory for a rerun", test_memory_of_a_rerun},
};
const int gang_case_count = sizeof gang_cases / sizeof *gang_cases;
