/* Lines that need no judgement, in one pass, straight into the columns of a batch.
 *
 *   "tt0111161" , 42,4.5e0 ,1997-12-04\r\n
 *   quotes and blanks around a field, any column order, fields that nobody wants, exponents, dates
 *
 * Bytes are looked at eight at a time in an integer, in which the first byte stands lowest. A scan
 * stops at the newline at the latest, which ends every block, so nothing is checked against an end.
 * What is not so plain (a sign before an id, a number with more digits than 64 bits hold, a tab or NUL
 * in a field, a record that is wrong) ends the run: read_text.c judges that line from its start. */
#include "jobs/input_impl.h"
#include "jobs/number.h"

#include <endian.h>
#include <string.h>

enum { TAKE_NOTHING, TAKE_USER, TAKE_ITEM, TAKE_RATING, TAKE_TIME };

/* ---- Eight bytes at a time ---- */

static const uint64_t ONES = 0x0101010101010101u, HIGH = 0x8080808080808080u;

static inline uint64_t load8(const char *p) {
  uint64_t word;
  memcpy(&word, p, sizeof word);
  return le64toh(word);
}

/* How many bytes come before the lowest that is marked. */
static inline unsigned first_marked(uint64_t marks) {
  return (unsigned)__builtin_ctzll(marks) / 8;
}

/* Marks bytes that are 0. Those behind the first may be marked wrongly, here and below. */
static inline uint64_t zero_bytes(uint64_t word) {
  return (word - ONES) & ~word & HIGH;
}

/* The first byte from p on that is `stop` (in each byte) or below a blank. */
static inline const char *scan(const char *p, uint64_t stop) {
  for (;; p += 8) {
    uint64_t word = load8(p);
    uint64_t marks = ((word - ONES * ' ') & ~word & HIGH) | zero_bytes(word ^ stop);
    if (marks) return p + first_marked(marks);
  }
}

/* The value of 8 bytes 0 to 9, the first of which weighs most: neighbours are joined three times. */
static inline uint64_t join_digits(uint64_t digits) {
  digits = digits * 10 + (digits >> 8);
  uint64_t low = digits & 0x000000ff000000ffu, high = digits >> 16 & 0x000000ff000000ffu;
  return (low * (100 + (UINT64_C(1000000) << 32)) + high * (1 + (UINT64_C(10000) << 32))) >> 32;
}

/* Append the digits from p on to *x, and to *count how many; right for up to 19 in all. */
static inline const char *take_digits(const char *p, uint64_t *x, unsigned *count) {
  static const uint64_t power[9] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};
  unsigned n;
  do {
    uint64_t digits = load8(p) ^ ONES * '0';
    uint64_t marks = ((digits + ONES * (0x80 - 10)) | digits) & HIGH; /* above 9 */
    n = marks ? first_marked(marks) : 8;
    if (n == 0) break;
    *x = *x * power[n] + join_digits(digits << (64 - 8 * n));
    *count += n;
    p += n;
  } while (n == 8);
  return p;
}

/* ---- Fields: each returns where it ends, or NULL where it is not plain ---- */

static inline const char *take_id(const job_plain *plain, int side, const char *p, int64_t *out) {
  uint64_t x = 0;
  unsigned count = 0;
  p = take_digits(p, &x, &count);
  *out = (int64_t)x;
  return count - 1 < 18 && x - plain->least[side] <= plain->range[side] ? p : NULL;
}

static inline unsigned leading_zeros(const char *p) {
  unsigned n = 0;
  for (; *p == '0' || *p == '.'; p++) n += *p == '0';
  return n;
}

static inline const char *take_rating(const char *p, float *out) {
  uint64_t mantissa = 0, power = 0;
  unsigned count = 0, power_count = 0;
  bool negative = *p == '-';
  const char *start = p += negative;
  p = take_digits(p, &mantissa, &count);
  int exponent = (int)count;
  if (*p == '.') p = take_digits(p + 1, &mantissa, &count);
  exponent -= (int)count;
  if (count == 0 || (count > 19 && count - leading_zeros(start) > 19)) return NULL;
  if (*p == 'e' || *p == 'E') {
    bool minus = *++p == '-';
    p = take_digits(p + (minus || *p == '+'), &power, &power_count);
    if (power_count - 1 >= 3) return NULL;
    exponent += minus ? -(int)power : (int)power;
  }
  return job_decimal_float(mantissa, exponent, negative, out) ? p : NULL;
}

