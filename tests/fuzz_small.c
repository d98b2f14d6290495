/* Fuzz targets of what is small: records of runs, faults on purpose, segments, and tables that are
 * written and read back. See fuzz.h. */
#include "jobs/fault.h"
#include "jobs/input_impl.h"
#include "jobs/record.h"
#include "jobs/table_file.h"
#include "rdd/memory.h"
#include "tests/fuzz.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The record of a run ---- */

#define TERMINATED(text) (memchr((text), 0, sizeof(text)) != NULL)

static bool is_terminated(const job_record *r) {
  return TERMINATED(r->program) && TERMINATED(r->version) && TERMINATED(r->host) &&
         TERMINATED(r->phase) && TERMINATED(r->side) && TERMINATED(r->message);
}

static bool same_real(double a, double b) {
  return a == b || (isnan(a) && isnan(b));
}

static bool same_record(const job_record *a, const job_record *b) {
  return !strcmp(a->program, b->program) && !strcmp(a->version, b->version) &&
         !strcmp(a->host, b->host) && !strcmp(a->phase, b->phase) && !strcmp(a->side, b->side) &&
         !strcmp(a->message, b->message) && a->pid == b->pid && a->attempt == b->attempt &&
         a->iteration == b->iteration && a->progress == b->progress &&
         same_real(a->started, b->started) && same_real(a->updated, b->updated) &&
         a->state == b->state && a->exit_code == b->exit_code;
}

/* One line, an object: strings are closed, and nothing in them needs an escape that is not there. */
static bool is_json_line(const char *text, size_t n) {
  bool in_string = false;
  if (n < 3 || text[0] != '{' || text[n - 2] != '}' || text[n - 1] != '\n') return false;
  for (size_t i = 0; i < n - 1; i++) {
    if ((unsigned char)text[i] < 0x20) return false;
    if (in_string && text[i] == '\\')
      i++;
    else if (text[i] == '"')
      in_string = !in_string;
  }
  return !in_string;
}

/* What is read is written so that it is read again: numbers that JSON lacks (infinity) and bytes that
 * are not UTF-8 are replaced the first time, and nothing the second. */
static void run_record(fz_input *in) {
  char path[FZ_PATH], line[9000];
  const char *dir = fz_folder();
  job_record r[3];
  snprintf(path, sizeof path, "%s/record.json", dir);
  fz_write(path, in->at, in->n);
  if (!job_record_read(dir, &r[0])) return;
  for (int i = 0; i < 2; i++) {
    FZ_CHECK(is_terminated(&r[i]), "of read %d", i);
    FZ_CHECK(job_record_write(dir, &r[i], false), "cannot write %s", path);
    FZ_CHECK(job_record_read(dir, &r[i + 1]), "read %d", i + 1);
  }
  FZ_CHECK(same_record(&r[1], &r[2]), "'%s' and '%s'", r[1].message, r[2].message);
  FILE *file = fopen(path, "rb");
  size_t n = file ? fread(line, 1, sizeof line, file) : 0;
  if (file) fclose(file);
  FZ_CHECK(is_json_line(line, n), "%.*s", (int)n, line);
}

const fz_target fz_record_target = {.name = "record", .run = run_record};

/* ---- Faults ---- */

static bool same_fault(const job_fault *a, const job_fault *b) {
  return a->where == b->where && a->action == b->action && a->number == b->number &&
         !memcmp(a->key, b->key, sizeof a->key) && !strcmp(a->phase, b->phase) &&
         !strcmp(a->text, b->text);
}

/* The first bytes are a moment, the rest is the spec. */
static void run_fault(fz_input *in) {
  job_fault_moment now = {.where = (job_fault_where)fz_choose(in, 5), .ranks = fz_choose(in, 4)};
  for (int key = 0; key < JOB_FAULT_KEYS; key++) now.key[key] = fz_choose(in, 4) - 1;
  char *spec = malloc(in->n + 1);
  job_fault f, again;
  rdd_err err = {0};
  FZ_CHECK(spec, "no memory");
  memcpy(spec, in->at, in->n);
  spec[in->n] = 0;
  rdd_status st = job_fault_parse(spec, &f, &err);
  if (st) {
    FZ_CHECK(st == RDD_EUSAGE && err.message[0], "'%s': %d", spec, st);
  } else {
    FZ_CHECK(!strcmp(f.text, spec), "'%s', not '%s'", f.text, spec);
    FZ_CHECK(!job_fault_parse(f.text, &again, &err) && same_fault(&f, &again), "'%s'", spec);
    FZ_CHECK(f.action != JOB_FAULT_KILL || (f.number >= 1 && f.number <= 64), "'%s'", spec);
    for (int key = 0; key < JOB_FAULT_KEYS; key++)
      FZ_CHECK(f.key[key] >= JOB_FAULT_LAST, "'%s'", spec);
    bool strikes = job_fault_strikes(&f, &now);
    FZ_CHECK(!strikes || f.where == now.where, "'%s'", spec);
  }
  free(spec);
}

