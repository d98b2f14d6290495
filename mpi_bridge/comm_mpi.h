/* The communicator over MPI. The only room that includes mpi.h is this one, and no public header of
 * it does. */
#ifndef GANG_COMM_MPI_H
#define GANG_COMM_MPI_H

#include "rdd/comm.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The world as an rdd_comm; initialises MPI, and closing it finalises.    Collective.
 * Ranks that wait give way by themselves, so OMPI_MCA_mpi_yield_when_idle becomes 0 in the environment
 * unless it is set.
 * Fails with RDD_EUSAGE where MPI sees one rank and the launcher started several, RDD_ENOMEM, or
 * RDD_EINTERNAL where MPI does not allow threads beside the one that calls it. */
RDD_MUST_CHECK rdd_status gang_comm_mpi(int *argc, char ***argv, rdd_comm **out, rdd_err *err);

/* The lowest rank on the node of a rank, of any communicator. Not collective. */
int gang_node_first(const rdd_comm *comm, int rank);

/* Largest message in bytes; larger ones are cut. For tests; the default is 1 GiB.
 * Not collective. */
void gang_comm_set_chunk(int64_t bytes);

/* Pretend that no node has more than so many ranks, so that one machine can test the traffic
 * between nodes; 0, the default, believes MPI. Before gang_comm_mpi(), the same on all ranks. Not
 * collective. */
void gang_comm_set_node_size(int ranks);

#ifdef __cplusplus
}
#endif
#endif
