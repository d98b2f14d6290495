/* The Gram matrix of a side.
 *
 * Its rows are cut into a fixed number of shares, whatever the number of ranks, and each rank makes some:
 * where every node has the whole table the same number each, else those that begin with a row of its own.
 * Then the entries of the matrix are dealt out: a rank gets its entries of
 * all shares, adds them up in the order of the shares, and all gather the sums. */
#include "mllib/gram_impl.h"

#include "mllib/kernels_impl.h"
#include "mllib/threads_impl.h"
#include "rdd/memory.h"

#include <string.h>

enum { MOST_SHARES = 64, FEWEST_SHARES = 8, ENTRIES = 1 << 21 };

typedef struct gram_plan {
  const float *factors;
  int64_t rows;
  int k, shares, size;
  int64_t entries;          /* k (k + 1) / 2: the upper triangle, row by row */
  const als_blocks *owners; /* of the rows, who make the shares; or NULL */
} gram_plan;

/* Where piece `i` of `pieces` begins in n things. */
static int64_t cut(int64_t n, int64_t i, int64_t pieces) {
  return n / pieces * i + n % pieces * i / pieces;
}

static gram_plan plan_gram(const float *factors, int64_t rows, int k, int size,
                           const als_blocks *owners) {
  gram_plan g = {.factors = factors, .rows = rows, .k = k, .size = size, .owners = owners};
  g.entries = (int64_t)k * (k + 1) / 2;
  int64_t shares = ENTRIES / g.entries;
  g.shares = shares > MOST_SHARES     ? MOST_SHARES
             : shares < FEWEST_SHARES ? FEWEST_SHARES
                                      : (int)shares;
  return g;
}

/* The first share of rank r: with owners the first that begins with a row of its own or of a later rank. */
static int first_share(const gram_plan *g, int r) {
  if (!g->owners) return (int)cut(g->shares, r, g->size);
  int share = 0;
  int64_t row = als_blocks_row(g->owners, r);
  while (share < g->shares && cut(g->rows, share, g->shares) < row) share++;
  return share;
}

/* One share into packed_out; panel[ALS_PANEL_ROWS][w], with padding of 0, and full[w][w] are scratch. */
static void make_share(const gram_plan *g, int share, double *panel, double *full,
                       double *packed_out) {
  const als_kernels *kernels = als_kernels_get(ALS_DOUBLE);
  size_t k = (size_t)g->k, w = (size_t)als_kernels_width(ALS_DOUBLE, g->k);
  int64_t end = cut(g->rows, share + 1, g->shares);
  memset(full, 0, w * w * sizeof *full);
  for (int64_t row = cut(g->rows, share, g->shares); row < end; row += ALS_PANEL_ROWS) {
    int m = (int)(end - row < ALS_PANEL_ROWS ? end - row : ALS_PANEL_ROWS);
    const float *f = g->factors + (size_t)row * k;
    for (size_t i = 0; i < (size_t)m; i++)
      for (size_t j = 0; j < k; j++) panel[i * w + j] = f[i * k + j];
    kernels->update(panel, m, (int)w, full, NULL);
  }
  for (size_t i = 0; i < k; i++) {
    memcpy(packed_out, full + i * w + i, (k - i) * sizeof *packed_out);
    packed_out += k - i;
  }
}

/* This rank's shares, [shares][entries]. Not collective. */
static rdd_status make_shares(const gram_plan *g, int first, int end, double *out, rdd_err *err) {
  size_t w = (size_t)als_kernels_width(ALS_DOUBLE, g->k), scratch = (ALS_PANEL_ROWS + w) * w;
  int threads = als_threads();
  double *space = rdd_calloc((size_t)threads * scratch, sizeof *space);
  if (!space) return rdd_set(err, RDD_ENOMEM, "out of memory for a Gram matrix of rank %d", g->k);
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (int share = first; share < end; share++) {
    double *own = space + (size_t)als_thread() * scratch;
    make_share(g, share, own, own + ALS_PANEL_ROWS * w, out + (share - first) * g->entries);
  }
  rdd_free(space);
  return RDD_OK;
}

/* Send each rank its entries of own[shares][entries], which `packed` has room for; get all shares of
 * this rank's entries, [all shares][own entries]. */
