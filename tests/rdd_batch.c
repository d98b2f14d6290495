/* Segments: what is appended comes back, aligned, from a heap and from a memory file alike; what is
 * damaged is refused. */
#include "rdd/batch.h"
#include "rdd/memory.h"
#include "tests/testkit.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROWS = 5 };

static const int64_t LONGS[ROWS] = {1, -2, INT64_MAX, INT64_MIN, 0};
static const int32_t INTS[ROWS] = {5, 4, 3, 2, -1};
static const float FLOATS[ROWS] = {.5f, -1.5f, 0, 1e30f, 4};
static const double DOUBLES[ROWS] = {.1, .2, .3, -1e300, 5};
static const char TEXT[] = "..oneéthreefour"; /* "one", "", "é", "three", "four" from byte 2 */
static const int32_t OFFSETS[ROWS + 1] = {2, 5, 5, 7, 12, 16};

static void release_heap(void *bytes, size_t size) {
  (void)size;
  rdd_free(bytes);
}

static rdd_schema all_types(void) {
  rdd_schema schema = {0};
  rdd_schema_add(&schema, "l", RDD_INT64);
  rdd_schema_add(&schema, "i", RDD_INT32);
  rdd_schema_add(&schema, "f", RDD_FLOAT32);
  rdd_schema_add(&schema, "d", RDD_FLOAT64);
  rdd_schema_add(&schema, "s", RDD_UTF8);
  return schema;
}

static rdd_batch five_rows(void) {
  return (rdd_batch){.rows = ROWS,
                     .column = {{.values = LONGS},
                                {.values = INTS},
                                {.values = FLOATS},
                                {.values = DOUBLES},
                                {.values = TEXT, .offsets = OFFSETS}}};
}

/* rows [begin, begin + n) of the batch above, without a copy: utf8 offsets start above 0 */
static rdd_batch slice(int64_t begin, int64_t n) {
  return (rdd_batch){.rows = n,
                     .column = {{.values = LONGS + begin},
                                {.values = INTS + begin},
                                {.values = FLOATS + begin},
                                {.values = DOUBLES + begin},
                                {.values = TEXT, .offsets = OFFSETS + begin}}};
}

static void check_rows(const rdd_batch *b, int64_t begin, int64_t n) {
  size_t rows = (size_t)n;
  TK_CHECK(b->rows == n);
  TK_CHECK(memcmp(b->column[0].values, LONGS + begin, rows * 8) == 0);
  TK_CHECK(memcmp(b->column[1].values, INTS + begin, rows * 4) == 0);
  TK_CHECK(memcmp(b->column[2].values, FLOATS + begin, rows * 4) == 0);
  TK_CHECK(memcmp(b->column[3].values, DOUBLES + begin, rows * 8) == 0);
  const int32_t *offsets = b->column[4].offsets;
  TK_CHECK(offsets[0] == 0);
  for (int64_t i = 0; i <= n; i++) TK_CHECK(offsets[i] == OFFSETS[begin + i] - OFFSETS[begin]);
  TK_CHECK(memcmp(b->column[4].values, TEXT + OFFSETS[begin], (size_t)offsets[n]) == 0);
  for (int c = 0; c < 5; c++) TK_CHECK((uintptr_t)b->column[c].values % 64 == 0);
  TK_CHECK((uintptr_t)offsets % 64 == 0);
}

/* Append all rows, none, and two slices; returns the size of the segment. */
static size_t write_three(int fd, void **bytes_out) {
  rdd_schema schema = all_types();
  rdd_segment *segment = NULL;
  rdd_err err;
  size_t size = 0;
  rdd_batch batch = five_rows(), none = {0}, middle = slice(1, 3), last = slice(4, 1);
  TK_OK(rdd_segment_new(&segment, &schema, fd, &err), &err);
  TK_OK(rdd_segment_append(segment, &batch, &err), &err);
  TK_OK(rdd_segment_append(segment, &none, &err), &err);
  TK_OK(rdd_segment_append(segment, &middle, &err), &err);
  TK_OK(rdd_segment_append(segment, &last, &err), &err);
  TK_OK(rdd_segment_finish(segment, bytes_out, &size, &err), &err);
  rdd_segment_free(segment);
  return size;
}

