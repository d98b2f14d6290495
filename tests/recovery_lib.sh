# shellcheck shell=sh disable=SC2154 # build, als, top and others are cli_lib.sh's
# What the tests of recovery share: runs under gangrun, each in a folder of its own, so that several may
# run at a time and all that one leaves behind can be found. Sourced after cli_lib.sh.
#
#   CASE/stdout, stderr, status     what gangrun said, and how it ended
#   CASE/work                       its work directory, which is kept: the event log is there
#   CASE/out                        the model
#   CASE/tmp, CASE/shm              where Open MPI has its session and its shared memory
#
# data, plain and ranks are set by the script: the ratings, the model_sum line of the undisturbed model,
# and how many processes, 0 without a launcher. train_options, too, are words.
gangrun=$build/gangrun
sum=$(helper model_sum)
unset GANGPLANK_WORK_DIR GANGPLANK_ATTEMPT GANGPLANK_FAULT OMPI_MCA_mca_base_env_list
# shellcheck disable=SC3045 # dash has it, and so have the others
ulimit -c 0
data=$top/data/ratings.h5 ranks=3 train_options='' plain=''

# The tests of one program share the machine with those of the others.
stall=60 # s; only where something hangs it is shorter

need_model_sum() {
  [ -n "$sum" ] && return
  echo "1..0 # SKIP model_sum was not built (it needs CUnit)"
  exit 0
}

# folders CASE: anew.
folders() {
  rm -rf "$1"
  mkdir -p "$1/out" "$1/tmp" "$1/shm"
}

# in_case CASE COMMAND...: marked, so that all that comes of it can be found whoever its parent is; and
# Open MPI's files go there (4.1 knows vader, 5 knows sm).
in_case() (
  export RECOVERY_CASE="$1/."
  TMPDIR=$1/tmp OMPI_MCA_btl_vader_backing_directory=$1/shm OMPI_MCA_btl_sm_backing_directory=$1/shm
  export TMPDIR OMPI_MCA_btl_vader_backing_directory OMPI_MCA_btl_sm_backing_directory
  shift
  exec "$@"
)

# supervise CASE OPTION...: train under gangrun; more options of als train may follow.
supervise() {
  folder=$1
  shift
  # shellcheck disable=SC2086 # options are words
  set -- "$als" train "$data" -o "$folder/out/model.h5" $train_options "$@"
  [ "$ranks" -eq 0 ] || set -- "$mpiexec" -n "$ranks" "$@"
  in_case "$folder" timeout --kill-after=5 "$time_limit" "$gangrun" --work-dir "$folder/work" \
    --backoff 0 --stall-timeout "$stall" "$@" >>"$folder/stdout" 2>>"$folder/stderr" </dev/null
  echo $? >"$folder/status"
}

# ---- What is asked of a case that has ended; each prints what it does not like ----

ended_with() {
  [ "$(cat "$1/status")" = "$2" ] || echo "exit status $(cat "$1/status") and not $2"
}

bits_of() { "$sum" "$1" 2>&1; }
same_model() {
  [ "$(bits_of "$1/out/model.h5")" = "$plain" ] || echo "another model: $(bits_of "$1/out/model.h5")"
}

processes_of() { grep -lsaF "RECOVERY_CASE=$1/." /proc/[0-9]*/environ | sed 's,[^0-9],,g'; }
no_process() {
  for pid in $(processes_of "$1"); do
    echo "process $pid is left: $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"
  done
}

# Of files there is the model, and in the work directory the record and the event log.
no_file() {
  find "$1/out" "$1/work" "$1/tmp" "$1/shm" ! -type d | grep -vFx "$1/out/model.h5" |
    grep -vE "^$1/work/(record\.json|attempts|lock|events/(attempt-[0-9]+\.rank-[0-9]+|gangrun)\.jsonl)\$" |
    sed 's/^/is left: /'
}

# recovered CASE: all of that.
recovered() {
  ended_with "$1" 0
  same_model "$1"
  no_process "$1"
  no_file "$1"
}

# ---- The event log ----

# events CASE EVENT [PATTERN...]: how many lines tell of it, and have each pattern in them.
events() {
  lines=$(cat "$1"/work/events/*.jsonl 2>/dev/null | grep -E "\"event\": ?\"$2\"")
  shift 2
  for pattern; do lines=$(printf '%s\n' "$lines" | grep -E "$pattern"); done
  printf '%s\n' "$lines" | grep -c .
}

# launches CASE: attempts that began. tells CASE PATTERN: gangrun or als said so.
launches() { find "$1/work/events" -name 'attempt-*.rank-0.jsonl' | wc -l; }
tells() { grep -Eq -- "$2" "$1/stderr"; }

# resumed_from CASE: the highest iteration that one of its attempts began after; 0: none did.
resumed_from() {
  cat "$1"/work/events/*.jsonl | sed -n 's/.*"event": "resumed", "iteration": \([0-9]*\).*/\1/p' |
    sort -n | tail -n 1 | grep . || echo 0
}

# report CASE TEXT COMPLAINTS: a TAP line, and what there is to see where it is not ok.
report() {
  tests=$((tests + 1))
  if [ -z "$3" ]; then
    echo "ok $tests - $2"
    return
  fi
  echo "not ok $tests - $2"
  failures=$((failures + 1))
  printf '%s\n' "$3" | sed 's/^/# /'
  tail -n 25 "$1/stderr" | sed 's/^/# stderr: /'
}
