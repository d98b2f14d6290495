#!/bin/sh
# als report: the page has what the log has, the trace can be read, and a log that was cut is no error.
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"
unset GANGPLANK_WORK_DIR GANGPLANK_ATTEMPT GANGPLANK_FAULT

# A page: the log is one block of JSON, each event on a line of its own.
events_of() { sed -n 's/^\({"time": .*}\),*$/\1/p' "$1" | sort; }
# log_of DIR: the same from the log; '<' is written so that it ends no script.
log_of() { cat "$1"/events/*.jsonl | sed 's/</\\u003c/g' | sort; }
has_the_log() { # DIR PAGE
  log_of "$1" >wanted
  events_of "$2" >got
  [ -s wanted ] && same wanted got
}
block_of() { sed -n '/^<script type="application\/json" id="log">$/,/^<\/script>$/p' "$1" | sed '1d;$d'; }
is_json() { [ -z "$python" ] || "$python" -c 'import json, sys; json.load(open(sys.argv[1], encoding="utf-8"))' "$1"; }
script_ends() { grep -o '</script' "$1" | wc -l; }

run 0 generate -o small.h5 --users 400 --items 100 --ratings 8000 --quiet
check "there are ratings" succeeds

# ---- A run whose task and gang crashed ----

if "$build/gangrun" --work-dir w --backoff 0 "$mpiexec" -n 2 "$als" train small.h5 -o m.h5 --rank 4 --max-iter 4 \
  --num-partitions 4 --checkpoint-interval 2 --fault task,partition=1,attempt=1:kill --fault gang,rank=1,iteration=3:kill \
  >"$stdout" 2>"$stderr" </dev/null; then status=0; else status=$?; fi
ran="gangrun als train"
check "a run that crashed twice is done" succeeds
for event in launch launch-ended job-started settings lineage phase stage-started task-started task-crashed \
  task-finished block-stored block-found memory fault resumed iteration spent result job-ended; do
  missing=
  grep -hq "\"event\": \"$event\"" w/events/*.jsonl || missing=1
  if [ "$event" = resumed ] && hydra; then
    skip "the log has $event" "Hydra may end the ranks before the checkpoint is written"
  else
    check "the log has $event" [ -z "$missing" ]
  fi
  told=$(sed -n "s/^| \`$event\` .*/yes/p" "$top_srcdir/docs/events.md" | head -n 1)
  check "docs/events.md has $event" [ "$told" = yes ]
done
hydra && why='the launcher ended with status 9' || why='rank 1 on .* died of signal 9'
check "gangrun tells why" grep -q '"verdict": "again", "cause": "'"$why" w/events/gangrun.jsonl
run 0 report w -o w.html --trace w.json --json
check "als report makes a page" eval 'succeeds && json_is attempts 2 && json_is broken_lines 0 && json_is cut_lines 0'
check "it counts the events" json_is events "$(cat w/events/*.jsonl | wc -l)"
check "the page has all of the log" has_the_log w w.html
block_of w.html >block
check "as one JSON object" is_json block
check "and nothing from elsewhere" eval '! grep -Eq "(src|href)=.?(http|//)|@import|url\(" w.html && ! grep -v w3.org/2000/svg w.html | grep -q "https*://"'
check "the trace is JSON" is_json w.json
check "with every task that began" [ "$(grep -c '"cat": "task"' w.json)" -eq "$(cat w/events/*.jsonl | grep -c task-started)" ]
check "the crash among them" grep -q '"cat": "task".*"cname": "terrible".*"result": "task-crashed"' w.json
check "which its name says" grep -q '"name": "[0-9]* of [^"]* (crashed)"' w.json
threads() { grep '"ph": "X"' w.json | sed 's/.*"pid": \([0-9]*\), "tid": \([0-9]*\).*/'"$1"'/' | sort -u | wc -l; }
check "no two processes share the number of a thread" [ "$(threads '\2')" -eq "$(threads '\1 \2')" ]
check "and both attempts" [ "$(grep -c '"cat": "launch"' w.json)" -eq 2 ]
check "a span never ends before it begins" eval '! grep -q "\"dur\": -" w.json'
check "seconds of an iteration are no more than the iteration" eval 'cat w/events/*.jsonl |
  sed -n "s/.*\"event\": \"spent\".*\"seconds\": \([0-9.e-]*\), \"gram\": \([0-9.e-]*\), \"solve\": \([0-9.e-]*\), \"test\": \([0-9.e-]*\),.*/\1 \2 \3 \4/p" |
  awk "\$2 + \$3 + \$4 > \$1 + 1e-5 { bad = 1 } END { exit bad || NR == 0 }"'
check "the last counters of the log are what the ranks exchanged" eval 'for r in 0 1; do
  sed -n "s/.*\"sent\": \([0-9]*\).*/\1/p" w/events/attempt-2.rank-$r.jsonl; done | awk "\$1 < last && FNR > 1 { n++ } { last = \$1; s += \$1 } END { exit n > 1 || s == 0 }"'
run 2 report w -o again.html --quiet
check "ranks make the same page" eval 'succeeds && has_the_log w again.html'
check "nothing is left" no_litter

# ---- Logs that are not whole ----

cp -R w cut
log=cut/events/attempt-1.rank-1.jsonl
size=$(wc -c <$log)
head -c $((size - 20)) w/events/attempt-1.rank-1.jsonl >$log
rm cut/events/attempt-2.rank-1.jsonl
{
  echo '{"time": 1, "event": "phase", "phase": }'
  printf '{"time": 1, "event": "\377"}\n{"time": 1, "x": "</script><!--"}\nno JSON\n'
} >>cut/events/attempt-2.rank-0.jsonl
run 0 report cut -o cut.html --trace cut.json --json
check "a line that was cut, lines that are no JSON, a missing rank: no error" \
  eval 'succeeds && json_is cut_lines 1 && json_is broken_lines 3 && says "3 lines of the log are no JSON"'
block_of cut.html >block
check "the page can be read" eval 'is_json block && [ "$(script_ends cut.html)" -eq "$(script_ends w.html)" ]'
check "the trace, too" is_json cut.json
rm cut/record.json
run 0 report cut -o cut.html --quiet
check "without a record" eval 'succeeds && block_of cut.html | grep -q "\"record\": null"'

# ---- Names that would be markup; runs without gangrun, and other commands ----

mkdir -p 'a<b></script><b>'
nasty='a<b></script><b>/"w&'
run 0 import small.h5 -o small.csv --work-dir "$nasty" --quiet
check "any command with a work directory has a log" succeeds
run 0 report "$nasty" -o nasty.html --trace nasty.json --quiet
check "a name that ends a script ends none" \
  eval 'succeeds && has_the_log "$nasty" nasty.html && [ "$(script_ends nasty.html)" -eq "$(script_ends w.html)" ]'
block_of nasty.html >block
check "and is still the name" eval 'is_json block && grep -q "\"directory\": \".*/a.u003cb>.u003c/script>.u003cb>/..w&\"" block && is_json nasty.json'
run 0 train small.h5 -o m.h5 --rank 4 --max-iter 2 --work-dir twice --quiet
run 0 train small.h5 -o m.h5 --rank 4 --max-iter 3 --work-dir twice --quiet
run 0 report twice -o twice.html --json
check "a command that is run again in one directory adds to its log" eval 'succeeds && json_is attempts 1 && has_the_log twice twice.html'
run 2 train nothing.h5 -o m.h5 --work-dir failed --quiet
run 0 report failed -o failed.html --json
check "a run that failed has a page" eval 'succeeds && grep -q "\"event\": \"job-ended\", \"exit_code\": 66" failed.html'

# ---- What cannot be ----

run 0 report nowhere -o x.html
check "a folder that is not there" eval 'exits 66 && one_message "nowhere: cannot be read"'
mkdir empty
run 0 report empty -o x.html
check "a folder without a log" eval 'exits 66 && one_message "there is no event log in it; a run writes one where it has a --work-dir"'
run 0 report w -o x.txt
check "a page that is no .html" eval 'exits 2 && absent x.txt'
run 0 report w -o x.html --trace x.html
check "a trace that is no .json" eval 'exits 2 && absent x.html'
run 0 report w -o missing/x.html
check "an output that cannot be" eval '[ "$status" -ne 0 ] && no_litter'
finish
