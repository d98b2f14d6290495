/* Batches through the Arrow C Data Interface, with this test as the other side: what is exported is
 * what there is, in place; releases come once, in any order, from any thread; what is imported is a
 * view, and what has no place in a batch is refused by the name of its column. */
#include "rdd/arrow.h"
#include "rdd/memory.h"
#include "tests/testkit.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { ROWS = 5, COLUMNS = 5 };

static const int64_t LONGS[ROWS] = {1, -2, INT64_MAX, INT64_MIN, 0};
static const int32_t INTS[ROWS] = {5, 4, 3, 2, -1};
static const float FLOATS[ROWS] = {.5f, -1.5f, 0, 1e30f, 4};
static const double DOUBLES[ROWS] = {.1, .2, .3, -1e300, 5};
static const char TEXT[] = "..oneéthreefour"; /* "one", "", "é", "three", "four" from byte 2 */
static const int32_t OFFSETS[ROWS + 1] = {2, 5, 5, 7, 12, 16};

static rdd_schema all_types(void) {
  rdd_schema schema = {0};
  rdd_schema_add(&schema, "l", RDD_INT64);
  rdd_schema_add(&schema, "i", RDD_INT32);
  rdd_schema_add(&schema, "f", RDD_FLOAT32);
  rdd_schema_add(&schema, "d", RDD_FLOAT64);
  rdd_schema_add(&schema, "s", RDD_UTF8);
  return schema;
}

static rdd_batch five_rows(void) {
  return (rdd_batch){.rows = ROWS,
                     .column = {{.values = LONGS},
                                {.values = INTS},
                                {.values = FLOATS},
                                {.values = DOUBLES},
                                {.values = TEXT, .offsets = OFFSETS}}};
}

/* Is it rows [first, first + n) of the batch above, in the very same place? */
static void check_view(const rdd_batch *b, int64_t first, int64_t n) {
  TK_CHECK(b->rows == n);
  TK_CHECK(b->column[0].values == LONGS + first && b->column[1].values == INTS + first);
  TK_CHECK(b->column[2].values == FLOATS + first && b->column[3].values == DOUBLES + first);
  TK_CHECK(b->column[4].values == TEXT && b->column[4].offsets == OFFSETS + first);
  for (int c = 0; c < 4; c++) TK_CHECK(!b->column[c].offsets);
}

/* An owner that counts its releases. */
static void count_release(void *owner) {
  __atomic_add_fetch((int *)owner, 1, __ATOMIC_SEQ_CST);
}

/* All five rows, exported; `released` counts. */
static void export_five(int *released, struct ArrowSchema *schema, struct ArrowArray *array) {
  rdd_schema ours = all_types();
  rdd_batch batch = five_rows();
  rdd_err err;
  TK_OK(rdd_batch_export(&batch, &ours, count_release, released, schema, array, &err), &err);
}

static void structs_are_the_abi(void) {
  enum { WORD = 8 };
  TK_CHECK(sizeof(struct ArrowSchema) == 9 * WORD && sizeof(struct ArrowArray) == 10 * WORD);
  TK_CHECK(sizeof(struct ArrowArrayStream) == 5 * WORD);
  TK_CHECK(offsetof(struct ArrowSchema, flags) == 3 * WORD);
  TK_CHECK(offsetof(struct ArrowSchema, release) == 7 * WORD);
  TK_CHECK(offsetof(struct ArrowArray, buffers) == 5 * WORD);
  TK_CHECK(offsetof(struct ArrowArray, release) == 8 * WORD);
  TK_CHECK(offsetof(struct ArrowArrayStream, release) == 3 * WORD);
}

