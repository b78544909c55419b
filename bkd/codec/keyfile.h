// Reading files that hold secrets: private keys and age identities. As OpenSSH does, such a file is refused when others could
// have read it.
#ifndef BKD_CODEC_KEYFILE_H
#define BKD_CODEC_KEYFILE_H

#include <stddef.h>

#include "bkd/base/buf.h"
#include "bkd/base/io.h"

#define KEYFILE_MAX (64u << 10)
#define KEYFILE_CREDENTIAL "credential:" // before the name of a systemd credential, in place of a file's

// The path of a secret that a configuration names: "credential:NAME" is a file in the directory that systemd makes for the service; anything else is a file, a
// relative one in dir (NULL: as it is). The caller frees *ret_path. ERROR_USAGE, ERROR_KEY with the remedy.
MUST_USE int keyfile_find(const char *name, const char *dir, char **ret_path, struct error *err);

// Reads a secret file of at most KEYFILE_MAX bytes; a pipe (as a shell's <(…)) is fine. ERROR_KEY, with what to do, when the file
// is missing, can be read or written by group or others, or belongs to neither this user nor root.
// The content is appended to ret_secret, which the caller gives to keyfile_done.
MUST_USE int keyfile_read(const struct io *io, int dirfd, const char *path, struct buf *ret_secret, struct error *err);

// What a key file's content is wrong with is a wrong key to whoever named the file: turns ERROR_FORMAT into ERROR_KEY, in *err as
// well. Returns the code.
int keyfile_wrong(int code, struct error *err);

// Wipes and frees a buffer that held a secret.
void keyfile_done(struct buf *secret);
#define _cleanup_keyfile_ __attribute__((cleanup(keyfile_done)))

#endif
