#include "tests/need_cases.h"

#include "rdd/hash.h"
#include "rdd/memory.h"
#include "rdd/need.h"
#include "tests/testkit.h"

#include <string.h>

enum { MOST = 8, WIDE = 12, NARROW = 4 };

/* ---- Traffic ---- */

/* What was sent since `before` is this. */
static void check_sent(const rdd_comm *comm, rdd_traffic before, int64_t sent, int64_t between,
                       int64_t messages) {
  TK_CHECK(comm->traffic.sent - before.sent == sent);
  TK_CHECK(comm->traffic.between_nodes - before.between_nodes == between);
  TK_CHECK(comm->traffic.messages - before.messages == messages);
}

static bool is_abroad(const rdd_comm *comm, int r) {
  return comm->node_of[r] != comm->node_of[comm->rank];
}

static void count_gathers(rdd_comm *comm) {
  int64_t others = comm->size - 1, abroad = comm->size - comm->node_size, all[MOST];
  int64_t counts[MOST], displs[MOST], me = comm->rank, between = 0;
  char send[MOST], recv[MOST * MOST];
  rdd_traffic before = comm->traffic;
  rdd_allgather(comm, &me, sizeof me, all);
  check_sent(comm, before, 8 * others, 8 * abroad, others);

  for (int r = 0; r < comm->size; r++) counts[r] = r, displs[r] = r * MOST;
  memset(send, 'x', sizeof send);
  before = comm->traffic;
  rdd_allgatherv(comm, send, me, recv, counts, displs);
  check_sent(comm, before, me * others, me * abroad, me ? others : 0);

  for (int r = 0; r < comm->size; r++) between += is_abroad(comm, r) ? 8 : 0;
  before = comm->traffic;
  rdd_alltoall(comm, counts, all);
  check_sent(comm, before, 8 * others, between, others);

  before = comm->traffic;
  rdd_bcast(comm, send, 5, comm->size - 1);
  bool root = me == comm->size - 1;
  check_sent(comm, before, root ? 5 * others : 0, root ? 5 * abroad : 0, root ? others : 0);
}

static void count_others(rdd_comm *comm) {
  bool several = comm->size > 1, first = comm->nodes > 1 && comm->node_rank == 0;
  int64_t values[3] = {0}, begin[MOST + 1], far = comm->nodes - 1;
  rdd_table *table = NULL;
  rdd_err err = {0};
  rdd_traffic before = comm->traffic;
  rdd_allreduce(comm, values, 3, RDD_SUM);
  check_sent(comm, before, several ? 24 : 0, first ? 24 : 0, several);

  before = comm->traffic;
  rdd_barrier(comm);
  check_sent(comm, before, 0, 0, 0);

  for (int r = 0; r <= comm->size; r++) begin[r] = 10 * r; /* then rank 0 has nothing */
  if (!TK_OK(rdd_table_new(comm, 10 * MOST, &table, &err), &err)) return;
  before = comm->traffic;
  rdd_table_sync(table, begin);
  check_sent(comm, before, 10 * far, 10 * far, far);
  for (int r = 1; r <= comm->size; r++) begin[r] = 10 * (r - 1);
  before = comm->traffic;
  rdd_table_sync(table, begin);
  check_sent(comm, before, comm->rank ? 10 * far : 0, comm->rank ? 10 * far : 0,
             comm->rank ? far : 0);
  rdd_table_free(table);
}

void need_case_traffic(rdd_comm *comm) {
  int nodes = 0;
  for (int r = 0; r < comm->size; r++)
    if (comm->node_of[r] >= nodes) nodes = comm->node_of[r] + 1;
  TK_CHECK(nodes == comm->nodes);
  count_gathers(comm);
  count_others(comm);
}

/* ---- Rows ---- */

typedef struct world {
  uint64_t seed;
  int64_t rows, first[MOST + 1];
  int often; /* of 100: a rank needs a row */
  uint64_t *needed;
  rdd_table *wide, *narrow;
  rdd_need *need;
} world;

