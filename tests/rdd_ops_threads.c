/* Every transformation and action, on 1 to 4 ranks: the result is that of a plain loop, whatever
 * the number of ranks and slots. */
#include "rdd/hash.h"
#include "rdd/memory.h"
#include "rdd/row.h"
#include "tests/rdd_kit.h"
#include "tests/testkit.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { PARTITIONS = 7, ROWS = 12, ALL = PARTITIONS * ROWS };

static int64_t row_n(int64_t i) {
  return 1000 * (i / ROWS) + i % ROWS;
}

/* The digest of the numbers that a test expects, in order. */
typedef struct expected {
  uint64_t hash;
  int64_t rows;
} expected;

static void expect(expected *e, int64_t n) {
  e->hash = rdd_mix64_2(e->hash, (uint64_t)n);
  e->rows++;
}

/* Collect r with several numbers of slots, compare, release. */
static void check_rows(kit *k, rdd *r, expected e) {
  for (int slots = 1; slots <= 3 && r; slots += 2) {
    TK_CHECK(kit_collect(k, r, slots) == e.hash);
    rdd_run_opts opts = kit_opts(k, slots);
    int64_t rows = -1;
    rdd_err err;
    TK_OK(rdd_count(r, k->comm, &opts, &rows, &err), &err);
    TK_CHECK(rows == e.rows);
  }
  rdd_release(r);
}

/* ---- One row, one batch ---- */

static rdd_status doubled(void *arg, const rdd_row *in, rdd_rows *out, rdd_err *err) {
  int32_t length;
  (void)arg, (void)err;
  const char *word = rdd_row_text(in, 3, &length);
  rdd_rows_set_int(out, 0, 2 * rdd_row_int(in, 0) + length);
  rdd_rows_set_text(out, 1, "first", 5); /* the last one counts */
  rdd_rows_set_text(out, 1, word, length);
  rdd_rows_set_float(out, 2, rdd_row_float(in, 2));
  return RDD_OK;
}

static rdd_status check_doubled(void *arg, int64_t partition, const rdd_part *part, rdd_err *err) {
  int64_t *at = arg;
  (void)partition, (void)err;
  for (int64_t b = 0; b < part->batches; b++) {
    const rdd_batch *batch = &part->batch[b];
    const int64_t *n = batch->column[0].values;
    const int32_t *offsets = batch->column[1].offsets, *unset = batch->column[3].values;
    const float *x = batch->column[2].values;
    for (int64_t i = 0; i < batch->rows; i++, ++*at) {
      char word[16];
      int64_t from = row_n(*at);
      int length = snprintf(word, sizeof word, "w%d", (int)(from % 17 - 8));
      TK_CHECK(n[i] == 2 * from + length && unset[i] == 0);
      TK_CHECK(x[i] == (float)(0.1 * (double)from) && offsets[i + 1] - offsets[i] == length);
      TK_CHECK(memcmp((const char *)batch->column[1].values + offsets[i], word, (size_t)length) ==
               0);
    }
  }
  return RDD_OK;
}

static void map_by_row(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  rdd_schema schema = kit_schema_n();
  rdd *source = kit_rows(k, PARTITIONS), *mapped = NULL;
  rdd_run_opts opts = kit_opts(k, 2);
  int64_t at = 0;
  rdd_err err;
  rdd_schema_add(&schema, "word", RDD_UTF8);
  rdd_schema_add(&schema, "x", RDD_FLOAT32);
  rdd_schema_add(&schema, "unset", RDD_INT32);
  TK_OK(rdd_map(&mapped, source, "doubled", &schema, doubled, NULL, &err), &err);
  TK_OK(rdd_visit(mapped, comm, &opts, check_doubled, &at, NULL, &err), &err);
  TK_CHECK(at == (comm->rank == 0 ? ALL : 0));
  rdd_release(mapped), rdd_release(source);
  kit_free(k);
}

static rdd_status wrong_type(void *arg, const rdd_row *in, rdd_rows *out, rdd_err *err) {
  (void)err;
  if (arg)
    rdd_rows_set_int(out, 0, rdd_row_int(in, 9));
  else
    rdd_rows_set_text(out, 0, "x", 1);
  return RDD_OK;
}

