/* Partitions that are kept: in the memory of the rank that computed them, in a store, or both. All
 * ranks know who has what since the last rdd_kept_refresh(), so they make the same plans without
 * asking. */
#include "rdd/rdd_impl.h"

#include "rdd/memory.h"

#include <string.h>

rdd_status rdd_kept_new(rdd *r, rdd_err *err) {
  size_t n = (size_t)r->partitions;
  rdd_kept *kept = rdd_calloc(1, sizeof *kept);
  r->kept = kept;
  if (!kept) return rdd_set(err, RDD_ENOMEM, "no memory to keep partitions of %s", r->name);
  kept->part = rdd_calloc(n, sizeof *kept->part);
  kept->holder = rdd_alloc(n, sizeof *kept->holder);
  kept->stored = rdd_calloc(n, sizeof *kept->stored);
  kept->copy = rdd_calloc(n, sizeof *kept->copy);
  kept->lost = rdd_calloc(n, sizeof *kept->lost);
  kept->wire = rdd_alloc(2 * n, sizeof *kept->wire);
  bool ok = kept->part && kept->holder && kept->stored && kept->copy && kept->lost && kept->wire;
  for (size_t p = 0; p < n && ok; p++) kept->holder[p] = -1;
  if (ok) return RDD_OK;
  rdd_kept_free(r);
  return rdd_set(err, RDD_ENOMEM, "no memory to keep %zu partitions of %s", n, r->name);
}

static void drop_part(rdd_kept *kept, int64_t p) {
  rdd_part_close(&kept->part[p]);
  kept->copy[p] = false;
}

void rdd_kept_free(rdd *r) {
  rdd_kept *kept = r->kept;
  if (!kept) return;
  for (int64_t p = 0; p < r->partitions && kept->part && kept->copy; p++) drop_part(kept, p);
  rdd_free(kept->part);
  rdd_free(kept->holder);
  rdd_free(kept->stored);
  rdd_free(kept->copy);
  rdd_free(kept->lost);
  rdd_free(kept->wire);
  rdd_free(kept);
  r->kept = NULL;
}

/* ---- Levels ---- */

rdd_level rdd_level_of(const rdd *r) {
  return r->kept ? r->kept->level : RDD_LEVEL_NONE;
}

const char *rdd_level_name(rdd_level level) {
  static const char *const name[] = {[RDD_LEVEL_NONE] = "none",
                                     [RDD_LEVEL_MEMORY] = "memory",
                                     [RDD_LEVEL_DISK] = "disk",
                                     [RDD_LEVEL_MEMORY_AND_DISK] = "memory and disk"};
  size_t i = (size_t)level;
  return i < sizeof name / sizeof name[0] ? name[i] : "unknown";
}

bool rdd_kept_in_memory(const rdd *r) {
  rdd_level level = rdd_level_of(r);
  return level == RDD_LEVEL_MEMORY || level == RDD_LEVEL_MEMORY_AND_DISK;
}

bool rdd_kept_on_disk(const rdd *r) {
  return r->kept && r->kept->store;
}

rdd_status rdd_persist(rdd *r, rdd_level level, rdd_store *store, uint64_t fingerprint,
                       rdd_err *err) {
  bool disk = level == RDD_LEVEL_DISK || level == RDD_LEVEL_MEMORY_AND_DISK;
  rdd_level before = rdd_level_of(r);
  if (before == level && (!disk || r->kept->store == store)) return RDD_OK;
  if (before != RDD_LEVEL_NONE || (r->kept && r->kept->checkpointed))
    return rdd_set(err, RDD_EUSAGE,
                   "cannot change the storage level of %s after it was already assigned one (%s): "
                   "unpersist it first",
                   r->name, r->kept->checkpointed ? "checkpointed" : rdd_level_name(before));
  if (disk && !store)
    return rdd_set(err, RDD_EUSAGE, "%s is to be kept on disk, and no store was given", r->name);
  rdd_status st = r->kept ? RDD_OK : rdd_kept_new(r, err);
  if (st) return st;
  r->kept->level = level;
  r->kept->store = disk ? store : NULL;
  r->kept->fingerprint = fingerprint;
  return RDD_OK;
}

/* Partitions that this rank answers for in the store. */
static bool own_range(const rdd *r, const rdd_comm *comm, int64_t p) {
  return p >= r->locate(r->partitions, comm->rank, comm->size) &&
         p < r->locate(r->partitions, comm->rank + 1, comm->size);
}

