/* Is a line JSON? A log that was cut or damaged must not become a page that cannot be read. */
#include "jobs/json.h"

#include "jobs/utf8.h"

#include <ctype.h>
#include <string.h>

enum { DEEPEST = 16 };

static const char *skip_blanks(const char *p) {
  return p + strspn(p, " \t\r\n");
}

static const char *skip_digits(const char *p) {
  return p + strspn(p, "0123456789");
}

/* All of these return what comes after, or NULL. */

static const char *number(const char *p) {
  p += *p == '-';
  const char *end = skip_digits(p);
  if (end == p || (*p == '0' && end > p + 1)) return NULL;
  if (*end == '.') {
    p = end + 1;
    end = skip_digits(p);
    if (end == p) return NULL;
  }
  if (*end != 'e' && *end != 'E') return end;
  p = end + 1;
  p += *p == '+' || *p == '-';
  end = skip_digits(p);
  return end == p ? NULL : end;
}

static const char *escape(const char *p) {
  if (*p != 'u') return *p && strchr("\"\\/bfnrt", *p) ? p + 1 : NULL;
  for (int i = 1; i <= 4; i++)
    if (!isxdigit((unsigned char)p[i])) return NULL;
  return p + 5;
}

static const char *string(const char *p) {
  if (*p++ != '"') return NULL;
  while (p && *p != '"') {
    size_t length = job_utf8_length(p, strnlen(p, 4));
    if (!length || (unsigned char)*p < 0x20) return NULL;
    p = *p == '\\' ? escape(p + 1) : p + length;
  }
  return p ? p + 1 : NULL;
}

static const char *value(const char *p, int deep);

/* "key": value, ... } or value, ... ] */
static const char *list(const char *p, char end, int deep) {
  p = skip_blanks(p);
  if (*p == end) return p + 1;
  for (;;) {
    if (end == '}') {
      p = string(p);
      if (!p || *(p = skip_blanks(p)) != ':') return NULL;
      p = skip_blanks(p + 1);
    }
    p = value(p, deep);
    if (!p) return NULL;
    p = skip_blanks(p);
    if (*p == end) return p + 1;
    if (*p != ',') return NULL;
    p = skip_blanks(p + 1);
  }
}

static const char *value(const char *p, int deep) {
  static const char *const word[] = {"true", "false", "null"};
  if (*p == '"') return string(p);
  if (*p == '{' || *p == '[')
    return deep < DEEPEST ? list(p + 1, *p == '{' ? '}' : ']', deep + 1) : NULL;
  for (size_t i = 0; i < sizeof word / sizeof *word; i++)
    if (!strncmp(p, word[i], strlen(word[i]))) return p + strlen(word[i]);
  return number(p);
}

bool job_json_valid(const char *text) {
  text = skip_blanks(text);
  if (*text != '{') return false;
  text = value(text, 0);
  return text && !*skip_blanks(text);
}
