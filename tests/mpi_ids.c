/* Ids and sides over MPI, all messages cut into chunks of 13 bytes, so that no count, offset or element
 * fits a chunk: every exchange goes through many, of uneven counts, and so do the tables between the
 * nodes, of which three and four ranks make two. */
#include "mpi_bridge/comm_mpi.h"
#include "tests/ids_cases.h"

#include <stdio.h>

enum { RANKS_PER_NODE = 2, CHUNK = 13 };

int main(int argc, char **argv) {
  rdd_comm *comm = NULL;
  rdd_err err = {0};
  gang_comm_set_node_size(RANKS_PER_NODE);
  gang_comm_set_chunk(CHUNK);
  if (gang_comm_mpi(&argc, &argv, &comm, &err)) {
    fprintf(stderr, "%s\n", err.message);
    return 1;
  }
  int status = tk_comm_main("ids over MPI", ids_cases, IDS_CASES, comm);
  rdd_comm_close(comm);
  return status;
}
