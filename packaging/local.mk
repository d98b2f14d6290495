# packaging: what others find gangplank by, once it is installed, and recipes for those who install it.

# All rooms but jobs, in one library. Static: a program takes of it what it calls, so that one without MPI
# has none, and the kernels are compiled once.
lib_LIBRARIES += libgangplank.a
libgangplank_a_SOURCES =
libgangplank_a_LIBADD = $(rdd_librdd_a_OBJECTS) $(mllib_libmllib_a_OBJECTS) \
  $(mpi_bridge_libmpi_bridge_a_OBJECTS)

pkgconfigdir = $(libdir)/pkgconfig
nodist_pkgconfig_DATA = %D%/gangplank.pc
