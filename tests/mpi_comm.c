/* The communicator over MPI: every operation, with sizes that include zero, in whole messages and
 * cut into tiny ones. Nodes are pretended to have two ranks, so that three and four ranks are two
 * nodes and the exchange between nodes runs too. */
#include "mpi_bridge/comm_mpi.h"
#include "rdd/hash.h"
#include "rdd/memory.h"
#include "tests/need_cases.h"
#include "tests/testkit.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { RANKS_PER_NODE = 2, MAX_RANKS = 64, ROUNDS = 12 };

static const int64_t chunks[] = {(int64_t)1 << 30, 1000, 7};

/* The same number on every rank, below n. */
static int64_t draw(uint64_t seed, uint64_t a, uint64_t b, int64_t n) {
  return (int64_t)(rdd_mix64_2(rdd_mix64_2(seed, a), b) % (uint64_t)n);
}

/* A message size: often zero, often small, sometimes large. */
static int64_t draw_size(uint64_t seed, uint64_t a, uint64_t b) {
  static const int64_t most[] = {1, 9, 300, 5000, 40000};
  return draw(seed, a, b, most[draw(seed + 1, a, b, 5)]);
}

/* Byte i of what `from` tells `to`. */
static unsigned char content(int from, int to, int64_t i) {
  return (unsigned char)rdd_mix64((uint64_t)(from * 1000 + to) * 1000003u + (uint64_t)i);
}

static void fill(unsigned char *p, int from, int to, int64_t n) {
  for (int64_t i = 0; i < n; i++) p[i] = content(from, to, i);
}

static bool holds(const unsigned char *p, int from, int to, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    if (p[i] != content(from, to, i)) return false;
  return true;
}

/* ---- Moving bytes ---- */

static void allgatherv_once(rdd_comm *comm, uint64_t seed) {
  enum { GAP = 5, UNTOUCHED = 0xee };
  int64_t counts[MAX_RANKS], displs[MAX_RANKS], total = 0;
  for (int r = 0; r < comm->size; r++) {
    counts[r] = draw_size(seed, (uint64_t)r, 0);
    displs[r] = total + GAP;
    total = displs[r] + counts[r];
  }
  unsigned char *send = rdd_alloc((size_t)counts[comm->rank], 1);
  unsigned char *recv = rdd_alloc((size_t)total, 1);
  memset(recv, UNTOUCHED, (size_t)total);
  fill(send, comm->rank, 0, counts[comm->rank]);
  rdd_allgatherv(comm, send, counts[comm->rank], recv, counts, displs);
  bool right = true;
  for (int r = 0; r < comm->size; r++) {
    right = right && holds(recv + displs[r], r, 0, counts[r]);
    for (int g = 1; g <= GAP; g++) right = right && recv[displs[r] - g] == UNTOUCHED;
  }
  TK_CHECK(right);
  rdd_free(send);
  rdd_free(recv);
}

/* Where each rank's message begins: end to end, but from the last rank to the first. */
static int64_t lay_out(const int64_t *counts, int64_t *displs, int n) {
  int64_t total = 0;
  for (int r = n - 1; r >= 0; r--) {
    displs[r] = total;
    total += counts[r];
  }
  return total;
}

static void alltoallv_once(rdd_comm *comm, uint64_t seed) {
  int me = comm->rank, n = comm->size;
  int64_t out[MAX_RANKS], out_at[MAX_RANKS], in[MAX_RANKS], in_at[MAX_RANKS];
  for (int r = 0; r < n; r++) {
    out[r] = draw_size(seed, (uint64_t)me, (uint64_t)r);
    in[r] = draw_size(seed, (uint64_t)r, (uint64_t)me);
  }
  unsigned char *send = rdd_alloc((size_t)lay_out(out, out_at, n), 1);
  unsigned char *recv = rdd_calloc((size_t)lay_out(in, in_at, n), 1);
  for (int r = 0; r < n; r++) fill(send + out_at[r], me, r, out[r]);
  rdd_alltoallv(comm, send, out, out_at, recv, in, in_at);
  bool right = true;
  for (int r = 0; r < n; r++) right = right && holds(recv + in_at[r], r, me, in[r]);
  TK_CHECK(right);
  rdd_free(send);
  rdd_free(recv);
}

