/* The kernels one by one, on one core, against BLAS and LAPACK in the same run: `make bench-kernels`.
 *
 *   update   panels of 64 ratings into normal equations, counting k (k + 1) flops a rating, against syrk of
 *            the same panels and against gemm of large matrices, the most that the core can do
 *   solve    one system by Cholesky, in a full group, against potrf and potrs
 *   pass     a product of conjugate gradients over a panel in the L2 cache
 *
 * Seconds are those of the processor; each figure is the best of 7 rounds, since others only take away. */
#include "jobs/blas.h"
#include "mllib/kernels_impl.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 7, LARGE = 768 };

extern void openblas_set_num_threads(int n) __attribute__((weak));
extern void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info,
                    size_t uplo_length);
extern void dpotrs_(const char *uplo, const int *n, const int *nrhs, const double *a,
                    const int *lda, double *b, const int *ldb, int *info, size_t uplo_length);
extern void spotrf_(const char *uplo, const int *n, float *a, const int *lda, int *info,
                    size_t uplo_length);
extern void spotrs_(const char *uplo, const int *n, const int *nrhs, const float *a, const int *lda,
                    float *b, const int *ldb, int *info, size_t uplo_length);

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* What one measurement works on. */
typedef struct work {
  const als_kernels *kernels; /* NULL: BLAS */
  als_precision precision;
  int k, w;
  size_t size;
  char *panel, *a[ALS_GROUP], *b[ALS_GROUP], *saved, *scratch;
  float *floats;
  als_fetch none;
} work;

static void *some(size_t n) {
  void *p = aligned_alloc(64, (n + 63) / 64 * 64);
  if (!p) exit(70);
  memset(p, 0, n);
  return p;
}

static void fill(const work *x, void *to, size_t lines) {
  for (size_t i = 0; i < lines; i++)
    for (size_t j = 0; j < (size_t)x->k; j++) {
      double v = (double)((i * 31 + j * 17) % 101) / 101 - 0.5;
      if (x->size == sizeof(float))
        ((float *)to)[i * (size_t)x->w + j] = (float)v;
      else
        ((double *)to)[i * (size_t)x->w + j] = v;
    }
}

static void update(work *x) {
  if (x->kernels)
    x->kernels->update(x->panel, ALS_PANEL_ROWS, x->w, x->a[0], NULL);
  else if (x->precision == ALS_SINGLE)
    cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, x->k, ALS_PANEL_ROWS, 1, (float *)x->panel,
                x->w, 1, (float *)x->a[0], x->w);
  else
    cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, x->k, ALS_PANEL_ROWS, 1, (double *)x->panel,
                x->w, 1, (double *)x->a[0], x->w);
}

/* A whole group; the copy of the matrices is in the time of both. */
static void solve(work *x) {
  size_t bytes = (size_t)x->w * (size_t)x->w * x->size;
  int lanes = als_kernels_kind(0, x->precision)->lanes, info[ALS_GROUP], one = 1;
  for (int i = 0; i < lanes; i++) memcpy(x->a[i], x->saved, bytes);
  if (x->kernels) {
    for (int i = 0; i < lanes; i += x->kernels->lanes)
      x->kernels->solve(x->kernels->lanes, (void *const *)x->a + i, (void *const *)x->b + i, x->w,
                        x->scratch, info);
    return;
  }
  for (int i = 0; i < lanes; i++) {
    if (x->precision == ALS_SINGLE) {
      spotrf_("L", &x->k, (float *)x->a[i], &x->w, info, 1);
      spotrs_("L", &x->k, &one, (float *)x->a[i], &x->w, (float *)x->b[i], &x->w, info, 1);
    } else {
      dpotrf_("L", &x->k, (double *)x->a[i], &x->w, info, 1);
      dpotrs_("L", &x->k, &one, (double *)x->a[i], &x->w, (double *)x->b[i], &x->w, info, 1);
    }
  }
}

static void pass(work *x) {
  x->kernels->pass(x->floats, ALS_PANEL_ROWS * 4, x->w, x->panel, x->a[0], x->a[1], &x->none);
}

