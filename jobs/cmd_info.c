/* als info: what a file holds. Our HDF5 files tell it from their attributes; text is read through. */
#include "jobs/dictionary.h"
#include "jobs/h5.h"
#include "jobs/input.h"
#include "jobs/job.h"
#include "jobs/params_impl.h"
#include "jobs/save.h"
#include "jobs/ui.h"

#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TEXT = 1024 };

/* ---- One line of the table, and one key of the JSON object ---- */

static void show(const job *j, const char *label, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void show(const job *j, const char *label, const char *format, ...) {
  if (j->json) return;
  va_list args;
  va_start(args, format);
  printf("%-18s ", label);
  vprintf(format, args);
  putchar('\n');
  va_end(args);
}

/* "user_type" becomes "user type". */
static const char *label_of(const char *key, char label[32]) {
  snprintf(label, 32, "%s", key);
  for (char *at = label; (at = strchr(at, '_'));) *at = ' ';
  return label;
}

static void show_text(const job *j, const char *key, const char *text) {
  char label[32];
  show(j, label_of(key, label), "%s", text);
  job_json_string(j->result, key, text);
}

static void show_count(const job *j, const char *key, int64_t n) {
  char label[32];
  show(j, label_of(key, label), "%s", job_count_text(n));
  job_json_int(j->result, key, n);
}

/* A root attribute, where it is there; key is its name, label what people read. */
static void show_int(const job *j, hid_t file, const char *label, const char *key) {
  int64_t n;
  if (!job_h5_get_int(file, key, &n)) return;
  show(j, label, "%lld", (long long)n);
  job_json_int(j->result, key, n);
}

static void show_real(const job *j, hid_t file, const char *label, const char *key) {
  double x;
  if (!job_h5_get_real(file, key, &x)) return;
  show(j, label, "%.6g", x);
  job_json_real(j->result, key, x);
}

static void show_string(const job *j, hid_t file, const char *label, const char *key) {
  char text[TEXT];
  if (!job_h5_get_string(file, key, text, sizeof(text)) || !*text) return;
  show(j, label, "%s", text);
  job_json_string(j->result, key, text);
}

/* ---- Tables: ratings, predictions, recommendations ---- */

/* One column, in a line: "int64, 1 to 943, 943 distinct". */
static void show_column(const job *j, hid_t dataset, const char *name, bool is_text) {
  char line[TEXT], key[64];
  hid_t type = H5Dget_type(dataset);
  bool real = H5Tget_class(type) == H5T_FLOAT;
  int at = snprintf(line, sizeof(line), "%s",
                    is_text ? "text"
                    : real  ? (H5Tget_size(type) == 4 ? "float32" : "float64")
                            : (H5Tget_size(type) == 4 ? "int32" : "int64"));
  H5Tclose(type);
  snprintf(key, sizeof(key), "%s_type", name);
  job_json_string(j->result, key, line);
  const char *const stat[3] = {"min", "max", "mean"};
  const char *const before[3] = {", ", " to ", ", mean "};
  for (int s = 0; s < 3; s++) {
    double x;
    int64_t n;
    snprintf(key, sizeof(key), "%s_%s", name, stat[s]);
    if (!real && job_h5_get_int(dataset, stat[s], &n)) {
      at += snprintf(line + at, sizeof(line) - (size_t)at, "%s%lld", before[s], (long long)n);
      job_json_int(j->result, key, n);
    } else if (real && job_h5_get_real(dataset, stat[s], &x)) {
      at += snprintf(line + at, sizeof(line) - (size_t)at, "%s%.6g", before[s], x);
      job_json_real(j->result, key, x);
    }
  }
  int64_t distinct;
  if (job_h5_get_int(dataset, "distinct", &distinct)) {
    snprintf(line + at, sizeof(line) - (size_t)at, ", %s distinct", job_count_text(distinct));
    snprintf(key, sizeof(key), "%s_distinct", name);
    job_json_int(j->result, key, distinct);
  }
  show(j, name, "%s", line);
}

/* The columns a table may have, in the order in which they are told, and what people call them. */
static const char *const column_name[][2] = {
    {"user", "user"},
    {"item", "item"},
    {"rank", "place"},
    {"value", "rating"},
    {"score", "score"},
    {"prediction", "prediction"},
    {"timestamp", "timestamp"},
    {"similar_user", "similar user"},
    {"similar_item", "similar item"},
    {"rating", "rating"},
    {"weight", "weight"},
    {"contribution", "contribution"},
};

/* What the command that wrote the table counted. */
static void show_counts(const job *j, hid_t file) {
  static const char *const key[] = {"users", "items", "bad_records"};
  int64_t n;
  for (size_t i = 0; i < sizeof(key) / sizeof(key[0]); i++)
    if (job_h5_get_int(file, key[i], &n)) show_count(j, key[i], n);
}

static rdd_status show_table(const job *j, hid_t file, const char *path, const char *kind,
                             rdd_err *err) {
  char name[48];
  snprintf(name, sizeof(name), "/%.31s", kind);
  hid_t group = H5Gopen2(file, name, H5P_DEFAULT);
  if (group < 0)
    return rdd_set(err, RDD_EDATA, "%s: kind is %s, but there is no group %s", path, kind, name);
  int64_t rows = -1, dims[2];
  for (size_t c = 0; c < sizeof(column_name) / sizeof(column_name[0]); c++) {
    if (H5Lexists(group, column_name[c][0], H5P_DEFAULT) <= 0) continue;
    hid_t dataset = H5Dopen2(group, column_name[c][0], H5P_DEFAULT);
    if (dataset < 0) continue;
    if (rows < 0 && job_h5_shape(dataset, dims)) {
      rows = dims[0];
      show_count(j, kind, rows);
      show_counts(j, file);
    }
    snprintf(name, sizeof(name), "%s_dictionary", column_name[c][0]);
    show_column(j, dataset, column_name[c][1], H5Lexists(group, name, H5P_DEFAULT) > 0);
    H5Dclose(dataset);
  }
  H5Gclose(group);
  if (rows < 0)
    return rdd_set(err, RDD_EDATA, "%s: group /%s has none of the columns of such a file", path,
                   kind);
  return RDD_OK;
}

/* ---- Models ---- */

/* Type of the ids of a side. */
static void show_id_type(const job *j, hid_t file, const char *path, const char *key) {
  hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT);
  if (dataset < 0) return;
  hid_t type = H5Dget_type(dataset);
  show_text(j, key, H5Tget_class(type) == H5T_STRING ? "text" : "int64");
  H5Tclose(type);
  H5Dclose(dataset);
}

