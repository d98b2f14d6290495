/* Spark's initial factors.
 *
 * A block's rows come from one stream of random numbers, in the order of their ids, and a Gaussian takes as
 * many numbers as it takes: so a block is drawn from its beginning by one rank. But a rank writes one run
 * of rows of the table, and these are of all blocks. So the rows go by in windows: each rank draws those of
 * its blocks, and sends them to the rank that writes them. */
#include "mllib/spark_init.h"

#include "mllib/spark_impl.h"
#include "rdd/memory.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- Random numbers ---- */

static uint32_t rotate(uint32_t x, int by) {
  return x << by | x >> (32 - by);
}

/* MurmurHash3, 32 bits, of n bytes; n is a multiple of 4. */
static uint32_t murmur3(const uint8_t *bytes, uint32_t n, uint32_t h) {
  for (uint32_t i = 0; i < n; i += 4) {
    uint32_t word = bytes[i] | (uint32_t)bytes[i + 1] << 8 | (uint32_t)bytes[i + 2] << 16 |
                    (uint32_t)bytes[i + 3] << 24;
    h ^= rotate(word * 0xcc9e2d51u, 15) * 0x1b873593u;
    h = rotate(h, 13) * 5 + 0xe6546b64u;
  }
  h ^= n;
  h = (h ^ h >> 16) * 0x85ebca6bu;
  h = (h ^ h >> 13) * 0xc2b2ae35u;
  return h ^ h >> 16;
}

/* A hash of the seed's 8 big-endian bytes; before Spark 3.0 of those and 56 zeros. */
als_xorshift als_xorshift_seeded(als_spark release, int64_t seed) {
  uint32_t n = release == ALS_SPARK_2 ? 64 : 8;
  uint8_t bytes[64] = {0};
  for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)((uint64_t)seed >> (56 - 8 * i));
  uint32_t low = murmur3(bytes, n, 0x3c074a61u), high = murmur3(bytes, n, low);
  return (als_xorshift){.state = (uint64_t)high << 32 | low};
}

/* The low bits of the state; 32 of them are a signed number. */
static int64_t next(als_xorshift *random, int bits) {
  uint64_t s = random->state;
  s ^= s << 21;
  s ^= s >> 35;
  s ^= s << 4;
  random->state = s;
  return (int32_t)(uint32_t)(s & ((1ull << bits) - 1));
}

int64_t als_xorshift_long(als_xorshift *random) {
  uint64_t high = (uint64_t)next(random, 32) << 32;
  return (int64_t)(high + (uint64_t)next(random, 32));
}

static double uniform(als_xorshift *random) {
  int64_t high = next(random, 26) << 27;
  return (double)(high + next(random, 27)) * 0x1p-53;
}

/* Marsaglia's polar method. */
double als_xorshift_gaussian(als_xorshift *random) {
  double x, y, s;
  if (random->has_gaussian) {
    random->has_gaussian = false;
    return random->gaussian;
  }
  do {
    x = 2 * uniform(random) - 1;
    y = 2 * uniform(random) - 1;
    s = x * x + y * y;
  } while (s >= 1 || s == 0);
  double scale = sqrt(-2 * log(s) / s);
  random->has_gaussian = true;
  random->gaussian = y * scale;
  return x * scale;
}

int64_t als_spark_block_seed(int64_t side_seed, int block) {
  const uint64_t odd = 0x9e3775cd9e3775cdu;
  uint64_t x = (uint64_t)(side_seed ^ block);
  return (int64_t)(__builtin_bswap64(x * odd) * odd);
}

int als_spark_block(int64_t id, int blocks) {
  int64_t rest = id % blocks;
  return (int)(rest < 0 ? rest + blocks : rest);
}

/* ---- Rows ---- */

enum { WINDOW_BYTES = 16 << 20 };

typedef struct draft {
  const als_ids *ids;
  rdd_comm *comm;
  als_xorshift *stream; /* of this rank's blocks: those of number rank, rank + size, ... */
  int blocks, k;
  float *out,
      *in; /* [window][k] rows drawn here, by the rank that writes them; rows to write here */
  int64_t window; /* rows */
  int64_t *lane;  /* [4][size] counts and places of both, in bytes */
} draft;

static void draw_row(als_xorshift *random, int k, float *x) {
  float squares = 0;
  for (int j = 0; j < k; j++) {
    x[j] = (float)als_xorshift_gaussian(random);
    squares += x[j] * x[j];
  }
  float scale = (float)(1 / sqrt(squares));
  for (int j = 0; j < k; j++) x[j] *= scale;
}

/* The block of dense row i. */
static int block_of(const draft *d, int64_t i) {
  return als_spark_block(als_ids_int64(d->ids, i), d->blocks);
}

static int64_t clip(int64_t x, int64_t low, int64_t high) {
  return x < low ? low : x > high ? high : x;
}

/* Rows [begin, end) into the table, of which this rank writes [share[rank], share[rank + 1]).
 * Rows travel in the order of the table. Collective. */
