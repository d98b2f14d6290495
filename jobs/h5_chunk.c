/* See h5_chunk.h. A chunk in the file, as HDF5's own filters leave it:
 *
 *   values  1a 1b 1c 1d  2a 2b 2c 2d ...
 *   shuffle 1a 2a ...  1b 2b ...  1c 2c ...  1d 2d ...     first bytes, second bytes, ...
 *   deflate zlib stream of that; left out where it is no shorter
 *   behind  Fletcher-32 of what there is then, 4 bytes, little-endian */
#include "jobs/h5_chunk.h"

#include "jobs/h5.h"

#include <string.h>
#include <zlib.h>

enum { LEFT_OUT_DEFLATE = 1 << 1 }; /* it is the second filter */

static void shuffle(const unsigned char *restrict values, size_t rows, size_t size,
                    unsigned char *restrict out) {
  for (size_t b = 0; b < size; b++)
    for (size_t i = 0; i < rows; i++) out[b * rows + i] = values[i * size + b];
}

/* To 16 bits: one's complement, as the sums of Fletcher are. */
static uint32_t fold(uint64_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (uint32_t)sum;
}

/* Of big-endian words of 16 bits; an odd byte at the end is the first of one. */
static uint32_t fletcher32(const unsigned char *bytes, size_t n) {
  enum { STEP = 1 << 16 }; /* words after which 64 bits are far from full */
  uint64_t a = 0, b = 0;
  for (size_t at = 0; at < n;) {
    size_t end = n - at > 2 * STEP ? at + 2 * STEP : n;
    for (; at + 1 < end; at += 2) b += a += (uint64_t)bytes[at] << 8 | bytes[at + 1];
    if (at < end) b += a += (uint64_t)bytes[at++] << 8;
    a = fold(a);
    b = fold(b);
  }
  return (uint32_t)b << 16 | (uint32_t)a;
}

rdd_status job_h5_chunk_filter(job_h5_chunk *chunk, const void *values, size_t rows,
                               size_t value_size, unsigned char *scratch, rdd_err *err) {
  size_t size = rows * value_size;
  uLongf packed = (uLongf)size;
  shuffle(values, rows, value_size, scratch);
  int result = compress2(chunk->bytes, &packed, scratch, (uLong)size, JOB_DEFLATE_LEVEL);
  if (result != Z_OK && result != Z_BUF_ERROR)
    return rdd_set(err, RDD_ENOMEM, "out of memory for compressing %zu bytes", size);
  if (result == Z_BUF_ERROR) memcpy(chunk->bytes, scratch, size);
  chunk->left_out = result == Z_BUF_ERROR ? LEFT_OUT_DEFLATE : 0;
  chunk->size = result == Z_BUF_ERROR ? size : (size_t)packed;
  uint32_t sum = fletcher32(chunk->bytes, chunk->size);
  for (int i = 0; i < JOB_H5_CHECKSUM_BYTES; i++)
    chunk->bytes[chunk->size++] = (unsigned char)(sum >> (8 * i));
  return RDD_OK;
}
