# GANG_PKG_ANY(PREFIX, PACKAGES, IF-NONE)
# The first of PACKAGES that pkg-config knows gives PREFIX_CFLAGS, PREFIX_LIBS, and in PREFIX_FOUND
# its name and version. PREFIX_LIBS that is there already stays, without pkg-config.
AC_DEFUN([GANG_PKG_ANY], [
gang_found=
for gang_pkg in $2; do
  AS_IF([test -z "$gang_found" && test -n "$PKG_CONFIG" && $PKG_CONFIG --exists "$gang_pkg"],
    [gang_found=$gang_pkg])
done
AS_IF([test -n "$$1_LIBS"],
  [AC_SUBST([$1_CFLAGS])
   AC_SUBST([$1_LIBS])
   AS_IF([test -z "$$1_FOUND"], [$1_FOUND="as given: $$1_LIBS"])],
  [test -n "$gang_found"],
  [PKG_CHECK_MODULES([$1], [$gang_found])
   $1_FOUND="$gang_found "`$PKG_CONFIG --modversion $gang_found 2>/dev/null | paste -sd' ' -`],
  [$3])
])

# GANG_MPI_FROM_MPICC
# MPI's flags from its compiler wrapper (Open MPI and MPICH spell the question differently).
AC_DEFUN([GANG_MPI_FROM_MPICC], [
AC_SUBST([MPI_CFLAGS])
AC_SUBST([MPI_LIBS])
AC_CHECK_PROGS([MPICC], [mpicc])
AS_IF([test -z "$MPICC"],
  [AC_MSG_ERROR([MPI is missing: on Debian, apt-get install libopenmpi-dev openmpi-bin; elsewhere,
    load the MPI module, or set MPI_CFLAGS and MPI_LIBS])])
AS_IF([$MPICC --showme:compile >/dev/null 2>&1],
  [MPI_CFLAGS=`$MPICC --showme:compile`
   MPI_LIBS=`$MPICC --showme:link`],
  [MPI_CFLAGS=`$MPICC -compile-info | cut -d' ' -f2-`
   MPI_LIBS=`$MPICC -link-info | cut -d' ' -f2-`])
MPI_FOUND="by $MPICC"
])

# GANG_WITH(PREFIX, NAME, WHAT, LIBRARIES, PACKAGES)
# --with-NAME: a folder gives PREFIX_CFLAGS and PREFIX_LIBS, another word is the package that pkg-config is asked
# for. Without it PACKAGES are tried. PREFIX_CFLAGS and PREFIX_LIBS of the user's go before all.
AC_DEFUN([GANG_WITH], [
AC_ARG_WITH([$2], [AS_HELP_STRING([--with-$2=WHERE],
  [$3: a folder with include/ and lib/, or a name that pkg-config knows])],
  [], [with_$2=yes])
gang_$2_packages="$5"
AS_CASE([$with_$2],
  [yes], [],
  [no], [AC_MSG_ERROR([--without-$2: $3 cannot be left out])],
  [*/*], [
    AS_IF([test ! -d "$with_$2/include"], [AC_MSG_ERROR([--with-$2: there is no folder $with_$2/include])])
    gang_lib=$with_$2/lib
    AS_IF([test -d "$with_$2/lib64" && test ! -d "$gang_lib"], [gang_lib=$with_$2/lib64])
    $1_CFLAGS="-I$with_$2/include"
    $1_LIBS="-L$gang_lib -Wl,-rpath,$gang_lib $4"
    $1_FOUND="in $with_$2"],
  [gang_$2_packages=$with_$2])
])

# GANG_WITH_MPI
# --with-mpi: a folder, whose bin/mpicc and bin/mpirun are used, or a name that pkg-config knows. MPICC of the
# user's is asked before pkg-config.
AC_DEFUN([GANG_WITH_MPI], [
AC_ARG_VAR([MPICC], [compiler wrapper that is asked for the flags of MPI])
AC_ARG_WITH([mpi], [AS_HELP_STRING([--with-mpi=WHERE],
  [MPI: a folder with bin/mpicc, or a name that pkg-config knows])],
  [], [with_mpi=yes])
gang_mpi_packages="mpi-c ompi-c mpich"
AS_CASE([$with_mpi],
  [yes], [],
  [no], [AC_MSG_ERROR([--without-mpi: MPI cannot be left out; als alone does not start it, though])],
  [*/*], [
    AS_IF([test ! -x "$with_mpi/bin/mpicc"], [AC_MSG_ERROR([--with-mpi: there is no $with_mpi/bin/mpicc])])
    MPICC=$with_mpi/bin/mpicc
    AS_IF([test -z "$MPIEXEC" && test -x "$with_mpi/bin/mpirun"], [MPIEXEC=$with_mpi/bin/mpirun])],
  [gang_mpi_packages=$with_mpi])
AS_IF([test -n "$MPI_LIBS"], [MPI_FOUND="as given: $MPI_LIBS"],
  [test -n "$MPICC"], [GANG_MPI_FROM_MPICC],
  [GANG_PKG_ANY([MPI], [$gang_mpi_packages], [GANG_MPI_FROM_MPICC])])
gang_saved_CPPFLAGS=$CPPFLAGS
CPPFLAGS="$CPPFLAGS $MPI_CFLAGS"
AC_MSG_CHECKING([which MPI this is])
AC_PREPROC_IFELSE([AC_LANG_SOURCE([[#include <mpi.h>
#ifndef OPEN_MPI
#error another
#endif]])], [gang_mpi=openmpi],
  [AC_PREPROC_IFELSE([AC_LANG_SOURCE([[#include <mpi.h>
#ifndef MPICH_VERSION
#error another
#endif]])], [gang_mpi=mpich], [gang_mpi=other])])
AC_MSG_RESULT([$gang_mpi])
CPPFLAGS=$gang_saved_CPPFLAGS
])

# GANG_HDF5_KIND
# Sets gang_hdf5 to serial or parallel: either will do. The header of a parallel one includes mpi.h.
AC_DEFUN([GANG_HDF5_KIND], [
gang_saved_CPPFLAGS=$CPPFLAGS
CPPFLAGS="$CPPFLAGS $HDF5_CFLAGS"
AC_MSG_CHECKING([whether HDF5 is parallel])
AC_PREPROC_IFELSE([AC_LANG_SOURCE([[#include <H5pubconf.h>
#ifndef H5_HAVE_PARALLEL
#error serial
#endif]])], [gang_hdf5=parallel], [gang_hdf5=serial])
AC_MSG_RESULT([$gang_hdf5])
CPPFLAGS=$gang_saved_CPPFLAGS
AS_IF([test $gang_hdf5 = parallel], [HDF5_CFLAGS="$HDF5_CFLAGS $MPI_CFLAGS"])
])

# GANG_CHECK_LINK(PREFIX, FUNCTION)
# PREFIX_LIBS really has FUNCTION; else configure ends here, and not a long link line later.
AC_DEFUN([GANG_CHECK_LINK], [
gang_saved_LIBS=$LIBS
LIBS="$$1_LIBS $LIBS"
AC_MSG_CHECKING([for $2])
AC_LINK_IFELSE([AC_LANG_CALL([], [$2])], [AC_MSG_RESULT([yes])],
  [AC_MSG_RESULT([no])
   AC_MSG_ERROR([$2 is not in "$$1_LIBS"; set $1_CFLAGS and $1_LIBS to libraries that have it])])
LIBS=$gang_saved_LIBS
])
