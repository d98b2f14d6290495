/* What one step of a pipeline does with one batch: the vectorised map, and those built on it. */
#include "rdd/hash.h"
#include "rdd/memory.h"
#include "rdd/rdd_impl.h"
#include "rdd/row.h"

#include <string.h>

rdd_status rdd_step_batches(rdd_step *step, rdd_task *task, const rdd_batch *in, rdd_batch *out,
                            rdd_err *err) {
  return step->node->compute.batch(step->node->compute.arg, in, task, out, err);
}

/* ---- Some of the rows ---- */

rdd_status rdd_take_rows(rdd_task *task, const rdd_schema *schema, const rdd_batch *in,
                         const int32_t *row, int64_t n, rdd_batch *out, rdd_err *err) {
  rdd_status st = RDD_OK;
  for (int c = 0; c < schema->columns && !st; c++)
    st = rdd_task_take(task, schema->field[c].type, &in->column[c], row, n, &out->column[c], err);
  out->rows = n;
  return st;
}

static rdd_status no_scratch(const rdd *node, int64_t rows, rdd_err *err) {
  return rdd_set(err, RDD_ENOMEM, "no memory for %lld rows of %s", (long long)rows, node->name);
}

/* Row numbers have 32 bits here, as in the offsets of text. */
static rdd_status too_long(const rdd *node, int64_t rows, rdd_err *err) {
  return rdd_set(err, RDD_EINTERNAL, "a batch of %lld rows comes to %s: expected at most %d",
                 (long long)rows, node->name, INT32_MAX);
}

static rdd_status keep_rows(const rdd *node, rdd_task *task, const rdd_batch *in,
                            const uint8_t *keep, rdd_batch *out, rdd_err *err) {
  int32_t *row = rdd_task_scratch(task, (size_t)in->rows, sizeof *row);
  if (!row) return no_scratch(node, in->rows, err);
  int64_t n = 0;
  for (int64_t i = 0; i < in->rows; i++) {
    row[n] = (int32_t)i;
    n += keep[i] != 0;
  }
  if (n == in->rows) {
    *out = *in;
    return RDD_OK;
  }
  return rdd_take_rows(task, &node->schema, in, row, n, out, err);
}

rdd_status rdd_step_filter(rdd_step *step, rdd_task *task, const rdd_batch *in, rdd_batch *out,
                           rdd_err *err) {
  const rdd *node = step->node;
  if (in->rows > INT32_MAX) return too_long(node, in->rows, err);
  uint8_t *keep = rdd_task_scratch(task, (size_t)in->rows, 1);
  if (!keep) return no_scratch(node, in->rows, err);
  memset(keep, 0, (size_t)in->rows);
  rdd_status st = node->compute.keep(node->compute.arg, in, task, keep, err);
  return st ? st : keep_rows(node, task, in, keep, out, err);
}

rdd_status rdd_step_sample(rdd_step *step, rdd_task *task, const rdd_batch *in, rdd_batch *out,
                           rdd_err *err) {
  const rdd *node = step->node;
  if (in->rows > INT32_MAX) return too_long(node, in->rows, err);
  uint8_t *keep = rdd_task_scratch(task, (size_t)in->rows, 1);
  if (!keep) return no_scratch(node, in->rows, err);
  uint64_t key = rdd_mix64_2(node->compute.seed, (uint64_t)step->partition);
  for (int64_t i = 0; i < in->rows; i++)
    keep[i] = rdd_uniform(rdd_mix64_2(key, (uint64_t)(step->rows + i))) < node->compute.fraction;
  return keep_rows(node, task, in, keep, out, err);
}

/* ---- Dealing ---- */

int64_t rdd_partition_of(const rdd_partitioner *by, rdd_type type, const rdd_column *key,
                         int64_t row) {
  uint64_t hash;
  if (type == RDD_UTF8) {
    int32_t begin = key->offsets[row], end = key->offsets[row + 1];
    hash = rdd_hash_bytes((const char *)key->values + begin, (size_t)(end - begin));
  } else {
    int64_t value = type == RDD_INT64 ? ((const int64_t *)key->values)[row]
                                      : ((const int32_t *)key->values)[row];
    hash = by->direct ? (uint64_t)value : rdd_mix64((uint64_t)value);
  }
  return (int64_t)(hash % (uint64_t)by->partitions); /* unsigned, so negative keys are no matter */
}

