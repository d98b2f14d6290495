/* Block coordinate descent: the unknowns in blocks, each block solved exactly with the others fixed, one
 * sweep from where the row is (iALS++: Rendle, Krichene, Zhang, Koren 2021). A block of B costs n B + B^3 / 3
 * per row and unknown block, so a sweep costs n k (1 + B) instead of n k^2. The predictions of the row's
 * ratings are kept up to date, so that no step looks at all k unknowns. */
#include "mllib/normal.h"
#include "rdd/memory.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

extern void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info,
                    size_t uplo_length);
extern void dpotrs_(const char *uplo, const int *n, const int *nrhs, const double *a,
                    const int *lda, double *b, const int *ldb, int *info, size_t uplo_length);

enum { PANEL_ROWS = 64 };

typedef struct sweep {
  int block;
  double *s;     /* [system->longest] predictions of the row's ratings */
  double *panel; /* [PANEL_ROWS][width] */
  double *h;     /* [block][block] */
  double *down;  /* [block] minus the gradient; then the step */
  double *pull;  /* [PANEL_ROWS] */
  double *gx;    /* [width] w G x */
} sweep;

static void close_sweep(void *scratch) {
  sweep *w = scratch;
  if (!w) return;
  rdd_free(w->s);
  rdd_free(w->panel);
  rdd_free(w->h);
  rdd_free(w->down);
  rdd_free(w->pull);
  rdd_free(w->gx);
  rdd_free(w);
}

static rdd_status open_sweep(const als_system *system, void **scratch_out, rdd_err *err) {
  size_t width = (size_t)system->width;
  sweep *w = rdd_calloc(1, sizeof *w);
  if (!w) return rdd_set(err, RDD_ENOMEM, "out of memory for a solver");
  w->block = system->block < system->width ? system->block : system->width;
  size_t b = (size_t)w->block;
  w->s = rdd_alloc((size_t)system->longest, sizeof *w->s);
  w->panel = rdd_alloc(PANEL_ROWS * width, sizeof *w->panel);
  w->h = rdd_alloc(b * b, sizeof *w->h);
  w->down = rdd_alloc(b, sizeof *w->down);
  w->pull = rdd_alloc(PANEL_ROWS, sizeof *w->pull);
  w->gx = rdd_alloc(width, sizeof *w->gx);
  if (!w->s || !w->panel || !w->h || !w->down || !w->pull || !w->gx) {
    close_sweep(w);
    return rdd_set(err, RDD_ENOMEM, "out of memory for a subspace solver of %zu unknowns", width);
  }
  *scratch_out = w;
  return RDD_OK;
}

/* Gather columns [from, from + n) of the factors of m entries into panel[m][n]. */
static void gather(const sweep *w, const als_system *s, const als_entry *entry, int m, int from,
                   int n) {
  int in_factors = from + n <= s->k ? n : s->k - from;
  for (int e = 0; e < m; e++) {
    const float *restrict f = s->factors + entry[e].column * (size_t)s->k + from;
    double *restrict out = w->panel + (size_t)e * (size_t)n;
    for (int j = 0; j < in_factors; j++) out[j] = f[j];
    if (in_factors < n) out[n - 1] = 1;
  }
}

static int panel_rows(const als_row *row, int64_t done) {
  int64_t left = row->n - done;
  return (int)(left < PANEL_ROWS ? left : PANEL_ROWS);
}

/* Predictions, and w G x. */
static void start_row(sweep *w, const als_system *s, const als_row *row) {
  int width = s->width;
  for (int64_t done = 0; done < row->n; done += PANEL_ROWS) {
    int m = panel_rows(row, done);
    gather(w, s, row->entry + done, m, 0, width);
    cblas_dgemv(CblasRowMajor, CblasNoTrans, m, width, 1, w->panel, width, row->x, 1, 0,
                w->s + done, 1);
  }
  if (s->gram)
    cblas_dgemv(CblasRowMajor, CblasNoTrans, width, width, 1, s->gram, width, row->x, 1, 0, w->gx,
                1);
  else
    memset(w->gx, 0, (size_t)width * sizeof *w->gx);
}

/* The block's Hessian and minus its gradient, at x. Adds the block's part of x'b. */
static void build_block(sweep *w, const als_system *s, als_row *row, int from, int n) {
  const double *x = row->x + from;
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < n; j++) {
      size_t at = (size_t)(from + i) * (size_t)s->width + (size_t)(from + j);
      w->h[i * n + j] = (s->gram ? s->gram[at] : 0) + (i == j ? row->ridge : 0);
    }
    w->down[i] = -w->gx[from + i] - row->ridge * x[i];
  }
  for (int64_t done = 0; done < row->n; done += PANEL_ROWS) {
    int m = panel_rows(row, done);
    gather(w, s, row->entry + done, m, from, n);
    for (int e = 0; e < m; e++) {
      als_term term = als_system_term(s, row->entry + done + e);
      double *restrict f = w->panel + (size_t)e * (size_t)n,
                       pull = term.t - term.c * w->s[done + e];
      for (int j = 0; j < n; j++) w->down[j] += pull * f[j];
      if (term.c == 1) continue;
      double root = sqrt(term.c);
      for (int j = 0; j < n; j++) f[j] *= root;
    }
    cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, n, m, 1, w->panel, n, 1, w->h, n);
  }
}

/* Take the step `down`: x, the predictions and w G x follow. */
static void take_step(sweep *w, const als_system *s, als_row *row, int from, int n) {
  for (int j = 0; j < n; j++) row->x[from + j] += w->down[j];
  for (int64_t done = 0; done < row->n; done += PANEL_ROWS) {
    int m = panel_rows(row, done);
    gather(w, s, row->entry + done, m, from, n);
    cblas_dgemv(CblasRowMajor, CblasNoTrans, m, n, 1, w->panel, n, w->down, 1, 1, w->s + done, 1);
  }
  if (s->gram)
    cblas_dgemv(CblasRowMajor, CblasTrans, n, s->width, 1,
                s->gram + (size_t)from * (size_t)s->width, s->width, w->down, 1, 1, w->gx, 1);
}

static void solve_row(sweep *w, const als_system *s, als_row *row) {
  const int one = 1;
  int info;
  start_row(w, s, row);
  for (int from = 0; from < s->width; from += w->block) {
    int n = s->width - from < w->block ? s->width - from : w->block;
    build_block(w, s, row, from, n);
    dpotrf_("L", &n, w->h, &n, &info, 1);
    row->singular = info != 0;
    if (row->singular) return;
    dpotrs_("L", &n, &one, w->h, &n, w->down, &n, &info, 1);
    take_step(w, s, row, from, n);
  }
  double norm = cblas_ddot(s->width, row->x, 1, row->x, 1);
  row->x_a_x = row->ridge * norm + cblas_ddot(s->width, row->x, 1, w->gx, 1);
  row->p = row->x_b = 0;
  for (int64_t e = 0; e < row->n; e++) {
    als_term term = als_system_term(s, row->entry + e);
    row->p += term.p;
    row->x_b += term.t * w->s[e];
    row->x_a_x += term.c * w->s[e] * w->s[e];
  }
}

static void solve_sweep(void *scratch, const als_system *system, als_row *rows, int n) {
  for (als_row *row = rows; row < rows + n; row++) solve_row(scratch, system, row);
}

const als_solver_kind als_subspace = {open_sweep, solve_sweep, close_sweep};
