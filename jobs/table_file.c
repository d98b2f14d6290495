/* Writing rows to CSV or HDF5. See table_file.h.
 *
 * Both sinks buffer: text up to a megabyte, columns up to a few chunks of the datasets, which threads
 * compress side by side and one writes in order. So the bytes of a file depend on its rows alone, never on
 * how they were cut into batches, or on the threads. */
#include "jobs/table_file.h"
#include "jobs/dictionary.h"
#include "jobs/h5.h"
#include "jobs/h5_chunk.h"
#include "jobs/number.h"
#include "jobs/output.h"
#include "jobs/threads.h"
#include "rdd/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  CHUNK_ROWS = 65536,
  CHUNK_ROOM = CHUNK_ROWS * 8 + JOB_H5_CHECKSUM_BYTES, /* bytes, of the widest column */
  MOST_THREADS = 8, /* what one thread has to do takes an eighth of what they share */
  DICTIONARY_SLAB = 4096,
  TEXT_BYTES = 1 << 20,
};

/* What the numbers of one column came to, for `als info`; NaN does not count. */
typedef struct column_range {
  int64_t n;
  int64_t int_min, int_max;
  double min, max, sum;
} column_range;

typedef struct text_sink {
  int fd; /* -1: closed */
  char delimiter;
  char *buffer;
  size_t used;
} text_sink;

/* A chunk of one column, and its share of what is told of the column. */
typedef struct piece {
  job_h5_chunk chunk;
  column_range range;
} piece;

typedef struct h5_sink {
  hid_t file, group; /* file < 0: this table is text */
  hid_t dataset[RDD_MAX_COLUMNS];
  int threads;
  int64_t room;                   /* rows, of whole chunks */
  void *pending[RDD_MAX_COLUMNS]; /* [room] rows that wait */
  int64_t n_pending, written;
  piece *pieces;                       /* [room / CHUNK_ROWS][columns] */
  unsigned char *chunk_room, *scratch; /* of all pieces, of all threads: CHUNK_ROOM each */
  column_range range[RDD_MAX_COLUMNS];
} h5_sink;

struct job_table_file {
  job_output *output;
  char *path; /* the final one, for messages */
  rdd_schema schema;
  job_table_spec spec;
  int64_t rows;
  job_dictionary *dictionary[RDD_MAX_COLUMNS]; /* of id columns, and of text that goes to HDF5 */
  text_sink text;
  h5_sink h5;
};

static bool is_hdf5(const char *path) {
  return job_path_ends(path, ".h5") || job_path_ends(path, ".hdf5");
}

/* ---- Text ---- */

