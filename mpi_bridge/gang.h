/* The gang: ranks that move as one, and the hand-off from independent tasks to them. */
#ifndef GANG_GANG_H
#define GANG_GANG_H

#include "rdd/comm.h"
#include "rdd/rdd.h"

#include <stdbool.h>

/* Join the gang.                                                          Collective.
 * Under a launcher (mpirun, srun) this initialises MPI, MPI_THREAD_FUNNELED; alone it is one rank
 * without MPI, from the same program. Leave with rdd_comm_close(), which finalises. */
RDD_MUST_CHECK rdd_status gang_open(int *argc, char ***argv, rdd_comm **out, rdd_err *err);

/* True where a launcher started this process as one of several ranks. Not collective. */
bool gang_launched(void);

/* The MPI library's version in one line, for --version. Not collective. */
const char *gang_mpi_version(void);

/* What every rank of the gang runs. parts[i] are this rank's partitions of rdd[i]; the body may drop
 * them as it consumes them, and does not free them. Collective inside. */
typedef rdd_status (*gang_body)(rdd_comm *comm, rdd_parts *const *parts, void *arg, rdd_err *err);

/* Compute RDDs with independent tasks, fence, and hand them in memory to body on every rank: Spark's
 * rdd.barrier().mapPartitions(body). All tasks are forked before body starts, so before its big
 * tables exist. All ranks return the same status.                         Collective.
 *   n         [in]  how many RDDs, 1 to 4
 *   opts      [in]  [n] one for each RDD
 *   counters  [out] [n], or NULL; set before body runs */
RDD_MUST_CHECK rdd_status gang_run(rdd_comm *comm, rdd *const *rdds, int n,
                                   const rdd_run_opts *opts, rdd_counters *counters, gang_body body,
                                   void *arg, rdd_err *err);

#endif
