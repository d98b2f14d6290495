/* Normal equations of one row, in double.
 *
 * The factors of the row's columns are scattered over a big table. They are gathered,
 * ALS_PANEL_ROWS at a time, into a panel that stays in the L2 cache, and the Gram matrix is updated
 * by the panel as a whole. A panel begins at every ALS_PANEL_ROWS-th rating of the row, so that the
 * order of the sums depends on the row alone. */
#include "mllib/normal.h"

#include "rdd/memory.h"

#include <cblas.h>
#include <string.h>

/* LAPACK by its Fortran names; Debian's OpenBLAS has no C interface to it. */
extern void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info,
                    size_t uplo_length);
extern void dpotrs_(const char *uplo, const int *n, const int *nrhs, const double *a,
                    const int *lda, double *b, const int *ldb, int *info, size_t uplo_length);

enum { PREFETCH_AHEAD = 4, CACHE_LINE_FLOATS = 16 };

rdd_status als_normal_init(als_normal *ne, int k, rdd_err *err) {
  size_t width = (size_t)k;
  als_normal made = {.k = k};
  made.gram = rdd_alloc(width * width, sizeof(double));
  made.rhs = rdd_alloc(width, sizeof(double));
  made.panel = rdd_alloc(ALS_PANEL_ROWS * width, sizeof(double));
  made.weight = rdd_alloc(ALS_PANEL_ROWS, sizeof(double));
  if (!made.gram || !made.rhs || !made.panel || !made.weight) {
    als_normal_reset(&made);
    return rdd_set(err, RDD_ENOMEM, "out of memory for normal equations of rank %d", k);
  }
  *ne = made;
  als_normal_clear(ne);
  return RDD_OK;
}

void als_normal_reset(als_normal *ne) {
  rdd_free(ne->gram);
  rdd_free(ne->rhs);
  rdd_free(ne->panel);
  rdd_free(ne->weight);
  *ne = (als_normal){0};
}

void als_normal_clear(als_normal *ne) {
  size_t k = (size_t)ne->k;
  memset(ne->gram, 0, k * k * sizeof(double));
  memset(ne->rhs, 0, k * sizeof(double));
  ne->squares = 0;
  ne->n = 0;
}

/* Start fetching the factors of an entry that comes soon. */
static void prefetch(const als_entry *entry, const float *factors, size_t k) {
  const float *f = factors + entry->column * k;
  for (size_t j = 0; j < k; j += CACHE_LINE_FLOATS) __builtin_prefetch(f + j);
}

static void gather(als_normal *ne, const als_entry *entry, int m, int64_t ahead,
                   const float *restrict factors) {
  size_t k = (size_t)ne->k;
  for (int i = 0; i < m; i++) {
    const float *restrict f = factors + entry[i].column * k;
    double *restrict row = ne->panel + (size_t)i * k;
    if (i + PREFETCH_AHEAD < ahead) prefetch(&entry[i + PREFETCH_AHEAD], factors, k);
    for (size_t j = 0; j < k; j++) row[j] = f[j];
    ne->weight[i] = entry[i].value;
  }
}

void als_normal_add(als_normal *ne, const als_entry *entry, int64_t n, const float *factors) {
  size_t k = (size_t)ne->k;
  for (int64_t done = 0; done < n; done += ALS_PANEL_ROWS) {
    int m = (int)(n - done < ALS_PANEL_ROWS ? n - done : ALS_PANEL_ROWS);
    gather(ne, entry + done, m, n - done, factors);
    cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, ne->k, m, 1, ne->panel, ne->k, 1, ne->gram,
                ne->k);
    for (int i = 0; i < m; i++) {
      double r = ne->weight[i], *restrict rhs = ne->rhs;
      const double *restrict row = ne->panel + (size_t)i * k;
      for (size_t j = 0; j < k; j++) rhs[j] += r * row[j];
      ne->squares += r * r;
    }
  }
  ne->n += n;
}

int als_normal_solve(als_normal *ne, double ridge, double *x_out) {
  const int one = 1;
  size_t k = (size_t)ne->k;
  int info;
  for (size_t j = 0; j < k; j++) ne->gram[j * k + j] += ridge;
  /* a row-major upper triangle is a column-major lower one */
  dpotrf_("L", &ne->k, ne->gram, &ne->k, &info, 1);
  if (info != 0) return info;
  memcpy(x_out, ne->rhs, k * sizeof *x_out);
  dpotrs_("L", &ne->k, &one, ne->gram, &ne->k, x_out, &ne->k, &info, 1);
  return info;
}
