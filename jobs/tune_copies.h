/* A copy of all partitions on every rank, for ranks that go on by themselves. */
#ifndef JOB_TUNE_COPIES_H
#define JOB_TUNE_COPIES_H

#include "rdd/comm.h"
#include "rdd/rdd.h"

/* Those of this rank stay where they are and are pointed to.                          Collective.
 *   out  [in,out] zeroed; free it with job_copies_reset(), while `parts` are still there
 * Fails with RDD_ENOMEM; `out` then has some of them. */
RDD_MUST_CHECK rdd_status job_copies_make(rdd_comm *comm, const rdd_parts *parts, rdd_parts *out,
                                          rdd_err *err);
void job_copies_reset(rdd_parts *copies);

#endif
