/* A thin layer over HDF5: errors become rdd_err, every dataset gets its description, a file its
 * format_version. Not collective; HDF5's own error printing is off. */
#ifndef JOB_H5_H
#define JOB_H5_H

#include "rdd/status.h"

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>

enum { JOB_FORMAT_VERSION = 1 };

/* Create a file with the root attributes format_version, kind, and creator ("gangplank 0.1.0"). */
RDD_MUST_CHECK rdd_status job_h5_create(hid_t *file_out, const char *path, const char *kind,
                                        rdd_err *err);

/* Open to read. Fails with RDD_ENOINPUT (missing, unreadable), RDD_EDATA (not HDF5, no or another
 * format_version). kind_out, if not NULL, gets the kind. */
RDD_MUST_CHECK rdd_status job_h5_open(hid_t *file_out, const char *path, char kind_out[32],
                                      rdd_err *err);

/* Flush and close; what a full disk says at last is said here. */
RDD_MUST_CHECK rdd_status job_h5_close(hid_t file, const char *path, rdd_err *err);

RDD_MUST_CHECK rdd_status job_h5_set_string(hid_t object, const char *name, const char *value,
                                            rdd_err *err);
RDD_MUST_CHECK rdd_status job_h5_set_int(hid_t object, const char *name, int64_t value,
                                         rdd_err *err);
RDD_MUST_CHECK rdd_status job_h5_set_real(hid_t object, const char *name, double value,
                                          rdd_err *err);
/* Attributes; false where there is none of that name and class. */
bool job_h5_get_string(hid_t object, const char *name, char *value, size_t size);
bool job_h5_get_int(hid_t object, const char *name, int64_t *value);
bool job_h5_get_real(hid_t object, const char *name, double *value);

/* Create a dataset; dims[1] == 0: one dimension. chunk rows > 0: chunked, shuffled, deflated,
 * with Fletcher-32; max rows unlimited. */
RDD_MUST_CHECK rdd_status job_h5_dataset(hid_t *out, hid_t where, const char *name, hid_t type,
                                         int64_t rows, int64_t columns, int64_t chunk_rows,
                                         const char *description, const char *units, rdd_err *err);

/* Read or write rows [first, first + n) of a dataset of 1 or 2 dimensions. Writing grows it. */
RDD_MUST_CHECK rdd_status job_h5_write_rows(hid_t dataset, hid_t memory_type, int64_t first,
                                            int64_t n, const void *data, rdd_err *err);
RDD_MUST_CHECK rdd_status job_h5_read_rows(hid_t dataset, hid_t memory_type, int64_t first,
                                           int64_t n, void *data, rdd_err *err);

/* The innermost message of HDF5's error stack, for our messages. */
const char *job_h5_why(void);

#endif
