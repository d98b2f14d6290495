/* Row against vector: the same function on the same rows, which go to it and come back in five ways.
 *
 *   (a)  a worker process behind two pipes, one record a message, and its answer before the next
 *   (a') the same with 100 records a message, and up to 8 messages on the way
 *   (b)  a callback for each row in a task of its own: rdd_map()
 *   (c)  vectorised batches in a task of its own: rdd_map_batches()
 *   (d)  no function at all: memcpy of as many bytes, which is the limit
 *
 * All of them start from the same sealed partitions in memory; (b) and (c) end in new ones, by way of
 * rdd_compute() with everything it does. Each result is compared with the function, value by value.
 * Prints one Markdown table for each function; see HELP. */
#include "rdd/hash.h"
#include "rdd/memory.h"
#include "rdd/rdd.h"
#include "rdd/row.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char HELP[] =
    "usage: exchange [--megabytes N] [--partitions N] [--slots N] [--rounds N]\n"
    "\n"
    "Measures rows per second of two functions in five ways, and prints Markdown.\n"
    "  --megabytes N   of all input columns (512; more than the caches hold)\n"
    "  --partitions N  that these are cut into (8)\n"
    "  --slots N       (b) and (c): tasks at a time; (d): threads; (1)\n"
    "  --rounds N      each way is measured once a round; medians are printed (5)\n"
    "\n"
    "The functions: plus one on a float64 column; and user, item, rating, timestamp to the same\n"
    "with the rating's distance from its item's mean, clamped to 2.5 stars and scaled to 0..1.\n"
    "\n"
    "(a) and (a') use one lane, and take as many rows as fit a second or so. The worker is "
    "written\n"
    "in C; a Python worker would be slower.\n"
    "(b) and (c) take the time from calling rdd_compute() until its sealed partitions are there,\n"
    "with all forks, checksums and checks; freeing them is not counted, nor is it in (d).\n"
    "(d) copies the same columns. A byte counts once, though it is read and written. The result "
    "of\n"
    "(c) is in memory that was just taken from the kernel, so memcpy is shown into three kinds:\n"
    "warm, whose pages were written before; fresh, from mmap; and a fresh memory file, which is "
    "what\n"
    "a task's result is. Where the kernel gives memory files large pages (shmem_enabled), they "
    "are\n"
    "used by (c) and by (d).\n";

enum { MESSAGE = 100, WINDOW = 8, ITEMS = 27000, MOST_ROUNDS = 99, WIRE = 64 * 1024 };

typedef struct settings {
  int64_t megabytes, partitions, slots, rounds;
} settings;

