/* Conjugate gradients, a few steps from where the row is: A is never formed (Takacs, Pilaszy, Tikk 2011).
 *
 * A step multiplies A = w G + sum c f f' + ridge I by one vector. A row's own factors are gathered once, as
 * floats, into a panel that is kept for all steps; a pass over it makes both products, f'v and c (f'v) f, while
 * a few lines are in the L1 cache. The first pass, over x, follows the gathering line by line. G is the same for
 * all rows: so as many rows as their panels leave room for in the L2 cache go through the steps together, and G
 * is read once for all of them. */
#include "mllib/kernels_impl.h"
#include "rdd/memory.h"

#include <stdbool.h>
#include <string.h>

enum {
  KEPT_BYTES = 1 << 23,  /* of the panel */
  GROUP_BYTES = 1 << 19, /* of it for several rows together */
  FETCH_BYTES = 1 << 16, /* asked for ahead, at most */
  PANEL_BYTES = 1 << 13, /* gathered at once, to be passed over while they are in the L1 cache */
  MOST_ROWS = 8
};

static const double small_enough = 1e-20; /* |residual|^2, of |b|^2 */
/* |residual|^2, where b is 0 or about: what comes next are rounded zeros. */
static const double vanished = 1e-30;

/* One row on its way. */
typedef struct course {
  als_row *row;
  int64_t at, kept; /* its lines in the panel; longer rows gather the others in each pass */
  char *x, *b, *r, *p, *q;
  double rr;
  bool done;
} course;

typedef struct cg {
  const als_kernels *kernels;
  int w;            /* unknowns, padded */
  int most;         /* rows at once */
  int64_t room;     /* lines of the panel */
  int64_t together; /* lines of several rows */
  int64_t ahead;    /* lines to fetch */
  int64_t lines;    /* to gather at once, at most ALS_PANEL_ROWS */
  float *panel;     /* [room + ALS_PANEL_ROWS][w]; the last ones are for lines that are not kept */
  int64_t clean;    /* lines whose padding is 0; memory is taken as rows need it */
  char *c;          /* [room + ALS_PANEL_ROWS] reals: weights of the lines */
  const char *gram; /* [w][w] reals, or NULL */
  char *single;     /* that, where it is not the system's own; or NULL */
  char *state;      /* [5][MOST_ROWS][w] reals: x, b, r, p, q of each row */
  double *wide;     /* [2][w] scratch */
  course course[MOST_ROWS];
  int n; /* rows at work */
  als_fetch fetch;
} cg;

static void close_cg(void *scratch) {
  cg *g = scratch;
  if (!g) return;
  rdd_free(g->panel);
  rdd_free(g->c);
  rdd_free(g->single);
  rdd_free(g->state);
  rdd_free(g->wide);
  rdd_free(g);
}

static void place_states(cg *g) {
  size_t bytes = (size_t)g->w * g->kernels->size;
  for (size_t i = 0; i < MOST_ROWS; i++) {
    course *c = &g->course[i];
    char **state[5] = {&c->x, &c->b, &c->r, &c->p, &c->q};
    for (size_t s = 0; s < 5; s++) *state[s] = g->state + (s * MOST_ROWS + i) * bytes;
  }
}

