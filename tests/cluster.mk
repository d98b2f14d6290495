# Tests on a SLURM cluster of two nodes in namespaces: root only, skipped where it cannot be made.
cluster_tests = %D%/cluster_train.sh %D%/cluster_cut.sh %D%/cluster_limit.sh
EXTRA_DIST += $(cluster_tests) %D%/cluster_lib.sh %D%/cluster/cluster
TESTS += $(cluster_tests)
