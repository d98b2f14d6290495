/* Numbers from text, against the C library. */
#include "jobs/number.h"
#include "rdd/hash.h"
#include "tests/testkit.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static job_number parse_double(const char *text, double *out) {
  return job_parse_double(text, strlen(text), out);
}

static void integers(void) {
  static const struct {
    const char *text;
    int64_t value;
  } good[] = {
      {"0", 0},
      {"-0", 0},
      {"+7", 7},
      {"007", 7},
      {"-1922013507", -1922013507},
      {"9223372036854775807", INT64_MAX},
      {"-9223372036854775808", INT64_MIN},
      {"00000000000000000000000000000000012", 12},
  };
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    int64_t value = 99;
    TK_CHECK(job_parse_int64(good[i].text, strlen(good[i].text), &value) == JOB_NUMBER_OK);
    TK_CHECK(value == good[i].value);
  }
  static const char *const bad[] = {"", "-", "+", "12.5", "1e3", " 1", "1 ", "abc", "0x10", "--1"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    int64_t value = 99;
    TK_CHECK(job_parse_int64(bad[i], strlen(bad[i]), &value) == JOB_NUMBER_BAD);
    TK_CHECK(value == 99);
  }
  static const char *const large[] = {"9223372036854775808", "-9223372036854775809",
                                      "18446744073709551616", "99999999999999999999",
                                      "10000000000000000000000000000000000000000"};
  for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
    int64_t value = 99;
    TK_CHECK(job_parse_int64(large[i], strlen(large[i]), &value) == JOB_NUMBER_RANGE);
    TK_CHECK(value == 99);
  }
  int64_t value = 0;
  TK_CHECK(job_parse_int64("1234", 2, &value) == JOB_NUMBER_OK && value == 12);
}

static bool same_as_strtod(const char *text) {
  double got = -1, want = strtod(text, NULL);
  job_number result = parse_double(text, &got);
  bool same = isinf(want) ? result == JOB_NUMBER_RANGE
                          : result == JOB_NUMBER_OK && memcmp(&got, &want, sizeof got) == 0;
  if (!same) printf("# '%s': result %d, %a instead of %a\n", text, (int)result, got, want);
  return same;
}

static void nasty_doubles(void) {
  static const char *const good[] = {
      "0",
      "-0",
      "0.0",
      "-0.0",
      "5",
      "3.5",
      "+4.",
      ".5",
      "-.25",
      "1e0",
      "1E+2",
      "1e-2",
      "9007199254740992",
      "9007199254740993",
      "9007199254740991.5",
      "0.1",
      "0.3",
      "1e22",
      "1e23",
      "123456789012345678",
      "1234567890123456789",
      "12345678901234567890",
      "8.5e-23",
      "0.000000000000000000000000000001",
      "1.7976931348623157e308",
      "1.7976931348623159e308",
      "1e400",
      "-1e400",
      "4.9e-324",
      "2e-324",
      "1e-400",
      "2.2250738585072011e-308",
      "0e999999999999",
      "1e-999999999999",
      "1e999999999999",
      "6.8995247110927537e-01",
      "0.4698247015476227",
      "-0.07962734252214432",
      "1.00000000000000011102230246251565404236316680908203125",
      "1.00000000000000011102230246251565404236316680908203124",
      "1.00000000000000011102230246251565404236316680908203126",
      "0.00000000000000000000000000000000000000000000000000000000000000000000000000000000000005",
      "100000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
  };
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) TK_CHECK(same_as_strtod(good[i]));
  static const char *const bad[] = {"",     "-",    "+",     ".",      "-.",  "e5",   "1e",
                                    "1e+",  "1,5",  "1.2.3", "0x1p3",  "abc", "5 ",   " 5",
                                    "1e5x", "nanx", "infin", "nan(1)", "--5", "1_000"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    double value = 99;
    TK_CHECK(parse_double(bad[i], &value) == JOB_NUMBER_BAD);
    TK_CHECK(value == 99);
  }
  double value = 0;
  TK_CHECK(parse_double("NaN", &value) == JOB_NUMBER_OK && isnan(value));
  TK_CHECK(parse_double("-Inf", &value) == JOB_NUMBER_OK && isinf(value) && value < 0);
  TK_CHECK(parse_double("Infinity", &value) == JOB_NUMBER_OK && isinf(value) && value > 0);
  TK_CHECK(job_parse_double("3.75", 3, &value) == JOB_NUMBER_OK && value == 3.7);
  char digits[JOB_NUMBER_LENGTH + 2];
  memset(digits, '1', sizeof digits);
  digits[1] = '.';
  TK_CHECK(job_parse_double(digits, JOB_NUMBER_LENGTH, &value) == JOB_NUMBER_OK);
  TK_NEAR(value, 1.0 + 1.0 / 9, 1e-15);
  TK_CHECK(job_parse_double(digits, JOB_NUMBER_LENGTH + 1, &value) == JOB_NUMBER_BAD);
}

