/* Model files. See model_file.h and docs/formats.md.
 *
 *   /users/id, /items/id            int64 or text, ascending
 *   /users/factors, /items/factors  float32, n x k
 *   /users/bias, /items/bias        float32, n; where the model has biases
 *   /history/...                    one row for each iteration
 *   attributes of the root          shape, parameters, provenance */
#include "jobs/model_file.h"
#include "jobs/h5.h"
#include "jobs/output.h"
#include "rdd/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK_BYTES = 1 << 20, ID_CHUNK = 65536, TEXT_SLAB = 4096, MAX_ROWS = 0x7fffffff };

static const char *const side_name[2] = {"users", "items"};

/* ---- Writing; rank 0 ---- */

typedef struct attribute {
  const char *name;
  enum { A_INT, A_REAL, A_TEXT } kind;
  int64_t number;
  double real;
  const char *text;
} attribute;

static rdd_status write_attributes(hid_t file, const attribute *list, size_t n, rdd_err *err) {
  rdd_status st = RDD_OK;
  for (size_t i = 0; i < n && !st; i++) {
    const attribute *a = &list[i];
    if (a->kind == A_INT) st = job_h5_set_int(file, a->name, a->number, err);
    if (a->kind == A_REAL) st = job_h5_set_real(file, a->name, a->real, err);
    if (a->kind == A_TEXT) st = job_h5_set_string(file, a->name, a->text, err);
  }
  return st;
}

static rdd_status write_root(hid_t file, const als_model *m, const job_provenance *how,
                             rdd_err *err) {
  char host[256] = "", created[32] = "";
  time_t now = time(NULL);
  struct tm utc;
  if (gethostname(host, sizeof(host) - 1) != 0) snprintf(host, sizeof(host), "unknown");
  if (gmtime_r(&now, &utc)) strftime(created, sizeof(created), "%Y-%m-%dT%H:%M:%SZ", &utc);
  const als_params *p = &how->params;
  const attribute list[] = {
      {"rank", A_INT, .number = m->k},
      {"users", A_INT, .number = m->side[ALS_USERS].ids->n},
      {"items", A_INT, .number = m->side[ALS_ITEMS].ids->n},
      {"mean", A_REAL, .real = m->mean},
      {"rating_min", A_REAL, .real = (double)m->rating_min},
      {"rating_max", A_REAL, .real = (double)m->rating_max},
      {"max_iter", A_INT, .number = p->max_iter},
      {"reg_param", A_REAL, .real = p->reg_param},
      {"bias", A_INT, .number = p->bias},
      {"bias_reg", A_REAL, .real = p->bias_reg},
      {"tol", A_REAL, .real = p->tol},
      {"seed", A_INT, .number = how->seed},
      {"ratings", A_INT, .number = how->ratings},
      {"iterations", A_INT, .number = how->iterations},
      {"ranks", A_INT, .number = how->ranks},
      {"seconds", A_REAL, .real = how->seconds},
      {"inputs", A_TEXT, .text = how->inputs},
      {"command_line", A_TEXT, .text = how->command_line},
      {"host", A_TEXT, .text = host},
      {"created", A_TEXT, .text = created},
  };
  return write_attributes(file, list, sizeof(list) / sizeof(list[0]), err);
}

