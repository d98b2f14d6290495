#!/bin/sh
# als import --map: functions of the user's own. Those of docs/maps.md, compiled against the one header;
# those that come along; and those that crash, hang, fail, or are not there.
# shellcheck disable=SC2016,SC2034,SC2086,SC2317 # check evaluates conditions by name
case ${top_srcdir:-.} in
  /*) source=$top_srcdir ;;
  *) source=$PWD/${top_srcdir:-.} ;;
esac
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"
awk=${AWK:-awk}
unset GANGPLANK_MAP_PATH

# ---- Building ----

mkdir include
cp "$source/jobs/gangplank_map.h" include/ # alone: it needs nothing else of this program
"$awk" '/^```c$/ { on = 1; next } /^```/ { on = 0 } on' "$source/docs/maps.md" >stars.c
cp "$source/tests/maps_bad.c" bad.c
# builds LIBRARY COMPILER FLAG...: without a warning.
builds() {
  library=$1
  shift
  "$@" -Wall -Wextra -Werror -O2 -shared -fPIC -Iinclude -o "$library" -lm >"$stdout" 2>"$stderr"
}
check "docs/maps.md has a worked example" [ "$(grep -c '^GANGPLANK_MAP(' stars.c)" -eq 3 ]
check "it compiles as C" builds stars.so ${CC:-cc} stars.c
cxx=${CXX:-$(command -v c++ || command -v g++ || command -v clang++)}
if [ -n "$cxx" ]; then
  check "it compiles as C++" builds stars++.so $cxx -x c++ stars.c
else
  skip "it compiles as C++" "no C++ compiler here"
fi
check "functions that go wrong compile too" builds bad.so ${CC:-cc} bad.c

# ---- The worked example ----

# 2000 ratings in half stars of few users and items, in no order; times of two weeks from 2005-01-24.
"$awk" 'BEGIN { srand(5); print "user,item,rating,timestamp"
  for (i = 0; i < 2000; i++)
    printf "%d,%d,%g,%d\n", 7 + int(rand() * 30), int(rand() * 20), int(1 + rand() * 10) / 2,
      1106524800 + int(rand() * 100) * 12096 }' >data.csv
sed 1d data.csv | sed 's/^/u/; s/,/,item /' | sed '1i user,item,rating,timestamp' >text.csv

# gives TEXT WANTED ARG...: import makes the wanted file of it, in one partition and in several.
gives() {
  what=$1 want=$2
  shift 2
  for form in ${forms:-0:1 0:6}; do
    run "${form%:*}" import "$@" -o got.csv --num-partitions "${form#*:}" --json --quiet
    check "$what: ${form%:*} ranks, ${form#*:} partitions" \
      eval 'succeeds && same got.csv "$want" && empty "$stderr"'
    rm -f got.csv
  done
}
# ranks_give TEXT WANTED ARG...: and on 1 to 3 ranks too.
ranks_give() {
  forms='0:1 0:6 1:4 2:3 3:7'
  gives "$@"
  forms=
}
of_awk() { "$awk" -F, -v OFS=, "NR == 1 { print; next } $1" data.csv; }

of_awk '{ $3 = int($3 + 0.5); print }' >want.csv
gives "half stars to stars" want.csv data.csv --map ./stars.so:stars
of_awk '$4 >= 1107129600' >want.csv # date -d 2005-01-31UTC +%s
gives "drop before a date" want.csv data.csv --map ./stars.so:since=2005-01-31
json_dropped=$(($(wc -l <data.csv) - $(wc -l <want.csv)))
check "what was dropped is counted" json_is dropped "$json_dropped"
of_awk '$4 >= 1107129600 { $3 = int($3 + 0.5); print }' >want.csv
ranks_give "both, one after the other" want.csv data.csv \
  --map "$PWD/stars.so:since=2005-01-31" --map=./stars.so:stars
if [ -n "$cxx" ]; then
  run 0 import data.csv -o got.csv --map ./stars++.so:since=2005-01-31 --map ./stars++.so:stars
  check "the library made by the C++ compiler does the same" eval 'succeeds && same got.csv want.csv'
fi
printf 'user,item,rating\n1,1,0\n1,2,1\n2,1,1000000\n' >plays.csv
run 0 import plays.csv -o got.csv --map ./stars.so:log_count
"$awk" -F, 'NR == FNR { want[NR] = log(1 + $3); next }
  FNR > 1 && ($3 - want[FNR]) ^ 2 > 1e-12 { bad = 1 } END { exit bad || FNR != 4 }' plays.csv got.csv
check "logarithms of play counts" [ $? -eq 0 ]

# ---- Those that come along ----

GANGPLANK_MAP_PATH=/nonexistent:$build/jobs/maps
export GANGPLANK_MAP_PATH
of_awk '{ $3 = $3 >= 3.5 ? 1 : 0; print }' >want.csv
gives "binarise at a threshold" want.csv data.csv --map maps:binarise=3.5
run 0 import data.csv -o got.csv --map maps.so:binarise=3.5
check "with .so it is the same library" eval 'succeeds && same got.csv want.csv'
printf 'user,item,rating\n1,1,3.1\n' >tenth.csv
run 0 import tenth.csv -o got.csv --map maps:binarise=3.1
check "a threshold is narrowed as ratings are" eval 'succeeds && [ "$(tail -n 1 got.csv)" = 1,1,1 ]'

# last FILE TIMES: of each pair the last line, in the order of the input.
last() {
  "$awk" -F, -v times="$2" 'NR == FNR { p = $1 "," $2
      if (FNR > 1 && (!(p in row) || !times || $4 >= time[p])) { row[p] = FNR; time[p] = $4 }
      next }
    FNR == 1 || row[$1 "," $2] == FNR' "$1" "$1"
}
last data.csv 1 >want.csv
ranks_give "the last rating wins, by time" want.csv data.csv --map maps:last_wins
last text.csv 1 >want-text.csv
ranks_give "with ids that are text" want-text.csv text.csv --map maps:last_wins
cut -d, -f1-3 data.csv >untimed.csv
last untimed.csv '' >want-untimed.csv
gives "without timestamps by the order of the input" want-untimed.csv untimed.csv --map maps:last_wins
check "the three are not the same, and there were duplicates" eval '
  [ "$(wc -l <want.csv)" -lt 1000 ] && ! cut -d, -f1-3 want.csv | cmp - want-untimed.csv >/dev/null'
run 0 import text.csv -o one.h5 --map maps:last_wins --num-partitions 1
run 3 import text.csv -o many.h5 --map maps:last_wins --num-partitions 9
check "HDF5 files too are the same bytes" eval 'succeeds && same one.h5 many.h5'
gzip -c data.csv >data.csv.gz
run 0 import data.csv.gz -o got.csv --map maps:last_wins
check "gzip" eval 'succeeds && same got.csv want.csv'

# ---- What rows are together ----

nth() { of_awk "{ \$3 = ++n[$1]; print }"; }
nth '$1' >want.csv
gives "all ratings of a user, in the order of the input" want.csv data.csv --map ./bad.so:nth_of_user
nth '$1 FS $2' >want.csv
gives "all of a pair" want.csv data.csv --map ./bad.so:nth_of_pair
# By user, a filter and rewrite of times, by item, by pair, by user again; then rows alone.
"$awk" -F, -v OFS=, 'NR == 1 { print; next }
  { $3 = ++a[$1] } $3 >= 50 { next } { $4 = $3; $3 = ++b[$2]; $3 = ++c[$1 FS $2] } $3 >= 3 { next }
  { $4 = $3; $3 = ++d[$1]; print }' data.csv >want.csv
ranks_give "several of them in a row" want.csv data.csv --map ./bad.so:nth_of_user --map ./bad.so:below=50 \
  --map ./bad.so:nth_of_item --map ./bad.so:nth_of_pair --map ./bad.so:below=3 --map ./bad.so:nth_of_user
check "that test drops some rows, and not all" eval '
  [ "$(wc -l <want.csv)" -gt 100 ] && [ "$(wc -l <want.csv)" -lt 1500 ]'

# ---- Bad lines, and no lines ----

sed '100s/.*/1,2,many,3/; 900s/.*/oops/' data.csv >lines.csv
sed '900d; 100d' data.csv >good.csv
"$awk" -F, -v OFS=, 'NR > 1 { $3 = ++n[$2] } 1' good.csv >want.csv
run 3 import lines.csv -o got.csv --map ./bad.so:nth_of_item --num-partitions 5 --max-bad-records 2 --json
check "bad records are skipped and counted as ever" \
  eval 'succeeds && same got.csv want.csv && json_is bad_records 2 && json_is dropped 0'
