/* What `als plan` goes by: numbers of ratings, counted or made, and the rates of this machine. */
#include "jobs/plan_impl.h"

#include "jobs/dictionary.h"
#include "rdd/clock.h"
#include "rdd/hash.h"
#include "rdd/memory.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { MADE_ROWS = 1 << 20 }; /* of the partition that the hand-off is timed with */

/* ---- Counting ---- */

typedef struct tally {
  rdd_type type[2];
  job_dictionary *known[2];
  int64_t *count[2], room[2]; /* ratings of each code */
  int64_t *code;              /* [RDD_BATCH_ROWS] scratch */
  int64_t rows, bytes, text[2];
  int64_t runs; /* of users: ratings whose user is not that of the rating before */
  int64_t last;
} tally;

static rdd_status count_column(tally *t, const rdd_batch *batch, int side, rdd_err *err) {
  const rdd_column *column = &batch->column[side];
  rdd_status st = job_dictionary_add(t->known[side], column, batch->rows, t->code, err);
  if (st) return st;
  int64_t distinct = job_dictionary_count(t->known[side]);
  if (distinct > t->room[side]) {
    int64_t room = distinct + distinct / 2;
    int64_t *more = rdd_realloc(t->count[side], (size_t)room, sizeof *more);
    if (!more)
      return rdd_set(err, RDD_ENOMEM, "out of memory for the numbers of ratings of %" PRId64 " ids",
                     distinct);
    memset(more + t->room[side], 0, (size_t)(room - t->room[side]) * sizeof *more);
    t->count[side] = more;
    t->room[side] = room;
  }
  for (int64_t i = 0; i < batch->rows; i++) {
    int64_t *count = &t->count[side][t->code[i]];
    if (*count == 0 && t->type[side] == RDD_UTF8)
      t->text[side] += column->offsets[i + 1] - column->offsets[i];
    ++*count;
    if (side != ALS_USERS) continue;
    t->runs += t->code[i] != t->last;
    t->last = t->code[i];
  }
  return RDD_OK;
}

static rdd_status count_part(void *arg, int64_t partition, const rdd_part *part, rdd_err *err) {
  tally *t = arg;
  rdd_status st = RDD_OK;
  (void)partition;
  t->rows += part->rows;
  t->bytes += (int64_t)part->size;
  for (int64_t b = 0; b < part->batches && !st; b++)
    for (int side = 0; side < 2 && !st; side++) st = count_column(t, &part->batch[b], side, err);
  return st;
}

/* From what was counted to the problem's shape. Rank 0. */
static rdd_status take_tally(planning *p, tally *t, rdd_err *err) {
  rdd_status st = RDD_OK;
  if (t->rows == 0) return rdd_set(err, RDD_EDATA, "%s: no ratings", job_input_describe(p->input));
  p->count = t->rows;
  p->problem.partition_bytes = (double)t->bytes / (double)t->rows;
  for (int side = 0; side < 2 && !st; side++) {
    int64_t n = p->rows[side] = job_dictionary_count(t->known[side]);
    p->problem.id_bytes[side] = 8 + (double)t->text[side] / (double)n;
    st = als_degrees_count(&p->problem.side[side], t->count[side], n, err);
  }
  p->problem.by_user = t->runs < 2 * p->rows[ALS_USERS];
  return st;
}

static rdd_status count_file(planning *p, rdd_err *err) {
  job *j = p->j;
  rdd *source = job_input_rdd(p->input);
  const rdd_schema *schema = rdd_schema_of(source);
  tally t = {.type = {schema->field[0].type, schema->field[1].type}, .last = -1};
  rdd_counters counters;
  rdd_status st = RDD_OK;
  t.code = rdd_alloc(RDD_BATCH_ROWS, sizeof *t.code);
  if (!t.code) st = rdd_set(err, RDD_ENOMEM, "out of memory to count ratings");
  for (int side = 0; side < 2 && !st; side++)
    st = job_dictionary_new(&t.known[side], t.type[side], err);
  st = rdd_agree(j->comm, st, err);
  if (st) goto done;
  rdd_run_opts opts = job_run_opts(j, "counting");
  st = rdd_visit(source, j->comm, &opts, count_part, &t, &counters, err);
  if (!st) st = job_input_check(p->input, &counters, err);
  if (!st && j->comm->rank == 0) st = take_tally(p, &t, err);
  st = rdd_agree(j->comm, st, err);
done:
  for (int side = 0; side < 2; side++) {
    job_dictionary_free(t.known[side]);
    rdd_free(t.count[side]);
  }
  rdd_free(t.code);
  return st;
}

/* ---- Or made from three numbers ---- */

static rdd_status take_options(planning *p, rdd_err *err) {
  static const char *const name[3] = {"users", "items", "ratings"};
  int64_t value[3];
  for (int i = 0; i < 3; i++) {
    if (!job_given(p->args, name[i]))
      return rdd_set(err, RDD_EUSAGE,
                     "give a file of ratings, or --users, --items and --ratings; --%s is missing",
                     name[i]);
    value[i] = job_int(p->args, name[i]);
  }
  p->rows[ALS_USERS] = value[0];
  p->rows[ALS_ITEMS] = value[1];
  p->count = value[2];
  if ((double)p->count > (double)value[0] * (double)value[1])
    return rdd_set(err, RDD_EUSAGE,
                   "--ratings %" PRId64 " is more than %" PRId64 " users x %" PRId64 " items",
                   p->count, value[0], value[1]);
  if (p->count < value[0] || p->count < value[1])
    return rdd_set(err, RDD_EUSAGE,
                   "--ratings %" PRId64 " is less than the %s; each has at least one", p->count,
                   p->count < value[0] ? "users" : "items");
  p->problem.partition_bytes = 20; /* two integer ids and a float */
  p->problem.id_bytes[0] = p->problem.id_bytes[1] = 8;
  rdd_status st = RDD_OK;
  for (int side = 0; side < 2 && !st; side++)
    st = als_degrees_model(&p->problem.side[side], side, p->rows[side], p->rows[!side],
                           (double)p->count, err);
  return st;
}