/* Text ids, a chunk of C strings at a time. */
static rdd_status write_text_ids(hid_t dataset, hid_t type, const als_ids *ids, rdd_err *err) {
  const char *text[TEXT_SLAB];
  rdd_status st = RDD_OK;
  for (int64_t first = 0; first < ids->n && !st; first += TEXT_SLAB) {
    int64_t n = ids->n - first < TEXT_SLAB ? ids->n - first : TEXT_SLAB, bytes = 0;
    for (int64_t i = 0; i < n; i++) {
      int64_t length;
      (void)als_ids_utf8(ids, first + i, &length);
      bytes += length + 1;
    }
    char *copy = rdd_alloc((size_t)bytes, 1), *at = copy;
    if (!copy) return rdd_set(err, RDD_ENOMEM, "out of memory for %lld ids", (long long)n);
    for (int64_t i = 0; i < n; i++) {
      int64_t length;
      const char *id = als_ids_utf8(ids, first + i, &length);
      if (memchr(id, '\0', (size_t)length))
        st = rdd_set(err, RDD_EDATA, "an id that begins \"%.40s\" has a NUL byte in it", id);
      memcpy(at, id, (size_t)length);
      at[length] = '\0';
      text[i] = at;
      at += length + 1;
    }
    if (!st) st = job_h5_write_rows(dataset, type, first, n, text, err);
    rdd_free(copy);
  }
  return st;
}

static rdd_status write_ids(hid_t group, const char *side, const als_ids *ids, rdd_err *err) {
  char description[80];
  bool is_text = ids->type == RDD_UTF8;
  hid_t dataset = H5I_INVALID_HID, type = H5I_INVALID_HID;
  snprintf(description, sizeof(description), "ids of the %s, ascending; row i is factor row i",
           side);
  if (is_text) type = job_h5_text_type();
  rdd_status st = job_h5_dataset(&dataset, group, "id", is_text ? type : H5T_STD_I64LE, ids->n, 0,
                                 is_text ? 0 : ID_CHUNK, description, NULL, err);
  if (st) goto done;
  st = is_text ? write_text_ids(dataset, type, ids, err)
               : job_h5_write_rows(dataset, H5T_NATIVE_INT64, 0, ids->n, rdd_table_data(ids->value),
                                   err);
  st = job_h5_dataset_close(dataset, st, err);
done:
  if (type >= 0) H5Tclose(type);
  return st;
}

/* One whole float32 dataset of a side; k == 0: one dimension. */
static rdd_status write_floats(hid_t group, const char *name, const rdd_table *table, int64_t n,
                               int k, const char *description, const char *units, rdd_err *err) {
  hid_t dataset = H5I_INVALID_HID;
  int64_t chunk = CHUNK_BYTES / (int64_t)sizeof(float) / (k > 0 ? k : 1);
  rdd_status st = job_h5_dataset_plain(&dataset, group, name, H5T_IEEE_F32LE, n, k,
                                       chunk > 0 ? chunk : 1, description, units, err);
  if (st) return st;
  st = job_h5_write_rows(dataset, H5T_NATIVE_FLOAT, 0, n, rdd_table_data(table), err);
  return job_h5_dataset_close(dataset, st, err);
}

static rdd_status write_side(hid_t file, const als_model *m, int side, rdd_err *err) {
  const als_factors *f = &m->side[side];
  hid_t group = H5I_INVALID_HID;
  rdd_status st = job_h5_group(&group, file, side_name[side],
                               "ids, factors and perhaps biases; one row each", err);
  if (st) return st;
  st = write_ids(group, side_name[side], f->ids, err);
  if (!st)
    st = write_floats(group, "factors", f->factors, f->ids->n, m->k,
                      "factor vectors; a prediction is mean + biases + the dot product of two",
                      NULL, err);
  if (!st && f->bias)
    st = write_floats(group, "bias", f->bias, f->ids->n, 0, "added to every prediction of the row",
                      "rating", err);
  H5Gclose(group);
  return st;
}

/* One column of the history. */
static rdd_status write_history_column(hid_t group, const char *name, const double *value,
                                       int64_t n, const char *description, const char *units,
                                       rdd_err *err) {
  hid_t dataset = H5I_INVALID_HID;
  rdd_status st = job_h5_dataset_plain(&dataset, group, name, H5T_IEEE_F64LE, n, 0, 1024,
                                       description, units, err);
  if (st) return st;
  st = job_h5_write_rows(dataset, H5T_NATIVE_DOUBLE, 0, n, value, err);
  return job_h5_dataset_close(dataset, st, err);
}

