/* What a fit will take. See plan.h; docs/scaling.md has the formulas. */
#include "mllib/plan.h"

#include "mllib/kernels_impl.h"
#include "rdd/memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* Of ratings.c, ids.c, gram.c and need.c. */
enum {
  DENSE = 12,
  ENTRY = 8,
  ROUND = 1 << 18,
  SLOT = 16,
  KEY = 24,
  SHARES = 64,
  SHARE_ENTRIES = 1 << 21,
  GRAM_LEAST = 8,
  GROUPS = 8,
  MOST_GROUPS = 1024,
  SMALL = 64 << 10,
  BUFFER = 4 << 20,
};

/* ---- Degrees ---- */

static int rising(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

rdd_status als_degrees_count(als_degrees *out, int64_t *count, int64_t rows, rdd_err *err) {
  als_degrees d = {.rows = rows};
  int64_t distinct = 0;
  qsort(count, (size_t)rows, sizeof *count, rising);
  for (int64_t i = 0; i < rows; i++) distinct += i == 0 || count[i] != count[i - 1];
  d.of = rdd_alloc((size_t)distinct, sizeof *d.of);
  if (!d.of)
    return rdd_set(err, RDD_ENOMEM, "out of memory for the numbers of ratings of %" PRId64 " rows",
                   rows);
  for (int64_t i = 0; i < rows; i++) {
    if (i == 0 || count[i] != count[i - 1]) d.of[d.n++] = (als_degree){.ratings = (double)count[i]};
    d.of[d.n - 1].rows++;
  }
  *out = d;
  return RDD_OK;
}

/* Ratings in all where a row has least + scale * weight, at most `most`; into `of` too. */
static double share_out(als_degrees *d, const double *weight, double scale, double least,
                        double most) {
  double sum = 0;
  for (int64_t i = 0; i < d->n; i++) {
    d->of[i].ratings = fmin(least + scale * weight[i], most);
    sum += d->of[i].rows * d->of[i].ratings;
  }
  return sum;
}

rdd_status als_degrees_model(als_degrees *out, int side, int64_t rows, int64_t other_rows,
                             double ratings, rdd_err *err) {
  enum { STRATA = 1 << 13, STEPS = 200 };
  double n = (double)rows, exponent = side == ALS_USERS ? 0.8 : 1.0;
  double shift = 1 + n / (side == ALS_USERS ? 100 : 200), most = (double)other_rows;
  double least = ratings >= n ? 1 : 0, low = 0, high = 1;
  als_degrees d = {.rows = rows, .drawn = side == ALS_ITEMS};
  d.n = rows < STRATA ? rows : STRATA;
  d.of = rdd_alloc((size_t)d.n, sizeof *d.of);
  double *weight = rdd_alloc((size_t)d.n, sizeof *weight);
  if (!d.of || !weight) {
    rdd_free(weight);
    als_degrees_reset(&d);
    return rdd_set(err, RDD_ENOMEM, "out of memory for a model of popularity");
  }
  for (int64_t i = 0; i < d.n; i++) {
    double from = floor(n * (double)i / (double)d.n);
    double end = floor(n * ((double)i + 1) / (double)d.n);
    d.of[i].rows = end - from;
    weight[i] = pow((from + end - 1) / 2 + shift, -exponent);
  }
  while (share_out(&d, weight, high, least, most) < ratings && high < 1e300) high *= 2;
  for (int step = 0; step < STEPS; step++) {
    double middle = low + (high - low) / 2;
    if (share_out(&d, weight, middle, least, most) < ratings)
      low = middle;
    else
      high = middle;
  }
  share_out(&d, weight, high, least, most);
  rdd_free(weight);
  *out = d;
  return RDD_OK;
}

void als_degrees_reset(als_degrees *d) {
  rdd_free(d->of);
  *d = (als_degrees){0};
}

/* Rows of a side of which at least one rating is in a share of all ratings. What is not drawn is a whole number,
 * so that 2.3 on the mean are 2, and 3 for three in ten. */
static double touched(const als_degrees *d, double share) {
  double sum = 0;
  if (share >= 1) return (double)d->rows;
  for (int64_t i = 0; i < d->n; i++) {
    double c = d->of[i].ratings, whole = floor(c);
    double none = d->drawn ? exp(-c * share)
                           : exp(whole * log1p(-share)) * (1 - (c - whole) * share);
    sum += d->of[i].rows * (1 - none);
  }
  return sum;
}

/* ---- Memory ---- */

typedef struct shape {
  const als_plan_problem *p;
  const als_layout *l;
  double ranks, nodes, k, w, real; /* unknowns, padded; bytes of a real */
  double share;                    /* ratings of a rank */
  double longest[2];               /* ratings of the longest row of each side */
  double part, held;               /* rows of a partition; those of a rank's partitions */
} shape;

static shape shape_of(const als_plan_problem *p, const als_layout *l) {
  shape s = {.p = p, .l = l, .ranks = (double)l->ranks, .k = p->params.rank};
  s.nodes = ceil(s.ranks / (double)l->ranks_per_node);
  s.w = als_kernels_width(p->params.precision, p->params.rank + p->params.update_bias);
  s.real = p->params.precision == ALS_SINGLE ? 4 : 8;
  s.share = p->ratings / s.ranks;
  s.part = p->ratings / (double)l->partitions;
  s.held = fmin(p->ratings, s.part * ceil((double)l->partitions / s.ranks));
  for (int side = 0; side < 2; side++)
    for (int64_t i = 0; i < p->side[side].n; i++)
      s.longest[side] = fmax(s.longest[side], p->side[side].of[i].ratings);
  return s;
}

static double rows_of(const shape *s, int side) {
  return (double)s->p->side[side].rows;
}

static double blocks_of(const shape *s, int side) {
  return (double)als_block_count(s->p->side[side].rows);
}

/* Blocks of the rank that has most: whole ones are dealt out, so one more than its share, or one alone where
 * ranks are more than blocks. */
static double own_blocks(const shape *s, int side) {
  return s->ranks == 1 ? blocks_of(s, side) : floor(blocks_of(s, side) / s->ranks) + 1;
}

/* Ratings of its rows, which may be one long row. */
static double own_ratings(const shape *s, int side) {
  double share = s->p->ratings * own_blocks(s, side) / blocks_of(s, side);
  return fmax(share, fmin(s->longest[side], s->p->ratings));
}

/* A hash map of so many ids: a power of two of slots, of which at most two thirds are used. */
static double map_bytes(double ids) {
  double slots = 1024;
  while (2 * slots < 3 * ids) slots *= 2;
  return ids > 0 ? SLOT * slots : 0;
}

/* Distinct ids of a side among so many ratings of a rank's partitions. */
static double distinct(const shape *s, int side, double ratings) {
  double part = fmin(1, ratings / s->p->ratings);
  if (side == ALS_USERS && s->p->by_user) return part * rows_of(s, side);
  return touched(&s->p->side[side], part);
}

/* While the ids of a side are found: a round of them, and what it becomes; then two shares of all. */
static double finding_ids(const shape *s, int side) {
  double share = rows_of(s, side) / s->ranks;
  double round = s->ranks > 1 ? fmin(ROUND, distinct(s, side, s->held)) : 0;
  double rounds = map_bytes(round) + (KEY + 16) * round + map_bytes(share);
  return fmax(rounds, map_bytes(share) + 2 * KEY * share);
}

static double ids_phase(const shape *s) {
  double partitions = s->held * s->p->partition_bytes, finding, memo[2] = {0, 0};
  finding = fmax(finding_ids(s, ALS_USERS), finding_ids(s, ALS_ITEMS));
  for (int side = 0; side < 2; side++) {
    memo[0] += map_bytes(distinct(s, side, s->part)); /* when the first partition is dense */
    memo[1] += map_bytes(distinct(s, side, s->held)); /* and the last one */
  }
  double first = partitions + DENSE * s->part + memo[0];
  double last = s->part * s->p->partition_bytes + DENSE * s->held + memo[1];
  return fmax(partitions + finding, fmax(first, last));
}

/* Of a round: which rank each rating goes to, what is sent, what comes. */
static double round_bytes(const shape *s) {
  return s->ranks > 1 ? (4 + 2 * DENSE) * fmin(ROUND, s->held) : 0;
}

static double starts(const shape *s) {
  return 8 * (rows_of(s, ALS_USERS) + rows_of(s, ALS_ITEMS)) / s->ranks;
}

/* Dense columns are given back from their end while rows fill up: all of those, where any rating can come
 * at any time. */
static double by_user_phase(const shape *s) {
  double dense = DENSE * s->held, side = ENTRY * own_ratings(s, ALS_USERS);
  return (s->p->by_user ? fmax(dense, side) : dense + side) + starts(s) / 2 + round_bytes(s);
}

static double both_sides(const shape *s) {
  return ENTRY * (own_ratings(s, ALS_USERS) + own_ratings(s, ALS_ITEMS)) + starts(s);
}

static double by_item_phase(const shape *s) {
  double drawn = DENSE * fmin(ROUND, own_ratings(s, ALS_USERS));
  return both_sides(s) + round_bytes(s) + drawn;
}

/* Scratch of one thread: matrices, panels, and the parts of long rows; with CG a panel alone. */
static double solver_bytes(const shape *s) {
  enum {
    GROUP_BYTES = 3 << 18,
    PARTS_BYTES = 1 << 24,
    PART_RATINGS = 8192,
    KEPT_BYTES = 1 << 23,
    CG_GROUP = 1 << 19
  };
  const als_params *params = &s->p->params;
  double matrix = s->w * s->w * s->real, line = s->w * s->real;
  double longest = fmax(s->longest[0], s->longest[1]);
  if (params->solver == ALS_CG) {
    double floats = 4 * s->w, kept = fmin(KEPT_BYTES, fmax(CG_GROUP, longest * floats));
    return kept / floats * (floats + s->real) + 40 * s->real * s->w;
  }
  if (params->solver == ALS_SUBSPACE) return 8 * longest + ALS_PANEL_ROWS * line + matrix;
  double dual = params->loss.mode == ALS_EXPLICIT ? fmin(s->w, ALS_DUAL_ROWS) : 0;
  double parts = floor(longest / PART_RATINGS);
  parts = parts > 1 ? fmin(PARTS_BYTES, parts * (matrix + ALS_PANEL_ROWS * line)) : 0;
  double duals = dual > 0 ? fmax(GROUP_BYTES, dual * (s->w + dual) * s->real) + dual * line : 0;
  return fmax(matrix, GROUP_BYTES) + ALS_PANEL_ROWS * line + duals + parts;
}

static double gram_entries(const shape *s) {
  return s->k * (s->k + 1) / 2;
}

static double gram_shares(const shape *s) {
  return fmin(SHARES, fmax(GRAM_LEAST, floor(SHARE_ENTRIES / gram_entries(s))));
}

static bool has_gram(const shape *s) {
  return als_loss_of_all(&s->p->params.loss) != 0;
}

static double gram_scratch(const shape *s) {
  if (!has_gram(s)) return 0;
  double own = ceil(gram_shares(s) / s->ranks);
  return 8 * ((2 * own + 2) * gram_entries(s) + s->l->threads * (ALS_PANEL_ROWS + s->w) * s->w);
}

static double row_bytes(const shape *s) {
  return (s->k + s->p->params.update_bias) * als_wire_bytes(s->p->params.wire);
}

/* New rows of a side that a rank sends. */
static double sent(const shape *s, const als_plan *plan, int side) {
  return (plan->need_only[side] ? plan->need[side] : plan->all[side]) / s->ranks;
}

static double groups(const shape *s, const als_plan *plan, int side) {
  double bytes = sent(s, plan, side), wanted = s->p->params.no_overlap ? 1 : GROUPS;
  double n = fmax(fmin(wanted, floor(bytes / SMALL) + 1), floor(bytes / BUFFER) + 1);
  return fmin(n, MOST_GROUPS);
}

/* Buffers of a group of rows of each side, out and in, and bitmaps of who needs what. */
static double exchange_buffers(const shape *s, const als_plan *plan) {
  double bytes = 0;
  if (s->nodes == 1) return 0;
  for (int side = 0; side < 2; side++) {
    bytes += 2 * sent(s, plan, side) / groups(s, plan, side);
    bytes += rows_of(s, side) / 8 * (1 + 2 * s->nodes / s->ranks);
  }
  return bytes;
}

static double iterations_phase(const shape *s, const als_plan *plan) {
  return both_sides(s) + s->l->threads * solver_bytes(s) + gram_scratch(s) +
         exchange_buffers(s, plan);
}

static double factor_bytes(const shape *s) {
  return 4 * (s->k + s->p->params.bias) * (rows_of(s, ALS_USERS) + rows_of(s, ALS_ITEMS));
}

static void plan_memory(const shape *s, als_plan *plan) {
  const als_plan_problem *p = s->p;
  double here = fmin((double)s->l->ranks_per_node, s->ranks), peers = here - 1;
  plan->phase[ALS_IDS] = ids_phase(s);
  plan->phase[ALS_BY_USER] = by_user_phase(s);
  plan->phase[ALS_BY_ITEM] = by_item_phase(s);
  plan->phase[ALS_ITERATIONS] = iterations_phase(s, plan);
  double ids = 0, seen = 0;
  for (int i = 0; i < ALS_PHASES; i++) {
    /* Before the iterations a rank has touched its own rows of the factors alone. */
    double factors = factor_bytes(s) / (i == ALS_ITERATIONS ? 1 : s->ranks);
    if (plan->phase[i] > plan->phase[plan->peak]) plan->peak = (als_phase)i;
    seen = fmax(seen, plan->phase[i] + factors);
  }
  for (int side = 0; side < 2; side++) ids += p->id_bytes[side] * rows_of(s, side);
  plan->own = p->own_bytes + plan->phase[plan->peak];
  plan->shared = ids + factor_bytes(s);
  plan->seen = p->own_bytes + seen + ids + p->code_bytes + peers * p->peer_bytes;
  plan->node = here * (plan->own + peers * p->peer_bytes) + plan->shared + p->code_bytes;
  plan->first_node = plan->node + (p->checkpoints ? factor_bytes(s) : 0);
}

/* ---- Bytes ---- */

/* Rows of a side times the other nodes that need them: those of a node that owns a share of the rows, at
 * nodes that own a share of the other side's ratings. */
static double needed(const shape *s, int side) {
  double full = floor(s->ranks / (double)s->l->ranks_per_node);
  double share = (double)s->l->ranks_per_node / s->ranks, rest = 1 - full * share, sum;
  sum = full * (1 - share) * touched(&s->p->side[side], share);
  if (s->nodes > full) sum += (1 - rest) * touched(&s->p->side[side], rest);
  return sum;
}

static void plan_bytes(const shape *s, als_plan *plan) {
  const als_params *params = &s->p->params;
  double others = s->ranks - fmin((double)s->l->ranks_per_node, s->ranks);
  if (s->nodes == 1) return;
  for (int side = 0; side < 2; side++) {
    plan->all[side] = rows_of(s, side) * (s->nodes - 1) * row_bytes(s);
    plan->need[side] = needed(s, side) * row_bytes(s);
    plan->need_only[side] = params->exchange == ALS_EXCHANGE_NEED ||
                            (params->exchange == ALS_EXCHANGE_AUTO &&
                             plan->need[side] < plan->all[side]);
    plan->rows_bytes += plan->need_only[side] ? plan->need[side] : plan->all[side];
  }
  if (has_gram(s))
    plan->gram_bytes = 2 * 8 * gram_entries(s) * (gram_shares(s) * others / s->ranks + others);
  /* rows to count, then all columns, to either side; those by user are mostly where they are */
  plan->hand_off_bytes = (4 + DENSE) * s->p->ratings * others / s->ranks * (s->p->by_user ? 1 : 2);
}

/* ---- Seconds ---- */

/* Of the rank that takes longest. Its threads take a block at a time; parts of a very long row are shared. */
static double solve_seconds(const shape *s, int side) {
  enum { PART_RATINGS = 8192 };
  const als_degrees *d = &s->p->side[side];
  const als_rates *rates = &s->p->rates[side];
  double sum = 0, threads = s->l->threads, longest = als_rates_row(rates, s->longest[side]);
  for (int64_t i = 0; i < d->n; i++) sum += d->of[i].rows * als_rates_row(rates, d->of[i].ratings);
  double block = sum / blocks_of(s, side);
  if (s->longest[side] > 2 * PART_RATINGS) longest /= threads;
  double gram = has_gram(s) ? rates->gram * rows_of(s, !side) / (s->ranks * threads) : 0;
  return gram + fmax(block * ceil(own_blocks(s, side) / threads), longest);
}

/* Of a row with so many ratings, as solver_impl.h has it; with few ratings the small way. */
static double row_flops(const shape *s, double c) {
  const als_params *params = &s->p->params;
  double k = s->k, dense = has_gram(s) ? 2 * k * k : 0;
  if (params->solver == ALS_CG) return (params->cg_steps + 1) * (4 * c * k + dense);
  if (params->solver == ALS_SUBSPACE) return 2 * c * k * (1 + fmin(params->block, k)) + dense;
  if (params->loss.mode == ALS_EXPLICIT && c < 7 * k / 8)
    return c * c * k + c * c * c / 3 + 4 * c * k;
  return c * k * (k + 1) + k * k * k / 3 + 4 * c * k;
}

static double flops(const shape *s) {
  double sum = has_gram(s) ? s->k * (s->k + 1) * (rows_of(s, 0) + rows_of(s, 1)) : 0;
  for (int side = 0; side < 2; side++)
    for (int64_t i = 0; i < s->p->side[side].n; i++)
      sum += s->p->side[side].of[i].rows * row_flops(s, s->p->side[side].of[i].ratings);
  return sum;
}

static void plan_seconds(const shape *s, als_plan *plan) {
  const als_plan_problem *p = s->p;
  double speed = s->nodes * p->bandwidth;
  for (int side = 0; side < 2; side++) {
    double solve = solve_seconds(s, side), n = groups(s, plan, side);
    double rows = sent(s, plan, side) * s->ranks / speed + n * (s->nodes - 1) * p->message;
    double gram = plan->gram_bytes / 2 / speed;
    plan->solve += solve;
    plan->wire += rows + gram;
    /* the last group has nothing to hide behind */
    plan->iteration += gram + fmax(solve, rows) + fmin(solve, rows) / n;
  }
  plan->flops = flops(s);
  if (s->nodes == 1) plan->wire = 0;
  plan->begin = p->reading * p->ratings / (s->ranks * s->l->threads) + p->hand_off * s->share +
                plan->hand_off_bytes / speed;
}

als_plan als_plan_make(const als_plan_problem *problem, const als_layout *layout) {
  shape s = shape_of(problem, layout);
  als_plan plan = {.nodes = (int64_t)s.nodes};
  plan_bytes(&s, &plan);
  plan_memory(&s, &plan);
  plan_seconds(&s, &plan);
  return plan;
}
