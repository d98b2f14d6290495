/* Memory of this process and of its node, as the kernel counts it. */
#ifndef JOB_MEMORY_USE_H
#define JOB_MEMORY_USE_H

#include <stdint.h>

/* Bytes. Shared pages count in every process that has touched them: partitions in memory files, and
 * the tables of a node. */
typedef struct job_memory_use {
  int64_t peak;      /* VmHWM: the most that ever was resident */
  int64_t resident;  /* VmRSS: the sum of the three below, now */
  int64_t anonymous; /* RssAnon */
  int64_t shared;    /* RssShmem */
  int64_t files;     /* RssFile: the program and its libraries, mostly */
} job_memory_use;

/* From /proc/self/status; zeros where there is none. Not collective. */
job_memory_use job_memory_now(void);

/* Bytes that all processes of this node could still get without swapping (MemAvailable of /proc/meminfo);
 * 0 where the system does not tell. Not collective. */
int64_t job_memory_available(void);

#endif
