#!/bin/bash
# Time iterations of other people's ALS (implicit, cmfrec, irspack, Spark) against als train's, all on the same cores,
# data, losses and iterations; bench/peers/problems.py says how each is told to minimise the same function. From the
# build directory: make bench-peers
#
# Prints Markdown: a table of all, and the goals with the ratios measured. Needs python3 (3.11 or newer) with venv,
# the network for pip at the first time, gcc for cmfrec, Java 17 or newer for Spark. A peer that cannot be had is left
# out, with a line that says why.
#
#   PEERS="implicit cmfrec irspack pyspark"  whom to compare with
#   KS="32 64 128"      factors
#   SOLVERS="cholesky cg"
#   PROBLEMS="explicit implicit implicit-count"
#   ROUNDS=5            runs of each; everybody once a round
#   SPARK_ROUNDS=ROUNDS rounds in which Spark takes part: it takes most of the time
#   ITERATIONS=5        iterations that are timed; one more comes before them
#   CPUS=0,1            the cores, as taskset has them; one thread or rank each
#   USERS=138000 ITEMS=27000 RATINGS=20000000   the data, of which 1 % is held out
#   PRECISION=          for als train --precision, where given
#   ALS_OPTIONS=        more options for als train
#   SPARK_MEMORY=10g    Spark's heap
#   BUILD=$PWD          where als is; BENCH_DIR=$BUILD/bench-run  where data and the virtual environment are kept
#
# All is kept for the next time but the models. Nobody's reading of the data is timed. With the defaults it takes
# hours, most of them Spark's: PEERS, KS and SPARK_ROUNDS divide it.

# shellcheck source=bench/lib.sh
. "$(dirname "$0")/lib.sh"
work=$work/peers
rounds=${ROUNDS:-5} n=${ITERATIONS:-5} cpus=${CPUS:-0,1}
read -ra ks <<<"${KS:-32 64 128}"
read -ra solvers <<<"${SOLVERS:-cholesky cg}"
problems=${PROBLEMS:-explicit implicit implicit-count}
for problem in $problems; do
  [[ $problem =~ ^(explicit|implicit|implicit-count)$ ]] ||
    { echo "peers: PROBLEMS has $problem; known are explicit, implicit, implicit-count" >&2 && exit 1; }
done
read -ra extra <<<"${ALS_OPTIONS:-}"
[[ -z ${PRECISION:-} ]] || extra+=(--precision "$PRECISION")
read -ra peers <<<"${PEERS:-implicit cmfrec irspack pyspark}"

give_up() {
  echo "peers: $1" >&2
  exit 1
}
command -v taskset >/dev/null || give_up 'needs taskset (on Debian, apt-get install util-linux)'
command -v python3 >/dev/null || give_up 'needs python3'
python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
  give_up 'needs Python 3.11 or newer with venv (on Debian, apt-get install python3-venv)'
taskset -c "$cpus" true 2>/dev/null || give_up "taskset cannot have the cores CPUS=$cpus"
threads=$(taskset -c "$cpus" nproc)

# One BLAS thread: all peers make threads of their own, over rows, and say so in their manuals.
export OMP_NUM_THREADS=$threads MKL_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1

# Every program runs as our child, so that a signal that ends us ends it.
child=
end_child() {
  [[ -z $child ]] || kill "$child" 2>/dev/null || true
  [[ -z $child ]] || wait "$child" 2>/dev/null || true
}
trap end_child EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
run() {
  local status=0
  "$@" &
  child=$!
  wait "$child" || status=$?
  child=
  return "$status"
}

# ---- What is needed, made once ----

mkdir -p "$work"
python=$work/venv/bin/python
pip_install() {
  run "$python" -m pip install --quiet --disable-pip-version-check --constraint "$bench/peers/versions.txt" \
    "$@" >"$work/pip.log" 2>&1
}
if ! "$python" -m pip --version >/dev/null 2>&1; then
  run python3 -m venv --clear "$work/venv" || give_up 'python3 -m venv does not work'
fi
# What is there in the right version already costs pip a second, and no network.
pip_install --only-binary=:all: numpy scipy h5py || give_up "pip: $(tail -n 1 "$work/pip.log")"

# have PEER: whether it is there, or could be installed. cmfrec is compiled, the others are wheels (Spark's package
# is an archive of jar files, which wants no compiler).
have() {
  [[ $1 =~ ^(implicit|cmfrec|irspack|pyspark)$ ]] || give_up "PEERS has $1; known are implicit, cmfrec, irspack, pyspark"
  if [[ $1 = pyspark ]] && ! command -v java >/dev/null; then
    echo "peers: without pyspark: there is no java" >&2
    return 1
  fi
  echo "peers: $1 ..." >&2
  case $1 in
    implicit | irspack) pip_install --only-binary=:all: "$1" ;;
    cmfrec) pip_install "$1" threadpoolctl ;; # which it imports, and does not ask for
    *) pip_install "$1" ;;
  esac && "$python" -c "import $1" 2>>"$work/pip.log" && return
  echo "peers: without $1: $(tail -n 1 "$work/pip.log")" >&2
  return 1
}
playing=()
for peer in "${peers[@]}"; do
  if have "$peer"; then playing+=("$peer"); fi
