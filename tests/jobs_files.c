/* Files that jobs write: tables, models, and outputs that are whole or not there. */
#include "jobs/h5.h"
#include "jobs/model_file.h"
#include "jobs/output.h"
#include "jobs/table_file.h"
#include "rdd/hash.h"
#include "rdd/memory.h"
#include "tests/testkit.h"

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

enum { PATH = 512 };

/* ---- Helpers ---- */

static const char *in_tmp(char path[PATH], const char *name) {
  snprintf(path, PATH, "%s/%s", tk_tmpdir(), name);
  return path;
}

/* The bytes of a file; free with rdd_free(). NULL where there is none. */
static char *slurp(const char *path, size_t *n_out) {
  struct stat s;
  FILE *file = fopen(path, "rb");
  if (!file) return NULL;
  char *bytes = NULL;
  if (fstat(fileno(file), &s) == 0) bytes = rdd_calloc((size_t)s.st_size + 1, 1);
  if (bytes) *n_out = fread(bytes, 1, (size_t)s.st_size, file);
  fclose(file);
  return bytes;
}

static bool has_text(const char *path, const char *expected) {
  size_t n = 0;
  char *bytes = slurp(path, &n);
  bool same = bytes && n == strlen(expected) && !memcmp(bytes, expected, n);
  if (!same && bytes) printf("# %s holds: %.300s\n", path, bytes);
  rdd_free(bytes);
  return same;
}

static bool same_bytes(const char *a, const char *b) {
  size_t n = 0, m = 0;
  char *x = slurp(a, &n), *y = slurp(b, &m);
  bool same = x && y && n == m && !memcmp(x, y, n);
  rdd_free(x);
  rdd_free(y);
  return same;
}

/* Files in the test's folder whose names begin with a dot: temporary ones. */
static int count_temporaries(void) {
  int n = 0;
  DIR *folder = opendir(tk_tmpdir());
  struct dirent *entry;
  while (folder && (entry = readdir(folder)))
    if (entry->d_name[0] == '.' && strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) n++;
  if (folder) closedir(folder);
  return n;
}

static bool says(const rdd_err *err, const char *words) {
  bool yes = strstr(err->message, words) != NULL;
  if (!yes) printf("# expected \"%s\" in: %s\n", words, err->message);
  return yes;
}

static const char *const descriptions[] = {"first", "second", "third", "fourth"};

static job_table_spec spec_of(const char *group, const char *kind, int id_columns) {
  return (job_table_spec){group, kind, "a table of the tests", descriptions, id_columns, 0};
}

/* ---- Text ---- */

static void write_floats(const char *path, const float *value, int64_t n) {
  rdd_err err = {0};
  rdd_schema schema = {0};
  job_table_file *file = NULL;
  job_table_spec spec = spec_of("/predictions", "predictions", 0);
  rdd_batch batch = {.rows = n};
  batch.column[0].values = value;
  rdd_schema_add(&schema, "x", RDD_FLOAT32);
  if (!TK_OK(job_table_file_open(&file, path, &schema, &spec, &err), &err)) return;
  TK_OK(job_table_file_append(file, &batch, &err), &err);
  TK_OK(job_table_file_commit(file, &err), &err);
}

static void test_known_floats(void) {
  char path[PATH];
  const float value[] = {0,     3,       3.5f,  -4.5f,  0.1f,      -0.0f,  1e-4f,        123456.7f,
                         1e20f, 0.001f,  1e-7f, 999999, 1000000,   NAN,    INFINITY,     16777216,
                         2.25f, 1 / 3.f, 5.0f,  0.5f,   9.999999f, 1e-45f, 3.4028235e38f};
  write_floats(in_tmp(path, "known.csv"), value, sizeof(value) / sizeof(value[0]));
  TK_CHECK(has_text(path, "x\n0\n3\n3.5\n-4.5\n0.1\n-0\n0.0001\n123456.7\n1e+20\n0.001\n1e-07\n"
                          "999999\n1e+06\nnan\ninf\n16777216\n2.25\n0.33333334\n5\n0.5\n9.999999\n"
                          "1e-45\n3.4028235e+38\n"));
}

static int significant_digits(const char *text) {
  int n = 0, zeros = 0;
  for (; *text && *text != 'e' && *text != '\n'; text++) {
    if (*text < '0' || *text > '9' || (*text == '0' && n == 0)) continue;
    n++;
    zeros = *text == '0' ? zeros + 1 : 0;
  }
  return n - zeros;
}

