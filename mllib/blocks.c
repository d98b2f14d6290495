/* Blocks of rows: integer arithmetic only, so that every rank deals them out alike. */
#include "mllib/blocks.h"

#include "rdd/memory.h"

#include <inttypes.h>
#include <string.h>

int64_t als_block_rows(int64_t rows) {
  int64_t n = 1;
  while (n < 4096 && 2 * n <= rows / 1024) n *= 2;
  return n;
}

int64_t als_block_count(int64_t rows) {
  int64_t n = als_block_rows(rows);
  return (rows + n - 1) / n;
}

static int64_t rows_in(const als_blocks *blocks, int64_t block) {
  int64_t left = blocks->rows - block * blocks->block_rows;
  return left < blocks->block_rows ? left : blocks->block_rows;
}

/* In units of k / 3 flops, which keeps any thinkable total inside 63 bits. */
static int64_t cost(const als_blocks *blocks, const int64_t *nnz, int64_t block, int k) {
  int64_t solve = rows_in(blocks, block) * k * k;
  return nnz ? 3 * nnz[block] * (k + 1) + solve : solve;
}

rdd_status als_blocks_init(als_blocks *blocks, int64_t rows, const int64_t *nnz, int k, int ranks,
                           rdd_err *err) {
  als_blocks b = {.rows = rows, .size = ranks};
  b.block_rows = als_block_rows(rows);
  b.blocks = als_block_count(rows);
  b.owner = rdd_alloc((size_t)ranks + 1, sizeof *b.owner);
  if (!b.owner)
    return rdd_set(err, RDD_ENOMEM, "out of memory for the owners of %" PRId64 " blocks", b.blocks);

  int64_t total = 0, before = 0;
  for (int64_t i = 0; i < b.blocks; i++) total += cost(&b, nnz, i, k);
  int r = 1;
  b.owner[0] = 0;
  for (int64_t i = 0; i < b.blocks; i++) {
    /* rank r begins at the first block that has its share of the cost before it */
    while (r < ranks && before >= total / ranks * r + total % ranks * r / ranks) b.owner[r++] = i;
    before += cost(&b, nnz, i, k);
  }
  while (r <= ranks) b.owner[r++] = b.blocks;
  *blocks = b;
  return RDD_OK;
}

void als_blocks_reset(als_blocks *blocks) {
  rdd_free(blocks->owner);
  *blocks = (als_blocks){0};
}

int64_t als_blocks_row(const als_blocks *blocks, int r) {
  int64_t row = blocks->owner[r] * blocks->block_rows;
  return row < blocks->rows ? row : blocks->rows;
}

int als_blocks_rank(const als_blocks *blocks, int64_t row) {
  int64_t block = row / blocks->block_rows;
  int low = 0, high = blocks->size; /* the last r with owner[r] <= block */
  while (high - low > 1) {
    int middle = low + (high - low) / 2;
    if (blocks->owner[middle] <= block)
      low = middle;
    else
      high = middle;
  }
  return low;
}

rdd_status als_blocks_sum(const als_blocks *blocks, rdd_comm *comm, const double *partial, int n,
                          double *sum_out, rdd_err *err) {
  size_t size = (size_t)comm->size;
  int64_t width = n * (int64_t)sizeof(double);
  double *all = rdd_alloc((size_t)blocks->blocks * (size_t)n, sizeof *all);
  int64_t *counts = rdd_alloc(size, 2 * sizeof *counts);
  rdd_status st = RDD_OK;
  if (!all || !counts)
    st = rdd_set(err, RDD_ENOMEM, "out of memory for the sums of %" PRId64 " blocks",
                 blocks->blocks);
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  int64_t *displs = counts + size;
  for (size_t r = 0; r < size; r++) {
    displs[r] = blocks->owner[r] * width;
    counts[r] = (blocks->owner[r + 1] - blocks->owner[r]) * width;
  }
  rdd_allgatherv(comm, partial, counts[comm->rank], all, counts, displs);
  memset(sum_out, 0, (size_t)width);
  for (int64_t b = 0; b < blocks->blocks; b++)
    for (int j = 0; j < n; j++) sum_out[j] += all[b * n + j];
done:
  rdd_free(all);
  rdd_free(counts);
  return st;
}
