// A selection as a tar stream (pax, through bkd/codec/pack.h): what a stream gives becomes members that GNU tar and bsdtar extract.
// Paths lose their leading slash. Sockets are left out, as in every tar. A stream that is broken off gets an end that tar complains of.
#ifndef BKD_RESTORE_TAR_H
#define BKD_RESTORE_TAR_H

#include "bkd/codec/pack.h"
#include "restore/stream.h"

struct tar {
    const struct io *io;
    int fd; // borrowed
    struct pack *pack;
    struct buf waiting; // small writes are joined
    bool skipping;      // the member under way is left out
    bool inside;        // a member was begun and has no end yet
    uint64_t sockets;
};

MUST_USE int tar_open(struct tar *t, const struct io *io, int fd, struct error *err);
// The functions of a stream into it.
struct stream_sink tar_sink(struct tar *t);
// Writes tar's end.
MUST_USE int tar_close(struct tar *t, struct error *err);
// Frees; a tar that was not closed gets a torn end.
void tar_done(struct tar *t);

#endif