static void draw_window(draft *d, const int64_t *share, int64_t begin, int64_t end, float *x) {
  int size = d->comm->size, rank = d->comm->rank;
  size_t k = (size_t)d->k;
  int64_t *send = d->lane, *send_at = send + size, *recv = send_at + size, *recv_at = recv + size;
  const int64_t row_bytes = (int64_t)(k * sizeof *x);
  int64_t drawn = 0, at = 0;
  for (int r = 0; r < size; r++) {
    int64_t last = clip(share[r + 1], begin, end);
    send_at[r] = drawn * row_bytes;
    for (int64_t i = clip(share[r], begin, end); i < last; i++) {
      int block = block_of(d, i);
      if (block % size == rank)
        draw_row(&d->stream[block / size], d->k, d->out + (size_t)drawn++ * k);
    }
    send[r] = drawn * row_bytes - send_at[r];
  }
  int64_t first = clip(share[rank], begin, end), last = clip(share[rank + 1], begin, end);
  memset(recv, 0, (size_t)size * sizeof *recv);
  for (int64_t i = first; i < last; i++) recv[block_of(d, i) % size] += row_bytes;
  for (int r = 0; r < size; at += recv[r++]) recv_at[r] = at;
  rdd_alltoallv(d->comm, d->out, send, send_at, d->in, recv, recv_at);
  for (int64_t i = first; i < last; i++) {
    int64_t *from = &recv_at[block_of(d, i) % size];
    memcpy(x + (size_t)i * k, (const char *)d->in + *from, k * sizeof *x);
    *from += row_bytes;
  }
}

/* ---- The side ---- */

static rdd_status open_draft(draft *d, const als_model *model, int side, als_spark release,
                             int64_t seed, int blocks, rdd_err *err) {
  size_t size = (size_t)d->comm->size, k = (size_t)model->k;
  int64_t most = WINDOW_BYTES / (int64_t)(k * sizeof(float));
  d->ids = model->side[side].ids;
  d->blocks = blocks;
  d->k = model->k;
  d->window = clip(most, 1, d->ids->n);
  size_t own = (size_t)(blocks / d->comm->size + 1), rows = (size_t)d->window;
  d->stream = rdd_alloc(own, sizeof *d->stream);
  d->out = rdd_alloc(rows * k, sizeof *d->out);
  d->in = rdd_alloc(rows * k, sizeof *d->in);
  d->lane = rdd_alloc(4 * size, sizeof *d->lane);
  if (!d->stream || !d->out || !d->in || !d->lane)
    return rdd_set(err, RDD_ENOMEM, "out of memory for the initial factors of %d blocks", blocks);
  als_xorshift random = als_xorshift_seeded(release, seed);
  int64_t side_seed = als_xorshift_long(&random); /* the users' */
  if (side == ALS_ITEMS) side_seed = als_xorshift_long(&random);
  for (int b = d->comm->rank, i = 0; b < blocks; b += d->comm->size, i++)
    d->stream[i] = als_xorshift_seeded(release, als_spark_block_seed(side_seed, b));
  return RDD_OK;
}

static void reset(draft *d) {
  rdd_free(d->stream);
  rdd_free(d->out);
  rdd_free(d->in);
  rdd_free(d->lane);
}

/* The same on all ranks. Integers are in ascending order, so the ends tell. */
static rdd_status check(const als_ids *ids, int side, int blocks, rdd_err *err) {
  const char *what = side == ALS_USERS ? "user" : "item";
  char text[ALS_ID_TEXT];
  int64_t bad = -1;
  if (blocks < 1 || blocks > ALS_SPARK_MAX_BLOCKS)
    return rdd_set(err, RDD_EUSAGE, "the number of %s blocks is %d; it has to be 1 to %d", what,
                   blocks, ALS_SPARK_MAX_BLOCKS);
  if (ids->n == 0) return RDD_OK;
  if (ids->type != RDD_INT64)
    return rdd_set(err, RDD_EUSAGE,
                   "%s \"%s\" is text; Spark's initial factors are for integer ids", what,
                   als_ids_text(ids, 0, text));
  if (als_ids_int64(ids, 0) < INT32_MIN)
    bad = 0;
  else if (als_ids_int64(ids, ids->n - 1) > INT32_MAX)
    bad = ids->n - 1;
  if (bad < 0) return RDD_OK;
  return rdd_set(err, RDD_EUSAGE,
                 "%s %s does not fit 32 bits; Spark's initial factors are for ids that do", what,
                 als_ids_text(ids, bad, text));
}

rdd_status als_model_init_spark(als_model *model, rdd_comm *comm, int side, als_spark release,
                                int64_t seed, int blocks, rdd_err *err) {
  const als_factors *f = &model->side[side];
  float *x = rdd_table_data(f->factors);
  const int64_t row_bytes = model->k * (int64_t)sizeof *x;
  draft d = {.comm = comm};
  rdd_status st = check(f->ids, side, blocks, err);
  if (st) return st;
  int64_t *share = rdd_alloc((size_t)comm->size + 1, sizeof *share);
  if (!share) st = rdd_set(err, RDD_ENOMEM, "out of memory for the shares of %d ranks", comm->size);
  if (!st) st = open_draft(&d, model, side, release, seed, blocks, err);
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  for (int r = 0; r <= comm->size; r++) share[r] = f->ids->n * r / comm->size;
  for (int64_t begin = 0; begin < f->ids->n; begin += d.window)
    draw_window(&d, share, begin, clip(begin + d.window, 0, f->ids->n), x);
  for (int r = 0; r <= comm->size; r++) share[r] *= row_bytes;
  rdd_table_sync(f->factors, share);
done:
  reset(&d);
  rdd_free(share);
  return st;
}
