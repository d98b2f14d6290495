/* Checkpoints: what is written comes back in every bit, or is passed over; never anything else. */
#include "jobs/checkpoint.h"
#include "jobs/h5.h"
#include "jobs/output.h"
#include "rdd/hash.h"
#include "rdd/memory.h"
#include "tests/testkit.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH = 512, MAX_ITER = 20, USERS = 300, ITEMS = 120, K = 5 };

/* ---- A run that has no ratings: its factors are a function of the iteration ---- */

typedef struct run {
  rdd_comm *comm;
  als_model *model;
  als_iteration history[MAX_ITER];
  job_provenance how;
  job_checkpoint_opts opts;
  char dir[PATH];
} run;

static als_ids *make_ids(rdd_comm *comm, int64_t n) {
  als_ids *ids = NULL;
  rdd_err err = {0};
  if (!TK_OK(als_ids_new(comm, RDD_INT64, n, 0, &ids, &err), &err)) return NULL;
  int64_t *value = rdd_table_data(ids->value);
  for (int64_t i = 0; i < n; i++) value[i] = 3 * i - n;
  return ids;
}

static float factor(int iteration, int table, int64_t i) {
  uint64_t key = rdd_mix64_2((uint64_t)iteration, (uint64_t)table);
  return (float)(rdd_uniform(rdd_mix64_2(key, (uint64_t)i)) - 0.5);
}

static int64_t floats(const rdd_table *table) {
  return (int64_t)(rdd_table_size(table) / sizeof(float));
}

static void fill_table(rdd_table *table, int iteration, int number) {
  float *value = rdd_table_data(table);
  for (int64_t i = 0; i < floats(table); i++) value[i] = factor(iteration, number, i);
}

/* Lowest at 3. */
static double validation_error(int iteration) {
  return 1 + (iteration - 3) * (iteration - 3);
}

/* As an iteration leaves them. */
static void iterate(run *r, int iteration) {
  for (int side = 0; side < 2; side++) {
    fill_table(r->model->side[side].factors, iteration, side);
    fill_table(r->model->side[side].bias, r->how.params.update_bias ? iteration : 0, 2 + side);
  }
  r->history[iteration - 1] = (als_iteration){.iteration = iteration,
                                              .rmse_train = 1.0 / iteration,
                                              .rmse_test = 2.0 / iteration,
                                              .rmse_validation = validation_error(iteration),
                                              .ndcg_validation = 1 / validation_error(iteration),
                                              .objective = 1000.0 / iteration,
                                              .seconds = 0.25 * iteration};
}

static bool table_is_of(const rdd_table *table, int iteration, int number) {
  const float *value = rdd_table_data(table);
  for (int64_t i = 0; i < floats(table); i++)
    if (value[i] != factor(iteration, number, i)) return false;
  return true;
}

static bool sides_are_of(const als_factors side[2], int factors, int biases) {
  for (int s = 0; s < 2; s++) {
    if (!table_is_of(side[s].factors, factors, s)) return false;
    if (side[s].bias && !table_is_of(side[s].bias, biases, 2 + s)) return false;
  }
  return true;
}

/* Biases that the iterations do not fit are those of "iteration 0" all the time. */
static bool model_is_of(const run *r, int iteration) {
  return sides_are_of(r->model->side, iteration, r->how.params.update_bias ? iteration : 0);
}

static bool history_is_of(const als_iteration *history, int iterations, bool tested) {
  for (int i = 1; i <= iterations; i++) {
    const als_iteration *it = &history[i - 1];
    if (it->iteration != i || it->rmse_train != 1.0 / i || it->objective != 1000.0 / i ||
        it->seconds != 0.25 * i || it->rmse_validation != validation_error(i) ||
        it->ndcg_validation != 1 / validation_error(i))
      return false;
    if (tested ? it->rmse_test != 2.0 / i : !isnan(it->rmse_test)) return false;
  }
  return true;
}