static void wrong_columns_are_named(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  rdd_schema schema = kit_schema_n();
  rdd *source = kit_rows(k, 2), *r = NULL;
  rdd_run_opts opts = kit_opts(k, 1);
  int64_t rows = -1;
  rdd_err err;
  TK_OK(rdd_map(&r, source, "wrong", &schema, wrong_type, NULL, &err), &err);
  TK_CHECK(rdd_count(r, comm, &opts, &rows, &err) == RDD_EINTERNAL && rows == -1);
  TK_CHECK(strstr(err.message, "column 0 of a row is int64, and was used as text"));
  rdd_release(r);
  TK_OK(rdd_map(&r, source, "wrong", &schema, wrong_type, k, &err), &err);
  TK_CHECK(rdd_count(r, comm, &opts, &rows, &err) == RDD_EINTERNAL);
  TK_CHECK(strstr(err.message, "column 9 of a row is not there"));
  rdd_release(r), rdd_release(source);
  kit_free(k);
}

static rdd_status repeat(void *arg, const rdd_row *in, rdd_rows *out, rdd_err *err) {
  (void)arg, (void)err;
  int64_t n = rdd_row_int(in, 0);
  for (int64_t i = 0; i < n % 4; i++) {
    rdd_rows_set_int(out, 0, n + 100000 * i);
    rdd_rows_next(out);
  }
  return RDD_OK;
}

static rdd_status even_n(void *arg, const rdd_batch *in, rdd_task *task, uint8_t *keep,
                         rdd_err *err) {
  const int64_t *n = in->column[0].values;
  (void)arg, (void)task, (void)err;
  for (int64_t i = 0; i < in->rows; i++) keep[i] = n[i] % 2 == 0;
  return RDD_OK;
}

static void flat_map_and_filter(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  rdd_schema schema = kit_schema_n();
  rdd *source = kit_rows(k, PARTITIONS), *r = NULL, *even = NULL;
  expected repeated = {0}, kept = {0};
  rdd_err err;
  for (int64_t i = 0; i < ALL; i++) {
    for (int64_t j = 0; j < row_n(i) % 4; j++) expect(&repeated, row_n(i) + 100000 * j);
    if (row_n(i) % 2 == 0) expect(&kept, row_n(i));
  }
  TK_OK(rdd_flat_map(&r, source, "repeated", &schema, repeat, NULL, &err), &err);
  check_rows(k, r, repeated);
  TK_OK(rdd_filter(&even, source, "even", even_n, NULL, &err), &err);
  check_rows(k, even, kept);
  rdd_release(source);
  kit_free(k);
}

static void sample(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  rdd *source = kit_rows(k, PARTITIONS), *some = NULL, *none = NULL, *all = NULL, *r = NULL;
  expected kept = {0}, everything = {0};
  rdd_err err;
  for (int64_t i = 0; i < ALL; i++) {
    uint64_t key = rdd_mix64_2(42, (uint64_t)(i / ROWS));
    if (rdd_uniform(rdd_mix64_2(key, (uint64_t)(i % ROWS))) < 0.3) expect(&kept, row_n(i));
    expect(&everything, row_n(i));
  }
  TK_CHECK(kept.rows > ALL / 6 && kept.rows < ALL / 2);
  TK_OK(rdd_sample(&some, source, "some", 0.3, 42, &err), &err);
  TK_OK(rdd_sample(&none, source, "none", 0, 42, &err), &err);
  TK_OK(rdd_sample(&all, source, "all", 1, 42, &err), &err);
  check_rows(k, some, kept);
  check_rows(k, none, (expected){0});
  check_rows(k, all, everything);
  TK_CHECK(rdd_sample(&r, source, "much", 1.5, 1, &err) == RDD_EUSAGE && !r);
  rdd_release(source);
  kit_free(k);
}

/* ---- Several parents, other partitions ---- */

static rdd_status join_rows(void *arg, const rdd_part *const *in, rdd_task *task, rdd_err *err) {
  (void)arg;
  for (int side = 0; side < 2; side++) {
    for (int64_t b = 0; b < in[side]->batches; b++) {
      const int64_t *n = in[side]->batch[b].column[0].values;
      int64_t rows = in[side]->batch[b].rows;
      int64_t *to = rdd_task_scratch(task, (size_t)rows, sizeof *to);
      for (int64_t i = 0; i < rows; i++) to[i] = side ? -n[i] : n[i];
      rdd_batch out = {.rows = rows, .column = {{to, NULL}}};
      rdd_status st = rdd_task_emit(task, &out, err);
      if (st) return st;
    }
  }
  return RDD_OK;
}

