/* Chunks of a dataset, filtered before the library sees them: HDF5 filters one chunk after the other, and is
 * not to be called from two threads. */
#ifndef JOB_H5_CHUNK_H
#define JOB_H5_CHUNK_H

#include "rdd/status.h"

#include <stddef.h>
#include <stdint.h>

enum { JOB_H5_CHECKSUM_BYTES = 4 };

typedef struct job_h5_chunk {
  unsigned char *bytes; /* room for all values and JOB_H5_CHECKSUM_BYTES; the caller's */
  size_t size;          /* bytes that are used */
  uint32_t left_out;    /* bit f: filter f of the dataset was not applied */
} job_h5_chunk;

/* Apply the filters of job_h5_dataset() (shuffle, deflate, Fletcher-32) to a whole chunk, for
 * job_h5_write_chunk(). Any thread.
 *   values   [in]   rows x value_size bytes, little-endian; behind the last row of the dataset, zeros
 *   scratch  [out]  as many bytes, used on the way
 * Fails with RDD_ENOMEM. */
RDD_MUST_CHECK rdd_status job_h5_chunk_filter(job_h5_chunk *chunk, const void *values, size_t rows,
                                              size_t value_size, unsigned char *scratch,
                                              rdd_err *err);

#endif
