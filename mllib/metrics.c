/* Ranking metrics: from places to values, and from users to means (docs/metrics.md).
 *
 * Own rows are taken in slabs of a fixed size, so that memory does not grow with the users. A user's
 * values depend on integers alone; they are added in the order of rows inside a block, then over blocks
 * in order. Everything else that is added up is an integer. */
#include "mllib/metrics.h"

#include "mllib/place_impl.h"
#include "mllib/threads_impl.h"
#include "rdd/memory.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { SLAB = 4096 };

/* Sums over users: these for each cutoff, then two more. */
enum { PRECISION, RECALL, MAP, NDCG, HIT, PER_CUTOFF };
enum { RECIPROCAL, AUC, PER_USER };

enum { N_USERS, N_WITHOUT, N_COLD, N_AUC, N_RELEVANT, N_RELEVANT_COLD, N_RELEVANT_SEEN, COUNTS };

typedef struct ranking {
  const als_held_out *h;
  const als_ranking_options *options;
  als_placer placer;
  int longest;            /* largest cutoff */
  double *discount;       /* [longest + 1] 1 / log2(place + 1) */
  double *ideal;          /* [longest + 1] sum of the first n discounts */
  int64_t *best;          /* [items] best place in any list, longest + 1: none */
  als_ranked *slab;       /* [SLAB] */
  als_ranked **work;      /* [SLAB] those of the slab that are ranked */
  als_relevant *relevant; /* of a slab */
  als_place_worker *worker;
  int threads, width;
  double *partial; /* [own blocks][width] */
  int64_t count[COUNTS];
} ranking;

/* ---- One user ---- */

static void add_user(ranking *r, const als_ranked *u, double *sum) {
  const als_ranking_options *o = r->options;
  int64_t all = u->relevants + (o->drop_cold ? 0 : u->cold), wins = u->ties;
  int hits[ALS_MAX_CUTOFFS] = {0};
  double precisions[ALS_MAX_CUTOFFS] = {0}, gain[ALS_MAX_CUTOFFS] = {0};
  double *user = sum + (ptrdiff_t)o->cutoffs * PER_CUTOFF;
  for (int64_t j = 0; j < u->relevants; j++) {
    int64_t before = u->relevant[j].before;
    wins += 2 * (u->irrelevant - before);
    int64_t place = j + 1 + before;
    if (j == 0) user[RECIPROCAL] += 1 / (double)place;
    for (int c = 0; c < o->cutoffs && place <= r->longest; c++) {
      if (place > o->cutoff[c]) continue;
      hits[c]++;
      precisions[c] += (double)(j + 1) / (double)place;
      gain[c] += r->discount[place];
    }
  }
  for (int c = 0; c < o->cutoffs; c++) {
    int64_t k = o->cutoff[c], most = all < k ? all : k;
    double *at = sum + (ptrdiff_t)c * PER_CUTOFF;
    at[PRECISION] += hits[c] / (double)k;
    at[RECALL] += hits[c] / (double)most;
    at[MAP] += precisions[c] / (double)most;
    at[NDCG] += gain[c] / r->ideal[most];
    at[HIT] += hits[c] > 0;
  }
  r->count[N_USERS]++;
  r->count[N_RELEVANT] += all;
  if (!u->irrelevant) return;
  user[AUC] += (double)wins / (2 * (double)all * (double)u->irrelevant);
  r->count[N_AUC]++;
}

/* True where the user is ranked; counted here where not. */
static bool is_ranked(ranking *r, const als_ranked *u) {
  if (u->user < 0) {
    r->count[N_COLD]++;
    return false;
  }
  r->count[N_RELEVANT_COLD] += u->cold;
  r->count[N_RELEVANT_SEEN] += u->seen;
  if (u->relevants + (r->options->drop_cold ? 0 : u->cold) > 0) return true;
  r->count[N_WITHOUT]++;
  return false;
}

/* ---- A slab of rows ---- */

