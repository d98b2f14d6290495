# mllib: numerics against oracles and published numbers, then ranks as threads. No MPI.
mllib_fixtures = %D%/fixtures.c %D%/fixtures.h
ids_cases = %D%/ids_cases.c %D%/ids_cases.h $(mllib_fixtures)
mllib_oracle = %D%/oracle.c %D%/oracle.h
check_PROGRAMS += \
  %D%/mllib_als.unit \
  %D%/mllib_als_threads.unit \
  %D%/mllib_balance.unit \
  %D%/mllib_cholesky.unit \
  %D%/mllib_exchange_threads.unit \
  %D%/mllib_explain_threads.unit \
  %D%/mllib_fold_in_threads.unit \
  %D%/mllib_ids.unit \
  %D%/mllib_ids_threads.unit \
  %D%/mllib_kernels.unit \
  %D%/mllib_metrics_threads.unit \
  %D%/mllib_modes_threads.unit \
  %D%/mllib_nnls.unit \
  %D%/mllib_normal.unit \
  %D%/mllib_plan.unit \
  %D%/mllib_spark.unit \
  %D%/mllib_spark_suite.unit \
  %D%/mllib_topn.unit

%C%_mllib_als_unit_SOURCES = %D%/mllib_als.c $(mllib_fixtures) $(mllib_oracle)
%C%_mllib_als_unit_CPPFLAGS = $(AM_CPPFLAGS) $(BLAS_CFLAGS)
%C%_mllib_als_unit_CFLAGS = $(AM_CFLAGS) $(OPENMP_CFLAGS)
%C%_mllib_als_unit_LDADD = $(MLLIB_TEST_LIBS)

%C%_mllib_als_threads_unit_SOURCES = %D%/mllib_als_threads.c $(mllib_fixtures)
%C%_mllib_als_threads_unit_CPPFLAGS = $(AM_CPPFLAGS) $(BLAS_CFLAGS)
%C%_mllib_als_threads_unit_LDADD = $(MLLIB_TEST_LIBS)

%C%_mllib_balance_unit_SOURCES = %D%/mllib_balance.c $(mllib_fixtures)
%C%_mllib_balance_unit_CPPFLAGS = $(AM_CPPFLAGS) $(BLAS_CFLAGS)
%C%_mllib_balance_unit_LDADD = $(MLLIB_TEST_LIBS)

%C%_mllib_cholesky_unit_SOURCES = %D%/mllib_cholesky.c $(mllib_fixtures)
%C%_mllib_cholesky_unit_CPPFLAGS = $(AM_CPPFLAGS) $(BLAS_CFLAGS)
%C%_mllib_cholesky_unit_LDADD = $(MLLIB_TEST_LIBS)

%C%_mllib_exchange_threads_unit_SOURCES = %D%/mllib_exchange_threads.c $(mllib_fixtures)
%C%_mllib_exchange_threads_unit_CPPFLAGS = $(AM_CPPFLAGS) $(BLAS_CFLAGS)
%C%_mllib_exchange_threads_unit_LDADD = $(MLLIB_TEST_LIBS)

%C%_mllib_explain_threads_unit_SOURCES = %D%/mllib_explain_threads.c
%C%_mllib_explain_threads_unit_LDADD = $(MLLIB_TEST_LIBS)

%C%_mllib_fold_in_threads_unit_SOURCES = %D%/mllib_fold_in_threads.c $(mllib_fixtures) $(mllib_oracle)
%C%_mllib_fold_in_threads_unit_CPPFLAGS = $(AM_CPPFLAGS) $(BLAS_CFLAGS)
%C%_mllib_fold_in_threads_unit_CFLAGS = $(AM_CFLAGS) $(OPENMP_CFLAGS)
%C%_mllib_fold_in_threads_unit_LDADD = $(MLLIB_TEST_LIBS)

%C%_mllib_ids_unit_SOURCES = %D%/mllib_ids.c $(mllib_fixtures)
%C%_mllib_ids_unit_LDADD = $(MLLIB_TEST_LIBS)

%C%_mllib_ids_threads_unit_SOURCES = %D%/mllib_ids_threads.c $(ids_cases)
%C%_mllib_ids_threads_unit_LDADD = $(MLLIB_TEST_LIBS)

%C%_mllib_kernels_unit_SOURCES = %D%/mllib_kernels.c $(mllib_fixtures)
%C%_mllib_kernels_unit_LDADD = $(MLLIB_TEST_LIBS)

%C%_mllib_metrics_threads_unit_SOURCES = %D%/mllib_metrics_threads.c $(mllib_fixtures)
%C%_mllib_metrics_threads_unit_CPPFLAGS = $(AM_CPPFLAGS) $(BLAS_CFLAGS)
%C%_mllib_metrics_threads_unit_CFLAGS = $(AM_CFLAGS) $(OPENMP_CFLAGS)
%C%_mllib_metrics_threads_unit_LDADD = $(MLLIB_TEST_LIBS)

%C%_mllib_modes_threads_unit_SOURCES = %D%/mllib_modes_threads.c $(mllib_fixtures) $(mllib_oracle)
%C%_mllib_modes_threads_unit_CPPFLAGS = $(AM_CPPFLAGS) $(BLAS_CFLAGS)
%C%_mllib_modes_threads_unit_CFLAGS = $(AM_CFLAGS) $(OPENMP_CFLAGS)
%C%_mllib_modes_threads_unit_LDADD = $(MLLIB_TEST_LIBS)

%C%_mllib_nnls_unit_SOURCES = %D%/mllib_nnls.c $(mllib_fixtures)
%C%_mllib_nnls_unit_CPPFLAGS = $(AM_CPPFLAGS) $(BLAS_CFLAGS)
%C%_mllib_nnls_unit_LDADD = $(MLLIB_TEST_LIBS)

%C%_mllib_normal_unit_SOURCES = %D%/mllib_normal.c $(mllib_fixtures) $(mllib_oracle)
%C%_mllib_normal_unit_LDADD = $(MLLIB_TEST_LIBS)

%C%_mllib_plan_unit_SOURCES = %D%/mllib_plan.c $(mllib_fixtures)
%C%_mllib_plan_unit_LDADD = $(MLLIB_TEST_LIBS)

%C%_mllib_spark_unit_SOURCES = %D%/mllib_spark.c %D%/spark_golden.h $(mllib_fixtures)
%C%_mllib_spark_unit_CPPFLAGS = $(AM_CPPFLAGS) $(BLAS_CFLAGS)
%C%_mllib_spark_unit_LDADD = $(MLLIB_TEST_LIBS)

%C%_mllib_spark_suite_unit_SOURCES = %D%/mllib_spark_suite.c $(mllib_fixtures)
%C%_mllib_spark_suite_unit_CPPFLAGS = $(AM_CPPFLAGS) $(BLAS_CFLAGS)
%C%_mllib_spark_suite_unit_LDADD = $(MLLIB_TEST_LIBS)

%C%_mllib_topn_unit_SOURCES = %D%/mllib_topn.c $(mllib_fixtures)
%C%_mllib_topn_unit_CPPFLAGS = $(AM_CPPFLAGS) $(BLAS_CFLAGS)
%C%_mllib_topn_unit_CFLAGS = $(AM_CFLAGS) $(OPENMP_CFLAGS)
%C%_mllib_topn_unit_LDADD = $(MLLIB_TEST_LIBS)
