/* The exact solver: normal equations and a Cholesky factorisation.
 *
 * Rows are built one by one and solved in groups, side by side (kernels_impl.h). A row with fewer ratings
 * than unknowns has a smaller problem that is just as exact, the dual, of one unknown for each rating:
 *
 *   x = F' z      (F F' + ridge I) z = t        F: the row's factors, a line for each of its c ratings
 *
 * which takes c^2 k + c^3 / 3 flops instead of c k^2 + k^3 / 3. It wants weights of 1 and no Gram matrix,
 * which explicit ratings have, and a ridge. A group of these is of one padded size, so a batch is gone through
 * once for each size.
 *
 * A row with very many ratings is built in parts, each of them a task that an idle thread may take. How many
 * depends on the row alone, and they are added up in their order. */
#include "mllib/kernels_impl.h"
#include "rdd/memory.h"

#include <string.h>

/* Flops of solving cost SOLVE_COST times those of updating, and an element that is transposed as much as
 * TURN_COST of these (make bench-kernels). */
enum { SOLVE_COST = 3, TURN_COST = 48 };

enum { GROUP_BYTES = 3 << 18, PART_RATINGS = 8192, MOST_PARTS = 64, PARTS_BYTES = 1 << 24 };

typedef struct cholesky {
  const als_kernels *kernels;
  int w;     /* unknowns, padded */
  int dual;  /* most ratings of a row that is solved by the dual, padded; 0: none is */
  int group; /* systems that are solved together */
  int n;     /* in the group */
  als_row *row[ALS_GROUP];
  als_fetch fetch;
  char *a;          /* [group][w][w] reals */
  char *b;          /* [group][w] reals; right-hand sides, then solutions */
  double *kept;     /* [ALS_GROUP][w] right-hand sides */
  char *panel;      /* [ALS_PANEL_ROWS][w] reals */
  char *turned;     /* [w][dual] reals */
  char *small;      /* a group of dual systems, see dual_size(); or NULL */
  char *right;      /* [w] reals */
  const char *gram; /* [w][w] reals, or NULL */
  char *single;     /* that, where it is not the system's own; or NULL */
  char *part;       /* [most_parts] of a long row, see part_size(); or NULL */
  int most_parts;
  void *scratch;
} cholesky;

static void close_cholesky(void *scratch) {
  cholesky *q = scratch;
  if (!q) return;
  rdd_free(q->a);
  rdd_free(q->b);
  rdd_free(q->kept);
  rdd_free(q->panel);
  rdd_free(q->turned);
  rdd_free(q->small);
  rdd_free(q->right);
  rdd_free(q->single);
  rdd_free(q->part);
  rdd_free(q->scratch);
  rdd_free(q);
}

/* How many systems of so many reals are solved together: as many as stay in the L2 cache. */
static int group_of(const cholesky *q, size_t reals) {
  size_t n = GROUP_BYTES / (reals * q->kernels->size), most = (size_t)q->kernels->lanes;
  return n < 1 ? 1 : (int)(n < most ? n : most);
}

/* Reals of a dual system of p unknowns: the row's factors, a matrix and a right-hand side. */
static size_t dual_size(const cholesky *q, int p) {
  return (size_t)p * ((size_t)q->w + (size_t)p + 1);
}

/* Unknowns of the dual of n ratings, padded: few sizes, so that groups are full. */
static int dual_width(int64_t n) {
  return (int)(n + ALS_LANES - 1) / ALS_LANES * ALS_LANES;
}

static bool dual_is_cheaper(int w, int64_t n) {
  double k = w, p = dual_width(n);
  return k * p * p + SOLVE_COST * p * p * p / 3 + TURN_COST * k * p <
         (double)n * k * k + SOLVE_COST * k * k * k / 3;
}

static void plan(cholesky *q, const als_system *s) {
  q->kernels = als_kernels_get(s->precision);
  q->w = als_kernels_width(s->precision, s->width);
  q->group = group_of(q, (size_t)q->w * (size_t)q->w);
  if (s->loss.mode != ALS_EXPLICIT || s->gram) return;
  for (int n = ALS_LANES; n <= ALS_DUAL_ROWS && n < q->w; n += ALS_LANES)
    if (dual_is_cheaper(q->w, n)) q->dual = n;
}

/* Reals of a part: a matrix, a right-hand side and a panel. */
static size_t part_size(const cholesky *q) {
  return (size_t)q->w * ((size_t)q->w + 1 + ALS_PANEL_ROWS);
}

/* How many parts a row of n ratings is built in. */
static int parts_of(const cholesky *q, int64_t n) {
  int64_t fit = PARTS_BYTES / (int64_t)(part_size(q) * q->kernels->size), parts = n / PART_RATINGS;
  if (parts > fit) parts = fit;
  return (int)(parts > MOST_PARTS ? MOST_PARTS : parts);
}

