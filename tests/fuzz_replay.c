/* Every input of the corpus through its fuzz target, without a fuzzer: what was found once stays found. */
#include "tests/fuzz.h"
#include "tests/testkit.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1 << 16, RUNS_OF_A_CHILD = 100 };

static void replay_file(const fz_target *target, const char *path) {
  static uint8_t bytes[MOST];
  FILE *file = fopen(path, "rb");
  if (!TK_CHECK(file != NULL)) return;
  size_t n = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  uint8_t *exact = malloc(n ? n : 1); /* so that reading past it is seen */
  if (!TK_CHECK(exact && n < MOST)) return;
  memcpy(exact, bytes, n);
  fz_note_file(path);
  fz_run(target, exact, n);
  free(exact);
}

/* A broken promise ends the program, with a line that says which and the file's name. */
static void replay(const fz_target *target) {
  const char *source = getenv("top_srcdir");
  char folder[600], path[900];
  int files = 0;
  snprintf(folder, sizeof folder, "%s/tests/corpus/%s", source ? source : ".", target->name);
  DIR *list = opendir(folder);
  if (!TK_CHECK(list != NULL)) return;
  if (target->open) target->open();
  for (struct dirent *entry; (entry = readdir(list));) {
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    replay_file(target, path);
    files++;
  }
  closedir(list);
  fz_contain_end();
  if (target->close) target->close();
  int64_t hangs, deaths = fz_contained(&hangs);
  printf("# %d inputs; so far HDF5 died of %lld\n", files, (long long)deaths);
  TK_CHECK(files > 0);
}

#define CASE(name)                                                                                 \
  static void case_##name(void) {                                                                  \
    replay(&fz_##name##_target);                                                                   \
  }
CASE(number)
CASE(time)
CASE(text)
CASE(gzip)
CASE(table)
CASE(part)
CASE(record)
CASE(fault)
CASE(block)
CASE(checkpoint)
CASE(model)
CASE(ratings)

int main(void) {
  static const tk_case cases[] = {
      {"numbers", case_number},
      {"times", case_time},
      {"ratings as text", case_text},
      {"gzip", case_gzip},
      {"tables written and read", case_table},
      {"damaged segments", case_part},
      {"records of runs", case_record},
      {"faults on purpose", case_fault},
      {"blocks", case_block},
      {"checkpoints", case_checkpoint},
      {"models", case_model},
      {"ratings in HDF5", case_ratings},
  };
  fz_contain_most(RUNS_OF_A_CHILD);
  return tk_main("fuzz corpus", cases, sizeof cases / sizeof cases[0]);
}
