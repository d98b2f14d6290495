#!/bin/sh
# Ratings in every layout that is read: all give the same rows.
# shellcheck disable=SC2016,SC2034,SC2086,SC2119,SC2317 # check evaluates conditions by name
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"

cat >want.csv <<'DATA'
user,item,rating,timestamp
196,242,3,881250949
-186,302,3.5,891717742
9007199254740993,377,1,878887116
244,9223372036854775807,0.25,880606923
-9223372036854775808,302,4,886397596
DATA
cut -d, -f1-3 want.csv >want3.csv
sed 1d want.csv >rows

# reads TEXT WANTED ARG...: import gives the wanted rows, in one partition and in several.
reads() {
  what=$1 want=$2
  shift 2
  for n in 1 5; do
    run 0 import "$@" -o got.csv --num-partitions $n
    check "$what, --num-partitions $n" eval 'succeeds && same got.csv "$want"'
    rm -f got.csv
  done
}

# ranks_read TEXT WANTED ARG...: the same, and 3 ranks do it too.
ranks_read() {
  reads "$@"
  shift 2
  run 3 import "$@" -o got.csv --num-partitions 5
  check "$what, 3 ranks" eval 'succeeds && same got.csv "$want"'
  rm -f got.csv
}

# ---- MovieLens, CSV, TSV ----

tr ',' '\t' <rows >u.data
ranks_read "MovieLens u.data" want.csv u.data
sed 's/,/::/g' rows >ratings.dat
reads "MovieLens ratings.dat" want.csv ratings.dat
(echo userId,movieId,rating,timestamp && cat rows) >ratings.csv
reads "MovieLens ratings.csv" want.csv ratings.csv
awk -F, -v OFS=, 'BEGIN { print "Rating", "Title", "ITEM_ID", "User-ID" } { print $3, "a;b", $2, $1 }' \
  rows >order.csv
reads "a header in another order" want3.csv order.csv
awk -F, -v OFS=';' 'BEGIN { print "when", "who", "what", "how much" } { print $4, $1, $2, $3 }' \
  rows >columns.csv
ranks_read "--columns, semicolons" want.csv columns.csv --columns 'who,what,how much,when'
awk -F, 'BEGIN { print "\"user\",\"item\",\"rating\",\"timestamp\"" }
  { print "\"" $1 "\" , \"" $2 "\",\"" $3 "\"," $4 }' rows >quotes.csv
reads "quotes and blanks" want.csv quotes.csv
sed 's/$/\r/' ratings.csv >crlf.csv
reads "CRLF" want.csv crlf.csv
printf '\357\273\277' | cat - ratings.csv >bom.csv
reads "a byte order mark" want.csv bom.csv
printf %s "$(cat ratings.csv)" >no-newline.csv
reads "no newline at the end" want.csv no-newline.csv
(echo && sed 's/$/\n/' ratings.csv) >blank.csv
reads "blank lines" want.csv blank.csv
gzip -c ratings.csv >ratings.csv.gz
ranks_read "gzip" want.csv ratings.csv.gz
cp ratings.csv.gz innocent-name
reads "formats are recognised by content" want.csv innocent-name
(gzip -c u.data && : | gzip -c) >members.gz
reads "gzip in several members" want.csv members.gz
reads "--format overrides" want3.csv want3.csv --format csv

# ---- Several files ----

mkdir folder
head -n 2 rows >folder/a.csv
sed 1,2d rows >folder/b.csv
: >folder/.hidden
reads "several files" want.csv folder/a.csv folder/b.csv
ranks_read "a folder" want.csv folder
reads "a pattern" want.csv 'folder/[ab].*'
run 0 import folder folder/a.csv folder/b.csv -o twice.csv
check "a file that is given twice is read twice" eval 'succeeds && [ "$(wc -l <twice.csv)" -eq 11 ]'

# ---- HDF5 ----

