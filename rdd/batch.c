/* Batches in segments. The same few lines lay a record out for the writer and for the reader:
 *
 *   segment_header                                      64 bytes
 *   batch_header                                       128 bytes   \
 *   column 0: values, padded to 64                                  | once for each batch
 *   column 1 (utf8): offsets, padded; text, padded                 /
 *   ...
 *
 * Every length is a multiple of 64, so segments can be put end to end and stay aligned. */
#include "rdd/batch.h"

#include "rdd/hash.h"
#include "rdd/memory.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ALIGNMENT = 64 };

static const uint64_t SEGMENT_MAGIC = 0x3330474553504e47; /* "GNPSEG03" */

typedef struct segment_header {
  uint64_t magic;
  uint64_t schema; /* hash of the writer's */
  int64_t size;    /* of the whole segment */
  int64_t rows, batches;
  uint64_t checksum; /* of this header as it is with 0 here */
  int64_t unused[2];
} segment_header;

typedef struct batch_header {
  int64_t rows;
  int64_t bytes[RDD_MAX_COLUMNS]; /* of values, without padding */
  int64_t size;                   /* of the record: this header and the buffers */
  uint64_t checksum;              /* of the record as it is with 0 here */
  int64_t unused[5];
} batch_header;

_Static_assert(sizeof(segment_header) == ALIGNMENT, "buffers are aligned");
_Static_assert(sizeof(batch_header) == 2 * ALIGNMENT, "buffers are aligned");

/* ---- Checksums ----
 *
 * Each record has its own, and so has the segment's header: who goes through a partition batch by
 * batch checks each while it is in the cache. Four chains of multiplications, begun with the record's
 * place, each take a quarter of every 64 bytes, so that four are under way at once. They are there
 * for damage, not against malice. */

typedef struct checksum {
  uint64_t lane[4];
} checksum;

