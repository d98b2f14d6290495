/* Model files are written here, and read in model_read.c. See model_file.h and docs/formats.md.
 *
 *   /users/id, /items/id            int64 or text, ascending
 *   /users/factors, /items/factors  float32, n x k
 *   /users/bias, /items/bias        float32, n; where the model has biases
 *   /history/...                    one row for each iteration
 *   /best/users/..., /best/items/...  of a checkpoint: factors and biases of the best iteration, where
 *                                   that is not the newest
 *   attributes of the root          shape, parameters, provenance */
#include "jobs/model_file.h"
#include "jobs/h5.h"
#include "jobs/output.h"
#include "jobs/params_impl.h"
#include "rdd/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK_BYTES = 1 << 20, ID_CHUNK = 65536, TEXT_SLAB = 4096 };

static const char *const side_name[2] = {"users", "items"};

job_model_image job_model_image_of(const als_model *model) {
  job_model_image image = {
      .k = model->k,
      .mean = model->mean,
      .rating_min = model->rating_min,
      .rating_max = model->rating_max,
  };
  for (int side = 0; side < 2; side++) {
    const als_factors *f = &model->side[side];
    image.side[side] = (job_rows_image){
        .ids = f->ids,
        .factors = rdd_table_data(f->factors),
        .bias = f->bias ? rdd_table_data(f->bias) : NULL,
    };
  }
  return image;
}

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

static rdd_status write_root(hid_t file, const job_model_image *m, const job_provenance *how,
                             rdd_err *err) {
  char host[256] = "", created[32] = "";
  time_t now = time(NULL);
  struct tm utc;
  if (gethostname(host, sizeof(host) - 1) != 0) snprintf(host, sizeof(host), "unknown");
  if (gmtime_r(&now, &utc)) strftime(created, sizeof(created), "%Y-%m-%dT%H:%M:%SZ", &utc);
  const attribute list[] = {
      {"rank", A_INT, .number = m->k},
      {"users", A_INT, .number = m->side[ALS_USERS].ids->n},
      {"items", A_INT, .number = m->side[ALS_ITEMS].ids->n},
      {"mean", A_REAL, .real = m->mean},
      {"rating_min", A_REAL, .real = (double)m->rating_min},
      {"rating_max", A_REAL, .real = (double)m->rating_max},
      {"ratings", A_INT, .number = how->ratings},
      {"iterations", A_INT, .number = how->iterations},
      {"best_iteration", A_INT, .number = how->best},
      {"ranks", A_INT, .number = how->ranks},
      {"seconds", A_REAL, .real = how->seconds},
      {"inputs", A_TEXT, .text = how->inputs},
      {"command_line", A_TEXT, .text = how->command_line},
      {"host", A_TEXT, .text = host},
      {"created", A_TEXT, .text = created},
  };
  rdd_status st = write_attributes(file, list, sizeof(list) / sizeof(list[0]), err);
  if (!st && how->settings) st = job_h5_set_string(file, "settings", how->settings, err);
  if (!st && how->digest) st = job_h5_set_string(file, "digest", how->digest, err);
  return st ? st : job_params_save(file, &how->params, &how->start, err);
}

