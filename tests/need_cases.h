/* What every communicator has to do alike: count what it sends, and bring rows where they are needed.
 * Run with ranks as threads and under MPI, on one node and on several pretended ones. */
#ifndef NEED_CASES_H
#define NEED_CASES_H

#include "rdd/comm.h"

/* Each collective against the table in rdd/comm.h. Collective. */
void need_case_traffic(rdd_comm *comm);

/* Rows, owners and needs at random: each row is where it is needed and nowhere else, and the bytes are the
 * sum over rows of the nodes that need them. Collective. */
void need_case_rows(rdd_comm *comm);

/* More than the buffers hold at a time; a rank writes its next rows while the others travel. Collective. */
void need_case_groups(rdd_comm *comm);

/* One rank is out of memory: all return, and can go on. Collective. */
void need_case_memory(rdd_comm *comm);

#endif
