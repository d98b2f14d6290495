/* See model_origin.h. */
#include "jobs/model_origin.h"

#include "jobs/h5.h"
#include "rdd/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Plain data, which rank 0 sends to all. */
typedef struct origin {
  job_start start;
  int64_t ratings, iterations, best;
  double seconds;
} origin;

static void read_start(hid_t file, job_start *start) {
  char init[16] = "";
  int64_t blocks[2] = {0, 0};
  (void)job_h5_get_int(file, "seed", &start->seed);
  (void)job_h5_get_string(file, "init", init, sizeof init);
  start->spark = !strcmp(init, "spark3") ? ALS_SPARK_3 : !strcmp(init, "spark2") ? ALS_SPARK_2 : 0;
  (void)job_h5_get_int(file, "num_user_blocks", &blocks[ALS_USERS]);
  (void)job_h5_get_int(file, "num_item_blocks", &blocks[ALS_ITEMS]);
  for (int side = 0; side < 2; side++) start->blocks[side] = (int)blocks[side];
}

static rdd_status read_origin(hid_t file, const char *path, origin *o, rdd_err *err) {
  *o = (origin){0};
  read_start(file, &o->start);
  (void)job_h5_get_int(file, "ratings", &o->ratings);
  (void)job_h5_get_int(file, "iterations", &o->iterations);
  (void)job_h5_get_real(file, "seconds", &o->seconds);
  int64_t of_checkpoint; /* which may hold a better one beside the newest, whose factors are read */
  if (!job_h5_get_int(file, "best_iteration", &o->best) ||
      job_h5_get_int(file, "iteration", &of_checkpoint))
    o->best = o->iterations;
  if (o->iterations < 0 || o->iterations > INT32_MAX || o->best < 0 || o->best > o->iterations)
    return rdd_set(err, RDD_EDATA, "%s: a model cannot have %lld iterations, the best of them %lld",
                   path, (long long)o->iterations, (long long)o->best);
  return RDD_OK;
}

/* A column that is missing, as in files of older versions, is NaN. */
static rdd_status read_history(hid_t file, const char *path, int64_t n, als_iteration *history,
                               rdd_err *err) {
  char name[40];
  rdd_status st = RDD_OK;
  double *value = rdd_alloc((size_t)n, sizeof *value);
  if (!value) return rdd_set(err, RDD_ENOMEM, "%s: out of memory for the history", path);
  for (int c = 0; c < JOB_HISTORY_COLUMNS && !st; c++) {
    for (int64_t i = 0; i < n; i++) value[i] = (double)NAN;
    snprintf(name, sizeof name, "/history/%s", job_history[c].name);
    hid_t dataset = H5Lexists(file, name, H5P_DEFAULT) > 0 ? H5Dopen2(file, name, H5P_DEFAULT) : -1;
    if (dataset >= 0) {
      st = job_h5_read_rows(dataset, H5T_NATIVE_DOUBLE, 0, n, value, err);
      if (st) job_h5_in_file(err, path);
      H5Dclose(dataset);
    }
    for (int64_t i = 0; i < n && !st; i++)
      memcpy((char *)&history[i] + job_history[c].offset, &value[i], sizeof *value);
  }
  rdd_free(value);
  return st;
}

rdd_status job_model_origin(rdd_comm *comm, const char *path, job_provenance *how_out,
                            als_iteration **history_out, rdd_err *err) {
  hid_t file = H5I_INVALID_HID;
  als_params params;
  als_iteration *history = NULL;
  origin o = {0};
  rdd_status st = job_params_of_model(comm, path, &params, err);
  if (st) return st;
  if (comm->rank == 0) {
    st = job_h5_open(&file, path, NULL, err);
    if (!st) st = read_origin(file, path, &o, err);
  }
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  rdd_bcast(comm, &o, sizeof o, 0);
  history = rdd_calloc((size_t)o.iterations, sizeof *history);
  if (!history) st = rdd_set(err, RDD_ENOMEM, "%s: out of memory for the history", path);
  if (!st && comm->rank == 0) st = read_history(file, path, o.iterations, history, err);
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  rdd_bcast(comm, history, o.iterations * (int64_t)sizeof *history, 0);
  *how_out = (job_provenance){.params = params,
                              .start = o.start,
                              .ratings = o.ratings,
                              .ranks = comm->size,
                              .iterations = (int)o.iterations,
                              .best = (int)o.best,
                              .history = history,
                              .seconds = o.seconds};
  *history_out = history;
  history = NULL;
done:
  rdd_free(history);
  job_h5_drop(file);
  return st;
}
