// Small files put on an SFTP server many at a time: each under a temporary name, durable where the server can, compared in size, then renamed, which never
// overwrites. What takes seven round trips for one takes three for all of them, one more where directories have to be made.
#ifndef BKD_STORE_SFTP_PUBLISH_H
#define BKD_STORE_SFTP_PUBLISH_H

#include "bkd/store/sftp_client.h"

struct sftp_publish {
    const char *path, *part; // final and temporary name
    const void *data;
    size_t n;
    bool last; // gets its name only when all before it have theirs
    // What became of it.
    bool over;     // it is there, or `result` says why not
    bool renaming; // the rename was asked for
    int result;    // ERROR_EXISTS: the name is taken; its bytes are left alone
    struct error why;
    // Under way.
    bool open, taken;
    struct sftp_handle handle;
    uint64_t kept; // bytes the server says it has
};

// Files that are over already are passed over. `root_length`: directories are made only below so many bytes of a path. Stops naming at the first file that
// fails for another reason than ERROR_EXISTS, whose code is returned with *err; the temporary files are gone then. After a failure of the line those under
// way may or may not have their names: see `renaming`.
MUST_USE int sftp_publish_run(struct sftp_client *c, struct sftp_publish *files, size_t n, size_t root_length, const struct sftp_pace *pace, struct error *err);

// For those who write in their own way. Opens a new file at files->part, making its directories where they are missing.
MUST_USE int sftp_publish_open(struct sftp_client *c, struct sftp_publish *file, size_t root_length, struct error *err);
// Its bytes were sent: makes them durable, closes, compares, renames. The line's failures are returned; all others, and ERROR_EXISTS, stand in the file.
MUST_USE int sftp_publish_end(struct sftp_client *c, struct sftp_publish *file, struct error *err);

#endif
