/* Ratings in the gang: compressed sparse rows of one side, each rank with the rows it owns.
 *
 * Every rating is stored twice, once with its user and once with its item, 8 bytes each. The
 * ratings of a row are in ascending order of (column, value bits): a pure function of the multiset
 * of ratings, whatever order, partitions or ranks they came from. Duplicates are kept: each is an
 * observation. */
#ifndef ALS_RATINGS_H
#define ALS_RATINGS_H

#include "mllib/blocks.h"
#include "mllib/ids.h"
#include "rdd/comm.h"
#include "rdd/rdd.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { ALS_USERS = 0, ALS_ITEMS = 1 };

typedef struct als_entry {
  uint32_t column; /* dense index on the other side */
  float value;
} als_entry;

typedef struct als_side {
  als_blocks blocks; /* of the rows */
  int64_t first;     /* first own row */
  int64_t rows;      /* own rows */
  int64_t *start;    /* [rows + 1] offsets into entry */
  als_entry *entry;  /* [start[rows]] */
} als_side;

/* Route ratings from partitions to the owners of their rows.              Collective.
 *   parts    [in,out] this rank's partitions: columns user, item, rating; dropped as they are read
 *   by       [in]  ALS_USERS or ALS_ITEMS: which column makes the rows
 *   ids      [in]  the ids of both sides; ratings of unknown ids are left out
 *   blocks   [in]  who owns the rows; NULL: deal them out here by cost for k factors
 *   side_out [out] reset with als_side_reset()
 *   cold_out [out] ratings left out, over all ranks
 * What travels are columns, in rounds of at most `round` ratings of a rank (0: a default); a rank
 * takes about two rounds at a time, wherever the ratings belong. Memory is that of the partitions, which
 * become dense columns (12 bytes a rating) one by one and then the side (8 bytes), block by block: at
 * most the larger of (partitions + one partition's columns) and (columns + side), and a few rounds. */
RDD_MUST_CHECK rdd_status als_side_build(rdd_comm *comm, rdd_parts *parts, int by,
                                         const als_ids *const ids[2], const als_blocks *blocks,
                                         int k, int64_t round, als_side *side_out,
                                         int64_t *cold_out, rdd_err *err);

/* The same ratings seen from the other side.                              Collective. */
RDD_MUST_CHECK rdd_status als_side_transpose(rdd_comm *comm, const als_side *side,
                                             int64_t other_rows, int k, int64_t round,
                                             als_side *other_out, rdd_err *err);

void als_side_reset(als_side *side);

/* Ratings over all ranks. Collective. */
int64_t als_side_count(const als_side *side, rdd_comm *comm);

#ifdef __cplusplus
}
#endif
#endif
