check_PROGRAMS += %D%/comm.mpi %D%/gang.mpi %D%/gang_open.unit
%C%_comm_mpi_SOURCES = %D%/mpi_comm.c
%C%_comm_mpi_LDADD = $(MPI_TEST_LIBS)
%C%_gang_mpi_SOURCES = %D%/mpi_gang.c
%C%_gang_mpi_LDADD = $(MPI_TEST_LIBS)
%C%_gang_open_unit_SOURCES = %D%/gang_open.c
%C%_gang_open_unit_LDADD = $(MPI_TEST_LIBS)
