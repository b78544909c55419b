// Is there room for what will be written? Asked before the first write.
#ifndef BKD_RESTORE_SPACE_H
#define BKD_RESTORE_SPACE_H

#include "restore/plan.h"

// Bytes that this user may still write where the open directory lies; false when the file system does not say.
bool space_free(const struct io *io, int fd, uint64_t *ret_bytes);
// Of what is taken where the open directory lies: bytes of the plan's manifest, which stands in a scratch file as long as the plan is open. 0 when that is elsewhere.
uint64_t space_own(const struct io *io, const struct plan *plan, int fd);
struct space_room {
    uint64_t free_bytes;
    uint64_t own_bytes; // space_own
};
// ERROR_NO_SPACE with the figures; name: the target's.
int space_too_little(uint64_t needed, const struct space_room *room, const char *name, struct error *err);

// What a restore takes at most: bytes rounded up to 4 KiB a file, holes not left out; and new names.
struct space_need {
    uint64_t bytes, inodes;
};
// ERROR_NO_SPACE when bytes (holes left out) or inodes do not suffice. After plan_count.
MUST_USE int space_check(const struct io *io, struct plan *plan, const struct space_need *need, int target_fd, const char *name,
                         struct error *err);

#endif
