/* What a row costs on this machine: the half-step itself, on made rows. */
#include "mllib/exchange_impl.h"
#include "mllib/plan.h"
#include "mllib/threads_impl.h"
#include "rdd/clock.h"
#include "rdd/hash.h"
#include "rdd/memory.h"

#include <math.h>
#include <string.h>
#include <time.h>

enum {
  TABLE_BYTES = 64 << 20,
  GRAM_TABLE_BYTES = 16 << 20,
  MOST_ENTRIES = 1 << 21,
  MOST_ROWS = 1 << 17,
  ROUNDS = 2
};

static const double long_enough =
    0.012; /* seconds of a measurement, beside which starting threads is short */

/* A problem of one side: rows that all have as many ratings. */
typedef struct made {
  rdd_comm *comm;
  als_params params;
  int side;
  als_side ratings;
  als_model *model;
  int64_t block_rows; /* of the problem that is planned */
} made;

/* Rows that are solved in one batch: as many as there are, but few enough of long rows that a dozen
 * milliseconds have work for all threads. */
static int64_t block_rows(const made *m, int64_t each) {
  int64_t rows = each <= 64 ? 64 : 4096 / each;
  return rows < m->block_rows ? rows : m->block_rows;
}

/* A column by popularity, as als_degrees_model() has it, scattered over the table. */
static uint32_t draw_column(int side, int64_t columns, uint64_t number) {
  double n = (double)columns, u = rdd_uniform(rdd_mix64(number)), place;
  if (side == ALS_USERS) { /* columns are items */
    double shift = 1 + n / 200;
    place = shift * (pow((n + shift) / shift, u) - 1);
  } else {
    double shift = 1 + n / 100, low = pow(shift, 0.2), high = pow(n + shift, 0.2);
    place = pow(low + u * (high - low), 5) - shift;
  }
  uint64_t row = (uint64_t)fmax(0, fmin(place, n - 1));
  return (uint32_t)(row * UINT64_C(2654435761) % (uint64_t)columns);
}

static void fill_table(rdd_table *table, uint64_t seed) {
  float *x = rdd_table_data(table);
  int64_t n = (int64_t)(rdd_table_size(table) / sizeof *x);
#pragma omp parallel for schedule(static) num_threads(als_threads())
  for (int64_t i = 0; i < n; i++) x[i] = (float)(rdd_uniform(rdd_mix64(seed + (uint64_t)i)) - 0.5);
}

/* Tables over `columns` columns and up to MOST_ROWS rows. */
static rdd_status open_model(made *m, int64_t rows, int64_t columns, rdd_err *err) {
  als_ids *ids[2] = {NULL, NULL};
  rdd_status st = als_ids_new(m->comm, RDD_INT64, rows, 0, &ids[m->side], err);
  if (!st) st = als_ids_new(m->comm, RDD_INT64, columns, 0, &ids[!m->side], err);
  if (!st) st = als_model_new(m->comm, ids, m->params.rank, m->params.bias, &m->model, err);
  if (st) {
    for (int side = 0; side < 2; side++) als_ids_free(ids[side]);
    return st;
  }
  for (int side = 0; side < 2; side++) fill_table(m->model->side[side].factors, (uint64_t)side);
  return RDD_OK;
}

static rdd_status open_ratings(made *m, int64_t columns, rdd_err *err) {
  als_side *r = &m->ratings;
  r->blocks = (als_blocks){.size = 1};
  r->blocks.owner = rdd_calloc(2, sizeof *r->blocks.owner);
  r->start = rdd_alloc((size_t)MOST_ROWS + 1, sizeof *r->start);
  r->entry = rdd_alloc(MOST_ENTRIES, sizeof *r->entry);
  if (!r->blocks.owner || !r->start || !r->entry)
    return rdd_set(err, RDD_ENOMEM, "out of memory for made ratings");
#pragma omp parallel for schedule(static) num_threads(als_threads())
  for (int64_t e = 0; e < MOST_ENTRIES; e++)
    r->entry[e] = (als_entry){draw_column(m->side, columns, (uint64_t)e), (float)(1 + e % 5)};
  return RDD_OK;
}

/* Seconds that all cores have worked for this process. */
static double cpu_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds of one core that a half-step takes over so many rows of so many ratings. Where others are at work
 * on this machine too, those that this process got; threads that wait for each other do not count twice. */
