#include "bkd/snapshots/appeared.h"

#include <errno.h>
#include <string.h>

#include "bkd/base/dirchain.h"

enum { MEMORY = 4 << 20 };

// Records: type (1), path. The order of paths backwards: what a directory holds comes before it.
static int compare_backwards(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return manifest_path_compare((const char *)b + 1, b_len - 1, (const char *)a + 1, a_len - 1);
}

void appeared_init(struct appeared *a, const struct io *io, int scratch_fd)
{
    *a = (struct appeared){ .io = io, .names = spill_new(io, scratch_fd, compare_backwards, MEMORY) };
}

void appeared_done(struct appeared *a)
{
    spill_free(a->names);
    *a = (struct appeared){ 0 };
}

int appeared_add(struct appeared *a, const struct manifest_entry *entry, struct error *err)
{
    _cleanup_buf_ struct buf record = { 0 };
    buf_add_char(&record, (char)entry->type);
    buf_add(&record, entry->path.data, entry->path.len);
    return spill_add(a->names, record.data, record.len, err);
}

// 0, or errno.
static int remove_one(const struct io *io, struct dirchain *chain, const char *path, bool is_dir)
{
    struct error why;
    int dirfd;
    const char *name;
    if (dirchain_parent(chain, path, &dirfd, &name, &why) < 0)
        return why.os_errno == ENOENT ? 0 : why.os_errno != 0 ? why.os_errno : EIO;
    if (io->unlinkat(io, dirfd, name, is_dir ? AT_REMOVEDIR : 0) < 0 && errno != ENOENT)
        return errno;
    return 0;
}

int appeared_remove(struct appeared *a, const struct spared *spared, appeared_kept_fn *kept, void *arg, struct error *err)
{
    _cleanup_dirchain_ struct dirchain chain = { 0 };
    const void *record = NULL;
    size_t n = 0;
    int r = dirchain_init(&chain, a->io, "/", err);
    if (r == 0)
        r = spill_sort(a->names, err);
    while (r == 0 && (r = spill_next(a->names, &record, &n, err)) == 0 && record != NULL) {
        const char *bytes = record;
        _cleanup_free_ char *path = xstrndup(bytes + 1, n - 1);
        bool is_spared = spared != NULL && spared_has(spared, path); // which was told already
        int why = is_spared ? 0 : remove_one(a->io, &chain, path, bytes[0] == MANIFEST_DIR);
        a->removed += why == 0 && !is_spared;
        a->kept += why != 0 || is_spared;
        if (why != 0)
            kept(arg, path, why == ENOTEMPTY || why == EEXIST ? "it holds something that the policy leaves out" : why == EBUSY ? "something is mounted there" : strerror(why));
    }
    return r;
}
