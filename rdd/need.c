/* Rows that go only where they are needed. See need.h. */
#include "rdd/need.h"

#include "rdd/memory.h"

#include <string.h>

/* A message that is not small takes long enough to be worth sending while something is computed. */
enum { BUFFER_BYTES = 4 << 20, SMALL_BYTES = 64 << 10, MOST_GROUPS = 1024 };

struct rdd_need {
  rdd_comm *comm;
  int64_t *first; /* [size + 1] first row of each rank */
  int64_t align;
  int groups;
  int64_t sent;   /* own rows times the nodes that need them */
  int *to;        /* [nodes] the rank that receives this rank's rows there; -1: the own node */
  uint64_t *out;  /* [nodes][words of own rows] which own rows a node needs */
  uint64_t *in;   /* for each rank whose rows this one receives, the words of its rows */
  int64_t *in_at; /* [size] where in them, or -1 */
  rdd_lanes lanes;
  int64_t *counts; /* [4][size] what lanes points to */
  char *send, *recv;
};

/* ---- Bitmaps ---- */

static int64_t words_of(int64_t rows) {
  return (rows + 63) / 64;
}

/* The first row of [from, end) that is in the bitmap, or `end`. */
static int64_t next_row(const uint64_t *bits, int64_t from, int64_t end) {
  while (from < end) {
    uint64_t word = bits[from / 64] >> (from % 64);
    if (word) {
      from += __builtin_ctzll(word);
      return from < end ? from : end;
    }
    from = (from / 64 + 1) * 64;
  }
  return end;
}

static int64_t count_rows(const uint64_t *bits, int64_t from, int64_t end) {
  int64_t n = 0;
  for (int64_t r = next_row(bits, from, end); r < end; r = next_row(bits, r + 1, end)) n++;
  return n;
}

/* Rows [from, end) of a bitmap as one that begins with row `from`. */
static void cut_out(const uint64_t *bits, int64_t from, int64_t end, uint64_t *out) {
  int shift = (int)(from % 64);
  int64_t last = words_of(end) - 1;
  for (int64_t w = from / 64; from < end; w++, from += 64) {
    uint64_t word = bits[w] >> shift;
    if (shift && w < last) word |= bits[w + 1] << (64 - shift);
    if (end - from < 64) word &= ((uint64_t)1 << (end - from)) - 1;
    *out++ = word;
  }
}

/* ---- Who receives for whom ---- */

static int64_t rows_of(const rdd_need *need, int r) {
  return need->first[r + 1] - need->first[r];
}

static int64_t own_words(const rdd_need *need) {
  return words_of(rows_of(need, need->comm->rank));
}

static bool is_abroad(const rdd_comm *comm, int r) {
  return comm->node_of[r] != comm->node_of[comm->rank];
}

/* The i-th rank of a node sends to the (i mod its ranks)-th of another. Sets need->to and in_at; returns
 * the words of `in`.
 *   ranks  [in]  scratch, [2 * nodes] */
static int64_t find_partners(rdd_need *need, int *ranks) {
  const rdd_comm *comm = need->comm;
  int *met = ranks + comm->nodes;
  int64_t words = 0;
  memset(ranks, 0, 2 * (size_t)comm->nodes * sizeof *ranks);
  for (int r = 0; r < comm->size; r++) ranks[comm->node_of[r]]++;
  need->to[comm->node_of[comm->rank]] = -1;
  for (int r = 0; r < comm->size; r++) {
    int node = comm->node_of[r], place = met[node]++;
    need->in_at[r] = -1;
    if (!is_abroad(comm, r)) continue;
    if (place == comm->node_rank % ranks[node]) need->to[node] = r;
    if (place % comm->node_size != comm->node_rank) continue;
    need->in_at[r] = words;
    words += words_of(rows_of(need, r));
  }
  return words;
}

