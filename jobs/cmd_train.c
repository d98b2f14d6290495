/* als train: ratings in, a model out. Independent tasks parse; then the gang takes over. */
#include "jobs/input.h"
#include "jobs/job.h"
#include "jobs/model_file.h"
#include "jobs/output.h"
#include "jobs/save.h"
#include "jobs/ui.h"
#include "mllib/als.h"
#include "mpi_bridge/gang.h"
#include "rdd/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const job_option options[] = {
    {"output", 'o', JOB_STRING, "FILE", NULL, 0, 0, true, "where the model goes; .h5"},
    {"rank", 0, JOB_INT, "K", "10", 1, ALS_MAX_RANK, false, "factors of each user and item, 1 to 4096"},
    {"max-iter", 0, JOB_INT, "N", "10", 0, 1e6, false, "iterations"},
    {"reg-param", 0, JOB_REAL, "L", "0.1", 0, 1e30, false,
     "regularisation, times the number of ratings of the row"},
    {"seed", 0, JOB_INT, "S", "0", -9e15, 9e15, false, "of the initial factors"},
    {"bias", 0, JOB_FLAG, NULL, NULL, 0, 0, false, "take off global mean, user and item biases first"},
    {"tol", 0, JOB_REAL, "T", "0", 0, 1, false,
     "stop when the objective falls by less than this share"},
    {"test", 0, JOB_STRING, "FILE", NULL, 0, 0, false, "ratings to evaluate after each iteration"},
    {"init-model", 0, JOB_STRING, "FILE", NULL, 0, 0, false,
     "start from this model's factors, matched by id"},
    JOB_INPUT_OPTIONS,
    {0},
};

/* Damping of the biases, in ratings; a row with that many is believed half. */
static const double bias_reg = 5;

typedef struct training {
  job *j;
  const char *path, *inputs, *init_path;
  als_params params;
  int64_t seed;
  const job_input *input[2]; /* ratings, test; NULL where there is no test */
  rdd_counters counters[2];
  double started;

  /* the gang's */
  als_model *model;
  als_problem problem;
  als_side test;
  int64_t test_cold;
  als_iteration *history;
  int iterations;
} training;

static void show_iteration(void *arg, const als_iteration *done) {
  const training *t = arg;
  int left = t->params.max_iter - done->iteration;
  char test[40] = "";
  if (!isnan(done->rmse_test)) snprintf(test, sizeof test, ", test %.6f", done->rmse_test);
  job_say("iteration %*d/%d: rmse %.6f%s, %s%s%s", t->params.max_iter > 9 ? 2 : 1, done->iteration,
          t->params.max_iter, done->rmse_train, test, job_seconds_text(done->seconds),
          left ? ", left " : "", left ? job_seconds_text(left * done->seconds) : "");
}

/* Ids of both sides, and a model over them with its initial factors. */
static rdd_status start_model(training *t, rdd_comm *comm, const rdd_parts *parts, rdd_err *err) {
  als_ids *ids[2] = {NULL, NULL};
  als_model *from = NULL;
  rdd_status st = RDD_OK;
  for (int side = 0; side < 2 && !st; side++)
    st = als_ids_build(comm, parts, side, &ids[side], err);
  if (!st && ids[0]->n == 0)
    st = rdd_set(err, RDD_EDATA, "%s: no ratings", job_input_describe(t->input[0]));
  if (!st) st = als_model_new(comm, ids, t->params.rank, t->params.bias, &t->model, err);
  if (st) {
    for (int side = 0; side < 2; side++) als_ids_free(ids[side]);
    return st;
  }
  for (int side = 0; side < 2 && !st; side++)
    st = als_model_init(t->model, comm, side, (uint64_t)t->seed, err);
  if (st || !t->init_path) return st;

  int64_t matched[2];
  st = job_model_read(comm, t->init_path, &from, err);
  if (!st) st = als_model_start_from(t->model, comm, from, matched, err);
  if (!st)
    job_say("started from %s: it knows %s of %s users, %s of %s items", t->init_path,
            job_count_text(matched[ALS_USERS]), job_count_text(t->model->side[ALS_USERS].ids->n),
            job_count_text(matched[ALS_ITEMS]), job_count_text(t->model->side[ALS_ITEMS].ids->n));
  als_model_free(from);
  return st;
}