static void what_is_exported_is_what_there_is(void) {
  static const char *const formats[COLUMNS] = {"l", "i", "f", "g", "u"};
  const void *values[COLUMNS] = {LONGS, INTS, FLOATS, DOUBLES, TEXT};
  struct ArrowSchema schema;
  struct ArrowArray array;
  int released = 0;
  export_five(&released, &schema, &array);
  TK_CHECK(strcmp(schema.format, "+s") == 0 && schema.n_children == COLUMNS && !schema.dictionary);
  TK_CHECK(array.length == ROWS && array.null_count == 0 && array.offset == 0);
  TK_CHECK(array.n_buffers == 1 && !array.buffers[0] && array.n_children == COLUMNS);
  for (int c = 0; c < COLUMNS; c++) {
    const struct ArrowSchema *field = schema.children[c];
    const struct ArrowArray *column = array.children[c];
    TK_CHECK(strcmp(field->format, formats[c]) == 0 && strlen(field->name) == 1);
    TK_CHECK(field->flags == 0 && field->n_children == 0 && field->release);
    TK_CHECK(column->length == ROWS && column->null_count == 0 && column->offset == 0);
    TK_CHECK(column->n_buffers == (c == 4 ? 3 : 2) && !column->buffers[0] && !column->dictionary);
    TK_CHECK(column->buffers[c == 4 ? 2 : 1] == values[c]);
  }
  TK_CHECK(array.children[4]->buffers[1] == OFFSETS);
  schema.release(&schema);
  TK_CHECK(!schema.release && released == 0);
  array.release(&array);
  TK_CHECK(!array.release && released == 1);
}

static void what_is_exported_can_be_imported(void) {
  struct ArrowSchema schema;
  struct ArrowArray array;
  rdd_schema ours = all_types();
  rdd_import import = {0};
  rdd_err err;
  int released = 0;
  export_five(&released, &schema, &array);
  TK_OK(rdd_batch_import(&schema, &array, &import, &err), &err);
  TK_CHECK(!array.release && schema.release); /* moved; borrowed */
  schema.release(&schema);
  TK_CHECK(import.schema.columns == COLUMNS);
  for (int c = 0; c < COLUMNS; c++) {
    TK_CHECK(strcmp(import.schema.field[c].name, ours.field[c].name) == 0);
    TK_CHECK(import.schema.field[c].type == ours.field[c].type);
  }
  check_view(&import.batch, 0, ROWS);
  TK_CHECK(released == 0);
  rdd_import_release(&import);
  rdd_import_release(&import); /* released twice is released */
  TK_CHECK(released == 1);
}

static void no_rows(void) {
  struct ArrowSchema schema;
  struct ArrowArray array;
  rdd_schema ours = all_types();
  rdd_batch none = {0};
  rdd_import import = {0};
  rdd_err err;
  TK_OK(rdd_batch_export(&none, &ours, NULL, NULL, &schema, &array, &err), &err);
  for (int c = 0; c < COLUMNS; c++)
    for (int64_t b = 1; b < array.children[c]->n_buffers; b++)
      TK_CHECK(array.children[c]->buffers[b]);
  TK_CHECK(*(const int32_t *)array.children[4]->buffers[1] == 0);
  for (int c = 0; c < COLUMNS; c++) array.children[c]->buffers[1] = NULL; /* as others send it */
  TK_OK(rdd_batch_import(&schema, &array, &import, &err), &err);
  TK_CHECK(import.batch.rows == 0 && import.batch.column[4].offsets[0] == 0);
  rdd_import_release(&import);
  schema.release(&schema);
}

static void slices_are_views(void) {
  struct ArrowSchema schema;
  struct ArrowArray array;
  rdd_import import = {0};
  rdd_err err;
  int released = 0;
  for (int64_t outer = 0; outer <= ROWS; outer++)
    for (int64_t inner = 0; inner + outer <= ROWS; inner++) {
      int64_t rows = ROWS - outer - inner;
      export_five(&released, &schema, &array);
      array.offset = outer;
      array.length = rows;
      for (int c = 0; c < COLUMNS; c++) {
        array.children[c]->offset = inner;
        array.children[c]->length = ROWS - inner;
      }
      if (TK_OK(rdd_batch_import(&schema, &array, &import, &err), &err)) {
        if (rows > 1)
          check_view(&import.batch, outer + inner, rows);
        else
          TK_CHECK(import.batch.rows == rows);
      }
      rdd_import_release(&import);
      schema.release(&schema);
    }
  TK_CHECK(released == (ROWS + 1) * (ROWS + 2) / 2);
}

/* ---- Releases ---- */

