# A public header as Doxygen wants it. Our comments have a form of their own:
#
#   /* What it does.                                Collective.
#    *   name  [in]  text ...          an argument: \param
#    *   drawn or laid out text        indented after a blank line: as it is
#
# One at the head of the file is of the file; one behind code is of what stands before it.

function argument(line,  at, name, way) {
  if (!match(line, /^ *\* +[a-z_0-9]+(, *[a-z_0-9]+)* +\[(in|out|in,out|in\/out)\]/)) return line
  at = substr(line, 1, RLENGTH)
  rest = substr(line, RLENGTH + 1)
  sub(/^ *\* +/, "", at)
  way = at
  sub(/.*\[/, "", way); sub(/\]/, "", way); sub(/\//, ",", way)
  name = at
  sub(/ +\[.*/, "", name); gsub(/ /, "", name)
  return " * \\param[" way "] " name rest
}

# A comment that begins here.
function opened(line) {
  if (line ~ /\/\* ----/ || line ~ /clang-format/) return line
  if (line ~ /^\/\* / && NR == 1) { sub(/^\/\* /, "/** \\file\n * ", line); return line }
  if (line ~ /^ *\/\* /) sub(/\/\* /, "/** ", line)
  else sub(/\/\* /, "/**< ", line)
  return line
}

{
  line = $0
  if (!inside && line ~ /\/\* /) {
    inside = line !~ /\*\//
    blank = laid = 0
    print opened(line)
    next
  }
  if (inside) {
    last = line ~ /\*\//
    if (line ~ /^ *\*$/) { blank = 1; if (laid) { print " * \\endverbatim"; laid = 0 } }
    else if (line ~ /^ *\*   / && blank && !laid && argument(line) == line) {
      print " * \\verbatim"
      laid = 1; blank = 0
    } else if (laid && line !~ /^ *\*   /) { print " * \\endverbatim"; laid = 0 }
    else blank = 0
    if (laid && last) { sub(/ *\*\/.*/, "", line); print line; print " * \\endverbatim */"; laid = 0 }
    else print laid ? line : argument(line)
    if (last) inside = 0
    next
  }
  print line
}
