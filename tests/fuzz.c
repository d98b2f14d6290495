/* What the fuzz targets share, and libFuzzer's way in. See fuzz.h. */
#include "tests/fuzz.h"

#include "jobs/input_impl.h"
#include "rdd/memory.h"
#include "rdd/rdd_impl.h"

#include <ftw.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What libFuzzer calls. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const fz_target *const targets[] = {
    &fz_number_target, &fz_time_target,  &fz_text_target,       &fz_gzip_target,
    &fz_table_target,  &fz_part_target,  &fz_record_target,     &fz_fault_target,
    &fz_block_target,  &fz_model_target, &fz_checkpoint_target, &fz_ratings_target,
};
enum { TARGETS = sizeof targets / sizeof targets[0], SLOTS = 4 };

static struct {
  const fz_target *target; /* of libFuzzer */
  const char *file;
  char folder[80];
  int slot[SLOTS]; /* descriptor + 1 */
} fuzz;

static const fz_target *find_target(const char *name) {
  for (int i = 0; i < TARGETS; i++)
    if (!strcmp(targets[i]->name, name)) return targets[i];
  return NULL;
}

void fz_run(const fz_target *target, const uint8_t *bytes, size_t n) {
  fz_input in = {bytes, n};
  if (target->contained)
    fz_contain(target, &in);
  else
    target->run(&in);
}

/* ---- Input ---- */

uint8_t fz_byte(fz_input *in) {
  if (in->n == 0) return 0;
  in->n--;
  return *in->at++;
}

int fz_choose(fz_input *in, int n) {
  return (uint8_t)(fz_byte(in) - '0') % n;
}

uint64_t fz_number(fz_input *in, int bytes) {
  uint64_t x = 0;
  for (int i = 0; i < bytes; i++) x |= (uint64_t)fz_byte(in) << (8 * i);
  return x;
}

/* ---- Findings ---- */

_Noreturn void fz_fail(const char *condition, const char *file, int line, const char *format, ...) {
  va_list args;
  fprintf(stderr, "%s:%d: broken: %s: ", file, line, condition);
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fprintf(stderr, "%s%s\n", fuzz.file ? "; with " : "", fuzz.file ? fuzz.file : "");
  if (fz_in_child()) _exit(1); /* its parent fails, with what was printed here */
  abort();
}

void fz_note_file(const char *path) {
  fuzz.file = path;
}

/* ---- Files ---- */

const char *fz_file(int slot, const void *bytes, size_t n, char path[FZ_PATH]) {
  if (!fuzz.slot[slot]) fuzz.slot[slot] = memfd_create("fuzz", MFD_CLOEXEC) + 1;
  int fd = fuzz.slot[slot] - 1;
  FZ_CHECK(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, bytes, n, 0) == (ssize_t)n,
           "no memory file of %zu bytes", n);
  snprintf(path, FZ_PATH, "/proc/self/fd/%d", fd);
  return path;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at) {
  (void)st, (void)kind, (void)at;
  return remove(path);
}