/* Floats of any bits, and of everyday size: they read back as they were, and no fewer digits would. */
static void test_float_round_trip(void) {
  enum { N = 100000 };
  char path[PATH], line[128], shorter[64];
  float *value = rdd_alloc(N, sizeof(*value));
  if (!TK_CHECK(value != NULL)) return;
  for (int i = 0; i < N; i++) {
    uint32_t bits = (uint32_t)rdd_mix64((uint64_t)i);
    if (i % 2) bits = (bits & 0x807fffff) | (uint32_t)(110 + bits % 40) << 23;
    memcpy(&value[i], &bits, sizeof(bits));
  }
  write_floats(in_tmp(path, "floats.csv"), value, N);
  FILE *file = fopen(path, "r");
  int wrong = 0, longer = 0, i = 0;
  if (file && !fgets(line, sizeof(line), file)) wrong++;
  for (; file && i < N && fgets(line, sizeof(line), file); i++) {
    float back = strtof(line, NULL);
    if (isnan(value[i]) ? !isnan(back) : memcmp(&back, &value[i], sizeof(back)) != 0) wrong++;
    int digits = significant_digits(line);
    if (!isfinite(value[i]) || digits < 2) continue;
    snprintf(shorter, sizeof(shorter), "%.*e", digits - 2, (double)value[i]);
    if (strtof(shorter, NULL) == value[i]) longer++;
  }
  TK_CHECK(i == N);
  TK_CHECK(wrong == 0);
  TK_CHECK(longer == 0);
  if (file) fclose(file);
  rdd_free(value);
}

/* Columns of text out of C strings. offsets is [n + 1]. */
static rdd_column text_column(const char *const *text, int n, char *bytes, int32_t *offsets) {
  offsets[0] = 0;
  for (int i = 0; i < n; i++) {
    size_t length = strlen(text[i]);
    memcpy(bytes + offsets[i], text[i], length);
    offsets[i + 1] = offsets[i] + (int32_t)length;
  }
  return (rdd_column){bytes, offsets};
}

static const char *const odd_text[] = {"plain", "a,b",        "say \"hi\"", "",      " blank",
                                       "tab\t", "two\nlines", "plain",      "\"",    "h\xc3\xa9",
                                       "-5",    "semi;colon", "a\rb",       "in ner"};
enum { ODD = sizeof(odd_text) / sizeof(odd_text[0]) };

static void write_odd(const char *path, rdd_err *err) {
  char bytes[256];
  int32_t offsets[ODD + 1];
  int64_t number[ODD];
  rdd_schema schema = {0};
  job_table_file *file = NULL;
  job_table_spec spec = spec_of("/ratings", "ratings", 2);
  rdd_batch batch = {.rows = ODD};
  for (int i = 0; i < ODD; i++) number[i] = i % 3 - 1;
  number[0] = INT64_MIN;
  number[1] = INT64_MAX;
  batch.column[0] = text_column(odd_text, ODD, bytes, offsets);
  batch.column[1].values = number;
  rdd_schema_add(&schema, "user", RDD_UTF8);
  rdd_schema_add(&schema, "item", RDD_INT64);
  if (!TK_OK(job_table_file_open(&file, path, &schema, &spec, err), err)) return;
  TK_OK(job_table_file_append(file, &batch, err), err);
  TK_CHECK(job_table_file_rows(file) == ODD);
  TK_CHECK(job_table_file_distinct(file, 0) == ODD - 1);
  TK_CHECK(job_table_file_distinct(file, 1) == 5);
  TK_OK(job_table_file_attribute(file, "bad_records", 7, err), err);
  TK_OK(job_table_file_commit(file, err), err);
}

static void test_quotes(void) {
  char path[PATH];
  rdd_err err = {0};
  write_odd(in_tmp(path, "odd.csv"), &err);
  TK_CHECK(has_text(path, "user,item\nplain,-9223372036854775808\n\"a,b\",9223372036854775807\n"
                          "\"say \"\"hi\"\"\",1\n\"\",-1\n\" blank\",0\n\"tab\t\",1\n"
                          "\"two\nlines\",-1\nplain,0\n\"\"\"\",1\nh\xc3\xa9,-1\n-5,0\n"
                          "semi;colon,1\n\"a\rb\",-1\nin ner,0\n"));
  write_odd(in_tmp(path, "odd.tsv"), &err);
  TK_CHECK(has_text(path, "user\titem\nplain\t-9223372036854775808\na,b\t9223372036854775807\n"
                          "\"say \"\"hi\"\"\"\t1\n\"\"\t-1\n\" blank\"\t0\n\"tab\t\"\t1\n"
                          "\"two\nlines\"\t-1\nplain\t0\n\"\"\"\"\t1\nh\xc3\xa9\t-1\n-5\t0\n"
                          "semi;colon\t1\n\"a\rb\"\t-1\nin ner\t0\n"));
}

/* A text longer than the buffer goes through whole. */
static void test_long_text(void) {
  enum { LONG = 3000000 };
  char path[PATH];
  rdd_err err = {0};
  rdd_schema schema = {0};
  job_table_file *file = NULL;
  job_table_spec spec = spec_of("/ratings", "ratings", 0);
  char *bytes = rdd_alloc(LONG, 1);
  int32_t offsets[3] = {0, LONG - 1, LONG};
  size_t n = 0;
  if (!TK_CHECK(bytes != NULL)) return;
  memset(bytes, 'x', LONG);
  bytes[LONG / 2] = '"';
  rdd_batch batch = {.rows = 2, .column = {{bytes, offsets}}};
  rdd_schema_add(&schema, "t", RDD_UTF8);
  if (TK_OK(job_table_file_open(&file, in_tmp(path, "long.csv"), &schema, &spec, &err), &err)) {
    TK_OK(job_table_file_append(file, &batch, &err), &err);
    TK_OK(job_table_file_commit(file, &err), &err);
    char *back = slurp(path, &n);
    TK_CHECK(back && n == LONG + 8 - 1 && back[3 + LONG / 2] == '"' && back[4 + LONG / 2] == '"');
    TK_CHECK(back && !strcmp(back + n - 4, "\"\nx\n"));
    rdd_free(back);
  }
  rdd_free(bytes);
}

