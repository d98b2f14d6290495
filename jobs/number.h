/* Numbers from text, a range of bytes, not terminated, whole or not at all; and numbers as text. The same in
 * every locale. */
#ifndef JOB_NUMBER_H
#define JOB_NUMBER_H

#include <float.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum job_number {
  JOB_NUMBER_OK,
  JOB_NUMBER_BAD,   /* not a number, or more than the number */
  JOB_NUMBER_RANGE, /* a number, but too large for the type */
} job_number;

enum {
  JOB_NUMBER_LENGTH = 1023, /* longer text is not taken for a number */
  JOB_NUMBER_BYTES = 40,    /* room for any number as text, and a delimiter */
};

/* [+-]digits.                                                             Not collective.
 *   out  [out] set only on JOB_NUMBER_OK */
job_number job_parse_int64(const char *text, size_t n, int64_t *out);

/* [+-]digits[.digits][e[+-]digits], or nan, inf, infinity in any case: the float or double nearest to
 * it, ties to even, as strtof() and strtod() in the "C" locale. The float is rounded once, from the
 * decimal: narrowing the nearest double would round twice. JOB_NUMBER_RANGE where it overflows; too
 * small a number reads as zero. */
job_number job_parse_float(const char *text, size_t n, float *out);
job_number job_parse_double(const char *text, size_t n, double *out);

/* A moment: an integer (seconds since 1970), or YYYY-MM-DD[ HH:MM:SS] in UTC, with blank or T. */
job_number job_parse_time(const char *text, size_t n, int64_t *out);

/* The fewest digits that read back as the same number, or nan; returns their end, and writes no further than
 * JOB_NUMBER_BYTES. */
char *job_put_int(char *at, int64_t value);
char *job_put_float(char *at, float x);
char *job_put_double(char *at, double x);

/* ---- For those who have the digits already ---- */

/* 10^i for 0 <= i <= 22: exact in a double. */
extern const double job_power10[23];

/* The float nearest to mantissa * 10^exponent; false where that takes more than this, or overflows.
 *
 * A double is good enough to decide it, except close to where floats tie. (double)mantissa and the
 * division err by half an ulp of a double each, together by less than 2.2; a tie of two floats is a
 * double whose low 29 bits are a 1 and zeros; and below 10^-22 or so, where floats have fewer bits, no
 * value comes. So what is farther than 4 ulps from such bits is on the right side of the tie. */
static inline bool job_decimal_float(uint64_t mantissa, int exponent, bool negative, float *out) {
  const uint64_t low = (UINT64_C(1) << 29) - 1, tie = UINT64_C(1) << 28, margin = 4;
  if (exponent < -22 || exponent > 22) return false;
  double value = (double)mantissa;
  value = exponent < 0 ? value / job_power10[-exponent] : value * job_power10[exponent];
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  float narrow = (float)value;
  if ((bits & low) - (tie - margin) <= 2 * margin || narrow > FLT_MAX) return false;
  *out = negative ? -narrow : narrow;
  return true;
}

/* Days from 1970-01-01 in the Gregorian calendar; false where there is no such day in the years 1 to
 * 9999. */
static inline bool job_days(int year, int month, int day, int64_t *out) {
  /* March is the first month, so that the leap day is the last of its year. */
  static const signed char days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1) return false;
  bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  if (day > days[month - 1] + (month == 2 && leap)) return false;
  int y = year - (month < 3), of_year = (153 * (month + (month < 3 ? 9 : -3)) + 2) / 5 + day - 1;
  *out = 365 * y + y / 4 - y / 100 + y / 400 + of_year - 719468;
  return true;
}

#endif
