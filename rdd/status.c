/* Errors: filled in once by who decides, carried as plain bytes by everyone else. */
#include "rdd/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The place as "folder/file.c", however long the path was that the compiler was given. */
static const char *short_path(const char *path, size_t room) {
  const char *start = path + strlen(path);
  int slashes = 0;
  while (start > path) {
    if (start[-1] == '/' && ++slashes == 2) break;
    start--;
  }
  size_t n = strlen(start);
  return n < room ? start : start + (n - room + 1);
}

rdd_status rdd_err_set(rdd_err *err, rdd_status code, const char *file, int line,
                       const char *format, ...) {
  if (!err) return code;
  char message[sizeof err->message]; /* apart from *err, since an argument may be err->message */
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  memset(err, 0, sizeof *err); /* no stray bytes travel in a broadcast */
  err->code = code;
  err->rank = -1;
  err->line = line;
  err->detail[0] = err->detail[1] = -1;
  snprintf(err->file, sizeof err->file, "%s", short_path(file, sizeof err->file));
  memcpy(err->message, message, sizeof message);
  return code;
}

const char *rdd_status_name(rdd_status code) {
  static const char *const name[] = {
      [RDD_OK] = "ok",
      [RDD_EUSAGE] = "bad request",
      [RDD_EDATA] = "bad data",
      [RDD_ENOINPUT] = "no input",
      [RDD_EIO] = "i/o error",
      [RDD_ENOMEM] = "out of memory",
      [RDD_ESINGULAR] = "singular system",
      [RDD_ETASK] = "task failed",
      [RDD_EINTERNAL] = "internal error",
      [RDD_ESTOPPED] = "stopped",
  };
  size_t i = (size_t)code;
  return i < sizeof name / sizeof name[0] ? name[i] : "unknown error";
}
