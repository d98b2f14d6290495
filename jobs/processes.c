/* The processes below this one, as /proc knows them. See processes.h. */
#include "jobs/processes.h"

#include "rdd/clock.h"
#include "rdd/memory.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const double last_wait = 10; /* s: what SIGKILL has not ended by then hangs in the kernel */

typedef struct process {
  pid_t pid, parent;
  char state;
  unsigned long long born; /* ticks since boot: tells two processes of one number apart */
  bool below;              /* a descendant */
} process;

typedef struct process_list {
  process *p;
  int n, room;
} process_list;

bool job_processes_adopt(void) {
  return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0;
}

void job_processes_reap(job_reaped_fn reaped, void *arg) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) reaped(arg, pid, status);
}

/* Read /proc/PID/stat. The name in it may hold anything, so fields count from its last parenthesis. */
static bool read_process(pid_t pid, process *out) {
  char path[40], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0) return false;
  text[n] = 0;
  char *p = strrchr(text, ')');
  int parent;
  if (!p || sscanf(p + 1,
                   " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
                   "%*d %llu",
                   &out->state, &parent, &out->born) != 3)
    return false;
  out->pid = pid;
  out->parent = (pid_t)parent;
  out->below = false;
  return true;
}

static bool is_dead(const process *p) {
  return p->state == 'Z' || p->state == 'X';
}

bool job_process_lives(pid_t pid) {
  process p;
  return read_process(pid, &p) && !is_dead(&p);
}

static bool append(process_list *list, const process *p) {
  if (list->n == list->room) {
    int room = 2 * list->room + 64;
    process *grown = rdd_realloc(list->p, (size_t)room, sizeof *grown);
    if (!grown) return false;
    list->p = grown;
    list->room = room;
  }
  list->p[list->n++] = *p;
  return true;
}

/* Mark what is below this process: children first, then theirs, until nothing is added. */
static void mark_descendants(process_list *list) {
  pid_t self = getpid();
  for (bool more = true; more;) {
    more = false;
    for (int i = 0; i < list->n; i++) {
      process *p = &list->p[i];
      if (p->below) continue;
      bool below = p->parent == self;
      for (int k = 0; k < list->n && !below; k++)
        below = list->p[k].below && list->p[k].pid == p->parent;
      if (below) p->below = more = true;
    }
  }
}

static void list_processes(process_list *list) {
  list->n = 0;
  DIR *proc = opendir("/proc");
  if (!proc) return;
  for (struct dirent *entry; (entry = readdir(proc));) {
    process p;
    if (!isdigit((unsigned char)*entry->d_name)) continue;
    if (read_process((pid_t)atoi(entry->d_name), &p) && !append(list, &p)) break;
  }
  closedir(proc);
  mark_descendants(list);
}

/* Signal a process if it is still the one that was found. */
static void signal_process(const process *found, int signal_number) {
  process now;
  int fd = (int)syscall(SYS_pidfd_open, found->pid, 0);
  bool no_pidfd = fd < 0 &&
                  errno != ESRCH; /* before Linux 5.3, or in a container that forbids it */
  bool same = read_process(found->pid, &now) && now.born == found->born;
  if (same && fd >= 0)
    (void)syscall(SYS_pidfd_send_signal, fd, signal_number, NULL, 0);
  else if (same && no_pidfd)
    (void)kill(found->pid, signal_number);
  if (fd >= 0) close(fd);
}

/* Signal the descendants that live (0: only count them); returns how many. */
static int signal_descendants(process_list *list, int signal_number) {
  int alive = 0;
  list_processes(list);
  for (int i = 0; i < list->n; i++) {
    const process *p = &list->p[i];
    if (!p->below || is_dead(p)) continue;
    alive++;
    if (signal_number) signal_process(p, signal_number);
  }
  return alive;
}

/* Wait until no descendant lives, no longer than so many seconds; a signal is given each time. */
static int wait_for_end(process_list *list, double seconds, int signal_number, job_reaped_fn reaped,
                        void *arg) {
  const struct timespec nap = {0, 10000000};
  double end = rdd_seconds() + seconds;
  int alive;
  for (;;) {
    job_processes_reap(reaped, arg);
    alive = signal_descendants(list, signal_number);
    if (!alive || rdd_seconds() > end) break;
    nanosleep(&nap, NULL);
  }
  job_processes_reap(reaped, arg);
  return alive;
}

int job_processes_end(double grace, job_reaped_fn reaped, void *arg) {
  process_list list = {NULL, 0, 0};
  job_processes_reap(reaped, arg);
  int found = signal_descendants(&list, SIGTERM);
  if (found && wait_for_end(&list, grace, 0, reaped, arg) &&
      wait_for_end(&list, last_wait, SIGKILL, reaped, arg))
    found = -1;
  rdd_free(list.p);
  return found;
}
