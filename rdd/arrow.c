/* The Arrow C Data Interface: out, each struct with one counted block behind it; in, a view after a
 * look at everything that can be wrong with it.
 *
 * Whoever gets an array may move its children out and release them later than their parent, and on
 * another thread. So parent and children share one block, and each holds a reference to it:
 *
 *   ArrowArray (the caller's)  ---+
 *   child 0 .. n - 1 (moved?)  ---+--> exported_array { references, owner, children, buffers }
 *
 * The last to go releases the owner and frees the block. Schemas are the same without an owner. */
#include "rdd/arrow.h"

#include "rdd/memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* What an array of no rows points to: by the specification NULL would do, but not all read that. */
static const struct { _Alignas(64) char zeros[64]; } nothing = {{0}};

static const char *format_of(rdd_type type) {
  static const char *const format[] = {[RDD_INT64] = "l",
                                       [RDD_INT32] = "i",
                                       [RDD_FLOAT32] = "f",
                                       [RDD_FLOAT64] = "g",
                                       [RDD_UTF8] = "u"};
  return format[type];
}

/* Drop a reference; true for the last one, which sees all that the others did. */
static bool was_last(atomic_int *references) {
  return atomic_fetch_sub_explicit(references, 1, memory_order_acq_rel) == 1;
}

/* ---- Schemas out ---- */

typedef struct exported_schema {
  atomic_int references;
  rdd_schema schema; /* the names */
  struct ArrowSchema child[RDD_MAX_COLUMNS];
  struct ArrowSchema *children[RDD_MAX_COLUMNS];
} exported_schema;

static void release_schema(struct ArrowSchema *schema) {
  exported_schema *block = schema->private_data;
  for (int64_t c = 0; c < schema->n_children; c++)
    if (schema->children[c]->release) schema->children[c]->release(schema->children[c]);
  schema->release = NULL;
  if (was_last(&block->references)) rdd_free(block);
}

static rdd_status export_schema(const rdd_schema *schema, struct ArrowSchema *out, rdd_err *err) {
  exported_schema *block = rdd_calloc(1, sizeof *block);
  if (!block)
    return rdd_set(err, RDD_ENOMEM, "no memory to export a schema of %d columns", schema->columns);
  block->schema = *schema;
  atomic_init(&block->references, 1 + schema->columns);
  for (int c = 0; c < schema->columns; c++) {
    block->child[c] = (struct ArrowSchema){.format = format_of(schema->field[c].type),
                                           .name = block->schema.field[c].name,
                                           .release = release_schema,
                                           .private_data = block};
    block->children[c] = &block->child[c];
  }
  *out = (struct ArrowSchema){.format = "+s",
                              .name = "",
                              .n_children = schema->columns,
                              .children = block->children,
                              .release = release_schema,
                              .private_data = block};
  return RDD_OK;
}

/* ---- Batches out ---- */

typedef struct exported_array {
  atomic_int references;
  void (*release)(void *owner);
  void *owner;
  struct ArrowArray child[RDD_MAX_COLUMNS];
  struct ArrowArray *children[RDD_MAX_COLUMNS];
  const void *validity; /* of the rows: none */
  const void *buffer[RDD_MAX_COLUMNS][3];
} exported_array;

static void release_array(struct ArrowArray *array) {
  exported_array *block = array->private_data;
  for (int64_t c = 0; c < array->n_children; c++)
    if (array->children[c]->release) array->children[c]->release(array->children[c]);
  array->release = NULL;
  if (!was_last(&block->references)) return;
  if (block->release) block->release(block->owner);
  rdd_free(block);
}

