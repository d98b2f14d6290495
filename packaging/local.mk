# packaging: what others find gangplank by, once it is installed, and recipes for those who install it.

# All rooms but jobs, in one library. Static: a program takes of it what it calls, so that one without MPI
# has none, and the kernels are compiled once.
lib_LIBRARIES += libgangplank.a
libgangplank_a_SOURCES =
libgangplank_a_LIBADD = $(rdd_librdd_a_OBJECTS) $(mllib_libmllib_a_OBJECTS) \
  $(mpi_bridge_libmpi_bridge_a_OBJECTS)
libgangplank_a_DEPENDENCIES = rdd/librdd.a mllib/libmllib.a mpi_bridge/libmpi_bridge.a

pkgconfigdir = $(libdir)/pkgconfig
nodist_pkgconfig_DATA = %D%/gangplank.pc

# bash finds a program's completion by its name.
bashcompletiondir = $(datadir)/bash-completion/completions
dist_bashcompletion_DATA = %D%/completions/als %D%/completions/gangrun

# After a change of options: the files in the source tree, from the programs as they are now.
.PHONY: completions
completions: als gangrun
	for p in als gangrun; do \
	  $(SHELL) $(srcdir)/packaging/completion.sh $$p >completion.tmp && cat completion.tmp >$(srcdir)/packaging/completions/$$p; \
	  rm -f completion.tmp; done

# module use PREFIX/share/modulefiles; module load gangplank
modulefiledir = $(datadir)/modulefiles/gangplank
nodist_modulefile_DATA = %D%/$(PACKAGE_VERSION).lua
%D%/$(PACKAGE_VERSION).lua: %D%/gangplank.lua.in Makefile
	$(AM_V_GEN)$(MKDIR_P) packaging && sed -e 's,[@]bindir[@],$(bindir),g; s,[@]libdir[@],$(libdir),g; s,[@]mandir[@],$(mandir),g' \
	  -e 's,[@]includedir[@],$(includedir),g; s,[@]prefix[@],$(prefix),g; s,[@]version[@],$(PACKAGE_VERSION),g' \
	  -e 's#[@]mpi[@]#$(MPI_FOUND)#; s#[@]hdf5[@]#$(HDF5_FOUND)#' $(srcdir)/packaging/gangplank.lua.in >$@

EXTRA_DIST += %D%/completion.sh %D%/gangplank.def %D%/gangplank.lua.in \
  %D%/spack/spack_repo/gangplank/repo.yaml \
  %D%/spack/spack_repo/gangplank/packages/gangplank/package.py
CLEANFILES += %D%/$(PACKAGE_VERSION).lua
