# GANG_ARG_SANITIZERS
# --enable-sanitizers=address,undefined or =thread: SANITIZE_FLAGS, tested by linking.
AC_DEFUN([GANG_ARG_SANITIZERS], [
AC_ARG_ENABLE([sanitizers],
  [AS_HELP_STRING([--enable-sanitizers=LIST], [compile with -fsanitize=LIST])],
  [], [enable_sanitizers=no])
AS_CASE([$enable_sanitizers],
  [no], [],
  [yes], [enable_sanitizers=address,undefined])
AS_IF([test "x$enable_sanitizers" != xno],
  [SANITIZE_FLAGS="-fsanitize=$enable_sanitizers -fno-omit-frame-pointer"
   AS_CASE([$enable_sanitizers], [*undefined*],
     [SANITIZE_FLAGS="$SANITIZE_FLAGS -fno-sanitize-recover=undefined"])
   gang_saved_CFLAGS=$CFLAGS
   CFLAGS="$CFLAGS $SANITIZE_FLAGS"
   AC_MSG_CHECKING([that $CC links with $SANITIZE_FLAGS])
   AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [AC_MSG_RESULT([yes])],
     [AC_MSG_RESULT([no])
      AC_MSG_ERROR([$CC cannot link with -fsanitize=$enable_sanitizers])])
   CFLAGS=$gang_saved_CFLAGS])
AC_SUBST([SANITIZE_FLAGS])
])
