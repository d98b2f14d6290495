/* Memory of this process, from /proc/self/status. */
#include "jobs/memory_use.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

job_memory_use job_memory_now(void) {
  static const struct {
    const char *name;
    size_t at;
  } field[] = {
      {"VmHWM:", offsetof(job_memory_use, peak)},
      {"VmRSS:", offsetof(job_memory_use, resident)},
      {"RssAnon:", offsetof(job_memory_use, anonymous)},
      {"RssShmem:", offsetof(job_memory_use, shared)},
      {"RssFile:", offsetof(job_memory_use, files)},
  };
  job_memory_use use = {0};
  char line[256];
  int64_t kib;
  FILE *status = fopen("/proc/self/status", "r");
  if (!status) return use;
  while (fgets(line, sizeof line, status)) {
    for (size_t i = 0; i < sizeof field / sizeof *field; i++) {
      size_t length = strlen(field[i].name);
      if (strncmp(line, field[i].name, length) || sscanf(line + length, "%" SCNd64, &kib) != 1)
        continue;
      kib *= 1024;
      memcpy((char *)&use + field[i].at, &kib, sizeof kib);
    }
  }
  fclose(status);
  return use;
}

int64_t job_memory_available(void) {
  char line[120];
  long long kib = 0;
  FILE *file = fopen("/proc/meminfo", "re");
  while (file && fgets(line, sizeof line, file))
    if (sscanf(line, "MemAvailable: %lld kB", &kib) == 1) break;
  if (file) fclose(file);
  return (int64_t)kib * 1024;
}