static rdd_status open_cg(const als_system *s, void **scratch_out, rdd_err *err) {
  cg *g = rdd_calloc(1, sizeof *g);
  if (!g) return rdd_set(err, RDD_ENOMEM, "out of memory for a solver");
  g->kernels = als_kernels_get(s->precision);
  g->w = als_kernels_width(s->precision, s->width);
  g->most = s->gram ? MOST_ROWS : 1;
  int64_t line = g->w * (int64_t)sizeof *g->panel;
  g->room = KEPT_BYTES / line;
  g->together = GROUP_BYTES / line;
  g->ahead = FETCH_BYTES / line;
  g->lines = PANEL_BYTES / line;
  if (g->lines < 4) g->lines = 4;
  if (g->lines > ALS_PANEL_ROWS) g->lines = ALS_PANEL_ROWS;
  g->fetch.system = s;
  size_t w = (size_t)g->w, size = g->kernels->size, lines = (size_t)g->room + ALS_PANEL_ROWS;
  g->panel = rdd_alloc(lines * w, sizeof *g->panel);
  g->c = rdd_alloc(lines, size);
  g->state = rdd_calloc(5 * MOST_ROWS * w, size);
  g->wide = rdd_calloc(2 * w, sizeof *g->wide);
  if (s->gram && s->precision == ALS_SINGLE) g->single = rdd_alloc(w * w, size);
  if (!g->panel || !g->c || !g->state || !g->wide ||
      (s->gram && s->precision == ALS_SINGLE && !g->single)) {
    close_cg(g);
    return rdd_set(err, RDD_ENOMEM, "out of memory for conjugate gradients of %d unknowns",
                   s->width);
  }
  rdd_memory_huge(g->panel, lines * w * sizeof *g->panel);
  g->gram = g->single ? g->single : (const char *)s->gram;
  if (g->single) als_kernels_copy(g->kernels, s->gram, s->width, g->single);
  place_states(g);
  *scratch_out = g;
  return RDD_OK;
}

/* How many lines to gather now, of so many. */
static int panel_lines(const cg *g, int64_t left) {
  return (int)(left < g->lines ? left : g->lines);
}

/* Where lines that begin at `first` of a row are in the panel. */
static int64_t place_of(const cg *g, const course *c, int64_t first) {
  return first < c->kept ? c->at + first : g->room;
}

/* Gather m lines of a row. */
static void gather(cg *g, const als_system *s, const course *c, int64_t first, int m, void *b,
                   double *p) {
  int64_t at = place_of(g, c, first);
  if (g->clean < at + m) {
    memset(g->panel + g->clean * g->w, 0, (size_t)((at + m - g->clean) * g->w) * sizeof *g->panel);
    g->clean = at + m;
  }
  g->kernels->gather_floats(s, c->row->entry + first, m, g->panel + at * g->w, g->w,
                            g->c + (size_t)at * g->kernels->size, b, p);
}

/* q += sum of c (f'v) f over m lines that are in the panel. */
static void pass(cg *g, const course *c, int64_t first, int64_t m, const char *v) {
  int64_t at = place_of(g, c, first);
  g->kernels->pass(g->panel + at * g->w, (int)m, g->w, g->c + (size_t)at * g->kernels->size, v,
                   c->q, &g->fetch);
}

/* b, and q += sum of c (f'x) f, line by line as they are gathered. */
static void start_row(cg *g, const als_system *s, course *c) {
  als_row *row = c->row;
  memset(c->b, 0, (size_t)g->w * g->kernels->size);
  row->p = 0;
  row->singular = false;
  for (int64_t i = 0, m; i < row->n; i += m) {
    m = panel_lines(g, (i < c->kept ? c->kept : row->n) - i);
    als_fetch_next(&g->fetch, row->entry + i + m, row->n - i - m + row->ahead, ALS_PANEL_ROWS);
    gather(g, s, c, i, (int)m, c->b, &row->p);
    pass(g, c, i, m, c->x);
  }
}

/* q += sum of c (f'p) f over the row's ratings. */
static void pass_row(cg *g, const als_system *s, course *c) {
  pass(g, c, 0, c->kept, c->p);
  for (int64_t i = c->kept, m; i < c->row->n; i += m) {
    double p = 0;
    m = panel_lines(g, c->row->n - i);
    gather(g, s, c, i, (int)m, g->wide, &p); /* b is made already */
    pass(g, c, i, m, c->p);
  }
}