static rdd_status text_flush(job_table_file *f, rdd_err *err) {
  text_sink *t = &f->text;
  for (size_t at = 0; at < t->used;) {
    ssize_t n = write(t->fd, t->buffer + at, t->used - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return rdd_set(err, RDD_EIO, "%s: cannot be written: %s", f->path, strerror(errno));
    at += (size_t)n;
  }
  t->used = 0;
  return RDD_OK;
}

/* Append bytes, flushing as the buffer fills. */
static rdd_status text_bytes(job_table_file *f, const char *bytes, size_t n, rdd_err *err) {
  text_sink *t = &f->text;
  while (n > 0) {
    if (t->used == TEXT_BYTES) {
      rdd_status st = text_flush(f, err);
      if (st) return st;
    }
    size_t room = TEXT_BYTES - t->used, part = n < room ? n : room;
    memcpy(t->buffer + t->used, bytes, part);
    t->used += part;
    bytes += part;
    n -= part;
  }
  return RDD_OK;
}

static bool needs_quotes(const char *text, size_t n, char delimiter) {
  if (n == 0) return true; /* or a line of one empty field would be an empty line */
  if (text[0] == ' ' || text[0] == '\t' || text[n - 1] == ' ' || text[n - 1] == '\t') return true;
  for (size_t i = 0; i < n; i++)
    if (text[i] == delimiter || text[i] == '"' || text[i] == '\n' || text[i] == '\r') return true;
  return false;
}

static rdd_status text_field(job_table_file *f, const char *text, size_t n, rdd_err *err) {
  if (!needs_quotes(text, n, f->text.delimiter)) return text_bytes(f, text, n, err);
  rdd_status st = text_bytes(f, "\"", 1, err);
  while (n > 0 && !st) {
    const char *quote = memchr(text, '"', n);
    size_t part = quote ? (size_t)(quote - text) + 1 : n;
    st = text_bytes(f, text, part, err);
    if (quote && !st) st = text_bytes(f, "\"", 1, err);
    text += part;
    n -= part;
  }
  return st ? st : text_bytes(f, "\"", 1, err);
}

static rdd_status text_header(job_table_file *f, rdd_err *err) {
  rdd_status st = RDD_OK;
  for (int c = 0; c < f->schema.columns && !st; c++) {
    if (c > 0) st = text_bytes(f, &f->text.delimiter, 1, err);
    if (!st) st = text_field(f, f->schema.field[c].name, strlen(f->schema.field[c].name), err);
  }
  return st ? st : text_bytes(f, "\n", 1, err);
}

static char *put_number(char *at, rdd_type type, const rdd_column *column, int64_t row) {
  switch (type) {
  case RDD_INT64:
    return job_put_int(at, ((const int64_t *)column->values)[row]);
  case RDD_INT32:
    return job_put_int(at, ((const int32_t *)column->values)[row]);
  case RDD_FLOAT32:
    return job_put_float(at, ((const float *)column->values)[row]);
  default:
    return job_put_double(at, ((const double *)column->values)[row]);
  }
}

static rdd_status text_append(job_table_file *f, const rdd_batch *batch, rdd_err *err) {
  text_sink *t = &f->text;
  int columns = f->schema.columns;
  for (int64_t row = 0; row < batch->rows; row++) {
    for (int c = 0; c < columns; c++) {
      const rdd_column *column = &batch->column[c];
      rdd_status st = RDD_OK;
      if (f->schema.field[c].type == RDD_UTF8) {
        int32_t begin = column->offsets[row], end = column->offsets[row + 1];
        st = text_field(f, (const char *)column->values + begin, (size_t)(end - begin), err);
        if (st) return st;
      }
      if (t->used > TEXT_BYTES - JOB_NUMBER_BYTES) st = text_flush(f, err);
      if (st) return st;
      char *at = t->buffer + t->used;
      if (f->schema.field[c].type != RDD_UTF8)
        at = put_number(at, f->schema.field[c].type, column, row);
      *at++ = c + 1 < columns ? t->delimiter : '\n';
      t->used = (size_t)(at - t->buffer);
    }
  }
  return RDD_OK;
}

static rdd_status text_open(job_table_file *f, rdd_err *err) {
  f->text.delimiter = job_path_ends(f->path, ".tsv") ? '\t' : ',';
  f->text.buffer = rdd_alloc(TEXT_BYTES, 1);
  if (!f->text.buffer) return rdd_set(err, RDD_ENOMEM, "%s: out of memory", f->path);
  f->text.fd = open(job_output_path(f->output), O_WRONLY | O_TRUNC | O_CLOEXEC);
  if (f->text.fd < 0)
    return rdd_set(err, RDD_EIO, "%s: cannot be written: %s", f->path, strerror(errno));
  return text_header(f, err);
}

static rdd_status text_finish(job_table_file *f, rdd_err *err) {
  rdd_status st = text_flush(f, err);
  int fd = f->text.fd;
  f->text.fd = -1;
  if (close(fd) != 0 && !st) /* network file systems say here that the disk is full */
    st = rdd_set(err, RDD_EIO, "%s: cannot be written: %s", f->path, strerror(errno));
  return st;
}

/* ---- HDF5 ---- */

/* Text is stored as codes. */
static rdd_type stored_type(rdd_type type) {
  return type == RDD_UTF8 ? RDD_INT64 : type;
}

static size_t stored_size(rdd_type type) {
  return rdd_type_size(stored_type(type));
}

/* The dataset of a column bears its name, but a rating of /ratings is its value. */
static const char *dataset_name(const job_table_file *f, int c) {
  const char *name = f->schema.field[c].name;
  return !strcmp(f->spec.group, "/ratings") && !strcmp(name, "rating") ? "value" : name;
}

static rdd_status h5_reserve(job_table_file *f, rdd_err *err) {
  h5_sink *h = &f->h5;
  int wanted = f->spec.threads < MOST_THREADS ? f->spec.threads : MOST_THREADS;
  h->threads = wanted > 1 ? wanted : 1;
  size_t columns = (size_t)f->schema.columns;
  size_t chunks = h->threads > 1 ? 2 * (size_t)h->threads : 1;
  h->room = (int64_t)chunks * CHUNK_ROWS;
  h->pieces = rdd_calloc(chunks * columns, sizeof(*h->pieces));
  h->chunk_room = rdd_alloc(chunks * columns, CHUNK_ROOM);
  h->scratch = rdd_alloc((size_t)h->threads, CHUNK_ROOM);
  bool good = h->pieces && h->chunk_room && h->scratch;
  for (size_t i = 0; i < chunks * columns && good; i++)
    h->pieces[i].chunk.bytes = h->chunk_room + i * CHUNK_ROOM;
  for (size_t c = 0; c < columns && good; c++) {
    h->pending[c] = rdd_alloc((size_t)h->room, stored_size(f->schema.field[c].type));
    good = h->pending[c] != NULL;
  }
  return good ? RDD_OK : rdd_set(err, RDD_ENOMEM, "%s: out of memory", f->path);
}

static rdd_status h5_open(job_table_file *f, rdd_err *err) {
  h5_sink *h = &f->h5;
  rdd_status st = h5_reserve(f, err);
  if (st) return st;
  st = job_h5_create(&h->file, job_output_path(f->output), f->spec.kind, err);
  if (!st) st = job_h5_group(&h->group, h->file, f->spec.group, f->spec.description, err);
  for (int c = 0; c < f->schema.columns && !st; c++) {
    const rdd_field *field = &f->schema.field[c];
    const char *units = strcmp(field->name, "timestamp") ? NULL : "seconds since 1970-01-01 UTC";
    st = job_h5_dataset(&h->dataset[c], h->group, dataset_name(f, c),
                        job_h5_file_type(stored_type(field->type)), 0, 0, CHUNK_ROWS,
                        f->spec.column_description[c], units, err);
  }
  return st ? job_h5_in_file(err, f->path) : RDD_OK;
}

static void range_add_int(column_range *r, int64_t x) {
  if (r->n == 0 || x < r->int_min) r->int_min = x;
  if (r->n == 0 || x > r->int_max) r->int_max = x;
  r->n++;
}

static void range_add_real(column_range *r, double x) {
  if (isnan(x)) return;
  if (r->n == 0 || x < r->min) r->min = x;
  if (r->n == 0 || x > r->max) r->max = x;
  r->sum += x;
  r->n++;
}

static void range_add(column_range *r, rdd_type type, const void *values, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    switch (type) {
    case RDD_INT64:
      range_add_int(r, ((const int64_t *)values)[i]);
      break;
    case RDD_INT32:
      range_add_int(r, ((const int32_t *)values)[i]);
      break;
    case RDD_FLOAT32:
      range_add_real(r, (double)((const float *)values)[i]);
      break;
    case RDD_FLOAT64:
      range_add_real(r, ((const double *)values)[i]);
      break;
    case RDD_UTF8:
      return; /* codes have no range */
    }
  }
}

