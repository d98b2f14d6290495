#!/bin/sh
# The batch scripts on two nodes of a SLURM cluster: they train, and the model has the bits of one node.
# A rank killed on the second node is survived.
# shellcheck source=tests/cluster_lib.sh
. "${top_srcdir:-.}/tests/cluster_lib.sh"
# shellcheck source=tests/docs_lib.sh
. "$top_srcdir/tests/docs_lib.sh"

run 0 generate -o ratings.h5 --users 3000 --items 800 --ratings 200000 --seed 5
check "ratings" succeeds
OPTIONS='--rank 8 --max-iter 4'
export OPTIONS

# ---- Each script, as it is ----

# trains MODEL SCRIPT ARG...: it is exactly once, by the job that sbatch ARG... SCRIPT makes.
trains() {
  MODEL=$1
  export MODEL
  shift
  rm -f job.out
  submit "$@" && completes 40
}

check "one-node.sbatch trains" trains one.h5 one-node.sbatch --ntasks-per-node=2
check "on two ranks" says 'on 2 ranks'
[ -z "$sum" ] || check "a model to compare with" bits one.h5 one.sum

two='--nodes=2 --ntasks-per-node=2'
LAUNCHER=mpirun
export LAUNCHER
# shellcheck disable=SC2086 # $two is words
check "many-nodes.sbatch with mpirun" trains mpirun.h5 many-nodes.sbatch $two
check "on four ranks" says 'on 4 ranks'
check "the same bits on two nodes" same_bits mpirun.h5

# docs/tour.md ends with this job, and quotes what it says.
as_in_the_tour() {
  quoted "$top_srcdir/docs/tour.md" job.out | normal >quoted.txt
  sed 's/mpirun\.h5/model.h5/' job.out | normal | diff quoted.txt - >"$stderr"
}
check "the tour quotes its output" as_in_the_tour

LAUNCHER='srun --mpi=pmix --kill-on-bad-exit=1'
# shellcheck disable=SC2086
check "many-nodes.sbatch with srun --mpi=pmix" trains srun.h5 many-nodes.sbatch $two
check "on four ranks" says 'on 4 ranks'
check "the same bits" same_bits srun.h5

# Two ranks of two threads on each node. There may be fewer cores here than SLURM believes, so no binding.
LAUNCHER='mpirun --bind-to none'
# shellcheck disable=SC2086
check "hybrid.sbatch" trains hybrid.h5 hybrid.sbatch $two --cpus-per-task=2
check "on four ranks of two threads" says 'on 4 ranks x 2 threads'
check "the same bits" same_bits hybrid.h5
check "no folder of gangrun is left" no_work_folder

# ---- srun without --mpi ----

LAUNCHER=srun
# shellcheck disable=SC2086
check "plain srun is refused" eval '! trains plain.h5 many-nodes.sbatch $two && [ "$status" -eq 2 ]'
check "which says what to do" says 'srun --mpi=pmix'
check "and is not tried again" eval '! says "attempt 2"'
check "nothing is written" absent plain.h5
rm -rf .gangrun-*

# ---- A rank is killed on the second node ----

both_at_work() { is_held && [ "$(count_on n1)" -eq 2 ] && [ "$(count_on n2)" -eq 2 ]; }
kill_one_on() { cluster run "$1" kill -KILL "$(ranks_on "$1" | tail -n 1)"; }

OPTIONS="--rank 8 --max-iter 30 --checkpoint-interval 1 $held"
run 0 train ratings.h5 -o one.h5 --rank 8 --max-iter 30 --quiet
[ -z "$sum" ] || check "a longer model to compare with" bits one.h5 one.sum
for launcher in mpirun 'srun --mpi=pmix --kill-on-bad-exit=1'; do
  LAUNCHER=$launcher MODEL=killed.h5
  rm -f job.out killed.h5
  # shellcheck disable=SC2086
  check "$launcher: many-nodes.sbatch again" submit many-nodes.sbatch $two
  check "each node has two ranks and sees no others" wait_for 30 both_at_work
  check "a rank on the second node is killed" kill_one_on n2
  check "the job completes" completes 60
  check "a second attempt did it" says '^gangrun: attempt 1 of 4: .*(signal 9|[Kk]illed)'
  check "from a checkpoint" says '^gangrun: .*resumes? from iteration [0-9]+'
  check "in the same bits" same_bits killed.h5
done
check "no rank is left" eval '[ "$(count_on n1)" -eq 0 ] && [ "$(count_on n2)" -eq 0 ]'
check "no temporary file, no folder of gangrun" eval 'no_litter && no_work_folder'
finish_cluster
