/* Cases on ids and sides over ranks, for ranks as threads and for MPI. */
#ifndef IDS_CASES_H
#define IDS_CASES_H

#include "tests/testkit.h"

enum { IDS_CASES = 8 };

extern const tk_comm_case ids_cases[IDS_CASES];

#endif
