// The server's own sha256sum, in a shell that reads names and answers with digests: for accounts that may run commands, where the SFTP server hashes nothing.
// Usual order: far_hasher_command, run on the server; far_hasher_new on its stream; far_hasher_hash …; far_hasher_free.
#ifndef BKD_STORE_FAR_HASHER_H
#define BKD_STORE_FAR_HASHER_H

#include <stdint.h>

#include "bkd/base/io.h"
#include "bkd/store/stream.h"

struct far_hasher;

// For a POSIX shell; names are relative to `root`. Caller frees.
char *far_hasher_command(const char *root);
// The stream belongs to the hasher from here on, also when this fails: ERROR_FAILED, no shell answers there.
MUST_USE int far_hasher_new(const struct io *io, struct stream *stream_taken, struct far_hasher **ret_hasher, struct error *err);
void far_hasher_free(struct far_hasher *h); // NULL is fine
// `size` says how long it may take. ERROR_NOT_FOUND: the file cannot be read there. After any other failure the hasher is of no more use.
MUST_USE int far_hasher_hash(struct far_hasher *h, const char *name, uint64_t size, uint8_t ret_sha256[32], struct error *err);

#endif
