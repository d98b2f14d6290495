/* als evaluate: how well a model predicts ratings that it has not seen, and how high it ranks what users
 * turned out to like. */
#include "jobs/input.h"
#include "jobs/job.h"
#include "jobs/model_file.h"
#include "jobs/number.h"
#include "jobs/save.h"
#include "jobs/ui.h"
#include "mllib/metrics.h"
#include "mpi_bridge/gang.h"
#include "rdd/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const job_option options[] = {
    {"cold-start-strategy", 0, JOB_CHOICE, "nan|drop", "nan", 0, 0, false,
     "ids that the model lacks: nan errors, missed items; or left out"},
    {"clamp", 0, JOB_FLAG, NULL, NULL, 0, 0, false,
     "clamp predictions to the range of the training ratings"},
    {"ranking", 0, JOB_FLAG, NULL, NULL, 0, 0, false,
     "also precision, recall, MAP, NDCG, HR, MRR, AUC, coverage"},
    {"top", 0, JOB_STRING, "K[,K...]", "10", 0, 0, false, "lengths of the lists, each 1 to 10000"},
    {"relevant-above", 0, JOB_REAL, "R", "0", 0, 0, false,
     "items that a user rated above R are relevant"},
    {"train", 0, JOB_STRING, "RATINGS", NULL, 0, 0, false,
     "ratings of training: their pairs are no candidates"},
    {"negatives", 0, JOB_STRING, "PAIRS", NULL, 0, 0, false,
     "rank these and the user's held-out items, not all items"},
    JOB_INPUT_OPTIONS,
    {0},
};

enum { TEST, TRAIN, NEGATIVES, INPUTS };

typedef struct evaluation {
  als_model *model;
  job_input *input[INPUTS];      /* NULL where not given */
  rdd_counters counters[INPUTS]; /* of those that are given, in their order */
  bool clamp, ranks;
  int cutoff[ALS_MAX_CUTOFFS];
  als_ranking_options options; /* drop_cold: of cold pairs in errors too */
  als_error error;
  als_ranking ranking;
  int64_t cold;                        /* ratings */
  int64_t cold_ids[2];                 /* users and items */
  int64_t negatives, negatives_unused; /* pairs */
} evaluation;

/* ---- The gang ---- */

static rdd_status check_inputs(const evaluation *e, rdd_err *err) {
  const rdd_counters *counters = e->counters;
  rdd_status st = RDD_OK;
  for (int i = 0; i < INPUTS && !st; i++)
    if (e->input[i]) st = job_input_check(e->input[i], counters++, err);
  return st;
}

/* Errors, and that there are ratings to have errors. */
static rdd_status find_errors(evaluation *e, rdd_comm *comm, const als_held_out *h, rdd_err *err) {
  int64_t n = als_side_count(h->test, comm);
  rdd_status st = als_errors(comm, h, e->clamp, &e->error, err);
  if (st) return st;
  e->cold = n - e->error.n;
  if (n == 0) return rdd_set(err, RDD_EDATA, "%s: no ratings", job_input_describe(e->input[TEST]));
  if (e->error.n == 0 && e->options.drop_cold)
    return rdd_set(err, RDD_EDATA,
                   "%s: none of the %lld ratings has both a user and an item that the model knows",
                   job_input_describe(e->input[TEST]), (long long)e->cold);
  return RDD_OK;
}

/* Ratings go to the owner of their user, so that sums are made in one order on any number of ranks. */
static rdd_status evaluate(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  evaluation *e = arg;
  rdd_comm *comm = gang_comm(g);
  als_test_set set = {0};
  als_side side[INPUTS] = {0};
  int64_t unused[INPUTS] = {0};
  rdd_status st = check_inputs(e, err);
  if (!st) st = als_test_set_build(comm, e->model, *parts++, &set, err);
  als_held_out h = als_test_set_view(&set, e->model);
  if (!st) st = find_errors(e, comm, &h, err);
  for (int i = TRAIN; i < INPUTS && !st; i++)
    if (e->input[i])
      st = als_test_set_match(comm, &set, e->model, *parts++, &side[i], &unused[i], err);
  if (st) goto done;
  for (int s = 0; s < 2; s++) e->cold_ids[s] = set.cold[s];
  if (e->input[TRAIN]) h.seen = &side[TRAIN];
  if (e->input[NEGATIVES]) {
    h.negatives = &side[NEGATIVES];
    e->negatives = als_side_count(h.negatives, comm);
    e->negatives_unused = unused[NEGATIVES];
  }
  if (e->ranks) st = als_rank_held_out(comm, &h, &e->options, &e->ranking, err);
done:
  for (int i = 0; i < INPUTS; i++) als_side_reset(&side[i]);
  als_test_set_reset(&set);
  return st;
}

/* ---- Options ---- */

static int ascending(const void *a, const void *b) {
  return *(const int *)a - *(const int *)b;
}

