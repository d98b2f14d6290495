/* Model files and checkpoints are read here. See model_file.h and docs/formats.md.
 *
 * Every rank reads a slice of the rows and checks it: HDF5 the checksums, we that ids ascend and that
 * numbers are finite. A fence, then the slices go into the node's tables. */
#include "jobs/h5.h"
#include "jobs/model_file.h"
#include "rdd/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_SLAB = 4096, MAX_ROWS = 0x7fffffff };

/* The groups that hold rows; & 1 is the side. */
enum { BEST = 2, GROUPS = 4 };
static const char *const side_name[GROUPS] = {"users", "items", "best/users", "best/items"};

/* What has to be known before tables can be made; plain data, the same on all ranks. */
typedef struct shape {
  int64_t k, n[2], bias;
  int64_t type[2]; /* of the ids: rdd_type */
  double mean, rating_min, rating_max;
  int64_t iteration; /* of a checkpoint; -1: a model */
  int64_t run, test; /* its mark */
  int64_t best;      /* the best iteration where its rows are there, else 0 */
  int64_t best_bias;
} shape;

typedef struct job_saved {
  rdd_comm *comm;
  const char *path; /* borrowed */
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
    if (!job_h5_get_real(in->file, name[i], value[i]) || !isfinite((float)*value[i]))
      return rdd_set(err, RDD_EDATA, "%s: expected a root attribute %s that is a finite number",
                     in->path, name[i]);
  return RDD_OK;
}

static rdd_status look_at_mark(const reader *in, shape *s, rdd_err *err) {
  const char *const name[3] = {"iteration", "fingerprint", "test_fingerprint"};
  int64_t *const value[3] = {&s->iteration, &s->run, &s->test};
  for (int i = 0; i < 3; i++)
    if (!job_h5_get_int(in->file, name[i], value[i]))
      return rdd_set(err, RDD_EDATA, "%s: a checkpoint without the root attribute %s", in->path,
                     name[i]);
  if (s->iteration < 0 || s->iteration > INT32_MAX)
    return rdd_set(err, RDD_EDATA, "%s: the iteration of a checkpoint cannot be %lld", in->path,
                   (long long)s->iteration);
  return RDD_OK;
}

/* The best iteration's rows, if they are there. */
static rdd_status look_at_best(const reader *in, shape *s, rdd_err *err) {
  rdd_status st = RDD_OK;
  if (s->iteration < 0 || H5Lexists(in->file, "/best", H5P_DEFAULT) <= 0) return RDD_OK;
  if (!job_h5_get_int(in->file, "best_iteration", &s->best) || s->best < 1 ||
      s->best >= s->iteration)
    return rdd_set(
        err, RDD_EDATA,
        "%s: expected a root attribute best_iteration of 1 to %lld beside the group /best",
        in->path, (long long)s->iteration - 1);
  s->best_bias = H5Lexists(in->file, "/best/users", H5P_DEFAULT) > 0 &&
                 H5Lexists(in->file, "/best/users/bias", H5P_DEFAULT) > 0;
  for (int group = BEST; group < GROUPS && !st; group++) {
    st = look_at_floats(in, group, "factors", s->n[group & 1], s->k, err);
    if (!st && s->best_bias) st = look_at_floats(in, group, "bias", s->n[group & 1], 0, err);
  }
  return st;
}

