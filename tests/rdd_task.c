/* Tasks of one rank: what crashes is rerun, alone, with the same data; what is wrong is not. */
#include "rdd/memory.h"
#include "rdd/rdd.h"
#include "tests/testkit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PARTITIONS = 7, BATCHES = 3, ROWS = 40 };

typedef enum fault {
  NO_FAULT,
  SEGFAULT,
  ABORT,
  EXIT_3,
  EXIT_0,
  EXIT_HANDLERS,
  KILL,
  BAD_DATA,
  NO_MESSAGE,
  NO_MEMORY,
  SLEEP
} fault;

/* What the source does, and what tasks tell the test across the fork. */
typedef struct plan {
  fault fault[PARTITIONS];
  int faulty_attempts; /* attempts below this number are faulty */
  int delay_ms[PARTITIONS];
  int *runs;       /* [PARTITIONS] shared with the tasks: how often each was run */
  int failed_said; /* crashes after which a task was rerun */
  char said[900];
  int64_t done, total; /* last progress */
  int progress_calls;
} plan;

static int *at_exit_runs; /* shared with the tasks: must stay 0 until the end */

static void *shared(size_t bytes) {
  void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return p == MAP_FAILED ? NULL : p;
}

static plan plan_new(void) {
  return (plan){.faulty_attempts = 1, .runs = shared(PARTITIONS * sizeof(int))};
}

static void plan_free(plan *p) {
  munmap(p->runs, PARTITIONS * sizeof(int));
}

static void sleep_ms(int ms) {
  struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
  nanosleep(&t, NULL);
}

/* A real one: a page that nobody may touch. */
static void segfault(void) {
  int *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  *(volatile int *)page = 1;
}

static rdd_status commit_fault(fault f, int64_t partition, rdd_err *err) {
  switch (f) {
  case SEGFAULT:
    segfault();
    break;
  case ABORT:
    abort();
  case EXIT_3:
    _exit(3);
  case EXIT_0:
    _exit(0);
  case EXIT_HANDLERS:
    exit(5); /* as a library might: the rank's handlers and buffers are not the task's */
  case KILL:
    kill(getpid(), SIGKILL);
    break;
  case BAD_DATA:
    return rdd_set(err, RDD_EDATA, "partition %lld is bad", (long long)partition);
  case NO_MESSAGE:
    return RDD_EIO;
  case NO_MEMORY:
    rdd_memory_fail_at(1);
    break;
  case SLEEP:
    sleep_ms(100000);
    break;
  case NO_FAULT:
    break;
  }
  return RDD_OK;
}

static int64_t value_at(int64_t partition, int batch, int64_t row) {
  return partition * 1000000 + batch * 1000 + row;
}

/* Partition p has BATCHES batches, but partition 2 none. Most faults come after the first batch. */
static rdd_status rows_source(void *arg, int64_t partition, rdd_task *task, rdd_err *err) {
  const plan *p = arg;
  __atomic_add_fetch(&p->runs[partition], 1, __ATOMIC_SEQ_CST);
  if (rdd_task_partition(task) != partition) return rdd_set(err, RDD_EINTERNAL, "who am I");
  rdd_task_count(task, 0, 1);
  if (partition >= 3) rdd_task_note(task, "note of %lld", (long long)partition);
  rdd_task_note(task, "second note");
  sleep_ms(p->delay_ms[partition]);
  for (int b = 0; b < BATCHES && partition != 2; b++) {
    fault f = rdd_task_attempt(task) < p->faulty_attempts ? p->fault[partition] : NO_FAULT;
    if (b == (f == NO_MEMORY ? 0 : 1)) { /* later batches find scratch that is already there */
      rdd_status st = commit_fault(f, partition, err);
      if (st) return st;
    }
    int64_t *value = rdd_task_scratch(task, ROWS, sizeof *value);
    if (!value) return rdd_set(err, RDD_ENOMEM, "no scratch for %d rows", ROWS);
    for (int i = 0; i < ROWS; i++) value[i] = value_at(partition, b, i);
    rdd_task_count(task, 1, ROWS);
    rdd_batch batch = {.rows = ROWS, .column = {{.values = value}}};
    rdd_status st = rdd_task_emit(task, &batch, err);
    if (st) return st;
  }
  return RDD_OK;
}