/* ---- HDF5 tables ---- */

static void test_hdf5_text(void) {
  char path[PATH], kind[32], description[64];
  rdd_err err = {0};
  hid_t file = H5I_INVALID_HID;
  int64_t code[ODD], number[ODD], bad = 0;
  char *word[ODD] = {0};
  write_odd(in_tmp(path, "odd.h5"), &err);
  if (!TK_OK(job_h5_open(&file, path, kind, &err), &err)) return;
  TK_CHECK(!strcmp(kind, "ratings"));
  TK_CHECK(job_h5_get_int(file, "bad_records", &bad) && bad == 7);
  hid_t user = H5Dopen2(file, "/ratings/user", H5P_DEFAULT);
  hid_t item = H5Dopen2(file, "/ratings/item", H5P_DEFAULT);
  hid_t words = H5Dopen2(file, "/ratings/user_dictionary", H5P_DEFAULT);
  hid_t type = job_h5_text_type();
  TK_OK(job_h5_read_rows(user, H5T_NATIVE_INT64, 0, ODD, code, &err), &err);
  TK_OK(job_h5_read_rows(item, H5T_NATIVE_INT64, 0, ODD, number, &err), &err);
  TK_OK(job_h5_read_rows(words, type, 0, ODD - 1, word, &err), &err);
  for (int i = 0; i < ODD; i++) TK_CHECK(!strcmp(word[code[i]], odd_text[i]));
  TK_CHECK(number[0] == INT64_MIN && number[1] == INT64_MAX && number[2] == 1);
  TK_CHECK(job_h5_get_int(item, "max", &bad) && bad == INT64_MAX);
  TK_CHECK(job_h5_get_string(item, "description", description, sizeof(description)));
  TK_CHECK(job_h5_read_rows(user, H5T_NATIVE_INT64, 1, ODD, code, &err) == RDD_EDATA);
  job_h5_free_text(word, ODD);
  H5Tclose(type);
  job_h5_drop(file);
}

typedef struct rows {
  int64_t *user, *item;
  float *rating;
  int64_t n;
} rows;

static rows make_rows(int64_t n) {
  rows r = {rdd_alloc((size_t)n, 8), rdd_alloc((size_t)n, 8), rdd_alloc((size_t)n, 4), n};
  for (int64_t i = 0; i < n; i++) {
    r.user[i] = i / 100 * 7 - 5;
    r.item[i] = (int64_t)(rdd_mix64((uint64_t)i) % 5000);
    r.rating[i] = (float)(1 + rdd_mix64((uint64_t)i) % 9 * 0.5);
  }
  return r;
}

static void free_rows(rows *r) {
  rdd_free(r->user);
  rdd_free(r->item);
  rdd_free(r->rating);
}

/* Write rows in batches of `step`; the status of the first call that fails. */
static rdd_status write_rows(const char *path, const rows *r, int64_t step, int threads,
                             rdd_err *err) {
  rdd_schema schema = {0};
  job_table_file *file = NULL;
  job_table_spec spec = spec_of("/ratings", "ratings", 2);
  spec.threads = threads;
  rdd_schema_add(&schema, "user", RDD_INT64);
  rdd_schema_add(&schema, "item", RDD_INT64);
  rdd_schema_add(&schema, "rating", RDD_FLOAT32);
  rdd_status st = job_table_file_open(&file, path, &schema, &spec, err);
  for (int64_t at = 0; at < r->n && !st; at += step) {
    rdd_batch batch = {.rows = r->n - at < step ? r->n - at : step};
    batch.column[0].values = r->user + at;
    batch.column[1].values = r->item + at;
    batch.column[2].values = r->rating + at;
    st = job_table_file_append(file, &batch, err);
  }
  if (!st) st = job_table_file_attribute(file, "ratings", r->n, err);
  if (st) {
    job_table_file_abandon(file);
    return st;
  }
  return job_table_file_commit(file, err);
}

