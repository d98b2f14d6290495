/* Checkpoints. See checkpoint.h and docs/formats.md.
 *
 *   rank 0    iteration 5 | copy | fork | iteration 6 ............ | reap | copy | fork | ...
 *   its child                      write, sync, rename, _exit
 *
 * The factor tables are shared memory, which a fork does not snapshot, so rank 0 copies them first while
 * the others wait; that is all that an iteration pays for. The copy is shared memory too, for a fork
 * copies the page tables of private memory but not of shared. The child opens its own file and touches
 * no handle of HDF5 that the rank has open. */
#include "jobs/checkpoint.h"

#include "jobs/h5.h"
#include "jobs/output.h"
#include "jobs/ui.h"
#include "rdd/clock.h"
#include "rdd/hash.h"
#include "rdd/memory.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
  GENERATIONS = 2,
  CANDIDATES = 64, /* files of a directory that are looked at; the highest iterations */
  CHECKPOINT_FORMAT =
      2, /* part of the fingerprint: raise it when the same factors mean another thing */
};

/* Iterations, ascending. */
typedef struct list {
  int n;
  int at[CANDIDATES];
} list;

/* What the writer leaves behind; one that dies leaves finished == 0. */
typedef struct report {
  int finished;
  rdd_status status;
  rdd_err err;
  double seconds;
} report;

struct job_checkpoints {
  rdd_comm *comm;
  job_checkpoint_opts opts;
  char dir[PATH_MAX];

  /* rank 0 */
  list whole;     /* this run's, as far as is known: at most GENERATIONS after a write */
  list damaged;   /* found by resume; they go when there is a better one */
  pid_t writer;   /* 0: nobody is writing */
  int writing;    /* the iteration under way */
  report *shared; /* with the writer: the report, then the snapshot of both sides */
  size_t shared_bytes;
};

/* ---- Fingerprints ---- */

static uint64_t mix_real(uint64_t hash, double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return rdd_mix64_2(hash, bits);
}

/* Hash of the n rows of a table, each rank's share of them.               Not collective. */
static uint64_t hash_rows(const rdd_comm *comm, const rdd_table *table, int64_t n) {
  if (!table || n == 0) return 0;
  uint64_t sum = 0; /* so in any order, by any number of ranks */
  size_t row = rdd_table_size(table) / (size_t)n;
  const char *bytes = rdd_table_data(table);
  for (int64_t i = n * comm->rank / comm->size; i < n * (comm->rank + 1) / comm->size; i++)
    sum += rdd_mix64_2((uint64_t)i, rdd_hash_bytes(bytes + (size_t)i * row, row));
  return sum;
}

/* What the run begins with: the seed, or a start model, comes down to the users' factors and the biases; where
 * `both` sides are read before they are written, to the items' factors too.  Collective. */
static uint64_t hash_start(rdd_comm *comm, const als_model *model, bool both) {
  const als_factors *users = &model->side[ALS_USERS], *items = &model->side[ALS_ITEMS];
  const rdd_table *read = both ? items->factors : NULL;
  int64_t part[4] = {(int64_t)hash_rows(comm, users->factors, users->ids->n),
                     (int64_t)hash_rows(comm, users->bias, users->ids->n),
                     (int64_t)hash_rows(comm, items->bias, items->ids->n),
                     (int64_t)hash_rows(comm, read, items->ids->n)};
  rdd_allreduce(comm, part, 4, RDD_SUM);
  uint64_t hash = (uint64_t)part[0];
  for (int i = 1; i < 4; i++) hash = rdd_mix64_2(hash, (uint64_t)part[i]);
  return hash;
}

