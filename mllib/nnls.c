/* Factors that are 0 or more: the minimum of x'A x / 2 - b'x over x >= 0, exactly.
 *
 * An active set method (Lawson and Hanson, Solving Least Squares Problems, 1974, chapter 23, on the normal
 * equations as Bro and de Jong, 1997). The unknowns that are free solve their own equations, the others are
 * 0. One whose pull b - A x is up is set free; on the way to the new solution the first that would go below
 * 0 is bound again. The objective falls with each solve, so no set comes twice. It begins with those that
 * are positive already: in ALS these hardly change from one iteration to the next.
 *
 * A may be singular, as it is with fewer ratings than factors and no ridge. The free unknowns' equations
 * never are: one that depends on those is not pulled, but for rounding, and stays bound. */
#include "mllib/nnls_impl.h"
#include "mllib/normal_impl.h"
#include "rdd/memory.h"

#include <cblas.h>
#include <float.h>
#include <math.h>
#include <string.h>

extern void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info,
                    size_t uplo_length);
extern void dpotrs_(const char *uplo, const int *n, const int *nrhs, const double *a,
                    const int *lda, double *b, const int *ldb, int *info, size_t uplo_length);

typedef struct nnls {
  als_normal ne; /* ne.a gets both triangles, and the ridge */
  double *part;  /* [width][width] the free unknowns' equations, factored */
  double *s;     /* [width] their solution, in the order of `free_at` */
  double *pull;  /* [width] b - A x */
  int *free_at;  /* [width] which unknowns are free, rising */
  int n_free;
  bool *is_free; /* [width] */
  bool *barred;  /* [width] set free once and bound in the same breath: rounding */
} nnls;

static void close_nnls(void *scratch) {
  nnls *q = scratch;
  if (!q) return;
  als_normal_reset(&q->ne);
  rdd_free(q->part);
  rdd_free(q->s);
  rdd_free(q->pull);
  rdd_free(q->free_at);
  rdd_free(q->is_free);
  rdd_free(q->barred);
  rdd_free(q);
}

static nnls *new_nnls(int width, rdd_err *err) {
  size_t w = (size_t)width;
  nnls *q = rdd_calloc(1, sizeof *q);
  rdd_status st = q ? als_normal_init(&q->ne, width, err)
                    : rdd_set(err, RDD_ENOMEM, "out of memory for a solver");
  if (st) goto done;
  q->part = rdd_alloc(w * w, sizeof *q->part);
  q->s = rdd_alloc(w, sizeof *q->s);
  q->pull = rdd_alloc(w, sizeof *q->pull);
  q->free_at = rdd_alloc(w, sizeof *q->free_at);
  q->is_free = rdd_alloc(w, sizeof *q->is_free);
  q->barred = rdd_alloc(w, sizeof *q->barred);
  if (!q->part || !q->s || !q->pull || !q->free_at || !q->is_free || !q->barred)
    st = rdd_set(err, RDD_ENOMEM, "out of memory for a nonnegative solver");
done:
  if (!st) return q;
  close_nnls(q);
  return NULL;
}

static rdd_status open_nnls(const als_system *system, void **scratch_out, rdd_err *err) {
  *scratch_out = new_nnls(system->width, err);
  return *scratch_out ? RDD_OK : RDD_ENOMEM;
}

/* Solve the equations of the free unknowns into s. False where they are singular, or as good as that: an
 * unknown of which the others leave less than rounding. */
static bool solve_free(nnls *q) {
  size_t w = (size_t)q->ne.w;
  const int one = 1;
  int info, n = 0;
  for (int j = 0; j < q->ne.width; j++)
    if (q->is_free[j]) q->free_at[n++] = j;
  q->n_free = n;
  if (n == 0) return true;
  for (int i = 0; i < n; i++) {
    const double *row = q->ne.a + (size_t)q->free_at[i] * w;
    for (int j = i; j < n; j++) q->part[(size_t)i * (size_t)n + (size_t)j] = row[q->free_at[j]];
    q->s[i] = q->ne.b[q->free_at[i]];
  }
  dpotrf_("L", &n, q->part, &n, &info, 1);
  if (info != 0) return false;
  for (int i = 0; i < n; i++) {
    size_t at = (size_t)q->free_at[i];
    double pivot = q->part[(size_t)i * (size_t)n + (size_t)i];
    if (!(pivot * pivot > 4 * n * DBL_EPSILON * q->ne.a[at * w + at])) return false;
  }
  dpotrs_("L", &n, &one, q->part, &n, q->s, &n, &info, 1);
  return info == 0;
}

/* From where x is to the solution of the free unknowns, binding those that come to 0 on the way. False
 * where rounding makes the equations of fewer unknowns singular; x is as far as it came, and is no worse. */
