/* The tasks of one rank, seen from the rank: fork, wait, seal what is whole, rerun what crashed.
 *
 * A task ends in one of four ways:
 *   it exited with 0 and its report says ok        its memory file is sealed and becomes a part
 *   it exited with 0 and its report has an error   the data are wrong: never run again
 *   its report says that a block is lost           left to the plan, which brings the block back
 *   anything else: a signal, another exit status,
 *   no report, the time limit, a wrong checksum    a crash: run again, alone, up to max_failures
 *
 * Of several failures that of the lowest partition counts. So after a failure, tasks of higher
 * partitions are not started any more and those that run are killed, but lower ones are waited for
 * and rerun. */
#include "rdd/rdd_impl.h"

#include "rdd/memory.h"
#include "rdd/clock.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Spark's figures for what a straggler is. */
static const double SLOW = 1.5, SLOW_SECONDS = 0.1, ENOUGH_DONE = 0.75;

/* Where a task runs. */
typedef struct slot {
  pid_t pid; /* 0: free */
  int fd;    /* the memory file of its result */
  int64_t partition;
  int attempt;  /* which start of this partition it is */
  int failures; /* crashes of this partition before */
  int twin;     /* slot of the other copy, or -1 */
  bool speculative, timed_out;
  double started;
} slot;

struct rdd_runner {
  const rdd_stage *stage;
  const rdd_run_opts *opts;
  int slots, max_failures;
  rdd_tally *tally;

  slot *slot;          /* [slots] */
  struct pollfd *poll; /* [slots] fd of the task's process, or -1 */
  rdd_report *report;  /* [slots] shared with the tasks */
  int running;

  bool dry;            /* `next` has nothing more */
  int64_t held;        /* a partition that could not be forked yet, or -1 */
  int64_t begun, done; /* partitions */
  int64_t failed;      /* lowest partition that failed, or INT64_MAX */
  rdd_err error;       /* of that partition */
};

/* ---- Opening ---- */

