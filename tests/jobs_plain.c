/* The one pass over plain lines against the judge of all lines: the same records, the same complaints.
 *
 * The linker puts a switch before job_plain_init() (--wrap), so that each file can be read with the
 * pass and without. Lines are well-formed ones in all their dress (quotes, blanks, signs, exponents,
 * dates, line ends), and half of them are then damaged. */
#include "jobs/input_impl.h"
#include "rdd/hash.h"
#include "tests/testkit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool judge_all;

bool __real_job_plain_init(job_plain *plain, const job_plan *plan, const job_file *file);
bool __wrap_job_plain_init(job_plain *plain, const job_plan *plan, const job_file *file);

bool __wrap_job_plain_init(job_plain *plain, const job_plan *plan, const job_file *file) {
  return !judge_all && __real_job_plain_init(plain, plan, file);
}

/* ---- Lines ---- */

typedef struct layout {
  const char *name, *head, *delimiter;
  const char *fields; /* u, i, r, t, d (a date), x (anything) */
  const char *id_type;
  int most;     /* the largest integer id, or 0: any */
  bool section; /* lines "17:" come between */
  bool pairs;
  bool all_plain; /* the pass can take them */
} layout;

static const layout layouts[] = {
    {"csv", "1,2,3\n", ",", "uir", "auto", 0, false, false, true},
    {"csv of strings", "user,item,rating,timestamp\na,b,3,1\n", ",", "uirt", "auto", 0, false,
     false, true},
    {"integers as strings", "1,2,3\n", ",", "uir", "string", 0, false, false, true},
    {"other columns and strings", "time,what,item,stars,user\n2001-01-01,x,b,3,u9\n", ",", "dxiru",
     "auto", 0, false, false, true},
    {"tsv", "1\t2\t3\t4\n", "\t", "uirt", "auto", 0, false, false, true},
    {"semicolons and strings", "a;b;3;x\n", ";", "uirx", "auto", 0, false, false, true},
    {"colons", "1::2::3::4\n", "::", "uirt", "auto", 0, false, false, true},
    {"colons and strings", "a:x::b::3\n", "::", "uir", "auto", 0, false, false, true},
    {"blanks", "1 2 3 x\n", " ", "uirx", "auto", 0, false, false, true},
    {"blanks and strings", "a b 3 2001-01-01\n", " ", "uird", "auto", 0, false, false, true},
    {"mtx", "%%MatrixMarket matrix coordinate real general\n50 60 1\n3 4 5\n", " ", "uir", "auto",
     55, false, false, true},
    {"mtx as strings", "%%MatrixMarket matrix coordinate real general\n50 60 1\n3 4 5\n", " ",
     "uir", "string", 55, false, false, false},
    {"netflix", "17:\n1,2,2001-01-01\n", ",", "urd", "auto", 0, true, false, true},
    {"netflix and strings", "17:\n1,2,2001-01-01\n", ",", "urd", "string", 0, true, false, true},
    {"netflix pairs", "17:\n5\n", ",", "u", "auto", 0, true, true, true},
    {"netflix pairs and strings", "17:\n5\n", ",", "u", "string", 0, true, true, false},
    {"pairs", "1,2\n", ",", "ui", "auto", 0, false, true, true},
};

static uint64_t draw(uint64_t *state, uint64_t n) {
  return rdd_mix64((*state)++) % n;
}

static int put_field(char *out, char what, const layout *l, uint64_t *s) {
  static const char *const odd_number[] = {"1e3",
                                           "-2.5E-2",
                                           ".5",
                                           "4.",
                                           "+3",
                                           "1e400",
                                           "nan",
                                           "-0",
                                           "1e+",
                                           "00.10",
                                           "1e-9",
                                           "1.0000000596046448",
                                           "0.00000000000000000000000123456789",
                                           "12345678901234567890123",
                                           "5e0000000000001",
                                           "1e4294967297",
                                           "--1",
                                           "",
                                           "3.4e38",
                                           "3.5e38"};
  static const char *const odd_text[] = {
      "a b", "x\"y",  "\xc3\xa9t\xc3\xa9",
      "a:b", "a\tb",  "::",
      "",    " lead", "tail ",
      "-",   "007",   "a\rb",
      "12:", "\x01",  "a text of more than sixteen bytes, which is copied in two"};
  static const char *const odd_time[] = {"2001-02-29",
                                         "2004-02-29 12:30:59",
                                         "2004-02-29T00:00:00",
                                         "-5",
                                         "2001-1-1",
                                         "12345678901234567",
                                         "1999-12-31 24:00:00",
                                         "2001-01-01 12",
                                         "0000-01-01",
                                         "9223372036854775808",
                                         "1.5"};
  bool odd = draw(s, 8) == 0, letters = what == 'x' || (!l->most && strstr(l->name, "strings"));
  size_t pick = (size_t)draw(s, 1000);
  switch (what) {
  case 'r':
    if (odd) return sprintf(out, "%s", odd_number[pick % (sizeof odd_number / sizeof *odd_number)]);
    return sprintf(out, "%.*f", (int)draw(s, 7), (double)draw(s, 100000) / 1024 - 20);
  case 't':
  case 'd':
    if (odd) return sprintf(out, "%s", odd_time[pick % (sizeof odd_time / sizeof *odd_time)]);
    if (what == 't') return sprintf(out, "%d", (int)draw(s, 2000000000));
    return sprintf(out, "%04d-%02d-%02d", (int)draw(s, 3000), (int)draw(s, 12) + 1,
                   (int)draw(s, 30) + 1);
  default:
    if (odd && letters)
      return sprintf(out, "%s", odd_text[pick % (sizeof odd_text / sizeof *odd_text)]);
    if (odd)
      return sprintf(out, "%s%llu", pick % 2 ? "-" : "+0", (unsigned long long)rdd_mix64(pick));
    if (letters) return sprintf(out, "id%d", (int)draw(s, 1000000));
    if (l->most) return sprintf(out, "%d", (int)draw(s, (uint64_t)l->most) + 1);
    return sprintf(out, "%llu", (unsigned long long)(rdd_mix64(*s) >> (4 + draw(s, 60))));
  }
}

