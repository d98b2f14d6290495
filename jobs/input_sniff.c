/* What a text file holds, judged by its first bytes: layout, delimiter, header, columns, id types.
 *
 * A delimiter is believed where it cuts a record with a number in the rating's place. Candidates
 * are tried from the most to the least telling; a comma may stand inside a tab-separated field,
 * but hardly the other way round. */
#include "jobs/input_impl.h"
#include "jobs/number.h"
#include "rdd/memory.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum {
  HEAD = 256 << 10,  /* most bytes looked at: room for lines with two of the longest ids */
  HEAD_FIRST = 4096, /* bytes looked at first */
  HEAD_LINES = 16,   /* lines that are enough */
  MAX_FIELDS = 256,
};

typedef struct head {
  const char *path;
  const job_input_opts *opts;
  char *bytes; /* [HEAD + 1], ended by a newline where it is the whole file */
  size_t n;
  size_t start; /* after a byte order mark */
  bool whole;   /* there is no more in the file */
} head;

/* A line of the head, without its newline. */
typedef struct line {
  const char *text;
  size_t n;
  size_t next; /* where the next one starts in the head */
} line;

/* ---- the head ---- */

static size_t count_lines(const head *h) {
  size_t lines = 0;
  for (const char *p = h->bytes; (p = memchr(p, '\n', h->n - (size_t)(p - h->bytes))); p++) lines++;
  return lines;
}

