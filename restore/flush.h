// Written data on its way to the disk while the restore goes on: a thread syncs the target's file system again and again, so that processors and disk work at
// the same time and the sync at the end finds little to do. What a sync costs depends on how much there is, not on how often.
//
// flush_new → flush_written … → flush_end.
#ifndef BKD_RESTORE_FLUSH_H
#define BKD_RESTORE_FLUSH_H

#include <stdatomic.h>
#include <stdint.h>

#include "bkd/base/error.h"
#include "bkd/base/io.h"

#define FLUSH_STEP (64u << 20) // bytes worth a sync

struct flush;

// fd: of a directory of the file system, borrowed; name: for messages, borrowed. *stop becomes true when a sync fails: nothing more is worth writing then.
struct flush *flush_new(const struct io *io, int fd, const char *name, atomic_bool *stop);
// So many files more were written, with so many bytes. Never waits. NULL is fine.
void flush_written(struct flush *f, uint64_t files, uint64_t bytes);
// Ends the thread, after the sync under way; f is gone. What went wrong in a sync is returned: the system tells it only once. NULL is fine.
MUST_USE int flush_end(struct flush *f, struct error *err);

#endif
