/* Map functions for tests/cli_map.sh: those that go wrong, and those that show what rows they get. */
#include <gangplank_map.h>

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int any_argument(const char *argument, char *error) {
  if (argument) return GANGPLANK_OK;
  snprintf(error, GANGPLANK_ERROR_ROOM, "it wants an argument");
  return GANGPLANK_BAD_DATA;
}

/* ---- Deaths ---- */

static int die(void) {
  signal(SIGSEGV, SIG_DFL);
  raise(SIGSEGV);
  return GANGPLANK_BAD_DATA;
}

static int crash(const gangplank_batch *b, const char *argument, char *error) {
  (void)b, (void)argument, (void)error;
  return die();
}
GANGPLANK_MAP(crash, GANGPLANK_ANY_ROWS, crash, NULL);
GANGPLANK_MAP(crash_whole, GANGPLANK_SAME_USER, crash, NULL);

/* The first call dies, of whatever process it is: a file tells that there was one. */
static int crash_once(const gangplank_batch *b, const char *argument, char *error) {
  (void)error;
  for (int64_t i = 0; i < b->rows; i++) b->new_rating[i] += 1;
  int fd = open(argument, O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (fd >= 0) return die();
  return GANGPLANK_OK;
}
GANGPLANK_MAP(crash_once, GANGPLANK_ANY_ROWS, crash_once, any_argument);
GANGPLANK_MAP(crash_once_whole, GANGPLANK_SAME_ITEM, crash_once, any_argument);

static int leave(const gangplank_batch *b, const char *argument, char *error) {
  (void)b, (void)argument, (void)error;
  exit(0);
}
GANGPLANK_MAP(leave, GANGPLANK_ANY_ROWS, leave, NULL);

static int hang(const gangplank_batch *b, const char *argument, char *error) {
  (void)argument, (void)error;
  while (b->rows > 0) pause();
  return GANGPLANK_OK;
}
GANGPLANK_MAP(hang, GANGPLANK_ANY_ROWS, hang, NULL);

/* ---- Errors ---- */

/* Ratings of an item number are bad data. */
static int refuse(const gangplank_batch *b, const char *argument, char *error) {
  for (int64_t i = 0; i < b->rows; i++) {
    if (b->item.number[i] != atoi(argument)) continue;
    snprintf(error, GANGPLANK_ERROR_ROOM, "item %s is banned", argument);
    return GANGPLANK_BAD_DATA;
  }
  return GANGPLANK_OK;
}
GANGPLANK_MAP(refuse, GANGPLANK_ANY_ROWS, refuse, any_argument);

static int refuse_silently(const gangplank_batch *b, const char *argument, char *error) {
  (void)b, (void)argument, (void)error;
  return -7;
}
GANGPLANK_MAP(refuse_silently, GANGPLANK_ANY_ROWS, refuse_silently, NULL);

static int refuse_loudly(const gangplank_batch *b, const char *argument, char *error) {
  (void)b, (void)argument;
  memset(error, '!', GANGPLANK_ERROR_ROOM); /* no NUL */
  return GANGPLANK_BAD_DATA;
}
GANGPLANK_MAP(refuse_loudly, GANGPLANK_ANY_ROWS, refuse_loudly, NULL);

static int no_memory(const gangplank_batch *b, const char *argument, char *error) {
  (void)b, (void)argument;
  snprintf(error, GANGPLANK_ERROR_ROOM, "no room for a table");
  return GANGPLANK_NO_MEMORY;
}
GANGPLANK_MAP(no_memory, GANGPLANK_ANY_ROWS, no_memory, NULL);

static int make_nan(const gangplank_batch *b, const char *argument, char *error) {
  (void)argument, (void)error;
  for (int64_t i = 0; i < b->rows; i++) b->new_rating[i] = (float)NAN;
  return GANGPLANK_OK;
}
GANGPLANK_MAP(make_nan, GANGPLANK_ANY_ROWS, make_nan, NULL);

/* What is dropped may be anything. */
static int drop(const gangplank_batch *b, const char *argument, char *error) {
  make_nan(b, argument, error);
  memset(b->keep, 0, (size_t)b->rows);
  return GANGPLANK_OK;
}
GANGPLANK_MAP(drop, GANGPLANK_ANY_ROWS, drop, NULL);

/* ---- What no host should call ---- */

#define OFFER(name, ...)                                                                           \
  extern const gangplank_map gangplank_map_##name;                                                 \
  const gangplank_map gangplank_map_##name = {__VA_ARGS__}

OFFER(old, GANGPLANK_MAP_ABI + 1, GANGPLANK_ANY_ROWS, crash, NULL);
OFFER(empty, GANGPLANK_MAP_ABI, GANGPLANK_ANY_ROWS, NULL, NULL);
OFFER(unclear, GANGPLANK_MAP_ABI, GANGPLANK_SAME_PAIR + 1, crash, NULL);

int not_offered(void);
int not_offered(void) {
  return 0;
}

/* ---- What rows are together, and in which order ---- */

static bool same(const gangplank_ids *ids, int64_t i, int64_t j) {
  if (ids->number) return ids->number[i] == ids->number[j];
  int32_t n = ids->offset[i + 1] - ids->offset[i];
  return n == ids->offset[j + 1] - ids->offset[j] &&
         memcmp(ids->text + ids->offset[i], ids->text + ids->offset[j], (size_t)n) == 0;
}

/* The rating becomes: the how-manieth of its user, or item, or pair, it is. */
static int count(const gangplank_batch *b, bool by_user, bool by_item) {
  for (int64_t i = 0; i < b->rows; i++) {
    int n = 1;
    for (int64_t j = 0; j < i; j++)
      n += (!by_user || same(&b->user, i, j)) && (!by_item || same(&b->item, i, j));
    b->new_rating[i] = (float)n;
  }
  return GANGPLANK_OK;
}

static int nth_of_user(const gangplank_batch *b, const char *argument, char *error) {
  (void)argument, (void)error;
  return count(b, true, false);
}
GANGPLANK_MAP(nth_of_user, GANGPLANK_SAME_USER, nth_of_user, NULL);

static int nth_of_item(const gangplank_batch *b, const char *argument, char *error) {
  (void)argument, (void)error;
  return count(b, false, true);
}
GANGPLANK_MAP(nth_of_item, GANGPLANK_SAME_ITEM, nth_of_item, NULL);

static int nth_of_pair(const gangplank_batch *b, const char *argument, char *error) {
  (void)argument, (void)error;
  return count(b, true, true);
}
GANGPLANK_MAP(nth_of_pair, GANGPLANK_SAME_PAIR, nth_of_pair, NULL);

/* below=T keeps smaller ratings; and the timestamp becomes the rating, so that it travels along. */
static int below(const gangplank_batch *b, const char *argument, char *error) {
  (void)error;
  for (int64_t i = 0; i < b->rows; i++) {
    b->keep[i] = b->rating[i] < strtof(argument, NULL);
    if (b->timestamp) b->new_timestamp[i] = (int64_t)b->rating[i];
  }
  return GANGPLANK_OK;
}
GANGPLANK_MAP(below, GANGPLANK_ANY_ROWS, below, any_argument);
