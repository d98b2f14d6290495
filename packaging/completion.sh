#!/bin/sh
# completion.sh PROGRAM: bash completion for als or gangrun, made from what --help says, on stdout.
# The results are kept in completions/, and tests/completion.sh makes them again.
#   BUILD  the folder that has the programs; default: here
set -u
program=$1
build=${BUILD:-.}

# told: "--name METAVAR" of each option in a --help, or "--name".
told() { sed -n 's/^ \{2,6\}\(-[a-z], \)\{0,1\}\(--[a-z-]*\)\( [^ ]*\)\{0,1\}.*/\2\3/p'; }
# names: their options, in one line. choices: case branches for those that take one of some words.
names() { cut -d' ' -f1 | sort -u | tr '\n' ' ' | sed 's/ $//'; }
choices() {
  sort -u | sed -n 's/^\(--[a-z-]*\) \([a-z0-9]*|[a-z0-9|]*\)$/\1 \2/p' | tr '|' ' ' |
    while read -r option words; do echo "    $option) echo '$words' ;;"; done
}

case $program in
  als) commands=$("$build/als" --help | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p') ;;
  *) commands= ;;
esac

cat <<END
# shellcheck shell=bash disable=SC1091
# bash completion for $program; made by packaging/completion.sh from --help.

_${program}_options() {
  case \$1 in
END
if [ -n "$commands" ]; then
  for command in $commands; do echo "    $command) echo '$("$build/als" "$command" --help-all | told | names)' ;;"; done
  echo "    *) echo '--help --version' ;;"
else
  echo "    *) echo '$("$build/$program" --help | told | names)' ;;"
fi
cat <<END
  esac
}

_${program}_choices() {
  case \$1 in
END
if [ -n "$commands" ]; then
  for command in $commands; do "$build/als" "$command" --help-all; done | told | choices
else
  "$build/$program" --help | told | choices
fi
cat <<END
    *) ;;
  esac
}

_$program() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} choices
  # bash takes --option=word apart
  if [ "\$word" = = ]; then word=
  elif [ "\$before" = = ]; then before=\${COMP_WORDS[COMP_CWORD - 2]}; fi
  choices=\$(_${program}_choices "\$before")
END
[ -z "$commands" ] || cat <<END
  if [ "\$COMP_CWORD" -eq 1 ] && [ "\${word#-}" = "\$word" ]; then choices='$(echo "$commands" | tr '\n' ' ' | sed 's/ $//')'; fi
END
[ -n "$commands" ] || cat <<END
  local i # the command that it runs is completed by its own rules
  for ((i = 1; i < COMP_CWORD; i++)); do
    [ "\${COMP_WORDS[i]##*/}" = als ] || continue
    declare -F _als >/dev/null || . "\${BASH_SOURCE[0]%/*}/als"
    COMP_WORDS=("\${COMP_WORDS[@]:i}") COMP_CWORD=\$((COMP_CWORD - i))
    _als
    return
  done
END
cat <<END
  if [ -n "\$choices" ]; then mapfile -t COMPREPLY < <(compgen -W "\$choices" -- "\$word")
  elif [ "\${word#-}" != "\$word" ]; then
    mapfile -t COMPREPLY < <(compgen -W "\$(_${program}_options "\${COMP_WORDS[1]}")" -- "\$word")
  else COMPREPLY=(); fi # names of files, as bash does it
}
complete -o default -F _$program $program
END