static bool run_open(run *r, const char *name, int64_t users, int64_t items, int k) {
  rdd_err err = {0};
  *r = (run){0};
  if (!TK_OK(rdd_comm_single(&r->comm, &err), &err)) return false;
  als_ids *ids[2] = {make_ids(r->comm, users), make_ids(r->comm, items)};
  if (!ids[0] || !ids[1]) return false;
  if (!TK_OK(als_model_new(r->comm, ids, k, true, &r->model, &err), &err)) return false;
  snprintf(r->dir, PATH, "%s/%s", tk_tmpdir(), name);
  r->how = (job_provenance){.params = {.rank = k,
                                       .max_iter = MAX_ITER,
                                       .reg = {0.1, 0.1},
                                       .reg_exponent = 1,
                                       .bias = true},
                            .ratings = 1000,
                            .ranks = 1,
                            .inputs = "a.csv",
                            .command_line = "als train a.csv"};
  r->opts = (job_checkpoint_opts){
      .dir = r->dir, .interval = 1, .mark = {.run = 0x8123456789abcdef, .test = 3}, .how = &r->how};
  return true;
}

static void run_close(run *r) {
  als_model_free(r->model);
  rdd_comm_close(r->comm);
}

/* Make iterations first to last, with checkpoints, as a run does that was resumed before the first. */
static void make_iterations(run *r, int first, int last, bool now) {
  job_checkpoints *c = NULL;
  als_iteration history[MAX_ITER];
  rdd_err err = {0};
  int start = -1;
  if (!TK_OK(job_checkpoints_open(&c, r->comm, &r->opts, &err), &err)) return;
  TK_OK(job_checkpoints_resume(c, r->model, history, &start, &err), &err);
  for (int i = 1; i <= last; i++) {
    iterate(r, i);
    if (i < first) continue;
    TK_OK(job_checkpoints_save(c, r->model, r->history, i, now && i == last, &err), &err);
  }
  job_checkpoints_close(c);
}

/* Resume into the run's model; the iteration, with all that is read checked, or 0. */
static int resume(run *r) {
  job_checkpoints *c = NULL;
  als_iteration history[MAX_ITER];
  rdd_err err = {0};
  int start = -1;
  iterate(r, MAX_ITER); /* what no checkpoint holds */
  if (!TK_OK(job_checkpoints_open(&c, r->comm, &r->opts, &err), &err)) return -1;
  if (!TK_OK(job_checkpoints_resume(c, r->model, history, &start, &err), &err)) start = -1;
  job_checkpoints_close(c);
  if (start >= 0) TK_CHECK(model_is_of(r, start ? start : MAX_ITER));
  if (start > 0) TK_CHECK(history_is_of(history, start, r->opts.mark.test == 3));
  return start;
}

static const char *path_of(const run *r, int iteration, char path[PATH]) {
  snprintf(path, PATH, "%.400s/checkpoint-%d.h5", r->dir, iteration);
  return path;
}

static bool there(const run *r, int iteration) {
  char path[PATH];
  return access(path_of(r, iteration, path), F_OK) == 0;
}

/* Files in the folder, hidden ones too. */
static int count_files(const run *r) {
  int n = 0;
  DIR *dir = opendir(r->dir);
  for (struct dirent *entry; dir && (entry = readdir(dir));)
    if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) n++;
  if (dir) closedir(dir);
  return n;
}

static long size_of(const run *r, int iteration) {
  char path[PATH];
  struct stat s;
  return stat(path_of(r, iteration, path), &s) == 0 ? (long)s.st_size : -1;
}

static void flip_bit(const char *path, long at) {
  FILE *raw = fopen(path, "r+b");
  if (!TK_CHECK(raw != NULL)) return;
  fseek(raw, at, SEEK_SET);
  int byte = fgetc(raw);
  fseek(raw, at, SEEK_SET);
  fputc(byte ^ 0x10, raw);
  fclose(raw);
}

/* ---- Writing and reading ---- */

static void test_round_trip(void) {
  run r;
  if (!run_open(&r, "round", USERS, ITEMS, K)) return;
  TK_CHECK(resume(&r) == 0);
  make_iterations(&r, 1, 3, false);
  TK_CHECK(resume(&r) == 3);
  r.opts.mark.test = 5; /* tested with other ratings: those errors are not this run's */
  TK_CHECK(resume(&r) == 3);
  run_close(&r);
}

