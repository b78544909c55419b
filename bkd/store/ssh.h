// A connection to an SSH server, and a program or subsystem there as a byte stream. The only module that includes libssh2's header.
//
// Host keys are pinned in a known_hosts file of bkd's own: a host that is not in it, or that shows another key, is refused before any
// authentication, with the fingerprint and the command that would pin it. Algorithms are an allow-list (ssh.c); what was negotiated is logged.
// One thread at a time uses a connection. Nothing here waits longer than the timeout without a byte from the other side.
#ifndef BKD_STORE_SSH_H
#define BKD_STORE_SSH_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"
#include "bkd/base/io.h"
#include "bkd/store/stream.h"

#define SSH_TIMEOUT_MS 30000u

struct ssh_options {
    const char *host;
    unsigned port;           // 0 = 22
    const char *user;        // NULL = the one who runs this
    const char *alias;       // under which the host key is pinned; NULL = host and port
    const char *identity;    // private key file; NULL = the agent only
    const char *passphrase;  // of the identity; NULL = none
    const char *known_hosts; // file
    const char *repository;  // the address as the person wrote it, for the commands that messages name
    const char *config;      // of ssh_config(5), for ssh_alias.h; NULL = none
    unsigned timeout_ms;     // 0 = SSH_TIMEOUT_MS
};

struct ssh;

// With a config the host is reached as it says, through other hosts where it names them; the key is pinned under the name given here all the same.
// Connects, compares the host key, authenticates. ERROR_UNREACHABLE: no answer, or the line broke; ERROR_INTEGRITY: another host key than the pinned
// one; ERROR_KEY: the host is not pinned, or the server took none of our keys.
MUST_USE int ssh_open(const struct io *io, const struct ssh_options *options, struct ssh **ret_ssh, struct error *err);
void ssh_close(struct ssh *s); // NULL is fine

// Starts a subsystem ("sftp") and gives its input and output. Closing the stream closes the connection, too.
MUST_USE int ssh_subsystem(struct ssh *s, const char *name, struct stream **ret_stream, struct error *err);

// Runs a command and gives its input and output; what its output ends with is ERROR_UNREACHABLE. ERROR_FAILED: the server runs none for this account.
MUST_USE int ssh_exec(struct ssh *s, const char *command, struct stream **ret_stream, struct error *err);

// Only asks for the host's key, without authentication: the blob goes to *ret_blob. For pinning. type: one of ssh_host_key_types; NULL = the one that
// the host likes best.
MUST_USE int ssh_fetch_host_key(const struct io *io, const struct ssh_options *options, const char *type, struct buf *ret_blob, struct error *err);
// Of the keys that can be pinned, best first; ends with NULL.
extern const char *const ssh_host_key_types[];

#endif