static void union_zip_coalesce(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  rdd_schema schema = kit_schema_n();
  rdd *source = kit_rows(k, PARTITIONS), *even = NULL, *both = NULL, *zipped = NULL, *few = NULL;
  rdd *again = NULL, *other = kit_rows(k, 3);
  expected united = {0}, zip = {0}, twice = {0};
  rdd_err err;
  TK_OK(rdd_filter(&even, source, "even", even_n, NULL, &err), &err);
  TK_OK(rdd_union(&both, source, even, "both", &err), &err);
  TK_CHECK(rdd_partitions(both) == 2 * PARTITIONS);
  for (int64_t i = 0; i < 2 * ALL; i++)
    if (i < ALL || row_n(i % ALL) % 2 == 0) expect(&united, row_n(i % ALL));
  TK_OK(rdd_zip_partitions(&zipped, source, even, "zipped", &schema, join_rows, NULL, &err), &err);
  for (int64_t p = 0; p < PARTITIONS; p++) {
    for (int64_t i = p * ROWS; i < (p + 1) * ROWS; i++) expect(&zip, row_n(i));
    for (int64_t i = p * ROWS; i < (p + 1) * ROWS; i++)
      if (row_n(i) % 2 == 0) expect(&zip, -row_n(i));
  }
  /* a zip of coalesced unions: all kinds of narrow dependencies in one task */
  TK_OK(rdd_coalesce(&few, both, "few", 4, &err), &err);
  TK_CHECK(rdd_partitions(few) == 4);
  TK_OK(rdd_zip_partitions(&again, few, few, "again", &schema, join_rows, NULL, &err), &err);
  for (int64_t p = 0; p < 4; p++)
    for (int sign = 1; sign >= -1; sign -= 2)
      for (int64_t i = 14 * p / 4 * ROWS; i < 14 * (p + 1) / 4 * ROWS; i++)
        if (i < ALL || row_n(i % ALL) % 2 == 0) expect(&twice, sign * row_n(i % ALL));
  check_rows(k, rdd_retain(both), united);
  check_rows(k, rdd_retain(few), united);
  check_rows(k, rdd_retain(zipped), zip);
  check_rows(k, rdd_retain(again), twice);
  rdd *r = NULL;
  TK_CHECK(rdd_zip_partitions(&r, source, other, "x", &schema, join_rows, NULL, &err) ==
           RDD_EUSAGE);
  TK_CHECK(strstr(err.message, "7 partitions") && strstr(err.message, "3"));
  TK_CHECK(rdd_union(&r, source, zipped, "x", &err) == RDD_EUSAGE);
  TK_CHECK(rdd_coalesce(&r, source, "x", 0, &err) == RDD_EUSAGE && !r);
  TK_OK(rdd_coalesce(&r, source, "many", 100, &err), &err);
  TK_CHECK(rdd_partitions(r) == PARTITIONS);
  rdd_release(r), rdd_release(source), rdd_release(even), rdd_release(both), rdd_release(zipped);
  rdd_release(few), rdd_release(again), rdd_release(other);
  kit_free(k);
}

/* ---- The wide one ---- */

static uint64_t hash_of(bool by_word, int64_t n) {
  char word[16];
  int length = snprintf(word, sizeof word, "w%d", (int)(n % 17 - 8));
  return by_word ? rdd_hash_bytes(word, (size_t)length) : rdd_mix64((uint64_t)(n % 17 - 8));
}

