/* Fuzz targets of numbers and of text: what the C library and a slow reader of one page make of the
 * same bytes has to come out. See fuzz.h. */
#include "jobs/input_impl.h"
#include "jobs/number.h"
#include "tests/fuzz.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <zlib.h>

enum { MAX_TEXT = 1 << 16 };

/* ---- What numbers are, by the C library. Text without NUL bytes, terminated. ---- */

static const char *skip_digits(const char *p) {
  return p + strspn(p, "0123456789");
}

/* A terminated copy, for the C library; NULL where there is a NUL byte in it. Free it. */
static char *copy_text(const char *text, size_t n) {
  if (memchr(text, 0, n)) return NULL;
  char *copy = malloc(n + 1);
  FZ_CHECK(copy, "no memory for %zu bytes", n);
  memcpy(copy, text, n);
  copy[n] = 0;
  return copy;
}

static job_number library_int(const char *text, int64_t *out) {
  const char *p = text + (*text == '-' || *text == '+');
  if (!*p || *skip_digits(p)) return JOB_NUMBER_BAD;
  errno = 0;
  *out = strtoll(text, NULL, 10);
  return errno == ERANGE ? JOB_NUMBER_RANGE : JOB_NUMBER_OK;
}

/* [+-]digits[.digits][e[+-]digits], nan, inf, infinity. */
static bool is_decimal(const char *text) {
  const char *p = text + (*text == '-' || *text == '+'), *start = p;
  if (!strcasecmp(p, "nan") || !strcasecmp(p, "inf") || !strcasecmp(p, "infinity")) return true;
  p = skip_digits(p);
  size_t digits = (size_t)(p - start);
  if (*p == '.') {
    start = ++p;
    p = skip_digits(p);
    digits += (size_t)(p - start);
  }
  if (digits == 0) return false;
  if (*p == 'e' || *p == 'E') {
    p++;
    p += *p == '-' || *p == '+';
    start = p;
    p = skip_digits(p);
    if (p == start) return false;
  }
  return !*p;
}

static job_number library_double(const char *text, double *out) {
  if (!is_decimal(text)) return JOB_NUMBER_BAD;
  *out = strtod(text, NULL);
  return isinf(*out) && strpbrk(text, "0123456789") ? JOB_NUMBER_RANGE : JOB_NUMBER_OK;
}

static job_number library_float(const char *text, float *out) {
  if (!is_decimal(text)) return JOB_NUMBER_BAD;
  *out = strtof(text, NULL);
  return isinf(*out) && strpbrk(text, "0123456789") ? JOB_NUMBER_RANGE : JOB_NUMBER_OK;
}

/* A rating: a finite float. */
static bool library_rating(const char *text, float *out) {
  return library_float(text, out) == JOB_NUMBER_OK && isfinite(*out);
}

/* n digits, or -1. */
static int digits_at(const char *text, int n) {
  int x = 0;
  for (int i = 0; i < n; i++) {
    if (text[i] < '0' || text[i] > '9') return -1;
    x = 10 * x + text[i] - '0';
  }
  return x;
}

/* YYYY-MM-DD[ HH:MM:SS] by timegm(), which puts a day that there is not into the next month. */
static job_number library_time(const char *text, int64_t *out) {
  size_t n = strlen(text);
  job_number number = library_int(text, out);
  if (number != JOB_NUMBER_BAD) return number;
  if ((n != 10 && n != 19) || text[4] != '-' || text[7] != '-') return JOB_NUMBER_BAD;
  struct tm t = {.tm_year = digits_at(text, 4) - 1900,
                 .tm_mon = digits_at(text + 5, 2) - 1,
                 .tm_mday = digits_at(text + 8, 2)};
  if (t.tm_year < -1899 || t.tm_mon < 0 || t.tm_mon > 11 || t.tm_mday < 1) return JOB_NUMBER_BAD;
  struct tm date = t;
  (void)timegm(&date);
  if (date.tm_mday != t.tm_mday) return JOB_NUMBER_BAD;
  if (n == 19) {
    if ((text[10] != ' ' && text[10] != 'T') || text[13] != ':' || text[16] != ':')
      return JOB_NUMBER_BAD;
    t.tm_hour = digits_at(text + 11, 2);
    t.tm_min = digits_at(text + 14, 2);
    t.tm_sec = digits_at(text + 17, 2);
    if (t.tm_hour < 0 || t.tm_hour > 23 || t.tm_min < 0 || t.tm_min > 59 || t.tm_sec < 0 ||
        t.tm_sec > 60)
      return JOB_NUMBER_BAD;
  }
  *out = timegm(&t);
  return JOB_NUMBER_OK;
}

