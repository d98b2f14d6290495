#!/bin/sh
# A rank that hangs and never comes to the barrier cannot be rerun with the others: after the limit
# and the grace those that wait end the job, say in one line whom they missed, and leave nobody
# behind.
set -u
# shellcheck disable=SC3045 # dash has it, and so have the others
ulimit -c 0
build=${top_builddir:-.}
# shellcheck source=build-aux/mpi-env.sh
. "${top_srcdir:-.}/build-aux/mpi-env.sh"
line='gangplank: rank 0: in barrier, sync 1, attempt 1: waited 0.5 s for rank 2; aborting the gang'
failed=0

# ends N TEXT COMMAND...: it fails, soon, with that line once.
ends() {
  n=$1
  text=$2
  shift 2
  output=$(timeout --kill-after=5 30 "$@" hang 2>&1 </dev/null)
  status=$?
  count=$(printf '%s\n' "$output" | grep -c "^$line\$")
  if [ $status -ne 0 ] && [ $status -ne 124 ] && [ $status -ne 137 ] && [ "$count" = 1 ]; then
    echo "ok $n - $text"
  else
    printf '%s\n' "$output" | sed 's/^/# /'
    echo "not ok $n - $text: exit status $status, the line comes $count times"
    failed=1
  fi
}

echo 1..2
ends 1 'a rank under MPI never comes' "${MPIEXEC:-mpirun}" -n 3 "$build/tests/gang.mpi"
ends 2 'a rank that is a thread never comes' "$build/tests/gang_threads.unit"
exit $failed