static void heap_round_trip(void) {
  rdd_schema schema = all_types();
  rdd_part part = {0};
  rdd_err err;
  void *bytes = NULL;
  size_t size = write_three(-1, &bytes);
  TK_CHECK(size % 64 == 0);
  if (TK_OK(rdd_part_open(&part, &schema, bytes, size, release_heap, &err), &err)) {
    TK_CHECK(part.rows == 9 && part.batches == 3 && part.size == size);
    check_rows(&part.batch[0], 0, 5);
    check_rows(&part.batch[1], 1, 3);
    check_rows(&part.batch[2], 4, 1);
  }
  rdd_part_close(&part);
  rdd_part_close(&part); /* closed twice is closed */
}

static void file_has_the_bytes_of_the_heap(void) {
  void *heap = NULL, *none = &heap;
  size_t size = write_three(-1, &heap);
  int fd = memfd_create("test", MFD_CLOEXEC);
  TK_CHECK(write_three(fd, &none) == size && none == NULL);
  struct stat st;
  TK_CHECK(fstat(fd, &st) == 0 && (size_t)st.st_size == size);
  void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
  TK_CHECK(map != MAP_FAILED && memcmp(map, heap, size) == 0);
  munmap(map, size);
  close(fd);
  rdd_free(heap);
}

static void empty_segment_is_valid(void) {
  rdd_schema schema = all_types();
  rdd_segment *segment = NULL;
  rdd_part part = {0};
  rdd_err err;
  void *bytes = NULL;
  size_t size = 0;
  TK_OK(rdd_segment_new(&segment, &schema, -1, &err), &err);
  TK_OK(rdd_segment_finish(segment, &bytes, &size, &err), &err);
  rdd_segment_free(segment);
  if (TK_OK(rdd_part_open(&part, &schema, bytes, size, release_heap, &err), &err))
    TK_CHECK(part.rows == 0 && part.batches == 0);
  rdd_part_close(&part);
}

static void sent_segment_opens_elsewhere(void) {
  rdd_schema schema = all_types();
  rdd_part part = {0};
  rdd_err err;
  void *bytes = NULL;
  size_t size = write_three(-1, &bytes);
  char *two = rdd_alloc(2, size); /* end to end, as an exchange leaves them */
  memcpy(two, bytes, size);
  memcpy(two + size, bytes, size);
  if (TK_OK(rdd_part_open(&part, &schema, two + size, size, NULL, &err), &err))
    check_rows(&part.batch[1], 1, 3);
  rdd_part_close(&part);
  rdd_free(two);
  rdd_free(bytes);
}

static void damage_is_refused(void) {
  rdd_schema schema = all_types(), other = {0};
  rdd_schema_add(&other, "l", RDD_INT64);
  rdd_part part = {0};
  rdd_err err;
  void *bytes = NULL;
  size_t size = write_three(-1, &bytes);
  TK_CHECK(rdd_part_open(&part, &schema, bytes, size - 64, NULL, &err) == RDD_EINTERNAL);
  TK_CHECK(rdd_part_open(&part, &schema, bytes, 0, NULL, &err) == RDD_EINTERNAL);
  TK_CHECK(rdd_part_open(&part, &other, bytes, size, NULL, &err) == RDD_EINTERNAL);
  /* every word of the headers and offsets in turn; the values themselves may be anything */
  int64_t *word = bytes;
  static const int64_t evil[] = {-1, INT64_MAX, INT64_MIN, 1 << 20};
  for (int w = 0; w < 8 + 6; w++) {
    if (w >= 5 && w < 8) continue; /* not used */
    for (int e = 0; e < 4; e++) {
      int64_t kept = word[w];
      word[w] = evil[e];
      bool refused = rdd_part_open(&part, &schema, bytes, size, NULL, &err) == RDD_EINTERNAL;
      if (!refused) {
        char text[80];
        snprintf(text, sizeof text, "word %d set to %lld is refused", w, (long long)evil[e]);
        tk_check(false, text, __FILE__, __LINE__);
        rdd_part_close(&part);
      }
      word[w] = kept;
    }
  }
  TK_OK(rdd_part_open(&part, &schema, bytes, size, release_heap, &err), &err);
  rdd_part_close(&part);
}

/* A part that is read through `bytes`; both are the caller's. */
static rdd_part three_batches(char **bytes_out) {
  rdd_schema schema = all_types();
  rdd_part part = {0};
  rdd_err err;
  void *bytes = NULL;
  size_t size = write_three(-1, &bytes);
  TK_OK(rdd_part_open(&part, &schema, bytes, size, release_heap, &err), &err);
  TK_OK(rdd_part_verify(&part, &err), &err);
  *bytes_out = bytes;
  return part;
}

