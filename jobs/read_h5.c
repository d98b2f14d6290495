/* Records of our HDF5 ratings files: /ratings/{user,item,value[,timestamp]}, where ids are
 * integers, or codes into a dictionary of strings beside them. A task opens the file itself, for
 * no handle of HDF5 outlives a fork. */
#include "jobs/h5.h"
#include "jobs/input_impl.h"
#include "rdd/memory.h"

#include <stdio.h>
#include <string.h>

enum {
  CHUNK = 65536,          /* rows read at once, aligned: the chunks of our files */
  DICTIONARY_STEP = 4096, /* strings read at once */
};

static const int64_t most_rows = (int64_t)1
                                 << 44; /* so that the rows of all files can be added up */
static const char *const dataset_name[JOB_ROLES] = {"user", "item", "value", "timestamp"};

/* The strings that codes stand for. */
typedef struct dictionary {
  int64_t n;
  int64_t *offset; /* [n + 1] */
  char *text;
} dictionary;

/* An open file. */
typedef struct ratings {
  const char *path;
  hid_t file;
  hid_t group;
  hid_t dataset[JOB_ROLES]; /* negative: not there */
  hid_t dictionary[2];
  bool unsigned64[2]; /* ids may be beyond int64; HDF5 then reads INT64_MAX */
  int64_t rows;
} ratings;

static bool has(hid_t where, const char *name) {
  return H5Lexists(where, name, H5P_DEFAULT) > 0;
}

static void close_dataset(hid_t dataset) {
  if (dataset >= 0) H5Dclose(dataset);
}

static void ratings_close(ratings *r) {
  for (int i = 0; i < JOB_ROLES; i++) close_dataset(r->dataset[i]);
  for (int i = 0; i < 2; i++) close_dataset(r->dictionary[i]);
  if (r->group >= 0) H5Gclose(r->group);
  job_h5_drop(r->file);
}

/* Open one column and check its class and length. */
static rdd_status open_column(ratings *r, int role, rdd_err *err) {
  const char *path = job_path_text(r->path), *name = dataset_name[role];
  int64_t dims[2];
  r->dataset[role] = H5Dopen2(r->group, name, H5P_DEFAULT);
  if (r->dataset[role] < 0)
    return rdd_set(err, RDD_EDATA, "%s: /ratings/%s cannot be opened (%s)", path, name,
                   job_h5_why());
  hid_t type = H5Dget_type(r->dataset[role]);
  H5T_class_t class = type >= 0 ? H5Tget_class(type) : H5T_NO_CLASS;
  bool wide = class == H5T_INTEGER && H5Tget_size(type) >= 8 && H5Tget_sign(type) == H5T_SGN_NONE;
  if (type >= 0) H5Tclose(type);
  bool number = class == H5T_INTEGER || (role == JOB_RATING && class == H5T_FLOAT);
  if (!number)
    return rdd_set(err, RDD_EDATA, "%s: /ratings/%s is not of %s", path, name,
                   role == JOB_RATING ? "numbers" : "integers");
  if (role < 2) r->unsigned64[role] = wide;
  if (!job_h5_shape(r->dataset[role], dims) || dims[1] != 0)
    return rdd_set(err, RDD_EDATA, "%s: /ratings/%s has not one dimension", path, name);
  if (role == JOB_USER) r->rows = dims[0];
  if (r->rows > most_rows)
    return rdd_set(err, RDD_EDATA, "%s: /ratings/%s has %lld rows, more than %lld", path, name,
                   (long long)r->rows, (long long)most_rows);
  if (dims[0] != r->rows)
    return rdd_set(err, RDD_EDATA, "%s: /ratings/%s has %lld rows, /ratings/user %lld", path, name,
                   (long long)dims[0], (long long)r->rows);
  return RDD_OK;
}

