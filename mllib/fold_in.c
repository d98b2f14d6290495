/* See fold_in.h. */
#include "mllib/fold_in.h"

#include "mllib/bias_impl.h"
#include "rdd/memory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

void als_factors_reset(als_factors *rows) {
  als_ids_free(rows->ids);
  rdd_table_free(rows->factors);
  rdd_table_free(rows->bias);
  *rows = (als_factors){0};
}

/* ---- Solving ---- */

/* Several sets of partitions as one, whose partitions are moved there. Not collective. */
static rdd_status pool_parts(rdd_parts *const *parts, int n, rdd_parts *pool, rdd_err *err) {
  int64_t room = 0;
  for (int i = 0; i < n; i++) room += parts[i]->n;
  *pool = (rdd_parts){.schema = parts[0]->schema};
  pool->number = rdd_calloc((size_t)room, sizeof *pool->number);
  pool->part = rdd_calloc((size_t)room, sizeof *pool->part);
  if (!pool->number || !pool->part)
    return rdd_set(err, RDD_ENOMEM, "out of memory for a table of %" PRId64 " partitions", room);
  for (int i = 0; i < n; i++)
    for (int64_t p = 0; p < parts[i]->n; p++) {
      pool->part[pool->n++] = parts[i]->part[p];
      parts[i]->part[p] = (rdd_part){0};
    }
  return RDD_OK;
}

static void pool_reset(rdd_parts *pool) {
  for (int64_t p = 0; p < pool->n; p++) rdd_parts_drop(pool, p);
  rdd_free(pool->number);
  rdd_free(pool->part);
  *pool = (rdd_parts){0};
}

static int64_t find_same(const als_ids *ids, const als_ids *as, int64_t i) {
  if (as->type == RDD_INT64) return als_ids_find_int64(ids, als_ids_int64(as, i));
  int64_t length;
  const char *text = als_ids_utf8(as, i, &length);
  return als_ids_find_utf8(ids, text, length);
}

/* Own rows that the model knows begin as they are there: nonnegative solves start from them, and this is
 * one more half-step. */
static void start_from(const als_model *model, int side, const als_side *ratings,
                       als_factors *rows) {
  size_t k = (size_t)model->k;
  float *x = rdd_table_data(rows->factors);
  for (int64_t i = ratings->first; i < ratings->first + ratings->rows; i++) {
    int64_t j = find_same(model->side[side].ids, rows->ids, i);
    if (j >= 0) memcpy(x + (size_t)i * k, als_model_row(model, side, j), k * sizeof *x);
  }
}

/* The problem of these rows alone: the model with them in place of its own. */
static rdd_status solve(rdd_comm *comm, const als_model *model, const als_params *params, int side,
                        als_side *ratings, als_factors *rows, rdd_err *err) {
  als_params exact = *params;
  als_model part = *model;
  rdd_status st = RDD_OK;
  exact.solver = ALS_CHOLESKY;
  start_from(model, side, ratings, rows);
  part.side[side] = *rows;
  if (params->bias && !params->update_bias) {
    st = als_bias_fit_side(comm, ratings, params->bias_reg, side, &part, err);
    if (!st) als_bias_take_off_side(ratings, side, &part);
  }
  return st ? st : als_half_step(comm, ratings, side, &exact, &part, NULL, err);
}

static rdd_status new_rows(rdd_comm *comm, const als_model *model, int side, const rdd_parts *parts,
                           als_factors *rows, rdd_err *err) {
  rdd_status st = als_ids_build(comm, parts, side, &rows->ids, err);
  if (st) return st;
  size_t n = (size_t)rows->ids->n;
  st = rdd_table_new(comm, n * (size_t)model->k * sizeof(float), &rows->factors, err);
  if (!st && model->side[side].bias) st = rdd_table_new(comm, n * sizeof(float), &rows->bias, err);
  return st;
}

