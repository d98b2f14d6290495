/* One attempt of a supervised command: start it, watch it, end all of it, and say what became of it. */
#include "jobs/gangrun_impl.h"

#include "jobs/processes.h"
#include "rdd/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TICK = 200 /* ms */, LINE = 400 };

static const double leftover_grace = 2; /* s from SIGTERM to SIGKILL */
static const double launcher_grace = 5; /* Open MPI needs 2 s to end its ranks */
static const double ending_grace = 30;  /* s for a launcher to end after als has */

/* An attempt that is under way. */
typedef struct watch {
  supervisor *s;
  attempt *a;
  int tee;         /* our end of the command's stderr; -1: it has ours */
  char line[LINE]; /* the line that is being read from it */
  size_t length;
  double moved; /* when something last moved */
  int64_t progress;
} watch;

/* ---- Who failed: the launchers' own words ---- */

/* Open MPI:  mpirun noticed that process rank 2 with PID 77 on node n17 exited on signal 9 (Killed).
 *              Process name: [[4711,1],2]
 *              Exit code:    7
 *              Remote daemon: [[4711,0],1] on node n18
 * SLURM:     srun: error: n17: task 2: Killed
 *            srun: error: n17: task 2: Exited with exit code 7
 *            srun: error: Node failure on n18 */
static void read_line(culprit *who, const char *line) {
  int rank, number;
  char host[64], rest[64];
  const char *at = strstr(line, "process rank ");
  if (at && sscanf(at, "process rank %d with PID %*d on node %63s exited on signal %d", &rank, host,
                   &number) == 3) {
    *who = (culprit){.rank = rank, .signal = number, .exit_code = -1};
    strcpy(who->host, host);
    return;
  }
  if (who->rank < 0 && sscanf(line, " Process name: [[%*d,%*d],%d]", &rank) == 1) who->rank = rank;
  if (who->exit_code < 0 && sscanf(line, " Exit code: %d", &number) == 1) who->exit_code = number;
  if (sscanf(line, " Remote daemon: [[%*d,%*d],%*d] on node %63s", host) == 1 ||
      sscanf(line, "srun: error: Node failure on %63s", host) == 1)
    strcpy(who->lost_node, host);
  if (who->rank >= 0 ||
      sscanf(line, "srun: error: %63[^:]: task %d: %63[^\n(]", host, &rank, rest) != 3)
    return;
  who->rank = rank;
  strcpy(who->host, host);
  if (sscanf(rest, "Exited with exit code %d", &who->exit_code) == 1) return;
  for (int i = 1; i < NSIG; i++) {
    const char *name = strsignal(i);
    if (name && strncmp(rest, name, strlen(name)) == 0) who->signal = i;
  }
}

static void write_all(const char *text, size_t n) {
  while (n > 0) {
    ssize_t written = write(STDERR_FILENO, text, n);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {
      (void)poll(&(struct pollfd){.fd = STDERR_FILENO, .events = POLLOUT}, 1, -1);
      continue;
    }
    if (written <= 0) return; /* nobody listens any more; the work goes on */
    text += written;
    n -= (size_t)written;
  }
}

/* Pass on what the command wrote on stderr, and read it. */
static void pass_on(watch *w) {
  char text[4096];
  for (ssize_t n; w->tee >= 0 && (n = read(w->tee, text, sizeof text)) != -1;) {
    if (n == 0) {
      close(w->tee);
      w->tee = -1;
      return;
    }
    write_all(text, (size_t)n);
    for (ssize_t i = 0; i < n; i++) {
      if (text[i] != '\n' && w->length < LINE - 1) w->line[w->length++] = text[i];
      if (text[i] != '\n') continue;
      w->line[w->length] = 0;
      read_line(&w->a->who, w->line);
      w->length = 0;
    }
  }
}

/* ---- Starting ---- */

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static bool is_launcher(const char *command) {
  static const char *const known[] = {"mpirun", "mpiexec", "orterun", "prterun", "srun"};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (!strncmp(base_name(command), known[i], strlen(known[i]))) return true;
  return false;
}

/* A program that draws progress on a terminal keeps it; what a launcher says is read. */
static bool wants_tee(const supervisor *s) {
  return isatty(STDERR_FILENO) != 1 || is_launcher(s->command[0]);
}

/* In the child: become the command. Says on `report` why it could not. */
static void become(const supervisor *s, int err_fd, int report, pid_t parent) {
  setpgid(0, 0); /* a terminal's ^C comes here by way of gangrun alone */
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(127);
  if (err_fd >= 0) dup2(err_fd, STDERR_FILENO);
  signal(SIGPIPE, SIG_DFL);
  sigprocmask(SIG_SETMASK, &s->mask, NULL);
  execvp(s->command[0], s->command);
  int why = errno;
  ssize_t n = write(report, &why, sizeof why);
  _exit(n > 0 ? 127 : 126);
}

