/* Inputs of every format, well-formed and not, read as one rank reads them. */
#include "jobs/h5.h"
#include "jobs/input.h"
#include "jobs/table_file.h"
#include "rdd/memory.h"
#include "tests/testkit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* ---- files ---- */

static const char *path_of(const char *name) {
  static char ring[8][400];
  static int next;
  char *path = ring[next++ % 8];
  snprintf(path, 400, "%s/%s", tk_tmpdir(), name);
  return path;
}

static const char *put_bytes(const char *name, const char *text, size_t n) {
  const char *path = path_of(name);
  FILE *file = fopen(path, "wb");
  TK_CHECK(file && fwrite(text, 1, n, file) == n);
  if (file) fclose(file);
  return path;
}

static const char *put(const char *name, const char *text) {
  return put_bytes(name, text, strlen(text));
}

static const char *put_gzip(const char *name, const char *text, const char *mode) {
  const char *path = path_of(name);
  gzFile file = gzopen(path, mode);
  TK_CHECK(file && gzwrite(file, text, (unsigned)strlen(text)) == (int)strlen(text));
  if (file) gzclose(file);
  return path;
}

static const char *folder(const char *name) {
  const char *path = path_of(name);
  TK_CHECK(mkdir(path, 0777) == 0 || errno == EEXIST);
  return path;
}

/* ---- reading ---- */

static job_input_opts preset(void) {
  return (job_input_opts){.format = "auto", .id_type = "auto", .slots = 2};
}

typedef struct result {
  rdd_status status;
  rdd_err err;
  int64_t rows;
  char *text; /* "user item rating timestamp;" for each row */
  size_t n, room;
  char describe[240];
  rdd_counters counters;
  int64_t partitions;
} result;

static void put_text(result *r, const char *text, size_t n) {
  if (r->n + n + 1 > r->room) {
    r->room = 2 * (r->n + n + 1);
    r->text = realloc(r->text, r->room);
    if (!r->text) abort();
  }
  memcpy(r->text + r->n, text, n);
  r->n += n;
  r->text[r->n] = 0;
}

static void put_row(result *r, const rdd_schema *schema, const rdd_batch *batch, int64_t i) {
  char text[64];
  for (int c = 0; c < schema->columns; c++) {
    const rdd_column *column = &batch->column[c];
    if (c) put_text(r, " ", 1);
    if (schema->field[c].type == RDD_UTF8) {
      put_text(r, (const char *)column->values + column->offsets[i],
               (size_t)(column->offsets[i + 1] - column->offsets[i]));
      continue;
    }
    if (schema->field[c].type == RDD_INT64)
      snprintf(text, sizeof text, "%lld", (long long)((const int64_t *)column->values)[i]);
    else
      snprintf(text, sizeof text, "%.9g", (double)((const float *)column->values)[i]);
    put_text(r, text, strlen(text));
  }
  put_text(r, ";", 1);
}

typedef struct visitor {
  result *r;
  const rdd_schema *schema;
} visitor;

static rdd_status visit(void *arg, int64_t partition, const rdd_part *part, rdd_err *err) {
  visitor *v = arg;
  (void)partition;
  (void)err;
  for (int64_t b = 0; b < part->batches; b++)
    for (int64_t i = 0; i < part->batch[b].rows; i++) put_row(v->r, v->schema, &part->batch[b], i);
  v->r->rows += part->rows;
  return RDD_OK;
}

static result read_all(const char *const *path, int n, const job_input_opts *opts) {
  result r = {0};
  rdd_comm *comm = NULL;
  job_input *input = NULL;
  rdd_run_opts run = {.slots = 2};
  put_text(&r, "", 0);
  r.status = rdd_comm_single(&comm, &r.err);
  if (!r.status) r.status = job_input_open(comm, (char *const *)path, n, opts, &input, &r.err);
  if (!r.status) {
    rdd *source = job_input_rdd(input);
    visitor v = {&r, rdd_schema_of(source)};
    snprintf(r.describe, sizeof r.describe, "%s", job_input_describe(input));
    r.partitions = rdd_partitions(source);
    r.status = rdd_visit(source, comm, &run, visit, &v, &r.counters, &r.err);
    if (!r.status) r.status = job_input_check(input, &r.counters, &r.err);
  }
  job_input_close(input);
  rdd_comm_close(comm);
  return r;
}

static result read_one(const char *path, const job_input_opts *opts) {
  return read_all(&path, 1, opts);
}

/* The rows of one file are these. */
static void gives_with(const char *path, const job_input_opts *opts, const char *rows) {
  result r = read_one(path, opts);
  if (TK_OK(r.status, &r.err) && !TK_CHECK(strcmp(r.text, rows) == 0))
    printf("# %s gives '%.200s' instead of '%.200s'\n", path, r.text, rows);
  free(r.text);
}

static void gives(const char *path, const char *rows) {
  job_input_opts opts = preset();
  gives_with(path, &opts, rows);
}

/* Reading fails so, and the message holds each of these pieces ("a|b"). */
static void fails_with(const char *path, const job_input_opts *opts, rdd_status status,
                       const char *pieces) {
  result r = read_one(path, opts);
  char copy[500], *save = NULL;
  bool good = TK_CHECK(r.status == status);
  snprintf(copy, sizeof copy, "%s", pieces);
  for (char *p = strtok_r(copy, "|", &save); p && r.status; p = strtok_r(NULL, "|", &save))
    if (!TK_CHECK(strstr(r.err.message, p) != NULL)) {
      printf("# no '%s'\n", p);
      good = false;
    }
  if (!good) printf("# %s: status %d '%s'\n", path, (int)r.status, r.err.message);
  free(r.text);
}

