#include "bkd/dr/replica.h"

#include <string.h>
#include <sys/statvfs.h>

#include "bkd/base/clock.h"
#include "bkd/base/interrupt.h"
#include "bkd/engine/replicate.h"

// The places are in order: the one before `head` stands before it.
static size_t find_first(const struct repository *from, const struct repository_head *head, bool with_previous)
{
    size_t at = (size_t)(head - from->heads), first = at;
    while (with_previous && first > 0 && memcmp(from->heads[first - 1].chain, head->chain, sizeof head->chain) == 0) {
        first--;
        if (from->heads[first].valid)
            return first;
    }
    return at;
}

static int check_space(const struct repository *from, const struct repository_head *head, const char *path, struct error *err)
{
    _cleanup_format_refs_ struct format_refs refs = { 0 };
    struct statvfs st;
    char needed[CLOCK_TEXT_MAX], is[CLOCK_TEXT_MAX];
    uint64_t bytes = 0;
    int r = repository_read_refs(from, &head->head, &refs, err);
    for (size_t i = 0; r == 0 && i < refs.n; i++)
        bytes += refs.refs[i].stored_size;
    if (r < 0 || statvfs(path, &st) < 0 || (uint64_t)st.f_bavail * st.f_frsize >= bytes)
        return r;
    clock_format_bytes(needed, bytes);
    clock_format_bytes(is, (uint64_t)st.f_bavail * st.f_frsize);
    return error_set(err, ERROR_NO_SPACE, "a copy of what snapshot %llu needs takes %s at '%s', and %s are free: make room, or name another place with verify.scratch",
                     (unsigned long long)head->number, needed, path, is);
}

int replica_make(const struct repository *from, const struct repository_head *head, bool with_previous, const char *path, uint64_t *ret_bytes, struct error *err)
{
    size_t first = find_first(from, head, with_previous);
    struct repository part = *from; // borrows all it has; only fewer heads
    struct replicate_result result;
    struct store *to = NULL;
    part.heads = from->heads + first;
    part.n_heads = (size_t)(head - from->heads) - first + 1;
    int r = store_dir_open(from->io, path, true, &to, err);
    if (r == 0)
        r = check_space(from, head, path, err);
    if (r == 0)
        r = replicate_run(from->io, &(struct replicate_options){ .from = &part, .to = to, .proof = PROOF_NONE, .interrupted = interrupt_requested }, &result, err);
    store_close(to);
    if (r < 0)
        return error_prefix(err, "the copy for this drill");
    *ret_bytes = result.bytes;
    return 0;
}