static void negative_keys(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  rdd *source = kit_rows(k, PARTITIONS);
  rdd_err err;
  for (int64_t n = 1; n <= 23; n += 11) {
    for (int by_word = 0; by_word < 2; by_word++) {
      expected e = {0};
      rdd *dealt = NULL, *even = NULL, *same = NULL;
      for (int64_t p = 0; p < n; p++)
        for (int64_t i = 0; i < ALL; i++)
          if ((int64_t)(hash_of(by_word, row_n(i)) % (uint64_t)n) == p) expect(&e, row_n(i));
      const char *key = by_word ? "word" : "key";
      TK_OK(rdd_partition_by(&dealt, source, "dealt", key, n, &err), &err);
      check_rows(k, rdd_retain(dealt), e);
      /* a filter keeps the partitioner, so there is nothing to exchange */
      TK_OK(rdd_filter(&even, dealt, "even", even_n, NULL, &err), &err);
      TK_OK(rdd_partition_by(&same, even, "same", key, n, &err), &err);
      TK_CHECK(same == even);
      rdd_release(dealt), rdd_release(even), rdd_release(same);
    }
  }
  rdd *r = NULL;
  TK_CHECK(rdd_partition_by(&r, source, "x", "nobody", 3, &err) == RDD_EUSAGE);
  TK_CHECK(rdd_partition_by(&r, source, "x", "x", 3, &err) == RDD_EUSAGE);
  TK_CHECK(rdd_partition_by(&r, source, "x", "key", 0, &err) == RDD_EUSAGE && !r);
  rdd_release(source);
  kit_free(k);
}

/* Without a hash: rows go where the column says, and stand there in order. */
static void partitions_of_choice(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  rdd *source = kit_rows(k, PARTITIONS), *dealt = NULL, *again = NULL, *r = NULL;
  expected e = {0};
  rdd_err err;
  for (uint64_t p = 0; p < 5; p++)
    for (int64_t i = 0; i < ALL; i++)
      if ((uint64_t)(row_n(i) % 17 - 8) % 5 == p) expect(&e, row_n(i));
  TK_OK(rdd_partition_at(&dealt, source, "dealt", "key", 5, &err), &err);
  check_rows(k, rdd_retain(dealt), e);
  TK_OK(rdd_partition_at(&again, dealt, "again", "key", 5, &err), &err);
  TK_CHECK(again == dealt);
  TK_OK(rdd_partition_by(&r, dealt, "hashed", "key", 5, &err), &err);
  TK_CHECK(r != dealt);
  rdd_release(r), r = NULL;
  TK_CHECK(rdd_partition_at(&r, source, "x", "word", 3, &err) == RDD_EUSAGE && !r);
  rdd_release(source), rdd_release(dealt), rdd_release(again);
  kit_free(k);
}

static void co_partitioned_zip(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  rdd_schema schema = kit_schema_n();
  rdd *source = kit_rows(k, PARTITIONS), *even = NULL, *left = NULL, *right = NULL, *zipped = NULL;
  expected e = {0};
  rdd_err err;
  TK_OK(rdd_filter(&even, source, "even", even_n, NULL, &err), &err);
  TK_OK(rdd_partition_by(&left, source, "left", "key", 5, &err), &err);
  TK_OK(rdd_partition_by(&right, even, "right", "key", 5, &err), &err);
  TK_OK(rdd_zip_partitions(&zipped, left, right, "zipped", &schema, join_rows, NULL, &err), &err);
  for (uint64_t p = 0; p < 5; p++)
    for (int sign = 1; sign >= -1; sign -= 2)
      for (int64_t i = 0; i < ALL; i++)
        if (hash_of(false, row_n(i)) % 5 == p && (sign > 0 || row_n(i) % 2 == 0))
          expect(&e, sign * row_n(i));
  check_rows(k, zipped, e);
  rdd_release(source), rdd_release(even), rdd_release(left), rdd_release(right);
  kit_free(k);
}

/* ---- Actions ---- */

static void take(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  rdd *source = kit_rows(k, PARTITIONS);
  rdd_run_opts opts = kit_opts(k, 2);
  rdd_err err;
  for (int64_t n = 0; n <= ALL + 1; n += n < 3 ? 1 : 17) {
    rdd_part part = {0};
    expected e = {0};
    int64_t rows = -1;
    kit_reset(k);
    if (!TK_OK(rdd_take(source, comm, &opts, n, &part, &err), &err)) break;
    for (int64_t i = 0; i < n && i < ALL; i++) expect(&e, row_n(i));
    TK_CHECK(kit_digest(&part, &rows) == e.hash && rows == e.rows);
    if (n > 0 && n <= ROWS) TK_CHECK(kit_runs(k, -1) == 1); /* only what is needed */
    rdd_part_close(&part);
  }
  rdd_part part = {0};
  TK_CHECK(rdd_take(source, comm, &opts, -1, &part, &err) == RDD_EUSAGE);
  rdd_release(source);
  kit_free(k);
}

