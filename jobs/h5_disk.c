/* The file driver that HDF5 files are written through.
 *
 * HDF5 cannot close a file that it could not write: after a full disk, closing fails, ids and
 * descriptors stay, and the library crashes when the program ends. Our driver remembers the first error, lets everything after it pass as if it had been
 * written, and so the file, which is lost anyway, closes in order; then the error is told. */
#include "jobs/h5_disk_impl.h"

#include "rdd/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

enum { DISK_MAGIC = 0x67706c6b };

/* What H5Fget_vfd_handle() gives for our files; for others it points to an int as well. */
typedef struct disk_state {
  int magic;
  int failed; /* errno of the first failure; 0: none */
} disk_state;

typedef struct disk {
  H5FD_t base; /* HDF5's part; has to be first */
  int fd;
  haddr_t eoa, eof; /* ends of what is allocated, and of what is written */
  disk_state state;
} disk;

/* errno of the file that this thread opened or closed last, 0: all went well. HDF5 does not hand it
 * on. */
static _Thread_local int disk_errno;

static H5FD_t *disk_open(const char *name, unsigned flags, hid_t list, haddr_t max) {
  (void)flags;
  (void)list;
  (void)max;
  disk *d = rdd_calloc(1, sizeof(*d));
  disk_errno = ENOMEM;
  if (!d) return NULL;
  d->state.magic = DISK_MAGIC;
  d->fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  disk_errno = d->fd >= 0 ? 0 : errno;
  if (d->fd >= 0) return &d->base;
  rdd_free(d);
  return NULL;
}

static herr_t disk_close(H5FD_t *file) {
  disk *d = (disk *)file;
  if (close(d->fd) != 0 && !d->state.failed) d->state.failed = errno;
  disk_errno = d->state.failed;
  rdd_free(d);
  return 0;
}

/* Collect small pieces as the default driver does; the file is one that it can read. */
static herr_t disk_query(const H5FD_t *file, unsigned long *flags) {
  (void)file;
  *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
           H5FD_FEAT_AGGREGATE_SMALLDATA | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
  return 0;
}

static haddr_t disk_get_eoa(const H5FD_t *file, H5FD_mem_t type) {
  (void)type;
  return ((const disk *)file)->eoa;
}

static herr_t disk_set_eoa(H5FD_t *file, H5FD_mem_t type, haddr_t address) {
  (void)type;
  ((disk *)file)->eoa = address;
  return 0;
}

static haddr_t disk_get_eof(const H5FD_t *file, H5FD_mem_t type) {
  (void)type;
  return ((const disk *)file)->eof;
}

static herr_t disk_get_handle(H5FD_t *file, hid_t list, void **handle) {
  (void)list;
  *handle = &((disk *)file)->state;
  return 0;
}

/* What was never written reads as zeros. */
static herr_t disk_read(H5FD_t *file, H5FD_mem_t type, hid_t list, haddr_t address, size_t size,
                        void *buffer) {
  (void)type;
  (void)list;
  const disk *d = (const disk *)file;
  char *at = buffer;
  while (size > 0) {
    ssize_t n = pread(d->fd, at, size, (off_t)address);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    at += n;
    address += (haddr_t)n;
    size -= (size_t)n;
  }
  memset(at, 0, size);
  return 0;
}

static herr_t disk_write(H5FD_t *file, H5FD_mem_t type, hid_t list, haddr_t address, size_t size,
                         const void *buffer) {
  (void)type;
  (void)list;
  disk *d = (disk *)file;
  const char *at = buffer;
  if (d->eof < address + size) d->eof = address + size;
  while (size > 0 && !d->state.failed) {
    ssize_t n = pwrite(d->fd, at, size, (off_t)address);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      d->state.failed = errno;
      break;
    }
    at += n;
    address += (haddr_t)n;
    size -= (size_t)n;
  }
  return 0;
}

static herr_t disk_truncate(H5FD_t *file, hid_t list, hbool_t closing) {
  (void)list;
  (void)closing;
  disk *d = (disk *)file;
  if (d->eof == d->eoa) return 0;
  if (!d->state.failed && ftruncate(d->fd, (off_t)d->eoa) != 0) d->state.failed = errno;
  d->eof = d->eoa;
  return 0;
}

static const H5FD_class_t disk_class = {
#if H5_VERSION_GE(1, 13, 0)
    .version = H5FD_CLASS_VERSION,
    .value = 511, /* of those that are free for anybody */
#endif
    .name = "gangplank",
    .maxaddr = INT64_MAX,
    .fc_degree = H5F_CLOSE_WEAK,
    .open = disk_open,
    .close = disk_close,
    .query = disk_query,
    .get_eoa = disk_get_eoa,
    .set_eoa = disk_set_eoa,
    .get_eof = disk_get_eof,
    .get_handle = disk_get_handle,
    .read = disk_read,
    .write = disk_write,
    .truncate = disk_truncate,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

hid_t job_h5_disk_register(void) {
  return H5FDregister(&disk_class);
}

int job_h5_disk_error(bool clear) {
  if (clear) disk_errno = 0;
  return disk_errno;
}

int job_h5_disk_failure(hid_t object) {
  void *handle = NULL;
  int failed = 0;
  hid_t file = H5Iget_file_id(object);
  if (file < 0) return 0;
  if (H5Fget_vfd_handle(file, H5P_DEFAULT, &handle) >= 0 && handle &&
      *(const int *)handle == DISK_MAGIC)
    failed = ((const disk_state *)handle)->failed;
  H5Fclose(file);
  return failed;
}
