#!/bin/sh
# Every option that --help tells is in the man page, and every one of the man page exists.
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"
man=$top_srcdir/man

: >"$stdout" >"$stderr"
# told_options: those that a table of --help has, without those that its texts mention.
told_options() { sed -n 's/  [^ -].*//; /^ \{2,6\}-/p' | options; }
options() { grep -Eo -- '--[a-z][a-z-]*' | sort -u; }
# of PAGE: the options that a page has a paragraph for.
of() { sed -n 's/\\-/-/g; /^\.BR* [^a-z]*-/p' "$1" | options; }

commands=$("$als" --help | sed -n 's/^  \([a-z-]*\)  .*/\1/p')
check "als has commands" [ -n "$commands" ]
for command in $commands; do "$als" "$command" --help-all; done | told_options >told
(cat told && echo --version) | sort -u >expected
of "$man/als.1" >found
check "als(1) has the options of als, and no others" same expected found
diff expected found | sed 's/^/# /'
for command in $commands; do
  check "als(1) has als $command" eval 'sed "s/\\\\-/-/g" "$man/als.1" | grep -q "^\.SS als $command "'
  "$als" "$command" --help-all | told_options >told
  section=$(sed 's/\\-/-/g' "$man/als.1" | sed -n "/^\.SS als $command /,/^\.S[SH] /p")
  common=$(sed 's/\\-/-/g' "$man/als.1" | sed -n '/^\.SH OPTIONS/,/^\.SH FAULTS/p')
  missing=$(while read -r option; do
    printf '%s\n%s\n' "$section" "$common" | grep -q -- "$option" || echo "$option"
  done <told)
  check "with all of its options" [ -z "$missing" ]
done
"$build/gangrun" --help | told_options >expected
of "$man/gangrun.1" >found
check "gangrun(1) has the options of gangrun, and no others" same expected found
diff expected found | sed 's/^/# /'
for page in als gangrun; do
  if command -v groff >/dev/null; then
    groff -man -Tascii -ww "$man/$page.1" >/dev/null 2>warnings
    check "$page(1) is well formed" empty warnings
    sed 's/^/# /' warnings
  else
    skip "$page(1) is well formed" "groff is missing"
  fi
done
finish
