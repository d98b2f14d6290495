/* Records of text files: delimited columns, the Netflix Prize layout, Matrix Market.
 *
 * Lines come in blocks that end with a newline (lines.c). Those in a plain form, which are all but a
 * few, are taken in one pass by read_plain.c. Any other is cut into fields and judged here, and what is
 * wrong with it is named. */
#include "jobs/input_impl.h"
#include "jobs/number.h"
#include "jobs/utf8.h"
#include "rdd/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct job_text {
  job_rows *rows;
  const job_file *file;
  const char *path;
  char *section;         /* Netflix: text of the movie's id; NULL before the first section */
  job_span movie;        /* the same as a span */
  int64_t movie_int;     /* where the column is int64 */
  char movie_wrong[400]; /* what is wrong with the section's head, or "" */
} job_text;

/* ---- pieces of lines ---- */

static bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

bool job_blank_line(const char *p, const char *end) {
  while (p < end && (is_blank(*p) || *p == '\r')) p++;
  return p == end;
}

const char *job_excerpt(char out[JOB_EXCERPT], const char *text, size_t n) {
  size_t shown = n > 60 ? 57 : n, o = 0;
  while (shown < n && shown > 0 && ((unsigned char)text[shown] & 0xc0) == 0x80) shown--; /* UTF-8 */
  for (size_t i = 0, length; i < shown; i += length) {
    unsigned char c = (unsigned char)text[i];
    bool valid = (length = job_utf8_length(text + i, shown - i)) > 0;
    if (!valid) length = 1;
    if (c == '\t')
      o += (size_t)snprintf(out + o, JOB_EXCERPT - o, "\\t");
    else if (c < 32 || c == 127 || !valid)
      o += (size_t)snprintf(out + o, JOB_EXCERPT - o, "\\x%02x", c);
    else
      o += (size_t)snprintf(out + o, JOB_EXCERPT - o, "%.*s", (int)length, text + i);
  }
  snprintf(out + o, JOB_EXCERPT - o, "%s", shown < n ? "..." : "");
  return out;
}

/* The end of an unquoted field, and through *next_out where the next one starts (NULL: none). */
static const char *field_end(const char *p, const char *end, int delimiter, const char **next_out) {
  const char *stop = NULL;
  *next_out = NULL;
  if (delimiter == JOB_BLANKS) {
    for (stop = p; stop < end && !is_blank(*stop); stop++) continue;
    const char *next = stop;
    while (next < end && is_blank(*next)) next++;
    if (next < end) *next_out = next;
    return stop;
  }
  if (p < end) stop = memchr(p, delimiter, (size_t)(end - p));
  if (delimiter == JOB_COLONS)
    while (stop && !(stop + 1 < end && stop[1] == ':'))
      stop = stop + 1 < end ? memchr(stop + 1, ':', (size_t)(end - stop - 1)) : NULL;
  if (!stop) return end;
  *next_out = stop + (delimiter == JOB_COLONS ? 2 : 1);
  return stop;
}

/* A field that starts with a quote at p. */
static const char *quoted_field(job_span *out, const char *p, const char *end, int delimiter,
                                const char **why) {
  const char *start = ++p, *next;
  out->doubled = false;
  for (;; p += 2) {
    p = p < end ? memchr(p, '"', (size_t)(end - p)) : NULL;
    if (!p) {
      out->text = NULL;
      *why = "a quoted field does not end on its line (a newline inside quotes is not read)";
      return NULL;
    }
    if (p + 1 == end || p[1] != '"') break;
    out->doubled = true;
  }
  out->text = start;
  out->n = (size_t)(p - start);
  const char *rest = p + 1;
  const char *stop = field_end(rest, end, delimiter, &next);
  while (rest < stop && is_blank(*rest)) rest++;
  if (rest == stop) return next;
  out->text = NULL;
  *why = "there is text after the closing quote of a field";
  return NULL;
}

const char *job_field(job_span *out, const char *p, const char *end, int delimiter,
                      const char **why) {
  const char *next;
  if (end > p && end[-1] == '\r') end--;
  while (p < end && is_blank(*p) && *p != delimiter) p++;
  if (p < end && *p == '"') return quoted_field(out, p, end, delimiter, why);
  const char *stop = field_end(p, end, delimiter, &next);
  while (stop > p && is_blank(stop[-1])) stop--;
  *out = (job_span){.text = p, .n = (size_t)(stop - p)};
  return next;
}

bool job_netflix_head(job_span *out, const char *p, const char *end) {
  while (p < end && is_blank(*p)) p++;
  while (end > p && (is_blank(end[-1]) || end[-1] == '\r')) end--;
  if (end - p < 2 || end[-1] != ':' || end[-2] == ':') return false;
  if (memchr(p, ',', (size_t)(end - p)) || memchr(p, 0, (size_t)(end - p))) return false;
  *out = (job_span){.text = p, .n = (size_t)(end - 1 - p)};
  return true;
}

