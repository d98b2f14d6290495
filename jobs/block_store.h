/* A store of blocks on disk: partitions that outlive the job, so that a rerun reads them and computes
 * only what is missing. One HDF5 file a block, see docs/formats.md. */
#ifndef JOB_BLOCK_STORE_H
#define JOB_BLOCK_STORE_H

#include "jobs/run.h"
#include "rdd/store.h"

/* Use a folder; made if missing. Every rank opens the same one.           Not collective.
 *   sweep  [in]  remove what killed writers left there; one rank does
 *   run    [in]  for faults on purpose, or NULL */
RDD_MUST_CHECK rdd_status job_block_store_open(rdd_store **out, const char *dir, bool sweep,
                                               job_run *run, rdd_err *err);

/* Remove all blocks in the folder, and the folder where it is then empty; one rank does. */
void job_block_store_remove(rdd_store *store);

void job_block_store_close(rdd_store *store); /* NULL is accepted */

#endif