static void add_double(void *arg, void *acc, const void *value) {
  (void)arg;
  double a, b;
  memcpy(&a, acc, sizeof a);
  memcpy(&b, value, sizeof b);
  a += b;
  memcpy(acc, &a, sizeof a);
}

typedef struct stats {
  int64_t rows;
  double sum;
} stats;

static void add_stats(void *arg, void *state, const rdd_batch *batch) {
  stats *s = state;
  const double *x = batch->column[2].values;
  (void)arg;
  for (int64_t i = 0; i < batch->rows; i++) s->rows++, s->sum += x[i];
}

static void merge_stats(void *arg, void *state, const void *other) {
  stats *s = state, from;
  (void)arg;
  memcpy(&from, other, sizeof from);
  s->rows += from.rows;
  s->sum += from.sum;
}

static void floats_do_not_depend_on_ranks(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  rdd *source = kit_rows(k, PARTITIONS), *none = NULL;
  double expected_sum = 0;
  rdd_err err;
  for (int64_t p = 0; p < PARTITIONS; p++) {
    double sum = 0;
    for (int64_t i = p * ROWS; i < (p + 1) * ROWS; i++) sum += 0.1 * (double)row_n(i);
    expected_sum += sum;
  }
  for (int slots = 1; slots < 4; slots++) {
    rdd_run_opts opts = kit_opts(k, slots);
    rdd_aggregate_fns fns = {.add = add_stats, .merge = merge_stats};
    double sum = -1;
    stats s = {0};
    TK_OK(rdd_reduce(source, comm, &opts, "x", add_double, NULL, &sum, &err), &err);
    TK_CHECK(memcmp(&sum, &expected_sum, sizeof sum) == 0);
    TK_OK(rdd_aggregate(source, comm, &opts, &fns, &s, sizeof s, &err), &err);
    TK_CHECK(s.rows == ALL && memcmp(&s.sum, &expected_sum, sizeof s.sum) == 0);
  }
  rdd_run_opts opts = kit_opts(k, 1);
  double sum = -1;
  TK_OK(rdd_sample(&none, source, "none", 0, 1, &err), &err);
  TK_CHECK(rdd_reduce(none, comm, &opts, "x", add_double, NULL, &sum, &err) == RDD_EUSAGE);
  TK_CHECK(strstr(err.message, "empty collection") && sum == -1);
  TK_CHECK(rdd_reduce(source, comm, &opts, "word", add_double, NULL, &sum, &err) == RDD_EUSAGE);
  rdd_release(none), rdd_release(source);
  kit_free(k);
}

static rdd_status count_outside(void *arg, const rdd_part *const *in, rdd_task *task,
                                rdd_err *err) {
  int64_t *outside = arg;
  (void)task, (void)err;
  __atomic_add_fetch(outside, in[0]->rows, __ATOMIC_SEQ_CST);
  return RDD_OK;
}

static void foreach_partition(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  rdd *source = kit_rows(k, PARTITIONS);
  rdd_run_opts opts = kit_opts(k, 2);
  int64_t *outside = mmap(NULL, sizeof *outside, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                          -1, 0);
  rdd_err err;
  TK_OK(rdd_foreach_partition(source, comm, &opts, count_outside, outside, &err), &err);
  int64_t all = *outside;
  rdd_allreduce(comm, &all, 1, RDD_SUM);
  TK_CHECK(all == ALL);
  munmap(outside, sizeof *outside);
  rdd_release(source);
  kit_free(k);
}

static void some_and_invalid_partitions(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  rdd *source = kit_rows(k, PARTITIONS);
  rdd_run_opts opts = kit_opts(k, 2);
  rdd_parts *parts = NULL;
  const int64_t some[] = {1, 5}, bad[] = {2, PARTITIONS}, negative[] = {-1};
  rdd_err err;
  if (TK_OK(rdd_compute_some(source, comm, &opts, some, 2, &parts, NULL, &err), &err)) {
    int64_t mine[2] = {parts->n, 0};
    for (int64_t i = 0; i < parts->n; i++) mine[1] += parts->number[i];
    rdd_allreduce(comm, mine, 2, RDD_SUM);
    TK_CHECK(mine[0] == 2 && mine[1] == 6 && kit_runs(k, -1) == 2);
  }
  rdd_parts_free(parts);
  parts = NULL;
  TK_CHECK(rdd_compute_some(source, comm, &opts, bad, 2, &parts, NULL, &err) == RDD_EUSAGE);
  TK_CHECK(strstr(err.message, "rows has no partition 7: expected 0 to 6") && !parts);
  TK_CHECK(rdd_compute_some(source, comm, &opts, negative, 1, &parts, NULL, &err) == RDD_EUSAGE);
  rdd_release(source);
  kit_free(k);
}