static rdd_status open_cholesky(const als_system *s, void **scratch_out, rdd_err *err) {
  cholesky *q = rdd_calloc(1, sizeof *q);
  if (!q) return rdd_set(err, RDD_ENOMEM, "out of memory for a solver");
  plan(q, s);
  q->fetch.system = s;
  size_t w = (size_t)q->w, group = (size_t)q->group, size = q->kernels->size;
  size_t dual = dual_size(q, q->dual) * size;
  q->a = rdd_alloc(group * w * w, size);
  q->b = rdd_alloc(group * w, size);
  q->kept = rdd_alloc(ALS_GROUP * w, sizeof *q->kept);
  q->panel = rdd_calloc(ALS_PANEL_ROWS * w, size); /* padding stays 0 */
  q->scratch = rdd_alloc(als_kernels_scratch(q->kernels, q->w), 1);
  q->turned = rdd_alloc(w * (size_t)q->dual, size);
  if (q->dual) q->small = rdd_calloc(dual > GROUP_BYTES ? dual : GROUP_BYTES, 1);
  q->right = rdd_alloc(w, size);
  if (s->gram && s->precision == ALS_SINGLE) q->single = rdd_alloc(w * w, size);
  q->most_parts = parts_of(q, s->longest);
  if (q->most_parts > 1) q->part = rdd_calloc((size_t)q->most_parts * part_size(q), size);
  if (!q->a || !q->b || !q->kept || !q->panel || !q->turned || (q->dual && !q->small) ||
      !q->right || !q->scratch || (s->gram && s->precision == ALS_SINGLE && !q->single) ||
      (q->most_parts > 1 && !q->part)) {
    close_cholesky(q);
    return rdd_set(err, RDD_ENOMEM, "out of memory for normal equations of %d unknowns", s->width);
  }
  q->gram = q->single ? q->single : (const char *)s->gram;
  if (q->single) als_kernels_copy(q->kernels, s->gram, s->width, q->single);
  *scratch_out = q;
  return RDD_OK;
}

/* Add n ratings to a and b. */
static void add_ratings(const cholesky *q, const als_system *s, const als_entry *entry, int64_t n,
                        int64_t ahead, als_fetch *fetch, char *panel, char *a, char *b, double *p) {
  for (int64_t done = 0, m; done < n; done += m) {
    m = n - done < ALS_PANEL_ROWS ? n - done : ALS_PANEL_ROWS;
    q->kernels->gather(s, entry + done, (int)m, panel, q->w, b, p);
    als_fetch_next(fetch, entry + done + m, n - done - m + ahead, ALS_PANEL_ROWS);
    q->kernels->update(panel, (int)m, q->w, a, fetch);
  }
}

static void add_in_parts(const cholesky *q, const als_system *s, const als_row *row, int parts,
                         char *a, char *b, double *p) {
  size_t w = (size_t)q->w, size = q->kernels->size, stride = part_size(q) * size;
  double p_of[MOST_PARTS] = {0};
  for (int i = 0; i < parts; i++) {
    char *part = q->part + (size_t)i * stride;
    int64_t first = row->n / parts * i, end = i + 1 < parts ? first + row->n / parts : row->n;
#pragma omp task firstprivate(i, part, first, end) shared(p_of)
    {
      char *part_b = part + w * w * size;
      als_fetch fetch = {.system = s, .at = row->entry + first};
      memset(part, 0, (w * w + w) * size);
      add_ratings(q, s, row->entry + first, end - first, 0, &fetch, part_b + w * size, part, part_b,
                  &p_of[i]);
    }
  }
#pragma omp taskwait
  for (int i = 0; i < parts; i++) {
    const char *part = q->part + (size_t)i * stride;
    q->kernels->axpy(1, part, a, (int)(w * w));
    q->kernels->axpy(1, part + w * w * size, b, (int)w);
    *p += p_of[i];
  }
}

/* The system of a row, at place i of the group. */
static void build(cholesky *q, const als_system *s, als_row *row, int i) {
  size_t w = (size_t)q->w, size = q->kernels->size;
  char *a = q->a + (size_t)i * w * w * size, *b = q->b + (size_t)i * w * size;
  int parts = parts_of(q, row->n);
  if (q->gram)
    memcpy(a, q->gram, w * w * size);
  else
    memset(a, 0, w * w * size);
  memset(b, 0, w * size);
  row->p = 0;
  if (parts > 1)
    add_in_parts(q, s, row, parts, a, b, &row->p);
  else
    add_ratings(q, s, row->entry, row->n, row->ahead, &q->fetch, q->panel, a, b, &row->p);
  q->kernels->add_ridge(a, q->w, s->width, row->ridge);
  q->kernels->to_double(b, q->kept + (size_t)i * w, s->width);
}

