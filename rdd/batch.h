/* Record batches: typed columns laid out as the Arrow columnar format lays them out.
 *
 *   int64, int32, float32, float64    values[rows], little-endian, 64-byte aligned
 *   utf8                              offsets[rows + 1] (int32) and the bytes they cut up
 *
 * There are no nulls, so there are no validity bitmaps. A batch is a view: it owns nothing, and
 * says nothing of where its buffers live (a task's scratch, or a sealed partition). */
#ifndef RDD_BATCH_H
#define RDD_BATCH_H

#include "rdd/status.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { RDD_MAX_COLUMNS = 8, RDD_BATCH_ROWS = 65536 };

typedef enum rdd_type { RDD_INT64, RDD_INT32, RDD_FLOAT32, RDD_FLOAT64, RDD_UTF8 } rdd_type;

typedef struct rdd_field {
  char name[24];
  rdd_type type;
} rdd_field;

typedef struct rdd_schema {
  int columns;
  rdd_field field[RDD_MAX_COLUMNS];
} rdd_schema;

typedef struct rdd_column {
  const void *values;     /* rows values; for utf8 the bytes */
  const int32_t *offsets; /* utf8 only: rows + 1 offsets into values; offsets[0] may be > 0 */
} rdd_column;

typedef struct rdd_batch {
  int64_t rows;
  rdd_column column[RDD_MAX_COLUMNS];
} rdd_batch;

/* Bytes of one value: 8, 4, 4, 8; 1 for utf8 (a byte of text). */
size_t rdd_type_size(rdd_type type);

/* "int64", "utf8", ... */
const char *rdd_type_name(rdd_type type);

/* Add a column to a schema that has room for it. */
void rdd_schema_add(rdd_schema *schema, const char *name, rdd_type type);

/* Position of the column called name, or -1. */
int rdd_schema_find(const rdd_schema *schema, const char *name);

/* ---- Partitions: a run of batches in one segment ----
 *
 * A computed partition is one relocatable segment of bytes (a sealed memfd, or a heap buffer that
 * came from another rank), so it can be sent anywhere as it is:
 *
 *   header | batch record, 64-byte-aligned buffers | batch record, buffers | ...
 *
 * rdd_part gives the batches as views into it. Immutable after it is opened. */
typedef struct rdd_part {
  const void *bytes; /* the segment */
  size_t size;
  int64_t rows; /* sum over batches */
  int64_t batches;
  rdd_batch *batch;                          /* [batches] */
  void (*release)(void *bytes, size_t size); /* how the segment goes: munmap or rdd_free */
} rdd_part;

/* Open a segment as a partition.                                         Not collective.
 *   schema          [in]  what its batches hold; must be the writer's
 *   bytes, size     [in]  the segment; owned by *part on success if release is not NULL
 * Fails with RDD_EINTERNAL where the segment is not whole, RDD_ENOMEM. */
RDD_MUST_CHECK rdd_status rdd_part_open(rdd_part *part, const rdd_schema *schema, const void *bytes,
                                        size_t size, void (*release)(void *, size_t), rdd_err *err);

/* Compare the segment with the checksums in it.                          Not collective.
 * Fails with RDD_EIO where it is damaged. */
RDD_MUST_CHECK rdd_status rdd_part_verify(const rdd_part *part, rdd_err *err);

/* The same piece by piece, for a reader who goes batch by batch and wants each to be in the cache
 * then: the header of the segment first, then in each call the next batch.  Not collective.
 *   at  [in/out] byte of the piece; 0 at first; part->size after the last
 * Fails with RDD_EIO where the piece is damaged; *at stays then. */
RDD_MUST_CHECK rdd_status rdd_part_verify_next(const rdd_part *part, int64_t *at, rdd_err *err);

/* Release the segment; a zeroed or closed part is accepted. */
void rdd_part_close(rdd_part *part);

/* ---- Writing a segment ---- */
typedef struct rdd_segment rdd_segment;

/* Start a segment that grows in a memory file (fd >= 0, borrowed) or on the heap (fd < 0). */
RDD_MUST_CHECK rdd_status rdd_segment_new(rdd_segment **out, const rdd_schema *schema, int fd,
                                          rdd_err *err);

/* Append a copy of a batch. Empty batches are skipped. */
RDD_MUST_CHECK rdd_status rdd_segment_append(rdd_segment *segment, const rdd_batch *batch,
                                             rdd_err *err);

/* Finish: write the header, and trim the file or hand over the heap bytes (free with rdd_free).
 *   bytes_out  [out] heap bytes; NULL for a memory file
 *   size_out   [out] bytes of the finished segment */
RDD_MUST_CHECK rdd_status rdd_segment_finish(rdd_segment *segment, void **bytes_out,
                                             size_t *size_out, rdd_err *err);

/* Free the writer, finished or not; NULL is accepted. */
void rdd_segment_free(rdd_segment *segment);

#ifdef __cplusplus
}
#endif
#endif