static void zero_partitions(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  kit *k = kit_new(comm);
  rdd_schema schema = kit_schema_n();
  rdd *nothing = kit_rows(k, 0), *r[6] = {NULL};
  rdd_store *store = kit_store_new("zero");
  rdd_run_opts opts = kit_opts(k, 2);
  rdd_err err;
  TK_OK(rdd_map(&r[0], nothing, "map", &schema, repeat, NULL, &err), &err);
  TK_OK(rdd_filter(&r[1], nothing, "filter", even_n, NULL, &err), &err);
  TK_OK(rdd_union(&r[2], nothing, nothing, "union", &err), &err);
  TK_OK(rdd_coalesce(&r[3], nothing, "coalesce", 3, &err), &err);
  TK_OK(rdd_partition_by(&r[4], nothing, "partition by", "key", 3, &err), &err);
  TK_OK(rdd_zip_partitions(&r[5], nothing, r[2], "zip", &schema, join_rows, NULL, &err), &err);
  for (int i = 0; i < 6; i++) {
    TK_CHECK(rdd_partitions(r[i]) == (i == 4 ? 3 : 0));
    TK_OK(rdd_persist(r[i], RDD_LEVEL_MEMORY, NULL, 0, &err), &err);
    TK_OK(rdd_checkpoint(r[i], comm, &opts, store, 1, &err), &err);
    check_rows(k, r[i], (expected){0});
  }
  kit_store_free(store);
  rdd_release(nothing);
  kit_free(k);
}

/* ---- Who computes what ---- */

static void idle_ranks_take_over(rdd_comm *comm) {
  if (!KIT_FORKS || comm->size == 1) return;
  enum { MANY = 16 };
  kit *k = kit_new(comm);
  rdd *source = kit_rows(k, MANY);
  rdd_run_opts opts = kit_opts(k, 1);
  rdd_parts *parts = NULL;
  expected e = {0};
  rdd_err err;
  k->slow_below = MANY / comm->size; /* rank 0's are slow */
  k->slow_seconds = 0.1;
  if (TK_OK(rdd_compute(source, comm, &opts, &parts, NULL, &err), &err)) {
    int64_t taken = 0, n = parts->n;
    for (int64_t i = 0; i < parts->n; i++)
      taken += comm->rank != 0 && parts->number[i] < MANY / comm->size;
    rdd_allreduce(comm, &taken, 1, RDD_SUM);
    rdd_allreduce(comm, &n, 1, RDD_SUM);
    TK_CHECK(n == MANY && kit_runs(k, -1) == MANY);
    TK_CHECK(taken > 0);
  }
  rdd_parts_free(parts);
  for (int64_t i = 0; i < MANY * ROWS; i++) expect(&e, row_n(i));
  check_rows(k, source, e);
  kit_free(k);
}

int main(void) {
  static const tk_comm_case cases[] = {
      {"map, row by row", map_by_row},
      {"wrong columns are named", wrong_columns_are_named},
      {"flat_map and filter", flat_map_and_filter},
      {"sample: the same rows at each run", sample},
      {"union, zip and coalesce", union_zip_coalesce},
      {"PairRDDFunctionsSuite: partition_by with negative keys, and text", negative_keys},
      {"partition_at sends rows to the partition that a column tells", partitions_of_choice},
      {"RDDSuite: zip of co-partitioned RDDs", co_partitioned_zip},
      {"RDDSuite: take", take},
      {"reduce and aggregate: floats do not depend on ranks", floats_do_not_depend_on_ranks},
      {"foreach_partition", foreach_partition},
      {"RDDSuite: some partitions, and runJob on an invalid partition",
       some_and_invalid_partitions},
      {"PairRDDFunctionsSuite, CheckpointSuite: zero-partition RDD", zero_partitions},
      {"idle ranks take partitions of busy ones", idle_ranks_take_over},
  };
  return tk_threads_main("rdd_ops_threads", cases, sizeof cases / sizeof cases[0]);
}
