/* Whole rows through the solvers, on one core: `make bench-rows`, or bench/rows K...
 *
 * Rows of so many ratings each, of columns that are spread evenly over a table of 138,000, are solved in batches
 * as a half-step does it. Nanoseconds a rating are those of the processor; each figure is the best of ROUNDS, since
 * others only take away. Long rows show what a rating costs, short ones what a row costs. */
#include "mllib/kernels_impl.h"
#include "rdd/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { COLUMNS = 138000, RATINGS = 3 << 17, ROUNDS = 5 };

static const int64_t lengths[] = {16, 48, 192, 768, 3072, 12288, 49152};

typedef struct work {
  als_system system;
  float *factors;   /* [COLUMNS][k] */
  als_entry *entry; /* [RATINGS] */
  als_row row[ALS_BATCH_ROWS];
  double *x; /* [ALS_BATCH_ROWS][w] */
} work;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double uniform(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (double)(*state >> 11) * 0x1p-53;
}

static void *some(size_t n, size_t size) {
  void *p = rdd_alloc(n, size);
  if (!p) exit(70);
  rdd_memory_huge(p, n * size);
  return p;
}

static void make_factors(work *x, int k) {
  uint64_t state = 1;
  x->factors = some(COLUMNS * (size_t)k, sizeof *x->factors);
  for (size_t i = 0; i < COLUMNS * (size_t)k; i++) x->factors[i] = (float)(uniform(&state) - 0.5);
}

/* The e-th of a row's n ratings is of one of the e-th n-th of the columns. */
static void make_ratings(work *x, int64_t n) {
  uint64_t state = 2;
  for (int64_t i = 0; i < RATINGS; i++) {
    double column = ((double)(i % n) + uniform(&state)) * COLUMNS / (double)n;
    x->entry[i] = (als_entry){(uint32_t)column, (float)(5 * uniform(&state))};
  }
}

static void solve_all(work *x, const als_solver_kind *solver, void *scratch, int64_t n) {
  size_t w = (size_t)als_kernels_width(ALS_DOUBLE, x->system.k);
  for (int64_t at = 0; at + n <= RATINGS;) {
    int rows = 0;
    for (; rows < ALS_BATCH_ROWS && at + n <= RATINGS; rows++, at += n) {
      double *start = x->x + (size_t)rows * w;
      for (int j = 0; j < x->system.k; j++) start[j] = 0.1;
      x->row[rows] = (als_row){.entry = x->entry + at,
                               .n = n,
                               .ahead = RATINGS - at - n,
                               .ridge = 0.05 * (double)n,
                               .x = start};
    }
    solver->solve(scratch, &x->system, x->row, rows);
  }
}

/* Nanoseconds a rating. */
static double measure(work *x, const als_solver_kind *solver, int64_t n) {
  double best = 1e9, ratings = (double)(RATINGS / n * n);
  void *scratch = NULL;
  rdd_err err = {0};
  x->system.longest = n;
  if (solver->open(&x->system, &scratch, &err)) exit(70);
  for (int round = 0; round < ROUNDS; round++) {
    double started = now();
    solve_all(x, solver, scratch, n);
    double seconds = now() - started;
    if (seconds < best) best = seconds;
  }
  solver->close(scratch);
  return best / ratings * 1e9;
}

static void table(work *x, int k) {
  make_factors(x, k);
  x->x = some(ALS_BATCH_ROWS * (size_t)als_kernels_width(ALS_DOUBLE, k), sizeof *x->x);
  x->system = (als_system){.k = k, .width = k, .factors = x->factors, .cg_steps = 3};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    double ns[2][2];
    make_ratings(x, lengths[i]);
    for (int single = 0; single < 2; single++) {
      x->system.precision = single ? ALS_SINGLE : ALS_DOUBLE;
      ns[single][0] = measure(x, &als_cholesky, lengths[i]);
      ns[single][1] = measure(x, &als_cg, lengths[i]);
    }
    printf("| %d | %d | %.1f | %.1f | %.1f | %.1f |\n", k, (int)lengths[i], ns[0][0], ns[0][1],
           ns[1][0], ns[1][1]);
    fflush(stdout);
  }
  rdd_free(x->factors);
  rdd_free(x->x);
}

int main(int argc, char **argv) {
  static const int ranks[] = {32, 64, 128, 256};
  static work x;
  x.entry = some(RATINGS, sizeof *x.entry);
  printf("| k | ratings a row | Cholesky, double, ns a rating | CG, double | Cholesky, single | "
         "CG, single |\n"
         "|---|---|---|---|---|---|\n");
  for (int i = 1; i < argc; i++) {
    int k = atoi(argv[i]);
    if (k < 1 || k > 4096) return fprintf(stderr, "rows: K from 1 to 4096\n"), 2;
    table(&x, k);
  }
  for (size_t i = 0; argc < 2 && i < sizeof ranks / sizeof *ranks; i++) table(&x, ranks[i]);
  rdd_free(x.entry);
  return 0;
}