static void test_two_generations(void) {
  run r;
  if (!run_open(&r, "generations", USERS, ITEMS, K)) return;
  make_iterations(&r, 1, 5, false);
  TK_CHECK(count_files(&r) == 2 && there(&r, 4) && there(&r, 5));
  make_iterations(&r, 6, 6, false); /* by a run that was resumed */
  TK_CHECK(count_files(&r) == 2 && there(&r, 5) && there(&r, 6));
  run_close(&r);
}

static void test_interval(void) {
  run r;
  if (!run_open(&r, "interval", USERS, ITEMS, K)) return;
  r.opts.interval = 3;
  make_iterations(&r, 1, 5, false);
  TK_CHECK(count_files(&r) == 1 && there(&r, 3));
  make_iterations(&r, 4, 8, true); /* told to at 8 */
  TK_CHECK(count_files(&r) == 2 && there(&r, 6) && there(&r, 8));
  TK_CHECK(resume(&r) == 8);
  run_close(&r);
}

static void test_as_model(void) {
  run r;
  char path[PATH];
  als_model *m = NULL;
  rdd_err err = {0};
  if (!run_open(&r, "model", USERS, ITEMS, K)) return;
  make_iterations(&r, 1, 2, false);
  if (TK_OK(job_model_read(r.comm, path_of(&r, 2, path), &m, &err), &err)) {
    TK_CHECK(sides_are_of(m->side, 2, 0));
    TK_CHECK(als_ids_int64(m->side[ALS_USERS].ids, 7) == 21 - USERS);
  }
  als_model_free(m);
  run_close(&r);
}

/* The writer has to write what was there when it was called, however fast the next iteration is. */
static void test_tables_change_meanwhile(void) {
  run r;
  if (!run_open(&r, "meanwhile", 60000, 20000, 32)) return;
  job_checkpoints *c = NULL;
  rdd_err err = {0};
  if (TK_OK(job_checkpoints_open(&c, r.comm, &r.opts, &err), &err)) {
    iterate(&r, 1);
    TK_OK(job_checkpoints_save(c, r.model, r.history, 1, false, &err), &err);
    for (int side = 0; side < 2; side++) {
      memset(rdd_table_data(r.model->side[side].factors), 0xff,
             rdd_table_size(r.model->side[side].factors));
      memset(rdd_table_data(r.model->side[side].bias), 0xff,
             rdd_table_size(r.model->side[side].bias));
    }
    TK_CHECK(job_checkpoints_flush(c) == 1);
  }
  job_checkpoints_close(c);
  TK_CHECK(resume(&r) == 1);
  run_close(&r);
}

static void test_remove(void) {
  run r;
  char other[PATH];
  if (!run_open(&r, "remove", USERS, ITEMS, K)) return;
  for (int keep = 0; keep < 2; keep++) {
    job_checkpoints *c = NULL;
    rdd_err err = {0};
    int start;
    make_iterations(&r, 1, 3, false);
    snprintf(other, PATH, "%.400s/notes.txt", r.dir);
    if (keep) fclose(fopen(other, "w"));
    if (TK_OK(job_checkpoints_open(&c, r.comm, &r.opts, &err), &err)) {
      TK_OK(job_checkpoints_resume(c, r.model, r.history, &start, &err), &err);
      job_checkpoints_remove(c);
    }
    job_checkpoints_close(c);
    TK_CHECK(keep ? count_files(&r) == 1 && access(other, F_OK) == 0 : access(r.dir, F_OK) != 0);
  }
  run_close(&r);
}

/* ---- The best iteration, and biases that are fitted in the iterations ---- */

/* Keep iteration 3, as als_fit() does. */
static void keep_best(run *r, als_best *best, int made) {
  best->iteration = made < 3 ? made : 3;
  for (int side = 0; side < 2; side++) {
    fill_table(best->side[side].factors, best->iteration, side);
    if (best->side[side].bias) fill_table(best->side[side].bias, best->iteration, 2 + side);
  }
  for (int i = 1; i <= made; i++) iterate(r, i);
}

