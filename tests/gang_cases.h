/* The gang's behaviours as cases that run over any communicator: under mpirun and as threads. The
 * names in brackets are those of Spark's suites that test the same; docs/spark-tests.md has the
 * whole list. */
#ifndef GANG_CASES_H
#define GANG_CASES_H

#include "tests/testkit.h"

extern const tk_comm_case gang_cases[];
extern const int gang_case_count;

/* A gang whose last rank never comes to the barrier: does not return. Collective. */
void gang_hang(rdd_comm *comm);

#endif
