/* Block coordinate descent: the unknowns in blocks, each block solved exactly with the others fixed, one
 * sweep from where the row is (iALS++: Rendle, Krichene, Zhang, Koren 2021). A block of B costs n B + B^3 / 3
 * per row and unknown block, so a sweep costs n k (1 + B) instead of n k^2. The predictions of the row's
 * ratings are kept up to date, so that no step looks at all k unknowns. */
#include "mllib/kernels_impl.h"
#include "rdd/memory.h"

#include <math.h>
#include <string.h>

typedef struct sweep {
  const als_kernels *kernels;
  int block;     /* unknowns at a time */
  int w, wide;   /* lines of a block's panel, and of a whole one: block and all unknowns, padded */
  double *s;     /* [system->longest] predictions of the row's ratings */
  double *panel; /* [ALS_PANEL_ROWS][wide] */
  double *h;     /* [w][w] */
  double *down;  /* [w] minus the gradient; then the step */
  double *x;     /* [wide] */
  double *gx;    /* [wide] w G x */
  double *more;  /* [wide] scratch */
  void *scratch;
} sweep;

static void close_sweep(void *scratch) {
  sweep *q = scratch;
  if (!q) return;
  rdd_free(q->s);
  rdd_free(q->panel);
  rdd_free(q->h);
  rdd_free(q->down);
  rdd_free(q->x);
  rdd_free(q->gx);
  rdd_free(q->more);
  rdd_free(q->scratch);
  rdd_free(q);
}

static rdd_status open_sweep(const als_system *system, void **scratch_out, rdd_err *err) {
  sweep *q = rdd_calloc(1, sizeof *q);
  if (!q) return rdd_set(err, RDD_ENOMEM, "out of memory for a solver");
  q->kernels = als_kernels_get(ALS_DOUBLE);
  q->block = system->block < system->width ? system->block : system->width;
  q->w = als_kernels_width(ALS_DOUBLE, q->block);
  q->wide = als_kernels_width(ALS_DOUBLE, system->width);
  size_t w = (size_t)q->w, wide = (size_t)q->wide;
  q->s = rdd_alloc((size_t)system->longest, sizeof *q->s);
  q->panel = rdd_alloc(ALS_PANEL_ROWS * wide, sizeof *q->panel);
  q->h = rdd_alloc(w * w, sizeof *q->h);
  q->down = rdd_alloc(w, sizeof *q->down);
  q->x = rdd_calloc(wide, sizeof *q->x);
  q->gx = rdd_alloc(wide, sizeof *q->gx);
  q->more = rdd_alloc(wide, sizeof *q->more);
  q->scratch = rdd_alloc(als_kernels_scratch(q->kernels, q->w), 1);
  if (!q->s || !q->panel || !q->h || !q->down || !q->x || !q->gx || !q->more || !q->scratch) {
    close_sweep(q);
    return rdd_set(err, RDD_ENOMEM, "out of memory for a subspace solver of %d unknowns",
                   system->width);
  }
  *scratch_out = q;
  return RDD_OK;
}

/* Columns [from, from + n) of the factors of m entries, to lines of w. */
static void gather(const sweep *q, const als_system *s, const als_entry *entry, int m, int from,
                   int n, int w) {
  int in_factors = from + n <= s->k ? n : s->k - from;
  for (int e = 0; e < m; e++) {
    const float *restrict f = s->factors + entry[e].column * (size_t)s->k + from;
    double *restrict out = q->panel + (size_t)e * (size_t)w;
    for (int j = 0; j < in_factors; j++) out[j] = f[j];
    for (int j = in_factors; j < w; j++) out[j] = j < n; /* the bias's 1 and padding */
  }
}

static int panel_rows(const als_row *row, int64_t done) {
  int64_t left = row->n - done;
  return (int)(left < ALS_PANEL_ROWS ? left : ALS_PANEL_ROWS);
}

/* Add G's lines from `from` on, each times its weight. */
static void add_gram(const sweep *q, const als_system *s, int from, int n, const double *weight) {
  q->kernels->combine(s->gram + (size_t)from * (size_t)q->wide, n, q->wide, weight, q->more);
  q->kernels->axpy(1, q->more, q->gx, q->wide);
}

