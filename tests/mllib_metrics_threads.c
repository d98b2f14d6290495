/* Ranking metrics and errors: examples worked out by hand, then random problems against an oracle that
 * sorts all candidates and walks through the list, as the definitions are written; on 1 to 4 ranks. */
#include "mllib/metrics.h"
#include "rdd/memory.h"
#include "tests/fixtures.h"
#include "tests/testkit.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

/* Ids of users are 10 u, those of items 3 i; whatever lies between is not in the model. */
enum { USER_STEP = 10, ITEM_STEP = 3 };

static int64_t user_of(const als_model *model, int64_t id) {
  bool known = id % USER_STEP == 0 && id / USER_STEP < model->side[ALS_USERS].ids->n;
  return known ? id / USER_STEP : -1;
}

static int64_t item_of(const als_model *model, int64_t id) {
  bool known = id % ITEM_STEP == 0 && id / ITEM_STEP < model->side[ALS_ITEMS].ids->n;
  return known ? id / ITEM_STEP : -1;
}

/* Rank 0 writes a table, all read it. */
static void publish(rdd_comm *comm, rdd_table *table, const void *from) {
  int64_t begin[8] = {0};
  for (int r = 1; r <= comm->size; r++) begin[r] = (int64_t)rdd_table_size(table);
  if (comm->rank == 0) memcpy(rdd_table_data(table), from, rdd_table_size(table));
  rdd_table_sync(table, begin);
}

/* A model of given factors; bias may be NULL. */
static als_model *make_model(rdd_comm *comm, const int64_t n[2], int k, float *const factor[2],
                             float *const bias[2]) {
  static const int64_t step[2] = {USER_STEP, ITEM_STEP};
  rdd_err err = {0};
  als_ids *ids[2];
  als_model *model = NULL;
  for (int s = 0; s < 2; s++) {
    int64_t *id = rdd_alloc((size_t)n[s], sizeof *id);
    for (int64_t i = 0; i < n[s]; i++) id[i] = i * step[s];
    TK_OK(als_ids_new(comm, RDD_INT64, n[s], 0, &ids[s], &err), &err);
    publish(comm, ids[s]->value, id);
    rdd_free(id);
  }
  TK_OK(als_model_new(comm, ids, k, bias != NULL, &model, &err), &err);
  for (int s = 0; s < 2; s++) {
    publish(comm, model->side[s].factors, factor[s]);
    if (bias) publish(comm, model->side[s].bias, bias[s]);
  }
  model->rating_min = 1;
  model->rating_max = 5;
  return model;
}

/* ---- A problem, as lists of ids ---- */

typedef struct problem {
  als_model *model;
  fx_list test, seen, negatives;
  bool with_seen, with_negatives;
  als_ranking_options options;
} problem;

/* What the library makes of it. Collective. */
static bool solve(rdd_comm *comm, const problem *p, als_ranking *out, als_error *error) {
  rdd_err err = {0};
  als_test_set set = {0};
  als_side seen = {0}, negatives = {0};
  int64_t unused;
  rdd_parts *parts = fx_parts(&p->test, 3, 50, false, comm);
  rdd_parts *seen_parts = fx_parts(&p->seen, 2, 70, false, comm);
  rdd_parts *negative_parts = fx_parts(&p->negatives, 2, 70, false, comm);
  bool ok = TK_OK(als_test_set_build(comm, p->model, parts, &set, &err), &err);
  als_held_out h = als_test_set_view(&set, p->model);
  if (ok && p->with_seen) {
    ok = TK_OK(als_test_set_match(comm, &set, p->model, seen_parts, &seen, &unused, &err), &err);
    h.seen = &seen;
  }
  if (ok && p->with_negatives) {
    ok = TK_OK(als_test_set_match(comm, &set, p->model, negative_parts, &negatives, &unused, &err),
               &err);
    h.negatives = &negatives;
  }
  memset(out, 0, sizeof *out);
  if (ok) ok = TK_OK(als_rank_held_out(comm, &h, &p->options, out, &err), &err);
  if (ok) ok = TK_OK(als_errors(comm, &h, true, error, &err), &err);
  als_side_reset(&seen);
  als_side_reset(&negatives);
  als_test_set_reset(&set);
  rdd_parts_free(parts);
  rdd_parts_free(seen_parts);
  rdd_parts_free(negative_parts);
  return ok;
}