/* ---- Numbers ---- */

/* A float as a double is as good: widening loses nothing, not the sign of a zero either. */
static uint64_t bits_of(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return isnan(x) ? 0 : bits;
}

static void compare_real(const char *text, job_number is, double x, job_number expected,
                         double library) {
  bool too_long = strlen(text) > JOB_NUMBER_LENGTH && is == JOB_NUMBER_BAD;
  FZ_CHECK(too_long || (is == expected && (is || bits_of(x) == bits_of(library))),
           "'%s': %d %a, not %d %a", text, is, x, expected, library);
}

static void run_number(fz_input *in) {
  if (in->n > MAX_TEXT) return;
  char *exact = malloc(in->n ? in->n : 1); /* so that reading past it is seen */
  char *text = copy_text((const char *)in->at, in->n);
  int64_t i = 0, library_i = 0;
  double d = 0, library_d = 0;
  float f = 0, library_f = 0;
  FZ_CHECK(exact, "no memory");
  memcpy(exact, in->at, in->n);
  job_number is_int = job_parse_int64(exact, in->n, &i);
  job_number is_double = job_parse_double(exact, in->n, &d);
  job_number is_float = job_parse_float(exact, in->n, &f);
  if (!text) {
    FZ_CHECK(is_int == JOB_NUMBER_BAD && is_double == JOB_NUMBER_BAD && is_float == JOB_NUMBER_BAD,
             "with a NUL byte");
  } else {
    job_number expected = library_int(text, &library_i);
    FZ_CHECK(is_int == expected && (is_int || i == library_i), "'%s': %d %lld, not %d %lld", text,
             is_int, (long long)i, expected, (long long)library_i);
    expected = library_double(text, &library_d);
    compare_real(text, is_double, d, expected, library_d);
    expected = library_float(text, &library_f);
    compare_real(text, is_float, (double)f, expected, (double)library_f);
  }
  free(text);
  free(exact);
}

static void run_time(fz_input *in) {
  if (in->n > MAX_TEXT) return;
  char *text = copy_text((const char *)in->at, in->n);
  int64_t t = 0, library_t = 0;
  job_number is_time = job_parse_time((const char *)in->at, in->n, &t);
  if (text) {
    job_number expected = library_time(text, &library_t);
    FZ_CHECK(is_time == expected && (is_time || t == library_t), "'%s': %d %lld, not %d %lld", text,
             is_time, (long long)t, expected, (long long)library_t);
  }
  free(text);
}

const fz_target fz_number_target = {.name = "number", .run = run_number};
const fz_target fz_time_target = {.name = "time", .run = run_time};

/* ---- A slow reader of text without quotes ----
 *
 * It is told by job_sniff() how the file is laid out, and makes rows of it line by line. */

typedef struct slow {
  const job_file *file;
  int32_t id_type[2];
  bool section; /* Netflix: there was one */
  char *movie;  /* its id, or NULL where it is wrong */
  fz_ratings *out;
  int64_t bad, first_bad; /* how many lines, and the number of the first, from 1 */
} slow;

static bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

static char *trim(char *p) {
  while (is_blank(*p)) p++;
  char *end = p + strlen(p);
  while (end > p && is_blank(end[-1])) *--end = 0;
  return p;
}

/* Cut a line into fields, in place. */
static int slow_split(char *line, int delimiter, char **field, int room) {
  int n = 0;
  const char *blanks = " \t",
             *mark = delimiter == JOB_COLONS ? "::" : (char[2]){(char)delimiter, 0};
  if (delimiter == JOB_BLANKS) {
    char *save = NULL;
    for (char *p = strtok_r(line, blanks, &save); p && n < room; p = strtok_r(NULL, blanks, &save))
      field[n++] = p;
    return n;
  }
  for (char *p = line, *next; p && n < room; p = next) {
    next = strstr(p, mark);
    if (next) {
      *next = 0;
      next += strlen(mark);
    }
    field[n++] = trim(p);
  }
  return n;
}

static bool slow_id(const slow *s, int side, const char *text, int64_t *out) {
  size_t n = strlen(text);
  if (n == 0 || n > JOB_ID_LENGTH) return false;
  return s->id_type[side] == RDD_UTF8 || library_int(text, out) == JOB_NUMBER_OK;
}