static void remove_folder(void) {
  if (fuzz.folder[0]) nftw(fuzz.folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *fz_folder(void) {
  if (fuzz.folder[0]) return fuzz.folder;
  const char *base = getenv("TMPDIR");
  if (!base || strlen(base) > 50) base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
  snprintf(fuzz.folder, sizeof fuzz.folder, "%s/gangplank-fuzz-XXXXXX", base);
  FZ_CHECK(mkdtemp(fuzz.folder), "no folder %s", fuzz.folder);
  atexit(remove_folder);
  return fuzz.folder;
}

void fz_write(const char *path, const void *bytes, size_t n) {
  FILE *file = fopen(path, "wb");
  FZ_CHECK(file && fwrite(bytes, 1, n, file) == n && fclose(file) == 0, "cannot write %s", path);
}

/* ---- Reading ratings ---- */

void fz_ratings_reset(fz_ratings *r) {
  free(r->text);
  *r = (fz_ratings){0};
}

static void add_bytes(fz_ratings *r, const void *bytes, size_t n) {
  if (r->n + n + 1 > r->room) {
    r->room = 2 * (r->n + n + 1);
    r->text = realloc(r->text, r->room);
    FZ_CHECK(r->text, "no memory for %zu bytes", r->room);
  }
  memcpy(r->text + r->n, bytes, n);
  r->n += n;
  r->text[r->n] = 0;
}

void fz_ratings_int(fz_ratings *r, int64_t value) {
  char text[32];
  add_bytes(r, text, (size_t)snprintf(text, sizeof text, "%lld|", (long long)value));
}

/* Its bits. */
void fz_ratings_float(fz_ratings *r, float value) {
  uint32_t bits;
  char text[32];
  memcpy(&bits, &value, sizeof bits);
  add_bytes(r, text, (size_t)snprintf(text, sizeof text, "%08x|", bits));
}

void fz_ratings_text(fz_ratings *r, const char *text, size_t n) {
  add_bytes(r, text, n);
  add_bytes(r, "|", 1);
}

void fz_ratings_end(fz_ratings *r) {
  add_bytes(r, "\n", 1);
  r->rows++;
}

void fz_same_rows(const fz_ratings *a, const fz_ratings *b, const char *what) {
  FZ_CHECK(a->n == b->n && (a->n == 0 || !memcmp(a->text, b->text, a->n)),
           "%s: %lld rows and %lld rows:\n%.400s\nand\n%.400s\n", what, (long long)a->rows,
           (long long)b->rows, a->n ? a->text : "", b->n ? b->text : "");
}

/* Every value is touched; ratings are finite, ids not empty. */
static void add_row(fz_ratings *r, const rdd_schema *schema, const rdd_batch *batch, int64_t row) {
  for (int c = 0; c < schema->columns; c++) {
    const rdd_column *column = &batch->column[c];
    int32_t from, length;
    float value;
    switch (schema->field[c].type) {
    case RDD_INT64:
      fz_ratings_int(r, ((const int64_t *)column->values)[row]);
      break;
    case RDD_UTF8:
      from = column->offsets[row];
      length = column->offsets[row + 1] - from;
      FZ_CHECK(length > 0 && length <= JOB_ID_LENGTH, "an id of %d bytes", length);
      fz_ratings_text(r, (const char *)column->values + from, (size_t)length);
      break;
    default:
      value = ((const float *)column->values)[row];
      FZ_CHECK(isfinite(value), "row %lld", (long long)row);
      fz_ratings_float(r, value);
    }
  }
  fz_ratings_end(r);
}

/* What a task left in its memory file. */
static void add_partition(fz_ratings *r, const rdd_schema *schema, int fd) {
  rdd_part part = {0};
  off_t size = lseek(fd, 0, SEEK_END);
  char *bytes = rdd_alloc((size_t)size, 1);
  FZ_CHECK(bytes && pread(fd, bytes, (size_t)size, 0) == size, "a part of %lld bytes",
           (long long)size);
  rdd_status st = rdd_part_open(&part, schema, bytes, (size_t)size, NULL, &r->err);
  FZ_CHECK(!st, "%s", r->err.message);
  FZ_CHECK(!rdd_part_verify(&part, &r->err), "%s", r->err.message);
  for (int64_t b = 0; b < part.batches; b++)
    for (int64_t i = 0; i < part.batch[b].rows; i++) add_row(r, schema, &part.batch[b], i);
  rdd_part_close(&part);
  rdd_free(bytes);
}

/* Run the tasks of a source as their children would, but here. */
static void read_partitions(fz_ratings *r, const rdd *source, rdd_counters *counters) {
  enum { RESULT = SLOTS - 1 };
  char path[FZ_PATH];
  for (int64_t p = 0; p < rdd_partitions(source) && !r->status; p++) {
    rdd_order order = {.target = source, .partition = p};
    rdd_report report = {0};
    fz_file(RESULT, "", 0, path);
    rdd_task_run(&order, fuzz.slot[RESULT] - 1, &report);
    r->status = report.status;
    r->err = report.err;
    if (!r->status) add_partition(r, rdd_schema_of(source), fuzz.slot[RESULT] - 1);
    for (int c = 0; c < RDD_COUNTERS; c++) counters->value[c] += report.counter[c];
    if (!counters->note[0]) memcpy(counters->note, report.note, sizeof counters->note);
  }
  FZ_CHECK(r->status || r->rows == counters->value[JOB_COUNT_ROWS], "%lld rows are counted",
           (long long)counters->value[JOB_COUNT_ROWS]);
}

static void check_end(const fz_ratings *r, int64_t live) {
  FZ_CHECK(!r->status || (r->err.code == r->status && r->err.message[0]),
           "status %d without a message", (int)r->status);
  FZ_CHECK(rdd_memory_live() == live, "%lld allocations are left",
           (long long)(rdd_memory_live() - live));
}

void fz_read(fz_ratings *out, const char *path, const job_input_opts *opts) {
  rdd_comm *comm = NULL;
  job_input *input = NULL;
  rdd_counters counters = {{0}, ""};
  int64_t live = rdd_memory_live();
  *out = (fz_ratings){0};
  out->status = rdd_comm_single(&comm, &out->err);
  FZ_CHECK(!out->status, "%s", out->err.message);
  out->status = job_input_open(comm, (char *const *)&path, 1, opts, &input, &out->err);
  if (!out->status) read_partitions(out, job_input_rdd(input), &counters);
  if (!out->status) out->status = job_input_check(input, &counters, &out->err);
  job_input_close(input);
  rdd_comm_close(comm);
  check_end(out, live);
}

static rdd_status read_h5(void *arg, int64_t partition, rdd_task *task, rdd_err *err) {
  const job_plan *plan = arg;
  const job_file *file = plan->file;
  job_rows rows;
  rdd_status st = job_rows_init(&rows, plan, task, err);
  if (st) return st;
  st = job_read_h5(&rows, file, file->weight * partition / plan->partitions,
                   file->weight * (partition + 1) / plan->partitions, err);
  if (!st) st = job_rows_flush(&rows, err);
  job_rows_reset(&rows);
  return st;
}

void fz_read_h5(fz_ratings *out, const char *path, const job_file *file,
                const job_input_opts *opts) {
  rdd *source = NULL;
  rdd_schema schema = {0};
  rdd_counters counters = {{0}, ""};
  int64_t live = rdd_memory_live();
  *out = (fz_ratings){0};
  job_plan *plan = rdd_calloc(1, sizeof *plan + sizeof *file + strlen(path) + 1);
  FZ_CHECK(plan, "no memory");
  plan->files = 1;
  plan->partitions = opts->num_partitions;
  plan->max_bad = opts->max_bad_records;
  plan->timestamp = file->column[JOB_TIMESTAMP] >= 0;
  plan->pairs = opts->pairs;
  plan->file[0] = *file;
  strcpy((char *)&plan->file[1], path);
  for (int side = 0; side < 2; side++) {
    plan->id_type[side] = job_wanted_type(opts, side);
    if (plan->id_type[side] == JOB_TYPE_UNKNOWN) plan->id_type[side] = file->id_type[side];
    rdd_schema_add(&schema, side ? "item" : "user", (rdd_type)plan->id_type[side]);
  }
  rdd_schema_add(&schema, "rating", RDD_FLOAT32);
  if (plan->timestamp) rdd_schema_add(&schema, "timestamp", RDD_INT64);
  out->status = rdd_source(&source, "read", plan->partitions, &schema, read_h5, plan, &out->err);
  FZ_CHECK(!out->status, "%s", out->err.message);
  read_partitions(out, source, &counters);
  rdd_release(source);
  rdd_free(plan);
  check_end(out, live);
}

/* ---- libFuzzer ---- */

static void tell_contained(void) {
  int64_t hangs, deaths = fz_contained(&hangs);
  if (deaths && !fz_in_child())
    fprintf(stderr, "HDF5 died of %lld inputs, of %lld because it did not end\n", (long long)deaths,
            (long long)hangs);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  const char *name = getenv("FUZZ_TARGET");
  (void)argc, (void)argv;
  fuzz.target = name ? find_target(name) : NULL;
  if (!fuzz.target) {
    fprintf(stderr, "FUZZ_TARGET is '%s'; expected one of:", name ? name : "");
    for (int i = 0; i < TARGETS; i++) fprintf(stderr, " %s", targets[i]->name);
    fprintf(stderr, "\n");
    exit(2);
  }
  atexit(tell_contained);
  fz_contain_most(500);
  if (fuzz.target->open) fuzz.target->open();
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fz_run(fuzz.target, data, size);
  return 0;
}
