/* A store of blocks: computed partitions kept outside of memory, so that they outlive a task, a
 * rank or the job.
 *
 * A vtable, since this room does no file I/O; jobs/ has a maker that keeps HDF5 files. `put` and
 * `get` run inside tasks, which are forked children of the ranks, and several at a time: what `put`
 * keeps has to be seen by other processes, and a block may be put twice at once (both copies are
 * the same). */
#ifndef RDD_STORE_H
#define RDD_STORE_H

#include "rdd/batch.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a block is found by. Two blocks are the same if all four are. */
typedef struct rdd_block {
  const char *rdd;      /* its RDD's name: any text */
  uint64_t fingerprint; /* of all that decides what is in it: the caller's of rdd_persist() */
  int64_t partition, partitions;
} rdd_block;

typedef struct rdd_store rdd_store;

/* Makers embed this as their first member. Nothing of it is collective. */
struct rdd_store {
  /* Keep a copy of a partition; afterwards it is there whole, or not at all.
   * Fails with RDD_EIO, RDD_ENOMEM. */
  rdd_status (*put)(rdd_store *store, const rdd_block *block, const rdd_schema *schema,
                    const rdd_part *part, rdd_err *err);

  /* Bring it back, verified; close it with rdd_part_close().
   * Fails with RDD_ENOINPUT (it is not there) or RDD_EIO (it is damaged): either means that the
   * block is lost, and it is computed again. Any other failure ends the action. */
  rdd_status (*get)(rdd_store *store, const rdd_block *block, const rdd_schema *schema,
                    rdd_part *part_out, rdd_err *err);

  /* Is it there, as far as can be told without reading it? */
  bool (*has)(rdd_store *store, const rdd_block *block);

  /* Remove it; one that is not there is no failure. */
  void (*drop)(rdd_store *store, const rdd_block *block);
};

#ifdef __cplusplus
}
#endif
#endif