static void slow_put_id(const slow *s, int side, const char *text, int64_t value) {
  if (s->id_type[side] == RDD_UTF8)
    fz_ratings_text(s->out, text, strlen(text));
  else
    fz_ratings_int(s->out, value);
}

/* A row of what is in the fields; false where that is wrong. */
static bool slow_row(const slow *s, char **field, int n) {
  const job_file *file = s->file;
  const char *id[2];
  int64_t value[2] = {0, 0}, when = 0, index;
  float rating = 1;
  if (n != file->fields) return false;
  for (int side = 0; side < 2; side++) {
    int column = file->column[side];
    id[side] = column < 0 ? s->movie : field[column];
    if (!id[side] || !slow_id(s, side, id[side], &value[side])) return false;
    if (file->layout == JOB_MTX &&
        (library_int(id[side], &index) || index < 1 || index > file->dims[side]))
      return false;
  }
  if (file->column[JOB_RATING] >= 0 && !library_rating(field[file->column[JOB_RATING]], &rating))
    return false;
  if (file->column[JOB_TIMESTAMP] >= 0 &&
      library_time(field[file->column[JOB_TIMESTAMP]], &when) != JOB_NUMBER_OK)
    return false;
  for (int side = 0; side < 2; side++) slow_put_id(s, side, id[side], value[side]);
  fz_ratings_float(s->out, rating);
  if (file->column[JOB_TIMESTAMP] >= 0) fz_ratings_int(s->out, when);
  fz_ratings_end(s->out);
  return true;
}

/* The head of a Netflix section? */
static bool slow_section(slow *s, const char *line) {
  size_t n = strlen(line);
  int64_t ignored;
  if (n < 2 || line[n - 1] != ':' || line[n - 2] == ':' || strchr(line, ',')) return false;
  free(s->movie);
  s->movie = copy_text(line, n - 1);
  if (!slow_id(s, JOB_ITEM, s->movie, &ignored)) {
    free(s->movie);
    s->movie = NULL;
  }
  s->section = true;
  return true;
}

static void slow_line(slow *s, char *line, int64_t number) {
  enum { ROOM = 400 };
  char *field[ROOM];
  size_t n = strlen(line);
  if (n > 0 && line[n - 1] == '\r') line[n - 1] = 0;
  if (line[strspn(line, " \t")] == 0) return;
  /* a tab that delimits is no blank to be trimmed */
  char *text = s->file->delimiter == '\t' ? line : trim(line);
  if (s->file->layout == JOB_NETFLIX && slow_section(s, text)) return;
  int fields = slow_split(text, s->file->delimiter, field, ROOM);
  if (slow_row(s, field, fields)) return;
  if (s->bad++ == 0) s->first_bad = number;
}

/* All lines from the body on. */
static void slow_read(slow *s, const char *text, size_t n) {
  int64_t number = 1;
  for (const char *p = text, *end = text + n, *next; p < end; p = next, number++) {
    const char *newline = memchr(p, '\n', (size_t)(end - p));
    next = newline ? newline + 1 : end;
    if (p - text < s->file->body && next - text <= s->file->body) continue;
    if (p - text < s->file->body) p = text + s->file->body; /* a byte order mark */
    char *line = copy_text(p, (size_t)((newline ? newline : end) - p));
    slow_line(s, line, number);
    free(line);
  }
  free(s->movie);
}

/* Has the slow reader an opinion on such text? Not on quotes, NUL bytes, and carriage returns that do
 * not end a line. */
static bool is_simple(const char *text, size_t n) {
  if (memchr(text, 0, n) || memchr(text, '"', n)) return false;
  for (const char *p = text; (p = memchr(p, '\r', n - (size_t)(p - text))); p++)
    if (p + 1 == text + n || p[1] != '\n') return false;
  return true;
}

