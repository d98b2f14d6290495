/* als import: any input format to one HDF5 ratings file. */
#include "jobs/job.h"
#include "jobs/output.h"
#include "jobs/plugin.h"
#include "jobs/save.h"
#include "jobs/ui.h"
#include "rdd/clock.h"

static const job_option options[] = {
    {"output", 'o', JOB_STRING, "FILE", NULL, 0, 0, true, "where to write; .h5, or .csv"},
    JOB_INPUT_OPTIONS,
    {"map", 0, JOB_STRINGS, "LIB:FUNCTION", NULL, 0, 0, false,
     "filter or rewrite with FUNCTION[=ARGUMENT] of LIB; repeatable"},
    {"task-time-limit", 0, JOB_REAL, "S", "0", 0, 1e9, false,
     "seconds that a task may take before it is run again; 0: no limit"},
    {0},
};

typedef struct import {
  job *j;
  job_input *input;
  const char *path;
  double started;
} import;

static rdd_status finish(void *arg, job_table_file *file, const rdd_counters *counters,
                         rdd_err *err) {
  const import *im = arg;
  job *j = im->j;
  int64_t bad = counters->value[JOB_COUNT_BAD];
  int64_t users = job_table_file_distinct(file, 0), items = job_table_file_distinct(file, 1);
  int64_t rows = job_table_file_rows(file), dropped = counters->value[JOB_COUNT_ROWS] - rows;
  if (!rows)
    return rdd_set(err, RDD_EDATA, dropped ? "%s: --map leaves no ratings" : "%s: no ratings",
                   job_input_describe(im->input));
  rdd_status st = job_save_counts(file, err);
  if (!st) st = job_table_file_attribute(file, "bad_records", bad, err);
  if (st) return st;
  job_json_int(j->result, "users", users);
  job_json_int(j->result, "items", items);
  job_json_int(j->result, "ratings", rows);
  job_json_int(j->result, "dropped", dropped);
  job_json_int(j->result, "bad_records", bad);
  job_json_real(j->result, "seconds", rdd_seconds() - im->started);
  job_json_string(j->result, "out", im->path);
  job_say("%s: %s ratings of %s items by %s users in %s", job_input_describe(im->input),
          job_count_text(rows), job_count_text(items), job_count_text(users),
          job_seconds_text(rdd_seconds() - im->started));
  if (dropped) job_say("--map dropped %s ratings", job_count_text(dropped));
  if (bad)
    job_warn("skipped %s malformed records; the first: %s", job_count_text(bad), counters->note);
  return RDD_OK;
}

static rdd_status run(job *j, const job_args *args, rdd_err *err) {
import im = {.j = j, .path = job_string(args, "output"), .started = rdd_seconds() };
  job_maps *maps = NULL;
  rdd *ratings = NULL;
  int n = 0;
  const char *const *specs = job_strings(args, "map", &n);
  rdd_status st = RDD_OK;
  if (j->comm->rank == 0) st = job_output_check(im.path, ".h5|.hdf5|.csv|.tsv", err);
  if (!st) st = job_maps_open(&maps, specs, n, err);
  st = rdd_agree(j->comm, st, err);
  if (st) goto done;
  job_input_opts opts = job_input_options(j, args, false);
  st = job_input_open(j->comm, job_positional(args), job_positionals(args), &opts, &im.input, err);
  if (st) goto done;
  st = rdd_agree(j->comm, job_maps_apply(maps, job_input_rdd(im.input), &ratings, err), err);
  if (st) goto done;
  j->task_time_limit = job_real(args, "task-time-limit");
  st = job_save(j, ratings, "importing", im.path, &job_ratings_spec, im.input, finish, &im, err);
done:
  rdd_release(ratings);
  job_maps_close(maps);
  job_input_close(im.input);
  return st;
}

const job_command job_import = {
    .name = "import",
    .summary = "read ratings in any format, write them as one HDF5 file",
    .usage = "INPUT... -o ratings.h5 [OPTION]...",
    .example = "als import ml-100k/u.data -o ratings.h5",
    .options = options,
    .positional_min = 1,
    .positional_max = -1,
    .run = run,
};