/* Wherever it is, sizes and padding too; and piece by piece it is found where it is. */
static void every_changed_bit_is_found(void) {
  char *bytes;
  rdd_part part = three_batches(&bytes);
  rdd_err err;
  int64_t piece[5] = {0}, pieces = 0;
  for (int64_t at = 0; at < (int64_t)part.size && pieces < 5;) {
    piece[pieces++] = at;
    if (!TK_OK(rdd_part_verify_next(&part, &at, &err), &err)) break;
  }
  TK_CHECK(pieces == 4); /* the header and three batches */
  size_t missed = 0, misplaced = 0;
  for (size_t i = 0; i < part.size; i++) {
    bytes[i] ^= (char)(1 << i % 8);
    missed += rdd_part_verify(&part, &err) != RDD_EIO;
    for (int p = 0; p < 4; p++) {
      int64_t at = piece[p], end = p < 3 ? piece[p + 1] : (int64_t)part.size;
      bool here = (int64_t)i >= at && (int64_t)i < end;
      rdd_status st = rdd_part_verify_next(&part, &at, &err);
      misplaced += here ? st != RDD_EIO || at != piece[p] : st != RDD_OK || at != end;
    }
    bytes[i] ^= (char)(1 << i % 8);
  }
  TK_CHECK(missed == 0);
  TK_CHECK(misplaced == 0);
  rdd_part_close(&part);
}

static void batches_that_changed_places_are_found(void) {
  enum { N = 1000 };
  static int64_t values[2][N];
  rdd_schema schema = {0};
  rdd_schema_add(&schema, "l", RDD_INT64);
  rdd_segment *segment = NULL;
  rdd_part part = {0};
  rdd_err err;
  void *bytes = NULL, *first = NULL;
  size_t size = 0;
  TK_OK(rdd_segment_new(&segment, &schema, -1, &err), &err);
  for (int b = 0; b < 2; b++) {
    for (int i = 0; i < N; i++) values[b][i] = 10 * i + b;
    rdd_batch batch = {.rows = N, .column = {{.values = values[b]}}};
    TK_OK(rdd_segment_append(segment, &batch, &err), &err);
  }
  TK_OK(rdd_segment_finish(segment, &bytes, &size, &err), &err);
  rdd_segment_free(segment);
  TK_OK(rdd_part_open(&part, &schema, bytes, size, release_heap, &err), &err);
  TK_OK(rdd_part_verify(&part, &err), &err);
  size_t head = 64, record = (size - head) / 2;
  first = rdd_alloc(record, 1);
  memcpy(first, (char *)bytes + head, record);
  memmove((char *)bytes + head, (char *)bytes + head + record, record);
  memcpy((char *)bytes + head + record, first, record);
  TK_CHECK(rdd_part_verify(&part, &err) == RDD_EIO);
  TK_CHECK(strstr(err.message, "at byte 64 is") != NULL);
  rdd_free(first);
  rdd_part_close(&part);
}

static void bad_batches_are_refused(void) {
  rdd_schema schema = {0};
  rdd_schema_add(&schema, "s", RDD_UTF8);
  rdd_schema_add(&schema, "d", RDD_FLOAT64);
  const int32_t falling[] = {0, 3, 2};
  rdd_batch no_offsets = {.rows = 2, .column = {{.values = TEXT}, {.values = DOUBLES}}};
  rdd_batch fell = {.rows = 2, .column = {{TEXT, falling}, {.values = DOUBLES}}};
  rdd_batch no_values = {.rows = 2, .column = {{TEXT, OFFSETS}, {0}}};
  rdd_batch good = {.rows = 2, .column = {{TEXT, OFFSETS}, {.values = DOUBLES}}};
  rdd_batch negative = {.rows = -1};
  rdd_segment *segment = NULL;
  rdd_part part = {0};
  rdd_err err;
  void *bytes = NULL;
  size_t size = 0;
  TK_OK(rdd_segment_new(&segment, &schema, -1, &err), &err);
  TK_CHECK(rdd_segment_append(segment, &no_offsets, &err) == RDD_EINTERNAL);
  TK_CHECK(rdd_segment_append(segment, &fell, &err) == RDD_EINTERNAL);
  TK_CHECK(strstr(err.message, "row 1") != NULL);
  TK_CHECK(rdd_segment_append(segment, &no_values, &err) == RDD_EINTERNAL);
  TK_CHECK(rdd_segment_append(segment, &negative, &err) == RDD_EINTERNAL);
  TK_OK(rdd_segment_append(segment, &good, &err), &err); /* and the segment is none the worse */
  TK_OK(rdd_segment_finish(segment, &bytes, &size, &err), &err);
  rdd_segment_free(segment);
  TK_OK(rdd_part_open(&part, &schema, bytes, size, release_heap, &err), &err);
  TK_CHECK(part.rows == 2 && part.batches == 1);
  rdd_part_close(&part);
}