static void fails(const char *path, rdd_status status, const char *pieces) {
  job_input_opts opts = preset();
  fails_with(path, &opts, status, pieces);
}

/* ---- text with columns ---- */

static void delimiters(void) {
  gives(put("a.csv", "1,2,3.5\n4,5,-1\n"), "1 2 3.5;4 5 -1;");
  gives(put("a.tsv", "1\t2\t3\n4\t5\t2e1\n"), "1 2 3;4 5 20;");
  gives(put("a.semi", "1;2;3\n4;5;.5\n"), "1 2 3;4 5 0.5;");
  gives(put("a.pipe", "1|2|3\n4|5|6\n"), "1 2 3;4 5 6;");
  gives(put("a.blank", "  1  2   3\n4 \t 5 6  \n"), "1 2 3;4 5 6;");
  gives(put("a.comma", "1, 2, 3\n 4 ,\t5 , 6 \n"), "1 2 3;4 5 6;");
  gives(put("tab.csv", "a,b\tc,d\t3\ne\tf g\t4\n"), "a,b c,d 3;e f g 4;");
  gives(put("colons.csv", "ns::u1,ns::i1,5\nns::u2,ns::i2,4\n"),
        "ns::u1 ns::i1 5;ns::u2 ns::i2 4;");
}

/* Read as a float at once; the double between would be a tie, and go to the even one. */
static void ratings_are_rounded_once(void) {
  gives(put("once.csv", "1,2,1.000000059604644775390625\n1,3,1.0000000596046447753906250001\n"
                        "1,4,1.0000000596046447753906249999\n1,5,-16777217.0000000001\n"
                        "1,6,3.4028235677973366e38\n1,7,1.5e-45\n1,8,1e-50\n"),
        "1 2 1;1 3 1.00000012;1 4 1;1 5 -16777218;1 6 3.40282347e+38;1 7 1.40129846e-45;1 8 0;");
  fails(put("twice.csv", "1,2,1\n1,3,3.4028235677973367e38\n"), RDD_EDATA,
        "twice.csv:2: rating '3.4028235677973367e38' is out of the range of a 32-bit float");
}

static void line_ends(void) {
  gives(put("crlf.csv", "1,2,3\r\n4,5,6\r\n"), "1 2 3;4 5 6;");
  gives(put("open.csv", "1,2,3\n4,5,6"), "1 2 3;4 5 6;");
  gives(put("open2.csv", "1,2,3\r\n4,5,6\r"), "1 2 3;4 5 6;");
  gives(put("blank.csv", "\n\n1,2,3\n\n  \r\n4,5,6\n\n"), "1 2 3;4 5 6;");
  gives(put("bom.csv", "\xef\xbb\xbf"
                       "1,2,3\n4,5,6\n"),
        "1 2 3;4 5 6;");
  gives(put("bom2.csv", "\xef\xbb\xbf"
                        "user,item,rating\r\n4,5,6\r\n"),
        "4 5 6;");
  gives(put("blanks.txt", " 1 2 3 \r\n4 5 6\r\n"), "1 2 3;4 5 6;");
  /* a carriage return alone ends no line, and that is said; inside a line it is a character */
  fails(put("mac.csv", "1,2,3\r4,5,6\r"), RDD_EDATA,
        "mac.csv: its lines end in carriage returns without newlines");
  fails(put("mac2.csv", "user,item,rating\r1,2,3\r4,5,6\r"), RDD_EDATA,
        "mac2.csv|carriage returns");
  fails(put("mac3.csv", "1,2,3\n4,5,6\r7,8,9\n"), RDD_EDATA,
        "mac3.csv:2: found 5 fields instead of 3 in '4,5,6\\x0d7,8,9'");
  fails(put("mac4.csv", "1,2,3\r\r\n"), RDD_EDATA, "mac4.csv:1: rating '3\\x0d'");
  gives(put("mac5.csv", "\"a\rb\",c,3\nd\re,f,4\n"), "a\rb c 3;d\re f 4;");
}

static void headers(void) {
  gives(put("h1.csv", "user,item,rating\n1,2,3\n"), "1 2 3;");
  gives(put("h2.csv", "rating,Movie_ID,junk,User Id,timestamp\n5,2,x,1,99\n"), "1 2 5 99;");
  gives(put("h3.csv", "who,what,how\n1,2,3\n"), "1 2 3;");
  gives(put("h4.csv", "who,what,how\nann,tea,3\n"), "ann tea 3;");
  gives(put("h5.csv", "\"user\",\"item\",\"rating\"\n1,2,3\n"), "1 2 3;");
  gives(put("h6.csv", "user,item,rating\n"), "");
  gives(put("h7.csv", "userId,movieId,rating,timestamp\n1,2,3,2005-04-02 23:53:47\n"),
        "1 2 3 1112486027;");
  gives(put("h8.csv", "user,item,rating,timestamp\n1,2,3,yesterday\n"), "1 2 3;");
  gives(put("n1.csv", "1,2,3,99,foo\n4,5,6,98,\n"), "1 2 3 99;4 5 6 98;");
  gives(put("n2.csv", "ann,tea,3\nbob,\xc3\xa9,4\n"), "ann tea 3;bob \xc3\xa9 4;");

  job_input_opts opts = preset();
  opts.columns = "who,What,how";
  gives_with(put("c1.csv", "how,who,x,what\n3,1,0,2\n"), &opts, "1 2 3;");
  opts.columns = "who,what,how,when";
  gives_with(put("c2.csv", "when;how;who;what\n9;3;1;2\n"), &opts, "1 2 3 9;");
  fails_with(put("c3.csv", "how,who,x,what\n3,1,0,2\n"), &opts, RDD_EUSAGE,
             "--columns|no column 'when'|how,who,x,what");
  opts.columns = "who,what";
  fails_with(put("c4.csv", "how,who,x,what\n3,1,0,2\n"), &opts, RDD_EUSAGE, "three or four names");
  fails_with(put("c5.mtx", "%%MatrixMarket matrix coordinate real general\n1 1 1\n1 1 1\n"), &opts,
             RDD_EUSAGE, "--columns|Matrix Market");
  fails(put("c6.csv", "item,user,stuff\n1,2,3\n"), RDD_EDATA, "header 'item,user,stuff'|--columns");
}

