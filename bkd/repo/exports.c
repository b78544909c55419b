#include "bkd/repo/exports.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/clock.h"
#include "bkd/base/log.h"

#define SIG_MAX 4096u

void exports_done(struct exports *exports)
{
    for (size_t i = 0; i < exports->n; i++)
        free(exports->items[i].name);
    free(exports->items);
    *exports = (struct exports){ 0 };
}

// "20261125T235500Z" to seconds.
static bool parse_time(const char *text, uint64_t *ret_s)
{
    char full[] = "YYYY-MM-DDTHH:MM:SSZ";
    static const int places[] = { 0, 1, 2, 3, 5, 6, 8, 9, 10, 11, 12, 14, 15, 17, 18, 19 };
    uint64_t ns;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        full[places[i]] = text[i];
    if (!clock_parse_utc(full, strlen(full), &ns))
        return false;
    *ret_s = ns / 1000000000;
    return true;
}

// The part behind "catalogue/<chain>/".
static bool parse_name(const char *name, struct export *ret_export, bool *ret_is_sig)
{
    uint8_t nonce[8];
    uint64_t time_s;
    size_t n = strlen(name);
    if (n < 16 || !parse_time(name, &time_s))
        return false;
    bool full = strncmp(name + 16, "-full-", 6) == 0;
    if (!full && strncmp(name + 16, "-since-", 7) != 0)
        return false;
    const char *at = name + 16 + (full ? 6 : 7);
    if (strlen(at) < 16 || !parse_hex(at, 16, nonce, sizeof nonce))
        return false;
    bool sig = strcmp(at + 16, ".jsonl.zst.sig") == 0 || strcmp(at + 16, ".jsonl.zst.age.sig") == 0;
    if (!sig && strcmp(at + 16, ".jsonl.zst") != 0 && strcmp(at + 16, ".jsonl.zst.age") != 0)
        return false;
    *ret_export = (struct export){ .time_s = time_s, .is_full = full };
    *ret_is_sig = sig;
    return true;
}

static const char *behind_chain(const char *name)
{
    static const char root[] = "catalogue/";
    uint8_t chain[16];
    const char *at = name + sizeof root - 1;
    if (strncmp(name, root, sizeof root - 1) != 0 || strlen(at) < 33 || !parse_hex(at, 32, chain, sizeof chain) || at[32] != '/')
        return NULL;
    return at + 33;
}

bool exports_is_name(const char *name)
{
    const char *rest = behind_chain(name);
    struct export parsed;
    bool sig;
    return rest != NULL && parse_name(rest, &parsed, &sig);
}

static int see(void *arg, const char *name, uint64_t size, struct error *err)
{
    struct exports *list = arg;
    const char *rest = behind_chain(name);
    struct export parsed;
    bool sig;
    (void)size;
    (void)err;
    if (rest == NULL || !parse_name(rest, &parsed, &sig))
        return 0;
    list->items = xrealloc(list->items, (list->n + 1) * sizeof *list->items);
    parsed.name = xstrdup(name);
    parsed.is_signed = sig; // sorted out below
    list->items[list->n++] = parsed;
    return 0;
}

static int compare(const void *a, const void *b) { return strcmp(((const struct export *)a)->name, ((const struct export *)b)->name); }

// A signature comes right behind what it signs.
static void join_signatures(struct exports *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->n; i++) {
        struct export item = list->items[i];
        size_t n = kept > 0 ? strlen(list->items[kept - 1].name) : 0;
        if (!item.is_signed) {
            list->items[kept++] = item;
            continue;
        }
        if (kept > 0 && strncmp(item.name, list->items[kept - 1].name, n) == 0 && strcmp(item.name + n, ".sig") == 0)
            list->items[kept - 1].is_signed = true;
        free(item.name);
    }
    list->n = kept;
}

static char *dir_of(const uint8_t chain[16])
{
    char hex[33];
    format_hex(hex, chain, 16);
    return xasprintf("catalogue/%s", hex);
}

int exports_list(struct store *store, const uint8_t chain[16], struct exports *ret_exports, struct error *err)
{
    _cleanup_free_ char *dir = dir_of(chain);
    struct exports list = { 0 };
    int r = store->ops->list(store, dir, see, &list, err);
    if (r < 0) {
        exports_done(&list);
        return r;
    }
    if (list.n > 0)
        qsort(list.items, list.n, sizeof *list.items, compare); // names begin with the time
    join_signatures(&list);
    *ret_exports = list;
    return 0;
}

// The newest are kept: so many of each kind.
int exports_prune(struct store *store, const uint8_t chain[16], uint64_t *ret_removed, struct error *err)
{
    _cleanup_exports_ struct exports list = { 0 };
    size_t full = 0, since = 0;
    struct error why;
    *ret_removed = 0;
    int r = exports_list(store, chain, &list, err);
    for (size_t i = list.n; r == 0 && i > 0; i--) {
        const struct export *item = &list.items[i - 1];
        if (item->is_full ? ++full <= EXPORTS_KEEP_FULL : ++since <= EXPORTS_KEEP_SINCE)
            continue;
        _cleanup_free_ char *sig = xasprintf("%s.sig", item->name);
        int removed = store->ops->remove(store, item->name, &why);
        if (removed == 0 && item->is_signed)
            removed = store->ops->remove(store, sig, &why);
        if (removed < 0) {
            log_debug("old exports of the catalogue stay at %s: %s", store->url, why.text);
            return 0;
        }
        ++*ret_removed;
    }
    return r;
}

static bool has(const struct exports *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].is_signed && strcmp(list->items[i].name, name) == 0)
            return true;
    return false;
}

static int copy_file(struct store *from, struct store *to, const char *name, size_t max, struct error *err)
{
    _cleanup_buf_ struct buf data = { 0 };
    int r = store_get_all(from, name, max, &data, err);
    if (r == 0)
        r = to->ops->put(to, name, data.data, data.len, err);
    return r == ERROR_EXISTS ? 0 : r;
}

int exports_copy(struct store *from, struct store *to, const uint8_t chain[16], uint64_t *ret_brought, struct error *err)
{
    _cleanup_exports_ struct exports here = { 0 }, there = { 0 };
    bool has_full = false, has_since = false;
    *ret_brought = 0;
    int r = exports_list(from, chain, &here, err);
    if (r == 0 && here.n > 0)
        r = exports_list(to, chain, &there, err);
    for (size_t i = here.n; r == 0 && i > 0 && !has_full; i--) {
        const struct export *item = &here.items[i - 1];
        if (!item->is_signed || (!item->is_full && has_since))
            continue;
        has_full = item->is_full;
        has_since = true;
        if (has(&there, item->name))
            continue;
        _cleanup_free_ char *sig = xasprintf("%s.sig", item->name);
        r = copy_file(from, to, item->name, EXPORTS_MAX, err);
        if (r == 0)
            r = copy_file(from, to, sig, SIG_MAX, err);
        *ret_brought += r == 0;
    }
    return r;
}
