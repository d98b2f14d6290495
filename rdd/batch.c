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

static const uint64_t SEGMENT_MAGIC = 0x3230474553504e47; /* "GNPSEG02" */

typedef struct segment_header {
  uint64_t magic;
  uint64_t schema; /* hash of the writer's */
  int64_t size;    /* of the whole segment */
  int64_t rows, batches;
  uint64_t checksum; /* of the segment as it is with 0 here */
  int64_t unused[2];
} segment_header;

typedef struct batch_header {
  int64_t rows;
  int64_t bytes[RDD_MAX_COLUMNS]; /* of values, without padding */
  int64_t unused[7];
} batch_header;

_Static_assert(sizeof(segment_header) == ALIGNMENT, "buffers are aligned");
_Static_assert(sizeof(batch_header) == 2 * ALIGNMENT, "buffers are aligned");

struct rdd_segment {
  rdd_schema schema;
  int fd;       /* memory file, or -1 */
  char *heap;   /* without a file */
  int64_t room; /* bytes of heap */
  segment_header head;
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

/* ---- The checksum ----
 *
 * A sum over blocks of 64 bytes, each folded with its place, so that it can be made piece by piece
 * while a segment is written, and at the speed of memory. It is there for damage, not against
 * malice. */

static uint64_t fold(uint64_t a, uint64_t b) {
  unsigned __int128 product = (unsigned __int128)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t sum_block(const void *block, uint64_t place) {
  uint64_t w[ALIGNMENT / 8], h = (place + 1) * 0x9e3779b97f4a7c15u;
  memcpy(w, block, sizeof w);
  return fold(w[0] ^ h, w[1] ^ 0xbf58476d1ce4e5b9u) + fold(w[2] ^ ~h, w[3] ^ 0x94d049bb133111ebu) +
         fold(w[4] ^ (h << 1), w[5] ^ 0xd6e8feb86659fd93u) +
         fold(w[6] ^ (h >> 1), w[7] ^ 0xa0761d6478bd642fu);
}

/* Of n bytes that lie at byte `at` of the segment, a multiple of 64, and zeros up to the next
 * one. */
static uint64_t sum_bytes(const void *data, int64_t n, int64_t at) {
  const char *bytes = data;
  uint64_t sum = 0, place = (uint64_t)at / ALIGNMENT;
  for (; n >= ALIGNMENT; bytes += ALIGNMENT, n -= ALIGNMENT) sum += sum_block(bytes, place++);
  if (n <= 0) return sum;
  char last[ALIGNMENT] = {0};
  memcpy(last, bytes, (size_t)n);
  return sum + sum_block(last, place);
}

rdd_status rdd_part_verify(const rdd_part *part, rdd_err *err) {
  segment_header head;
  memcpy(&head, part->bytes, sizeof head);
  uint64_t said = head.checksum, at = sizeof head;
  head.checksum = 0;
  uint64_t found = sum_bytes(&head, sizeof head, 0) + sum_bytes((const char *)part->bytes + at,
                                                                (int64_t)(part->size - at),
                                                                (int64_t)at);
  if (found == said) return RDD_OK;
  return rdd_set(err, RDD_EIO,
                 "a partition of %zu bytes is damaged: its checksum is %016llx, not %016llx",
                 part->size, (unsigned long long)found, (unsigned long long)said);
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
  return record_bytes(schema, head) <= left;
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
    at += record_bytes(schema, record);
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

/* pwrite and not a mapping: where memory is out this is an error, there it would be SIGBUS. */
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
  if (at > 0) segment->head.checksum += sum_bytes(data, n, at);
  if (segment->fd >= 0) return put_file(segment, at, data, n, err);
  if (n > 0) memcpy(segment->heap + at, data, (size_t)n);
  memset(segment->heap + at + n, 0, (size_t)(padded(n) - n)); /* a file has zeros there anyway */
  return RDD_OK;
}

/* Offsets are stored from zero; those of a slice start higher and are shifted piece by piece. */
static rdd_status put_offsets(rdd_segment *segment, int64_t at, const int32_t *offsets, int64_t n,
                              rdd_err *err) {
  int32_t base = offsets[0], piece[1024];
  if (base == 0) return put(segment, at, offsets, n * (int64_t)sizeof *offsets, err);
  const int64_t room = sizeof piece / sizeof piece[0];
  rdd_status st = RDD_OK;
  for (int64_t i = 0; i < n && !st; i += room) {
    int64_t take = n - i < room ? n - i : room;
    for (int64_t j = 0; j < take; j++) piece[j] = offsets[i + j] - base;
    st = put(segment, at + i * (int64_t)sizeof *piece, piece, take * (int64_t)sizeof *piece, err);
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

rdd_status rdd_segment_append(rdd_segment *segment, const rdd_batch *batch, rdd_err *err) {
  if (batch->rows == 0) return RDD_OK;
  const rdd_schema *schema = &segment->schema;
  batch_header head;
  rdd_status st = measure(schema, batch, &head, err);
  int64_t at = segment->head.size, end = st ? at : at + record_bytes(schema, &head);
  uint64_t checksum = segment->head.checksum;
  if (!st) st = reserve(segment, end, err);
  if (!st) st = put(segment, at, &head, sizeof head, err);
  at += (int64_t)sizeof head;
  for (int c = 0; c < schema->columns && !st; c++) {
    const rdd_column *column = &batch->column[c];
    const char *values = column->values;
    if (schema->field[c].type == RDD_UTF8) {
      st = put_offsets(segment, at, column->offsets, batch->rows + 1, err);
      at += padded(offset_bytes(batch->rows));
      if (values) values += column->offsets[0];
    }
    if (!st) st = put(segment, at, values, head.bytes[c], err);
    at += padded(head.bytes[c]);
  }
  if (st) { /* the segment is as it was: what was written lies behind its end */
    segment->head.checksum = checksum;
    if (segment->fd >= 0 && ftruncate(segment->fd, segment->head.size) != 0)
      return rdd_set(err, RDD_EIO, "cannot take a batch off a memory file: %s", strerror(errno));
    return st;
  }
  segment->head.size = end;
  segment->head.rows += batch->rows;
  segment->head.batches++;
  return RDD_OK;
}

rdd_status rdd_segment_finish(rdd_segment *segment, void **bytes_out, size_t *size_out,
                              rdd_err *err) {
  segment_header *head = &segment->head;
  rdd_status st = reserve(segment, head->size, err);
  if (st) return st;
  uint64_t body = head->checksum;
  head->checksum = 0;
  head->checksum = body + sum_bytes(head, sizeof *head, 0);
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