/* Lay the counts of a lane end to end; returns the sum. */
static int64_t lay_out(const int64_t *counts, int64_t *displs, int n) {
  int64_t at = 0;
  for (int r = 0; r < n; r++) {
    displs[r] = at;
    at += counts[r];
  }
  return at;
}

/* Tell the owners on other nodes what this rank needs, and hear what others need of the own rows.
 *   asked  [in]  scratch, a bitmap for each rank abroad, of its rows
 *   heard  [in]  scratch, [ranks abroad][words of own rows] */
static void ask_owners(rdd_need *need, const uint64_t *needed, uint64_t *asked, uint64_t *heard) {
  rdd_comm *comm = need->comm;
  const int64_t word = sizeof(uint64_t), own = own_words(need), *first = need->first;
  int64_t *send = need->counts, *send_at = send + comm->size, *recv = send_at + comm->size,
          *recv_at = recv + comm->size;
  for (int r = 0; r < comm->size; r++) {
    send[r] = is_abroad(comm, r) ? words_of(rows_of(need, r)) * word : 0;
    recv[r] = is_abroad(comm, r) ? own * word : 0;
  }
  lay_out(send, send_at, comm->size);
  lay_out(recv, recv_at, comm->size);
  for (int r = 0; r < comm->size; r++)
    if (send[r]) cut_out(needed, first[r], first[r + 1], asked + send_at[r] / word);
  rdd_alltoallv(comm, asked, send, send_at, heard, recv, recv_at);
  for (int r = 0; r < comm->size; r++) {
    uint64_t *out = need->out + comm->node_of[r] * own;
    for (int64_t w = 0; recv[r] && w < own; w++) out[w] |= heard[recv_at[r] / word + w];
  }
}

/* Tell the receivers which rows they will get. */
static void tell_receivers(rdd_need *need) {
  rdd_comm *comm = need->comm;
  const int64_t word = sizeof(uint64_t), own = own_words(need);
  int64_t *send = need->counts, *send_at = send + comm->size, *recv = send_at + comm->size,
          *recv_at = recv + comm->size;
  memset(need->counts, 0, 4 * (size_t)comm->size * sizeof *need->counts);
  for (int node = 0; node < comm->nodes; node++) {
    if (need->to[node] < 0) continue;
    send[need->to[node]] = own * word;
    send_at[need->to[node]] = node * own * word;
  }
  for (int r = 0; r < comm->size; r++) {
    if (need->in_at[r] < 0) continue;
    recv[r] = words_of(rows_of(need, r)) * word;
    recv_at[r] = need->in_at[r] * word;
  }
  rdd_alltoallv(comm, need->out, send, send_at, need->in, recv, recv_at);
}

/* ---- Groups ---- */

static int64_t cut(const rdd_need *need, int r, int g) {
  int64_t rows = rows_of(need, r), units = (rows + need->align - 1) / need->align;
  int64_t row = (units / need->groups * g + units % need->groups * g / need->groups) * need->align;
  return row < rows ? row : rows;
}

static int64_t rows_out(const rdd_need *need, int node, int g) {
  int me = need->comm->rank;
  if (need->to[node] < 0) return 0;
  return count_rows(need->out + node * own_words(need), cut(need, me, g), cut(need, me, g + 1));
}

static int64_t rows_in(const rdd_need *need, int r, int g) {
  if (need->in_at[r] < 0) return 0;
  return count_rows(need->in + need->in_at[r], cut(need, r, g), cut(need, r, g + 1));
}

/* The counts and places of a group's exchange, in bytes of `row` a row. */
static void plan_group(rdd_need *need, int64_t row, int g, int64_t *sent, int64_t *received) {
  const rdd_comm *comm = need->comm;
  int64_t *send = need->counts, *recv = send + 2 * comm->size;
  memset(send, 0, (size_t)comm->size * sizeof *send);
  for (int node = 0; node < comm->nodes; node++)
    if (need->to[node] >= 0) send[need->to[node]] = rows_out(need, node, g) * row;
  for (int r = 0; r < comm->size; r++) recv[r] = rows_in(need, r, g) * row;
  *sent = lay_out(send, send + comm->size, comm->size);
  *received = lay_out(recv, recv + comm->size, comm->size);
}