static bool walk(nnls *q, double *x) {
  for (;;) {
    double step = 1;
    int first = -1;
    for (int i = 0; i < q->n_free; i++) {
      int j = q->free_at[i];
      if (q->s[i] > 0) continue;
      double to_zero = x[j] > 0 ? x[j] / (x[j] - q->s[i]) : 0;
      if (first < 0 || to_zero < step) step = to_zero, first = j;
    }
    for (int i = 0; i < q->n_free; i++) {
      int j = q->free_at[i];
      x[j] = first < 0 ? q->s[i] : x[j] + step * (q->s[i] - x[j]);
      if (first >= 0 && (j == first || x[j] <= 0)) {
        q->is_free[j] = false;
        x[j] = 0;
      }
    }
    if (first < 0) return true;
    if (!solve_free(q)) return false;
  }
}

/* The bound unknown that is pulled up most, -1: none is, by more than rounding. */
static int most_pulled(nnls *q, const double *x) {
  int w = q->ne.width, best = -1;
  double sum = 0, diagonal = 0, pull = 0;
  memcpy(q->pull, q->ne.b, (size_t)w * sizeof *q->pull);
  cblas_dgemv(CblasRowMajor, CblasNoTrans, w, w, -1, q->ne.a, q->ne.w, x, 1, 1, q->pull, 1);
  for (int j = 0; j < w; j++) {
    sum += x[j];
    diagonal = fmax(diagonal, q->ne.a[(size_t)j * (size_t)(q->ne.w + 1)]);
    pull = fmax(pull, fabs(q->ne.b[j]));
  }
  double least = 4 * w * DBL_EPSILON * (pull + diagonal * sum); /* no entry exceeds the diagonal */
  for (int j = 0; j < w; j++)
    if (!q->is_free[j] && !q->barred[j] && q->pull[j] > least &&
        (best < 0 || q->pull[j] > q->pull[best]))
      best = j;
  return best;
}

/* Start from the positive unknowns, or from nothing where their equations are singular. */
static void start_from(nnls *q, double *x) {
  int w = q->ne.width;
  for (int j = 0; j < w; j++) {
    q->is_free[j] = x[j] > 0;
    x[j] = q->is_free[j] ? x[j] : 0;
  }
  if (solve_free(q) && walk(q, x)) return;
  memset(q->is_free, 0, (size_t)w * sizeof *q->is_free);
  memset(x, 0, (size_t)w * sizeof *x);
}

/* Set j free. False where that comes to nothing: it depends on those that are free, or is bound again at
 * once. */
static bool set_free(nnls *q, int j, double *x) {
  q->is_free[j] = true;
  if (!solve_free(q)) {
    q->is_free[j] = false;
    return false;
  }
  return walk(q, x) && q->is_free[j];
}

/* False where there is no minimum to look for: a diagonal that is negative or no number. */
static bool minimise(nnls *q, double *x) {
  int w = q->ne.width;
  for (int j = 0; j < w; j++)
    if (!(q->ne.a[(size_t)j * (size_t)(q->ne.w + 1)] >= 0) || !isfinite(q->ne.b[j])) return false;
  start_from(q, x);
  memset(q->barred, 0, (size_t)w * sizeof *q->barred);
  /* many more turns than any real problem takes; rounding could go round for ever */
  for (int turns = 100 + 10 * w, j; turns > 0 && (j = most_pulled(q, x)) >= 0; turns--) {
    if (set_free(q, j, x))
      memset(q->barred, 0, (size_t)w * sizeof *q->barred);
    else
      q->barred[j] = true;
  }
  return true;
}

/* Both triangles, and the ridge. */
static void complete(als_normal *ne, double ridge) {
  size_t w = (size_t)ne->w;
  for (size_t i = 0; i < (size_t)ne->width; i++) {
    ne->a[i * w + i] += ridge;
    for (size_t j = 0; j < i; j++) ne->a[i * w + j] = ne->a[j * w + i];
  }
}

rdd_status als_nnls_solve(const double *matrix, const double *b, int n, double ridge, double *x,
                          rdd_err *err) {
  nnls *q = new_nnls(n, err);
  if (!q) return RDD_ENOMEM;
  for (size_t i = 0; i < (size_t)n; i++)
    memcpy(q->ne.a + i * (size_t)q->ne.w, matrix + i * (size_t)n, (size_t)n * sizeof *matrix);
  memcpy(q->ne.b, b, (size_t)n * sizeof *b);
  complete(&q->ne, ridge);
  bool found = minimise(q, x);
  close_nnls(q);
  return found ? RDD_OK
               : rdd_set(err, RDD_ESINGULAR,
                         "the matrix of a nonnegative problem of %d unknowns "
                         "is not positive semidefinite",
                         n);
}

static void solve_nnls(void *scratch, const als_system *system, als_row *rows, int n) {
  nnls *q = scratch;
  for (als_row *row = rows; row < rows + n; row++) {
    als_normal_clear(&q->ne, system);
    als_normal_add(&q->ne, system, row->entry, row->n);
    complete(&q->ne, row->ridge);
    row->singular = !minimise(q, row->x);
    if (row->singular) continue;
    row->p = q->ne.p;
    row->x_b = cblas_ddot(system->width, row->x, 1, q->ne.b, 1);
    row->x_a_x = als_form(q->ne.a, q->ne.w, row->x, system->width);
  }
}

const als_solver_kind als_nnls = {open_nnls, solve_nnls, close_nnls};
