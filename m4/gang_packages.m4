# GANG_PKG_ANY(PREFIX, PACKAGES, IF-NONE)
# The first of PACKAGES that pkg-config knows gives PREFIX_CFLAGS, PREFIX_LIBS, and in PREFIX_FOUND
# its name and version. PREFIX_LIBS given by the user goes first, without pkg-config.
AC_DEFUN([GANG_PKG_ANY], [
gang_found=
for gang_pkg in $2; do
  AS_IF([test -z "$gang_found"],
    [AS_IF([test -n "$$1_LIBS" || $PKG_CONFIG --exists "$gang_pkg"], [gang_found=$gang_pkg])])
done
AS_IF([test -n "$gang_found"],
  [PKG_CHECK_MODULES([$1], [$gang_found])
   $1_FOUND="$gang_found `$PKG_CONFIG --modversion $gang_found 2>/dev/null | tr '\n' ' '`"],
  [$3])
])

# GANG_MPI_FROM_MPICC
# MPI's flags from its compiler wrapper (Open MPI and MPICH spell the question differently).
AC_DEFUN([GANG_MPI_FROM_MPICC], [
AC_PATH_PROG([MPICC], [mpicc])
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
