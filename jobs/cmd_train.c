/* als train: ratings in, a model out. Independent tasks parse; then the gang takes over.
 *
 *   reading     tasks         a crash loses one partition, which is parsed again
 *   hand-off    gang          \
 *   iteration   gang           | a crash loses the gang, which begins again at "hand-off": from blocks
 *   checkpoint  rank 0         | on disk if there are any, and from the newest checkpoint
 *   writing     rank 0        /
 */
#include "jobs/block_store.h"
#include "jobs/input.h"
#include "jobs/job.h"
#include "jobs/memory_use.h"
#include "jobs/output.h"
#include "jobs/save.h"
#include "jobs/settings.h"
#include "jobs/train_impl.h"
#include "jobs/ui.h"
#include "mpi_bridge/gang.h"
#include "rdd/clock.h"
#include "rdd/memory.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const job_option options[] = {
    {"output", 'o', JOB_STRING, "FILE", NULL, 0, 0, true, "where the model goes; .h5"},
    JOB_PARAM_OPTIONS,
    JOB_START_OPTIONS,
    {"init-model", 0, JOB_STRING, "FILE", NULL, 0, 0, false,
     "start from this model's factors, matched by id"},
    {"test", 0, JOB_STRING, "FILE", NULL, 0, 0, false, "ratings to evaluate after each iteration"},
    {"validation", 0, JOB_STRING, "FILE", NULL, 0, 0, false,
     "keep the iteration that is best over these; --tol looks at them"},
    {"validation-metric", 0, JOB_CHOICE, "rmse|ndcg", NULL, 0, 0, false,
     "the RMSE, or NDCG@10 of lists; default: ndcg for implicit ratings"},
    JOB_EXCHANGE_OPTIONS,
    JOB_INPUT_OPTIONS,
    {"checkpoint-dir", 0, JOB_STRING, "DIR", NULL, 0, 0, false,
     "checkpoints are kept here; default: in the work directory, if any"},
    {"checkpoint-interval", 0, JOB_INT, "N", "10", -1, 1e6, false,
     "iterations from one checkpoint to the next; -1: none"},
    {"persist", 0, JOB_CHOICE, "none|disk", NULL, 0, 0, false,
     "keep parsed ratings for a rerun; default: disk in a work directory"},
    {"max-attempts", 0, JOB_INT, "N", "4", 1, 1000, false,
     "tries of the gang after failures that kill no process"},
    {"task-time-limit", 0, JOB_REAL, "S", "0", 0, 1e9, false,
     "seconds until a reading task counts as crashed; 0: no limit"},
    {"speculation", 0, JOB_FLAG, NULL, NULL, 0, 0, false,
     "run a second copy of reading tasks that are much slower than the others"},
    {"plan", 0, JOB_FLAG, NULL, NULL, 0, 0, false,
     "say what this run would take, memory and seconds, and fit nothing"},
    {0},
};

