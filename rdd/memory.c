/* Counted, aligned allocation on top of malloc.
 *
 *   base                      block (64-byte aligned)
 *   | ... gap ... | base ptr  | bytes ...
 *
 * malloc's own alignment is 16, so the gap is 16 to 64 bytes and always has room for the pointer
 * back to base. Growing goes through realloc: a large block is moved by the kernel's page tables
 * and keeps its place in the page, so nothing is copied; where the place differs, it is shifted. */
#include "rdd/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ALIGNMENT = 64 };

_Static_assert(_Alignof(max_align_t) >= sizeof(void *), "the gap holds a pointer");

static atomic_int_fast64_t live;
static atomic_int_fast64_t fail_at;

/* A child that is forked while another thread is in malloc inherits a locked allocator. The C library
 * sees to its own; the address sanitizer of gcc 12 does not, and its child would wait for ever. So there
 * nobody is in the allocator while a task is forked. (Only tests have ranks that are threads.) */
#ifdef __SANITIZE_ADDRESS__
static pthread_rwlock_t allocator = PTHREAD_RWLOCK_INITIALIZER;
#define ENTER() pthread_rwlock_rdlock(&allocator)
#define LEAVE() pthread_rwlock_unlock(&allocator)

pid_t rdd_fork(void) {
  pthread_rwlock_wrlock(&allocator);
  pid_t pid = fork();
  if (pid == 0)
    pthread_rwlock_init(&allocator, NULL); /* it was this thread's, which has another number now */
  else
    pthread_rwlock_unlock(&allocator);
  return pid;
}
#else
#define ENTER() ((void)0)
#define LEAVE() ((void)0)

pid_t rdd_fork(void) {
  return fork();
}
#endif

static bool told_to_fail(void) {
  if (atomic_load_explicit(&fail_at, memory_order_relaxed) <= 0) return false;
  return atomic_fetch_sub(&fail_at, 1) == 1;
}

/* Bytes to ask malloc for, or false on overflow. */
static bool raw_size(size_t n, size_t size, size_t *raw_out) {
  return !__builtin_mul_overflow(n, size, raw_out) &&
         !__builtin_add_overflow(*raw_out, (size_t)ALIGNMENT, raw_out);
}

/* Offset of the block from its base. */
static size_t gap(const void *base) {
  return ALIGNMENT - (uintptr_t)base % ALIGNMENT;
}

static void *block_at(void *base) {
  char *block = (char *)base + gap(base);
  memcpy(block - sizeof base, &base, sizeof base);
  return block;
}

static void *base_of(void *block) {
  void *base;
  memcpy(&base, (char *)block - sizeof base, sizeof base);
  return base;
}

static void *allocate(size_t n, size_t size, bool zeroed) {
  size_t raw;
  if (!raw_size(n, size, &raw) || told_to_fail()) return NULL;
  ENTER();
  void *base = zeroed ? calloc(1, raw) : malloc(raw);
  LEAVE();
  if (!base) return NULL;
  atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
  return block_at(base);
}

void *rdd_alloc(size_t n, size_t size) {
  return allocate(n, size, false);
}

void *rdd_calloc(size_t n, size_t size) {
  return allocate(n, size, true);
}

void *rdd_realloc(void *p, size_t n, size_t size) {
  if (!p) return rdd_alloc(n, size);
  size_t raw;
  if (!raw_size(n, size, &raw) || told_to_fail()) return NULL;
  void *base = base_of(p);
  size_t old_gap = gap(base);
  ENTER();
  base = realloc(base, raw);
  LEAVE();
  if (!base) return NULL;
  size_t new_gap = gap(base);
  if (new_gap != old_gap) /* the gaps and the block fill raw: this moves what can be of use */
    memmove((char *)base + new_gap, (char *)base + old_gap, raw - ALIGNMENT);
  return block_at(base);
}

char *rdd_strdup(const char *s) {
  size_t n = strlen(s) + 1;
  char *copy = rdd_alloc(n, 1);
  return copy ? memcpy(copy, s, n) : NULL;
}

void rdd_free(void *p) {
  if (!p) return;
  atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
  ENTER();
  free(base_of(p));
  LEAVE();
}

void rdd_memory_huge(void *p, size_t bytes) {
#ifdef MADV_HUGEPAGE
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  uintptr_t begin = ((uintptr_t)p + page - 1) / page * page,
            end = ((uintptr_t)p + bytes) / page * page;
  if (begin < end)
    madvise((void *)begin, end - begin, MADV_HUGEPAGE); /* a wish: refused is as good */
#else
  (void)p, (void)bytes;
#endif
}

int64_t rdd_memory_live(void) {
  return atomic_load(&live);
}

void rdd_memory_fail_at(int64_t n) {
  atomic_store(&fail_at, n);
}