static void children_move_out(void) {
  struct ArrowSchema schema, name;
  struct ArrowArray array, text, longs;
  int released = 0;
  export_five(&released, &schema, &array);
  text = *array.children[4];
  array.children[4]->release = NULL;
  longs = *array.children[0];
  array.children[0]->release = NULL;
  name = *schema.children[1];
  schema.children[1]->release = NULL;
  array.release(&array);
  schema.release(&schema);
  TK_CHECK(!array.release && released == 0);
  TK_CHECK(text.n_buffers == 3 && text.buffers[1] == OFFSETS && text.buffers[2] == TEXT);
  TK_CHECK(strcmp(name.name, "i") == 0 && strcmp(name.format, "i") == 0);
  text.release(&text);
  TK_CHECK(!text.release && released == 0);
  longs.release(&longs);
  TK_CHECK(released == 1);
  name.release(&name);
}

static void children_go_before_their_parent(void) {
  struct ArrowSchema schema;
  struct ArrowArray array, moved;
  int released = 0;
  export_five(&released, &schema, &array);
  for (int c = 0; c < COLUMNS; c++) {
    array.children[c]->release(array.children[c]);
    schema.children[c]->release(schema.children[c]);
    TK_CHECK(!array.children[c]->release && released == 0);
  }
  moved = array; /* the parent moves too */
  array.release = NULL;
  moved.release(&moved);
  schema.release(&schema);
  TK_CHECK(released == 1);
}

/* Memory that is gone when the owner is: a thread that reads too late, or a second release, is
 * what the sanitizers find. */
typedef struct owned {
  int released;
  int64_t *values;
} owned;

static void free_owned(void *owner) {
  owned *o = owner;
  rdd_free(o->values);
  __atomic_add_fetch(&o->released, 1, __ATOMIC_SEQ_CST);
}

static void *read_and_release(void *arg) {
  struct ArrowArray *array = arg;
  if (array->n_children == 0) TK_CHECK(((const int64_t *)array->buffers[1])[1] == 42);
  array->release(array);
  return NULL;
}

static void any_thread_may_release(void) {
  enum { ROUNDS = 50, THREADS = RDD_MAX_COLUMNS + 1 };
  for (int round = 0; round < ROUNDS; round++) {
    rdd_schema schema = {0};
    rdd_batch batch = {.rows = 2};
    owned o = {.values = rdd_calloc(2, sizeof *o.values)};
    struct ArrowArray part[THREADS];
    pthread_t thread[THREADS];
    rdd_err err;
    o.values[1] = 42;
    for (int c = 0; c < RDD_MAX_COLUMNS; c++) {
      rdd_schema_add(&schema, "n", RDD_INT64);
      batch.column[c].values = o.values;
    }
    TK_OK(rdd_batch_export(&batch, &schema, free_owned, &o, NULL, &part[0], &err), &err);
    for (int c = 0; c < RDD_MAX_COLUMNS; c++) {
      part[c + 1] = *part[0].children[c];
      part[0].children[c]->release = NULL;
    }
    for (int t = 0; t < THREADS; t++)
      TK_CHECK(pthread_create(&thread[t], NULL, read_and_release, &part[t]) == 0);
    for (int t = 0; t < THREADS; t++) pthread_join(thread[t], NULL);
    TK_CHECK(o.released == 1);
  }
}

/* ---- Partitions ---- */

static void release_heap(void *bytes, size_t size) {
  memset(bytes, 0xee, size); /* whoever still reads it reads this */
  rdd_free(bytes);
}

/* Three batches of all types: rows 0 to 4, 0 to 3, 0 to 2. */
static rdd_part three_batches(const rdd_schema *schema) {
  rdd_segment *segment = NULL;
  rdd_part part = {0};
  void *bytes = NULL;
  size_t size = 0;
  rdd_err err;
  TK_OK(rdd_segment_new(&segment, schema, -1, &err), &err);
  for (int b = 0; b < 3; b++) {
    rdd_batch batch = five_rows();
    batch.rows -= b;
    TK_OK(rdd_segment_append(segment, &batch, &err), &err);
  }
  TK_OK(rdd_segment_finish(segment, &bytes, &size, &err), &err);
  rdd_segment_free(segment);
  TK_OK(rdd_part_open(&part, schema, bytes, size, release_heap, &err), &err);
  return part;
}

