/* Numbers from text, and back. Numbers in rating files have few digits, and one multiplication or division
 * decides what they round to. The rest goes to the C library, in the "C" locale, from a terminated
 * copy. */
#include "jobs/number.h"

#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const double job_power10[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

job_number job_parse_int64(const char *text, size_t n, int64_t *out) {
  size_t i = n > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  bool negative = i && text[0] == '-';
  uint64_t limit = (uint64_t)INT64_MAX + (negative ? 1 : 0), x = 0;
  bool over = false;
  if (i == n) return JOB_NUMBER_BAD;
  for (; i < n; i++) {
    if (!is_digit(text[i])) return JOB_NUMBER_BAD;
    uint64_t digit = (uint64_t)(text[i] - '0');
    if (x > (limit - digit) / 10) over = true;
    x = x * 10 + digit; /* wraps where over is set */
  }
  if (over) return JOB_NUMBER_RANGE;
  *out = negative ? (int64_t)(0 - x) : (int64_t)x;
  return JOB_NUMBER_OK;
}

/* nan, inf, infinity. */
static job_number parse_word(const char *text, size_t n, bool negative, double *out) {
  double value;
  if (n == 3 && strncasecmp(text, "nan", 3) == 0)
    value = NAN;
  else if ((n == 3 && strncasecmp(text, "inf", 3) == 0) ||
           (n == 8 && strncasecmp(text, "infinity", 8) == 0))
    value = INFINITY;
  else
    return JOB_NUMBER_BAD;
  *out = negative ? -value : value;
  return JOB_NUMBER_OK;
}

/* By the C library, as a float (which is exact in a double) or as a double. */
static job_number parse_slow(const char *text, size_t n, bool narrow, double *out) {
  char copy[JOB_NUMBER_LENGTH + 1];
  if (n > JOB_NUMBER_LENGTH) return JOB_NUMBER_BAD;
  memcpy(copy, text, n);
  copy[n] = 0;
  locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* glibc's own constant: no allocation */
  if (c == (locale_t)0) return JOB_NUMBER_BAD;
  double value = narrow ? strtof_l(copy, NULL, c) : strtod_l(copy, NULL, c);
  freelocale(c);
  if (isinf(value)) return JOB_NUMBER_RANGE;
  *out = value;
  return JOB_NUMBER_OK;
}

/* The double nearest to mantissa * 10^exponent where one exact operation on exact numbers makes it
 * (Clinger, "How to read floating point numbers accurately", 1990, fast path). */
static bool decimal_double(uint64_t mantissa, int exponent, bool negative, double *out) {
  if (mantissa > UINT64_C(1) << 53 || exponent < -22 || exponent > 22) return false;
  double value = (double)mantissa;
  value = exponent < 0 ? value / job_power10[-exponent] : value * job_power10[exponent];
  *out = negative ? -value : value;
  return true;
}

static job_number parse(const char *text, size_t n, bool narrow, double *out) {
  const char *p = text, *end = text + n;
  bool negative = p < end && *p == '-';
  if (p < end && (*p == '-' || *p == '+')) p++;
  if (p < end && !is_digit(*p) && *p != '.') return parse_word(p, (size_t)(end - p), negative, out);

  uint64_t mantissa = 0;
  int digits = 0, exponent = 0; /* digits that count: without leading zeros */
  bool any = false;
  for (; p < end && is_digit(*p); p++, any = true) {
    if (digits < 19) mantissa = mantissa * 10 + (uint64_t)(*p - '0');
    if (mantissa || digits) digits += digits < 20;
  }
  if (p < end && *p == '.') {
    for (p++; p < end && is_digit(*p); p++, any = true) {
      if (digits < 19) mantissa = mantissa * 10 + (uint64_t)(*p - '0'), exponent--;
      if (mantissa || digits) digits += digits < 20;
    }
  }
  if (!any) return JOB_NUMBER_BAD;
  if (p < end && (*p == 'e' || *p == 'E')) {
    int sign = 1, power = 0;
    p++;
    if (p < end && (*p == '-' || *p == '+')) sign = *p++ == '-' ? -1 : 1;
    if (p == end) return JOB_NUMBER_BAD;
    for (; p < end && is_digit(*p); p++) power = power < 100000 ? power * 10 + (*p - '0') : power;
    exponent += sign * power;
  }
  if (p != end) return JOB_NUMBER_BAD;

  float as_float;
  if (digits <= 19 && narrow && job_decimal_float(mantissa, exponent, negative, &as_float)) {
    *out = as_float;
    return JOB_NUMBER_OK;
  }
  if (digits <= 19 && !narrow && decimal_double(mantissa, exponent, negative, out))
    return JOB_NUMBER_OK;
  return parse_slow(text, n, narrow, out);
}