/* Keep the even values. */
static rdd_status keep_even(void *arg, const rdd_batch *in, rdd_task *task, rdd_batch *out,
                            rdd_err *err) {
  (void)arg;
  const int64_t *from = in->column[0].values;
  int64_t *to = rdd_task_scratch(task, (size_t)in->rows, sizeof *to);
  if (!to) return rdd_set(err, RDD_ENOMEM, "no scratch for %lld rows", (long long)in->rows);
  for (int64_t i = 0; i < in->rows; i++)
    if (from[i] % 2 == 0) to[out->rows++] = from[i];
  out->column[0].values = to;
  return RDD_OK;
}

static rdd *even_rows(plan *p) {
  rdd_schema schema = {0};
  rdd_schema_add(&schema, "n", RDD_INT64);
  rdd *source = NULL, *even = NULL;
  rdd_err err;
  TK_OK(rdd_source(&source, "rows", PARTITIONS, &schema, rows_source, p, &err), &err);
  TK_OK(rdd_map_batches(&even, source, "even", &schema, keep_even, p, &err), &err);
  rdd_release(source);
  return even;
}

static void on_event(void *arg, const rdd_event *event) {
  plan *p = arg;
  if (event->kind != RDD_TASK_CRASHED) return;
  p->failed_said++;
  snprintf(p->said, sizeof p->said, "%s", event->message);
}

static void on_progress(void *arg, int64_t done, int64_t total) {
  plan *p = arg;
  p->done = done;
  p->total = total;
  p->progress_calls++;
}

static rdd_run_opts opts_for(plan *p, int slots) {
  return (rdd_run_opts){.slots = slots, .progress = on_progress, .event = on_event, .arg = p};
}

static void check_part(int64_t partition, const rdd_part *part) {
  TK_CHECK(part->batches == (partition == 2 ? 0 : BATCHES));
  TK_CHECK(part->rows == (partition == 2 ? 0 : BATCHES * ROWS / 2));
  for (int64_t b = 0; b < part->batches; b++) {
    const int64_t *value = part->batch[b].column[0].values;
    bool right = part->batch[b].rows == ROWS / 2;
    for (int64_t i = 0; i < ROWS / 2 && right; i++)
      right &= value[i] == value_at(partition, (int)b, 2 * i);
    TK_CHECK(right);
  }
}

static rdd_comm *single(void) {
  rdd_comm *comm = NULL;
  rdd_err err;
  TK_OK(rdd_comm_single(&comm, &err), &err);
  return comm;
}

/* rdd_compute on one rank; parts are checked where they should be there. */
static rdd_status compute(plan *p, rdd_run_opts opts, rdd_counters *counters, rdd_err *err) {
  rdd_comm *comm = single();
  rdd *r = even_rows(p);
  rdd_parts *parts = NULL;
  rdd_status st = rdd_compute(r, comm, &opts, &parts, counters, err);
  TK_CHECK((st == RDD_OK) == (parts != NULL));
  if (parts) {
    TK_CHECK(parts->n == PARTITIONS);
    for (int64_t i = 0; i < parts->n; i++) {
      TK_CHECK(parts->number[i] == i);
      check_part(i, &parts->part[i]);
    }
    rdd_parts_drop(parts, 3);
    TK_CHECK(parts->part[3].bytes == NULL && parts->part[3].rows == 0);
  }
  rdd_parts_free(parts);
  rdd_release(r);
  rdd_comm_close(comm);
  errno = 0;
  TK_CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD); /* no child is left behind */
  return st;
}