/* Save iteration `made`, forget all, and resume. */
static void round_trip_of_best(run *r, als_best *best, int made) {
  job_checkpoints *c = NULL;
  als_iteration history[MAX_ITER];
  rdd_err err = {0};
  int start = -1;
  keep_best(r, best, made);
  if (!TK_OK(job_checkpoints_open(&c, r->comm, &r->opts, &err), &err)) return;
  TK_OK(job_checkpoints_save(c, r->model, r->history, made, false, &err), &err);
  TK_CHECK(job_checkpoints_flush(c) == made);
  job_checkpoints_close(c);
  keep_best(r, best, 1);
  iterate(r, MAX_ITER);
  if (!TK_OK(job_checkpoints_open(&c, r->comm, &r->opts, &err), &err)) return;
  TK_OK(job_checkpoints_resume(c, r->model, history, &start, &err), &err);
  job_checkpoints_close(c);
  TK_CHECK(start == made && model_is_of(r, made) && history_is_of(history, made, true));
  TK_CHECK(best->iteration == (made > 3 ? 3 : 0)); /* 0: the model is the best itself */
  if (made > 3) TK_CHECK(sides_are_of(best->side, 3, 3));
}

static void test_best(void) {
  for (int update_bias = 0; update_bias < 2; update_bias++) {
    run r;
    als_best *best = NULL;
    rdd_err err = {0};
    char path[PATH];
    if (!run_open(&r, update_bias ? "best-biases" : "best", USERS, ITEMS, K)) return;
    r.how.params.update_bias = update_bias;
    if (TK_OK(als_best_new(r.comm, r.model, &r.how.params, &best, &err), &err)) {
      TK_CHECK((best->side[0].bias != NULL) == update_bias);
      r.opts.best = best;
      round_trip_of_best(&r, best, 3);
      round_trip_of_best(&r, best, 5);
      int start = -1;
      for (long at = size_of(&r, 5) / 60; at < size_of(&r, 5); at += size_of(&r, 5) / 60) {
        job_checkpoints *c = NULL;
        als_iteration history[MAX_ITER];
        flip_bit(path_of(&r, 5, path), at);
        if (TK_OK(job_checkpoints_open(&c, r.comm, &r.opts, &err), &err))
          TK_OK(job_checkpoints_resume(c, r.model, history, &start, &err), &err);
        job_checkpoints_close(c);
        TK_CHECK((start == 3 || start == 5) && model_is_of(&r, start));
        TK_CHECK(start == 3 ? best->iteration == 0 : sides_are_of(best->side, 3, 3));
        flip_bit(path, at);
      }
    }
    als_best_free(best);
    run_close(&r);
  }
}

/* Where a tolerance looks at validation, that decides what is beyond the end. */
static void test_beyond_validation(void) {
  for (als_watch watch = ALS_RMSE; watch <= ALS_NDCG; watch++) {
    run r;
    als_best *best = NULL;
    rdd_err err = {0};
    if (!run_open(&r, watch == ALS_RMSE ? "beyond-rmse" : "beyond-ndcg", USERS, ITEMS, K)) return;
    make_iterations(&r, 1, 5, false);
    r.how.params.tol = 0.01;
    TK_CHECK(resume(&r) == 5); /* the objective falls by more */
    if (TK_OK(als_best_new(r.comm, r.model, &r.how.params, &best, &err), &err)) {
      r.opts.best = best;
      r.opts.watch = watch;
      make_iterations(&r, 4, 4, false);
      TK_CHECK(resume(&r) == 4); /* the first that is worse than the one before */
    }
    als_best_free(best);
    run_close(&r);
  }
}

/* Take a column of the history away from the checkpoint of iteration 3, and seal it again. */
static void drop_column(const run *r, const char *name) {
  char path[PATH];
  rdd_err err = {0};
  hid_t file = H5Fopen(path_of(r, 3, path), H5F_ACC_RDWR, H5P_DEFAULT);
  TK_CHECK(file >= 0 && H5Ldelete(file, name, H5P_DEFAULT) >= 0);
  TK_CHECK(H5Fclose(file) >= 0);
  TK_OK(job_h5_seal(path, &err), &err);
}