static bool same_as_strtof(const char *text) {
  float got = -1, want = strtof(text, NULL);
  job_number result = job_parse_float(text, strlen(text), &got);
  bool same = isinf(want) ? result == JOB_NUMBER_RANGE
                          : result == JOB_NUMBER_OK && memcmp(&got, &want, sizeof got) == 0;
  if (!same) printf("# '%s': result %d, %a instead of %a\n", text, (int)result, got, want);
  return same;
}

static void nasty_floats(void) {
  static const char *const good[] = {
      /* ties of floats, and what a double cannot tell from them */
      "1.000000059604644775390625",
      "1.0000000596046447753906250000001",
      "1.0000000596046447753906249999999",
      "-1.0000000596046447753906250000001",
      "1.000000178813934326171875",
      "1.00000017881393432617187499999999999999999999999999999",
      "16777217",
      "16777219",
      "16777217.000000000000000000000001",
      "9007199791611905",
      "9007199791611904.9999",
      /* the ends of the range */
      "3.4028234663852886e38",
      "3.4028235677973366e38",
      "3.4028235677973365e38",
      "340282356779733661637539395458142568448",
      "340282356779733661637539395458142568447",
      "340282356779733661637539395458142568447.9999",
      "-340282356779733661637539395458142568448",
      "1.17549435e-38",
      "1.1754943508222874e-38",
      "1.17549424e-38",
      "1.401298464324817e-45",
      "7.006492321624085e-46",
      "7.006492321624086e-46",
      "7.0064923216240853546186479164495806564013097093825788587853e-46",
      "7.0064923216240853546186479164495806564013097093825788587854e-46",
      "1e-46",
      "-1e-400",
      "0e99999",
      "-0",
      "0.1",
      "8.5e-23",
      "1e22",
      "1e23",
      "9999999999999999999",
      "99999999999999999999",
      "1.8446744073709551615e19",
      "0.0000000000000000000001",
      "0.00000000000000000000001",
  };
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) TK_CHECK(same_as_strtof(good[i]));
  float value = 99;
  TK_CHECK(job_parse_float("4,", 2, &value) == JOB_NUMBER_BAD && value == 99);
  TK_CHECK(job_parse_float("1e39", 4, &value) == JOB_NUMBER_RANGE && value == 99);
  TK_CHECK(job_parse_float("nan", 3, &value) == JOB_NUMBER_OK && isnan(value));
  TK_CHECK(job_parse_float("-inf", 4, &value) == JOB_NUMBER_OK && isinf(value) && value < 0);
}

/* The texts to try: 8 kinds, by i % 8. */
static void random_text(uint64_t i, char text[1000]) {
  uint64_t a = rdd_mix64(2 * i), b = rdd_mix64(2 * i + 1);
  size_t n = 0;
  double value;
  float narrow;
  if ((a >> 52 & 2047) == 2047) a ^= UINT64_C(1) << 62;
  switch (i % 8) {
  case 0: /* any double, with few or many digits */
  case 1:
    memcpy(&value, &a, sizeof value);
    snprintf(text, 1000, "%.*g", (int)(b % 25) + 1, value);
    return;
  case 2: /* any float, and those next to zero */
  case 3:
    if ((a >> 23 & 255) == 255) a ^= UINT64_C(1) << 30;
    if (i % 24 == 3) a &= 0x83ffffff;
    memcpy(&narrow, &a, sizeof narrow);
    snprintf(text, 1000, i % 16 < 8 ? "%.*g" : "%.*e", (int)(b % 11) + 1, (double)narrow);
    return;
  case 4: /* halfway between two floats: all its digits, and the last one changed */
  case 5:
    if ((a >> 23 & 255) == 255) a ^= UINT64_C(1) << 30;
    memcpy(&narrow, &a, sizeof narrow);
    value = ((double)narrow + (double)nextafterf(narrow, 0)) / 2;
    n = (size_t)snprintf(text, 900, i % 16 < 8 ? "%.149f" : "%.112e", value);
    if (i % 16 < 8 && b % 3) n += (size_t)sprintf(text + n, "000000000%d", (int)(b >> 8 & 1));
    if (i % 16 < 8 && b % 3 == 2)
      text[n - 11] = text[n - 11] == '0' ? '1' : (char)(text[n - 11] - 1);
    return;
  case 6: /* very many digits */
    for (int d = 0, m = (int)(b % 700) + 1; d < m; d++, a = rdd_mix64(a)) {
      if (d == (int)(b >> 16) % m) text[n++] = '.';
      text[n++] = (char)('0' + a % 10);
    }
    snprintf(text + n, 1000 - n, "e%d", (int)(b >> 40 & 127) - 96);
    return;
  default: /* as people write them */
    if (b & 1) text[n++] = '-';
    int before = (int)(b % 12), after = (int)(b / 12 % 14) + (before == 0);
    for (int d = 0; d < before; d++, a = rdd_mix64(a)) text[n++] = (char)('0' + a % 10);
    if (after) text[n++] = '.';
    for (int d = 0; d < after; d++, a = rdd_mix64(a)) text[n++] = (char)('0' + a % 10);
    if (before + after == 0) text[n++] = '4';
    text[n] = 0;
    if (b >> 20 & 1) snprintf(text + n, 1000 - n, "e%d", (int)(b >> 21 & 63) - 32);
  }
}