void rdd_unpersist(rdd *r, rdd_comm *comm) {
  rdd_kept *kept = r->kept;
  if (kept && !kept->checkpointed && kept->level != RDD_LEVEL_NONE) {
    for (int64_t p = 0; p < r->partitions; p++) {
      rdd_block block = rdd_kept_block(r, p);
      if (kept->store && own_range(r, comm, p)) kept->store->drop(kept->store, &block);
      drop_part(kept, p);
      kept->holder[p] = -1;
      kept->stored[p] = kept->lost[p] = false;
    }
    kept->level = RDD_LEVEL_NONE;
    kept->store = NULL;
    if (!rdd_is_wide(r)) rdd_kept_free(r);
  }
  rdd_barrier(comm); /* nobody goes on while another still removes */
}

/* ---- Blocks ---- */

rdd_block rdd_kept_block(const rdd *r, int64_t partition) {
  return (rdd_block){.rdd = r->name,
                     .fingerprint = r->kept->fingerprint,
                     .partition = partition,
                     .partitions = r->partitions};
}

bool rdd_kept_here(const rdd *r, int64_t p) {
  return r->kept && (r->kept->part[p].bytes || r->kept->stored[p]);
}

bool rdd_kept_anywhere(const rdd *r, int64_t p) {
  return r->kept && (r->kept->holder[p] >= 0 || r->kept->stored[p]);
}

/* What one rank found to be lost is lost for all. */
static void forget_lost(rdd *r, rdd_comm *comm) {
  rdd_kept *kept = r->kept;
  for (int64_t p = 0; p < r->partitions; p++) kept->wire[p] = kept->lost[p];
  rdd_allreduce(comm, kept->wire, r->partitions, RDD_MAX);
  for (int64_t p = 0; p < r->partitions; p++) {
    kept->lost[p] = false;
    if (!kept->wire[p]) continue;
    rdd_block block = rdd_kept_block(r, p);
    if (kept->store && own_range(r, comm, p)) kept->store->drop(kept->store, &block);
    drop_part(kept, p);
    kept->stored[p] = false;
  }
}

static void tell_gone(const rdd *r, int64_t p, const rdd_run_opts *opts) {
  rdd_tell(opts, (rdd_event){.kind = RDD_BLOCK_LOST,
                             .rdd = r->name,
                             .partition = p,
                             .slot = -1,
                             .message = "its block is not in the store any more"});
}

void rdd_kept_refresh(rdd *r, rdd_comm *comm, const rdd_run_opts *opts) {
  rdd_kept *kept = r->kept;
  int64_t n = r->partitions;
  forget_lost(r, comm);
  for (int64_t p = 0; p < n; p++) {
    rdd_block block = rdd_kept_block(r, p);
    bool here = kept->part[p].bytes && !kept->copy[p];
    bool mine = kept->store && own_range(r, comm, p);
    bool stored = mine && kept->store->has(kept->store, &block);
    if (mine && !stored && kept->stored[p]) tell_gone(r, p, opts);
    kept->wire[p] = here ? comm->rank : comm->size;
    kept->wire[n + p] = !stored;
  }
  rdd_allreduce(comm, kept->wire, 2 * n, RDD_MIN);
  for (int64_t p = 0; p < n; p++) {
    kept->holder[p] = kept->wire[p] < comm->size ? (int)kept->wire[p] : -1;
    kept->stored[p] = !kept->wire[n + p];
  }
}

void rdd_kept_trim(rdd *r) {
  rdd_kept *kept = r->kept;
  bool keep = rdd_kept_in_memory(r);
  for (int64_t p = 0; p < r->partitions; p++) {
    if (!keep || kept->copy[p]) drop_part(kept, p);
    if (!keep) kept->holder[p] = -1;
  }
}

rdd_status rdd_kept_put(rdd *r, const rdd_part *part, int64_t partition, bool stored,
                        rdd_err *err) {
  rdd_kept *kept = r->kept;
  if (stored) kept->stored[partition] = true;
  if (!rdd_kept_in_memory(r) || kept->part[partition].bytes) return RDD_OK;
  return rdd_part_share(part, &r->schema, &kept->part[partition], err);
}

rdd_status rdd_kept_get(const rdd *r, int64_t partition, rdd_part *out, rdd_err *err) {
  rdd_status st = rdd_part_verify(&r->kept->part[partition], err);
  return st ? st : rdd_part_share(&r->kept->part[partition], &r->schema, out, err);
}
