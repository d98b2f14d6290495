# shellcheck shell=bash
# What the benchmarks share: where things are, the reference problem, and an environment that nobody has set.
#   BUILD (.)  where als is    BENCH_DIR (BUILD/bench-run)  what is made, and kept for the next time
#   RATINGS USERS ITEMS        of the reference problem: 20000000, 138000, 27000
set -euo pipefail
head_of_script() { sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; }
case ${1:-} in
  '') ;;
  -h | --help) head_of_script && exit ;;
  *) head_of_script >&2 && exit 2 ;;
esac
bench=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${BUILD:-$PWD}
als=$build/als
work=${BENCH_DIR:-$build/bench-run}
ratings=${RATINGS:-20000000} users=${USERS:-138000} items=${ITEMS:-27000}
[[ -x $als ]] || { echo "$(basename "$0"): no als in $build: make als first, and set BUILD" >&2; exit 1; }
# shellcheck source=build-aux/mpi-env.sh
. "$bench/../build-aux/mpi-env.sh"
# The machine's best kernels, and its own threads, whatever the environment has been told.
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE OMP_NUM_THREADS GANGPLANK_FAULT GANGPLANK_NODE_SIZE GANGPLANK_WORK_DIR
mkdir -p "$work"

# reference_problem: make it where it is not there; its file is in $data.
reference_problem() {
  data=$work/r$ratings-$users-$items.h5
  [[ -s $data ]] ||
    "$als" generate -o "$data" --users "$users" --items "$items" --ratings "$ratings" --seed 1 --quiet >&2
}

# machine: the lines above each table.
machine() {
  echo "machine: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores; $(date -u +%F)"
  echo "versions: $("$als" --version | paste -sd' ')"
}
