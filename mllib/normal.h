/* Normal equations of one row: a panel of gathered factors, a Gram matrix, a solve. */
#ifndef ALS_NORMAL_H
#define ALS_NORMAL_H

#include "mllib/ratings.h"
#include "rdd/status.h"

enum { ALS_PANEL_ROWS = 64 };

typedef struct als_normal {
  int k;
  int64_t n;      /* ratings added */
  double *gram;   /* [k][k] upper triangle, row-major: sum of f f' */
  double *rhs;    /* [k] sum of r f */
  double squares; /* sum of r^2 */
  double *panel;  /* [ALS_PANEL_ROWS][k] scratch */
  double *weight; /* [ALS_PANEL_ROWS] scratch: the ratings of the panel */
} als_normal;

RDD_MUST_CHECK rdd_status als_normal_init(als_normal *ne, int k, rdd_err *err);
void als_normal_reset(als_normal *ne);

/* Zero the sums. */
void als_normal_clear(als_normal *ne);

/* Add n ratings: gather the factors of their columns into the panel, update the Gram matrix by rank
 * ALS_PANEL_ROWS at a time (never by rank 1) and the right-hand side. Panels are cut from the first
 * entry of the call, so the bits of the sums are those of the row only if the row is added at once. */
void als_normal_add(als_normal *ne, const als_entry *entry, int64_t n, const float *factors);

/* Solve (gram + ridge I) x = rhs by Cholesky; x_out in double, gram is destroyed.
 * Returns 0, or i > 0 where the leading minor of order i is not positive definite. */
RDD_MUST_CHECK int als_normal_solve(als_normal *ne, double ridge, double *x_out);

#endif
