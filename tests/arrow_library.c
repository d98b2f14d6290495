/* A shared library for arrow_pyarrow.py: a real RDD on one rank (source, map_batches, compute in
 * forked tasks, sealed partitions), exported through the Arrow C Data Interface; what comes back is
 * imported and looked at. Row n of partition p, n = 1,000,000 p + 0, 1, ..., is
 *
 *   n       int64     n                      x     float32  n / 2
 *   key     int32     n mod 17 - 8           y     float64  n / 3
 *   word    utf8      "" for every fifth n, else "é" and n
 *
 * Functions that may fail return NULL or what is wrong. */
#include "rdd/arrow.h"
#include "rdd/memory.h"
#include "rdd/rdd.h"

#include <stdio.h>
#include <string.h>

enum { COLUMNS = 5, BATCH = 16384, PARTITION = 1000000, WORD = 16 };

const char *host_open(int64_t partitions, int64_t rows);
int64_t host_batches(int64_t p);
uintptr_t host_address(int64_t p, int64_t b, int column, bool offsets);
const char *host_batch(int64_t p, int64_t b, struct ArrowSchema *, struct ArrowArray *);
const char *host_stream(int64_t p, struct ArrowArrayStream *);
int64_t host_lent(void);
const char *host_take(struct ArrowSchema *, struct ArrowArray *, int64_t n, int64_t rows,
                         const uintptr_t *address);
const char *host_take_stream(struct ArrowArrayStream *, int64_t n, int64_t rows);
void host_close(void);
int64_t host_live(void);

static struct {
  rdd_comm *comm;
  rdd *words;
  rdd_parts *parts;
  int64_t rows; /* of each partition */
  int lent;     /* batches that were exported and not released */
  rdd_err err;
} host;

static const char *said(rdd_status st) {
  return st ? host.err.message : NULL;
}

/* ---- The rows ---- */

static rdd_schema schema_of_numbers(void) {
  rdd_schema schema = {0};
  rdd_schema_add(&schema, "n", RDD_INT64);
  return schema;
}

static rdd_schema schema_of_words(void) {
  rdd_schema schema = schema_of_numbers();
  rdd_schema_add(&schema, "key", RDD_INT32);
  rdd_schema_add(&schema, "x", RDD_FLOAT32);
  rdd_schema_add(&schema, "y", RDD_FLOAT64);
  rdd_schema_add(&schema, "word", RDD_UTF8);
  return schema;
}

static int word_of(int64_t n, char word[WORD]) {
  return n % 5 == 0 ? 0 : snprintf(word, WORD, "é%lld", (long long)n);
}

static rdd_status make_numbers(void *arg, int64_t partition, rdd_task *task, rdd_err *err) {
  const int64_t rows = *(const int64_t *)arg;
  for (int64_t first = 0; first < rows; first += BATCH) {
    rdd_batch batch = {.rows = rows - first < BATCH ? rows - first : BATCH};
    int64_t *n = rdd_task_scratch(task, BATCH, sizeof *n);
    if (!n) return rdd_set(err, RDD_ENOMEM, "no memory for a batch of %d numbers", BATCH);
    for (int64_t i = 0; i < batch.rows; i++) n[i] = PARTITION * partition + first + i;
    batch.column[0].values = n;
    rdd_status st = rdd_task_emit(task, &batch, err);
    if (st) return st;
  }
  return RDD_OK;
}

static rdd_status make_words(void *arg, const rdd_batch *in, rdd_task *task, rdd_batch *out,
                             rdd_err *err) {
  const int64_t *n = in->column[0].values;
  size_t rows = (size_t)in->rows;
  int32_t *key = rdd_task_scratch(task, rows, sizeof *key);
  float *x = rdd_task_scratch(task, rows, sizeof *x);
  double *y = rdd_task_scratch(task, rows, sizeof *y);
  int32_t *offsets = rdd_task_scratch(task, rows + 1, sizeof *offsets);
  char *text = rdd_task_scratch(task, rows, WORD);
  (void)arg;
  if (!key || !x || !y || !offsets || !text)
    return rdd_set(err, RDD_ENOMEM, "no memory for a batch of %zu words", rows);
  offsets[0] = 0;
  for (size_t i = 0; i < rows; i++) {
    key[i] = (int32_t)(n[i] % 17 - 8);
    x[i] = (float)n[i] / 2;
    y[i] = (double)n[i] / 3;
    offsets[i + 1] = offsets[i] + word_of(n[i], text + offsets[i]);
  }
  *out = (rdd_batch){.rows = in->rows,
                     .column = {{.values = n},
                                {.values = key},
                                {.values = x},
                                {.values = y},
                                {.values = text, .offsets = offsets}}};
  return RDD_OK;
}

const char *host_open(int64_t partitions, int64_t rows) {
  rdd_schema numbers_schema = schema_of_numbers(), words_schema = schema_of_words();
  rdd_run_opts opts = {.slots = 2};
  rdd_err *err = &host.err;
  rdd *numbers = NULL;
  host.rows = rows;
  rdd_status st = rdd_comm_single(&host.comm, err);
  if (!st)
    st = rdd_source(&numbers, "numbers", partitions, &numbers_schema, make_numbers, &host.rows,
                    err);
  if (!st)
    st = rdd_map_batches(&host.words, numbers, "words", &words_schema, make_words, NULL, err);
  if (!st) st = rdd_compute(host.words, host.comm, &opts, &host.parts, NULL, err);
  rdd_release(numbers);
  return said(st);
}

