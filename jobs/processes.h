/* The processes below this one: children, their children, and those whose parents are gone. */
#ifndef JOB_PROCESSES_H
#define JOB_PROCESSES_H

#include <stdbool.h>
#include <sys/types.h>

/* From now on a descendant whose parent dies becomes a child of this process, so that none gets lost.
 * False with errno where the kernel cannot. */
bool job_processes_adopt(void);

/* Does a process of this number live? One that is dead and not reaped does not. */
bool job_process_lives(pid_t pid);

/* Told of each child that is reaped, with the status of waitpid(). */
typedef void (*job_reaped_fn)(void *arg, pid_t pid, int status);

/* Reap the children that have ended. */
void job_processes_reap(job_reaped_fn reaped, void *arg);

/* End every descendant, and reap: SIGTERM, and SIGKILL `grace` seconds later. Nobody else is touched: a
 * process is signalled through a descriptor that was checked to be still the descendant that was found.
 * Returns how many were alive at the start; -1 where some cannot be killed. */
int job_processes_end(double grace, job_reaped_fn reaped, void *arg);

#endif
