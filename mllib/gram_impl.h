/* Private to mllib: the Gram matrix of a whole side, the same bits on any number of ranks. */
#ifndef ALS_GRAM_IMPL_H
#define ALS_GRAM_IMPL_H

#include "mllib/blocks.h"
#include "rdd/comm.h"

/* gram_out = w times the sum over rows of f f', both triangles.           Collective.
 *   factors   [in]  [rows][k]
 *   owners    [in]  NULL: the table is whole on every rank; else a rank reads those of als_gram_rows()
 *   gram_out  [out] [w][w], w = als_kernels_width(ALS_DOUBLE, k); what is beyond k is 0
 * Fails with RDD_ENOMEM. */
RDD_MUST_CHECK rdd_status als_gram(rdd_comm *comm, const float *factors, int64_t rows, int k,
                                   double w, const als_blocks *owners, double *gram_out,
                                   rdd_err *err);

/* The rows [*first, *end) that a rank reads for it: mostly its own. Not collective. */
void als_gram_rows(const als_blocks *owners, int k, int rank, int64_t *first, int64_t *end);

#endif