static void problem_reset(problem *p) {
  als_model_free(p->model);
  fx_reset(&p->test);
  fx_reset(&p->seen);
  fx_reset(&p->negatives);
}

/* ---- The oracle ---- */

typedef struct scored {
  float score;
  int64_t item;
  bool relevant;
} scored;

static int best_first(const void *a, const void *b) {
  const scored *x = a, *y = b;
  if (x->score != y->score) return x->score < y->score ? 1 : -1;
  return (x->item > y->item) - (x->item < y->item);
}

/* Mark the items of a user in a list: 1 where rated, 2 where rated above a limit. Those that the model
 * lacks have their places above its items. */
static void mark(const problem *p, const fx_list *list, int64_t user_id, uint8_t *flag, int64_t n) {
  int64_t items = p->model->side[ALS_ITEMS].ids->n;
  for (int64_t i = 0; i < list->n; i++) {
    const fx_rating *r = &list->at[i];
    if (r->user != user_id) continue;
    int64_t item = item_of(p->model, r->item), at = item < 0 ? items + r->item : item;
    if (at >= n) continue;
    flag[at] |= (double)r->value > p->options.above ? 3 : 1;
  }
}

/* One user's list and how many relevant items there are, in it or not. */
typedef struct walk {
  scored *list;
  int64_t n, relevant;
} walk;

static void at_cutoff(const walk *w, int64_t k, als_at_k *sum) {
  double dcg = 0, ideal = 0, precisions = 0;
  int64_t hits = 0, most = w->relevant < k ? w->relevant : k;
  for (int64_t i = 0; i < w->n && i < k; i++) {
    if (!w->list[i].relevant) continue;
    hits++;
    precisions += (double)hits / (double)(i + 1);
    dcg += 1 / (log((double)i + 2) / log(2));
  }
  for (int64_t i = 0; i < most; i++) ideal += 1 / (log((double)i + 2) / log(2));
  sum->precision += (double)hits / (double)k;
  sum->recall += (double)hits / (double)most;
  sum->map += precisions / (double)most;
  sum->ndcg += dcg / ideal;
  sum->hit_rate += hits ? 1 : 0;
}

/* Share of pairs (relevant, irrelevant) in the right order, ties half; those not in the list are lost. */
static bool area(const walk *w, double *out) {
  double won = 0;
  int64_t irrelevant = 0;
  for (int64_t i = 0; i < w->n; i++) irrelevant += !w->list[i].relevant;
  for (int64_t i = 0; i < w->n; i++)
    for (int64_t j = 0; w->list[i].relevant && j < w->n; j++)
      if (!w->list[j].relevant)
        won += w->list[i].score > w->list[j].score    ? 1
               : w->list[i].score == w->list[j].score ? 0.5
                                                      : 0;
  if (!irrelevant) return false;
  *out = won / ((double)w->relevant * (double)irrelevant);
  return true;
}

/* Flags of one user: of held-out, seen and negative items. */
typedef struct flags {
  uint8_t *held, *seen, *negative;
} flags;

