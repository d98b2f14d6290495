/* Tables: one segment of memory a node, mapped by all its ranks; leaders exchange between nodes.
 *
 * A rank that has a node for itself takes its own memory, which the kernel keeps in huge pages more readily.
 *
 * The segment is a file in memory that the node's leader makes and the others open by path. This is
 * not MPI_Win_allocate_shared: where that fails on one rank (a container's /dev/shm is often 64
 * MiB), Open MPI 4.1 leaves the other ranks waiting in a broadcast for ever. Here each step that
 * can fail ends in a fence. A memfd is tried first, for it needs no file system; its path cannot be
 * opened across user namespaces (one container a rank), so a file in /dev/shm is the second way. */
#include "mpi_bridge/comm_mpi_impl.h"

#include "rdd/memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PATH_BYTES = 64, MEMFD = 0, DEV_SHM = 1, WAYS = 2 };

typedef struct table {
  char *bytes;
  size_t size; /* of the mapping; 0 where it is the rank's own memory */
} table;

/* Make a file of zeros in memory; sets where others can open it. Returns -1 on failure.
 * Memory is taken when a page is first written, by its writer: so a file that no memory could hold
 * is refused here, and not by the kernel's out-of-memory killer later. */
static int create_segment(int way, size_t size, char path[PATH_BYTES]) {
  static int made; /* names of this process's files */
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  if (size / page > (size_t)sysconf(_SC_PHYS_PAGES)) return -1;
  int fd;
  if (way == MEMFD) {
    fd = memfd_create("gangplank-table", MFD_CLOEXEC);
    snprintf(path, PATH_BYTES, "/proc/%d/fd/%d", (int)getpid(), fd);
    if (fd >= 0 && ftruncate(fd, (off_t)size) == 0) return fd;
  } else {
    snprintf(path, PATH_BYTES, "/dev/shm/gangplank-%d-%d", (int)getpid(), made++);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0 && posix_fallocate(fd, 0, (off_t)size) == 0) return fd;
    if (fd >= 0) unlink(path);
  }
  if (fd >= 0) close(fd);
  return -1;
}

/* True where all ranks of `comm` say so. */
static bool all_agree(MPI_Comm comm, bool mine) {
  int all = mine;
  MPI_Request request;
  GANG_MUST(MPI_Iallreduce(MPI_IN_PLACE, &all, 1, MPI_INT, MPI_MIN, comm, &request));
  gang_await(1, &request);
  return all;
}

/* Map one segment on all ranks of the node, or on none. Collective over the node. */
static bool map_on_node(gang_mpi *c, int way, size_t size, table *t) {
  struct {
    int made;
    char path[PATH_BYTES];
  } segment = {0, ""};
  bool leader = c->base.node_rank == 0;
  void *at = MAP_FAILED;
  MPI_Request request;
  int fd = -1;
  if (leader) fd = create_segment(way, size, segment.path);
  segment.made = fd >= 0;
  GANG_MUST(MPI_Ibcast(&segment, sizeof segment, MPI_BYTE, 0, c->node, &request));
  gang_await(1, &request);
  if (segment.made && !leader) fd = open(segment.path, O_RDWR | O_CLOEXEC);
  if (fd >= 0) at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  bool all = all_agree(c->node, at != MAP_FAILED);
  if (fd >= 0) close(fd);
  if (segment.made && leader && way == DEV_SHM) unlink(segment.path);
  if (!all && at != MAP_FAILED) munmap(at, size);
  if (all) *t = (table){.bytes = at, .size = size};
  return all;
}

static void unmap(table *t) {
  if (t->size)
    munmap(t->bytes, t->size);
  else
    rdd_free(t->bytes);
}

void *gang_table_alloc(rdd_comm *comm, size_t bytes, void **handle) {
  gang_mpi *c = (gang_mpi *)comm;
  size_t size = bytes > 0 ? bytes : 1;
  table *t = rdd_calloc(1, sizeof *t);
  gang_assemble(c->world);
  bool mapped = all_agree(c->node, t != NULL);
  if (mapped && c->base.node_size == 1) {
    *t = (table){.bytes = rdd_calloc(size, 1)};
    mapped = t->bytes != NULL;
  } else if (mapped) {
    mapped = false;
    for (int way = 0; way < WAYS && !mapped; way++) mapped = map_on_node(c, way, size, t);
  }
  if (all_agree(c->world, mapped)) {
    *handle = t;
    return t->bytes;
  }
  if (mapped) unmap(t);
  rdd_free(t);
  return NULL;
}

/* The end of the run of ranks that starts at r and lives on one node: their ranges are one range.
 */
static int run_end(const gang_mpi *c, int r) {
  int end = r + 1;
  while (end < c->base.size && c->node_of[end] == c->node_of[r]) end++;
  return end;
}

/* Each node's leader broadcasts what its ranks have written, several chunks at a time. Collective
 * over the leaders, who all walk the same list. */
static void exchange_between_nodes(gang_mpi *c, char *bytes, const int64_t *begin) {
  int n = 0;
  for (int r = 0, end; r < c->base.size; r = end) {
    end = run_end(c, r);
    for (int64_t at = begin[r]; at < begin[end]; at += gang_chunk()) {
      int64_t left = begin[end] - at;
      int count = (int)(left < gang_chunk() ? left : gang_chunk());
      GANG_MUST(
          MPI_Ibcast(bytes + at, count, MPI_BYTE, c->node_of[r], c->leaders, &c->requests[n++]));
      if (n == GANG_BCASTS) {
        gang_finish(n, c->requests);
        n = 0;
      }
    }
  }
  gang_finish(n, c->requests);
}

void gang_table_sync(rdd_comm *comm, void *handle, const int64_t *begin) {
  gang_mpi *c = (gang_mpi *)comm;
  table *t = handle;
  gang_assemble(c->world);
  if (c->base.node_size < c->base.size) {
    if (c->leaders != MPI_COMM_NULL) exchange_between_nodes(c, t->bytes, begin);
    gang_assemble(c->node);
  }
}

void gang_table_free(rdd_comm *comm, void *handle) {
  table *t = handle;
  (void)comm; /* the memory goes when its last mapping does, so nobody has to wait for anybody */
  unmap(t);
  rdd_free(t);
}