static rdd_status write_history(hid_t file, const job_provenance *how, rdd_err *err) {
  enum { COLUMNS = 4 };
  static const char *const name[COLUMNS] = {"rmse_train", "rmse_test", "objective", "seconds"};
  static const char *const units[COLUMNS] = {"rating", "rating", "rating squared", "s"};
  static const char *const description[COLUMNS] = {
      "root mean squared error over the training ratings, after each iteration",
      "root mean squared error over the test ratings, after each iteration; NaN without them",
      "squared error plus regularisation, after each iteration",
      "wall time of each iteration",
  };
  hid_t group = H5I_INVALID_HID;
  double *column = NULL;
  int64_t n = how->iterations;
  rdd_status st = job_h5_group(&group, file, "history", "one row for each iteration", err);
  if (st) return st;
  column = rdd_alloc((size_t)n, sizeof(*column));
  if (!column) st = rdd_set(err, RDD_ENOMEM, "out of memory for the history");
  for (int c = 0; c < COLUMNS && !st; c++) {
    for (int64_t i = 0; i < n; i++) {
      const als_iteration *it = &how->history[i];
      const double value[COLUMNS] = {it->rmse_train, it->rmse_test, it->objective, it->seconds};
      column[i] = value[c];
    }
    st = write_history_column(group, name[c], column, n, description[c], units[c], err);
  }
  rdd_free(column);
  H5Gclose(group);
  return st;
}

static rdd_status write_model(const char *path, const als_model *m, const job_provenance *how,
                              rdd_err *err) {
  job_output *output = NULL;
  hid_t file = H5I_INVALID_HID;
  rdd_status st = job_output_open(&output, path, err);
  if (st) return st;
  st = job_h5_create(&file, job_output_path(output), "model", err);
  if (!st) st = write_root(file, m, how, err);
  for (int side = 0; side < 2 && !st; side++) st = write_side(file, m, side, err);
  if (!st) st = write_history(file, how, err);
  if (st) {
    job_h5_in_file(err, path);
    goto done;
  }
  st = job_h5_close(file, path, err);
  file = H5I_INVALID_HID;
  if (st) goto done;
  st = job_output_commit(output, err);
  output = NULL;
done:
  job_h5_drop(file);
  job_output_abandon(output);
  return st;
}

rdd_status job_model_write(rdd_comm *comm, const char *path, const als_model *model,
                           const job_provenance *how, rdd_err *err) {
  rdd_status st = RDD_OK;
  if (comm->rank == 0) st = write_model(path, model, how, err);
  return rdd_agree(comm, st, err);
}

/* ---- Reading ---- */

/* What has to be known before tables can be made; plain data, the same on all ranks. */
typedef struct shape {
  int64_t k, n[2], bias;
  int64_t type[2]; /* of the ids: rdd_type */
  double mean, rating_min, rating_max;
} shape;

typedef struct reader {
  rdd_comm *comm;
  const char *path;
  hid_t file;
  shape shape;
} reader;

/* Rows that this rank reads: [first_row(r, n), first_row(r + 1, n)). */
static int64_t first_row(const rdd_comm *comm, int rank, int64_t n) {
  return n / comm->size * rank + n % comm->size * rank / comm->size;
}

static rdd_status open_dataset(const reader *in, int side, const char *name, hid_t *out,
                               int64_t dims[2], rdd_err *err) {
  char full[32];
  snprintf(full, sizeof(full), "/%s/%s", side_name[side], name);
  hid_t dataset = H5Dopen2(in->file, full, H5P_DEFAULT);
  if (dataset < 0)
    return rdd_set(err, RDD_EDATA, "%s: not a whole model: dataset %s is missing", in->path, full);
  if (!job_h5_shape(dataset, dims)) {
    H5Dclose(dataset);
    return rdd_set(err, RDD_EDATA, "%s: %s has more than two dimensions", in->path, full);
  }
  *out = dataset;
  return RDD_OK;
}

