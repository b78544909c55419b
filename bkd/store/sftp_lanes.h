// The connections of a store on an SFTP server: opened as they are needed, up to a number, each used by one thread at a time, made anew when the line
// breaks. Only for the files that make up the store: store_sftp.c (reading, listing) and store_sftp_put.c (writing).
#ifndef BKD_STORE_SFTP_LANES_H
#define BKD_STORE_SFTP_LANES_H

#include <pthread.h>
#include <stdbool.h>

#include "bkd/store/far_hasher.h"
#include "bkd/store/sftp_client.h"
#include "bkd/store/store.h"

#define SFTP_AHEAD (128u << 10) // a small read takes so much: the next one is likely there, and a round trip costs more
#define SFTP_STORE_LANES 8u       // at most
#define SFTP_STORE_LANES_USUAL 4u // as many as fill 1 Gbit/s at 50 ms, where a channel takes 2 MiB a round trip

struct sftp_lane_slot {
    struct sftp_client *client; // NULL: not connected
    bool busy;
    _Atomic bool connected; // as client, for the other threads
    bool refused; // the server lets no more in than the others: not tried again
    char *open_name; // the file that is open for reading, or NULL
    struct sftp_handle handle;
    uint8_t *ahead;        // SFTP_AHEAD bytes, or NULL: what was read of that file beyond what was asked for
    uint64_t ahead_offset;
    size_t ahead_n;
};

struct store_sftp {
    struct store store;
    const struct io *io;
    struct store_connector connector;
    char *root;
    pthread_mutex_t lock;
    pthread_cond_t freed;
    struct sftp_lane_slot lanes[SFTP_STORE_LANES];
    unsigned n_lanes; // that may be used
    _Atomic bool was_there;  // a connection was made
    _Atomic bool one_writer; // a file is written over one connection only: see sftp_join.h
    pthread_mutex_t failing; // one at a time asks why it failed: its temporary file goes between two looks at the free space
    _Atomic uint64_t given_back; // bytes that became free there as temporary files of failed writes were removed
    pthread_mutex_t hasher_lock;
    struct far_hasher *hasher; // NULL: none was needed, or there is none
    bool hasher_failed;
};

static inline struct store_sftp *sftp_lanes_of(struct store *s) { return (struct store_sftp *)s; }
// The path on the server; caller frees.
char *sftp_lanes_path(const struct store_sftp *s, const char *name);
// Says where, when r is a failure. Returns r.
int sftp_lanes_in_store(const struct store_sftp *s, int r, struct error *err);

// Runs a request on an idle lane (one that has `name` open, where there is one; NULL = any), and again on a new connection when the line breaks.
// `again`: an earlier try may have done it already. The request keeps the lane only until it returns.
typedef int sftp_lanes_request_fn(struct store_sftp *s, struct sftp_lane_slot *lane, void *arg, bool again, struct error *err);
MUST_USE int sftp_lanes_run(struct store *store, const char *name, sftp_lanes_request_fn *request, void *arg, struct error *err);
// After such a failure the client is of no more use.
bool sftp_lanes_is_broken(int r);

// For a request, on lanes that are its own.
MUST_USE int sftp_lanes_connect(struct store_sftp *s, struct sftp_lane_slot *lane, struct error *err); // nothing to do when it is connected
void sftp_lanes_disconnect(struct sftp_lane_slot *lane);
// No connection could be made for it. Where others are connected it is left alone from here on; returns whether it is.
bool sftp_lanes_refuse(struct store_sftp *s, struct sftp_lane_slot *lane);
void sftp_lanes_give(struct store_sftp *s, struct sftp_lane_slot *lane);
// The file is open as lane->handle afterwards, and stays so until another one is read.
MUST_USE int sftp_lanes_open_file(struct store_sftp *s, struct sftp_lane_slot *lane, const char *name, struct error *err);
void sftp_lanes_close_file(struct sftp_lane_slot *lane);

#endif
