/* The tasks of one rank, seen from the rank: fork, wait, seal what is whole, rerun what crashed.
 *
 * A task ends in one of three ways:
 *   it exited with 0 and its report says ok        its memory file is sealed and becomes a part
 *   it exited with 0 and its report has an error   the data are wrong: never run again
 *   anything else (a signal, another exit status,
 *   no report)                                     a crash: run again, alone, up to max_failures
 *
 * Of several failures that of the lowest partition counts. So after a failure, tasks of higher
 * partitions are not started any more, but lower ones are still waited for and rerun. */
#include "rdd/rdd_impl.h"

#include "rdd/memory.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where a task runs. */
typedef struct slot {
  pid_t pid;     /* 0: free */
  int fd;        /* the memory file of its result */
  int64_t index; /* it computes partition first + index * stride */
  int attempt;
} slot;

struct rdd_runner {
  const rdd *target;
  rdd_chain chain;
  const rdd_run_opts *opts;
  int rank, slots, max_failures;
  int64_t done, total; /* for progress */
  rdd_tally tally;

  slot *slot;          /* [slots] */
  struct pollfd *poll; /* [slots] fd of the task's process, or -1 */
  rdd_report *report;  /* [slots] shared with the tasks */
  int running;

  int64_t first, stride, n, next; /* the run under way; next: the lowest index not yet started */
  rdd_part *part;                 /* [n], or NULL */
  int64_t failed;                 /* lowest partition that failed, or INT64_MAX */
  rdd_err error;                  /* of that partition */
};

/* ---- Opening ---- */

static rdd_status chain_init(rdd_chain *chain, const rdd *target, rdd_err *err) {
  chain->stages = 0;
  for (const rdd *r = target; r; r = r->parent) chain->stages++;
  chain->stage = rdd_alloc((size_t)chain->stages, sizeof *chain->stage);
  if (!chain->stage)
    return rdd_set(err, RDD_ENOMEM, "no memory for a chain of %lld steps",
                   (long long)chain->stages);
  int64_t s = chain->stages;
  for (const rdd *r = target; r; r = r->parent) chain->stage[--s] = r;
  return RDD_OK;
}

