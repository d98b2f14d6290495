/* Pretended nodes of ranks as threads: tables, what is counted, and rows that go only where they are
 * needed. */
#include "rdd/memory.h"
#include "tests/need_cases.h"
#include "tests/testkit.h"

enum { MOST_RANKS = 5 };

typedef struct body {
  void (*run)(rdd_comm *comm);
} body;

static void run_body(rdd_comm *comm, void *arg) {
  ((const body *)arg)->run(comm);
}

/* Run on 1 to MOST_RANKS ranks: on one node, and on nodes of 1, 2 and 3. */
static void on_nodes(void (*run)(rdd_comm *comm)) {
  for (int size = 1; size <= MOST_RANKS; size++)
    for (int node_size = 0; node_size <= 3; node_size++) {
      rdd_err err = {0};
      body b = {run};
      TK_OK(rdd_threads_run_on_nodes(size, node_size, run_body, &b, &err), &err);
    }
}

/* A sync brings to each node what the others have written, and no sooner. */
static void tables_once(rdd_comm *comm) {
  int64_t begin[MOST_RANKS + 1];
  rdd_table *table = NULL;
  rdd_err err = {0};
  for (int r = 0; r <= comm->size; r++) begin[r] = r * (int64_t)sizeof(int);
  if (!TK_OK(rdd_table_new(comm, (size_t)comm->size * sizeof(int), &table, &err), &err)) return;
  int *value = rdd_table_data(table);
  value[comm->rank] = 1 + comm->rank;
  rdd_barrier(comm);
  for (int r = 0; r < comm->size; r++)
    TK_CHECK(value[r] == (comm->node_of[r] == comm->node_of[comm->rank] ? 1 + r : 0));
  rdd_table_sync(table, begin);
  for (int r = 0; r < comm->size; r++) TK_CHECK(value[r] == 1 + r);
  rdd_table_free(table);

  for (int n = 1; n <= comm->nodes; n++) { /* the memory of one node */
    rdd_barrier(comm);
    if (comm->rank == 0) rdd_memory_fail_at(n);
    rdd_barrier(comm);
    TK_CHECK(rdd_table_new(comm, 100, &table, &err) == RDD_ENOMEM);
  }
}

static void test_tables(void) {
  on_nodes(tables_once);
}

static void test_traffic(void) {
  on_nodes(need_case_traffic);
}

static void test_rows(void) {
  on_nodes(need_case_rows);
}

static void test_groups(void) {
  rdd_err err = {0};
  body b = {need_case_groups};
  for (int node_size = 0; node_size <= 2; node_size++)
    TK_OK(rdd_threads_run_on_nodes(4, node_size, run_body, &b, &err), &err);
}

static void test_memory(void) {
  on_nodes(need_case_memory);
}

int main(void) {
  static const tk_case cases[] = {
      {"tables are of a node", test_tables},
      {"what is sent is counted", test_traffic},
      {"rows go where they are needed", test_rows},
      {"rows go in groups", test_groups},
      {"all leave together when memory is out", test_memory},
  };
  return tk_main("rdd need", cases, sizeof cases / sizeof *cases);
}
