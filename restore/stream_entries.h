// Streams (what commands wrote, doc/FORMAT.md section 5) have no place in the source's tree. They are restored as files of the directory `stream`
// in the target.
#ifndef BKD_RESTORE_STREAM_ENTRIES_H
#define BKD_RESTORE_STREAM_ENTRIES_H

#include "restore/plan.h"

#define STREAM_ENTRIES_DIR "stream"

// Before anything is made. *ret_leave: the streams of the selection stay out, because the target is the root directory and nobody named them.
// ERROR_USAGE when another entry would get the name of their directory.
MUST_USE int stream_entries_check(struct plan *plan, const char *target, unsigned strip, bool *ret_leave, struct error *err);

#endif