/* The dictionary of a column of ids, if it has one. */
static rdd_status open_dictionary(ratings *r, int side, rdd_err *err) {
  char name[32];
  int64_t dims[2];
  snprintf(name, sizeof name, "%s_dictionary", dataset_name[side]);
  if (!has(r->group, name)) return RDD_OK;
  r->dictionary[side] = H5Dopen2(r->group, name, H5P_DEFAULT);
  hid_t type = r->dictionary[side] >= 0 ? H5Dget_type(r->dictionary[side]) : H5I_INVALID_HID;
  bool text = type >= 0 && H5Tis_variable_str(type) > 0;
  if (type >= 0) H5Tclose(type);
  if (!text || !job_h5_shape(r->dictionary[side], dims) || dims[1] != 0)
    return rdd_set(err, RDD_EDATA, "%s: /ratings/%s is not a list of strings of variable length",
                   job_path_text(r->path), name);
  return RDD_OK;
}

/* Open a ratings file and check its schema. Close even after a failure. */
static rdd_status ratings_open(ratings *r, const char *path, rdd_err *err) {
  char kind[32] = "";
  *r = (ratings){.path = path, .file = -1, .group = -1, .dictionary = {-1, -1}};
  for (int i = 0; i < JOB_ROLES; i++) r->dataset[i] = -1;
  rdd_status st = job_h5_open(&r->file, path, kind, err);
  if (st) return st;
  path = job_path_text(path);
  if (strcmp(kind, "ratings") != 0)
    return rdd_set(err, RDD_EDATA, "%s holds %s%s, expected ratings", path,
                   strcmp(kind, "model") == 0 ? "a " : "",
                   kind[0] ? kind : "no known kind of data");
  if (has(r->file, "ratings")) r->group = H5Gopen2(r->file, "ratings", H5P_DEFAULT);
  if (r->group < 0) return rdd_set(err, RDD_EDATA, "%s: there is no group /ratings", path);
  for (int role = 0; role < JOB_ROLES && !st; role++) {
    if (has(r->group, dataset_name[role]))
      st = open_column(r, role, err);
    else if (role < 2)
      st = rdd_set(err, RDD_EDATA, "%s: there is no dataset /ratings/%s", path, dataset_name[role]);
  }
  for (int side = 0; side < 2 && !st; side++) st = open_dictionary(r, side, err);
  return st;
}

rdd_status job_prepare_h5(rdd_err *err) {
  if (H5open() < 0) return rdd_set(err, RDD_EINTERNAL, "HDF5 does not start");
  return RDD_OK;
}

rdd_status job_look_h5(job_file *file, const char *path, const job_input_opts *opts, rdd_err *err) {
  ratings r;
  rdd_status st = ratings_open(&r, path, err);
  if (st) goto done;
  if (r.dataset[JOB_RATING] < 0 && !opts->pairs) {
    st = rdd_set(err, RDD_EDATA, "%s: there is no dataset /ratings/value", job_path_text(path));
    goto done;
  }
  for (int side = 0; side < 2; side++) {
    file->id_type[side] = r.dictionary[side] >= 0 ? RDD_UTF8 : RDD_INT64;
    if (r.dictionary[side] >= 0 && job_wanted_type(opts, side) == RDD_INT64) {
      st = rdd_set(
          err, RDD_EDATA, "%s: the %s ids are strings; %s", job_path_text(path), dataset_name[side],
          opts->id_types ? "those to match are integers" : "--id-type int cannot read them");
      goto done;
    }
  }
  file->layout = JOB_HDF5;
  file->weight = file->entries = r.rows;
  for (int role = 0; role < JOB_ROLES; role++) file->column[role] = r.dataset[role] >= 0 ? 0 : -1;
  snprintf(file->kind, sizeof file->kind, "HDF5");
done:
  ratings_close(&r);
  return st;
}

typedef struct look_at {
  const char *path;
  const job_input_opts *opts;
} look_at;

static rdd_status look(const void *arg, void *result, rdd_err *err) {
  const look_at *at = arg;
  return job_look_h5(result, at->path, at->opts, err);
}

rdd_status job_sniff_h5(job_file *file, const char *path, const job_input_opts *opts,
                        rdd_err *err) {
  const look_at at = {path, opts};
  return job_h5_look_first(path, look, &at, file, sizeof *file, err);
}

