// What one snapshot needs, copied to a directory of its own, for drills that must not touch the repository it came from: its head and the one before it,
// their refs and objects, the records, and the scripts for recovery by hand. Each byte is compared with its hash on the way, as by `bkd copy`.
#ifndef BKD_DR_REPLICA_H
#define BKD_DR_REPLICA_H

#include "bkd/repo/repository.h"

// `head` is one of `from`, and valid. `path` does not exist yet. with_previous: also the valid head before it, if there is one (its data too).
// ERROR_NO_SPACE tells how much is needed; ERROR_INTEGRITY: stored bytes are not what was signed.
MUST_USE int replica_make(const struct repository *from, const struct repository_head *head, bool with_previous, const char *path, uint64_t *ret_bytes, struct error *err);

#endif