/* Predictions, and w G x. */
static void start_row(sweep *q, const als_system *s, const als_row *row) {
  memcpy(q->x, row->x, (size_t)s->width * sizeof *q->x);
  for (int64_t done = 0; done < row->n; done += ALS_PANEL_ROWS) {
    int m = panel_rows(row, done);
    gather(q, s, row->entry + done, m, 0, s->width, q->wide);
    for (int e = 0; e < m; e++)
      q->s[done + e] = q->kernels->dot(q->panel + (size_t)e * (size_t)q->wide, q->x, q->wide);
  }
  memset(q->gx, 0, (size_t)q->wide * sizeof *q->gx);
  if (s->gram) add_gram(q, s, 0, s->width, q->x);
}

/* The block's Hessian and minus its gradient, at x. */
static void build_block(sweep *q, const als_system *s, als_row *row, int from, int n) {
  size_t w = (size_t)q->w, wide = (size_t)q->wide;
  memset(q->h, 0, w * w * sizeof *q->h);
  memset(q->down, 0, w * sizeof *q->down);
  for (size_t i = 0, at = (size_t)from; s->gram && i < (size_t)n; i++)
    memcpy(q->h + i * w, s->gram + (at + i) * wide + at, (size_t)n * sizeof *q->h);
  for (int i = 0; i < n; i++) q->down[i] = -q->gx[from + i] - row->ridge * q->x[from + i];
  for (int64_t done = 0; done < row->n; done += ALS_PANEL_ROWS) {
    int m = panel_rows(row, done);
    gather(q, s, row->entry + done, m, from, n, q->w);
    for (int e = 0; e < m; e++) {
      als_term term = als_system_term(s, row->entry + done + e);
      double *f = q->panel + (size_t)e * w;
      q->kernels->axpy(term.t - term.c * q->s[done + e], f, q->down, q->w);
      if (term.c != 1) q->kernels->scale(sqrt(term.c), f, f, q->w);
    }
    q->kernels->update(q->panel, m, q->w, q->h, NULL);
  }
  q->kernels->add_ridge(q->h, q->w, n, row->ridge);
}

/* Take the step `down`: x, the predictions and w G x follow. */
static void take_step(sweep *q, const als_system *s, als_row *row, int from, int n) {
  for (int j = 0; j < n; j++) q->x[from + j] += q->down[j];
  for (int64_t done = 0; done < row->n; done += ALS_PANEL_ROWS) {
    int m = panel_rows(row, done);
    gather(q, s, row->entry + done, m, from, n, q->w);
    for (int e = 0; e < m; e++)
      q->s[done + e] += q->kernels->dot(q->panel + (size_t)e * (size_t)q->w, q->down, q->w);
  }
  if (s->gram) add_gram(q, s, from, n, q->down);
}

static void solve_row(sweep *q, const als_system *s, als_row *row) {
  int info;
  start_row(q, s, row);
  for (int from = 0; from < s->width; from += q->block) {
    int n = s->width - from < q->block ? s->width - from : q->block;
    void *h = q->h, *down = q->down;
    build_block(q, s, row, from, n);
    q->kernels->solve(1, &h, &down, q->w, q->scratch, &info);
    row->singular = info != 0;
    if (row->singular) return;
    take_step(q, s, row, from, n);
  }
  memcpy(row->x, q->x, (size_t)s->width * sizeof *q->x);
  row->x_a_x = row->ridge * als_dot(q->x, q->x, s->width) + als_dot(q->x, q->gx, s->width);
  row->p = row->x_b = 0;
  for (int64_t e = 0; e < row->n; e++) {
    als_term term = als_system_term(s, row->entry + e);
    row->p += term.p;
    row->x_b += term.t * q->s[e];
    row->x_a_x += term.c * q->s[e] * q->s[e];
  }
}

static void solve_sweep(void *scratch, const als_system *system, als_row *rows, int n) {
  for (als_row *row = rows; row < rows + n; row++) solve_row(scratch, system, row);
}

const als_solver_kind als_subspace = {open_sweep, solve_sweep, close_sweep};