rdd_status rdd_runner_open(rdd_runner **out, const rdd_stage *stage, int slots, rdd_tally *tally,
                           rdd_err *err) {
  rdd_runner *runner = rdd_calloc(1, sizeof *runner);
  if (!runner) return rdd_set(err, RDD_ENOMEM, "no memory for a task runner");
  runner->stage = stage;
  runner->opts = stage->opts;
  runner->slots = slots;
  runner->max_failures = stage->opts->max_failures > 0 ? stage->opts->max_failures
                                                       : RDD_MAX_FAILURES;
  runner->tally = tally;
  runner->failed = INT64_MAX;
  runner->held = -1;
  runner->slot = rdd_calloc((size_t)slots, sizeof *runner->slot);
  runner->poll = rdd_calloc((size_t)slots, sizeof *runner->poll);
  runner->report = mmap(NULL, (size_t)slots * sizeof *runner->report, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (runner->report == MAP_FAILED) runner->report = NULL;
  if (!runner->slot || !runner->poll || !runner->report) {
    rdd_runner_close(runner);
    return rdd_set(err, RDD_ENOMEM, "no memory for %d task slots", slots);
  }
  for (int s = 0; s < slots; s++) runner->poll[s] = (struct pollfd){.fd = -1, .events = POLLIN};
  *out = runner;
  return RDD_OK;
}

/* ---- Telling ---- */

void rdd_tell(const rdd_run_opts *opts, rdd_event event) {
  if (!event.message) event.message = "";
  if (opts->event) opts->event(opts->arg, &event);
}

static void tell(const rdd_runner *runner, rdd_event_kind kind, const slot *task, int64_t rows,
                 int64_t bytes, const char *message) {
  bool ended = kind != RDD_TASK_STARTED;
  const rdd *r = runner->stage->deal_to ? runner->stage->deal_to : runner->stage->target;
  rdd_tell(runner->opts, (rdd_event){.kind = kind,
                                     .rdd = r->name,
                                     .stage = runner->stage->number,
                                     .partition = task->partition,
                                     .attempt = task->attempt,
                                     .speculative = task->speculative,
                                     .slot = (int)(task - runner->slot),
                                     .seconds = ended ? rdd_seconds() - task->started : 0,
                                     .rows = rows,
                                     .bytes = bytes,
                                     .message = message});
}

static void show_progress(const rdd_runner *runner) {
  if (!runner->opts->progress) return;
  int64_t total = runner->begun + runner->stage->left(runner->stage->arg);
  if (total > 0) runner->opts->progress(runner->opts->arg, runner->done, total);
}

/* Keep the error of the lowest partition. */
static void fail(rdd_runner *runner, int64_t partition, const rdd_err *error) {
  if (partition >= runner->failed) return;
  runner->failed = partition;
  runner->error = *error;
}

/* "died of signal 11 (segmentation fault)" */
static void death_text(const rdd_runner *runner, const slot *task, int wait_status, char *text,
                       size_t room) {
  if (task->timed_out) {
    snprintf(text, room, "ran longer than %g s", runner->opts->time_limit);
  } else if (WIFSIGNALED(wait_status)) {
    char name[64];
    snprintf(name, sizeof name, "%s", strsignal(WTERMSIG(wait_status)));
    name[0] = (char)tolower((unsigned char)name[0]);
    snprintf(text, room, "died of signal %d (%s)", WTERMSIG(wait_status), name);
  } else if (WEXITSTATUS(wait_status) != 0) {
    snprintf(text, room, "left with exit status %d", WEXITSTATUS(wait_status));
  } else {
    snprintf(text, room, "left with exit status 0 before it was done");
  }
}

/* "partition 3 of 8 of parse <- u.data: attempt 1 of 4 died of ... on rank 0 (host n17), in parse" */
static void crash_text(const rdd_runner *runner, int s, const char *death, char *text,
                       size_t room) {
  const rdd *target = runner->stage->target, *inside = target;
  const slot *task = &runner->slot[s];
  char lineage[320], host[64] = "?";
  /* What a dying task has written is looked up, not followed. */
  while (inside && inside != runner->report[s].inside)
    inside = inside->deps ? inside->dep[0].parent : NULL;
  rdd_lineage_text(target, lineage, sizeof lineage);
  gethostname(host, sizeof host - 1);
  snprintf(text, room,
           "partition %lld of %lld of %s: attempt %d of %d %s on rank %d (host %s)%s%.60s",
           (long long)task->partition, (long long)target->partitions, lineage, task->failures + 1,
           runner->max_failures, death, runner->stage->rank, host, inside ? ", in " : "",
           inside ? inside->name : "");
}

/* ---- The child ---- */

/* Handlers belong to the rank: those of the MPI library would print its banner, those of the
 * program would remove its files. What was ignored stays ignored. */
static void drop_handlers(void) {
  for (int s = 1; s < NSIG; s++) {
    struct sigaction old;
    if (sigaction(s, NULL, &old) != 0) continue;
    if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN) signal(s, SIG_DFL);
  }
  signal(SIGUSR1, SIG_IGN); /* "stop soon", which launchers tell the whole process group */
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, NULL);
}

/* If memory runs out, let the kernel take a task, which can be rerun, and not the rank. */
static void offer_to_oom_killer(void) {
  int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  ssize_t ignored = write(fd, "500", 3);
  (void)ignored;
  close(fd);
}

/* For a function in the task that calls exit(). What was registered last runs first, so this comes
 * before the rank's own handlers and before stdio, neither of which is the task's. */
static void leave_at_once(int status, void *arg) {
  (void)arg;
  _exit(status);
}

static _Noreturn void child_main(const rdd_order *order, int fd, pid_t parent, rdd_report *report) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1); /* it died before we asked to die with it */
  drop_handlers();
  offer_to_oom_killer();
  if (on_exit(leave_at_once, NULL) != 0) _exit(1);
  rdd_task_run(order, fd, report);
  _exit(0);
}

/* ---- Starting ---- */

static rdd_order order_for(const rdd_runner *runner, const slot *task) {
  const rdd_stage *stage = runner->stage;
  rdd_order order = {.target = stage->target,
                     .deal_to = stage->deal_to,
                     .partition = task->partition,
                     .attempt = task->attempt};
  order.store = stage->store && !stage->target->kept->stored[task->partition];
  if (runner->opts->fault)
    order.fault = runner->opts->fault(runner->opts->arg, stage->number, task->partition,
                                      task->attempt);
  return order;
}