/* ---- Rows one at a time ---- */

struct rdd_row {
  const rdd_schema *schema;
  const rdd_batch *batch;
  int64_t at;
  rdd_rows *out; /* whose error it is when the row is read wrongly */
};

/* A batch under construction. A column's buffers grow, and are used again for the next batch. */
typedef struct made_column {
  char *values;
  int32_t *offsets;
  int64_t bytes; /* of values; of the row at hand too */
  int64_t room, row_room;
} made_column;

struct rdd_rows {
  const rdd_schema *schema;
  int64_t rows;
  made_column column[RDD_MAX_COLUMNS];
  rdd_status status;
  rdd_err err;
};

static void wrong_column(rdd_rows *rows, const rdd_schema *schema, int column, const char *wanted) {
  if (rows->status) return;
  bool there = column >= 0 && column < schema->columns;
  rows->status = rdd_set(&rows->err, RDD_EINTERNAL, "column %d of a row is %s, and was used as %s",
                         column, there ? rdd_type_name(schema->field[column].type) : "not there",
                         wanted);
}

/* The column's type, or -1 where there is no such column. */
static int type_of(const rdd_schema *schema, int column) {
  return column >= 0 && column < schema->columns ? (int)schema->field[column].type : -1;
}

int64_t rdd_row_int(const rdd_row *row, int column) {
  int type = type_of(row->schema, column);
  if (type == RDD_INT64) return ((const int64_t *)row->batch->column[column].values)[row->at];
  if (type == RDD_INT32) return ((const int32_t *)row->batch->column[column].values)[row->at];
  wrong_column(row->out, row->schema, column, "an integer");
  return 0;
}

double rdd_row_float(const rdd_row *row, int column) {
  int type = type_of(row->schema, column);
  if (type == RDD_FLOAT64) return ((const double *)row->batch->column[column].values)[row->at];
  if (type == RDD_FLOAT32)
    return (double)((const float *)row->batch->column[column].values)[row->at];
  wrong_column(row->out, row->schema, column, "a float");
  return 0;
}

const char *rdd_row_text(const rdd_row *row, int column, int32_t *length_out) {
  *length_out = 0;
  if (type_of(row->schema, column) != RDD_UTF8) {
    wrong_column(row->out, row->schema, column, "text");
    return "";
  }
  const rdd_column *c = &row->batch->column[column];
  *length_out = c->offsets[row->at + 1] - c->offsets[row->at];
  return (const char *)c->values + c->offsets[row->at];
}

/* Make a buffer hold `need` bytes. */
static bool grow(void *buffer, int64_t *room, int64_t need) {
  void **p = buffer;
  if (need <= *room) return true;
  int64_t larger = *room ? *room : 4096;
  while (larger < need) larger *= 2;
  void *moved = rdd_realloc(*p, (size_t)larger, 1);
  if (!moved) return false;
  *p = moved;
  *room = larger;
  return true;
}

/* Room for the row at hand, of zeros and no text. */
static void begin_row(rdd_rows *rows) {
  for (int c = 0; c < rows->schema->columns && !rows->status; c++) {
    made_column *m = &rows->column[c];
    int64_t size = (int64_t)rdd_type_size(rows->schema->field[c].type);
    bool ok;
    if (rows->schema->field[c].type == RDD_UTF8) {
      ok = grow(&m->offsets, &m->row_room, (rows->rows + 2) * (int64_t)sizeof *m->offsets) &&
           grow(&m->values, &m->room, 1);
      if (ok) m->offsets[rows->rows] = m->offsets[rows->rows + 1] = (int32_t)m->bytes;
    } else {
      ok = grow(&m->values, &m->room, (rows->rows + 1) * size);
      if (ok) memset(m->values + rows->rows * size, 0, (size_t)size);
    }
    if (!ok)
      rows->status = rdd_set(&rows->err, RDD_ENOMEM, "no memory for row %lld of a batch",
                             (long long)rows->rows);
  }
}

