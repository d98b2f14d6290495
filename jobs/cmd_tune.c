/* als tune: every point of a grid is fitted to every fold, the best on average is fitted to all ratings.
 *
 * Fits of different points and folds have nothing to say to each other. So where the ratings fit the memory
 * of one rank, each rank gets a copy, and whole fits are dealt out, the costly ones first: no rank waits
 * for another until the end. Where they do not, each fit is a gang of all ranks, one after the other. A fit
 * has the same bits either way (docs/tune.md). */
#include "jobs/input.h"
#include "jobs/job.h"
#include "jobs/memory_use.h"
#include "jobs/model_file.h"
#include "jobs/output.h"
#include "jobs/save.h"
#include "jobs/tune_copies.h"
#include "jobs/tune_fold.h"
#include "jobs/tune_grid.h"
#include "jobs/ui.h"
#include "mpi_bridge/gang.h"
#include "rdd/clock.h"
#include "rdd/memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const job_option options[] = {
    {"grid", 0, JOB_STRINGS, "NAME=V,V...", NULL, 0, 0, false,
     "values to try of an option that fits; may be given several times"},
    {"random", 0, JOB_INT, "N", "0", 0, JOB_GRID_POINTS, false,
     "try N points of the grid, drawn by --fold-seed; 0: all"},
    {"folds", 0, JOB_INT, "K", "5", 2, 100, false, "parts of the ratings; each is held out once"},
    {"fold-seed", 0, JOB_INT, "S", "0", -9e15, 9e15, false,
     "other folds; those of als split --folds --seed S"},
    {"metric", 0, JOB_STRING, "METRIC", NULL, 0, 0, false,
     "rmse, mae, ndcg@K, map@K, precision@K, recall@K, hit_rate@K, mrr or auc"},
    {"relevant-above", 0, JOB_REAL, "R", "0", 0, 0, false,
     "for ranking: items that a user rated above R are relevant"},
    {"execution", 0, JOB_CHOICE, "auto|points|gang", "auto", 0, 0, false,
     "a rank for each fit, or all ranks for each; same result"},
    {"output", 'o', JOB_STRING, "FILE", NULL, 0, 0, false,
     "where the best point's model of all ratings goes; .h5"},
    JOB_PARAM_OPTIONS,
    JOB_START_OPTIONS,
    JOB_INPUT_OPTIONS,
    {0},
};

/* What one fit to one fold came to. Plain data. */
typedef struct outcome {
  rdd_status status;
  double value; /* of the metric */
  char message[240];
} outcome;

/* What a point came to. */
typedef struct verdict {
  const outcome *failed; /* of the first fold that failed; NULL: none */
  double mean, deviation;
} verdict;

/* One fold, as all points find it. */
typedef struct fold_counts {
  int64_t tests, cold;
} fold_counts;

typedef struct tuning {
  job *j;
  const job_args *args;
  const char *path, *inputs;
  const job_input *input;
  rdd_counters counters;
  job_grid grid;
  job_metric metric;
  int folds;
  uint64_t seed;
  const char *execution;
  double started;

  /* one try of the gang */
  outcome *outcome;    /* [folds][points] */
  fold_counts *counts; /* [folds] */
  int *owner;          /* [folds][points] the rank that fits; -1: all together */
  bool points;         /* a rank for each fit */
  int64_t ratings, users, items;
  int64_t fits, fitted;         /* of this rank */
  verdict *verdict;             /* [points] */
  int64_t best;                 /* point, or -1 */
  char digest[JOB_DIGEST_TEXT]; /* of its model */
} tuning;

static outcome *outcome_of(const tuning *t, int fold, int64_t point) {
  return &t->outcome[fold * t->grid.points + point];
}

/* ---- Who fits what ---- */

static int largest_rank(const job_grid *grid) {
  int k = 0;
  for (int64_t i = 0; i < grid->points; i++)
    if (grid->point[i].params.rank > k) k = grid->point[i].params.rank;
  return k;
}

/* A copy of all ratings, a fold of it, both sides twice, and a model: is that half of what is free, at
 * most? The same on all ranks. Collective. */
