/* See split_rule.h. */
#include "jobs/split_rule.h"

#include "jobs/number.h"
#include "rdd/hash.h"
#include "rdd/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Where the test part of a user begins: ratings from (time, hash) on. */
typedef struct first {
  int64_t time;
  uint64_t hash;
  int64_t tests; /* 0: there are none */
} first;

static uint64_t hash_id(rdd_type type, const rdd_column *c, int64_t row) {
  if (type == RDD_INT64) return rdd_mix64((uint64_t)((const int64_t *)c->values)[row]);
  const char *text = c->values;
  int32_t begin = c->offsets[row], end = c->offsets[row + 1];
  return rdd_hash_bytes(text + begin, (size_t)(end - begin));
}

static uint64_t hash_pair(const rdd_schema *schema, const rdd_batch *batch, int64_t row,
                          uint64_t seed) {
  uint64_t user = hash_id(schema->field[0].type, &batch->column[0], row);
  uint64_t item = hash_id(schema->field[1].type, &batch->column[1], row);
  return rdd_mix64_2(rdd_mix64_2(user, item), seed);
}

double job_split_share(const rdd_schema *schema, const rdd_batch *batch, int64_t row,
                       uint64_t seed) {
  return rdd_uniform(hash_pair(schema, batch, row, seed));
}

int job_split_fold(double share, int folds) {
  return (int)(share * folds); /* a share is at most 1 - 2^-53, so this stays below */
}

static int64_t time_of(const job_split_rule *rule, const rdd_batch *batch, int64_t row) {
  int c = rdd_schema_find(&rule->schema, "timestamp");
  return c < 0 ? 0 : ((const int64_t *)batch->column[c].values)[row];
}

static bool not_before(int64_t time, uint64_t hash, const first *from) {
  return time != from->time ? time > from->time : hash >= from->hash;
}

bool job_split_is_test(const job_split_rule *rule, const rdd_batch *batch, int64_t row) {
  if (rule->kind == JOB_SPLIT_TIME) return time_of(rule, batch, row) > rule->last;
  if (rule->kind == JOB_SPLIT_LEAVE_OUT) {
    int64_t u = als_ids_find(rule->users, &batch->column[0], row);
    const first *from = (const first *)rdd_table_data(rule->first) + u;
    return u >= 0 && from->tests > 0 &&
           not_before(rule->by_time ? time_of(rule, batch, row) : 0,
                      hash_pair(&rule->schema, batch, row, rule->seed), from);
  }
  double share = job_split_share(&rule->schema, batch, row, rule->seed);
  if (rule->kind == JOB_SPLIT_FOLD) return job_split_fold(share, rule->folds) == rule->fold;
  return share < rule->fraction;
}

/* ---- Options ---- */

static rdd_status read_moment(const char *text, job_split_rule *rule, rdd_err *err) {
  size_t n = strlen(text);
  double share;
  int64_t moment;
  rule->kind = JOB_SPLIT_TIME;
  if (job_parse_double(text, n, &share) == JOB_NUMBER_OK && share > 0 && share < 1) {
    rule->fraction = share;
    return RDD_OK;
  }
  if (job_parse_time(text, n, &moment) != JOB_NUMBER_OK || moment == INT64_MIN)
    return rdd_set(err, RDD_EUSAGE,
                   "--time-split '%s' is neither a share between 0 and 1 nor a moment, as "
                   "2006-01-31, '2006-01-31 12:00:00' or seconds since 1970",
                   text);
  rule->has_moment = true;
  rule->last = moment - 1;
  return RDD_OK;
}

