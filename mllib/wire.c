/* Numbers of 16 bits. See wire.h. */
#include "mllib/wire.h"

#include <string.h>

enum { SMALLEST_NORMAL = 113 << 23, TOO_LARGE = 143 << 23, INFINITE = 255 << 23 };

static uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* Drop the lowest bits, to the nearest, to even where two are: a carry may go into the exponent. */
static uint32_t drop(uint32_t bits, int n) {
  uint32_t odd = bits >> n & 1;
  return (bits + (((uint32_t)1 << (n - 1)) - 1) + odd) >> n;
}

/* Below 2^-14 a binary16 is a multiple of 2^-24, which a sum with 1/2 rounds a float32 to. */
static uint16_t to_float16(float x) {
  uint32_t bits = bits_of(x), sign = bits >> 16 & 0x8000;
  bits &= 0x7fffffff;
  if (bits > INFINITE) return (uint16_t)(sign | 0x7e00);
  if (bits >= TOO_LARGE) return (uint16_t)(sign | 0x7c00);
  if (bits < SMALLEST_NORMAL) return (uint16_t)(sign | (bits_of(float_of(bits) + 0.5f) & 0x7fff));
  return (uint16_t)(sign | drop(bits - ((127 - 15) << 23), 13));
}

static float from_float16(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, rest = half & 0x3ff;
  if (exponent == 31) return float_of(sign | INFINITE | rest << 13);
  if (exponent == 0) return float_of(sign | bits_of((float)rest * 0x1p-24f));
  return float_of(sign | (exponent + 127 - 15) << 23 | rest << 13);
}

static uint16_t to_bfloat16(float x) {
  uint32_t bits = bits_of(x);
  if ((bits & 0x7fffffff) > INFINITE) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)drop(bits, 16);
}

static float from_bfloat16(uint16_t half) {
  return float_of((uint32_t)half << 16);
}

int als_wire_bytes(als_wire wire) {
  return wire == ALS_WIRE_FLOAT32 ? 4 : 2;
}

const char *als_wire_name(als_wire wire) {
  static const char *const name[] = {"float32", "float16", "bfloat16"};
  return name[wire];
}

float als_wire_round(als_wire wire, float x) {
  if (wire == ALS_WIRE_FLOAT16) return from_float16(to_float16(x));
  if (wire == ALS_WIRE_BFLOAT16) return from_bfloat16(to_bfloat16(x));
  return x;
}

void als_wire_pack_float16(const void *from, void *to, int64_t n) {
  const float *x = from;
  uint16_t *half = to;
  for (int64_t i = 0; i < n; i++) half[i] = to_float16(x[i]);
}

void als_wire_unpack_float16(const void *from, void *to, int64_t n) {
  const uint16_t *half = from;
  float *x = to;
  for (int64_t i = 0; i < n; i++) x[i] = from_float16(half[i]);
}

void als_wire_pack_bfloat16(const void *from, void *to, int64_t n) {
  const float *x = from;
  uint16_t *half = to;
  for (int64_t i = 0; i < n; i++) half[i] = to_bfloat16(x[i]);
}

void als_wire_unpack_bfloat16(const void *from, void *to, int64_t n) {
  const uint16_t *half = from;
  float *x = to;
  for (int64_t i = 0; i < n; i++) x[i] = from_bfloat16(half[i]);
}
