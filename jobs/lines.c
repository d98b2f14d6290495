/* Lines of a text file in large blocks. Plain files are read with pread(), gzip through zlib (which
 * goes on over concatenated members); a line that a block cuts is carried over to the next one. */
#include "jobs/input_impl.h"
#include "rdd/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum {
  BLOCK = 256 << 10, /* bytes a read; fits a second-level cache */
  LONGEST_LINE = 1 << 20,
};

struct job_lines {
  const char *path;
  int fd;
  gzFile gzip;  /* owns fd where it is not NULL */
  char *buffer; /* [room + JOB_SLACK] */
  size_t room;
  size_t have;    /* bytes in the buffer */
  size_t next;    /* first one that was not handed out */
  int64_t offset; /* of buffer[0] in the file */
  int64_t end;
  bool eof;
};

static rdd_status gzip_error(job_lines *lines, rdd_err *err) {
  int code;
  const char *why = gzerror(lines->gzip, &code);
  if (code == Z_ERRNO)
    return rdd_set(err, RDD_EIO, "cannot read %s: %s", job_path_text(lines->path), strerror(errno));
  if (code == Z_MEM_ERROR) return rdd_set(err, RDD_ENOMEM, "out of memory to unpack gzip");
  return rdd_set(err, RDD_EDATA, "%s: the gzip data are corrupt or cut off (%s); pack it again",
                 job_path_text(lines->path), code == Z_BUF_ERROR ? "unexpected end of file" : why);
}

/* Read up to `want` bytes to the end of the buffer. */
static rdd_status read_more(job_lines *lines, size_t want, rdd_err *err) {
  char *to = lines->buffer + lines->have;
  ssize_t got;
  if (lines->gzip) {
    got = gzread(lines->gzip, to, (unsigned)want);
    /* zlib reports a file that is cut off at its end only by gzerror() */
    if (got >= 0 && (size_t)got < want) {
      int code;
      gzerror(lines->gzip, &code);
      if (code != Z_OK && code != Z_STREAM_END) got = -1;
    }
    if (got < 0) return gzip_error(lines, err);
  } else {
    do got = pread(lines->fd, to, want, (off_t)(lines->offset + (int64_t)lines->have));
    while (got < 0 && errno == EINTR);
    if (got < 0)
      return rdd_set(err, errno == EISDIR ? RDD_ENOINPUT : RDD_EIO, "cannot read %s: %s",
                     job_path_text(lines->path), strerror(errno));
  }
  if (got == 0) lines->eof = true;
  lines->have += (size_t)got;
  return RDD_OK;
}

/* Move what is left to the front, and fill up; the buffer grows for a long line. */
static rdd_status fill(job_lines *lines, rdd_err *err) {
  size_t left = lines->have - lines->next;
  if (lines->next > 0) {
    memmove(lines->buffer, lines->buffer + lines->next, left);
    lines->offset += (int64_t)lines->next;
    lines->have = left;
    lines->next = 0;
  }
  if (left > LONGEST_LINE)
    return rdd_set(err, RDD_EDATA, "%s: the line at byte %lld is longer than %d bytes; %s",
                   job_path_text(lines->path), (long long)lines->offset, LONGEST_LINE,
                   "is this a text file with one rating a line?");
  if (lines->room - left - 1 < BLOCK) {
    char *grown = rdd_realloc(lines->buffer, lines->room * 2 + JOB_SLACK, 1);
    if (!grown) return rdd_set(err, RDD_ENOMEM, "out of memory for a line of %zu bytes", left);
    lines->buffer = grown;
    lines->room *= 2;
  }
  /* not far past the end: the next partition reads that */
  int64_t near = lines->end - lines->offset - (int64_t)left;
  size_t want = near >= BLOCK || lines->gzip ? (size_t)BLOCK
                : near > 4096                ? (size_t)near
                                             : (size_t)4096;
  return read_more(lines, want, err);
}

/* Drop bytes up to offset `begin`: gzip cannot jump. */
static rdd_status skip_to(job_lines *lines, int64_t begin, rdd_err *err) {
  rdd_status st = RDD_OK;
  while (!st && !lines->eof && lines->offset + (int64_t)lines->have <= begin) {
    lines->next = lines->have;
    st = fill(lines, err);
  }
  if (!st && begin > lines->offset) {
    size_t drop = (size_t)(begin - lines->offset);
    lines->next = drop < lines->have ? drop : lines->have;
  }
  return st;
}

/* Go on to the first line that starts after offset. */
static rdd_status skip_line(job_lines *lines, rdd_err *err) {
  while (!lines->eof && lines->offset + (int64_t)lines->next < lines->end) {
    char *from = lines->buffer + lines->next;
    char *newline = memchr(from, '\n', lines->have - lines->next);
    if (newline) {
      lines->next = (size_t)(newline - lines->buffer) + 1;
      return RDD_OK;
    }
    lines->next = lines->have;
    rdd_status st = fill(lines, err);
    if (st) return st;
  }
  return RDD_OK;
}

