/* Factors in 16 bits.
 *
 * With a wire of 16 bits a row that is solved is rounded to it before anybody reads it, its owner too; so a
 * row is the same on its own node as where it came over the wire, and nothing is lost on the way. The sums
 * of the solves stay float64, and tables float32. */
#ifndef ALS_WIRE_H
#define ALS_WIRE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum als_wire {
  ALS_WIRE_FLOAT32,
  ALS_WIRE_FLOAT16, /* IEEE 754 binary16: 11 bits of precision, up to 65504 */
  ALS_WIRE_BFLOAT16 /* 8 bits of precision, as far as float32 */
} als_wire;

/* Bytes of a number. */
int als_wire_bytes(als_wire wire);

const char *als_wire_name(als_wire wire);

/* The nearest number that the wire has, to even where two are; infinite where x is too large for it. */
float als_wire_round(als_wire wire, float x);

/* n numbers of 16 bits, and back. What als_wire_round() has given comes back as it was. */
void als_wire_pack_float16(const void *from, void *to, int64_t n);
void als_wire_unpack_float16(const void *from, void *to, int64_t n);
void als_wire_pack_bfloat16(const void *from, void *to, int64_t n);
void als_wire_unpack_bfloat16(const void *from, void *to, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
