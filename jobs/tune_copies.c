/* See tune_copies.h. */
#include "jobs/tune_copies.h"

#include "rdd/memory.h"

#include <inttypes.h>

static void free_bytes(void *bytes, size_t size) {
  (void)size;
  rdd_free(bytes);
}

void job_copies_reset(rdd_parts *copies) {
  for (int64_t p = 0; p < copies->n; p++) rdd_parts_drop(copies, p);
  rdd_free(copies->number);
  rdd_free(copies->part);
  *copies = (rdd_parts){0};
}

/* One partition of rank `root` to all; its own stays where it is. Collective. */
static rdd_status send_part(rdd_comm *comm, int root, const rdd_part *own, rdd_parts *copies,
                            rdd_err *err) {
  rdd_part *part = &copies->part[copies->n];
  bool here = comm->rank == root;
  int64_t size = here ? (int64_t)own->size : 0;
  rdd_status st = RDD_OK;
  rdd_bcast(comm, &size, sizeof size, root);
  void *bytes = here ? (void *)(uintptr_t)own->bytes : rdd_alloc((size_t)size, 1);
  if (!bytes)
    st = rdd_set(err, RDD_ENOMEM, "out of memory for a copy of the ratings; try --execution gang");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  rdd_bcast(comm, bytes, size, root);
  st = rdd_part_open(part, &copies->schema, bytes, (size_t)size, here ? NULL : free_bytes, err);
  if (!st) {
    copies->number[copies->n] = copies->n;
    copies->n++;
    bytes = NULL;
  }
  st = rdd_agree(comm, st, err);
done:
  if (!here) rdd_free(bytes);
  return st;
}

rdd_status job_copies_make(rdd_comm *comm, const rdd_parts *parts, rdd_parts *out, rdd_err *err) {
  rdd_status st = RDD_OK;
  int64_t all = parts->n;
  rdd_allreduce(comm, &all, 1, RDD_SUM);
  out->schema = parts->schema;
  out->number = rdd_calloc((size_t)all, sizeof *out->number);
  out->part = rdd_calloc((size_t)all, sizeof *out->part);
  if (!out->number || !out->part)
    st = rdd_set(err, RDD_ENOMEM, "out of memory for a table of %" PRId64 " partitions", all);
  st = rdd_agree(comm, st, err);
  for (int r = 0; r < comm->size && !st; r++) {
    int64_t n = parts->n;
    rdd_bcast(comm, &n, sizeof n, r);
    for (int64_t p = 0; p < n && !st; p++)
      st = send_part(comm, r, comm->rank == r ? &parts->part[p] : NULL, out, err);
  }
  return st;
}
