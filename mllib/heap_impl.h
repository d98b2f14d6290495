/* Private to mllib: the best N of many candidates, in a heap whose root is the worst one held. */
#ifndef ALS_HEAP_IMPL_H
#define ALS_HEAP_IMPL_H

#include <stdbool.h>
#include <stdint.h>

typedef struct als_candidate {
  float score;
  uint32_t item;
} als_candidate;

/* The order of all rankings: by score, and where that is the same by dense index. */
static inline bool als_better(als_candidate a, als_candidate b) {
  return a.score > b.score || (a.score == b.score && a.item < b.item);
}

/* Put c at place i of a heap of n, and let it sink. */
static inline void als_heap_sink(als_candidate *heap, int64_t n, int64_t i, als_candidate c) {
  for (int64_t child; (child = 2 * i + 1) < n; i = child) {
    if (child + 1 < n && als_better(heap[child], heap[child + 1])) child++;
    if (!als_better(c, heap[child])) break;
    heap[i] = heap[child];
  }
  heap[i] = c;
}

/* Keep c if it is one of the best `room` so far, of which *held are there. room >= 1. */
static inline void als_heap_offer(als_candidate *heap, int64_t *held, int64_t room,
                                  als_candidate c) {
  if (*held == room) {
    if (als_better(c, heap[0])) als_heap_sink(heap, room, 0, c);
    return;
  }
  int64_t i = (*held)++;
  for (; i > 0 && als_better(heap[(i - 1) / 2], c); i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
  heap[i] = c;
}

/* Turn the heap into a list, best first. */
static inline void als_heap_sort(als_candidate *heap, int64_t n) {
  while (n > 1) {
    als_candidate worst = heap[0];
    n--;
    als_heap_sink(heap, n, 0, heap[n]);
    heap[n] = worst;
  }
}

#endif
