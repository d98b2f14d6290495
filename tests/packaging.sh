#!/bin/sh
# What is installed beside the programs: completions say what --help says and work in bash, the modulefile leads
# to what make install leaves, recipes agree with the rest of the tree.
# shellcheck disable=SC2016,SC2034,SC2086,SC2119,SC2317 # check evaluates conditions by name
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"
packaging=$top_srcdir/packaging
: >"$stdout"
: >"$stderr"

for program in als gangrun; do
  BUILD=$build sh "$packaging/completion.sh" $program >made
  check "the completion of $program is that of --help-all (else: make completions)" same made "$packaging/completions/$program"
done

# completed WORD...: what bash offers for the last word, in one line.
completed() {
  bash -c '. "$1/completions/$2" || exit 1
    shift; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    "_$1"; echo "${COMPREPLY[*]}"' bash "$packaging" "$@"
}
offers() {
  expected=$1
  shift
  [ "$(completed "$@")" = "$expected" ]
}
if command -v bash >/dev/null; then
  check "a command" offers "train" als tr
  check "an option of a command" offers "--solver" als train --so
  check "of that command alone" offers "" als split --so
  check "one of some words" offers "cholesky cg" als train --solver c
  check "after =" offers "cholesky cg" als train --solver = c
  check "names of files elsewhere" offers "" als train rat
  check "an option of gangrun" offers "--stall-timeout" gangrun --st
  check "and of what it runs" offers "--checkpoint-dir --checkpoint-interval" gangrun mpirun -n 2 als train --check
else
  skip "completion" "bash is missing"
fi

# ---- The modulefile ----

version=$(sed -n 's/^#define PACKAGE_VERSION "\(.*\)"/\1/p' "$build/config.h")
module=$build/packaging/$version.lua
check "the modulefile is named by the version" [ -s "$module" ]
check "nothing in it is left to be filled in" eval '! grep -q "@[a-zA-Z]*@" "$module"'
lua=$(command -v lua || command -v lua5.4 || command -v lua5.3 || command -v lua5.1)
if [ -n "$lua" ]; then
  "$lua" - "$module" >"$stdout" 2>"$stderr" <<'END'
for _, f in ipairs({"help", "whatis", "conflict", "setenv", "prepend_path"}) do
  _G[f] = function(...) print(f, ...) end
end
dofile(arg[1])
END
  status=$?
  check "it runs" eval 'succeeds && prints "^prepend_path.PATH.*/bin$" && prints "^prepend_path.PKG_CONFIG_PATH.*/pkgconfig$" &&
    prints "^prepend_path.MANPATH.*/man$"'
else
  skip "the modulefile runs" "lua is missing"
fi

# ---- Recipes and papers ----

spack=$packaging/spack/spack_repo/gangplank/packages/gangplank/package.py
check "the Spack recipe has this version" grep -q "version(\"$version\"" "$spack"
if [ -n "$python" ]; then
  check "and is Python" "$python" -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())' "$spack"
fi
sed -n '/^packages_table/,/^TABLE$/s/^\([a-z0-9-]*\)  *\(command\|test\|pkg-config\) .*/\1/p' \
  "$top_srcdir/build-aux/packages.sh" | grep -v cunit >wanted
missing=$(while read -r package; do grep -qw -- "$package" "$packaging/gangplank.def" || echo "$package"; done <wanted)
check "the Apptainer definition installs what the build wants" eval '[ -s wanted ] && [ -z "$missing" ]'
check "CITATION.cff has this version" grep -qx "version: $version" "$top_srcdir/CITATION.cff"
finish