static void range_join(column_range *r, const column_range *next) {
  if (next->n == 0) return;
  bool first = r->n == 0;
  if (first || next->int_min < r->int_min) r->int_min = next->int_min;
  if (first || next->int_max > r->int_max) r->int_max = next->int_max;
  if (first || next->min < r->min) r->min = next->min;
  if (first || next->max > r->max) r->max = next->max;
  r->sum += next->sum;
  r->n += next->n;
}

/* Rows of the chunk that is `chunk` chunks behind what is written. */
static int64_t rows_of_chunk(const h5_sink *h, int64_t chunk) {
  int64_t left = h->n_pending - chunk * CHUNK_ROWS;
  return left < CHUNK_ROWS ? left : CHUNK_ROWS;
}

/* Piece i of those that wait; on any thread. */
static rdd_status h5_filter(void *arg, int thread, int64_t i, rdd_err *err) {
  job_table_file *f = arg;
  h5_sink *h = &f->h5;
  int c = (int)(i % f->schema.columns);
  int64_t chunk = i / f->schema.columns, rows = rows_of_chunk(h, chunk);
  rdd_type type = f->schema.field[c].type;
  size_t size = stored_size(type);
  char *values = (char *)h->pending[c] + (size_t)chunk * CHUNK_ROWS * size;
  memset(values + (size_t)rows * size, 0, (size_t)(CHUNK_ROWS - rows) * size);
  h->pieces[i].range = (column_range){0};
  range_add(&h->pieces[i].range, type, values, rows);
  return job_h5_chunk_filter(&h->pieces[i].chunk, values, CHUNK_ROWS, size,
                             h->scratch + (size_t)thread * CHUNK_ROOM, err);
}