/* A field perhaps in quotes, quotes in it doubled, perhaps with blanks around it. */
static int put_dressed(char *out, const char *field, uint64_t *s) {
  int n = 0;
  bool quoted = draw(s, 6) == 0;
  if (draw(s, 12) == 0) out[n++] = draw(s, 3) ? ' ' : '\t';
  if (quoted) out[n++] = '"';
  for (const char *p = field; *p; p++) {
    if (quoted && *p == '"') out[n++] = '"';
    out[n++] = *p;
  }
  if (quoted) out[n++] = '"';
  if (draw(s, 12) == 0) out[n++] = ' ';
  return n;
}

/* Change, drop, double or insert a byte. */
static int damage(char *line, int n, uint64_t *s) {
  static const char nasty[] = ",;:\"\t \r\n-+.eET0123456789ax\x7f\xff";
  int at = (int)draw(s, (uint64_t)n);
  char byte = nasty[draw(s, sizeof nasty)]; /* the last one is NUL */
  switch (draw(s, 3)) {
  case 0:
    line[at] = byte;
    return n;
  case 1:
    memmove(line + at, line + at + 1, (size_t)(n - at - 1));
    return n - 1;
  default:
    memmove(line + at + 1, line + at, (size_t)(n - at));
    line[at] = byte;
    return n + 1;
  }
}

static int put_line(char *out, const layout *l, uint64_t *s) {
  static const char *const ends[] = {"\n", "\n", "\n", "\r\n", " \r\n", "\r\r\n", "\n\n"};
  char field[200];
  int n = 0;
  if (l->section && draw(s, 20) == 0) {
    n = sprintf(out, draw(s, 8) ? "%d:" : " %dx: ", (int)draw(s, 1000));
  } else {
    for (const char *f = l->fields; *f; f++) {
      if (f > l->fields) n += sprintf(out + n, "%s", l->delimiter);
      put_field(field, *f, l, s);
      n += put_dressed(out + n, field, s);
    }
  }
  while (n > 0 && draw(s, 3) == 0) n = damage(out, n, s);
  return n + sprintf(out + n, "%s", ends[draw(s, sizeof ends / sizeof *ends)]);
}

/* ---- Reading ---- */

typedef struct outcome {
  rdd_status status;
  rdd_err err;
  int64_t rows, bad;
  uint64_t hash; /* of all rows */
  char note[RDD_NOTE];
} outcome;

typedef struct visitor {
  outcome *o;
  const rdd_schema *schema;
} visitor;

static rdd_status visit(void *arg, int64_t partition, const rdd_part *part, rdd_err *err) {
  visitor *v = arg;
  (void)partition, (void)err;
  for (int64_t b = 0; b < part->batches; b++)
    for (int c = 0; c < v->schema->columns; c++) {
      const rdd_batch *batch = &part->batch[b];
      const rdd_column *column = &batch->column[c];
      size_t bytes = (size_t)batch->rows * rdd_type_size(v->schema->field[c].type);
      if (column->offsets) {
        bytes = (size_t)column->offsets[batch->rows];
        v->o->hash = rdd_mix64_2(v->o->hash,
                                 rdd_hash_bytes(column->offsets, 4 * ((size_t)batch->rows + 1)));
      }
      v->o->hash = rdd_mix64_2(v->o->hash, rdd_hash_bytes(column->values, bytes));
    }
  v->o->rows += part->rows;
  return RDD_OK;
}