/* ---- what to say of a bad line ---- */

/* "user,item,rating": the roles in the order and with the delimiter of the file. */
static void expected(const job_file *file, char *out, size_t size) {
  static const char *const role[JOB_ROLES] = {"user", "item", "rating", "timestamp"};
  static const char *const netflix[JOB_ROLES] = {"user", "", "rating", "date"};
  static const char *const mtx[JOB_ROLES] = {"row", "column", "value", ""};
  const char *const *name = file->layout == JOB_NETFLIX ? netflix
                            : file->layout == JOB_MTX   ? mtx
                                                        : role;
  char one[2] = {(char)file->delimiter, 0};
  const char *between = file->delimiter == JOB_COLONS ? "::"
                        : file->delimiter == '\t'     ? "<tab>"
                                                      : one;
  size_t o = 0;
  out[0] = 0;
  for (int i = 0; i < file->fields && o < size; i++) {
    const char *what = i < 8 ? "*" : "...";
    for (int r = 0; r < JOB_ROLES; r++)
      if (file->column[r] == i) what = name[r];
    o += (size_t)snprintf(out + o, size - o, "%s%s", i ? between : "", what);
    if (i == 8) break;
  }
}

/* The record whose line starts at `offset` is bad. */
static rdd_status bad(job_text *text, int64_t offset, const char *what, rdd_err *err) {
  char message[640] = "", form[200];
  if (job_rows_tell(text->rows)) {
    expected(text->file, form, sizeof form);
    snprintf(message, sizeof message, "%s:%lld: %s; expected %s", job_path_text(text->path),
             (long long)job_line_number(text->path, text->file->gzip, offset), what, form);
  }
  return job_rows_bad(text->rows, message, err);
}

/* ---- one record from its fields ---- */

typedef struct job_record {
  job_span id[2];
  int64_t id_int[2];
  float rating;
  int64_t timestamp;
} job_record;

/* Check an id, and read it where its column is of integers. What is wrong goes to `what`. */
static bool check_id(const job_plan *plan, int side, const job_span *span, int64_t *int_out,
                     char what[400]) {
  static const char *const name[2] = {"user", "item"};
  char shown[JOB_EXCERPT];
  if (span->n == 0) {
    snprintf(what, 400, "the %s id is empty", name[side]);
    return false;
  }
  if (span->n > JOB_ID_LENGTH) {
    snprintf(what, 400, "the %s id has %zu bytes, more than %d", name[side], span->n,
             JOB_ID_LENGTH);
    return false;
  }
  if (plan->id_type[side] == RDD_UTF8) return true;
  job_number result = job_parse_int64(span->text, span->n, int_out);
  if (result == JOB_NUMBER_OK) return true;
  job_excerpt(shown, span->text, span->n);
  if (result == JOB_NUMBER_RANGE)
    snprintf(what, 400, "%s id '%s' is out of the range of 64-bit integers%s", name[side], shown,
             plan->id_origin == JOB_BY_MODEL ? "" : " (--id-type string reads ids as text)");
  else if (plan->id_origin == JOB_BY_MODEL)
    snprintf(what, 400, "%s id '%s' is not an integer, as the ids to match are", name[side], shown);
  else if (plan->id_origin == JOB_BY_OPTION)
    snprintf(what, 400, "%s id '%s' is not an integer, which --id-type int asks for", name[side],
             shown);
  else
    snprintf(what, 400,
             "mixed id types: %s id '%s' is not an integer, but the first record's is (--id-type "
             "string reads ids as text)",
             name[side], shown);
  return false;
}

static bool check_rating(const job_span *span, float *out, char what[400]) {
  const char *wrong;
  char shown[JOB_EXCERPT];
  job_number result = job_parse_float(span->text, span->n, out);
  if (result == JOB_NUMBER_OK && job_rating(*out, out, &wrong)) return true;
  if (result == JOB_NUMBER_BAD) wrong = "is not a number";
  if (result == JOB_NUMBER_RANGE) wrong = "is out of the range of a 32-bit float";
  snprintf(what, 400, "rating '%s' %s", job_excerpt(shown, span->text, span->n), wrong);
  return false;
}

