/* A checksum over a whole HDF5 file, behind its end.
 *
 *   HDF5 file ... | "gplkseal" | CRC-32, 8 bytes, little-endian
 *
 * HDF5 does not mind what follows its end. It does mind, to the point of crashing, what is wrong inside:
 * attributes of variable length lie in a heap without a checksum. So files that are read again after a
 * crash, blocks and checkpoints, are checked here before the library sees them. */
#include "jobs/h5.h"

#include "rdd/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { SEAL_BYTES = 16, PIECE = 1 << 20 };
static const char magic[9] = "gplkseal";

/* CRC-32 of the first `bytes` bytes. */
static rdd_status checksum(int fd, const char *path, int64_t bytes, uint32_t *out, rdd_err *err) {
  rdd_status st = RDD_OK;
  unsigned char *piece = rdd_alloc(PIECE, 1);
  if (!piece) return rdd_set(err, RDD_ENOMEM, "%s: no memory to check it", path);
  uLong crc = crc32(0, NULL, 0);
  for (int64_t at = 0; at < bytes && !st;) {
    size_t want = bytes - at < PIECE ? (size_t)(bytes - at) : PIECE;
    ssize_t n = pread(fd, piece, want, (off_t)at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0)
      st = rdd_set(err, RDD_EIO, "%s: cannot be read: %s", path, n ? strerror(errno) : "it shrank");
    else
      crc = crc32(crc, piece, (uInt)n);
    at += n;
  }
  rdd_free(piece);
  *out = (uint32_t)crc;
  return st;
}

static void put_seal(unsigned char seal[SEAL_BYTES], uint32_t crc) {
  memset(seal, 0, SEAL_BYTES);
  memcpy(seal, magic, 8);
  for (int i = 0; i < 4; i++) seal[8 + i] = (unsigned char)(crc >> (8 * i));
}

rdd_status job_h5_seal(const char *path, rdd_err *err) {
  unsigned char seal[SEAL_BYTES];
  struct stat s;
  uint32_t crc;
  rdd_status st = RDD_OK;
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &s) != 0) {
    st = rdd_set(err, RDD_EIO, "%s: cannot be sealed: %s", path, strerror(errno));
    goto done;
  }
  st = checksum(fd, path, s.st_size, &crc, err);
  if (st) goto done;
  put_seal(seal, crc);
  if (pwrite(fd, seal, SEAL_BYTES, s.st_size) != SEAL_BYTES)
    st = rdd_set(err, RDD_EIO, "%s: cannot be sealed: %s", path, strerror(errno));
done:
  if (fd >= 0) close(fd);
  return st;
}

rdd_status job_h5_check_seal(const char *path, bool *sealed_out, rdd_err *err) {
  unsigned char seal[SEAL_BYTES], right[SEAL_BYTES];
  struct stat s;
  uint32_t crc;
  rdd_status st = RDD_OK;
  *sealed_out = false;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &s) != 0 || s.st_size < SEAL_BYTES) goto done; /* told by who opens it */
  if (pread(fd, seal, SEAL_BYTES, s.st_size - SEAL_BYTES) != SEAL_BYTES) goto done;
  if (memcmp(seal, magic, 8) != 0) goto done;
  st = checksum(fd, path, s.st_size - SEAL_BYTES, &crc, err);
  if (st) goto done;
  put_seal(right, crc);
  if (memcmp(seal, right, SEAL_BYTES) != 0)
    st = rdd_set(err, RDD_EDATA, "%s: damaged: its checksum is wrong", path);
  *sealed_out = true;
done:
  if (fd >= 0) close(fd);
  return st;
}
