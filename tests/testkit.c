/* The test kit: runs CUnit tests one at a time, so that each outcome is a TAP line of its own.
 *
 * CUnit keeps the registry and the list of failures; its own output modes are not used. A mutex
 * around CU_assertImplementation() makes the checks usable from ranks that are threads. */
#include "tests/testkit.h"

#include "rdd/memory.h"

#include <CUnit/CUnit.h>
#include <CUnit/TestRun.h>
#include <ftw.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_RANKS = 4, TIME_LIMIT = 300 /* seconds for the whole program */ };

/* What is running now, and on what. */
static struct {
  pthread_mutex_t lock; /* guards CUnit's lists, stdout and the skip reason */
  CU_pSuite suite;
  const tk_case *unit; /* one of these two */
  const tk_comm_case *collective;
  rdd_comm *comm; /* tk_comm_main: where a collective case runs */
  int ranks;      /* tk_threads_main: how many threads it runs on */
  char skip[300];
  char tmpdir[300];
} kit = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Rank of this thread or process, for messages; -1 in unit tests. */
static _Thread_local int my_rank = -1;

static void say(const char *text) {
  if (my_rank < 0)
    printf("# %s\n", text);
  else
    printf("# rank %d: %s\n", my_rank, text);
}

/* ---- Checks ---- */

bool tk_check(bool condition, const char *text, const char *file, int line) {
  char where[1200];
  pthread_mutex_lock(&kit.lock);
  CU_assertImplementation(condition, (unsigned)line, text, file, "", CU_FALSE);
  if (!condition) {
    snprintf(where, sizeof where, "%s:%d: %s", file, line, text);
    say(where);
  }
  pthread_mutex_unlock(&kit.lock);
  return condition;
}

bool tk_check_ok(rdd_status status, const rdd_err *err, const char *text, const char *file,
                 int line) {
  char full[1100];
  if (status == RDD_OK) return tk_check(true, text, file, line);
  snprintf(full, sizeof full, "%s: %s: %s (decided at %s:%d)", text, rdd_status_name(status),
           err ? err->message : "", err ? err->file : "?", err ? err->line : 0);
  return tk_check(false, full, file, line);
}

bool tk_check_near(double a, double b, double tolerance, const char *text, const char *file,
                   int line) {
  char full[400];
  if (fabs(a - b) <= tolerance) return tk_check(true, text, file, line);
  snprintf(full, sizeof full, "%s: %.17g and %.17g differ by %.3g, allowed are %.3g", text, a, b,
           fabs(a - b), tolerance);
  return tk_check(false, full, file, line);
}

/* ---- Files ---- */

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at) {
  (void)st, (void)kind, (void)at;
  return remove(path);
}