static void a_partition_is_a_stream(void) {
  rdd_schema schema = all_types();
  rdd_part part = three_batches(&schema);
  const rdd_batch *batch = part.batch;
  const void *values[3] = {batch[0].column[0].values, batch[1].column[0].values,
                           batch[2].column[0].values};
  struct ArrowArrayStream stream;
  struct ArrowSchema theirs[2];
  struct ArrowArray array[3], end;
  rdd_err err;
  TK_OK(rdd_part_export(&part, &schema, &stream, &err), &err);
  TK_CHECK(!part.bytes && !part.batch && !part.release);
  rdd_part_close(&part); /* a moved part is closed */
  for (int i = 0; i < 2; i++) TK_CHECK(stream.get_schema(&stream, &theirs[i]) == 0);
  for (int b = 0; b < 3; b++) {
    TK_CHECK(stream.get_next(&stream, &array[b]) == 0);
    TK_CHECK(array[b].length == ROWS - b && array[b].children[0]->buffers[1] == values[b]);
  }
  for (int i = 0; i < 2; i++) { /* the end is the end each time */
    memset(&end, 0xff, sizeof end);
    TK_CHECK(stream.get_next(&stream, &end) == 0 && !end.release);
  }
  TK_CHECK(!stream.get_last_error(&stream));
  stream.release(&stream);
  TK_CHECK(!stream.release);
  for (int i = 0; i < 2; i++) theirs[i].release(&theirs[i]);
  for (int b = 0; b < 3; b++) { /* the segment is there as long as one array is */
    int last = (b + 1) % 3;
    TK_CHECK(memcmp(array[last].children[0]->buffers[1], LONGS, 3 * sizeof *LONGS) == 0);
    array[last].release(&array[last]);
  }
}

static void a_stream_may_be_left(void) {
  rdd_schema schema = all_types();
  rdd_part part = three_batches(&schema), empty = {0};
  struct ArrowArrayStream stream;
  struct ArrowArray array;
  rdd_err err;
  TK_OK(rdd_part_export(&part, &schema, &stream, &err), &err);
  TK_CHECK(stream.get_next(&stream, &array) == 0);
  array.release(&array);
  stream.release(&stream); /* two batches were not asked for */
  TK_OK(rdd_part_export(&empty, &schema, &stream, &err), &err);
  TK_CHECK(stream.get_next(&stream, &array) == 0 && !array.release);
  stream.release(&stream);
}

/* What a visit is to do, and saw. */
typedef struct visits {
  int seen, fail_at, keep_at; /* counted from 1 */
  rdd_import kept;
} visits;

static rdd_status visit(void *arg, rdd_import *import, rdd_err *err) {
  visits *v = arg;
  v->seen++;
  TK_CHECK(import->schema.columns == COLUMNS && import->batch.rows == ROWS + 1 - v->seen);
  TK_CHECK(memcmp(import->batch.column[3].values, DOUBLES, 3 * sizeof *DOUBLES) == 0);
  if (v->seen == v->fail_at) return rdd_set(err, RDD_EIO, "seen enough");
  if (v->seen == v->keep_at) {
    v->kept = *import;
    *import = (rdd_import){0};
  }
  return RDD_OK;
}

static void streams_are_imported(void) {
  rdd_schema schema = all_types(), theirs = {0};
  rdd_part part = three_batches(&schema);
  struct ArrowArrayStream stream;
  visits all = {.keep_at = 2}, some = {.fail_at = 2};
  rdd_err err;
  TK_OK(rdd_part_export(&part, &schema, &stream, &err), &err);
  TK_OK(rdd_stream_import(&stream, &theirs, visit, &all, &err), &err);
  TK_CHECK(all.seen == 3 && theirs.columns == COLUMNS);
  stream.release(&stream);
  TK_CHECK(memcmp(all.kept.batch.column[0].values, LONGS, 3 * sizeof *LONGS) == 0);
  rdd_import_release(&all.kept);

  part = three_batches(&schema);
  TK_OK(rdd_part_export(&part, &schema, &stream, &err), &err);
  TK_CHECK(rdd_stream_import(&stream, &theirs, visit, &some, &err) == RDD_EIO && some.seen == 2);
  stream.release(&stream);
}