/* The same rows are the same bytes, however they were cut into batches, and compressed. */
static void test_batches_do_not_matter(void) {
  char a[PATH], b[PATH];
  rdd_err err = {0};
  rows r = make_rows(600001);
  TK_OK(write_rows(in_tmp(a, "a.h5"), &r, 65536, 1, &err), &err);
  for (int threads = 0; threads <= 12; threads += 3) { /* 3 fill their buffer once and go on */
    TK_OK(write_rows(in_tmp(b, "b.h5"), &r, 7001, threads, &err), &err);
    TK_CHECK(same_bytes(a, b));
  }
  hid_t file = H5I_INVALID_HID;
  float *back = rdd_alloc((size_t)r.n, sizeof(*back));
  int64_t *id = rdd_alloc((size_t)r.n, sizeof(*id));
  double mean = 0, max = 0;
  int64_t distinct = 0;
  if (TK_OK(job_h5_open(&file, in_tmp(a, "a.h5"), NULL, &err), &err)) {
    hid_t value = H5Dopen2(file, "/ratings/value", H5P_DEFAULT);
    hid_t user = H5Dopen2(file, "/ratings/user", H5P_DEFAULT);
    hid_t item = H5Dopen2(file, "/ratings/item", H5P_DEFAULT);
    int64_t dims[2];
    TK_CHECK(job_h5_shape(value, dims) && dims[0] == r.n);
    TK_OK(job_h5_read_rows(value, H5T_NATIVE_FLOAT, 0, r.n, back, &err), &err);
    TK_CHECK(!memcmp(back, r.rating, (size_t)r.n * sizeof(*back)));
    TK_OK(job_h5_read_rows(user, H5T_NATIVE_INT64, 0, r.n, id, &err), &err);
    TK_CHECK(!memcmp(id, r.user, (size_t)r.n * sizeof(*id)));
    TK_OK(job_h5_read_rows(item, H5T_NATIVE_INT64, 0, r.n, id, &err), &err);
    TK_CHECK(!memcmp(id, r.item, (size_t)r.n * sizeof(*id)));
    TK_CHECK(job_h5_get_real(value, "mean", &mean) && mean > 2.9 && mean < 3.1);
    TK_CHECK(job_h5_get_real(value, "max", &max) && max == 5);
    TK_CHECK(job_h5_get_int(user, "distinct", &distinct) && distinct == (r.n + 99) / 100);
    TK_CHECK(job_h5_get_int(item, "distinct", &distinct) && distinct == 5000);
    job_h5_drop(file);
  }
  rdd_free(back);
  rdd_free(id);
  r.n = 150000;
  TK_OK(write_rows(in_tmp(a, "a.csv"), &r, 150000, 4, &err), &err);
  TK_OK(write_rows(in_tmp(b, "b.csv"), &r, 1, 1, &err), &err);
  TK_CHECK(same_bytes(a, b));
  free_rows(&r);
}

/* ---- Whole or not there ---- */

static void test_abandon(void) {
  char path[PATH];
  rdd_err err = {0};
  rdd_schema schema = {0};
  job_table_spec spec = spec_of("/ratings", "ratings", 0);
  static const char *const name[] = {"old.csv", "old.h5"};
  rdd_schema_add(&schema, "x", RDD_FLOAT64);
  for (int i = 0; i < 2; i++) {
    job_table_file *table = NULL;
    const double x = 1;
    rdd_batch batch = {.rows = 1, .column = {{&x, NULL}}};
    FILE *old = fopen(in_tmp(path, name[i]), "w");
    if (!TK_CHECK(old != NULL)) return;
    fputs("old contents", old);
    fclose(old);
    if (TK_OK(job_table_file_open(&table, path, &schema, &spec, &err), &err))
      TK_OK(job_table_file_append(table, &batch, &err), &err);
    TK_CHECK(count_temporaries() == 1);
    TK_CHECK(has_text(path, "old contents"));
    job_table_file_abandon(table);
    TK_CHECK(count_temporaries() == 0);
    TK_CHECK(has_text(path, "old contents"));
  }
}

static void test_output_check(void) {
  char path[PATH];
  rdd_err err = {0};
  TK_OK(job_output_check(in_tmp(path, "new.H5"), ".h5|.csv", &err), &err);
  TK_OK(job_output_check("relative.csv", ".h5|.csv", &err), &err);
  TK_CHECK(job_output_check(in_tmp(path, "new.txt"), ".h5|.csv", &err) == RDD_EUSAGE);
  TK_CHECK(says(&err, "new.txt") && says(&err, ".h5|.csv"));
  TK_CHECK(job_output_check(tk_tmpdir(), NULL, &err) == RDD_EUSAGE && says(&err, "folder"));
  TK_CHECK(job_output_check("", NULL, &err) == RDD_EUSAGE);
  TK_CHECK(job_output_check("/dev/null", NULL, &err) == RDD_EUSAGE);
  TK_CHECK(job_output_check(in_tmp(path, "no/such/file.h5"), NULL, &err) == RDD_EIO);
  TK_CHECK(says(&err, "No such file"));
  TK_CHECK(job_path_ends("a.CSV", ".csv") && !job_path_ends("csv", ".csv"));
}

/* A link keeps being a link; what it points to is replaced. */
static void test_output_link(void) {
  char link_path[PATH], target[PATH];
  struct stat s;
  rdd_err err = {0};
  const float x = 2;
  write_floats(in_tmp(target, "target.csv"), &x, 0);
  TK_CHECK(symlink("target.csv", in_tmp(link_path, "link.csv")) == 0);
  write_floats(link_path, &x, 1);
  TK_CHECK(lstat(link_path, &s) == 0 && S_ISLNK(s.st_mode));
  TK_CHECK(has_text(target, "x\n2\n"));
  (void)err;
}

/* Run body in a child and return its wait status; 30 s at most. */
static int in_child(int (*body)(void *arg), void *arg) {
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    alarm(30);
    _exit(body(arg));
  }
  int status = -1;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) return -1;
  return status;
}

static int die_while_writing(void *arg) {
  job_output *output = NULL;
  rdd_err err = {0};
  job_output_handle_signals();
  if (job_output_open(&output, arg, &err)) return 1;
  if (access(job_output_path(output), F_OK) != 0) return 2;
  raise(SIGTERM);
  return 3;
}

