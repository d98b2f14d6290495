/* Lists of the best for many rows: computed by all ranks, written by rank 0 while they come.
 *
 * Rows go in rounds of a bounded size. In a round each rank computes a run of rows, and rank 0 writes the
 * runs in the order of the rows. So memory does not grow with the number of rows. */
#ifndef JOB_LISTS_H
#define JOB_LISTS_H

#include "jobs/id_list.h"
#include "jobs/job.h"
#include "jobs/table_file.h"
#include "mllib/topn.h"

typedef struct job_lists {
  job *j;
  als_topn_query query;
  const job_id_list *rows;    /* whom lists are for; NULL: all rows of the side */
  const als_side *seen;       /* ratings by these rows that are left out, or NULL */
  const char *path;           /* NULL: a table for people */
  const job_table_spec *spec; /* of the file */
  const char *column[2];      /* names of the columns of ids: whom the list is for, what is in it */
  const char *title;          /* before each list for people: "user" */

  /* what it came to, on rank 0 */
  int64_t lists, entries; /* lists that are not empty, and rows of the table */
  double seconds;         /* from the first row to the last one written */
} job_lists;

/* Compute and write the lists.                                            Collective.
 * Fails with RDD_ENOMEM, and as job_table_file_open() and its siblings do. */
RDD_MUST_CHECK rdd_status job_lists_write(job_lists *lists, rdd_comm *comm, rdd_err *err);

#endif