static rdd_status check_batch(const rdd_batch *batch, const rdd_schema *schema, rdd_err *err) {
  if (batch->rows < 0)
    return rdd_set(err, RDD_EINTERNAL, "cannot export a batch of %lld rows",
                   (long long)batch->rows);
  for (int c = 0; c < schema->columns && batch->rows > 0; c++) {
    const rdd_column *column = &batch->column[c];
    bool text = schema->field[c].type == RDD_UTF8;
    if (text && !column->offsets)
      return rdd_set(err, RDD_EINTERNAL, "cannot export utf8 column %s: it has no offsets",
                     schema->field[c].name);
    if (!column->values && !(text && column->offsets[batch->rows] == column->offsets[0]))
      return rdd_set(err, RDD_EINTERNAL, "cannot export column %s: it has no values",
                     schema->field[c].name);
  }
  return RDD_OK;
}

/* Fill in the child of one column, as a view of its buffers. */
static void export_column(exported_array *block, int c, rdd_type type, const rdd_batch *batch) {
  const rdd_column *column = &batch->column[c];
  const void **buffer = block->buffer[c];
  int64_t n = 1; /* after the bitmap, which is NULL: no nulls */
  if (type == RDD_UTF8)
    buffer[n++] = column->offsets ? (const void *)column->offsets : nothing.zeros;
  buffer[n++] = column->values ? column->values : nothing.zeros;
  block->child[c] = (struct ArrowArray){.length = batch->rows,
                                        .n_buffers = n,
                                        .buffers = buffer,
                                        .release = release_array,
                                        .private_data = block};
  block->children[c] = &block->child[c];
}

rdd_status rdd_batch_export(const rdd_batch *batch, const rdd_schema *schema,
                            void (*release)(void *owner), void *owner,
                            struct ArrowSchema *schema_out, struct ArrowArray *array_out,
                            rdd_err *err) {
  exported_array *block = NULL;
  rdd_status st = check_batch(batch, schema, err);
  if (!st && !(block = rdd_calloc(1, sizeof *block)))
    st = rdd_set(err, RDD_ENOMEM, "no memory to export a batch of %lld rows",
                 (long long)batch->rows);
  if (!st && schema_out) st = export_schema(schema, schema_out, err);
  if (st) {
    rdd_free(block);
    return st;
  }
  atomic_init(&block->references, 1 + schema->columns);
  block->release = release;
  block->owner = owner;
  for (int c = 0; c < schema->columns; c++) export_column(block, c, schema->field[c].type, batch);
  *array_out = (struct ArrowArray){.length = batch->rows,
                                   .n_buffers = 1,
                                   .n_children = schema->columns,
                                   .buffers = &block->validity,
                                   .children = block->children,
                                   .release = release_array,
                                   .private_data = block};
  return RDD_OK;
}

/* ---- Partitions out ---- */

/* Held by the stream and by each of its arrays. */
typedef struct exported_part {
  atomic_int references;
  rdd_part part;
  rdd_schema schema;
  int64_t next; /* batch */
  rdd_err err;  /* of the last call that failed */
} exported_part;

static void release_part(void *owner) {
  exported_part *block = owner;
  if (!was_last(&block->references)) return;
  rdd_part_close(&block->part);
  rdd_free(block);
}

static int errno_of(rdd_status st) {
  return st == RDD_OK ? 0 : st == RDD_ENOMEM ? ENOMEM : EINVAL;
}

static int part_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
  exported_part *block = stream->private_data;
  return errno_of(export_schema(&block->schema, out, &block->err));
}

static int part_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
  exported_part *block = stream->private_data;
  if (block->next >= block->part.batches) {
    *out = (struct ArrowArray){0};
    return 0;
  }
  rdd_status st = rdd_batch_export(&block->part.batch[block->next], &block->schema, release_part,
                                   block, NULL, out, &block->err);
  if (st) return errno_of(st);
  atomic_fetch_add_explicit(&block->references, 1, memory_order_relaxed);
  block->next++;
  return 0;
}

static const char *part_error(struct ArrowArrayStream *stream) {
  const exported_part *block = stream->private_data;
  return block->err.message[0] ? block->err.message : NULL;
}

static void part_release(struct ArrowArrayStream *stream) {
  stream->release = NULL;
  release_part(stream->private_data);
}

