/* Writing rows to CSV or HDF5. See table_file.h.
 *
 * Both sinks buffer: text up to a megabyte, columns up to one chunk of the datasets. So the bytes of a
 * file depend on its rows alone, never on how they were cut into batches. */
#include "jobs/table_file.h"
#include "jobs/dictionary.h"
#include "jobs/h5.h"
#include "jobs/output.h"
#include "rdd/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  CHUNK_ROWS = 65536,
  DICTIONARY_SLAB = 4096,
  TEXT_BYTES = 1 << 20,
  NUMBER_BYTES = 40, /* the longest number, with its delimiter */
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

typedef struct h5_sink {
  hid_t file, group; /* file < 0: this table is text */
  hid_t dataset[RDD_MAX_COLUMNS];
  void *pending[RDD_MAX_COLUMNS]; /* [CHUNK_ROWS] rows that wait for a full chunk */
  int64_t n_pending, written;
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

/* ---- Numbers as text: the fewest digits that read back as the same number ---- */

static char *put_digits(char *at, uint64_t n) {
  char digit[20];
  int count = 0;
  do digit[count++] = (char)('0' + n % 10);
  while ((n /= 10) > 0);
  while (count > 0) *at++ = digit[--count];
  return at;
}

static char *put_int(char *at, int64_t value) {
  if (value < 0) *at++ = '-';
  return put_digits(at, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

/* digits / 10^places, without trailing zeros. */
static char *put_decimal(char *at, uint64_t digits, int places) {
  while (places > 0 && digits % 10 == 0) {
    digits /= 10;
    places--;
  }
  uint64_t unit = 1;
  for (int i = 0; i < places; i++) unit *= 10;
  at = put_digits(at, digits / unit);
  if (places == 0) return at;
  *at++ = '.';
  uint64_t rest = digits % unit;
  while (places-- > 0) {
    unit /= 10;
    *at++ = (char)('0' + rest / unit);
    rest %= unit;
  }
  return at;
}

/* Floats of everyday size, 1e-4 <= x < 1e6, by 6 to 9 significant digits. Any float has at most one
 * nearest decimal of 6 digits, so where fewer would do, six end in zeros. Digits and the power of
 * ten are exact in double, so their quotient is within half an ulp of double of the decimal: rounding
 * it to float is right unless it lies on the middle between two floats. NULL: not done, ask libc. */
static char *put_everyday_float(char *at, float x) {
  static const double ten[] = {1e0, 1e1, 1e2, 1e3,  1e4,  1e5,  1e6,
                               1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13};
  if (!(x >= 1e-4f && x < 1e6f)) return NULL;
  int places = 5; /* of six digits, if x is in [1, 10) */
  double unit = x;
  for (; unit >= 10; unit /= 10) places--;
  for (; unit < 1; unit *= 10) places++;
  for (int more = 0; more < 4; more++, places++) {
    double digits = rint((double)x * ten[places]);
    double back = digits / ten[places];
    uint64_t bits;
    memcpy(&bits, &back, sizeof(bits));
    if ((bits & 0x1fffffff) == 0x10000000) return NULL;
    if ((float)back == x) return put_decimal(at, (uint64_t)digits, places);
  }
  return NULL;
}

static char *put_float(char *at, float x) {
  if (isnan(x)) return stpcpy(at, "nan");
  if (signbit(x)) *at++ = '-';
  float size = fabsf(x);
  if (size < 1e6f && size == (float)(uint32_t)size) return put_digits(at, (uint32_t)size);
  char *end = put_everyday_float(at, size);
  if (end) return end;
  for (int digits = size < FLT_MIN ? 1 : 6; digits <= 9; digits++) {
    int n = snprintf(at, NUMBER_BYTES - 2, "%.*g", digits, (double)size);
    if (strtof(at, NULL) == size) return at + n;
  }
  return at + strlen(at);
}

static char *put_double(char *at, double x) {
  if (isnan(x)) return stpcpy(at, "nan");
  for (int digits = fabs(x) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
    int n = snprintf(at, NUMBER_BYTES - 1, "%.*g", digits, x);
    if (strtod(at, NULL) == x) return at + n;
  }
  return at + strlen(at);
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
    return put_int(at, ((const int64_t *)column->values)[row]);
  case RDD_INT32:
    return put_int(at, ((const int32_t *)column->values)[row]);
  case RDD_FLOAT32:
    return put_float(at, ((const float *)column->values)[row]);
  default:
    return put_double(at, ((const double *)column->values)[row]);
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
      if (t->used > TEXT_BYTES - NUMBER_BYTES) st = text_flush(f, err);
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

static rdd_status h5_open(job_table_file *f, rdd_err *err) {
  h5_sink *h = &f->h5;
  rdd_status st = job_h5_create(&h->file, job_output_path(f->output), f->spec.kind, err);
  if (!st) st = job_h5_group(&h->group, h->file, f->spec.group, f->spec.description, err);
  for (int c = 0; c < f->schema.columns && !st; c++) {
    const rdd_field *field = &f->schema.field[c];
    const char *units = strcmp(field->name, "timestamp") ? NULL : "seconds since 1970-01-01 UTC";
    h->pending[c] = rdd_alloc(CHUNK_ROWS, stored_size(field->type));
    if (!h->pending[c]) return rdd_set(err, RDD_ENOMEM, "%s: out of memory", f->path);
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

/* Write the rows that wait. */
static rdd_status h5_flush(job_table_file *f, rdd_err *err) {
  h5_sink *h = &f->h5;
  rdd_status st = RDD_OK;
  for (int c = 0; c < f->schema.columns && !st; c++) {
    rdd_type type = f->schema.field[c].type;
    range_add(&h->range[c], type, h->pending[c], h->n_pending);
    st = job_h5_write_rows(h->dataset[c], job_h5_memory_type(stored_type(type)), h->written,
                           h->n_pending, h->pending[c], err);
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
    int64_t room = CHUNK_ROWS - h->n_pending;
    int64_t n = batch->rows - first < room ? batch->rows - first : room;
    rdd_status st = RDD_OK;
    for (int c = 0; c < f->schema.columns && !st; c++)
      st = h5_take(f, &batch->column[c], c, first, n, err);
    h->n_pending += n;
    if (!st && h->n_pending == CHUNK_ROWS) st = h5_flush(f, err);
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
  snprintf(name, sizeof(name), "%s_dictionary", dataset_name(f, c));
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
  rdd_status st = job_h5_set_int(file->h5.file, name, value, err);
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
  rdd_free(file->text.buffer);
  rdd_free(file->path);
  rdd_free(file);
}
