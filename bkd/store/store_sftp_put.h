// Writing to a store on an SFTP server: under NAME.part-RANDOM, durable where the server can, compared in size, renamed. The operations
// of store_sftp.c that create files, and the making of directories.
#ifndef BKD_STORE_STORE_SFTP_PUT_H
#define BKD_STORE_STORE_SFTP_PUT_H

#include "bkd/store/sftp_client.h"
#include "bkd/store/store.h"

// As the operations of struct store_ops that these are.
MUST_USE int store_sftp_put(struct store *s, const char *name, const void *data, size_t n, struct error *err);
MUST_USE int store_sftp_put_spool(struct store *s, const char *name, int fd, const char *spool_name, struct error *err);
MUST_USE int store_sftp_put_file(struct store *s, const char *name, int fd, uint64_t size, const uint8_t sha256[32], struct error *err);
MUST_USE int store_sftp_put_many(struct store *s, struct store_put *files, size_t n, struct error *err);

// Makes the directories that the path names before each slash from `from` on; those that are there are left alone.
MUST_USE int store_sftp_make_dirs(struct sftp_client *client, const char *path, size_t from, struct error *err);

#endif
