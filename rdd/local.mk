# rdd: libc and pthreads only. No MPI, BLAS or HDF5 flags here: that is the rule, executed.
noinst_LIBRARIES += %D%/librdd.a
%C%_librdd_a_SOURCES = \
  %D%/actions.c \
  %D%/arrow.c %D%/arrow.h \
  %D%/batch.c %D%/batch.h \
  %D%/blocks.c \
  %D%/collect.c \
  %D%/comm.c %D%/comm.h \
  %D%/comm_single.c \
  %D%/comm_threads.c \
  %D%/debug.c \
  %D%/event.c %D%/event.h \
  %D%/hash.c %D%/hash.h \
  %D%/memory.c %D%/memory.h \
  %D%/need.c %D%/need.h \
  %D%/place.c \
  %D%/plan.c \
  %D%/queue.c \
  %D%/rdd.c %D%/rdd.h %D%/rdd_impl.h \
  %D%/row.h \
  %D%/runner.c \
  %D%/seal.c \
  %D%/ship.c \
  %D%/status.c %D%/status.h \
  %D%/store.h \
  %D%/take.c \
  %D%/task.c \
  %D%/transform.c \
  %D%/wide.c
# The public headers, which keep their room's name where they are installed.
nobase_gangplankinclude_HEADERS += %D%/arrow.h %D%/batch.h %D%/clock.h %D%/comm.h %D%/event.h %D%/hash.h \
  %D%/memory.h %D%/need.h %D%/rdd.h %D%/row.h %D%/status.h %D%/store.h
