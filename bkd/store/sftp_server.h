// The server's side of SFTP version 3 over a directory that can only grow (grow_dir.h): what `bkd serve --append-only` speaks. Bytes in, bytes out: it
// reads no socket, so that tests and a fuzzer feed it directly.
//
// Allowed: reading and listing; making directories; making a file, which gets a name that is free when it is whole (sftp_server_make.h): by renaming a
// ".part" in the session that made it, or by closing it. Everything else is answered with PERMISSION_DENIED (or OP_UNSUPPORTED for unknown extensions)
// and told to `refused`.
// Extensions: fsync@openssh.com, statvfs@openssh.com, and check-file-name with sha256 of whole files (draft-ietf-secsh-filexfer-extensions-00, section 3),
// so that a client can have the far side prove what it keeps.
#ifndef BKD_STORE_SFTP_SERVER_H
#define BKD_STORE_SFTP_SERVER_H

#include <stdint.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"
#include "bkd/store/grow_dir.h"

struct sftp_server;

// request: "remove", "open for overwriting" …; path as the client gave it.
typedef void sftp_server_refused_fn(void *arg, const char *request, const char *path);

struct sftp_server *sftp_server_new(const struct io *io, const struct grow_dir *dir, sftp_server_refused_fn *refused, void *arg);
// Closes all files; parts of this session that were not published are removed.
void sftp_server_free(struct sftp_server *s);

// Takes n bytes from the client and appends the answers to *out. *ret_more: answers have become many, and whole requests wait still: the caller gets rid
// of what is in *out and calls again with n 0, before it reads on. So memory stays bounded whatever a client asks and never takes.
// ERROR_FORMAT: what came is no SFTP; the session is to end.
MUST_USE int sftp_server_feed(struct sftp_server *s, const void *data, size_t n, struct buf *out, bool *ret_more, struct error *err);

#endif
