/* Conjugate gradients, a few steps from where the row is: A is never formed. A step multiplies A by one
 * vector, panel by panel of gathered factors, which costs 2 n k + k^2 instead of n k^2 + k^3 / 3 for all.
 * (Takacs, Pilaszy, Tikk 2011.) */
#include "mllib/normal.h"
#include "rdd/memory.h"

#include <cblas.h>
#include <string.h>

enum {
  PANEL_ROWS = 64,
  KEPT_PANELS = 8
}; /* gathered once for all steps; those of a longer row are gathered each time */

static const double small_enough = 1e-20; /* |residual|^2, of |b|^2 */

typedef struct cg {
  double *panel; /* [KEPT_PANELS + 1][PANEL_ROWS][width]; the last is for what is not kept */
  double *c;     /* [KEPT_PANELS + 1][PANEL_ROWS] weights of their rows */
  double *along; /* [PANEL_ROWS] */
  double *b, *r, *p, *q; /* [width] */
} cg;

static void close_cg(void *scratch) {
  cg *g = scratch;
  if (!g) return;
  rdd_free(g->panel);
  rdd_free(g->c);
  rdd_free(g->b);
  rdd_free(g);
}

static rdd_status open_cg(const als_system *system, void **scratch_out, rdd_err *err) {
  size_t w = (size_t)system->width, rows = (KEPT_PANELS + 1) * PANEL_ROWS;
  cg *g = rdd_calloc(1, sizeof *g);
  if (!g) return rdd_set(err, RDD_ENOMEM, "out of memory for a solver");
  g->panel = rdd_alloc(rows * w, sizeof *g->panel);
  g->c = rdd_alloc(rows + PANEL_ROWS, sizeof *g->c);
  g->b = rdd_alloc(4 * w, sizeof *g->b);
  if (!g->panel || !g->c || !g->b) {
    close_cg(g);
    return rdd_set(err, RDD_ENOMEM, "out of memory for conjugate gradients of %zu unknowns", w);
  }
  g->along = g->c + rows;
  g->r = g->b + w;
  g->p = g->r + w;
  g->q = g->p + w;
  *scratch_out = g;
  return RDD_OK;
}

/* Where panel i goes; the last place is everybody's. */
static size_t place_of(int64_t i) {
  return i < KEPT_PANELS ? (size_t)i : KEPT_PANELS;
}

/* Gather panel i of a row; returns its rows. */
static int gather(cg *g, const als_system *s, const als_row *row, int64_t i) {
  size_t w = (size_t)s->width;
  int64_t left = row->n - i * PANEL_ROWS;
  int m = (int)(left < PANEL_ROWS ? left : PANEL_ROWS);
  const als_entry *entry = row->entry + i * PANEL_ROWS;
  double *panel = g->panel + place_of(i) * PANEL_ROWS * w;
  double *c = g->c + place_of(i) * PANEL_ROWS;
  for (int e = 0; e < m; e++) {
    if (e + 4 < left) als_prefetch(s, &entry[e + 4]);
    als_gather(s, &entry[e], panel + (size_t)e * w);
    c[e] = als_system_term(s, &entry[e]).c;
  }
  return m;
}

/* Gather all that is kept; b and the constant of the row. */
static void start_row(cg *g, const als_system *s, als_row *row) {
  size_t w = (size_t)s->width;
  memset(g->b, 0, w * sizeof *g->b);
  row->p = 0;
  for (int64_t i = 0; i * PANEL_ROWS < row->n; i++) {
    int m = gather(g, s, row, i);
    const double *panel = g->panel + place_of(i) * PANEL_ROWS * w;
    for (int e = 0; e < m; e++) {
      als_term term = als_system_term(s, row->entry + i * PANEL_ROWS + e);
      g->along[e] = term.t;
      row->p += term.p;
    }
    cblas_dgemv(CblasRowMajor, CblasTrans, m, s->width, 1, panel, s->width, g->along, 1, 1, g->b,
                1);
  }
}

/* out = A v */
static void multiply(cg *g, const als_system *s, const als_row *row, const double *v, double *out) {
  int w = s->width;
  for (int j = 0; j < w; j++) out[j] = row->ridge * v[j];
  if (s->gram) cblas_dgemv(CblasRowMajor, CblasNoTrans, w, w, 1, s->gram, w, v, 1, 1, out, 1);
  for (int64_t i = 0; i * PANEL_ROWS < row->n; i++) {
    int64_t left = row->n - i * PANEL_ROWS;
    int m = i < KEPT_PANELS ? (int)(left < PANEL_ROWS ? left : PANEL_ROWS)
                            : gather(g, s, row, i);
    const double *panel = g->panel + place_of(i) * PANEL_ROWS * (size_t)w;
    const double *c = g->c + place_of(i) * PANEL_ROWS;
    cblas_dgemv(CblasRowMajor, CblasNoTrans, m, w, 1, panel, w, v, 1, 0, g->along, 1);
    for (int e = 0; e < m; e++) g->along[e] *= c[e];
    cblas_dgemv(CblasRowMajor, CblasTrans, m, w, 1, panel, w, g->along, 1, 1, out, 1);
  }
}

static void solve_row(cg *g, const als_system *s, als_row *row) {
  int w = s->width;
  double *x = row->x;
  start_row(g, s, row);
  multiply(g, s, row, x, g->q);
  for (int j = 0; j < w; j++) g->p[j] = g->r[j] = g->b[j] - g->q[j];
  double rr = cblas_ddot(w, g->r, 1, g->r, 1), bb = cblas_ddot(w, g->b, 1, g->b, 1);
  for (int step = 0; step < s->cg_steps && rr > small_enough * bb; step++) {
    multiply(g, s, row, g->p, g->q);
    double curve = cblas_ddot(w, g->p, 1, g->q, 1), before = rr;
    if (!(curve > 0)) {
      row->singular = true;
      return;
    }
    cblas_daxpy(w, rr / curve, g->p, 1, x, 1);
    cblas_daxpy(w, -rr / curve, g->q, 1, g->r, 1);
    rr = cblas_ddot(w, g->r, 1, g->r, 1);
    for (int j = 0; j < w; j++) g->p[j] = g->r[j] + rr / before * g->p[j];
  }
  row->x_b = cblas_ddot(w, x, 1, g->b, 1);
  row->x_a_x = row->x_b - cblas_ddot(w, x, 1, g->r, 1); /* A x = b - r */
}

static void solve_cg(void *scratch, const als_system *system, als_row *rows, int n) {
  for (als_row *row = rows; row < rows + n; row++) {
    row->singular = false;
    solve_row(scratch, system, row);
  }
}

const als_solver_kind als_cg = {open_cg, solve_cg, close_cg};