static uint64_t fold(uint64_t a, uint64_t b) {
  unsigned __int128 product = (unsigned __int128)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static checksum sum_start(int64_t place) {
  uint64_t seed = rdd_mix64((uint64_t)place);
  return (checksum){{seed, ~seed, seed << 1 | 1, seed >> 1}};
}

static void sum_block(checksum *sum, const void *block) {
  uint64_t w[ALIGNMENT / 8];
  memcpy(w, block, sizeof w);
  sum->lane[0] = fold(w[0] ^ sum->lane[0], w[1] ^ 0xbf58476d1ce4e5b9u);
  sum->lane[1] = fold(w[2] ^ sum->lane[1], w[3] ^ 0x94d049bb133111ebu);
  sum->lane[2] = fold(w[4] ^ sum->lane[2], w[5] ^ 0xd6e8feb86659fd93u);
  sum->lane[3] = fold(w[6] ^ sum->lane[3], w[7] ^ 0xa0761d6478bd642fu);
}

/* n bytes, and zeros up to the next multiple of 64. */
static void sum_bytes(checksum *sum, const void *data, int64_t n) {
  const char *bytes = data;
  checksum s = *sum;
  for (; n >= ALIGNMENT; bytes += ALIGNMENT, n -= ALIGNMENT) sum_block(&s, bytes);
  if (n > 0) {
    char last[ALIGNMENT] = {0};
    memcpy(last, bytes, (size_t)n);
    sum_block(&s, last);
  }
  *sum = s;
}

static uint64_t sum_end(const checksum *sum) {
  const uint64_t *lane = sum->lane;
  return rdd_mix64_2(rdd_mix64_2(lane[0], lane[1]), rdd_mix64_2(lane[2], lane[3]));
}

struct rdd_segment {
  rdd_schema schema;
  int fd;       /* memory file, or -1 */
  char *heap;   /* without a file */
  int64_t room; /* bytes of heap */
  segment_header head;
  checksum sum; /* of the record at hand */
};

size_t rdd_type_size(rdd_type type) {
  static const size_t size[] = {
      [RDD_INT64] = 8, [RDD_INT32] = 4, [RDD_FLOAT32] = 4, [RDD_FLOAT64] = 8, [RDD_UTF8] = 1};
  return size[type];
}

const char *rdd_type_name(rdd_type type) {
  static const char *const name[] = {[RDD_INT64] = "int64",
                                     [RDD_INT32] = "int32",
                                     [RDD_FLOAT32] = "float32",
                                     [RDD_FLOAT64] = "float64",
                                     [RDD_UTF8] = "utf8"};
  return name[type];
}

void rdd_schema_add(rdd_schema *schema, const char *name, rdd_type type) {
  if (schema->columns >= RDD_MAX_COLUMNS) return;
  rdd_field *field = &schema->field[schema->columns++];
  snprintf(field->name, sizeof field->name, "%s", name);
  field->type = type;
}

int rdd_schema_find(const rdd_schema *schema, const char *name) {
  for (int c = 0; c < schema->columns; c++)
    if (strcmp(schema->field[c].name, name) == 0) return c;
  return -1;
}

static uint64_t schema_hash(const rdd_schema *schema) {
  uint64_t hash = rdd_mix64((uint64_t)schema->columns);
  for (int c = 0; c < schema->columns; c++) {
    const rdd_field *field = &schema->field[c];
    hash = rdd_mix64_2(hash, rdd_hash_bytes(field->name, strlen(field->name)));
    hash = rdd_mix64_2(hash, (uint64_t)field->type);
  }
  return hash;
}

static int64_t padded(int64_t bytes) {
  return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static int64_t offset_bytes(int64_t rows) {
  return (rows + 1) * (int64_t)sizeof(int32_t);
}

static int64_t record_bytes(const rdd_schema *schema, const batch_header *head) {
  int64_t bytes = sizeof *head;
  for (int c = 0; c < schema->columns; c++) {
    if (schema->field[c].type == RDD_UTF8) bytes += padded(offset_bytes(head->rows));
    bytes += padded(head->bytes[c]);
  }
  return bytes;
}

/* The checksum that a header should have. */
static uint64_t header_sum(segment_header head) {
  checksum sum = sum_start(0);
  head.checksum = 0;
  sum_bytes(&sum, &head, sizeof head);
  return sum_end(&sum);
}

static checksum record_start(batch_header head, int64_t at) {
  checksum sum = sum_start(at);
  head.checksum = 0;
  sum_bytes(&sum, &head, sizeof head);
  return sum;
}

/* Compare the header. */
static bool header_matches(const rdd_part *part, uint64_t *found, uint64_t *said) {
  segment_header head;
  memcpy(&head, part->bytes, sizeof head);
  *said = head.checksum;
  *found = header_sum(head);
  return *found == *said;
}

/* Compare the record at byte `at`; its size may be damaged too. */
static bool record_matches(const rdd_part *part, int64_t at, int64_t *size, uint64_t *found,
                           uint64_t *said) {
  const char *bytes = (const char *)part->bytes + at;
  int64_t left = (int64_t)part->size - at;
  batch_header head = {0};
  *size = left;
  *found = *said = 0;
  if (left < (int64_t)sizeof head) return false;
  memcpy(&head, bytes, sizeof head);
  *said = head.checksum;
  if (head.size < (int64_t)sizeof head || head.size > left) return false;
  *size = head.size;
  checksum sum = record_start(head, at);
  sum_bytes(&sum, bytes + sizeof head, head.size - (int64_t)sizeof head);
  *found = sum_end(&sum);
  return *found == *said;
}

rdd_status rdd_part_verify_next(const rdd_part *part, int64_t *at, rdd_err *err) {
  int64_t size = sizeof(segment_header);
  uint64_t found, said;
  bool whole = *at == 0 ? header_matches(part, &found, &said)
                        : record_matches(part, *at, &size, &found, &said);
  if (!whole)
    return rdd_set(
        err, RDD_EIO,
        "a partition of %zu bytes is damaged: the checksum of %lld bytes at byte %lld is "
        "%016llx, not %016llx",
        part->size, (long long)size, (long long)*at, (unsigned long long)found,
        (unsigned long long)said);
  *at += size;
  return RDD_OK;
}

rdd_status rdd_part_verify(const rdd_part *part, rdd_err *err) {
  rdd_status st = RDD_OK;
  for (int64_t at = 0; at < (int64_t)part->size && !st;) st = rdd_part_verify_next(part, &at, err);
  return st;
}

/* ---- Reading ---- */

static bool header_is_whole(const rdd_schema *schema, const void *bytes, size_t size) {
  const segment_header *head = bytes;
  return size >= sizeof *head && (uintptr_t)bytes % ALIGNMENT == 0 &&
         head->magic == SEGMENT_MAGIC && head->schema == schema_hash(schema) &&
         (uint64_t)head->size == size && head->rows >= 0 && head->batches >= 0 &&
         (uint64_t)head->batches <= size / sizeof(batch_header);
}

/* Is there a whole record in the next `left` bytes? Bounds first, so that no sum can overflow. */
static bool record_is_whole(const rdd_schema *schema, const batch_header *head, int64_t left) {
  if (left < (int64_t)sizeof *head || head->rows <= 0 || head->rows > left) return false;
  for (int c = 0; c < schema->columns; c++) {
    rdd_type type = schema->field[c].type;
    if (head->bytes[c] < 0 || head->bytes[c] > left) return false;
    if (type != RDD_UTF8 && head->bytes[c] != head->rows * (int64_t)rdd_type_size(type))
      return false;
  }
  return head->size <= left && head->size == record_bytes(schema, head);
}

/* Point a batch into its record; false where offsets and text do not fit together. */
static bool view_record(const rdd_schema *schema, const batch_header *head, rdd_batch *batch) {
  const char *at = (const char *)(head + 1);
  batch->rows = head->rows;
  for (int c = 0; c < schema->columns; c++) {
    if (schema->field[c].type == RDD_UTF8) {
      const int32_t *offsets = (const int32_t *)at;
      if (offsets[0] != 0 || offsets[head->rows] != head->bytes[c]) return false;
      batch->column[c].offsets = offsets;
      at += padded(offset_bytes(head->rows));
    }
    batch->column[c].values = at;
    at += padded(head->bytes[c]);
  }
  return true;
}

rdd_status rdd_part_open(rdd_part *part, const rdd_schema *schema, const void *bytes, size_t size,
                         void (*release)(void *, size_t), rdd_err *err) {
  if (!header_is_whole(schema, bytes, size))
    return rdd_set(err, RDD_EINTERNAL,
                   "segment of %zu bytes has no header of its schema and size: it was cut short or "
                   "written for other columns",
                   size);
  const segment_header *head = bytes;
  rdd_batch *batch = rdd_calloc((size_t)head->batches, sizeof *batch);
  if (!batch)
    return rdd_set(err, RDD_ENOMEM, "no memory for the views of %lld batches",
                   (long long)head->batches);
  int64_t at = sizeof *head, rows = 0, b = 0;
  for (; b < head->batches; b++) {
    const batch_header *record = (const void *)((const char *)bytes + at);
    if (!record_is_whole(schema, record, head->size - at)) break;
    if (!view_record(schema, record, &batch[b])) break;
    rows += record->rows;
    at += record->size;
  }
  if (b < head->batches || rows != head->rows || at != head->size) {
    rdd_free(batch);
    return rdd_set(err, RDD_EINTERNAL,
                   "segment of %zu bytes is not whole: batch %lld of %lld at byte %lld is damaged",
                   size, (long long)b, (long long)head->batches, (long long)at);
  }
  *part = (rdd_part){
      .bytes = bytes, .size = size, .rows = rows, .batches = b, .batch = batch, .release = release};
  return RDD_OK;
}

void rdd_part_close(rdd_part *part) {
  if (part->release) part->release((void *)(uintptr_t)part->bytes, part->size);
  rdd_free(part->batch);
  *part = (rdd_part){0};
}

/* ---- Writing ---- */

rdd_status rdd_segment_new(rdd_segment **out, const rdd_schema *schema, int fd, rdd_err *err) {
  rdd_segment *segment = rdd_calloc(1, sizeof *segment);
  if (!segment) return rdd_set(err, RDD_ENOMEM, "no memory for a segment writer");
  segment->schema = *schema;
  segment->fd = fd;
  segment->head.magic = SEGMENT_MAGIC;
  segment->head.schema = schema_hash(schema);
  segment->head.size = sizeof segment->head;
  *out = segment;
  return RDD_OK;
}

void rdd_segment_free(rdd_segment *segment) {
  if (segment) rdd_free(segment->heap);
  rdd_free(segment);
}

/* Make the heap hold `size` bytes; a file grows by being written. */
static rdd_status reserve(rdd_segment *segment, int64_t size, rdd_err *err) {
  if (segment->fd >= 0 || size <= segment->room) return RDD_OK;
  int64_t room = segment->room ? segment->room : 4096;
  while (room < size) room *= 2;
  char *heap = rdd_realloc(segment->heap, (size_t)room, 1);
  if (!heap)
    return rdd_set(err, RDD_ENOMEM, "no memory for a segment of %lld bytes", (long long)room);
  segment->heap = heap;
  segment->room = room;
  return RDD_OK;
}

/* pwrite and not a mapping: where memory is out this is an error, there it would be SIGBUS. And it is
 * faster: what comes from a task's scratch is in the cache still, and a new page that is written
 * whole is neither cleared nor faulted in first. */
static rdd_status put_file(const rdd_segment *segment, int64_t at, const char *data, int64_t n,
                           rdd_err *err) {
  while (n > 0) {
    ssize_t wrote = pwrite(segment->fd, data, (size_t)n, at);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) {
      bool full = wrote == 0 || errno == ENOSPC || errno == ENOMEM;
      return rdd_set(err, full ? RDD_ENOMEM : RDD_EIO,
                     "cannot write byte %lld of a partition to its memory file: %s", (long long)at,
                     wrote == 0 ? "nothing was written" : strerror(errno));
    }
    data += wrote;
    at += wrote;
    n -= wrote;
  }
  return RDD_OK;
}

static rdd_status put(rdd_segment *segment, int64_t at, const void *data, int64_t n, rdd_err *err) {
  if (segment->fd >= 0) return put_file(segment, at, data, n, err);
  if (n > 0) memcpy(segment->heap + at, data, (size_t)n);
  memset(segment->heap + at + n, 0, (size_t)(padded(n) - n)); /* a file has zeros there anyway */
  return RDD_OK;
}

/* The same, into the checksum of the record too: its buffers come in their order. */
static rdd_status put_summed(rdd_segment *segment, int64_t at, const void *data, int64_t n,
                             rdd_err *err) {
  sum_bytes(&segment->sum, data, n);
  return put(segment, at, data, n, err);
}

/* Offsets are stored from zero; those of a slice start higher and are shifted piece by piece. */
static rdd_status put_offsets(rdd_segment *segment, int64_t at, const int32_t *offsets, int64_t n,
                              rdd_err *err) {
  int32_t base = offsets[0], piece[1024];
  if (base == 0) return put_summed(segment, at, offsets, n * (int64_t)sizeof *offsets, err);
  const int64_t room = sizeof piece / sizeof piece[0];
  rdd_status st = RDD_OK;
  for (int64_t i = 0; i < n && !st; i += room) {
    int64_t take = n - i < room ? n - i : room;
    for (int64_t j = 0; j < take; j++) piece[j] = offsets[i + j] - base;
    st = put_summed(segment, at + i * (int64_t)sizeof *piece, piece, take * (int64_t)sizeof *piece,
                    err);
  }
  return st;
}

/* The bytes of each column; refuses what a function must not hand down the chain. */
static rdd_status measure(const rdd_schema *schema, const rdd_batch *batch, batch_header *head,
                          rdd_err *err) {
  if (batch->rows < 0 || batch->rows > INT64_MAX / 128)
    return rdd_set(err, RDD_EINTERNAL, "batch of %lld rows", (long long)batch->rows);
  *head = (batch_header){.rows = batch->rows};
  for (int c = 0; c < schema->columns; c++) {
    const rdd_field *field = &schema->field[c];
    const rdd_column *column = &batch->column[c];
    const int32_t *offsets = column->offsets;
    head->bytes[c] = batch->rows * (int64_t)rdd_type_size(field->type);
    if (field->type == RDD_UTF8) {
      if (!offsets || offsets[0] < 0)
        return rdd_set(err, RDD_EINTERNAL, "utf8 column %s of a batch has no valid offsets",
                       field->name);
      for (int64_t i = 0; i < batch->rows; i++)
        if (offsets[i + 1] < offsets[i])
          return rdd_set(err, RDD_EINTERNAL,
                         "utf8 column %s of a batch: offset %d of row %lld is below its "
                         "predecessor %d",
                         field->name, offsets[i + 1], (long long)i, offsets[i]);
      head->bytes[c] = (int64_t)offsets[batch->rows] - offsets[0];
    }
    if (head->bytes[c] > 0 && !column->values)
      return rdd_set(err, RDD_EINTERNAL, "column %s of a batch of %lld rows has no values",
                     field->name, (long long)batch->rows);
  }
  return RDD_OK;
}

/* The buffers of a record, from byte `at` on. */
static rdd_status put_columns(rdd_segment *segment, int64_t at, const rdd_batch *batch,
                              const batch_header *head, rdd_err *err) {
  const rdd_schema *schema = &segment->schema;
  rdd_status st = RDD_OK;
  for (int c = 0; c < schema->columns && !st; c++) {
    const rdd_column *column = &batch->column[c];
    const char *values = column->values;
    if (schema->field[c].type == RDD_UTF8) {
      st = put_offsets(segment, at, column->offsets, batch->rows + 1, err);
      at += padded(offset_bytes(batch->rows));
      if (values) values += column->offsets[0];
    }
    if (!st) st = put_summed(segment, at, values, head->bytes[c], err);
    at += padded(head->bytes[c]);
  }
  return st;
}

rdd_status rdd_segment_append(rdd_segment *segment, const rdd_batch *batch, rdd_err *err) {
  if (batch->rows == 0) return RDD_OK;
  const rdd_schema *schema = &segment->schema;
  batch_header head;
  rdd_status st = measure(schema, batch, &head, err);
  if (st) return st;
  int64_t at = segment->head.size;
  head.size = record_bytes(schema, &head);
  st = reserve(segment, at + head.size, err);
  if (st) return st;
  segment->sum = record_start(head, at);
  st = put_columns(segment, at + (int64_t)sizeof head, batch, &head, err);
  head.checksum = sum_end(&segment->sum);
  if (!st) st = put(segment, at, &head, sizeof head, err);
  if (st) { /* the segment is as it was: what was written lies behind its end */
    if (segment->fd >= 0 && ftruncate(segment->fd, at) != 0)
      return rdd_set(err, RDD_EIO, "cannot take a batch off a memory file: %s", strerror(errno));
    return st;
  }
  segment->head.size = at + head.size;
  segment->head.rows += batch->rows;
  segment->head.batches++;
  return RDD_OK;
}

rdd_status rdd_segment_finish(rdd_segment *segment, void **bytes_out, size_t *size_out,
                              rdd_err *err) {
  segment_header *head = &segment->head;
  rdd_status st = reserve(segment, head->size, err);
  if (st) return st;
  head->checksum = header_sum(*head);
  st = put(segment, 0, head, sizeof *head, err);
  if (st) return st;
  if (segment->fd >= 0 && ftruncate(segment->fd, head->size) != 0)
    return rdd_set(err, RDD_EIO, "cannot set the size of a memory file to %lld bytes: %s",
                   (long long)head->size, strerror(errno));
  if (segment->fd < 0) {
    char *trimmed = rdd_realloc(segment->heap, (size_t)head->size, 1);
    *bytes_out = trimmed ? trimmed : segment->heap;
    segment->heap = NULL;
    segment->room = 0;
  } else if (bytes_out) {
    *bytes_out = NULL;
  }
  *size_out = (size_t)head->size;
  return RDD_OK;
}
