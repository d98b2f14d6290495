/* HDF5 in a child: what a damaged file does to the library is an error here, and the process lives. */
#include "jobs/h5.h"
#include "jobs/input.h"
#include "jobs/model_file.h"
#include "jobs/table_file.h"
#include "rdd/memory.h"
#include "tests/testkit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH = 512 };

/* ---- The child alone ---- */

enum { ANSWER, FAIL, SEGFAULT, ABORT, LEAVE };

static rdd_status look(const void *arg, void *result, rdd_err *err) {
  const int *what = arg;
  int *number = result;
  ++*number;
  switch (*what) {
  case FAIL:
    return rdd_set(err, RDD_ENOINPUT, "no such thing");
  case SEGFAULT:
    signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler would exit */
    raise(SIGSEGV);
    break;
  case ABORT:
    signal(SIGABRT, SIG_DFL);
    abort();
  case LEAVE:
    _exit(3);
  }
  return RDD_OK;
}

static void check_look(int what, rdd_status status, int number, const char *piece) {
  int result = 41;
  rdd_err err = {0};
  rdd_status st = job_h5_look_first("a.h5", look, &what, &result, sizeof result, &err);
  TK_CHECK(st == status);
  TK_CHECK(result == number);
  if (status && !TK_CHECK(err.code == status && strstr(err.message, piece)))
    printf("# '%s' without '%s'\n", err.message, piece);
}

static void answers(void) {
  check_look(ANSWER, RDD_OK, 42, "");
  check_look(FAIL, RDD_ENOINPUT, 41, "no such thing");
}

static void deaths(void) {
  check_look(SEGFAULT, RDD_EDATA, 41, "a.h5: damaged: HDF5 dies of it by signal 11 (segm");
  check_look(ABORT, RDD_EDATA, 41, "by signal 6 (");
  check_look(LEAVE, RDD_EDATA, 41, "with exit status 3");
}

/* ---- Damaged files ----
 *
 * Text of variable length lies in a heap of the file: "GCOL", a header of 16 bytes, then objects, each
 * with its size in bytes 8 to 15. An object that is larger than the heap makes HDF5 1.10 read past it, and
 * die if it is much larger; a later release may notice. */

static void damage(const char *path, int object, uint64_t size) {
  static char bytes[1 << 20];
  FILE *file = fopen(path, "rb");
  size_t n = file ? fread(bytes, 1, sizeof bytes, file) : 0;
  if (file) fclose(file);
  char *heap = memmem(bytes, n, "GCOL", 4);
  if (!TK_CHECK(heap != NULL)) return;
  char *at = heap + 16;
  for (uint64_t length; object > 0; object--, at += 16 + (length + 7) / 8 * 8)
    memcpy(&length, at + 8, 8);
  if (!TK_CHECK(at + 16 <= bytes + n)) return;
  memcpy(at + 8, &size, 8);
  file = fopen(path, "wb");
  TK_CHECK(file && fwrite(bytes, 1, n, file) == n && fclose(file) == 0);
}

static const uint64_t sizes[] = {1 << 12, 1 << 30, (uint64_t)1 << 40};
enum { OBJECTS = 4, SIZES = sizeof sizes / sizeof sizes[0] };

static rdd_status open_ratings(const char *path, rdd_err *err) {
  const job_input_opts opts = {.format = "auto", .id_type = "auto", .slots = 1};
  rdd_comm *comm = NULL;
  job_input *input = NULL;
  rdd_status st = rdd_comm_single(&comm, err);
  if (!st) st = job_input_open(comm, (char *const *)&path, 1, &opts, &input, err);
  job_input_close(input);
  rdd_comm_close(comm);
  return st;
}