static bool fits_one_rank(const tuning *t, rdd_comm *comm, int64_t bytes) {
  double need = 3.0 * (double)bytes + 64.0 * (double)t->ratings +
                16.0 * largest_rank(&t->grid) * (double)(t->users + t->items);
  int64_t enough = need <= 0.5 * (double)(job_memory_available() / comm->node_size);
  rdd_allreduce(comm, &enough, 1, RDD_MIN);
  return enough != 0;
}

typedef struct cost {
  double flops;
  int64_t task;
} cost;

static int by_cost(const void *a, const void *b) {
  const cost *x = a, *y = b;
  if (x->flops != y->flops) return x->flops > y->flops ? -1 : 1;
  return (x->task > y->task) - (x->task < y->task);
}

/* Costly fits first, each to the rank that has the least so far. All ranks come to the same. */
static rdd_status deal_out(tuning *t, const rdd_comm *comm, rdd_err *err) {
  int64_t tasks = t->folds * t->grid.points;
  cost *list = rdd_alloc((size_t)tasks, sizeof *list);
  double *load = rdd_calloc((size_t)comm->size, sizeof *load);
  rdd_status st = RDD_OK;
  if (!list || !load) st = rdd_set(err, RDD_ENOMEM, "out of memory for a list of fits");
  for (int64_t i = 0; i < tasks && !st; i++) {
    const als_params *p = &t->grid.point[i % t->grid.points].params;
    double k = p->rank, rows = (double)(t->users + t->items);
    list[i] = (cost){p->max_iter * (2 * (double)t->ratings * k * (k + 1) + rows * k * k * k / 3),
                     i};
  }
  if (!st) qsort(list, (size_t)tasks, sizeof *list, by_cost);
  for (int64_t i = 0; i < tasks && !st; i++) {
    int least = 0;
    for (int r = 1; r < comm->size; r++)
      if (load[r] < load[least]) least = r;
    load[least] += list[i].flops + 1; /* fits that cost nothing are dealt out too */
    t->owner[list[i].task] = least;
  }
  rdd_free(list);
  rdd_free(load);
  return st;
}

static bool is_mine(const tuning *t, const rdd_comm *comm, int fold, int64_t point) {
  int owner = t->owner[fold * t->grid.points + point];
  return owner < 0 || owner == comm->rank;
}

/* ---- Fits ---- */

/* These come again whenever they are tried: the point's fault, not that of the search. */
static bool is_of_the_point(rdd_status st) {
  return st == RDD_ESINGULAR || st == RDD_EUSAGE || st == RDD_EDATA;
}

static rdd_status heartbeat(void *arg, int iteration, int side, rdd_err *err) {
  const tuning *t = arg;
  (void)iteration, (void)side, (void)err;
  job_run_heartbeat(t->j->run);
  return RDD_OK;
}

/* Collective over the fold's comm. */
static rdd_status try_point(tuning *t, const job_fold *fold, int number, int64_t point,
                            rdd_err *err) {
  const job_point *p = &t->grid.point[point];
  const als_hooks hooks = {.before = heartbeat, .arg = t};
  outcome *o = outcome_of(t, number, point);
  als_model *model = NULL;
  int made;
  rdd_status st = job_fold_fit(fold, &p->params, &p->start, &hooks, &model, NULL, &made, err);
  if (!st) st = job_fold_score(fold, model, &t->metric, &o->value, err);
  job_fold_drop_model(model);
  job_progress("tuning", ++t->fitted, t->fits, "fits");
  if (!is_of_the_point(st)) return st;
  o->status = st;
  snprintf(o->message, sizeof o->message, "%.*s", (int)sizeof o->message - 1, err->message);
  return RDD_OK;
}