/* All ranks have come so far. A fault on purpose may strike here. Collective. */
static rdd_status enter_phase(training *t, rdd_comm *comm, train_phase phase, int iteration,
                              rdd_err *err) {
  static const char *const name[TRAIN_PHASES] = {
      [TRAIN_READING] = "reading", [TRAIN_HAND_OFF] = "hand-off", [TRAIN_WRITING] = "writing"};
  t->began[phase] = rdd_seconds();
  return rdd_agree(comm, job_run_phase(t->j->run, name[phase], iteration, err), err);
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
  st = job_start_draw(&t->start, comm, t->model, err);
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

/* A part of the ratings that is not trained on, by user. Collective. */
static rdd_status build_part(training *t, rdd_comm *comm, rdd_parts *const *parts, int part,
                             als_side *out, rdd_err *err) {
  const als_model *m = t->model;
  const als_ids *const ids[2] = {m->side[ALS_USERS].ids, m->side[ALS_ITEMS].ids};
  if (!t->input[part]) return RDD_OK;
  rdd_status st = als_side_build(comm, parts[t->place[part]], ALS_USERS, ids,
                                 &t->problem.side[ALS_USERS].blocks, m->k, 0, out, &t->cold[part],
                                 err);
  if (!st && t->cold[part])
    job_warn("%s %s ratings have a user or item that the training part lacks; left out",
             job_count_text(t->cold[part]), part == TRAIN_TEST ? "test" : "validation");
  return st;
}

/* The ratings as both sides see them, and the other parts by user. */
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
  job_say("%s ratings, %s users, %s items on %d rank%s x %d thread%s; read and handed over in %s",
          job_count_text(t->problem.ratings), job_count_text(ids[ALS_USERS]->n),
          job_count_text(ids[ALS_ITEMS]->n), comm->size, comm->size == 1 ? "" : "s", t->j->threads,
          t->j->threads == 1 ? "" : "s", job_seconds_text(rdd_seconds() - t->started));
  st = build_part(t, comm, parts, TRAIN_TEST, &t->test, err);
  if (!st) st = build_part(t, comm, parts, TRAIN_VALIDATION, &t->validation, err);
  if (st) return st;
  if (t->input[TRAIN_TEST]) t->problem.test = &t->test;
  if (!t->input[TRAIN_VALIDATION]) return RDD_OK;
  t->problem.validation = &t->validation;
  t->problem.watch = t->watch;
  return als_best_new(comm, m, &t->params, &t->problem.best, err);
}

/* ---- Checkpoints ---- */

/* Does anybody want this run to stop? Collective. */
static bool stop_asked(const training *t, rdd_comm *comm) {
  int64_t asked = job_run_stop_asked(t->j->run);
  rdd_allreduce(comm, &asked, 1, RDD_MAX);
  return asked != 0;
}

/* Leave at the end of an iteration. Collective. */
static rdd_status stopped(training *t, int done, rdd_err *err) {
  int newest = t->checkpoints ? job_checkpoints_flush(t->checkpoints) : 0;
  if (newest == done)
    return rdd_set(err, RDD_ESTOPPED,
                   "stopped at iteration %d of %d; run the same command again to go on", done,
                   t->params.max_iter);
  return rdd_set(err, RDD_ESTOPPED,
                 "stopped at iteration %d of %d, without a checkpoint of it; run the same command "
                 "again to go on from iteration %d",
                 done, t->params.max_iter, newest);
}

static rdd_status before_half_step(void *arg, int iteration, int side, rdd_err *err) {
  const training *t = arg;
  if (iteration == t->resumed + 1 && side == ALS_ITEMS) job_train_show_exchange(t);
  return job_run_half_step(t->j->run, iteration, side, err);
}

static rdd_status after_iteration(void *arg, rdd_comm *comm, const als_model *model,
                                  const als_iteration *history, int done, bool *stop_out,
                                  rdd_err *err) {
  training *t = arg;
  const als_iteration *now = &history[done - 1];
  (void)stop_out; /* a run that is stopped has no model yet */
  job_train_show(t, now);
  job_run_log_iteration(t->j->run, now);
  job_run_log_spent(t->j->run, now);
  if (!t->checkpoints || now->exact) return RDD_OK; /* the next that happens is the model */
  bool stop = done < t->params.max_iter && stop_asked(t, comm);
  rdd_status st = job_checkpoints_save(t->checkpoints, model, history, done, stop, err);
  return st || !stop ? st : stopped(t, done, err);
}

/* What the files say of this run, but for its end. */
static void describe_run(training *t, const rdd_comm *comm) {
  t->how = (job_provenance){
      .params = t->params,
      .start = t->start,
      .ratings = t->problem.ratings,
      .ranks = comm->size,
      .inputs = t->inputs,
      .command_line = t->j->command_line,
      .settings = t->settings,
  };
}

