/* The store of blocks on disk: a partition comes back as it was, or is lost; never anything else. */
#include "jobs/block_store.h"
#include "jobs/output.h"
#include "rdd/hash.h"
#include "rdd/memory.h"
#include "tests/testkit.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH = 512, BATCH = 500 };

/* ---- Partitions of all types ---- */

static rdd_schema make_schema(void) {
  rdd_schema s = {0};
  rdd_schema_add(&s, "user", RDD_INT64);
  rdd_schema_add(&s, "item", RDD_UTF8);
  rdd_schema_add(&s, "rating", RDD_FLOAT32);
  rdd_schema_add(&s, "when", RDD_FLOAT64);
  rdd_schema_add(&s, "count", RDD_INT32);
  rdd_schema_add(&s, "note", RDD_UTF8);
  return s;
}

static void free_heap(void *bytes, size_t size) {
  (void)size;
  rdd_free(bytes);
}

/* One batch of rows that depend on their numbers; texts are 0 to 6 bytes long, those of "note" 0. */
static rdd_status append_rows(rdd_segment *segment, int64_t first, int64_t n, rdd_err *err) {
  int64_t user[BATCH];
  int32_t item[BATCH + 1] = {0}, count[BATCH], note[BATCH + 1] = {0};
  float rating[BATCH];
  double when[BATCH];
  char text[BATCH * 6];
  for (int64_t i = 0; i < n; i++) {
    uint64_t bits = rdd_mix64((uint64_t)(first + i));
    int32_t length = (int32_t)(bits % 7);
    user[i] = (int64_t)bits;
    for (int32_t j = 0; j < length; j++) text[item[i] + j] = (char)(bits >> (8 * j));
    item[i + 1] = item[i] + length;
    rating[i] = (float)rdd_uniform(bits);
    when[i] = rdd_uniform(rdd_mix64(bits));
    count[i] = (int32_t)bits;
  }
  rdd_batch batch = {.rows = n};
  batch.column[0].values = user;
  batch.column[1] = (rdd_column){text, item};
  batch.column[2].values = rating;
  batch.column[3].values = when;
  batch.column[4].values = count;
  batch.column[5] = (rdd_column){text, note};
  return rdd_segment_append(segment, &batch, err);
}

/* Batches of various lengths, from one row on. */
static bool make_part(rdd_part *part, int64_t rows) {
  rdd_schema schema = make_schema();
  rdd_segment *segment = NULL;
  void *bytes = NULL;
  size_t size = 0;
  rdd_err err = {0};
  bool good = TK_OK(rdd_segment_new(&segment, &schema, -1, &err), &err);
  for (int64_t at = 0, n = 1; at < rows && good; at += n, n = n * 3 > BATCH ? BATCH : n * 3) {
    if (n > rows - at) n = rows - at;
    good = TK_OK(append_rows(segment, at, n, &err), &err);
  }
  good = good && TK_OK(rdd_segment_finish(segment, &bytes, &size, &err), &err) &&
         TK_OK(rdd_part_open(part, &schema, bytes, size, free_heap, &err), &err);
  rdd_segment_free(segment);
  return good;
}

/* The segments are the same, byte by byte. */
static bool same_part(const rdd_part *a, const rdd_part *b) {
  return a->rows == b->rows && a->batches == b->batches && a->size == b->size &&
         !memcmp(a->bytes, b->bytes, a->size);
}

/* ---- A store in a folder of its own ---- */

typedef struct fixture {
  rdd_store *store;
  rdd_schema schema;
  rdd_part part;
  rdd_block block;
  char dir[PATH];
} fixture;

static bool fixture_open(fixture *f, const char *name, int64_t rows, job_run *run) {
  rdd_err err = {0};
  *f = (fixture){.schema = make_schema(), .block = {"read u.data", 77, 3, 8}};
  snprintf(f->dir, PATH, "%s/%s/blocks", tk_tmpdir(), name);
  return TK_OK(job_block_store_open(&f->store, f->dir, true, run, &err), &err) &&
         make_part(&f->part, rows);
}

static void fixture_close(fixture *f) {
  rdd_part_close(&f->part);
  job_block_store_close(f->store);
}

static rdd_status put(fixture *f, rdd_err *err) {
  return f->store->put(f->store, &f->block, &f->schema, &f->part, err);
}

/* get, with what comes back compared to the part. */
static rdd_status get(fixture *f, const rdd_block *block) {
  rdd_part back = {0};
  rdd_err err = {0};
  rdd_status st = f->store->get(f->store, block, &f->schema, &back, &err);
  if (!st)
    TK_CHECK(same_part(&back, &f->part));
  else
    TK_CHECK(back.bytes == NULL && err.message[0]);
  rdd_part_close(&back);
  return st;
}

/* The only file of the folder, hidden ones counted. */
static int find_file(const fixture *f, char path[PATH]) {
  int n = 0;
  DIR *dir = opendir(f->dir);
  for (struct dirent *entry; dir && (entry = readdir(dir));) {
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    snprintf(path, PATH, "%.250s/%.250s", f->dir, entry->d_name);
    n++;
  }
  if (dir) closedir(dir);
  return n;
}

