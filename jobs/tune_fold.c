/* See tune_fold.h. */
#include "jobs/tune_fold.h"

#include "jobs/number.h"
#include "jobs/split_rule.h"
#include "rdd/memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- Metrics ---- */

static const struct {
  const char *name;
  job_metric_kind kind;
  bool at_k;
} metrics[] = {
    {"rmse", JOB_RMSE, false},
    {"mae", JOB_MAE, false},
    {"ndcg", JOB_NDCG, true},
    {"map", JOB_MAP, true},
    {"precision", JOB_PRECISION, true},
    {"recall", JOB_RECALL, true},
    {"hit_rate", JOB_HIT_RATE, true},
    {"mrr", JOB_MRR, false},
    {"auc", JOB_AUC, false},
};

rdd_status job_metric_read(const char *text, double above, job_metric *out, rdd_err *err) {
  size_t length = strcspn(text, "@");
  int64_t k = 10;
  for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
    if (strlen(metrics[i].name) != length || strncmp(metrics[i].name, text, length) != 0) continue;
    bool has_k = text[length] == '@';
    if (has_k != metrics[i].at_k) break;
    if (has_k && (job_parse_int64(text + length + 1, strlen(text + length + 1), &k) || k < 1 ||
                  k > ALS_MAX_CUTOFF))
      return rdd_set(err, RDD_EUSAGE, "--metric '%.60s': after @ comes a number from 1 to %d", text,
                     ALS_MAX_CUTOFF);
    *out = (job_metric){.kind = metrics[i].kind, .k = (int)k, .above = above};
    snprintf(out->name, sizeof out->name, has_k ? "%s@%d" : "%s", metrics[i].name, (int)k);
    return RDD_OK;
  }
  return rdd_set(err, RDD_EUSAGE,
                 "--metric '%.60s' is none of rmse, mae, ndcg@K, map@K, precision@K, recall@K, "
                 "hit_rate@K, mrr and auc",
                 text);
}

bool job_metric_ranks(const job_metric *metric) {
  return metric->kind != JOB_RMSE && metric->kind != JOB_MAE;
}

bool job_metric_better(const job_metric *metric, double a, double b) {
  return job_metric_ranks(metric) ? a > b : a < b;
}

/* ---- Rows of a fold ---- */

static void free_bytes(void *bytes, size_t size) {
  (void)size;
  rdd_free(bytes);
}

/* What a batch is cut with. */
typedef struct cutter {
  int64_t *row;                  /* [RDD_BATCH_ROWS] which rows are taken */
  void *values[RDD_MAX_COLUMNS]; /* room for them */
  int32_t *offsets[RDD_MAX_COLUMNS];
  int64_t rows, bytes[RDD_MAX_COLUMNS]; /* room */
} cutter;

static void cutter_reset(cutter *c) {
  rdd_free(c->row);
  for (int i = 0; i < RDD_MAX_COLUMNS; i++) {
    rdd_free(c->values[i]);
    rdd_free(c->offsets[i]);
  }
}

/* Room for a whole batch of the three columns that are kept. */
static rdd_status cutter_reserve(cutter *c, const rdd_schema *schema, const rdd_batch *batch,
                                 rdd_err *err) {
  bool good = true;
  if (batch->rows > c->rows || !c->row) {
    rdd_free(c->row);
    c->row = rdd_alloc((size_t)batch->rows, sizeof *c->row);
    c->rows = batch->rows;
    good = c->row != NULL;
  }
  for (int i = 0; i < 3 && good; i++) {
    rdd_type type = schema->field[i].type;
    int64_t bytes = batch->rows * (int64_t)rdd_type_size(type);
    if (type == RDD_UTF8)
      bytes = batch->column[i].offsets[batch->rows] - batch->column[i].offsets[0];
    if (type == RDD_UTF8) {
      rdd_free(c->offsets[i]);
      c->offsets[i] = rdd_alloc((size_t)batch->rows + 1, sizeof(int32_t));
      good = c->offsets[i] != NULL;
    }
    if (bytes <= c->bytes[i] && c->values[i]) continue;
    rdd_free(c->values[i]);
    c->values[i] = rdd_alloc((size_t)bytes, 1);
    c->bytes[i] = bytes;
    good = good && c->values[i];
  }
  return good ? RDD_OK : rdd_set(err, RDD_ENOMEM, "out of memory for a batch of a fold");
}

