#include "restore/space.h"

#include <linux/stat.h>

#include "bkd/base/clock.h"

bool space_free(const struct io *io, int fd, uint64_t *ret_bytes)
{
    struct statvfs st;
    if (io->fstatvfs(io, fd, &st) < 0 || st.f_blocks == 0)
        return false;
    *ret_bytes = (uint64_t)st.f_bavail * st.f_frsize;
    return true;
}

uint64_t space_own(const struct io *io, const struct plan *plan, int fd)
{
    struct statx there, own;
    struct error ignored; // a figure that is only said
    if (io_stat(io, fd, "", AT_EMPTY_PATH, &there, &ignored) < 0 || io_stat(io, plan->fd, "", AT_EMPTY_PATH, &own, &ignored) < 0)
        return 0;
    return there.stx_dev_major == own.stx_dev_major && there.stx_dev_minor == own.stx_dev_minor ? own.stx_blocks * 512 : 0;
}

int space_too_little(uint64_t needed, const struct space_room *room, const char *name, struct error *err)
{
    char need[CLOCK_TEXT_MAX], have[CLOCK_TEXT_MAX], own[CLOCK_TEXT_MAX];
    bool has_own = room->own_bytes > 0;
    clock_format_bytes(need, needed);
    clock_format_bytes(have, room->free_bytes);
    clock_format_bytes(own, room->own_bytes);
    return error_set(err, ERROR_NO_SPACE, "the restore needs %s and '%s' has %s free%s%s%s; nothing was written. %s another --target or restore fewer paths", need, name, have,
                     has_own ? ", beside " : "", has_own ? own : "", has_own ? " for the restore's own list of files" : "",
                     has_own && needed <= room->free_bytes + room->own_bytes ? "Set TMPDIR to a directory elsewhere, choose" : "Choose");
}

int space_check(const struct io *io, struct plan *plan, const struct space_need *need, int target_fd, const char *name, struct error *err)
{
    struct statvfs st;
    uint64_t free_bytes, needed = need->bytes;
    if (!space_free(io, target_fd, &free_bytes) || io->fstatvfs(io, target_fd, &st) < 0)
        return 0; // nothing is known; writing will tell
    if (needed > free_bytes && plan_count_data(plan, &needed, err) < 0)
        return err->code;
    if (needed > free_bytes)
        return space_too_little(needed, &(struct space_room){ free_bytes, space_own(io, plan, target_fd) }, name, err);
    if (st.f_files > 0 && need->inodes > st.f_favail)
        return error_set(
            err, ERROR_NO_SPACE,
            "the restore needs %llu inodes and '%s' has %llu free; nothing was written. Choose another --target or restore fewer paths",
            (unsigned long long)need->inodes, name, (unsigned long long)st.f_favail);
    return 0;
}
