/* als fold-in: users (or items) that came after the fit, put into the model without fitting anew.
 *
 *   reading   tasks    new ratings, and perhaps the old ones; those of unknown columns are left out
 *   folding   gang     each row against the other side as it is, then a merge of the tables
 *   writing   rank 0   the model with more rows; all others keep their bits */
#include "jobs/input.h"
#include "jobs/job.h"
#include "jobs/model_file.h"
#include "jobs/model_origin.h"
#include "jobs/output.h"
#include "jobs/save.h"
#include "jobs/spool.h"
#include "jobs/ui.h"
#include "mllib/fold_in.h"
#include "mpi_bridge/gang.h"
#include "rdd/clock.h"
#include "rdd/memory.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { COUNT_UNKNOWN = 2 };

static const job_option options[] = {
    {"output", 'o', JOB_STRING, "FILE", NULL, 0, 0, true, "where the new model goes; .h5"},
    {"side", 0, JOB_CHOICE, "users|items", "users", 0, 0, false,
     "whose rows are solved; the other side stays as it is"},
    {"ratings", 0, JOB_STRING, "OLD", NULL, 0, 0, false,
     "older ratings, which count too for the rows that have new ones"},
    {"min-ridge", 0, JOB_REAL, "R", NULL, 0, 1e30, false,
     "no row's regularisation is below this; default: the model's"},
    JOB_INPUT_OPTIONS,
    {0},
};

static const char *const side_name[2] = {"user", "item"};

typedef struct folding {
  job *j;
  const char *path;
  int side;
  job_provenance how;
  char digest[JOB_DIGEST_TEXT];
  als_params params; /* what rows are solved with */
  als_model *model;
  job_input *input[2];
  job_output *spooled;       /* rank 0: what stands for standard input, or NULL */
  char stdin_path[PATH_MAX]; /* where it is; "": it is not read */
  rdd *known[2];             /* their ratings of known columns */
  rdd_counters counters[2];
  als_fold_in_counts counts;
  int64_t rows, updated;
} folding;

/* Ratings of columns that the model has: nothing can be learnt from others. Runs in a task. */
static rdd_status keep_known(void *arg, const rdd_batch *in, rdd_task *task, uint8_t *keep,
                             rdd_err *err) {
  const folding *f = arg;
  const als_ids *ids = f->model->side[!f->side].ids;
  int64_t kept = 0;
  (void)err;
  for (int64_t i = 0; i < in->rows; i++) {
    keep[i] = als_ids_find(ids, &in->column[!f->side], i) >= 0;
    kept += keep[i];
  }
  rdd_task_count(task, COUNT_UNKNOWN, in->rows - kept);
  return RDD_OK;
}

static rdd_status check_records(const folding *f, int n, rdd_err *err) {
  rdd_status st = RDD_OK;
  for (int i = 0; i < n && !st; i++) st = job_input_check(f->input[i], &f->counters[i], err);
  if (st) return st;
  if (f->counters[0].value[JOB_COUNT_ROWS] == 0)
    return rdd_set(err, RDD_EDATA, "%s: no ratings", job_input_describe(f->input[0]));
  if (f->counters[0].value[JOB_COUNT_ROWS] == f->counters[0].value[COUNT_UNKNOWN])
    return rdd_set(err, RDD_EDATA, "%s: none of the %lld ratings has an %s that the model knows",
                   job_input_describe(f->input[0]), (long long)f->counters[0].value[COUNT_UNKNOWN],
                   side_name[!f->side]);
  return RDD_OK;
}

/* One try: the model is merged into where it stands. */
static rdd_status fold(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  folding *f = arg;
  rdd_comm *comm = gang_comm(g);
  als_factors rows = {0};
  int n = f->input[1] ? 2 : 1;
  rdd_status st = check_records(f, n, err);
  if (!st) st = als_fold_in(comm, f->model, &f->params, f->side, parts, n, &rows, &f->counts, err);
  if (st) goto done;
  f->rows = rows.ids->n;
  st = als_model_merge(f->model, comm, f->side, &rows, &f->updated, err);
  if (!st) st = job_model_write(comm, f->path, f->model, &f->how, f->digest, err);
done:
  als_factors_reset(&rows);
  return st;
}

/* ---- The command ---- */

/* Where the new ratings are read from. Collective. */
static rdd_status open_new(folding *f, const job_args *args, const job_input_opts *opts,
                           rdd_err *err) {
  rdd_comm *comm = f->j->comm;
  char *const *path = job_positional(args) + 1, *const one[1] = {f->stdin_path};
  int n = job_positionals(args) - 1, dashes = 0;
  rdd_status st = RDD_OK;
  for (int i = 0; i < n; i++) dashes += !strcmp(path[i], "-");
  if (!dashes) return job_input_open(comm, path, n, opts, &f->input[0], err);
  if (n > 1)
    return rdd_set(err, RDD_EUSAGE, "- (standard input) stands alone, not among %d inputs", n);
  if (comm->rank == 0) {
    st = job_spool(f->path, &f->spooled, err);
    if (!st) snprintf(f->stdin_path, PATH_MAX, "%s", job_output_path(f->spooled));
  }
  st = rdd_agree(comm, st, err);
  if (st) return st;
  rdd_bcast(comm, f->stdin_path, PATH_MAX, 0);
  return job_input_open(comm, one, 1, opts, &f->input[0], err);
}

