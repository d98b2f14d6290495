# mpi_bridge: the only room that includes mpi.h.
noinst_LIBRARIES += %D%/libmpi_bridge.a
%C%_libmpi_bridge_a_CPPFLAGS = $(AM_CPPFLAGS) $(MPI_CFLAGS)
%C%_libmpi_bridge_a_SOURCES = \
  %D%/comm_mpi.c %D%/comm_mpi.h %D%/comm_mpi_impl.h \
  %D%/exchange.c \
  %D%/gang.c %D%/gang.h \
  %D%/table.c
