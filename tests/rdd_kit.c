#include "tests/rdd_kit.h"

#include "rdd/hash.h"
#include "rdd/memory.h"
#include "tests/testkit.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { COUNTS = 64 };

static const char POISON[] = "POISON";

/* ---- The kit ---- */

kit *kit_new(rdd_comm *comm) {
  rdd_err err;
  kit *k = rdd_calloc(1, sizeof *k);
  if (!comm) TK_OK(rdd_comm_single(&comm, &err), &err);
  k->comm = comm;
  k->rows = 12;
  k->runs = mmap(NULL, COUNTS * sizeof *k->runs, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                 -1, 0);
  return k;
}

void kit_free(kit *k) {
  munmap(k->runs, COUNTS * sizeof *k->runs);
  rdd_comm_close(k->comm); /* of a thread: nothing */
  rdd_free(k);
}

void kit_reset(kit *k) {
  rdd_barrier(k->comm);
  k->n = k->faults = 0;
  k->slow_below = 0;
  memset(k->runs, 0, COUNTS * sizeof *k->runs);
  rdd_barrier(k->comm);
}

void kit_strike(kit *k, int64_t stage, int64_t partition, int attempts, rdd_fault_kind kind,
                int number) {
  k->fault[k->faults++] = (kit_fault){stage, partition, attempts, {kind, number}};
}

static rdd_fault find_fault(void *arg, int64_t stage, int64_t partition, int attempt) {
  const kit *k = arg;
  for (int i = 0; i < k->faults; i++) {
    const kit_fault *f = &k->fault[i];
    if ((f->stage < 0 || f->stage == stage) && (f->partition < 0 || f->partition == partition) &&
        attempt < f->attempts)
      return f->fault;
  }
  return (rdd_fault){.kind = RDD_FAULT_NONE};
}

static void log_event(void *arg, const rdd_event *event) {
  kit *k = arg;
  if (!TK_CHECK(k->n < KIT_EVENTS)) return;
  k->event[k->n] = *event;
  snprintf(k->name[k->n], sizeof k->name[0], "%s", event->rdd);
  snprintf(k->text[k->n], sizeof k->text[0], "%.199s", event->message);
  k->n++;
}

rdd_run_opts kit_opts(kit *k, int slots) {
  return (rdd_run_opts){.slots = slots, .event = log_event, .fault = find_fault, .arg = k};
}

int64_t kit_count(kit *k, rdd_event_kind kind, int64_t partition) {
  int64_t n = 0;
  for (int i = 0; i < k->n; i++)
    n += k->event[i].kind == kind && (partition < 0 || k->event[i].partition == partition);
  rdd_allreduce(k->comm, &n, 1, RDD_SUM);
  return n;
}

int64_t kit_runs(kit *k, int64_t partition) {
  int64_t n = 0;
  for (int p = 0; p < COUNTS; p++)
    if (partition < 0 || partition == p) n += k->runs[p];
  rdd_allreduce(k->comm, &n, 1, RDD_SUM);
  return n;
}

bool kit_said(kit *k, rdd_event_kind kind, const char *what) {
  int64_t said = 0;
  for (int i = 0; i < k->n; i++) said |= k->event[i].kind == kind && strstr(k->text[i], what);
  rdd_allreduce(k->comm, &said, 1, RDD_MAX);
  return said;
}

/* ---- Rows ---- */

rdd_schema kit_schema_n(void) {
  rdd_schema schema = {0};
  rdd_schema_add(&schema, "n", RDD_INT64);
  return schema;
}

static rdd_status make_rows(void *arg, int64_t partition, rdd_task *task, rdd_err *err) {
  enum { BATCH = 5 };
  const kit *k = arg;
  rdd_status st = RDD_OK;
  __atomic_add_fetch(&k->runs[partition % COUNTS], 1, __ATOMIC_SEQ_CST);
  if (partition < k->slow_below && rdd_task_attempt(task) == 0) {
    struct timespec nap = {.tv_sec = (time_t)k->slow_seconds};
    nap.tv_nsec = (long)((k->slow_seconds - (double)nap.tv_sec) * 1e9);
    nanosleep(&nap, NULL);
  }
  rdd_task_count(task, 0, 1);
  for (int64_t first = 0; first < k->rows && !st; first += BATCH) {
    int64_t n[BATCH], key[BATCH], rows = k->rows - first < BATCH ? k->rows - first : BATCH;
    double x[BATCH];
    char word[BATCH * 8];
    int32_t offsets[BATCH + 1] = {0};
    for (int64_t i = 0; i < rows; i++) {
      n[i] = 1000 * partition + first + i;
      key[i] = n[i] % 17 - 8;
      x[i] = 0.1 * (double)n[i];
      offsets[i + 1] = offsets[i] + snprintf(word + offsets[i], 8, "w%d", (int)key[i]);
    }
    rdd_batch batch = {.rows = rows,
                       .column = {{n, NULL}, {key, NULL}, {x, NULL}, {word, offsets}}};
    st = rdd_task_emit(task, &batch, err);
  }
  return st;
}

rdd *kit_rows(kit *k, int64_t partitions) {
  rdd_schema schema = kit_schema_n();
  rdd *r = NULL;
  rdd_err err;
  rdd_schema_add(&schema, "key", RDD_INT64);
  rdd_schema_add(&schema, "x", RDD_FLOAT64);
  rdd_schema_add(&schema, "word", RDD_UTF8);
  TK_OK(rdd_source(&r, "rows", partitions, &schema, make_rows, k, &err), &err);
  return r;
}