/* Seconds of one call. */
static double measure(work *x, void (*run)(work *x)) {
  double best = 1e9;
  int calls = 1;
  for (int round = 0; round < ROUNDS; round++) {
    double started = now();
    for (int i = 0; i < calls; i++) run(x);
    double seconds = (now() - started) / calls;
    if (seconds < best) best = seconds;
    if (round == 0) calls = (int)(0.02 / seconds) + 1;
  }
  return best;
}

static double *left, *right, *product;

static void multiply(work *x) {
  if (x->precision == ALS_SINGLE)
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, LARGE, LARGE, LARGE, 1, (float *)left,
                LARGE, (float *)right, LARGE, 0, (float *)product, LARGE);
  else
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, LARGE, LARGE, LARGE, 1, left, LARGE,
                right, LARGE, 0, product, LARGE);
}

/* A positive definite matrix in x->saved. */
static void make_system(work *x) {
  const als_kernels *k = als_kernels_kind(0, x->precision);
  memset(x->saved, 0, (size_t)x->w * (size_t)x->w * x->size);
  k->update(x->panel, ALS_PANEL_ROWS, x->w, x->saved, NULL);
  k->add_ridge(x->saved, x->w, x->k, ALS_PANEL_ROWS);
}

static void table(als_precision precision, int k) {
  work x = {.precision = precision, .k = k, .w = als_kernels_width(precision, k)};
  double rating = (double)k * (k + 1), system = k * (double)k * k / 3 + 2.0 * k * k;
  x.size = als_kernels_kind(0, precision)->size;
  size_t w = (size_t)x.w, line = w * x.size;
  int lanes = als_kernels_kind(0, precision)->lanes;
  x.panel = some(4 * ALS_PANEL_ROWS * line);
  x.floats = some(4 * ALS_PANEL_ROWS * w * sizeof *x.floats);
  x.saved = some(w * line);
  for (int i = 0; i < ALS_GROUP; i++) x.a[i] = some(w * line), x.b[i] = some(line);
  fill(&x, x.panel, ALS_PANEL_ROWS);
  make_system(&x);
  double peak = 2.0 * LARGE * LARGE * LARGE / measure(&x, multiply) * 1e-9;
  for (int i = -1; i < 0 || als_kernels_kind(i, precision); i++) {
    x.kernels = i < 0 ? NULL : als_kernels_kind(i, precision);
    x.scratch = x.kernels ? some(als_kernels_scratch(x.kernels, x.w)) : NULL;
    double flops = ALS_PANEL_ROWS * rating / measure(&x, update) * 1e-9;
    double seconds = measure(&x, solve) / lanes;
    printf("| %s | %d | %s | %.1f | %.2f | %.2f | %.1f | ", precision ? "single" : "double", k,
           x.kernels ? x.kernels->name : "BLAS", flops, flops / peak, seconds * 1e6,
           system / seconds * 1e-9);
    if (x.kernels)
      printf("%.1f |\n", ALS_PANEL_ROWS * 4.0 * k * sizeof(float) / measure(&x, pass) * 1e-9);
    else
      printf("|\n");
    free(x.scratch);
  }
  free(x.panel), free(x.floats), free(x.saved);
  for (int i = 0; i < ALS_GROUP; i++) free(x.a[i]), free(x.b[i]);
}

int main(int argc, char **argv) {
  (void)argc;
  blas_fit_processor(argv);
  static const int ranks[] = {16, 32, 64, 128, 256};
  if (openblas_set_num_threads) openblas_set_num_threads(1);
  left = some(sizeof *left * LARGE * LARGE);
  right = some(sizeof *right * LARGE * LARGE);
  product = some(sizeof *product * LARGE * LARGE);
  printf(
      "| precision | k | kernels | update, GFLOP/s | of gemm | solve, us | GFLOP/s | pass, GB/s |\n"
      "|---|---|---|---|---|---|---|---|\n");
  for (int precision = 0; precision < 2; precision++)
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++)
      table((als_precision)precision, ranks[i]);
  free(left), free(right), free(product);
  return 0;
}
