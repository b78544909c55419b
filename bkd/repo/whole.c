#include "bkd/repo/whole.h"

#include <stdlib.h>

static int note(void *arg, size_t index, const struct store_found *found, struct error *err)
{
    bool *whole = arg;
    (void)index;
    if (found->result == ERROR_NOT_FOUND)
        *whole = false;
    else if (found->result < 0)
        *err = *found->why;
    return found->result == ERROR_NOT_FOUND ? 0 : found->result;
}

static int look_for_objects(const struct repository *r, const struct format_refs *refs, bool *ret_whole, struct error *err)
{
    char **names = xcalloc(refs->n + 1, sizeof *names);
    for (size_t i = 0; i < refs->n; i++)
        names[i] = format_object_name(refs->refs[i].sha256, r->info.encrypted);
    bool whole = true;
    struct store_many many = { .names = (const char *const *)names, .n = refs->n, .visit = note, .arg = &whole };
    int e = store_get_many(r->store, &many, err);
    for (size_t i = 0; i < refs->n; i++)
        free(names[i]);
    free(names);
    if (e == 0)
        *ret_whole = whole;
    return e;
}

int whole_check(const struct repository *r, const struct repository_head *head, bool *ret_whole, struct error *err)
{
    uint64_t size;
    _cleanup_format_refs_ struct format_refs refs = { 0 };
    _cleanup_free_ char *name = format_refs_name(head->head.refs);
    int e = r->store->ops->size(r->store, name, &size, err);
    if (e == ERROR_NOT_FOUND) {
        *ret_whole = false;
        return 0;
    }
    if (e == 0)
        e = repository_read_refs(r, &head->head, &refs, err);
    return e < 0 ? e : look_for_objects(r, &refs, ret_whole, err);
}
