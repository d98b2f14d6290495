/* Private to mpi_bridge: the communicator's fields, and what its files share. */
#ifndef GANG_COMM_MPI_IMPL_H
#define GANG_COMM_MPI_IMPL_H

#include "mpi_bridge/comm_mpi.h"

#include <mpi.h>
#include <stdbool.h>

enum { GANG_BCASTS = 64 }; /* broadcasts in flight in a table's sync */

typedef struct gang_mpi {
  rdd_comm base;
  MPI_Comm world;        /* a duplicate: nobody else's messages are in it */
  MPI_Comm node;         /* the ranks that share this node's memory */
  MPI_Comm leaders;      /* the first rank of each node; MPI_COMM_NULL on the others */
  int *node_of;          /* [size] place of each rank's node among the nodes, its rank in leaders */
  int *counts, *displs;  /* [size] scratch for MPI's int arguments */
  MPI_Request *requests; /* [max(2 * size, GANG_BCASTS)] scratch */
  int started;           /* requests of the exchange that was started and is not finished */
  struct {
    bool open;             /* it waits for ranks that have not come yet */
    MPI_Request *requests; /* [2 * size] a receive from each rank, then a send to each */
    int *finished;         /* [2 * size] scratch */
    char *in;              /* [size][RDD_MEET_BYTES] */
    char out[RDD_MEET_BYTES];
  } meeting;
} gang_mpi;

/* Between two polls: give way to others; sleep when `idle`, from 1 ms on, and for 1 us where others
 * compute on this core. *since, in seconds, is 0 before the first poll of a wait, and this function's
 * own from then on. */
void gang_pause(double *since, bool idle);

/* Go on if an MPI call succeeded; else print one line and abort: ranks cannot agree on anything
 * when the transport between them is broken, and a supervisor reruns the gang. */
void gang_must(int mpi_code, const char *call);
#define GANG_MUST(call) gang_must((call), #call)

/* End the job on all ranks, with or without MPI. The caller has printed why. */
void gang_abort(void) __attribute__((noreturn));

/* Wait until all ranks of `comm` have come, without burning a core: the late ones may be computing
 * on it. */
void gang_assemble(MPI_Comm comm);

/* Wait for requests whose partners may be late. */
void gang_await(int n, MPI_Request *requests);

/* Wait for data that is on its way: all partners are here, so this polls, but lets others run. */
void gang_finish(int n, MPI_Request *requests);

/* Largest message, see gang_comm_set_chunk(). */
int64_t gang_chunk(void);

/* The members of rdd_comm_ops that have files of their own. */
void gang_allgatherv(rdd_comm *comm, const void *send, int64_t bytes, void *recv,
                     const int64_t *counts, const int64_t *displs);
void gang_alltoallv(rdd_comm *comm, const void *send, const int64_t *send_counts,
                    const int64_t *send_displs, void *recv, const int64_t *recv_counts,
                    const int64_t *recv_displs);
void gang_alltoallv_start(rdd_comm *comm, const rdd_lanes *lanes);
void gang_alltoallv_poll(rdd_comm *comm);
void gang_alltoallv_finish(rdd_comm *comm, const rdd_lanes *lanes);
bool gang_meet(rdd_comm *comm, const void *send, int64_t bytes, void *recv, bool *came,
               double seconds);
void *gang_table_alloc(rdd_comm *comm, size_t bytes, void **handle);
void gang_table_sync(rdd_comm *comm, void *handle, const int64_t *begin);
void gang_table_free(rdd_comm *comm, void *handle);

#endif
