/* Private to mllib: the solvers of a half-step's rows.
 *
 * Each row is one system A x = b of `width` unknowns, in double:
 *
 *   A = w G + sum c f f' + ridge I      b = sum t f      G = sum over all columns of f f'
 *
 * with c, t, w of loss.h. width is k, or k + 1 where biases are fitted in the iterations: then f has a 1
 * after its k factors, t is what is left of the rating after the mean and the column's bias, and the last
 * unknown is the row's bias. A solver gets the rows in batches, cut at fixed places, and may share work
 * among the rows of one; the bits of a row depend on its batch alone. */
#ifndef ALS_SOLVER_IMPL_H
#define ALS_SOLVER_IMPL_H

#include "mllib/als.h"
#include "mllib/loss.h"
#include "mllib/ratings.h"
#include "rdd/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ALS_BATCH_ROWS = 64 };

/* What all rows of a half-step share. Borrowed. */
typedef struct als_system {
  int k, width;
  als_loss loss;
  const float *factors; /* [columns][k] of the other side */
  const double *gram; /* [w][w] w G, both triangles, w = als_kernels_width(ALS_DOUBLE, width), padded by
                            0; NULL where it is 0 */
  const float *bias;  /* [columns] biases of the other side, taken off the ratings; or NULL */
  double mean;        /* taken off, too, where there are biases; else 0 */
  als_precision precision;
  int64_t longest; /* ratings of this rank's longest row */
  int cg_steps;    /* of CG */
  int block;       /* unknowns that the subspace solver takes at a time */
} als_system;

typedef struct als_row {
  const als_entry *entry; /* [n] its ratings; n >= 1 */
  int64_t n;
  int64_t ahead; /* ratings that follow in memory, of rows that come soon */
  double ridge;
  double *x; /* [width] in: where iterative solvers start; out: the solution */
  /* out, for the loss of the row: data = p - 2 x_b + x_a_x - ridge |x|^2 */
  double p;      /* sum of p */
  double x_b;    /* x'b */
  double x_a_x;  /* x'A x */
  bool singular; /* A is not positive definite, as far as the solver noticed; x means nothing */
} als_row;

typedef struct als_solver_kind {
  /* Scratch of one thread. Fails with RDD_ENOMEM. */
  rdd_status (*open)(const als_system *system, void **scratch_out, rdd_err *err);
  void (*solve)(void *scratch, const als_system *system, als_row *rows, int n);
  void (*close)(void *scratch); /* NULL is accepted */
} als_solver_kind;

extern const als_solver_kind als_cholesky; /* exact: n k^2 + k^3 / 3 */
extern const als_solver_kind als_nnls;     /* exact, all unknowns >= 0 */
extern const als_solver_kind als_cg;       /* conjugate gradients: cg_steps (2 n k + k^2) */
extern const als_solver_kind
    als_subspace; /* block coordinate descent, one sweep: n k (1 + block) */

/* The ridge of a row of `side`, with n ratings and so many columns. False where its b is 0 for sure: no
 * rating pulls it. */
bool als_row_ridge(const als_params *params, int side, int64_t columns, const als_entry *entry,
                   int64_t n, double *ridge_out);

/* The sum of eight strands. */
static inline double als_strands(const double s[8]) {
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

/* x'y, in eight strands, so that no addition waits for the one before. */
static inline double als_dot(const double *x, const double *y, int n) {
  double s[8] = {0};
  int j = 0;
  for (; j + 8 <= n; j += 8)
    for (int l = 0; l < 8; l++) s[l] += x[j + l] * y[j + l];
  for (; j < n; j++) s[j % 8] += x[j] * y[j];
  return als_strands(s);
}

/* x'y of floats, summed in double. In model.c. */
double als_dot_floats(const float *x, const float *y, int k);

/* x' matrix x for a symmetric matrix[n][stride], both triangles. */
double als_form(const double *matrix, int stride, const double *x, int n);

/* t of an entry, with mean and bias taken off. (Biases are for explicit ratings only.) */
static inline als_term als_system_term(const als_system *s, const als_entry *e) {
  double r = e->value;
  if (s->bias) r -= s->mean + s->bias[e->column];
  return als_term_of(&s->loss, r);
}

/* Start fetching the factors of an entry that comes soon. */
static inline void als_prefetch(const als_system *s, const als_entry *e) {
  const char *f = (const char *)(s->factors + e->column * (size_t)s->k);
  for (size_t at = 0; at < (size_t)s->k * sizeof(float); at += 64) __builtin_prefetch(f + at);
}

/* Copy the factors of entry e, widened, to row[width]. */
static inline void als_gather(const als_system *s, const als_entry *e, double *row) {
  const float *f = s->factors + e->column * (size_t)s->k;
  for (int j = 0; j < s->k; j++) row[j] = f[j];
  if (s->width > s->k) row[s->k] = 1;
}

#endif