const fz_target fz_fault_target = {.name = "fault", .run = run_fault};

/* ---- A segment that is damaged ---- */

static struct {
  rdd_schema schema;
  char *bytes, *copy; /* [size] */
  size_t size;
} segment;

static void open_part(void) {
  int64_t id[] = {-1, 5, INT64_MAX};
  float rating[] = {1, 2.5F, -3};
  int32_t offset[] = {0, 3, 3, 10};
  rdd_segment *writer = NULL;
  rdd_err err = {0};
  rdd_schema_add(&segment.schema, "user", RDD_INT64);
  rdd_schema_add(&segment.schema, "item", RDD_UTF8);
  rdd_schema_add(&segment.schema, "rating", RDD_FLOAT32);
  rdd_status st = rdd_segment_new(&writer, &segment.schema, -1, &err);
  for (int rows = 3; rows > 0 && !st; rows--) {
    rdd_batch batch = {.rows = rows,
                       .column = {{id, NULL}, {"abcdefghij", offset}, {rating, NULL}}};
    st = rdd_segment_append(writer, &batch, &err);
  }
  if (!st) st = rdd_segment_finish(writer, (void **)&segment.bytes, &segment.size, &err);
  FZ_CHECK(!st, "%s", err.message);
  rdd_segment_free(writer);
}

static void close_part(void) {
  rdd_free(segment.bytes);
  segment = (typeof(segment)){.bytes = NULL};
}

static bool is_inside(const void *p, int64_t n) {
  const char *at = p;
  return at >= segment.copy && n >= 0 && n <= (int64_t)segment.size &&
         at + n <= segment.copy + segment.size;
}

/* Every buffer lies in the segment. */
static void check_views(const rdd_part *part) {
  int64_t rows = 0;
  for (int64_t b = 0; b < part->batches; b++) {
    const rdd_batch *batch = &part->batch[b];
    rows += batch->rows;
    for (int c = 0; c < segment.schema.columns; c++) {
      rdd_type type = segment.schema.field[c].type;
      int64_t n = batch->rows;
      if (type == RDD_UTF8) {
        const int32_t *offsets = batch->column[c].offsets;
        FZ_CHECK(is_inside(offsets, (batch->rows + 1) * (int64_t)sizeof *offsets), "offsets");
        FZ_CHECK(offsets[0] == 0, "%d", offsets[0]);
        n = offsets[batch->rows];
      }
      FZ_CHECK(is_inside(batch->column[c].values, n * (int64_t)rdd_type_size(type)), "values");
    }
  }
  FZ_CHECK(rows == part->rows, "%lld rows", (long long)rows);
}

/* A list of changes: where, and what 1 or 8 bytes there become. What opens is inside its bounds, and
 * what is not as it was does not both open and pass. */
static void run_part(fz_input *in) {
  rdd_part part = {0};
  rdd_err err = {0};
  segment.copy = rdd_alloc(segment.size, 1);
  FZ_CHECK(segment.copy, "no memory");
  memcpy(segment.copy, segment.bytes, segment.size);
  while (in->n > 0) {
    size_t at = fz_number(in, 2) % segment.size, n = fz_choose(in, 2) ? 8 : 1;
    uint64_t value = fz_number(in, (int)n);
    if (at + n <= segment.size) memcpy(segment.copy + at, &value, n);
  }
  bool changed = memcmp(segment.copy, segment.bytes, segment.size) != 0;
  rdd_status st = rdd_part_open(&part, &segment.schema, segment.copy, segment.size, NULL, &err);
  if (!st) {
    check_views(&part);
    bool passes = rdd_part_verify(&part, &err) == RDD_OK;
    FZ_CHECK(passes == !changed, "changed: %d", changed);
    rdd_part_close(&part);
  }
  FZ_CHECK(!st || changed, "%s", err.message);
  rdd_free(segment.copy);
}

const fz_target fz_part_target = {
    .name = "part", .open = open_part, .run = run_part, .close = close_part};

/* ---- A table: rows that are written come back ---- */

enum { ROWS = 40, TEXT_ROOM = 40 };

typedef struct table {
  rdd_schema schema;
  int64_t id[2][ROWS], timestamp[ROWS];
  int32_t offset[2][ROWS + 1];
  char text[2][ROWS * TEXT_ROOM];
  float rating[ROWS];
  int rows;
} table;