/* The fits of this rank. Collective over `one`, which is what a fit runs on. */
static rdd_status run_fits(tuning *t, rdd_comm *comm, rdd_comm *one, rdd_parts *parts,
                           rdd_err *err) {
  rdd_status st = RDD_OK;
  int k = largest_rank(&t->grid);
  for (int f = 0; f < t->folds && !st; f++) {
    job_fold fold = {0};
    int64_t mine = 0;
    for (int64_t i = 0; i < t->grid.points; i++) mine += is_mine(t, comm, f, i);
    if (mine == 0) continue;
    st = job_fold_build(one, parts, f, t->folds, t->seed, &t->metric, k, &fold, err);
    if (!st) t->counts[f] = (fold_counts){fold.tests, fold.cold};
    for (int64_t i = 0; i < t->grid.points && !st; i++)
      if (is_mine(t, comm, f, i)) st = try_point(t, &fold, f, i, err);
    job_fold_reset(&fold);
  }
  return st;
}

/* Everybody learns what everybody found. Collective. */
static void share_outcomes(tuning *t, rdd_comm *comm) {
  for (int f = 0; f < t->folds; f++) {
    for (int64_t i = 0; i < t->grid.points; i++) {
      int owner = t->owner[f * t->grid.points + i];
      if (owner >= 0) rdd_bcast(comm, outcome_of(t, f, i), sizeof(outcome), owner);
    }
    int64_t counts[2] = {t->counts[f].tests, t->counts[f].cold};
    rdd_allreduce(comm, counts, 2, RDD_MAX); /* of ranks that know; 0 elsewhere */
    t->counts[f] = (fold_counts){counts[0], counts[1]};
  }
}

/* Every rank by itself, on its copy; a fence at the end. Collective. */
static rdd_status run_dealt_out(tuning *t, rdd_comm *comm, const rdd_parts *parts, rdd_err *err) {
  rdd_parts copies = {0};
  rdd_comm *one = NULL;
  rdd_status st = rdd_agree(comm, deal_out(t, comm, err), err);
  if (!st) st = job_copies_make(comm, parts, &copies, err);
  if (st) goto done;
  st = rdd_comm_single(&one, err);
  for (int64_t i = 0; i < t->folds * t->grid.points; i++) t->fits += t->owner[i] == comm->rank;
  if (!st) st = run_fits(t, comm, one, &copies, err);
  st = rdd_agree(comm, st, err);
done:
  rdd_comm_close(one);
  job_copies_reset(&copies);
  return st;
}

/* ---- The verdict ---- */

static void judge(tuning *t) {
  t->best = -1;
  for (int64_t i = 0; i < t->grid.points; i++) {
    verdict *v = &t->verdict[i];
    double sum = 0, squares = 0;
    *v = (verdict){0};
    for (int f = t->folds - 1; f >= 0; f--)
      if (outcome_of(t, f, i)->status) v->failed = outcome_of(t, f, i);
    if (v->failed) continue;
    for (int f = 0; f < t->folds; f++) sum += outcome_of(t, f, i)->value;
    v->mean = sum / t->folds;
    for (int f = 0; f < t->folds; f++) {
      double off = outcome_of(t, f, i)->value - v->mean;
      squares += off * off;
    }
    v->deviation = sqrt(squares / (t->folds - 1));
    if (t->best < 0 || job_metric_better(&t->metric, v->mean, t->verdict[t->best].mean))
      t->best = i;
  }
}

/* The best point's model of all ratings. Collective. */
static rdd_status refit(tuning *t, rdd_comm *comm, rdd_parts *parts, rdd_err *err) {
  const job_point *p = &t->grid.point[t->best];
  const als_hooks hooks = {.before = heartbeat, .arg = t};
  job_fold all = {0};
  als_model *model = NULL;
  als_iteration *history = NULL;
  int made = 0;
  double started = rdd_seconds();
  char *settings = job_grid_settings(t->args, &t->grid, p);
  rdd_status st = job_fold_build(comm, parts, -1, 0, 0, NULL, p->params.rank, &all, err);
  if (!st) st = job_fold_fit(&all, &p->params, &p->start, &hooks, &model, &history, &made, err);
  if (st) goto done;
  const job_provenance how = {.params = p->params,
                              .start = p->start,
                              .ratings = all.ratings,
                              .ranks = comm->size,
                              .iterations = made,
                              .best = made,
                              .history = history,
                              .inputs = t->inputs,
                              .command_line = t->j->command_line,
                              .settings = settings,
                              .seconds = rdd_seconds() - started};
  st = job_model_write(comm, t->path, model, &how, t->digest, err);
done:
  job_fold_drop_model(model);
  rdd_free(history);
  free(settings);
  job_fold_reset(&all);
  return st;
}