static void computes(void) {
  for (int slots = 1; slots <= 9; slots += 4) {
    plan p = plan_new();
    rdd_counters counters;
    rdd_err err;
    TK_OK(compute(&p, opts_for(&p, slots), &counters, &err), &err);
    TK_CHECK(counters.value[0] == PARTITIONS);
    TK_CHECK(counters.value[1] == (PARTITIONS - 1) * BATCHES * ROWS && counters.value[2] == 0);
    TK_CHECK(strcmp(counters.note, "second note") == 0); /* partition 0 leaves one note */
    TK_CHECK(p.progress_calls == PARTITIONS + 1 && p.done == PARTITIONS && p.total == PARTITIONS);
    TK_CHECK(p.failed_said == 0);
    plan_free(&p);
  }
}

static void crashes_are_rerun_alone(void) {
  static const fault faults[] = {SEGFAULT, ABORT, EXIT_3, EXIT_0, KILL, EXIT_HANDLERS};
  static const char *const said[] = {"died of signal 11 (segmentation fault)",
                                     "died of signal 6 (aborted)",
                                     "left with exit status 3",
                                     "left with exit status 0 before it was done",
                                     "died of signal 9 (killed)",
                                     "left with exit status 5"};
  for (int f = 0; f < 6; f++) {
    for (int failures = 1; failures < RDD_MAX_FAILURES; failures += 2) {
      plan p = plan_new();
      rdd_counters counters;
      rdd_err err;
      p.fault[4] = faults[f];
      p.faulty_attempts = failures;
      TK_OK(compute(&p, opts_for(&p, 3), &counters, &err), &err);
      for (int i = 0; i < PARTITIONS; i++) TK_CHECK(p.runs[i] == (i == 4 ? 1 + failures : 1));
      TK_CHECK(counters.value[0] == PARTITIONS); /* what a crashed attempt counted is not counted */
      TK_CHECK(counters.value[1] == (PARTITIONS - 1) * BATCHES * ROWS);
      TK_CHECK(p.failed_said == failures && strstr(p.said, said[f]));
      TK_CHECK(strstr(p.said, "partition 4 of 7 of even <- rows: attempt") == p.said);
      plan_free(&p);
    }
  }
}

static void all_tasks_crash_once(void) {
  plan p = plan_new();
  rdd_err err;
  for (int i = 0; i < PARTITIONS; i++) p.fault[i] = i % 2 ? SEGFAULT : EXIT_3;
  TK_OK(compute(&p, opts_for(&p, 2), NULL, &err), &err);
  for (int i = 0; i < PARTITIONS; i++) TK_CHECK(p.runs[i] == (i == 2 ? 1 : 2)); /* 2 is empty */
  TK_CHECK(p.failed_said == PARTITIONS - 1 && p.progress_calls == PARTITIONS + 1);
  plan_free(&p);
}

static void four_crashes_end_the_job(void) {
  plan p = plan_new();
  rdd_err err;
  p.fault[3] = SEGFAULT;
  p.faulty_attempts = 100;
  TK_CHECK(compute(&p, opts_for(&p, 2), NULL, &err) == RDD_ETASK);
  TK_CHECK(p.runs[3] == 4 && p.failed_said == 4);
  TK_CHECK(strstr(err.message, "partition 3 of 7 of even <- rows: attempt 4 of 4 died of signal 11 "
                               "(segmentation fault) on rank 0") == err.message);
  TK_CHECK(err.rank == 0);
  plan_free(&p);

  p = plan_new();
  p.fault[0] = EXIT_3;
  p.faulty_attempts = 100;
  rdd_run_opts opts = opts_for(&p, 1);
  opts.max_failures = 1;
  TK_CHECK(compute(&p, opts, NULL, &err) == RDD_ETASK);
  TK_CHECK(p.runs[0] == 1 && p.failed_said == 1 && p.runs[1] == 0); /* nothing new is started */
  TK_CHECK(strstr(err.message, "attempt 1 of 1 left with exit status 3"));
  plan_free(&p);
}