/* A stream of somebody else's that fails. */
typedef struct bad_stream {
  int schema_errno, next_errno;
  const char *words;
} bad_stream;

static int bad_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
  const bad_stream *bad = stream->private_data;
  struct ArrowArray array;
  int released = 0;
  if (bad->schema_errno) return bad->schema_errno;
  export_five(&released, out, &array);
  array.release(&array);
  return 0;
}

static int bad_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
  static int released;
  const bad_stream *bad = stream->private_data;
  struct ArrowSchema schema;
  if (bad->next_errno) return bad->next_errno;
  export_five(&released, &schema, out);
  schema.release(&schema);
  out->children[2]->length = 1;
  return 0;
}

static const char *bad_words(struct ArrowArrayStream *stream) {
  return ((const bad_stream *)stream->private_data)->words;
}

static void errors_of_streams_are_told(void) {
  static const struct {
    bad_stream bad;
    rdd_status status;
    const char *says;
  } c[] = {
      {{.schema_errno = EIO, .words = "the disk is on fire"}, RDD_EDATA, "no schema"},
      {{.schema_errno = EIO, .words = "the disk is on fire"}, RDD_EDATA, ": the disk is on fire"},
      {{.schema_errno = ENOMEM}, RDD_ENOMEM, "no schema: Cannot allocate memory"},
      {{.next_errno = EINVAL}, RDD_EDATA, "no next batch: Invalid argument"},
      {{.next_errno = ENOMEM, .words = "full"}, RDD_ENOMEM, "no next batch"},
      {{0}, RDD_EDATA, "column f of length 1"},
  };
  for (size_t i = 0; i < sizeof c / sizeof c[0]; i++) {
    struct ArrowArrayStream stream = {.get_schema = bad_schema,
                                      .get_next = bad_next,
                                      .get_last_error = bad_words,
                                      .private_data = (void *)(uintptr_t)&c[i].bad};
    rdd_schema schema;
    visits v = {0};
    rdd_err err = {0};
    TK_CHECK(rdd_stream_import(&stream, &schema, visit, &v, &err) == c[i].status);
    if (!TK_CHECK(strstr(err.message, c[i].says) != NULL)) printf("# said: %s\n", err.message);
    TK_CHECK(v.seen == 0);
  }
}

/* ---- What is refused ---- */

typedef struct pair {
  struct ArrowSchema schema;
  struct ArrowArray array;
} pair;

static struct ArrowSchema some_schema;
static struct ArrowArray some_array;
static const int32_t FALLING[ROWS + 1] = {0, 3, 2, 4, 5, 6};
static const int32_t NEGATIVE[ROWS + 1] = {-1, 0, 0, 0, 0, 0};
static const uint8_t ROW_3_IS_NULL[] = {0xf7};