/* What the lists of a batch have that no list had so far, or not so early. */
static void note_lists(ranking *r, als_ranked *const *users, int n) {
  for (int i = 0; i < n; i++) als_heap_sort(users[i]->list, users[i]->listed);
#pragma omp critical
  for (int i = 0; i < n; i++)
    for (int64_t j = 0; j < users[i]->listed; j++) {
      int64_t *best = &r->best[users[i]->list[j].item];
      if (j + 1 < *best) *best = j + 1;
    }
}

static void rank_slab(ranking *r, int64_t first, int64_t n) {
  const als_side *test = r->h->test;
  const int64_t *start = test->start + (first - test->first);
  int64_t ranked = 0;
#pragma omp parallel for schedule(dynamic, 64) num_threads(r->threads)
  for (int64_t i = 0; i < n; i++)
    als_placer_prepare(&r->placer, first + i, r->relevant + (start[i] - start[0]), &r->slab[i]);
  for (int64_t i = 0; i < n; i++) /* a row without ratings is no user of the test set */
    if (start[i] < start[i + 1] && is_ranked(r, &r->slab[i])) r->work[ranked++] = &r->slab[i];
#pragma omp parallel for schedule(dynamic, 1) num_threads(r->threads)
  for (int64_t at = 0; at < ranked; at += ALS_PLACE_ROWS) {
    int rows = ranked - at < ALS_PLACE_ROWS ? (int)(ranked - at) : ALS_PLACE_ROWS;
    als_placer_place(&r->placer, &r->worker[als_thread()], r->work + at, rows);
    note_lists(r, r->work + at, rows);
  }
  for (int64_t i = 0; i < ranked; i++) {
    int64_t block = r->work[i]->row / test->blocks.block_rows -
                    test->first / test->blocks.block_rows;
    add_user(r, r->work[i], r->partial + block * r->width);
  }
}

/* ---- All of it ---- */

/* Most ratings that a slab of this rank's rows has. */
static int64_t largest_slab(const als_side *test) {
  int64_t most = 0;
  for (int64_t i = 0; i < test->rows; i += SLAB) {
    int64_t end = i + SLAB < test->rows ? i + SLAB : test->rows;
    if (test->start[end] - test->start[i] > most) most = test->start[end] - test->start[i];
  }
  return most;
}

static rdd_status check_options(const als_ranking_options *o, rdd_err *err) {
  if (o->cutoffs < 1 || o->cutoffs > ALS_MAX_CUTOFFS)
    return rdd_set(err, RDD_EUSAGE, "%d cutoffs; expected 1 to %d", o->cutoffs, ALS_MAX_CUTOFFS);
  for (int c = 0; c < o->cutoffs; c++)
    if (o->cutoff[c] < 1 || o->cutoff[c] > ALS_MAX_CUTOFF)
      return rdd_set(err, RDD_EUSAGE, "cutoff %d; expected 1 to %d", o->cutoff[c], ALS_MAX_CUTOFF);
  if (!isfinite(o->above))
    return rdd_set(err, RDD_EUSAGE, "the rating that makes an item relevant is not finite");
  return RDD_OK;
}

static rdd_status ranking_new(ranking *r, rdd_comm *comm, rdd_err *err) {
  const als_side *test = r->h->test;
  for (int c = 0; c < r->options->cutoffs; c++)
    if (r->options->cutoff[c] > r->longest) r->longest = r->options->cutoff[c];
  als_placer_init(&r->placer, r->h, r->options->above, r->longest);
  r->threads = als_threads();
  r->width = r->options->cutoffs * PER_CUTOFF + PER_USER;
  size_t places = (size_t)r->longest + 1, items = (size_t)r->placer.items;
  size_t blocks = (size_t)(test->blocks.owner[comm->rank + 1] - test->blocks.owner[comm->rank]);
  r->discount = rdd_calloc(places, sizeof *r->discount);
  r->ideal = rdd_calloc(places, sizeof *r->ideal);
  r->best = rdd_alloc(items, sizeof *r->best);
  r->slab = rdd_alloc(SLAB, sizeof *r->slab);
  r->work = rdd_alloc(SLAB, sizeof(als_ranked *));
  r->relevant = rdd_alloc((size_t)largest_slab(test), sizeof *r->relevant);
  r->partial = rdd_calloc(blocks, (size_t)r->width * sizeof *r->partial);
  r->worker = rdd_calloc((size_t)r->threads, sizeof *r->worker);
  if (!r->discount || !r->ideal || !r->best || !r->slab || !r->work || !r->relevant ||
      !r->partial || !r->worker)
    return rdd_set(err, RDD_ENOMEM, "out of memory to rank held-out ratings");
  for (size_t i = 1; i < places; i++) {
    r->discount[i] = 1 / log2((double)i + 1);
    r->ideal[i] = r->ideal[i - 1] + r->discount[i];
  }
  for (size_t i = 0; i < items; i++) r->best[i] = r->longest + 1;
  rdd_status st = RDD_OK;
  for (int t = 0; t < r->threads && !st; t++)
    st = als_place_worker_new(&r->placer, &r->worker[t], err);
  return st;
}