run 0 import lines.csv -o bad.csv --map ./bad.so:nth_of_item --num-partitions 5 --max-bad-records 1
check "and are too many as ever" eval 'exits 65 && one_message "bad records|records are bad" && absent bad.csv'
run 0 import data.csv -o none.csv --map ./bad.so:drop
check "no ratings left is an error" eval 'exits 65 && one_message "map leaves no ratings" && absent none.csv'
run 0 import data.csv -o none.csv --map ./bad.so:drop --map maps:last_wins --num-partitions 4
check "also before an exchange" eval 'exits 65 && one_message "map leaves no ratings" && absent none.csv'

# ---- Crashes ----

"$awk" -F, -v OFS=, 'NR > 1 { $3++ } 1' data.csv >want.csv
for form in 0:crash_once 2:crash_once 0:crash_once_whole 3:crash_once_whole; do
  ranks=${form%:*} function=${form#*:}
  run $ranks import data.csv -o got.csv --num-partitions 4 --map "./bad.so:$function=marker"
  check "$function is survived, $ranks ranks" eval 'succeeds && same got.csv want.csv &&
    one_message "attempt 1 of 4 died of signal 11 .*, in map bad.so:$function$"'
  rm -f marker got.csv
done
for form in 0:crash 0:crash_whole 2:crash_whole; do
  ranks=${form%:*} function=${form#*:}
  run $ranks import data.csv -o lost.csv --num-partitions 3 --map ./stars.so:stars --map "./bad.so:$function" \
    --map maps:binarise=1 --threads 1
  check "$function ends the job, which names it, $ranks ranks" eval 'exits 70 && absent lost.csv &&
    says "^als import: .*attempt 4 of 4 died of signal 11 .*, in map bad.so:$function$"'
done
run 0 import data.csv -o lost.csv --map ./bad.so:leave
check "exit() is a crash" eval 'exits 70 && says "exit status 0 before it was done .*, in map bad.so:leave$"'
run 0 import data.csv -o lost.csv --map ./bad.so:hang --task-time-limit 0.2
check "a hang ends by --task-time-limit" \
  eval 'exits 70 && says "^als import: .*attempt 4 of 4 ran longer than 0.2 s .*, in map bad.so:hang$"'

# ---- Errors ----

for ranks in 0 3; do
  run $ranks import data.csv -o lost.csv --num-partitions 5 --map ./bad.so:refuse=3
  check "an error ends the job with its message, $ranks ranks" eval 'exits 65 && absent lost.csv &&
    one_message "^als import: --map ./bad.so:refuse=3, partition 0: item 3 is banned$"'
done
ranks=
# fails CODE REGEX ARG...: import with these arguments.
fails() {
  code=$1 regex=$2
  shift 2
  run "${ranks:-0}" import data.csv -o lost.csv "$@"
  check "$*: exit $code" eval 'exits "$code" && one_message "$regex" && absent lost.csv'
}
fails 65 'refuse_silently, partition 0: the function failed, without a message' --map ./bad.so:refuse_silently
fails 65 'refuse_loudly, partition 0: !{255}$' --map ./bad.so:refuse_loudly
fails 65 'make_nan, partition 0: it made nan of the rating [0-9]' --map ./bad.so:make_nan
fails 70 'partition 0: no room for a table' --map ./bad.so:no_memory
cp untimed.csv data.csv
fails 65 'since=2005-01-31, partition 0: these ratings have no timestamps' --map ./stars.so:since=2005-01-31

# Nothing is read: it is no matter that there is nothing to read.
rm data.csv
echo 'no library' >text.so
mkdir 'a:b' && cp stars.so 'a:b/'
fails 2 "expected LIB.so:FUNCTION or LIB.so:FUNCTION=ARGUMENT" --map stars.so
fails 2 "expected LIB.so:FUNCTION or LIB.so:FUNCTION=ARGUMENT" --map stars.so:
fails 2 "expected LIB.so:FUNCTION or LIB.so:FUNCTION=ARGUMENT" --map :stars
fails 2 "expected LIB.so:FUNCTION or LIB.so:FUNCTION=ARGUMENT" --map stars.so:3
fails 2 "./none.so: cannot open shared object file: No such file" --map ./none.so:stars
fails 2 "there is no none.so in the current folder, /nonexistent:.*/gangplank$" --map none.so:stars
fails 2 "there is no none.so in /nonexistent:" --map none:stars
fails 2 "text.so: (invalid ELF header|file too short)" --map text.so:stars
fails 2 "undefined symbol: gangplank_map_moon$" --map stars.so:moon
fails 2 "undefined symbol: .*; the function is there, but no GANGPLANK_MAP\(not_offered, ...\)" --map bad.so:not_offered
fails 2 "version 2 of gangplank_map.h, and this is version 1" --map bad.so:old
fails 2 "its GANGPLANK_MAP is wrong: it has no function" --map bad.so:empty
fails 2 "its GANGPLANK_MAP is wrong: it has a function, and 4 for" --map bad.so:unclear
fails 2 "stars takes no argument" --map stars.so:stars=3
fails 2 "since: expected a date" --map stars.so:since
fails 2 "'3,5' is not a threshold" --map maps:binarise=3,5
fails 2 "'' is not a threshold" --map maps:binarise
fails 2 "last_wins takes no argument" --map maps:last_wins=
ranks=3
fails 2 "undefined symbol: gangplank_map_moon$" --map stars.so:stars --map stars.so:moon
fails 66 "data.csv" --map 'a:b/stars.so:since=2005-01-31'
check "no temporary file is left by all of this" no_litter
finish