job_mark job_checkpoint_mark(rdd_comm *comm, const als_model *model, const als_problem *problem,
                             const als_params *params, int64_t seed) {
  uint64_t hash = rdd_mix64_2(CHECKPOINT_FORMAT, JOB_FORMAT_VERSION);
  hash = rdd_mix64_2(hash, als_fingerprint(comm, model, &problem->side[ALS_USERS]));
  bool both = params->solver != ALS_CHOLESKY || params->nonnegative || params->balance;
  hash = rdd_mix64_2(hash, hash_start(comm, model, both));
  hash = rdd_mix64_2(hash, (uint64_t)seed);
  hash = rdd_mix64_2(hash, (uint64_t)params->rank);
  hash = rdd_mix64_2(hash, (uint64_t)params->loss.mode);
  if (params->loss.mode == ALS_IMPLICIT) hash = mix_real(hash, params->loss.alpha);
  if (params->loss.mode == ALS_IALS) hash = mix_real(hash, params->loss.unobserved);
  for (int side = 0; side < 2; side++) hash = mix_real(hash, params->reg[side]);
  hash = mix_real(hash, params->reg_exponent);
  hash = mix_real(hash, params->min_ridge);
  hash = rdd_mix64_2(hash, (uint64_t)params->solver);
  hash = rdd_mix64_2(hash, (uint64_t)params->precision);
  if (params->solver == ALS_CG) hash = rdd_mix64_2(hash, (uint64_t)params->cg_steps);
  if (params->solver == ALS_SUBSPACE) hash = rdd_mix64_2(hash, (uint64_t)params->block);
  hash = rdd_mix64_2(hash, params->nonnegative);
  hash = rdd_mix64_2(hash, params->bias + 2 * params->update_bias);
  if (params->bias) hash = mix_real(hash, params->bias_reg);
  hash = rdd_mix64_2(hash, params->balance);
  if (params->wire) hash = rdd_mix64_2(hash, (uint64_t)params->wire);
  if (problem->validation)
    hash = rdd_mix64_2(hash, als_fingerprint(comm, model, problem->validation));
  if (problem->watch == ALS_NDCG) hash = rdd_mix64_2(hash, ALS_WATCHED_CUTOFF);
  job_mark mark = {.run = hash};
  if (problem->test) mark.test = als_fingerprint(comm, model, problem->test) | 1; /* never 0 */
  return mark;
}

/* ---- Lists of iterations ---- */

static void list_add(list *l, int iteration) {
  int i = 0;
  while (i < l->n && l->at[i] < iteration) i++;
  if (i < l->n && l->at[i] == iteration) return;
  if (l->n == CANDIDATES) { /* the lowest one goes */
    if (i == 0) return;
    memmove(&l->at[0], &l->at[1], (size_t)(i - 1) * sizeof l->at[0]);
    l->at[i - 1] = iteration;
    return;
  }
  memmove(&l->at[i + 1], &l->at[i], (size_t)(l->n - i) * sizeof l->at[0]);
  l->at[i] = iteration;
  l->n++;
}

static bool list_has(const list *l, int iteration) {
  for (int i = 0; i < l->n; i++)
    if (l->at[i] == iteration) return true;
  return false;
}

/* ---- The directory ---- */

static const char *path_of(const job_checkpoints *c, int iteration, char path[PATH_MAX]) {
  snprintf(path, PATH_MAX, "%.*s/checkpoint-%d.h5", PATH_MAX - 40, c->dir, iteration);
  return path;
}

static void remove_file(const job_checkpoints *c, int iteration) {
  char path[PATH_MAX];
  unlink(path_of(c, iteration, path));
}

/* What is there. */
static void find_files(const job_checkpoints *c, list *found) {
  DIR *dir = opendir(c->dir);
  if (!dir) return;
  for (struct dirent *entry; (entry = readdir(dir));) {
    int iteration, end = 0;
    if (sscanf(entry->d_name, "checkpoint-%9d.h5%n", &iteration, &end) == 1 && end > 0 &&
        !entry->d_name[end] && iteration > 0)
      list_add(found, iteration);
  }
  closedir(dir);
}

rdd_status job_checkpoints_open(job_checkpoints **out, rdd_comm *comm,
                                const job_checkpoint_opts *opts, rdd_err *err) {
  rdd_status st = RDD_OK;
  job_checkpoints *c = rdd_calloc(1, sizeof *c);
  if (!c) st = rdd_set(err, RDD_ENOMEM, "out of memory for checkpoints");
  if (c) {
    c->comm = comm;
    c->opts = *opts;
    snprintf(c->dir, sizeof c->dir, "%s", opts->dir);
  }
  if (!st && comm->rank == 0) st = job_make_folder(opts->dir, err);
  if (!st && comm->rank == 0) job_output_sweep(opts->dir, "checkpoint-");
  st = rdd_agree(comm, st, err);
  if (st) {
    rdd_free(c);
    return st;
  }
  *out = c;
  return RDD_OK;
}