/* ---- Cases ---- */

static void test_round_trip(void) {
  static const int64_t rows[] = {0, 1, 4, 7000};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    fixture f;
    rdd_err err = {0};
    if (!fixture_open(&f, "round", rows[i], NULL)) return;
    f.block.partition = (int64_t)i;
    TK_CHECK(!f.store->has(f.store, &f.block));
    TK_OK(put(&f, &err), &err);
    TK_CHECK(f.store->has(f.store, &f.block));
    TK_CHECK(get(&f, &f.block) == RDD_OK);
    TK_OK(put(&f, &err), &err); /* over the other */
    TK_CHECK(get(&f, &f.block) == RDD_OK);
    fixture_close(&f);
  }
}

/* A block is found by everything that it is named by, by a store of another process too. */
static void test_identity(void) {
  static const rdd_block other[] = {{"read u.data", 78, 3, 8},
                                    {"read u.data", 77, 4, 8},
                                    {"read u.data", 77, 3, 9},
                                    {"read v.data", 77, 3, 8}};
  fixture f, again;
  rdd_err err = {0};
  if (!fixture_open(&f, "identity", 40, NULL)) return;
  TK_OK(put(&f, &err), &err);
  for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
    TK_CHECK(!f.store->has(f.store, &other[i]));
    TK_CHECK(get(&f, &other[i]) == RDD_ENOINPUT);
    f.store->drop(f.store, &other[i]);
  }
  if (fixture_open(&again, "identity", 40, NULL)) TK_CHECK(get(&again, &f.block) == RDD_OK);
  fixture_close(&again);
  f.store->drop(f.store, &f.block);
  TK_CHECK(!f.store->has(f.store, &f.block) && get(&f, &f.block) == RDD_ENOINPUT);
  fixture_close(&f);
}

/* Renamed by hand: it is not what its name says. */
static void test_misnamed(void) {
  fixture f;
  rdd_err err = {0};
  char three[PATH], four[PATH];
  if (!fixture_open(&f, "misnamed", 40, NULL)) return;
  TK_OK(put(&f, &err), &err);
  find_file(&f, three);
  strcpy(four, three);
  strcpy(strstr(four, "-3.h5"), "-4.h5");
  TK_CHECK(rename(three, four) == 0);
  f.block.partition = 4;
  TK_CHECK(f.store->has(f.store, &f.block) && get(&f, &f.block) == RDD_EIO);
  fixture_close(&f);
}

/* Another schema than the one that was put. */
static void test_other_schema(void) {
  fixture f;
  rdd_err err = {0};
  if (!fixture_open(&f, "schema", 40, NULL)) return;
  TK_OK(put(&f, &err), &err);
  strcpy(f.schema.field[4].name, "number");
  TK_CHECK(get(&f, &f.block) == RDD_EIO);
  fixture_close(&f);
}

static void test_truncated(void) {
  fixture f;
  rdd_err err = {0};
  char path[PATH];
  struct stat s;
  if (!fixture_open(&f, "truncated", 900, NULL)) return;
  for (int part = 0; part < 16; part++) {
    TK_OK(put(&f, &err), &err);
    TK_CHECK(find_file(&f, path) == 1 && stat(path, &s) == 0);
    TK_CHECK(truncate(path, s.st_size * part / 16) == 0);
    TK_CHECK(get(&f, &f.block) == RDD_EIO);
  }
  fixture_close(&f);
}

static void flip_bit(const char *path, long at) {
  FILE *raw = fopen(path, "r+b");
  if (!TK_CHECK(raw != NULL)) return;
  fseek(raw, at, SEEK_SET);
  int byte = fgetc(raw);
  fseek(raw, at, SEEK_SET);
  fputc(byte ^ 0x04, raw);
  fclose(raw);
}

/* A bit anywhere: lost, or not touched; get() compares. */
static void test_damaged_anywhere(void) {
  enum { PLACES = 400 };
  fixture f;
  rdd_err err = {0};
  char path[PATH];
  struct stat s;
  if (!fixture_open(&f, "damaged", 120, NULL)) return;
  TK_OK(put(&f, &err), &err);
  TK_CHECK(find_file(&f, path) == 1 && stat(path, &s) == 0);
  int lost = 0;
  for (int i = 0; i < PLACES; i++) {
    long at = (long)s.st_size * i / PLACES;
    flip_bit(path, at);
    rdd_status st = get(&f, &f.block);
    TK_CHECK(st == RDD_OK || st == RDD_EIO);
    if (st) lost++;
    flip_bit(path, at);
  }
  TK_CHECK(lost > PLACES / 20);
  TK_CHECK(get(&f, &f.block) == RDD_OK);
  fixture_close(&f);
}

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

static int put_to_full_disk(void *arg) {
  fixture *f = arg;
  char path[PATH];
  rdd_err err = {0};
  struct rlimit limit = {12000, 12000};
  job_output_handle_signals(); /* ignores SIGXFSZ */
  if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
  if (put(f, &err) != RDD_EIO || !strstr(err.message, f->dir)) return 2;
  return find_file(f, path) == 0 ? 0 : 3;
}

