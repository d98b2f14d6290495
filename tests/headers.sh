#!/bin/sh
# Each header compiles alone, as C and as C++, without warnings.
set -u
cd "${top_srcdir:-.}" || exit 99
set -- rdd/*.h mllib/*.h mpi_bridge/*.h jobs/*.h tests/*.h
cxx=${CXX:-$(command -v c++ || command -v g++ || command -v clang++)}
# Other people's headers may warn.
outside=$(printf '%s ' "${HDF5_CFLAGS:-}" "${MPI_CFLAGS:-}" | sed 's/-I/-isystem /g')
failed=0
i=0

# compiles HEADER LANGUAGE COMPILER...: one TAP line.
compiles() {
  header=$1 language=$2
  shift 2
  i=$((i + 1))
  # shellcheck disable=SC2086 # flags are words
  if printf '#include "%s"\n' "$header" | "$@" -Wall -Wextra -Werror -D_GNU_SOURCE -I. \
    $outside -fsyntax-only - 2>&1 | sed 's/^/# /' | grep .; then
    echo "not ok $i - $header as $language"
    failed=1
  else
    echo "ok $i - $header as $language"
  fi
}

echo "1..$((2 * $#))"
for h; do
  # shellcheck disable=SC2086 # CC may carry options
  compiles "$h" C ${CC:-cc} -std=gnu11 -x c
  if [ -n "$cxx" ]; then
    # shellcheck disable=SC2086
    compiles "$h" C++ $cxx -x c++
  else
    i=$((i + 1))
    echo "ok $i - $h as C++ # SKIP no C++ compiler here"
  fi
done
exit $failed
