/* Batches for other people's libraries: the Arrow C Data Interface and C Stream Interface.
 *
 * Batches are laid out as Arrow lays them out, so nothing is converted or copied on the way: what
 * changes hands is pointers, and the duty to call `release`. Any Arrow library may be the other
 * side (pyarrow, polars, DuckDB, R, Rust); none is needed to build or to run this.
 *
 *   a batch       struct array ("+s") without nulls, with a child for each column
 *   a column      int64 "l", int32 "i", float32 "f", float64 "g", utf8 "u"; not nullable
 *   a partition   stream of its batches
 *
 * https://arrow.apache.org/docs/format/CDataInterface.html,
 * https://arrow.apache.org/docs/format/CStreamInterface.html */
#ifndef RDD_ARROW_H
#define RDD_ARROW_H

#include "rdd/batch.h"
#include "rdd/status.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- The structs of the ABI. Their names, order and guards are the specification's, so that any
 * other header that has them may be included as well. A struct whose `release` is NULL is empty:
 * released, or moved (copied elsewhere, and marked so here). ---- */

#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE           2
#define ARROW_FLAG_MAP_KEYS_SORTED    4

struct ArrowSchema {
  const char *format; /* the type, as a short text */
  const char *name;
  const char *metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema **children;
  struct ArrowSchema *dictionary;
  void (*release)(struct ArrowSchema *);
  void *private_data;
};

struct ArrowArray {
  int64_t length;
  int64_t null_count; /* -1: not counted */
  int64_t offset;     /* of the first value, in all buffers and children */
  int64_t n_buffers;
  int64_t n_children;
  const void **buffers; /* bitmap of what is not null, or NULL; then the values */
  struct ArrowArray **children;
  struct ArrowArray *dictionary;
  void (*release)(struct ArrowArray *);
  void *private_data;
};

#endif

#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE

struct ArrowArrayStream {
  int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out); /* 0, or an errno */
  int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out); /* an empty one at the end */
  const char *(*get_last_error)(struct ArrowArrayStream *);
  void (*release)(struct ArrowArrayStream *);
  void *private_data;
};

#endif

/* ---- Out ---- */

/* Hand out a batch.                                                       Not collective.
 *   batch       [in]  the struct is borrowed; its buffers are exported as they are
 *   release     [in]  called once with `owner` when the array and every child that was moved out of
 *                     it are released, on whatever thread does so: from then on the buffers may go;
 *                     NULL: the buffers outlive the array by the caller's word
 *   schema_out  [out] independent of the batch, of `schema` and of the array; may be NULL
 *   array_out   [out] to be released by its new owner
 * On failure nothing was taken or set. Fails with RDD_EINTERNAL where buffers are missing,
 * RDD_ENOMEM. */
RDD_MUST_CHECK rdd_status rdd_batch_export(const rdd_batch *batch, const rdd_schema *schema,
                                           void (*release)(void *owner), void *owner,
                                           struct ArrowSchema *schema_out,
                                           struct ArrowArray *array_out, rdd_err *err);

/* Hand out a partition as a stream of its batches.                        Not collective.
 *   part        [in/out] moved: zeroed on success, and untouched on failure
 *   stream_out  [out] to be released by its new owner, who may keep arrays for longer: the segment
 *                     goes when the stream and the last array are released
 * The stream is for one thread at a time; its arrays are for any. Fails with RDD_ENOMEM. */
RDD_MUST_CHECK rdd_status rdd_part_export(rdd_part *part, const rdd_schema *schema,
                                          struct ArrowArrayStream *stream_out, rdd_err *err);

/* ---- In ---- */

/* A batch that is a view into another library's buffers. */
typedef struct rdd_import {
  rdd_schema schema;
  rdd_batch batch;         /* until `array` is released */
  struct ArrowArray array; /* theirs */
} rdd_import;

/* Take a batch.                                                           Not collective.
 *   schema      [in]     borrowed
 *   array       [in/out] moved into *import_out on success; on failure it stays the caller's
 *   import_out  [out]    end with rdd_import_release()
 * Slices are views too: what is left of an offset is not seen. Text is not checked to be UTF-8, and
 * that buffers are as long as they have to be is the other side's word.
 * Fails with RDD_EDATA where there is something that batches cannot have (a null, a type or a shape
 * that is not above, a name longer than rdd_field has room for) or that contradicts itself: the
 * message names the column. */
RDD_MUST_CHECK rdd_status rdd_batch_import(const struct ArrowSchema *schema,
                                           struct ArrowArray *array, rdd_import *import_out,
                                           rdd_err *err);

/* Give the buffers back; an empty import is accepted. */
void rdd_import_release(rdd_import *import);

/* Called with each batch of a stream; whoever wants to keep it copies *import and zeroes it. */
typedef rdd_status (*rdd_import_fn)(void *arg, rdd_import *import, rdd_err *err);

/* Take the batches of a stream, to its end or to an error.                Not collective.
 *   stream      [in/out] borrowed: the caller releases it
 *   schema_out  [out]    set before the first visit
 * Fails as rdd_batch_import() does, with RDD_EDATA and the stream's own words where that fails,
 * with RDD_ENOMEM where it says ENOMEM, or with what visit returns. */
RDD_MUST_CHECK rdd_status rdd_stream_import(struct ArrowArrayStream *stream, rdd_schema *schema_out,
                                            rdd_import_fn visit, void *arg, rdd_err *err);

#ifdef __cplusplus
}
#endif
#endif
