/* Which rank computes which partition: the one that has its blocks in memory, else by number. Where
 * blocks of several ranks meet in one task, they are brought to its rank first. */
#include "rdd/rdd_impl.h"

#include "rdd/memory.h"

#include <stdlib.h>
#include <string.h>

/* ---- Walking back from a partition ---- */

bool rdd_spots_push(rdd_spots *s, const rdd *node, int64_t partition) {
  if (s->n == s->room) {
    int64_t room = s->room ? 2 * s->room : 64;
    rdd_spot *larger = rdd_realloc(s->at, (size_t)room, sizeof *larger);
    if (!larger) return false;
    s->at = larger;
    s->room = room;
  }
  s->at[s->n++] = (rdd_spot){node, partition};
  return true;
}

/* What a partition needs of its parents goes on the stack, the first on top. */
bool rdd_spots_push_parents(rdd_spots *s, const rdd *node, int64_t partition) {
  for (int d = node->deps - 1; d >= 0; d--) {
    int64_t begin, end;
    rdd_dep_range(node, &node->dep[d], partition, &begin, &end);
    while (end > begin)
      if (!rdd_spots_push(s, node->dep[d].parent, --end)) return false;
  }
  return true;
}

/* ---- Homes ---- */

int rdd_range_owner(const rdd *r, int64_t p, int size) {
  int low = 0, high = size - 1; /* the lowest rank whose range ends behind p */
  while (low < high) {
    int middle = low + (high - low) / 2;
    if (r->locate(r->partitions, middle + 1, size) > p)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

rdd_status rdd_items_new(rdd_items *items, int64_t room, rdd_err *err) {
  *items = (rdd_items){.partition = rdd_alloc((size_t)room, sizeof *items->partition),
                       .home = rdd_alloc((size_t)room, sizeof *items->home),
                       .fixed = rdd_calloc((size_t)room, sizeof *items->fixed)};
  if (items->partition && items->home && items->fixed) return RDD_OK;
  return rdd_set(err, RDD_ENOMEM, "no memory for a list of %lld partitions", (long long)room);
}

void rdd_items_free(rdd_items *items) {
  rdd_free(items->partition);
  rdd_free(items->home);
  rdd_free(items->fixed);
}

/* A block that has to be brought from one rank's memory to another's. */
typedef struct errand {
  const rdd *node;
  int64_t partition;
  int from, to;
} errand;

typedef struct errands {
  errand *at;
  int64_t n, room;
} errands;

static bool errands_add(errands *e, errand one) {
  if (e->n == e->room) {
    int64_t room = e->room ? 2 * e->room : 64;
    errand *larger = rdd_realloc(e->at, (size_t)room, sizeof *larger);
    if (!larger) return false;
    e->at = larger;
    e->room = room;
  }
  e->at[e->n++] = one;
  return true;
}

/* The home of one item: the rank of the first block that it finds in memory, or its place by
 * number. Other blocks of it in memory elsewhere (and in no store) are errands. */
static bool find_home(const rdd_plan *plan, const rdd *r, rdd_items *items, int64_t i,
                      rdd_spots *stack, errands *list) {
  int64_t p = items->partition[i];
  int size = plan->comm->size;
  items->fixed[i] = false;
  items->home[i] = plan->deal && r == plan->target ? (int)(p % size) : rdd_range_owner(r, p, size);
  if (plan->nodes == 0) return true;
  stack->n = 0;
  if (!rdd_spots_push(stack, r, p)) return false;
  while (stack->n > 0) {
    rdd_spot s = stack->at[--stack->n];
    if (!rdd_kept_anywhere(s.node, s.partition)) {
      if (!rdd_spots_push_parents(stack, s.node, s.partition)) return false;
      continue;
    }
    int holder = s.node->kept->holder[s.partition];
    if (holder < 0) continue;
    if (!items->fixed[i]) {
      items->fixed[i] = true;
      items->home[i] = holder;
    } else if (holder != items->home[i] && !s.node->kept->stored[s.partition]) {
      if (!errands_add(list, (errand){s.node, s.partition, holder, items->home[i]})) return false;
    }
  }
  return true;
}

static int by_destination(const void *a, const void *b) {
  const rdd_piece *x = a, *y = b;
  if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
  return (x->key > y->key) - (x->key < y->key);
}

static void free_bytes(void *bytes, size_t size) {
  (void)size;
  rdd_free(bytes);
}

/* The errands from `begin` up to `end`. Collective. */
static rdd_status run_errands(rdd_plan *plan, const errands *list, int64_t begin, int64_t end,
                              rdd_piece *out, rdd_err *err) {
  rdd_piece *in = NULL;
  void *room = NULL;
  int64_t n = 0, n_in = 0;
  for (int64_t i = begin; i < end; i++) {
    const errand *e = &list->at[i];
    const rdd_part *part = &e->node->kept->part[e->partition];
    if (e->from == plan->comm->rank)
      out[n++] = (rdd_piece){
          .bytes = part->bytes, .size = (int64_t)part->size, .key = i, .rank = e->to};
  }
  qsort(out, (size_t)n, sizeof *out, by_destination);
  rdd_status st = rdd_ship(plan->comm, out, n, &in, &n_in, &room, err);
  if (st) return st;
  for (int64_t i = 0; i < n_in && !st; i++) {
    const errand *e = &list->at[in[i].key];
    rdd_kept *kept = e->node->kept;
    if (kept->part[e->partition].bytes) continue; /* two partitions here need it */
    int64_t size = in[i].size;
    void *bytes = rdd_alloc((size_t)size, 1);
    if (!bytes) {
      st = rdd_set(err, RDD_ENOMEM, "no memory for a block of %lld bytes", (long long)size);
      break;
    }
    memcpy(bytes, in[i].bytes, (size_t)size);
    st = rdd_part_open(&kept->part[e->partition], &e->node->schema, bytes, (size_t)size, free_bytes,
                       err);
    if (st)
      rdd_free(bytes);
    else
      kept->copy[e->partition] = true;
  }
  rdd_free(in);
  rdd_free(room);
  return rdd_agree(plan->comm, st, err);
}

rdd_status rdd_plan_assign(rdd_plan *plan, const rdd *r, rdd_items *items, rdd_err *err) {
  rdd_spots stack = {0};
  errands list = {0};
  bool ok = true;
  rdd_piece *out = NULL;
  int64_t wide = 4 * (int64_t)plan->comm->size; /* errands at a time */
  for (int64_t i = 0; i < items->n && ok; i++) ok = find_home(plan, r, items, i, &stack, &list);
  if (ok && list.n > 0) ok = (out = rdd_alloc((size_t)wide, sizeof *out)) != NULL;
  rdd_status st = ok ? RDD_OK
                     : rdd_set(err, RDD_ENOMEM, "no memory to place %lld partitions of %s",
                               (long long)items->n, r->name);
  if (plan->nodes > 0) st = rdd_agree(plan->comm, st, err);
  for (int64_t i = 0; i < list.n && !st; i += wide)
    st = run_errands(plan, &list, i, i + wide < list.n ? i + wide : list.n, out, err);
  rdd_free(out);
  rdd_free(stack.at);
  rdd_free(list.at);
  return st;
}
