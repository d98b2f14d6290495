#!/bin/sh
# Every test that docs/spark-tests.md names is there: `FILE`: "NAME".
set -u
src=${top_srcdir:-.}
doc=$src/docs/spark-tests.md
# shellcheck disable=SC2016 # the quotes are of Markdown
named=$(sed -n 's/.*`\(tests\/[a-z_0-9]*\.[a-z]*\)`: "\([^"]*\)".*/\1|\2/p' "$doc" | sort -u)
missing=$(printf '%s\n' "$named" | while IFS='|' read -r file name; do
  grep -qF -- "$name" "$src/$file" || echo "$file has no \"$name\""
done)
count=$(printf '%s\n' "$named" | grep -c '|')
echo 1..1
if [ -z "$missing" ] && [ "$count" -gt 15 ]; then
  echo "ok 1 - all $count tests that docs/spark-tests.md names exist"
else
  printf '%s\n' "$missing" | sed 's/^/# /'
  echo "not ok 1 - all $count tests that docs/spark-tests.md names exist"
  exit 1
fi