/* The user's list, if there is something to be found in it. */
static bool make_list(const problem *p, int64_t user_id, const flags *f, int64_t room, walk *w,
                      als_ranking *out) {
  int64_t items = p->model->side[ALS_ITEMS].ids->n, user = user_of(p->model, user_id);
  memset(f->held, 0, (size_t)room);
  memset(f->seen, 0, (size_t)room);
  memset(f->negative, 0, (size_t)room);
  mark(p, &p->test, user_id, f->held, room);
  if (p->with_seen) mark(p, &p->seen, user_id, f->seen, items);
  mark(p, &p->negatives, user_id, f->negative, items);
  w->n = w->relevant = 0;
  for (int64_t i = 0; i < items; i++) {
    if (f->seen[i]) out->relevant_seen += (f->held[i] & 2) != 0;
    if (f->seen[i] || (p->with_negatives && !f->held[i] && !f->negative[i])) continue;
    bool relevant = f->held[i] & 2;
    w->list[w->n++] = (scored){als_model_predict(p->model, user, i), i, relevant};
    w->relevant += relevant;
  }
  for (int64_t i = items; i < room; i++) {
    if (!(f->held[i] & 2)) continue;
    out->relevant_cold++;
    if (!p->options.drop_cold) w->relevant++;
  }
  if (!w->relevant) {
    out->users_without_relevant++;
    return false;
  }
  qsort(w->list, (size_t)w->n, sizeof *w->list, best_first);
  return true;
}

static void oracle(const problem *p, int64_t last_user_id, int64_t last_item_id, als_ranking *out) {
  int64_t items = p->model->side[ALS_ITEMS].ids->n, room = items + last_item_id + 1;
  const als_ranking_options *o = &p->options;
  flags f = {rdd_alloc((size_t)room, 1), rdd_alloc((size_t)room, 1), rdd_alloc((size_t)room, 1)};
  uint8_t *shown = rdd_calloc((size_t)(items * o->cutoffs), 1);
  walk w = {.list = rdd_alloc((size_t)items, sizeof(scored))};
  memset(out, 0, sizeof *out);
  for (int64_t id = 0; id <= last_user_id; id++) {
    bool held_out = false;
    for (int64_t i = 0; i < p->test.n; i++) held_out |= p->test.at[i].user == id;
    if (held_out) out->users_cold += user_of(p->model, id) < 0;
    if (!held_out || user_of(p->model, id) < 0 || !make_list(p, id, &f, room, &w, out)) continue;
    double auc = 0;
    out->users++;
    out->relevant += w.relevant;
    out->users_auc += area(&w, &auc);
    out->auc += auc;
    int64_t first = 0;
    while (first < w.n && !w.list[first].relevant) first++;
    out->mrr += first < w.n ? 1 / (double)(first + 1) : 0;
    for (int c = 0; c < o->cutoffs; c++) {
      at_cutoff(&w, o->cutoff[c], &out->at[c]);
      for (int64_t i = 0; i < w.n && i < o->cutoff[c]; i++) shown[c * items + w.list[i].item] = 1;
    }
  }
  double users = (double)out->users;
  out->mrr /= users;
  out->auc /= (double)out->users_auc;
  for (int c = 0; c < o->cutoffs; c++) {
    als_at_k *at = &out->at[c];
    for (int64_t i = 0; i < items; i++) at->coverage += shown[c * items + i];
    at->coverage /= (double)items;
    at->precision /= users;
    at->recall /= users;
    at->map /= users;
    at->ndcg /= users;
    at->hit_rate /= users;
  }
  rdd_free(f.held);
  rdd_free(f.seen);
  rdd_free(f.negative);
  rdd_free(shown);
  rdd_free(w.list);
}

static bool near(double a, double b) {
  return (isnan(a) && isnan(b)) || fabs(a - b) <= 1e-12;
}

static bool all_true(const bool *value, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!value[i]) return false;
  return true;
}