/* An id of text has no line ends and no NUL byte, and is not empty: see the readers. */
static void take_text(fz_input *in, table *t, int side) {
  int32_t at = t->offset[side][t->rows];
  int n = 1 + fz_byte(in) % (TEXT_ROOM - 1);
  for (int i = 0; i < n; i++) {
    uint8_t byte = fz_byte(in);
    t->text[side][at++] = (char)(byte == 0 || byte == '\n' || byte == '\r' ? '.' : byte);
  }
  t->offset[side][t->rows + 1] = at;
}

static void take_table(fz_input *in, table *t, const rdd_type types[2], bool timed) {
  *t = (table){.rows = 0};
  rdd_schema_add(&t->schema, "user", types[0]);
  rdd_schema_add(&t->schema, "item", types[1]);
  rdd_schema_add(&t->schema, "rating", RDD_FLOAT32);
  if (timed) rdd_schema_add(&t->schema, "timestamp", RDD_INT64);
  for (; in->n > 0 && t->rows < ROWS; t->rows++) {
    for (int side = 0; side < 2; side++) {
      if (types[side] == RDD_UTF8)
        take_text(in, t, side);
      else
        t->id[side][t->rows] = (int64_t)fz_number(in, fz_choose(in, 2) ? 8 : 1);
    }
    uint32_t bits = (uint32_t)fz_number(in, 4);
    memcpy(&t->rating[t->rows], &bits, sizeof bits);
    if (!isfinite(t->rating[t->rows])) t->rating[t->rows] = (float)(bits & 0xffff) / 10;
    if (timed) t->timestamp[t->rows] = (int64_t)fz_number(in, 8);
  }
}

static void write_table(const table *t, const char *path) {
  static const char *const description[] = {"a", "b", "c", "d"};
  const job_table_spec spec = {"/ratings", "ratings", "ratings", description, 2, 0};
  rdd_batch batch = {.rows = t->rows};
  rdd_err err = {0};
  job_table_file *file = NULL;
  for (int side = 0; side < 2; side++) {
    bool text = t->schema.field[side].type == RDD_UTF8;
    batch.column[side].values = text ? (const void *)t->text[side] : t->id[side];
    batch.column[side].offsets = text ? t->offset[side] : NULL;
  }
  batch.column[2].values = t->rating;
  batch.column[3].values = t->timestamp;
  rdd_status st = job_table_file_open(&file, path, &t->schema, &spec, &err);
  if (!st) st = job_table_file_append(file, &batch, &err);
  FZ_CHECK(!st, "%s", err.message);
  st = job_table_file_commit(file, &err);
  FZ_CHECK(!st, "%s", err.message);
}

static void expect_table(const table *t, fz_ratings *r) {
  for (int row = 0; row < t->rows; row++) {
    for (int side = 0; side < 2; side++) {
      const int32_t *offset = &t->offset[side][row];
      if (t->schema.field[side].type == RDD_UTF8)
        fz_ratings_text(r, t->text[side] + offset[0], (size_t)(offset[1] - offset[0]));
      else
        fz_ratings_int(r, t->id[side][row]);
    }
    fz_ratings_float(r, t->rating[row]);
    if (t->schema.columns == 4) fz_ratings_int(r, t->timestamp[row]);
    fz_ratings_end(r);
  }
}

static void run_table(fz_input *in) {
  static const rdd_type types[4][2] = {
      {RDD_INT64, RDD_INT64}, {RDD_UTF8, RDD_UTF8}, {RDD_INT64, RDD_UTF8}, {RDD_UTF8, RDD_INT64}};
  static const char *const ending[] = {"csv", "tsv", "h5"};
  static table t;
  char path[FZ_PATH];
  fz_ratings back, expected = {0};
  int type = fz_choose(in, 4), end = fz_choose(in, 3);
  bool timed = fz_choose(in, 2);
  job_input_opts opts = {.format = "auto",
                         .id_type = "auto",
                         .id_types = types[type],
                         .slots = 1,
                         .num_partitions = 1};
  take_table(in, &t, types[type], timed);
  if (t.rows == 0) return;
  snprintf(path, sizeof path, "%s/table.%s", fz_folder(), ending[end]);
  write_table(&t, path);
  expect_table(&t, &expected);
  fz_read(&back, path, &opts);
  FZ_CHECK(!back.status, "%s", back.err.message);
  fz_same_rows(&back, &expected, "read and written");
  fz_ratings_reset(&back);
  fz_ratings_reset(&expected);
}

const fz_target fz_table_target = {.name = "table", .run = run_table};
