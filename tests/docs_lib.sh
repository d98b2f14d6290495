# shellcheck shell=sh disable=SC2154,SC2034,SC2016 # variables of cli_lib.sh; $1 of awk
# What the tests of the documents share: pages that are run. Sourced after cli_lib.sh.
#
# In a page a block that begins with ```console is what somebody would type and see: a line "$ COMMAND",
# and what it prints, on stdout and stderr, up to the next one. A block of C that follows a line
# <!-- FILE --> is a piece of that file, line by line.
#
#   run_page PAGE        a check for each command: it prints what the page says
#   check_excerpts PAGE  a check for each piece: it is in its file
#   quoted PAGE NAME     the block that follows the line <!-- NAME -->, on stdout

# What is not the same each time, or not everywhere: seconds, hosts, ratios of times, sizes of files, bits, which
# depend on the compiler, and what launchers say, between lines of their own.
normal() {
  sed -e '/^-----/,/^-----/d' -e '/^=====/,/^=====/d' \
    -e 's/[0-9][0-9.]* s\([ ,;)]\|$\)/N s\1/g' \
    -e 's/host [^ ),]*/host HOST/g' -e 's/ on [^ ]* died/ on HOST died/g' \
    -e 's/^[0-9.]* times as fast/N times as fast/' \
    -e 's/[0-9.]* [KM]iB/N KiB/g' -e 's/factors: [0-9a-f]*/factors: BITS/' \
    -e 's/digest [0-9a-f]*-[0-9a-f]*/digest BITS/' -e 's/status [0-9]*/status N/' "$@"
}

# cases PAGE: files case-N.sh and case-N.want for its commands; prints how many there are.
cases() {
  rm -f "$top"/case-*
  "${AWK:-awk}" -v stem="$top/case-" '
    /^```/ { at = 0; console = /^```console/ && !console; next }
    !console { next }
    /^\$ / { at = ++n; print substr($0, 3) >(stem n ".sh"); printf "" >(stem n ".want"); next }
    at { print >(stem n ".want") }
    END { print n + 0 }' "$1"
}

# What ranks print comes through pipes of their own, and mpirun promises no order between them.
in_order() {
  if grep -q mpirun "$1"; then sort; else cat; fi
}

prints_what_the_page_says() {
  normal "$top/case-$1.got" | in_order "$top/case-$1.sh" >"$stdout"
  normal "$top/case-$1.want" | in_order "$top/case-$1.sh" | diff - "$stdout" >"$stderr"
}

run_page() {
  n=$(cases "$1")
  check "${1##*/} has commands" [ "$n" -gt 0 ]
  for i in $(seq "$n"); do
    ran=$(sed 's/\\/\\\\/g' "$top/case-$i.sh") # echo would take \n for a new line
    timeout --kill-after=5 "$time_limit" sh "$top/case-$i.sh" >"$top/case-$i.got" 2>&1 </dev/null
    status=$?
    if hydra && grep -Eq 'mpirun ended|gangrun: attempt .*: rank' "$top/case-$i.want"; then
      skip "${1##*/}: $ran" "the page quotes Open MPI on ranks that die, and Hydra has other words"
    else
      check "${1##*/}: $ran" prints_what_the_page_says "$i"
    fi
  done
}

quoted() {
  "${AWK:-awk}" -v mark="<!-- $2 -->" '
    $0 == mark { next_block = 1; next }
    /^```/ { if (inside) exit; inside = next_block; next }
    inside' "$1"
}

# in_its_file FILE PIECE: the lines of PIECE stand in FILE, one after the other.
in_its_file() {
  [ -s "$2" ] && "${AWK:-awk}" '
    NR == FNR { piece = piece $0 "\n"; next }
    { text = text $0 "\n" }
    END { exit !index("\n" text, "\n" piece) }' "$2" "$1"
}

check_excerpts() {
  pieces=$("${AWK:-awk}" -v stem="$top/piece-" '
    /^<!-- [^ ]*\.[ch] -->$/ { file = $2; next }
    /^```/ { inside = !inside && file != ""
             if (inside) { n++; print file >(stem n ".of") } else file = ""
             next }
    inside { print >(stem n ".c") }
    END { print n + 0 }' "$1")
  check "${1##*/} has pieces of programs" [ "$pieces" -gt 0 ]
  for i in $(seq "$pieces"); do
    file=$(cat "$top/piece-$i.of")
    check "${1##*/}: piece $i is in $file" in_its_file "$top_srcdir/$file" "$top/piece-$i.c"
  done
}