/* As many groups as keep all buffers small, or those that are wanted where there is enough to send; the same
 * number on all ranks. Collective. */
static void choose_groups(rdd_need *need, int64_t wanted, int64_t bytes) {
  int64_t received, most;
  need->groups = 1;
  plan_group(need, 1, 0, &need->sent, &received);
  most = (need->sent > received ? need->sent : received) * bytes;
  rdd_allreduce(need->comm, &most, 1, RDD_MAX);
  int64_t groups = most / SMALL_BYTES + 1;
  if (groups > wanted) groups = wanted;
  if (groups < most / BUFFER_BYTES + 1) groups = most / BUFFER_BYTES + 1;
  need->groups = groups > MOST_GROUPS ? MOST_GROUPS : (int)groups;
}

static rdd_status alloc_buffers(rdd_need *need, int64_t bytes, rdd_err *err) {
  int64_t most_sent = 0, most_received = 0, sent, received;
  for (int g = 0; g < need->groups; g++) {
    plan_group(need, bytes, g, &sent, &received);
    if (sent > most_sent) most_sent = sent;
    if (received > most_received) most_received = received;
  }
  need->send = rdd_alloc((size_t)most_sent, 1);
  need->recv = rdd_alloc((size_t)most_received, 1);
  if (!need->send || !need->recv)
    return rdd_set(err, RDD_ENOMEM, "out of memory for rows on their way between nodes");
  return RDD_OK;
}

/* ---- Making ---- */

static rdd_status alloc_need(rdd_need **out, rdd_comm *comm, const int64_t *first, int64_t align,
                             int *ranks) {
  size_t size = (size_t)comm->size, nodes = (size_t)comm->nodes;
  rdd_need *need = rdd_calloc(1, sizeof *need);
  *out = need;
  if (!need) return RDD_ENOMEM;
  need->comm = comm;
  need->align = align;
  need->first = rdd_alloc(size + 1, sizeof *first);
  need->to = rdd_alloc(nodes, sizeof *need->to);
  need->in_at = rdd_alloc(size, sizeof *need->in_at);
  need->counts = rdd_alloc(size, 4 * sizeof *need->counts);
  if (!ranks || !need->first || !need->to || !need->in_at || !need->counts) return RDD_ENOMEM;
  memcpy(need->first, first, (size + 1) * sizeof *first);
  need->in = rdd_alloc((size_t)find_partners(need, ranks), sizeof *need->in);
  need->out = rdd_calloc(nodes * (size_t)own_words(need), sizeof *need->out);
  return need->in && need->out ? RDD_OK : RDD_ENOMEM;
}

rdd_status rdd_need_new(rdd_comm *comm, const int64_t *first, int64_t align, int groups,
                        const uint64_t *needed, int64_t bytes, rdd_need **out, rdd_err *err) {
  uint64_t *asked = NULL, *heard = NULL;
  rdd_need *need = NULL;
  size_t words = 0, abroad = (size_t)(comm->size - comm->node_size);
  int *ranks = rdd_alloc(2 * (size_t)comm->nodes, sizeof *ranks);
  for (int r = 0; r < comm->size; r++)
    if (is_abroad(comm, r)) words += (size_t)words_of(first[r + 1] - first[r]);
  rdd_status st = alloc_need(&need, comm, first, align, ranks);
  if (!st) asked = rdd_alloc(words, sizeof *asked);
  if (!st) heard = rdd_alloc(abroad * (size_t)own_words(need), sizeof *heard);
  if (!asked || !heard) st = rdd_set(err, RDD_ENOMEM, "out of memory for the rows that are needed");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  ask_owners(need, needed, asked, heard);
  tell_receivers(need);
  choose_groups(need, groups, bytes);
  st = rdd_agree(comm, alloc_buffers(need, bytes, err), err);
  if (st) goto done;
  *out = need;
  need = NULL;
done:
  rdd_need_free(need);
  rdd_free(heard);
  rdd_free(asked);
  rdd_free(ranks);
  return st;
}

