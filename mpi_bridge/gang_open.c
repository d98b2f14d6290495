/* Joining the gang: under a launcher, or alone. */
#include "mpi_bridge/comm_mpi.h"
#include "mpi_bridge/gang.h"

#include <mpi.h>
#include <stdlib.h>
#include <string.h>

/* A launcher's environment is how a process knows whether to join MPI. SLURM_PROCID is no sign: it
 * is set for plain commands of a batch script too. */
bool gang_under_launcher(void) {
  static const char *const sign[] = {
      "OMPI_COMM_WORLD_SIZE", "PMIX_RANK",      "PMI_RANK", "PMI_SIZE",
      "MPI_LOCALNRANKS",      "HYDI_CONTROL_FD"};
  for (size_t i = 0; i < sizeof sign / sizeof *sign; i++)
    if (getenv(sign[i])) return true;
  return false;
}

/* An integer from the environment, or `otherwise`. */
static long env_int(const char *name, long otherwise) {
  const char *value = getenv(name);
  return value ? strtol(value, NULL, 10) : otherwise;
}

bool gang_launched(void) {
  if (!gang_under_launcher()) return false;
  return env_int("OMPI_COMM_WORLD_SIZE", env_int("PMI_SIZE", 2)) > 1;
}

/* Ranks of a pretended node, which the user may ask for; 0: believe MPI. */
static rdd_status read_node_size(int *out, rdd_err *err) {
  const char *value = getenv("GANGPLANK_NODE_SIZE");
  char *end = NULL;
  long ranks = value ? strtol(value, &end, 10) : 0;
  if (value && (end == value || *end || ranks < 1 || ranks > RDD_MAX_RANKS))
    return rdd_set(err, RDD_EUSAGE,
                   "GANGPLANK_NODE_SIZE is '%s'; it has to be a number of ranks, 1 to %d", value,
                   RDD_MAX_RANKS);
  *out = (int)ranks;
  return RDD_OK;
}

rdd_status gang_open(int *argc, char ***argv, rdd_comm **out, rdd_err *err) {
  int node_size = 0;
  rdd_status st = read_node_size(&node_size, err);
  if (st) return st;
  if (node_size) gang_comm_set_node_size(node_size);
  if (gang_under_launcher()) return gang_comm_mpi(argc, argv, out, err);
  long tasks = env_int("SLURM_STEP_NUM_TASKS", 1);
  if (tasks > 1)
    return rdd_set(
        err, RDD_EUSAGE,
        "srun started %ld tasks without telling them of each other, so each would do the "
        "whole job and write the same outputs: start them with srun --mpi=pmix, or mpirun",
        tasks);
  return rdd_comm_single(out, err);
}

const char *gang_mpi_version(void) {
  static char version[MPI_MAX_LIBRARY_VERSION_STRING]; /* the same at each call */
  int length;
  if (MPI_Get_library_version(version, &length) != MPI_SUCCESS) return "unknown MPI";
  version[strcspn(version, ",\n")] = '\0'; /* then come the packager, the date, the flags */
  for (char *tab = version; (tab = strchr(tab, '\t'));) *tab = ' ';
  return version;
}