void rdd_rows_set_int(rdd_rows *rows, int column, int64_t value) {
  int type = type_of(rows->schema, column);
  if (type != RDD_INT64 && type != RDD_INT32)
    wrong_column(rows, rows->schema, column, "an integer");
  if (type == RDD_INT32 && (value < INT32_MIN || value > INT32_MAX) && !rows->status)
    rows->status = rdd_set(&rows->err, RDD_EDATA, "%lld does not fit the int32 column %s",
                           (long long)value, rows->schema->field[column].name);
  if (rows->status) return;
  char *values = rows->column[column].values;
  if (type == RDD_INT64)
    ((int64_t *)(void *)values)[rows->rows] = value;
  else
    ((int32_t *)(void *)values)[rows->rows] = (int32_t)value;
}

void rdd_rows_set_float(rdd_rows *rows, int column, double value) {
  int type = type_of(rows->schema, column);
  if (type != RDD_FLOAT64 && type != RDD_FLOAT32)
    wrong_column(rows, rows->schema, column, "a float");
  if (rows->status) return;
  char *values = rows->column[column].values;
  if (type == RDD_FLOAT64)
    ((double *)(void *)values)[rows->rows] = value;
  else
    ((float *)(void *)values)[rows->rows] = (float)value;
}

void rdd_rows_set_text(rdd_rows *rows, int column, const char *text, int32_t length) {
  if (type_of(rows->schema, column) != RDD_UTF8) wrong_column(rows, rows->schema, column, "text");
  if (rows->status) return;
  made_column *m = &rows->column[column];
  int64_t begin = m->offsets[rows->rows], end = begin + length; /* set twice: the last one counts */
  if (end > INT32_MAX || length < 0)
    rows->status = rdd_set(&rows->err, RDD_EDATA,
                           "the text of a batch in column %s is longer than %d bytes",
                           rows->schema->field[column].name, INT32_MAX);
  else if (!grow(&m->values, &m->room, end))
    rows->status = rdd_set(&rows->err, RDD_ENOMEM, "no memory for %lld bytes of text",
                           (long long)end);
  if (rows->status) return;
  memcpy(m->values + begin, text, (size_t)length);
  m->bytes = end;
  m->offsets[rows->rows + 1] = (int32_t)end;
}

void rdd_rows_next(rdd_rows *rows) {
  if (rows->status) return;
  rows->rows++;
  begin_row(rows);
}

/* Call the row function on each row; in rdd_map() it makes one row of each. */
static rdd_status by_row(rdd_step *step, const rdd_batch *in, bool one, rdd_batch *out,
                         rdd_err *err) {
  const rdd *node = step->node;
  if (!step->made) step->made = rdd_calloc(1, sizeof *step->made);
  rdd_rows *made = step->made;
  if (!made) return no_scratch(node, in->rows, err);
  made->schema = &node->schema;
  made->rows = 0;
  for (int c = 0; c < node->schema.columns; c++) made->column[c].bytes = 0;
  begin_row(made);
  rdd_row row = {.schema = &node->dep[0].parent->schema, .batch = in, .out = made};
  rdd_status st = made->status;
  for (; row.at < in->rows && !st; row.at++) {
    st = node->compute.row(node->compute.arg, &row, made, err);
    if (one) rdd_rows_next(made);
    if (!st && made->status) {
      *err = made->err;
      st = made->status;
    }
  }
  if (st) return st;
  out->rows = made->rows;
  for (int c = 0; c < node->schema.columns; c++)
    out->column[c] = (rdd_column){.values = made->column[c].values,
                                  .offsets = made->column[c].offsets};
  return RDD_OK;
}

rdd_status rdd_step_map(rdd_step *step, rdd_task *task, const rdd_batch *in, rdd_batch *out,
                        rdd_err *err) {
  (void)task;
  return by_row(step, in, true, out, err);
}

rdd_status rdd_step_flat_map(rdd_step *step, rdd_task *task, const rdd_batch *in, rdd_batch *out,
                             rdd_err *err) {
  (void)task;
  return by_row(step, in, false, out, err);
}