/* ---- in a task ---- */

static void dictionary_reset(dictionary *d) {
  rdd_free(d->offset);
  rdd_free(d->text);
  memset(d, 0, sizeof *d);
}

/* Append strings [first, first + n); room grows by doubling. */
static rdd_status take_strings(dictionary *d, size_t *room, char **text, int64_t first, int64_t n,
                               const char *path, rdd_err *err) {
  for (int64_t i = 0; i < n; i++) {
    size_t used = (size_t)d->offset[first + i], length = text[i] ? strlen(text[i]) : 0;
    if (length == 0 || length > JOB_ID_LENGTH)
      return rdd_set(err, RDD_EDATA,
                     "%s: string %lld of a dictionary has %zu bytes, expected 1 to %d",
                     job_path_text(path), (long long)(first + i), length, JOB_ID_LENGTH);
    if (used + length > *room) {
      char *grown = rdd_realloc(d->text, *room * 2, 1);
      if (!grown) return rdd_set(err, RDD_ENOMEM, "out of memory for a dictionary of ids");
      d->text = grown;
      *room *= 2;
    }
    memcpy(d->text + used, text[i], length);
    d->offset[first + i + 1] = (int64_t)(used + length);
  }
  return RDD_OK;
}

static rdd_status dictionary_read(dictionary *d, hid_t dataset, const char *path, rdd_err *err) {
  rdd_status st = RDD_OK;
  int64_t dims[2];
  size_t room = 1 << 20; /* more than one id */
  char **text = rdd_calloc(DICTIONARY_STEP, sizeof(char *));
  hid_t type = job_h5_text_type();
  if (!job_h5_shape(dataset, dims) || type < 0) {
    st = rdd_set(err, RDD_EINTERNAL, "%s: a dictionary cannot be read", job_path_text(path));
    goto done;
  }
  d->n = dims[0];
  d->offset = rdd_calloc((size_t)d->n + 1, sizeof(int64_t));
  d->text = rdd_alloc(room, 1);
  if (!text || !d->offset || !d->text) {
    st = rdd_set(err, RDD_ENOMEM, "out of memory for a dictionary of %lld ids", (long long)d->n);
    goto done;
  }
  for (int64_t first = 0; first < d->n && !st; first += DICTIONARY_STEP) {
    int64_t n = d->n - first < DICTIONARY_STEP ? d->n - first : DICTIONARY_STEP;
    st = job_h5_read_rows(dataset, type, first, n, text, err);
    if (st)
      st = job_h5_in_file(err, job_path_text(path));
    else
      st = take_strings(d, &room, text, first, n, path, err);
    job_h5_free_text(text, n);
  }
done:
  if (type >= 0) H5Tclose(type);
  rdd_free(text);
  return st;
}

/* One chunk of rows as it lies in the file. */
typedef struct chunk {
  int64_t *id[2], *timestamp;
  double *value;
} chunk;

static rdd_status chunk_init(chunk *c, rdd_err *err) {
  c->id[0] = rdd_alloc(CHUNK, sizeof(int64_t));
  c->id[1] = rdd_alloc(CHUNK, sizeof(int64_t));
  c->timestamp = rdd_calloc(CHUNK, sizeof(int64_t));
  c->value = rdd_alloc(CHUNK, sizeof(double));
  if (!c->id[0] || !c->id[1] || !c->timestamp || !c->value)
    return rdd_set(err, RDD_ENOMEM, "out of memory for %d rows of ratings", CHUNK);
  return RDD_OK;
}

static void chunk_reset(chunk *c) {
  rdd_free(c->id[0]);
  rdd_free(c->id[1]);
  rdd_free(c->timestamp);
  rdd_free(c->value);
}