static void remove_tmpdir(void) {
  if (kit.tmpdir[0]) nftw(kit.tmpdir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  kit.tmpdir[0] = '\0';
}

const char *tk_tmpdir(void) {
  const char *base = getenv("TMPDIR");
  pthread_mutex_lock(&kit.lock);
  if (!kit.tmpdir[0]) {
    snprintf(kit.tmpdir, sizeof kit.tmpdir, "%s/gangplank-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(kit.tmpdir)) {
      perror(kit.tmpdir);
      exit(99); /* the harness's "hard error": nothing can be tested without a place to write */
    }
  }
  pthread_mutex_unlock(&kit.lock);
  return kit.tmpdir;
}

const char *tk_data(const char *name) {
  static _Thread_local char path[1000];
  const char *base = getenv("GANGPLANK_TEST_DATA");
  if (base) {
    snprintf(path, sizeof path, "%s/%s", base, name);
    if (access(path, R_OK) == 0) return path;
  }
  pthread_mutex_lock(&kit.lock);
  snprintf(kit.skip, sizeof kit.skip, "no %s in $GANGPLANK_TEST_DATA (%s)", name,
           base ? base : "not set");
  pthread_mutex_unlock(&kit.lock);
  return NULL;
}

/* ---- Running ---- */

static void run_as_rank(rdd_comm *comm, void *arg) {
  const tk_comm_case *c = arg;
  my_rank = comm->rank;
  c->run(comm);
}

/* The body of every CUnit test: one case, and the balance of its allocations. */
static void run_current(void) {
  int64_t before = rdd_memory_live();
  rdd_err err = {0};
  if (kit.unit)
    kit.unit->run();
  else if (kit.comm)
    run_as_rank(kit.comm, (void *)kit.collective);
  else
    TK_OK(rdd_threads_run(kit.ranks, run_as_rank, (void *)kit.collective, &err), &err);
  rdd_memory_fail_at(0);
  int64_t left = rdd_memory_live() - before;
  if (left != 0) {
    char text[100];
    snprintf(text, sizeof text, "every allocation is freed: %lld are left", (long long)left);
    tk_check(false, text, __FILE__, __LINE__);
  }
}

/* Run one case; returns its number of failures, and leaves the reason of a skip in kit.skip. */
static int64_t run_case(const char *name) {
  kit.skip[0] = '\0';
  CU_pTest test = CU_add_test(kit.suite, name, run_current);
  if (!test || CU_run_test(kit.suite, test) != CUE_SUCCESS) {
    printf("# CUnit: %s\n", CU_get_error_msg());
    return 1;
  }
  return CU_get_number_of_failures();
}

static void print_result(int number, const char *name, int64_t failures) {
  printf("%s %d - %s", failures ? "not ok" : "ok", number, name);
  if (!failures && kit.skip[0]) printf(" # SKIP %s", kit.skip);
  printf("\n");
}

/* A test that hangs is killed by SIGALRM; a line that was printed survives a crash. */
static void start(const char *suite) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  alarm(TIME_LIMIT);
  if (CU_initialize_registry() != CUE_SUCCESS || !(kit.suite = CU_add_suite(suite, NULL, NULL))) {
    printf("Bail out! CUnit: %s\n", CU_get_error_msg());
    exit(99);
  }
}

static int finish(int64_t failures) {
  CU_cleanup_registry();
  remove_tmpdir();
  alarm(0);
  return failures ? 1 : 0;
}

int tk_main(const char *suite, const tk_case *cases, int n) {
  int64_t failures = 0;
  start(suite);
  printf("1..%d\n", n);
  for (int i = 0; i < n; i++) {
    kit.unit = &cases[i];
    int64_t f = run_case(cases[i].name);
    print_result(i + 1, cases[i].name, f);
    failures += f;
  }
  return finish(failures);
}

int tk_threads_main(const char *suite, const tk_comm_case *cases, int n) {
  int64_t failures = 0;
  int number = 0;
  start(suite);
  /* A sanitizer finds at 1 and 3 ranks what there is at 2 and 4: the paths are those of one, or of more. */
  int step = TK_SANITIZED ? 2 : 1;
  printf("1..%d\n", n * (MAX_RANKS / step));
  for (int i = 0; i < n; i++) {
    kit.collective = &cases[i];
    for (kit.ranks = 1; kit.ranks <= MAX_RANKS; kit.ranks += step) {
      char name[200];
      snprintf(name, sizeof name, "%s, ranks: %d", cases[i].name, kit.ranks);
      int64_t f = run_case(name);
      print_result(++number, name, f);
      failures += f;
    }
  }
  return finish(failures);
}

/* Under mpirun the runner makes the TAP lines, one for each number of ranks; these are details. */
int tk_comm_main(const char *suite, const tk_comm_case *cases, int n, rdd_comm *comm) {
  int64_t failures = 0;
  start(suite);
  kit.comm = comm;
  for (int i = 0; i < n; i++) {
    kit.collective = &cases[i];
    int64_t f = run_case(cases[i].name);
    rdd_allreduce(comm, &f, 1, RDD_SUM);
    if (comm->rank == 0) printf("%s: %s\n", f ? "FAILED" : "passed", cases[i].name);
    failures += f;
  }
  if (comm->rank == 0 && !failures) printf("ALL RANKS PASSED\n");
  return finish(failures);
}
