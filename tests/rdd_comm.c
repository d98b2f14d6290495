/* The communicator, with ranks as threads: what is sent arrives, and all leave together. */
#include "rdd/comm.h"
#include "rdd/memory.h"
#include "tests/testkit.h"

#include <stdio.h>
#include <string.h>

enum { MOST = 4 };

static void gathers(rdd_comm *comm) {
  int64_t mine = 100 + comm->rank, all[MOST];
  rdd_allgather(comm, &mine, sizeof mine, all);
  for (int r = 0; r < comm->size; r++) TK_CHECK(all[r] == 100 + r);

  /* rank r brings r bytes of 'a' + r; they land from the last rank to the first */
  int64_t counts[MOST], displs[MOST], at = 0;
  char send[MOST], recv[MOST * MOST], expected[MOST * MOST];
  for (int r = comm->size - 1; r >= 0; r--) {
    counts[r] = r;
    displs[r] = at;
    memset(expected + at, 'a' + r, (size_t)r);
    at += r;
  }
  memset(send, 'a' + comm->rank, sizeof send);
  rdd_allgatherv(comm, send, counts[comm->rank], recv, counts, displs);
  TK_CHECK(memcmp(recv, expected, (size_t)at) == 0);
}

static void exchanges(rdd_comm *comm) {
  int64_t send[MOST], recv[MOST];
  for (int r = 0; r < comm->size; r++) send[r] = 10 * comm->rank + r;
  rdd_alltoall(comm, send, recv);
  for (int r = 0; r < comm->size; r++) TK_CHECK(recv[r] == 10 * r + comm->rank);

  /* a gather to one rank: zeros elsewhere, and no buffers where nothing goes */
  int64_t out[MOST] = {0}, out_at[MOST] = {0}, in[MOST] = {0}, in_at[MOST] = {0}, got[MOST] = {0};
  int64_t word = 7 + comm->rank;
  int root = comm->size - 1;
  out[root] = sizeof word;
  for (int r = 0; r < comm->size && comm->rank == root; r++) {
    in[r] = sizeof word;
    in_at[r] = r * (int64_t)sizeof word;
  }
  rdd_alltoallv(comm, &word, out, out_at, comm->rank == root ? got : NULL, in, in_at);
  for (int r = 0; r < comm->size && comm->rank == root; r++) TK_CHECK(got[r] == 7 + r);

  int64_t none[MOST] = {0};
  rdd_alltoallv(comm, NULL, none, none, NULL, none, none);
}

static void reductions(rdd_comm *comm) {
  enum { N = 1500 }; /* longer than one piece of the threads' maker */
  int64_t sum[N], least[2] = {-comm->rank, comm->rank}, most[2] = {-comm->rank, comm->rank};
  for (int i = 0; i < N; i++) sum[i] = (int64_t)i * (comm->rank + 1);
  rdd_allreduce(comm, sum, N, RDD_SUM);
  int64_t ranks = comm->size, triangle = ranks * (ranks + 1) / 2;
  bool right = true;
  for (int i = 0; i < N; i++) right &= sum[i] == i * triangle;
  TK_CHECK(right);
  rdd_allreduce(comm, least, 2, RDD_MIN);
  rdd_allreduce(comm, most, 2, RDD_MAX);
  TK_CHECK(least[0] == 1 - ranks && least[1] == 0);
  TK_CHECK(most[0] == 0 && most[1] == ranks - 1);
  rdd_allreduce(comm, NULL, 0, RDD_SUM);
}

static void broadcasts(rdd_comm *comm) {
  static const int64_t lengths[] = {0, 1, 7, 8, 9, 8191, 8192, 8193, 20001};
  char *buffer = rdd_alloc(20002, 1);
  for (int root = 0; root < comm->size; root++) {
    for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
      int64_t n = lengths[l];
      for (int64_t i = 0; i <= n; i++)
        buffer[i] = comm->rank == root && i < n ? (char)(i * 37 + root) : 'x';
      rdd_bcast(comm, buffer, n, root);
      bool right = buffer[n] == 'x';
      for (int64_t i = 0; i < n; i++) right &= buffer[i] == (char)(i * 37 + root);
      TK_CHECK(right);
    }
  }
  rdd_free(buffer);
}

