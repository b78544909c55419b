// Further connections that join the sending of a large file while it goes on: made in the background, when the time that is left is worth it, and only from
// the idle lanes of a store. A server that lets no more in costs nothing but the try. Some servers (rclone's) empty a file that is opened for writing again:
// that is looked for, the sending begins anew then, and the store is written to over one connection from there on. So it does where the line breaks before
// that could be seen.
#ifndef BKD_STORE_SFTP_JOIN_H
#define BKD_STORE_SFTP_JOIN_H

#include "bkd/store/sftp_burst.h"
#include "bkd/store/sftp_lanes.h"

struct sftp_joiner {
    struct store_sftp *store;
    const char *part;
    struct sftp_lane_slot *slot;
    struct sftp_handle handle;
    struct sftp_burst burst; // its last requests
    pthread_t thread;
    bool has_thread, joined;
    bool doubtful;       // the server emptied the file, or it is not known whether it did
    int fd;              // what is sent
    _Atomic bool ready; // result is known
    int result;
    struct error why;
};

struct sftp_join {
    struct store_sftp *store;
    const struct sftp_lane_slot *first;
    const char *part;
    int fd;
    bool next_comes;
    struct sftp_joiner joiners[SFTP_STORE_LANES];
    size_t n;
};

// `first` sends `fd` already; `part` is the file on the server. Borrowed until sftp_join_end. next_comes: another file is put before this one has its name.
void sftp_join_init(struct sftp_join *j, struct store_sftp *store, const struct sftp_lane_slot *first, const char *part, int fd, bool next_comes);
// As `further` of struct sftp_sending; arg is the struct sftp_join. ERROR_UNREACHABLE: the file is to be sent anew.
MUST_USE int sftp_join_further(void *arg, uint64_t left_ns, struct sftp_lane *ret_lane, bool *ret_joins, struct error *err);
// Closes the file on all that joined and gives the lanes back. result: of the sending; after a failure the connections are closed. Returns it, or the first
// failure of a close.
MUST_USE int sftp_join_end(struct sftp_join *j, int result, struct error *err);

#endif