static void quotes(void) {
  gives(put("q1.csv", "\"a,b\",\"say \"\"hi\"\"\",3\n\"\"\"\",x, \"4\" \n"),
        "a,b say \"hi\" 3;\" x 4;");
  gives(put("q2.csv", "\"1\",\"2\",\"3\"\n\"4\",\"5\",6\n"), "1 2 3;4 5 6;");
  gives(put("q3.csv", "a\"b,c,3\n"), "a\"b c 3;");
  fails(put("q4.csv", "a,b,3\n\"x,b,4\nc\",d,5\n"), RDD_EDATA,
        "q4.csv:2:|quoted field does not end on its line|newline inside quotes");
  fails(put("q5.csv", "a,b,3\n\"x\"y,b,4\n"), RDD_EDATA, "q5.csv:2:|after the closing quote");
}

static void id_types(void) {
  gives(put("t1.csv", "1,tea,3\n2,7,4\n"), "1 tea 3;2 7 4;");
  gives(put("t2.csv", "-9223372036854775808,9223372036854775807,3\n"),
        "-9223372036854775808 9223372036854775807 3;");
  job_input_opts opts = preset();
  opts.id_type = "string";
  gives_with(put("t3.csv", "007,99999999999999999999,3\nx,12.5,4\n"), &opts,
             "007 99999999999999999999 3;x 12.5 4;");
  opts.id_type = "int";
  gives_with(put("t4.csv", "007,+5,3\n"), &opts, "7 5 3;");
  fails_with(put("t5.csv", "x,5,3\n"), &opts, RDD_EDATA, "t5.csv:1:|user id 'x'|--id-type int");

  /* types that a model demands */
  static const rdd_type mixed[2] = {RDD_UTF8, RDD_INT64}, ints[2] = {RDD_INT64, RDD_INT64};
  opts = preset();
  opts.id_types = mixed;
  gives_with(put("t8.csv", "007,12,3\nx,5,4\n"), &opts, "007 12 3;x 5 4;");
  opts.id_types = ints;
  fails_with(path_of("t8.csv"), &opts, RDD_EDATA,
             "t8.csv:2: user id 'x' is not an integer, as the ids");
  opts.id_type = "string";
  fails_with(path_of("t8.csv"), &opts, RDD_EUSAGE, "--id-type string|user ids to match|integers");

  char *line = malloc(200000);
  if (!line) abort();
  memset(line, 'u', 65535);
  strcpy(line + 65535, ",i,3\n");
  result r = read_one(put("t6.csv", line), &(job_input_opts){.format = "auto", .id_type = "auto"});
  TK_OK(r.status, &r.err);
  TK_CHECK(r.rows == 1 && r.n == 65535 + 5);
  free(r.text);
  strcpy(line, "a,i,3\n");
  memset(line + 6, 'u', 65536);
  strcpy(line + 6 + 65536, ",i,3\n");
  fails(put("t7.csv", line), RDD_EDATA, "t7.csv:2:|user id has 65536 bytes|65535");
  free(line);
}

static void pairs(void) {
  job_input_opts opts = preset();
  opts.pairs = true;
  gives_with(put("p1.csv", "1,2\n3,4\n"), &opts, "1 2 1;3 4 1;");
  gives_with(put("p2.csv", "user,item\n3,4\n"), &opts, "3 4 1;");
  gives_with(put("p3.csv", "a,b\nc,d\n"), &opts, "a b 1;c d 1;");
  gives_with(put("p4.csv", "who,what\n3,4\n"), &opts, "3 4 1;");
  gives_with(put("p5.csv", "1,2,5\n"), &opts, "1 2 5;");
  gives_with(put("p6.csv", "item,user,timestamp\n1,2,77\n"), &opts, "2 1 1 77;");
  gives_with(put("p7.tsv", "1\t2\n3\t4\n"), &opts, "1 2 1;3 4 1;");
  gives_with(put("p8.txt", "1 2\n3 4\n"), &opts, "1 2 1;3 4 1;");
  fails(put("p9.csv", "1,2\n3,4\n"), RDD_EDATA, "p9.csv|'1,2'|user,item,rating");
}

