#!/bin/sh
# Bad input and bad luck: one message of rank 0, the right exit status, nothing half-written, no hang.
# shellcheck disable=SC2016,SC2034,SC2086,SC2119,SC2317 # check evaluates conditions by name
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"

run 0 generate -o good.csv --users 50 --items 30 --ratings 600
run 0 train good.csv -o model.h5 --rank 3 --max-iter 2
run 0 import good.csv -o good.h5
echo precious >precious

# The output of every bad run is out.h5 or out.csv: it does not appear, and what was there before stays.
untouched() {
  for output in out.h5 out.csv; do
    if [ "$1" -eq 0 ]; then absent $output || return 1
    else same $output precious || return 1; fi
  done
}

# bad_at RANKS TEXT STATUS REGEX ARG...: als ARG... ends with that status and message.
bad_at() {
  ranks=$1 text=$2 code=$3 regex=$4
  shift 4
  rm -f out.h5 out.csv
  [ "$ranks" -eq 0 ] || { cp precious out.h5 && cp precious out.csv; }
  run "$ranks" "$@"
  check "$text, $ranks ranks" \
    eval 'exits "$code" && one_message "^als [a-z]+: " "$regex" && untouched $ranks && no_litter && empty "$stdout"'
  rm -f out.h5 out.csv
}
bad_alone() { bad_at 0 "$@"; }
# Under mpirun too: what goes wrong in another place than the cases before.
bad() {
  bad_at 0 "$@"
  bad_at 4 "$@"
}

# ---- Text that is wrong ----

(echo user,item,rating && awk 'BEGIN { for (i = 0; i < 200000; i++) print i % 997 ",", i % 101 ",3" }' OFS=) >big.csv
sed '123457s/.*/12,x7,3/' big.csv >middle.csv
bad "a malformed line in the middle of a big file" 65 'middle\.csv:123457: .*item id .x7.*integer' \
  import middle.csv -o out.h5 --num-partitions 8
bad "the same in train" 65 'middle\.csv:123457: ' train middle.csv -o out.h5
sed -e '5000s/.*/1,2/' -e '190000s/.*/oops/' big.csv >two.csv
bad "of two bad lines the first counts" 65 'two\.csv:5000: found 2 fields instead of 3 in .1,2.; expected user,item,rating' \
  import two.csv -o out.h5 --num-partitions 8