static void take_column(cutter *c, int i, rdd_type type, const rdd_column *in, int64_t n,
                        rdd_column *out) {
  *out = (rdd_column){.values = c->values[i], .offsets = c->offsets[i]};
  if (type != RDD_UTF8) {
    size_t size = rdd_type_size(type);
    for (int64_t r = 0; r < n; r++)
      memcpy((char *)c->values[i] + (size_t)r * size,
             (const char *)in->values + (size_t)c->row[r] * size, size);
    return;
  }
  int32_t at = 0;
  for (int64_t r = 0; r < n; r++) {
    int32_t begin = in->offsets[c->row[r]], length = in->offsets[c->row[r] + 1] - begin;
    c->offsets[i][r] = at;
    if (length > 0)
      memcpy((char *)c->values[i] + at, (const char *)in->values + begin, (size_t)length);
    at += length;
  }
  c->offsets[i][n] = at;
}

/* Those who choose the rows of one part of a fold. */
typedef struct part_of {
  int fold, folds;
  uint64_t seed;
  bool tests; /* the held-out part, else the training part */
} part_of;

static rdd_status append_rows(cutter *c, const part_of *which, const rdd_schema *schema,
                              const rdd_batch *batch, rdd_segment *segment, rdd_err *err) {
  rdd_batch taken = {0};
  rdd_status st = cutter_reserve(c, schema, batch, err);
  if (st) return st;
  for (int64_t row = 0; row < batch->rows; row++) {
    double share = job_split_share(schema, batch, row, which->seed);
    bool is_test = job_split_fold(share, which->folds) == which->fold;
    if (is_test == which->tests) c->row[taken.rows++] = row;
  }
  for (int i = 0; i < 3; i++)
    take_column(c, i, schema->field[i].type, &batch->column[i], taken.rows, &taken.column[i]);
  return rdd_segment_append(segment, &taken, err);
}

/* A part of this rank's ratings as one partition. Not collective.
 *   out  [in,out] zeroed; free it with part_reset() */
static rdd_status take_part(const rdd_parts *parts, const part_of *which, rdd_parts *out,
                            rdd_err *err) {
  cutter c = {0};
  rdd_segment *segment = NULL;
  void *bytes = NULL;
  size_t size = 0;
  out->schema.columns = 3;
  memcpy(out->schema.field, parts->schema.field, 3 * sizeof *out->schema.field);
  out->number = rdd_calloc(1, sizeof *out->number);
  out->part = rdd_calloc(1, sizeof *out->part);
  rdd_status st = RDD_OK;
  if (!out->number || !out->part) st = rdd_set(err, RDD_ENOMEM, "out of memory for a fold");
  if (!st) st = rdd_segment_new(&segment, &out->schema, -1, err);
  for (int64_t p = 0; p < parts->n && !st; p++)
    for (int64_t b = 0; b < parts->part[p].batches && !st; b++)
      st = append_rows(&c, which, &parts->schema, &parts->part[p].batch[b], segment, err);
  if (!st) st = rdd_segment_finish(segment, &bytes, &size, err);
  if (st) goto done;
  st = rdd_part_open(&out->part[0], &out->schema, bytes, size, free_bytes, err);
  if (st) goto done;
  bytes = NULL;
  out->n = 1;
done:
  rdd_free(bytes);
  rdd_segment_free(segment);
  cutter_reset(&c);
  return st;
}

static void part_reset(rdd_parts *part) {
  for (int64_t p = 0; p < part->n; p++) rdd_parts_drop(part, p);
  rdd_free(part->number);
  rdd_free(part->part);
  *part = (rdd_parts){0};
}