/* x of a row, and what follows from it: A x = b, so that x'A x is x'b. */
static void finish(const cholesky *q, const als_system *s, als_row *row, const char *x,
                   const double *b) {
  q->kernels->to_double(x, row->x, s->width);
  row->x_b = row->x_a_x = als_dot(row->x, b, s->width);
}

static void solve_group(cholesky *q, const als_system *s) {
  size_t w = (size_t)q->w, size = q->kernels->size;
  void *a[ALS_GROUP], *b[ALS_GROUP];
  int info[ALS_GROUP];
  if (q->n == 0) return;
  for (int i = 0; i < q->n; i++) {
    a[i] = q->a + (size_t)i * w * w * size;
    b[i] = q->b + (size_t)i * w * size;
  }
  q->kernels->solve(q->n, a, b, q->w, q->scratch, info);
  for (int i = 0; i < q->n; i++) {
    q->row[i]->singular = info[i] != 0;
    if (!info[i]) finish(q, s, q->row[i], b[i], q->kept + (size_t)i * w);
  }
  q->n = 0;
}

/* ---- The dual ---- */

static bool is_dual(const cholesky *q, const als_row *row) {
  return row->n <= q->dual && row->ridge > 0 && dual_is_cheaper(q->w, row->n);
}

/* Where the parts of dual system i of a group are: the row's factors [p][w], the matrix [p][p], t [p]. */
static void find_dual(const cholesky *q, int p, int i, void **panel, void **a, void **z) {
  size_t size = q->kernels->size, lines = (size_t)p;
  char *at = q->small + (size_t)i * dual_size(q, p) * size;
  *panel = at;
  *a = at + lines * (size_t)q->w * size;
  *z = at + lines * ((size_t)q->w + lines) * size;
}

static void build_dual(cholesky *q, const als_system *s, als_row *row, int p, int i) {
  const als_kernels *kernels = q->kernels;
  int m = (int)row->n;
  double t[ALS_DUAL_ROWS];
  void *panel, *a, *z;
  find_dual(q, p, i, &panel, &a, &z);
  memset(q->right, 0, (size_t)q->w * kernels->size);
  row->p = 0;
  kernels->gather(s, row->entry, m, panel, q->w, q->right, &row->p);
  kernels->to_double(q->right, q->kept + (size_t)i * (size_t)q->w, s->width);
  kernels->transpose(panel, m, q->w, q->turned, p);
  memset(a, 0, (size_t)p * ((size_t)p + 1) * kernels->size); /* and z */
  als_fetch_next(&q->fetch, row->entry + m, row->ahead, ALS_PANEL_ROWS);
  kernels->update(q->turned, s->width, p, a, &q->fetch);
  kernels->add_ridge(a, p, m, row->ridge);
  for (int e = 0; e < m; e++) t[e] = als_system_term(s, &row->entry[e]).t;
  kernels->from_double(t, z, m);
}

static void solve_duals(cholesky *q, const als_system *s, int p) {
  void *panel[ALS_GROUP], *a[ALS_GROUP], *z[ALS_GROUP];
  int info[ALS_GROUP];
  if (q->n == 0) return;
  for (int i = 0; i < q->n; i++) find_dual(q, p, i, &panel[i], &a[i], &z[i]);
  q->kernels->solve(q->n, a, z, p, q->scratch, info);
  for (int i = 0; i < q->n; i++) {
    als_row *row = q->row[i];
    row->singular = info[i] != 0;
    if (info[i]) continue;
    q->kernels->combine(panel[i], (int)row->n, q->w, z[i], q->right);
    finish(q, s, row, q->right, q->kept + (size_t)i * (size_t)q->w);
  }
  q->n = 0;
}

static void solve_cholesky(void *scratch, const als_system *system, als_row *rows, int n) {
  cholesky *q = scratch;
  for (als_row *row = rows; row < rows + n; row++) {
    if (is_dual(q, row)) continue;
    build(q, system, row, q->n);
    q->row[q->n++] = row;
    if (q->n == q->group) solve_group(q, system);
  }
  solve_group(q, system);
  for (int p = ALS_LANES; p <= q->dual; p += ALS_LANES) {
    int group = group_of(q, dual_size(q, p));
    for (als_row *row = rows; row < rows + n; row++) {
      if (dual_width(row->n) != p || !is_dual(q, row)) continue;
      build_dual(q, system, row, p, q->n);
      q->row[q->n++] = row;
      if (q->n == group) solve_duals(q, system, p);
    }
    solve_duals(q, system, p);
  }
}

const als_solver_kind als_cholesky = {open_cholesky, solve_cholesky, close_cholesky};