job_number job_parse_float(const char *text, size_t n, float *out) {
  double value;
  job_number result = parse(text, n, true, &value);
  if (result == JOB_NUMBER_OK) *out = (float)value;
  return result;
}

job_number job_parse_double(const char *text, size_t n, double *out) {
  return parse(text, n, false, out);
}

/* n digits as an integer, or -1. */
static int fixed_digits(const char *text, int n) {
  int x = 0;
  for (int i = 0; i < n; i++) {
    if (!is_digit(text[i])) return -1;
    x = x * 10 + (text[i] - '0');
  }
  return x;
}

job_number job_parse_time(const char *text, size_t n, int64_t *out) {
  job_number as_integer = job_parse_int64(text, n, out);
  if (as_integer != JOB_NUMBER_BAD) return as_integer;
  if ((n != 10 && n != 19) || text[4] != '-' || text[7] != '-') return JOB_NUMBER_BAD;
  int year = fixed_digits(text, 4), month = fixed_digits(text + 5, 2);
  int day = fixed_digits(text + 8, 2);
  int64_t days, seconds = 0;
  if (!job_days(year, month, day, &days)) return JOB_NUMBER_BAD;
  if (n == 19) {
    if ((text[10] != ' ' && text[10] != 'T') || text[13] != ':' || text[16] != ':')
      return JOB_NUMBER_BAD;
    int h = fixed_digits(text + 11, 2), m = fixed_digits(text + 14, 2);
    int s = fixed_digits(text + 17, 2);
    if (h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 60) return JOB_NUMBER_BAD;
    seconds = h * 3600 + m * 60 + s;
  }
  *out = days * 86400 + seconds;
  return JOB_NUMBER_OK;
}

/* ---- Numbers as text: the fewest digits that read back as the same number ---- */

static char *put_digits(char *at, uint64_t n) {
  char digit[20];
  int count = 0;
  do digit[count++] = (char)('0' + n % 10);
  while ((n /= 10) > 0);
  while (count > 0) *at++ = digit[--count];
  return at;
}

char *job_put_int(char *at, int64_t value) {
  if (value < 0) *at++ = '-';
  return put_digits(at, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

/* digits / 10^places, without trailing zeros. */
static char *put_decimal(char *at, uint64_t digits, int places) {
  while (places > 0 && digits % 10 == 0) {
    digits /= 10;
    places--;
  }
  uint64_t unit = 1;
  for (int i = 0; i < places; i++) unit *= 10;
  at = put_digits(at, digits / unit);
  if (places == 0) return at;
  *at++ = '.';
  uint64_t rest = digits % unit;
  while (places-- > 0) {
    unit /= 10;
    *at++ = (char)('0' + rest / unit);
    rest %= unit;
  }
  return at;
}

/* Floats of everyday size, 1e-4 <= x < 1e6, by 6 to 9 significant digits. Any float has at most one
 * nearest decimal of 6 digits, so where fewer would do, six end in zeros. Digits and the power of
 * ten are exact in double, so their quotient is within half an ulp of double of the decimal: rounding
 * it to float is right unless it lies on the middle between two floats. NULL: not done, ask libc. */
static char *put_everyday_float(char *at, float x) {
  if (!(x >= 1e-4f && x < 1e6f)) return NULL;
  int places = 5; /* of six digits, if x is in [1, 10) */
  double unit = x;
  for (; unit >= 10; unit /= 10) places--;
  for (; unit < 1; unit *= 10) places++;
  for (int more = 0; more < 4; more++, places++) {
    double digits = rint((double)x * job_power10[places]);
    double back = digits / job_power10[places];
    uint64_t bits;
    memcpy(&bits, &back, sizeof(bits));
    if ((bits & 0x1fffffff) == 0x10000000) return NULL;
    if ((float)back == x) return put_decimal(at, (uint64_t)digits, places);
  }
  return NULL;
}

char *job_put_float(char *at, float x) {
  if (isnan(x)) return stpcpy(at, "nan");
  if (signbit(x)) *at++ = '-';
  float size = fabsf(x);
  if (size < 1e6f && size == (float)(uint32_t)size) return put_digits(at, (uint32_t)size);
  char *end = put_everyday_float(at, size);
  if (end) return end;
  char text[JOB_NUMBER_BYTES - 2];
  int digits = size < FLT_MIN ? 1 : 6;
  do snprintf(text, sizeof text, "%.*g", digits, (double)size);
  while (strtof(text, NULL) != size && digits++ < 9);
  return stpcpy(at, text);
}

char *job_put_double(char *at, double x) {
  if (isnan(x)) return stpcpy(at, "nan");
  char text[JOB_NUMBER_BYTES - 1];
  int digits = fabs(x) < DBL_MIN ? 1 : 15;
  do snprintf(text, sizeof text, "%.*g", digits, x);
  while (strtod(text, NULL) != x && digits++ < 17);
  return stpcpy(at, text);
}