rdd_status job_split_read(const job_args *args, job_split_rule *out, rdd_err *err) {
  static const char *const rule[] = {"test-fraction", "leave-out", "time-split", "folds"};
  const char *chosen = NULL;
  for (size_t i = 0; i < sizeof rule / sizeof *rule; i++) {
    if (!job_given(args, rule[i])) continue;
    if (chosen)
      return rdd_set(err, RDD_EUSAGE, "--%s and --%s are two ways to split; give one", chosen,
                     rule[i]);
    chosen = rule[i];
  }
  job_split_rule r = {.kind = JOB_SPLIT_FRACTION,
                      .seed = (uint64_t)job_int(args, "seed"),
                      .fraction = job_real(args, "test-fraction"),
                      .by_time = job_flag(args, "by-time")};
  if (job_given(args, "leave-out")) {
    r.kind = JOB_SPLIT_LEAVE_OUT;
    r.leave_out = job_int(args, "leave-out");
  } else if (r.by_time) {
    return rdd_set(err, RDD_EUSAGE, "--by-time goes with --leave-out; see --time-split");
  }
  if (job_given(args, "folds")) {
    r.kind = JOB_SPLIT_FOLD;
    r.folds = (int)job_int(args, "folds");
  }
  if (job_given(args, "time-split")) {
    rdd_status st = read_moment(job_string(args, "time-split"), &r, err);
    if (st) return st;
  }
  *out = r;
  return RDD_OK;
}

/* ---- The first look: what a rule has to know of every rating ---- */

/* user, hash and time of each rating. Runs in a task. */
static rdd_status project(void *arg, const rdd_batch *in, rdd_task *task, rdd_batch *out,
                          rdd_err *err) {
  const job_split_rule *rule = arg;
  size_t n = (size_t)in->rows;
  int64_t *hash = rdd_task_scratch(task, n, sizeof *hash);
  int64_t *time = rdd_task_scratch(task, n, sizeof *time);
  if (!hash || !time) return rdd_set(err, RDD_ENOMEM, "out of memory for %zu ratings", n);
  for (int64_t i = 0; i < in->rows; i++) {
    hash[i] = (int64_t)hash_pair(&rule->schema, in, i, rule->seed);
    time[i] = rule->by_time ? time_of(rule, in, i) : 0;
  }
  out->rows = in->rows;
  out->column[0] = in->column[0];
  out->column[1].values = hash;
  out->column[2].values = time;
  return RDD_OK;
}

/* Its time alone. */
static rdd_status project_time(void *arg, const rdd_batch *in, rdd_task *task, rdd_batch *out,
                               rdd_err *err) {
  const job_split_rule *rule = arg;
  (void)task, (void)err;
  out->rows = in->rows;
  out->column[0] = in->column[rdd_schema_find(&rule->schema, "timestamp")];
  return RDD_OK;
}

/* Compute what fn makes of the ratings; each partition stays where it is. Collective. */
static rdd_status look(job_split_rule *rule, job *j, rdd *ratings, rdd_batch_fn fn,
                       const rdd_schema *schema, rdd_parts **parts_out, rdd_err *err) {
  rdd *narrow = NULL;
  rdd_run_opts opts = job_run_opts(j, "looking at times");
  rdd_status st = rdd_map_batches(&narrow, ratings, "look", schema, fn, rule, err);
  st = rdd_agree(j->comm, st, err);
  if (!st) st = rdd_compute(narrow, j->comm, &opts, parts_out, NULL, err);
  rdd_release(narrow);
  return st;
}

/* ---- The last moment of the training part ---- */

/* Ratings later than `moment`, over all ranks. Collective. */
static int64_t count_later(rdd_comm *comm, const rdd_parts *parts, int64_t moment) {
  int64_t n = 0;
  for (int64_t p = 0; p < parts->n; p++)
    for (int64_t b = 0; b < parts->part[p].batches; b++) {
      const rdd_batch *batch = &parts->part[p].batch[b];
      const int64_t *time = batch->column[0].values;
      for (int64_t i = 0; i < batch->rows; i++) n += time[i] > moment;
    }
  rdd_allreduce(comm, &n, 1, RDD_SUM);
  return n;
}

/* The earliest moment after which there is no more than the fraction: by bisection. Ratings of one moment
 * stay together. */
