/* Hash of bytes: words of eight, read little-endian whatever the machine is, mixed one by one. */
#include "rdd/hash.h"

static uint64_t little_endian(const unsigned char *p, size_t n) {
  uint64_t word = 0;
  for (size_t i = 0; i < n; i++) word |= (uint64_t)p[i] << (8 * i);
  return word;
}

uint64_t rdd_hash_bytes(const void *bytes, size_t n) {
  const unsigned char *p = bytes;
  uint64_t hash = rdd_mix64(n); /* the length tells "a" from "a\0" */
  for (; n >= 8; p += 8, n -= 8) hash = rdd_mix64_2(hash, little_endian(p, 8));
  return n ? rdd_mix64_2(hash, little_endian(p, n)) : hash;
}