static void ranking_reset(ranking *r) {
  for (int t = 0; r->worker && t < r->threads; t++) als_place_worker_reset(&r->worker[t]);
  rdd_free(r->worker);
  rdd_free(r->partial);
  rdd_free(r->relevant);
  rdd_free(r->work);
  rdd_free(r->slab);
  rdd_free(r->best);
  rdd_free(r->ideal);
  rdd_free(r->discount);
}

/* sum / n, NaN where n is 0. */
static double mean(double sum, int64_t n) {
  return n ? sum / (double)n : (double)NAN;
}

static void finish(const ranking *r, const double *sum, als_ranking *out) {
  const als_ranking_options *o = r->options;
  int64_t users = r->count[N_USERS];
  const double *user = sum + (ptrdiff_t)o->cutoffs * PER_CUTOFF;
  *out = (als_ranking){.mrr = mean(user[RECIPROCAL], users),
                       .auc = mean(user[AUC], r->count[N_AUC]),
                       .users = users,
                       .users_without_relevant = r->count[N_WITHOUT],
                       .users_cold = r->count[N_COLD],
                       .users_auc = r->count[N_AUC],
                       .relevant = r->count[N_RELEVANT],
                       .relevant_cold = r->count[N_RELEVANT_COLD],
                       .relevant_seen = r->count[N_RELEVANT_SEEN]};
  for (int c = 0; c < o->cutoffs; c++) {
    const double *at = sum + (ptrdiff_t)c * PER_CUTOFF;
    int64_t shown = 0;
    for (int64_t i = 0; i < r->placer.items; i++) shown += r->best[i] <= o->cutoff[c];
    out->at[c] = (als_at_k){.k = o->cutoff[c],
                            .precision = mean(at[PRECISION], users),
                            .recall = mean(at[RECALL], users),
                            .map = mean(at[MAP], users),
                            .ndcg = mean(at[NDCG], users),
                            .hit_rate = mean(at[HIT], users),
                            .coverage = users ? mean((double)shown, r->placer.items) : (double)NAN};
  }
}

rdd_status als_rank_held_out(rdd_comm *comm, const als_held_out *h,
                             const als_ranking_options *options, als_ranking *out, rdd_err *err) {
  ranking r = {.h = h, .options = options};
  double sum[ALS_MAX_CUTOFFS * PER_CUTOFF + PER_USER];
  rdd_status st = check_options(options, err); /* the same on all ranks */
  if (st) return st;
  st = rdd_agree(comm, ranking_new(&r, comm, err), err);
  if (st) goto done;
  int64_t first = h->test->first, end = first + h->test->rows;
  for (int64_t row = first; row < end; row += SLAB)
    rank_slab(&r, row, end - row < SLAB ? end - row : SLAB);
  rdd_allreduce(comm, r.count, COUNTS, RDD_SUM);
  rdd_allreduce(comm, r.best, r.placer.items, RDD_MIN);
  st = als_blocks_sum(&h->test->blocks, comm, r.partial, r.width, sum, err);
  if (!st) finish(&r, sum, out);
done:
  ranking_reset(&r);
  return st;
}