/* "10" or "5,10,20": ascending, each once. */
static rdd_status read_cutoffs(evaluation *e, const char *text, rdd_err *err) {
  int n = 0;
  for (const char *p = text;; p++) {
    size_t length = strcspn(p, ",");
    int64_t k;
    if (job_parse_int64(p, length, &k) != JOB_NUMBER_OK || k < 1 || k > ALS_MAX_CUTOFF)
      return rdd_set(err, RDD_EUSAGE, "--top '%.100s': '%.*s' is no whole number from 1 to %d",
                     text, (int)(length > 40 ? 40 : length), p, ALS_MAX_CUTOFF);
    if (n == ALS_MAX_CUTOFFS)
      return rdd_set(err, RDD_EUSAGE, "--top '%.100s' has more than %d numbers", text,
                     ALS_MAX_CUTOFFS);
    e->cutoff[n++] = (int)k;
    p += length;
    if (!*p) break;
  }
  qsort(e->cutoff, (size_t)n, sizeof *e->cutoff, ascending);
  int distinct = 0;
  for (int i = 0; i < n; i++)
    if (!i || e->cutoff[i] != e->cutoff[i - 1]) e->cutoff[distinct++] = e->cutoff[i];
  e->options.cutoff = e->cutoff;
  e->options.cutoffs = distinct;
  return RDD_OK;
}

static rdd_status read_options(evaluation *e, const job_args *args, rdd_err *err) {
  static const char *const of_ranking[] = {"top", "relevant-above", "train", "negatives"};
  e->clamp = job_flag(args, "clamp");
  e->ranks = job_flag(args, "ranking");
  e->options.drop_cold = !strcmp(job_string(args, "cold-start-strategy"), "drop");
  e->options.above = job_real(args, "relevant-above");
  for (size_t i = 0; i < sizeof of_ranking / sizeof *of_ranking && !e->ranks; i++)
    if (job_given(args, of_ranking[i]))
      return rdd_set(err, RDD_EUSAGE, "--%s goes with --ranking", of_ranking[i]);
  return read_cutoffs(e, job_string(args, "top"), err);
}

/* The test ratings, and what --train and --negatives name. Collective. */
static rdd_status open_inputs(evaluation *e, job *j, const job_args *args, rdd_err *err) {
  static const char *const option[INPUTS] = {NULL, "train", "negatives"};
  const rdd_type types[2] = {e->model->side[ALS_USERS].ids->type,
                             e->model->side[ALS_ITEMS].ids->type};
  rdd_status st = RDD_OK;
  for (int i = 0; i < INPUTS && !st; i++) {
    const char *path = option[i] ? job_string(args, option[i]) : NULL;
    if (option[i] && !path) continue;
    /* a user and an item are enough to be ranked */
    job_input_opts in = job_input_options(j, args, e->ranks);
    in.id_types = types;
    st = job_input_open(j->comm, path ? (char *const *)&path : job_positional(args) + 1,
                        path ? 1 : job_positionals(args) - 1, &in, &e->input[i], err);
  }
  return st;
}

/* Compute what is given. Collective. */
static rdd_status run_gang(evaluation *e, job *j, rdd_err *err) {
  static const char *const what[INPUTS] = {"reading", "reading seen ratings", "reading negatives"};
  rdd *rdds[INPUTS];
  rdd_run_opts opts[INPUTS];
  int n = 0;
  for (int i = 0; i < INPUTS; i++) {
    if (!e->input[i]) continue;
    rdds[n] = job_input_rdd(e->input[i]);
    opts[n++] = job_run_opts(j, what[i]);
  }
  return gang_run(j->comm, rdds, n, opts, e->counters, NULL, evaluate, e, err);
}

/* ---- Results ---- */

static void tell_ranking(const evaluation *e, job_json *json, FILE *table) {
  const als_ranking *r = &e->ranking;
  if (table)
    fprintf(table, "mrr     %.6f\nauc     %.6f\nusers   %s\n\n", r->mrr, r->auc,
            job_count_text(r->users));
  if (table)
    fprintf(table, "%6s  %9s  %9s  %9s  %9s  %9s  %9s\n", "k", "precision", "recall", "map", "ndcg",
            "hit_rate", "coverage");
  job_json_real(json, "mrr", r->mrr);
  job_json_real(json, "auc", r->auc);
  for (int c = 0; c < e->options.cutoffs; c++) {
    const als_at_k *at = &r->at[c];
    const struct {
      const char *name;
      double value;
    } metric[] = {
        {"precision", at->precision}, {"recall", at->recall},     {"map", at->map},
        {"ndcg", at->ndcg},           {"hit_rate", at->hit_rate}, {"coverage", at->coverage}};
    if (table) fprintf(table, "%6d", at->k);
    for (size_t i = 0; i < sizeof metric / sizeof *metric; i++) {
      char key[40];
      snprintf(key, sizeof key, "%s@%d", metric[i].name, at->k);
      job_json_real(json, key, metric[i].value);
      if (table) fprintf(table, "  %9.6f", metric[i].value);
    }
    if (table) fputc('\n', table);
  }
  job_json_int(json, "users_evaluated", r->users);
  job_json_int(json, "users_without_relevant", r->users_without_relevant);
  job_json_int(json, "users_without_irrelevant", r->users - r->users_auc);
  job_json_int(json, "relevant", r->relevant);
  job_json_int(json, "relevant_cold", r->relevant_cold);
  job_json_int(json, "relevant_seen", r->relevant_seen);
  if (!e->input[NEGATIVES]) return;
  job_json_int(json, "negatives", e->negatives);
  job_json_int(json, "negatives_unused", e->negatives_unused);
}