static rdd_status chunk_read(chunk *c, const ratings *r, bool timestamp, int64_t first, int64_t n,
                             rdd_err *err) {
  rdd_status st = RDD_OK;
  for (int side = 0; side < 2 && !st; side++)
    st = job_h5_read_rows(r->dataset[side], H5T_NATIVE_INT64, first, n, c->id[side], err);
  if (!st && r->dataset[JOB_RATING] >= 0)
    st = job_h5_read_rows(r->dataset[JOB_RATING], H5T_NATIVE_DOUBLE, first, n, c->value, err);
  else
    for (int64_t i = 0; i < n; i++) c->value[i] = 1;
  if (!st && timestamp)
    st = job_h5_read_rows(r->dataset[JOB_TIMESTAMP], H5T_NATIVE_INT64, first, n, c->timestamp, err);
  return st ? job_h5_in_file(err, job_path_text(r->path)) : RDD_OK;
}

/* Put one id into the row; false with what is wrong. */
static bool put_id(job_rows *rows, const ratings *r, const dictionary *d, int side, int64_t id,
                   char what[160]) {
  char digits[24];
  job_span span = {.text = digits};
  if (r->dictionary[side] >= 0) {
    if (id < 0 || id >= d->n) {
      snprintf(what, 160, "%s code %lld is not in the dictionary of %lld strings",
               dataset_name[side], (long long)id, (long long)d->n);
      return false;
    }
    span.text = d->text + d->offset[id];
    span.n = (size_t)(d->offset[id + 1] - d->offset[id]);
  } else {
    if (r->unsigned64[side] && id == INT64_MAX) {
      snprintf(what, 160, "%s id is out of the range of 64-bit signed integers",
               dataset_name[side]);
      return false;
    }
    if (rows->id[side].type == RDD_INT64) {
      job_rows_int(rows, side, id);
      return true;
    }
    span.n = (size_t)snprintf(digits, sizeof digits, "%lld", (long long)id);
  }
  job_rows_text(rows, side, &span);
  return true;
}

/* Take row `row` of the file, number i of the chunk. */
static rdd_status take_row(job_rows *rows, const ratings *r, const dictionary d[2], const chunk *c,
                           int64_t i, int64_t row, rdd_err *err) {
  char what[160] = "", message[480];
  float rating = 0;
  const char *wrong;
  bool good = true;
  for (int side = 0; side < 2 && good; side++)
    good = put_id(rows, r, &d[side], side, c->id[side][i], what);
  if (good && !job_rating(c->value[i], &rating, &wrong)) {
    snprintf(what, sizeof what, "rating %g %s", c->value[i], wrong);
    good = false;
  }
  if (good) return job_rows_end(rows, rating, c->timestamp[i], err);
  snprintf(message, sizeof message, "%s: row %lld of /ratings: %s", job_path_text(r->path),
           (long long)row, what);
  return job_rows_bad(rows, message, err);
}

rdd_status job_read_h5(job_rows *rows, const job_file *file, int64_t begin, int64_t end,
                       rdd_err *err) {
  dictionary d[2] = {{0}, {0}};
  chunk c = {{NULL, NULL}, NULL, NULL};
  ratings r;
  const char *path = job_plan_path(rows->plan, file);
  rdd_status st = ratings_open(&r, path, err);
  if (!st) st = chunk_init(&c, err);
  for (int side = 0; side < 2 && !st; side++)
    if (r.dictionary[side] >= 0) st = dictionary_read(&d[side], r.dictionary[side], path, err);
  if (!st && r.rows != file->entries)
    st = rdd_set(err, RDD_EIO, "%s has changed since the job started: it had %lld rows, now %lld",
                 job_path_text(path), (long long)file->entries, (long long)r.rows);
  for (int64_t first = begin, next; first < end && !st; first = next) {
    next = first - first % CHUNK + CHUNK;
    if (next > end) next = end;
    st = chunk_read(&c, &r, rows->plan->timestamp, first, next - first, err);
    for (int64_t i = 0; i < next - first && !st; i++)
      st = take_row(rows, &r, d, &c, i, first + i, err);
  }
  for (int side = 0; side < 2; side++) dictionary_reset(&d[side]);
  chunk_reset(&c);
  ratings_close(&r);
  return st;
}