rdd_status job_lines_open(job_lines **out, const char *path, bool gzip, int64_t begin, int64_t end,
                          bool whole, rdd_err *err) {
  rdd_status st = RDD_OK;
  job_lines *lines = rdd_calloc(1, sizeof *lines);
  if (!lines) return rdd_set(err, RDD_ENOMEM, "out of memory to read %s", job_path_text(path));
  lines->fd = -1;
  lines->path = path;
  lines->end = end;
  lines->room = 2 * BLOCK + 1;
  lines->buffer = rdd_alloc(lines->room + JOB_SLACK, 1);
  if (!lines->buffer) {
    st = rdd_set(err, RDD_ENOMEM, "out of memory to read %s", job_path_text(path));
    goto done;
  }
  lines->fd = open(path, O_RDONLY | O_CLOEXEC);
  if (lines->fd < 0) {
    st = rdd_set(err, RDD_ENOINPUT, "cannot open %s: %s", job_path_text(path), strerror(errno));
    goto done;
  }
  if (gzip) {
    lines->gzip = gzdopen(lines->fd, "rb");
    if (!lines->gzip) {
      st = rdd_set(err, RDD_ENOMEM, "out of memory to unpack %s", job_path_text(path));
      goto done;
    }
    gzbuffer(lines->gzip, 128 << 10);
    st = skip_to(lines, begin, err);
  } else {
    (void)posix_fadvise(lines->fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* only advice */
    lines->offset = whole || begin == 0 ? begin : begin - 1;
  }
  if (!st && !whole && begin > 0) st = skip_line(lines, err);
  if (st) goto done;
  *out = lines;
  lines = NULL;
done:
  job_lines_close(lines);
  return st;
}

/* The end of the whole lines that are in the buffer and start before the range's end, or NULL. */
static char *whole_lines(const job_lines *lines) {
  char *from = lines->buffer + lines->next;
  size_t n = lines->have - lines->next;
  int64_t last = lines->end - 1 - lines->offset; /* the last byte that a line may start at */
  char *newline = NULL;
  if (last < (int64_t)lines->have)
    newline = memchr(lines->buffer + last, '\n', lines->have - (size_t)last);
  if (!newline) newline = n > 0 ? memrchr(from, '\n', n) : NULL;
  return newline ? newline + 1 : NULL;
}

rdd_status job_lines_next(job_lines *lines, const char **begin, const char **end,
                          int64_t *offset_out, rdd_err *err) {
  for (;;) {
    char *stop = lines->buffer + lines->next;
    *begin = *end = stop;
    *offset_out = lines->offset + (int64_t)lines->next;
    if (*offset_out >= lines->end) return RDD_OK;
    stop = whole_lines(lines);
    if (!stop && lines->eof) {
      if (lines->have == lines->next) return RDD_OK;
      lines->buffer[lines->have++] = '\n'; /* fill() left room for it */
      stop = lines->buffer + lines->have;
    }
    if (stop) {
      lines->next = (size_t)(stop - lines->buffer);
      *end = stop;
      return RDD_OK;
    }
    rdd_status st = fill(lines, err);
    if (st) return st;
  }
}

void job_lines_close(job_lines *lines) {
  if (!lines) return;
  if (lines->gzip)
    gzclose(lines->gzip);
  else if (lines->fd >= 0)
    close(lines->fd);
  rdd_free(lines->buffer);
  rdd_free(lines);
}

int64_t job_line_number(const char *path, bool gzip, int64_t offset) {
  job_lines *lines = NULL;
  rdd_err ignored;
  int64_t number = 0;
  if (job_lines_open(&lines, path, gzip, 0, INT64_MAX, true, &ignored)) return 0;
  for (int64_t newlines = 0; !number;) {
    while (lines->next < lines->have && lines->offset + (int64_t)lines->next < offset) {
      size_t n = lines->have - lines->next;
      int64_t near = offset - lines->offset - (int64_t)lines->next;
      char *from = lines->buffer + lines->next;
      char *newline = memchr(from, '\n', near < (int64_t)n ? (size_t)near : n);
      if (newline) newlines++;
      lines->next = newline             ? (size_t)(newline - lines->buffer) + 1
                    : near < (int64_t)n ? lines->next + (size_t)near
                                        : lines->have;
    }
    if (lines->offset + (int64_t)lines->next >= offset)
      number = newlines + 1;
    else if (lines->eof || fill(lines, &ignored))
      break;
  }
  job_lines_close(lines);
  return number;
}