static void random_numbers(void) {
  int wrong = 0;
  char text[1000];
  for (uint64_t i = 0; i < 1200000 && wrong < 10; i++) {
    random_text(i, text);
    if (!same_as_strtof(text)) wrong++;
    if (i % 4 < 2 && !same_as_strtod(text)) wrong++;
  }
  TK_CHECK(wrong == 0);
}

/* Decimals of up to 9 digits in every place of the point: no double is between them and their tie. */
static void short_floats(void) {
  int wrong = 0;
  char text[64];
  for (uint64_t i = 0; i < 1000000 && wrong < 10; i++) {
    uint64_t a = rdd_mix64(i);
    int digits = (int)(a % 9) + 1, after = (int)(a / 9 % 10);
    uint64_t limit = 10;
    for (int d = 1; d < digits; d++) limit *= 10;
    uint64_t x = rdd_mix64(a) % limit, scale = 1;
    for (int d = 0; d < after; d++) scale *= 10;
    snprintf(text, sizeof text, "%llu.%0*llu", (unsigned long long)(x / scale), after ? after : 1,
             (unsigned long long)(x % scale));
    if (!same_as_strtof(text)) wrong++;
  }
  TK_CHECK(wrong == 0);
}

/* Every int64 that snprintf() prints comes back; with a digit more it is out of range or right. */
static void random_integers(void) {
  int wrong = 0;
  char text[40];
  for (uint64_t i = 0; i < 500000; i++) {
    int64_t want = (int64_t)(rdd_mix64(i) >> i % 64), got = 0;
    int n = snprintf(text, sizeof text, i % 3 ? "%lld" : "%+lld", (long long)want);
    if (job_parse_int64(text, (size_t)n, &got) != JOB_NUMBER_OK || got != want) wrong++;
    text[n] = (char)('0' + i % 10);
    text[n + 1] = 0;
    errno = 0;
    want = strtoll(text, NULL, 10);
    job_number result = job_parse_int64(text, (size_t)n + 1, &got);
    if (errno == ERANGE ? result != JOB_NUMBER_RANGE : result != JOB_NUMBER_OK || got != want)
      wrong++;
  }
  TK_CHECK(wrong == 0);
}

static void times(void) {
  static const struct {
    const char *text;
    int64_t value;
  } good[] = {
      {"881250949", 881250949},
      {"-5", -5},
      {"1970-01-01", 0},
      {"1969-12-31", -86400},
      {"2005-09-06", 1125964800},
      {"2000-02-29", 951782400},
      {"1900-03-01", -2203891200},
      {"0001-01-01", -62135596800},
      {"9999-12-31", 253402214400},
      {"2005-04-02 23:53:47", 1112486027},
      {"2005-04-02T23:53:47", 1112486027},
  };
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    int64_t value = 99;
    TK_CHECK(job_parse_time(good[i].text, strlen(good[i].text), &value) == JOB_NUMBER_OK);
    TK_CHECK(value == good[i].value);
  }
  static const char *const bad[] = {
      "",           "2005-13-01",       "0000-01-01", "2005-00-01", "2005-02-29",
      "1900-02-29", "2005-04-31",       "2005-4-1",   "05-04-2001", "2005-04-02 24:00:00",
      "2005/04/02", "2005-04-02 10:00", "1.5"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    int64_t value = 99;
    TK_CHECK(job_parse_time(bad[i], strlen(bad[i]), &value) == JOB_NUMBER_BAD);
  }
}

int main(void) {
  static const tk_case cases[] = {
      {"integers to the ends of int64, and beyond", integers},
      {"nasty decimals read as strtod reads them", nasty_doubles},
      {"nasty decimals read as strtof reads them", nasty_floats},
      {"random decimals, halfway cases, long digit strings: as strtof and strtod", random_numbers},
      {"short decimals: as strtof", short_floats},
      {"random integers: as strtoll", random_integers},
      {"dates and times", times},
  };
  return tk_main("jobs_number", cases, sizeof cases / sizeof cases[0]);
}
