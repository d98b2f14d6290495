/* HDF5 in a child, for files that somebody else made.
 *
 * The library crashes on some damaged files, and does not end on others. Blocks and checkpoints have a
 * checksum that is asked first (h5_seal.c); ratings and models may come from anywhere. In a task a crash
 * costs a task; where a rank itself looks at a file, a child looks at it before. */
#include "jobs/h5.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TIME_LIMIT = 120 }; /* seconds: a file system may be slow, but a look reads little */

/* Shared with the child. A child that dies leaves finished == 0. */
typedef struct answer {
  int finished;
  rdd_status status;
  rdd_err err;
  _Alignas(64) char result[];
} answer;

/* Nothing that the rank does on a signal, or at its end, is the child's to do. */
static _Noreturn void child(answer *a, job_h5_look look, const void *arg, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1); /* it died before we asked to die with it */
  for (int s = 1; s < NSIG; s++) {
    struct sigaction old;
    if (sigaction(s, NULL, &old) != 0) continue;
    if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN) signal(s, SIG_DFL);
  }
  signal(SIGUSR1, SIG_IGN); /* "stop soon", which launchers tell the whole process group */
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, NULL);
  alarm(TIME_LIMIT);
  a->status = look(arg, a->result, &a->err);
  a->finished = 1;
  _exit(0);
}

static rdd_status tell_death(const char *path, int wait_status, rdd_err *err) {
  char name[64] = "";
  int signal_number = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
  if (signal_number == SIGALRM)
    return rdd_set(err, RDD_EDATA, "%s: damaged: HDF5 has not opened it after %d s", path,
                   TIME_LIMIT);
  snprintf(name, sizeof name, "%s", signal_number ? strsignal(signal_number) : "");
  name[0] = (char)tolower((unsigned char)name[0]);
  if (signal_number)
    return rdd_set(err, RDD_EDATA, "%s: damaged: HDF5 dies of it by signal %d (%s)", path,
                   signal_number, name);
  return rdd_set(err, RDD_EDATA, "%s: damaged: HDF5 dies of it with exit status %d", path,
                 WEXITSTATUS(wait_status));
}

rdd_status job_h5_look_first(const char *path, job_h5_look look, const void *arg, void *result,
                             size_t bytes, rdd_err *err) {
  int wait_status = 0;
  if (H5open() < 0) return rdd_set(err, RDD_EINTERNAL, "HDF5 does not start");
  answer *a = mmap(NULL, sizeof *a + bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                   0);
  if (a == MAP_FAILED) return rdd_set(err, RDD_ENOMEM, "%s: no memory to look at it", path);
  if (bytes > 0) memcpy(a->result, result, bytes);

  sigset_t all, before; /* no signal may find the rank's handlers in the child */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t parent = getpid(), pid = fork();
  if (pid == 0) child(a, look, arg, parent);
  int why = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);

  rdd_status st = RDD_OK;
  if (pid < 0) {
    st = rdd_set(err, RDD_ENOMEM, "%s: no process to look at it: %s", path, strerror(why));
    goto done;
  }
  while (waitpid(pid, &wait_status, 0) < 0 && errno == EINTR) continue;
  if (!a->finished) {
    st = tell_death(path, wait_status, err);
    goto done;
  }
  st = a->status;
  if (st)
    *err = a->err;
  else if (bytes > 0)
    memcpy(result, a->result, bytes);
done:
  munmap(a, sizeof *a + bytes);
  return st;
}