static void data_errors_are_not_retried(void) {
  static const struct {
    fault fault;
    rdd_status status;
    const char *message;
  } rows[] = {{BAD_DATA, RDD_EDATA, "partition 1 is bad"},
              {NO_MESSAGE, RDD_EIO, "partition 1 of even: i/o error, without a message"},
              {NO_MEMORY, RDD_ENOMEM, "no scratch"}};
  for (int i = 0; i < 3; i++) {
    plan p = plan_new();
    rdd_err err;
    p.fault[1] = rows[i].fault;
    rdd_status st = compute(&p, opts_for(&p, 1), NULL, &err);
    TK_CHECK(st == rows[i].status && strstr(err.message, rows[i].message));
    TK_CHECK(p.runs[1] == 1 && p.failed_said == 0);
    TK_CHECK(p.runs[0] == 1 && p.runs[2] == 0 && p.runs[6] == 0);
    plan_free(&p);
  }
}

static void lowest_partition_wins(void) {
  plan p = plan_new();
  rdd_err err;
  p.fault[0] = BAD_DATA; /* fails last */
  p.fault[1] = SEGFAULT; /* crashes for good, quickly */
  p.fault[4] = BAD_DATA; /* fails first */
  p.faulty_attempts = 100;
  p.delay_ms[0] = 300;
  TK_CHECK(compute(&p, opts_for(&p, 5), NULL, &err) == RDD_EDATA);
  TK_CHECK(strcmp(err.message, "partition 0 is bad") == 0);
  plan_free(&p);

  p = plan_new(); /* a lower partition that crashes after a higher one failed is still rerun */
  p.fault[0] = SEGFAULT;
  p.fault[4] = BAD_DATA;
  p.delay_ms[0] = 300;
  TK_CHECK(compute(&p, opts_for(&p, 5), NULL, &err) == RDD_EDATA);
  TK_CHECK(strcmp(err.message, "partition 4 is bad") == 0);
  TK_CHECK(p.runs[0] == 2);
  plan_free(&p);
}

/* ---- Visit ---- */

typedef struct visits {
  int64_t next;
  int64_t stop_at; /* fail here; -1: never */
} visits;

static rdd_status in_order(void *arg, int64_t partition, const rdd_part *part, rdd_err *err) {
  visits *v = arg;
  TK_CHECK(partition == v->next);
  v->next++;
  check_part(partition, part);
  if (partition == v->stop_at)
    return rdd_set(err, RDD_EIO, "disk full at %lld", (long long)partition);
  return RDD_OK;
}

static rdd_status visit(plan *p, rdd_run_opts opts, visits *v, rdd_counters *counters,
                        rdd_err *err) {
  rdd_comm *comm = single();
  rdd *r = even_rows(p);
  rdd_status st = rdd_visit(r, comm, &opts, in_order, v, counters, err);
  rdd_release(r);
  rdd_comm_close(comm);
  errno = 0;
  TK_CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
  return st;
}

static void visits_in_order(void) {
  for (int slots = 1; slots <= 8; slots++) {
    plan p = plan_new();
    visits v = {.stop_at = -1};
    rdd_counters counters;
    rdd_err err;
    p.fault[5] = ABORT;
    p.delay_ms[0] = 50;
    TK_OK(visit(&p, opts_for(&p, slots), &v, &counters, &err), &err);
    TK_CHECK(v.next == PARTITIONS && p.done == PARTITIONS && p.total == PARTITIONS);
    TK_CHECK(counters.value[0] == PARTITIONS && p.runs[5] == 2);
    plan_free(&p);
  }
}