/* ---- The fold ---- */

void job_fold_reset(job_fold *fold) {
  for (int side = 0; side < 2; side++) {
    als_side_reset(&fold->side[side]);
    als_ids_free(fold->ids[side]);
  }
  als_side_reset(&fold->seen);
  als_test_set_reset(&fold->held_out);
  *fold = (job_fold){0};
}

/* The training part as both sides see it. */
static rdd_status build_training(job_fold *f, rdd_parts *parts, int k, rdd_err *err) {
  rdd_comm *comm = f->comm;
  int64_t none;
  rdd_status st = RDD_OK;
  for (int side = 0; side < 2 && !st; side++)
    st = als_ids_build(comm, parts, side, &f->ids[side], err);
  if (st) return st;
  if (f->ids[ALS_USERS]->n == 0) return rdd_set(err, RDD_EDATA, "there are no ratings to train on");
  const als_ids *const ids[2] = {f->ids[ALS_USERS], f->ids[ALS_ITEMS]};
  st = als_side_build(comm, parts, ALS_USERS, ids, NULL, k, 0, &f->side[ALS_USERS], &none, err);
  if (!st)
    st = als_side_transpose(comm, &f->side[ALS_USERS], ids[ALS_ITEMS]->n, k, 0, &f->side[ALS_ITEMS],
                            err);
  if (!st) f->ratings = als_side_count(&f->side[ALS_USERS], comm);
  return st;
}

/* Held-out ratings over all ranks, and those that are cold. Collective. */
static void count_tests(job_fold *f) {
  const als_side *side = &f->held_out.by_user;
  int64_t n[2] = {side->start[side->rows], 0};
  for (int64_t row = 0; row < side->rows; row++)
    for (int64_t e = side->start[row]; e < side->start[row + 1]; e++)
      n[1] += f->held_out.index[ALS_USERS][side->first + row] < 0 ||
              f->held_out.index[ALS_ITEMS][side->entry[e].column] < 0;
  rdd_allreduce(f->comm, n, 2, RDD_SUM);
  f->tests = n[0];
  f->cold = n[1];
}

/* The held-out part. A model of the fold is not there yet, but its ids are. */
static rdd_status build_held_out(job_fold *f, const rdd_parts *parts, part_of which, bool ranks,
                                 int k, rdd_err *err) {
  als_model only_ids = {.k = k};
  rdd_parts part = {0};
  int64_t unused;
  for (int side = 0; side < 2; side++) only_ids.side[side].ids = f->ids[side];
  which.tests = true;
  rdd_status st = rdd_agree(f->comm, take_part(parts, &which, &part, err), err);
  if (!st) st = als_test_set_build(f->comm, &only_ids, &part, &f->held_out, err);
  part_reset(&part);
  if (st) return st;
  count_tests(f);
  if (f->tests == f->cold)
    return rdd_set(
        err, RDD_EDATA,
        "fold %d of %d holds out %" PRId64
        " ratings, none of a user and an item that its training part has; take fewer folds",
        which.fold + 1, which.folds, f->tests);
  if (!ranks) return RDD_OK;
  which.tests = false;
  st = rdd_agree(f->comm, take_part(parts, &which, &part, err), err);
  if (!st) st = als_test_set_match(f->comm, &f->held_out, &only_ids, &part, &f->seen, &unused, err);
  part_reset(&part);
  return st;
}

rdd_status job_fold_build(rdd_comm *comm, rdd_parts *parts, int fold, int folds, uint64_t seed,
                          const job_metric *metric, int k, job_fold *out, rdd_err *err) {
  const part_of which = {.fold = fold, .folds = folds, .seed = seed};
  rdd_parts part = {0};
  out->comm = comm;
  if (fold < 0) return build_training(out, parts, k, err);
  rdd_status st = rdd_agree(comm, take_part(parts, &which, &part, err), err);
  if (!st) st = build_training(out, &part, k, err);
  part_reset(&part);
  return st ? st : build_held_out(out, parts, which, job_metric_ranks(metric), k, err);
}