/* Write the rows that wait. */
static rdd_status h5_flush(job_table_file *f, rdd_err *err) {
  h5_sink *h = &f->h5;
  int columns = f->schema.columns;
  int64_t chunks = (h->n_pending + CHUNK_ROWS - 1) / CHUNK_ROWS;
  rdd_status st = job_in_threads(h->threads, chunks * columns, h5_filter, f, err);
  for (int64_t i = 0; i < chunks * columns && !st; i++) {
    const piece *p = &h->pieces[i];
    int64_t chunk = i / columns;
    range_join(&h->range[i % columns], &p->range);
    st = job_h5_write_chunk(h->dataset[i % columns], h->written + chunk * CHUNK_ROWS,
                            rows_of_chunk(h, chunk), p->chunk.left_out, p->chunk.bytes,
                            p->chunk.size, err);
  }
  if (st) return job_h5_in_file(err, f->path);
  h->written += h->n_pending;
  h->n_pending = 0;
  return RDD_OK;
}

/* Rows [first, first + n) of a column to the buffer. */
static rdd_status h5_take(job_table_file *f, const rdd_column *column, int c, int64_t first,
                          int64_t n, rdd_err *err) {
  rdd_type type = f->schema.field[c].type;
  size_t size = rdd_type_size(type);
  char *target = (char *)f->h5.pending[c] + (size_t)f->h5.n_pending * stored_size(type);
  rdd_column rows = *column;
  if (type == RDD_UTF8) {
    rows.offsets += first;
    return job_dictionary_add(f->dictionary[c], &rows, n, (int64_t *)target, err);
  }
  rows.values = (const char *)column->values + (size_t)first * size;
  memcpy(target, rows.values, (size_t)n * size);
  return f->dictionary[c] ? job_dictionary_add(f->dictionary[c], &rows, n, NULL, err) : RDD_OK;
}

static rdd_status h5_append(job_table_file *f, const rdd_batch *batch, rdd_err *err) {
  h5_sink *h = &f->h5;
  for (int64_t first = 0; first < batch->rows;) {
    int64_t room = h->room - h->n_pending;
    int64_t n = batch->rows - first < room ? batch->rows - first : room;
    rdd_status st = RDD_OK;
    for (int c = 0; c < f->schema.columns && !st; c++)
      st = h5_take(f, &batch->column[c], c, first, n, err);
    h->n_pending += n;
    if (!st && h->n_pending == h->room) st = h5_flush(f, err);
    if (st) return st;
    first += n;
  }
  return RDD_OK;
}

/* A column's distinct strings, in the order of their codes. */
static rdd_status h5_write_dictionary(job_table_file *f, int c, rdd_err *err) {
  const job_dictionary *d = f->dictionary[c];
  int64_t count = job_dictionary_count(d);
  char name[sizeof(f->schema.field[c].name) + sizeof("_dictionary")];
  snprintf(name, sizeof(name), "%.*s_dictionary", (int)sizeof(f->schema.field[c].name) - 1,
           dataset_name(f, c));
  const char **text = NULL;
  hid_t dataset = H5I_INVALID_HID, type = job_h5_text_type();
  rdd_status st = job_h5_dataset(
      &dataset, f->h5.group, name, type, count, 0, 0,
      "texts that the codes of the column stand for: code 0 is the first", NULL, err);
  if (st) goto done;
  text = rdd_alloc(DICTIONARY_SLAB, sizeof(*text));
  if (!text) {
    st = rdd_set(err, RDD_ENOMEM, "out of memory for dictionary %s", name);
    goto done;
  }
  for (int64_t first = 0; first < count && !st; first += DICTIONARY_SLAB) {
    int64_t n = count - first < DICTIONARY_SLAB ? count - first : DICTIONARY_SLAB;
    for (int64_t i = 0; i < n; i++) text[i] = job_dictionary_text(d, first + i);
    st = job_h5_write_rows(dataset, type, first, n, text, err);
  }
done:
  st = job_h5_dataset_close(dataset, st, err);
  if (type >= 0) H5Tclose(type);
  rdd_free(text);
  return st;
}

/* What `als info` tells of a column without reading it. */
static rdd_status h5_describe_column(job_table_file *f, int c, rdd_err *err) {
  hid_t dataset = f->h5.dataset[c];
  const column_range *r = &f->h5.range[c];
  rdd_type type = f->schema.field[c].type;
  rdd_status st = RDD_OK;
  if (c < f->spec.id_columns && f->dictionary[c])
    st = job_h5_set_int(dataset, "distinct", job_dictionary_count(f->dictionary[c]), err);
  if (st || r->n == 0) return st;
  if (type == RDD_FLOAT32 || type == RDD_FLOAT64) {
    st = job_h5_set_real(dataset, "min", r->min, err);
    if (!st) st = job_h5_set_real(dataset, "max", r->max, err);
    return st ? st : job_h5_set_real(dataset, "mean", r->sum / (double)r->n, err);
  }
  st = job_h5_set_int(dataset, "min", r->int_min, err);
  return st ? st : job_h5_set_int(dataset, "max", r->int_max, err);
}