# line NAME TEXT: a good file with that line as its 3rd.
line() { sed "3s/.*/$2/" good.csv >"$1.csv"; }
line nan 1,2,nan
bad "a rating that is NaN" 65 'nan\.csv:3: rating .nan. .*finite' import nan.csv -o out.h5
line inf 1,2,-Inf
bad_alone "an infinite rating" 65 'inf\.csv:3: rating .-Inf. .*finite' import inf.csv -o out.h5
line huge 1,2,1e60
bad_alone "a rating above float" 65 'huge\.csv:3: rating .1e60. .*32-bit float' import huge.csv -o out.h5
line word 1,2,good
bad_alone "a rating that is a word" 65 'word\.csv:3: rating .good. is not a number' import word.csv -o out.h5
line overflow 9223372036854775808,2,3
bad "an id above 64 bits" 65 'overflow\.csv:3: user id .9223372036854775808. .*64-bit' import overflow.csv -o out.h5
line mixed ann,2,3
bad "mixed id types" 65 'mixed\.csv:3: mixed id types: user id .ann.*--id-type string' import mixed.csv -o out.h5
sed 's/^\([0-9]*\),/u\1,/' good.csv >texts.csv
bad "files with other id types" 65 'mixed id types: .*good\.csv.*texts\.csv' import good.csv texts.csv -o out.h5
bad "a model with other id types" 65 'texts\.csv' evaluate model.h5 texts.csv
bad "a test part with other id types" 65 'texts\.csv' train good.csv -o out.h5 --test texts.csv
printf 'user,item,rating\n1,"2,3\n' >quote.csv
bad_alone "a quote without end" 65 'quote\.csv:2: a quoted field does not end' import quote.csv -o out.h5
printf '1,2,3\n1,\0002,3\n' >nul.csv
bad_alone "a NUL byte" 65 'nul\.csv:2: .*NUL' import nul.csv -o out.h5
: >empty.csv
bad "an empty file" 65 'empty\.csv' import empty.csv -o out.h5
bad_alone "an empty file in train" 65 'empty\.csv' train empty.csv -o out.h5
echo user,item,rating >header.csv
bad "a header alone" 65 'no ratings' import header.csv -o out.h5
bad "a header alone in train" 65 'no ratings' train header.csv -o out.h5
bad "a header alone in split" 65 'no ratings' split header.csv --train out.h5 --test out.csv
bad "a header alone in evaluate" 65 'no ratings' evaluate model.h5 header.csv
bad "a header alone in predict" 65 'no pairs' predict model.h5 header.csv -o out.csv
head -c 3000 /dev/urandom >noise.bin
bad "noise" 65 'noise\.bin' import noise.bin -o out.h5
gzip -c big.csv | head -c 20000 >cut.csv.gz
bad "gzip that is cut off" 65 'cut\.csv\.gz: .*gzip' import cut.csv.gz -o out.h5
(gzip -c big.csv | head -c -8 && echo 1234567) >broken.csv.gz
bad_alone "gzip with a wrong checksum" 65 'broken\.csv\.gz: .*gzip' import broken.csv.gz -o out.h5
printf '%%%%MatrixMarket matrix coordinate real general\n3 3 2\n1 1 1\n' >short.mtx
bad "Matrix Market with too few entries" 65 'short\.mtx: 1 entries .*declares 2' import short.mtx -o out.h5
printf '7,1\n' >pairs.csv
bad_alone "pairs where ratings are wanted" 65 'pairs\.csv' train pairs.csv -o out.h5
bad_alone "no such column" 2 "good\.csv has no column .stars.*user,item,rating" import good.csv -o out.h5 --columns user,item,stars

# ---- Malformed records up to a limit ----

sed -e '100s/.*/x/' -e '150000s/.*/1,2,y/' -e '199999s/.*/,,/' big.csv >three.csv
bad "more bad records than allowed" 65 '3 records are bad, more than --max-bad-records 2.*three\.csv:100: ' \
  import three.csv -o out.h5 --max-bad-records 2 --num-partitions 8
for ranks in 0 4; do
  run $ranks import three.csv -o out.h5 --max-bad-records 3 --num-partitions 8 --json
  check "as many as allowed are skipped and counted, $ranks ranks" \
    eval 'succeeds && json_is bad_records 3 && json_is ratings 199997 && says "^als: warning: skipped 3 .*three\.csv:100: "'
done
run 4 train three.csv -o out.h5 --max-iter 1 --max-bad-records 3 --json
check "train skips and counts too" eval 'succeeds && json_is ratings 199997 && says "^als: warning: skipped 3 "'

# ---- Files that are not there, or something else ----

