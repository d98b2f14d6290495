/* Private to mllib: the Gram matrix of a whole side, the same bits on any number of ranks. */
#ifndef ALS_GRAM_IMPL_H
#define ALS_GRAM_IMPL_H

#include "rdd/comm.h"

/* gram_out = w times the sum over rows of f f', both triangles.           Collective.
 *   factors   [in]  [rows][k], whole on every rank
 *   gram_out  [out] [w][w], w = als_kernels_width(k); what is beyond k is 0
 * Fails with RDD_ENOMEM. */
RDD_MUST_CHECK rdd_status als_gram(rdd_comm *comm, const float *factors, int64_t rows, int k,
                                   double w, double *gram_out, rdd_err *err);

#endif