/* Open the checkpoints, and begin where the newest of this run was made. */
static rdd_status resume(training *t, rdd_comm *comm, rdd_err *err) {
  t->resumed = 0;
  if (!t->checkpoint_dir[0]) return RDD_OK;
  job_checkpoint_opts opts = {
      .dir = t->checkpoint_dir,
      .interval = t->checkpoint_interval,
      .mark = job_checkpoint_mark(comm, t->model, &t->problem, &t->params, t->start.seed),
      .watch = t->problem.watch,
      .best = t->problem.best,
      .how = &t->how,
      .run = t->j->run,
  };
  rdd_status st = job_checkpoints_open(&t->checkpoints, comm, &opts, err);
  if (!st) st = job_checkpoints_resume(t->checkpoints, t->model, t->history, &t->resumed, err);
  if (st || !t->resumed) return st;
  job_say("resumed from %s/checkpoint-%d.h5, iteration %d of %d", t->checkpoint_dir, t->resumed,
          t->resumed, t->params.max_iter);
  job_run_log(t->j->run, "\"event\": \"resumed\", \"iteration\": %d", t->resumed);
  return RDD_OK;
}

/* ---- The gang ---- */

static rdd_status write_model(training *t, rdd_comm *comm, rdd_err *err) {
  job_run *run = t->j->run;
  rdd_status st = enter_phase(t, comm, TRAIN_WRITING, t->iterations, err);
  if (st) return st;
  int64_t cut = comm->rank == 0 ? job_fault_cut(run, "model", 0) : -1;
  if (cut >= 0) job_output_die_past(cut);
  t->how.iterations = t->iterations;
  t->how.best = job_train_best(t);
  t->how.history = t->history;
  t->how.seconds = rdd_seconds() - t->started;
  st = job_model_write(comm, t->path, t->model, &t->how, t->digest, err);
  if (!st && comm->rank == 0 && job_fault_corrupt(run, "model", 0)) job_output_damage(t->path, -1);
  return st;
}

/* Every rank's memory, before the model is written: after that all that is left is to tell. Collective. */
static void gather_memory(training *t, rdd_comm *comm) {
  job_memory_use now = job_memory_now();
  job_run_log_memory(t->j->run, "training", t->partition_bytes, &now);
  const int64_t own[TRAIN_MEMORIES] = {t->partition_bytes, t->handed.peak, now.peak};
  rdd_allgather(comm, own, sizeof own, t->memory);
}

/* Rows over all ranks: counters do not know of those that came from blocks. Collective. */
static int64_t count_rows(rdd_comm *comm, const rdd_parts *parts) {
  int64_t rows = 0;
  for (int64_t i = 0; i < parts->n; i++) rows += parts->part[i].rows;
  rdd_allreduce(comm, &rows, 1, RDD_SUM);
  return rows;
}

static rdd_status check_records(training *t, rdd_comm *comm, rdd_parts *const *parts,
                                rdd_err *err) {
  for (int i = 0; i < TRAIN_PARTS; i++) {
    if (!t->input[i]) continue;
    rdd_counters *counters = &t->counters[t->place[i]];
    counters->value[JOB_COUNT_ROWS] = count_rows(comm, parts[t->place[i]]);
    rdd_status st = job_input_check(t->input[i], counters, err);
    if (st) return st;
    int64_t bad = counters->value[JOB_COUNT_BAD];
    if (bad)
      job_warn("skipped %s malformed records; the first: %s", job_count_text(bad), counters->note);
  }
  return RDD_OK;
}

/* Ratings to factors. */
static rdd_status fit(training *t, rdd_comm *comm, rdd_err *err) {
  const als_hooks hooks = {before_half_step, after_iteration, t};
  rdd_status st = RDD_OK;
  t->history = rdd_calloc((size_t)t->params.max_iter + 1, sizeof *t->history); /* one exact */
  t->memory = rdd_calloc((size_t)comm->size, TRAIN_MEMORIES * sizeof *t->memory);
  if (!t->history || !t->memory) st = rdd_set(err, RDD_ENOMEM, "out of memory for the history");
  if (!st) st = job_train_exchange_new(t, comm, err);
  st = rdd_agree(comm, st, err);
  if (!st) st = resume(t, comm, err);
  if (!st && t->checkpoints && t->resumed < t->params.max_iter && stop_asked(t, comm))
    st = stopped(t, t->resumed, err);
  if (!st)
    st = als_fit(comm, &t->problem, &t->params, t->model, t->resumed, &hooks, t->history,
                 &t->iterations, err);
  return st;
}