static void compare_slow(const fz_ratings *fast, const char *path, const char *text, size_t n,
                         const job_input_opts *opts) {
  job_file file = {0};
  rdd_err err;
  fz_ratings rows = {0};
  slow s = {.file = &file, .out = &rows};
  if (!is_simple(text, n) || job_sniff(&file, path, opts, &err) || file.weight == 0) return;
  if (file.layout == JOB_HDF5 || file.gzip) return;
  for (int side = 0; side < 2; side++) {
    s.id_type[side] = job_wanted_type(opts, side);
    if (s.id_type[side] == JOB_TYPE_UNKNOWN) s.id_type[side] = file.id_type[side];
    if (s.id_type[side] == JOB_TYPE_UNKNOWN) s.id_type[side] = RDD_INT64;
  }
  slow_read(&s, text, n);
  if (opts->columns && file.layout != JOB_DELIMITED) {
    FZ_CHECK(fast->status == RDD_EUSAGE, "--columns");
  } else if (s.bad > opts->max_bad_records) {
    char place[32];
    FZ_CHECK(fast->status == RDD_EDATA, "%lld lines are bad", (long long)s.bad);
    snprintf(place, sizeof place, ":%lld: ", (long long)s.first_bad);
    FZ_CHECK(strstr(fast->err.message, place), "line %lld is bad, but it says: %s",
             (long long)s.first_bad, fast->err.message);
  } else if (file.layout == JOB_MTX && rows.rows + s.bad != file.entries) {
    FZ_CHECK(fast->status == RDD_EDATA, "%lld entries", (long long)file.entries);
  } else {
    FZ_CHECK(!fast->status, "%s", fast->err.message);
    fz_same_rows(fast, &rows, "fast and slow");
  }
  fz_ratings_reset(&rows);
}

/* ---- Text ---- */

static bool is_gzip(const char *text, size_t n) {
  return n >= 2 && !memcmp(text, "\x1f\x8b", 2);
}

static bool is_hdf5(const char *text, size_t n) {
  return memmem(text, n, "\x89HDF", 4) != NULL;
}

/* What a message says, but for the name of the file and what follows the first quote: an excerpt. */
static size_t plain_message(const char *message, const char **after_name) {
  static const char folder[] = "/proc/self/fd/";
  const char *name = strstr(message, folder);
  *after_name = name ? skip_digits(name + strlen(folder)) : message;
  return strcspn(*after_name, "'");
}

/* The same outcome. */
static void same_outcome(const fz_ratings *a, const fz_ratings *b, bool messages,
                         const char *what) {
  const char *p, *q;
  FZ_CHECK(a->status == b->status, "%s: %d %s, and %d %s", what, a->status,
           a->status ? a->err.message : "", b->status, b->status ? b->err.message : "");
  if (!a->status) {
    fz_same_rows(a, b, what);
  } else if (messages) {
    size_t n = plain_message(a->err.message, &p), m = plain_message(b->err.message, &q);
    FZ_CHECK(n == m && !strncmp(p, q, n), "%s: %s, and %s", what, a->err.message, b->err.message);
  }
}

/* Four bytes decide the options. */
static job_input_opts take_options(fz_input *in) {
  static const char *const format[] = {"auto", "csv", "tsv", "movielens", "netflix", "mtx"};
  static const char *const id_type[] = {"auto", "int", "string"};
  static const char *const columns[] = {NULL, "user,item,rating", "b,a,c", "u,i,r,t"};
  static const rdd_type types[][2] = {{RDD_INT64, RDD_INT64}, {RDD_INT64, RDD_UTF8}};
  static const int64_t max_bad[] = {0, 1, 1000};
  job_input_opts opts = {.format = format[fz_choose(in, 6)], .slots = 1, .num_partitions = 1};
  int ids = fz_choose(in, 5), others = fz_choose(in, 24);
  opts.id_type = id_type[ids < 3 ? ids : 0];
  if (ids >= 3) opts.id_types = types[ids - 3];
  opts.columns = columns[others % 4];
  opts.pairs = others / 4 % 2;
  opts.max_bad_records = max_bad[others / 8];
  return opts;
}

/* Without `opts->max_bad_records` the first bad record is told, wherever the cuts are. */
static void compare_cut(const fz_ratings *whole, const char *path, const job_input_opts *opts,
                        int parts) {
  job_input_opts cut = *opts;
  fz_ratings r;
  cut.num_partitions = parts;
  fz_read(&r, path, &cut);
  same_outcome(whole, &r, opts->max_bad_records == 0, "whole and cut");
  fz_ratings_reset(&r);
}

/* Lines that end "\r\n" instead of "\n". */
static void compare_crlf(const fz_ratings *whole, const char *text, size_t n,
                         const job_input_opts *opts) {
  char path[FZ_PATH], *copy = malloc(2 * n + 1);
  size_t m = 0;
  fz_ratings r;
  FZ_CHECK(copy, "no memory");
  for (size_t i = 0; i < n; i++) {
    if (text[i] == '\n') copy[m++] = '\r';
    copy[m++] = text[i];
  }
  fz_read(&r, fz_file(1, copy, m, path), opts);
  same_outcome(whole, &r, true, "lf and crlf");
  fz_ratings_reset(&r);
  free(copy);
}