static bool agree(const als_ranking *a, const als_ranking *b, int cutoffs) {
  const bool whole[] = {
      TK_CHECK(a->users == b->users),
      TK_CHECK(a->users_auc == b->users_auc),
      TK_CHECK(a->users_without_relevant == b->users_without_relevant),
      TK_CHECK(a->users_cold == b->users_cold),
      TK_CHECK(a->relevant == b->relevant),
      TK_CHECK(a->relevant_cold == b->relevant_cold),
      TK_CHECK(a->relevant_seen == b->relevant_seen),
      TK_CHECK(near(a->mrr, b->mrr)),
      TK_CHECK(near(a->auc, b->auc)),
  };
  bool same = all_true(whole, sizeof whole / sizeof *whole);
  for (int c = 0; c < cutoffs; c++) {
    const als_at_k *x = &a->at[c], *y = &b->at[c];
    const bool at[] = {
        TK_CHECK(near(x->precision, y->precision)),
        TK_CHECK(near(x->recall, y->recall)),
        TK_CHECK(near(x->map, y->map)),
        TK_CHECK(near(x->ndcg, y->ndcg)),
        TK_CHECK(near(x->hit_rate, y->hit_rate)),
        TK_CHECK(near(x->coverage, y->coverage)),
    };
    same = all_true(at, sizeof at / sizeof *at) && same;
  }
  return same;
}

/* ---- Worked out by hand ---- */

/* Lists that the model makes: user u's prediction for item i is score[u][i]: one factor a user. */
enum { HAND_USERS = 3, HAND_ITEMS = 10 };

static als_model *hand_model(rdd_comm *comm, const int lists[HAND_USERS][HAND_ITEMS]) {
  float x[HAND_USERS * HAND_USERS] = {0}, y[HAND_ITEMS * HAND_USERS];
  const int64_t n[2] = {HAND_USERS, HAND_ITEMS};
  for (int u = 0; u < HAND_USERS; u++) {
    x[u * HAND_USERS + u] = 1;
    for (int place = 0; place < HAND_ITEMS; place++)
      y[lists[u][place] * HAND_USERS + u] = (float)(HAND_ITEMS - place);
  }
  return make_model(comm, n, HAND_USERS, (float *const[2]){x, y}, NULL);
}

/* The example of Spark's RankingMetricsSuite, items renamed from 1..10 to 0..9: relevant are
 * {1,2,3,4,5}, {1,2,3} and nothing. Expected are the values per user that it is made of. */
