// Passwords, tokens and secret addresses of channels: files in CONFIG_DIR/keys that only their owner may read, or credentials of systemd.
#ifndef BKD_NOTIFY_SECRET_H
#define BKD_NOTIFY_SECRET_H

#include "bkd/base/buf.h"
#include "bkd/base/io.h"
#include "bkd/codec/keyfile.h"

// Reads NAME: a file, relative to CONFIG_DIR/keys, or "credential:NAME". ERROR_KEY with the remedy. Give the buffer to keyfile_done.
MUST_USE int secret_read(const struct io *io, const char *config_dir, const char *name, struct buf *ret_secret, struct error *err);
// The same, its first line only; an empty one is ERROR_KEY.
MUST_USE int secret_read_line(const struct io *io, const char *config_dir, const char *name, struct buf *ret_secret, struct error *err);

#endif
