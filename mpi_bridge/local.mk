# mpi_bridge: the only room that includes mpi.h.
noinst_LIBRARIES += %D%/libmpi_bridge.a
%C%_libmpi_bridge_a_CPPFLAGS = $(AM_CPPFLAGS) $(MPI_CFLAGS)
%C%_libmpi_bridge_a_CFLAGS = $(AM_CFLAGS) $(MPI_WARN_CFLAGS)
%C%_libmpi_bridge_a_SOURCES = \
  %D%/comm_mpi.c %D%/comm_mpi.h %D%/comm_mpi_impl.h \
  %D%/exchange.c \
  %D%/gang.c %D%/gang.h %D%/gang_impl.h \
  %D%/gang_open.c %D%/gang_sync.c \
  %D%/hand_off.c \
  %D%/meet.c \
  %D%/table.c
# The public headers, which keep their room's name where they are installed.
nobase_gangplankinclude_HEADERS += %D%/comm_mpi.h %D%/gang.h
