/* Fixed blocks of rows: who owns what, and sums with one order.
 *
 * The rows of a side are cut into blocks whose boundaries depend on the number of rows alone. Ranks
 * own runs of whole blocks. A floating-point sum over rows is made inside each block in row order,
 * then over blocks in block order, so that its bits do not depend on the number of ranks or
 * threads. */
#ifndef ALS_BLOCKS_H
#define ALS_BLOCKS_H

#include "rdd/comm.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct als_blocks {
  int64_t rows;       /* of the whole side */
  int64_t block_rows; /* of each block but the last: a power of two, 1 to 4096 */
  int64_t blocks;
  int size;       /* ranks */
  int64_t *owner; /* [size + 1] rank r owns blocks [owner[r], owner[r + 1]) */
} als_blocks;

/* Cut `rows` rows into blocks and deal them out by cost.                  Not collective.
 *   nnz   [in]  [number of blocks] ratings in each block, over all ranks; NULL: all rows cost alike
 *   k     [in]  factors; a block costs nnz * k * (k + 1) + rows * k^3 / 3 flops */
RDD_MUST_CHECK rdd_status als_blocks_init(als_blocks *blocks, int64_t rows, const int64_t *nnz,
                                          int k, int ranks, rdd_err *err);
void als_blocks_reset(als_blocks *blocks);

/* Rows of a block for a side of so many rows, and how many blocks that makes. */
int64_t als_block_rows(int64_t rows);
int64_t als_block_count(int64_t rows);

/* First row of rank r; als_blocks_row(b, r + 1) is its end. r in 0..size. */
int64_t als_blocks_row(const als_blocks *blocks, int r);

/* Rank that owns a row. */
int als_blocks_rank(const als_blocks *blocks, int64_t row);

/* Sum over all blocks, in block order.                                    Collective.
 *   partial  [in]  [own blocks][n] this rank's sums, one for each of its blocks
 *   n        [in]  values per block
 *   sum_out  [out] [n] the same bits on every rank */
RDD_MUST_CHECK rdd_status als_blocks_sum(const als_blocks *blocks, rdd_comm *comm,
                                         const double *partial, int n, double *sum_out,
                                         rdd_err *err);

#ifdef __cplusplus
}
#endif
#endif
