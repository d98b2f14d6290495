/* Writing rows: a columnar sink for CSV and HDF5, chosen by the ending of the name. Rank 0 only,
 * whole or not there (see output.h). */
#ifndef JOB_TABLE_FILE_H
#define JOB_TABLE_FILE_H

#include "rdd/batch.h"

typedef struct job_table_file job_table_file;

typedef struct job_table_spec {
  const char *group;       /* HDF5 group: "/ratings" */
  const char *kind;        /* file attribute "kind": "ratings", "predictions", "recommendations" */
  const char *description; /* of the group */
  const char *const *column_description; /* [columns] of the datasets */
  int id_columns; /* so many first columns are ids, whose distinct values are counted */
  int threads;    /* that compress an HDF5 file, at most; 0: one */
} job_table_spec;

/* Open `path` for rows of a schema; ".h5"/".hdf5" is HDF5, ".csv"/".tsv" text with a header line,
 * anything else fails with RDD_EUSAGE.
 * HDF5: one chunked, shuffled, deflated, checksummed dataset a column, growing. A utf8 column is
 * stored as int64 codes into a dictionary of its distinct strings, in order of first occurrence, in
 * the dataset "<column>_dictionary" of the same group. */
RDD_MUST_CHECK rdd_status job_table_file_open(job_table_file **out, const char *path,
                                              const rdd_schema *schema, const job_table_spec *spec,
                                              rdd_err *err);

RDD_MUST_CHECK rdd_status job_table_file_append(job_table_file *file, const rdd_batch *batch,
                                                rdd_err *err);

/* Rows so far. */
int64_t job_table_file_rows(const job_table_file *file);

/* Distinct values so far in one of the id columns. */
int64_t job_table_file_distinct(const job_table_file *file, int column);

/* Add an integer attribute to the HDF5 root (ignored for text): counts for `als info`. No rows are appended
 * after that. */
RDD_MUST_CHECK rdd_status job_table_file_attribute(job_table_file *file, const char *name,
                                                   int64_t value, rdd_err *err);

/* Finish, sync, rename; frees. */
RDD_MUST_CHECK rdd_status job_table_file_commit(job_table_file *file, rdd_err *err);

/* Remove what was written and free; NULL is accepted. */
void job_table_file_abandon(job_table_file *file);

#endif