static void test_signal(void) {
  char path[PATH];
  int status = in_child(die_while_writing, (void *)(uintptr_t)in_tmp(path, "signal.h5"));
  TK_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
  TK_CHECK(count_temporaries() == 0);
  TK_CHECK(access(path, F_OK) != 0);
}

/* ---- Models ---- */

typedef struct model_case {
  rdd_type type[2];
  int64_t n[2];
  int k;
  bool bias;
} model_case;

/* Ids that are not dense: integers of both signs, or texts of rising order. */
static als_ids *make_ids(rdd_comm *comm, rdd_type type, int64_t n) {
  als_ids *ids = NULL;
  rdd_err err = {0};
  if (!TK_OK(als_ids_new(comm, type, n, type == RDD_UTF8 ? 8 * n : 0, &ids, &err), &err))
    return NULL;
  int64_t *value = rdd_table_data(ids->value);
  for (int64_t i = 0; i < n; i++) value[i] = type == RDD_UTF8 ? 8 * i : (i - n / 2) * 1000003;
  int64_t begin[2] = {0, (int64_t)rdd_table_size(ids->value)};
  if (type == RDD_UTF8) {
    char *bytes = rdd_table_data(ids->bytes), text[32];
    value[n] = 8 * n;
    for (int64_t i = 0; i < n; i++) {
      snprintf(text, sizeof(text), "\xc3\xa9,%05d", (int)i);
      memcpy(bytes + 8 * i, text, 8);
    }
    int64_t text_begin[2] = {0, 8 * n};
    rdd_table_sync(ids->bytes, text_begin);
  }
  rdd_table_sync(ids->value, begin);
  return ids;
}

static void fill(rdd_table *table, uint64_t seed) {
  float *value = rdd_table_data(table);
  int64_t n = (int64_t)(rdd_table_size(table) / sizeof(float)), begin[2] = {0, n * 4};
  for (int64_t i = 0; i < n; i++)
    value[i] = (float)(rdd_uniform(rdd_mix64_2(seed, (uint64_t)i)) - 0.5);
  rdd_table_sync(table, begin);
}

static als_model *make_model(rdd_comm *comm, const model_case *c) {
  rdd_err err = {0};
  als_model *m = NULL;
  als_ids *ids[2] = {make_ids(comm, c->type[0], c->n[0]), make_ids(comm, c->type[1], c->n[1])};
  if (!ids[0] || !ids[1]) return NULL;
  if (!TK_OK(als_model_new(comm, ids, c->k, c->bias, &m, &err), &err)) return NULL;
  for (int side = 0; side < 2; side++) {
    fill(m->side[side].factors, (uint64_t)side + 1);
    if (c->bias) fill(m->side[side].bias, (uint64_t)side + 3);
  }
  m->mean = 1.0 / 3;
  m->rating_min = 0.5f;
  m->rating_max = 5;
  return m;
}

static bool same_table(const rdd_table *a, const rdd_table *b) {
  if (!a || !b) return a == b;
  return rdd_table_size(a) == rdd_table_size(b) &&
         !memcmp(rdd_table_data(a), rdd_table_data(b), rdd_table_size(a));
}

static char digest[JOB_DIGEST_TEXT]; /* of the model that was written last */

/* As docs/formats.md says it. */
static uint32_t sum_side(const als_factors *f) {
  uLong crc = 0;
  int64_t length;
  for (int64_t i = 0; i < f->ids->n; i++) {
    if (f->ids->type == RDD_INT64) {
      int64_t id = als_ids_int64(f->ids, i);
      crc = crc32(crc, (const Bytef *)&id, sizeof id);
    } else {
      const char *id = als_ids_utf8(f->ids, i, &length);
      crc = crc32(crc, (const Bytef *)id, (uInt)length);
      crc = crc32(crc, (const Bytef *)"", 1);
    }
  }
  crc = crc32(crc, rdd_table_data(f->factors), (uInt)rdd_table_size(f->factors));
  if (f->bias) crc = crc32(crc, rdd_table_data(f->bias), (uInt)rdd_table_size(f->bias));
  return (uint32_t)crc;
}

static bool is_digest_of(const als_model *m) {
  char text[JOB_DIGEST_TEXT];
  snprintf(text, sizeof text, "%08x-%08x", sum_side(&m->side[ALS_USERS]),
           sum_side(&m->side[ALS_ITEMS]));
  return !strcmp(text, digest);
}

static const als_iteration history[2] = {
    {.iteration = 1, .rmse_train = 0.9, .rmse_test = NAN, .objective = 100, .seconds = 0.25},
    {.iteration = 2, .rmse_train = 0.8, .rmse_test = NAN, .objective = 90, .seconds = 0.5}};
static const job_provenance how = {
    .params = {.rank = 7, .max_iter = 2, .reg = {0.1, 0.1}, .reg_exponent = 1, .bias = true},
    .start = {.seed = -3},
    .ratings = 12345,
    .ranks = 1,
    .iterations = 2,
    .history = history,
    .inputs = "a.csv b.csv",
    .command_line = "als train \"a.csv\"",
    .seconds = 0.75,
};