void rdd_need_free(rdd_need *need) {
  if (!need) return;
  rdd_free(need->send);
  rdd_free(need->recv);
  rdd_free(need->out);
  rdd_free(need->in);
  rdd_free(need->counts);
  rdd_free(need->in_at);
  rdd_free(need->to);
  rdd_free(need->first);
  rdd_free(need);
}

int64_t rdd_need_rows(const rdd_need *need) {
  return need->sent;
}

int rdd_need_groups(const rdd_need *need) {
  return need->groups;
}

int64_t rdd_need_first(const rdd_need *need, int g) {
  int me = need->comm->rank;
  return need->first[me] + cut(need, me, g);
}

/* ---- Publishing ---- */

/* Row `row` of each table to a record, or back. */
static char *copy_record(const rdd_need_table *table, int n, int64_t row, char *at, bool pack) {
  for (const rdd_need_table *t = table; t < table + n; t++) {
    char *in_table = (char *)rdd_table_data(t->table) + row * t->bytes;
    char *from = pack ? in_table : at, *to = pack ? at : in_table;
    if (t->pack)
      (pack ? t->pack : t->unpack)(from, to, t->numbers);
    else
      memcpy(to, from, (size_t)t->bytes);
    at += t->wire_bytes;
  }
  return at;
}

/* The rows of rank r's group that are in a bitmap of its rows. */
static void copy_rows(const rdd_need *need, const uint64_t *bits, int r, int g,
                      const rdd_need_table *table, int n, char *at, bool pack) {
  int64_t end = cut(need, r, g + 1);
  for (int64_t i = next_row(bits, cut(need, r, g), end); i < end; i = next_row(bits, i + 1, end))
    at = copy_record(table, n, need->first[r] + i, at, pack);
}

void rdd_need_start(rdd_need *need, const rdd_need_table *table, int n, int g) {
  rdd_comm *comm = need->comm;
  int64_t *counts = need->counts, row = 0, sent, received;
  for (int t = 0; t < n; t++) row += table[t].wire_bytes;
  plan_group(need, row, g, &sent, &received);
  for (int node = 0; node < comm->nodes; node++)
    if (need->to[node] >= 0)
      copy_rows(need, need->out + node * own_words(need), comm->rank, g, table, n,
                need->send + counts[comm->size + need->to[node]], true);
  need->lanes = (rdd_lanes){.send = need->send,
                            .send_counts = counts,
                            .send_displs = counts + comm->size,
                            .recv = need->recv,
                            .recv_counts = counts + 2 * comm->size,
                            .recv_displs = counts + 3 * comm->size};
  rdd_alltoallv_start(comm, &need->lanes);
}

void rdd_need_poll(rdd_need *need) {
  rdd_alltoallv_poll(need->comm);
}

void rdd_need_finish(rdd_need *need, const rdd_need_table *table, int n, int g) {
  rdd_comm *comm = need->comm;
  rdd_alltoallv_finish(comm, &need->lanes);
  for (int r = 0; r < comm->size; r++)
    if (need->in_at[r] >= 0)
      copy_rows(need, need->in + need->in_at[r], r, g, table, n,
                need->recv + need->lanes.recv_displs[r], false);
}

void rdd_need_end(rdd_need *need) {
  rdd_barrier(need->comm);
}

void rdd_need_publish(rdd_need *need, const rdd_need_table *table, int n) {
  for (int g = 0; g < need->groups; g++) {
    rdd_need_start(need, table, n, g);
    rdd_need_finish(need, table, n, g);
  }
  rdd_need_end(need);
}