/* The row of the history that the factors are of: a model's best, a checkpoint's last. */
static int64_t row_of_factors(hid_t file, int64_t rows) {
  int64_t best, iteration;
  if (job_h5_get_int(file, "iteration", &iteration) ||
      !job_h5_get_int(file, "best_iteration", &best) || best < 1 || best > rows)
    return rows - 1;
  return best - 1;
}

/* What a column of the history says of the factors, if it is finite. */
static void show_history(const job *j, hid_t file, const char *label, const char *name) {
  char path[48];
  int64_t dims[2];
  double value;
  rdd_err err;
  snprintf(path, sizeof(path), "/history/%s", name);
  if (H5Lexists(file, "/history", H5P_DEFAULT) <= 0) return;
  hid_t dataset = H5Lexists(file, path, H5P_DEFAULT) > 0 ? H5Dopen2(file, path, H5P_DEFAULT) : -1;
  if (dataset < 0) return;
  if (job_h5_shape(dataset, dims) && dims[0] > 0 && dims[1] == 0 &&
      !job_h5_read_rows(dataset, H5T_NATIVE_DOUBLE, row_of_factors(file, dims[0]), 1, &value,
                        &err) &&
      isfinite(value)) {
    show(j, label, "%.8g", value);
    job_json_real(j->result, name, value);
  }
  H5Dclose(dataset);
}

static void show_params(const job *j, hid_t file) {
  for (const job_param_name *p = job_param_names; p < job_param_names + JOB_PARAM_NAMES; p++) {
    if (p->kind == JOB_PARAM_INT) show_int(j, file, p->label, p->key);
    if (p->kind == JOB_PARAM_REAL) show_real(j, file, p->label, p->key);
    if (p->kind == JOB_PARAM_TEXT) show_string(j, file, p->label, p->key);
  }
}