/* One of before lists were watched is as good; one that lacks another column is not whole. */
static void test_older(void) {
  run r;
  job_checkpoints *c = NULL;
  als_iteration history[MAX_ITER];
  rdd_err err = {0};
  int start = -1;
  if (!run_open(&r, "older", USERS, ITEMS, K)) return;
  make_iterations(&r, 3, 3, false);
  drop_column(&r, "/history/ndcg_validation");
  if (TK_OK(job_checkpoints_open(&c, r.comm, &r.opts, &err), &err))
    TK_OK(job_checkpoints_resume(c, r.model, history, &start, &err), &err);
  job_checkpoints_close(c);
  TK_CHECK(start == 3 && model_is_of(&r, 3));
  for (int i = 0; i < 3 && start == 3; i++)
    TK_CHECK(isnan(history[i].ndcg_validation) &&
             history[i].rmse_validation == validation_error(i + 1));
  drop_column(&r, "/history/rmse_validation");
  TK_CHECK(resume(&r) == 0);
  run_close(&r);
}

/* ---- Checkpoints that are not used ---- */

static void test_truncated(void) {
  run r;
  char path[PATH];
  if (!run_open(&r, "truncated", USERS, ITEMS, K)) return;
  for (int part = 0; part < 8; part++) {
    make_iterations(&r, 4, 5, false);
    long size = size_of(&r, 5);
    TK_CHECK(truncate(path_of(&r, 5, path), size * part / 8) == 0);
    TK_CHECK(resume(&r) == 4);
  }
  make_iterations(&r, 5, 7, false);
  TK_CHECK(count_files(&r) == 2 && there(&r, 6) && there(&r, 7));
  TK_CHECK(truncate(path_of(&r, 6, path), 100) == 0 && truncate(path_of(&r, 7, path), 100) == 0);
  TK_CHECK(resume(&r) == 0);
  run_close(&r);
}

/* A bit anywhere: the newest is read as it was, or the one before it is; resume() checks every value. */
static void test_damaged_anywhere(void) {
  enum { PLACES = 400 };
  run r;
  char path[PATH];
  if (!run_open(&r, "damaged", 40, 30, 3)) return;
  make_iterations(&r, 1, 5, false);
  long size = size_of(&r, 5);
  int passed_over = 0;
  path_of(&r, 5, path);
  for (int i = 0; i < PLACES; i++) {
    long at = size * i / PLACES;
    flip_bit(path, at);
    int start = resume(&r);
    if (!TK_CHECK(start == 4 || start == 5)) printf("# byte %ld of %ld: %d\n", at, size, start);
    if (start == 4) passed_over++;
    flip_bit(path, at);
  }
  TK_CHECK(passed_over > PLACES / 20); /* the rest is padding, and text for people */
  TK_CHECK(resume(&r) == 5);
  run_close(&r);
}

static void test_not_finite(void) {
  run r;
  if (!run_open(&r, "nan", USERS, ITEMS, K)) return;
  make_iterations(&r, 1, 1, false);
  job_checkpoints *c = NULL;
  rdd_err err = {0};
  if (TK_OK(job_checkpoints_open(&c, r.comm, &r.opts, &err), &err)) {
    iterate(&r, 2);
    ((float *)rdd_table_data(r.model->side[ALS_ITEMS].factors))[ITEMS * K - 1] = NAN;
    TK_OK(job_checkpoints_save(c, r.model, r.history, 2, false, &err), &err);
  }
  job_checkpoints_close(c);
  TK_CHECK(there(&r, 2) && resume(&r) == 1);
  run_close(&r);
}

/* Another run's are neither used nor removed, however high their iterations are. */
static void test_other_run(void) {
  run r;
  if (!run_open(&r, "other", USERS, ITEMS, K)) return;
  make_iterations(&r, 8, 9, false);
  uint64_t ours = r.opts.mark.run;
  r.opts.mark.run++;
  TK_CHECK(resume(&r) == 0);
  make_iterations(&r, 1, 3, false);
  TK_CHECK(count_files(&r) == 4 && there(&r, 2) && there(&r, 3) && there(&r, 8) && there(&r, 9));
  TK_CHECK(resume(&r) == 3);
  r.opts.mark.run = ours;
  TK_CHECK(resume(&r) == 9);
  run_close(&r);
}