/* A model that is written and read is the same in every bit. */
static void test_model_round_trip(void) {
  static const model_case cases[] = {
      {{RDD_INT64, RDD_INT64}, {1000, 300}, 7, false},
      {{RDD_UTF8, RDD_INT64}, {9000, 41}, 10, true},
      {{RDD_INT64, RDD_UTF8}, {1, 1}, 1, true},
      {{RDD_INT64, RDD_INT64}, {70000, 3}, 16, true},
  };
  char path[PATH];
  rdd_err err = {0};
  rdd_comm *comm = NULL;
  if (!TK_OK(rdd_comm_single(&comm, &err), &err)) return;
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    als_model *m = make_model(comm, &cases[i]), *back = NULL;
    if (!m) break;
    TK_OK(job_model_write(comm, in_tmp(path, "model.h5"), m, &how, digest, &err), &err);
    TK_CHECK(is_digest_of(m));
    if (TK_OK(job_model_read(comm, path, &back, &err), &err)) {
      TK_CHECK(back->k == m->k && back->mean == m->mean && is_digest_of(back));
      TK_CHECK(back->rating_min == m->rating_min && back->rating_max == m->rating_max);
      for (int side = 0; side < 2; side++) {
        const als_factors *a = &m->side[side], *b = &back->side[side];
        TK_CHECK(a->ids->n == b->ids->n && a->ids->type == b->ids->type);
        TK_CHECK(same_table(a->ids->value, b->ids->value));
        if (a->ids->type == RDD_UTF8) TK_CHECK(same_table(a->ids->bytes, b->ids->bytes));
        TK_CHECK(same_table(a->factors, b->factors));
        TK_CHECK(same_table(a->bias, b->bias));
      }
    }
    als_model_free(back);
    als_model_free(m);
  }
  TK_CHECK(count_temporaries() == 0);
  rdd_comm_close(comm);
}

static void test_model_attributes(void) {
  static const model_case c = {{RDD_INT64, RDD_INT64}, {50, 30}, 7, true};
  char path[PATH], text[128];
  rdd_err err = {0};
  rdd_comm *comm = NULL;
  hid_t file = H5I_INVALID_HID;
  int64_t n = 0;
  double x = 0, rmse[2] = {0};
  if (!TK_OK(rdd_comm_single(&comm, &err), &err)) return;
  als_model *m = make_model(comm, &c);
  if (m) TK_OK(job_model_write(comm, in_tmp(path, "attributes.h5"), m, &how, digest, &err), &err);
  if (TK_OK(job_h5_open(&file, path, NULL, &err), &err)) {
    TK_CHECK(job_h5_get_int(file, "rank", &n) && n == 7);
    TK_CHECK(job_h5_get_int(file, "seed", &n) && n == -3);
    TK_CHECK(job_h5_get_int(file, "ratings", &n) && n == 12345);
    TK_CHECK(job_h5_get_real(file, "reg_user", &x) && x == 0.1);
    TK_CHECK(job_h5_get_string(file, "command_line", text, sizeof(text)) &&
             !strcmp(text, how.command_line));
    TK_CHECK(job_h5_get_string(file, "digest", text, sizeof(text)) && !strcmp(text, digest));
    TK_CHECK(!job_h5_get_string(file, "rank", text, sizeof(text)));
    TK_CHECK(!job_h5_get_int(file, "reg_user", &n));
    hid_t train = H5Dopen2(file, "/history/rmse_train", H5P_DEFAULT);
    TK_OK(job_h5_read_rows(train, H5T_NATIVE_DOUBLE, 0, 2, rmse, &err), &err);
    TK_CHECK(rmse[0] == 0.9 && rmse[1] == 0.8);
    job_h5_drop(file);
  }
  als_model_free(m);
  rdd_comm_close(comm);
}

