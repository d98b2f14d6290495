/* Private to gangrun: what its two files share. gangrun.c decides, gangrun_attempt.c runs one attempt. */
#ifndef JOB_GANGRUN_IMPL_H
#define JOB_GANGRUN_IMPL_H

#include "jobs/record.h"

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct supervisor {
  char *const *command; /* ends with NULL */
  int max_attempts;
  double stall_timeout; /* s; 0: none */
  double backoff;       /* s before the second attempt, twice as long before each further one */
  char dir[PATH_MAX];   /* work directory */
  int signals;          /* signalfd */
  sigset_t mask;        /* of blocked signals, as the command gets it */
  int asked;            /* SIGINT, SIGTERM, SIGHUP or SIGUSR1 came; 0: none */
  int orders;           /* how often one of the first three did */
} supervisor;

/* What the launcher said on stderr about the first process that failed. */
typedef struct culprit {
  int rank;      /* -1: unknown */
  int signal;    /* 0: none */
  int exit_code; /* -1: unknown */
  char host[64];
  char lost_node[64];
} culprit;

typedef struct attempt {
  int number; /* in this work directory */
  pid_t launcher;
  bool ended;      /* the launcher has, with */
  int status;      /* of waitpid() */
  int exec_errno;  /* why the command could not be executed; 0: it was */
  bool stalled;    /* no progress, and so killed */
  bool unkillable; /* some process of it still lives */
  culprit who;
  bool recorded; /* it wrote a record */
  job_record record;
} attempt;

/* Read what was asked by signals so far, and pass it on to the launcher (0: there is none). The first
 * order leaves the ending to the launcher, a second one ends everything. */
void gangrun_take_signals(supervisor *s, pid_t launcher);

/* Run the command once, from its start until no process of it lives. */
void gangrun_attempt(supervisor *s, attempt *a);

/* "rank 2 on n17 died of signal 9 (killed) in iteration 5, users". */
void gangrun_describe(const supervisor *s, const attempt *a, char *text, size_t room);

/* Print one line on stderr, after "gangrun: ". */
void gangrun_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