static void fence(rdd_comm *comm) {
  rdd_err err;
  memset(&err, 0x11, sizeof err);
  rdd_err untouched = err;
  TK_CHECK(rdd_agree(comm, RDD_OK, &err) == RDD_OK);
  TK_CHECK(memcmp(&err, &untouched, sizeof err) == 0);
  for (int lowest = 0; lowest < comm->size; lowest++) {
    rdd_status st = RDD_OK;
    if (comm->rank == lowest) st = rdd_set(&err, RDD_EDATA, "row %d is bad", lowest);
    if (comm->rank > lowest) st = rdd_set(&err, RDD_ENOMEM, "not the lowest");
    err.detail[1] = 40 + comm->rank;
    st = rdd_agree(comm, st, &err);
    char expected[40];
    snprintf(expected, sizeof expected, "row %d is bad", lowest);
    TK_CHECK(st == RDD_EDATA && err.code == RDD_EDATA && err.rank == lowest);
    TK_CHECK(strcmp(err.message, expected) == 0 && err.detail[1] == 40 + lowest);
    TK_CHECK(strcmp(err.file, "tests/rdd_comm.c") == 0);
  }
  memset(&err, 0, sizeof err); /* a status without a message still gets one */
  TK_CHECK(rdd_agree(comm, RDD_EIO, &err) == RDD_EIO && err.message[0] && err.rank == 0);
}

static void tables(rdd_comm *comm) {
  enum { PER_RANK = 3 };
  rdd_table *table = NULL;
  rdd_err err;
  int64_t n = (int64_t)PER_RANK * comm->size, begin[MOST + 1];
  for (int r = 0; r <= comm->size; r++) begin[r] = r * PER_RANK * (int64_t)sizeof(int64_t);
  rdd_status st = rdd_table_new(comm, (size_t)n * sizeof(int64_t), &table, &err);
  if (!TK_OK(st, &err)) return; /* the same on all ranks */
  int64_t *data = rdd_table_data(table);
  TK_CHECK((uintptr_t)data % 64 == 0 && rdd_table_size(table) == (size_t)n * 8);
  for (int i = 0; i < PER_RANK; i++) TK_CHECK(data[comm->rank * PER_RANK + i] == 0);
  for (int round = 1; round < 4; round++) {
    for (int i = 0; i < PER_RANK; i++)
      data[comm->rank * PER_RANK + i] = round * 100 + comm->rank * PER_RANK + i;
    rdd_table_sync(table, begin);
    for (int64_t i = 0; i < n; i++) TK_CHECK(data[i] == round * 100 + i);
    rdd_barrier(comm); /* all have read before the next round is written */
  }
  rdd_table_free(table);
  rdd_table_free(NULL);

  st = rdd_table_new(comm, 0, &table, &err);
  if (!TK_OK(st, &err)) return;
  TK_CHECK(rdd_table_data(table) && rdd_table_size(table) == 0);
  rdd_table_free(table);
}

static void tables_fail_together(rdd_comm *comm) {
  for (int n = 1; n <= 1 + comm->size; n++) { /* the memory itself, then a rank's handle */
    rdd_table *table = NULL;
    rdd_err err = {0};
    if (comm->rank == 0) rdd_memory_fail_at(n);
    rdd_barrier(comm);
    TK_CHECK(rdd_table_new(comm, 100, &table, &err) == RDD_ENOMEM);
    TK_CHECK(!table && err.message[0]);
    rdd_barrier(comm);
  }
}

static void places(rdd_comm *comm) {
  TK_CHECK(comm->rank >= 0 && comm->rank < comm->size);
  TK_CHECK(comm->node_rank == comm->rank && comm->node_size == comm->size);
  rdd_err err;
  rdd_comm *single = NULL;
  if (!TK_OK(rdd_comm_single(&single, &err), &err)) return;
  TK_CHECK(single->rank == 0 && single->size == 1);
  gathers(single);
  exchanges(single);
  broadcasts(single);
  fence(single);
  tables(single);
  rdd_comm_close(single);
  rdd_comm_close(NULL);
  TK_CHECK(rdd_threads_run(0, NULL, NULL, &err) == RDD_EUSAGE);
  TK_CHECK(rdd_threads_run(RDD_MAX_RANKS + 1, NULL, NULL, &err) == RDD_EUSAGE);
}

int main(void) {
  static const tk_comm_case cases[] = {
      {"places", places},         {"gathers", gathers},
      {"exchanges", exchanges},   {"reductions", reductions},
      {"broadcasts", broadcasts}, {"the fence", fence},
      {"tables", tables},         {"tables fail together", tables_fail_together},
  };
  return tk_threads_main("rdd_comm", cases, sizeof cases / sizeof cases[0]);
}