static void type_large(pair *p) {
  p->schema.children[4]->format = "U";
}
static void type_timestamp(pair *p) {
  p->schema.children[0]->format = "tsu:UTC";
}
static void type_list(pair *p) {
  p->schema.children[1]->format = "+l";
}
static void type_odd(pair *p) {
  p->schema.children[1]->format = "?";
}
static void type_null(pair *p) {
  p->schema.children[1]->format = NULL;
}
static void type_dictionary(pair *p) {
  p->schema.children[1]->dictionary = &some_schema;
}
static void type_children(pair *p) {
  p->schema.children[3]->n_children = 1;
}
static void name_long(pair *p) {
  p->schema.children[1]->name = "a_name_of_24_characters_";
}
static void not_struct(pair *p) {
  p->schema.format = "l";
}
static void too_many(pair *p) {
  p->schema.n_children = RDD_MAX_COLUMNS + 1;
}
static void too_few(pair *p) {
  p->schema.n_children = -1;
}
static void no_children(pair *p) {
  p->schema.children = NULL;
}
static void fewer_columns(pair *p) {
  p->array.n_children = COLUMNS - 1;
}
static void array_no_children(pair *p) {
  p->array.children = NULL;
}
static void array_no_buffers(pair *p) {
  p->array.buffers = NULL;
}
static void array_length(pair *p) {
  p->array.length = -5;
}
static void array_offset(pair *p) {
  p->array.offset = -1;
}
static void array_huge(pair *p) {
  p->array.length = INT64_MAX;
}
static void array_slice(pair *p) {
  p->array.offset = 1;
}
static void array_overflow(pair *p) {
  p->array.offset = INT64_MAX;
}
static void row_null(pair *p) {
  p->array.null_count = 1;
  p->array.buffers[0] = ROW_3_IS_NULL;
}
static void column_short(pair *p) {
  p->array.children[2]->length = ROWS - 1;
}
static void column_offset(pair *p) {
  p->array.children[2]->offset = INT64_MAX;
}
static void column_count(pair *p) {
  p->array.children[2]->null_count = -2;
}
static void column_buffers(pair *p) {
  p->array.children[4]->n_buffers = 2;
}
static void column_dictionary(pair *p) {
  p->array.children[1]->dictionary = &some_array;
}
static void column_missing(pair *p) {
  p->array.children[3] = NULL;
}
static void column_null(pair *p) {
  p->array.children[1]->null_count = -1;
  p->array.children[1]->buffers[0] = ROW_3_IS_NULL;
}
static void column_claims(pair *p) {
  p->array.children[1]->null_count = 2;
}
static void column_no_values(pair *p) {
  p->array.children[0]->buffers[1] = NULL;
}
static void column_no_offsets(pair *p) {
  p->array.children[4]->buffers[1] = NULL;
}
static void column_no_text(pair *p) {
  p->array.children[4]->buffers[2] = NULL;
}
static void column_unaligned(pair *p) {
  p->array.children[0]->buffers[1] = TEXT + 1 - ((uintptr_t)TEXT & 1);
}
static void column_falling(pair *p) {
  p->array.children[4]->buffers[1] = FALLING;
}
static void column_negative(pair *p) {
  p->array.children[4]->buffers[1] = NEGATIVE;
}

static void what_has_no_place_is_refused(void) {
  static const struct {
    void (*harm)(pair *p);
    const char *says;
  } c[] = {
      {type_large, "column s has Arrow's type large_utf8 (\"U\"): expected int64, int32"},
      {type_timestamp, "column l has Arrow's type timestamp (\"tsu:UTC\")"},
      {type_list, "column i has Arrow's type list (\"+l\")"},
      {type_odd, "column i has Arrow's type unknown (\"?\")"},
      {type_null, "column 1 of an Arrow schema was released or moved away"},
      {type_dictionary, "column i is dictionary-encoded"},
      {type_children, "column d of type float64 has 1 children"},
      {name_long,
       "column a_name_of_24_characters_: a name can have 23 bytes here, and this has 24"},
      {not_struct, "type \"l\" is no batch"},
      {too_many, "9 columns: at most 8 fit"},
      {too_few, "-1 columns"},
      {no_children, "says 5 columns, and has none"},
      {fewer_columns, "an Arrow array has 1 buffers and 4 children: its schema calls for 1 and 5"},
      {array_no_children, "an Arrow array has 1 buffers"},
      {array_no_buffers, "an Arrow array has 1 buffers"},
      {array_length, "an Arrow array of length -5"},
      {array_offset, "an Arrow array of length 5, offset -1"},
      {array_huge, "an Arrow array of length 9223372036854775807"},
      {array_slice, "column l of length 5, offset 0 and null count 0 has no 5 rows from row 1 on"},
      {array_overflow, "an Arrow array of length 5, offset 9223372036854775807"},
      {row_null, "an Arrow array is null in row 3"},
      {column_short, "column f of length 4, offset 0"},
      {column_offset, "column f of length 5, offset 9223372036854775807"},
      {column_count, "column f of length 5, offset 0 and null count -2"},
      {column_buffers, "column s has 2 buffers and 0 children: its schema calls for 3 and 0"},
      {column_dictionary, "column i is dictionary-encoded, and its schema does not say so"},
      {column_missing, "column d was released or moved away"},
      {column_null, "column i is null in row 3"},
      {column_claims, "column i tells of 2 nulls, and has no bitmap"},
      {column_no_values, "column l has rows, and a buffer that is NULL"},
      {column_no_offsets, "column s has rows, and a buffer that is NULL"},
      {column_no_text, "column s has rows, and a buffer that is NULL"},
      {column_unaligned, "column l: a buffer of values of 8 bytes is unaligned"},
      {column_falling, "column s: offset 2 of row 1 is below its predecessor 3"},
      {column_negative, "column s: its first offset is -1"},
  };
  for (size_t i = 0; i < sizeof c / sizeof c[0]; i++) {
    pair p;
    int released = 0;
    rdd_import import = {0};
    rdd_err err = {0};
    export_five(&released, &p.schema, &p.array);
    struct ArrowArray *kept = p.array.children[3], whole = p.array;
    struct ArrowSchema schema = p.schema;
    c[i].harm(&p);
    TK_CHECK(rdd_batch_import(&p.schema, &p.array, &import, &err) == RDD_EDATA);
    if (!TK_CHECK(strstr(err.message, c[i].says) != NULL))
      printf("# wanted: %s; said: %s\n", c[i].says, err.message);
    TK_CHECK(!import.array.release && p.array.release && released == 0); /* still ours */
    whole.children[3] = kept;
    for (int f = 0; f < COLUMNS; f++) schema.children[f]->n_children = 0;
    whole.release(&whole);
    schema.release(&schema);
    TK_CHECK(released == 1);
  }
}

