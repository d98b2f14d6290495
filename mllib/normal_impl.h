/* Normal equations of one row in double precision: a panel of gathered factors, a matrix, a solve.
 *
 * The factors of the row's columns are scattered over a big table. They are gathered, ALS_PANEL_ROWS at a
 * time, into a panel that stays in cache, and the matrix is updated by the panel as a whole, never by rank 1.
 * (cholesky.c does the same for many rows at once, in either precision.) */
#ifndef ALS_NORMAL_IMPL_H
#define ALS_NORMAL_IMPL_H

#include "mllib/kernels_impl.h"

typedef struct als_normal {
  const als_kernels *kernels;
  int width, w; /* unknowns; from one line of a to the next */
  double
      *a; /* [w][w] row-major; of the first `width` lines and columns the upper triangle is kept */
  double *b;     /* [w] */
  double p;      /* sum of p, the part of the loss that does not depend on x */
  double *panel; /* [ALS_PANEL_ROWS][w] scratch */
  void *scratch;
} als_normal;

RDD_MUST_CHECK rdd_status als_normal_init(als_normal *ne, int width, rdd_err *err);
void als_normal_reset(als_normal *ne);

/* Begin a row: a is w G (or 0), b and p are 0. */
void als_normal_clear(als_normal *ne, const als_system *system);

/* Add n ratings. Panels are cut from the first entry of the call, so the bits of the sums are those of the
 * row only if the row is added at once. */
void als_normal_add(als_normal *ne, const als_system *system, const als_entry *entry, int64_t n);

/* Solve (a + ridge I) x = b by Cholesky; a and b are destroyed.
 * Returns 0, or i > 0 where the leading minor of order i is not positive definite. */
RDD_MUST_CHECK int als_normal_solve(als_normal *ne, double ridge, double *x_out);

#endif
