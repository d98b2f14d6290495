#!/bin/sh
# A time limit shorter than the run: it stops at a checkpoint, goes back into the queue, and ends in its
# next turn, in the bits of a run that was never stopped.
# shellcheck source=tests/cluster_lib.sh
. "${top_srcdir:-.}/tests/cluster_lib.sh"

run 0 generate -o ratings.h5 --users 3000 --items 800 --ratings 200000 --seed 7
check "ratings" succeeds
run 0 train ratings.h5 -o one.h5 --rank 8 --max-iter 30 --quiet
[ -z "$sum" ] || check "a model to compare with" bits one.h5 one.sum

# So that the run is longer than the limit on any machine, rank 1 stands still until the limit is near.
OPTIONS="--rank 8 --max-iter 30 --checkpoint-interval 8 $held" MODEL=limit.h5
export OPTIONS MODEL
near() { reports '^the time limit is near'; }
go_on() {
  # shellcheck disable=SC2046 # the pids are words
  cluster run n1 kill -CONT $(ranks_on n1)
}

# starts LAUNCHER ARG...: requeue.sbatch, as far as rank 1 goes.
starts() {
  LAUNCHER=$1
  export LAUNCHER
  shift
  rm -f job.out limit.h5
  check "$LAUNCHER: requeue.sbatch" submit requeue.sbatch --nodes=2 --ntasks-per-node=2 "$@"
  check "it stands still" wait_for 30 is_held
}

# two_turns: the job stops at a checkpoint, and completes.
two_turns() {
  check "it goes on" go_on
  check "the job completes" completes 120
  check "in its second turn" [ "$(job_field Restarts)" -eq 1 ]
  check "the first one stopped at a checkpoint" says '^als train: stopped at iteration 11 of 30'
  check "with which the second went on" says 'resum.* iteration 11'
  check "in the same bits" same_bits limit.h5
}

# SLURM looks at limits each 30 s, so it may say so up to 30 s earlier than it was asked to.
starts mpirun --time=1 --signal=B:USR1@15
check "the limit is near" wait_for 60 near
two_turns

# The same signal, sent by hand.
starts 'srun --mpi=pmix --kill-on-bad-exit=1'
check "SIGUSR1 is sent to the batch script" on_cluster scancel --batch --signal=USR1 "$job"
check "which says so" wait_for 10 near
two_turns

check "no rank is left" eval '[ "$(count_on n1)" -eq 0 ] && [ "$(count_on n2)" -eq 0 ]'
check "no temporary file, no folder of gangrun" eval 'no_litter && no_work_folder'
finish_cluster