static void deal_out(const gram_plan *g, rdd_comm *comm, const double *own, double *packed,
                     double *mine, int64_t *lane) {
  int64_t *send = lane, *send_at = lane + g->size, *recv = lane + 2 * g->size,
          *recv_at = lane + 3 * g->size, at = 0;
  const int64_t bytes = sizeof(double);
  int r = comm->rank;
  int64_t n = first_share(g, r + 1) - first_share(g, r);
  int64_t width = cut(g->entries, r + 1, g->size) - cut(g->entries, r, g->size);
  for (int q = 0; q < g->size; q++) {
    int64_t from = cut(g->entries, q, g->size), many = cut(g->entries, q + 1, g->size) - from;
    send_at[q] = at * bytes;
    send[q] = n * many * bytes;
    for (int64_t s = 0; s < n; s++, at += many)
      memcpy(packed + at, own + s * g->entries + from, (size_t)(many * bytes));
    recv_at[q] = first_share(g, q) * width * bytes;
    recv[q] = first_share(g, q + 1) * width * bytes - recv_at[q];
  }
  rdd_alltoallv(comm, packed, send, send_at, mine, recv, recv_at);
}

/* Add up this rank's entries, gather all, and unpack them. */
static void sum_up(const gram_plan *g, rdd_comm *comm, double w, double *mine, double *all,
                   int64_t *lane, double *gram_out) {
  size_t lines = (size_t)als_kernels_width(ALS_DOUBLE, g->k);
  int64_t *counts = lane, *displs = lane + g->size;
  int64_t from = cut(g->entries, comm->rank, g->size);
  int64_t width = cut(g->entries, comm->rank + 1, g->size) - from;
  for (int s = 1; s < g->shares; s++)
    for (int64_t e = 0; e < width; e++) mine[e] += mine[s * width + e];
  for (int q = 0; q < g->size; q++) {
    displs[q] = cut(g->entries, q, g->size) * (int64_t)sizeof *all;
    counts[q] = cut(g->entries, q + 1, g->size) * (int64_t)sizeof *all - displs[q];
  }
  rdd_allgatherv(comm, mine, width * (int64_t)sizeof *mine, all, counts, displs);
  memset(gram_out, 0, lines * lines * sizeof *gram_out);
  for (int i = 0; i < g->k; i++)
    for (int j = i; j < g->k; j++, all++)
      gram_out[(size_t)i * lines + (size_t)j] = gram_out[(size_t)j * lines + (size_t)i] = w * *all;
}

void als_gram_rows(const als_blocks *owners, int k, int rank, int64_t *first, int64_t *end) {
  gram_plan g = plan_gram(NULL, owners->rows, k, owners->size, owners);
  *first = cut(g.rows, first_share(&g, rank), g.shares);
  *end = cut(g.rows, first_share(&g, rank + 1), g.shares);
}

rdd_status als_gram(rdd_comm *comm, const float *factors, int64_t rows, int k, double w,
                    const als_blocks *owners, double *gram_out, rdd_err *err) {
  gram_plan g = plan_gram(factors, rows, k, comm->size, owners);
  int first = first_share(&g, comm->rank), end = first_share(&g, comm->rank + 1);
  size_t entries = (size_t)g.entries, widest = entries / (size_t)g.size + 1;
  rdd_status st = RDD_OK;
  double *own = rdd_alloc((size_t)(end - first) * entries, sizeof *own);
  double *packed = rdd_alloc((size_t)(end - first) * entries, sizeof *packed);
  double *mine = rdd_alloc((size_t)g.shares * widest, sizeof *mine);
  double *all = rdd_alloc(entries, sizeof *all);
  int64_t *lane = rdd_alloc(4 * (size_t)g.size, sizeof *lane);
  if (!own || !packed || !mine || !all || !lane)
    st = rdd_set(err, RDD_ENOMEM, "out of memory for a Gram matrix of rank %d", k);
  if (!st) st = make_shares(&g, first, end, own, err);
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  deal_out(&g, comm, own, packed, mine, lane);
  sum_up(&g, comm, w, mine, all, lane, gram_out);
done:
  rdd_free(lane);
  rdd_free(all);
  rdd_free(mine);
  rdd_free(packed);
  rdd_free(own);
  return st;
}