static inline unsigned digit(char c) {
  return (unsigned)(unsigned char)c - '0';
}

static inline const char *take_time(const char *p, int delimiter, int64_t *out) {
  const char *start = p;
  uint64_t x = 0;
  unsigned count = 0;
  p = take_digits(p, &x, &count);
  *out = (int64_t)x;
  if (count != 4 || *p != '-') return count - 1 < 18 ? p : NULL;
  if (digit(p[1]) > 9 || digit(p[2]) > 9 || p[3] != '-' || digit(p[4]) > 9 || digit(p[5]) > 9)
    return NULL;
  int month = (int)(digit(p[1]) * 10 + digit(p[2])), day = (int)(digit(p[4]) * 10 + digit(p[5]));
  if (!job_days((int)x, month, day, out)) return NULL;
  *out *= 86400;
  p += 6;
  if (*p != 'T' && (*p != ' ' || delimiter == JOB_BLANKS || digit(p[1]) > 9)) return p;
  return job_parse_time(start, 19, out) == JOB_NUMBER_OK ? start + 19 : NULL;
}

/* The end of a field that is not quoted, blanks behind it included. */
static inline const char *field_end(const char *p, int delimiter) {
  p = scan(p, ONES * (unsigned)delimiter);
  if (delimiter == JOB_COLONS)
    while (*p == ':' && p[1] != ':') p = scan(p + 1, ONES * ':');
  return p;
}

static inline char *put_text(char *to, const char *from, size_t n) {
  memcpy(to, from, 16); /* most ids are that short, and there is slack on both sides */
  if (n > 16) memcpy(to + 16, from + 16, n - 16);
  return to + n;
}

/* Append a field's text to that of a column, which is in *to. */
static inline const char *take_text(const char *p, int delimiter, bool quoted, char **to) {
  const char *start = p, *end;
  char *at = *to;
  if (!quoted) {
    p = end = field_end(p, delimiter);
    while (end > start && end[-1] == ' ') end--;
    if ((size_t)(end - start) - 1 >= JOB_ID_LENGTH) return NULL;
    *to = put_text(at, start, (size_t)(end - start));
    return p;
  }
  for (;; p = end + 2) {
    end = scan(p, ONES * '"');
    if (*end != '"' || end - start > JOB_ID_LENGTH) return NULL;
    bool doubled = end[1] == '"';
    at = put_text(at, p, (size_t)(end - p) + doubled);
    if (!doubled) break;
  }
  if (end == start) return NULL;
  *to = at;
  return end;
}

/* Step over a field that nobody wants. */
static inline const char *skip_field(const char *p, int delimiter, bool quoted) {
  if (!quoted) {
    const char *end = field_end(p, delimiter);
    return end == p && delimiter == JOB_BLANKS ? NULL : end; /* only blanks cannot be empty */
  }
  while (*(p = scan(p, ONES * '"')) == '"' && p[1] == '"') p += 2;
  return p;
}

/* ---- Lines ---- */

/* The row that is being made, and where the text of the ids goes. */
typedef struct row {
  job_rows *rows;
  int64_t n;
  char *text[2];
  int64_t ignored; /* a timestamp that is read and not kept */
} row;

static inline const char *take_side(const job_plain *plain, row *r, int side, bool quoted,
                                    const char *p) {
  const job_ids *id = &r->rows->id[side];
  if (id->value) return take_id(plain, side, p, &id->value[r->n]);
  return take_text(p, plain->delimiter, quoted, &r->text[side]);
}