/* Parameters come back as they were, of every mode; those of no effect as the defaults. */
static void test_model_parameters(void) {
  static const model_case c = {{RDD_INT64, RDD_INT64}, {50, 30}, 7, true};
  als_params list[5];
  char path[PATH];
  rdd_err err = {0};
  rdd_comm *comm = NULL;
  if (!TK_OK(rdd_comm_single(&comm, &err), &err)) return;
  als_model *m = make_model(comm, &c);
  for (int i = 0; i < 5; i++) {
    list[i] = als_params_default();
    list[i].rank = 7;
    list[i].max_iter = 13 + i;
    list[i].reg[ALS_USERS] = 1.0 / 3;
    list[i].reg[ALS_ITEMS] = 1.0 / 7;
    list[i].reg_exponent = 0.5 * i;
    list[i].min_ridge = 1e-3 * i;
    list[i].tol = 1e-4 * i;
  }
  list[0].bias = list[0].update_bias = true;
  list[0].bias_reg = 3;
  list[1].loss = (als_loss){.mode = ALS_IMPLICIT, .alpha = 40};
  list[1].solver = ALS_CG;
  list[1].cg_steps = 5;
  list[1].final_exact = true;
  list[2].loss = (als_loss){.mode = ALS_IALS, .alpha = 1, .unobserved = 0.1};
  list[2].solver = ALS_SUBSPACE;
  list[2].block = 32;
  list[3].nonnegative = true;
  list[3].balance = false;
  for (int i = 0; m && i < 5; i++) {
    job_provenance of = how;
    als_params back = {0};
    of.params = list[i];
    TK_OK(job_model_write(comm, in_tmp(path, "parameters.h5"), m, &of, digest, &err), &err);
    if (!TK_OK(job_params_of_model(comm, path, &back, &err), &err)) continue;
    const als_params *p = &list[i];
    TK_CHECK(back.rank == p->rank && back.max_iter == p->max_iter);
    TK_CHECK(back.loss.mode == p->loss.mode && back.loss.alpha == p->loss.alpha &&
             back.loss.unobserved == p->loss.unobserved);
    TK_CHECK(back.reg[0] == p->reg[0] && back.reg[1] == p->reg[1] &&
             back.reg_exponent == p->reg_exponent && back.min_ridge == p->min_ridge);
    TK_CHECK(back.solver == p->solver && back.cg_steps == p->cg_steps && back.block == p->block);
    TK_CHECK(back.nonnegative == p->nonnegative && back.bias == p->bias &&
             back.update_bias == p->update_bias && back.bias_reg == p->bias_reg);
    TK_CHECK(back.tol == p->tol && back.final_exact == p->final_exact &&
             back.balance == p->balance);
  }
  als_params none;
  TK_CHECK(job_params_of_model(comm, "no-such-file.h5", &none, &err) == RDD_ENOINPUT);
  als_model_free(m);
  rdd_comm_close(comm);
}

/* Change one value of a file behind the library's back. */
static void poke(const char *path, const char *name, hid_t type, int64_t row, const void *value) {
  rdd_err err = {0};
  hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
  TK_OK(job_h5_write_rows(dataset, type, row, 1, value, &err), &err);
  H5Dclose(dataset);
  H5Fclose(file);
}

/* Flip a byte that lies in the middle of the largest dataset. */
static void flip_byte(const char *path, const char *name) {
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
  hid_t space = H5Dget_space(dataset);
  haddr_t address = 0;
  hsize_t size = 0, offset[2];
  unsigned mask;
  TK_CHECK(H5Dget_chunk_info(dataset, space, 0, offset, &mask, &address, &size) >= 0);
  H5Sclose(space);
  H5Dclose(dataset);
  H5Fclose(file);
  FILE *raw = fopen(path, "r+b");
  if (!TK_CHECK(raw && size > 0)) return;
  long at = (long)(address + size / 2);
  fseek(raw, at, SEEK_SET);
  int byte = fgetc(raw);
  fseek(raw, at, SEEK_SET);
  fputc(byte ^ 0x10, raw);
  fclose(raw);
}

static rdd_status read_bad(rdd_comm *comm, const char *path, rdd_err *err) {
  als_model *m = NULL;
  rdd_status st = job_model_read(comm, path, &m, err);
  if (!st) als_model_free(m);
  return st;
}

static void test_bad_models(void) {
  static const model_case c = {{RDD_INT64, RDD_INT64}, {500, 300}, 6, false};
  char path[PATH];
  rdd_err err = {0};
  rdd_comm *comm = NULL;
  if (!TK_OK(rdd_comm_single(&comm, &err), &err)) return;
  als_model *m = make_model(comm, &c);
  if (!m) goto done;
  TK_CHECK(read_bad(comm, in_tmp(path, "missing.h5"), &err) == RDD_ENOINPUT);
  TK_CHECK(says(&err, "missing.h5"));

  TK_CHECK(read_bad(comm, in_tmp(path, "known.csv"), &err) == RDD_EDATA);
  TK_CHECK(says(&err, "not an HDF5 file"));

  TK_CHECK(read_bad(comm, in_tmp(path, "odd.h5"), &err) == RDD_EDATA);
  TK_CHECK(says(&err, "holds ratings, expected a model"));

  in_tmp(path, "bad.h5");
  TK_OK(job_model_write(comm, path, m, &how, digest, &err), &err);
  const int64_t repeated = -250 * 1000003;
  poke(path, "/users/id", H5T_NATIVE_INT64, 1, &repeated);
  TK_CHECK(read_bad(comm, path, &err) == RDD_EDATA && says(&err, "/users/id[1]"));

  TK_OK(job_model_write(comm, path, m, &how, digest, &err), &err);
  const float not_finite[6] = {0, 1, NAN};
  poke(path, "/items/factors", H5T_NATIVE_FLOAT, 299, not_finite);
  TK_CHECK(read_bad(comm, path, &err) == RDD_EDATA && says(&err, "/items/factors: row 299"));

  TK_OK(job_model_write(comm, path, m, &how, digest, &err), &err);
  poke(path, "/items/id", H5T_NATIVE_INT64, 300, &repeated); /* one id too many */
  TK_CHECK(read_bad(comm, path, &err) == RDD_EDATA && says(&err, "300 x 6, expected 301 x 6"));

  TK_OK(job_model_write(comm, path, m, &how, digest, &err), &err);
  flip_byte(path, "/users/factors");
  TK_CHECK(read_bad(comm, path, &err) == RDD_EIO && says(&err, "/users/factors cannot be read"));

  TK_OK(job_model_write(comm, path, m, &how, digest, &err), &err);
  struct stat s;
  TK_CHECK(stat(path, &s) == 0 && truncate(path, s.st_size / 2) == 0);
  TK_CHECK(read_bad(comm, path, &err) == RDD_EDATA && says(&err, "cut short"));
  TK_CHECK(truncate(path, 0) == 0 && read_bad(comm, path, &err) == RDD_EDATA);
  TK_CHECK(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL) == 0);