/* The same on all ranks. */
static rdd_status check(const als_model *model, const als_params *params, int side,
                        rdd_parts *const *parts, int n, rdd_err *err) {
  static const char *const what[2] = {"user", "item"};
  if (params->rank != model->k)
    return rdd_set(err, RDD_EUSAGE, "rank is %d, but the model has %d factors", params->rank,
                   model->k);
  if (params->bias != (model->side[side].bias != NULL))
    return rdd_set(err, RDD_EUSAGE, "the model has %sbiases, but its parameters say otherwise",
                   params->bias ? "no " : "");
  for (int i = 0; i < n; i++)
    for (int s = 0; s < 2; s++) {
      rdd_type found = parts[i]->schema.field[s].type, known = model->side[s].ids->type;
      if (found != known)
        return rdd_set(err, RDD_EDATA, "the %s ids of these ratings are %s, those of the model %s",
                       what[s], rdd_type_name(found), rdd_type_name(known));
    }
  return RDD_OK;
}

rdd_status als_fold_in(rdd_comm *comm, const als_model *model, const als_params *params, int side,
                       rdd_parts *const *parts, int n, als_factors *rows_out,
                       als_fold_in_counts *counts_out, rdd_err *err) {
  als_factors rows = {0};
  als_side ratings = {0};
  rdd_parts pool = {0};
  int64_t unknown = 0;
  rdd_status st = check(model, params, side, parts, n, err);
  if (st) return st;
  st = new_rows(comm, model, side, parts[0], &rows, err);
  if (st) goto done;
  st = rdd_agree(comm, pool_parts(parts, n, &pool, err), err);
  if (st) goto done;
  const als_ids *ids[2];
  ids[side] = rows.ids;
  ids[!side] = model->side[!side].ids;
  st = als_side_build(comm, &pool, side, ids, NULL, model->k, 0, &ratings, &unknown, err);
  if (!st) st = solve(comm, model, params, side, &ratings, &rows, err);
  if (st) goto done;
  *counts_out = (als_fold_in_counts){als_side_count(&ratings, comm), unknown};
  *rows_out = rows;
  rows = (als_factors){0};
done:
  als_side_reset(&ratings);
  pool_reset(&pool);
  als_factors_reset(&rows);
  return st;
}

/* ---- Merging ---- */

/* Where the rows of the union come from: i >= 0 is row i of the model, else row ~i of those that are put
 * in. */
typedef struct merge {
  int64_t n, known, bytes; /* rows, those that both have, bytes of their text */
  int64_t *from;           /* [n] */
  int64_t *begin;          /* [ranks + 1] scratch */
  int64_t first, end;      /* rows that this rank writes */
} merge;

static const als_ids *ids_of(const als_model *model, int side, const als_factors *rows,
                             int64_t *from) {
  if (*from >= 0) return model->side[side].ids;
  *from = ~*from;
  return rows->ids;
}

static int compare(const als_ids *a, int64_t i, const als_ids *b, int64_t j) {
  if (a->type == RDD_INT64) {
    int64_t x = als_ids_int64(a, i), y = als_ids_int64(b, j);
    return (x > y) - (x < y);
  }
  int64_t n, m;
  const char *x = als_ids_utf8(a, i, &n), *y = als_ids_utf8(b, j, &m);
  int order = memcmp(x, y, (size_t)(n < m ? n : m));
  return order ? order : (n > m) - (n < m);
}

/* Both are sorted: one walk, on every rank. */
static void walk(merge *m, const als_ids *old, const als_ids *new) {
  int64_t i = 0, j = 0;
  while (i < old->n || j < new->n) {
    int order = i == old->n ? 1 : j == new->n ? -1 : compare(old, i, new, j);
    m->known += order == 0;
    int64_t from = order < 0 ? i : ~j, length = 0;
    if (old->type == RDD_UTF8)
      (void)(order < 0 ? als_ids_utf8(old, i, &length) : als_ids_utf8(new, j, &length));
    m->bytes += length;
    m->from[m->n++] = from;
    i += order <= 0;
    j += order >= 0;
  }
}

static rdd_status merge_open(merge *m, rdd_comm *comm, const als_ids *old, const als_ids *new,
                             rdd_err *err) {
  rdd_status st = RDD_OK;
  size_t most = (size_t)old->n + (size_t) new->n;
  m->from = rdd_alloc(most, sizeof *m->from);
  m->begin = rdd_alloc((size_t)comm->size + 1, sizeof *m->begin);
  if (!m->from || !m->begin) st = rdd_set(err, RDD_ENOMEM, "out of memory to merge %zu rows", most);
  st = rdd_agree(comm, st, err);
  if (st) return st;
  walk(m, old, new);
  m->first = m->n / comm->size * comm->rank + m->n % comm->size * comm->rank / comm->size;
  m->end = m->n / comm->size * (comm->rank + 1) + m->n % comm->size * (comm->rank + 1) / comm->size;
  return RDD_OK;
}

