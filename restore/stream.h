// The selection as one stream, in path order: each entry with what it holds, pieces decoded ahead by several threads and each compared
// before it is given. For dump: one file, or a tar.
#ifndef BKD_RESTORE_STREAM_H
#define BKD_RESTORE_STREAM_H

#include <stdbool.h>

#include "restore/plan.h"

#define STREAM_IN_FLIGHT (96u << 20) // bytes of decoded pieces that wait at most

struct stream_member {
    const struct manifest_entry *entry;
    const struct recipe *recipe; // of regular files: its extents say where a sparse file has data (none = it is not sparse)
    const char *first;           // a further name of this path, which was given before; NULL = not
    const char *xattr_text;      // extended attributes (doc/FORMAT.md section 7), n bytes
    size_t xattr_n;
};

// begin, for files data … (all of the logical size, in order), end: for each entry. An error ends the stream.
struct stream_sink {
    int (*begin)(void *arg, const struct stream_member *member, struct error *err);
    int (*data)(void *arg, const void *data, size_t n, struct error *err);
    int (*end)(void *arg, struct error *err);
    void *arg;
};

struct stream_source {
    const struct io *io; // all borrowed
    struct snapshot *snapshot;
    struct plan *plan; // after plan_count
    unsigned jobs;     // threads; 0 = as many as processors
    bool (*interrupted)(void); // may be NULL
};

// ERROR_INTEGRITY names the file whose stored bytes are not what was signed: what was begun then has no end.
MUST_USE int stream_run(const struct stream_source *source, const struct stream_sink *sink, struct error *err);

#endif