static void long_slices_are_shifted(void) {
  enum { N = 5000 };
  static int32_t offsets[N + 1];
  static char text[N + 100];
  for (int i = 0; i <= N; i++) offsets[i] = 77 + i;
  for (int i = 0; i < N + 100; i++) text[i] = (char)('a' + i % 26);
  rdd_schema schema = {0};
  rdd_schema_add(&schema, "s", RDD_UTF8);
  rdd_segment *segment = NULL;
  rdd_part part = {0};
  rdd_err err;
  void *bytes = NULL;
  size_t size = 0;
  rdd_batch batch = {.rows = N, .column = {{text, offsets}}};
  TK_OK(rdd_segment_new(&segment, &schema, -1, &err), &err);
  TK_OK(rdd_segment_append(segment, &batch, &err), &err);
  TK_OK(rdd_segment_finish(segment, &bytes, &size, &err), &err);
  rdd_segment_free(segment);
  if (TK_OK(rdd_part_open(&part, &schema, bytes, size, release_heap, &err), &err)) {
    bool same = true;
    for (int i = 0; i <= N; i++) same &= part.batch[0].column[0].offsets[i] == i;
    TK_CHECK(same);
    TK_CHECK(memcmp(part.batch[0].column[0].values, text + 77, N) == 0);
  }
  rdd_part_close(&part);
}

static void schemas(void) {
  rdd_schema schema = all_types();
  TK_CHECK(rdd_schema_find(&schema, "d") == 3 && rdd_schema_find(&schema, "x") == -1);
  rdd_schema_add(&schema, "a name that is longer than the field", RDD_INT32);
  TK_CHECK(strlen(schema.field[5].name) == sizeof schema.field[5].name - 1);
  for (int i = 0; i < 10; i++) rdd_schema_add(&schema, "more", RDD_INT32);
  TK_CHECK(schema.columns == RDD_MAX_COLUMNS);
  TK_CHECK(rdd_type_size(RDD_INT64) == 8 && rdd_type_size(RDD_INT32) == 4);
  TK_CHECK(rdd_type_size(RDD_FLOAT32) == 4 && rdd_type_size(RDD_FLOAT64) == 8);
  TK_CHECK(rdd_type_size(RDD_UTF8) == 1 && strcmp(rdd_type_name(RDD_UTF8), "utf8") == 0);
}

static void allocations_may_fail(void) {
  rdd_schema schema = all_types();
  rdd_err err;
  for (int n = 1; n < 20; n++) {
    rdd_segment *segment = NULL;
    rdd_part part = {0};
    void *bytes = NULL;
    size_t size = 0;
    rdd_batch batch = five_rows();
    rdd_memory_fail_at(n);
    rdd_status st = rdd_segment_new(&segment, &schema, -1, &err);
    for (int i = 0; i < 20 && !st; i++) st = rdd_segment_append(segment, &batch, &err);
    if (!st) st = rdd_segment_finish(segment, &bytes, &size, &err);
    if (!st) st = rdd_part_open(&part, &schema, bytes, size, NULL, &err);
    rdd_memory_fail_at(0);
    TK_CHECK(st == RDD_OK || st == RDD_ENOMEM);
    TK_CHECK(n > 1 || st == RDD_ENOMEM);
    rdd_part_close(&part);
    rdd_free(bytes);
    rdd_segment_free(segment);
  }
}

int main(void) {
  static const tk_case cases[] = {
      {"what is appended comes back", heap_round_trip},
      {"a memory file has the bytes of the heap", file_has_the_bytes_of_the_heap},
      {"an empty segment is valid", empty_segment_is_valid},
      {"a segment that was sent opens elsewhere", sent_segment_opens_elsewhere},
      {"damage is refused", damage_is_refused},
      {"every changed bit is found", every_changed_bit_is_found},
      {"batches that changed places are found", batches_that_changed_places_are_found},
      {"bad batches are refused", bad_batches_are_refused},
      {"offsets of long slices are shifted", long_slices_are_shifted},
      {"schemas", schemas},
      {"allocations may fail", allocations_may_fail},
  };
  return tk_main("rdd_batch", cases, sizeof cases / sizeof cases[0]);
}
