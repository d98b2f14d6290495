#!/bin/sh
# run_mpi.sh PROGRAM: run an MPI test at several numbers of ranks; one TAP line for each.
# A run passes if the launcher exits 0 and rank 0 said so too: an exit status alone is not believed.
#   MPI_TEST_SIZES    numbers of ranks       (1 2 3 4)
#   MPI_TEST_TIMEOUT  seconds for each run   (60)
set -u
# shellcheck source=build-aux/mpi-env.sh
. "$(dirname "$0")/../build-aux/mpi-env.sh"
program=$1
sizes=${MPI_TEST_SIZES:-1 2 3 4}
limit=${MPI_TEST_TIMEOUT:-60}

# shellcheck disable=SC2086 # the sizes are words
set -- $sizes
echo "1..$#"
failed=0
i=0
for n; do
  i=$((i + 1))
  output=$(timeout --kill-after=5 "$limit" "${MPIEXEC:-mpirun}" -n "$n" "$program" 2>&1 </dev/null)
  status=$?
  printf '%s\n' "$output" | sed 's/^/# /'
  case $status in
    0)
      if printf '%s\n' "$output" | grep -qx 'ALL RANKS PASSED'; then
        echo "ok $i - $n ranks"
        continue
      fi
      why='exit status 0, but rank 0 did not say that all ranks passed' ;;
    77) echo "ok $i - $n ranks # SKIP the program says so"; continue ;;
    124 | 137) why="timed out after $limit s" ;;
    *) why="exit status $status" ;;
  esac
  echo "not ok $i - $n ranks: $why"
  failed=1
done
exit $failed