static rdd_status open_inputs(folding *f, const job_args *args, rdd_err *err) {
  const rdd_type types[2] = {f->model->side[ALS_USERS].ids->type,
                             f->model->side[ALS_ITEMS].ids->type};
  const char *old = job_string(args, "ratings");
  job_input_opts opts = job_input_options(f->j, args, false);
  opts.id_types = types;
  rdd_status st = open_new(f, args, &opts, err);
  if (!st && old) st = job_input_open(f->j->comm, (char *const *)&old, 1, &opts, &f->input[1], err);
  if (st) return st;
  for (int i = 0; i < 2 && f->input[i] && !st; i++)
    st = rdd_filter(&f->known[i], job_input_rdd(f->input[i]), "known", keep_known, f, err);
  return rdd_agree(f->j->comm, st, err);
}

static void report(const folding *f, double started) {
  job_json *json = f->j->result;
  int64_t unknown = f->counters[0].value[COUNT_UNKNOWN];
  const char *what = side_name[f->side], *s = f->rows == 1 ? "" : "s";
  job_json_string(json, "side", f->side == ALS_USERS ? "users" : "items");
  job_json_int(json, "rows", f->rows);
  job_json_int(json, "rows_new", f->rows - f->updated);
  job_json_int(json, "rows_updated", f->updated);
  job_json_int(json, "ratings", f->counts.ratings);
  job_json_int(json, "n_cold", unknown);
  job_json_int(json, "bad_records", f->counters[0].value[JOB_COUNT_BAD]);
  job_json_int(json, "users", f->model->side[ALS_USERS].ids->n);
  job_json_int(json, "items", f->model->side[ALS_ITEMS].ids->n);
  job_json_real(json, "seconds", rdd_seconds() - started);
  job_json_string(json, "model", f->path);
  job_json_string(json, "digest", f->digest);
  job_say("folded in %s %s%s (%s new) from %s ratings to %s in %s; digest %s",
          job_count_text(f->rows), what, s, job_count_text(f->rows - f->updated),
          job_count_text(f->counts.ratings), f->path, job_seconds_text(rdd_seconds() - started),
          f->digest);
  if (unknown)
    job_warn("%s ratings have an %s that the model lacks; left out", job_count_text(unknown),
             side_name[!f->side]);
}

static rdd_status run(job *j, const job_args *args, rdd_err *err) {
  double started = rdd_seconds();
  const char *model_path = job_positional(args)[0];
  folding f = {.j = j,
               .path = job_string(args, "output"),
               .side = strcmp(job_string(args, "side"), "items") ? ALS_USERS : ALS_ITEMS};
  als_iteration *history = NULL;
  char *inputs = job_positionals_joined(args);
  rdd_status st = RDD_OK;
  if (j->comm->rank == 0) st = job_output_check(f.path, ".h5|.hdf5", err);
  st = rdd_agree(j->comm, st, err);
  if (!st) st = job_model_origin(j->comm, model_path, &f.how, &history, err);
  if (!st) st = job_model_read(j->comm, model_path, &f.model, err);
  if (!st) st = open_inputs(&f, args, err);
  if (st) goto done;
  f.params = f.how.params;
  if (job_given(args, "min-ridge")) f.params.min_ridge = job_real(args, "min-ridge");
  f.how.inputs = inputs ? inputs : "";
  f.how.command_line = j->command_line;
  const rdd_run_opts opts[2] = {job_run_opts(j, "reading"), job_run_opts(j, "reading old ratings")};
  const gang_opts once = {.max_attempts = 1};
  st = gang_run(j->comm, f.known, f.input[1] ? 2 : 1, opts, f.counters, &once, fold, &f, err);
  if (!st) report(&f, started);
done:
  for (int i = 0; i < 2; i++) {
    rdd_release(f.known[i]);
    job_input_close(f.input[i]);
  }
  if (st && f.stdin_path[0]) job_spool_name(err, f.stdin_path);
  job_output_abandon(f.spooled);
  als_model_free(f.model);
  rdd_free(history);
  rdd_free(inputs);
  return st;
}

const job_command job_fold_in = {
    .name = "fold-in",
    .summary = "put new users or items into a model",
    .usage = "MODEL RATINGS... -o NEW_MODEL [OPTION]...",
    .example = "als fold-in model.h5 today.csv -o model2.h5 --ratings train.h5",
    .options = options,
    .positional_min = 2,
    .positional_max = -1,
    .run = run,
    .in_place = true,
};