rdd_status job_plan_read(planning *p, rdd_err *err) {
  job *j = p->j;
  rdd_status st = RDD_OK;
  if (!p->ratings) {
    st = rdd_agree(j->comm, take_options(p, err), err);
  } else {
    for (int i = 0; i < 3 && !st; i++) {
      static const char *const name[3] = {"users", "items", "ratings"};
      if (job_given(p->args, name[i]))
        st = rdd_set(err, RDD_EUSAGE, "--%s is counted in %s; leave one of the two", name[i],
                     p->ratings);
    }
    st = rdd_agree(j->comm, st, err);
    if (!st) st = count_file(p, err);
  }
  if (st) return st;
  p->problem.ratings = (double)p->count;
  return RDD_OK;
}

/* ---- Rates ---- */

/* A partition of made ratings, users in an order as in most files. */
static rdd_status make_ratings(void *arg, int64_t partition, rdd_task *task, rdd_err *err) {
  const planning *p = arg;
  int64_t *user = rdd_alloc(RDD_BATCH_ROWS, sizeof *user);
  int64_t *item = rdd_alloc(RDD_BATCH_ROWS, sizeof *item);
  float *rating = rdd_alloc(RDD_BATCH_ROWS, sizeof *rating);
  rdd_status st = RDD_OK;
  (void)partition;
  if (!user || !item || !rating) st = rdd_set(err, RDD_ENOMEM, "out of memory for made ratings");
  int64_t each = p->count / p->rows[ALS_USERS];
  for (int64_t first = 0; first < MADE_ROWS && !st; first += RDD_BATCH_ROWS) {
    for (int64_t i = 0; i < RDD_BATCH_ROWS; i++) {
      user[i] = (first + i) / each;
      item[i] = (int64_t)(rdd_mix64((uint64_t)(first + i)) % (uint64_t)p->rows[ALS_ITEMS]);
      rating[i] = (float)(1 + i % 5);
    }
    rdd_batch batch = {.rows = RDD_BATCH_ROWS};
    batch.column[0].values = user;
    batch.column[1].values = item;
    batch.column[2].values = rating;
    st = rdd_task_emit(task, &batch, err);
  }
  rdd_free(user);
  rdd_free(item);
  rdd_free(rating);
  return st;
}

/* From a partition to both sides, on one rank. */
static rdd_status hand_over(rdd_comm *comm, rdd_parts *parts, int k, rdd_err *err) {
  als_ids *ids[2] = {NULL, NULL};
  als_side by_user = {.rows = 0}, by_item = {.rows = 0};
  int64_t cold;
  rdd_status st = RDD_OK;
  for (int side = 0; side < 2 && !st; side++)
    st = als_ids_build(comm, parts, side, &ids[side], err);
  const als_ids *const both[2] = {ids[0], ids[1]};
  if (!st) st = als_side_build(comm, parts, ALS_USERS, both, NULL, k, 0, &by_user, &cold, err);
  if (!st) st = als_side_transpose(comm, &by_user, ids[1]->n, k, 0, &by_item, err);
  als_side_reset(&by_user);
  als_side_reset(&by_item);
  for (int side = 0; side < 2; side++) als_ids_free(ids[side]);
  return st;
}

/* One partition, of the file or made: read by one task, and handed over. */
static rdd_status time_hand_off(planning *p, rdd_comm *comm, rdd_err *err) {
  static const int64_t first[1] = {0};
  rdd *source = NULL;
  rdd_parts *parts = NULL;
  rdd_schema schema = {0};
  rdd_schema_add(&schema, "user", RDD_INT64);
  rdd_schema_add(&schema, "item", RDD_INT64);
  rdd_schema_add(&schema, "rating", RDD_FLOAT32);
  rdd_status st = RDD_OK;
  if (!p->input) st = rdd_source(&source, "made ratings", 1, &schema, make_ratings, p, err);
  if (st) return st;
  rdd_run_opts opts = job_run_opts(p->j, "timing");
  opts.progress = NULL;
  double begin = rdd_seconds();
  st = rdd_compute_some(p->input ? job_input_rdd(p->input) : source, comm, &opts, first, 1, &parts,
                        NULL, err);
  double read = rdd_seconds();
  int64_t rows = 0;
  for (int64_t i = 0; !st && i < parts->n; i++) rows += parts->part[i].rows;
  if (!st && rows > 0) st = hand_over(comm, parts, p->problem.params.rank, err);
  if (!st && rows > 0) {
    p->problem.reading = (read - begin) / (double)rows;
    p->problem.hand_off = (rdd_seconds() - read) / (double)rows;
  }
  rdd_parts_free(parts);
  rdd_release(source);
  return st;
}

rdd_status job_plan_measure(planning *p, rdd_err *err) {
  rdd_comm *alone = NULL;
  rdd_status st = rdd_comm_single(&alone, err);
  if (!st) st = time_hand_off(p, alone, err);
  for (int side = 0; side < 2 && !st; side++)
    st = als_rates_measure(alone, &p->problem.params, side, p->rows, &p->problem.rates[side], err);
  rdd_comm_close(alone);
  return st;
}