/* A shorter run, or one with a tolerance, may use only what lies on its own way. */
static void test_beyond(void) {
  run r;
  if (!run_open(&r, "beyond", USERS, ITEMS, K)) return;
  make_iterations(&r, 1, 6, false); /* the objective is 1000 / iteration */
  r.how.params.max_iter = 5;
  TK_CHECK(resume(&r) == 5);
  r.how.params.max_iter = 4;
  TK_CHECK(resume(&r) == 0);
  r.how.params.max_iter = MAX_ITER;
  r.how.params.tol = 0.21; /* met by iteration 5 for the first time */
  TK_CHECK(resume(&r) == 5);
  r.how.params.tol = 0.17; /* by 6, the last that was made */
  TK_CHECK(resume(&r) == 6);
  r.how.params.tol = 0.4; /* by 3 */
  TK_CHECK(resume(&r) == 0);
  run_close(&r);
}

static void test_misnamed(void) {
  run r;
  char from[PATH], to[PATH];
  if (!run_open(&r, "misnamed", USERS, ITEMS, K)) return;
  make_iterations(&r, 1, 2, false);
  TK_CHECK(rename(path_of(&r, 2, from), path_of(&r, 12, to)) == 0);
  TK_CHECK(resume(&r) == 1);
  fclose(fopen(path_of(&r, 15, to), "w"));
  snprintf(to, PATH, "%.400s/checkpoint-7.h5.bak", r.dir);
  fclose(fopen(to, "w"));
  TK_CHECK(resume(&r) == 1);
  run_close(&r);
}

/* ---- Writes that fail ---- */

static int in_child(int (*body)(void *arg), void *arg) {
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    alarm(60);
    _exit(body(arg));
  }
  int status = -1;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) return -1;
  return status;
}