/* ---- Resuming ---- */

/* Would this run have ended before a checkpoint? Then it is not on its way. */
static bool is_beyond(const job_checkpoints *c, const als_iteration *history, int iteration) {
  const als_params *p = &c->opts.how->params;
  if (iteration > p->max_iter) return true;
  for (int made = 2; made < iteration; made++)
    if (als_converged(p, c->opts.watch, history, made)) return true;
  return false;
}

/* Try one checkpoint.                                                           Collective.
 *   why_out  [out] why it is passed over, in words for a warning; "" where it was used */
static rdd_status try_checkpoint(job_checkpoints *c, const char *path, int iteration,
                                 als_model *model, als_iteration *history, char why[80],
                                 rdd_err *err) {
  job_saved *saved = NULL;
  snprintf(why, 80, "damaged");
  rdd_status st = job_saved_open(&saved, c->comm, path, err);
  if (st) return st;
  if (job_saved_mark(saved).run != c->opts.mark.run) {
    snprintf(why, 80, "it is of other ratings or parameters");
    goto done;
  }
  if (job_saved_iteration(saved) != iteration) {
    st = rdd_set(err, RDD_EDATA, "%s: is of iteration %d", path, job_saved_iteration(saved));
    goto done;
  }
  if (iteration > c->opts.how->params.max_iter) {
    snprintf(why, 80, "it is of a longer run than --max-iter %d", c->opts.how->params.max_iter);
    goto done;
  }
  st = job_saved_history(saved, history, err);
  if (st) goto done;
  if (is_beyond(c, history, iteration)) {
    snprintf(why, 80, "it is beyond where this run's --tol would have stopped");
    goto done;
  }
  st = job_saved_load(saved, c->opts.how->params.update_bias, model, c->opts.best, err);
  if (st) goto done;
  why[0] = '\0';
  if (job_saved_mark(saved).test != c->opts.mark.test)
    for (int i = 0; i < iteration; i++) history[i].rmse_test = NAN;
done:
  job_saved_close(saved);
  return st;
}

/* Tell why one is passed over. */
static void pass_over(const job_checkpoints *c, const char *path, int iteration, const char *why) {
  job_warn("checkpoint %s is passed over: %s", path, why);
  job_run_log(c->opts.run, "\"event\": \"checkpoint-passed-over\", \"iteration\": %d", iteration);
}

/* The ones below the newest are this run's too, or not: this decides what is removed later. */
static void claim_older(job_checkpoints *c, const list *found, int below) {
  char path[PATH_MAX];
  for (int i = 0; i < found->n && found->at[i] < below; i++) {
    job_mark mark;
    if (!job_saved_peek(path_of(c, found->at[i], path), &mark))
      list_add(&c->damaged, found->at[i]);
    else if (mark.run == c->opts.mark.run)
      list_add(&c->whole, found->at[i]);
  }
}

rdd_status job_checkpoints_resume(job_checkpoints *c, als_model *model, als_iteration *history,
                                  int *start_out, rdd_err *err) {
  char path[PATH_MAX], why[80];
  list found = {0};
  int start = 0;
  if (c->comm->rank == 0) find_files(c, &found);
  rdd_bcast(c->comm, &found, sizeof found, 0);
  for (int i = found.n - 1; i >= 0 && !start; i--) {
    int iteration = found.at[i];
    path_of(c, iteration, path);
    rdd_status st = try_checkpoint(c, path, iteration, model, history, why, err);
    if (st == RDD_ENOMEM) return st;
    if (st) list_add(&c->damaged, iteration);
    if (!st && !why[0])
      start = iteration;
    else
      pass_over(c, path, iteration, st ? err->message : why);
  }
  if (start) list_add(&c->whole, start);
  if (c->comm->rank == 0) claim_older(c, &found, start);
  *start_out = start;
  return RDD_OK;
}

/* ---- Writing ---- */