/* Class of a dataset's values. */
static H5T_class_t class_of(hid_t dataset) {
  hid_t type = H5Dget_type(dataset);
  H5T_class_t class = H5Tget_class(type);
  if (class == H5T_STRING && H5Tis_variable_str(type) <= 0) class = H5T_NO_CLASS;
  H5Tclose(type);
  return class;
}

/* Type and number of the ids of one side. */
static rdd_status look_at_ids(const reader *in, int side, shape *s, rdd_err *err) {
  hid_t dataset = H5I_INVALID_HID;
  int64_t dims[2];
  rdd_status st = open_dataset(in, side, "id", &dataset, dims, err);
  if (st) return st;
  H5T_class_t class = class_of(dataset);
  H5Dclose(dataset);
  if (dims[1] != 0 || (class != H5T_INTEGER && class != H5T_STRING))
    return rdd_set(err, RDD_EDATA,
                   "%s: /%s/id: expected one dimension of integers or variable-length text",
                   in->path, side_name[side]);
  if (dims[0] > MAX_ROWS)
    return rdd_set(err, RDD_EDATA, "%s: /%s/id has %lld rows, expected at most %d", in->path,
                   side_name[side], (long long)dims[0], MAX_ROWS);
  s->n[side] = dims[0];
  s->type[side] = class == H5T_STRING ? RDD_UTF8 : RDD_INT64;
  return RDD_OK;
}

/* A float dataset has to be there with so many rows and columns. */
static rdd_status look_at_floats(const reader *in, int side, const char *name, int64_t n, int64_t k,
                                 rdd_err *err) {
  hid_t dataset = H5I_INVALID_HID;
  int64_t dims[2];
  rdd_status st = open_dataset(in, side, name, &dataset, dims, err);
  if (st) return st;
  H5T_class_t class = class_of(dataset);
  H5Dclose(dataset);
  if (class != H5T_FLOAT)
    return rdd_set(err, RDD_EDATA, "%s: /%s/%s holds no floating-point numbers", in->path,
                   side_name[side], name);
  if (dims[0] != n || dims[1] != k)
    return rdd_set(err, RDD_EDATA, "%s: /%s/%s is %lld x %lld, expected %lld x %lld (ids x rank)",
                   in->path, side_name[side], name, (long long)dims[0], (long long)dims[1],
                   (long long)n, (long long)k);
  return RDD_OK;
}

static rdd_status look_at_attributes(const reader *in, shape *s, rdd_err *err) {
  if (!job_h5_get_int(in->file, "rank", &s->k) || s->k < 1 || s->k > ALS_MAX_RANK)
    return rdd_set(err, RDD_EDATA, "%s: expected a root attribute rank of 1 to %d", in->path,
                   ALS_MAX_RANK);
  const char *const name[3] = {"mean", "rating_min", "rating_max"};
  double *const value[3] = {&s->mean, &s->rating_min, &s->rating_max};
  for (int i = 0; i < 3; i++)
    if (!job_h5_get_real(in->file, name[i], value[i]) || !isfinite(*value[i]))
      return rdd_set(err, RDD_EDATA, "%s: expected a root attribute %s that is a finite number",
                     in->path, name[i]);
  return RDD_OK;
}

/* Open the file and look at everything but the rows. */
static rdd_status look(reader *in, rdd_err *err) {
  char kind[32];
  shape *s = &in->shape;
  rdd_status st = job_h5_open(&in->file, in->path, kind, err);
  if (st) return st;
  if (strcmp(kind, "model"))
    return rdd_set(err, RDD_EDATA, "%s: holds %s, expected a model (see als train)", in->path,
                   kind);
  st = look_at_attributes(in, s, err);
  for (int side = 0; side < 2 && !st; side++) {
    st = look_at_ids(in, side, s, err);
    if (!st) st = look_at_floats(in, side, "factors", s->n[side], s->k, err);
  }
  if (st) return st;
  s->bias = H5Lexists(in->file, "/users/bias", H5P_DEFAULT) > 0;
  for (int side = 0; side < 2 && !st && s->bias; side++)
    st = look_at_floats(in, side, "bias", s->n[side], 0, err);
  return st;
}

