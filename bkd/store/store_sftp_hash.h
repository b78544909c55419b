// The hashing half of the store on an SFTP server (store_sftp.c): by the SFTP server itself, else by sha256sum in a shell where that was allowed.
#ifndef BKD_STORE_STORE_SFTP_HASH_H
#define BKD_STORE_STORE_SFTP_HASH_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/store/store.h"

// As store_ops.hash.
MUST_USE int store_sftp_hash(struct store *store, const char *name, uint64_t size, uint8_t ret_sha256[32], bool *ret_offered, struct error *err);

#endif
