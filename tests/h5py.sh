#!/bin/sh
# h5py, which knows nothing of us, reads all kinds of files that als writes: they are what
# docs/formats.md says, and the same as what als says in text. See the .py.
# shellcheck disable=SC2016,SC2034,SC2086,SC2119,SC2317 # check evaluates conditions by name
source=$(cd "${top_srcdir:-.}" && pwd) || exit 99
# shellcheck source=tests/cli_lib.sh
. "$source/tests/cli_lib.sh"
env=$build/tests/python-env
if [ ! -e "$env/ready" ]; then
  echo "1..0 # SKIP $(cat "$env/why" 2>/dev/null || echo "make did not make $env")"
  exit 0
fi
echo "# $(cat "$env/ready")"

# made RANKS ARG...: als makes a file.
made() {
  run "$@"
  shift
  check "als $*" succeeds
}

# Ids that are numbers, and ids that are text: with a comma, quotes and letters beyond ASCII, in an
# order that is not theirs. One record is bad, and some pairs are of nobody.
"${AWK:-awk}" 'BEGIN {
  print "user,item,rating,timestamp"
  for (u = 0; u < 30; u++)
    for (i = (u * 7) % 3; i < 20; i += 3) {
      print "\"user, " (u * 11) % 30 "\",\"the \"\"" (i * 3) % 20 "\"\" – Zürich\"," \
        1 + (u * i + u) % 9 / 2 "," 1000000000 + 86400 * u + i
      if (u == 5 && i < 3) print "somebody,something,many,0"
    }
}' >words.csv
"${AWK:-awk}" 'NR % 5 == 1' words.csv >some.csv
printf 'user,item\n1,1\n7,3\n1000,3\n7,1000\n60,40\n' >pairs.csv

for end in h5 csv; do
  made 0 generate -o numbers.$end --users 60 --items 40 --ratings 900 --seed 3 -q
  made 0 import words.csv -o words-imported.$end --max-bad-records 1 -q
done
made 0 train numbers.h5 -o numbers-model.h5 --rank 5 --max-iter 4 -q
made 2 train words-imported.h5 -o words-model.h5 --rank 3 --max-iter 3 --bias --test some.csv -q
for end in h5 csv; do
  made 0 predict numbers-model.h5 pairs.csv -o numbers-pairs.$end -q
  made 0 predict words-model.h5 some.csv -o words-pairs.$end -q
  made 0 recommend numbers-model.h5 --top 3 -o numbers-top.$end -q
  made 0 recommend words-model.h5 --top 4 --for items -o words-top.$end -q
done
run 0 train words-imported.csv -o none.h5 --rank 3 --max-iter 9 --num-partitions 2 -q \
  --work-dir work --checkpoint-interval 2 --fault gang,iteration=6:kill
check "a run that is killed leaves checkpoints and blocks" \
  eval 'exits 137 && [ -s work/checkpoint/checkpoint-2.h5 ] && [ -s "$(ls work/blocks/*-1.h5)" ]'
for file in numbers words-imported numbers-model words-model numbers-pairs words-pairs \
  numbers-top words-top work/checkpoint/checkpoint-2; do
  made 0 info $file.h5 --json
  cp "$stdout" $file.json
done

# The programs in the documentation.
"${AWK:-awk}" '/^```/ { n += /^```python/; inside = /^```python/; next }
  inside { print >(n == 1 ? "digest.py" : "model.py") }' "$source/docs/formats.md"
check "docs/formats.md has two programs" eval '[ -s digest.py ] && [ -s model.py ]'
for model in numbers words; do
  run 0 info $model-model.h5 --json
  json_value digest | tr -d '"' >want
  check "the digest of a model, ids are $model" \
    eval '"$env/venv/bin/python" digest.py $model-model.h5 >got && [ -s got ] && same got want'
done

ran="h5py.py" status=
timeout --kill-after=5 120 "$env/venv/bin/python" "$source/tests/h5py.py" >"$stdout" 2>"$stderr"
status=$?
cp "$stdout" results
while IFS= read -r line; do
  case $line in
    'ok '*) check "${line#ok }" true ;;
    'no '*) check "${line#no }" false ;;
  esac
done <results
check "h5py.py got to its end" eval 'succeeds && [ "$(tail -n 1 results)" = end ]'
finish
