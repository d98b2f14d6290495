/* Lineage: immutable nodes, each with references to its parents. It may be thousands of steps long,
 * so everything that walks it is a loop. */
#include "rdd/rdd_impl.h"

#include "rdd/memory.h"

#include <string.h>

/* Runs of neighbours, as even as can be: a file is read by few ranks, each from front to back. */
static int64_t locate_runs(int64_t partitions, int rank, int size) {
  return partitions * rank / size;
}

/* ---- Building ---- */

static rdd_status node_new(rdd **out, const char *name, int64_t partitions,
                           const rdd_schema *schema, rdd_err *err) {
  if (partitions < 0 || partitions > INT64_MAX / RDD_MAX_RANKS)
    return rdd_set(err, RDD_EUSAGE, "%s has %lld partitions: expected 0 to %lld", name,
                   (long long)partitions, (long long)(INT64_MAX / RDD_MAX_RANKS));
  if (schema->columns < 1 || schema->columns > RDD_MAX_COLUMNS)
    return rdd_set(err, RDD_EUSAGE, "%s has %d columns: expected 1 to %d", name, schema->columns,
                   RDD_MAX_COLUMNS);
  rdd *r = rdd_calloc(1, sizeof *r);
  char *copy = rdd_strdup(name);
  if (!r || !copy) {
    rdd_free(r);
    rdd_free(copy);
    return rdd_set(err, RDD_ENOMEM, "no memory for the lineage of %s", name);
  }
  r->references = 1;
  r->name = copy;
  r->partitions = partitions;
  r->schema = *schema;
  r->locate = locate_runs;
  r->mark = -1;
  *out = r;
  return RDD_OK;
}

static void depend(rdd *r, rdd *parent, rdd_dep_kind kind, int64_t first) {
  r->dep[r->deps++] = (rdd_dep){.parent = rdd_retain(parent), .kind = kind, .first = first};
}

/* A node that has the partitions of its one parent. */
static rdd_status child_new(rdd **out, rdd *parent, const char *name, const rdd_schema *schema,
                            void *arg, rdd_err *err) {
  rdd_status st = node_new(out, name, parent->partitions, schema, err);
  if (st) return st;
  depend(*out, parent, RDD_DEP_ONE, 0);
  (*out)->compute.arg = arg;
  return RDD_OK;
}

rdd_status rdd_source(rdd **out, const char *name, int64_t partitions, const rdd_schema *schema,
                      rdd_source_fn compute, void *arg, rdd_err *err) {
  rdd_status st = node_new(out, name, partitions, schema, err);
  if (st) return st;
  (*out)->compute.source = compute;
  (*out)->compute.arg = arg;
  return RDD_OK;
}

/* In all that follow *out is set last, so that it may be the variable that holds the parent. */

rdd_status rdd_map_batches(rdd **out, rdd *parent, const char *name, const rdd_schema *schema,
                           rdd_batch_fn fn, void *arg, rdd_err *err) {
  rdd *r = NULL;
  rdd_status st = child_new(&r, parent, name, schema, arg, err);
  if (st) return st;
  r->compute.step = rdd_step_batches;
  r->compute.batch = fn;
  *out = r;
  return RDD_OK;
}

static rdd_status by_row(rdd **out, rdd *parent, const char *name, const rdd_schema *schema,
                         rdd_step_fn step, rdd_row_fn fn, void *arg, rdd_err *err) {
  rdd *r = NULL;
  rdd_status st = child_new(&r, parent, name, schema, arg, err);
  if (st) return st;
  r->compute.step = step;
  r->compute.row = fn;
  *out = r;
  return RDD_OK;
}

rdd_status rdd_map(rdd **out, rdd *parent, const char *name, const rdd_schema *schema,
                   rdd_row_fn fn, void *arg, rdd_err *err) {
  return by_row(out, parent, name, schema, rdd_step_map, fn, arg, err);
}

rdd_status rdd_flat_map(rdd **out, rdd *parent, const char *name, const rdd_schema *schema,
                        rdd_row_fn fn, void *arg, rdd_err *err) {
  return by_row(out, parent, name, schema, rdd_step_flat_map, fn, arg, err);
}

