#!/bin/sh
# docs/tour.md and what belongs to it: each command prints what the page says, and what it quotes is the
# programs' text.
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"
# shellcheck source=tests/docs_lib.sh
. "$top_srcdir/tests/docs_lib.sh"

# As a reader has them in the PATH; mpirun may have another name here.
mkdir "$top/bin"
printf '#!/bin/sh\nexec "%s" "$@"\n' "$(command -v "$mpiexec")" >"$top/bin/mpirun" # launchers look for helpers beside them
chmod +x "$top/bin/mpirun"
PATH=$build/tests:$build:$PATH
[ "$mpiexec" = mpirun ] || PATH=$top/bin:$PATH
export PATH

for page in tour lab netflix; do
  mkdir "$page" && cd "$page" || exit 99
  run_page "$top_srcdir/docs/$page.md"
  check "$page: no temporary file is left" no_litter
  cd ..
done
check_excerpts "$top_srcdir/docs/tour.md"

# The page has the bits of a model replaced, for they depend on the compiler; not on the ranks.
tour_08_als >one.txt
"$mpiexec" -n 3 tour_08_als >three.txt 2>"$stderr"
check "the bits of tour_08 are the same on one rank and three" same one.txt three.txt
finish