/* Every rank reads the same file, or at least one of the same shape. */
static rdd_status agree_on_shape(reader *in, rdd_err *err) {
  rdd_status st = RDD_OK;
  shape first = in->shape;
  rdd_bcast(in->comm, &first, sizeof(first), 0);
  if (memcmp(&first, &in->shape, sizeof(first)))
    st = rdd_set(err, RDD_EDATA, "%s: is another model here than on rank 0", in->path);
  return rdd_agree(in->comm, st, err);
}

/* This rank's text ids, brought together. */
typedef struct text_slice {
  int64_t n;       /* ids */
  int64_t *length; /* [n] */
  char *bytes;
  int64_t used, room;
} text_slice;

static void text_slice_reset(text_slice *t) {
  rdd_free(t->length);
  rdd_free(t->bytes);
  *t = (text_slice){0};
}

static rdd_status text_slice_add(text_slice *t, const char *text, rdd_err *err) {
  int64_t length = text ? (int64_t)strlen(text) : 0; /* HDF5 gives NULL for a text never written */
  if (t->used + length > t->room) {
    int64_t room = 2 * (t->used + length) + 4096;
    char *bytes = rdd_realloc(t->bytes, (size_t)room, 1);
    if (!bytes) return rdd_set(err, RDD_ENOMEM, "out of memory for ids");
    t->bytes = bytes;
    t->room = room;
  }
  if (length > 0) memcpy(t->bytes + t->used, text, (size_t)length);
  t->used += length;
  t->length[t->n++] = length;
  return RDD_OK;
}

static rdd_status read_text_slice(const reader *in, int side, int64_t first, int64_t n,
                                  text_slice *t, rdd_err *err) {
  char *text[TEXT_SLAB] = {0};
  int64_t dims[2];
  hid_t dataset = H5I_INVALID_HID, type = job_h5_text_type();
  rdd_status st = open_dataset(in, side, "id", &dataset, dims, err);
  if (st) goto done;
  t->length = rdd_alloc((size_t)n, sizeof(*t->length));
  if (!t->length) st = rdd_set(err, RDD_ENOMEM, "%s: out of memory for ids", in->path);
  for (int64_t at = 0; at < n && !st; at += TEXT_SLAB) {
    int64_t part = n - at < TEXT_SLAB ? n - at : TEXT_SLAB;
    st = job_h5_read_rows(dataset, type, first + at, part, text, err);
    if (st) job_h5_in_file(err, in->path);
    for (int64_t i = 0; i < part && !st; i++) st = text_slice_add(t, text[i], err);
    job_h5_free_text(text, part);
  }
done:
  if (dataset >= 0) H5Dclose(dataset);
  if (type >= 0) H5Tclose(type);
  return st;
}

/* Where each rank's rows begin, in bytes of a table of `row_bytes` a row. begin is [size + 1]. */
static void row_bytes_begin(const rdd_comm *comm, int64_t n, int64_t row_bytes, int64_t *begin) {
  for (int r = 0; r <= comm->size; r++) begin[r] = first_row(comm, r, n) * row_bytes;
}

