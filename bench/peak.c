/* The machine's limits, measured: GFLOP/s of SGEMM and DGEMM on n cores at once, and GB/s of memcpy and of
 * STREAM's triad a = b + s c (24 bytes an element, from memory).
 * One single-threaded multiplication a core, as the ranks and threads of als use them. Prints one JSON
 * line: {"cores": 2, "sgemm": ..., "dgemm": ..., "memcpy": ..., "triad": ...}; rates are sums over cores. */
#include "jobs/blas.h"

#include <cblas.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

extern void openblas_set_num_threads(int n) __attribute__((weak));

enum { N = 768, REPEATS = 7 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

typedef enum kernel { SGEMM, DGEMM, MEMCPY, TRIAD } kernel;

/* One core's work: 2 N^3 flops, or N * N * 8 * 16 bytes copied. */
static void run(kernel which, double *a, double *b, double *c) {
  switch (which) {
  case SGEMM:
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, N, N, N, 1, (float *)a, N, (float *)b, N,
                0, (float *)c, N);
    break;
  case DGEMM:
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, N, N, N, 1, a, N, b, N, 0, c, N);
    break;
  case MEMCPY:
    memcpy(c, a, sizeof(double) * N * N * 16);
    break;
  case TRIAD:
    for (size_t i = 0; i < (size_t)N * N * 16; i++) c[i] = a[i] + 3 * b[i];
    break;
  }
}

/* Median over repeats of the rate that all cores reach together. */
static double measure(kernel which, int cores) {
  double rate[REPEATS];
  double work = which == MEMCPY  ? sizeof(double) * N * N * 16.0
                : which == TRIAD ? 3 * sizeof(double) * N * N * 16.0
                                 : 2.0 * N * N * N;
  int calls = which >= MEMCPY ? 4 : 20;
  double **memory = calloc((size_t)cores, sizeof *memory);
  if (!memory) exit(70);
#pragma omp parallel num_threads(cores)
  {
    size_t values = (size_t)N * N * 16;
    double *m = aligned_alloc(64, 3 * values * sizeof *m);
    if (!m) exit(70);
    for (size_t i = 0; i < 3 * values; i++) m[i] = (double)(i % 1000) * 1e-3;
    memory[omp_get_thread_num()] = m;
  }
  for (int r = 0; r < REPEATS; r++) {
    double started = now();
#pragma omp parallel num_threads(cores)
    {
      double *m = memory[omp_get_thread_num()];
      for (int i = 0; i < calls; i++) run(which, m, m + (size_t)N * N * 16, m + (size_t)N * N * 32);
    }
    rate[r] = cores * calls * work / (now() - started) * 1e-9;
  }
  for (int i = 0; i < cores; i++) free(memory[i]);
  free(memory);
  qsort(rate, REPEATS, sizeof *rate, ascending);
  return rate[REPEATS / 2];
}

int main(int argc, char **argv) {
  blas_fit_processor(argv);
  int cores = argc > 1 ? atoi(argv[1]) : 1;
  if (cores < 1) {
    fprintf(stderr, "usage: peak CORES\n");
    return 2;
  }
  if (openblas_set_num_threads) openblas_set_num_threads(1);
  printf("{\"cores\": %d, \"sgemm\": %.1f, \"dgemm\": %.1f, \"memcpy\": %.2f, "
         "\"triad\": %.2f}\n",
         cores, measure(SGEMM, cores), measure(DGEMM, cores), measure(MEMCPY, cores),
         measure(TRIAD, cores));
  return 0;
}