rdd_status rdd_filter(rdd **out, rdd *parent, const char *name, rdd_keep_fn fn, void *arg,
                      rdd_err *err) {
  rdd *r = NULL;
  rdd_status st = child_new(&r, parent, name, &parent->schema, arg, err);
  if (st) return st;
  r->compute.step = rdd_step_filter;
  r->compute.keep = fn;
  r->partitioner = parent->partitioner; /* rows go, but none moves */
  *out = r;
  return RDD_OK;
}

rdd_status rdd_sample(rdd **out, rdd *parent, const char *name, double fraction, uint64_t seed,
                      rdd_err *err) {
  rdd *r = NULL;
  if (!(fraction >= 0 && fraction <= 1))
    return rdd_set(err, RDD_EUSAGE, "%s samples a fraction of %g: expected 0 to 1", name, fraction);
  rdd_status st = child_new(&r, parent, name, &parent->schema, NULL, err);
  if (st) return st;
  r->compute.step = rdd_step_sample;
  r->compute.fraction = fraction;
  r->compute.seed = seed;
  r->partitioner = parent->partitioner;
  *out = r;
  return RDD_OK;
}

rdd_status rdd_map_partitions(rdd **out, rdd *parent, const char *name, const rdd_schema *schema,
                              rdd_parts_fn fn, void *arg, rdd_err *err) {
  rdd *r = NULL;
  rdd_status st = child_new(&r, parent, name, schema, arg, err);
  if (st) return st;
  r->compute.parts = fn;
  *out = r;
  return RDD_OK;
}

rdd_status rdd_zip_partitions(rdd **out, rdd *left, rdd *right, const char *name,
                              const rdd_schema *schema, rdd_parts_fn fn, void *arg, rdd_err *err) {
  rdd *r = NULL;
  if (left->partitions != right->partitions)
    return rdd_set(err, RDD_EUSAGE,
                   "%s zips %s, which has %lld partitions, with %s, which has %lld: both need the "
                   "same number",
                   name, left->name, (long long)left->partitions, right->name,
                   (long long)right->partitions);
  rdd_status st = child_new(&r, left, name, schema, arg, err);
  if (st) return st;
  depend(r, right, RDD_DEP_ONE, 0);
  r->compute.parts = fn;
  *out = r;
  return RDD_OK;
}

static bool same_columns(const rdd_schema *a, const rdd_schema *b) {
  bool same = a->columns == b->columns;
  for (int c = 0; c < a->columns && same; c++)
    same = a->field[c].type == b->field[c].type && strcmp(a->field[c].name, b->field[c].name) == 0;
  return same;
}

rdd_status rdd_union(rdd **out, rdd *left, rdd *right, const char *name, rdd_err *err) {
  rdd *r = NULL;
  if (!same_columns(&left->schema, &right->schema))
    return rdd_set(err, RDD_EUSAGE, "%s unites %s and %s, whose columns are not the same", name,
                   left->name, right->name);
  rdd_status st = node_new(&r, name, left->partitions + right->partitions, &left->schema, err);
  if (st) return st;
  depend(r, left, RDD_DEP_RANGE, 0);
  depend(r, right, RDD_DEP_RANGE, left->partitions);
  *out = r;
  return RDD_OK;
}

rdd_status rdd_coalesce(rdd **out, rdd *parent, const char *name, int64_t partitions,
                        rdd_err *err) {
  rdd *r = NULL;
  if (partitions < 1)
    return rdd_set(err, RDD_EUSAGE, "%s makes %lld partitions of those of %s: expected at least 1",
                   name, (long long)partitions, parent->name);
  if (partitions > parent->partitions) partitions = parent->partitions;
  rdd_status st = node_new(&r, name, partitions, &parent->schema, err);
  if (st) return st;
  depend(r, parent, RDD_DEP_MANY, 0);
  *out = r;
  return RDD_OK;
}

static rdd_status partition(rdd **out, rdd *parent, const char *name, const char *key,
                            int64_t partitions, bool direct, rdd_err *err) {
  rdd *r = NULL;
  int column = rdd_schema_find(&parent->schema, key);
  if (column < 0) return rdd_set(err, RDD_EUSAGE, "%s has no column %s", parent->name, key);
  rdd_type type = parent->schema.field[column].type;
  if (type == RDD_FLOAT32 || type == RDD_FLOAT64 || (direct && type == RDD_UTF8))
    return rdd_set(err, RDD_EUSAGE, "%s partitions by %s, which is %s: expected integers%s", name,
                   key, rdd_type_name(type), direct ? "" : " or text");
  if (partitions < 1)
    return rdd_set(err, RDD_EUSAGE, "%s has %lld partitions: expected at least 1", name,
                   (long long)partitions);
  const rdd_partitioner by = {.partitions = partitions, .column = column, .direct = direct};
  if (parent->partitioner.partitions == partitions && parent->partitioner.column == column &&
      parent->partitioner.direct == direct) {
    *out = rdd_retain(parent);
    return RDD_OK;
  }
  rdd_status st = node_new(&r, name, partitions, &parent->schema, err);
  if (!st) st = rdd_kept_new(r, err);
  if (st) {
    rdd_release(r);
    return st;
  }
  depend(r, parent, RDD_DEP_ALL, 0);
  r->partitioner = by;
  *out = r;
  return RDD_OK;
}

