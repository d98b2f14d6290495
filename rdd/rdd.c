/* Lineage: immutable nodes, each with a reference to its parent. It may be thousands of steps long,
 * so everything that walks it is a loop. */
#include "rdd/rdd_impl.h"

#include "rdd/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Runs of neighbours, as even as can be: a file is read by few ranks, each from front to back. */
static int64_t locate_runs(int64_t partitions, int rank, int size) {
  return partitions * rank / size;
}

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
  *out = r;
  return RDD_OK;
}

rdd_status rdd_source(rdd **out, const char *name, int64_t partitions, const rdd_schema *schema,
                      rdd_source_fn compute, void *arg, rdd_err *err) {
  rdd_status st = node_new(out, name, partitions, schema, err);
  if (st) return st;
  (*out)->compute.source = compute;
  (*out)->compute.arg = arg;
  (*out)->locate = locate_runs;
  return RDD_OK;
}

rdd_status rdd_map_batches(rdd **out, rdd *parent, const char *name, const rdd_schema *schema,
                           rdd_batch_fn fn, void *arg, rdd_err *err) {
  rdd *r = NULL;
  rdd_status st = node_new(&r, name, parent->partitions, schema, err);
  if (st) return st;
  r->compute.map = fn;
  r->compute.arg = arg;
  r->parent = rdd_retain(parent);
  r->locate = parent->locate;
  *out = r; /* last, so that out may be the variable that holds the parent */
  return RDD_OK;
}

rdd *rdd_retain(rdd *r) {
  __atomic_fetch_add(&r->references, 1, __ATOMIC_RELAXED);
  return r;
}

void rdd_release(rdd *r) {
  while (r && __atomic_sub_fetch(&r->references, 1, __ATOMIC_ACQ_REL) == 0) {
    rdd *parent = r->parent;
    rdd_free(r->name);
    rdd_free(r);
    r = parent;
  }
}

int64_t rdd_partitions(const rdd *r) {
  return r->partitions;
}

const rdd_schema *rdd_schema_of(const rdd *r) {
  return &r->schema;
}

/* ---- Text ---- */

typedef struct text {
  char *bytes; /* NULL after memory was out */
  size_t length, room;
} text;

__attribute__((format(printf, 2, 3))) static void text_add(text *t, const char *format, ...) {
  if (!t->bytes) return;
  char piece[256];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(piece, sizeof piece, format, args);
  va_end(args);
  size_t length = n < 0 ? 0 : (size_t)n < sizeof piece ? (size_t)n : sizeof piece - 1;
  if (t->length + length >= t->room) {
    char *larger = rdd_realloc(t->bytes, t->room * 2, 1); /* room always exceeds one piece */
    if (!larger) rdd_free(t->bytes);
    t->bytes = larger;
    t->room *= 2;
    if (!larger) return;
  }
  memcpy(t->bytes + t->length, piece, length + 1);
  t->length += length;
}

char *rdd_debug_string(const rdd *r) {
  text t = {.bytes = rdd_alloc(1024, 1), .room = 1024};
  for (const rdd *node = r; node; node = node->parent) {
    if (node == r)
      text_add(&t, "(%lld) ", (long long)r->partitions);
    else
      text_add(&t, " |  ");
    text_add(&t, "%s [", node->name);
    for (int c = 0; c < node->schema.columns; c++)
      text_add(&t, "%s%s:%s", c ? ", " : "", node->schema.field[c].name,
               rdd_type_name(node->schema.field[c].type));
    text_add(&t, node->parent ? "]\n" : "]");
  }
  return t.bytes;
}

void rdd_lineage_text(const rdd *r, char *out, size_t room) {
  enum { SHOWN = 4 };
  size_t at = 0;
  int64_t steps = 0;
  for (; r && steps < SHOWN && at < room; r = r->parent, steps++) {
    int n = snprintf(out + at, room - at, "%s%.60s", steps ? " <- " : "", r->name);
    at += n > 0 ? (size_t)n : 0;
  }
  int64_t more = 0;
  for (; r; r = r->parent) more++;
  if (more && at < room) snprintf(out + at, room - at, " <- ... (%lld more)", (long long)more);
}