static rdd_status time_rows(made *m, int64_t rows, int64_t each, double *seconds_out,
                            rdd_err *err) {
  als_side *r = &m->ratings;
  r->rows = r->blocks.rows = rows;
  r->blocks.block_rows = block_rows(m, each);
  r->blocks.blocks = (rows + r->blocks.block_rows - 1) / r->blocks.block_rows;
  r->blocks.owner[1] = r->blocks.blocks;
  for (int64_t i = 0; i <= rows; i++) r->start[i] = i * each;
  double begin = rdd_seconds(), cpu = cpu_seconds();
  rdd_status st = als_half_step(m->comm, r, m->side, &m->params, m->model, NULL, err);
  *seconds_out = fmin((rdd_seconds() - begin) * als_threads(), cpu_seconds() - cpu);
  return st;
}

/* Rows until it takes long enough, then the better of two.
 *   per_row  [in,out] in: a guess, 0 for none */
static rdd_status measure(made *m, int64_t each, int64_t most_rows, double before, double *per_row,
                          rdd_err *err) {
  int64_t most = MOST_ENTRIES / each < most_rows ? MOST_ENTRIES / each : most_rows;
  int64_t rows = block_rows(m, each) * 4 * als_threads();
  double seconds = 0, best = INFINITY, enough = fmax(long_enough * als_threads(), before / 2);
  rdd_status st = RDD_OK;
  if (*per_row > 0) rows = (int64_t)fmax((double)rows, fmin(1e9, 1.5 * enough / *per_row));
  if (rows > most) rows = most;
  for (int round = 0; round < ROUNDS && !st; round++) {
    st = time_rows(m, rows, each, &seconds, err);
    while (!st && seconds - before < enough && rows < most) {
      double more = 1.5 * enough / fmax(seconds - before, 1e-5);
      rows = (double)most / (double)rows < more ? most : (int64_t)((double)rows * more) + 1;
      st = time_rows(m, rows, each, &seconds, err);
      best = INFINITY; /* what was measured with fewer is not to be compared */
    }
    best = fmin(best, seconds);
  }
  *per_row = fmax(best - before, 0) / (double)rows;
  return st;
}

static void close_made(made *m) {
  als_side_reset(&m->ratings);
  als_model_free(m->model);
}

rdd_status als_rates_measure(rdd_comm *comm, const als_params *params, int side,
                             const int64_t rows[2], als_rates *out, rdd_err *err) {
  made m = {
      .comm = comm, .params = *params, .side = side, .block_rows = als_block_rows(rows[side])};
  als_rates rates = {.gram = 0};
  double before = INFINITY, again;
  bool has_gram = als_loss_of_all(&params->loss) != 0; /* which every half-step makes anew */
  int64_t bytes = has_gram ? GRAM_TABLE_BYTES : TABLE_BYTES;
  int64_t room = bytes / ((int64_t)sizeof(float) * params->rank), columns = room;
  int64_t most = rows[side] < MOST_ROWS ? rows[side] : MOST_ROWS;
  if (columns > rows[!side]) columns = rows[!side];
  if (most > room) most = room;
  m.params.min_ridge = fmax(m.params.min_ridge,
                            1); /* whatever was asked: made rows shall have a solution */
  m.params.exchange = ALS_EXCHANGE_ALL;
  rdd_status st = open_model(&m, most, columns, err);
  if (!st) st = open_ratings(&m, columns, err);
  for (int i = 0; i < 5 && !st; i++) { /* what does not depend on rows; pages, at first */
    st = time_rows(&m, 1, 1, &again, err);
    before = fmin(before, again);
  }
  if (st) goto done;
  if (has_gram) rates.gram = before / (double)columns;
  for (int i = 0; i < ALS_RATE_POINTS && !st; i++) {
    if (i > 0) rates.seconds[i] = 1.5 * rates.seconds[i - 1];
    st = measure(&m, (int64_t)1 << i, most, before, &rates.seconds[i], err);
  }
  if (!st) *out = rates;
done:
  close_made(&m);
  return st;
}

double als_rates_row(const als_rates *rates, double ratings) {
  int i = ratings > 1 ? (int)floor(log2(ratings)) : 0;
  if (i > ALS_RATE_POINTS - 2) i = ALS_RATE_POINTS - 2;
  double from = ldexp(1, i), part = (ratings - from) / from;
  return rates->seconds[i] + part * (rates->seconds[i + 1] - rates->seconds[i]);
}