static void movielens(void) {
  job_input_opts opts = preset();
  result r = read_one(put("u.data", "196\t242\t3\t881250949\n186\t302\t3\t891717742\n"), &opts);
  TK_OK(r.status, &r.err);
  TK_CHECK(strcmp(r.text, "196 242 3 881250949;186 302 3 891717742;") == 0);
  TK_CHECK(strcmp(r.describe, "MovieLens u.data, 1 file, 40 bytes, 1 partition, integer ids") == 0);
  TK_CHECK(r.counters.value[JOB_COUNT_BYTES] == 40 && r.counters.value[JOB_COUNT_ROWS] == 2);
  free(r.text);
  gives(put("ratings.dat", "1::1193::5::978300760\n1::661::3.5::978302109\n"),
        "1 1193 5 978300760;1 661 3.5 978302109;");
  gives(put("bare.dat", "0::2::3\n0::3::1\n"), "0 2 3;0 3 1;");
  gives(put("ratings.csv", "userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n"),
        "1 31 2.5 1260759144;");
  opts.format = "movielens";
  gives_with(path_of("ratings.csv"), &opts, "1 31 2.5 1260759144;");
  gives_with(path_of("ratings.dat"), &opts, "1 1193 5 978300760;1 661 3.5 978302109;");
  gives_with(path_of("u.data"), &opts, "196 242 3 881250949;186 302 3 891717742;");
}

static void netflix(void) {
  const char *rows = "5 17 3 1125964800;6 17 4 1113696000;5 18 1 0;";
  gives(put("mv_0000017.txt", "17:\n5,3,2005-09-06\n"), "5 17 3 1125964800;");
  gives(put("combined_data_1.txt", "17:\n5,3,2005-09-06\n6,4,2005-04-17\n18:\n5,1,1970-01-01\n"),
        rows);
  gives(
      put("combined_crlf.txt", "17:\r\n5,3,2005-09-06\r\n6,4,2005-04-17\r\n18: \r\n5,1,1970-01-01"),
      rows);
  fails(put("probe.txt", "1:\n30878\n2647871\n10:\n1952305\n"), RDD_EDATA,
        "probe.txt|pairs without ratings");
  job_input_opts opts = preset();
  opts.pairs = true;
  gives_with(path_of("probe.txt"), &opts, "30878 1 1;2647871 1 1;1952305 10 1;");
  gives_with(put("qualifying.txt", "1:\n1046323,2005-12-19\n2:\n5,1970-01-02\n"), &opts,
             "1046323 1 1 1134950400;5 2 1 86400;");
  opts = preset();
  opts.id_type = "string";
  gives_with(put("named.txt", "17:\n5,3,1970-01-01\nx y:\nz,4,1970-01-01\n"), &opts,
             "5 17 3 0;z x y 4 0;");
  fails(put("late.txt", "17:\n5,3,1970-01-01\nx y:\nz,4,1970-01-01\n"), RDD_EDATA,
        "late.txt:4:|item id 'x y' is not an integer|user,rating,date");
  opts = preset();
  opts.format = "netflix";
  fails_with(path_of("u.data"), &opts, RDD_EDATA, "not in the Netflix Prize layout|196\\t242");
}

static void matrix_market(void) {
#define BANNER "%%MatrixMarket matrix coordinate "
  gives(put("a.mtx", BANNER "real general\n% remark\n\n3 4 2\n1 4 2.5\n3 1 -1e1\n"),
        "1 4 2.5;3 1 -10;");
  gives(put("b.mtx", BANNER "integer general\n3 4 2\n1 4 2\n3 1 1\n"), "1 4 2;3 1 1;");
  gives(put("c.mtx", BANNER "pattern general\n3 4 2\n1 4\n3 1\n"), "1 4 1;3 1 1;");
  gives(put("d.mtx", BANNER "real general\n3 4 0\n"), "");
  fails(put("e.mtx", BANNER "real symmetric\n3 3 1\n1 1 1\n"), RDD_EDATA,
        "e.mtx|matrix coordinate real symmetric|general");
  fails(put("f.mtx", BANNER "complex general\n3 3 1\n1 1 1 1\n"), RDD_EDATA, "complex");
  fails(put("g.mtx", "%%MatrixMarket matrix array real general\n1 1\n1\n"), RDD_EDATA, "array");
  fails(put("h.mtx", BANNER "real general\n3 4 2\n1 4 2.5\n"), RDD_EDATA,
        "h.mtx: 1 entries found|declares 2");
  fails(put("i.mtx", BANNER "real general\n3 4 2\n1 4 2.5\n4 1 1\n"), RDD_EDATA,
        "i.mtx:4:|row '4' is not between 1 and 3|row column value");
  fails(put("j.mtx", BANNER "real general\n3 4 2\n1 0 2.5\n3 1 1\n"), RDD_EDATA,
        "j.mtx:3:|column '0' is not between 1 and 4");
  fails(put("k.mtx", BANNER "real general\nthree\n1 0 2.5\n3 1 1\n"), RDD_EDATA,
        "'rows columns entries', found 'three'");
#undef BANNER
}

/* ---- HDF5 ---- */

static const char *put_h5(const char *name, const char *kind, bool strings, bool timestamp,
                          const float rating[3]) {
  static const char *const columns[] = {"user", "item", "rating", "timestamp"};
  static const int64_t user[3] = {5, -6, 5}, item[3] = {1, 2, INT64_MAX}, when[3] = {10, 20, 30};
  static const int32_t offsets[4] = {0, 3, 5, 8};
  const char *path = path_of(name);
  rdd_schema schema = {0};
  rdd_batch batch = {
      .rows = 3,
      .column = {{.values = user}, {.values = item}, {.values = rating}, {.values = when}}};
  rdd_schema_add(&schema, "user", strings ? RDD_UTF8 : RDD_INT64);
  rdd_schema_add(&schema, "item", RDD_INT64);
  rdd_schema_add(&schema, "rating", RDD_FLOAT32);
  if (timestamp) rdd_schema_add(&schema, "timestamp", RDD_INT64);
  if (strings) batch.column[0] = (rdd_column){.values = "annbobob", .offsets = offsets};
  job_table_spec spec = {.group = strcmp(kind, "ratings") == 0 ? "/ratings" : "/predictions",
                         .kind = kind,
                         .description = "test",
                         .column_description = columns,
                         .id_columns = 2};
  rdd_err err;
  job_table_file *file = NULL;
  rdd_status st = job_table_file_open(&file, path, &schema, &spec, &err);
  if (!st) st = job_table_file_append(file, &batch, &err);
  if (!st)
    st = job_table_file_commit(file, &err);
  else
    job_table_file_abandon(file);
  TK_OK(st, &err);
  return path;
}