/* Fill in a record from the fields of the roles; Netflix' item comes from the section. */
static bool check_record(const job_text *text, const job_span *role, job_record *record,
                         char what[400]) {
  const job_file *file = text->file;
  const job_plan *plan = text->rows->plan;
  char shown[JOB_EXCERPT];
  for (int side = 0; side < 2; side++) {
    record->id[side] = role[side];
    if (file->layout == JOB_NETFLIX && side == JOB_ITEM) {
      record->id[side] = text->movie;
      record->id_int[side] = text->movie_int;
    } else if (!check_id(plan, side, &role[side], &record->id_int[side], what)) {
      return false;
    }
  }
  record->rating = 1;
  if (file->column[JOB_RATING] >= 0 && !check_rating(&role[JOB_RATING], &record->rating, what))
    return false;
  record->timestamp = 0;
  if (file->column[JOB_TIMESTAMP] >= 0) {
    const job_span *t = &role[JOB_TIMESTAMP];
    if (job_parse_time(t->text, t->n, &record->timestamp) != JOB_NUMBER_OK) {
      snprintf(what, 400, "timestamp '%s' is neither a 64-bit integer nor a date (YYYY-MM-DD)",
               job_excerpt(shown, t->text, t->n));
      return false;
    }
  }
  for (int side = 0; side < 2 && file->layout == JOB_MTX; side++) {
    int64_t index;
    job_number result = job_parse_int64(role[side].text, role[side].n, &index);
    if (result == JOB_NUMBER_OK && index >= 1 && index <= file->dims[side]) continue;
    snprintf(what, 400, "%s '%s' is not between 1 and %lld, the size that the header declares",
             side == JOB_USER ? "row" : "column", job_excerpt(shown, role[side].text, role[side].n),
             (long long)file->dims[side]);
    return false;
  }
  return true;
}

static rdd_status add_record(job_rows *rows, const job_record *record, rdd_err *err) {
  for (int side = 0; side < 2; side++) {
    if (rows->id[side].type == RDD_INT64)
      job_rows_int(rows, side, record->id_int[side]);
    else
      job_rows_text(rows, side, &record->id[side]);
  }
  return job_rows_end(rows, record->rating, record->timestamp, err);
}

/* ---- Netflix sections ---- */

/* A section starts: keep its movie; what is wrong with it makes all its lines bad. */
static rdd_status start_section(job_text *text, const job_span *head, rdd_err *err) {
  size_t kept = head->n > JOB_ID_LENGTH ? JOB_ID_LENGTH + 1 : head->n;
  char *copy = rdd_realloc(text->section, kept + 1, 1);
  if (!copy) return rdd_set(err, RDD_ENOMEM, "out of memory for the id of a movie");
  memcpy(copy, head->text, kept);
  text->section = copy;
  text->movie = (job_span){.text = copy, .n = kept};
  text->movie_wrong[0] = 0;
  (void)check_id(text->rows->plan, JOB_ITEM, &text->movie, &text->movie_int, text->movie_wrong);
  return RDD_OK;
}