/* The ratings as both sides see them, and the test part by user. */
static rdd_status build_problem(training *t, rdd_comm *comm, rdd_parts *const *parts,
                                rdd_err *err) {
  als_model *m = t->model;
  const als_ids *const ids[2] = {m->side[ALS_USERS].ids, m->side[ALS_ITEMS].ids};
  als_side *side = t->problem.side;
  int64_t cold;
  rdd_status st = als_side_build(comm, parts[0], ALS_USERS, ids, NULL, m->k, 0, &side[ALS_USERS],
                                 &cold, err);
  if (!st)
    st = als_side_transpose(comm, &side[ALS_USERS], ids[ALS_ITEMS]->n, m->k, 0, &side[ALS_ITEMS],
                            err);
  if (st) return st;
  t->problem.ratings = als_side_count(&side[ALS_USERS], comm);
  if (t->input[1]) {
    st = als_side_build(comm, parts[1], ALS_USERS, ids, &side[ALS_USERS].blocks, m->k, 0, &t->test,
                        &t->test_cold, err);
    if (st) return st;
    t->problem.test = &t->test;
  }
  job_say("%s ratings, %s users, %s items on %d rank%s x %d thread%s; read and handed over in %s",
          job_count_text(t->problem.ratings), job_count_text(ids[ALS_USERS]->n),
          job_count_text(ids[ALS_ITEMS]->n), comm->size, comm->size == 1 ? "" : "s", t->j->threads,
          t->j->threads == 1 ? "" : "s", job_seconds_text(job_now() - t->started));
  if (t->test_cold)
    job_warn("%s test ratings have a user or item that the training part lacks; left out",
             job_count_text(t->test_cold));
  return RDD_OK;
}

/* Say whose equations are singular by the id that the user knows. */
static void name_singular_row(const training *t, rdd_err *err) {
  int side = (int)err->detail[0];
  int64_t row = err->detail[1];
  if (side < 0 || side > 1 || row < 0 || row >= t->model->side[side].ids->n) return;
  char text[ALS_ID_TEXT];
  (void)rdd_set(err, RDD_ESINGULAR,
                "%s %s: the normal equations are not positive definite; it has too few or collinear "
                "ratings for --rank %d, so raise --reg-param (it is %g)",
                side == ALS_USERS ? "user" : "item",
                als_ids_text(t->model->side[side].ids, row, text), t->model->k,
                t->params.reg_param);
}

static rdd_status write_model(training *t, rdd_comm *comm, rdd_err *err) {
  job_provenance how = {
      .params = t->params,
      .seed = t->seed,
      .ratings = t->problem.ratings,
      .ranks = comm->size,
      .iterations = t->iterations,
      .history = t->history,
      .inputs = t->inputs,
      .command_line = t->j->command_line,
      .seconds = job_now() - t->started,
  };
  return job_model_write(comm, t->path, t->model, &how, err);
}

static rdd_status report(training *t, rdd_comm *comm, rdd_err *err) {
  int n = t->iterations;
  double *values = rdd_alloc((size_t)n + 1, sizeof *values);
  if (!values) return rdd_set(err, RDD_ENOMEM, "out of memory for the report");
  job_json *json = t->j->result;
  double total = job_now() - t->started, iterating = 0;
  for (int i = 0; i < n; i++) values[i] = t->history[i].rmse_train;
  job_json_reals(json, "rmse_train", values, n);
  if (t->input[1]) {
    for (int i = 0; i < n; i++) values[i] = t->history[i].rmse_test;
    job_json_reals(json, "rmse_test", values, n);
    job_json_int(json, "n_test_cold", t->test_cold);
  }
  for (int i = 0; i < n; i++) values[i] = t->history[i].objective;
  job_json_reals(json, "objective", values, n);
  for (int i = 0; i < n; i++) iterating += values[i] = t->history[i].seconds;
  job_json_reals(json, "seconds_per_iteration", values, n);
  job_json_real(json, "seconds_iterations", iterating);
  job_json_real(json, "seconds_total", total);
  job_json_int(json, "users", t->model->side[ALS_USERS].ids->n);
  job_json_int(json, "items", t->model->side[ALS_ITEMS].ids->n);
  job_json_int(json, "ratings", t->problem.ratings);
  job_json_int(json, "bad_records", t->counters[0].value[JOB_COUNT_BAD]);
  job_json_int(json, "ranks", comm->size);
  job_json_int(json, "threads", t->j->threads);
  job_json_string(json, "model", t->path);
  rdd_free(values);
  job_say("model: %s, %d iteration%s in %s, %s in all", t->path, n, n == 1 ? "" : "s",
          job_seconds_text(iterating), job_seconds_text(total));
  return RDD_OK;
}

