/* Reading what may crash HDF5: in a child, as the tasks of the job do. See fuzz.h.
 *
 * The child's coverage comes back to libFuzzer through shared memory. What a sanitizer says of a child
 * that dies decides whose fault it is: HDF5's if it was at work and did not write past memory of ours. */
#include "tests/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAKING = 1, READING = 10, REPORT_ROOM = 1 << 16, INPUT_ROOM = 1 << 16 }; /* seconds, bytes */

/* Counters that clang puts around code for libFuzzer; without it there are none. */
extern uint8_t __start___sancov_cntrs[] __attribute__((weak));
extern uint8_t __stop___sancov_cntrs[] __attribute__((weak));

/* libFuzzer writes an artifact when a sanitizer ends the process: not in a child. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

/* Files say how long they are: an allocation that is too large fails here as it does where memory is
 * short. */
#define SANITIZER_OPTIONS "allocator_may_return_null=1:max_allocation_size_mb=512"
const char *__asan_default_options(void);
const char *__tsan_default_options(void);
const char *__asan_default_options(void) {
  return SANITIZER_OPTIONS;
}
const char *__tsan_default_options(void) {
  return SANITIZER_OPTIONS;
}

/* The same without a sanitizer, whose own memory it would count. */
static void limit_memory(void) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
  setrlimit(RLIMIT_AS, &(struct rlimit){(rlim_t)4 << 30, (rlim_t)4 << 30});
#endif
}

/* Shared with the child. */
typedef struct shared {
  size_t n; /* of the input */
  uint8_t input[INPUT_ROOM];
  bool made, sound; /* the file is there; and only its values are wrong, not its structure */
  uint8_t counter[];
} shared;

static struct {
  shared *with_child;
  size_t counters;
  bool in_child;
  pid_t pid;             /* 0: there is no child */
  int line, report;      /* to the child; what it prints */
  int runs, most;        /* of this child, and how many one makes; 0: one */
  int64_t deaths, hangs; /* of children, that were HDF5's fault; hangs are among them */
} contain;

void fz_contain_most(int runs) {
  contain.most = runs;
}

int64_t fz_contained(int64_t *hangs_out) {
  *hangs_out = contain.hangs;
  return contain.deaths;
}

bool fz_in_child(void) {
  return contain.in_child;
}

void fz_made(bool sound) {
  alarm(READING);
  contain.with_child->sound = sound;
  contain.with_child->made = true;
}

/* ---- The child ---- */

static void run_one(const fz_target *target) {
  shared *s = contain.with_child;
  fz_input in = {s->input, s->n};
  if (contain.counters) memset(__start___sancov_cntrs, 0, contain.counters);
  if (ftruncate(STDERR_FILENO, 0) == 0) lseek(STDERR_FILENO, 0, SEEK_SET);
  alarm(MAKING);
  target->run(&in);
  alarm(0);
  if (contain.counters) memcpy(s->counter, __start___sancov_cntrs, contain.counters);
}

static _Noreturn void child(const fz_target *target, int line) {
  char go;
  contain.in_child = true;
  if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(NULL);
  dup2(contain.report, STDERR_FILENO);
  signal(SIGALRM, SIG_DFL);
  limit_memory();
  while (read(line, &go, 1) == 1) {
    run_one(target);
    if (write(line, &go, 1) != 1) break;
  }
  _exit(0);
}

/* ---- Its parent ---- */

static void set_up(void) {
  if (contain.with_child) return;
  contain.counters = (size_t)((uintptr_t)__stop___sancov_cntrs - (uintptr_t)__start___sancov_cntrs);
  contain.with_child = mmap(NULL, sizeof(shared) + contain.counters, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  contain.report = memfd_create("report", MFD_CLOEXEC);
  FZ_CHECK(contain.with_child != MAP_FAILED && contain.report >= 0, "no memory");
}

static void start_child(const fz_target *target) {
  int pair[2];
  FZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "%s", strerror(errno));
  contain.pid = fork();
  FZ_CHECK(contain.pid >= 0, "no child: %s", strerror(errno));
  if (contain.pid == 0) {
    close(pair[0]);
    child(target, pair[1]);
  }
  close(pair[1]);
  contain.line = pair[0];
  contain.runs = 0;
}