static void known_lists(rdd_comm *comm) {
  static const int lists[HAND_USERS][HAND_ITEMS] = {{0, 5, 1, 6, 2, 7, 3, 8, 4, 9},
                                                    {3, 0, 4, 5, 1, 6, 2, 7, 8, 9},
                                                    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}};
  static const int cutoff[] = {1, 2, 3, 5, 10, 15};
  problem p = {.model = hand_model(comm, lists), .options = {cutoff, 6, 0, false}};
  for (int i = 0; i < 5; i++) fx_add(&p.test, 0, i * ITEM_STEP, 1);
  for (int i = 0; i < 3; i++) fx_add(&p.test, USER_STEP, i * ITEM_STEP, 1);
  fx_add(&p.test, 2 * USER_STEP, 4 * ITEM_STEP, 0); /* held out, but not liked */
  als_ranking r;
  als_error e;
  if (solve(comm, &p, &r, &e)) {
    TK_CHECK(r.users == 2 && r.users_without_relevant == 1 && r.users_cold == 0);
    TK_CHECK(r.relevant == 8 && r.relevant_cold == 0 && r.relevant_seen == 0);
    static const double precision[] = {1. / 2, 1. / 2, 1. / 2, 1. / 2, 8. / 20, 8. / 30};
    for (int c = 0; c < 6; c++) TK_NEAR(r.at[c].precision, precision[c], 1e-15);
    /* hits of user 0: 1 1 2 3 5 5; of user 1: 0 1 1 2 3 3; recall is over min(k, relevant) */
    static const double hits[2][6] = {{1, 1, 2, 3, 5, 5}, {0, 1, 1, 2, 3, 3}};
    static const double most[2][6] = {{1, 2, 3, 5, 5, 5}, {1, 2, 3, 3, 3, 3}};
    for (int c = 0; c < 6; c++)
      TK_NEAR(r.at[c].recall, (hits[0][c] / most[0][c] + hits[1][c] / most[1][c]) / 2, 1e-15);
    TK_NEAR(r.at[0].map, (1. + 0) / 2, 1e-15);
    TK_NEAR(r.at[1].map, (1. / 2 + (1. / 2) / 2) / 2, 1e-15);
    TK_NEAR(r.at[3].map, ((1 + 2. / 3 + 3. / 5) / 5 + (1. / 2 + 2. / 5) / 3) / 2, 1e-15);
    TK_NEAR(r.at[5].map,
            ((1 + 2. / 3 + 3. / 5 + 4. / 7 + 5. / 9) / 5 + (1. / 2 + 2. / 5 + 3. / 7) / 3) / 2,
            1e-15);
    double two = 1 / log2(3), three = 1 / log2(4), five = 1 / log2(6), seven = 1 / log2(8),
           nine = 1 / log2(10), four = 1 / log2(5);
    TK_NEAR(r.at[2].ndcg, ((1 + three) + two) / (1 + two + three) / 2, 1e-15);
    TK_NEAR(r.at[4].ndcg,
            ((1 + three + five + seven + nine) / (1 + two + three + four + five) +
             (two + five + seven) / (1 + two + three)) /
                2,
            1e-15);
    TK_NEAR(r.at[0].hit_rate, 0.5, 0);
    TK_NEAR(r.at[1].hit_rate, 1, 0);
    TK_NEAR(r.mrr, (1 + 0.5) / 2, 1e-15);
    /* user 0: irrelevant ones at 2 4 6 8 10, so 5+4+3+2+1 of 25; user 1: 6+4+3 of 21 */
    TK_NEAR(r.auc, (15. / 25 + 13. / 21) / 2, 1e-15);
    TK_NEAR(r.at[0].coverage, 2. / 10, 1e-15); /* the third user is not evaluated */
    TK_NEAR(r.at[2].coverage, 5. / 10, 1e-15); /* 0 5 1, 3 0 4 */
    TK_NEAR(r.at[4].coverage, 1, 0);
  }
  problem_reset(&p);
}

/* Three items with one score, and their relatives: ties go by index in lists and count half in AUC. */
static void ties_by_hand(rdd_comm *comm) {
  float x[1] = {1}, y[5] = {2, 7, 2, 2, 1};
  const int64_t n[2] = {1, 5};
  static const int cutoff[] = {3, 2};
  problem p = {.model = make_model(comm, n, 1, (float *const[2]){x, y}, NULL),
               .options = {cutoff, 2, 3, false}};
  fx_add(&p.test, 0, 2 * ITEM_STEP, 4); /* place 3: after 7, after item 0 */
  fx_add(&p.test, 0, 2 * ITEM_STEP, 1); /* once liked is liked */
  fx_add(&p.test, 0, 4 * ITEM_STEP, 3); /* not above 3 */
  als_ranking r;
  als_error e;
  if (solve(comm, &p, &r, &e)) {
    TK_NEAR(r.mrr, 1. / 3, 1e-15);
    TK_NEAR(r.at[0].hit_rate, 1, 0);
    TK_NEAR(r.at[1].hit_rate, 0, 0);
    TK_NEAR(r.auc, (1 + 2 * 0.5) / 4, 1e-15); /* over 1; half of items 0 and 3; under 7 */
    TK_CHECK(r.relevant == 1);
    /* predictions 2, 2, 1 for ratings 4, 1, 3 */
    TK_CHECK(e.n == 3);
    TK_NEAR(e.squared, 4 + 1 + 4, 1e-12);
    TK_NEAR(e.absolute, 2 + 1 + 2, 1e-12);
    double mean = 8. / 3;
    TK_NEAR(e.spread, (4 - mean) * (4 - mean) + (1 - mean) * (1 - mean) + (3 - mean) * (3 - mean),
            1e-12);
  }
  problem_reset(&p);
}

