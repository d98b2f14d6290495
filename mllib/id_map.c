/* Ids as keys, the map from keys to numbers, and the memo of dense indices. See ids_impl.h. */
#include "mllib/ids_impl.h"
#include "rdd/hash.h"
#include "rdd/memory.h"

#include <endian.h>
#include <string.h>

/* ---- Keys ---- */

int als_text_compare(const char *a, int64_t a_length, const char *b, int64_t b_length) {
  int order = memcmp(a, b, (size_t)(a_length < b_length ? a_length : b_length));
  if (order != 0) return order;
  return (a_length > b_length) - (a_length < b_length);
}

static inline uint64_t load8(const char *p) {
  uint64_t word;
  memcpy(&word, p, sizeof word);
  return word;
}

/* Fewer than eight bytes, little-endian, without reading a byte behind them: the two halves of 4 to
 * 7 bytes overlap; of 1 to 3 bytes the middle one may be the first or the last. */
static inline uint64_t load_few(const char *p, uint32_t n) {
  if (n >= 4) {
    uint32_t low, high;
    memcpy(&low, p, sizeof low);
    memcpy(&high, p + n - 4, sizeof high);
    return le32toh(low) | (uint64_t)le32toh(high) << (8 * (n - 4));
  }
  if (n == 0) return 0;
  const unsigned char *u = (const unsigned char *)p;
  return u[0] | (uint64_t)u[n / 2] << (8 * (n / 2)) | (uint64_t)u[n - 1] << (8 * (n - 1));
}

/* `room` bytes may be read from text on, no fewer than `length`. */
static inline uint64_t word_of_text(const char *text, uint32_t length, int64_t room) {
  if (room < 8) return __builtin_bswap64(load_few(text, length));
  uint64_t word = be64toh(load8(text));
  return length >= 8 ? word : word & ~(UINT64_MAX >> (8 * length));
}

/* What is behind the eighth byte, in words of which the last two overlap. */
static uint64_t hash_rest(uint64_t hash, const char *text, uint32_t length) {
  uint32_t at = 8;
  for (; at + 8 <= length; at += 8) hash = rdd_mix64_2(hash, load8(text + at));
  return at < length ? rdd_mix64_2(hash, load8(text + length - 8)) : hash;
}

static inline uint64_t hash_of(uint64_t word, uint32_t length, const char *text) {
  uint64_t hash = rdd_mix64(word ^ (uint64_t)length << 32);
  return length > 8 ? hash_rest(hash, text, length) : hash;
}

uint64_t als_text_word(const char *text, uint32_t length) {
  return word_of_text(text, length, length);
}

static inline void add_word(als_keys *keys, uint64_t word) {
  int i = keys->n++;
  keys->word[i] = word;
  keys->length[i] = 0;
  keys->text[i] = NULL;
  keys->hash[i] = hash_of(word, 0, NULL);
}

static inline void add_text(als_keys *keys, const char *text, uint32_t length, int64_t room) {
  int i = keys->n++;
  keys->word[i] = word_of_text(text, length, room);
  keys->length[i] = length;
  keys->text[i] = text;
  if (length > keys->longest) keys->longest = length;
  keys->hash[i] = hash_of(keys->word[i], length, text);
}

void als_keys_add_word(als_keys *keys, uint64_t word) {
  add_word(keys, word);
}

void als_keys_add_text(als_keys *keys, const char *text, uint32_t length) {
  add_text(keys, text, length, length);
}

void als_keys_of_column(als_keys *keys, rdd_type type, const rdd_column *column, int64_t first,
                        int n) {
  als_keys_clear(keys);
  if (type == RDD_INT64) {
    const int64_t *id = (const int64_t *)column->values + first;
    for (int i = 0; i < n; i++) add_word(keys, als_word_of_int64(id[i]));
  } else {
    const char *bytes = column->values ? column->values : "";
    const int32_t *offset = column->offsets + first;
    for (int i = 0; i < n; i++)
      add_text(keys, bytes + offset[i], (uint32_t)(offset[i + 1] - offset[i]),
               offset[n] - offset[i]);
  }
}

/* ---- The map ---- */

void als_map_reset(als_map *map) {
  rdd_free(map->slot);
  *map = (als_map){0};
}

void als_map_clear(als_map *map) {
  if (map->used) memset(map->slot, 0, map->slots * sizeof *map->slot);
  map->used = 0;
}

