/* A thin layer over HDF5: errors become rdd_err, every dataset gets its description, a file its
 * format_version. Not collective; HDF5's own error printing is off.
 *
 * No object carries a time, so that the same contents are the same bytes. */
#ifndef JOB_H5_H
#define JOB_H5_H

#include "rdd/batch.h"
#include "rdd/status.h"

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JOB_FORMAT_VERSION = 1, JOB_DEFLATE_LEVEL = 1 };

/* Create a file with the root attributes format_version, kind, and creator ("gangplank 0.1.0").
 * Messages of what is written do not name the file, whose name is a temporary one: see
 * job_h5_in_file(). */
RDD_MUST_CHECK rdd_status job_h5_create(hid_t *file_out, const char *path, const char *kind,
                                        rdd_err *err);

/* The same in the format of HDF5 1.10, in which the library's own structures have checksums too: with
 * Fletcher-32 on the datasets, no damaged byte of a number goes unnoticed. For files that are read
 * again after a crash. */
RDD_MUST_CHECK rdd_status job_h5_create_checked(hid_t *file_out, const char *path, const char *kind,
                                                rdd_err *err);

/* Open to read. Fails with RDD_ENOINPUT (missing, unreadable), RDD_EDATA (not HDF5, no or another
 * format_version). kind_out, if not NULL, gets the kind. */
RDD_MUST_CHECK rdd_status job_h5_open(hid_t *file_out, const char *path, char kind_out[32],
                                      rdd_err *err);

/* The same for a file that has to have a checksum, see job_h5_seal(). */
RDD_MUST_CHECK rdd_status job_h5_open_sealed(hid_t *file_out, const char *path, char kind_out[32],
                                             rdd_err *err);

/* HDF5 crashes on some files that are damaged and have no checksum of ours. Look at one in a child before
 * this process does.                                                      Not collective.
 *   look    [in]      called in the child; opens the file itself
 *   result  [in,out]  `bytes` plain bytes that look() changes; as they were on failure
 * Fails with what look() returns, and with RDD_EDATA where the child dies or does not end. */
typedef rdd_status (*job_h5_look)(const void *arg, void *result, rdd_err *err);
RDD_MUST_CHECK rdd_status job_h5_look_first(const char *path, job_h5_look look, const void *arg,
                                            void *result, size_t bytes, rdd_err *err);

/* Flush and close; what a full disk says at last is said here. Everything in the file that is still
 * open is flushed, checked and closed with it. */
RDD_MUST_CHECK rdd_status job_h5_close(hid_t file, const char *path, rdd_err *err);

/* Close a file that was only read, or one whose contents no longer matter, with all that is open in
 * it; a negative id is accepted. */
void job_h5_drop(hid_t file);

RDD_MUST_CHECK rdd_status job_h5_set_string(hid_t object, const char *name, const char *value,
                                            rdd_err *err);
RDD_MUST_CHECK rdd_status job_h5_set_int(hid_t object, const char *name, int64_t value,
                                         rdd_err *err);
RDD_MUST_CHECK rdd_status job_h5_set_real(hid_t object, const char *name, double value,
                                          rdd_err *err);
/* Attributes; false where there is none of that name and class. A text that does not fit is cut. */
bool job_h5_get_string(hid_t object, const char *name, char *value, size_t size);
bool job_h5_get_int(hid_t object, const char *name, int64_t *value);
bool job_h5_get_real(hid_t object, const char *name, double *value);

/* Create a group with a description. */
RDD_MUST_CHECK rdd_status job_h5_group(hid_t *out, hid_t where, const char *name,
                                       const char *description, rdd_err *err);

/* Create a dataset; columns == 0: one dimension. chunk rows > 0: chunked, shuffled, deflated,
 * with Fletcher-32; max rows unlimited. chunk rows == 0: of fixed size and without filters, as
 * variable-length text demands. */
RDD_MUST_CHECK rdd_status job_h5_dataset(hid_t *out, hid_t where, const char *name, hid_t type,
                                         int64_t rows, int64_t columns, int64_t chunk_rows,
                                         const char *description, const char *units, rdd_err *err);

/* The same with Fletcher-32 alone: for factors, whose bits are noise that does not compress. */
RDD_MUST_CHECK rdd_status job_h5_dataset_plain(hid_t *out, hid_t where, const char *name,
                                               hid_t type, int64_t rows, int64_t columns,
                                               int64_t chunk_rows, const char *description,
                                               const char *units, rdd_err *err);

/* Close a dataset that was written: its last chunk goes to the file here. Negative is accepted.
 *   so_far  [in]  how writing it went; an error is handed on, and err is left as it is */
RDD_MUST_CHECK rdd_status job_h5_dataset_close(hid_t dataset, rdd_status so_far, rdd_err *err);

/* Shape of a dataset: dims_out[1] is 0 where it has one dimension. False for any other rank, and for a
 * size beyond int64. */
bool job_h5_shape(hid_t dataset, int64_t dims_out[2]);

/* Read or write rows [first, first + n) of a dataset of 1 or 2 dimensions. Writing grows it.
 * Fails with RDD_EIO, and the dataset's name. */
RDD_MUST_CHECK rdd_status job_h5_write_rows(hid_t dataset, hid_t memory_type, int64_t first,
                                            int64_t n, const void *data, rdd_err *err);
RDD_MUST_CHECK rdd_status job_h5_read_rows(hid_t dataset, hid_t memory_type, int64_t first,
                                           int64_t n, void *data, rdd_err *err);

/* Put a chunk that is filtered already (h5_chunk.h) at rows [first, first + rows) of a dataset of one
 * dimension, which grows to there. first is a multiple of the chunk's rows.
 *   left_out  [in]  bit f: filter f was not applied
 * Fails with RDD_EIO, and the dataset's name. */
RDD_MUST_CHECK rdd_status job_h5_write_chunk(hid_t dataset, int64_t first, int64_t rows,
                                             uint32_t left_out, const void *bytes, size_t size,
                                             rdd_err *err);

/* HDF5's type for values of a column: in a file (little-endian), and as they stand in memory. utf8 is
 * bytes. The library's own types: not to be closed. */
hid_t job_h5_file_type(rdd_type type);
hid_t job_h5_memory_type(rdd_type type);

/* Give back the strings that reading n rows with job_h5_text_type() allocated; zeroed rows are
 * accepted. */
void job_h5_free_text(char **text, int64_t n);

/* A new type: variable-length UTF-8 text, in memory a char *. Close with H5Tclose(). */
hid_t job_h5_text_type(void);

/* Put a checksum of the whole closed file behind its end: blocks and checkpoints have one.
 * Fails with RDD_EIO. Not collective. */
RDD_MUST_CHECK rdd_status job_h5_seal(const char *path, rdd_err *err);

/* Check it, if there is one; job_h5_open() does. Fails with RDD_EDATA where it is wrong. */
RDD_MUST_CHECK rdd_status job_h5_check_seal(const char *path, bool *sealed_out, rdd_err *err);

/* The innermost message of HDF5's error stack, for our messages; the operating system's own words
 * where it has them ("No space left on device"). Ask before the next call of HDF5. */
const char *job_h5_why(void);

/* Put the file's name in front of an error's message, which names a dataset or attribute only;
 * returns its code. */
rdd_status job_h5_in_file(rdd_err *err, const char *path);

#endif
