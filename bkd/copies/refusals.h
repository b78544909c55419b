// What a server refused, told to the system's log (LOG_AUTH) and on standard error: one line for each, escaped, and not more of them than a person reads.
// A client that asks a million times for what it may not have fills no disk: after REFUSALS_BURST lines within a minute the others are only counted.
#ifndef BKD_COPIES_REFUSALS_H
#define BKD_COPIES_REFUSALS_H

#include <stdint.h>

#include "bkd/base/io.h"

#define REFUSALS_BURST 200u
#define REFUSALS_WINDOW_NS (60 * UINT64_C(1000000000))

struct refusals {
    const struct io *io;
    char *who;             // where the client is and what it sees; owned
    uint64_t window_start; // monotonic
    uint32_t told;         // lines of this minute
    uint64_t untold, total;
};

// place: what the client may see, for the lines. The client's address comes from SSH_CONNECTION.
void refusals_begin(struct refusals *r, const struct io *io, const char *place);
// arg: the struct refusals. As sftp_server_refused_fn.
void refusals_note(void *arg, const char *request, const char *path);
// Says how many were not told.
void refusals_end(struct refusals *r);

#endif
