// The wire below the SFTP client: bytes to and from the stream, requests written into its buffer, answers cut off the other. Only for the files that make
// up the client: sftp_client.c (single requests), sftp_transfer.c and sftp_many.c (many requests in flight).
#ifndef BKD_STORE_SFTP_WIRE_H
#define BKD_STORE_SFTP_WIRE_H

#include "bkd/store/sftp_client.h"

#define SFTP_WIRE_WINDOW (1u << 20) // in flight at first
#define SFTP_WIRE_PENDING_MAX (256u << 10) // bytes written into the out buffer and not taken by the stream yet

struct sftp_client {
    const struct io *io;
    struct stream *stream; // owned
    unsigned timeout_ms;
    uint32_t next_id;
    size_t begun;          // where the request being written starts in `out`
    struct buf out;        // requests; those before out_at are gone
    size_t out_at;
    struct buf in;         // answers; those before in_at are read
    size_t in_at;
    struct buf forgotten;  // uint32_t: ids of requests whose answers nobody waits for
    uint64_t last_byte_ns; // when the server last said something, or had nothing to answer
    size_t window;           // bytes that transfers keep in flight; grows while it is what holds the line back
    size_t window_answered;  // since window_since_ns
    uint64_t window_since_ns;
    struct sftp_abilities abilities;
};

// Bytes of requests that the stream has not taken yet.
static inline size_t sftp_wire_pending(const struct sftp_client *c) { return c->out.len - c->out_at; }
// Writes and reads what goes without waiting. *ret_moved: something did.
MUST_USE int sftp_wire_move(struct sftp_client *c, bool *ret_moved, struct error *err);
// Waits until one of the clients can go on, or at_most_ms are over (-1: no bound but the clients' timeouts, whose end is ERROR_UNREACHABLE).
MUST_USE int sftp_wire_wait(struct sftp_client *const *clients, size_t n, int at_most_ms, struct error *err);
// The next whole message that has arrived; *ret_got false when there is none yet. Valid until bytes are moved again.
MUST_USE int sftp_wire_take(struct sftp_client *c, struct sftp_message *ret_message, bool *ret_got, struct error *err);

// Writes the beginning of a request and returns its id; what follows is put into c->out, then sftp_wire_end.
uint32_t sftp_wire_begin(struct sftp_client *c, enum sftp_type type);
void sftp_wire_put_handle(struct sftp_client *c, const struct sftp_handle *handle);
void sftp_wire_end(struct sftp_client *c);
// The answer to this request, which was written last, is dropped when it comes.
void sftp_wire_forget(struct sftp_client *c, uint32_t id);
// Waits for the answer to the only request under way.
MUST_USE int sftp_wire_answer(struct sftp_client *c, uint32_t id, struct sftp_message *ret_message, struct error *err);

int sftp_wire_malformed(const struct sftp_message *m, struct error *err);
// Reads a STATUS; *ret_status is its code. 0 for SFTP_OK, else the error, which says "WHAT 'PATH': REASON".
MUST_USE int sftp_wire_status(const struct sftp_message *m, const char *what, const char *path, uint32_t *ret_status, struct error *err);

#endif
