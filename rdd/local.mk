# rdd: libc and pthreads only. No MPI, BLAS or HDF5 flags here: that is the rule, executed.
noinst_LIBRARIES += %D%/librdd.a
%C%_librdd_a_SOURCES = \
  %D%/actions.c \
  %D%/batch.c %D%/batch.h \
  %D%/comm.c %D%/comm.h \
  %D%/comm_single.c \
  %D%/comm_threads.c \
  %D%/hash.c %D%/hash.h \
  %D%/memory.c %D%/memory.h \
  %D%/rdd.c %D%/rdd.h %D%/rdd_impl.h \
  %D%/runner.c \
  %D%/status.c %D%/status.h \
  %D%/take.c \
  %D%/task.c