done
((${#playing[@]})) || give_up 'no peer is left'

data=$work/r$ratings-$users-$items
if [[ ! -e $data/ready ]]; then
  mkdir -p "$data"
  run "$als" generate -o "$data/all.h5" --users "$users" --items "$items" --ratings "$ratings" --seed 1 >&2
  run "$als" split "$data/all.h5" --train "$data/train.h5" --test "$data/test.h5" --test-fraction 0.01 >&2
  run "$als" import "$data/train.h5" -o "$data/train.csv" >&2
  run "$python" "$bench/peers/prepare.py" "$data/train.h5" "$data/test.h5" "$data"
  rm "$data/all.h5"
  : >"$data/ready"
fi

# ---- Runs: each adds a line to the results ----

results=$work/results.jsonl
# note PROBLEM K SOLVER RUN.json MODEL: judge the model if there is one, and keep all that is known of the run.
note() {
  local score=$work/score.json
  echo '{}' >"$score"
  if [[ -e $5 ]]; then
    run "$python" "$bench/peers/score.py" "$1" "$data" "$5" >"$score"
    rm -f "$5"
  fi
  "$python" - "$@" "$score" >>"$results" <<'PY'
import json, sys
problem, k, solver, run, _, score = sys.argv[1:]
line = {"problem": problem, "k": int(k), "solver": solver}
for name in (run, score):
    with open(name, encoding="utf-8") as f:
        line.update(json.load(f))
print(json.dumps(line))
PY
}

# ours PROBLEM SOLVER K RANKS THREADS ROUND
ours() {
  local options=()
  read -ra options <<<"$(cd "$bench/peers" && "$python" -c 'import sys, problems
print(*problems.options_of_als(*sys.argv[1:]))' "$1" "$2")"
  options+=("${extra[@]}")
  run taskset -c "$cpus" mpirun -n "$4" "$als" train "$data/train.h5" -o "$work/model.h5" --rank "$3" \
    --max-iter $((n + 1)) --threads "$5" --seed 1 --checkpoint-interval -1 --persist none --quiet --json \
    "${options[@]}" >"$work/als.json" || give_up "als train failed"
  "$python" - "$work/als.json" "$("$als" --version | head -n 1)" "${PRECISION:-double}" "$n" >"$work/run.json" <<'PY'
import json, sys
with open(sys.argv[1], encoding="utf-8") as f:
    run = json.load(f)
seconds = run["seconds_per_iteration"][1:]
assert len(seconds) == int(sys.argv[4]), "als made %d iterations" % len(seconds)
print(json.dumps({"system": "als", "version": sys.argv[2].split()[-1], "precision": sys.argv[3],
                  "shape": "%d x %d" % (run["ranks"], run["threads"]), "seconds": sum(seconds) / len(seconds)}))
PY
  (($6 == 0)) || rm -f "$work/model.h5"
  note "$1" "$3" "$2" "$work/run.json" "$work/model.h5"
}

# theirs PEER PROBLEM SOLVER K ROUND
declare -A failed=()
theirs() {
  local out=()
  [[ -z ${failed[$1]:-} ]] || return 0
  [[ $1 != pyspark ]] || (($5 < ${SPARK_ROUNDS:-$rounds})) || return 0
  (($5 > 0)) || out=("$work/factors.npz")
  if run taskset -c "$cpus" "$python" "$bench/peers/fit.py" "$1" "$2" "$3" "$4" "$n" "$threads" "$data" \
    "${out[@]}" >"$work/run.json" 2>"$work/$1.log"; then
    note "$2" "$4" "$3" "$work/run.json" "$work/factors.npz"
  else
    echo "peers: without $1 from here on ($2, k = $4): $(tail -n 1 "$work/$1.log")" >&2
    failed[$1]=yes
  fi
  rm -rf "$data/spark"
}

# The plan: a line for each problem and solver that somebody of us plays, with the peers.
plan=$(cd "$bench/peers" && "$python" -c 'import sys, problems
for problem, peers in problems.PEERS.items():
    for solver in sys.argv[1].split():
        names = [p for p in peers if p in sys.argv[3:] and solver in peers[p]]
        if names and problem in sys.argv[2].split():
            print(problem, solver, *names)' "${solvers[*]}" "$problems" "${playing[@]}")
: >"$results"
for ((round = 0; round < rounds; round++)); do
  for k in "${ks[@]}"; do
    while read -r -u 3 problem solver names; do
      echo "peers: round $((round + 1)) of $rounds, k = $k, $problem, $solver" >&2
      ours "$problem" "$solver" "$k" "$threads" 1 "$round"
      read -ra names <<<"$names"
      for peer in "${names[@]}"; do theirs "$peer" "$problem" "$solver" "$k" "$round"; done
      ours "$problem" "$solver" "$k" 1 "$threads" "$round"
    done 3<<<"$plan"
  done
done

echo "machine: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), cores $cpus of $(nproc); $(date -u +%F)"
echo "versions: $("$als" --version | paste -sd' ')"
echo "data: $ratings ratings of $items items by $users users, 1 % held out; iterations 2 to $((n + 1))," \
  "medians of $rounds rounds"
echo
"$python" "$bench/peers/report.py" "$results" "$threads"