static void what_was_released_is_refused(void) {
  struct ArrowSchema schema, gone;
  struct ArrowArray array;
  rdd_import import;
  rdd_err err;
  int released = 0;
  export_five(&released, &schema, &array);
  gone = schema;
  gone.release = NULL;
  TK_CHECK(rdd_batch_import(&gone, &array, &import, &err) == RDD_EDATA);
  array.children[2]->release(array.children[2]);
  TK_CHECK(rdd_batch_import(&schema, &array, &import, &err) == RDD_EDATA);
  TK_CHECK(strstr(err.message, "column f was released") != NULL);
  array.release(&array);
  TK_CHECK(rdd_batch_import(&schema, &array, &import, &err) == RDD_EDATA);
  schema.release(&schema);
}

/* Row `null` is null, of `n` bits; rows [first, first + rows) are imported. */
static bool imports_without(int64_t null, int64_t n, int64_t first, int64_t rows) {
  static int64_t values[100];
  uint8_t bitmap[16];
  rdd_schema schema = {0};
  rdd_batch batch = {.rows = n, .column = {{.values = values}}};
  struct ArrowSchema theirs;
  struct ArrowArray array;
  rdd_import import = {0};
  rdd_err err;
  rdd_schema_add(&schema, "n", RDD_INT64);
  TK_OK(rdd_batch_export(&batch, &schema, NULL, NULL, &theirs, &array, &err), &err);
  memset(bitmap, 0xff, sizeof bitmap);
  if (null >= 0) bitmap[null / 8] ^= (uint8_t)(1 << null % 8);
  array.children[0]->buffers[0] = bitmap;
  array.children[0]->null_count = -1;
  array.children[0]->offset = first / 2; /* some of the slice is the child's, some the parent's */
  array.offset = first - first / 2;
  array.length = rows;
  array.children[0]->length = n - first / 2;
  bool ok = rdd_batch_import(&theirs, &array, &import, &err) == RDD_OK;
  if (ok) TK_CHECK(import.batch.column[0].values == values + first || rows == 0);
  if (array.release) array.release(&array);
  rdd_import_release(&import);
  theirs.release(&theirs);
  return ok;
}

static void bitmaps_are_read_where_rows_are(void) {
  enum { N = 100 };
  int64_t wrong = 0;
  for (int64_t first = 0; first < N; first += 7)
    for (int64_t rows = 0; rows <= N - first; rows += 5)
      for (int64_t null = -1; null < N; null += 3) {
        bool inside = null >= first && null < first + rows;
        wrong += imports_without(null, N, first, rows) == inside;
      }
  TK_CHECK(wrong == 0);
}