static _Noreturn void die(const char *what, const char *why) {
  fprintf(stderr, "exchange: %s: %s\n", what, why);
  exit(70);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- The two functions ---- */

static float item_mean[ITEMS];

static float normalise(float rating, int64_t item) {
  float away = rating - item_mean[item];
  away = away < -2.5f ? -2.5f : away;
  away = away > 2.5f ? 2.5f : away;
  return (away + 2.5f) * 0.2f;
}

/* One record, its columns end to end. */
static void plus_one_record(char *record) {
  double x;
  memcpy(&x, record, sizeof x);
  x += 1;
  memcpy(record, &x, sizeof x);
}

static void normalise_record(char *record) {
  int64_t item;
  float rating;
  memcpy(&item, record + 8, sizeof item);
  memcpy(&rating, record + 16, sizeof rating);
  rating = normalise(rating, item);
  memcpy(record + 16, &rating, sizeof rating);
}

static rdd_status plus_one_row(void *arg, const rdd_row *in, rdd_rows *out, rdd_err *err) {
  (void)arg, (void)err;
  rdd_rows_set_float(out, 0, rdd_row_float(in, 0) + 1);
  return RDD_OK;
}

static rdd_status normalise_row(void *arg, const rdd_row *in, rdd_rows *out, rdd_err *err) {
  (void)arg, (void)err;
  int64_t item = rdd_row_int(in, 1);
  rdd_rows_set_int(out, 0, rdd_row_int(in, 0));
  rdd_rows_set_int(out, 1, item);
  rdd_rows_set_float(out, 2, (double)normalise((float)rdd_row_float(in, 2), item));
  rdd_rows_set_int(out, 3, rdd_row_int(in, 3));
  return RDD_OK;
}

static rdd_status plus_one_batch(void *arg, const rdd_batch *in, rdd_task *task, rdd_batch *out,
                                 rdd_err *err) {
  (void)arg;
  const double *x = in->column[0].values;
  double *y = rdd_task_scratch(task, (size_t)in->rows, sizeof *y);
  if (!y) return rdd_set(err, RDD_ENOMEM, "no memory for a batch");
  for (int64_t i = 0; i < in->rows; i++) y[i] = x[i] + 1;
  *out = (rdd_batch){.rows = in->rows, .column = {{.values = y}}};
  return RDD_OK;
}

static rdd_status normalise_batch(void *arg, const rdd_batch *in, rdd_task *task, rdd_batch *out,
                                  rdd_err *err) {
  (void)arg;
  const int64_t *item = in->column[1].values;
  const float *rating = in->column[2].values;
  float *y = rdd_task_scratch(task, (size_t)in->rows, sizeof *y);
  if (!y) return rdd_set(err, RDD_ENOMEM, "no memory for a batch");
  for (int64_t i = 0; i < in->rows; i++) y[i] = normalise(rating[i], item[i]);
  *out = *in;
  out->column[2].values = y;
  return RDD_OK;
}

typedef struct job {
  const char *name;
  rdd_field field[RDD_MAX_COLUMNS];
  int columns;
  void (*record)(char *record);
  rdd_row_fn row;
  rdd_batch_fn batch;
} job;

static const job JOBS[] = {
    {"plus one", {{"x", RDD_FLOAT64}}, 1, plus_one_record, plus_one_row, plus_one_batch},
    {"normalise",
     {{"user", RDD_INT64}, {"item", RDD_INT64}, {"rating", RDD_FLOAT32}, {"timestamp", RDD_INT64}},
     4,
     normalise_record,
     normalise_row,
     normalise_batch},
};

static int64_t row_bytes(const job *j) {
  size_t bytes = 0;
  for (int c = 0; c < j->columns; c++) bytes += rdd_type_size(j->field[c].type);
  return (int64_t)bytes;
}

/* ---- The rows ---- */

typedef struct table {
  const job *job;
  const settings *set;
  int64_t rows; /* of a partition */
  rdd_comm *comm;
  rdd_run_opts opts;
  rdd *source;   /* kept in memory */
  rdd_parts *in; /* its partitions */
  char **copy;   /* [partitions] where (d) copies to */
} table;

/* A value of any column, made of random bits. */
static void make_value(const rdd_field *field, uint64_t bits, void *values, int64_t i) {
  if (field->type == RDD_FLOAT64)
    ((double *)values)[i] = rdd_uniform(bits);
  else if (field->type == RDD_FLOAT32)
    ((float *)values)[i] = 0.5f * (float)(1 + bits % 10);
  else
    ((int64_t *)values)[i] = (int64_t)(bits % ITEMS);
}

static rdd_status make_rows(void *arg, int64_t partition, rdd_task *task, rdd_err *err) {
  const table *t = arg;
  rdd_status st = RDD_OK;
  for (int64_t first = 0; first < t->rows && !st; first += RDD_BATCH_ROWS) {
    rdd_batch batch = {.rows = t->rows - first};
    if (batch.rows > RDD_BATCH_ROWS) batch.rows = RDD_BATCH_ROWS;
    for (int c = 0; c < t->job->columns; c++) {
      void *values = rdd_task_scratch(task, (size_t)batch.rows, 8);
      if (!values) return rdd_set(err, RDD_ENOMEM, "no memory for a batch");
      uint64_t key = rdd_mix64_2((uint64_t)partition, (uint64_t)c);
      for (int64_t i = 0; i < batch.rows; i++)
        make_value(&t->job->field[c], rdd_mix64_2(key, (uint64_t)(first + i)), values, i);
      batch.column[c].values = values;
    }
    st = rdd_task_emit(task, &batch, err);
  }
  return st;
}

static void fill_table(table *t, rdd_comm *comm, const job *j, const settings *set) {
  rdd_err err;
  rdd_schema schema = {0};
  *t = (table){.job = j, .set = set, .comm = comm, .opts = {.slots = (int)set->slots}};
  t->rows = set->megabytes * 1000000 / row_bytes(j) / set->partitions;
  for (int c = 0; c < j->columns; c++) rdd_schema_add(&schema, j->field[c].name, j->field[c].type);
  if (rdd_source(&t->source, "rows", set->partitions, &schema, make_rows, t, &err) ||
      rdd_persist(t->source, RDD_LEVEL_MEMORY, NULL, 0, &err) ||
      rdd_compute(t->source, comm, &t->opts, &t->in, NULL, &err))
    die("making rows", err.message);
  t->copy = rdd_calloc((size_t)t->in->n, sizeof *t->copy);
  if (!t->copy) die("making rows", "out of memory");
}

static void empty_table(table *t) {
  rdd_parts_free(t->in);
  rdd_release(t->source);
  rdd_free(t->copy);
}

/* ---- Records ---- */

static void gather(const job *j, const rdd_batch *batch, int64_t row, char *record) {
  for (int c = 0; c < j->columns; c++) {
    size_t size = rdd_type_size(j->field[c].type);
    memcpy(record, (const char *)batch->column[c].values + row * (int64_t)size, size);
    record += size;
  }
}

static void scatter(const job *j, const char *record, rdd_batch *batch, int64_t row) {
  for (int c = 0; c < j->columns; c++) {
    size_t size = rdd_type_size(j->field[c].type);
    memcpy((char *)(uintptr_t)batch->column[c].values + row * (int64_t)size, record, size);
    record += size;
  }
}

/* Is each row of `out` what the function makes of that of `in`? */
static void check(const job *j, const rdd_batch *in, const rdd_batch *out, int64_t rows) {
  char wanted[8 * RDD_MAX_COLUMNS], found[8 * RDD_MAX_COLUMNS];
  for (int64_t i = 0; i < rows; i++) {
    gather(j, in, i, wanted);
    j->record(wanted);
    gather(j, out, i, found);
    if (memcmp(wanted, found, (size_t)row_bytes(j)) != 0) die(j->name, "the result is wrong");
  }
}

static void check_parts(const table *t, const rdd_parts *out) {
  for (int64_t p = 0; p < t->in->n; p++) {
    const rdd_part *from = &t->in->part[p], *to = &out->part[p];
    if (out->n != t->in->n || from->batches != to->batches) die(t->job->name, "rows are missing");
    for (int64_t b = 0; b < from->batches; b++) {
      if (from->batch[b].rows != to->batch[b].rows) die(t->job->name, "rows are missing");
      check(t->job, &from->batch[b], &to->batch[b], from->batch[b].rows);
    }
  }
}

/* ---- (a) and (a'): a worker behind pipes ----
 *
 * A record on the wire is its length (uint32) and its bytes. */

static void write_all(int fd, const char *bytes, size_t n) {
  while (n > 0) {
    ssize_t wrote = write(fd, bytes, n);
    if (wrote < 0) die("writing to a pipe", strerror(errno));
    bytes += wrote;
    n -= (size_t)wrote;
  }
}

/* What came over a pipe and was not looked at yet. */
typedef struct inbox {
  int fd;
  size_t begin, end;
  char bytes[WIRE];
} inbox;

/* The next record, or NULL where none is whole. */
static char *next_record(inbox *in, size_t size) {
  uint32_t length;
  if (in->end - in->begin < sizeof length + size) return NULL;
  memcpy(&length, in->bytes + in->begin, sizeof length);
  if (length != size) die("reading a pipe", "a record has another length");
  char *record = in->bytes + in->begin + sizeof length;
  in->begin += sizeof length + size;
  return record;
}

/* One read; false at the end. */
static bool refill(inbox *in) {
  memmove(in->bytes, in->bytes + in->begin, in->end - in->begin);
  in->end -= in->begin;
  in->begin = 0;
  ssize_t got = read(in->fd, in->bytes + in->end, sizeof in->bytes - in->end);
  if (got < 0) die("reading a pipe", strerror(errno));
  in->end += (size_t)got;
  return got > 0;
}

static size_t put_record(char *wire, const char *record, size_t size) {
  uint32_t length = (uint32_t)size;
  memcpy(wire, &length, sizeof length);
  memcpy(wire + sizeof length, record, size);
  return sizeof length + size;
}

/* Answers every record, `message` of them in one write. */
static _Noreturn void worker(const job *j, int from, int to, int message) {
  static inbox in;
  static char wire[WIRE];
  size_t size = (size_t)row_bytes(j), used = 0;
  in.fd = from;
  while (refill(&in)) {
    int held = 0;
    for (char *record; (record = next_record(&in, size));) {
      j->record(record);
      used += put_record(wire + used, record, size);
      if (++held < message) continue;
      write_all(to, wire, used);
      held = 0, used = 0;
    }
    if (used > 0) write_all(to, wire, used); /* the rest, or both would wait */
    used = 0;
  }
  _exit(0);
}

static pid_t start_worker(const job *j, int message, int *to_out, int *from_out) {
  int there[2], back[2];
  if (pipe(there) != 0 || pipe(back) != 0) die("making pipes", strerror(errno));
  fflush(NULL);
  pid_t pid = fork();
  if (pid < 0) die("forking a worker", strerror(errno));
  if (pid == 0) {
    close(there[1]), close(back[0]);
    worker(j, there[0], back[1], message);
  }
  close(there[0]), close(back[1]);
  *to_out = there[1], *from_out = back[0];
  return pid;
}

/* Rows [0, n) of a batch to the worker and back; `window` messages may be on their way. */
static void exchange_rows(const job *j, const rdd_batch *in, rdd_batch *out, int64_t n, int to,
                          inbox *answers, int message, int window) {
  char record[8 * RDD_MAX_COLUMNS], wire[MESSAGE * (4 + 8 * RDD_MAX_COLUMNS)];
  size_t size = (size_t)row_bytes(j);
  int64_t sent = 0, received = 0;
  while (received < n) {
    while (sent < n && sent - received <= (int64_t)(window - 1) * message) {
      size_t used = 0;
      for (int i = 0; i < message && sent < n; i++, sent++) {
        gather(j, in, sent, record);
        used += put_record(wire + used, record, size);
      }
      write_all(to, wire, used);
    }
    if (!refill(answers)) die("reading a pipe", "the worker is gone");
    for (char *answer; (answer = next_record(answers, size)); received++)
      scatter(j, answer, out, received);
  }
}

/* Rows per second of about `rows` rows, from the first batches of the first partition. */
static double by_pipe(const table *t, int64_t rows, int message, int window) {
  static inbox answers;
  const rdd_part *part = &t->in->part[0];
  rdd_batch out = {0};
  int to;
  for (int c = 0; c < t->job->columns; c++) {
    out.column[c].values = rdd_calloc(RDD_BATCH_ROWS, 8);
    if (!out.column[c].values) die("making rows", "out of memory");
  }
  answers.begin = answers.end = 0;
  pid_t pid = start_worker(t->job, message, &to, &answers.fd);
  double seconds = 0;
  int64_t done = 0;
  for (int64_t b = 0; b < part->batches && done < rows; b++) {
    const rdd_batch *in = &part->batch[b];
    int64_t n = in->rows < rows - done ? in->rows : rows - done;
    double started = now();
    exchange_rows(t->job, in, &out, n, to, &answers, message, window);
    seconds += now() - started;
    check(t->job, in, &out, n);
    done += n;
  }
  close(to), close(answers.fd);
  waitpid(pid, NULL, 0);
  for (int c = 0; c < t->job->columns; c++) rdd_free((void *)(uintptr_t)out.column[c].values);
  return (double)done / seconds;
}

static double record_a_message(const table *t) {
  return by_pipe(t, 100000, 1, 1);
}

static double many_a_message(const table *t) {
  return by_pipe(t, 4000000, MESSAGE, WINDOW);
}

/* ---- (b) and (c): tasks ---- */

static double by_tasks(const table *t, bool by_row) {
  rdd *mapped = NULL;
  rdd_parts *out = NULL;
  rdd_err err;
  const rdd_schema *schema = rdd_schema_of(t->source);
  rdd_status st = by_row
                      ? rdd_map(&mapped, t->source, t->job->name, schema, t->job->row, NULL, &err)
                      : rdd_map_batches(&mapped, t->source, t->job->name, schema, t->job->batch,
                                        NULL, &err);
  double started = now();
  if (!st) st = rdd_compute(mapped, t->comm, &t->opts, &out, NULL, &err);
  double seconds = now() - started;
  if (st) die(t->job->name, err.message);
  check_parts(t, out);
  rdd_parts_free(out);
  rdd_release(mapped);
  return (double)(t->rows * t->set->partitions) / seconds;
}

static double row_callback(const table *t) {
  return by_tasks(t, true);
}

static double vectorised(const table *t) {
  return by_tasks(t, false);
}

/* ---- (d): memcpy ---- */

/* Copy the columns of partitions first, first + step, ... */
typedef struct copier {
  const table *table;
  int64_t first, step;
} copier;

static void *copy_columns(void *arg) {
  const copier *me = arg;
  const table *t = me->table;
  for (int64_t p = me->first; p < t->in->n; p += me->step) {
    char *to = t->copy[p];
    for (int64_t b = 0; b < t->in->part[p].batches; b++) {
      const rdd_batch *batch = &t->in->part[p].batch[b];
      for (int c = 0; c < t->job->columns; c++) {
        size_t bytes = (size_t)batch->rows * rdd_type_size(t->job->field[c].type);
        memcpy(to, batch->column[c].values, bytes);
        to += bytes;
      }
    }
  }
  return NULL;
}

typedef enum memory { WARM, FRESH, FRESH_FILE } memory;

static void *map_memory(memory kind, size_t bytes) {
  int fd = -1, flags = MAP_PRIVATE | MAP_ANONYMOUS;
  if (kind == FRESH_FILE) {
    fd = memfd_create("exchange", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0) die("making a memory file", strerror(errno));
    flags = MAP_SHARED;
  }
  void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (at == MAP_FAILED) die("mapping memory", strerror(errno));
  if (fd >= 0) close(fd);
  if (kind == WARM) memset(at, 1, bytes);
  return at;
}

static double by_memcpy(const table *t, memory kind) {
  size_t bytes = (size_t)(t->rows * row_bytes(t->job));
  int threads = (int)t->set->slots;
  pthread_t *thread = rdd_calloc((size_t)threads, sizeof *thread);
  copier *part = rdd_calloc((size_t)threads, sizeof *part);
  if (!thread || !part) die("copying", "out of memory");
  for (int64_t p = 0; p < t->in->n; p++) t->copy[p] = map_memory(kind, bytes);
  double started = now();
  for (int i = 0; i < threads; i++) {
    part[i] = (copier){t, i, threads};
    if (i > 0 && pthread_create(&thread[i], NULL, copy_columns, &part[i]) != 0)
      die("copying", "cannot start a thread");
  }
  copy_columns(&part[0]);
  for (int i = 1; i < threads; i++) pthread_join(thread[i], NULL);
  double seconds = now() - started;
  for (int64_t p = 0; p < t->in->n; p++) munmap(t->copy[p], bytes);
  rdd_free(thread);
  rdd_free(part);
  return (double)(t->rows * t->set->partitions) / seconds;
}

static double copy_to_warm(const table *t) {
  return by_memcpy(t, WARM);
}

static double copy_to_fresh(const table *t) {
  return by_memcpy(t, FRESH);
}

static double copy_to_file(const table *t) {
  return by_memcpy(t, FRESH_FILE);
}

/* ---- All of it ---- */

static const struct way {
  const char *name;
  double (*measure)(const table *t); /* rows per second */
} WAYS[] = {
    {"(a) pipe, one record a message", record_a_message},
    {"(a') pipe, 100 records a message", many_a_message},
    {"(b) callback for each row", row_callback},
    {"(c) vectorised batches", vectorised},
    {"(d) memcpy, warm memory", copy_to_warm},
    {"(d) memcpy, fresh memory", copy_to_fresh},
    {"(d) memcpy, fresh memory file", copy_to_file},
};
enum { N_WAYS = sizeof WAYS / sizeof WAYS[0], VECTORISED = 3 };

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void print_table(const table *t, double rate[][MOST_ROUNDS]) {
  int rounds = (int)t->set->rounds;
  double median[N_WAYS];
  for (int w = 0; w < N_WAYS; w++) {
    qsort(rate[w], (size_t)rounds, sizeof rate[w][0], ascending);
    median[w] = rate[w][rounds / 2];
  }
  printf("%s: %lld rows of %lld bytes in %lld partitions, %lld at a time, medians of %d rounds\n\n",
         t->job->name, (long long)(t->rows * t->set->partitions), (long long)row_bytes(t->job),
         (long long)t->set->partitions, (long long)t->set->slots, rounds);
  printf("| way | million rows/s (min to max) | GB/s | (c) / this |\n|---|---|---|---|\n");
  for (int w = 0; w < N_WAYS; w++)
    printf("| %s | %.3g (%.3g to %.3g) | %.3g | %.*f |\n", WAYS[w].name, median[w] * 1e-6,
           rate[w][0] * 1e-6, rate[w][rounds - 1] * 1e-6,
           median[w] * (double)row_bytes(t->job) * 1e-9,
           median[VECTORISED] < 10 * median[w] ? 2 : 0, median[VECTORISED] / median[w]);
  printf("\n");
  fflush(stdout);
}

static void measure(rdd_comm *comm, const job *j, const settings *set) {
  static double rate[N_WAYS][MOST_ROUNDS];
  table t;
  fill_table(&t, comm, j, set);
  for (int64_t round = 0; round < set->rounds; round++)
    for (int w = 0; w < N_WAYS; w++) rate[w][round] = WAYS[w].measure(&t);
  print_table(&t, rate);
  empty_table(&t);
}

static int64_t number(const char *text, int64_t most) {
  char *end;
  long long n = strtoll(text, &end, 10);
  if (*end == '\0' && n >= 1 && n <= most) return n;
  fprintf(stderr, "exchange: %s: expected 1 to %lld\n", text, (long long)most);
  exit(2);
}

int main(int argc, char **argv) {
  static const struct option options[] = {{"megabytes", required_argument, NULL, 'm'},
                                          {"partitions", required_argument, NULL, 'p'},
                                          {"slots", required_argument, NULL, 's'},
                                          {"rounds", required_argument, NULL, 'r'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
  settings set = {.megabytes = 512, .partitions = 8, .slots = 1, .rounds = 5};
  for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (o == 'm') set.megabytes = number(optarg, 1 << 20);
    if (o == 'p') set.partitions = number(optarg, 10000);
    if (o == 's') set.slots = number(optarg, 1000);
    if (o == 'r') set.rounds = number(optarg, MOST_ROUNDS);
    if (o == 'h' || o == '?') {
      fputs(HELP, o == 'h' ? stdout : stderr);
      return o == 'h' ? 0 : 2;
    }
  }
  for (int i = 0; i < ITEMS; i++)
    item_mean[i] = 1 + 3 * (float)rdd_uniform(rdd_mix64((uint64_t)i)); /* stars */
  signal(SIGPIPE, SIG_IGN); /* a worker that died is told of by write() */
  rdd_comm *comm = NULL;
  rdd_err err;
  if (rdd_comm_single(&comm, &err)) die("one rank", err.message);
  for (size_t j = 0; j < sizeof JOBS / sizeof JOBS[0]; j++) measure(comm, &JOBS[j], &set);
  rdd_comm_close(comm);
  return rdd_memory_live() == 0 ? 0 : 70;
}