static void weigh_partitions(training *t, rdd_parts *const *parts) {
  t->partition_bytes = 0;
  for (int i = 0; i < TRAIN_PARTS; i++) {
    const rdd_parts *own = t->input[i] ? parts[t->place[i]] : NULL;
    for (int64_t p = 0; own && p < own->n; p++) t->partition_bytes += (int64_t)own->part[p].size;
  }
}

/* One try of the gang. Every rank runs this, and all leave it together; what it made is gone then, so
 * that another try finds a clean place. The model's final name is taken as the last act but one: all
 * that comes after it is removing what is not needed any more. */
static rdd_status train(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  training *t = arg;
  rdd_comm *comm = gang_comm(g);
  rdd_status st = RDD_OK;
  if (gang_attempt(g) == 1) st = check_records(t, comm, parts, err);
  if (!st) st = enter_phase(t, comm, TRAIN_HAND_OFF, 0, err);
  weigh_partitions(t, parts);
  if (!st) st = start_model(t, comm, parts[0], err);
  if (!st) st = build_problem(t, comm, parts, err);
  if (st) goto done;
  t->handed = job_memory_now();
  t->began[TRAIN_ITERATIONS] = rdd_seconds();
  job_run_log_memory(t->j->run, "hand-off", t->partition_bytes, &t->handed);
  describe_run(t, comm);
  st = fit(t, comm, err);
  if (!st) gather_memory(t, comm);
  if (!st) job_train_gather_exchange(t, comm);
  if (!st) st = write_model(t, comm, err);
  if (!st) st = job_train_report(t, comm, err);
  if (!st && t->checkpoints && !t->keep_checkpoints) job_checkpoints_remove(t->checkpoints);
done:
  job_checkpoints_close(t->checkpoints);
  t->checkpoints = NULL;
  rdd_free(t->history);
  t->history = NULL;
  job_train_exchange_free(t);
  rdd_free(t->memory);
  t->memory = NULL;
  for (int side = 0; side < 2; side++) als_side_reset(&t->problem.side[side]);
  als_side_reset(&t->test);
  als_side_reset(&t->validation);
  als_best_free(t->problem.best);
  t->problem = (als_problem){0};
  als_model_free(t->model);
  t->model = NULL;
  return st;
}

/* ---- The command ---- */

static void tell_rerun(void *arg, int attempt, const rdd_err *why) {
  const training *t = arg;
  job_warn("%s; all ranks begin again, attempt %d of %d", why->message, attempt, t->max_attempts);
  job_run_log_rerun(t->j->run, attempt, why);
}

/* Where the checkpoints go, if there are to be any. Not collective. */
static rdd_status plan_checkpoints(training *t, const job_args *args, rdd_err *err) {
  const char *dir = job_string(args, "checkpoint-dir"), *work = job_run_dir(t->j->run);
  t->checkpoint_interval = job_int(args, "checkpoint-interval");
  t->keep_checkpoints = dir != NULL;
  if (t->checkpoint_interval == 0)
    return rdd_set(err, RDD_EUSAGE,
                   "--checkpoint-interval is 0; it has to be 1 or more, or -1 for no checkpoints");
  if (t->checkpoint_interval < 0 || (!dir && !work)) return RDD_OK;
  int n = dir ? snprintf(t->checkpoint_dir, PATH_MAX, "%s", dir)
              : snprintf(t->checkpoint_dir, PATH_MAX, "%s/checkpoint", work);
  if (n >= PATH_MAX || n == 0)
    return rdd_set(err, RDD_EUSAGE, "the name of the folder for checkpoints is empty or too long");
  return RDD_OK;
}