static void write_ratings(const char *path) {
  static const char *const description[] = {"user", "item", "rating"};
  const job_table_spec spec = {"/ratings", "ratings", "ratings", description, 2, 0};
  static const int32_t offset[] = {0, 3, 6};
  static const int64_t item[] = {1, 2};
  static const float rating[] = {1, 2};
  rdd_schema schema = {0};
  rdd_batch batch = {.rows = 2, .column = {{"annbob", offset}, {item, NULL}, {rating, NULL}}};
  job_table_file *file = NULL;
  rdd_err err = {0};
  rdd_schema_add(&schema, "user", RDD_UTF8);
  rdd_schema_add(&schema, "item", RDD_INT64);
  rdd_schema_add(&schema, "rating", RDD_FLOAT32);
  rdd_status st = job_table_file_open(&file, path, &schema, &spec, &err);
  if (!st) st = job_table_file_append(file, &batch, &err);
  if (TK_OK(st, &err)) TK_OK(job_table_file_commit(file, &err), &err);
}

/* Either it is noticed, with the file's name, or it does not matter to what is looked at. */
static void check_damaged(const char *path, rdd_status (*open)(const char *path, rdd_err *err),
                          void (*write)(const char *path)) {
  int noticed = 0;
  for (int object = 0; object < OBJECTS; object++)
    for (int s = 0; s < SIZES; s++) {
      rdd_err err = {0};
      write(path);
      damage(path, object, sizes[s]);
      rdd_status st = open(path, &err);
      noticed += st != RDD_OK;
      if (st && !TK_CHECK(st == RDD_EDATA && strstr(err.message, path)))
        printf("# %d: %s\n", st, err.message);
    }
  TK_CHECK(noticed > 0);
}

static void damaged_ratings(void) {
  char path[PATH];
  rdd_err err = {0};
  snprintf(path, sizeof path, "%s/ratings.h5", tk_tmpdir());
  write_ratings(path);
  TK_OK(open_ratings(path, &err), &err);
  check_damaged(path, open_ratings, write_ratings);
}

static rdd_status open_model(const char *path, rdd_err *err) {
  rdd_comm *comm = NULL;
  als_model *m = NULL;
  rdd_status st = rdd_comm_single(&comm, err);
  if (!st) st = job_model_read(comm, path, &m, err);
  als_model_free(m);
  rdd_comm_close(comm);
  return st;
}

/* With text ids: they lie in the heap, too. */
static void write_model(const char *path) {
  static const int64_t offset[] = {0, 3, 6};
  rdd_comm *comm = NULL;
  als_ids *ids[2] = {NULL, NULL};
  als_model *m = NULL;
  rdd_err err = {0};
  rdd_status st = rdd_comm_single(&comm, &err);
  for (int side = 0; side < 2 && !st; side++) {
    st = als_ids_new(comm, RDD_UTF8, 2, 6, &ids[side], &err);
    if (st) break;
    memcpy(rdd_table_data(ids[side]->value), offset, sizeof offset);
    memcpy(rdd_table_data(ids[side]->bytes), "annbob", 6);
  }
  if (!st) st = als_model_new(comm, ids, 2, false, &m, &err);
  if (TK_OK(st, &err)) {
    const job_provenance how = {.params = {.rank = 2}, .inputs = "a", .command_line = "b"};
    const job_model_image image = job_model_image_of(m);
    TK_OK(job_model_save(path, &image, &how, NULL, &err), &err);
  }
  als_model_free(m);
  rdd_comm_close(comm);
}

static void damaged_model(void) {
  char path[PATH];
  rdd_err err = {0};
  snprintf(path, sizeof path, "%s/model.h5", tk_tmpdir());
  write_model(path);
  TK_OK(open_model(path, &err), &err);
  check_damaged(path, open_model, write_model);
}

int main(void) {
  static const tk_case cases[] = {
      {"what a child finds comes back, and its errors do", answers},
      {"its death is an error in the data that names the file", deaths},
      {"ratings that kill HDF5", damaged_ratings},
      {"models that kill HDF5", damaged_model},
  };
  return tk_main("HDF5 in a child", cases, sizeof cases / sizeof cases[0]);
}