static outcome read_file(const char *path, const layout *l, bool judged) {
  outcome o = {0};
  rdd_comm *comm = NULL;
  job_input *input = NULL;
  rdd_counters counters = {0};
  rdd_run_opts run = {.slots = 1};
  char *paths[1] = {(char *)(uintptr_t)path};
  job_input_opts opts = {.format = "auto",
                         .id_type = l->id_type,
                         .slots = 1,
                         .max_bad_records = 1000000,
                         .num_partitions = 3,
                         .pairs = l->pairs};
  judge_all = judged;
  o.status = rdd_comm_single(&comm, &o.err);
  if (!o.status) o.status = job_input_open(comm, paths, 1, &opts, &input, &o.err);
  if (!o.status) {
    visitor v = {&o, rdd_schema_of(job_input_rdd(input))};
    o.status = rdd_visit(job_input_rdd(input), comm, &run, visit, &v, &counters, &o.err);
    o.bad = counters.value[JOB_COUNT_BAD];
    snprintf(o.note, sizeof o.note, "%s", counters.note);
  }
  job_input_close(input);
  rdd_comm_close(comm);
  return o;
}

static void same_either_way(void) {
  enum { LINES = 20000, ROOM = LINES * 400 };
  char path[400], *text = malloc(ROOM);
  if (!text) abort();
  snprintf(path, sizeof path, "%s/lines", tk_tmpdir());
  for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
    const layout *l = &layouts[i];
    uint64_t state = i << 32;
    int n = sprintf(text, "%s", l->head);
    for (int line = 0; line < LINES; line++) n += put_line(text + n, l, &state);
    FILE *file = fopen(path, "wb");
    if (!TK_CHECK(file && fwrite(text, 1, (size_t)n, file) == (size_t)n && fclose(file) == 0))
      break;
    outcome fast = read_file(path, l, false), judged = read_file(path, l, true);
    TK_OK(judged.status, &judged.err);
    bool same = fast.status == judged.status && fast.rows == judged.rows &&
                fast.bad == judged.bad && fast.hash == judged.hash &&
                strcmp(fast.note, judged.note) == 0;
    bool mixed = judged.rows > LINES / 20 && judged.bad > LINES / 100;
    if (!TK_CHECK(same) || !TK_CHECK(mixed))
      printf("# %s: %lld rows and %lld bad, judged %lld and %lld; '%s', judged '%s'\n", l->name,
             (long long)fast.rows, (long long)fast.bad, (long long)judged.rows,
             (long long)judged.bad, fast.note, judged.note);
  }
  free(text);
}

/* Take the last line of a layout's head, which is a record. */
static void takes(const layout *l, const job_plain *plain, const job_plan *plan) {
  static char block[200 + JOB_SLACK];
  size_t n = strlen(l->head), at = n - 1;
  job_span section = {.text = "17", .n = 2};
  job_rows rows;
  rdd_err err;
  while (at > 0 && l->head[at - 1] != '\n') at--;
  memcpy(block, l->head + at, n - at);
  if (!TK_OK(job_rows_init(&rows, plan, NULL, &err), &err)) return;
  const char *end = block + (n - at);
  bool whole = job_read_plain(plain, &rows, &section, 17, block, end) == end && rows.rows == 1;
  if (!TK_CHECK(whole)) printf("# %s\n", l->name);
  job_rows_reset(&rows);
}

/* The pass is there for these layouts, and takes an ordinary line. */
static void which_are_plain(void) {
  job_input_opts opts = {.format = "auto"};
  char path[400];
  rdd_err err;
  snprintf(path, sizeof path, "%s/head", tk_tmpdir());
  for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
    const layout *l = &layouts[i];
    job_plan plan = {.files = 1};
    job_file file = {0};
    job_plain plain;
    opts.id_type = l->id_type;
    opts.pairs = l->pairs;
    FILE *out = fopen(path, "wb");
    if (!TK_CHECK(out && fputs(l->head, out) >= 0 && fclose(out) == 0)) break;
    TK_OK(job_sniff(&file, path, &opts, &err), &err);
    for (int side = 0; side < 2; side++)
      plan.id_type[side] = strcmp(l->id_type, "string") == 0 ? RDD_UTF8 : file.id_type[side];
    plan.timestamp = file.column[JOB_TIMESTAMP] >= 0;
    bool plainly = job_plain_init(&plain, &plan, &file);
    TK_CHECK(plainly == l->all_plain);
    if (plainly) takes(l, &plain, &plan);
  }
}

int main(void) {
  static const tk_case cases[] = {
      {"which layouts are read in one pass", which_are_plain},
      {"damaged or not, lines are read the same in one pass and judged", same_either_way},
  };
  return tk_main("jobs_plain", cases, sizeof cases / sizeof cases[0]);
}