void host_close(void) {
  rdd_parts_free(host.parts);
  rdd_release(host.words);
  rdd_comm_close(host.comm);
  host.parts = NULL;
  host.words = NULL;
  host.comm = NULL;
}

int64_t host_live(void) {
  return rdd_memory_live();
}

/* ---- Out ---- */

int64_t host_batches(int64_t p) {
  return host.parts->part[p].batches;
}

uintptr_t host_address(int64_t p, int64_t b, int column, bool offsets) {
  const rdd_column *c = &host.parts->part[p].batch[b].column[column];
  return (uintptr_t)(offsets ? (const void *)c->offsets : c->values);
}

static void give_back(void *owner) {
  __atomic_sub_fetch((int *)owner, 1, __ATOMIC_SEQ_CST);
}

/* One batch; the partition stays here. */
const char *host_batch(int64_t p, int64_t b, struct ArrowSchema *schema,
                          struct ArrowArray *array) {
  rdd_status st = rdd_batch_export(&host.parts->part[p].batch[b], &host.parts->schema,
                                   give_back, &host.lent, schema, array, &host.err);
  if (!st) __atomic_add_fetch(&host.lent, 1, __ATOMIC_SEQ_CST);
  return said(st);
}

int64_t host_lent(void) {
  return __atomic_load_n(&host.lent, __ATOMIC_SEQ_CST);
}

/* The partition itself, which is gone from here. */
const char *host_stream(int64_t p, struct ArrowArrayStream *stream) {
  return said(
      rdd_part_export(&host.parts->part[p], &host.parts->schema, stream, &host.err));
}

/* ---- In ---- */

/* Are they the rows from n on? */
static rdd_status check_rows(const rdd_schema *schema, const rdd_batch *batch, int64_t n,
                             rdd_err *err) {
  rdd_schema ours = schema_of_words();
  for (int c = 0; c < COLUMNS; c++)
    if (schema->columns != COLUMNS || schema->field[c].type != ours.field[c].type ||
        strcmp(schema->field[c].name, ours.field[c].name) != 0)
      return rdd_set(err, RDD_EINTERNAL, "column %d of %d is not %s", c, schema->columns,
                     ours.field[c].name);
  const rdd_column *column = batch->column;
  const int32_t *offsets = column[4].offsets;
  for (int64_t i = 0; i < batch->rows; i++, n++) {
    char word[WORD];
    int bytes = word_of(n, word);
    if (((const int64_t *)column[0].values)[i] != n ||
        ((const int32_t *)column[1].values)[i] != (int32_t)(n % 17 - 8) ||
        ((const float *)column[2].values)[i] != (float)n / 2 ||
        ((const double *)column[3].values)[i] != (double)n / 3 ||
        offsets[i + 1] - offsets[i] != bytes ||
        memcmp((const char *)column[4].values + offsets[i], word, (size_t)bytes) != 0)
      return rdd_set(err, RDD_EINTERNAL, "row %lld is not that of n = %lld", (long long)i,
                     (long long)n);
  }
  return RDD_OK;
}

/* Rows n, n + 1, ...; their values are at `address`, those of the text's offsets last. What is
 * refused is released here. */
const char *host_take(struct ArrowSchema *schema, struct ArrowArray *array, int64_t n,
                         int64_t rows, const uintptr_t *address) {
  rdd_import import = {0};
  rdd_err *err = &host.err;
  rdd_status st = rdd_batch_import(schema, array, &import, err);
  schema->release(schema);
  if (st) {
    array->release(array);
    return said(st);
  }
  if (import.batch.rows != rows)
    st = rdd_set(err, RDD_EINTERNAL, "%lld rows came, not %lld", (long long)import.batch.rows,
                 (long long)rows);
  if (!st) st = check_rows(&import.schema, &import.batch, n, err);
  for (int c = 0; c <= COLUMNS && !st; c++) {
    const void *at = c < COLUMNS ? import.batch.column[c].values : import.batch.column[4].offsets;
    if ((uintptr_t)at != address[c])
      st = rdd_set(err, RDD_EINTERNAL, "buffer %d is at %p, not at %p", c, at, (void *)address[c]);
  }
  rdd_import_release(&import);
  return said(st);
}

/* The rows that a stream is to have still. */
typedef struct expected {
  int64_t n, rows;
} expected;

static rdd_status take_batch(void *arg, rdd_import *import, rdd_err *err) {
  expected *e = arg;
  rdd_status st = check_rows(&import->schema, &import->batch, e->n, err);
  e->n += import->batch.rows;
  e->rows -= import->batch.rows;
  return st;
}

const char *host_take_stream(struct ArrowArrayStream *stream, int64_t n, int64_t rows) {
  expected e = {.n = n, .rows = rows};
  rdd_schema schema;
  rdd_status st = rdd_stream_import(stream, &schema, take_batch, &e, &host.err);
  stream->release(stream);
  if (!st && e.rows != 0)
    st = rdd_set(&host.err, RDD_EINTERNAL, "%lld rows are missing", (long long)e.rows);
  return said(st);
}
