#!/bin/sh
# The page of als report in a browser: no error, and as many marks as the log has tasks; a run of 10,000
# tasks on 64 ranks opens soon.
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"
unset GANGPLANK_WORK_DIR GANGPLANK_ATTEMPT GANGPLANK_FAULT

browser=
for name in chromium chromium-browser google-chrome; do
  [ -n "$browser" ] || browser=$(command -v "$name")
done
if [ -z "$browser" ]; then
  echo "1..0 # SKIP there is no chromium here"
  exit 0
fi

# open PAGE: the document as it is when it is drawn, in dom; what the browser said in console.
open() {
  timeout --kill-after=5 "$time_limit" "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage \
    --no-first-run --user-data-dir="$top/profile" --enable-logging=stderr --window-size=1400,1000 \
    --dump-dom "file://$PWD/$1" >dom 2>console </dev/null
  status=$? ran="$browser $1"
  tr '<' '\n' <dom >tags
}
quiet() { ! grep CONSOLE console | sed 's/^/# /' | grep .; }
marks() { grep -Ec "class=\"$1" tags; }
ready_ms() { sed -n 's/.*data-ready-ms="\([0-9]*\)".*/\1/p' dom | head -n 1; }
drawn() { [ -n "$(ready_ms)" ] && grep -q '^p id="errors" class="note" hidden' tags; }
logged() { cat "$1"/events/*.jsonl | grep -c "$2"; }

# ---- A run whose task crashed ----

run 0 generate -o small.h5 --users 400 --items 100 --ratings 8000 --quiet
run 0 train --rank 4 small.h5 -o m.h5 --max-iter 5 --num-partitions 6 --test small.h5 --work-dir w --quiet --implicit-prefs \
  --fault task,partition=1,attempt=1:kill --fault gang,iteration=3:error
run 0 report w -o w.html --quiet
check "there is a page" succeeds
open w.html
check "it is drawn" eval 'succeeds && drawn'
check "the console is quiet" quiet
check "its title is the command and the input, wherever that stood" grep -q '^h1 id="title">als train small.h5$' tags
check "a mark for each task of the log" [ "$(marks 'task ')" -eq "$(logged w task-started)" ]
check "the crash is one" [ "$(marks 'task crashed')" -eq "$(logged w task-crashed)" ]
check "its rerun is another" [ "$(marks 'task rerun')" -eq "$(logged w task-crashed)" ]
check "a span for each half-step" [ "$(marks 'span (items|users)')" -eq "$(logged w '"phase": "iteration"')" ]
check "the gang's two tries" [ "$(marks 'gang( aborted)?"')" -ge 2 ]
check "the aborted one" [ "$(marks 'gang aborted')" -eq 1 ]
check "a dot for each iteration" [ "$(marks 'dot c0')" -ge 5 ]

# ---- Hands on it ----

# The page with a script that taps, and tells what it sees.
{
  cat w.html
  echo "<pre id=seen></pre><script>const tap = e => e.dispatchEvent(new MouseEvent('click', {bubbles: true, clientX: 9, clientY: 9}));"
  echo "const tip = document.getElementById('tip'), seen = [], task = () => document.querySelector('.task.crashed');"
  echo "tap(task()); seen.push(tip.hidden ? 'hidden' : tip.textContent); tap(document.body); seen.push(tip.hidden ? 'gone' : 'there');"
  echo "const before = task().getBoundingClientRect().width, button = name => [...document.querySelectorAll('button')].find(b => b.title === name);"
  echo "const all = () => document.querySelectorAll('.task').length, tasks = all(); for (let i = 0; i < 6; i++) tap(button('Closer')); for (let i = 0; i < 99; i++) tap(button('Later'));"
  echo "seen.push(all() < tasks ? 'fewer tasks' : 'as many tasks'); tap(button('Everything')); seen.push(Math.abs(task().getBoundingClientRect().width - before) < 0.01 ? 'as before' : 'otherwise');"
  printf '%s\n' "document.getElementById('seen').textContent = seen.join(' | ').replaceAll('\\n', ' / ');</script>"
} >tapped.html
open tapped.html
seen=$(sed -n 's/^pre id="seen">//p' tags)
echo "# $seen"
check "a tap on a task tells of it, one beside it ends that" \
  eval 'quiet && echo "$seen" | grep -q "^partition 1 of .* / attempt 1: CRASHED / .*signal 9.* | gone |"'
check "closer, later and everything do that" eval 'echo "$seen" | grep -q "| fewer tasks | as before$"'

# ---- One that is not whole ----

head -c 3000 w/events/attempt-1.rank-0.jsonl >part && mv part w/events/attempt-1.rank-0.jsonl
echo '{"time": "no", "event": 7}' >>w/events/attempt-1.rank-0.jsonl
echo '{"event": "phase"}' >>w/events/attempt-1.rank-0.jsonl
run 0 report w -o cut.html --quiet
open cut.html
check "a log that was cut is drawn, and says so" eval 'drawn && quiet && grep -q "attempt-1.rank-0.jsonl" dom'

# ---- A large one ----

mkdir -p large/events
${AWK:-awk} -v ranks=64 -v tasks=10000 -v dir=large/events -f "$top_srcdir/tests/report_log.awk"
run 0 report large -o large.html --quiet
open large.html
check "10,000 tasks on 64 ranks are drawn" eval 'drawn && quiet'
check "every one" [ "$(marks 'task ')" -eq "$(logged large task-started)" ]
echo "# 10,000 tasks on 64 ranks: drawn and laid out $(ready_ms) ms after the page began to load"
check "in less than 2 s, or 8 s where the machine is busy" [ "$(ready_ms)" -lt 8000 ]
finish
