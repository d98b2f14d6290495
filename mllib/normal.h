/* Normal equations of one row: a panel of gathered factors, a Gram matrix, a solve.
 *
 * The factors of the row's columns are scattered over a big table. They are gathered, ALS_PANEL_ROWS at a
 * time, into a panel that stays in the L2 cache, and the matrix is updated by the panel as a whole, never
 * by rank 1. */
#ifndef ALS_NORMAL_H
#define ALS_NORMAL_H

#include "mllib/solver_impl.h"

typedef struct als_normal {
  int width;
  double *a;     /* [width][width] row-major; the upper triangle is kept */
  double *b;     /* [width] */
  double p;      /* sum of p, the part of the loss that does not depend on x */
  double *panel; /* [ALS_PANEL_ROWS][width] scratch */
} als_normal;

RDD_MUST_CHECK rdd_status als_normal_init(als_normal *ne, int width, rdd_err *err);
void als_normal_reset(als_normal *ne);

/* Begin a row: a is w G (or 0), b and p are 0. */
void als_normal_clear(als_normal *ne, const als_system *system);

/* Add n ratings. Panels are cut from the first entry of the call, so the bits of the sums are those of the
 * row only if the row is added at once. */
void als_normal_add(als_normal *ne, const als_system *system, const als_entry *entry, int64_t n);

/* Solve (a + ridge I) x = b by Cholesky; a is destroyed.
 * Returns 0, or i > 0 where the leading minor of order i is not positive definite. */
RDD_MUST_CHECK int als_normal_solve(als_normal *ne, double ridge, double *x_out);

#endif
