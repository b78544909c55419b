// Several requests of any kind sent together, and their answers taken together: one round trip for all of them. Servers take what arrives on one
// connection in its order, so a request may build on what an earlier one of the same burst does.
//
// Usual order: for each request { id = sftp_wire_begin; what it holds; sftp_burst_note }; sftp_burst_wait; sftp_burst_done.
#ifndef BKD_STORE_SFTP_BURST_H
#define BKD_STORE_SFTP_BURST_H

#include "bkd/store/sftp_wire.h"

struct sftp_burst_owed {
    uint32_t id;
    unsigned what; // the caller's own words for it
    size_t index;
};

struct sftp_burst {
    struct sftp_client *client;
    struct buf owed; // struct sftp_burst_owed; the first `answered` of them are over
    size_t answered;
};

// Ends the request that was begun last, and remembers what it is.
void sftp_burst_note(struct sftp_burst *b, uint32_t id, unsigned what, size_t index);

// Whole requests that only name a path or a handle, begun and noted.
void sftp_burst_path(struct sftp_burst *b, enum sftp_type type, const char *path, unsigned what, size_t index);
void sftp_burst_handle(struct sftp_burst *b, enum sftp_type type, const struct sftp_handle *handle, unsigned what, size_t index);

// Waits for all answers; `answer` is called for each, in the order in which they come, and the first negative value it returns ends the whole: then the
// client is of no more use. Afterwards the burst is empty and can be filled again.
typedef int sftp_burst_answer_fn(void *arg, unsigned what, size_t index, struct sftp_message *message, struct error *err);
MUST_USE int sftp_burst_wait(struct sftp_burst *b, sftp_burst_answer_fn *answer, void *arg, struct error *err);
void sftp_burst_done(struct sftp_burst *b);
#define _cleanup_sftp_burst_ __attribute__((cleanup(sftp_burst_done)))

#endif
