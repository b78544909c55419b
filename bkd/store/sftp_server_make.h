// What clients of the SFTP server (sftp_server.h) add: files that are opened for writing, and get their names. Only for sftp_server.c.
//
// A file has its final name from the moment on in which it is whole and nobody writes to it any more, and not before. A client of ours writes a part and
// renames it. One that opens a free final name, as `sftp` and `scp` put files, writes a part that it does not see, which gets the name when it is closed.
#ifndef BKD_STORE_SFTP_SERVER_MAKE_H
#define BKD_STORE_SFTP_SERVER_MAKE_H

#include "bkd/store/sftp_server_answer.h"

// OPEN with other flags than READ.
void sftp_server_make_open(struct sftp_server *s, struct buf *out, uint32_t id, const char *path, uint32_t flags);
// CLOSE of any handle: 0, or a negative errno when the file did not get its name (EEXIST: it was taken meanwhile).
int sftp_server_make_end(struct sftp_server *s, struct sftp_server_handle *h);
// RENAME: of a part of this session, to a name that is free.
void sftp_server_make_rename(struct sftp_server *s, struct buf *out, uint32_t id, const char *from, const char *to);
// Removes the parts of this session that were not published.
void sftp_server_make_drop(struct sftp_server *s);

#endif
