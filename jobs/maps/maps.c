/* The map functions that come along: als import --map maps:binarise=T, --map maps:last_wins. */
#include <gangplank_map.h>

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- binarise=T: 1 where the rating is T or more, else 0 ---- */

/* Read as ratings are, so that 3.1 is what 3.1 in the input became. */
static bool threshold(const char *argument, float *out) {
  char *end;
  if (!argument) return false;
  *out = strtof(argument, &end);
  return end != argument && !*end && isfinite(*out);
}

static int check_threshold(const char *argument, char *error) {
  float t;
  if (threshold(argument, &t)) return GANGPLANK_OK;
  snprintf(error, GANGPLANK_ERROR_ROOM,
           "'%s' is not a threshold: expected a number, as in binarise=3.5",
           argument ? argument : "");
  return GANGPLANK_BAD_DATA;
}

static int binarise(const gangplank_batch *b, const char *argument, char *error) {
  float t;
  if (!threshold(argument, &t)) return check_threshold(argument, error);
  for (int64_t i = 0; i < b->rows; i++) b->new_rating[i] = b->rating[i] >= t ? 1 : 0;
  return GANGPLANK_OK;
}

GANGPLANK_MAP(binarise, GANGPLANK_ANY_ROWS, binarise, check_threshold);

/* ---- last_wins: of the ratings of an item by a user the last one stays ----
 *
 * The last is the one with the highest timestamp, of several such, or without timestamps, the one that
 * comes last in the input. */

static uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 29)) * 0xd6e8feb86659fd93u;
  return x ^ (x >> 32);
}

static uint64_t hash_id(const gangplank_ids *ids, int64_t i) {
  if (ids->number) return mix((uint64_t)ids->number[i]);
  uint64_t hash = 0;
  for (int32_t at = ids->offset[i]; at < ids->offset[i + 1]; at++)
    hash = mix(hash + (unsigned char)ids->text[at] + 1);
  return hash;
}

static bool same_id(const gangplank_ids *ids, int64_t i, int64_t j) {
  if (ids->number) return ids->number[i] == ids->number[j];
  int32_t n = ids->offset[i + 1] - ids->offset[i];
  return n == ids->offset[j + 1] - ids->offset[j] &&
         memcmp(ids->text + ids->offset[i], ids->text + ids->offset[j], (size_t)n) == 0;
}

static int last_wins(const gangplank_batch *b, const char *argument, char *error) {
  size_t places = 16; /* of a hash table: which row of a pair is the last so far, or -1 */
  (void)argument;
  while (places / 2 < (size_t)b->rows) places *= 2;
  int64_t *last = malloc(places * sizeof *last);
  if (!last) {
    snprintf(error, GANGPLANK_ERROR_ROOM, "no memory for %lld ratings", (long long)b->rows);
    return GANGPLANK_NO_MEMORY;
  }
  memset(last, -1, places * sizeof *last);
  for (int64_t i = 0; i < b->rows; i++) {
    size_t at = mix(hash_id(&b->user, i) + 3 * hash_id(&b->item, i)) & (places - 1);
    while (last[at] >= 0 && !(same_id(&b->user, i, last[at]) && same_id(&b->item, i, last[at])))
      at = (at + 1) & (places - 1);
    int64_t before = last[at];
    bool older = before >= 0 && b->timestamp && b->timestamp[i] < b->timestamp[before];
    if (before >= 0) b->keep[older ? i : before] = 0;
    if (!older) last[at] = i;
  }
  free(last);
  return GANGPLANK_OK;
}

GANGPLANK_MAP(last_wins, GANGPLANK_SAME_PAIR, last_wins, NULL);
