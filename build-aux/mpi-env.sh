# shellcheck shell=sh
# Open MPI's switches for running on one machine: sourced by ./check, ./demo and make check (sh).
# Not for a shell that submits jobs to several nodes: SLURM hands its environment on, and these would do without the
# fast network and without binding.
# Environment and not options, so that Open MPI 4 and 5 and other launchers all take it.

# As root (containers) mpirun refuses to start without these two.
if [ "$(id -u)" = 0 ]; then
  OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
fi

# More ranks than cores are fine: Open MPI 4, Open MPI 5.
OMPI_MCA_rmaps_base_oversubscribe=1
PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
export OMPI_MCA_rmaps_base_oversubscribe PRTE_MCA_rmaps_default_mapping_policy

# By default one or two ranks are bound to one core each, and all their threads and tasks with them.
OMPI_MCA_hwloc_base_binding_policy=none
PRTE_MCA_hwloc_default_binding_policy=none
export OMPI_MCA_hwloc_base_binding_policy PRTE_MCA_hwloc_default_binding_policy

# Within one machine ranks talk through shared memory (ob1); to look for other networks takes UCX 0.2 s at each start.
OMPI_MCA_pml=${OMPI_MCA_pml:-ob1}
export OMPI_MCA_pml

# Containers often forbid process_vm_readv(), which Open MPI then complains about at each message.
if [ -e /.dockerenv ] || [ -e /run/.containerenv ]; then
  OMPI_MCA_btl_vader_single_copy_mechanism=none
  export OMPI_MCA_btl_vader_single_copy_mechanism
fi

# Threads are ours: OpenMP over blocks of rows, never inside BLAS.
OPENBLAS_NUM_THREADS=1
export OPENBLAS_NUM_THREADS