static void visit_fails_cleanly(void) {
  for (int slots = 1; slots <= 8; slots += 3) {
    plan p = plan_new();
    visits v = {.stop_at = 1};
    rdd_err err;
    p.fault[6] = SLEEP; /* still running when it all ends: killed, not waited for */
    TK_CHECK(visit(&p, opts_for(&p, slots < 7 ? slots : 6), &v, NULL, &err) == RDD_EIO);
    TK_CHECK(strcmp(err.message, "disk full at 1") == 0 && v.next == 2);
    plan_free(&p);

    p = plan_new();
    v = (visits){.stop_at = -1};
    p.fault[3] = BAD_DATA;
    p.fault[5] = BAD_DATA;
    TK_CHECK(visit(&p, opts_for(&p, slots), &v, NULL, &err) == RDD_EDATA);
    TK_CHECK(strcmp(err.message, "partition 3 is bad") == 0 && v.next <= 3);
    plan_free(&p);
  }
}

/* ---- The rest ---- */

static void counts(void) {
  plan p = plan_new();
  rdd_comm *comm = single();
  rdd *r = even_rows(&p);
  rdd_run_opts opts = opts_for(&p, 2);
  int64_t rows = -1;
  rdd_err err;
  p.fault[0] = KILL;
  TK_OK(rdd_count(r, comm, &opts, &rows, &err), &err);
  TK_CHECK(rows == (PARTITIONS - 1) * BATCHES * ROWS / 2);
  p.fault[0] = BAD_DATA;
  rows = -1;
  TK_CHECK(rdd_count(r, comm, &opts, &rows, &err) == RDD_EDATA && rows == -1);
  rdd_release(r);
  rdd_comm_close(comm);
  plan_free(&p);
}

static void no_partitions(void) {
  rdd_schema schema = {0};
  rdd_schema_add(&schema, "n", RDD_INT64);
  plan p = plan_new();
  rdd_comm *comm = single();
  rdd *r = NULL;
  rdd_parts *parts = NULL;
  rdd_run_opts opts = opts_for(&p, 2);
  rdd_counters counters;
  visits v = {.stop_at = -1};
  int64_t rows = -1;
  rdd_err err;
  TK_OK(rdd_source(&r, "nothing", 0, &schema, rows_source, &p, &err), &err);
  TK_OK(rdd_compute(r, comm, &opts, &parts, &counters, &err), &err);
  TK_CHECK(parts && parts->n == 0 && parts->schema.columns == 1);
  TK_CHECK(counters.value[0] == 0 && counters.note[0] == '\0');
  TK_OK(rdd_visit(r, comm, &opts, in_order, &v, &counters, &err), &err);
  TK_OK(rdd_count(r, comm, &opts, &rows, &err), &err);
  TK_CHECK(v.next == 0 && rows == 0 && p.progress_calls == 0);
  rdd_parts_free(parts);
  rdd_parts_free(NULL);
  rdd_release(r);
  rdd_comm_close(comm);
  plan_free(&p);
}

static void write_to(const void *bytes) {
  *(volatile char *)(uintptr_t)bytes = 1;
}

static void parts_are_sealed(void) {
  plan p = plan_new();
  rdd_comm *comm = single();
  rdd *r = even_rows(&p);
  rdd_run_opts opts = opts_for(&p, 2);
  rdd_parts *parts = NULL;
  rdd_err err;
  if (TK_OK(rdd_compute(r, comm, &opts, &parts, NULL, &err), &err)) {
    void *bytes = (void *)(uintptr_t)parts->part[0].bytes;
    /* not even after asking: a shared mapping of sealed memory stays read-only */
    TK_CHECK(mprotect(bytes, 4096, PROT_READ | PROT_WRITE) != 0);
    pid_t pid = fork();
    if (pid == 0) {
      signal(SIGSEGV, SIG_DFL);
      write_to(bytes);
      _exit(0);
    }
    int status = 0;
    TK_CHECK(waitpid(pid, &status, 0) == pid);
    TK_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    check_part(0, &parts->part[0]);
  }
  rdd_parts_free(parts);
  rdd_release(r);
  rdd_comm_close(comm);
  plan_free(&p);
}