/* q = A x of all rows, and what A stands for is gathered. */
static void multiply_x(cg *g, const als_system *s) {
  for (course *c = g->course; c < g->course + g->n; c++) {
    g->kernels->from_double(c->row->x, c->x, s->width);
    g->kernels->scale(c->row->ridge, c->x, c->q, g->w);
  }
  if (g->gram) g->kernels->multiply(g->course->x, g->gram, g->w, g->course->q);
  for (int i = 0; i < g->n; i++) start_row(g, s, &g->course[i]);
}

/* q = A p of all rows that are not done. */
static void multiply_p(cg *g, const als_system *s) {
  for (course *c = g->course; c < g->course + g->n; c++)
    g->kernels->scale(c->row->ridge, c->p, c->q, g->w);
  if (g->gram) g->kernels->multiply(g->course->p, g->gram, g->w, g->course->q);
  for (int i = 0; i < g->n; i++)
    if (!g->course[i].done) pass_row(g, s, &g->course[i]);
}

/* r = p = b - A x. */
static void begin(cg *g, course *c) {
  size_t bytes = (size_t)g->w * g->kernels->size;
  memcpy(c->r, c->b, bytes);
  g->kernels->axpy(-1, c->q, c->r, g->w);
  memcpy(c->p, c->r, bytes);
  c->rr = g->kernels->dot(c->r, c->r, g->w);
}

static void step(cg *g, course *c) {
  const als_kernels *kernels = g->kernels;
  double curve = kernels->dot(c->p, c->q, g->w), before = c->rr;
  if (!(curve > 0)) {
    c->row->singular = !(before <= vanished);
    c->done = true;
    return;
  }
  kernels->axpy(before / curve, c->p, c->x, g->w);
  kernels->axpy(-before / curve, c->q, c->r, g->w);
  c->rr = kernels->dot(c->r, c->r, g->w);
  kernels->xpay(c->r, c->rr / before, c->p, g->w);
}

/* A x = b - r. */
static void finish(cg *g, const als_system *s, course *c) {
  double *b = g->wide, *r = b + g->w;
  g->kernels->to_double(c->x, c->row->x, s->width);
  g->kernels->to_double(c->b, b, s->width);
  g->kernels->to_double(c->r, r, s->width);
  c->row->x_b = als_dot(c->row->x, b, s->width);
  c->row->x_a_x = c->row->x_b - als_dot(c->row->x, r, s->width);
}

static void solve_group(cg *g, const als_system *s) {
  int left = g->n;
  multiply_x(g, s);
  als_row *last = g->course[g->n - 1].row;
  als_fetch_next(&g->fetch, last->entry + last->n, last->ahead, g->ahead);
  for (int i = 0; i < g->n; i++) begin(g, &g->course[i]);
  for (int made = 0; made < s->cg_steps && left > 0; made++) {
    for (int i = 0; i < g->n; i++) {
      course *c = &g->course[i];
      if (!c->done) c->done = !(c->rr > small_enough * g->kernels->dot(c->b, c->b, g->w));
    }
    multiply_p(g, s);
    left = 0;
    for (int i = 0; i < g->n; i++) {
      if (!g->course[i].done) step(g, &g->course[i]);
      left += !g->course[i].done;
    }
  }
  for (int i = 0; i < g->n; i++) finish(g, s, &g->course[i]);
  g->n = 0;
}

static void solve_cg(void *scratch, const als_system *s, als_row *rows, int n) {
  cg *g = scratch;
  int64_t used = 0;
  for (als_row *row = rows; row < rows + n; row++) {
    if (g->n == g->most || (g->n > 0 && used + row->n > g->together)) {
      solve_group(g, s);
      used = 0;
    }
    course *c = &g->course[g->n++];
    c->row = row;
    c->at = used;
    c->kept = row->n < g->room ? row->n : g->room;
    c->done = false;
    used += c->kept;
  }
  if (g->n > 0) solve_group(g, s);
}

const als_solver_kind als_cg = {open_cg, solve_cg, close_cg};
