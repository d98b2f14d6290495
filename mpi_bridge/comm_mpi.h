/* The communicator over MPI. The only room that includes mpi.h is this one, and no header of it does. */
#ifndef GANG_COMM_MPI_H
#define GANG_COMM_MPI_H

#include "rdd/comm.h"

/* The world as an rdd_comm; initialises MPI, and closing it finalises.    Collective. */
RDD_MUST_CHECK rdd_status gang_comm_mpi(int *argc, char ***argv, rdd_comm **out, rdd_err *err);

/* Largest message in bytes; larger ones are cut. For tests; the default is 1 GiB. Not collective. */
void gang_comm_set_chunk(int64_t bytes);

#endif
