// From an sftp:// address to a store: where the SSH connection, the SFTP client and the store on it come together.
#ifndef BKD_STORE_STORE_SSH_H
#define BKD_STORE_STORE_SSH_H

#include "bkd/store/sftp_client.h"
#include "bkd/store/ssh.h"
#include "bkd/store/store.h"

// Connects once, so that a wrong key or address is told at the start. Errors: those of ssh_open and store_sftp_open.
MUST_USE int store_ssh_open(const struct io *io, const char *url, const struct store_access *access, bool create, struct store **ret_store, struct error *err);

// One SFTP connection, for who asks the server itself and not the store on it. *ret_root: the path there; caller frees.
MUST_USE int store_ssh_connect(const struct io *io, const char *url, const struct store_access *access, struct sftp_client **ret_client, char **ret_root,
                               struct error *err);
// Runs a command there and appends what it prints, at most `max` bytes of it. ERROR_FAILED: the account runs no commands.
MUST_USE int store_ssh_command(const struct io *io, const char *url, const struct store_access *access, const char *command, size_t max, struct buf *ret_output,
                               struct error *err);

#endif