/* Fork the task of slot s, which tells which. */
static rdd_status launch(rdd_runner *runner, int s, slot task, rdd_err *err) {
  task.fd = memfd_create("gangplank-partition", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (task.fd < 0)
    return rdd_set(err, errno == ENOMEM ? RDD_ENOMEM : RDD_EINTERNAL,
                   "cannot create a memory file for partition %lld: %s", (long long)task.partition,
                   strerror(errno));
  memset(&runner->report[s], 0, sizeof runner->report[s]);
  rdd_order order = order_for(runner, &task);

  sigset_t all, before; /* no signal may find the rank's handlers in the child */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t parent = getpid();
  task.started = rdd_seconds();
  task.pid = rdd_fork();
  if (task.pid == 0) child_main(&order, task.fd, parent, &runner->report[s]);
  int why = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (task.pid < 0) {
    close(task.fd);
    return rdd_set(err, why == ENOMEM ? RDD_ENOMEM : RDD_EINTERNAL,
                   "cannot fork a task for partition %lld: %s", (long long)task.partition,
                   strerror(why));
  }
  runner->slot[s] = task;
  runner->poll[s].fd = (int)syscall(SYS_pidfd_open, task.pid, 0); /* -1 before Linux 5.3 */
  runner->running++;
  tell(runner, RDD_TASK_STARTED, &runner->slot[s], 0, 0, "");
  return RDD_OK;
}

static int free_slot(const rdd_runner *runner) {
  for (int s = 0; s < runner->slots; s++)
    if (!runner->slot[s].pid) return s;
  return -1;
}

/* Start what remains in the free slots. A fork that fails while other tasks run is tried again when
 * one of them has ended. */
static void fill_slots(rdd_runner *runner) {
  int s;
  while ((!runner->dry || runner->held >= 0) && (s = free_slot(runner)) >= 0) {
    int64_t partition = runner->held;
    if (partition < 0) {
      partition = runner->stage->next(runner->stage->arg);
      runner->dry = partition < 0;
      if (runner->dry || partition >= runner->failed) continue;
      runner->begun++;
    }
    rdd_err err;
    runner->held = -1;
    if (launch(runner, s, (slot){.partition = partition, .twin = -1}, &err) == RDD_OK) continue;
    if (runner->running) {
      runner->held = partition;
      return;
    }
    fail(runner, partition, &err);
  }
}

void rdd_runner_start(rdd_runner *runner) {
  show_progress(runner);
  fill_slots(runner);
}

/* ---- Ending ---- */

/* Take a task that has ended out of its slot. */
static void vacate(rdd_runner *runner, int s) {
  if (runner->poll[s].fd >= 0) close(runner->poll[s].fd);
  runner->poll[s].fd = -1;
  close(runner->slot[s].fd);
  runner->slot[s].pid = 0;
  runner->running--;
}

static void abandon(rdd_runner *runner, int s, const char *why) {
  slot *task = &runner->slot[s];
  kill(task->pid, SIGKILL);
  while (waitpid(task->pid, NULL, 0) < 0 && errno == EINTR) continue;
  tell(runner, RDD_TASK_ABANDONED, task, 0, 0, why);
  vacate(runner, s);
}

/* After a failure, higher partitions do not matter any more. */
static void abandon_higher(rdd_runner *runner) {
  for (int s = 0; s < runner->slots && runner->failed < INT64_MAX; s++)
    if (runner->slot[s].pid && runner->slot[s].partition > runner->failed)
      abandon(runner, s, "a lower partition has failed");
}

/* How long a task may take before it is a straggler; 0: that is not known yet. */
static double slow_after(const rdd_runner *runner) {
  double done = 0;
  if (!runner->opts->speculation || !runner->dry || !runner->stage->median) return 0;
  double slow = SLOW * runner->stage->median(runner->stage->arg, &done);
  if (done < ENOUGH_DONE) return 0;
  return slow > SLOW_SECONDS ? slow : SLOW_SECONDS;
}

/* Start second copies of stragglers. */
static void speculate(rdd_runner *runner) {
  double slow = slow_after(runner), t = rdd_seconds();
  for (int s = 0; s < runner->slots && slow > 0; s++) {
    slot *task = &runner->slot[s];
    int other = free_slot(runner);
    if (other < 0) return;
    if (!task->pid || task->twin >= 0 || t - task->started < slow) continue;
    rdd_err ignored; /* the first copy still runs */
    slot copy = {.partition = task->partition,
                 .attempt = task->attempt + 1,
                 .failures = task->failures,
                 .twin = s,
                 .speculative = true};
    if (launch(runner, other, copy, &ignored) == RDD_OK)
      task->twin = other;
    else
      return;
  }
}

/* Milliseconds until a task is too old or too slow; -1: no such moment. */
static int patience(const rdd_runner *runner) {
  double slow = free_slot(runner) >= 0 ? slow_after(runner) : 0, t = rdd_seconds(), wait = -1;
  for (int s = 0; s < runner->slots; s++) {
    const slot *task = &runner->slot[s];
    if (!task->pid) continue;
    double limit = runner->opts->time_limit > 0 ? runner->opts->time_limit : -1;
    if (slow > 0 && task->twin < 0 && (limit < 0 || slow < limit)) limit = slow;
    if (limit < 0) continue;
    double left = task->started + limit - t;
    if (left < 0) left = 0;
    if (wait < 0 || left < wait) wait = left;
  }
  bool look = runner->opts->speculation && runner->dry && runner->stage->median;
  if (look && slow <= 0 && (wait < 0 || wait > SLOW_SECONDS))
    wait = SLOW_SECONDS; /* others may be done */
  if (wait < 0) return -1;
  return wait > 1000 ? 1000000 : (int)(wait * 1000) + 1;
}

static void enforce_limit(rdd_runner *runner) {
  double limit = runner->opts->time_limit, t = rdd_seconds();
  for (int s = 0; s < runner->slots && limit > 0; s++) {
    slot *task = &runner->slot[s];
    if (!task->pid || task->timed_out || t - task->started < limit) continue;
    task->timed_out = true;
    kill(task->pid, SIGKILL);
  }
}

/* Sleep until a task has ended; its slot. Only own children are waited for: a library of the
 * program may have others. */
static int wait_any(rdd_runner *runner, int *wait_status_out) {
  for (;;) {
    bool blind = false;
    for (int s = 0; s < runner->slots; s++) {
      pid_t pid = runner->slot[s].pid;
      if (!pid) continue;
      *wait_status_out = 0; /* stays so where SIGCHLD is ignored: then the report alone counts */
      pid_t got = waitpid(pid, wait_status_out, WNOHANG);
      if (got == pid || (got < 0 && errno == ECHILD)) return s;
      blind |= runner->poll[s].fd < 0;
    }
    int timeout = patience(runner); /* ms */
    if (blind && (timeout < 0 || timeout > 2)) timeout = 2;
    poll(runner->poll, (nfds_t)runner->slots, timeout);
    enforce_limit(runner);
    speculate(runner);
  }
}

/* The result of a task; RDD_EIO or RDD_EINTERNAL where it is damaged. */
static rdd_status open_result(const rdd_stage *stage, int fd, rdd_part *part, rdd_err *err) {
  if (stage->deal_to) {
    rdd_status st = rdd_seal_raw(fd, part, err);
    if (!st) st = rdd_deal_verify(stage->deal_to, part, &part->rows, err);
    if (st) rdd_part_close(part);
    return st;
  }
  rdd_status st = rdd_seal(fd, &stage->target->schema, part, err);
  if (!st) st = rdd_part_verify(part, err);
  if (st) rdd_part_close(part);
  return st;
}

static void add_to_tally(rdd_tally *tally, const rdd_report *report, int64_t partition,
                         int64_t rows) {
  tally->rows += rows;
  for (int c = 0; c < RDD_COUNTERS; c++) tally->value[c] += report->counter[c];
  if (!report->note[0] || partition >= tally->note_partition) return;
  tally->note_partition = partition;
  memcpy(tally->note, report->note, sizeof tally->note);
}

/* Run it again in the slot it left, or give up; a copy that still runs takes its place. */
static void task_crashed(rdd_runner *runner, int s, const char *death) {
  slot task = runner->slot[s];
  char what[640];
  rdd_err err;
  crash_text(runner, s, death, what, sizeof what);
  tell(runner, RDD_TASK_CRASHED, &runner->slot[s], 0, 0, what);
  vacate(runner, s);
  task.failures++;
  slot *twin = task.twin >= 0 ? &runner->slot[task.twin] : NULL;
  if (twin) {
    twin->failures = task.failures;
    twin->twin = -1;
    if (twin->attempt < task.attempt) twin->attempt = task.attempt;
  }
  rdd_status st = RDD_OK;
  if (task.failures >= runner->max_failures) {
    st = rdd_set(&err, RDD_ETASK, "%s", what);
    if (twin) abandon(runner, task.twin, "its other copy crashed for the last time");
  } else if (!twin && task.partition < runner->failed) {
    task.attempt++;
    task.speculative = task.timed_out = false;
    task.twin = -1;
    st = launch(runner, s, task, &err);
  }
  if (st) fail(runner, task.partition, &err);
}

static void task_failed(rdd_runner *runner, int s, rdd_status st, rdd_err *err) {
  slot *task = &runner->slot[s];
  if (err->code != st)
    rdd_set(err, st, "partition %lld of %s: %s, without a message", (long long)task->partition,
            runner->stage->target->name, rdd_status_name(st));
  tell(runner, RDD_TASK_FAILED, task, 0, 0, err->message);
  if (task->twin >= 0) abandon(runner, task->twin, "its other copy failed");
  fail(runner, task->partition, err);
  vacate(runner, s);
}

static void block_lost(rdd_runner *runner, int s, const rdd_report *report) {
  slot *task = &runner->slot[s];
  tell(runner, RDD_TASK_ABANDONED, task, 0, 0, report->err.message);
  if (task->twin >= 0) abandon(runner, task->twin, "a block that it needs is lost");
  vacate(runner, s);
  runner->stage->lost(runner->stage->arg, report->lost, report->lost_partition,
                      report->err.message);
}

static void task_done(rdd_runner *runner, int s, rdd_report *report) {
  slot *task = &runner->slot[s];
  rdd_part part = {0};
  rdd_err err;
  rdd_status st = open_result(runner->stage, task->fd, &part, &err);
  if (st == RDD_EIO || st == RDD_EINTERNAL) {
    task_crashed(runner, s, "left a result that is damaged");
    return;
  }
  if (st) {
    task_failed(runner, s, st, &err);
    return;
  }
  tell(runner, RDD_TASK_FINISHED, task, part.rows, (int64_t)part.size, "");
  if (runner->stage->took) runner->stage->took(runner->stage->arg, rdd_seconds() - task->started);
  if (task->twin >= 0) abandon(runner, task->twin, "its other copy finished first");
  int64_t partition = task->partition;
  vacate(runner, s);
  add_to_tally(runner->tally, report, partition, part.rows);
  st = runner->stage->done(runner->stage->arg, partition, &part, report->stored,
                           report->store_failed ? &report->store_err : NULL, &err);
  if (st) fail(runner, partition, &err);
  runner->done++;
  show_progress(runner);
}

/* A damaged block may kill the library that reads it, and would do so again. The second death while
 * reading is put down to the block. (Not where nothing else is left of it, and a third try costs
 * little.) */
static bool died_of_block(const rdd_runner *runner, int s, const rdd_report *report) {
  return !report->finished && report->reading && runner->slot[s].failures > 0 &&
         !report->lost->kept->checkpointed;
}

rdd_status rdd_runner_finish(rdd_runner *runner, int64_t *failed_out, rdd_err *err) {
  for (;;) {
    fill_slots(runner);
    if (!runner->running) break;
    int wait_status, s = wait_any(runner, &wait_status);
    rdd_report *report = &runner->report[s];
    char death[128];
    bool exited = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0;
    death_text(runner, &runner->slot[s], wait_status, death, sizeof death);
    if (died_of_block(runner, s, report)) {
      rdd_set(&report->err, RDD_EIO, "a task that read it %s", death);
      block_lost(runner, s, report);
    } else if (!exited || !report->finished) {
      task_crashed(runner, s, death);
    } else if (report->lost) {
      block_lost(runner, s, report);
    } else if (report->status) {
      task_failed(runner, s, report->status, &report->err);
    } else {
      task_done(runner, s, report);
    }
    abandon_higher(runner);
  }
  runner->dry = false; /* a next run may have more */
  *failed_out = runner->failed;
  if (runner->failed == INT64_MAX) return RDD_OK;
  *err = runner->error;
  return err->code;
}

void rdd_runner_close(rdd_runner *runner) {
  if (!runner) return;
  for (int s = 0; s < runner->slots && runner->running; s++)
    if (runner->slot[s].pid) abandon(runner, s, "the job is ending");
  if (runner->report) munmap(runner->report, (size_t)runner->slots * sizeof *runner->report);
  rdd_free(runner->poll);
  rdd_free(runner->slot);
  rdd_free(runner);
}