static rdd_status h5_finish(job_table_file *f, rdd_err *err) {
  h5_sink *h = &f->h5;
  rdd_status st = h5_flush(f, err);
  if (st) return st;
  for (int c = 0; c < f->schema.columns && !st; c++) {
    st = h5_describe_column(f, c, err);
    if (!st && f->schema.field[c].type == RDD_UTF8) st = h5_write_dictionary(f, c, err);
    st = job_h5_dataset_close(h->dataset[c], st, err);
  }
  if (st) return job_h5_in_file(err, f->path);
  hid_t file = h->file;
  h->file = H5I_INVALID_HID;
  return job_h5_close(file, f->path, err);
}

/* ---- The table, of either kind ---- */

static rdd_status open_dictionaries(job_table_file *f, rdd_err *err) {
  rdd_status st = RDD_OK;
  for (int c = 0; c < f->schema.columns && !st; c++) {
    rdd_type type = f->schema.field[c].type;
    bool counted = c < f->spec.id_columns && (type == RDD_INT64 || type == RDD_UTF8);
    if (counted || (type == RDD_UTF8 && is_hdf5(f->path)))
      st = job_dictionary_new(&f->dictionary[c], type, err);
  }
  return st;
}

rdd_status job_table_file_open(job_table_file **out, const char *path, const rdd_schema *schema,
                               const job_table_spec *spec, rdd_err *err) {
  rdd_status st = job_output_check(path, ".h5|.hdf5|.csv|.tsv", err);
  if (st) return st;
  job_table_file *f = rdd_calloc(1, sizeof(*f));
  if (!f) return rdd_set(err, RDD_ENOMEM, "%s: out of memory", path);
  f->schema = *schema;
  f->spec = *spec;
  f->text.fd = -1;
  f->h5.file = H5I_INVALID_HID;
  f->path = rdd_strdup(path);
  if (!f->path) {
    st = rdd_set(err, RDD_ENOMEM, "%s: out of memory", path);
    goto done;
  }
  st = open_dictionaries(f, err);
  if (!st) st = job_output_open(&f->output, path, err);
  if (!st) st = is_hdf5(path) ? h5_open(f, err) : text_open(f, err);
  if (st) goto done;
  *out = f;
  f = NULL;
done:
  job_table_file_abandon(f);
  return st;
}

rdd_status job_table_file_append(job_table_file *file, const rdd_batch *batch, rdd_err *err) {
  rdd_status st = RDD_OK;
  if (file->h5.file >= 0) {
    st = h5_append(file, batch, err);
  } else {
    for (int c = 0; c < file->schema.columns && !st; c++)
      if (file->dictionary[c])
        st = job_dictionary_add(file->dictionary[c], &batch->column[c], batch->rows, NULL, err);
    if (!st) st = text_append(file, batch, err);
  }
  if (!st) file->rows += batch->rows;
  return st;
}

int64_t job_table_file_rows(const job_table_file *file) {
  return file->rows;
}

int64_t job_table_file_distinct(const job_table_file *file, int column) {
  return file->dictionary[column] ? job_dictionary_count(file->dictionary[column]) : 0;
}

rdd_status job_table_file_attribute(job_table_file *file, const char *name, int64_t value,
                                    rdd_err *err) {
  if (file->h5.file < 0) return RDD_OK;
  rdd_status st = h5_flush(file,
                           err); /* so that its place in the file does not depend on the threads */
  if (st) return st;
  st = job_h5_set_int(file->h5.file, name, value, err);
  return st ? job_h5_in_file(err, file->path) : RDD_OK;
}

rdd_status job_table_file_commit(job_table_file *file, rdd_err *err) {
  rdd_status st = file->h5.file >= 0 ? h5_finish(file, err) : text_finish(file, err);
  if (!st) {
    job_output *output = file->output;
    file->output = NULL;
    st = job_output_commit(output, err);
  }
  job_table_file_abandon(file);
  return st;
}

void job_table_file_abandon(job_table_file *file) {
  if (!file) return;
  job_h5_drop(file->h5.file);
  if (file->text.fd >= 0) close(file->text.fd);
  job_output_abandon(file->output);
  for (int c = 0; c < RDD_MAX_COLUMNS; c++) {
    job_dictionary_free(file->dictionary[c]);
    rdd_free(file->h5.pending[c]);
  }
  rdd_free(file->h5.pieces);
  rdd_free(file->h5.chunk_room);
  rdd_free(file->h5.scratch);
  rdd_free(file->text.buffer);
  rdd_free(file->path);
  rdd_free(file);
}