static rdd_status check_bad_records(training *t, rdd_err *err) {
  for (int i = 0; i < 2 && t->input[i]; i++) {
    rdd_status st = job_input_check(t->input[i], &t->counters[i], err);
    if (st) return st;
    int64_t bad = t->counters[i].value[JOB_COUNT_BAD];
    if (bad)
      job_warn("skipped %s malformed records; the first: %s", job_count_text(bad),
               t->counters[i].note);
  }
  return RDD_OK;
}

/* The gang. Every rank runs this, and all leave it together. */
static rdd_status train(rdd_comm *comm, rdd_parts *const *parts, void *arg, rdd_err *err) {
  training *t = arg;
  rdd_status st = check_bad_records(t, err);
  if (!st) st = start_model(t, comm, parts[0], err);
  if (!st) st = build_problem(t, comm, parts, err);
  if (st) goto done;
  t->history = rdd_calloc((size_t)t->params.max_iter + 1, sizeof *t->history);
  if (!t->history) st = rdd_set(err, RDD_ENOMEM, "out of memory for the history");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  st = als_fit(comm, &t->problem, &t->params, t->model, show_iteration, t, t->history,
               &t->iterations, err);
  if (st == RDD_ESINGULAR) name_singular_row(t, err);
  if (!st) st = write_model(t, comm, err);
  if (!st) st = report(t, comm, err);
done:
  rdd_free(t->history);
  t->history = NULL;
  for (int side = 0; side < 2; side++) als_side_reset(&t->problem.side[side]);
  als_side_reset(&t->test);
  als_model_free(t->model);
  t->model = NULL;
  return st;
}

/* The paths as given, separated by blanks. */
static char *join_paths(const job_args *args) {
  size_t length = 1;
  for (int i = 0; i < job_positionals(args); i++) length += strlen(job_positional(args)[i]) + 1;
  char *line = rdd_calloc(length, 1);
  for (int i = 0; line && i < job_positionals(args); i++) {
    if (i) strcat(line, " ");
    strcat(line, job_positional(args)[i]);
  }
  return line;
}

static rdd_status run(job *j, const job_args *args, rdd_err *err) {
  training t = {
      .j = j,
      .path = job_string(args, "output"),
      .init_path = job_string(args, "init-model"),
      .seed = job_int(args, "seed"),
      .started = job_now(),
      .params = {.rank = (int)job_int(args, "rank"),
                 .max_iter = (int)job_int(args, "max-iter"),
                 .reg_param = job_real(args, "reg-param"),
                 .bias_reg = bias_reg,
                 .tol = job_real(args, "tol"),
                 .bias = job_flag(args, "bias")},
  };
  job_input *input[2] = {NULL, NULL};
  char *inputs = join_paths(args);
  t.inputs = inputs ? inputs : "";
  rdd_status st = RDD_OK;
  if (j->comm->rank == 0) st = job_output_check(t.path, ".h5|.hdf5", err);
  st = rdd_agree(j->comm, st, err);
  if (st) goto done;

  job_input_opts in = job_input_options(j, args, false);
  st = job_input_open(j->comm, job_positional(args), job_positionals(args), &in, &input[0], err);
  if (st) goto done;
  const char *test_path = job_string(args, "test");
  if (test_path) {
    const rdd_schema *schema = rdd_schema_of(job_input_rdd(input[0]));
    const rdd_type types[2] = {schema->field[0].type, schema->field[1].type};
    job_input_opts test_in = job_input_options(j, args, false);
    test_in.id_types = types;
    st = job_input_open(j->comm, (char *const *)&test_path, 1, &test_in, &input[1], err);
    if (st) goto done;
  }
  job_say("%s", job_input_describe(input[0]));

  rdd *const rdds[2] = {job_input_rdd(input[0]), input[1] ? job_input_rdd(input[1]) : NULL};
  const rdd_run_opts opts[2] = {job_run_opts(j, "reading"), job_run_opts(j, "reading test part")};
  for (int i = 0; i < 2; i++) t.input[i] = input[i];
  st = gang_run(j->comm, rdds, input[1] ? 2 : 1, opts, t.counters, train, &t, err);
done:
  for (int i = 0; i < 2; i++) job_input_close(input[i]);
  rdd_free(inputs);
  return st;
}

const job_command job_train = {
    .name = "train",
    .summary = "fit a model to ratings",
    .usage = "RATINGS... -o model.h5 [OPTION]...",
    .example = "mpirun -n 2 als train ratings.h5 -o model.h5 --rank 64 --bias --test test.h5",
    .options = options,
    .positional_min = 1,
    .positional_max = -1,
    .run = run,
};
