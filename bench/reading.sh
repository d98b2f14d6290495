#!/bin/bash
# How fast ratings text is read: every format, on one core, against memcpy of the same bytes, `wc -l` of
# the same file and a plain strtoll/strtod loop over it, and then with 1 and 2 ranks. Prints Markdown
# tables. From the build directory: make bench-reading
#
# The files are made from `als generate` by the lines below, and kept in $BENCH_DIR for the next time.

: "${RATINGS:=4000000}" "${BENCH_DIR:=${BUILD:-$PWD}/bench-reading}"
# shellcheck source=bench/lib.sh
. "$(dirname "$0")/lib.sh"
reading=$build/bench/reading
rounds=${ROUNDS:-5}
export LC_ALL=C

cd "$work"
base=base-$ratings-$users-$items.csv
[[ -s $base ]] || {
  rm -f base-*.csv text-*
  "$als" generate -o part.csv --users "$users" --items "$items" --ratings "$ratings" --seed 1 >&2
  mv part.csv "$base"
}

# What else a rating has: h is half a star, t its time, d a date, x a rating with all its digits.
vars='{ h = $3 - 0.5 * (NR % 2); t = 1000000000 + NR * 7919 % 400000000
  d = sprintf("%04d-%02d-%02d", 1999 + NR % 7, 1 + NR * 5 % 12, 1 + NR * 11 % 28)
  s = sprintf("%02d:%02d:%02d", NR * 7 % 24, NR * 13 % 60, NR * 17 % 60)
  x = ($3 - 3.0123456789) / (1 + NR % 997) }'

# make NAME PROGRAM: text-NAME from the base, by awk.
make() {
  [[ -s text-$1 ]] || { sed 1d "$base" | mawk -F, "$vars $2" >"text-$1.part" && mv "text-$1.part" "text-$1"; }
}
command -v mawk >/dev/null || mawk() { awk "$@"; }

make csv-header 'BEGIN { print "user,item,rating" } { printf "%d,%d,%.1f\n", $1, $2, h }'
make csv '{ printf "%d,%d,%.1f,%d\n", $1, $2, h, t }'
make tsv '{ printf "%d\t%d\t%d\t%d\n", $1, $2, $3, t }'
make colons '{ printf "%d::%d::%d::%d\n", $1, $2, $3, t }'
make digits '{ printf "%d,%d,%.17g\n", $1, $2, x }'
make datetime 'BEGIN { print "userId,movieId,rating,timestamp" } { printf "%d,%d,%.1f,%s %s\n", $1, $2, h, d, s }'
make strings '{ printf "u%07d,item-%05d,%.1f,%d\n", $1, $2, h, t }'
make quoted '{ printf "\"u%07d\",\"item-%05d\",\"%.1f\",\"%d\"\n", $1, $2, h, t }'
make doubled '{ printf "\"reader %d\",\"The \"\"Good\"\", the %d (1966)\",%.1f\n", $1, $2, h }'
make crlf '{ printf "%d,%d,%.1f,%d\r\n", $1, $2, h, t }'
make blanks '{ printf "%d, %d, %.1f, %d\n", $1, $2, h, t }'
make columns 'BEGIN { print "when,comment,item,stars,user" } { printf "%d,%s at %s,%d,%.1f,%d\n", t, "seen on " d, s, $2, h, $1 }'
make mtx "BEGIN { print \"%%MatrixMarket matrix coordinate real general\"; print \"$users $items $ratings\" }
  { printf \"%d %d %.1f\\n\", \$1, \$2, h }"
make mtx-e "BEGIN { print \"%%MatrixMarket matrix coordinate real general\"; print \"$users $items $ratings\" }
  { printf \"%d %d %.16e\\n\", \$1, \$2, h }"
[[ -s text-netflix ]] || {
  sed 1d "$base" | sort -t, -k2,2n -s |
    mawk -F, "$vars"' $2 != movie { movie = $2; printf "%d:\n", movie } { printf "%d,%d,%s\n", $1, $3, d }' >part
  mv part text-netflix
}
[[ -s text-csv.gz ]] || { gzip -n -c text-csv >part && mv part text-csv.gz; }

machine
echo
: >results
while IFS='|' read -r file fields what; do
  json=$("$reading" "text-$file" "$fields" "$rounds")
  echo "$what|$json" >>results
done <<'FILES'
csv|iifi|CSV, no header: `1,242,3.5,881250949`
csv-header|iif|CSV with header: `1,242,3.5`
tsv|iiii|TSV, `u.data`
colons|iiii|`::`, `ratings.dat`
mtx|iif|Matrix Market: `1 242 3.5`
mtx-e|iif|Matrix Market: `1 242 3.5000000000000000e+00`
netflix|iid|Netflix sections: `1488844,3,2005-09-06`
datetime|iifd|CSV with times: `1,242,3.5,2005-09-06 12:30:00`
digits|iif|CSV, long numbers: `1,242,-0.01234567890123457`
strings|ssfi|string ids: `u0000001,item-00242,3.5,881250949`
quoted|ssfi|all quoted: `"u0000001","item-00242","3.5","881250949"`
doubled|ssf|`"reader 1","The ""Good"", the 242 (1966)",3.5`
columns|isifi|other columns and order, with header
crlf|iifi|CSV, `\r\n`
blanks|iifi|CSV with blanks: `1, 242, 3.5, 881250949`
csv.gz|iifi|CSV, gzip
FILES
for ranks in 1 2; do
  for file in csv strings; do
    mpirun -n $ranks "$reading" text-$file - "$rounds" >"ranks-$file-$ranks"
    for ((i = 0; i < 3; i++)); do
      mpirun -n $ranks "$als" import text-$file -o import.h5 --json 2>/dev/null
    done >"import-$file-$ranks"
  done
done
rm -f import.h5

python3 - <<'PY'
import json, os, statistics
rows = [(w, json.loads(j)) for w, j in (line.rstrip("\n").rsplit("|", 1) for line in open("results"))]
print("| format | MB | MB/s | of memcpy | of `wc -l` | of strto loop | into sealed partitions, MB/s |")
print("|---|---|---|---|---|---|---|")
for what, r in rows:
    parse = r["parse"]
    wc = f"{parse / r['wc']:.2f} of {r['wc']}" if r["wc"] else f"{parse / r['gzread']:.2f} of zlib's {r['gzread']}"
    print(f"| {what} | {r['bytes'] * 1e-6:.0f} | {parse} | {parse / r['memcpy']:.3f} of {r['memcpy']} | {wc} "
          f"| {parse / r['strto']:.2f} of {r['strto']} | {r['seal']} |")
slow = [(w, r["parse"]) for w, r in rows if r["parse"] < 400]
print("\nMB/s are of unpacked text on one core, medians. " +
      ("All are at 400 MB/s or above." if not slow else "Below 400 MB/s: " + "; ".join(w for w, _ in slow) + "."))
print("\n| ranks | file | read, MB/s | of 1 rank | into sealed partitions, MB/s | of 1 rank | `als import`, MB/s | of 1 rank |")
print("|---|---|---|---|---|---|---|---|")
for file in "csv", "strings":
    base = None
    for ranks in 1, 2:
        r = json.load(open(f"ranks-{file}-{ranks}"))
        s = statistics.median(json.loads(line)["seconds"] for line in open(f"import-{file}-{ranks}"))
        now = (r["parse"], r["seal"], os.path.getsize(f"text-{file}") * 1e-6 / s)
        base = base or now
        print(f"| {ranks} | {file} | " + " | ".join(f"{v:.0f} | {v / b:.2f}" for v, b in zip(now, base)) + " |")
PY
