/* Private to mllib and its tests: one nonnegative problem by itself. */
#ifndef ALS_NNLS_IMPL_H
#define ALS_NNLS_IMPL_H

#include "rdd/status.h"

/* The minimum of x'(A + ridge I) x / 2 - b'x over x >= 0.                 Not collective.
 *   matrix  [in]  [n][n] A, symmetric, both triangles, positive semidefinite
 *   b       [in]  [n] in the range of A, as that of normal equations is: else there is no minimum
 *   ridge   [in]  >= 0
 *   x       [in,out] [n] where to start, any numbers; the solution
 * Where several x are minimal, one of them. Fails with RDD_ENOMEM, and with RDD_ESINGULAR where A has a
 * negative or no number on its diagonal. */
RDD_MUST_CHECK rdd_status als_nnls_solve(const double *matrix, const double *b, int n, double ridge,
                                         double *x, rdd_err *err);

#endif