static void test_full_disk(void) {
  fixture f;
  if (!fixture_open(&f, "full", 7000, NULL)) return;
  TK_CHECK(in_child(put_to_full_disk, &f) == 0);
  fixture_close(&f);
}

static int put_once(void *arg) {
  rdd_err err = {0};
  return put(arg, &err) == RDD_OK ? 0 : 1;
}

/* A straggler and its second copy. */
static void test_put_at_once(void) {
  enum { WRITERS = 4 };
  fixture f;
  char path[PATH];
  pid_t pid[WRITERS];
  if (!fixture_open(&f, "at-once", 7000, NULL)) return;
  fflush(NULL);
  for (int i = 0; i < WRITERS; i++) {
    pid[i] = fork();
    if (pid[i] == 0) _exit(put_once(&f));
  }
  for (int i = 0; i < WRITERS; i++) {
    int status = -1;
    TK_CHECK(waitpid(pid[i], &status, 0) == pid[i] && status == 0);
  }
  TK_CHECK(find_file(&f, path) == 1 && get(&f, &f.block) == RDD_OK);
  fixture_close(&f);
}

static int die_in_put(void *arg) {
  rdd_err err = {0};
  job_output_die_past(8000);
  return put(arg, &err) == RDD_OK ? 0 : 1;
}

/* A task that is killed while it writes leaves no block, and nothing for long. */
static void test_killed_in_put(void) {
  fixture f, again;
  char path[PATH];
  if (!fixture_open(&f, "killed", 7000, NULL)) return;
  int status = in_child(die_in_put, &f);
  TK_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  TK_CHECK(get(&f, &f.block) == RDD_ENOINPUT);
  TK_CHECK(find_file(&f, path) == 1 && strstr(path, ".tmp."));
  if (fixture_open(&again, "killed", 1, NULL)) TK_CHECK(find_file(&f, path) == 0);
  fixture_close(&again);
  fixture_close(&f);
}

static void test_faults(void) {
  static const char *const fault[] = {"block,partition=3:cut=100", "block,partition=3:corrupt"};
  for (int i = 0; i < 2; i++) {
    fixture f;
    rdd_comm *comm = NULL;
    job_run *run = NULL;
    rdd_err err = {0};
    if (!TK_OK(rdd_comm_single(&comm, &err), &err)) return;
    TK_OK(job_run_open(&run, comm, "als", NULL, &fault[i], 1, &err), &err);
    if (fixture_open(&f, "fault", 500, run)) {
      TK_OK(put(&f, &err), &err);
      TK_CHECK(f.store->has(f.store, &f.block) && get(&f, &f.block) == RDD_EIO);
      f.block.partition = 2;
      TK_OK(put(&f, &err), &err);
      TK_CHECK(get(&f, &f.block) == RDD_OK);
    }
    fixture_close(&f);
    job_run_close(run, 0, NULL);
    rdd_comm_close(comm);
  }
}

static void test_remove(void) {
  fixture f;
  char path[PATH];
  rdd_err err = {0};
  if (!fixture_open(&f, "remove", 30, NULL)) return;
  for (int p = 0; p < 5; p++) {
    f.block.partition = p;
    TK_OK(put(&f, &err), &err);
  }
  TK_CHECK(find_file(&f, path) == 5);
  job_block_store_remove(f.store);
  TK_CHECK(access(f.dir, F_OK) != 0);
  fixture_close(&f);
}

static void test_out_of_memory(void) {
  fixture f;
  char path[PATH];
  rdd_err err = {0};
  if (!fixture_open(&f, "memory", 600, NULL)) return;
  rdd_status st = RDD_ENOMEM;
  int n = 0;
  while (st && n < 200) {
    rdd_memory_fail_at(++n);
    st = put(&f, &err);
    rdd_memory_fail_at(0);
    if (st) TK_CHECK(st == RDD_ENOMEM && find_file(&f, path) == 0);
  }
  TK_CHECK(n > 2 && n < 200);
  for (st = RDD_ENOMEM, n = 0; st && n < 200;) {
    rdd_memory_fail_at(++n);
    st = get(&f, &f.block);
    rdd_memory_fail_at(0);
    if (st) TK_CHECK(st == RDD_ENOMEM);
  }
  TK_CHECK(n > 8 && n < 200);
  fixture_close(&f);
}

static const tk_case cases[] = {
    {"a block comes back byte by byte", test_round_trip},
    {"a block is found by all of its name", test_identity},
    {"a block under another's name is lost", test_misnamed},
    {"a block of another schema is lost", test_other_schema},
    {"a truncated block is lost", test_truncated},
    {"a damaged block, wherever, is lost", test_damaged_anywhere},
    {"a full disk", test_full_disk},
    {"the same block put at once", test_put_at_once},
    {"a task killed while it writes", test_killed_in_put},
    {"faults on purpose damage blocks", test_faults},
    {"removing all blocks", test_remove},
    {"out of memory", test_out_of_memory},
};

int main(void) {
  return tk_main("blocks", cases, sizeof cases / sizeof cases[0]);
}
