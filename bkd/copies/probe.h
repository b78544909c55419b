// What an account on a server could do to files that are there, found out by trying on a file of its own: does a copy there survive a break-in on the host
// that ships to it? Servers do not tell it, and options that look right are not (sftp-server -P remove still lets files be overwritten).
#ifndef BKD_COPIES_PROBE_H
#define BKD_COPIES_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/store/sftp_client.h"

#define PROBE_ATTEMPTS_MAX 12u

struct probe_attempt {
    const char *name; // "overwrite", …
    bool harmed;      // the file was not as before afterwards
    char *answer;     // what the server said; owned
};

struct probe {
    struct probe_attempt attempts[PROBE_ATTEMPTS_MAX];
    size_t n;
    bool has_space;
    uint64_t free_bytes, total_bytes;
    int64_t clock_ahead_s;  // the server's clock less ours
    char *left;             // path of the file that could not be removed, or NULL; owned
};

// Tries on a file below ROOT/tmp, and takes it away again where that is possible. ERROR_UNREACHABLE and the like when the line broke; any other error:
// not even a new file can be made there.
MUST_USE int probe_run(const struct io *io, struct sftp_client *client, const char *root, struct probe *ret_probe, struct error *err);
void probe_done(struct probe *p);

// Adds one that was tried in another way ("run a command").
void probe_add(struct probe *p, const char *name, bool harmed, const char *answer);
bool probe_is_append_only(const struct probe *p);

#endif
