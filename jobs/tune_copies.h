/* A copy of all partitions on every rank, for ranks that go on by themselves. */
#ifndef JOB_TUNE_COPIES_H
#define JOB_TUNE_COPIES_H

#include "rdd/comm.h"
#include "rdd/rdd.h"

/* Those of this rank stay where they are and are pointed to. They are numbered anew, from 0.   Collective.
 *   parts  [in]      borrowed as long as `out` lives
 *   out    [in,out]  zeroed; free it with job_copies_reset(), after a failure too
 * Fails with RDD_ENOMEM, and as rdd_part_open() does. */
RDD_MUST_CHECK rdd_status job_copies_make(rdd_comm *comm, const rdd_parts *parts, rdd_parts *out,
                                          rdd_err *err);

/* Free the copies, not what is pointed to; zeroed is accepted.                     Not collective. */
void job_copies_reset(rdd_parts *copies);

#endif