static bool rank_needs(const world *w, int rank, int64_t row) {
  uint64_t key = rdd_mix64_2(w->seed, (uint64_t)rank);
  return rdd_mix64_2(key, (uint64_t)row) % 100 < (uint64_t)w->often;
}

static bool node_needs(const world *w, const rdd_comm *comm, int node, int64_t row) {
  for (int r = 0; r < comm->size; r++)
    if (comm->node_of[r] == node && rank_needs(w, r, row)) return true;
  return false;
}

static int owner_of(const world *w, int64_t row) {
  int r = 0;
  while (w->first[r + 1] <= row) r++;
  return r;
}

/* Owners have any number of rows, perhaps none. */
static bool open_world(world *w, rdd_comm *comm, uint64_t seed, int64_t rows, int often) {
  rdd_err err = {0};
  *w = (world){.seed = seed, .rows = rows, .often = often};
  w->first[comm->size] = rows;
  for (int r = 1; r < comm->size; r++) {
    int64_t left = rows - w->first[r - 1];
    w->first[r] = w->first[r - 1] +
                  (int64_t)(rdd_mix64_2(seed, (uint64_t)r) % (uint64_t)(left + 1));
  }
  w->needed = rdd_calloc((size_t)(rows + 63) / 64, sizeof *w->needed);
  for (int64_t i = 0; i < rows; i++)
    if (rank_needs(w, comm->rank, i)) w->needed[i / 64] |= (uint64_t)1 << (i % 64);
  return TK_OK(rdd_table_new(comm, (size_t)rows * WIDE, &w->wide, &err), &err) &&
         TK_OK(rdd_table_new(comm, (size_t)rows * NARROW, &w->narrow, &err), &err) &&
         TK_OK(rdd_need_new(comm, w->first, 1 + (int64_t)seed % 5, 1, w->needed, WIDE + NARROW,
                            &w->need, &err),
               &err);
}

static void close_world(world *w) {
  rdd_need_free(w->need);
  rdd_table_free(w->wide);
  rdd_table_free(w->narrow);
  rdd_free(w->needed);
}

static unsigned char content(int64_t row, int round) {
  return (unsigned char)(rdd_mix64_2((uint64_t)row, (uint64_t)round) | 1); /* no table begins so */
}

static void write_rows(const world *w, int64_t from, int64_t end, int round) {
  unsigned char *wide = rdd_table_data(w->wide), *narrow = rdd_table_data(w->narrow);
  for (int64_t i = from; i < end; i++) {
    memset(wide + i * WIDE, content(i, round), WIDE);
    memset(narrow + i * NARROW, content(i, round) ^ 0x10, NARROW);
  }
}

static bool row_holds(const world *w, int64_t row, unsigned char wanted, unsigned char wanted_too) {
  const unsigned char *wide = rdd_table_data(w->wide), *narrow = rdd_table_data(w->narrow);
  bool right = true;
  for (int i = 0; i < WIDE; i++) right &= wide[row * WIDE + i] == wanted;
  for (int i = 0; i < NARROW; i++) right &= narrow[row * NARROW + i] == wanted_too;
  return right;
}

/* Rows of this node's owners and those that it needs are of this round; the others are zeros still. */
static void check_rows(const world *w, const rdd_comm *comm, int round) {
  int node = comm->node_of[comm->rank];
  bool right = true;
  for (int64_t i = 0; i < w->rows; i++) {
    bool here = comm->node_of[owner_of(w, i)] == node || node_needs(w, comm, node, i);
    unsigned char c = content(i, round);
    right &= row_holds(w, i, here ? c : 0, here ? c ^ 0x10 : 0);
  }
  TK_CHECK(right);
}

/* The formula: for each row of this rank the other nodes that need it. */
static int64_t expected_rows(const world *w, const rdd_comm *comm) {
  int64_t n = 0;
  for (int64_t i = w->first[comm->rank]; i < w->first[comm->rank + 1]; i++)
    for (int node = 0; node < comm->nodes; node++)
      n += node != comm->node_of[comm->rank] && node_needs(w, comm, node, i);
  return n;
}