/* Nothing to evaluate: NaN with the counts that say why, not an error and not 0. */
static void nobody(rdd_comm *comm) {
  float x[1] = {1}, y[2] = {1, 2};
  const int64_t n[2] = {1, 2};
  static const int cutoff[] = {10};
  problem p = {.model = make_model(comm, n, 1, (float *const[2]){x, y}, NULL),
               .options = {cutoff, 1, 0, true}};
  fx_add(&p.test, 0, 1, 5); /* an item that is not known, left out */
  fx_add(&p.test, 3, 0, 5); /* a user that is not */
  fx_add(&p.test, 5, 0, 5); /* another one */
  als_ranking r;
  als_error e;
  if (solve(comm, &p, &r, &e)) {
    TK_CHECK(r.users == 0 && r.users_without_relevant == 1 && r.users_cold == 2);
    TK_CHECK(r.relevant_cold == 1 && r.users_auc == 0);
    TK_CHECK(isnan(r.mrr) && isnan(r.auc) && isnan(r.at[0].ndcg) && isnan(r.at[0].coverage));
    TK_CHECK(e.n == 0);
  }
  p.options.drop_cold = false; /* the item counts as missed */
  if (solve(comm, &p, &r, &e)) {
    TK_CHECK(r.users == 1 && r.users_without_relevant == 0 && r.relevant == 1);
    TK_CHECK(r.mrr == 0 && r.auc == 0 && r.at[0].recall == 0 && r.at[0].coverage == 1);
  }
  problem_reset(&p);
}

static void bad_options(rdd_comm *comm) {
  float x[1] = {1}, y[2] = {1, 2};
  const int64_t n[2] = {1, 2};
  static const int zero[] = {5, 0}, far[] = {ALS_MAX_CUTOFF + 1}, good[] = {1};
  const als_ranking_options bad[] = {
      {zero, 2, 0, false}, {far, 1, 0, false}, {good, 0, 0, false}, {good, 1, NAN, false}};
  als_model *model = make_model(comm, n, 1, (float *const[2]){x, y}, NULL);
  als_held_out h = {.model = model};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    rdd_err err = {0};
    als_ranking r;
    TK_CHECK(als_rank_held_out(comm, &h, &bad[i], &r, &err) == RDD_EUSAGE);
    TK_CHECK(err.message[0] != 0);
  }
  als_model_free(model);
}

/* ---- Random problems ---- */

typedef enum kind { PLAIN, INTEGERS, HUGE_NUMBERS, TINY, ZEROS, KINDS } kind;

enum { USERS = 90, ITEMS = 1100, K = 7 };

/* Factors: of INTEGERS many scores tie exactly; of HUGE_NUMBERS float32 sums overflow for some users. */
static float draw(fx_random *random, kind how, int64_t row) {
  float x = fx_float(random) - 0.5f;
  switch (how) {
  case INTEGERS:
    return rintf(3 * x);
  case HUGE_NUMBERS:
    return row % 3 ? x : x * 1e30f;
  case TINY:
    return x * 1e-21f;
  case ZEROS:
    return row % 5 ? x : 0;
  default:
    return x;
  }
}

static als_model *random_model(rdd_comm *comm, fx_random *random, kind how, bool bias) {
  const int64_t n[2] = {USERS, ITEMS};
  float *x[2], *b[2];
  for (int s = 0; s < 2; s++) {
    x[s] = rdd_alloc((size_t)n[s] * K, sizeof *x[s]);
    b[s] = rdd_alloc((size_t)n[s], sizeof *b[s]);
    for (int64_t i = 0; i < n[s]; i++) {
      for (int j = 0; j < K; j++) x[s][i * K + j] = draw(random, how, i);
      b[s][i] = draw(random, how, 1);
      if (i % 4 == 3) { /* twins: ties that a GEMM may round apart */
        memcpy(x[s] + i * K, x[s] + (i - 1) * K, K * sizeof *x[s]);
        b[s][i] = b[s][i - 1];
      }
    }
  }
  als_model *model = make_model(comm, n, K, x, bias ? b : NULL);
  if (bias) model->mean = 3;
  for (int s = 0; s < 2; s++) {
    rdd_free(x[s]);
    rdd_free(b[s]);
  }
  return model;
}