/* The n-th allocation of the parent fails, for every n: an error, no leak, no child left. */
static void allocations_may_fail(void) {
  int ok = 0, failed = 0;
  for (int n = 1; n < 60 && ok < 3; n++) {
    plan p = plan_new();
    rdd_comm *comm = single();
    rdd *r = even_rows(&p);
    rdd_run_opts opts = opts_for(&p, 2);
    rdd_parts *parts = NULL;
    visits v = {.stop_at = -1};
    rdd_err err;
    rdd_memory_fail_at(n);
    rdd_status st = n % 2 ? rdd_compute(r, comm, &opts, &parts, NULL, &err)
                          : rdd_visit(r, comm, &opts, in_order, &v, NULL, &err);
    rdd_memory_fail_at(0);
    TK_CHECK(st == RDD_OK || (st == RDD_ENOMEM && err.message[0]));
    ok += st == RDD_OK;
    failed += st != RDD_OK;
    rdd_parts_free(parts);
    rdd_release(r);
    rdd_comm_close(comm);
    plan_free(&p);
  }
  TK_CHECK(ok == 3 && failed > 5);
  TK_CHECK(waitpid(-1, NULL, WNOHANG) == -1);
}

/* ---- The child is not the parent ---- */

static int handled; /* what the rank's handler would have done */

static void on_signal(int s) {
  (void)s;
  handled++;
  _exit(0); /* with an inherited handler the task would seem to have left on its own */
}

static void handlers_are_not_inherited(void) {
  static const int signals[] = {SIGSEGV, SIGABRT};
  struct sigaction mine = {.sa_handler = on_signal}, before[2];
  for (int i = 0; i < 2; i++) sigaction(signals[i], &mine, &before[i]);
  plan p = plan_new();
  rdd_err err;
  p.fault[0] = SEGFAULT;
  TK_OK(compute(&p, opts_for(&p, 1), NULL, &err), &err);
  TK_CHECK(p.failed_said == 1 && strstr(p.said, "signal 11"));
  plan_free(&p);
  p = plan_new();
  p.fault[0] = ABORT;
  TK_OK(compute(&p, opts_for(&p, 1), NULL, &err), &err);
  TK_CHECK(p.failed_said == 1 && strstr(p.said, "signal 6"));
  plan_free(&p);
  for (int i = 0; i < 2; i++) sigaction(signals[i], &before[i], NULL);
}

static void other_children_are_left_alone(void) {
  pid_t other = fork();
  if (other == 0) _exit(42);
  sleep_ms(20);
  plan p = plan_new();
  rdd_comm *comm = single();
  rdd *r = even_rows(&p);
  rdd_run_opts opts = opts_for(&p, 2);
  int64_t rows = 0;
  rdd_err err;
  TK_OK(rdd_count(r, comm, &opts, &rows, &err), &err);
  int status = 0;
  TK_CHECK(waitpid(other, &status, 0) == other && WEXITSTATUS(status) == 42);
  rdd_release(r);
  rdd_comm_close(comm);
  plan_free(&p);
}

static void ignored_sigchld_is_no_crash(void) {
  plan p = plan_new();
  rdd_err err;
  signal(SIGCHLD, SIG_IGN); /* the kernel reaps; only the reports tell how tasks ended */
  p.fault[1] = SEGFAULT;
  TK_OK(compute(&p, opts_for(&p, 2), NULL, &err), &err);
  TK_CHECK(p.runs[1] == 2 && p.runs[0] == 1);
  signal(SIGCHLD, SIG_DFL);
  plan_free(&p);
}

static void at_exit(void) {
  ++*at_exit_runs;
}