static void start(watch *w) {
  int report[2] = {-1, -1}, err[2] = {-1, -1};
  attempt *a = w->a;
  pid_t self = getpid();
  if (pipe2(report, O_CLOEXEC) != 0 || (wants_tee(w->s) && pipe2(err, O_CLOEXEC) != 0) ||
      (a->launcher = fork()) < 0) {
    a->exec_errno = errno;
  } else if (a->launcher == 0) {
    become(w->s, err[1], report[1], self);
  }
  if (report[1] >= 0) close(report[1]);
  if (err[1] >= 0) close(err[1]);
  if (!a->exec_errno && read(report[0], &a->exec_errno, sizeof a->exec_errno) <= 0)
    a->exec_errno = 0;
  if (report[0] >= 0) close(report[0]);
  w->tee = err[0];
  if (w->tee >= 0) fcntl(w->tee, F_SETFL, O_NONBLOCK);
  a->ended = a->launcher <= 0;
}

/* ---- Watching ---- */

static void reaped(void *arg, pid_t pid, int status) {
  attempt *a = arg;
  if (pid != a->launcher) return;
  a->ended = true;
  a->status = status;
}

void gangrun_take_signals(supervisor *s, pid_t launcher) {
  struct signalfd_siginfo info;
  while (read(s->signals, &info, sizeof info) == sizeof info) {
    int number = (int)info.ssi_signo;
    if (number == SIGCHLD) continue;
    if (launcher) (void)kill(launcher, number);
    if (number == SIGUSR2) continue;
    s->orders += number != SIGUSR1;
    /* an order to end outweighs the wish for a checkpoint */
    if (!s->asked || s->asked == SIGUSR1) s->asked = number;
  }
}

/* The attempt's own record; one of an earlier attempt, that a lost node wrote late, is none. */
static bool read_record(watch *w) {
  job_record r;
  if (!job_record_read(w->s->dir, &r) || r.attempt != w->a->number) return false;
  if (!w->a->recorded || r.progress != w->progress || r.state != w->a->record.state) {
    w->moved = rdd_seconds();
    w->progress = r.progress;
  }
  w->a->record = r;
  w->a->recorded = true;
  return true;
}

/* True when waiting has no point any more. */
static bool is_stuck(watch *w) {
  (void)read_record(w);
  double still = rdd_seconds() - w->moved;
  if (w->a->recorded && w->a->record.state != JOB_RUNNING) return still > ending_grace;
  if (!w->s->stall_timeout || still <= w->s->stall_timeout) return false;
  w->a->stalled = true;
  return true;
}

static void wait_for_launcher(watch *w) {
  attempt *a = w->a;
  while (!a->ended) {
    struct pollfd on[2] = {{.fd = w->s->signals, .events = POLLIN},
                           {.fd = w->tee, .events = POLLIN}};
    (void)poll(on, 2, TICK);
    if (on[0].revents) gangrun_take_signals(w->s, a->launcher);
    pass_on(w);
    job_processes_reap(reaped, a);
    if (is_stuck(w) || w->s->orders > 1) break;
  }
}

/* A launcher ends its own processes best, those on other nodes too, and so gets the time. */
static void end_launcher(watch *w) {
  double end = rdd_seconds() + launcher_grace;
  (void)kill(w->a->launcher, SIGTERM);
  while (!w->a->ended && rdd_seconds() < end) {
    (void)poll(NULL, 0, 20);
    pass_on(w);
    job_processes_reap(reaped, w->a);
  }
}

/* A network file system may show the last record a little late. */
static void read_last_record(watch *w) {
  bool good = WIFEXITED(w->a->status) && WEXITSTATUS(w->a->status) == 0;
  for (int i = 0; i < 5; i++) {
    if (read_record(w) && w->a->record.state != JOB_RUNNING) return;
    if (!good || w->a->stalled) return;
    (void)poll(NULL, 0, 100);
  }
}

void gangrun_attempt(supervisor *s, attempt *a) {
  watch w = {.s = s, .a = a, .tee = -1, .moved = rdd_seconds()};
  a->who = (culprit){.rank = -1, .exit_code = -1};
  start(&w);
  wait_for_launcher(&w);
  if (!a->ended && s->orders < 2) end_launcher(&w);
  a->unkillable = job_processes_end(leftover_grace, reaped, a) < 0;
  pass_on(&w);
  if (w.tee >= 0) close(w.tee);
  read_last_record(&w);
}

