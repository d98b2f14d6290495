/* Ids and sides, ranks as threads. */
#include "tests/ids_cases.h"

int main(void) {
  return tk_threads_main("mllib ids over ranks", ids_cases, IDS_CASES);
}