bad "a missing file" 66 'nowhere\.csv: No such file' import nowhere.csv -o out.h5
bad_alone "a missing model" 66 'nowhere\.h5' evaluate nowhere.h5 good.csv
bad_alone "a missing test part" 66 'nowhere\.csv' train good.csv -o out.h5 --test nowhere.csv
bad "a missing initial model" 66 'nowhere\.h5' train good.csv -o out.h5 --init-model nowhere.h5
bad "a missing file of seen ratings" 66 'nowhere\.csv' recommend model.h5 -o out.csv --exclude-seen nowhere.csv
mkdir hollow
bad_alone "an empty folder" 66 'hollow' import hollow -o out.h5
bad_alone "a pattern without a match" 66 'no file matches' import 'hollow/*.csv' -o out.h5
bad_alone "a folder as a model" 65 'hollow: not an HDF5 file' evaluate hollow good.csv
head -c 2000 good.h5 >cut.h5
bad "HDF5 that is cut off" 65 'cut\.h5' import cut.h5 -o out.h5
bad "a model that is cut off" 65 'cut\.h5' evaluate cut.h5 good.csv
# damage FILE: a few bytes in the middle, which checksums have to find.
damage() {
  printf garbage | dd of="$1" bs=1 seek=$(($(wc -c <"$1") / 2)) conv=notrunc 2>/dev/null
}
run 0 import big.csv -o damaged.h5
damage damaged.h5
bad "HDF5 that is damaged" 74 'damaged\.h5: /ratings/[a-z]+ cannot be read: .*hecksum' train damaged.h5 -o out.h5
run 0 train good.csv -o damaged-model.h5 --rank 500 --max-iter 1
damage damaged-model.h5
bad_alone "a model that is damaged" 74 'damaged-model\.h5: /users/factors cannot be read: .*hecksum' \
  predict damaged-model.h5 good.csv -o out.csv
cp noise.bin noise.h5
bad_alone "noise that is called HDF5" 65 'noise\.h5' train noise.h5 -o out.h5
bad_alone "text as a model" 65 'good\.csv.*HDF5' evaluate good.csv good.csv
bad "ratings as a model" 65 'good\.h5.*ratings' evaluate good.h5 good.csv
bad "a model as ratings" 65 'model\.h5.*model' train model.h5 -o out.h5
bad_alone "info on HDF5 that is cut off" 65 'cut\.h5' info cut.h5
if [ "$(id -u)" -ne 0 ]; then
  cp good.csv secret.csv && chmod 000 secret.csv
  bad_alone "a file that may not be read" 66 'secret\.csv: Permission denied' import secret.csv -o out.h5
else
  skip "a file that may not be read" "root may read everything"
fi

# ---- Impossible wishes ----

bad "rank 0" 2 '--rank 0 is out of range; expected 1 to 4096' train good.csv -o out.h5 --rank 0
bad_alone "a rank that is too large" 2 '--rank 99999 is out of range' train good.csv -o out.h5 --rank 99999
bad_alone "a rank that is no number" 2 "--rank 'ten'" train good.csv -o out.h5 --rank ten
bad_alone "a negative regularisation" 2 '--reg-param -1' train good.csv -o out.h5 --reg-param -1
bad "an unknown option" 2 '--regparam; did you mean --reg-param' train good.csv -o out.h5 --regparam 1
bad_alone "an option without its value" 2 '--rank wants a value' train good.csv -o out.h5 --rank
bad_alone "train without -o" 2 '--output is missing' train good.csv
bad_alone "train without ratings" 2 '0 arguments given; expected at least 1' train -o out.h5
bad_alone "an argument too many" 2 "unexpected argument 'good.csv'" recommend model.h5 good.csv -o out.csv
bad "more ratings than pairs" 2 '--ratings 10 is more than' generate -o out.csv --users 3 --items 3 --ratings 10
bad_alone "a scale upside down" 2 '--scale 5:1' generate -o out.csv --scale 5:1
bad_alone "train and test in one file" 2 'same file' split good.csv --train out.csv --test out.csv
bad_alone "the same, spelt in another way" 2 'same file' split good.csv --train out.csv --test ../data/./out.csv
bad_alone "--users for --for items" 2 '--users goes with' recommend model.h5 --for items --users 3 -o out.csv
bad_alone "users that are no ids" 2 "'bob'" recommend model.h5 --users bob -o out.csv
bad "users that are unknown" 65 'none of the ids' recommend model.h5 --users 12345678 -o out.csv
cp good.csv kept.csv
bad "the ratings as output" 2 'good\.csv is an input' import good.csv -o ./good.csv
check "they are kept" same good.csv kept.csv
bad_alone "the model as output" 2 'model\.h5 is an input' recommend model.h5 -o model.h5
bad "an output in a missing folder" 74 'nowhere' train good.csv -o nowhere/out.h5
mkdir hollow.h5
bad_alone "a folder as output" 2 'hollow\.h5: is a folder' train good.csv -o hollow.h5
bad "an output with an unknown ending" 2 'out\.xls.*\.h5' import good.csv -o out.xls
bad_alone "a model as text" 2 'out\.csv.*\.h5' train good.csv -o out.csv
printf 'user,item,rating\n888888,1,3\n1,777777,3\n' >cold.csv
bad "ratings that are all cold" 65 'none of the 2 ratings' evaluate model.h5 cold.csv --cold-start-strategy drop
printf 'user,item,rating\n7,1,3\n7,2,4\n9,1,3\n8,1,3\n8,2,2\n8,-5,1\n' >thin.csv
bad "equations that are singular" 65 'item -5: .*--reg-param' train thin.csv -o out.h5 --rank 2 --reg-param 0
for ranks in 0 4; do
  run $ranks trian good.csv
  check "an unknown command, $ranks ranks" eval 'exits 2 && one_message "unknown command .trian.*did you mean train"'
  run $ranks
  check "no command, $ranks ranks" eval 'exits 2 && one_message "no command" && prints "^usage:"'