/* ---- The gang ---- */

/* Ratings, users and items, and bytes of all partitions. Collective. */
static rdd_status count_all(tuning *t, rdd_comm *comm, const rdd_parts *parts, int64_t *bytes_out,
                            rdd_err *err) {
  int64_t sum[2] = {0, 0}, n[2];
  for (int64_t p = 0; p < parts->n; p++) {
    sum[0] += parts->part[p].rows;
    sum[1] += (int64_t)parts->part[p].size;
  }
  rdd_allreduce(comm, sum, 2, RDD_SUM);
  for (int side = 0; side < 2; side++) {
    als_ids *ids = NULL;
    rdd_status st = als_ids_build(comm, parts, side, &ids, err);
    if (st) return st;
    n[side] = ids->n;
    als_ids_free(ids);
  }
  t->ratings = sum[0];
  t->users = n[ALS_USERS];
  t->items = n[ALS_ITEMS];
  *bytes_out = sum[1];
  if (t->ratings == 0)
    return rdd_set(err, RDD_EDATA, "%s: no ratings", job_input_describe(t->input));
  return RDD_OK;
}

static void try_reset(tuning *t) {
  rdd_free(t->outcome);
  rdd_free(t->counts);
  rdd_free(t->owner);
  rdd_free(t->verdict);
  t->outcome = NULL;
  t->counts = NULL;
  t->owner = NULL;
  t->verdict = NULL;
}

/* Room for what this try finds. Not collective. */
static rdd_status try_open(tuning *t, rdd_err *err) {
  size_t folds = (size_t)t->folds, points = (size_t)t->grid.points;
  try_reset(t);
  t->fits = t->fitted = 0;
  t->outcome = rdd_calloc(folds * points, sizeof *t->outcome);
  t->counts = rdd_calloc(folds, sizeof *t->counts);
  t->owner = rdd_alloc(folds * points, sizeof *t->owner);
  t->verdict = rdd_calloc(points, sizeof *t->verdict);
  if (!t->outcome || !t->counts || !t->owner || !t->verdict)
    return rdd_set(err, RDD_ENOMEM, "out of memory for the results of %zu points", points);
  for (size_t i = 0; i < folds * points; i++) t->owner[i] = -1;
  return RDD_OK;
}

static rdd_status tune(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  tuning *t = arg;
  rdd_comm *comm = gang_comm(g);
  int64_t bytes;
  rdd_status st = job_input_check(t->input, &t->counters, err);
  if (!st) st = rdd_agree(comm, try_open(t, err), err);
  if (!st) st = count_all(t, comm, parts[0], &bytes, err);
  if (st) return st;
  t->points = comm->size > 1 && strcmp(t->execution, "gang") != 0;
  if (t->points && !strcmp(t->execution, "auto")) t->points = fits_one_rank(t, comm, bytes);
  job_say("%s ratings, %s users, %s items; %s points x %d folds, %s", job_count_text(t->ratings),
          job_count_text(t->users), job_count_text(t->items), job_count_text(t->grid.points),
          t->folds, t->points ? "a rank for each fit" : "all ranks for each fit");
  if (t->points) {
    st = run_dealt_out(t, comm, parts[0], err);
  } else {
    t->fits = t->folds * t->grid.points;
    st = run_fits(t, comm, comm, parts[0], err);
  }
  if (st) return st;
  share_outcomes(t, comm);
  judge(t);
  if (t->path && t->best >= 0) st = refit(t, comm, parts[0], err);
  return st;
}

/* ---- Results ---- */

static int width_of(const job_axis *axis) {
  size_t width = strlen(axis->option->name);
  for (int i = 0; i < axis->n; i++)
    if (strlen(axis->value[i]) > width) width = strlen(axis->value[i]);
  return (int)width;
}

