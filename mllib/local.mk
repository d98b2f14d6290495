# mllib: numerics on arrays; BLAS, LAPACK and OpenMP, no MPI and no files.
noinst_LIBRARIES += %D%/libmllib.a
%C%_libmllib_a_CPPFLAGS = $(AM_CPPFLAGS) $(BLAS_CFLAGS)
%C%_libmllib_a_CFLAGS = $(AM_CFLAGS) $(OPENMP_CFLAGS)
%C%_libmllib_a_SOURCES = \
  %D%/als.c %D%/als.h \
  %D%/bias.c %D%/bias_impl.h \
  %D%/blocks.c %D%/blocks.h \
  %D%/evaluate.c \
  %D%/id_map.c \
  %D%/ids.c %D%/ids.h %D%/ids_impl.h \
  %D%/model.c %D%/model.h \
  %D%/normal.c %D%/normal.h \
  %D%/ratings.c %D%/ratings.h \
  %D%/threads_impl.h \
  %D%/topn.c %D%/topn.h