static rdd_status find_last(job_split_rule *rule, job *j, rdd *ratings, rdd_err *err) {
  rdd_schema schema = {0};
  rdd_parts *parts = NULL;
  int64_t range[2] = {INT64_MAX, INT64_MAX}, n = 0; /* the lowest, and minus the highest less 1 */
  rdd_schema_add(&schema, "timestamp", RDD_INT64);
  rdd_status st = look(rule, j, ratings, project_time, &schema, &parts, err);
  if (st) return st;
  for (int64_t p = 0; p < parts->n; p++)
    for (int64_t b = 0; b < parts->part[p].batches; b++) {
      const rdd_batch *batch = &parts->part[p].batch[b];
      const int64_t *time = batch->column[0].values;
      n += batch->rows;
      for (int64_t i = 0; i < batch->rows; i++) {
        if (time[i] < range[0]) range[0] = time[i];
        if (~time[i] < range[1]) range[1] = ~time[i];
      }
    }
  rdd_allreduce(j->comm, range, 2, RDD_MIN);
  rdd_allreduce(j->comm, &n, 1, RDD_SUM);
  int64_t low = range[0], high = ~range[1];
  while (n > 0 && low < high) {
    int64_t middle = low + (int64_t)(((uint64_t)high - (uint64_t)low) / 2);
    if ((double)count_later(j->comm, parts, middle) <= rule->fraction * (double)n)
      high = middle;
    else
      low = middle + 1;
  }
  rule->last = high;
  rdd_parts_free(parts);
  return RDD_OK;
}

/* ---- The first test rating of each user ---- */

typedef struct seen {
  int64_t user, time;
  uint64_t hash;
} seen;

static int by_user_and_time(const void *a, const void *b) {
  const seen *x = a, *y = b;
  if (x->user != y->user) return x->user < y->user ? -1 : 1;
  if (x->time != y->time) return x->time < y->time ? -1 : 1;
  return (x->hash > y->hash) - (x->hash < y->hash);
}

static int64_t first_user(const rdd_comm *comm, int rank, int64_t users) {
  return users / comm->size * rank + users % comm->size * rank / comm->size;
}

/* The rank whose users are at [first_user(r), first_user(r + 1)). */
static int owner_of(const rdd_comm *comm, int64_t user, int64_t users) {
  int low = 0, high = comm->size;
  while (high - low > 1) {
    int middle = low + (high - low) / 2;
    if (first_user(comm, middle, users) <= user)
      low = middle;
    else
      high = middle;
  }
  return low;
}

/* This rank's ratings, those for rank 0 first. counts is [4][size]: bytes and places to send, then to
 * receive. Not collective. */
static rdd_status sort_out(const job_split_rule *rule, const rdd_comm *comm, const rdd_parts *parts,
                           int64_t *counts, seen **out, rdd_err *err) {
  const als_ids *users = rule->users;
  int64_t rows = 0, at = 0, *n = counts, *place = counts + comm->size;
  for (int64_t p = 0; p < parts->n; p++) rows += parts->part[p].rows;
  seen *all = rdd_alloc((size_t)rows, sizeof *all);
  int64_t *user = rdd_alloc((size_t)rows, sizeof *user);
  if (!all || !user) {
    rdd_free(all);
    rdd_free(user);
    return rdd_set(err, RDD_ENOMEM, "out of memory for %" PRId64 " ratings", rows);
  }
  memset(n, 0, (size_t)comm->size * sizeof *n);
  for (int pass = 0; pass < 2; pass++) {
    at = 0;
    for (int64_t p = 0; p < parts->n; p++)
      for (int64_t b = 0; b < parts->part[p].batches; b++) {
        const rdd_batch *batch = &parts->part[p].batch[b];
        const int64_t *hash = batch->column[1].values, *time = batch->column[2].values;
        for (int64_t i = 0; i < batch->rows; i++, at++) {
          if (pass == 0) user[at] = als_ids_find(users, &batch->column[0], i);
          int r = owner_of(comm, user[at], users->n);
          if (pass == 0)
            n[r]++;
          else
            all[place[r]++] = (seen){user[at], time[i], (uint64_t)hash[i]};
        }
      }
    if (pass == 0) {
      for (int r = 0; r < comm->size; r++) place[r] = r ? place[r - 1] + n[r - 1] : 0;
    }
  }
  for (int r = 0; r < comm->size; r++) {
    place[r] = (place[r] - n[r]) * (int64_t)sizeof *all;
    n[r] *= (int64_t)sizeof *all;
  }
  rdd_free(user);
  *out = all;
  return RDD_OK;
}

