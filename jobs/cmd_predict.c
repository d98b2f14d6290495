/* als predict: a prediction for each pair, in the order of the input. A map over the pairs' RDD: the
 * model's tables are shared memory, so that a forked task costs nothing for them. */
#include "jobs/input.h"
#include "jobs/job.h"
#include "jobs/model_file.h"
#include "jobs/output.h"
#include "jobs/save.h"
#include "jobs/ui.h"
#include "mllib/als.h"
#include "rdd/clock.h"

#include <math.h>
#include <string.h>

static const job_option options[] = {
    {"output", 'o', JOB_STRING, "FILE", NULL, 0, 0, true, "where predictions go; .csv or .h5"},
    {"cold-start-strategy", 0, JOB_CHOICE, "nan|drop", "nan", 0, 0, false,
     "pairs with a user or item that the model lacks"},
    {"clamp", 0, JOB_FLAG, NULL, NULL, 0, 0, false, "clamp to the range of the training ratings"},
    JOB_INPUT_OPTIONS,
    {0},
};

enum { COUNT_COLD = 2 };

static const char *const columns[] = {"id of the user", "id of the item", "predicted rating"};
static const job_table_spec spec = {
    .group = "/predictions",
    .kind = "predictions",
    .description = "one row for each pair of the input",
    .column_description = columns,
    .id_columns = 2,
};

typedef struct prediction {
  job *j;
  const char *path;
  job_input *input;
  const als_model *model;
  bool clamp, drop;
  double started;
} prediction;

static rdd_status predict(void *arg, const rdd_batch *in, rdd_task *task, rdd_batch *out,
                          rdd_err *err) {
  const prediction *p = arg;
  const als_model *m = p->model;
  float *value = rdd_task_scratch(task, (size_t)in->rows, sizeof *value);
  int32_t *keep = rdd_task_scratch(task, (size_t)in->rows, sizeof *keep);
  if (!value || !keep)
    return rdd_set(err, RDD_ENOMEM, "out of memory for %lld predictions", (long long)in->rows);
  int64_t kept = 0, cold = 0;
  for (int64_t row = 0; row < in->rows; row++) {
    int64_t u = als_ids_find(m->side[ALS_USERS].ids, &in->column[0], row);
    int64_t i = als_ids_find(m->side[ALS_ITEMS].ids, &in->column[1], row);
    bool known = u >= 0 && i >= 0;
    cold += !known;
    if (!known && p->drop) continue;
    float x = als_model_predict(m, u, i);
    if (p->clamp && known) x = fminf(fmaxf(x, m->rating_min), m->rating_max);
    value[kept] = x;
    keep[kept++] = (int32_t)row;
  }
  rdd_task_count(task, COUNT_COLD, cold);
  out->rows = kept;
  out->column[0] = in->column[0];
  out->column[1] = in->column[1];
  out->column[2].values = value;
  rdd_status st = RDD_OK;
  for (int c = 0; c < 2 && kept < in->rows && !st; c++)
    st = rdd_task_take(task, m->side[c].ids->type, &in->column[c], keep, kept, &out->column[c],
                       err);
  return st;
}

static rdd_status finish(void *arg, job_table_file *file, const rdd_counters *counters,
                         rdd_err *err) {
  const prediction *p = arg;
  job_json *json = p->j->result;
  int64_t cold = counters->value[COUNT_COLD], rows = job_table_file_rows(file);
  if (rows + cold == 0)
    return rdd_set(err, RDD_EDATA, "%s: no pairs", job_input_describe(p->input));
  job_json_int(json, "rows", rows);
  job_json_int(json, "n_cold", cold);
  job_json_int(json, "bad_records", counters->value[JOB_COUNT_BAD]);
  job_json_real(json, "seconds", rdd_seconds() - p->started);
  job_json_string(json, "out", p->path);
  job_say("%s predictions to %s in %s", job_count_text(rows), p->path,
          job_seconds_text(rdd_seconds() - p->started));
  if (cold)
    job_warn("%s pairs have a user or item that the model lacks; %s", job_count_text(cold),
             p->drop ? "dropped" : "their prediction is nan");
  return RDD_OK;
}

static rdd_status run(job *j, const job_args *args, rdd_err *err) {
  prediction p = {.j = j,
                  .path = job_string(args, "output"),
                  .started = rdd_seconds(),
                  .clamp = job_flag(args, "clamp"),
                  .drop = !strcmp(job_string(args, "cold-start-strategy"), "drop")};
  als_model *model = NULL;
  rdd *predictions = NULL;
  rdd_status st = RDD_OK;
  if (j->comm->rank == 0) st = job_output_check(p.path, ".h5|.hdf5|.csv|.tsv", err);
  st = rdd_agree(j->comm, st, err);
  if (!st) st = job_model_read(j->comm, job_positional(args)[0], &model, err);
  if (st) goto done;
  p.model = model;
  const rdd_type types[2] = {model->side[ALS_USERS].ids->type, model->side[ALS_ITEMS].ids->type};
  job_input_opts in = job_input_options(j, args, true);
  in.id_types = types;
  st = job_input_open(j->comm, job_positional(args) + 1, job_positionals(args) - 1, &in, &p.input,
                      err);
  if (st) goto done;
  rdd_schema schema = {0};
  rdd_schema_add(&schema, "user", types[0]);
  rdd_schema_add(&schema, "item", types[1]);
  rdd_schema_add(&schema, "prediction", RDD_FLOAT32);
  st = rdd_map_batches(&predictions, job_input_rdd(p.input), "predict", &schema, predict, &p, err);
  st = rdd_agree(j->comm, st, err);
  if (!st) st = job_save(j, predictions, "predicting", p.path, &spec, p.input, finish, &p, err);
done:
  rdd_release(predictions);
  job_input_close(p.input);
  als_model_free(model);
  return st;
}

const job_command job_predict = {
    .name = "predict",
    .summary = "predict the rating of each pair of user and item",
    .usage = "MODEL PAIRS... -o OUT [OPTION]...",
    .example = "als predict model.h5 pairs.csv -o predictions.csv",
    .options = options,
    .positional_min = 2,
    .positional_max = -1,
    .run = run,
};