static void run_text(fz_input *in) {
  static const int parts[] = {2, 3, 5};
  enum {
    LOOKED_AT = 4096
  }; /* of a longer one the first bytes decide, and other line ends move it */
  job_input_opts opts = take_options(in);
  int cut = parts[fz_choose(in, 3)];
  const char *text = (const char *)in->at;
  char path[FZ_PATH];
  fz_ratings whole;
  if (in->n > MAX_TEXT) return;
  if (is_gzip(text, in->n) || is_hdf5(text, in->n)) return; /* other targets are for these */
  fz_read(&whole, fz_file(0, text, in->n, path), &opts);
  compare_cut(&whole, path, &opts, cut);
  compare_slow(&whole, path, text, in->n, &opts);
  if (2 * in->n < LOOKED_AT && !memchr(text, '\r', in->n) && !memchr(text, 0, in->n))
    compare_crlf(&whole, text, in->n, &opts);
  fz_ratings_reset(&whole);
}

const fz_target fz_text_target = {.name = "text", .run = run_text};

/* ---- gzip ---- */

/* Append a member with n bytes of text to out; returns its length. */
static size_t pack(char *out, size_t room, const char *text, size_t n, int level) {
  enum { GZIP = 16 };
  z_stream z = {.next_in = (Bytef *)(uintptr_t)text, .avail_in = (uInt)n};
  z.next_out = (Bytef *)out, z.avail_out = (uInt)room;
  FZ_CHECK(deflateInit2(&z, level, Z_DEFLATED, GZIP + 15, 8, Z_DEFAULT_STRATEGY) == Z_OK, "zlib");
  FZ_CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END, "no room for %zu bytes", n);
  size_t packed = z.total_out;
  deflateEnd(&z);
  return packed;
}

/* Text that we pack, in two members: the same rows come out. */
static void run_packed(fz_input *in, const job_input_opts *opts) {
  size_t first = in->n ? fz_number(in, 2) % (in->n + 1) : 0, room = 2 * in->n + 1000;
  char path[FZ_PATH], *packed = malloc(room);
  fz_ratings plain, r;
  if (first > in->n) first = in->n;
  FZ_CHECK(packed, "no memory");
  const char *text = (const char *)in->at;
  if (is_gzip(text, in->n)) return free(packed);
  size_t m = pack(packed, room, text, first, 0);
  m += pack(packed + m, room - m, text + first, in->n - first, 1);
  fz_read(&plain, fz_file(0, text, in->n, path), opts);
  fz_read(&r, fz_file(1, packed, m, path), opts);
  same_outcome(&plain, &r, true, "plain and packed");
  fz_ratings_reset(&plain);
  fz_ratings_reset(&r);
  free(packed);
}

/* What zlib makes of a file: NULL where it is damaged or large. Free it. */
static char *unpack(const char *path, size_t *n_out) {
  enum { MOST = 1 << 20 };
  char *text = malloc(MOST);
  gzFile in = gzopen(path, "rb");
  FZ_CHECK(text && in, "cannot unpack");
  int n = gzread(in, text, MOST), code;
  (void)gzerror(in, &code);
  bool good = n >= 0 && n < MOST && (code == Z_OK || code == Z_STREAM_END);
  gzclose(in);
  if (!good) {
    free(text);
    return NULL;
  }
  *n_out = (size_t)n;
  return text;
}

/* Bytes that are perhaps gzip: what zlib says of them is what we say. */
static void run_damaged(fz_input *in, const job_input_opts *opts) {
  char path[FZ_PATH], plain[FZ_PATH];
  size_t n = 0;
  fz_ratings r, unpacked;
  fz_file(0, in->at, in->n, path);
  char *text = unpack(path, &n);
  fz_read(&r, path, opts);
  if (text && !is_gzip(text, n) && !is_hdf5(text, n)) {
    fz_read(&unpacked, fz_file(1, text, n, plain), opts);
    same_outcome(&unpacked, &r, true, "gzip and unpacked");
    fz_ratings_reset(&unpacked);
  }
  fz_ratings_reset(&r);
  free(text);
}

static void run_gzip(fz_input *in) {
  job_input_opts opts = take_options(in);
  bool damaged = fz_choose(in, 2);
  if (in->n > MAX_TEXT || is_hdf5((const char *)in->at, in->n)) return;
  if (damaged)
    run_damaged(in, &opts);
  else
    run_packed(in, &opts);
}

const fz_target fz_gzip_target = {.name = "gzip", .run = run_gzip};