done:
  als_model_free(m);
  rdd_comm_close(comm);
}

/* ---- A full disk ---- */

typedef struct full_disk {
  const char *path;
  const rows *rows;       /* write a table, or */
  const als_model *model; /* a model */
  rdd_comm *comm;
  rlim_t limit;
} full_disk;

/* In a child whose files cannot grow past a limit: exit with the status code, or 100 for a message
 * that does not name the file, 101 for a file that is still open. */
static int write_with_limit(void *arg) {
  const full_disk *f = arg;
  rdd_err err = {0};
  struct rlimit limit = {f->limit, f->limit};
  job_output_handle_signals(); /* ignores SIGXFSZ */
  if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 102;
  rdd_status st = f->rows ? write_rows(f->path, f->rows, 5000, 2, &err)
                          : job_model_write(f->comm, f->path, f->model, &how, digest, &err);
  if (st && (!strstr(err.message, f->path) || !strstr(err.message, "too large"))) {
    printf("# limit %ld: %s\n", (long)f->limit, err.message);
    fflush(stdout);
    return 100;
  }
  if (H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL) != 0) return 101;
  return (int)st;
}

/* Wherever the disk gets full: RDD_EIO with the file's name, nothing left, and never a hang. */
static void fill_disk_at_each_size(full_disk *f) {
  struct stat s;
  f->limit = RLIM_INFINITY;
  TK_CHECK(in_child(write_with_limit, f) == 0);
  if (!TK_CHECK(stat(f->path, &s) == 0)) return;
  unlink(f->path);
  for (int i = 0; i < 24; i++) {
    f->limit = i < 8 ? (rlim_t)i * 300 : (rlim_t)(s.st_size / 16 * (i - 8) + i * 17);
    int status = in_child(write_with_limit, f);
    bool good = WIFEXITED(status) && WEXITSTATUS(status) == RDD_EIO;
    if (!TK_CHECK(good)) printf("# limit %ld: wait status %d\n", (long)f->limit, status);
    TK_CHECK(access(f->path, F_OK) != 0);
    TK_CHECK(count_temporaries() == 0);
  }
  f->limit = (rlim_t)s.st_size - 1;
  TK_CHECK(in_child(write_with_limit, f) == RDD_EIO << 8);
}

static void test_full_disk(void) {
  static const model_case c = {{RDD_UTF8, RDD_INT64}, {5000, 3000}, 16, true};
  char path[PATH];
  rdd_err err = {0};
  full_disk f = {.path = path};
  rows r = make_rows(70000);
  f.rows = &r;
  in_tmp(path, "full.csv");
  fill_disk_at_each_size(&f);
  in_tmp(path, "full.h5");
  fill_disk_at_each_size(&f);
  free_rows(&r);
  f.rows = NULL;
  in_tmp(path, "full_model.h5");
  if (!TK_OK(rdd_comm_single(&f.comm, &err), &err)) return;
  als_model *m = make_model(f.comm, &c);
  f.model = m;
  if (m) fill_disk_at_each_size(&f);
  als_model_free(m);
  rdd_comm_close(f.comm);
}

/* Each allocation fails in turn: an error, nothing kept, nothing left. */
static void test_out_of_memory(void) {
  static const char *const name[] = {"memory.csv", "memory.h5"};
  char path[PATH];
  rdd_err err = {0};
  rows r = make_rows(2000);
  for (int i = 0; i < 2; i++) {
    rdd_status st = RDD_ENOMEM;
    int n = 0;
    while (st && n < 200) {
      rdd_memory_fail_at(++n);
      st = write_rows(in_tmp(path, name[i]), &r, 1000, 2, &err);
      rdd_memory_fail_at(0);
      if (st) TK_CHECK(st == RDD_ENOMEM && access(path, F_OK) != 0 && count_temporaries() == 0);
    }
    TK_CHECK(n > 4 && n < 200);
  }
  free_rows(&r);
}

static const tk_case cases[] = {
    {"known floats as text", test_known_floats},
    {"floats round-trip by the fewest digits", test_float_round_trip},
    {"text fields are quoted where needed", test_quotes},
    {"text longer than the buffer", test_long_text},
    {"text in HDF5", test_hdf5_text},
    {"batches do not matter", test_batches_do_not_matter},
    {"an abandoned output leaves nothing", test_abandon},
    {"output names are checked", test_output_check},
    {"an output through a link", test_output_link},
    {"a signal removes the temporary file", test_signal},
    {"model round trip", test_model_round_trip},
    {"model attributes and history", test_model_attributes},
    {"parameters of a model", test_model_parameters},
    {"bad models", test_bad_models},
    {"a full disk", test_full_disk},
    {"out of memory", test_out_of_memory},
};

int main(void) {
  return tk_main("files", cases, sizeof(cases) / sizeof(cases[0]));
}
