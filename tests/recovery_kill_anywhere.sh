#!/bin/sh
# kill -9 of everything at a random moment: gangrun, launcher, ranks, tasks and the writer of checkpoints, as
# when the machine is switched off. Then no file under a final name is wrong or half-written, and the same
# command finishes with the bits of the undisturbed run.
#
#   POINTS  moments (5; `make kill-anywhere` takes 200), spread over the time of an undisturbed run
#   SEED    another seed, other moments
#
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"
# shellcheck source=tests/recovery_lib.sh
. "${top_srcdir:-.}/tests/recovery_lib.sh"
need_model_sum
points=${POINTS:-5} seed=${SEED:-1} iterations=8
model_options="--rank 8 --bias"
train_options="$model_options --max-iter $iterations --checkpoint-interval 1 --num-partitions 4"

# What checkpoint-I.h5 and the model have to be: those of a run that ends after I iterations.
run 0 generate -o "$data" --users 2000 --items 500 --ratings 60000
i=0
while [ $((i += 1)) -le $iterations ]; do
  # shellcheck disable=SC2086
  run 0 train "$data" -o after.h5 $model_options --max-iter $i
  bits_of after.h5 >"$top/after-$i"
done
plain=$(cat "$top/after-$iterations")
now() { date +%s.%N; }
calculate() { "${AWK:-awk}" "BEGIN { printf \"%.3f\", $1 }"; }

# length_of RANKS: seconds of an undisturbed run.
length_of() {
  folder=$top/whole ranks=$1
  folders "$folder"
  start=$(now)
  supervise "$folder"
  calculate "$(now) - $start"
}
length_alone=$(length_of 0) length_mpirun=$(length_of 3)
report "$top/whole" "an undisturbed run takes $length_alone s alone, $length_mpirun s under mpirun" \
  "$(recovered "$top/whole")"

# kill_all CASE: until nobody is left to fork another one.
kill_all() {
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    victims=$(processes_of "$1")
    [ -n "$victims" ] || return 0
    # shellcheck disable=SC2086
    kill -KILL $victims 2>/dev/null
  done
  echo "processes that cannot be killed: $victims"
}

# whole_or_absent CASE: every file that has its final name is what it should be. (Blocks are judged by the
# run that reads them.)
whole_or_absent() {
  [ ! -e "$1/out/model.h5" ] || same_model "$1"
  for file in "$1"/work/checkpoint/checkpoint-*.h5; do
    [ -e "$file" ] || continue
    i=${file##*-}
    [ "$(bits_of "$file")" = "$(cat "$top/after-${i%.h5}")" ] || echo "$file is not whole: $(bits_of "$file")"
  done
  [ ! -e "$1/work/record.json" ] || [ "$(grep -c '^{.*}$' "$1/work/record.json")" -eq 1 ] ||
    echo "the record is not whole: $(cat "$1/work/record.json")"
}

# What is there when all are dead, for the reader of the log.
found_in() {
  (cd "$1" && find out work -type f -name '*.h5*' | sed 's/-[0-9a-f]\{16\}//' | sort | tr '\n' ' ')
}

# Points in order, jittered inside their share of the time; with and without a launcher by turns.
draw() {
  "${AWK:-awk}" -v seed="$seed" -v n="$points" -v alone="$length_alone" -v mpirun="$length_mpirun" 'BEGIN {
    state = (seed % 65521) * 65537
    for (i = 0; i < 10 + n; i++) {
      state = (state * 69069 + 1) % 4294967296
      if (i >= 10) printf "%d %.3f\n", i % 2 ? 3 : 0, (i - 10 + state / 4294967296) / n * (i % 2 ? mpirun : alone)
    }
  }'
}

draw >"$top/points"
while read -r ranks moment; do
  folder=$top/killed
  folders "$folder"
  supervise "$folder" &
  sleep "$moment"
  complaints=$(kill_all "$folder")
  wait $!
  before=$(found_in "$folder")
  complaints=$complaints$(whole_or_absent "$folder")
  # What mpirun had for itself nobody knows of before a rank has told; later the next gangrun sweeps it.
  [ "$(events "$folder" job-started)" -gt 0 ] || rm -rf "$folder/tmp" "$folder/shm"
  mkdir -p "$folder/tmp" "$folder/shm"
  supervise "$folder"
  complaints=$complaints$(
    recovered "$folder"
    [ "$(events "$folder" block-lost)" -eq 0 ] || echo "a block was not whole"
    [ "$(events "$folder" checkpoint-passed-over)" -eq 0 ] || echo "a checkpoint was not whole"
  )
  report "$folder" "killed after $moment s, $ranks ranks; found ${before:-nothing}; went on from iteration $(resumed_from "$folder")" \
    "$complaints"
done <"$top/points"
finish