/* ---- Fit and score ---- */

void job_fold_drop_model(als_model *model) {
  for (int side = 0; model && side < 2; side++) model->side[side].ids = NULL;
  als_model_free(model);
}

/* A fit takes biases off the ratings, so it gets ratings of its own. */
static rdd_status copy_problem(const job_fold *f, als_problem *out, rdd_err *err) {
  *out = (als_problem){.ratings = f->ratings};
  for (int side = 0; side < 2; side++) {
    const als_side *from = &f->side[side];
    size_t n = (size_t)from->start[from->rows];
    out->side[side] = *from;
    out->side[side].entry = rdd_alloc(n, sizeof *from->entry);
    if (!out->side[side].entry)
      return rdd_set(err, RDD_ENOMEM, "out of memory for %zu ratings of a fold", n);
    memcpy(out->side[side].entry, from->entry, n * sizeof *from->entry);
  }
  return RDD_OK;
}

rdd_status job_fold_fit(const job_fold *fold, const als_params *params, const job_start *start,
                        const als_hooks *hooks, als_model **model_out, als_iteration **history_out,
                        int *done_out, rdd_err *err) {
  als_model *model = NULL;
  als_problem problem = {0};
  als_ids *const ids[2] = {fold->ids[ALS_USERS], fold->ids[ALS_ITEMS]};
  als_iteration *history = rdd_calloc((size_t)params->max_iter + 1, sizeof *history);
  rdd_status st = copy_problem(fold, &problem, err);
  if (!st && !history) st = rdd_set(err, RDD_ENOMEM, "out of memory for the history");
  st = rdd_agree(fold->comm, st, err);
  if (!st) st = als_model_new(fold->comm, ids, params->rank, params->bias, &model, err);
  if (!st) st = job_start_draw(start, fold->comm, model, err);
  if (!st) st = als_fit(fold->comm, &problem, params, model, 0, hooks, history, done_out, err);
  if (st) goto done;
  *model_out = model;
  model = NULL;
  if (history_out) {
    *history_out = history;
    history = NULL;
  }
done:
  job_fold_drop_model(model);
  rdd_free(history);
  for (int side = 0; side < 2; side++) rdd_free(problem.side[side].entry);
  return st;
}

static double at_k(const job_metric *metric, const als_ranking *r) {
  const als_at_k *at = &r->at[0];
  switch (metric->kind) {
  case JOB_NDCG:
    return at->ndcg;
  case JOB_MAP:
    return at->map;
  case JOB_PRECISION:
    return at->precision;
  case JOB_RECALL:
    return at->recall;
  case JOB_HIT_RATE:
    return at->hit_rate;
  case JOB_MRR:
    return r->mrr;
  default:
    return r->auc;
  }
}

rdd_status job_fold_score(const job_fold *fold, const als_model *model, const job_metric *metric,
                          double *out, rdd_err *err) {
  als_held_out h = als_test_set_view(&fold->held_out, model);
  als_error error;
  als_ranking ranking;
  rdd_status st = RDD_OK;
  if (job_metric_ranks(metric)) {
    const als_ranking_options options = {
        .cutoff = &metric->k, .cutoffs = 1, .above = metric->above, .drop_cold = true};
    h.seen = &fold->seen;
    st = als_rank_held_out(fold->comm, &h, &options, &ranking, err);
    if (st) return st;
    if (ranking.users == 0)
      return rdd_set(err, RDD_EDATA, "no user has a held-out item that is relevant: rated above %g",
                     metric->above);
    *out = at_k(metric, &ranking);
  } else {
    st = als_errors(fold->comm, &h, false, &error, err);
    if (st) return st;
    double n = (double)error.n;
    *out = metric->kind == JOB_RMSE ? sqrt(error.squared / n) : error.absolute / n;
  }
  if (!isfinite(*out))
    return rdd_set(err, RDD_EDATA, "its %s is not a finite number", metric->name);
  return RDD_OK;
}
