/* Pieces of memory from any rank to any, in one exchange: each after a header, one after the other.
 *
 *   key, size (64 bytes) | bytes, padded to 64 | key, size | ...      for rank 0, then for rank 1,
 *   ...
 */
#include "rdd/rdd_impl.h"

#include "rdd/memory.h"

#include <string.h>

enum { ALIGNMENT = 64 };

typedef struct piece_header {
  int64_t key, size;
  int64_t unused[6];
} piece_header;

_Static_assert(sizeof(piece_header) == ALIGNMENT, "pieces are aligned");

static int64_t padded(int64_t bytes) {
  return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Counts of bytes, and what is sent. */
typedef struct freight {
  int64_t *count; /* [4][size]: sent, where from, received, where to */
  char *send, *recv;
  int64_t send_bytes, recv_bytes;
} freight;

static rdd_status pack(freight *f, int size, const rdd_piece *out, int64_t n, rdd_err *err) {
  f->count = rdd_calloc(4 * (size_t)size, sizeof *f->count);
  if (!f->count) return rdd_set(err, RDD_ENOMEM, "no memory to send to %d ranks", size);
  int64_t *sent = f->count, *from = f->count + size;
  for (int64_t i = 0; i < n; i++)
    sent[out[i].rank] += (int64_t)sizeof(piece_header) + padded(out[i].size);
  for (int r = 0; r < size; r++) {
    from[r] = f->send_bytes;
    f->send_bytes += sent[r];
  }
  f->send = rdd_alloc((size_t)f->send_bytes, 1);
  if (!f->send)
    return rdd_set(err, RDD_ENOMEM, "no memory to send %lld bytes", (long long)f->send_bytes);
  char *at = f->send;
  for (int64_t i = 0; i < n; i++) {
    piece_header head = {.key = out[i].key, .size = out[i].size};
    int64_t room = padded(out[i].size);
    memcpy(at, &head, sizeof head);
    at += sizeof head;
    if (out[i].size > 0) memcpy(at, out[i].bytes, (size_t)out[i].size);
    memset(at + out[i].size, 0, (size_t)(room - out[i].size));
    at += room;
  }
  return RDD_OK;
}

static rdd_status make_room(freight *f, int size, rdd_err *err) {
  const int64_t *received = f->count + 2 * (int64_t)size;
  int64_t *to = f->count + 3 * (int64_t)size;
  for (int r = 0; r < size; r++) {
    to[r] = f->recv_bytes;
    f->recv_bytes += received[r];
  }
  f->recv = rdd_alloc((size_t)f->recv_bytes, 1);
  if (f->recv) return RDD_OK;
  return rdd_set(err, RDD_ENOMEM, "no memory to receive %lld bytes", (long long)f->recv_bytes);
}

/* Two passes over what came: count, then list. */
static rdd_status unpack(const freight *f, int size, rdd_piece **in_out, int64_t *n_out,
                         rdd_err *err) {
  const int64_t *received = f->count + 2 * (int64_t)size, *to = f->count + 3 * (int64_t)size;
  rdd_piece *in = NULL;
  for (int pass = 0; pass < 2; pass++) {
    int64_t n = 0;
    for (int r = 0; r < size; r++) {
      for (int64_t at = to[r]; at < to[r] + received[r]; n++) {
        piece_header head;
        memcpy(&head, f->recv + at, sizeof head);
        at += (int64_t)sizeof head;
        if (in) in[n] = (rdd_piece){f->recv + at, head.size, head.key, r};
        at += padded(head.size);
      }
    }
    *n_out = n;
    if (!in) in = rdd_alloc((size_t)n, sizeof *in);
    if (!in) return rdd_set(err, RDD_ENOMEM, "no memory for a list of %lld pieces", (long long)n);
  }
  *in_out = in;
  return RDD_OK;
}

rdd_status rdd_ship(rdd_comm *comm, const rdd_piece *out, int64_t n, rdd_piece **in_out,
                    int64_t *n_out, void **room_out, rdd_err *err) {
  freight f = {0};
  int size = comm->size;
  rdd_status st = rdd_agree(comm, pack(&f, size, out, n, err), err);
  if (st) goto done;
  int64_t *sent = f.count, *from = sent + size, *received = from + size, *to = received + size;
  rdd_alltoall(comm, sent, received);
  st = rdd_agree(comm, make_room(&f, size, err), err);
  if (st) goto done;
  rdd_alltoallv(comm, f.send, sent, from, f.recv, received, to);
  st = rdd_agree(comm, unpack(&f, size, in_out, n_out, err), err);
  if (st) goto done;
  *room_out = f.recv;
  f.recv = NULL;
done:
  if (st) {
    rdd_free(*in_out);
    *in_out = NULL;
  }
  rdd_free(f.count);
  rdd_free(f.send);
  rdd_free(f.recv);
  return st;
}