/* Where the snapshot of each side stands behind the report. */
static size_t rounded(size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

/* Room for the report and the snapshot; kept from one checkpoint to the next. */
static rdd_status get_room(job_checkpoints *c, const als_model *model, rdd_err *err) {
  size_t bytes = rounded(sizeof(report));
  const als_best *best = c->opts.best;
  for (int side = 0; side < 2; side++) {
    const als_factors *f = &model->side[side];
    bytes += rounded(rdd_table_size(f->factors));
    if (f->bias) bytes += rounded(rdd_table_size(f->bias));
    if (!best) continue;
    bytes += rounded(rdd_table_size(best->side[side].factors));
    if (best->side[side].bias) bytes += rounded(rdd_table_size(best->side[side].bias));
  }
  if (c->shared && c->shared_bytes == bytes) return RDD_OK;
  if (c->shared) munmap(c->shared, c->shared_bytes);
  c->shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  c->shared_bytes = bytes;
  if (c->shared != MAP_FAILED) return RDD_OK;
  c->shared = NULL;
  return rdd_set(err, RDD_ENOMEM, "no memory for a copy of %zu bytes", bytes);
}

static const float *copy_table(char **at, const rdd_table *table) {
  if (!table) return NULL;
  char *copy = *at;
  memcpy(copy, rdd_table_data(table), rdd_table_size(table));
  *at += rounded(rdd_table_size(table));
  return (const float *)copy;
}

/* The model as it is now, and the best iteration if that was an earlier one. Ids never change, so they
 * are not copied. */
static job_model_image take_snapshot(const job_checkpoints *c, const als_model *model, int done) {
  job_model_image image = job_model_image_of(model);
  const als_best *best = c->opts.best;
  char *at = (char *)c->shared + rounded(sizeof(report));
  if (best && best->iteration != done) image.best_iteration = best->iteration;
  for (int side = 0; side < 2; side++) {
    image.side[side].factors = copy_table(&at, model->side[side].factors);
    image.side[side].bias = copy_table(&at, model->side[side].bias);
    if (!image.best_iteration) continue;
    image.best[side] = (job_rows_image){
        .ids = image.side[side].ids,
        .factors = copy_table(&at, best->side[side].factors),
        .bias = copy_table(&at, best->side[side].bias),
    };
  }
  return image;
}

/* The writer goes when its rank does, and only then: what asks the rank to stop must not cut short the
 * checkpoint that it stops with. */
static void settle_in(pid_t parent) {
  static const int deaf_to[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1); /* it died before we asked to die with it */
  for (int s = 1; s < NSIG; s++) {
    struct sigaction old; /* the rank's handlers, and MPI's, are not ours */
    if (sigaction(s, NULL, &old) != 0 || old.sa_handler == SIG_DFL || old.sa_handler == SIG_IGN)
      continue;
    signal(s, SIG_DFL);
  }
  for (size_t i = 0; i < sizeof deaf_to / sizeof *deaf_to; i++) signal(deaf_to[i], SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void writer_main(const job_checkpoints *c, const job_model_image *image,
                                  const job_provenance *how, pid_t parent) {
  char path[PATH_MAX];
  double start = rdd_seconds();
  job_run *run = c->opts.run;
  int iteration = how->iterations;
  path_of(c, iteration, path);
  settle_in(parent);
  int64_t cut = job_fault_cut(run, "checkpoint", iteration);
  if (cut >= 0) job_output_die_past(cut);
  report *r = c->shared;
  r->status = job_model_save(path, image, how, &c->opts.mark, &r->err);
  if (!r->status && job_fault_corrupt(run, "checkpoint", iteration)) job_output_damage(path, -1);
  r->seconds = rdd_seconds() - start;
  r->finished = 1;
  _exit(0); /* neither the rank's atexit handlers nor its unwritten stdio buffers are ours */
}

/* Copy, and fork the writer; rank 0. */
static rdd_status start_writer(job_checkpoints *c, const als_model *model,
                               const als_iteration *history, int done, rdd_err *err) {
  rdd_status st = get_room(c, model, err);
  if (st) return st;
  memset(c->shared, 0, sizeof *c->shared);
  job_provenance how = *c->opts.how;
  how.history = history;
  how.iterations = done;
  for (int i = 0; i < done; i++) how.seconds += history[i].seconds;
  how.best = done;
  job_model_image image = take_snapshot(c, model, done);
  if (image.best_iteration) how.best = image.best_iteration;

  sigset_t all, before; /* no signal may find the rank's handlers in the child */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t parent = getpid();
  pid_t writer = fork();
  if (writer == 0) writer_main(c, &image, &how, parent);
  int why = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (writer < 0) return rdd_set(err, RDD_ENOMEM, "its writer cannot be forked: %s", strerror(why));
  c->writer = writer;
  c->writing = done;
  return RDD_OK;
}

/* A checkpoint is on the disk: drop what it replaces. */
static void advance(job_checkpoints *c, int iteration) {
  list_add(&c->whole, iteration);
  while (c->whole.n > GENERATIONS) {
    remove_file(c, c->whole.at[0]);
    memmove(&c->whole.at[0], &c->whole.at[1], (size_t)--c->whole.n * sizeof c->whole.at[0]);
  }
  for (int i = 0; i < c->damaged.n; i++)
    if (!list_has(&c->whole, c->damaged.at[i])) remove_file(c, c->damaged.at[i]);
  c->damaged.n = 0;
}

static void tell_failure(const job_checkpoints *c, int iteration, const char *why) {
  job_warn("the checkpoint of iteration %d was not written (%s); training goes on", iteration, why);
  job_run_log(c->opts.run, "\"event\": \"checkpoint-failed\", \"iteration\": %d", iteration);
}

static double seconds_of(const struct timeval *t) {
  return (double)t->tv_sec + 1e-6 * (double)t->tv_usec;
}

/* Wait for the writer and see what has come of it; rank 0. */
static void reap_writer(job_checkpoints *c) {
  if (!c->writer) return;
  const report *r = c->shared;
  int wait_status = 0;
  struct rusage usage = {0};
  while (wait4(c->writer, &wait_status, 0, &usage) < 0 && errno == EINTR) continue;
  c->writer = 0;
  if (r->finished && !r->status) {
    advance(c, c->writing);
    job_run_log(c->opts.run,
                "\"event\": \"checkpoint-written\", \"iteration\": %d, \"seconds\": %.6f, "
                "\"cpu_seconds\": %.6f",
                c->writing, r->seconds, seconds_of(&usage.ru_utime) + seconds_of(&usage.ru_stime));
  } else if (r->finished) {
    tell_failure(c, c->writing, r->err.message);
  } else {
    char why[80];
    snprintf(why, sizeof why,
             WIFSIGNALED(wait_status) ? "its writer died of signal %d"
                                      : "its writer left with status %d",
             WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : WEXITSTATUS(wait_status));
    job_output_sweep(c->dir, "checkpoint-");
    tell_failure(c, c->writing, why);
  }
}

rdd_status job_checkpoints_save(job_checkpoints *c, const als_model *model,
                                const als_iteration *history, int done, bool now, rdd_err *err) {
  if (!now && done % c->opts.interval != 0) return RDD_OK;
  rdd_status st = job_run_phase(c->opts.run, "checkpoint", done, err);
  als_model_make_whole(model, c->comm);
  als_best_make_whole(c->opts.best, c->comm, model->k);
  if (c->comm->rank == 0 && !st) {
    rdd_err why;
    reap_writer(c);
    if (start_writer(c, model, history, done, &why)) tell_failure(c, done, why.message);
  }
  return rdd_agree(c->comm, st, err); /* nobody touches the tables before they are copied */
}

int job_checkpoints_flush(job_checkpoints *c) {
  int64_t newest = 0;
  if (c->comm->rank == 0) {
    reap_writer(c);
    if (c->whole.n > 0) newest = c->whole.at[c->whole.n - 1];
  }
  rdd_bcast(c->comm, &newest, sizeof newest, 0);
  return (int)newest;
}

void job_checkpoints_remove(job_checkpoints *c) {
  if (c->comm->rank != 0) return;
  reap_writer(c);
  for (int i = 0; i < c->whole.n; i++) remove_file(c, c->whole.at[i]);
  for (int i = 0; i < c->damaged.n; i++) remove_file(c, c->damaged.at[i]);
  c->whole.n = c->damaged.n = 0;
  rmdir(c->dir); /* where it is empty */
}

void job_checkpoints_close(job_checkpoints *c) {
  if (!c) return;
  reap_writer(c);
  if (c->shared) munmap(c->shared, c->shared_bytes);
  rdd_free(c);
}
