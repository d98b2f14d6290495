/* The initial factors that Apache Spark's ALS draws, so that a fit begun with them ends where Spark's does. */
#ifndef ALS_SPARK_INIT_H
#define ALS_SPARK_INIT_H

#include "mllib/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Spark 3.0 seeds its generator in another way than the releases before it. */
typedef enum als_spark { ALS_SPARK_2 = 2, ALS_SPARK_3 = 3 } als_spark;

enum { ALS_SPARK_MAX_BLOCKS = 1 << 20 };

/* Draw the initial factors of a side as Spark would.                      Collective.
 * Spark draws them block by block, so they depend on the number of blocks, too, and a row on all ids below
 * its own in its block; but not on the number of ranks.
 *   release  [in]  Spark's
 *   seed     [in]  Spark's parameter `seed`; the same for both sides, which get different factors from it
 *   blocks   [in]  Spark's numUserBlocks or numItemBlocks, 1 to ALS_SPARK_MAX_BLOCKS
 * Memory: buffers of at most 32 MiB, or of one row.
 * Fails with RDD_EUSAGE where an id is none of Spark's: text, or an integer that does not fit 32 bits (the
 * message names it); or where there are too few or too many blocks. */
RDD_MUST_CHECK rdd_status als_model_init_spark(als_model *model, rdd_comm *comm, int side,
                                               als_spark release, int64_t seed, int blocks,
                                               rdd_err *err);

#ifdef __cplusplus
}
#endif
#endif