rdd_status rdd_partition_by(rdd **out, rdd *parent, const char *name, const char *key,
                            int64_t partitions, rdd_err *err) {
  return partition(out, parent, name, key, partitions, false, err);
}

rdd_status rdd_partition_at(rdd **out, rdd *parent, const char *name, const char *where,
                            int64_t partitions, rdd_err *err) {
  return partition(out, parent, name, where, partitions, true, err);
}

/* ---- References ---- */

rdd *rdd_retain(rdd *r) {
  __atomic_fetch_add(&r->references, 1, __ATOMIC_RELAXED);
  return r;
}

/* Put a node whose last reference goes on the list of those to free. */
static void drop(rdd *r, rdd **list) {
  if (!r || __atomic_sub_fetch(&r->references, 1, __ATOMIC_ACQ_REL) != 0) return;
  r->next = *list;
  *list = r;
}

void rdd_release(rdd *r) {
  rdd *list = NULL;
  drop(r, &list);
  while (list) {
    r = list;
    list = r->next;
    for (int d = 0; d < r->deps; d++) drop(r->dep[d].parent, &list);
    rdd_kept_free(r);
    rdd_free(r->name);
    rdd_free(r);
  }
}

/* ---- Looking ---- */

int64_t rdd_partitions(const rdd *r) {
  return r->partitions;
}

const rdd_schema *rdd_schema_of(const rdd *r) {
  return &r->schema;
}

bool rdd_is_wide(const rdd *r) {
  return r->deps == 1 && r->dep[0].kind == RDD_DEP_ALL;
}

void rdd_dep_range(const rdd *r, const rdd_dep *dep, int64_t p, int64_t *begin, int64_t *end) {
  int64_t theirs = dep->parent->partitions;
  switch (dep->kind) {
  case RDD_DEP_ONE:
    *begin = p, *end = p + 1;
    break;
  case RDD_DEP_RANGE:
    *begin = p - dep->first, *end = *begin + 1;
    if (*begin < 0 || *begin >= theirs) *end = *begin;
    break;
  case RDD_DEP_MANY: /* as even as can be, without a product that could overflow */
    *begin = theirs / r->partitions * p + theirs % r->partitions * p / r->partitions;
    p++;
    *end = theirs / r->partitions * p + theirs % r->partitions * p / r->partitions;
    break;
  case RDD_DEP_ALL:
    *begin = 0, *end = theirs;
    break;
  }
}

/* Nodes are marked with how many of their parents were looked at; the path from r to the node at
 * hand is a list through `next`. */
int64_t rdd_walk(const rdd *r, rdd ***list_out) {
  rdd **list = NULL, *path = (rdd *)(uintptr_t)r;
  int64_t n = 0, room = 0;
  bool whole = true;
  path->next = NULL;
  path->mark = 0;
  while (path) {
    rdd *at = path;
    if (at->mark < at->deps) {
      rdd *parent = at->dep[at->mark++].parent;
      if (parent->mark >= 0) continue;
      parent->mark = 0;
      parent->next = path;
      path = parent;
      continue;
    }
    path = at->next;
    if (n == room) {
      room = room ? 2 * room : 16;
      rdd **larger = whole ? rdd_realloc(list, (size_t)room, sizeof *list) : NULL;
      if (larger)
        list = larger;
      else
        whole = false, room = n; /* go on, so as to unmark */
    }
    if (whole)
      list[n++] = at;
    else
      at->mark = -1;
  }
  for (int64_t i = 0; i < n; i++) list[i]->mark = -1;
  if (!whole) {
    rdd_free(list);
    list = NULL, n = 0;
  }
  *list_out = list;
  return n;
}
