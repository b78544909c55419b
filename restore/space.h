// Is there room for what will be written? Asked before the first write.
#ifndef BKD_RESTORE_SPACE_H
#define BKD_RESTORE_SPACE_H

#include "restore/plan.h"

// Bytes that this user may still write where the open directory lies; false when the file system does not say.
bool space_free(const struct io *io, int fd, uint64_t *ret_bytes);
// ERROR_NO_SPACE with the two figures; name: the target's.
int space_too_little(uint64_t needed, uint64_t free_bytes, const char *name, struct error *err);

// What a restore takes at most: bytes rounded up to 4 KiB a file, holes not left out; and new names.
struct space_need {
    uint64_t bytes, inodes;
};
// ERROR_NO_SPACE when bytes (holes left out) or inodes do not suffice. After plan_count.
MUST_USE int space_check(const struct io *io, struct plan *plan, const struct space_need *need, int target_fd, const char *name,
                         struct error *err);

#endif