static void hdf5(void) {
  static const float good[3] = {1, 2.5f, -3};
  static const float bad[3] = {1, 1.0f / 0.0f, 3};
  gives(put_h5("a.h5", "ratings", false, true, good),
        "5 1 1 10;-6 2 2.5 20;5 9223372036854775807 -3 30;");
  gives(put_h5("b.h5", "ratings", true, false, good),
        "ann 1 1;bo 2 2.5;bob 9223372036854775807 -3;");
  for (int n = 1; n < 6; n++) {
    job_input_opts opts = preset();
    opts.num_partitions = n;
    gives_with(path_of("b.h5"), &opts, "ann 1 1;bo 2 2.5;bob 9223372036854775807 -3;");
  }
  job_input_opts opts = preset();
  opts.id_type = "string";
  gives_with(path_of("a.h5"), &opts, "5 1 1 10;-6 2 2.5 20;5 9223372036854775807 -3 30;");
  opts.id_type = "int";
  fails_with(path_of("b.h5"), &opts, RDD_EDATA, "b.h5|user ids are strings|--id-type int");
  fails(put_h5("c.h5", "ratings", false, false, bad), RDD_EDATA,
        "c.h5: row 1 of /ratings|rating inf is not finite");
  fails(put_h5("d.h5", "predictions", false, false, good), RDD_EDATA,
        "d.h5 holds predictions, expected ratings");
  opts = preset();
  opts.max_bad_records = 1;
  gives_with(path_of("c.h5"), &opts, "5 1 1;5 9223372036854775807 3;");
  opts.format = "hdf5";
  fails_with(path_of("a.csv"), &opts, RDD_EDATA, "a.csv is not an HDF5 file");

  hid_t file = -1, dataset = -1;
  rdd_err err;
  TK_OK(job_h5_create(&file, path_of("model.h5"), "model", &err), &err);
  TK_OK(job_h5_close(file, "model.h5", &err), &err);
  fails(path_of("model.h5"), RDD_EDATA, "model.h5 holds a model, expected ratings");
  fails(put_bytes("cut.h5", "\x89HDF\r\n\x1a\n and nothing more", 25), RDD_EDATA, "cut.h5");

  /* other widths, and a column too short */
  static const int16_t user[4] = {1, 2, 3, 4};
  static const uint32_t item[4] = {7, 8, 9, 4294967295u};
  static const double value[4] = {1, 2, 1e60, 4};
  TK_OK(job_h5_create(&file, path_of("e.h5"), "ratings", &err), &err);
  hid_t group = H5Gcreate2(file, "ratings", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  TK_OK(job_h5_dataset(&dataset, group, "user", H5T_STD_I16BE, 4, 0, 0, "user", NULL, &err), &err);
  TK_OK(job_h5_write_rows(dataset, H5T_NATIVE_INT16, 0, 4, user, &err), &err);
  H5Dclose(dataset);
  TK_OK(job_h5_dataset(&dataset, group, "item", H5T_STD_U32LE, 4, 0, 0, "item", NULL, &err), &err);
  TK_OK(job_h5_write_rows(dataset, H5T_NATIVE_UINT32, 0, 4, item, &err), &err);
  H5Dclose(dataset);
  TK_OK(job_h5_dataset(&dataset, group, "value", H5T_IEEE_F64LE, 4, 0, 0, "v", NULL, &err), &err);
  TK_OK(job_h5_write_rows(dataset, H5T_NATIVE_DOUBLE, 0, 4, value, &err), &err);
  H5Dclose(dataset);
  H5Gclose(group);
  TK_OK(job_h5_close(file, "e.h5", &err), &err);
  fails(path_of("e.h5"), RDD_EDATA, "row 2 of /ratings|out of the range of a 32-bit float");
  opts = preset();
  opts.max_bad_records = 1;
  gives_with(path_of("e.h5"), &opts, "1 7 1;2 8 2;4 4294967295 4;");
}

/* ---- gzip, folders, patterns ---- */

static void gzip(void) {
  gives(put_gzip("a.csv.gz", "user,item,rating\n1,2,3\n", "wb"), "1 2 3;");
  put_gzip("a.csv.gz", "4,5,6\n7,8,9", "ab"); /* a second member */
  gives(path_of("a.csv.gz"), "1 2 3;4 5 6;7 8 9;");
  gives(put_gzip("mv.gz", "17:\n5,3,1970-01-01\n", "wb"), "5 17 3 0;");
  fails(put_gzip("bad.csv.gz", "1,2,3\n4,x,6\n", "wb"), RDD_EDATA, "bad.csv.gz:2:|item id 'x'");

  size_t n = 400000;
  char *text = malloc(n + 1), *at = text;
  if (!text) abort();
  for (int i = 0; at < text + n - 40; i++) at += sprintf(at, "%d,%d,%d\n", i, i * 7 % 1001, i % 5);
  put_gzip("long.csv.gz", text, "wb");
  struct stat info;
  TK_CHECK(stat(path_of("long.csv.gz"), &info) == 0 && info.st_size > 70000);
  result plain = read_one(put("long.csv", text),
                          &(job_input_opts){.format = "auto", .id_type = "auto"});
  gives(path_of("long.csv.gz"), plain.text);
  free(plain.text);
  TK_CHECK(truncate(path_of("long.csv.gz"), info.st_size / 2) == 0);
  fails(path_of("long.csv.gz"), RDD_EDATA, "long.csv.gz: the gzip data are corrupt or cut off");
  put_gzip("long.csv.gz", text, "wb");
  FILE *file = fopen(path_of("long.csv.gz"), "r+b");
  if (TK_CHECK(file != NULL)) {
    fseek(file, info.st_size - 8, SEEK_SET); /* the checksum */
    TK_CHECK(fputs("\1\2\3\4", file) >= 0);
    fclose(file);
  }
  fails(path_of("long.csv.gz"), RDD_EDATA, "long.csv.gz: the gzip data are corrupt");
  free(text);
}

static void many_files(void) {
  const char *dir = folder("parts");
  put("parts/part-2", "5,6,3\n");
  put("parts/part-10", "user,item,rating\n3,4,2\n");
  put("parts/part-1", "rating,user,item\n1,1,2");
  put("parts/.hidden", "no ratings here\n");
  put("parts/_SUCCESS", "");
  folder("parts/part-0");
  const char *rows = "1 2 1;3 4 2;5 6 3;";
  gives(dir, rows);
  gives(path_of("parts/"), rows);
  fails(path_of("parts/part-*[0-9]"), RDD_ENOINPUT, "part-0 has no files");
  gives(path_of("parts/part-[12]*"), rows);
  job_input_opts opts = preset();
  const char *two[2] = {put("z.csv", "9,9,9\n"), path_of("parts")};
  for (int n = 0; n < 40; n++) {
    opts.num_partitions = n;
    result r = read_all(two, 2, &opts);
    TK_OK(r.status, &r.err);
    TK_CHECK(strcmp(r.text, "9 9 9;1 2 1;3 4 2;5 6 3;") == 0);
    free(r.text);
  }
  gives(put("odd[1].csv", "1,2,3\n"), "1 2 3;"); /* exists, so it is no pattern */
  fails(folder("void"), RDD_ENOINPUT, "void has no files");
  fails(path_of("none-*.csv"), RDD_ENOINPUT, "none-*.csv|no file matches");
  fails(path_of("none.csv"), RDD_ENOINPUT, "cannot open|none.csv: No such file or directory");
  fails("/dev/null", RDD_ENOINPUT, "/dev/null is not a regular file");

  const char *formats[2] = {put("f1.csv", "1,2,3\n"), put("f2.dat", "1::2::3\n")};
  result r = read_all(formats, 2, &opts);
  TK_CHECK(r.status == RDD_EDATA && strstr(r.err.message, "f1.csv is CSV") &&
           strstr(r.err.message, "f2.dat is MovieLens"));
  free(r.text);
  const char *types[2] = {formats[0], put("f3.csv", "1,tea,3\n")};
  r = read_all(types, 2, &opts);
  TK_CHECK(r.status == RDD_EDATA && strstr(r.err.message, "mixed id types") &&
           strstr(r.err.message, "f1.csv") && strstr(r.err.message, "f3.csv") &&
           strstr(r.err.message, "--id-type string"));
  free(r.text);
  opts.id_type = "string";
  r = read_all(types, 2, &opts);
  TK_OK(r.status, &r.err);
  TK_CHECK(strcmp(r.text, "1 2 3;1 tea 3;") == 0);
  free(r.text);
}

/* ---- bad input ---- */

static void bad_lines(void) {
  fails(put("e1.csv", "1,2,3\n\n4,5,abc\n"), RDD_EDATA,
        "e1.csv:3: rating 'abc' is not a number; expected user,item,rating (use "
        "--max-bad-records to skip bad lines)");
  fails(put("e2.csv", "1,2,abc\n4,5,3\n"), RDD_EDATA, "e2.csv:1: rating 'abc'");
  fails(put("e3.csv", "1,2,3\n4,5\n"), RDD_EDATA, "e3.csv:2: found 2 fields instead of 3 in '4,5'");
  fails(put("e4.csv", "1,2,3\n4,5,6,7\n"), RDD_EDATA, "e4.csv:2: found 4 fields");
  fails(put("e5.csv", "1,2,3\n4,5,NaN\n"), RDD_EDATA, "e5.csv:2: rating 'NaN' is not finite");
  fails(put("e6.csv", "1,2,-inf\n4,5,3\n"), RDD_EDATA, "e6.csv:1: rating '-inf' is not finite");
  fails(put("e7.csv", "1,2,3\n4,5,1e60\n"), RDD_EDATA,
        "e7.csv:2: rating '1e60' is out of the range of a 32-bit float");
  fails(put("e8.csv", "1,2,3\n4,5,1e999\n"), RDD_EDATA, "'1e999' is out of the range");
  fails(put("e9.csv", "1,2,3\n99999999999999999999,5,3\n"), RDD_EDATA,
        "user id '99999999999999999999' is out of the range of 64-bit integers|--id-type string");
  fails(put("e10.csv", "1,99999999999999999999,3\n"), RDD_EDATA,
        "e10.csv:1:|item id|out of the range");
  fails(put("e11.csv", "1,2,3\n1,abc,3\n"), RDD_EDATA,
        "e11.csv:2: mixed id types: item id 'abc'|first record|--id-type string");
  fails(put("e12.csv", "1,2,3\n12.5,2,3\n"), RDD_EDATA, "user id '12.5' is not an integer");
  fails(put("e13.csv", "1,2,3\n,2,3\n"), RDD_EDATA, "e13.csv:2: the user id is empty");
  fails(put("e14.csv", "a,b,3\nc,,3\n"), RDD_EDATA, "e14.csv:2: the item id is empty");
  fails(put("e15.csv", "1,2,3\n4,5,\n"), RDD_EDATA, "e15.csv:2: rating '' is not a number");
  fails(put_bytes("e16.csv", "1,2,3\n4,\0,6\n", 12), RDD_EDATA, "e16.csv:2:|NUL byte|4,\\x00,6");
  fails(put("e17.tsv", "1\t2\t3\n4\t5\t\x1b[31m\n"), RDD_EDATA,
        "rating '\\x1b[31m'|expected user<tab>item<tab>rating");
  fails(put("e18.csv", "1,2,3,4\n4,5,6,soon\n"), RDD_EDATA,
        "e18.csv:2: timestamp 'soon' is neither");
  fails(
      put("e19.csv",
          "1,2,3\n4,5,"
          "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n"),
      RDD_EDATA, "rating 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...' is");
  fails(put("e20.dat", "1::2::3\n4::5::x\n"), RDD_EDATA, "expected user::item::rating");
  fails(put("e21.csv", ""), RDD_EDATA, "e21.csv is empty");
  fails(put("e22.csv", "\n \n"), RDD_EDATA, "e22.csv is empty");
  fails(put("e23.txt", "This is a letter.\nNot ratings at all, really.\n"), RDD_EDATA,
        "e23.txt is in no format that is known|This is a letter.");
  fails(put_bytes("e24.bin",
                  "\x7f"
                  "ELF\0\1\1\0\0\0\n",
                  11),
        RDD_EDATA, "e24.bin|no format");
}

static void skipping(void) {
  job_input_opts opts = preset();
  opts.max_bad_records = 3;
  const char *path = put("s.csv", "1,2,3\nx,2,3\n4,5,6\n4,5\n7,8,nan\n7,8,9\n");
  for (int n = 1; n < 12; n++) {
    opts.num_partitions = n;
    result r = read_one(path, &opts);
    TK_OK(r.status, &r.err);
    TK_CHECK(strcmp(r.text, "1 2 3;4 5 6;7 8 9;") == 0);
    TK_CHECK(r.counters.value[JOB_COUNT_BAD] == 3 && r.counters.value[JOB_COUNT_ROWS] == 3);
    TK_CHECK(strstr(r.counters.note, "s.csv:2: mixed id types: user id 'x'") != NULL);
    free(r.text);
  }
  opts.max_bad_records = 2;
  opts.num_partitions = 1; /* the task itself sees that it is too much */
  fails_with(path, &opts, RDD_EDATA, "more than 2 bad records|--max-bad-records 2|s.csv:2:");
  opts.num_partitions = 8; /* only the sum is */
  fails_with(path, &opts, RDD_EDATA, "3 records are bad|--max-bad-records 2|s.csv:2:");
  /* the first record is the first good one */
  opts.num_partitions = 0;
  gives_with(put("s2.csv", "user,item,rating\nx,y,oops\n1,2,3\n"), &opts, "1 2 3;");
}

/* ---- partitions ---- */

/* Lines of very different lengths, so that cuts fall everywhere. */
static char *many_lines(const char *format) {
  char *text = malloc(20000), *at = text;
  if (!text) abort();
  for (int64_t i = 0, x = 1; i < 60; i++, x = x * 7 % 1000003)
    at += sprintf(at, format, (long long)(i % 9 ? i : x * x * x / 7), (long long)x, (int)(i % 10));
  return text;
}

static void same_rows(const char *path, bool pair) {
  job_input_opts opts = preset();
  opts.pairs = pair;
  opts.num_partitions = 1;
  result whole = read_one(path, &opts);
  TK_OK(whole.status, &whole.err);
  TK_CHECK(whole.partitions == 1 && whole.rows > 0);
  int64_t bytes = whole.counters.value[JOB_COUNT_BYTES];
  for (int n = 2; n <= 100; n += n < 24 ? 1 : 19) {
    opts.num_partitions = n;
    result r = read_one(path, &opts);
    TK_OK(r.status, &r.err);
    TK_CHECK(r.rows == whole.rows && strcmp(r.text, whole.text) == 0);
    TK_CHECK(r.counters.value[JOB_COUNT_BYTES] == bytes);
    free(r.text);
  }
  free(whole.text);
}

static void partitions(void) {
  char *text = many_lines("%lld,%lld,%d.5\n");
  same_rows(put("m1.csv", text), false);
  text[strlen(text) - 1] = 0;
  same_rows(put("m2.csv", text), false);
  free(text);
  text = many_lines("u%lld\t\"i%lld\"\t%d\r\n");
  same_rows(put("m3.tsv", text), false);
  free(text);
  text = many_lines("%lld:\n%lld,%d\n77,1\n\n"); /* short and long sections */
  same_rows(put("m4.txt", text), false);
  free(text);
  gives(put("tiny.csv", "1,2,3"), "1 2 3;");
  job_input_opts opts = preset();
  opts.num_partitions = 100;
  gives_with(path_of("tiny.csv"), &opts, "1 2 3;");

  /* by size: two for each slot where that is worth it */
  size_t n = 1 << 20;
  text = malloc(n + 1);
  if (!text) abort();
  for (size_t i = 0; i < n; i += 8) memcpy(text + i, "12,34,5\n", 8);
  text[n] = 0;
  opts = preset();
  opts.slots = 3;
  result r = read_one(put("mega.csv", text), &opts);
  TK_OK(r.status, &r.err);
  TK_CHECK(r.partitions == 6 && r.rows == 131072);
  free(r.text);
  opts.slots = 100;
  r = read_one(path_of("mega.csv"), &opts);
  TK_OK(r.status, &r.err);
  TK_CHECK(r.partitions == 16 && r.rows == 131072);
  TK_CHECK(strcmp(r.describe, "CSV, 1 file, 1.0 MiB, 16 partitions, integer ids") == 0);
  free(r.text);
  /* a bad line far inside, in lines and in blocks */
  memcpy(text + n - 8 * 1000, "12,xx,5\n", 8);
  char where[40];
  snprintf(where, sizeof where, "far.csv:%d: mixed", 131072 - 1000 + 1);
  fails_with(put("far.csv", text), &opts, RDD_EDATA, where);
  free(text);
}

/* A section of more than a search window, and heads between windows. */
static void long_section(void) {
  size_t n = 300000;
  char *text = malloc(n + 100), *at = text;
  if (!text) abort();
  at += sprintf(at, "1:\n2:\n");
  for (int i = 0; at < text + n; i++) {
    if (i == 14000) at += sprintf(at, "3:\n");
    at += sprintf(at, "%d,%d,2005-01-01\n", 100000 + i, i % 5 + 1);
  }
  job_input_opts opts = preset();
  opts.num_partitions = 1;
  const char *path = put("sections.txt", text);
  result whole = read_one(path, &opts);
  TK_OK(whole.status, &whole.err);
  TK_CHECK(strstr(whole.text, "113999 2 ") && strstr(whole.text, "114000 3 "));
  for (int p = 2; p < 12; p++) {
    opts.num_partitions = p;
    gives_with(path, &opts, whole.text);
  }
  free(whole.text);
  free(text);
}

static void out_of_memory(void) {
  rdd_comm *comm = NULL;
  rdd_err err;
  job_input_opts opts = preset();
  char *path[1] = {(char *)put("mem.csv", "1,2,3\n")};
  TK_OK(rdd_comm_single(&comm, &err), &err);
  for (int n = 1; n < 40; n++) {
    job_input *input = NULL;
    rdd_memory_fail_at(n);
    rdd_status st = job_input_open(comm, path, 1, &opts, &input, &err);
    rdd_memory_fail_at(0);
    TK_CHECK(st == RDD_OK ? input != NULL : st == RDD_ENOMEM && input == NULL);
    job_input_close(input);
    if (!st) break;
    TK_CHECK(n < 39);
  }
  rdd_comm_close(comm);
}

#if !defined(__SANITIZE_THREAD__)
/* Tasks are forked from the thread that is a rank, which ThreadSanitizer does not follow. */
static void body_of_rank(rdd_comm *comm, void *arg) {
  char *const *path = arg;
  job_input_opts opts = preset();
  rdd_run_opts run = {.slots = 1};
  job_input *input = NULL;
  rdd_err err;
  int64_t rows = 0;
  if (TK_OK(job_input_open(comm, &path[0], 1, &opts, &input, &err), &err)) {
    TK_OK(rdd_count(job_input_rdd(input), comm, &run, &rows, &err), &err);
    TK_CHECK(rows == 131072);
    TK_CHECK(rdd_partitions(job_input_rdd(input)) == 4 * comm->size);
    job_input_close(input);
  }
  input = NULL;
  TK_CHECK(job_input_open(comm, &path[1], 1, &opts, &input, &err) == RDD_ENOINPUT);
  TK_CHECK(input == NULL && err.rank == 0 && strstr(err.message, "nowhere.csv") != NULL);
}

static void several_ranks(void) {
  size_t n = 1 << 20;
  rdd_err err;
  char *text = malloc(n + 1);
  if (!text) abort();
  for (size_t i = 0; i < n; i += 8) memcpy(text + i, "12,34,5\n", 8);
  text[n] = 0;
  char *path[2] = {(char *)put("ranks.csv", text), (char *)path_of("nowhere.csv")};
  for (int size = 1; size <= 3; size++)
    TK_OK(rdd_threads_run(size, body_of_rank, path, &err), &err);
  free(text);
}
#endif

int main(void) {
  static const tk_case cases[] = {
    {"delimiters", delimiters},
    {"line ends, blank lines, byte order mark", line_ends},
    {"ratings are rounded once", ratings_are_rounded_once},
    {"headers and --columns", headers},
    {"quoted fields", quotes},
    {"types of ids", id_types},
    {"pairs without ratings", pairs},
    {"MovieLens", movielens},
    {"Netflix Prize", netflix},
    {"Matrix Market", matrix_market},
    {"HDF5", hdf5},
    {"gzip", gzip},
    {"files, folders, patterns", many_files},
    {"bad lines", bad_lines},
    {"skipping bad records", skipping},
    {"1 to 100 partitions give the same rows", partitions},
    {"sections of the Netflix Prize across partitions", long_section},
    {"the n-th allocation fails", out_of_memory},
#if !defined(__SANITIZE_THREAD__)
    {"several ranks have one plan and one error", several_ranks},
#endif
  };
  return tk_main("jobs_input", cases, sizeof cases / sizeof cases[0]);
}