static rdd_status show_model(const job *j, hid_t file, const char *path, rdd_err *err) {
  int64_t n[3];
  static const char *const count[3] = {"users", "items", "ratings"};
  for (int i = 0; i < 3; i++) {
    if (!job_h5_get_int(file, count[i], &n[i]))
      return rdd_set(err, RDD_EDATA, "%s: a model without the root attribute %s", path, count[i]);
    show_count(j, count[i], n[i]);
  }
  show_id_type(j, file, "/users/id", "user_type");
  show_id_type(j, file, "/items/id", "item_type");
  show_int(j, file, "rank (factors)", "rank");
  show_real(j, file, "mean", "mean");
  show_real(j, file, "lowest rating", "rating_min");
  show_real(j, file, "highest rating", "rating_max");
  show_history(j, file, "training RMSE", "rmse_train");
  show_history(j, file, "test RMSE", "rmse_test");
  show_history(j, file, "validation RMSE", "rmse_validation");
  show_history(j, file, "validation NDCG@10", "ndcg_validation");
  show_history(j, file, "objective", "objective");
  show_history(j, file, "of it: ratings", "loss_ratings");
  show_history(j, file, "of it: all pairs", "loss_pairs");
  show_history(j, file, "of it: regularised", "loss_reg");
  show_int(j, file, "iterations", "iterations");
  show_int(j, file, "best iteration", "best_iteration");
  show_string(j, file, "digest", "digest");
  show_params(j, file);
  show_real(j, file, "seconds", "seconds");
  show_int(j, file, "ranks (processes)", "ranks");
  show_string(j, file, "inputs", "inputs");
  show_string(j, file, "command line", "command_line");
  show_string(j, file, "host", "host");
  show_string(j, file, "created", "created");
  return RDD_OK;
}

/* A kept partition; its rows are in no table. */
static void show_block(const job *j, hid_t file) {
  show_string(j, file, "rdd", "rdd");
  show_int(j, file, "partition", "partition");
  show_int(j, file, "of", "partitions");
  show_int(j, file, "rows", "rows");
}

/* Whatever the kind. */
static rdd_status show_contents(const job *j, hid_t file, const char *path, const char *kind,
                                rdd_err *err) {
  bool checkpoint = !strcmp(kind, "checkpoint");
  if (checkpoint) show_int(j, file, "iteration", "iteration");
  if (checkpoint || !strcmp(kind, "model")) return show_model(j, file, path, err);
  if (strcmp(kind, "block")) return show_table(j, file, path, kind, err);
  show_block(j, file);
  return RDD_OK;
}

/* An HDF5 file of ours. Rank 0. */
static rdd_status show_hdf5(const job *j, const char *path, rdd_err *err) {
  char kind[32];
  int64_t version = 0;
  hid_t file = H5I_INVALID_HID;
  rdd_status st = job_h5_open(&file, path, kind, err);
  if (st) return st;
  show_text(j, "file", path);
  show_text(j, "kind", kind);
  st = show_contents(j, file, path, kind, err);
  if (!st) {
    show_string(j, file, "written by", "creator");
    if (job_h5_get_int(file, "format_version", &version)) show_count(j, "format_version", version);
  }
  job_h5_drop(file);
  return st;
}

typedef struct shown {
  const job *j;
  const char *path;
} shown;

/* In a child, which shows it to nobody: HDF5 may crash on any of it. */
static rdd_status look(const void *arg, void *result, rdd_err *err) {
  const shown *s = arg;
  (void)result;
  int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere < 0 || dup2(nowhere, STDOUT_FILENO) < 0) close(STDOUT_FILENO);
  return show_hdf5(s->j, s->path, err);
}

/* ---- Anything else: read it ---- */

typedef struct tally {
  job_dictionary *ids[2];
  int64_t ratings;
  double sum; /* in the order of the input */
  float min, max;
} tally;