static void print_table(const tuning *t) {
  const job_grid *grid = &t->grid;
  for (int a = 0; a < grid->axes; a++)
    printf("%*s  ", width_of(&grid->axis[a]), grid->axis[a].option->name);
  printf("%12s  %10s\n", t->metric.name, "deviation");
  for (int64_t i = 0; i < grid->points; i++) {
    const verdict *v = &t->verdict[i];
    for (int a = 0; a < grid->axes; a++)
      printf("%*s  ", width_of(&grid->axis[a]), job_grid_value(grid, &grid->point[i], a));
    if (v->failed)
      printf("%12s  %s\n", "failed", v->failed->message);
    else
      printf("%12.6f  %10.6f%s\n", v->mean, v->deviation, i == t->best ? "  best" : "");
  }
}

static void add_values(const tuning *t, const job_point *point, job_json *json) {
  for (int a = 0; a < t->grid.axes; a++) {
    const job_option *o = t->grid.axis[a].option;
    const char *value = job_grid_value(&t->grid, point, a);
    if (o->kind == JOB_INT)
      job_json_int(json, o->name, strtoll(value, NULL, 10));
    else if (o->kind == JOB_REAL)
      job_json_real(json, o->name, strtod(value, NULL));
    else if (o->kind == JOB_FLAG)
      job_json_bool(json, o->name, !strcmp(value, "yes"));
    else
      job_json_string(json, o->name, value);
  }
}

/* One point as a JSON object; NULL when memory is out. */
static job_json *point_json(const tuning *t, int64_t i, double *values) {
  const verdict *v = &t->verdict[i];
  job_json *json = job_json_new();
  if (!json) return NULL;
  add_values(t, &t->grid.point[i], json);
  for (int f = 0; f < t->folds; f++) {
    const outcome *o = outcome_of(t, f, i);
    values[f] = o->status ? (double)NAN : o->value;
  }
  job_json_real(json, "mean", v->failed ? (double)NAN : v->mean);
  job_json_real(json, "deviation", v->failed ? (double)NAN : v->deviation);
  job_json_reals(json, "folds", values, t->folds);
  if (v->failed) job_json_string(json, "error", v->failed->message);
  return json;
}

static rdd_status add_points(const tuning *t, rdd_err *err) {
  size_t n = (size_t)t->grid.points;
  job_json **list = rdd_calloc(n, sizeof *list);
  double *values = rdd_alloc((size_t)t->folds, sizeof *values);
  rdd_status st = RDD_OK;
  if (!list || !values) st = rdd_set(err, RDD_ENOMEM, "out of memory for the report");
  for (size_t i = 0; i < n && !st; i++) {
    list[i] = point_json(t, (int64_t)i, values);
    if (!list[i]) st = rdd_set(err, RDD_ENOMEM, "out of memory for the report");
  }
  if (!st) job_json_objects(t->j->result, "results", (const job_json *const *)list, (int64_t)n);
  for (size_t i = 0; list && i < n; i++) job_json_free(list[i]);
  rdd_free(list);
  rdd_free(values);
  return st;
}

/* On rank 0. Fails where no point came through. */
static rdd_status report(const tuning *t, rdd_err *err) {
  job_json *json = t->j->result;
  int64_t tests = 0, cold = 0, failed = 0;
  for (int f = 0; f < t->folds; f++) {
    tests += t->counts[f].tests;
    cold += t->counts[f].cold;
  }
  for (int64_t i = 0; i < t->grid.points; i++) failed += t->verdict[i].failed != NULL;
  job_json_string(json, "metric", t->metric.name);
  job_json_int(json, "folds", t->folds);
  job_json_int(json, "points", t->grid.points);
  job_json_int(json, "points_failed", failed);
  job_json_int(json, "ratings", t->ratings);
  job_json_int(json, "users", t->users);
  job_json_int(json, "items", t->items);
  job_json_int(json, "tests", tests);
  job_json_int(json, "n_cold", cold);
  rdd_status st = add_points(t, err);
  if (st) return st;
  if (t->best >= 0) {
    double unused[100];
    job_json *best = point_json(t, t->best, unused);
    if (best) job_json_object(json, "best", best);
    job_json_free(best);
  }
  if (t->path && t->best >= 0) {
    job_json_string(json, "model", t->path);
    job_json_string(json, "digest", t->digest);
  }
  job_json_string(json, "execution", t->points ? "points" : "gang");
  job_json_int(json, "bad_records", t->counters.value[JOB_COUNT_BAD]);
  job_json_real(json, "seconds", rdd_seconds() - t->started);
  if (!t->j->json) {
    print_table(t);
    printf("\nheld out: %s ratings, %s of them cold and left out\n", job_count_text(tests),
           job_count_text(cold));
  }
  if (t->best < 0)
    return rdd_set(err, RDD_EDATA, "all %lld points failed; the first: %s",
                   (long long)t->grid.points, t->verdict[0].failed->message);
  if (t->path)
    job_say("tuned in %s; the best, fitted to all ratings: %s; digest %s",
            job_seconds_text(rdd_seconds() - t->started), t->path, t->digest);
  else
    job_say("tuned in %s", job_seconds_text(rdd_seconds() - t->started));
  return RDD_OK;
}

