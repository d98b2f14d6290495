/* Joining the gang without a launcher: one rank, no MPI, which is a gang too; and srun's trap. */
#include "mpi_bridge/gang.h"
#include "tests/testkit.h"

#include <stdlib.h>
#include <string.h>

static void test_alone(void) {
  rdd_comm *comm = NULL;
  rdd_err err = {0};
  int argc = 0;
  char **argv = NULL;
  TK_CHECK(!gang_launched());
  if (!TK_OK(gang_open(&argc, &argv, &comm, &err), &err)) return;
  TK_CHECK(comm->rank == 0 && comm->size == 1);
  rdd_comm_close(comm);
}

static rdd_status body(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  const void *const *all;
  const int64_t *bytes;
  int *runs = arg;
  (void)parts;
  ++*runs;
  rdd_status st = gang_barrier(g, err);
  if (!st) st = gang_allgather(g, "alone", 5, &all, &bytes, err);
  if (st) return st;
  TK_CHECK(gang_rank(g) == 0 && gang_size(g) == 1 && gang_attempt(g) == *runs);
  TK_CHECK(gang_task_infos(g)[0].rank == 0 && gang_task_infos(g)[0].node == 0);
  TK_CHECK(bytes[0] == 5 && memcmp(all[0], "alone", 5) == 0);
  return *runs == 1 ? rdd_set(err, RDD_EINTERNAL, "once more") : RDD_OK;
}

static void test_gang_of_one(void) {
  const gang_opts opts = {.ranks = 1, .sync_timeout = 60};
  rdd_comm *comm = NULL;
  rdd_err err = {0};
  int argc = 0, runs = 0;
  char **argv = NULL;
  if (!TK_OK(gang_open(&argc, &argv, &comm, &err), &err)) return;
  TK_OK(gang_run(comm, NULL, 0, NULL, NULL, &opts, body, &runs, &err), &err);
  TK_CHECK(runs == 2);
  rdd_comm_close(comm);
}

/* The script of a batch job runs plain commands; only one of them. */
static void test_batch_script(void) {
  setenv("SLURM_PROCID", "0", 1);
  setenv("SLURM_NTASKS", "8", 1);
  test_alone();
  unsetenv("SLURM_PROCID");
  unsetenv("SLURM_NTASKS");
}

/* srun without PMI starts n copies that know nothing of each other. */
static void test_srun_without_pmi(void) {
  rdd_comm *comm = NULL;
  rdd_err err = {0};
  int argc = 0;
  char **argv = NULL;
  setenv("SLURM_STEP_NUM_TASKS", "8", 1);
  TK_CHECK(gang_open(&argc, &argv, &comm, &err) == RDD_EUSAGE);
  TK_CHECK(strstr(err.message, "8 tasks") != NULL);
  TK_CHECK(strstr(err.message, "srun --mpi=pmix") != NULL);
  unsetenv("SLURM_STEP_NUM_TASKS");
}

int main(void) {
  static const tk_case cases[] = {
      {"alone", test_alone},
      {"a gang of one rank without MPI", test_gang_of_one},
      {"a plain command in a batch script", test_batch_script},
      {"srun without PMI", test_srun_without_pmi},
  };
  static const char *const launcher[] = {
      "OMPI_COMM_WORLD_SIZE", "PMIX_RANK",           "PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS",
      "HYDI_CONTROL_FD",      "SLURM_STEP_NUM_TASKS"};
  for (size_t i = 0; i < sizeof launcher / sizeof *launcher; i++) unsetenv(launcher[i]);
  return tk_main("gang_open", cases, sizeof cases / sizeof *cases);
}
