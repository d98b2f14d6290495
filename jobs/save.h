/* Saving an RDD: its partitions come to rank 0 in order and go into a table file. */
#ifndef JOB_SAVE_H
#define JOB_SAVE_H

#include "jobs/input.h"
#include "jobs/job.h"
#include "jobs/table_file.h"

/* The ratings layout (docs/formats.md), for a schema of user, item, rating[, timestamp]. */
extern const job_table_spec job_ratings_spec;

/* Open a table that as many threads compress as rank 0 may use. Rank 0.
 * Fails as job_table_file_open() does. */
RDD_MUST_CHECK rdd_status job_save_open(const job *j, job_table_file **out, const char *path,
                                        const rdd_schema *schema, const job_table_spec *spec,
                                        rdd_err *err);

/* Called on rank 0 with all rows in the file, before it gets its name: what there is to tell, in the file and
 * of it. counters are of the tasks. */
typedef rdd_status (*job_save_fn)(void *arg, job_table_file *file, const rdd_counters *counters,
                                  rdd_err *err);

/* Compute r into a new file, which is there when this succeeds, and not if it fails.     Collective.
 *   what    [in] for the progress bar: "importing"
 *   input   [in] what r reads, for job_input_check(); NULL: nothing
 *   finish  [in] with arg
 * Fails as rdd_visit(), job_table_file_append(), job_input_check() and finish() do. */
RDD_MUST_CHECK rdd_status job_save(job *j, rdd *r, const char *what, const char *path,
                                   const job_table_spec *spec, const job_input *input,
                                   job_save_fn finish, void *arg, rdd_err *err);

/* Write the counts of a ratings file that `als info` tells: users, items. Rank 0. */
RDD_MUST_CHECK rdd_status job_save_counts(job_table_file *file, rdd_err *err);

/* Read the options that JOB_INPUT_OPTIONS adds.                           Not collective. */
job_input_opts job_input_options(const job *j, const job_args *args, bool pairs);

#endif
