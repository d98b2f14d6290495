/* What rows have seen, brought to the rank that serves them. */
#ifndef ALS_SEEN_H
#define ALS_SEEN_H

#include "mllib/ratings.h"
#include "rdd/comm.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Row number i, of those that are asked for together, has seen column[start[i]], ...,
 * column[start[i + 1] - 1]: ascending, perhaps more than once. */
typedef struct als_seen {
  int64_t *start;   /* [rows + 1] */
  uint32_t *column; /* dense indices */
} als_seen;

/* Fetch the columns of rows from the ranks that own them.                 Collective.
 *   side    [in]  ratings by these rows; each rank has those that it owns
 *   row     [in]  [begin[size]] ascending dense indices, the same on all ranks
 *   begin   [in]  [size + 1] rank r gets the columns of row[begin[r]], ..., row[begin[r + 1] - 1]
 *   out     [out] reset with als_seen_reset()
 * Memory: the columns that come and go. Fails with RDD_ENOMEM. */
RDD_MUST_CHECK rdd_status als_seen_fetch(rdd_comm *comm, const als_side *side, const int64_t *row,
                                         const int64_t *begin, als_seen *out, rdd_err *err);

void als_seen_reset(als_seen *seen);

#ifdef __cplusplus
}
#endif
#endif