run 2 import ratings.csv -o ratings.h5
ranks_read "HDF5" want.csv ratings.h5
run 0 info ratings.h5
check "info of HDF5" eval 'succeeds && prints "^ratings +5$" && prints "^users +5$" && prints "^items +4$" &&
  prints "^user +int64, -9223372036854775808 to 9007199254740993, 5 distinct"'
run 2 info ratings.dat
check "info of text" eval 'succeeds && prints "MovieLens ratings.dat" && prints "^ratings +5$" && prints "^items +4$"'

# ---- The Netflix Prize ----

mkdir netflix
printf '1:\n1488844,3,2005-09-06\n822109,5,2005-05-13\n' >netflix/mv_0000001.txt
printf '2:\n1488844,4,2005-09-05\n' >netflix/mv_0000002.txt
cat >want-netflix.csv <<'DATA'
user,item,rating,timestamp
1488844,1,3,1125964800
822109,1,5,1115942400
1488844,2,4,1125878400
DATA
ranks_read "Netflix mv_ files" want-netflix.csv netflix
reads "Netflix mv_ files by pattern" want-netflix.csv 'netflix/mv_*.txt'
cat netflix/mv_0000001.txt netflix/mv_0000002.txt >combined_data_1.txt
ranks_read "Netflix combined_data" want-netflix.csv combined_data_1.txt
run 0 train combined_data_1.txt -o model.h5 --rank 2 --max-iter 2
printf '2:\n822109\n1488844\n1:\n1488844\n' >probe.txt
for ranks in 0 3; do
  run $ranks predict model.h5 probe.txt -o probe.csv --num-partitions 4
  check "predict for the pairs of Netflix probe.txt, $ranks ranks" \
    eval 'succeeds && [ "$(cut -d, -f1,2 probe.csv | tr "\n" " ")" = "user,item 822109,2 1488844,2 1488844,1 " ]'
done
printf 'user,item\n822109,2\n' >pairs.csv
run 0 predict model.h5 pairs.csv -o pairs-out.csv
check "predict for pairs without a rating" \
  eval 'succeeds && [ "$(sed 1d pairs-out.csv)" = "$(sed -n 2p probe.csv)" ]'

# ---- Matrix Market ----

printf '%%%%MatrixMarket matrix coordinate real general\n%% a comment\n4 9 3\n4 1 2.5\n1 9 -1\n2 2 1e1\n' >m.mtx
printf 'user,item,rating\n4,1,2.5\n1,9,-1\n2,2,10\n' >want-mtx.csv
ranks_read "Matrix Market" want-mtx.csv m.mtx

# ---- Ids as text ----

cat >text.csv <<'DATA'
user,item,rating
ann b,"The ""Good"", the Bad",4
zoë,7,3
ann b,7,5
-1,The End,1
DATA
run 2 import text.csv -o text.h5
run 0 import text.h5 -o text2.csv
check "text ids with quotes, commas and UTF-8 go through HDF5 and back" eval 'succeeds && same text.csv text2.csv'
run 2 train text.h5 -o textmodel.h5 --rank 2 --max-iter 3
run 0 predict textmodel.h5 text.csv -o predicted.csv
check "and through a model" \
  eval 'succeeds && [ "$(sed 1d text.csv | sed "s/,[^,]*$//")" = "$(sed 1d predicted.csv | sed "s/,[^,]*$//")" ] &&
    ! grep -qi nan predicted.csv'
run 0 recommend textmodel.h5 --users 'zoë' --top 1 --exclude-seen text.csv
check "recommend by text id" eval 'succeeds && prints "^user zoë$"'
run 0 import rows -o as-text.h5 --id-type string
run 0 info as-text.h5
check "--id-type string reads numbers as text" eval 'succeeds && prints "^user +text"'
run 0 train ratings.csv -o bigmodel.h5 --rank 2 --max-iter 2
run 2 recommend bigmodel.h5 --users 9007199254740993,-9223372036854775808 --top 1
check "ids of 64 bits keep every digit" \
  eval 'succeeds && prints "^user 9007199254740993$" && prints "^user -9223372036854775808$"'
check "no temporary file is left by all of this" no_litter
finish