/* ---- Telling ---- */

/* The last line of a rank's event log that has `event`, from the end of the file. */
static bool last_event(const supervisor *s, const attempt *a, int rank, const char *event,
                       char *line, size_t room) {
  char path[PATH_MAX + 64], text[16384], pattern[64];
  snprintf(path, sizeof path, "%s/events/attempt-%d.rank-%d.jsonl", s->dir, a->number, rank);
  snprintf(pattern, sizeof pattern, "\"event\": \"%s\"", event);
  FILE *file = fopen(path, "re");
  if (!file) return false;
  bool found = false;
  if (fseek(file, -(long)sizeof text + 1, SEEK_END) != 0) rewind(file);
  size_t n = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[n] = 0;
  for (char *rest = text, *one; (one = strsep(&rest, "\n"));) {
    if (!rest || !strstr(one, pattern)) continue; /* a line without its end is not whole */
    snprintf(line, room, "%s", one);
    found = true;
  }
  return found;
}

/* Where a rank was: its own log knows better than rank 0's record, which is written now and then. */
static void find_where(const supervisor *s, const attempt *a, int rank, char *text, size_t room) {
  char line[1024], phase[40] = "", side[8] = "";
  int64_t iteration = 0;
  if (last_event(s, a, rank < 0 ? 0 : rank, "phase", line, sizeof line)) {
    (void)job_json_find_string(line, "phase", phase, sizeof phase);
    (void)job_json_find_string(line, "side", side, sizeof side);
    (void)job_json_find_int(line, "iteration", &iteration);
    job_record_where(phase, (int)iteration, side, text, room);
    return;
  }
  job_record_where(a->record.phase, a->record.iteration, a->record.side, text, room);
}

static void find_host(const supervisor *s, const attempt *a, int rank, char host[64]) {
  char line[4096];
  snprintf(host, 64, "%s", a->who.host);
  if (!*host && rank >= 0 && last_event(s, a, rank, "job-started", line, sizeof line))
    (void)job_json_find_string(line, "host", host, 64);
}

/* "signal 9 (killed)" */
static void signal_text(int number, char *text, size_t room) {
  snprintf(text, room, "signal %d (%s)", number, strsignal(number));
  char *name = strchr(text, '(') + 1;
  if (name[0] && name[1] >= 'a') name[0] |= 0x20;
}

/* Who, and what happened to it. */
static void tell_culprit(const supervisor *s, const attempt *a, char *text, size_t room) {
  const culprit *who = &a->who;
  char host[64], how[64];
  find_host(s, a, who->rank, host);
  if (who->signal) {
    signal_text(who->signal, how, sizeof how);
    snprintf(text, room, "rank %d%s%s died of %s", who->rank, *host ? " on " : "", host, how);
  } else if (*who->lost_node) {
    snprintf(text, room, "node %s was lost", who->lost_node);
  } else if (who->rank >= 0 && who->exit_code >= 0) {
    snprintf(text, room, "rank %d%s%s exited with status %d", who->rank, *host ? " on " : "", host,
             who->exit_code);
  } else if (WIFSIGNALED(a->status)) {
    bool als = a->recorded && a->record.pid == a->launcher;
    signal_text(WTERMSIG(a->status), how, sizeof how);
    snprintf(text, room, "%s died of %s", als ? "als" : "the launcher", how);
  } else {
    snprintf(text, room, "the launcher ended with status %d", WEXITSTATUS(a->status));
  }
}

void gangrun_describe(const supervisor *s, const attempt *a, char *text, size_t room) {
  char where[80], what[200];
  if (!a->recorded) {
    if (a->stalled)
      snprintf(what, sizeof what, "nothing happened for %g s", s->stall_timeout);
    else
      tell_culprit(s, a, what, sizeof what);
    snprintf(text, room, "%s before als started", what);
    return;
  }
  find_where(s, a, a->who.rank, where, sizeof where);
  if (a->stalled) {
    snprintf(text, room, "no progress for %g s in %s, so all of it was killed", s->stall_timeout,
             where);
  } else if (a->record.state == JOB_FAILED) {
    snprintf(text, room, "als failed with status %d in %s: %s", a->record.exit_code, where,
             a->record.message);
  } else {
    tell_culprit(s, a, what, sizeof what);
    bool liar = WIFEXITED(a->status) && WEXITSTATUS(a->status) == 0;
    snprintf(text, room, "%s in %s%s", what, where, liar ? ", but the work is not done" : "");
  }
}
