# page.html and what it includes, as elements of a C array of strings. @include FILE@ is another file of
# this folder; @log@ is where the program puts the log, a NULL.
function put(line) {
  gsub(/\\/, "&&", line)
  gsub(/"/, "\\\"", line)
  printf "  \"%s\\n\",\n", line
}
/^@include .*@$/ {
  file = $0
  gsub(/^@include |@$/, "", file)
  file = dir "/" file
  while ((got = (getline line < file)) > 0) put(line)
  if (got < 0) {
    print "embed.awk: " file " cannot be read" > "/dev/stderr"
    exit 1
  }
  close(file)
  next
}
$0 == "@log@" { print "  NULL,"; next }
{ put($0) }
