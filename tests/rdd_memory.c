/* Memory, errors and hashes: the small things that everything else stands on. */
#include "rdd/hash.h"
#include "rdd/memory.h"
#include "rdd/status.h"
#include "tests/testkit.h"

#include <stdio.h>
#include <string.h>

static bool is_aligned(const void *p) {
  return (uintptr_t)p % 64 == 0;
}

static void blocks_are_aligned_and_counted(void) {
  static const size_t sizes[] = {0, 1, 15, 16, 17, 63, 64, 65, 4096, 1 << 20};
  enum { N = sizeof sizes / sizeof sizes[0] };
  int64_t before = rdd_memory_live();
  char *block[2 * N];
  for (int i = 0; i < N; i++) {
    block[i] = rdd_alloc(sizes[i], 1);
    block[N + i] = rdd_calloc(1, sizes[i]);
    TK_CHECK(block[i] && is_aligned(block[i]));
    TK_CHECK(block[N + i] && is_aligned(block[N + i]));
    memset(block[i], 7, sizes[i]);
    for (size_t b = 0; b < sizes[i]; b++)
      if (block[N + i][b] != 0) TK_CHECK(!"calloc gives zeros");
  }
  TK_CHECK(rdd_memory_live() == before + 2 * N);
  for (int i = 0; i < 2 * N; i++) rdd_free(block[i]);
  rdd_free(NULL);
  TK_CHECK(rdd_memory_live() == before);
}

static void realloc_keeps_bytes_and_alignment(void) {
  int64_t before = rdd_memory_live();
  size_t n = 0;
  unsigned char *p = NULL;
  while (n < (8 << 20)) {
    size_t grown = n * 5 / 3 + 13; /* sizes of every residue, small and mapped */
    unsigned char *q = rdd_realloc(p, grown, 1);
    if (!TK_CHECK(q && is_aligned(q))) break;
    p = q;
    for (size_t i = n; i < grown; i++) p[i] = (unsigned char)(i * 31 % 251);
    n = grown;
    bool same = true;
    for (size_t i = 0; i < n; i++) same &= p[i] == (unsigned char)(i * 31 % 251);
    TK_CHECK(same);
  }
  p = rdd_realloc(p, 100, 1);
  TK_CHECK(is_aligned(p) && p[99] == 99 * 31 % 251);
  TK_CHECK(rdd_memory_live() == before + 1);
  rdd_free(p);
}

static void overflow_is_refused(void) {
  TK_CHECK(!rdd_alloc(SIZE_MAX / 2, 3));
  TK_CHECK(!rdd_calloc(SIZE_MAX, 1));
  char *p = rdd_strdup("kept");
  TK_CHECK(!rdd_realloc(p, SIZE_MAX / 8 + 1, 8));
  TK_CHECK(strcmp(p, "kept") == 0);
  rdd_free(p);
}

static void nth_allocation_fails_once(void) {
  rdd_memory_fail_at(3);
  void *a = rdd_alloc(8, 1), *b = rdd_calloc(8, 1), *c = rdd_alloc(8, 1), *d = rdd_alloc(8, 1);
  TK_CHECK(a && b && !c && d);
  rdd_memory_fail_at(1);
  void *bigger = rdd_realloc(a, 1000, 1);
  TK_CHECK(!bigger);
  rdd_memory_fail_at(1);
  rdd_memory_fail_at(0);
  c = rdd_alloc(8, 1);
  TK_CHECK(c != NULL);
  rdd_free(a), rdd_free(b), rdd_free(c), rdd_free(d);
}

static void errors_say_what_and_where(void) {
  rdd_err err;
  memset(&err, 0x5a, sizeof err);
  rdd_status st = rdd_set(&err, RDD_EDATA, "line %d: found %s", 7, "x");
  TK_CHECK(st == RDD_EDATA && err.code == RDD_EDATA);
  TK_CHECK(strcmp(err.message, "line 7: found x") == 0);
  TK_CHECK(strcmp(err.file, "tests/rdd_memory.c") == 0 && err.line > 0);
  TK_CHECK(err.rank == -1 && err.detail[0] == -1 && err.detail[1] == -1);

  st = rdd_set(&err, RDD_EIO, "again: %s", err.message); /* the old message as an argument */
  TK_CHECK(st == RDD_EIO && strcmp(err.message, "again: line 7: found x") == 0);

  char lengthy[2000];
  memset(lengthy, 'a', sizeof lengthy - 1);
  lengthy[sizeof lengthy - 1] = '\0';
  st = rdd_set(&err, RDD_EIO, "%s", lengthy);
  TK_CHECK(st == RDD_EIO && strlen(err.message) == sizeof err.message - 1);
  st = rdd_err_set(&err, RDD_EIO, lengthy, 1, "deep");
  TK_CHECK(st == RDD_EIO && strlen(err.file) == sizeof err.file - 1);

  TK_CHECK(strcmp(rdd_status_name(RDD_EDATA), "bad data") == 0);
  TK_CHECK(rdd_status_name((rdd_status)1234) != NULL);
}

static void hashes_are_fixed(void) {
  /* splitmix64 with seed 0: the first output, as published with the generator */
  TK_CHECK(rdd_mix64(0) == 0xe220a8397b1dcdafu);
  TK_CHECK(rdd_hash_bytes("", 0) != rdd_hash_bytes("\0", 1));
  TK_CHECK(rdd_hash_bytes("abcdefgh", 8) != rdd_hash_bytes("abcdefg", 7));
  TK_CHECK(rdd_hash_bytes("abcdefghi", 9) == rdd_hash_bytes("abcdefghi", 9));
  char shifted[] = "xabcdefghi"; /* where the bytes lie does not matter */
  TK_CHECK(rdd_hash_bytes(shifted + 1, 9) == rdd_hash_bytes("abcdefghi", 9));
  /* little-endian words: "a" is the word 0x61 after the length 1, on any machine */
  TK_CHECK(rdd_hash_bytes("a", 1) == rdd_mix64_2(rdd_mix64(1), 0x61));
  TK_CHECK(rdd_hash_bytes("\1\2\3\4\5\6\7\10", 8) ==
           rdd_mix64_2(rdd_mix64(8), 0x0807060504030201u));
  TK_CHECK(rdd_mix64_2(1, 2) != rdd_mix64_2(2, 1));
  for (uint64_t i = 0; i < 1000; i++) {
    double u = rdd_uniform(rdd_mix64(i));
    if (!(u >= 0 && u < 1)) TK_CHECK(!"uniform is in [0, 1)");
  }
  TK_CHECK(rdd_uniform(UINT64_MAX) < 1);
}

int main(void) {
  static const tk_case cases[] = {
      {"blocks are aligned and counted", blocks_are_aligned_and_counted},
      {"realloc keeps bytes and alignment", realloc_keeps_bytes_and_alignment},
      {"overflow is refused", overflow_is_refused},
      {"the n-th allocation fails, once", nth_allocation_fails_once},
      {"errors say what and where", errors_say_what_and_where},
      {"hashes are fixed", hashes_are_fixed},
  };
  return tk_main("rdd_memory", cases, sizeof cases / sizeof cases[0]);
}