done

# ---- --json and --quiet of a failure ----

run 4 train good.csv -o out.h5 --rank 0 --json
check "a usage error is an object too" eval 'exits 2 && json_object error exit_code && json_is exit_code 2'
run 4 train nowhere.csv -o out.h5 --json --quiet
check "and a missing file; --quiet does not hush errors" \
  eval 'exits 66 && json_object error exit_code && json_is exit_code 66 && one_message nowhere'
printf '1,2,3\n1,2,\377\376\n' >latin.csv
run 0 import latin.csv -o out.h5 --json
check "an error about bytes that are no UTF-8 is still JSON" eval 'exits 65 && json_object error exit_code'

# ---- A full disk ----

if [ -w /dev/full ]; then
  for flag in --quiet --json; do
    "$als" info model.h5 $flag >/dev/full 2>"$stderr"
    status=$? ran="als info model.h5 $flag >/dev/full"
    : >"$stdout"
    check "output that cannot be written, $flag" eval 'exits 74 && one_message "standard output"'
  done
else
  skip "output that cannot be written" "there is no /dev/full"
fi

(echo user,item,rating && awk 'BEGIN { srand(7); for (i = 0; i < 300000; i++) print int(rand() * 1e9) "," int(rand() * 50000) "," i % 5 + 1 }') >large.csv
mkdir small
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=1m tmpfs small 2>/dev/null; then
  mounted=$PWD/small
  for end in csv h5; do
    for ranks in 0 4; do
      echo precious >small/out.$end
      run $ranks import large.csv -o small/out.$end
      check "import to .$end on a full disk, $ranks ranks" \
        eval 'exits 74 && one_message "small/out\.$end: .*No space left" && same small/out.$end precious && no_litter'
    done
  done
  run 4 train large.csv -o small/model.h5 --rank 20 --max-iter 1
  check "train on a full disk" \
    eval 'exits 74 && one_message "small/model\.h5: .*No space left" && absent small/model.h5 && no_litter'
  umount small && mounted=
else
  skip "a disk that is really full" "tmpfs cannot be mounted here"
fi
# Without mpirun, whose own files would be limited too.
for end in csv h5; do
  text="import to .$end past a limit on file sizes"
  (
    ulimit -f 200
    trap '' XFSZ
    timeout 60 "$als" import large.csv -o limited.$end --num-partitions 200 >"$stdout" 2>"$stderr"
  )
  status=$? ran="als import under ulimit -f"
  check "$text" eval 'exits 74 && one_message "limited\.$end: .*File too large" && absent limited.$end && no_litter'
done
finish