/* Open the file and look at everything but the rows. sealed: as job_h5_open_sealed(). */
static rdd_status look(reader *in, bool sealed, rdd_err *err) {
  char kind[32];
  shape *s = &in->shape;
  s->iteration = -1;
  rdd_status st = sealed ? job_h5_open_sealed(&in->file, in->path, kind, err)
                         : job_h5_open(&in->file, in->path, kind, err);
  if (st) return st;
  if (strcmp(kind, "model") && strcmp(kind, "checkpoint"))
    return rdd_set(err, RDD_EDATA, "%s: holds %s, expected a model (see als train)", in->path,
                   kind);
  st = look_at_attributes(in, s, err);
  if (!st && !strcmp(kind, "checkpoint")) st = look_at_mark(in, s, err);
  for (int side = 0; side < 2 && !st; side++) {
    st = look_at_ids(in, side, s, err);
    if (!st) st = look_at_floats(in, side, "factors", s->n[side], s->k, err);
  }
  if (st) return st;
  s->bias = H5Lexists(in->file, "/users/bias", H5P_DEFAULT) > 0;
  for (int side = 0; side < 2 && !st && s->bias; side++)
    st = look_at_floats(in, side, "bias", s->n[side], 0, err);
  return st ? st : look_at_best(in, s, err);
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

/* Own rows of the floats of one side, checked, before they go into tables. */
typedef struct float_slice {
  int64_t first, n; /* rows */
  float *factors;   /* [n][k] */
  float *bias;      /* [n], or NULL */
} float_slice;

static void float_slice_reset(float_slice *slice) {
  rdd_free(slice->factors);
  rdd_free(slice->bias);
  *slice = (float_slice){0};
}

/* Own rows of one dataset. */
static rdd_status read_floats(const reader *in, int side, const char *name, int64_t columns,
                              const float_slice *slice, float **out, rdd_err *err) {
  int64_t dims[2], values = slice->n * columns;
  hid_t dataset = H5I_INVALID_HID;
  float *value = *out = rdd_alloc((size_t)values, sizeof(*value));
  if (!value)
    return rdd_set(err, RDD_ENOMEM, "%s: out of memory for %lld rows of %s", in->path,
                   (long long)slice->n, side_name[side]);
  rdd_status st = open_dataset(in, side, name, &dataset, dims, err);
  if (st) return st;
  st = job_h5_read_rows(dataset, H5T_NATIVE_FLOAT, slice->first, slice->n, value, err);
  if (st) job_h5_in_file(err, in->path);
  H5Dclose(dataset);
  for (int64_t i = 0; i < values && !st; i++)
    if (!isfinite(value[i]))
      st = rdd_set(err, RDD_EDATA, "%s: /%s/%s: row %lld has the value %g, expected a finite one",
                   in->path, side_name[side], name, (long long)(slice->first + i / columns),
                   (double)value[i]);
  return st;
}

/* Own rows of a group. Not collective. */
static rdd_status read_group(const reader *in, int group, bool bias, float_slice *slice,
                             rdd_err *err) {
  const rdd_comm *comm = in->comm;
  int64_t n = in->shape.n[group & 1];
  slice->first = first_row(comm, comm->rank, n);
  slice->n = first_row(comm, comm->rank + 1, n) - slice->first;
  rdd_status st = read_floats(in, group, "factors", in->shape.k, slice, &slice->factors, err);
  if (!st && bias) st = read_floats(in, group, "bias", 1, slice, &slice->bias, err);
  return st;
}

/* Put own rows into a table, and publish them.                                        Collective. */
static void place_floats(const reader *in, const float *value, const float_slice *slice, int64_t n,
                         int64_t columns, rdd_table *table, int64_t *begin) {
  float *to = (float *)rdd_table_data(table) + slice->first * columns;
  if (slice->n > 0) memcpy(to, value, (size_t)(slice->n * columns) * sizeof(*to));
  row_bytes_begin(in->comm, n, columns * (int64_t)sizeof(*to), begin);
  rdd_table_sync(table, begin);
}

/* Factors of both sides, perhaps biases, perhaps those of the best iteration; they are written when all
 * ranks have read theirs. Collective. */
static rdd_status load(const reader *in, bool bias, als_model *m, als_best *best, rdd_err *err) {
  const shape *s = &in->shape;
  float_slice slice[GROUPS] = {{0}};
  rdd_status st = RDD_OK;
  int groups = best && s->best ? GROUPS : BEST;
  int64_t *begin = rdd_alloc((size_t)in->comm->size + 1, sizeof(*begin));
  if (!begin) st = rdd_set(err, RDD_ENOMEM, "%s: out of memory", in->path);
  for (int g = 0; g < groups && !st; g++)
    st = read_group(in, g, g < BEST ? s->bias : s->best_bias, &slice[g], err);
  st = rdd_agree(in->comm, st, err);
  if (st) goto done;
  for (int g = 0; g < groups; g++) {
    const als_factors *f = g < BEST ? &m->side[g] : &best->side[g & 1];
    place_floats(in, slice[g].factors, &slice[g], s->n[g & 1], m->k, f->factors, begin);
    if (bias && f->bias) place_floats(in, slice[g].bias, &slice[g], s->n[g & 1], 1, f->bias, begin);
  }
  if (best) best->iteration = (int)s->best;
  m->mean = s->mean;
  m->rating_min = (float)s->rating_min;
  m->rating_max = (float)s->rating_max;
done:
  for (int g = 0; g < GROUPS; g++) float_slice_reset(&slice[g]);
  rdd_free(begin);
  return st;
}

/* What a damaged file may kill HDF5 with, in a child: its attributes and links, and texts, which lie in a
 * heap without a checksum. */
static rdd_status look_in_child(const void *path, void *result, rdd_err *err) {
  reader in = {.path = path, .file = H5I_INVALID_HID};
  (void)result;
  rdd_status st = look(&in, false, err);
  for (int side = 0; side < 2 && !st; side++) {
    text_slice text = {0};
    if (in.shape.type[side] == RDD_UTF8)
      st = read_text_slice(&in, side, 0, in.shape.n[side], &text, err);
    text_slice_reset(&text);
  }
  job_h5_drop(in.file);
  return st;
}

/* Rank 0 looks in a child first, unless a checksum tells that the file is whole.      Collective. */
static rdd_status look_with_care(reader *in, rdd_err *err) {
  bool sealed = true;
  rdd_status st = RDD_OK;
  if (in->comm->rank == 0) {
    st = job_h5_check_seal(in->path, &sealed, err);
    if (!st && !sealed) st = job_h5_look_first(in->path, look_in_child, in->path, NULL, 0, err);
  }
  st = rdd_agree(in->comm, st, err);
  return st ? st : rdd_agree(in->comm, look(in, false, err), err);
}

rdd_status job_model_read(rdd_comm *comm, const char *path, als_model **out, rdd_err *err) {
  reader in = {.comm = comm, .path = path, .file = H5I_INVALID_HID};
  als_ids *ids[2] = {NULL, NULL};
  als_model *m = NULL;
  rdd_status st = look_with_care(&in, err);
  if (!st) st = agree_on_shape(&in, err);
  for (int side = 0; side < 2 && !st; side++) st = read_ids(&in, side, &ids[side], err);
  if (st) goto done;
  st = als_model_new(comm, ids, (int)in.shape.k, in.shape.bias != 0, &m, err);
  if (st) goto done;
  ids[0] = ids[1] = NULL;
  st = load(&in, true, m, NULL, err);
  if (st) goto done;
  *out = m;
  m = NULL;
done:
  als_model_free(m);
  for (int side = 0; side < 2; side++) als_ids_free(ids[side]);
  job_h5_drop(in.file);
  return st;
}

/* ---- A checkpoint ---- */

rdd_status job_saved_open(job_saved **out, rdd_comm *comm, const char *path, rdd_err *err) {
  rdd_status st = RDD_OK;
  reader *in = rdd_alloc(1, sizeof(*in));
  if (!in) st = rdd_set(err, RDD_ENOMEM, "%s: out of memory", path);
  if (in) *in = (reader){.comm = comm, .path = path, .file = H5I_INVALID_HID};
  if (!st) st = look(in, true, err);
  if (!st && in->shape.iteration < 0)
    st = rdd_set(err, RDD_EDATA, "%s: holds a model, expected a checkpoint", path);
  st = rdd_agree(comm, st, err);
  if (!st) st = agree_on_shape(in, err);
  if (st) {
    job_saved_close(in);
    return st;
  }
  *out = in;
  return RDD_OK;
}

bool job_saved_peek(const char *path, job_mark *mark_out) {
  reader in = {.path = path, .file = H5I_INVALID_HID};
  rdd_err err;
  bool good = look(&in, true, &err) == RDD_OK && in.shape.iteration >= 0;
  if (good) *mark_out = job_saved_mark(&in);
  job_h5_drop(in.file);
  return good;
}

job_mark job_saved_mark(const job_saved *saved) {
  return (job_mark){(uint64_t)saved->shape.run, (uint64_t)saved->shape.test};
}

int job_saved_iteration(const job_saved *saved) {
  return (int)saved->shape.iteration;
}

/* One column of the history; rank 0. */
static rdd_status read_history_column(const reader *in, const job_history_column *column, int64_t n,
                                      double *value, rdd_err *err) {
  char full[32];
  snprintf(full, sizeof(full), "/history/%s", column->name);
  for (int64_t i = 0; i < n; i++) value[i] = NAN;
  if (column->newer && H5Lexists(in->file, full, H5P_DEFAULT) == 0) return RDD_OK;
  hid_t dataset = H5Dopen2(in->file, full, H5P_DEFAULT);
  if (dataset < 0)
    return rdd_set(err, RDD_EDATA, "%s: not a whole checkpoint: dataset %s is missing", in->path,
                   full);
  rdd_status st = RDD_OK;
  int64_t dims[2];
  if (!job_h5_shape(dataset, dims) || dims[1] != 0)
    st = rdd_set(err, RDD_EDATA, "%s: %s has not one dimension", in->path, full);
  else if (job_h5_read_rows(dataset, H5T_NATIVE_DOUBLE, 0, n, value, err))
    st = job_h5_in_file(err, in->path);
  H5Dclose(dataset);
  return st;
}

/* Rank 0. */
static rdd_status read_history(const reader *in, als_iteration *history, rdd_err *err) {
  int64_t n = in->shape.iteration;
  double *value = rdd_alloc((size_t)n, sizeof(*value));
  if (!value) return rdd_set(err, RDD_ENOMEM, "%s: out of memory for the history", in->path);
  rdd_status st = RDD_OK;
  for (const job_history_column *c = job_history; c < job_history + JOB_HISTORY_COLUMNS && !st;
       c++) {
    st = read_history_column(in, c, n, value, err);
    for (int64_t i = 0; i < n && !st; i++) {
      memcpy((char *)&history[i] + c->offset, &value[i], sizeof *value);
      history[i].iteration = (int)i + 1;
    }
  }
  rdd_free(value);
  return st;
}

rdd_status job_saved_history(const job_saved *saved, als_iteration *history, rdd_err *err) {
  rdd_comm *comm = saved->comm;
  rdd_status st = RDD_OK;
  if (comm->rank == 0) st = read_history(saved, history, err);
  st = rdd_agree(comm, st, err);
  if (!st) rdd_bcast(comm, history, saved->shape.iteration * (int64_t)sizeof(*history), 0);
  return st;
}

/* The shapes are the same on all ranks, and so is what this returns. */
static rdd_status check_fit(const reader *in, const als_model *m, const als_best *best,
                            rdd_err *err) {
  const shape *s = &in->shape;
  bool bias = m->side[ALS_USERS].bias != NULL;
  if (s->k != m->k || s->n[ALS_USERS] != m->side[ALS_USERS].ids->n ||
      s->n[ALS_ITEMS] != m->side[ALS_ITEMS].ids->n || (s->bias != 0) != bias)
    return rdd_set(
        err, RDD_EDATA, "%s: %lld users, %lld items, rank %lld, expected %lld, %lld and %d",
        in->path, (long long)s->n[ALS_USERS], (long long)s->n[ALS_ITEMS], (long long)s->k,
        (long long)m->side[ALS_USERS].ids->n, (long long)m->side[ALS_ITEMS].ids->n, m->k);
  if (best && s->best && (s->best_bias != 0) != (best->side[ALS_USERS].bias != NULL))
    return rdd_set(err, RDD_EDATA, "%s: /best has %s, expected the opposite", in->path,
                   s->best_bias ? "biases" : "no biases");
  return RDD_OK;
}

rdd_status job_saved_load(const job_saved *saved, bool bias, als_model *model, als_best *best,
                          rdd_err *err) {
  rdd_status st = check_fit(saved, model, best, err);
  return st ? st : load(saved, bias, model, best, err);
}

void job_saved_close(job_saved *saved) {
  if (saved) job_h5_drop(saved->file);
  rdd_free(saved);
}