rdd_status rdd_part_export(rdd_part *part, const rdd_schema *schema,
                           struct ArrowArrayStream *stream_out, rdd_err *err) {
  exported_part *block = rdd_calloc(1, sizeof *block);
  if (!block)
    return rdd_set(err, RDD_ENOMEM, "no memory to export a partition of %lld batches",
                   (long long)part->batches);
  atomic_init(&block->references, 1);
  block->part = *part;
  block->schema = *schema;
  *part = (rdd_part){0};
  *stream_out = (struct ArrowArrayStream){.get_schema = part_schema,
                                          .get_next = part_next,
                                          .get_last_error = part_error,
                                          .release = part_release,
                                          .private_data = block};
  return RDD_OK;
}

/* ---- Schemas in ---- */

/* Arrow's name of a type, for messages. Those with parameters are known by how they begin. */
static const char *format_name(const char *format) {
  static const struct {
    const char *format, *name;
  } known[] = {{"n", "null"},
               {"b", "bool"},
               {"c", "int8"},
               {"C", "uint8"},
               {"s", "int16"},
               {"S", "uint16"},
               {"I", "uint32"},
               {"L", "uint64"},
               {"e", "float16"},
               {"d:", "decimal"},
               {"z", "binary"},
               {"Z", "large_binary"},
               {"vz", "binary_view"},
               {"vu", "utf8_view"},
               {"w:", "fixed_size_binary"},
               {"U", "large_utf8"},
               {"td", "date"},
               {"tt", "time"},
               {"ts", "timestamp"},
               {"tD", "duration"},
               {"ti", "interval"},
               {"+v", "list_view"},
               {"+l", "list"},
               {"+L", "large_list"},
               {"+w:", "fixed_size_list"},
               {"+s", "struct"},
               {"+m", "map"},
               {"+u", "union"},
               {"+r", "run_end_encoded"}};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (strncmp(format, known[i].format, strlen(known[i].format)) == 0) return known[i].name;
  return "unknown";
}

static rdd_status import_field(const struct ArrowSchema *column, int64_t c, rdd_schema *out,
                               rdd_err *err) {
  static const rdd_type types[] = {RDD_INT64, RDD_INT32, RDD_FLOAT32, RDD_FLOAT64, RDD_UTF8};
  if (!column || !column->release || !column->format)
    return rdd_set(err, RDD_EDATA, "column %lld of an Arrow schema was released or moved away",
                   (long long)c);
  const char *name = column->name ? column->name : "";
  if (strlen(name) >= sizeof out->field[0].name)
    return rdd_set(err, RDD_EDATA, "column %s: a name can have %zu bytes here, and this has %zu",
                   name, sizeof out->field[0].name - 1, strlen(name));
  if (column->dictionary)
    return rdd_set(err, RDD_EDATA, "column %s is dictionary-encoded: decode it first", name);
  for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
    if (strcmp(column->format, format_of(types[t])) != 0) continue;
    if (column->n_children != 0)
      return rdd_set(err, RDD_EDATA, "column %s of type %s has %lld children: expected none", name,
                     rdd_type_name(types[t]), (long long)column->n_children);
    rdd_schema_add(out, name, types[t]);
    return RDD_OK;
  }
  return rdd_set(
      err, RDD_EDATA,
      "column %s has Arrow's type %s (\"%s\"): expected int64, int32, float32, float64 or "
      "utf8",
      name, format_name(column->format), column->format);
}

static rdd_status import_schema(const struct ArrowSchema *schema, rdd_schema *out, rdd_err *err) {
  rdd_schema found = {0};
  if (!schema->release || !schema->format)
    return rdd_set(err, RDD_EDATA, "an Arrow schema was released or moved away");
  if (strcmp(schema->format, "+s") != 0)
    return rdd_set(err, RDD_EDATA, "an Arrow schema of type \"%s\" is no batch: expected a struct",
                   schema->format);
  if (schema->n_children < 0 || schema->n_children > RDD_MAX_COLUMNS)
    return rdd_set(err, RDD_EDATA, "an Arrow schema of %lld columns: at most %d fit in a batch",
                   (long long)schema->n_children, RDD_MAX_COLUMNS);
  if (schema->n_children > 0 && !schema->children)
    return rdd_set(err, RDD_EDATA, "an Arrow schema says %lld columns, and has none",
                   (long long)schema->n_children);
  for (int64_t c = 0; c < schema->n_children; c++) {
    rdd_status st = import_field(schema->children[c], c, &found, err);
    if (st) return st;
  }
  *out = found;
  return RDD_OK;
}