/* Read the start of a file, through gzip where it is that: a little, and more if lines are long. */
static rdd_status read_head(head *h, job_file *file, bool all, rdd_err *err) {
  size_t want = all ? HEAD : HEAD_FIRST;
  int fd = open(h->path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return rdd_set(err, RDD_ENOINPUT, "cannot open %s: %s", job_path_text(h->path),
                   strerror(errno));
  gzFile in = gzdopen(fd, "rb"); /* reads a plain file as it is */
  if (!in) {
    close(fd);
    return rdd_set(err, RDD_ENOMEM, "out of memory to read %s", job_path_text(h->path));
  }
  rdd_status st = RDD_OK;
  int code = Z_OK;
  h->n = 0;
  h->whole = false;
  for (; !h->whole; want = want * 8 < HEAD ? want * 8 : HEAD) {
    int got = gzread(in, h->bytes + h->n, (unsigned)(want - h->n));
    const char *why = gzerror(in, &code);
    if (got < 0 || (code != Z_OK && code != Z_STREAM_END)) {
      st = code == Z_ERRNO ? rdd_set(err, errno == EISDIR ? RDD_ENOINPUT : RDD_EIO,
                                     "cannot read %s: %s", job_path_text(h->path), strerror(errno))
                           : rdd_set(err, RDD_EDATA,
                                     "%s: the gzip data are corrupt or cut off (%s); pack it again",
                                     job_path_text(h->path),
                                     code == Z_BUF_ERROR ? "unexpected end of file" : why);
      break;
    }
    h->n += (size_t)got;
    h->whole = h->n < want;
    if (want == HEAD || count_lines(h) >= HEAD_LINES) break;
  }
  file->gzip = !gzdirect(in);
  gzclose(in);
  if (st) return st;
  if (h->whole && h->n > 0 && h->bytes[h->n - 1] != '\n') h->bytes[h->n++] = '\n';
  h->start = h->n >= 3 && memcmp(h->bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
  return RDD_OK;
}

/* The next line from byte `at` on that is not blank. */
static bool next_line(const head *h, size_t at, line *out) {
  while (at < h->n) {
    const char *p = h->bytes + at, *end = memchr(p, '\n', h->n - at);
    if (!end) return false;
    at = (size_t)(end - h->bytes) + 1;
    if (job_blank_line(p, end)) continue;
    *out = (line){.text = p, .n = (size_t)(end - p), .next = at};
    if (out->n > 0 && p[out->n - 1] == '\r') out->n--;
    return true;
  }
  return false;
}

/* ---- fields ---- */

typedef struct fields {
  int n; /* 0 where the line cannot be cut */
  job_span field[MAX_FIELDS];
} fields;

static void split(fields *out, const line *l, int delimiter) {
  const char *p = l->text, *end = l->text + l->n, *why;
  out->n = 0;
  if (delimiter == JOB_BLANKS) {
    while (p < end && (*p == ' ' || *p == '\t')) p++;
    while (end > p && (end[-1] == ' ' || end[-1] == '\t')) end--;
  }
  while (p && out->n < MAX_FIELDS) {
    p = job_field(&out->field[out->n], p, end, delimiter, &why);
    if (!out->field[out->n].text) {
      out->n = 0;
      return;
    }
    out->n++;
  }
}

static bool is_integer(const job_span *s) {
  int64_t ignored;
  return job_parse_int64(s->text, s->n, &ignored) != JOB_NUMBER_BAD;
}

static bool is_number(const job_span *s) {
  double ignored;
  return job_parse_double(s->text, s->n, &ignored) != JOB_NUMBER_BAD;
}

static bool is_time(const job_span *s) {
  int64_t ignored;
  return job_parse_time(s->text, s->n, &ignored) == JOB_NUMBER_OK;
}

/* ---- header names ---- */

/* Names that are understood, without case and without what is not a letter or a digit. */
static const char *const alias[JOB_ROLES] = {
    " user userid uid customer customerid member memberid reviewer reviewerid account accountid "
    "visitor visitorid username ",
    " item itemid iid movie movieid mid product productid asin isbn book bookid song songid track "
    "trackid artist artistid anime animeid business businessid ",
    " rating ratings score value count stars rate preference weight plays playcount overall "
    "bookrating ",
    " timestamp ts time date datetime unixreviewtime ",
};

/* The role that a header name stands for, or -1. */
static int role_of_name(const job_span *name) {
  char key[32] = " ";
  size_t n = 1;
  for (size_t i = 0; i < name->n; i++) {
    unsigned char c = (unsigned char)name->text[i];
    if (!isascii(c) || !isalnum(c)) continue;
    if (n >= sizeof key - 2) return -1;
    key[n++] = (char)tolower(c);
  }
  if (n == 1) return -1;
  key[n] = ' ';
  key[n + 1] = 0;
  for (int r = 0; r < JOB_ROLES; r++)
    if (strstr(alias[r], key)) return r;
  return -1;
}

static void columns_by_name(const fields *header, int32_t column[JOB_ROLES]) {
  for (int r = 0; r < JOB_ROLES; r++) column[r] = -1;
  for (int i = 0; i < header->n; i++) {
    int r = role_of_name(&header->field[i]);
    if (r >= 0 && column[r] < 0) column[r] = i;
  }
}

/* Find the names of --columns in the header. */
static rdd_status columns_by_option(const head *h, const fields *header, const line *l,
                                    int32_t column[JOB_ROLES], rdd_err *err) {
  const char *name = h->opts->columns;
  int role = 0, least = h->opts->pairs ? 2 : 3;
  for (int r = 0; r < JOB_ROLES; r++) column[r] = -1;
  for (; name && role < JOB_ROLES; role++) {
    size_t n = strcspn(name, ",");
    for (int pass = 0; pass < 2 && column[role] < 0; pass++) /* as it is, then without case */
      for (int i = 0; i < header->n && column[role] < 0; i++) {
        const job_span *f = &header->field[i];
        if (f->n == n && (pass ? strncasecmp : strncmp)(f->text, name, n) == 0) column[role] = i;
      }
    if (column[role] < 0) {
      char shown[JOB_EXCERPT];
      return rdd_set(err, RDD_EUSAGE, "--columns: %s has no column '%.*s'; its first line is '%s'",
                     job_path_text(h->path), (int)(n < 60 ? n : 60), name,
                     job_excerpt(shown, l->text, l->n));
    }
    name = name[n] ? name + n + 1 : NULL;
  }
  if (name || role < least)
    return rdd_set(err, RDD_EUSAGE, "--columns '%s' has to give %s names: user,item%s",
                   h->opts->columns, least == 2 ? "two to four" : "three or four",
                   least == 2 ? "[,rating[,timestamp]]" : ",rating[,timestamp]");
  return RDD_OK;
}

/* ---- delimited text ---- */

/* How well a delimiter fits. */
enum { NO_FIT, WEAK_FIT, GOOD_FIT };

typedef struct guess {
  job_file file; /* delimiter, header, fields, column, body, id_type */
  bool named;    /* the header's names gave the columns */
  bool jumbled;  /* the header's names contradict the natural order, and lack one */
} guess;

/* Is the first line of a file without known names a header? `second` may be empty. */
static bool looks_like_header(const fields *first, const fields *second) {
  if (is_integer(&first->field[0]) || is_integer(&first->field[1])) return false;
  if (first->n >= 3) return !is_number(&first->field[2]);
  return second->n == first->n && (is_integer(&second->field[0]) || is_integer(&second->field[1]));
}

/* Decide header and columns from the first line. */
static rdd_status guess_columns(const head *h, const line *l, const fields *first,
                                const fields *second, guess *g, rdd_err *err) {
  int32_t *column = g->file.column;
  bool pairs = h->opts->pairs;
  g->file.fields = first->n;
  if (h->opts->columns) {
    g->named = true;
    g->file.header = 1;
    return columns_by_option(h, first, l, column, err);
  }
  columns_by_name(first, column);
  bool ids = column[JOB_USER] >= 0 && column[JOB_ITEM] >= 0;
  g->named = ids && (column[JOB_RATING] >= 0 || pairs);
  g->file.header = ids || looks_like_header(first, second);
  if (g->named) return RDD_OK;
  for (int r = 0; r < JOB_RATING + 1 && g->file.header; r++)
    if (column[r] >= 0 && column[r] != r) g->jumbled = true;
  if (g->file.header && column[JOB_TIMESTAMP] >= 0 && column[JOB_TIMESTAMP] < 3) g->jumbled = true;
  for (int r = 0; r < JOB_ROLES; r++) column[r] = r < first->n ? r : -1;
  return RDD_OK;
}

/* Look for a record that settles the types: the first that has all fields and a number for a
 * rating, or else the first. Returns how well the delimiter fits. */
static int guess_types(const head *h, const line *first, guess *g, fields *record) {
  job_file *file = &g->file;
  int rating = file->column[JOB_RATING], fit = g->named || h->opts->columns ? WEAK_FIT : NO_FIT;
  size_t at = file->header ? first->next : (size_t)(first->text - h->bytes);
  line l, chosen = {0};
  file->body = (int64_t)(file->header ? first->next : h->start);
  while (next_line(h, at, &l)) {
    at = l.next;
    if (!chosen.text) chosen = l;
    split(record, &l, file->delimiter);
    if (record->n != file->fields || memchr(l.text, 0, l.n)) continue;
    if (rating >= 0 && !is_number(&record->field[rating])) continue;
    fit = GOOD_FIT;
    chosen = l;
    break;
  }
  file->id_type[0] = file->id_type[1] = JOB_TYPE_UNKNOWN;
  if (!chosen.text) return fit;
  split(record, &chosen, file->delimiter);
  for (int side = 0; side < 2; side++) {
    if (file->column[side] >= record->n) continue;
    const job_span *f = &record->field[file->column[side]];
    file->id_type[side] = is_integer(f) || f->n == 0 ? RDD_INT64 : RDD_UTF8;
    if (is_integer(f) && fit == NO_FIT) fit = WEAK_FIT;
  }
  int t = file->column[JOB_TIMESTAMP];
  bool asked = h->opts->columns != NULL;
  if (t >= 0 && !asked && (t >= record->n || !is_time(&record->field[t])))
    file->column[JOB_TIMESTAMP] = -1; /* something else stands there */
  return fit;
}

/* Try one delimiter; a fit better than *best_fit replaces *best. */
static rdd_status try_delimiter(const head *h, int delimiter, guess *best, int *best_fit,
                                rdd_err *err) {
  rdd_status st = RDD_OK;
  guess g = {.file = best->file};
  line first, next;
  fields *a = rdd_alloc(1, sizeof *a), *b = rdd_alloc(1, sizeof *b);
  if (!a || !b) {
    st = rdd_set(err, RDD_ENOMEM, "out of memory to look at %s", job_path_text(h->path));
    goto done;
  }
  if (!next_line(h, h->start, &first)) goto done;
  split(a, &first, delimiter);
  b->n = 0;
  if (next_line(h, first.next, &next)) split(b, &next, delimiter);
  if (a->n < (h->opts->pairs ? 2 : 3)) goto done;
  g.file.delimiter = delimiter;
  st = guess_columns(h, &first, a, b, &g, err);
  if (st) goto done;
  int fit = guess_types(h, &first, &g, b);
  if (fit > *best_fit) {
    *best_fit = fit;
    *best = g;
  }
done:
  rdd_free(a);
  rdd_free(b);
  return st;
}

static const char *kind_of(const job_file *file, const head *h) {
  static const char movielens[] = "userId,movieId,rating,timestamp";
  size_t n = sizeof movielens - 1;
  if (file->delimiter == JOB_COLONS) return "MovieLens ratings.dat";
  if (file->delimiter == '\t')
    return !file->header && file->fields == 4 && file->column[JOB_TIMESTAMP] == 3 &&
                   file->id_type[0] == RDD_INT64 && file->id_type[1] == RDD_INT64
               ? "MovieLens u.data"
               : "TSV";
  if (file->delimiter == JOB_BLANKS) return "text columns";
  if (h->n > h->start + n && memcmp(h->bytes + h->start, movielens, n) == 0)
    return "MovieLens ratings.csv";
  return "CSV";
}

static rdd_status sniff_delimited(const head *h, job_file *file, const line *first, rdd_err *err) {
  const char *format = h->opts->format, *candidates = ":\t,;| ";
  bool asked = strcmp(format, "auto") != 0;
  if (strcmp(format, "csv") == 0) candidates = ",;|\t: ";
  if (strcmp(format, "tsv") == 0) candidates = "\t";
  if (strcmp(format, "movielens") == 0) candidates = ":\t,";
  guess best = {.file = *file};
  int fit = NO_FIT;
  char shown[JOB_EXCERPT];
  rdd_status st = RDD_OK, column_st = RDD_OK;
  rdd_err column_err;
  for (const char *c = candidates; *c && fit < GOOD_FIT; c++) {
    st = try_delimiter(h, *c, &best, &fit, err);
    if (st == RDD_EUSAGE) { /* --columns may be there with another delimiter */
      column_st = column_st ? column_st : st;
      column_err = *err;
    } else if (st) {
      return st;
    }
  }
  job_excerpt(shown, first->text, first->n);
  if (fit == NO_FIT && column_st) {
    *err = column_err;
    return column_st;
  }
  if (fit == NO_FIT) {
    const char *want = h->opts->pairs ? "user,item" : "user,item,rating";
    if (asked)
      return rdd_set(err, RDD_EDATA,
                     "%s is not in the format %s: its first line is '%s', expected %s",
                     job_path_text(h->path), format, shown, want);
    return rdd_set(
        err, RDD_EDATA,
        "%s is in no format that is known: its first line is '%s', expected columns like "
        "%s (CSV, TSV, MovieLens), a Netflix 'movie:', Matrix Market, or HDF5",
        job_path_text(h->path), shown, want);
  }
  if (best.jumbled)
    return rdd_set(
        err, RDD_EDATA,
        "%s: the header '%s' does not name user, item and rating in words that are known; "
        "say which columns they are with --columns USER,ITEM,RATING",
        job_path_text(h->path), shown);
  *file = best.file;
  file->layout = JOB_DELIMITED;
  snprintf(file->kind, sizeof file->kind, "%s", kind_of(file, h));
  return RDD_OK;
}

/* ---- the Netflix Prize ---- */

static rdd_status sniff_netflix(const head *h, job_file *file, const job_span *movie, size_t at,
                                rdd_err *err) {
  line l;
  job_span ignored;
  fields *record = rdd_alloc(1, sizeof *record);
  if (!record)
    return rdd_set(err, RDD_ENOMEM, "out of memory to look at %s", job_path_text(h->path));
  file->layout = JOB_NETFLIX;
  file->delimiter = ',';
  file->body = (int64_t)h->start;
  file->fields = 3;
  file->column[JOB_USER] = 0;
  file->column[JOB_ITEM] = -1;
  file->column[JOB_RATING] = 1;
  file->column[JOB_TIMESTAMP] = 2;
  file->id_type[JOB_ITEM] = is_integer(movie) ? RDD_INT64 : RDD_UTF8;
  file->id_type[JOB_USER] = JOB_TYPE_UNKNOWN;
  snprintf(file->kind, sizeof file->kind, "Netflix Prize");
  while (next_line(h, at, &l)) {
    at = l.next;
    if (job_netflix_head(&ignored, l.text, l.text + l.n)) continue;
    split(record, &l, ',');
    if (record->n == 0) continue;
    file->fields = record->n;
    file->id_type[JOB_USER] = is_integer(&record->field[0]) ? RDD_INT64 : RDD_UTF8;
    bool date_second = record->n == 2 && !is_number(&record->field[1]);
    file->column[JOB_RATING] = record->n < 2 || date_second ? -1 : 1;
    file->column[JOB_TIMESTAMP] = date_second ? 1 : record->n >= 3 ? 2 : -1;
    break;
  }
  rdd_free(record);
  if (file->column[JOB_RATING] < 0 && !h->opts->pairs)
    return rdd_set(err, RDD_EDATA,
                   "%s holds pairs without ratings; expected lines user,rating,date",
                   job_path_text(h->path));
  return RDD_OK;
}

/* ---- Matrix Market ---- */

/* %%MatrixMarket matrix coordinate real|integer|pattern general
 * % comments
 * rows columns entries */
static rdd_status sniff_mtx(const head *h, job_file *file, const line *first, rdd_err *err) {
  char banner[256], object[32] = "", format[32] = "", field[32] = "", symmetry[32] = "";
  const char *path = job_path_text(h->path);
  line l;
  snprintf(banner, sizeof banner, "%.*s", (int)(first->n < 255 ? first->n : 255), first->text);
  for (char *c = banner; *c; c++) *c = (char)tolower((unsigned char)*c);
  if (sscanf(banner, "%%%%matrixmarket %31s %31s %31s %31s", object, format, field, symmetry) != 4)
    return rdd_set(err, RDD_EDATA,
                   "%s:1: expected '%%%%MatrixMarket matrix coordinate real general', found '%s'",
                   path, banner);
  bool pattern = strcmp(field, "pattern") == 0;
  bool numbers = pattern || strcmp(field, "real") == 0 || strcmp(field, "integer") == 0;
  if (strcmp(object, "matrix") != 0 || strcmp(format, "coordinate") != 0 || !numbers ||
      strcmp(symmetry, "general") != 0)
    return rdd_set(err, RDD_EDATA,
                   "%s: the Matrix Market file is '%s %s %s %s'; read are only 'matrix coordinate "
                   "real|integer|pattern general'",
                   path, object, format, field, symmetry);
  size_t at = first->next;
  bool found = false;
  while (!found && next_line(h, at, &l)) {
    at = l.next;
    found = l.text[0] != '%';
  }
  if (!found)
    return rdd_set(err, RDD_EDATA, "%s: no line 'rows columns entries' in the first %d bytes", path,
                   HEAD);
  fields *size = rdd_alloc(1, sizeof *size);
  if (!size) return rdd_set(err, RDD_ENOMEM, "out of memory to look at %s", path);
  int64_t number[3] = {0};
  split(size, &l, JOB_BLANKS);
  bool good = size->n == 3;
  for (int i = 0; i < 3 && good; i++)
    good = job_parse_int64(size->field[i].text, size->field[i].n, &number[i]) == JOB_NUMBER_OK &&
           number[i] >= 0;
  rdd_free(size);
  if (!good) {
    char shown[JOB_EXCERPT];
    return rdd_set(err, RDD_EDATA, "%s: expected a line 'rows columns entries', found '%s'", path,
                   job_excerpt(shown, l.text, l.n));
  }
  file->layout = JOB_MTX;
  file->delimiter = JOB_BLANKS;
  file->body = (int64_t)at;
  file->dims[0] = number[0];
  file->dims[1] = number[1];
  file->entries = number[2];
  file->fields = pattern ? 2 : 3;
  file->column[JOB_USER] = 0;
  file->column[JOB_ITEM] = 1;
  file->column[JOB_RATING] = pattern ? -1 : 2;
  file->column[JOB_TIMESTAMP] = -1;
  file->id_type[0] = file->id_type[1] = RDD_INT64;
  snprintf(file->kind, sizeof file->kind, "Matrix Market");
  return RDD_OK;
}

/* ---- all of it ---- */

static bool is_h5(const head *h) {
  static const char magic[8] = "\x89HDF\r\n\x1a\n";
  for (size_t at = 0; at + 8 <= h->n; at = at ? 2 * at : 512) /* a user block may come first */
    if (memcmp(h->bytes + at, magic, 8) == 0) return true;
  return false;
}

static bool is_mtx(const head *h) {
  return h->n > h->start + 14 && strncasecmp(h->bytes + h->start, "%%MatrixMarket", 14) == 0;
}

/* Do lines of text seem to end in a carriage return alone? In quotes it may be anything. */
static bool lone_returns(const char *p, size_t n) {
  const char *end = p + n;
  if (memchr(p, '"', n) || memchr(p, 0, n)) return false;
  while ((p = memchr(p, '\r', (size_t)(end - p))) && p + 1 < end && p[1] == '\r') p++;
  return p && p + 1 < end;
}

static rdd_status sniff_text(head *h, job_file *file, rdd_err *err) {
  static const char returns[] =
      "%s: its lines end in carriage returns without newlines, as on old Macs, which is not read; "
      "tr '\\r' '\\n' <OLD >NEW converts it";
  const char *format = h->opts->format, *path = job_path_text(h->path);
  bool automatic = strcmp(format, "auto") == 0;
  line first;
  job_span movie;
  char shown[JOB_EXCERPT];
  if (!next_line(h, h->start, &first)) {
    if (h->whole) {
      file->weight = 0; /* blank */
      return RDD_OK;
    }
    if (lone_returns(h->bytes, h->n)) return rdd_set(err, RDD_EDATA, returns, path);
    return rdd_set(err, RDD_EDATA,
                   "%s: no text in the first %d bytes ends with a newline; is this "
                   "a file with one rating a line?",
                   path, HEAD);
  }
  if (lone_returns(first.text, first.n)) return rdd_set(err, RDD_EDATA, returns, path);
  job_excerpt(shown, first.text, first.n);
  bool netflix = job_netflix_head(&movie, first.text, first.text + first.n);
  if (strcmp(format, "mtx") == 0 && !is_mtx(h))
    return rdd_set(err, RDD_EDATA,
                   "%s is not Matrix Market: its first line is '%s', expected "
                   "'%%%%MatrixMarket matrix coordinate real general'",
                   path, shown);
  if (strcmp(format, "netflix") == 0 && !netflix)
    return rdd_set(err, RDD_EDATA,
                   "%s is not in the Netflix Prize layout: its first line is '%s', "
                   "expected a movie and a colon, '17:'",
                   path, shown);
  if (memchr(first.text, 0, first.n) && automatic)
    return rdd_set(err, RDD_EDATA,
                   "%s is in no format that is known: its first line is binary, '%s'", path, shown);
  if (is_mtx(h) && (automatic || strcmp(format, "mtx") == 0))
    return sniff_mtx(h, file, &first, err);
  if (netflix && (automatic || strcmp(format, "netflix") == 0))
    return sniff_netflix(h, file, &movie, first.next, err);
  return sniff_delimited(h, file, &first, err);
}

rdd_status job_sniff(job_file *file, const char *path, const job_input_opts *opts, rdd_err *err) {
  rdd_status st = RDD_OK;
  struct stat info;
  head h = {.path = path, .opts = opts};
  bool want_h5 = strcmp(opts->format, "hdf5") == 0;

  file->entries = -1;
  if (stat(path, &info) != 0)
    return rdd_set(err, RDD_ENOINPUT, "cannot open %s: %s", job_path_text(path), strerror(errno));
  file->size = file->weight = (int64_t)info.st_size;
  file->changed = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
  h.bytes = rdd_alloc(HEAD + 1, 1);
  if (!h.bytes) return rdd_set(err, RDD_ENOMEM, "out of memory to look at %s", job_path_text(path));
  st = read_head(&h, file, false, err);
  if (!st && !h.whole && (is_mtx(&h) || count_lines(&h) < HEAD_LINES))
    st = read_head(&h, file, true, err);
  if (st || file->size == 0) goto done;

  if (is_h5(&h) && (want_h5 || strcmp(opts->format, "auto") == 0)) {
    st = job_sniff_h5(file, path, opts, err);
  } else if (want_h5) {
    st = rdd_set(err, RDD_EDATA, "%s is not an HDF5 file", job_path_text(path));
  } else {
    st = sniff_text(&h, file, err);
    if (file->gzip) file->weight *= JOB_GZIP_WEIGHT;
  }
done:
  rdd_free(h.bytes);
  return st;
}