static rdd_status tally_partition(void *arg, int64_t partition, const rdd_part *part,
                                  rdd_err *err) {
  (void)partition;
  tally *t = arg;
  rdd_status st = RDD_OK;
  for (int64_t b = 0; b < part->batches && !st; b++) {
    const rdd_batch *batch = &part->batch[b];
    const float *value = batch->column[2].values;
    for (int c = 0; c < 2 && !st; c++)
      st = job_dictionary_add(t->ids[c], &batch->column[c], batch->rows, NULL, err);
    for (int64_t i = 0; i < batch->rows; i++) {
      if (t->ratings + i == 0 || value[i] < t->min) t->min = value[i];
      if (t->ratings + i == 0 || value[i] > t->max) t->max = value[i];
      t->sum += (double)value[i];
    }
    t->ratings += batch->rows;
  }
  return st;
}

static void show_tally(const job *j, const job_input *input, const tally *t, int64_t bad) {
  const rdd_schema *schema = rdd_schema_of(job_input_rdd(input));
  show_text(j, "input", job_input_describe(input));
  show_text(j, "kind", "ratings");
  show_count(j, "ratings", t->ratings);
  show_count(j, "users", job_dictionary_count(t->ids[0]));
  show_count(j, "items", job_dictionary_count(t->ids[1]));
  for (int c = 0; c < 2; c++) {
    char key[16];
    snprintf(key, sizeof(key), "%s_type", c ? "item" : "user");
    show_text(j, key, schema->field[c].type == RDD_UTF8 ? "text" : "int64");
  }
  if (t->ratings > 0) {
    double mean = t->sum / (double)t->ratings;
    show(j, "rating", "%.6g to %.6g, mean %.6g", (double)t->min, (double)t->max, mean);
    job_json_real(j->result, "rating_min", (double)t->min);
    job_json_real(j->result, "rating_max", (double)t->max);
    job_json_real(j->result, "rating_mean", mean);
  }
  if (bad > 0) show_count(j, "bad_records", bad);
}

/* Read the whole input with tasks; rank 0 counts.                                     Collective. */
static rdd_status show_text_input(job *j, const job_args *args, rdd_err *err) {
  tally t = {0};
  job_input *input = NULL;
  rdd_counters counters = {0};
  job_input_opts in = job_input_options(j, args, false);
  rdd_status st = job_input_open(j->comm, job_positional(args), 1, &in, &input, err);
  if (st) return st;
  rdd *ratings = job_input_rdd(input);
  for (int c = 0; c < 2 && !st; c++)
    st = job_dictionary_new(&t.ids[c], rdd_schema_of(ratings)->field[c].type, err);
  st = rdd_agree(j->comm, st, err);
  if (st) goto done;
  rdd_run_opts opts = job_run_opts(j, "reading");
  st = rdd_visit(ratings, j->comm, &opts, tally_partition, &t, &counters, err);
  if (!st) st = job_input_check(input, &counters, err);
  if (st) goto done;
  if (j->comm->rank == 0) show_tally(j, input, &t, counters.value[JOB_COUNT_BAD]);
done:
  for (int c = 0; c < 2; c++) job_dictionary_free(t.ids[c]);
  job_input_close(input);
  return st;
}

/* ---- The command ---- */

static const job_option options[] = {JOB_INPUT_OPTIONS, {0}};

static bool looks_like_hdf5(const char *path) {
  static const char signature[8] = "\211HDF\r\n\032\n";
  char head[8];
  FILE *file = fopen(path, "rb");
  if (!file) return false;
  bool yes = fread(head, 1, sizeof(head), file) == sizeof(head) &&
             !memcmp(head, signature, sizeof(head));
  fclose(file);
  return yes;
}

static rdd_status run(job *j, const job_args *args, rdd_err *err) {
  const char *path = job_positional(args)[0];
  int32_t hdf5 = j->comm->rank == 0 && looks_like_hdf5(path);
  rdd_bcast(j->comm, &hdf5, sizeof(hdf5), 0);
  if (!hdf5) return show_text_input(j, args, err);
  rdd_status st = RDD_OK;
  if (j->comm->rank == 0) st = job_h5_look_first(path, look, &(shown){j, path}, NULL, 0, err);
  if (j->comm->rank == 0 && !st) st = show_hdf5(j, path, err);
  return rdd_agree(j->comm, st, err);
}

const job_command job_info = {
    .name = "info",
    .summary = "tell what a file holds: ratings, a model, a checkpoint, results",
    .usage = "FILE [OPTION]...",
    .example = "als info model.h5",
    .options = options,
    .positional_min = 1,
    .positional_max = 1,
    .run = run,
};