/* The store of parsed partitions; NULL where none is wanted. Not collective. */
static rdd_status open_store(const training *t, const job_args *args, rdd_store **out,
                             rdd_err *err) {
  const char *level = job_string(args, "persist"), *work = job_run_dir(t->j->run);
  char dir[PATH_MAX];
  if (!level) level = work ? "disk" : "none";
  if (strcmp(level, "none") == 0) return RDD_OK;
  if (!work) return rdd_set(err, RDD_EUSAGE, "--persist disk needs a place: give --work-dir too");
  if (snprintf(dir, sizeof dir, "%s/blocks", work) >= PATH_MAX)
    return rdd_set(err, RDD_EUSAGE, "the name of the work directory is too long");
  return job_block_store_open(out, dir, t->j->comm->rank == 0, t->j->run, err);
}

/* Ratings, and perhaps the other parts, as RDDs. Collective. */
static rdd_status open_inputs(const training *t, const job_args *args,
                              job_input *input[TRAIN_PARTS], rdd_err *err) {
  static const char *const option[TRAIN_PARTS] = {NULL, "test", "validation"};
  job *j = t->j;
  job_input_opts in = job_input_options(j, args, false);
  rdd_status st = job_input_open(j->comm, job_positional(args), job_positionals(args), &in,
                                 &input[0], err);
  if (st) return st;
  const rdd_schema *schema = rdd_schema_of(job_input_rdd(input[0]));
  const rdd_type types[2] = {schema->field[0].type, schema->field[1].type};
  in.id_types = types;
  for (int i = 1; i < TRAIN_PARTS && !st; i++) {
    const char *path = job_string(args, option[i]);
    if (path) st = job_input_open(j->comm, (char *const *)&path, 1, &in, &input[i], err);
  }
  return st;
}

/* Read with tasks, then let the gang work. Collective. */
static rdd_status read_and_train(training *t, const job_args *args,
                                 job_input *const input[TRAIN_PARTS], rdd_err *err) {
  static const char *const what[TRAIN_PARTS] = {"reading", "reading test part",
                                                "reading validation part"};
  job *j = t->j;
  rdd *rdds[TRAIN_PARTS];
  rdd_run_opts opts[TRAIN_PARTS];
  int n = 0;
  for (int i = 0; i < TRAIN_PARTS; i++) {
    t->input[i] = input[i];
    if (!input[i]) continue;
    t->place[i] = n;
    rdds[n] = job_input_rdd(input[i]);
    opts[n] = job_run_opts(j, what[i]);
    opts[n].time_limit = job_real(args, "task-time-limit");
    opts[n].speculation = job_flag(args, "speculation");
    n++;
  }
  const gang_opts gang_options = {.max_attempts = t->max_attempts, .rerun = tell_rerun, .arg = t};
  rdd_status st = enter_phase(t, j->comm, TRAIN_READING, 0, err);
  if (st) return st;
  job_run_allow_stop(j->run, t->checkpoint_dir[0]);
  st = gang_run(j->comm, rdds, n, opts, t->counters, &gang_options, train, t, err);
  job_run_allow_stop(j->run, false);
  return st;
}

/* What is watched over the validation part, if there is one. Not collective. */
static rdd_status read_watch(training *t, const job_args *args, rdd_err *err) {
  bool implicit = t->params.loss.mode != ALS_EXPLICIT;
  const char *metric = job_string(args, "validation-metric");
  if (!job_given(args, "validation")) {
    if (metric) job_warn("--validation-metric has no effect without --validation");
    return RDD_OK;
  }
  t->watch = (metric ? !strcmp(metric, "ndcg") : implicit) ? ALS_NDCG : ALS_RMSE;
  if (implicit && t->watch == ALS_RMSE)
    return rdd_set(err, RDD_EUSAGE,
                   "--validation-metric rmse says nothing about implicit ratings, whose "
                   "predictions are no ratings; leave it, and NDCG@10 is watched");
  return RDD_OK;
}