/* ---- Batches in ---- */

/* The first of n bits from `at` on that is not set, counted from there, or -1. */
static int64_t first_unset(const uint8_t *bitmap, int64_t at, int64_t n) {
  for (int64_t i = 0; i < n;) {
    int64_t bit = at + i;
    if (bit % 8 == 0 && n - i >= 8 && bitmap[bit / 8] == 0xff) {
      i += 8;
      continue;
    }
    if (!(bitmap[bit / 8] >> bit % 8 & 1)) return i;
    i++;
  }
  return -1;
}

/* Is there room for n values from `first` on, and are none of them null? `what` says of which array
 * this is told. */
static rdd_status check_array(const struct ArrowArray *array, const char *what, int64_t buffers,
                              int64_t children, int64_t first, int64_t n, rdd_err *err) {
  int64_t end;
  if (array->n_buffers != buffers || array->n_children != children || !array->buffers ||
      (children > 0 && !array->children))
    return rdd_set(err, RDD_EDATA,
                   "%s has %lld buffers and %lld children: its schema calls for %lld and %lld",
                   what, (long long)array->n_buffers, (long long)array->n_children,
                   (long long)buffers, (long long)children);
  if (array->dictionary)
    return rdd_set(err, RDD_EDATA, "%s is dictionary-encoded, and its schema does not say so",
                   what);
  if (array->length < 0 || array->offset < 0 || array->null_count < -1 || first < 0 || n < 0 ||
      __builtin_add_overflow(first, n, &end) || end > array->length || end > INT64_MAX / 128 ||
      array->offset > INT64_MAX / 128)
    return rdd_set(err, RDD_EDATA,
                   "%s of length %lld, offset %lld and null count %lld has no %lld rows from "
                   "row %lld on",
                   what, (long long)array->length, (long long)array->offset,
                   (long long)array->null_count, (long long)n, (long long)first);
  if (array->null_count == 0 || n == 0) return RDD_OK;
  if (!array->buffers[0] && array->null_count > 0)
    return rdd_set(err, RDD_EDATA, "%s tells of %lld nulls, and has no bitmap that says where",
                   what, (long long)array->null_count);
  int64_t at = array->offset + first;
  int64_t null = array->buffers[0] ? first_unset(array->buffers[0], at, n) : -1;
  if (null >= 0)
    return rdd_set(err, RDD_EDATA, "%s is null in row %lld: nulls have no place in a batch", what,
                   (long long)null);
  return RDD_OK;
}

static rdd_status check_offsets(const char *name, const int32_t *offsets, int64_t rows,
                                rdd_err *err) {
  if (offsets[0] < 0)
    return rdd_set(err, RDD_EDATA, "column %s: its first offset is %d", name, offsets[0]);
  for (int64_t i = 0; i < rows; i++)
    if (offsets[i + 1] < offsets[i])
      return rdd_set(err, RDD_EDATA, "column %s: offset %d of row %lld is below its predecessor %d",
                     name, offsets[i + 1], (long long)i, offsets[i]);
  return RDD_OK;
}

/* Values of `size` bytes from value `at` on. A buffer that is not needed may have any length. */
static rdd_status view_buffer(const char *name, const void *buffer, size_t size, int64_t at,
                              bool needed, const void **out, rdd_err *err) {
  if (needed && !buffer)
    return rdd_set(err, RDD_EDATA, "column %s has rows, and a buffer that is NULL", name);
  if (needed && (uintptr_t)buffer % size != 0)
    return rdd_set(err, RDD_EDATA, "column %s: a buffer of values of %zu bytes is unaligned, at %p",
                   name, size, buffer);
  *out = needed ? (const char *)buffer + at * (int64_t)size : nothing.zeros;
  return RDD_OK;
}