/* Publish a table of which each rank has written its rows. Collective. */
static void publish(merge *m, rdd_comm *comm, rdd_table *table, int64_t row_bytes, int64_t extra) {
  for (int r = 0; r <= comm->size; r++)
    m->begin[r] = (m->n / comm->size * r + m->n % comm->size * r / comm->size) * row_bytes;
  m->begin[comm->size] += extra;
  rdd_table_sync(table, m->begin);
}

/* Ids of the union. Text: every rank counts the bytes before its rows, and writes them there. Collective. */
static rdd_status merge_ids(merge *m, rdd_comm *comm, const als_model *model, int side,
                            const als_factors *rows, als_ids **out, rdd_err *err) {
  rdd_type type = rows->ids->type;
  als_ids *ids = NULL;
  rdd_status st = als_ids_new(comm, type, m->n, m->bytes, &ids, err);
  if (st) return st;
  int64_t *value = rdd_table_data(ids->value), at = 0, length, mine = 0;
  char *bytes = type == RDD_UTF8 ? rdd_table_data(ids->bytes) : NULL;
  for (int64_t i = 0; i < m->end; i++) {
    int64_t from = m->from[i];
    const als_ids *source = ids_of(model, side, rows, &from);
    if (type == RDD_INT64) {
      if (i >= m->first) value[i] = als_ids_int64(source, from);
      continue;
    }
    const char *text = als_ids_utf8(source, from, &length);
    if (i >= m->first) {
      value[i] = at;
      if (length > 0) memcpy(bytes + at, text, (size_t)length);
      mine += length;
    }
    at += length;
  }
  if (type == RDD_UTF8) {
    if (comm->rank == comm->size - 1) value[m->n] = m->bytes;
    rdd_allgather(comm, &mine, sizeof mine, m->begin);
    int64_t total = 0;
    for (int r = 0; r <= comm->size; r++) {
      int64_t own = r < comm->size ? m->begin[r] : 0;
      m->begin[r] = total;
      total += own;
    }
    rdd_table_sync(ids->bytes, m->begin);
  }
  publish(m, comm, ids->value, sizeof *value, type == RDD_UTF8 ? (int64_t)sizeof *value : 0);
  *out = ids;
  return RDD_OK;
}

/* `width` numbers a row, from the tables of both. Collective. */
static rdd_status merge_table(merge *m, rdd_comm *comm, const rdd_table *old, const rdd_table *new,
                              int width, rdd_table **out, rdd_err *err) {
  size_t bytes = (size_t)width * sizeof(float);
  rdd_status st = rdd_table_new(comm, (size_t)m->n * bytes, out, err);
  if (st) return st;
  char *to = rdd_table_data(*out);
  const char *a = rdd_table_data(old), *b = rdd_table_data(new);
  for (int64_t i = m->first; i < m->end; i++) {
    int64_t from = m->from[i];
    memcpy(to + (size_t)i * bytes, from >= 0 ? a + (size_t)from * bytes : b + (size_t)~from * bytes,
           bytes);
  }
  publish(m, comm, *out, (int64_t)bytes, 0);
  return RDD_OK;
}

rdd_status als_model_merge(als_model *model, rdd_comm *comm, int side, const als_factors *rows,
                           int64_t *known_out, rdd_err *err) {
  als_factors *old = &model->side[side], merged = {0};
  merge m = {0};
  rdd_status st = merge_open(&m, comm, old->ids, rows->ids, err);
  if (!st && m.n >= UINT32_MAX)
    st = rdd_set(err, RDD_EUSAGE, "%" PRId64 " rows are too many: at most 2^32 - 2", m.n);
  if (!st) st = merge_ids(&m, comm, model, side, rows, &merged.ids, err);
  if (!st) st = merge_table(&m, comm, old->factors, rows->factors, model->k, &merged.factors, err);
  if (!st && old->bias) st = merge_table(&m, comm, old->bias, rows->bias, 1, &merged.bias, err);
  if (st) goto done;
  als_factors swap = *old;
  *old = merged;
  merged = swap;
  *known_out = m.known;
done:
  als_factors_reset(&merged);
  rdd_free(m.from);
  rdd_free(m.begin);
  return st;
}