static inline const char *take_field(const job_plain *plain, row *r, int take, bool quoted,
                                     const char *p) {
  switch (take) {
  case TAKE_USER:
    return take_side(plain, r, JOB_USER, quoted, p);
  case TAKE_ITEM:
    return take_side(plain, r, JOB_ITEM, quoted, p);
  case TAKE_RATING:
    return take_rating(p, &r->rows->rating[r->n]);
  case TAKE_TIME:
    return take_time(p, plain->delimiter,
                     r->rows->timestamp ? &r->rows->timestamp[r->n] : &r->ignored);
  default:
    return skip_field(p, plain->delimiter, quoted);
  }
}

static inline const char *skip_blanks(const char *p, int delimiter) {
  while (*p == ' ' || (*p == '\t' && delimiter != '\t')) p++;
  return p;
}

/* One line; the next one, or NULL. */
static inline const char *take_line(const job_plain *plain, row *r, const char *p) {
  const int delimiter = plain->delimiter;
  for (int f = 0;;) {
    p = skip_blanks(p, delimiter);
    bool quoted = *p == '"';
    p = take_field(plain, r, plain->take[f], quoted, p + quoted);
    if (!p || (quoted && *p++ != '"')) return NULL;
    const char *end = p;
    p = skip_blanks(p, delimiter);
    if (++f == plain->fields) break;
    if (delimiter == JOB_BLANKS) {
      if (p == end) return NULL;
      continue;
    }
    if (*p++ != (char)delimiter || (delimiter == JOB_COLONS && *p++ != ':')) return NULL;
  }
  if (*p == '\r') p++;
  return *p == '\n' ? p + 1 : NULL;
}

/* The movie of a Netflix section. */
static inline void put_section(const job_ids *id, row *r, int side, const job_span *text,
                               int64_t number) {
  if (id->value) {
    id->value[r->n] = number;
  } else {
    memcpy(r->text[side], text->text, text->n);
    r->text[side] += text->n;
  }
}

const char *job_read_plain(const job_plain *plain, job_rows *rows, const job_span *section,
                           int64_t section_int, const char *p, const char *end) {
  row r = {.rows = rows, .n = rows->rows};
  for (int side = 0; side < 2; side++)
    if (rows->id[side].offset) r.text[side] = rows->id[side].text + rows->id[side].offset[r.n];
  for (const char *next; p < end && !job_rows_full(rows); p = next) {
    next = take_line(plain, &r, p);
    if (!next) break;
    if (plain->section >= 0)
      put_section(&rows->id[plain->section], &r, plain->section, section, section_int);
    if (plain->unrated) rows->rating[r.n] = 1;
    r.n++;
    for (int side = 0; side < 2; side++)
      if (rows->id[side].offset)
        rows->id[side].offset[r.n] = (int32_t)(r.text[side] - rows->id[side].text);
    rows->rows = r.n;
  }
  return p;
}

bool job_plain_init(job_plain *plain, const job_plan *plan, const job_file *file) {
  static const uint8_t take[JOB_ROLES] = {TAKE_USER, TAKE_ITEM, TAKE_RATING, TAKE_TIME};
  if (file->fields > JOB_PLAIN_FIELDS) return false;
  *plain = (job_plain){.fields = file->fields,
                       .delimiter = file->delimiter,
                       .section = file->layout == JOB_NETFLIX ? JOB_ITEM : -1,
                       .unrated = file->column[JOB_RATING] < 0};
  for (int role = 0; role < JOB_ROLES; role++) {
    int column = file->column[role];
    if (column < 0) continue;
    if (plain->take[column] != TAKE_NOTHING) return false; /* a column with two roles */
    plain->take[column] = take[role];
  }
  for (int side = 0; side < 2; side++) {
    plain->range[side] = INT64_MAX;
    if (file->layout != JOB_MTX) continue;
    /* they have to be in the matrix; and as text they are not seen as numbers here */
    if (plan->id_type[side] != RDD_INT64 || file->dims[side] < 1) return false;
    plain->least[side] = 1;
    plain->range[side] = (uint64_t)file->dims[side] - 1;
  }
  /* "17:" alone may be a user as well as the head of a section */
  return file->layout != JOB_NETFLIX || file->fields > 1 || plan->id_type[JOB_USER] == RDD_INT64;
}
