// Further connections that join the sending of a large file while it goes on: made in the background, when the time that is left is worth it, and only from
// the idle lanes of a store. A server that lets no more in costs nothing but the try.
#ifndef BKD_REPO_SFTP_JOIN_H
#define BKD_REPO_SFTP_JOIN_H

#include "bkd/repo/sftp_burst.h"
#include "bkd/repo/sftp_lanes.h"

struct sftp_joiner {
    struct store_sftp *store;
    const char *part;
    struct sftp_lane_slot *slot;
    struct sftp_handle handle;
    struct sftp_burst burst; // its last requests
    pthread_t thread;
    bool has_thread, joined;
    _Atomic bool ready; // result is known
    int result;
    struct error why;
};

struct sftp_join {
    struct store_sftp *store;
    const struct sftp_lane_slot *first;
    const char *part;
    bool begun;
    struct sftp_joiner joiners[SFTP_STORE_LANES];
    size_t n;
};

// `first` sends already; `part` is the file on the server. Borrowed until sftp_join_end.
void sftp_join_init(struct sftp_join *j, struct store_sftp *store, const struct sftp_lane_slot *first, const char *part);
// As `further` of struct sftp_sending; arg is the struct sftp_join.
bool sftp_join_further(void *arg, uint64_t left_ns, struct sftp_lane *ret_lane);
// Closes the file on all that joined and gives the lanes back. result: of the sending; after a failure the connections are closed. Returns it, or the first
// failure of a close.
MUST_USE int sftp_join_end(struct sftp_join *j, int result, struct error *err);

#endif
