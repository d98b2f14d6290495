/* Memory files that become partitions: sealed, so that nobody can change them, and mapped
 * read-only. */
#include "rdd/rdd_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void unmap(void *bytes, size_t size) {
  munmap(bytes, size);
}

/* Linux before 6.7 maps a sealed file through a descriptor that could never write, and no other. */
static void *map_read_only(int fd, size_t size) {
  char path[40];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int reader = open(path, O_RDONLY | O_CLOEXEC);
  if (reader < 0) return MAP_FAILED;
  void *bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, reader, 0);
  int why = errno;
  close(reader);
  errno = why;
  return bytes;
}

/* From here on nobody can change it, this process included. */
rdd_status rdd_seal_raw(int fd, rdd_part *part, rdd_err *err) {
  off_t end = lseek(fd, 0, SEEK_END);
  if (end < 0 ||
      fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
    return rdd_set(err, RDD_EINTERNAL, "cannot seal a partition: %s", strerror(errno));
  size_t size = (size_t)end;
  void *bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
  if (bytes == MAP_FAILED && errno == EPERM) bytes = map_read_only(fd, size);
  if (bytes == MAP_FAILED)
    return rdd_set(err, RDD_ENOMEM, "cannot map a partition of %zu bytes: %s", size,
                   strerror(errno));
  *part = (rdd_part){.bytes = bytes, .size = size, .release = unmap};
  return RDD_OK;
}

rdd_status rdd_seal(int fd, const rdd_schema *schema, rdd_part *part, rdd_err *err) {
  rdd_part raw;
  rdd_status st = rdd_seal_raw(fd, &raw, err);
  if (st) return st;
  st = rdd_part_open(part, schema, raw.bytes, raw.size, unmap, err);
  if (st) rdd_part_close(&raw);
  return st;
}

rdd_status rdd_part_share(const rdd_part *part, const rdd_schema *schema, rdd_part *out,
                          rdd_err *err) {
  /* an old size of 0 maps shared memory once more */
  void *bytes = mremap((void *)(uintptr_t)part->bytes, 0, part->size, MREMAP_MAYMOVE);
  if (bytes == MAP_FAILED)
    return rdd_set(err, RDD_ENOMEM, "cannot map a partition of %zu bytes again: %s", part->size,
                   strerror(errno));
  rdd_status st = rdd_part_open(out, schema, bytes, part->size, unmap, err);
  if (st) munmap(bytes, part->size);
  return st;
}