static void for_chunks(rdd_comm *comm, void (*once)(rdd_comm *, uint64_t)) {
  for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
    gang_comm_set_chunk(chunks[c]);
    for (uint64_t round = 0; round < ROUNDS; round++) once(comm, round * 77 + c);
  }
  gang_comm_set_chunk(chunks[0]);
}

static void test_allgatherv(rdd_comm *comm) {
  for_chunks(comm, allgatherv_once);
}

static void test_alltoallv(rdd_comm *comm) {
  for_chunks(comm, alltoallv_once);
}

static void bcast_once(rdd_comm *comm, uint64_t seed) {
  int root = (int)draw(seed, 1, 1, comm->size);
  int64_t n = draw_size(seed, 2, 2);
  unsigned char *bytes = rdd_calloc((size_t)n, 1);
  if (comm->rank == root) fill(bytes, root, 1, n);
  rdd_bcast(comm, bytes, n, root);
  TK_CHECK(holds(bytes, root, 1, n));
  rdd_free(bytes);
}

static void test_bcast(rdd_comm *comm) {
  for_chunks(comm, bcast_once);
}

static void test_alltoall(rdd_comm *comm) {
  int64_t send[MAX_RANKS], recv[MAX_RANKS], all[MAX_RANKS];
  int64_t mine = comm->rank * 7 - 3;
  for (int r = 0; r < comm->size; r++) send[r] = comm->rank * 100 + r;
  rdd_alltoall(comm, send, recv);
  rdd_allgather(comm, &mine, sizeof mine, all);
  for (int r = 0; r < comm->size; r++) {
    TK_CHECK(recv[r] == r * 100 + comm->rank);
    TK_CHECK(all[r] == r * 7 - 3);
  }
}

/* ---- Reductions and fences ---- */

static void allreduce_once(rdd_comm *comm, uint64_t seed) {
  int64_t n = draw_size(seed, 3, 3) / 8;
  rdd_op op = (rdd_op)(seed % 3);
  int64_t *value = rdd_alloc((size_t)n, sizeof *value);
  for (int64_t i = 0; i < n; i++) value[i] = draw(seed, (uint64_t)comm->rank, (uint64_t)i, 1000);
  rdd_allreduce(comm, value, n, op);
  bool right = true;
  for (int64_t i = 0; i < n; i++) {
    int64_t expected = draw(seed, 0, (uint64_t)i, 1000);
    for (int r = 1; r < comm->size; r++) {
      int64_t v = draw(seed, (uint64_t)r, (uint64_t)i, 1000);
      if (op == RDD_SUM)
        expected += v;
      else if ((op == RDD_MIN) == (v < expected))
        expected = v;
    }
    right = right && value[i] == expected;
  }
  TK_CHECK(right);
  rdd_free(value);
}

static void test_allreduce(rdd_comm *comm) {
  for_chunks(comm, allreduce_once);
}

/* Ranks first, first + 1, ... fail: all hear from the first. */
static void test_agree(rdd_comm *comm) {
  rdd_err err = {0};
  TK_CHECK(rdd_agree(comm, RDD_OK, &err) == RDD_OK);
  for (int first = 0; first < comm->size; first++) {
    char expected[60];
    rdd_status mine = RDD_OK;
    if (comm->rank >= first) mine = rdd_set(&err, RDD_EDATA, "row %d is bad", comm->rank);
    snprintf(expected, sizeof expected, "row %d is bad", first);
    TK_CHECK(rdd_agree(comm, mine, &err) == RDD_EDATA);
    TK_CHECK(strcmp(err.message, expected) == 0);
    TK_CHECK(err.rank == first);
  }
}

/* ---- Waiting ---- */

