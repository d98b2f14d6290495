#!/bin/sh
# The library as others see it: installed into a folder of its own, found by pkg-config, built against by a
# project outside.
# shellcheck disable=SC2016,SC2034,SC2086,SC2119,SC2317 # check evaluates conditions by name
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"
unset MAKEFLAGS MAKELEVEL MFLAGS
dest=$top/dest
ran="make install"

make -C "$build" install DESTDIR="$dest" >"$stdout" 2>"$stderr"
status=$?
check "make install DESTDIR" succeeds
pc=$(find "$dest" -name gangplank.pc)
check "there is one pkg-config file" [ -f "$pc" ]
prefix=$(sed -n 's/^prefix=//p' "$pc")
headers=$dest$prefix/include/gangplank
(cd "$top_srcdir" && find rdd mllib mpi_bridge -name '*.h' ! -name '*_impl.h') >expected
(cd "$headers" && find . -name '*.h' | sed 's/^..//' | LC_ALL=C sort) >found
LC_ALL=C sort -o expected expected
check "the public headers are installed, and no others" same expected found
diff expected found | sed 's/^/# /'
check "none of them wants a private one" eval '! grep -rn "#include .*\(_impl\|jobs/\|config.h\)" "$headers"'
ar t "$dest$prefix/lib/libgangplank.a" | LC_ALL=C sort | uniq -d >twice
check "no object of the library hides another" empty twice

if ! command -v pkg-config >/dev/null; then
  skip "a project outside" "pkg-config is missing"
  finish
fi
PKG_CONFIG_PATH=${pc%/*}${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
PKG_CONFIG="pkg-config --define-variable=prefix=$dest$prefix"
export PKG_CONFIG_PATH PKG_CONFIG
cp -r "$top_srcdir/examples/outside" . && chmod -R u+w outside
ran="make -C outside"
make -C outside CC="${CC:-cc}" CFLAGS='-O1 -Wall -Wextra -Werror' >"$stdout" 2>"$stderr"
status=$?
check "the project outside is built" eval 'succeeds && [ -x outside/parity ]'
ran=outside/parity
timeout 60 outside/parity >"$stdout" 2>"$stderr"
status=$?
check "it runs" eval 'succeeds && prints "^[0-9]+ ratings, RMSE 0\.[0-9]+ after 5 iterations" && empty "$stderr"'
check "an even user's list is even, an odd one's odd" eval \
  'prints "^user 6:( [0-9]*[02468] \([45]\.[0-9]*\)){4}$" && prints "^user 7:( [0-9]*[13579] \([45]\.[0-9]*\)){4}$"'
cp "$stdout" alone
timeout 60 "$mpiexec" -n 3 outside/parity >"$stdout" 2>"$stderr"
status=$?
check "three ranks say the same" eval 'succeeds && same "$stdout" alone'

case ${CC:-cc} in *clang*) first=clang++ ;; *) first=c++ ;; esac # one that links the same OpenMP
cxx=${CXX:-$(command -v $first || command -v c++ || command -v g++ || command -v clang++)}
cat >outside.cc <<'END'
#include <mllib/als.h>
#include <rdd/hash.h>
int main() {
  rdd_comm *comm = nullptr;
  rdd_err err{};
  als_params params = als_params_default();
  if (als_params_check(&params, &err) || rdd_comm_single(&comm, &err)) return 1;
  rdd_comm_close(comm);
  return rdd_hash_bytes("x", 1) == 0;
}
END
if [ -n "$cxx" ]; then
  ran="$cxx outside.cc"
  # shellcheck disable=SC2046 # flags are words
  $cxx -o outside.bin outside.cc $($PKG_CONFIG --cflags --libs gangplank) >"$stdout" 2>"$stderr" && ./outside.bin
  status=$?
  check "so does a program in C++" succeeds
else
  skip "a program in C++" "no C++ compiler here"
fi

make -C "$build" uninstall DESTDIR="$dest" >"$stdout" 2>"$stderr"
find "$dest" ! -type d >left
check "make uninstall leaves nothing" empty left
finish
