# Checks that configure.ac uses for flags and libraries.

# BKD_TAKES(FLAGS-VARIABLE, FLAGS, IF-TAKEN, IF-NOT): does a program build without warnings when FLAGS is added to the variable?
AC_DEFUN([BKD_TAKES], [
    AC_MSG_CHECKING([whether the compiler takes $2])
    bkd_saved="$[]$1"
    bkd_saved_werror="$ac_c_werror_flag"
    $1="$[]$1 $2"
    ac_c_werror_flag=yes
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <string.h>]], [[char b[8]; memset(b, 0, sizeof b); return b[0];]])],
        [bkd_takes=yes], [bkd_takes=no])
    $1="$bkd_saved"
    ac_c_werror_flag="$bkd_saved_werror"
    AC_MSG_RESULT([$bkd_takes])
    AS_IF([test $bkd_takes = yes], [$3], [m4_default([$4], [:])])
])
AC_DEFUN([BKD_TRY_CFLAGS], [BKD_TAKES([CFLAGS], [$1], [BKD_CFLAGS="$BKD_CFLAGS $1"])])
AC_DEFUN([BKD_NEED_CFLAGS], [BKD_TAKES([CFLAGS], [$1], [BKD_CFLAGS="$BKD_CFLAGS $1"], [AC_MSG_ERROR([$CC does not take $1])])])
AC_DEFUN([BKD_TRY_CPPFLAGS], [BKD_TAKES([CPPFLAGS], [$1], [BKD_CPPFLAGS="$BKD_CPPFLAGS $1"], [$2])])
AC_DEFUN([BKD_TRY_LDFLAGS], [BKD_TAKES([LDFLAGS], [$1], [BKD_LDFLAGS="$BKD_LDFLAGS $1"])])

# BKD_NEED_MODULE(VARIABLE, MODULE, DEBIAN-PACKAGE): a library that pkg-config knows.
AC_DEFUN([BKD_NEED_MODULE], [
    PKG_CHECK_MODULES([$1], [$2], [],
        [AC_MSG_ERROR([$2 not found: apt-get install $3])])
])

# BKD_NEED_LIBRARY(VARIABLE, LIBRARY, FUNCTION, HEADER, DEBIAN-PACKAGE): a library without a pkg-config file.
AC_DEFUN([BKD_NEED_LIBRARY], [
    AC_CHECK_HEADER([$4], [], [AC_MSG_ERROR([$4 not found: apt-get install $5])], [[#include <stdio.h>]])
    AC_CHECK_LIB([$2], [$3], [$1_LIBS="-l$2"], [AC_MSG_ERROR([lib$2 not found: apt-get install $5])])
    AC_SUBST([$1_LIBS])
])