static void warn_of_errors(const evaluation *e) {
  if (e->cold && !e->options.drop_cold)
    job_warn("%s ratings have a user or item that the model lacks, so the result is nan; "
             "--cold-start-strategy drop leaves them out",
             job_count_text(e->cold));
  else if (e->error.spread == 0)
    job_warn("all ratings are the same, so r2 is nan");
}

static void warn_of_ranking(const evaluation *e) {
  const als_ranking *r = &e->ranking;
  if (!e->input[TRAIN] && !e->input[NEGATIVES])
    job_warn("without --train, the items that users rated in training are candidates too");
  if (e->cold_ids[ALS_USERS])
    job_warn("%s users are not in the model, and not evaluated",
             job_count_text(e->cold_ids[ALS_USERS]));
  if (r->users_without_relevant)
    job_warn("%s users have no relevant item, and are not evaluated",
             job_count_text(r->users_without_relevant));
  if (r->relevant_cold && !e->options.drop_cold)
    job_warn("%s relevant items are not in the model and count as missed; "
             "--cold-start-strategy drop leaves them out",
             job_count_text(r->relevant_cold));
  if (r->relevant_seen)
    job_warn("%s relevant items are left out, for their users rated them in training too",
             job_count_text(r->relevant_seen));
  if (!r->users)
    job_warn("no user could be evaluated, so the ranking metrics are nan");
  else if (!r->users_auc)
    job_warn("no user has an irrelevant candidate, so auc is nan");
}

static void tell(const evaluation *e, const job *j, double seconds) {
  bool nan = e->cold && !e->options.drop_cold;
  double n = (double)e->error.n, none = (double)NAN;
  double rmse = nan ? none : sqrt(e->error.squared / n);
  double mae = nan ? none : e->error.absolute / n;
  double r2 = nan || e->error.spread == 0 ? none : 1 - e->error.squared / e->error.spread;
  FILE *table = j->comm->rank == 0 && !j->json ? stdout : NULL;
  int64_t bad = 0;
  for (int i = 0; i < INPUTS; i++) bad += e->counters[i].value[JOB_COUNT_BAD];
  job_json_real(j->result, "rmse", rmse);
  job_json_real(j->result, "mae", mae);
  job_json_real(j->result, "r2", r2);
  job_json_int(j->result, "n", e->error.n);
  job_json_int(j->result, "n_cold", e->cold);
  job_json_int(j->result, "users_cold", e->cold_ids[ALS_USERS]);
  job_json_int(j->result, "items_cold", e->cold_ids[ALS_ITEMS]);
  job_json_int(j->result, "bad_records", bad);
  if (table)
    fprintf(table, "rmse    %.6f\nmae     %.6f\nr2      %.6f\nn       %s\nn_cold  %s\n", rmse, mae,
            r2, job_count_text(e->error.n), job_count_text(e->cold));
  if (e->ranks) tell_ranking(e, j->result, table);
  job_json_real(j->result, "seconds", seconds);
  warn_of_errors(e);
  if (e->ranks) warn_of_ranking(e);
}

static rdd_status run(job *j, const job_args *args, rdd_err *err) {
  double started = rdd_seconds();
  evaluation e = {0};
  rdd_status st = read_options(&e, args, err);
  if (!st) st = job_model_read(j->comm, job_positional(args)[0], &e.model, err);
  if (!st) st = open_inputs(&e, j, args, err);
  if (!st) st = run_gang(&e, j, err);
  if (!st) tell(&e, j, rdd_seconds() - started);
  for (int i = 0; i < INPUTS; i++) job_input_close(e.input[i]);
  als_model_free(e.model);
  return st;
}

const job_command job_evaluate = {
    .name = "evaluate",
    .summary = "errors and ranking metrics of a model on held-out ratings",
    .usage = "MODEL RATINGS... [OPTION]...",
    .example = "als evaluate model.h5 test.h5 --ranking --top 5,10 --train train.h5",
    .options = options,
    .positional_min = 2,
    .positional_max = -1,
    .run = run,
};
