/* Chunks that are filtered outside HDF5, against HDF5's own filters; and the threads that do it. */
#include "jobs/h5.h"
#include "jobs/h5_chunk.h"
#include "jobs/threads.h"
#include "rdd/hash.h"
#include "rdd/memory.h"
#include "tests/testkit.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { ROWS = 65536, ROOM = 8 * ROWS + JOB_H5_CHECKSUM_BYTES };

/* ---- Threads ---- */

typedef struct counts {
  atomic_int seen[1000];
  atomic_int strange; /* threads out of range */
  int threads;
  int64_t bad_from; /* items that fail, and all above */
} counts;

static rdd_status count(void *arg, int thread, int64_t i, rdd_err *err) {
  counts *c = arg;
  if (thread < 0 || thread >= c->threads) c->strange++;
  c->seen[i]++;
  return i < c->bad_from ? RDD_OK : rdd_set(err, RDD_EDATA, "item %lld", (long long)i);
}

static void test_each_once(void) {
  static const int threads[] = {1, 2, 7, 2000};
  for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
    for (int64_t n = 0; n <= 1000; n += 250) {
      counts c = {.threads = threads[t], .bad_from = 1000};
      rdd_err err = {0};
      TK_OK(job_in_threads(threads[t], n, count, &c, &err), &err);
      int wrong = 0;
      for (int64_t i = 0; i < 1000; i++) wrong += c.seen[i] != (i < n);
      TK_CHECK(wrong == 0 && c.strange == 0);
    }
  }
}

static void test_lowest_failure(void) {
  for (int turn = 0; turn < 50; turn++) {
    counts c = {.threads = 4, .bad_from = 17 * turn};
    char expected[32];
    rdd_err err = {0};
    snprintf(expected, sizeof expected, "item %d", 17 * turn);
    TK_CHECK(job_in_threads(4, 1000, count, &c, &err) == RDD_EDATA);
    TK_CHECK(!strcmp(err.message, expected));
    for (int i = 0; i < 17 * turn; i++) TK_CHECK(c.seen[i] == 1);
  }
}

/* ---- Chunks ---- */

typedef struct kind {
  const char *name;
  size_t size;
  hid_t file_type, memory_type;
  int64_t rows; /* the rest of the chunk is zeros */
  int bits;     /* that are random */
} kind;

static void fill(unsigned char *values, const kind *k) {
  memset(values, 0, ROWS * k->size);
  for (int64_t i = 0; i < k->rows; i++) {
    uint64_t x = rdd_mix64((uint64_t)i) >> (64 - k->bits);
    memcpy(values + (size_t)i * k->size, &x, k->size);
  }
}

/* Write a chunk of ours and open its dataset anew: HDF5 1.10 does not see the filters that are left out
 * while the dataset is open. */
static void write_ours(hid_t file, hid_t *dataset, const char *name, const job_h5_chunk *chunk,
                       int64_t rows) {
  rdd_err err = {0};
  TK_OK(job_h5_write_chunk(*dataset, 0, rows, chunk->left_out, chunk->bytes, chunk->size, &err),
        &err);
  H5Dclose(*dataset);
  *dataset = H5Dopen2(file, name, H5P_DEFAULT);
}

/* One dataset by HDF5's filters, one by ours: the same stored bytes where HDF5 deflates, too, and the same
 * values either way. */
static void compare(hid_t file, const kind *k, bool same_bytes) {
  unsigned char *values = rdd_alloc(4, ROOM), *scratch = values + ROOM, *ours = scratch + ROOM,
                *stored = ours + ROOM;
  job_h5_chunk chunk = {.bytes = ours};
  hid_t by_hdf5 = H5I_INVALID_HID, by_us = H5I_INVALID_HID;
  hsize_t stored_size = 0, origin = 0;
  uint32_t left_out = 99;
  char name[32];
  rdd_err err = {0};
  fill(values, k);
  TK_OK(job_h5_dataset(&by_hdf5, file, k->name, k->file_type, 0, 0, ROWS, "", NULL, &err), &err);
  snprintf(name, sizeof name, "%s, ours", k->name);
  TK_OK(job_h5_dataset(&by_us, file, name, k->file_type, 0, 0, ROWS, "", NULL, &err), &err);
  TK_OK(job_h5_write_rows(by_hdf5, k->memory_type, 0, k->rows, values, &err), &err);
  TK_CHECK(H5Dflush(by_hdf5) >= 0);
  TK_OK(job_h5_chunk_filter(&chunk, values, ROWS, k->size, scratch, &err), &err);
  TK_CHECK((chunk.left_out == 0) == same_bytes);
  write_ours(file, &by_us, name, &chunk, k->rows);
  if (same_bytes) {
    TK_CHECK(H5Dget_chunk_storage_size(by_hdf5, &origin, &stored_size) >= 0);
    TK_CHECK(stored_size == chunk.size && stored_size <= ROOM);
    TK_CHECK(H5Dread_chunk(by_hdf5, H5P_DEFAULT, &origin, &left_out, stored) >= 0);
    TK_CHECK(left_out == 0 && !memcmp(stored, ours, chunk.size));
  }
  TK_OK(job_h5_read_rows(by_us, k->memory_type, 0, k->rows, stored, &err), &err);
  TK_CHECK(!memcmp(stored, values, (size_t)k->rows * k->size));

  /* HDF5 looks at the checksum: with one bit of it changed the chunk cannot be read */
  ours[chunk.size - 1] ^= 1;
  write_ours(file, &by_us, name, &chunk, k->rows);
  TK_CHECK(job_h5_read_rows(by_us, k->memory_type, 0, k->rows, stored, &err) == RDD_EIO);
  H5Dclose(by_hdf5);
  H5Dclose(by_us);
  rdd_free(values);
}

static void test_filters(void) {
  char path[512];
  rdd_err err = {0};
  hid_t file = H5I_INVALID_HID;
  snprintf(path, sizeof path, "%s/chunks.h5", tk_tmpdir());
  if (!TK_OK(job_h5_create(&file, path, "ratings", &err), &err)) return;
  const kind deflated[] = {
      {"ids", 8, H5T_STD_I64LE, H5T_NATIVE_INT64, ROWS, 15},
      {"few", 8, H5T_STD_I64LE, H5T_NATIVE_INT64, 3, 15},
      {"odd", 8, H5T_STD_I64LE, H5T_NATIVE_INT64, 50001, 27},
      {"small", 4, H5T_STD_I32LE, H5T_NATIVE_INT32, ROWS, 3},
      {"constant", 4, H5T_STD_I32LE, H5T_NATIVE_INT32, ROWS, 1},
  };
  const kind noise[] = {
      {"noise", 8, H5T_STD_I64LE, H5T_NATIVE_INT64, ROWS, 64},
      {"short noise", 4, H5T_STD_I32LE, H5T_NATIVE_INT32, ROWS, 32},
  };
  for (size_t i = 0; i < sizeof deflated / sizeof *deflated; i++) compare(file, &deflated[i], true);
  for (size_t i = 0; i < sizeof noise / sizeof *noise; i++) compare(file, &noise[i], false);
  job_h5_drop(file);
}

int main(void) {
  static const tk_case cases[] = {
      {"each item once, whatever the threads", test_each_once},
      {"the failure of the lowest item is told", test_lowest_failure},
      {"filtered chunks are those of HDF5", test_filters},
  };
  return tk_main("jobs_chunks", cases, sizeof cases / sizeof *cases);
}