void als_map_fetch(const als_map *map, const als_keys *keys) {
  if (map->slots == 0) return;
  for (int i = 0; i < keys->n; i++)
    __builtin_prefetch(&map->slot[keys->hash[i] & (map->slots - 1)]);
  if (keys->longest <= 8) return;
  /* long texts: from the slot to the offset, and from there to the bytes */
  for (int step = 0; step < 2; step++)
    for (int i = 0; i < keys->n; i++) {
      const als_slot *slot = &map->slot[keys->hash[i] & (map->slots - 1)];
      if (!slot->number1) continue;
      const int64_t *at = &map->at[slot->number1 - 1];
      __builtin_prefetch(step == 0 ? (const void *)at : map->bytes + *at);
    }
}

static inline uint64_t word_in_slot(const als_keys *keys, int i) {
  return keys->length[i] > 8 ? keys->hash[i] : keys->word[i];
}

int64_t als_map_find(const als_map *map, const als_keys *keys, int i) {
  if (map->slots == 0) return -1;
  uint64_t word = word_in_slot(keys, i), at = keys->hash[i] & (map->slots - 1);
  uint32_t length = keys->length[i];
  for (; map->slot[at].number1; at = (at + 1) & (map->slots - 1)) {
    const als_slot *slot = &map->slot[at];
    if (slot->word != word || slot->length != length) continue;
    int64_t number = (int64_t)slot->number1 - 1;
    if (length <= 8 || als_text_same(map->bytes + map->at[number], keys->text[i], length))
      return number;
  }
  return -1;
}

uint64_t als_slot_hash(const als_slot *slot) {
  return slot->length > 8 ? slot->word : hash_of(slot->word, slot->length, NULL);
}

static void put(als_map *map, als_slot slot, uint64_t hash) {
  uint64_t at = hash & (map->slots - 1);
  while (map->slot[at].number1) at = (at + 1) & (map->slots - 1);
  map->slot[at] = slot;
  map->used++;
}

/* At most two thirds are full. */
bool als_map_grow(als_map *map) {
  if (3 * (map->used + 1) <= 2 * map->slots) return true;
  als_map bigger = *map;
  bigger.used = 0;
  bigger.slots = map->slots ? 2 * map->slots : 1024;
  bigger.slot = rdd_calloc(bigger.slots, sizeof *bigger.slot);
  if (!bigger.slot) return false;
  for (uint64_t i = 0; i < map->slots; i++) {
    als_slot slot = map->slot[i];
    if (slot.number1) put(&bigger, slot, als_slot_hash(&slot));
  }
  rdd_free(map->slot);
  *map = bigger;
  return true;
}

void als_map_put(als_map *map, const als_keys *keys, int i, int64_t number) {
  put(map, (als_slot){word_in_slot(keys, i), keys->length[i], (uint32_t)number + 1}, keys->hash[i]);
}

/* ---- The memo ---- */

void als_memo_init(als_memo *memo, const als_ids *ids) {
  *memo = (als_memo){.ids = ids};
  if (ids->type != RDD_UTF8) return;
  memo->map.at = rdd_table_data(ids->value);
  memo->map.bytes = rdd_table_data(ids->bytes);
}

void als_memo_reset(als_memo *memo) {
  als_map_reset(&memo->map);
  *memo = (als_memo){0};
}

/* Search, and learn. */
static uint32_t search(als_memo *memo, const als_keys *keys, int i) {
  int64_t dense = memo->ids->type == RDD_INT64
                      ? als_ids_find_int64(memo->ids, als_int64_of_word(keys->word[i]))
                      : als_ids_find_utf8(memo->ids, keys->text[i], keys->length[i]);
  if (dense < 0) return ALS_UNKNOWN;
  if (als_map_grow(&memo->map)) als_map_put(&memo->map, keys, i, dense);
  return (uint32_t)dense;
}

void als_memo_find(als_memo *memo, const rdd_column *column, int64_t first, int64_t n,
                   uint32_t *dense_out) {
  als_keys keys;
  for (int64_t begin = 0; begin < n; begin += keys.n) {
    int64_t left = n - begin;
    als_keys_of_column(&keys, memo->ids->type, column, first + begin,
                       left < ALS_KEY_BLOCK ? (int)left : ALS_KEY_BLOCK);
    als_map_fetch(&memo->map, &keys);
    for (int i = 0; i < keys.n; i++) {
      if (als_keys_repeat(&keys, i)) {
        dense_out[begin + i] = dense_out[begin + i - 1];
        continue;
      }
      int64_t dense = als_map_find(&memo->map, &keys, i);
      dense_out[begin + i] = dense >= 0 ? (uint32_t)dense : search(memo, &keys, i);
    }
  }
}
