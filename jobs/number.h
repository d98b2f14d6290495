/* Numbers from text: a range of bytes, not terminated, whole or not at all, the same in every
 * locale. */
#ifndef JOB_NUMBER_H
#define JOB_NUMBER_H

#include <stddef.h>
#include <stdint.h>

typedef enum job_number {
  JOB_NUMBER_OK,
  JOB_NUMBER_BAD,   /* not a number, or more than the number */
  JOB_NUMBER_RANGE, /* a number, but too large for the type */
} job_number;

enum { JOB_NUMBER_LENGTH = 1023 }; /* longer text is not taken for a number */

/* [+-]digits.                                                             Not collective.
 *   out  [out] set only on JOB_NUMBER_OK */
job_number job_parse_int64(const char *text, size_t n, int64_t *out);

/* [+-]digits[.digits][e[+-]digits], or nan, inf, infinity in any case: the double nearest to it, as
 * strtod() in the "C" locale. JOB_NUMBER_RANGE where it overflows; too small a number reads as
 * zero. (Short numbers: Clinger, "How to read floating point numbers accurately", 1990, fast
 * path.) */
job_number job_parse_double(const char *text, size_t n, double *out);

/* A moment: an integer (seconds since 1970), or YYYY-MM-DD[ HH:MM:SS] in UTC, with blank or T. */
job_number job_parse_time(const char *text, size_t n, int64_t *out);

/* 10^i for 0 <= i <= 22: exact in a double. */
extern const double job_power10[23];

#endif