/* Ratings of 0 to 5: of users known and not, of items known and not, some of them twice, some pairs of
 * training too; one user has rated everything, one has no negatives and one nothing that is liked. */
static void random_lists(fx_random *random, problem *p) {
  for (int u = 0; u < USERS + 8; u++) {
    int64_t user = (int64_t)u * USER_STEP + (u % 9 == 5);
    int ratings = u % 10 == 0 ? 0 : u % 10 == 1 ? 1 : 3 + u % 40;
    for (int i = 0; i < ratings; i++) {
      int64_t item = (int64_t)(fx_float(random) * (ITEMS + 3)) * ITEM_STEP;
      if (fx_float(random) < 0.05f) item++;
      bool likes = u != 7;
      fx_add(&p->test, user, item, likes ? rintf(fx_float(random) * 5) : 0);
      if (likes && fx_float(random) < 0.1f)
        fx_add(&p->test, user, item, rintf(fx_float(random) * 5));
      if (fx_float(random) < 0.1f) fx_add(&p->seen, user, item, 1);
      if (fx_float(random) < 0.1f) fx_add(&p->negatives, user, item, 1);
    }
    for (int i = 0; i < (u == 11 ? ITEMS : 60); i++) {
      int64_t item = u == 11 ? i : (int64_t)(fx_float(random) * ITEMS);
      if (u == 11 && i % 31 == 0) continue;
      fx_add(&p->seen, user, item * ITEM_STEP, 1);
      if (i % 9 == 0) fx_add(&p->seen, user, item * ITEM_STEP, 2);
    }
    for (int i = 0; i < 30 && u != 12; i++)
      fx_add(&p->negatives, user, (int64_t)(fx_float(random) * ITEMS) * ITEM_STEP, 1);
  }
}

static void check_kind(rdd_comm *comm, kind how, int variant) {
  static const int cutoff[] = {10, 1, 3, 100, 2000};
  /* what one rank has found, for the others to have the same bits */
  static als_ranking one_rank[KINDS][4];
  static als_error one_rank_error[KINDS][4];
  fx_random random;
  problem p = {.with_seen = variant & 1,
               .with_negatives = variant & 2,
               .options = {cutoff, 5, variant == 1 ? 3 : 0, variant & 1}};
  fx_seed(&random, 100 * how + variant);
  p.model = random_model(comm, &random, how, variant > 1);
  random_lists(&random, &p);
  als_ranking r;
  als_error e;
  if (solve(comm, &p, &r, &e)) {
    if (comm->size == 1) {
      als_ranking wanted;
      oracle(&p, (USERS + 8) * USER_STEP, (ITEMS + 4) * ITEM_STEP, &wanted);
      TK_CHECK(wanted.users > 50 && wanted.users_cold > 5 && wanted.users_without_relevant > 0);
      TK_CHECK(wanted.relevant_cold > 0 && (wanted.relevant_seen > 0) == p.with_seen);
      if (!agree(&r, &wanted, 5)) printf("# of kind %d, variant %d\n", how, variant);
      one_rank[how][variant] = r;
      one_rank_error[how][variant] = e;
    } else {
      TK_CHECK(memcmp(&r, &one_rank[how][variant], sizeof r) == 0);
      TK_CHECK(memcmp(&e, &one_rank_error[how][variant], sizeof e) == 0);
    }
#ifdef _OPENMP
    int before = omp_get_max_threads();
    for (int threads = 1; threads <= 3 && comm->size < 3; threads++) {
      als_ranking again;
      omp_set_num_threads(threads);
      if (solve(comm, &p, &again, &e)) TK_CHECK(memcmp(&r, &again, sizeof r) == 0);
    }
    omp_set_num_threads(before);
#endif
  }
  problem_reset(&p);
}