/* Rows [first, first + rows) of a column. */
static rdd_status view_column(const rdd_field *field, const struct ArrowArray *array, int64_t first,
                              int64_t rows, rdd_column *out, rdd_err *err) {
  char what[sizeof field->name + 8];
  const void *values = NULL, *offsets = NULL;
  bool text = field->type == RDD_UTF8;
  snprintf(what, sizeof what, "column %s", field->name);
  if (!array || !array->release)
    return rdd_set(err, RDD_EDATA, "%s was released or moved away", what);
  rdd_status st = check_array(array, what, text ? 3 : 2, 0, first, rows, err);
  if (st) return st;
  int64_t at = array->offset + first;
  if (!text) {
    st = view_buffer(field->name, array->buffers[1], rdd_type_size(field->type), at, rows > 0,
                     &values, err);
  } else {
    st = view_buffer(field->name, array->buffers[1], sizeof(int32_t), at, rows > 0, &offsets, err);
    if (!st) st = check_offsets(field->name, offsets, rows, err);
    bool any = !st && ((const int32_t *)offsets)[rows] > ((const int32_t *)offsets)[0];
    if (!st) st = view_buffer(field->name, array->buffers[2], 1, 0, any, &values, err);
  }
  if (!st) *out = (rdd_column){.values = values, .offsets = offsets};
  return st;
}

static rdd_status view_array(const rdd_schema *schema, const struct ArrowArray *array,
                             rdd_batch *out, rdd_err *err) {
  rdd_batch batch = {.rows = array->length};
  if (!array->release) return rdd_set(err, RDD_EDATA, "an Arrow array was released or moved away");
  rdd_status st = check_array(array, "an Arrow array", 1, schema->columns, 0, array->length, err);
  for (int c = 0; c < schema->columns && !st; c++)
    st = view_column(&schema->field[c], array->children[c], array->offset, array->length,
                     &batch.column[c], err);
  if (!st) *out = batch;
  return st;
}

rdd_status rdd_batch_import(const struct ArrowSchema *schema, struct ArrowArray *array,
                            rdd_import *import_out, rdd_err *err) {
  rdd_import import = {0};
  rdd_status st = import_schema(schema, &import.schema, err);
  if (!st) st = view_array(&import.schema, array, &import.batch, err);
  if (st) return st;
  import.array = *array;
  array->release = NULL;
  *import_out = import;
  return RDD_OK;
}

void rdd_import_release(rdd_import *import) {
  if (import->array.release) import->array.release(&import->array);
  *import = (rdd_import){0};
}

/* ---- Streams in ---- */

static rdd_status stream_failed(struct ArrowArrayStream *stream, int why, const char *what,
                                rdd_err *err) {
  const char *said = stream->get_last_error(stream);
  return rdd_set(err, why == ENOMEM ? RDD_ENOMEM : RDD_EDATA, "an Arrow stream has no %s: %s%s%s",
                 what, strerror(why), said ? ": " : "", said ? said : "");
}

rdd_status rdd_stream_import(struct ArrowArrayStream *stream, rdd_schema *schema_out,
                             rdd_import_fn visit, void *arg, rdd_err *err) {
  struct ArrowSchema theirs = {0};
  rdd_schema schema;
  int why = stream->get_schema(stream, &theirs);
  if (why) return stream_failed(stream, why, "schema", err);
  rdd_status st = import_schema(&theirs, &schema, err);
  if (theirs.release) theirs.release(&theirs);
  if (st) return st;
  *schema_out = schema;
  while (!st) {
    rdd_import import = {.schema = schema};
    why = stream->get_next(stream, &import.array);
    if (why) return stream_failed(stream, why, "next batch", err);
    if (!import.array.release) break;
    st = view_array(&schema, &import.array, &import.batch, err);
    if (!st) st = visit(arg, &import, err);
    rdd_import_release(&import);
  }
  return st;
}