/* ---- The command ---- */

static rdd_status read_options(tuning *t, const job_args *args, rdd_err *err) {
  const char *metric = job_string(args, "metric");
  int64_t sample = job_int(args, "random");
  rdd_status st = job_grid_read(args, sample, t->seed, &t->grid, err);
  if (st) return st;
  job_idle_warn(&t->grid.idle);
  bool implicit = t->grid.point[0].params.loss.mode != ALS_EXPLICIT;
  if (!metric) metric = implicit ? "ndcg@10" : "rmse";
  st = job_metric_read(metric, job_real(args, "relevant-above"), &t->metric, err);
  if (st) return st;
  if (!job_metric_ranks(&t->metric) && job_given(args, "relevant-above"))
    return rdd_set(err, RDD_EUSAGE, "--relevant-above goes with a metric of ranking, not with %s",
                   t->metric.name);
  if (!job_metric_ranks(&t->metric) && implicit)
    job_warn("%s compares predictions of implicit feedback, which are no ratings, with ratings",
             t->metric.name);
  return RDD_OK;
}

static rdd_status run(job *j, const job_args *args, rdd_err *err) {
  tuning t = {.j = j,
              .args = args,
              .path = job_string(args, "output"),
              .folds = (int)job_int(args, "folds"),
              .seed = (uint64_t)job_int(args, "fold-seed"),
              .execution = job_string(args, "execution"),
              .started = rdd_seconds()};
  job_input *input = NULL;
  char *inputs = job_positionals_joined(args);
  t.inputs = inputs ? inputs : "";
  rdd_status st = read_options(&t, args, err);
  if (!st && t.path && j->comm->rank == 0) st = job_output_check(t.path, ".h5|.hdf5", err);
  st = rdd_agree(j->comm, st, err);
  if (st) goto done;
  job_input_opts in = job_input_options(j, args, false);
  st = job_input_open(j->comm, job_positional(args), job_positionals(args), &in, &input, err);
  if (st) goto done;
  t.input = input;
  job_say("%s", job_input_describe(input));
  rdd *const rdds[1] = {job_input_rdd(input)};
  const rdd_run_opts opts = job_run_opts(j, "reading");
  st = gang_run(j->comm, rdds, 1, &opts, &t.counters, NULL, tune, &t, err);
  if (!st && j->comm->rank == 0) st = report(&t, err);
  st = rdd_agree(j->comm, st, err);
done:
  try_reset(&t);
  rdd_free(inputs);
  job_grid_reset(&t.grid);
  job_input_close(input);
  return st;
}

const job_command job_tune = {
    .name = "tune",
    .summary = "find the parameters of a fit by cross-validation",
    .usage = "RATINGS... --grid NAME=VALUE,VALUE... [OPTION]...",
    .example = "mpirun -n 4 als tune ratings.h5 --grid rank=16,32 --grid reg-param=.03,.1",
    .options = options,
    .daily = " output grid folds metric random rank max-iter ",
    .positional_min = 1,
    .positional_max = -1,
    .run = run,
    .fits = true,
};
