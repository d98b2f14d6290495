# shellcheck shell=sh
# What the tests on the SLURM cluster share: one of their own, jobs, and looks at what became of them.
# Sourced by cluster_*.sh. Skips all of it, aloud, where this machine cannot have a cluster.
#
#   submit SCRIPT ARG...     sbatch ARG... jobs/slurm/SCRIPT; the job is $job
#   completes SECONDS        it does, in that time, with exit code 0
#   $held                    for $OPTIONS: rank 1 stops in iteration 11 of the first attempt, so that a
#                            job is in mid-run for sure, however fast the machine is
. "${top_srcdir:-.}/tests/cli_lib.sh"
scripts=$top_srcdir/jobs/slurm
program=${scripts%/jobs/slurm}/tests/cluster/cluster
sum=$(helper model_sum)

CLUSTER_DIR=$top/cluster CLUSTER_OWNER=$$
export CLUSTER_DIR CLUSTER_OWNER
cluster() { bash "$program" "$@"; }
on_cluster() { cluster run n0 "$@"; }
end_cluster() {
  [ ! -e "$CLUSTER_DIR" ] || cluster down
  clean
}
trap end_cluster EXIT

# skip_all WHY: nothing of this test can run here.
skip_all() {
  echo "1..0 # SKIP $1"
  exit 0
}

# The scripts' mpirun, and PMIx where srun starts the ranks, are Open MPI's.
"$als" --version | grep -q '^Open MPI' || skip_all "als is built with another MPI than Open MPI"

cluster up >"$stdout" 2>"$stderr"
case $? in
  0) ;;
  77) skip_all "$(tail -n 1 "$stderr")" ;;
  *)
    sed 's/^/# /' "$stderr"
    echo "Bail out! the cluster did not come up"
    exit 99 ;;
esac
PATH=$build:$PATH
RATINGS=ratings.h5
export PATH RATINGS

held='--fault gang,rank=1,iteration=11:kill=STOP'
is_held() { reports 'rank 1: a fault on purpose'; }

# ---- Jobs ----

submit() {
  script=$1
  shift
  job=$(on_cluster sbatch --parsable --output=job.out "$@" "$scripts/$script" 2>"$stderr")
  ran="sbatch $* $script"
  [ -n "$job" ]
}

# wait_for SECONDS CONDITION...: true as soon as the condition is.
wait_for() {
  turns=$(($1 * 4))
  shift
  until "$@"; do
    [ $((turns -= 1)) -gt 0 ] || return 1
    sleep 0.25
  done
}

# job_field NAME: what SLURM says of $job.
job_field() { on_cluster scontrol -o show job "$job" | sed -n "s/.* $1=\([^ ]*\).*/\1/p"; }
in_state() {
  state=$(job_field JobState)
  case " $* " in *" $state "*) ;; *) return 1 ;; esac
}

# ends SECONDS: true where it has ended in time; $state and $status are how. `says` looks at its output.
ends() {
  wait_for "$1" in_state COMPLETED FAILED CANCELLED TIMEOUT NODE_FAIL
  set -- $?
  status=$(job_field ExitCode | sed 's/:.*//')
  cp job.out "$stderr"
  return "$1"
}
completes() { ends "$1" && [ "$state" = COMPLETED ] && [ "$status" -eq 0 ]; }
reports() { [ -e job.out ] && grep -Eq -- "$1" job.out; } # meanwhile

# ranks_on HOST: process ids of als there, without tasks and writers, which are children of ranks; as that
# host numbers them. It sees no other host's.
ranks_on() {
  cluster run "$1" sh -c 'cat /proc/[0-9]*/stat 2>/dev/null' | awk '
    { name = $2; state = $3; pid = $1; parent = $4 }
    name == "(als)" && state != "Z" { of[pid] = parent }
    END { for (pid in of) if (!(of[pid] in of)) print pid }'
}
count_on() { ranks_on "$1" | grep -c .; }
node_is() { on_cluster sinfo -h -n "$1" -o %t | grep -qx "$2"; }

# bits MODEL FILE: the checksums of a model go to FILE.
bits() { "$sum" "$1" >"$2" 2>>"$stderr"; }
# same_bits MODEL: those of the undisturbed run on one node, one.sum.
same_bits() {
  [ -n "$sum" ] || return 0 # the skip line is finish_cluster's
  bits "$1" other.sum && same other.sum one.sum
}

# gangrun's folder goes when the work is done.
no_work_folder() { [ -z "$(find . -name '.gangrun-*')" ]; }

finish_cluster() {
  [ -n "$sum" ] || skip "the same bits" "model_sum was not built (it needs CUnit)"
  cluster down
  check "nothing is left of the cluster" eval '[ ! -e "$CLUSTER_DIR" ]'
  finish
}
