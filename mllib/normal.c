/* Normal equations of one row. See normal.h. */
#include "mllib/normal.h"

#include "rdd/memory.h"

#include <cblas.h>
#include <string.h>

/* LAPACK by its Fortran names; Debian's OpenBLAS has no C interface to it. */
extern void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info,
                    size_t uplo_length);
extern void dpotrs_(const char *uplo, const int *n, const int *nrhs, const double *a,
                    const int *lda, double *b, const int *ldb, int *info, size_t uplo_length);

rdd_status als_normal_init(als_normal *ne, int width, rdd_err *err) {
  size_t w = (size_t)width;
  als_normal made = {.width = width};
  made.a = rdd_calloc(w * w, sizeof(double));
  made.b = rdd_calloc(w, sizeof(double));
  made.panel = rdd_alloc(ALS_PANEL_ROWS * w, sizeof(double));
  if (!made.a || !made.b || !made.panel) {
    als_normal_reset(&made);
    return rdd_set(err, RDD_ENOMEM, "out of memory for normal equations of %d unknowns", width);
  }
  *ne = made;
  return RDD_OK;
}

void als_normal_reset(als_normal *ne) {
  rdd_free(ne->a);
  rdd_free(ne->b);
  rdd_free(ne->panel);
  *ne = (als_normal){0};
}

void als_normal_clear(als_normal *ne, const als_system *system) {
  size_t w = (size_t)ne->width;
  if (system->gram)
    memcpy(ne->a, system->gram, w * w * sizeof(double));
  else
    memset(ne->a, 0, w * w * sizeof(double));
  memset(ne->b, 0, w * sizeof(double));
  ne->p = 0;
}

/* Fill m rows of the panel, each times the root of its weight, and add to b. */
static void gather(als_normal *ne, const als_system *s, const als_entry *entry, int m,
                   int64_t ahead) {
  int w = ne->width;
  double *restrict b = ne->b;
  for (int i = 0; i < m; i++) {
    double *restrict row = ne->panel + (size_t)i * (size_t)w;
    als_term term = als_system_term(s, &entry[i]);
    if (i + ALS_PREFETCH_AHEAD < ahead) als_prefetch(s, &entry[i + ALS_PREFETCH_AHEAD]);
    als_gather(s, &entry[i], row);
    for (int j = 0; j < w; j++) b[j] += term.t * row[j];
    ne->p += term.p;
    if (term.c == 1) continue;
    double root = sqrt(term.c);
    for (int j = 0; j < w; j++) row[j] *= root;
  }
}

void als_normal_add(als_normal *ne, const als_system *system, const als_entry *entry, int64_t n) {
  for (int64_t done = 0; done < n; done += ALS_PANEL_ROWS) {
    int m = (int)(n - done < ALS_PANEL_ROWS ? n - done : ALS_PANEL_ROWS);
    gather(ne, system, entry + done, m, n - done);
    cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, ne->width, m, 1, ne->panel, ne->width, 1,
                ne->a, ne->width);
  }
}

int als_normal_solve(als_normal *ne, double ridge, double *x_out) {
  const int one = 1, w = ne->width;
  int info;
  for (int j = 0; j < w; j++) ne->a[(size_t)j * (size_t)w + (size_t)j] += ridge;
  /* a row-major upper triangle is a column-major lower one */
  dpotrf_("L", &w, ne->a, &w, &info, 1);
  if (info != 0) return info;
  memcpy(x_out, ne->b, (size_t)w * sizeof *x_out);
  dpotrs_("L", &w, &one, ne->a, &w, x_out, &w, &info, 1);
  return info;
}