static const rdd_need_table *tables_of(const world *w, rdd_need_table table[2]) {
  table[0] = (rdd_need_table){.table = w->wide, .bytes = WIDE, .wire_bytes = WIDE};
  table[1] = (rdd_need_table){.table = w->narrow, .bytes = NARROW, .wire_bytes = NARROW};
  return table;
}

static void rows_once(rdd_comm *comm, uint64_t seed, int64_t rows, int often) {
  world w;
  rdd_need_table table[2];
  if (open_world(&w, comm, seed, rows, often)) {
    int64_t expected = expected_rows(&w, comm);
    TK_CHECK(rdd_need_rows(w.need) == expected);
    for (int round = 0; round < 2; round++) {
      rdd_traffic before = comm->traffic;
      write_rows(&w, w.first[comm->rank], w.first[comm->rank + 1], round);
      rdd_need_publish(w.need, tables_of(&w, table), 2);
      TK_CHECK(comm->traffic.between_nodes - before.between_nodes == expected * (WIDE + NARROW));
      TK_CHECK(comm->traffic.sent - before.sent == expected * (WIDE + NARROW));
      check_rows(&w, comm, round);
      rdd_barrier(comm); /* all have read them */
    }
  }
  close_world(&w);
}

void need_case_rows(rdd_comm *comm) {
  static const int64_t rows[] = {0, 1, 5, 63, 64, 65, 127, 200, 1000};
  static const int often[] = {0, 3, 50, 100};
  uint64_t seed = 1;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (size_t j = 0; j < sizeof often / sizeof *often; j++)
      rows_once(comm, seed++, rows[i], often[j]);
}

/* 16 bytes a row: 700,000 rows that everybody needs are more than one buffer. */
void need_case_groups(rdd_comm *comm) {
  world w;
  rdd_need_table table[2];
  if (open_world(&w, comm, 7, 700000, 100)) {
    int groups = rdd_need_groups(w.need), me = comm->rank;
    TK_CHECK(comm->nodes == 1 ? groups == 1 : groups > 1);
    TK_CHECK(rdd_need_first(w.need, 0) == w.first[me]);
    TK_CHECK(rdd_need_first(w.need, groups) == w.first[me + 1]);
    tables_of(&w, table);
    write_rows(&w, w.first[me], rdd_need_first(w.need, 1), 0);
    for (int g = 0; g < groups; g++) {
      rdd_need_start(w.need, table, 2, g);
      if (g + 1 < groups)
        write_rows(&w, rdd_need_first(w.need, g + 1), rdd_need_first(w.need, g + 2), 0);
      rdd_need_finish(w.need, table, 2, g);
    }
    rdd_need_end(w.need);
    check_rows(&w, comm, 0);
  }
  close_world(&w);
}

void need_case_memory(rdd_comm *comm) {
  const uint64_t needed[2] = {~(uint64_t)0, 0};
  const int64_t n = 70;
  int64_t first[MOST + 1];
  int failed = 0;
  for (int r = 0; r <= comm->size; r++) first[r] = n * r / comm->size;
  for (int i = 1; i < 20; i++) {
    rdd_need *need = NULL;
    rdd_err err = {0};
    rdd_barrier(comm);
    if (comm->rank == comm->size - 1) rdd_memory_fail_at(i);
    rdd_barrier(comm);
    rdd_status st = rdd_need_new(comm, first, 1, 1, needed, 4, &need, &err);
    int64_t worst = st;
    rdd_allreduce(comm, &worst, 1, RDD_MAX);
    TK_CHECK(worst == (int64_t)st && (st == RDD_OK) == (need != NULL));
    failed += st == RDD_ENOMEM;
    rdd_barrier(comm);
    if (comm->rank == comm->size - 1) rdd_memory_fail_at(0);
    rdd_need_free(need);
  }
  TK_CHECK(failed > 5);
  rdd_need_free(NULL);
}
