/* Allocation: overflow-checked, 64-byte aligned, counted.
 *
 * The count of live allocations is zero at the end of each test and program, and a test can make
 * the n-th allocation fail. Both are process-wide and thread-safe. */
#ifndef RDD_MEMORY_H
#define RDD_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* n * size bytes, 64-byte aligned, uninitialised; NULL on overflow or when memory is out.
 * n * size == 0 gives a valid pointer. Free with rdd_free(). */
void *rdd_alloc(size_t n, size_t size);

/* The same, zeroed. */
void *rdd_calloc(size_t n, size_t size);

/* Grow or shrink p (or NULL) to n * size bytes; contents are kept, p stays valid on failure. */
void *rdd_realloc(void *p, size_t n, size_t size);

/* A copy of a string. */
char *rdd_strdup(const char *s);

/* Free; NULL is accepted. */
void rdd_free(void *p);

/* Say that `bytes` bytes at p will be read here and there: the kernel then keeps them in huge pages where it
 * can (Linux; for memory shared between processes only if its administrator allows), so that a row is found
 * without a walk through the page tables. Before the first write. Changes nothing else. */
void rdd_memory_huge(void *p, size_t bytes);

/* fork(), while no other thread is in rdd_alloc() and its like where that matters. */
pid_t rdd_fork(void);

/* Allocations not yet freed. */
int64_t rdd_memory_live(void);

/* Make the n-th allocation from now fail (1 = the next), once; 0 switches it off. */
void rdd_memory_fail_at(int64_t n);

#ifdef __cplusplus
}
#endif
#endif
