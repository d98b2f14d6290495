/* als evaluate: how well a model predicts ratings that it has not seen. */
#include "jobs/input.h"
#include "jobs/job.h"
#include "jobs/model_file.h"
#include "jobs/save.h"
#include "jobs/ui.h"
#include "mllib/als.h"
#include "mpi_bridge/gang.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const job_option options[] = {
    {"cold-start-strategy", 0, JOB_CHOICE, "nan|drop", "nan", 0, 0, false,
     "users or items that the model lacks: nan makes the result nan"},
    {"clamp", 0, JOB_FLAG, NULL, NULL, 0, 0, false,
     "clamp predictions to the range of the training ratings"},
    JOB_INPUT_OPTIONS,
    {0},
};

typedef struct evaluation {
  als_model *model;
  const job_input *input;
  rdd_counters counters;
  bool clamp;
  bool drop; /* cold pairs */
  als_error error;
  int64_t cold;
} evaluation;

/* Ratings go to the owner of their user, so that errors are summed in one order on any number of
 * ranks. */
static rdd_status evaluate(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  evaluation *e = arg;
  rdd_comm *comm = gang_comm(g);
  als_side by_user = {0};
  const als_ids *const ids[2] = {e->model->side[ALS_USERS].ids, e->model->side[ALS_ITEMS].ids};
  rdd_status st = job_input_check(e->input, &e->counters, err);
  if (!st)
    st = als_side_build(comm, parts[0], ALS_USERS, ids, NULL, e->model->k, 0, &by_user, &e->cold,
                        err);
  if (!st) st = als_evaluate(comm, e->model, &by_user, e->clamp, &e->error, err);
  if (!st && e->error.n + e->cold == 0)
    st = rdd_set(err, RDD_EDATA, "%s: no ratings", job_input_describe(e->input));
  if (!st && e->error.n == 0 && e->drop)
    st = rdd_set(err, RDD_EDATA,
                 "%s: none of the %lld ratings has both a user and an item that the model knows",
                 job_input_describe(e->input), (long long)e->cold);
  als_side_reset(&by_user);
  return st;
}

static rdd_status run(job *j, const job_args *args, rdd_err *err) {
  double started = job_now();
  evaluation e = {.clamp = job_flag(args, "clamp"),
                  .drop = !strcmp(job_string(args, "cold-start-strategy"), "drop")};
  job_input *input = NULL;
  rdd_status st = job_model_read(j->comm, job_positional(args)[0], &e.model, err);
  if (st) goto done;
  const rdd_type types[2] = {e.model->side[ALS_USERS].ids->type,
                             e.model->side[ALS_ITEMS].ids->type};
  job_input_opts in = job_input_options(j, args, false);
  in.id_types = types;
  st = job_input_open(j->comm, job_positional(args) + 1, job_positionals(args) - 1, &in, &input,
                      err);
  if (st) goto done;
  e.input = input;
  rdd *const rdds[1] = {job_input_rdd(input)};
  rdd_run_opts opts = job_run_opts(j, "reading");
  st = gang_run(j->comm, rdds, 1, &opts, &e.counters, NULL, evaluate, &e, err);
  if (st) goto done;

  bool nan = e.cold && !e.drop;
  double n = (double)e.error.n;
  double rmse = nan ? (double)NAN : sqrt(e.error.squared / n);
  double mae = nan ? (double)NAN : e.error.absolute / n;
  job_json_real(j->result, "rmse", rmse);
  job_json_real(j->result, "mae", mae);
  job_json_int(j->result, "n", e.error.n);
  job_json_int(j->result, "n_cold", e.cold);
  job_json_int(j->result, "bad_records", e.counters.value[JOB_COUNT_BAD]);
  job_json_real(j->result, "seconds", job_now() - started);
  if (j->comm->rank == 0 && !j->json)
    printf("rmse    %.6f\nmae     %.6f\nn       %s\nn_cold  %s\n", rmse, mae,
           job_count_text(e.error.n), job_count_text(e.cold));
  if (nan)
    job_warn("%s ratings have a user or item that the model lacks, so the result is nan; "
             "--cold-start-strategy drop leaves them out",
             job_count_text(e.cold));
done:
  job_input_close(input);
  als_model_free(e.model);
  return st;
}

const job_command job_evaluate = {
    .name = "evaluate",
    .summary = "RMSE and MAE of a model on ratings",
    .usage = "MODEL RATINGS... [OPTION]...",
    .example = "als evaluate model.h5 test.h5 --cold-start-strategy drop --clamp",
    .options = options,
    .positional_min = 2,
    .positional_max = -1,
    .run = run,
};