/* stdio buffers and exit handlers of the rank are not the tasks'. */
static void nothing_is_printed_twice(void) {
  char path[400];
  snprintf(path, sizeof path, "%s/out", tk_tmpdir());
  FILE *out = fopen(path, "w");
  if (!TK_CHECK(out != NULL)) return;
  fputs("once\n", out); /* in the buffer while tasks come and go */
  plan p = plan_new();
  rdd_err err;
  p.fault[1] = EXIT_HANDLERS;
  TK_OK(compute(&p, opts_for(&p, 2), NULL, &err), &err);
  TK_CHECK(p.runs[1] == 2);
  plan_free(&p);
  fclose(out);
  char text[100] = "";
  out = fopen(path, "r");
  size_t n = out ? fread(text, 1, sizeof text - 1, out) : 0;
  if (out) fclose(out);
  TK_CHECK(n == 5 && strcmp(text, "once\n") == 0);
  TK_CHECK(*at_exit_runs == 0);
}

/* A batch that needs much scratch, again and again: what is reset is used again. */
static rdd_status hungry(void *arg, int64_t partition, rdd_task *task, rdd_err *err) {
  (void)arg, (void)partition;
  for (int b = 0; b < 200; b++) {
    char *last = NULL;
    for (int i = 0; i < 40; i++) {
      size_t n = 1000 + (size_t)(i * 7919 + b * 104729) % 300000;
      char *p = rdd_task_scratch(task, n, 1);
      if (!p || (uintptr_t)p % 64 != 0) return rdd_set(err, RDD_ENOMEM, "scratch ran out");
      memset(p, i, n);
      if (last && last[0] != i - 1) return rdd_set(err, RDD_EINTERNAL, "scratch overlaps");
      last = p;
    }
    if (rdd_memory_live() > rdd_task_partition(task) + 60)
      return rdd_set(err, RDD_EINTERNAL, "scratch is not reused");
    if (rdd_task_scratch(task, SIZE_MAX / 2, 4))
      return rdd_set(err, RDD_EINTERNAL, "scratch overflows");
    rdd_batch batch = {.rows = 1, .column = {{.values = last}}};
    rdd_status st = rdd_task_emit(task, &batch, err);
    if (st) return st;
  }
  return RDD_OK;
}

static void scratch_is_reused(void) {
  rdd_schema schema = {0};
  rdd_schema_add(&schema, "n", RDD_INT64);
  rdd_comm *comm = single();
  rdd *r = NULL;
  rdd_run_opts opts = {.slots = 1};
  int64_t rows = 0;
  rdd_err err;
  TK_OK(rdd_source(&r, "hungry", 1, &schema, hungry, NULL, &err), &err);
  TK_OK(rdd_count(r, comm, &opts, &rows, &err), &err);
  TK_CHECK(rows == 200);
  rdd_release(r);
  rdd_comm_close(comm);
}

int main(void) {
  at_exit_runs = shared(sizeof *at_exit_runs);
  atexit(at_exit);
  static const tk_case cases[] = {
      {"partitions are computed", computes},
      {"crashes are rerun, alone, with the same data", crashes_are_rerun_alone},
      {"all tasks crash once", all_tasks_crash_once},
      {"four crashes end the job", four_crashes_end_the_job},
      {"data errors are not retried", data_errors_are_not_retried},
      {"the lowest partition's error wins", lowest_partition_wins},
      {"partitions are visited in order", visits_in_order},
      {"a visit fails cleanly", visit_fails_cleanly},
      {"rows are counted", counts},
      {"no partitions", no_partitions},
      {"parts are sealed", parts_are_sealed},
      {"allocations may fail", allocations_may_fail},
      {"handlers are not inherited", handlers_are_not_inherited},
      {"other children are left alone", other_children_are_left_alone},
      {"ignored SIGCHLD is no crash", ignored_sigchld_is_no_crash},
      {"nothing is printed twice", nothing_is_printed_twice},
      {"scratch is reused", scratch_is_reused},
  };
  return tk_main("rdd_task", cases, sizeof cases / sizeof cases[0]);
}
