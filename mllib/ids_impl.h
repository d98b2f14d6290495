/* Private to mllib: ids as keys of 16 bytes, and the hash map from an id to its number.
 *
 * A key is a word that orders as ids do (an integer with its sign turned over; the first eight bytes
 * of a text, big-endian, padded with zeros) and the length of the text. So integers and texts of up
 * to eight bytes are compared inside the map's slots; only a longer text is followed to its bytes.
 * Keys are made, hashed and their slots fetched a block at a time, so that the wait for memory of
 * one key is spent on the others. */
#ifndef ALS_IDS_IMPL_H
#define ALS_IDS_IMPL_H

#include "mllib/ids.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { ALS_KEY_BLOCK = 128 };

/* Dense index of an id that is not known. */
#define ALS_UNKNOWN UINT32_MAX

/* n keys, often of rows that follow each other. */
typedef struct als_keys {
  int n;            /* at most ALS_KEY_BLOCK */
  uint32_t longest; /* of the lengths */
  uint64_t word[ALS_KEY_BLOCK];
  uint64_t hash[ALS_KEY_BLOCK];
  uint32_t length[ALS_KEY_BLOCK];  /* utf8; of an integer 0 */
  const char *text[ALS_KEY_BLOCK]; /* utf8: borrowed, never NULL; of an integer NULL */
} als_keys;

static inline void als_keys_clear(als_keys *keys) {
  keys->n = 0;
  keys->longest = 0;
}

/* Add a key where there is room; of an integer, its word. */
void als_keys_add_word(als_keys *keys, uint64_t word);
void als_keys_add_text(als_keys *keys, const char *text, uint32_t length);

/* The keys of rows [first, first + n) of a column; n at most ALS_KEY_BLOCK. */
void als_keys_of_column(als_keys *keys, rdd_type type, const rdd_column *column, int64_t first,
                        int n);

/* Order of two texts: by bytes, shorter first; negative, 0 or positive. */
int als_text_compare(const char *a, int64_t a_length, const char *b, int64_t b_length);

/* The word of a text. */
uint64_t als_text_word(const char *text, uint32_t length);

/* The word of an integer, and back. */
static inline uint64_t als_word_of_int64(int64_t id) {
  return (uint64_t)id ^ (uint64_t)1 << 63;
}

static inline int64_t als_int64_of_word(uint64_t word) {
  return (int64_t)(word ^ (uint64_t)1 << 63);
}

/* Two texts of the same length, more than 8 bytes, are the same. */
static inline bool als_text_same(const char *a, const char *b, uint32_t length) {
  uint64_t head[2], tail[2];
  memcpy(&head[0], a, sizeof *head);
  memcpy(&head[1], b, sizeof *head);
  memcpy(&tail[0], a + length - 8, sizeof *tail);
  memcpy(&tail[1], b + length - 8, sizeof *tail);
  return head[0] == head[1] && tail[0] == tail[1] &&
         (length <= 16 || memcmp(a + 8, b + 8, length - 16) == 0);
}

/* Key i is key i - 1: files are often sorted by user. */
static inline bool als_keys_repeat(const als_keys *keys, int i) {
  return i > 0 && keys->word[i] == keys->word[i - 1] && keys->length[i] == keys->length[i - 1] &&
         (keys->length[i] <= 8 || als_text_same(keys->text[i], keys->text[i - 1], keys->length[i]));
}

/* ---- The map ---- */

/* A slot is empty where number1 is 0. */
typedef struct als_slot {
  uint64_t word; /* of a text longer than 8 bytes its hash, for many begin alike */
  uint32_t length;
  uint32_t number1; /* number + 1 */
} als_slot;

/* The hash of the key in a slot; of no consequence but speed, unlike als_ids_hash(). */
uint64_t als_slot_hash(const als_slot *slot);

typedef struct als_map {
  als_slot *slot;
  uint64_t slots; /* a power of two, or 0 */
  uint64_t used;
  const int64_t *at; /* utf8, borrowed: text number i begins at bytes + at[i] */
  const char *bytes;
} als_map;

void als_map_reset(als_map *map);

/* Forget all, but keep the memory. */
void als_map_clear(als_map *map);

/* Ask for the memory of these keys, which are looked up soon. */
void als_map_fetch(const als_map *map, const als_keys *keys);

/* Number of key i, or -1. */
int64_t als_map_find(const als_map *map, const als_keys *keys, int i);

/* Room for one more; false when memory is out, and then the map is as it was. */
bool als_map_grow(als_map *map);

/* Put key i, which is not there yet, where als_map_grow() has made room. number < UINT32_MAX. */
void als_map_put(als_map *map, const als_keys *keys, int i, int64_t number);

/* ---- The memo: id -> dense index ----
 * Millions of ratings cost one binary search per distinct id and not one each. */
typedef struct als_memo {
  const als_ids *ids; /* borrowed */
  als_map map;
} als_memo;

/* Start empty; memory is that of the distinct ids looked up. */
void als_memo_init(als_memo *memo, const als_ids *ids);
void als_memo_reset(als_memo *memo);

/* Dense indices of rows [first, first + n) of a column of the ids' type, ALS_UNKNOWN where there is
 * none. Cannot fail: when memory is out it stops learning and searches.
 *   dense_out  [out] [n] */
void als_memo_find(als_memo *memo, const rdd_column *column, int64_t first, int64_t n,
                   uint32_t *dense_out);

/* ---- Building, with the size of its rounds ---- */

/* As als_ids_build(); `most` is how many distinct ids (and up to ALS_KEY_BLOCK more) a rank gathers
 * before it sends them to where they belong. */
RDD_MUST_CHECK rdd_status als_ids_build_rounds(rdd_comm *comm, const rdd_parts *parts, int column,
                                               int64_t most, als_ids **ids_out, rdd_err *err);

#endif