static void bad_batches_are_not_exported(void) {
  struct ArrowSchema schema = {0};
  struct ArrowArray array = {0};
  rdd_schema ours = all_types();
  rdd_batch no_values = five_rows(), no_offsets = five_rows(), negative = {.rows = -1};
  rdd_batch no_text = five_rows();
  const int32_t all_empty[ROWS + 1] = {0};
  rdd_err err;
  no_values.column[3].values = NULL;
  no_offsets.column[4].offsets = NULL;
  no_text.column[4].values = NULL;
  TK_CHECK(rdd_batch_export(&no_values, &ours, NULL, NULL, &schema, &array, &err) == RDD_EINTERNAL);
  TK_CHECK(strstr(err.message, "column d") != NULL);
  TK_CHECK(rdd_batch_export(&no_offsets, &ours, NULL, NULL, &schema, &array, &err) ==
           RDD_EINTERNAL);
  TK_CHECK(rdd_batch_export(&no_text, &ours, NULL, NULL, &schema, &array, &err) == RDD_EINTERNAL);
  TK_CHECK(rdd_batch_export(&negative, &ours, NULL, NULL, &schema, &array, &err) == RDD_EINTERNAL);
  TK_CHECK(!schema.release && !array.release);
  no_text.column[4].offsets = all_empty; /* texts without any byte need no bytes */
  TK_OK(rdd_batch_export(&no_text, &ours, NULL, NULL, NULL, &array, &err), &err);
  TK_CHECK(array.children[4]->buffers[2]);
  array.release(&array);
}

static void allocations_may_fail(void) {
  rdd_schema schema = all_types();
  rdd_batch batch = five_rows();
  struct ArrowSchema theirs = {0};
  struct ArrowArray array = {0};
  struct ArrowArrayStream stream = {0};
  int released = 0;
  rdd_err err;
  for (int n = 1; n <= 2; n++) {
    rdd_memory_fail_at(n);
    TK_CHECK(rdd_batch_export(&batch, &schema, count_release, &released, &theirs, &array, &err) ==
             RDD_ENOMEM);
    TK_CHECK(!theirs.release && !array.release && released == 0);
  }
  rdd_part part = three_batches(&schema);
  rdd_memory_fail_at(1);
  TK_CHECK(rdd_part_export(&part, &schema, &stream, &err) == RDD_ENOMEM);
  TK_CHECK(part.batches == 3 && !stream.release); /* the part is still ours */
  TK_OK(rdd_part_export(&part, &schema, &stream, &err), &err);
  rdd_memory_fail_at(1);
  TK_CHECK(stream.get_schema(&stream, &theirs) == ENOMEM);
  TK_CHECK(strstr(stream.get_last_error(&stream), "no memory to export a schema") != NULL);
  rdd_memory_fail_at(1);
  TK_CHECK(stream.get_next(&stream, &array) == ENOMEM);
  TK_CHECK(strstr(stream.get_last_error(&stream), "no memory to export a batch") != NULL);
  TK_CHECK(stream.get_next(&stream, &array) == 0 && array.length == ROWS); /* no batch is lost */
  stream.release(&stream);
  array.release(&array);
}

int main(void) {
  static const tk_case cases[] = {
      {"the structs are those of the ABI", structs_are_the_abi},
      {"what is exported is what there is", what_is_exported_is_what_there_is},
      {"what is exported can be imported", what_is_exported_can_be_imported},
      {"a batch without rows", no_rows},
      {"slices are views", slices_are_views},
      {"children may move out", children_move_out},
      {"children may go before their parent", children_go_before_their_parent},
      {"any thread may release", any_thread_may_release},
      {"a partition is a stream", a_partition_is_a_stream},
      {"a stream may be left", a_stream_may_be_left},
      {"streams are imported", streams_are_imported},
      {"errors of streams are told", errors_of_streams_are_told},
      {"what has no place in a batch is refused", what_has_no_place_is_refused},
      {"what was released is refused", what_was_released_is_refused},
      {"bitmaps are read where the rows are", bitmaps_are_read_where_rows_are},
      {"bad batches are not exported", bad_batches_are_not_exported},
      {"allocations may fail", allocations_may_fail},
  };
  return tk_main("rdd_arrow", cases, sizeof cases / sizeof cases[0]);
}
