/* Is it UTF-8? Input need not be, but what we print of it has to be: terminals, JSON. */
#ifndef JOB_UTF8_H
#define JOB_UTF8_H

#include <stddef.h>

/* Bytes of the character that [text, text + n) starts with, 1 to 4; 0 where that is not UTF-8 (a stray
 * or cut sequence, an overlong form, a surrogate, above U+10FFFF) or n is 0.        Not collective. */
size_t job_utf8_length(const char *text, size_t n);

#endif
