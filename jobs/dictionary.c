/* The distinct values of a column. See dictionary.h.
 *
 * Open addressing with linear probes over a power of two of slots, at most half full. A slot keeps
 * the whole hash. For int64 the hash is a bijection of the value (rdd_mix64), so equal hashes are
 * equal values and no values need to be kept; for text the bytes are compared. Small integers, as ids mostly
 * are, have a bit each instead where only their number is wanted. */
#include "jobs/dictionary.h"
#include "rdd/hash.h"
#include "rdd/memory.h"

#include <stdbool.h>
#include <string.h>

enum { FIRST_SLOTS = 1024, SMALL = 1 << 24 };

typedef struct slot {
  uint64_t hash;
  int64_t code1; /* code + 1; 0: free */
} slot;

struct job_dictionary {
  rdd_type type;
  int64_t count; /* in slots */
  slot *slots;
  uint64_t mask; /* slots - 1 */
  char *bytes;   /* utf8: the texts, each with its NUL */
  int64_t used, room;
  int64_t *start; /* utf8: [start_room] offset of each text in bytes */
  int64_t start_room;
  uint64_t *small; /* int64: [SMALL / 64] a bit for each value in [0, SMALL) that was there */
  int64_t small_count;
};

rdd_status job_dictionary_new(job_dictionary **out, rdd_type type, rdd_err *err) {
  job_dictionary *d = rdd_calloc(1, sizeof(*d));
  slot *slots = rdd_calloc(FIRST_SLOTS, sizeof(*slots));
  uint64_t *small = rdd_calloc(type == RDD_INT64 ? SMALL / 64 : 0, sizeof(*small));
  if (!d || !slots || !small) {
    rdd_free(d);
    rdd_free(slots);
    rdd_free(small);
    return rdd_set(err, RDD_ENOMEM, "out of memory for a dictionary");
  }
  d->type = type;
  d->slots = slots;
  d->small = small;
  d->mask = FIRST_SLOTS - 1;
  *out = d;
  return RDD_OK;
}

void job_dictionary_free(job_dictionary *d) {
  if (!d) return;
  rdd_free(d->slots);
  rdd_free(d->small);
  rdd_free(d->bytes);
  rdd_free(d->start);
  rdd_free(d);
}

int64_t job_dictionary_count(const job_dictionary *d) {
  return d->count + d->small_count;
}

const char *job_dictionary_text(const job_dictionary *d, int64_t code) {
  return d->bytes + d->start[code];
}

/* Twice the slots. */
static bool grow_slots(job_dictionary *d) {
  uint64_t n = 2 * (d->mask + 1);
  slot *slots = rdd_calloc(n, sizeof(*slots));
  if (!slots) return false;
  for (uint64_t i = 0; i <= d->mask; i++) {
    if (!d->slots[i].code1) continue;
    uint64_t at = d->slots[i].hash & (n - 1);
    while (slots[at].code1) at = (at + 1) & (n - 1);
    slots[at] = d->slots[i];
  }
  rdd_free(d->slots);
  d->slots = slots;
  d->mask = n - 1;
  return true;
}

/* A buffer with room for `need` items of `size` bytes, doubled as needed; NULL when memory is out,
 * and then p stays as it is. */
static void *reserve(void *p, int64_t *room, int64_t need, size_t size) {
  if (need <= *room) return p;
  int64_t n = *room ? *room : 1024;
  while (n < need) n *= 2;
  void *grown = rdd_realloc(p, (size_t)n, size);
  if (grown) *room = n;
  return grown;
}

/* Keep the text of the next code. */
static bool keep_text(job_dictionary *d, const char *text, int64_t length) {
  int64_t *start = reserve(d->start, &d->start_room, d->count + 1, sizeof(*d->start));
  if (!start) return false;
  d->start = start;
  char *bytes = reserve(d->bytes, &d->room, d->used + length + 1, 1);
  if (!bytes) return false;
  d->bytes = bytes;
  memcpy(bytes + d->used, text, (size_t)length);
  bytes[d->used + length] = '\0';
  start[d->count] = d->used;
  d->used += length + 1;
  return true;
}

static bool same_text(const job_dictionary *d, int64_t code, const char *text, int64_t length) {
  const char *kept = job_dictionary_text(d, code);
  return strncmp(kept, text, (size_t)length) == 0 && kept[length] == '\0';
}

/* Code of a value, a new one where it was not there; -1 when memory is out. text is NULL for int64. */
static int64_t find_or_add(job_dictionary *d, uint64_t hash, const char *text, int64_t length) {
  uint64_t at = hash & d->mask;
  for (; d->slots[at].code1; at = (at + 1) & d->mask)
    if (d->slots[at].hash == hash && (!text || same_text(d, d->slots[at].code1 - 1, text, length)))
      return d->slots[at].code1 - 1;
  if (text && !keep_text(d, text, length)) return -1;
  d->slots[at] = (slot){hash, ++d->count};
  if ((uint64_t)d->count * 2 > d->mask && !grow_slots(d)) return -1;
  return d->count - 1;
}

/* Count without codes. */
static rdd_status count_int64(job_dictionary *d, const int64_t *value, int64_t rows, rdd_err *err) {
  for (int64_t i = 0; i < rows; i++) {
    uint64_t x = (uint64_t)value[i];
    if (x < SMALL) {
      d->small_count += ~d->small[x / 64] >> x % 64 & 1;
      d->small[x / 64] |= UINT64_C(1) << x % 64;
    } else if (i == 0 || value[i] != value[i - 1]) { /* a user's ratings stand together */
      if (find_or_add(d, rdd_mix64(x), NULL, 0) < 0)
        return rdd_set(err, RDD_ENOMEM, "out of memory for a dictionary");
    }
  }
  return RDD_OK;
}

static rdd_status add_int64(job_dictionary *d, const int64_t *value, int64_t rows,
                            int64_t *code_out, rdd_err *err) {
  for (int64_t i = 0; i < rows; i++) {
    bool again = i > 0 && value[i] == value[i - 1];
    code_out[i] = again ? code_out[i - 1] : find_or_add(d, rdd_mix64((uint64_t)value[i]), NULL, 0);
    if (code_out[i] < 0) return rdd_set(err, RDD_ENOMEM, "out of memory for a dictionary");
  }
  return RDD_OK;
}

static rdd_status add_utf8(job_dictionary *d, const rdd_column *column, int64_t rows,
                           int64_t *code_out, rdd_err *err) {
  for (int64_t i = 0; i < rows; i++) {
    const char *text = (const char *)column->values + column->offsets[i];
    int64_t length = column->offsets[i + 1] - column->offsets[i];
    if (memchr(text, '\0', (size_t)length))
      return rdd_set(err, RDD_EDATA,
                     "the text that begins \"%.40s\" has a NUL byte in it; remove it "
                     "from the input",
                     text);
    int64_t code = find_or_add(d, rdd_hash_bytes(text, (size_t)length), text, length);
    if (code < 0) return rdd_set(err, RDD_ENOMEM, "out of memory for a dictionary");
    if (code_out) code_out[i] = code;
  }
  return RDD_OK;
}

rdd_status job_dictionary_add(job_dictionary *d, const rdd_column *column, int64_t rows,
                              int64_t *code_out, rdd_err *err) {
  if (d->type == RDD_UTF8) return add_utf8(d, column, rows, code_out, err);
  return code_out ? add_int64(d, column->values, rows, code_out, err)
                  : count_int64(d, column->values, rows, err);
}