/* Fingerprints are 64 bits, stored as signed integers. */
static rdd_status write_mark(hid_t file, const job_mark *mark, int iteration, rdd_err *err) {
  const attribute list[] = {
      {"iteration", A_INT, .number = iteration},
      {"fingerprint", A_INT, .number = (int64_t)mark->run},
      {"test_fingerprint", A_INT, .number = (int64_t)mark->test},
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
static rdd_status write_floats(hid_t group, const char *name, const float *value, int64_t n, int k,
                               const char *description, const char *units, rdd_err *err) {
  hid_t dataset = H5I_INVALID_HID;
  int64_t chunk = CHUNK_BYTES / (int64_t)sizeof(float) / (k > 0 ? k : 1);
  rdd_status st = job_h5_dataset_plain(&dataset, group, name, H5T_IEEE_F32LE, n, k,
                                       chunk > 0 ? chunk : 1, description, units, err);
  if (st) return st;
  st = job_h5_write_rows(dataset, H5T_NATIVE_FLOAT, 0, n, value, err);
  return job_h5_dataset_close(dataset, st, err);
}

/* The factors of a side, and its biases where it has some. */
static rdd_status write_rows(hid_t group, const job_rows_image *f, int k, rdd_err *err) {
  rdd_status st = write_floats(
      group, "factors", f->factors, f->ids->n, k,
      "factor vectors; a prediction is mean + biases + the dot product of two", NULL, err);
  if (!st && f->bias)
    st = write_floats(group, "bias", f->bias, f->ids->n, 0, "added to every prediction of the row",
                      "rating", err);
  return st;
}

static rdd_status write_side(hid_t file, const job_model_image *m, int side, rdd_err *err) {
  hid_t group = H5I_INVALID_HID;
  rdd_status st = job_h5_group(&group, file, side_name[side],
                               "ids, factors and perhaps biases; one row each", err);
  if (st) return st;
  st = write_ids(group, side_name[side], m->side[side].ids, err);
  if (!st) st = write_rows(group, &m->side[side], m->k, err);
  H5Gclose(group);
  return st;
}

/* What a rerun needs to end with the best iteration, when that is not the checkpoint's own. */
static rdd_status write_best(hid_t file, const job_model_image *m, rdd_err *err) {
  hid_t best = H5I_INVALID_HID, group = H5I_INVALID_HID;
  rdd_status st = job_h5_group(&best, file, "best", "rows of the best iteration so far", err);
  for (int side = 0; side < 2 && !st; side++) {
    st = job_h5_group(&group, best, side_name[side], "row i is of row i of the ids", err);
    if (st) break;
    st = write_rows(group, &m->best[side], m->k, err);
    H5Gclose(group);
  }
  if (best >= 0) H5Gclose(best);
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

const job_history_column job_history[JOB_HISTORY_COLUMNS] = {
    {"rmse_train", "rating",
     "root mean squared error over the training ratings, after each iteration; NaN where they are "
     "implicit",
     offsetof(als_iteration, rmse_train), false},
    {"rmse_test", "rating",
     "root mean squared error over the test ratings, after each iteration; NaN without them",
     offsetof(als_iteration, rmse_test), false},
    {"rmse_validation", "rating",
     "root mean squared error over the validation ratings, after each iteration; NaN where it is "
     "not watched",
     offsetof(als_iteration, rmse_validation), false},
    {"ndcg_validation", "1",
     "NDCG@10 over the validation ratings, after each iteration; NaN where it is not watched",
     offsetof(als_iteration, ndcg_validation), true},
    {"loss_ratings", "loss", "the part of the objective over ratings, after each iteration",
     offsetof(als_iteration, loss_ratings), false},
    {"loss_pairs", "loss",
     "the part of the objective over all pairs, after each iteration; 0 where ratings are explicit",
     offsetof(als_iteration, loss_pairs), false},
    {"loss_reg", "loss", "the regularisation, after each iteration",
     offsetof(als_iteration, loss_reg), false},
    {"objective", "loss", "the sum of these three parts", offsetof(als_iteration, objective),
     false},
    {"seconds", "s", "wall time of each iteration", offsetof(als_iteration, seconds), false},
};

static rdd_status write_history(hid_t file, const job_provenance *how, rdd_err *err) {
  hid_t group = H5I_INVALID_HID;
  double *column = NULL;
  int64_t n = how->iterations;
  rdd_status st = job_h5_group(&group, file, "history", "one row for each iteration", err);
  if (st) return st;
  column = rdd_alloc((size_t)n, sizeof(*column));
  if (!column) st = rdd_set(err, RDD_ENOMEM, "out of memory for the history");
  for (const job_history_column *c = job_history; c < job_history + JOB_HISTORY_COLUMNS && !st;
       c++) {
    for (int64_t i = 0; i < n; i++)
      memcpy(&column[i], (const char *)&how->history[i] + c->offset, sizeof *column);
    st = write_history_column(group, c->name, column, n, c->description, c->units, err);
  }
  rdd_free(column);
  H5Gclose(group);
  return st;
}

rdd_status job_model_save(const char *path, const job_model_image *image, const job_provenance *how,
                          const job_mark *mark, rdd_err *err) {
  job_output *output = NULL;
  hid_t file = H5I_INVALID_HID;
  rdd_status st = job_output_open(&output, path, err);
  if (st) return st;
  st = mark ? job_h5_create_checked(&file, job_output_path(output), "checkpoint", err)
            : job_h5_create(&file, job_output_path(output), "model", err);
  if (!st) st = write_root(file, image, how, err);
  if (!st && mark) st = write_mark(file, mark, how->iterations, err);
  for (int side = 0; side < 2 && !st; side++) st = write_side(file, image, side, err);
  if (!st && image->best_iteration) st = write_best(file, image, err);
  if (!st) st = write_history(file, how, err);
  if (st) {
    job_h5_in_file(err, path);
    goto done;
  }
  st = job_h5_close(file, path, err);
  file = H5I_INVALID_HID;
  if (!st && mark) st = job_h5_seal(job_output_path(output), err);
  if (st) goto done;
  st = job_output_commit(output, err);
  output = NULL;
done:
  job_h5_drop(file);
  job_output_abandon(output);
  return st;
}

rdd_status job_model_write(rdd_comm *comm, const char *path, const als_model *model,
                           const job_provenance *how, char digest_out[JOB_DIGEST_TEXT],
                           rdd_err *err) {
  const job_model_image image = job_model_image_of(model);
  job_provenance of = *how;
  rdd_status st = job_model_digest(comm, model, digest_out, err);
  if (st) return st;
  of.digest = digest_out;
  if (comm->rank == 0) st = job_model_save(path, &image, &of, NULL, err);
  return rdd_agree(comm, st, err);
}