static double seconds_of(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Nobody leaves a barrier before the last has come, and who waits leaves the core to others. */
static void test_barrier(rdd_comm *comm) {
  int64_t last = 0;
  double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  if (comm->rank == 0) {
    nanosleep(&(struct timespec){0, 400 * 1000 * 1000}, NULL);
    last = (int64_t)(seconds_of(CLOCK_MONOTONIC) * 1e6);
  }
  rdd_barrier(comm);
  int64_t left = (int64_t)(seconds_of(CLOCK_MONOTONIC) * 1e6);
  cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  rdd_allreduce(comm, &last, 1, RDD_MAX);
  TK_CHECK(left >= last);
  TK_CHECK(cpu < 0.2);
}

/* ---- Tables ---- */

static void test_nodes(rdd_comm *comm) {
  TK_CHECK(comm->node_size <= RANKS_PER_NODE);
  TK_CHECK(comm->node_rank == comm->rank % RANKS_PER_NODE);
  TK_CHECK(comm->node_size == RANKS_PER_NODE || comm->rank == comm->size - 1);
  for (int r = 0; r < comm->size; r++)
    TK_CHECK(gang_node_first(comm, r) == r / RANKS_PER_NODE * RANKS_PER_NODE);
}

/* Cut [0, bytes) at random; some ranges are empty. */
static void cut(int64_t *begin, int size, int64_t bytes, uint64_t seed) {
  begin[0] = 0;
  begin[size] = bytes;
  for (int r = 1; r < size; r++) {
    int64_t left = bytes - begin[r - 1];
    begin[r] = begin[r - 1] +
               (draw(seed, (uint64_t)r, 5, 3) ? draw(seed, (uint64_t)r, 6, left + 1) : 0);
  }
}

static void table_once(rdd_comm *comm, uint64_t seed) {
  int64_t begin[MAX_RANKS + 1], bytes = draw_size(seed, 4, 4);
  rdd_table *table = NULL;
  rdd_err err = {0};
  if (!TK_OK(rdd_table_new(comm, (size_t)bytes, &table, &err), &err)) return;
  unsigned char *p = rdd_table_data(table);
  bool right = (uintptr_t)p % 64 == 0 && rdd_table_size(table) == (size_t)bytes;
  for (int64_t i = 0; i < bytes; i++) right = right && p[i] == 0;
  TK_CHECK(right);
  rdd_barrier(comm); /* all have seen the zeros */
  for (int sync = 0; sync < 3; sync++) {
    cut(begin, comm->size, bytes, seed + (uint64_t)sync);
    int64_t mine = begin[comm->rank];
    fill(p + mine, comm->rank, sync, begin[comm->rank + 1] - mine);
    rdd_table_sync(table, begin);
    right = true;
    for (int r = 0; r < comm->size; r++)
      right = right && holds(p + begin[r], r, sync, begin[r + 1] - begin[r]);
    TK_CHECK(right);
    rdd_barrier(comm); /* all have read it */
  }
  rdd_table_free(table);
}

static void test_table(rdd_comm *comm) {
  for_chunks(comm, table_once);
}

/* Too large for any machine, or no memory on one rank: all fail together, and can go on. */
static void test_table_failure(rdd_comm *comm) {
  rdd_table *table = NULL;
  rdd_err err = {0};
  TK_CHECK(rdd_table_new(comm, (size_t)1 << 55, &table, &err) == RDD_ENOMEM);
  if (comm->rank == comm->size - 1) rdd_memory_fail_at(1);
  TK_CHECK(rdd_table_new(comm, 1000, &table, &err) == RDD_ENOMEM);
  TK_CHECK(table == NULL);
  TK_OK(rdd_table_new(comm, 1000, &table, &err), &err);
  rdd_table_free(table);
}

/* In whole messages, and cut into tiny ones. */
static void test_rows(rdd_comm *comm) {
  for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
    gang_comm_set_chunk(chunks[c]);
    need_case_rows(comm);
  }
  gang_comm_set_chunk(chunks[0]);
}

int main(int argc, char **argv) {
  static const tk_comm_case cases[] = {
      {"nodes are of two ranks", test_nodes},
      {"barrier, and a polite wait", test_barrier},
      {"allgatherv", test_allgatherv},
      {"alltoallv", test_alltoallv},
      {"bcast", test_bcast},
      {"alltoall and allgather", test_alltoall},
      {"allreduce", test_allreduce},
      {"agree", test_agree},
      {"table", test_table},
      {"a table that cannot be", test_table_failure},
      {"what is sent is counted", need_case_traffic},
      {"rows go where they are needed", test_rows},
      {"rows go in groups", need_case_groups},
      {"all leave together when memory is out", need_case_memory},
  };
  rdd_comm *comm = NULL;
  rdd_err err = {0};
  gang_comm_set_node_size(RANKS_PER_NODE);
  if (gang_comm_mpi(&argc, &argv, &comm, &err)) {
    fprintf(stderr, "%s\n", err.message);
    return 1;
  }
  int status = tk_comm_main("comm", cases, sizeof cases / sizeof *cases, comm);
  rdd_comm_close(comm);
  return status;
}