/* What the command line says of the fit, and what it says to no end. Not collective. */
static rdd_status read_params(training *t, const job_args *args, rdd_err *err) {
  rdd_status st = job_params_read(args, &t->params, err);
  if (st) return st;
  bool implicit = t->params.loss.mode != ALS_EXPLICIT;
  job_exchange_read(args, &t->params);
  t->start = job_start_read(args);
  st = read_watch(t, args, err);
  if (st) return st;
  if (t->start.spark && t->init_path)
    return rdd_set(err, RDD_EUSAGE, "--init %s and --init-model are two ways to begin; give one",
                   job_string(args, "init"));
  const job_idle idle = job_params_idle(args);
  job_idle_warn(&idle);
  if (implicit && job_given(args, "test"))
    job_warn("--test tells the RMSE, which says little about implicit ratings");
  return RDD_OK;
}

/* What repeats this run, in memory of its own (free() it); NULL where settings cannot say it. */
static char *settings_of(const job_args *args) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  if (!out) return NULL;
  bool good = job_settings_put_inputs(out, args) && job_settings_put(out, options, args);
  good = fclose(out) == 0 && good;
  if (good) return text;
  free(text);
  return NULL;
}

/* What somebody hears who interrupts this run: how it goes on. */
static void prepare_farewell(const training *t) {
  char text[PATH_MAX + 200];
  if (t->j->comm->rank != 0) return;
  if (t->checkpoint_dir[0])
    snprintf(text, sizeof text, "the same command goes on from the newest checkpoint in %s",
             t->checkpoint_dir);
  else
    snprintf(text, sizeof text,
             "no model was written, and the same command begins anew; with --checkpoint-dir DIR it "
             "would go on");
  job_output_farewell(text);
}

static rdd_status run(job *j, const job_args *args, rdd_err *err) {
  training t = {
      .j = j,
      .path = job_string(args, "output"),
      .init_path = job_string(args, "init-model"),
      .started = rdd_seconds(),
      .max_attempts = (int)job_int(args, "max-attempts"),
  };
  job_input *input[TRAIN_PARTS] = {NULL};
  rdd_store *store = NULL;
  char *inputs = job_positionals_joined(args), *settings = settings_of(args);
  t.inputs = inputs ? inputs : "";
  t.settings = settings;
  rdd_status st = read_params(&t, args, err);
  if (!st) st = plan_checkpoints(&t, args, err);
  if (!st && j->comm->rank == 0) st = job_output_check(t.path, ".h5|.hdf5", err);
  st = rdd_agree(j->comm, st, err);
  if (!st && job_flag(args, "plan")) {
    st = job_plan_train(j, args, t.checkpoint_dir[0] != '\0', err);
    goto done;
  }
  if (!st) prepare_farewell(&t);
  if (!st) st = open_store(&t, args, &store, err);
  st = rdd_agree(j->comm, st, err);
  if (!st) st = open_inputs(&t, args, input, err);
  if (st) goto done;
  job_say("%s", job_input_describe(input[0]));
  for (int i = 0; i < TRAIN_PARTS && store && !st; i++)
    if (input[i]) st = job_input_persist(input[i], store, err);
  st = rdd_agree(j->comm, st, err);
  if (!st) st = read_and_train(&t, args, input, err);
  if (!st && store && j->comm->rank == 0) job_block_store_remove(store);
done:
  for (int i = 0; i < TRAIN_PARTS; i++) job_input_close(input[i]);
  job_block_store_close(store);
  rdd_free(inputs);
  free(settings);
  return st;
}

const job_command job_train = {
    .name = "train",
    .summary = "fit a model to ratings",
    .usage = "RATINGS... -o model.h5 [OPTION]...",
    .example = "mpirun -n 2 als train ratings.h5 -o model.h5 --rank 64 --bias --test test.h5",
    .options = options,
    .daily = " output rank max-iter reg-param bias implicit-prefs seed test validation plan "
             "config ",
    .positional_min = 1,
    .positional_max = -1,
    .run = run,
    .fits = true,
};