/* Iteration 1 is written, 2 meets a full disk, 3 is written again. */
static int meet_full_disk(void *arg) {
  run *r = arg;
  job_checkpoints *c = NULL;
  rdd_err err = {0};
  job_output_handle_signals(); /* ignores SIGXFSZ */
  if (job_checkpoints_open(&c, r->comm, &r->opts, &err)) return 1;
  for (int i = 1; i <= 3; i++) {
    struct rlimit limit = {i == 2 ? 20000 : RLIM_INFINITY, RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
    iterate(r, i);
    if (job_checkpoints_save(c, r->model, r->history, i, false, &err)) return 3;
    if (job_checkpoints_flush(c) != (i == 2 ? 1 : i)) return 4;
    if (count_files(r) != (i == 3 ? 2 : 1)) return 5;
  }
  job_checkpoints_close(c);
  return 0;
}

static void test_full_disk(void) {
  run r;
  if (!run_open(&r, "full", USERS, ITEMS, K)) return;
  TK_CHECK(in_child(meet_full_disk, &r) == 0);
  TK_CHECK(there(&r, 1) && there(&r, 3) && resume(&r) == 3);
  run_close(&r);
}

/* With faults on purpose. */
static void iterate_with(run *r, const char *fault, int last) {
  rdd_err err = {0};
  job_run *job = NULL;
  if (TK_OK(job_run_open(&job, r->comm, "als", NULL, &fault, 1, &err), &err)) {
    r->opts.run = job;
    make_iterations(r, 1, last, false);
    r->opts.run = NULL;
  }
  job_run_close(job, 0, NULL);
}

static void test_cut_write(void) {
  static const char *const fault[] = {"checkpoint,iteration=3:cut=0",
                                      "checkpoint,iteration=3:cut=100",
                                      "checkpoint,iteration=3:cut=9000"};
  run r;
  if (!run_open(&r, "cut", USERS, ITEMS, K)) return;
  for (int i = 0; i < 3; i++) {
    iterate_with(&r, fault[i], 3);
    TK_CHECK(count_files(&r) == 2 && there(&r, 1) && there(&r, 2));
    TK_CHECK(resume(&r) == 2);
  }
  run_close(&r);
}

static void test_corrupt_write(void) {
  run r;
  if (!run_open(&r, "corrupt", USERS, ITEMS, K)) return;
  iterate_with(&r, "checkpoint,iteration=3:corrupt", 3);
  TK_CHECK(count_files(&r) == 2 && there(&r, 2) && there(&r, 3));
  TK_CHECK(resume(&r) == 2);
  run_close(&r);
}

/* A fault in the phase "checkpoint" is the run's, not the writer's. */
static void test_soft_fault(void) {
  static const char *const fault = "gang,phase=checkpoint,iteration=2:error";
  run r;
  rdd_err err = {0};
  job_run *job = NULL;
  job_checkpoints *c = NULL;
  if (!run_open(&r, "soft", USERS, ITEMS, K)) return;
  TK_OK(job_run_open(&job, r.comm, "als", NULL, &fault, 1, &err), &err);
  r.opts.run = job;
  if (TK_OK(job_checkpoints_open(&c, r.comm, &r.opts, &err), &err)) {
    iterate(&r, 1);
    TK_OK(job_checkpoints_save(c, r.model, r.history, 1, false, &err), &err);
    iterate(&r, 2);
    TK_CHECK(job_checkpoints_save(c, r.model, r.history, 2, false, &err) == RDD_EINTERNAL);
  }
  job_checkpoints_close(c);
  job_run_close(job, 0, NULL);
  r.opts.run = NULL;
  TK_CHECK(resume(&r) == 1 && count_files(&r) == 1);
  run_close(&r);
}

/* What a killed writer left goes; what is being written stays. */
static void test_leftovers(void) {
  run r;
  char left[PATH], busy[PATH];
  if (!run_open(&r, "left", USERS, ITEMS, K)) return;
  make_iterations(&r, 1, 1, false);
  snprintf(left, PATH, "%.400s/.checkpoint-2.h5.tmp.99999999", r.dir);
  snprintf(busy, PATH, "%.400s/.checkpoint-3.h5.tmp.99999998", r.dir);
  fclose(fopen(left, "w"));
  int fd = open(busy, O_CREAT | O_WRONLY, 0600);
  TK_CHECK(fd >= 0 && flock(fd, LOCK_EX) == 0);
  TK_CHECK(resume(&r) == 1);
  TK_CHECK(access(left, F_OK) != 0 && access(busy, F_OK) == 0);
  close(fd);
  TK_CHECK(resume(&r) == 1 && count_files(&r) == 1);
  run_close(&r);
}

static void test_bad_folder(void) {
  run r;
  job_checkpoints *c = NULL;
  rdd_err err = {0};
  if (!run_open(&r, "file", USERS, ITEMS, K)) return;
  fclose(fopen(r.dir, "w"));
  TK_CHECK(job_checkpoints_open(&c, r.comm, &r.opts, &err) == RDD_EIO && !c);
  TK_CHECK(strstr(err.message, r.dir) != NULL);
  run_close(&r);
}

/* Each allocation fails in turn: an error or a checkpoint that is passed over, and nothing kept. */
static void test_out_of_memory(void) {
  run r;
  if (!run_open(&r, "memory", USERS, ITEMS, K)) return;
  make_iterations(&r, 1, 2, false);
  int failures = 0, start = 0;
  for (int n = 1; n < 60 && start != 2; n++) {
    job_checkpoints *c = NULL;
    als_iteration history[MAX_ITER];
    rdd_err err = {0};
    start = 0;
    rdd_memory_fail_at(n);
    rdd_status st = job_checkpoints_open(&c, r.comm, &r.opts, &err);
    if (!st) st = job_checkpoints_resume(c, r.model, history, &start, &err);
    rdd_memory_fail_at(0);
    job_checkpoints_close(c);
    TK_CHECK(st == RDD_OK || st == RDD_ENOMEM);
    if (st) failures++;
  }
  TK_CHECK(failures > 3 && start == 2);
  run_close(&r);
}

/* ---- Fingerprints ---- */

static uint64_t mark_of(run *r, als_problem *problem, als_params params, int64_t seed) {
  return job_checkpoint_mark(r->comm, r->model, problem, &params, seed).run;
}

static void test_mark(void) {
  run r;
  if (!run_open(&r, "mark", 4, 3, 2)) return;
  iterate(&r, 1);
  als_entry entry[5] = {{0, 1}, {2, 3}, {1, 2}, {0, 5}, {2, 4}};
  int64_t start[5] = {0, 2, 3, 4, 5};
  als_problem problem = {.ratings = 5};
  problem.side[ALS_USERS] = (als_side){.rows = 4, .start = start, .entry = entry};
  als_params p = {
      .rank = 2, .max_iter = 5, .reg = {0.1, 0.1}, .reg_exponent = 1, .bias_reg = 5, .tol = 0.1};
  uint64_t mark = mark_of(&r, &problem, p, 1);

  als_params q = p;
  q.max_iter = 50;
  q.tol = 0;
  q.bias_reg = 6; /* not used without biases */
  TK_CHECK(mark_of(&r, &problem, q, 1) == mark);
  TK_CHECK(mark_of(&r, &problem, p, 2) != mark);
  q = p;
  q.reg[1] = 0.2;
  TK_CHECK(mark_of(&r, &problem, q, 1) != mark);
  q = p;
  q.balance = true;
  TK_CHECK(mark_of(&r, &problem, q, 1) != mark);
  q = p;
  q.bias = true;
  uint64_t biased = mark_of(&r, &problem, q, 1);
  q.bias_reg = 6;
  TK_CHECK(biased != mark && mark_of(&r, &problem, q, 1) != biased);
  entry[3].value = 4.5f;
  TK_CHECK(mark_of(&r, &problem, p, 1) != mark);
  entry[3].value = 5;
  iterate(&r, 2); /* other factors to start from */
  TK_CHECK(mark_of(&r, &problem, p, 1) != mark);
  iterate(&r, 1);
  TK_CHECK(mark_of(&r, &problem, p, 1) == mark);
  q = p; /* an iterative solver begins with the items' factors, too */
  q.solver = ALS_CG;
  q.cg_steps = 3;
  uint64_t iterative = mark_of(&r, &problem, q, 1);
  TK_CHECK(iterative != mark);
  q.final_exact = true; /* it comes after all checkpoints */
  TK_CHECK(mark_of(&r, &problem, q, 1) == iterative);
  float *item = rdd_table_data(r.model->side[ALS_ITEMS].factors);
  item[1] += 1;
  TK_CHECK(mark_of(&r, &problem, p, 1) == mark && mark_of(&r, &problem, q, 1) != iterative);
  q.cg_steps = 4;
  item[1] -= 1;
  iterate(&r, 1);
  TK_CHECK(mark_of(&r, &problem, q, 1) != iterative);
  problem.validation = &problem.side[ALS_USERS];
  problem.watch = ALS_RMSE;
  uint64_t watched = mark_of(&r, &problem, p, 1);
  problem.watch = ALS_NDCG;
  TK_CHECK(watched != mark && mark_of(&r, &problem, p, 1) != watched);
  problem.validation = NULL;
  problem.watch = ALS_OBJECTIVE;
  problem.test = &problem.side[ALS_USERS];
  job_mark both = job_checkpoint_mark(r.comm, r.model, &problem, &p, 1);
  TK_CHECK(both.run == mark && both.test != 0);
  run_close(&r);
}

static const tk_case cases[] = {
    {"a checkpoint comes back in every bit", test_round_trip},
    {"two generations are kept", test_two_generations},
    {"written when due, or when told to", test_interval},
    {"a checkpoint is a model", test_as_model},
    {"the tables change while it is written", test_tables_change_meanwhile},
    {"removing takes this run's checkpoints only", test_remove},
    {"the best iteration and fitted biases come back", test_best},
    {"validation decides what is beyond the end", test_beyond_validation},
    {"one of an older version is as good", test_older},
    {"a truncated one falls back to the one before", test_truncated},
    {"a damaged one, wherever, falls back to the one before", test_damaged_anywhere},
    {"one with a NaN falls back to the one before", test_not_finite},
    {"another run's is neither used nor removed", test_other_run},
    {"one beyond this run's end is not used", test_beyond},
    {"one under another's name is not used", test_misnamed},
    {"a full disk ends nothing", test_full_disk},
    {"a writer that dies leaves nothing", test_cut_write},
    {"a fault on purpose damages the file", test_corrupt_write},
    {"a fault on purpose fails the phase", test_soft_fault},
    {"leftovers of killed writers go", test_leftovers},
    {"a folder that is none", test_bad_folder},
    {"out of memory", test_out_of_memory},
    {"what decides a fingerprint", test_mark},
};

int main(void) {
  return tk_main("checkpoint", cases, sizeof cases / sizeof cases[0]);
}
