// Many requests of one kind in flight on one SFTP client: what would cost a round trip each costs a few in all. What a repository far away is opened
// with: whole small files, sizes, listings of directories.
//
// Each path has a result of its own (NOT_FOUND for one is no failure of the others). What ends the whole is a broken line, after which the client is
// closed as after any other, and a visit that returns non-zero: then the answers still on their way are waited for.
#ifndef BKD_STORE_SFTP_MANY_H
#define BKD_STORE_SFTP_MANY_H

#include "bkd/store/sftp_client.h"

// What became of one path. `attrs` and `data` belong to the call.
struct sftp_found {
    int result;                     // 0, or the error code of this path
    const struct error *why;        // when result is not 0
    const struct sftp_attrs *attrs; // of sftp_stat_many and sftp_get_many
    const uint8_t *data;            // of sftp_get_many: the whole file
    size_t n;
};

struct sftp_many {
    const char *const *paths;
    size_t n;
    // Called once for each path, in any order. Makes no requests of this client.
    int (*done)(void *arg, size_t index, const struct sftp_found *found, struct error *err);
    // Of sftp_list_many: each name but "." and ".." of the directory paths[index], before its `done`.
    int (*entry)(void *arg, size_t index, const char *name, const struct sftp_attrs *attrs, struct error *err);
    void *arg;
};

// Does not follow a link.
MUST_USE int sftp_stat_many(struct sftp_client *c, const struct sftp_many *many, struct error *err);
// Whole regular files of at most `max` bytes; a longer one is ERROR_FORMAT, one that ends before the size the server tells ERROR_INTEGRITY.
MUST_USE int sftp_get_many(struct sftp_client *c, const struct sftp_many *many, size_t max, struct error *err);
MUST_USE int sftp_list_many(struct sftp_client *c, const struct sftp_many *many, struct error *err);

#endif