/* Text ids into a new table: the slices' bytes stand one after the other. */
static rdd_status place_text(const reader *in, int64_t n, const text_slice *t, int64_t *begin,
                             als_ids **out, rdd_err *err) {
  rdd_comm *comm = in->comm;
  als_ids *ids = NULL;
  int64_t mine = t->used, total = 0;
  rdd_allgather(comm, &mine, sizeof(mine), begin);
  for (int r = 0; r < comm->size; r++) {
    int64_t bytes = begin[r];
    begin[r] = total;
    total += bytes;
  }
  begin[comm->size] = total;
  rdd_status st = als_ids_new(comm, RDD_UTF8, n, total, &ids, err);
  if (st) return st;
  int64_t at = begin[comm->rank], first = first_row(comm, comm->rank, n);
  int64_t *offset = rdd_table_data(ids->value);
  if (mine > 0) memcpy((char *)rdd_table_data(ids->bytes) + at, t->bytes, (size_t)mine);
  for (int64_t i = 0; i < t->n; i++) {
    offset[first + i] = at;
    at += t->length[i];
  }
  rdd_table_sync(ids->bytes, begin);
  row_bytes_begin(comm, n, sizeof(*offset), begin);
  begin[comm->size] += (int64_t)sizeof(*offset); /* the last rank also writes the end */
  if (comm->rank == comm->size - 1) offset[n] = total;
  rdd_table_sync(ids->value, begin);
  *out = ids;
  return RDD_OK;
}

static int compare_ids(const als_ids *ids, int64_t a, int64_t b) {
  if (ids->type == RDD_INT64) {
    int64_t x = als_ids_int64(ids, a), y = als_ids_int64(ids, b);
    return (x > y) - (x < y);
  }
  int64_t n, m;
  const char *x = als_ids_utf8(ids, a, &n), *y = als_ids_utf8(ids, b, &m);
  int order = memcmp(x, y, (size_t)(n < m ? n : m));
  return order ? order : (n > m) - (n < m);
}

/* Own ids, each against the one before it: finding an id is a binary search. */
static rdd_status check_ascending(const reader *in, int side, const als_ids *ids, rdd_err *err) {
  char text[ALS_ID_TEXT], before[ALS_ID_TEXT];
  int64_t first = first_row(in->comm, in->comm->rank, ids->n);
  int64_t end = first_row(in->comm, in->comm->rank + 1, ids->n);
  for (int64_t i = first > 0 ? first : 1; i < end; i++)
    if (compare_ids(ids, i - 1, i) >= 0)
      return rdd_set(err, RDD_EDATA,
                     "%s: /%s/id[%lld] is %s after %s, expected ascending ids without duplicates",
                     in->path, side_name[side], (long long)i, als_ids_text(ids, i, text),
                     als_ids_text(ids, i - 1, before));
  return RDD_OK;
}

/* Own rows of a dataset of numbers into a table. */
static rdd_status read_rows(const reader *in, int side, const char *name, hid_t type,
                            int64_t row_bytes, rdd_table *table, rdd_err *err) {
  int64_t n = in->shape.n[side], dims[2];
  int64_t first = first_row(in->comm, in->comm->rank, n);
  int64_t end = first_row(in->comm, in->comm->rank + 1, n);
  hid_t dataset = H5I_INVALID_HID;
  rdd_status st = open_dataset(in, side, name, &dataset, dims, err);
  if (st) return st;
  st = job_h5_read_rows(dataset, type, first, end - first,
                        (char *)rdd_table_data(table) + first * row_bytes, err);
  if (st) job_h5_in_file(err, in->path);
  H5Dclose(dataset);
  return st;
}

/* The ids of one side, on every rank.                                                 Collective. */
static rdd_status read_ids(const reader *in, int side, als_ids **out, rdd_err *err) {
  rdd_comm *comm = in->comm;
  int64_t n = in->shape.n[side];
  int64_t first = first_row(comm, comm->rank, n), end = first_row(comm, comm->rank + 1, n);
  als_ids *ids = NULL;
  text_slice text = {0};
  rdd_status st = RDD_OK;
  int64_t *begin = rdd_alloc((size_t)comm->size + 1, sizeof(*begin));
  if (!begin) st = rdd_set(err, RDD_ENOMEM, "%s: out of memory", in->path);
  if (in->shape.type[side] == RDD_UTF8) {
    if (!st) st = read_text_slice(in, side, first, end - first, &text, err);
    st = rdd_agree(comm, st, err);
    if (!st) st = place_text(in, n, &text, begin, &ids, err);
    if (st) goto done;
  } else {
    st = rdd_agree(comm, st, err);
    if (!st) st = als_ids_new(comm, RDD_INT64, n, 0, &ids, err);
    if (st) goto done;
    st = read_rows(in, side, "id", H5T_NATIVE_INT64, sizeof(int64_t), ids->value, err);
    st = rdd_agree(comm, st, err);
    if (st) goto done;
    row_bytes_begin(comm, n, sizeof(int64_t), begin);
    rdd_table_sync(ids->value, begin);
  }
  st = rdd_agree(comm, check_ascending(in, side, ids, err), err);
  if (st) goto done;
  *out = ids;
  ids = NULL;
done:
  als_ids_free(ids);
  text_slice_reset(&text);
  rdd_free(begin);
  return st;
}