rdd_status rdd_runner_open(rdd_runner **out, const rdd *r, int rank, int slots, int64_t total,
                           const rdd_run_opts *opts, rdd_err *err) {
  rdd_status st = RDD_OK;
  rdd_runner *runner = rdd_calloc(1, sizeof *runner);
  if (!runner) return rdd_set(err, RDD_ENOMEM, "no memory for a task runner");
  runner->target = r;
  runner->opts = opts;
  runner->rank = rank;
  runner->slots = slots;
  runner->max_failures = opts->max_failures > 0 ? opts->max_failures : RDD_MAX_FAILURES;
  runner->total = total;
  runner->tally.note_partition = runner->failed = INT64_MAX;
  runner->slot = rdd_calloc((size_t)slots, sizeof *runner->slot);
  runner->poll = rdd_calloc((size_t)slots, sizeof *runner->poll);
  runner->report = mmap(NULL, (size_t)slots * sizeof *runner->report, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (runner->report == MAP_FAILED) runner->report = NULL;
  if (!runner->slot || !runner->poll || !runner->report)
    st = rdd_set(err, RDD_ENOMEM, "no memory for %d task slots", slots);
  if (!st) st = chain_init(&runner->chain, r, err);
  if (st) {
    rdd_runner_close(runner);
    return st;
  }
  for (int s = 0; s < slots; s++) runner->poll[s] = (struct pollfd){.fd = -1, .events = POLLIN};
  if (opts->progress && total > 0) opts->progress(opts->arg, 0, total);
  *out = runner;
  return RDD_OK;
}

/* ---- Failing ---- */

static int64_t partition_at(const rdd_runner *runner, int64_t index) {
  return runner->first + index * runner->stride;
}

/* Keep the error of the lowest partition. */
static void fail(rdd_runner *runner, int64_t partition, const rdd_err *error) {
  if (partition >= runner->failed) return;
  runner->failed = partition;
  runner->error = *error;
}

/* "died of signal 11 (segmentation fault)" */
static void death_text(int wait_status, char *text, size_t room) {
  if (WIFSIGNALED(wait_status)) {
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

/* "partition 3 of 8 of parse <- u.data: attempt 1 of 4 died of ... on rank 0 (host n17)" */
static void crash_text(const rdd_runner *runner, const slot *task, int wait_status, char *text,
                       size_t room) {
  char lineage[300], death[128], host[64] = "";
  rdd_lineage_text(runner->target, lineage, sizeof lineage);
  death_text(wait_status, death, sizeof death);
  gethostname(host, sizeof host - 1);
  snprintf(text, room, "partition %lld of %lld of %s: attempt %d of %d %s on rank %d (host %s)",
           (long long)partition_at(runner, task->index), (long long)runner->target->partitions,
           lineage, task->attempt + 1, runner->max_failures, death, runner->rank, host);
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

static _Noreturn void child_main(const rdd_runner *runner, const slot *task, pid_t parent,
                                 rdd_report *report) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1); /* it died before we asked to die with it */
  drop_handlers();
  offer_to_oom_killer();
  rdd_task_run(&runner->chain, partition_at(runner, task->index), task->attempt, task->fd, report);
  _exit(0); /* neither the rank's atexit handlers nor its unwritten stdio buffers are ours */
}

/* ---- Starting ---- */

static rdd_status launch(rdd_runner *runner, int s, int64_t index, int attempt, rdd_err *err) {
  slot task = {.index = index, .attempt = attempt};
  task.fd = memfd_create("gangplank-partition", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (task.fd < 0)
    return rdd_set(err, errno == ENOMEM ? RDD_ENOMEM : RDD_EINTERNAL,
                   "cannot create a memory file for partition %lld: %s",
                   (long long)partition_at(runner, index), strerror(errno));
  memset(&runner->report[s], 0, sizeof runner->report[s]);

  sigset_t all, before; /* no signal may find the rank's handlers in the child */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t parent = getpid();
  task.pid = fork();
  if (task.pid == 0) child_main(runner, &task, parent, &runner->report[s]);
  int why = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (task.pid < 0) {
    close(task.fd);
    return rdd_set(err, why == ENOMEM ? RDD_ENOMEM : RDD_EINTERNAL,
                   "cannot fork a task for partition %lld: %s",
                   (long long)partition_at(runner, index), strerror(why));
  }
  runner->slot[s] = task;
  runner->poll[s].fd = (int)syscall(SYS_pidfd_open, task.pid, 0); /* -1 before Linux 5.3 */
  runner->running++;
  return RDD_OK;
}

/* Start what remains in the free slots. A fork that fails while other tasks run is tried again when
 * one of them has ended. */
static void fill_slots(rdd_runner *runner) {
  for (int s = 0; s < runner->slots && runner->next < runner->n; s++) {
    int64_t partition = partition_at(runner, runner->next);
    if (runner->slot[s].pid || partition >= runner->failed) continue;
    rdd_err err;
    if (launch(runner, s, runner->next, 0, &err)) {
      if (!runner->running) fail(runner, partition, &err);
      return;
    }
    runner->next++;
  }
}

void rdd_runner_start(rdd_runner *runner, int64_t first, int64_t stride, int64_t n,
                      rdd_part *part) {
  runner->first = first;
  runner->stride = stride;
  runner->n = n;
  runner->next = 0;
  runner->part = part;
  runner->failed = INT64_MAX;
  fill_slots(runner);
}

/* ---- Ending ---- */

/* Sleep until a task has ended; its slot. Only own children are waited for: a library of the
 * program may have others. */
static int wait_any(rdd_runner *runner, int *wait_status_out) {
  for (;;) {
    int timeout = -1; /* ms */
    for (int s = 0; s < runner->slots; s++) {
      pid_t pid = runner->slot[s].pid;
      if (!pid) continue;
      *wait_status_out = 0; /* stays so where SIGCHLD is ignored: then the report alone counts */
      pid_t got = waitpid(pid, wait_status_out, WNOHANG);
      if (got == pid || (got < 0 && errno == ECHILD)) return s;
      if (runner->poll[s].fd < 0) timeout = 2;
    }
    poll(runner->poll, (nfds_t)runner->slots, timeout);
  }
}

static void unmap(void *bytes, size_t size) {
  munmap(bytes, size);
}

/* Linux before 6.7 maps a sealed file through a descriptor that could never write, and no other. */
static void *map_read_only(int fd, size_t size) {
  char path[40];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int reader = open(path, O_RDONLY | O_CLOEXEC);
  if (reader < 0) return MAP_FAILED;
  void *bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, reader, 0);
  int why = errno;
  close(reader);
  errno = why;
  return bytes;
}

/* Seal the memory file and map it: from here on nobody can change it, this process included. */
static rdd_status open_result(const rdd *target, int fd, rdd_part *part, rdd_err *err) {
  struct stat file;
  if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0 ||
      fstat(fd, &file) != 0)
    return rdd_set(err, RDD_EINTERNAL, "cannot seal a partition of %s: %s", target->name,
                   strerror(errno));
  size_t size = (size_t)file.st_size;
  void *bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
  if (bytes == MAP_FAILED && errno == EPERM) bytes = map_read_only(fd, size);
  if (bytes == MAP_FAILED)
    return rdd_set(err, RDD_ENOMEM, "cannot map a partition of %zu bytes of %s: %s", size,
                   target->name, strerror(errno));
  rdd_status st = rdd_part_open(part, &target->schema, bytes, size, unmap, err);
  if (st) munmap(bytes, size);
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

static void task_done(rdd_runner *runner, const slot *task, rdd_report *report) {
  int64_t partition = partition_at(runner, task->index);
  rdd_part part = {0};
  rdd_status st = report->status;
  if (st && report->err.code != st)
    rdd_set(&report->err, st, "partition %lld of %s: %s, without a message", (long long)partition,
            runner->target->name, rdd_status_name(st));
  if (!st) st = open_result(runner->target, task->fd, &part, &report->err);
  if (st) {
    fail(runner, partition, &report->err);
    return;
  }
  add_to_tally(&runner->tally, report, partition, part.rows);
  if (runner->part)
    runner->part[task->index] = part;
  else
    rdd_part_close(&part);
  runner->done++;
  if (runner->opts->progress)
    runner->opts->progress(runner->opts->arg, runner->done, runner->total);
}

/* Run it again in the slot it left, or give up. */
static void task_crashed(rdd_runner *runner, int s, const slot *task, int wait_status) {
  int64_t partition = partition_at(runner, task->index);
  char what[640];
  crash_text(runner, task, wait_status, what, sizeof what);
  rdd_err err;
  rdd_status st = RDD_OK;
  if (task->attempt + 1 >= runner->max_failures)
    st = rdd_set(&err, RDD_ETASK, "%s", what);
  else if (partition < runner->failed) {
    if (runner->opts->task_failed) runner->opts->task_failed(runner->opts->arg, what);
    st = launch(runner, s, task->index, task->attempt + 1, &err);
  }
  if (st) fail(runner, partition, &err);
}

/* Take a task that has ended out of its slot. */
static slot vacate(rdd_runner *runner, int s) {
  slot task = runner->slot[s];
  if (runner->poll[s].fd >= 0) close(runner->poll[s].fd);
  runner->poll[s].fd = -1;
  runner->slot[s].pid = 0;
  runner->running--;
  return task;
}

rdd_status rdd_runner_finish(rdd_runner *runner, int64_t *failed_out, rdd_err *err) {
  for (;;) {
    fill_slots(runner);
    if (!runner->running) break;
    int wait_status, s = wait_any(runner, &wait_status);
    slot task = vacate(runner, s);
    bool exited = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0;
    if (exited && runner->report[s].finished)
      task_done(runner, &task, &runner->report[s]);
    else
      task_crashed(runner, s, &task, wait_status);
    close(task.fd);
  }
  *failed_out = runner->failed;
  if (runner->failed == INT64_MAX) return RDD_OK;
  *err = runner->error;
  return err->code;
}

const rdd_tally *rdd_runner_tally(const rdd_runner *runner) {
  return &runner->tally;
}

void rdd_runner_close(rdd_runner *runner) {
  if (!runner) return;
  for (int s = 0; s < runner->slots && runner->running; s++) {
    if (!runner->slot[s].pid) continue;
    slot task = vacate(runner, s);
    kill(task.pid, SIGKILL);
    while (waitpid(task.pid, NULL, 0) < 0 && errno == EINTR) continue;
    close(task.fd);
  }
  rdd_free(runner->chain.stage);
  if (runner->report) munmap(runner->report, (size_t)runner->slots * sizeof *runner->report);
  rdd_free(runner->poll);
  rdd_free(runner->slot);
  rdd_free(runner);
}
