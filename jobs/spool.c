/* Standard input as a file. See spool.h.
 *
 * The end of a pipe may be a cut. Open MPI, when it is told to stop, closes the standard input of what it
 * launched, continues all processes (SIGCONT) in the same breath, and terminates them a second later. That
 * is time enough to make a model of half the ratings. So an end that comes within a moment of a SIGCONT has
 * to wait for what follows it. A launcher that is killed closes the input as well. */
#include "jobs/spool.h"

#include "jobs/input_impl.h"
#include "mpi_bridge/gang.h"
#include "rdd/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BYTES = 1 << 16, STEP = 10, MOMENT = 300, FATAL = 3000 /* milliseconds */ };

static volatile sig_atomic_t continued; /* second of the last SIGCONT, 0: none */

static sig_atomic_t second_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (sig_atomic_t)now.tv_sec + 1;
}

static void note_continued(int signal_number) {
  (void)signal_number;
  continued = second_now();
}

/* Was there a SIGCONT not long ago? */
static bool is_continued(void) {
  return continued && second_now() - continued <= FATAL / 1000;
}

static void wait_step(void) {
  nanosleep(&(struct timespec){.tv_nsec = STEP * 1000000}, NULL);
}

/* Is this the end? If not, a signal ends this process here, or it is an error.
 *   parent  [in]  who had started this process when it began to read */
static rdd_status heed_the_end(pid_t parent, rdd_err *err) {
  struct stat info;
  if (fstat(STDIN_FILENO, &info) == 0 && S_ISREG(info.st_mode)) return RDD_OK;
  for (int left = MOMENT; left > 0 && !is_continued(); left -= STEP) wait_step();
  while (is_continued()) wait_step();
  if (!gang_launched() || getppid() == parent) return RDD_OK;
  return rdd_set(err, RDD_EIO, "the launcher died while standard input was read");
}

static rdd_status copy_all(int fd, const char *name, char *buffer, rdd_err *err) {
  for (;;) {
    ssize_t n = read(STDIN_FILENO, buffer, BYTES), m;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return rdd_set(err, RDD_EIO, "standard input cannot be read: %s", strerror(errno));
    if (n == 0) return RDD_OK;
    for (ssize_t at = 0; at < n; at += m) {
      m = write(fd, buffer + at, (size_t)(n - at));
      if (m < 0 && errno == EINTR) m = 0;
      if (m < 0) return rdd_set(err, RDD_EIO, "%s: cannot be written: %s", name, strerror(errno));
    }
  }
}

rdd_status job_spool(const char *beside, job_output **out, rdd_err *err) {
  const struct sigaction note = {.sa_handler = note_continued};
  struct sigaction before;
  char name[PATH_MAX], *buffer = NULL;
  job_output *output = NULL;
  rdd_status st = RDD_OK;
  pid_t parent = getppid();
  int fd = -1;
  if (snprintf(name, sizeof name, "%s.stdin", beside) >= (int)sizeof name)
    return rdd_set(err, RDD_EUSAGE, "%.200s...: the name is too long", beside);
  buffer = rdd_alloc(BYTES, 1);
  if (!buffer) return rdd_set(err, RDD_ENOMEM, "out of memory to read standard input");
  st = job_output_open(&output, name, err);
  if (st) goto done;
  fd = open(job_output_path(output), O_WRONLY | O_TRUNC | O_CLOEXEC);
  if (fd < 0) {
    st = rdd_set(err, RDD_EIO, "%s: cannot be written: %s", name, strerror(errno));
    goto done;
  }
  continued = 0;
  sigaction(SIGCONT, &note, &before);
  st = copy_all(fd, name, buffer, err);
  if (!st) st = heed_the_end(parent, err);
  sigaction(SIGCONT, &before, NULL);
  if (st) goto done;
  job_output_share(output);
  *out = output;
  output = NULL;
done:
  if (fd >= 0) close(fd);
  job_output_abandon(output);
  rdd_free(buffer);
  return st;
}

void job_spool_name(rdd_err *err, const char *path) {
  static const char name[] = "standard input";
  path = job_path_text(path);
  char *at = strstr(err->message, path);
  size_t length = strlen(path), shorter = sizeof name - 1;
  if (!at || length < shorter) return;
  memcpy(at, name, shorter);
  memmove(at + shorter, at + length, strlen(at + length) + 1);
}
