# mllib: numerics on arrays; BLAS, LAPACK and OpenMP, no MPI and no files.
noinst_LIBRARIES += %D%/libmllib.a
%C%_libmllib_a_CPPFLAGS = $(AM_CPPFLAGS) $(BLAS_CFLAGS)
%C%_libmllib_a_CFLAGS = $(AM_CFLAGS) $(OPENMP_CFLAGS)
%C%_libmllib_a_SOURCES = \
  %D%/als.c %D%/als.h \
  %D%/best.c \
  %D%/bias.c %D%/bias_impl.h \
  %D%/blocks.c %D%/blocks.h \
  %D%/cg.c \
  %D%/cholesky.c \
  %D%/evaluate.c \
  %D%/exchange.c %D%/exchange.h %D%/exchange_impl.h \
  %D%/explain.c %D%/explain.h \
  %D%/fold_in.c %D%/fold_in.h \
  %D%/gram.c %D%/gram_impl.h \
  %D%/half_step.c \
  %D%/heap_impl.h \
  %D%/id_map.c \
  %D%/ids.c %D%/ids.h %D%/ids_impl.h \
  %D%/kernels.c %D%/kernels.inc %D%/kernels_impl.h %D%/kernels_kinds_impl.h \
  %D%/kernels_avx2.c %D%/kernels_avx512.c %D%/kernels_portable.c \
  %D%/loss.h \
  %D%/metrics.c %D%/metrics.h \
  %D%/model.c %D%/model.h \
  %D%/nnls.c %D%/nnls_impl.h \
  %D%/normal.c %D%/normal_impl.h \
  %D%/objective.c \
  %D%/place.c %D%/place_impl.h \
  %D%/plan.c %D%/plan.h %D%/plan_rates.c \
  %D%/ratings.c %D%/ratings.h \
  %D%/seen.c %D%/seen.h \
  %D%/solver_impl.h \
  %D%/spark_impl.h \
  %D%/spark_init.c %D%/spark_init.h \
  %D%/subspace.c \
  %D%/test_set.c \
  %D%/threads_impl.h \
  %D%/topn.c %D%/topn.h \
  %D%/wire.c %D%/wire.h
# The public headers, which keep their room's name where they are installed.
nobase_gangplankinclude_HEADERS += %D%/als.h %D%/blocks.h %D%/exchange.h %D%/explain.h \
  %D%/fold_in.h %D%/ids.h %D%/loss.h %D%/metrics.h %D%/model.h %D%/plan.h %D%/ratings.h %D%/seen.h \
  %D%/spark_init.h %D%/topn.h %D%/wire.h