uint64_t kit_digest(const rdd_part *part, int64_t *rows_out) {
  uint64_t hash = 0;
  int64_t rows = 0;
  for (int64_t b = 0; b < part->batches; b++) {
    const int64_t *n = part->batch[b].column[0].values;
    for (int64_t i = 0; i < part->batch[b].rows; i++, rows++)
      hash = rdd_mix64_2(hash, (uint64_t)n[i]);
  }
  if (rows_out) *rows_out = rows;
  return hash;
}

uint64_t kit_collect(kit *k, rdd *r, int slots) {
  rdd_part part = {0};
  rdd_run_opts opts = kit_opts(k, slots);
  rdd_err err;
  if (!TK_OK(rdd_collect(r, k->comm, &opts, &part, &err), &err)) return 0;
  uint64_t hash = kit_digest(&part, NULL);
  rdd_part_close(&part);
  return hash;
}

/* ---- Blocks in files ---- */

typedef struct file_store {
  rdd_store store; /* first, so that one pointer is both */
  char dir[300];
  bool broken;
} file_store;

static void block_path(const rdd_store *store, const rdd_block *b, char *path, size_t room) {
  const file_store *s = (const file_store *)store;
  snprintf(path, room, "%s/%s-%llx-%lld-of-%lld", s->dir, b->rdd,
           (unsigned long long)b->fingerprint, (long long)b->partition, (long long)b->partitions);
}

static rdd_status put(rdd_store *store, const rdd_block *block, const rdd_schema *schema,
                      const rdd_part *part, rdd_err *err) {
  char path[400], temporary[450];
  (void)schema;
  if (((file_store *)store)->broken)
    return rdd_set(err, RDD_EIO, "cannot store a block: the test's disk is full");
  block_path(store, block, path, sizeof path);
  snprintf(temporary, sizeof temporary, "%s.%d", path, (int)getpid());
  FILE *f = fopen(temporary, "wb");
  bool ok = f && fwrite(part->bytes, 1, part->size, f) == part->size;
  if (f && fclose(f) != 0) ok = false;
  if (ok && rename(temporary, path) == 0) return RDD_OK;
  return rdd_set(err, RDD_EIO, "cannot write %s: %s", path, strerror(errno));
}

static void free_bytes(void *bytes, size_t size) {
  (void)size;
  rdd_free(bytes);
}

static rdd_status get(rdd_store *store, const rdd_block *block, const rdd_schema *schema,
                      rdd_part *part_out, rdd_err *err) {
  char path[400];
  struct stat file;
  block_path(store, block, path, sizeof path);
  FILE *f = fopen(path, "rb");
  if (!f) return rdd_set(err, RDD_ENOINPUT, "no block %s", path);
  fstat(fileno(f), &file);
  size_t size = (size_t)file.st_size;
  void *bytes = rdd_alloc(size, 1);
  bool ok = bytes && fread(bytes, 1, size, f) == size;
  fclose(f);
  if (ok && size == strlen(POISON)) raise(SIGSEGV); /* as a library might, on a damaged file */
  rdd_status st = ok ? rdd_part_open(part_out, schema, bytes, size, free_bytes, err)
                     : rdd_set(err, RDD_EIO, "cannot read %s", path);
  if (st) {
    rdd_free(bytes);
    return RDD_EIO;
  }
  st = rdd_part_verify(part_out, err);
  if (st) rdd_part_close(part_out);
  return st;
}

static bool has(rdd_store *store, const rdd_block *block) {
  char path[400];
  block_path(store, block, path, sizeof path);
  return access(path, R_OK) == 0;
}

static void drop(rdd_store *store, const rdd_block *block) {
  char path[400];
  block_path(store, block, path, sizeof path);
  unlink(path);
}

rdd_store *kit_store_new(const char *dir) {
  file_store *s = rdd_calloc(1, sizeof *s);
  s->store = (rdd_store){.put = put, .get = get, .has = has, .drop = drop};
  snprintf(s->dir, sizeof s->dir, "%s/%s", tk_tmpdir(), dir);
  mkdir(s->dir, 0700);
  return &s->store;
}

void kit_store_free(rdd_store *store) {
  rdd_free(store);
}

void kit_store_break(rdd_store *store, bool broken) {
  ((file_store *)store)->broken = broken;
}

void kit_store_damage(rdd_store *store, const rdd_block *block) {
  char path[400];
  block_path(store, block, path, sizeof path);
  FILE *f = fopen(path, "r+b");
  if (!TK_CHECK(f != NULL)) return;
  fseek(f, -5, SEEK_END);
  fputc(0x5a, f);
  fclose(f);
}

void kit_store_poison(rdd_store *store, const rdd_block *block) {
  char path[400];
  block_path(store, block, path, sizeof path);
  FILE *f = fopen(path, "wb");
  if (!TK_CHECK(f != NULL)) return;
  fputs(POISON, f);
  fclose(f);
}

int kit_store_files(rdd_store *store) {
  int n = 0;
  DIR *dir = opendir(((file_store *)store)->dir);
  for (struct dirent *e; dir && (e = readdir(dir));) n += e->d_name[0] != '.';
  if (dir) closedir(dir);
  return n;
}
