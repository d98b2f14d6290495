/* Hashing that never depends on the machine, the run, or the number of ranks. */
#ifndef RDD_HASH_H
#define RDD_HASH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A bijective mix of 64 bits (splitmix64's finaliser; Steele, Lea, Flood 2014). */
static inline uint64_t rdd_mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/* Hash of two words; order matters. */
static inline uint64_t rdd_mix64_2(uint64_t a, uint64_t b) {
  return rdd_mix64(rdd_mix64(a) ^ (b * 0x9e3779b97f4a7c15u));
}

/* A uniform double in [0, 1) from 64 random bits. */
static inline double rdd_uniform(uint64_t bits) {
  return (double)(bits >> 11) * 0x1p-53;
}

/* Hash of n bytes. Not against malice; the same on every machine of any byte order. */
uint64_t rdd_hash_bytes(const void *bytes, size_t n);

#ifdef __cplusplus
}
#endif
#endif