/* Own rows of a table of floats, checked.                                         Not collective. */
static rdd_status read_floats(const reader *in, int side, const char *name, int64_t columns,
                              rdd_table *table, rdd_err *err) {
  int64_t n = in->shape.n[side];
  int64_t first = first_row(in->comm, in->comm->rank, n);
  int64_t end = first_row(in->comm, in->comm->rank + 1, n);
  rdd_status st = read_rows(in, side, name, H5T_NATIVE_FLOAT, columns * (int64_t)sizeof(float),
                            table, err);
  if (st) return st;
  const float *value = rdd_table_data(table);
  for (int64_t i = first * columns; i < end * columns; i++)
    if (!isfinite(value[i]))
      return rdd_set(err, RDD_EDATA, "%s: /%s/%s: row %lld has the value %g, expected a finite one",
                     in->path, side_name[side], name, (long long)(i / columns), (double)value[i]);
  return RDD_OK;
}

/* Factors and biases of one side.                                                     Collective. */
static rdd_status read_side(const reader *in, int side, als_model *m, rdd_err *err) {
  als_factors *f = &m->side[side];
  int64_t *begin = rdd_alloc((size_t)in->comm->size + 1, sizeof(*begin));
  rdd_status st = RDD_OK;
  if (!begin) st = rdd_set(err, RDD_ENOMEM, "%s: out of memory", in->path);
  if (!st) st = read_floats(in, side, "factors", m->k, f->factors, err);
  if (!st && f->bias) st = read_floats(in, side, "bias", 1, f->bias, err);
  st = rdd_agree(in->comm, st, err);
  if (st) goto done;
  row_bytes_begin(in->comm, f->ids->n, m->k * (int64_t)sizeof(float), begin);
  rdd_table_sync(f->factors, begin);
  if (f->bias) {
    row_bytes_begin(in->comm, f->ids->n, sizeof(float), begin);
    rdd_table_sync(f->bias, begin);
  }
done:
  rdd_free(begin);
  return st;
}

rdd_status job_model_read(rdd_comm *comm, const char *path, als_model **out, rdd_err *err) {
  reader in = {.comm = comm, .path = path, .file = H5I_INVALID_HID};
  als_ids *ids[2] = {NULL, NULL};
  als_model *m = NULL;
  rdd_status st = rdd_agree(comm, look(&in, err), err);
  if (!st) st = agree_on_shape(&in, err);
  for (int side = 0; side < 2 && !st; side++) st = read_ids(&in, side, &ids[side], err);
  if (st) goto done;
  st = als_model_new(comm, ids, (int)in.shape.k, in.shape.bias != 0, &m, err);
  if (st) goto done;
  ids[0] = ids[1] = NULL;
  for (int side = 0; side < 2 && !st; side++) st = read_side(&in, side, m, err);
  if (st) goto done;
  m->mean = in.shape.mean;
  m->rating_min = (float)in.shape.rating_min;
  m->rating_max = (float)in.shape.rating_max;
  *out = m;
  m = NULL;
done:
  als_model_free(m);
  for (int side = 0; side < 2; side++) als_ids_free(ids[side]);
  job_h5_drop(in.file);
  return st;
}
