// The extensions of the SFTP server (sftp_server.h): fsync, free space, and hashing of whole files.
#ifndef BKD_STORE_SFTP_SERVER_EXTEND_H
#define BKD_STORE_SFTP_SERVER_EXTEND_H

#include "bkd/store/sftp_server_answer.h"

// Answers a request of type EXTENDED; one that is not offered is refused.
void sftp_server_extend(struct sftp_server *s, struct cursor *body, uint32_t id, struct buf *out);

#endif