/* One user's ratings, sorted: the last of them, but never all, and those that look alike together. */
static first first_of(const seen *s, int64_t n, int64_t leave_out) {
  int64_t at = n - (leave_out < n ? leave_out : n - 1);
  while (at < n && s[at].time == s[at - 1].time && s[at].hash == s[at - 1].hash) at++;
  return at < n ? (first){s[at].time, s[at].hash, n - at} : (first){0};
}

/* Own users' ratings have come. */
static void fill_first(job_split_rule *rule, const rdd_comm *comm, seen *s, int64_t n) {
  first *table = rdd_table_data(rule->first);
  int64_t whole = first_user(comm, comm->rank + 1, rule->users->n) -
                  first_user(comm, comm->rank, rule->users->n);
  qsort(s, (size_t)n, sizeof *s, by_user_and_time);
  for (int64_t begin = 0, end; begin < n; begin = end) {
    for (end = begin + 1; end < n && s[end].user == s[begin].user;) end++;
    table[s[begin].user] = first_of(s + begin, end - begin, rule->leave_out);
    whole -= table[s[begin].user].tests > 0;
  }
  rule->users_whole = whole;
}

static rdd_status find_first(job_split_rule *rule, job *j, rdd *ratings, rdd_err *err) {
  rdd_comm *comm = j->comm;
  size_t size = (size_t)comm->size;
  rdd_schema schema = {0};
  rdd_parts *parts = NULL;
  seen *out = NULL, *in = NULL;
  int64_t *counts = NULL, bytes = 0;
  rdd_schema_add(&schema, "user", rule->schema.field[0].type);
  rdd_schema_add(&schema, "hash", RDD_INT64);
  rdd_schema_add(&schema, "timestamp", RDD_INT64);
  rdd_status st = look(rule, j, ratings, project, &schema, &parts, err);
  if (!st) st = als_ids_build(comm, parts, 0, &rule->users, err);
  if (!st) st = rdd_table_new(comm, (size_t)rule->users->n * sizeof(first), &rule->first, err);
  if (st) goto done;
  counts = rdd_alloc(size + 1, 4 * sizeof *counts);
  if (!counts) st = rdd_set(err, RDD_ENOMEM, "out of memory for the counts of %zu ranks", size);
  if (!st) st = sort_out(rule, comm, parts, counts, &out, err);
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  int64_t *come = counts + 2 * size, *place = counts + 3 * size;
  rdd_alltoall(comm, counts, come);
  for (size_t r = 0; r < size; r++) {
    place[r] = bytes;
    bytes += come[r];
  }
  in = rdd_alloc((size_t)bytes, 1);
  if (!in) st = rdd_set(err, RDD_ENOMEM, "out of memory for %" PRId64 " bytes of ratings", bytes);
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  rdd_alltoallv(comm, out, counts, counts + size, in, come, place);
  fill_first(rule, comm, in, bytes / (int64_t)sizeof *in);
  for (int r = 0; r <= comm->size; r++)
    counts[r] = first_user(comm, r, rule->users->n) * (int64_t)sizeof(first);
  rdd_table_sync(rule->first, counts);
  rdd_allreduce(comm, &rule->users_whole, 1, RDD_SUM);
done:
  rdd_free(in);
  rdd_free(out);
  rdd_free(counts);
  rdd_parts_free(parts);
  return st;
}

rdd_status job_split_prepare(job_split_rule *rule, job *j, rdd *ratings, rdd_err *err) {
  bool timed = rule->kind == JOB_SPLIT_TIME || rule->by_time;
  if (timed && rdd_schema_find(&rule->schema, "timestamp") < 0)
    return rdd_set(err, RDD_EUSAGE, "--%s needs timestamps, and these ratings have none",
                   rule->by_time ? "by-time" : "time-split");
  if (rule->kind == JOB_SPLIT_TIME && !rule->has_moment) return find_last(rule, j, ratings, err);
  if (rule->kind == JOB_SPLIT_LEAVE_OUT) return find_first(rule, j, ratings, err);
  return RDD_OK;
}

void job_split_reset(job_split_rule *rule) {
  als_ids_free(rule->users);
  rdd_table_free(rule->first);
  rule->users = NULL;
  rule->first = NULL;
}
