/* Standard input as a file, since the tasks of all ranks read an input in parallel. */
#ifndef JOB_SPOOL_H
#define JOB_SPOOL_H

#include "jobs/output.h"
#include "rdd/status.h"

/* Read standard input to its end into a temporary file. Rank 0, not collective.
 *   beside  [in]  the output that it stands beside, so that there is room for it
 *   out     [out] where it is, job_output_path(); to be abandoned, which removes it. A signal does so, too
 * Memory is one buffer. Fails with RDD_EIO. */
RDD_MUST_CHECK rdd_status job_spool(const char *beside, job_output **out, rdd_err *err);

/* Call the file what people call it: "standard input". Not collective.
 *   path  [in]  of the file */
void job_spool_name(rdd_err *err, const char *path);

#endif