/* Wait for its end. */
static int end_child(void) {
  int status = 0;
  close(contain.line); /* one that lives reads its end from it */
  while (waitpid(contain.pid, &status, 0) < 0) FZ_CHECK(errno == EINTR, "%s", strerror(errno));
  contain.pid = 0;
  return status;
}

/* The n-th line of the stack that begins after `from`: "    #1 0x7f ... (libhdf5.so+0x...)". */
static bool frame_is_in(const char *from, int n, const char *module) {
  char mark[8], line[600];
  snprintf(mark, sizeof mark, "    #%d ", n);
  const char *at = strstr(from, mark);
  if (!at) return false;
  snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
  return strstr(line, module) != NULL;
}

/* By a report of the address sanitizer: HDF5, or the C library for it, did something wrong, and not to
 * memory of ours. libhdf5 is not instrumented: variables that the sanitizer knows are ours. */
static bool is_of_hdf5(const char *report) {
  char program[400] = "";
  bool at_work = false;
  for (int n = 0; n < 3 && !at_work; n++) at_work = frame_is_in(report, n, "libhdf5");
  if (!at_work || strstr(report, "in stack of thread") || strstr(report, "global variable"))
    return false;
  const char *allocated = strstr(report, "allocated by thread");
  if (!allocated) return true;
  ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
  return n <= 0 || !frame_is_in(allocated, 1, program);
}

/* Is it certain that a death was not HDF5's fault? Without the address sanitizer a crash says little, for
 * memory may have been damaged before. */
static bool is_ours(const char *report) {
  if (strstr(report, "broken: ") || strstr(report, "runtime error: ")) return true;
  if (strstr(report, "libFuzzer")) return true;
  return strstr(report, "AddressSanitizer") && !is_of_hdf5(report);
}

/* For those who want to know what HDF5 dies of: its report, and the input in the folder FUZZ_KEEP. */
static void keep(const char *report) {
  const char *folder = getenv("FUZZ_KEEP");
  char path[500];
  if (!folder) return;
  snprintf(path, sizeof path, "%s/%ld-%lld", folder, (long)getpid(), (long long)contain.deaths);
  fz_write(path, contain.with_child->input, contain.with_child->n);
  fprintf(stderr, "%s\n%s\n", path, report);
}

/* How a child ended, and what it said. */
static void judge(int status) {
  static char text[REPORT_ROOM];
  ssize_t n = pread(contain.report, text, sizeof text - 1, 0);
  text[n > 0 ? n : 0] = 0;
  bool killed = WIFSIGNALED(status);
  if (!contain.with_child->sound && !is_ours(text)) {
    contain.deaths++;
    if (killed && WTERMSIG(status) == SIGALRM) contain.hangs++;
    keep(text);
    return;
  }
  FZ_CHECK(!killed, "signal %d\n%s", WTERMSIG(status), text);
  FZ_CHECK(false, "exit status %d\n%s", WEXITSTATUS(status), text);
}

void fz_contain(const fz_target *target, const fz_input *in) {
  char go = 0;
  set_up();
  shared *s = contain.with_child;
  if (in->n > INPUT_ROOM) return;
  s->n = in->n;
  if (in->n > 0) memcpy(s->input, in->at, in->n);
  s->made = false;
  if (!contain.pid) start_child(target);
  FZ_CHECK(write(contain.line, &go, 1) == 1, "%s", strerror(errno));
  ssize_t n;
  do n = read(contain.line, &go, 1);
  while (n < 0 && errno == EINTR);
  if (n != 1) {
    int status = end_child();
    if (s->made) judge(status);
    return;
  }
  for (size_t i = 0; i < contain.counters; i++)
    if (s->counter[i]) __start___sancov_cntrs[i] = s->counter[i];
  if (++contain.runs >= contain.most) end_child();
}

void fz_contain_end(void) {
  if (contain.pid) end_child();
}
