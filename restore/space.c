#include "restore/space.h"

#include "bkd/base/clock.h"

bool space_free(const struct io *io, int fd, uint64_t *ret_bytes)
{
    struct statvfs st;
    if (io->fstatvfs(io, fd, &st) < 0 || st.f_blocks == 0)
        return false;
    *ret_bytes = (uint64_t)st.f_bavail * st.f_frsize;
    return true;
}

int space_too_little(uint64_t needed, uint64_t free_bytes, const char *name, struct error *err)
{
    char need[CLOCK_TEXT_MAX], have[CLOCK_TEXT_MAX];
    clock_format_bytes(need, needed);
    clock_format_bytes(have, free_bytes);
    return error_set(err, ERROR_NO_SPACE,
                     "the restore needs %s and '%s' has %s free; nothing was written. Choose another --target or restore fewer paths", need, name,
                     have);
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
        return space_too_little(needed, free_bytes, name, err);
    if (st.f_files > 0 && need->inodes > st.f_favail)
        return error_set(
            err, ERROR_NO_SPACE,
            "the restore needs %llu inodes and '%s' has %llu free; nothing was written. Choose another --target or restore fewer paths",
            (unsigned long long)need->inodes, name, (unsigned long long)st.f_favail);
    return 0;
}
