/* The hand-off: partitions that independent tasks have made, in the memory of the rank whose gang
 * takes them. For a rerun of the gang only what its body has dropped is made again, from lineage,
 * by tasks on whichever rank is free; the rest still is where it was. */
#include "mpi_bridge/gang_impl.h"

#include "rdd/memory.h"

#include <stdlib.h>

static int compare(const void *a, const void *b) {
  const int64_t *x = a, *y = b;
  return (*x > *y) - (*x < *y);
}

static bool is_dropped(const rdd_parts *parts, int64_t i) {
  return parts->part[i].bytes == NULL;
}

/* Numbers of the partitions that ranks have dropped, rising, the same on all ranks.  Collective.
 *   numbers_out  [out] free with rdd_free() */
static rdd_status find_dropped(rdd_comm *comm, const rdd_parts *parts, int64_t **numbers_out,
                               int64_t *n_out, rdd_err *err) {
  size_t size = (size_t)comm->size;
  int64_t own = 0, total = 0, *all = NULL;
  for (int64_t i = 0; i < parts->n; i++) own += is_dropped(parts, i);
  rdd_status st = RDD_OK;
  int64_t *bytes = rdd_alloc(size, sizeof *bytes), *displs = rdd_alloc(size, sizeof *displs);
  int64_t *mine = rdd_alloc((size_t)own, sizeof *mine);
  if (!bytes || !displs || !mine)
    st = rdd_set(err, RDD_ENOMEM, "no memory for the numbers of dropped partitions");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  own = 0;
  for (int64_t i = 0; i < parts->n; i++)
    if (is_dropped(parts, i)) mine[own++] = parts->number[i];
  own *= (int64_t)sizeof *mine;
  rdd_allgather(comm, &own, sizeof own, bytes);
  for (size_t r = 0; r < size; total += bytes[r++]) displs[r] = total;
  all = rdd_alloc((size_t)total, 1);
  if (!all) st = rdd_set(err, RDD_ENOMEM, "no memory for the numbers of dropped partitions");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  rdd_allgatherv(comm, mine, own, all, bytes, displs);
  *n_out = total / (int64_t)sizeof *all;
  qsort(all, (size_t)*n_out, sizeof *all, compare);
  *numbers_out = all;
  all = NULL;
done:
  rdd_free(all);
  rdd_free(mine);
  rdd_free(displs);
  rdd_free(bytes);
  return st;
}

/* Move the fresh partitions in between those that are left. Not collective. */
static rdd_status merge(rdd_parts *parts, rdd_parts *fresh, rdd_err *err) {
  size_t most = (size_t)(parts->n + fresh->n);
  int64_t *number = rdd_alloc(most, sizeof *number), n = 0, f = 0;
  rdd_part *part = rdd_alloc(most, sizeof *part);
  if (!number || !part) {
    rdd_free(number);
    rdd_free(part);
    return rdd_set(err, RDD_ENOMEM, "no memory for the table of %zu partitions", most);
  }
  for (int64_t i = 0; i <= parts->n; i++) {
    if (i < parts->n && is_dropped(parts, i)) continue;
    for (; f < fresh->n && (i == parts->n || fresh->number[f] < parts->number[i]); f++, n++) {
      number[n] = fresh->number[f];
      part[n] = fresh->part[f];
    }
    if (i == parts->n) break;
    number[n] = parts->number[i];
    part[n++] = parts->part[i];
  }
  rdd_free(parts->number);
  rdd_free(parts->part);
  parts->number = number;
  parts->part = part;
  parts->n = n;
  fresh->n = 0; /* its partitions have moved */
  return RDD_OK;
}

/* Make again what was dropped. Collective. */
static rdd_status replenish(rdd_comm *comm, rdd *r, const rdd_run_opts *run, rdd_parts *parts,
                            rdd_err *err) {
  rdd_parts *fresh = NULL;
  int64_t *numbers = NULL, n = 0;
  rdd_status st = find_dropped(comm, parts, &numbers, &n, err);
  if (st || n == 0) goto done;
  st = rdd_compute_some(r, comm, run, numbers, n, &fresh, NULL, err);
  if (st) goto done;
  st = rdd_agree(comm, merge(parts, fresh, err), err);
done:
  rdd_parts_free(fresh);
  rdd_free(numbers);
  return st;
}

rdd_status gang_hand_off(rdd_comm *comm, rdd *const *rdds, int n, const rdd_run_opts *run,
                         rdd_counters *counters, rdd_parts **parts, rdd_err *err) {
  for (int i = 0; i < n; i++) {
    rdd_counters *counted = counters ? &counters[i] : NULL;
    rdd_status st = parts[i] ? replenish(comm, rdds[i], &run[i], parts[i], err)
                             : rdd_compute(rdds[i], comm, &run[i], &parts[i], counted, err);
    if (st) return st;
  }
  return RDD_OK;
}
