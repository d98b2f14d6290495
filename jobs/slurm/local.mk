# Batch scripts: to copy, so they go where documentation goes.
slurmdir = $(docdir)/slurm
dist_slurm_DATA = %D%/README.md %D%/one-node.sbatch %D%/many-nodes.sbatch %D%/hybrid.sbatch \
  %D%/requeue.sbatch %D%/spare.sbatch
