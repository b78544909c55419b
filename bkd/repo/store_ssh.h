// From an sftp:// address to a store: where the SSH connection, the SFTP client and the store on it come together.
#ifndef BKD_REPO_STORE_SSH_H
#define BKD_REPO_STORE_SSH_H

#include "bkd/repo/ssh.h"
#include "bkd/repo/store.h"

// Connects once, so that a wrong key or address is told at the start. Errors: those of ssh_open and store_sftp_open.
MUST_USE int store_ssh_open(const struct io *io, const char *url, const struct store_access *access, bool create, struct store **ret_store, struct error *err);

#endif
