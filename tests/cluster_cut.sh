#!/bin/sh
# A node is cut off in mid-run. requeue.sbatch: SLURM puts the job back into the queue, and it finishes
# from its checkpoint when the node is back. spare.sbatch: it goes on at once on the node that is left.
# It is never reported as success with the work undone.
# shellcheck source=tests/cluster_lib.sh
. "${top_srcdir:-.}/tests/cluster_lib.sh"

run 0 generate -o ratings.h5 --users 3000 --items 800 --ratings 200000 --seed 6
check "ratings" succeeds
run 0 train ratings.h5 -o one.h5 --rank 8 --max-iter 30 --quiet
[ -z "$sum" ] || check "a model to compare with" bits one.h5 one.sum

OPTIONS="--rank 8 --max-iter 30 --checkpoint-interval 1 $held" LAUNCHER=mpirun MODEL=cut.h5
export OPTIONS LAUNCHER MODEL
both_idle() { node_is n1 idle && node_is n2 idle; }

# lose_node SCRIPT: the second node is cut off while the job is at work on both.
lose_node() {
  check "$1 is submitted" submit "$1" --nodes=2 --ntasks-per-node=2
  check "it is at work on two nodes" wait_for 30 is_held
  check "the second node is cut off" cluster cut n2
}

# ---- Back into the queue ----

lose_node requeue.sbatch
check "SLURM sees that it is lost, and puts the job back into the queue" \
  wait_for 60 eval 'node_is n2 "down\*" && in_state PENDING'
check "no model is there" absent cut.h5
check "on the first node no rank is left" wait_for 10 eval '[ "$(count_on n1)" -eq 0 ]'

# The new turn has the old one's job number, so the node has to be rid of the old one first: SLURM gives it
# 120 s for that, this cluster 5 s, and we as long as it takes.
on_cluster scontrol hold "$job"
cluster heal n2
check "the node is back, and SLURM ends the ranks that it still had" \
  wait_for 60 eval 'both_idle && [ "$(count_on n2)" -eq 0 ]'
on_cluster scontrol release "$job"
check "the job completes when the node is back" completes 90
check "the same job, started a second time" eval '[ "$(job_field Restarts)" -eq 1 ]'
check "it went on from a checkpoint" says 'resum.* iteration [0-9]+'
check "in the same bits" same_bits cut.h5

# ---- On the node that is left ----

rm -f job.out cut.h5
check "both nodes are idle" wait_for 30 both_idle
lose_node spare.sbatch
check "the job completes without it" completes 90
check "while it is lost" node_is n2 'down\*'
check "in one turn" [ "$(job_field Restarts)" -eq 0 ]
check "mpirun's word was not believed" says '^gangrun: attempt 1 of 4: '
check "two ranks went on from a checkpoint" eval 'says "on 2 ranks" && says "resum.* iteration [0-9]+"'
check "in the same bits" same_bits cut.h5
check "no temporary file, no folder of gangrun" eval 'no_litter && no_work_folder'
finish_cluster