/* Bytes [from, from + n) of a file; what lies past its end is missing from n_out. */
static rdd_status read_at(int fd, const char *path, char *to, size_t n, int64_t from, size_t *n_out,
                          rdd_err *err) {
  size_t have = 0;
  while (have < n) {
    ssize_t got = pread(fd, to + have, n - have, (off_t)(from + (int64_t)have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return rdd_set(err, RDD_EIO, "cannot read %s: %s", job_path_text(path), strerror(errno));
    if (got == 0) break;
    have += (size_t)got;
  }
  *n_out = have;
  return RDD_OK;
}

/* Find the section that the line at `offset` is in: the last head before it. Only heads have a
 * colon at the end of their line, and dates have none, so windows are searched for colons
 * backwards. */
static rdd_status find_section(job_text *text, int64_t offset, rdd_err *err) {
  enum { WINDOW = 64 << 10, OVERLAP = JOB_ID_LENGTH + 64 };
  rdd_status st = RDD_OK;
  char *window = NULL;
  int fd = open(text->path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    st = rdd_set(err, RDD_ENOINPUT, "cannot open %s: %s", job_path_text(text->path),
                 strerror(errno));
    goto done;
  }
  window = rdd_alloc(OVERLAP + WINDOW + OVERLAP, 1);
  if (!window) {
    st = rdd_set(err, RDD_ENOMEM, "out of memory to look for a section");
    goto done;
  }
  for (int64_t stop = offset; stop > text->file->body;) {
    /* colons in [start, stop), whole lines around them */
    int64_t start = stop - WINDOW > text->file->body ? stop - WINDOW : text->file->body;
    int64_t from = start - OVERLAP > text->file->body ? start - OVERLAP : text->file->body;
    int64_t to = stop + OVERLAP < offset ? stop + OVERLAP : offset;
    size_t n = 0;
    st = read_at(fd, text->path, window, (size_t)(to - from), from, &n, err);
    if (!st && n < (size_t)(to - from))
      st = rdd_set(err, RDD_EIO, "%s became shorter while it was read", job_path_text(text->path));
    if (st) goto done;
    char *first = window + (start - from);
    char *end = window + n, *colon = window + (stop - from);
    while (colon > first && (colon = memrchr(first, ':', (size_t)(colon - first)))) {
      job_span head;
      char *before = memrchr(window, '\n', (size_t)(colon - window));
      char *after = memchr(colon, '\n', (size_t)(end - colon));
      const char *line = before ? before + 1 : window;
      if (after && job_netflix_head(&head, line, after)) {
        st = start_section(text, &head, err);
        goto done;
      }
    }
    stop = start;
  }
done:
  if (fd >= 0) close(fd);
  rdd_free(window);
  return st;
}

/* ---- lines ---- */

/* A line without its newline, not in the plainest form. */
static rdd_status read_line(job_text *text, const char *p, const char *end, int64_t offset,
                            rdd_err *err) {
  const job_file *file = text->file;
  const char *why = NULL, *line = p;
  job_span role[JOB_ROLES] = {{0}}, field;
  job_record record;
  char what[400], shown[JOB_EXCERPT];
  int n = 0;

  if (job_blank_line(p, end)) return RDD_OK;
  if (memchr(p, 0, (size_t)(end - p))) {
    snprintf(what, sizeof what, "the line has a NUL byte: '%s'",
             job_excerpt(shown, p, (size_t)(end - p)));
    return bad(text, offset, what, err);
  }
  if (file->layout == JOB_NETFLIX) {
    if (job_netflix_head(&field, p, end)) return start_section(text, &field, err);
    if (!text->section)
      return bad(text, offset, "there is no 'movie:' line before the first rating", err);
    if (text->movie_wrong[0]) return bad(text, offset, text->movie_wrong, err);
  }
  if (file->delimiter == JOB_BLANKS) { /* blanks at the ends are no fields */
    while (p < end && is_blank(*p)) p++;
    while (end > p && (is_blank(end[-1]) || end[-1] == '\r')) end--;
  }
  for (; p; n++) {
    p = job_field(&field, p, end, file->delimiter, &why);
    if (!field.text) {
      snprintf(what, sizeof what, "%s: '%s'", why, job_excerpt(shown, line, (size_t)(end - line)));
      return bad(text, offset, what, err);
    }
    for (int r = 0; r < JOB_ROLES; r++)
      if (file->column[r] == n) role[r] = field;
  }
  if (n != file->fields) {
    if (end > line && end[-1] == '\r') end--;
    snprintf(what, sizeof what, "found %d field%s instead of %d in '%s'", n, n == 1 ? "" : "s",
             file->fields, job_excerpt(shown, line, (size_t)(end - line)));
    return bad(text, offset, what, err);
  }
  if (!check_record(text, role, &record, what)) return bad(text, offset, what, err);
  return add_record(text->rows, &record, err);
}

/* The lines of a Netflix file need a section, and a good one. */
static bool can_be_plain(const job_text *text) {
  return text->file->layout != JOB_NETFLIX || (text->section && !text->movie_wrong[0]);
}

rdd_status job_read_text(job_rows *rows, const job_file *file, int64_t begin, int64_t end,
                         rdd_err *err) {
  rdd_status st = RDD_OK;
  job_text text = {.rows = rows, .file = file, .path = job_plan_path(rows->plan, file)};
  job_lines *lines = NULL;
  const char *p, *stop, *line_end;
  int64_t offset;
  job_plain plain;
  bool is_plain = job_plain_init(&plain, rows->plan, file), first = true;
  bool whole = file->gzip || begin <= file->body;

  if (file->gzip) end = INT64_MAX;
  if (begin < file->body) begin = file->body;
  if (begin >= end) return RDD_OK;
  st = job_lines_open(&lines, text.path, file->gzip, begin, end, whole, err);
  if (st) return st;
  for (;;) {
    st = job_lines_next(lines, &p, &stop, &offset, err);
    if (st || p == stop) break;
    if (first && !whole && file->layout == JOB_NETFLIX) st = find_section(&text, offset, err);
    first = false;
    for (const char *block = p; !st && p < stop;) {
      if (is_plain && can_be_plain(&text))
        p = job_read_plain(&plain, rows, &text.movie, text.movie_int, p, stop);
      if (job_rows_full(rows)) {
        st = job_rows_flush(rows, err);
      } else if (p < stop) {
        line_end = memchr(p, '\n', (size_t)(stop - p));
        st = read_line(&text, p, line_end, offset + (p - block), err);
        p = line_end + 1;
      }
    }
    if (st) break;
  }
  job_lines_close(lines);
  rdd_free(text.section);
  return st;
}
