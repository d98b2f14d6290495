/* The gang with ranks as threads, where the sanitizers see all of it. "hang": see gang_hang.sh. */
#include "tests/gang_cases.h"

#include <stdio.h>
#include <string.h>

static void hang(rdd_comm *comm, void *arg) {
  (void)arg;
  gang_hang(comm);
}

int main(int argc, char **argv) {
  rdd_err err = {0};
  if (argc == 2 && !strcmp(argv[1], "hang")) {
    if (rdd_threads_run(3, hang, NULL, &err)) fprintf(stderr, "%s\n", err.message);
    return 0;
  }
  return tk_threads_main("gang over threads", gang_cases, gang_case_count);
}
