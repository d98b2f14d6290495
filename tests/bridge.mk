check_PROGRAMS += %D%/comm.mpi %D%/gang.mpi %D%/ids.mpi %D%/gang_open.unit %D%/gang_threads.unit
%C%_comm_mpi_SOURCES = %D%/mpi_comm.c %D%/need_cases.c %D%/need_cases.h
%C%_comm_mpi_LDADD = $(MPI_TEST_LIBS)
%C%_ids_mpi_SOURCES = %D%/mpi_ids.c $(ids_cases)
%C%_ids_mpi_LDADD = mllib/libmllib.a $(MPI_TEST_LIBS) $(BLAS_LIBS) $(OPENMP_CFLAGS)
%C%_gang_mpi_SOURCES = %D%/mpi_gang.c %D%/gang_cases.c %D%/gang_cases.h
%C%_gang_mpi_LDADD = $(MPI_TEST_LIBS)
%C%_gang_open_unit_SOURCES = %D%/gang_open.c
%C%_gang_open_unit_LDADD = $(MPI_TEST_LIBS)
%C%_gang_threads_unit_SOURCES = %D%/gang_threads.c %D%/gang_cases.c %D%/gang_cases.h
%C%_gang_threads_unit_LDADD = $(MPI_TEST_LIBS)

# Scripts: a job that is to be aborted, and the list of Spark's cases.
TESTS += %D%/gang_hang.sh %D%/spark_names.sh
EXTRA_DIST += %D%/gang_hang.sh %D%/spark_names.sh