#define VARIANTS_OF(name, how)                                                                     \
  static void name(rdd_comm *comm) {                                                               \
    for (int variant = 0; variant < 4; variant++) check_kind(comm, how, variant);                  \
  }
VARIANTS_OF(plain, PLAIN)
VARIANTS_OF(integers, INTEGERS)
VARIANTS_OF(huge_numbers, HUGE_NUMBERS)
VARIANTS_OF(tiny, TINY)
VARIANTS_OF(zeros, ZEROS)

/* Rows and columns that are the model's own, as in a fit; several slabs of users. */
static void rows_of_the_model(rdd_comm *comm) {
  enum { MANY = 6000, FEW = 40 };
  static als_ranking one_rank;
  static const int cutoff[] = {5};
  static const als_ranking_options options = {cutoff, 1, 0, false};
  const int64_t n[2] = {MANY, FEW};
  fx_random random;
  fx_list list = {0};
  rdd_err err = {0};
  float *x = rdd_alloc(MANY * 2, sizeof *x), y[FEW * 2];
  fx_seed(&random, 9);
  for (int i = 0; i < MANY * 2; i++) x[i] = fx_float(&random) - 0.5f;
  for (int i = 0; i < FEW * 2; i++) y[i] = fx_float(&random) - 0.5f;
  als_model *model = make_model(comm, n, 2, (float *const[2]){x, y}, NULL);
  for (int u = 0; u < MANY;
       u++) /* each likes what the model puts first; every third has no ratings */
    if (u % 3) {
      int64_t best = 0;
      for (int64_t i = 1; i < FEW; i++)
        if (als_model_predict(model, u, i) > als_model_predict(model, u, best)) best = i;
      fx_add(&list, (int64_t)u * USER_STEP, best * ITEM_STEP, 1);
    }
  als_side test = {0};
  const als_ids *const ids[2] = {model->side[0].ids, model->side[1].ids};
  rdd_parts *parts = fx_parts(&list, 3, 500, false, comm);
  int64_t cold;
  als_ranking r;
  memset(&r, 0, sizeof r);
  if (TK_OK(als_side_build(comm, parts, ALS_USERS, ids, NULL, 2, 0, &test, &cold, &err), &err)) {
    als_held_out h = {.model = model, .test = &test};
    if (TK_OK(als_rank_held_out(comm, &h, &options, &r, &err), &err)) {
      TK_CHECK(r.users == MANY / 3 * 2 && r.users_without_relevant == 0);
      TK_NEAR(r.mrr, 1, 1e-12);
      TK_NEAR(r.auc, 1, 1e-12);
      TK_NEAR(r.at[0].precision, 0.2, 1e-12);
      if (comm->size == 1) one_rank = r;
      TK_CHECK(memcmp(&r, &one_rank, sizeof r) == 0);
    }
  }
  als_side_reset(&test);
  rdd_parts_free(parts);
  als_model_free(model);
  fx_reset(&list);
  rdd_free(x);
}

int main(void) {
  static const tk_comm_case cases[] = {
      {"lists worked out by hand", known_lists},
      {"ties worked out by hand", ties_by_hand},
      {"nobody to evaluate", nobody},
      {"bad options", bad_options},
      {"the oracle agrees", plain},
      {"the oracle agrees where many scores tie", integers},
      {"the oracle agrees where float32 overflows", huge_numbers},
      {"the oracle agrees where float32 underflows", tiny},
      {"the oracle agrees where factors are zeros", zeros},
      {"rows of the model, in several slabs", rows_of_the_model},
  };
  openblas_set_num_threads(1);
  return tk_threads_main("mllib metrics", cases, sizeof cases / sizeof *cases);
}
