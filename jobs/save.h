/* Saving an RDD: its partitions come to rank 0 in order and go into a table file. */
#ifndef JOB_SAVE_H
#define JOB_SAVE_H

#include "jobs/input.h"
#include "jobs/job.h"
#include "jobs/table_file.h"

/* The ratings layout (docs/formats.md), for a schema of user, item, rating[, timestamp]. */
extern const job_table_spec job_ratings_spec;

/* Compute r and append its rows to a new file, not yet committed.         Collective.
 *   what      [in]  for the progress bar: "importing"
 *   file_out  [out] on rank 0; NULL elsewhere. Commit or abandon it.
 *   counters  [out] of the tasks, or NULL
 * Fails as rdd_visit() and job_table_file_append() do. */
RDD_MUST_CHECK rdd_status job_save(job *j, rdd *r, const char *what, const char *path,
                                   const job_table_spec *spec, job_table_file **file_out,
                                   rdd_counters *counters, rdd_err *err);

/* Commit on rank 0, with the same status on every rank.                   Collective. */
RDD_MUST_CHECK rdd_status job_save_commit(job *j, job_table_file *file, rdd_err *err);

/* Write the counts of a ratings file that `als info` tells: users, items. Rank 0. */
RDD_MUST_CHECK rdd_status job_save_counts(job_table_file *file, rdd_err *err);

/* Read the options that JOB_INPUT_OPTIONS adds.                           Not collective. */
job_input_opts job_input_options(const job *j, const job_args *args, bool pairs);

#endif
