/* What `als train` says of its iterations, and of the run at its end. */
#include "jobs/train_impl.h"
#include "jobs/ui.h"
#include "rdd/clock.h"
#include "rdd/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int job_train_best(const training *t) {
  return t->iterations ? als_best_iteration(t->watch, t->history, t->iterations) : 0;
}

static int add(char *line, size_t size, int at, const char *name, double value) {
  return isnan(value) ? at : at + snprintf(line + at, size - (size_t)at, "%s %.6f, ", name, value);
}

void job_train_show(const training *t, const als_iteration *i) {
  int left = t->params.max_iter - i->iteration, at = 0;
  char line[240] = "", place[40] = "exact iteration", pairs[32] = "";
  at = add(line, sizeof line, at, "rmse", i->rmse_train);
  at = add(line, sizeof line, at, "test", i->rmse_test);
  at = add(line, sizeof line, at, "validation", i->rmse_validation);
  at = add(line, sizeof line, at, "validation ndcg@10", i->ndcg_validation);
  if (!i->exact)
    snprintf(place, sizeof place, "iteration %*d/%d", t->params.max_iter > 9 ? 2 : 1, i->iteration,
             t->params.max_iter);
  if (t->params.loss.mode != ALS_EXPLICIT)
    snprintf(pairs, sizeof pairs, " + pairs %.6g", i->loss_pairs);
  job_say("%s: %sobjective %.8g = ratings %.6g%s + regularisation %.6g, %s%s%s", place, line,
          i->objective, i->loss_ratings, pairs, i->loss_reg, job_seconds_text(i->seconds),
          left > 0 ? ", left " : "", left > 0 ? job_seconds_text(left * i->seconds) : "");
}

/* The columns of the history that say something here. */
static bool is_told(const training *t, const char *column) {
  if (!strcmp(column, "rmse_train")) return t->params.loss.mode == ALS_EXPLICIT;
  if (!strcmp(column, "rmse_test")) return t->input[TRAIN_TEST];
  if (!strcmp(column, "rmse_validation")) return t->watch == ALS_RMSE;
  if (!strcmp(column, "ndcg_validation")) return t->watch == ALS_NDCG;
  return strcmp(column, "seconds") != 0; /* it has another name */
}

static void report_history(const training *t, double *value) {
  job_json *json = t->j->result;
  int n = t->iterations;
  double iterating = 0;
  for (const job_history_column *c = job_history; c < job_history + JOB_HISTORY_COLUMNS; c++) {
    if (!is_told(t, c->name)) continue;
    for (int i = 0; i < n; i++)
      memcpy(&value[i], (const char *)&t->history[i] + c->offset, sizeof *value);
    job_json_reals(json, c->name, value, n);
  }
  for (int i = 0; i < n; i++) iterating += value[i] = t->history[i].seconds;
  job_json_reals(json, "seconds_per_iteration", value, n);
  job_json_real(json, "seconds_iterations", iterating);
}

static void report_memory(const training *t, int ranks, double *scratch) {
  static const char *const key[TRAIN_MEMORIES] = {"partition_bytes", "peak_memory_hand_off",
                                                  "peak_memory"};
  for (int i = 0; i < TRAIN_MEMORIES; i++) {
    for (int r = 0; r < ranks; r++) scratch[r] = (double)t->memory[r * TRAIN_MEMORIES + i];
    job_json_reals(t->j->result, key[i], scratch, ranks);
  }
}

/* What is not an iteration. */
static void report_phases(const training *t) {
  job_json *json = t->j->result;
  const double *began = t->began;
  job_json_real(json, "seconds_reading", began[TRAIN_HAND_OFF] - began[TRAIN_READING]);
  job_json_real(json, "seconds_hand_off", began[TRAIN_ITERATIONS] - began[TRAIN_HAND_OFF]);
  job_json_real(json, "seconds_writing", rdd_seconds() - began[TRAIN_WRITING]);
}

rdd_status job_train_report(training *t, const rdd_comm *comm, rdd_err *err) {
  int n = t->iterations, best = job_train_best(t);
  double *value = rdd_alloc((size_t)(n > comm->size ? n : comm->size), sizeof *value);
  if (!value) return rdd_set(err, RDD_ENOMEM, "out of memory for the report");
  job_json *json = t->j->result;
  double total = rdd_seconds() - t->started, iterating = 0;
  report_history(t, value);
  report_phases(t);
  report_memory(t, comm->size, value);
  job_train_report_exchange(t, comm, value);
  rdd_free(value);
  if (t->input[TRAIN_TEST]) job_json_int(json, "n_test_cold", t->cold[TRAIN_TEST]);
  if (t->input[TRAIN_VALIDATION])
    job_json_int(json, "n_validation_cold", t->cold[TRAIN_VALIDATION]);
  job_json_int(json, "iterations", n);
  job_json_int(json, "best_iteration", best);
  job_json_bool(json, "final_exact", n > 0 && t->history[n - 1].exact);
  job_json_real(json, "seconds_total", total);
  job_json_int(json, "users", t->model->side[ALS_USERS].ids->n);
  job_json_int(json, "items", t->model->side[ALS_ITEMS].ids->n);
  job_json_int(json, "ratings", t->problem.ratings);
  job_json_int(json, "bad_records", t->counters[0].value[JOB_COUNT_BAD]);
  job_json_int(json, "ranks", comm->size);
  job_json_int(json, "threads", t->j->threads);
  job_json_int(json, "resumed_from", t->resumed);
  job_json_string(json, "model", t->path);
  job_json_string(json, "digest", t->digest);
  for (int i = 0; i < n; i++) iterating += t->history[i].seconds;
  if (best != n) job_say("iteration %d is the best, and the one that the model is of", best);
  job_say("model: %s, %d iteration%s in %s, %s in all; digest %s", t->path, n, n == 1 ? "" : "s",
          job_seconds_text(iterating), job_seconds_text(total), t->digest);
  return RDD_OK;
}
