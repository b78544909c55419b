#include "bkd/engine/versions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/fs.h"

enum { NAME_MAX_SIZE = 64, NEEDS_MAX = 64 << 20, SEEN_MEMORY = 1 << 20 };

static void aside_name(char name[NAME_MAX_SIZE], const uint8_t id[16])
{
    format_hex(name, id, 16);
    (void)snprintf(name + 32, NAME_MAX_SIZE - 32, ".new");
}

void versions_needs_done(struct versions_needs *needs)
{
    free(needs->items);
    *needs = (struct versions_needs){ 0 };
}

// Index of the first one not below the object.
static size_t find_need(const struct versions_needs *needs, uint32_t object)
{
    size_t low = 0, high = needs->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (needs->items[middle].object < object)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct versions_need *versions_needs_find(const struct versions_needs *needs, uint32_t object)
{
    size_t at = find_need(needs, object);
    return at < needs->n && needs->items[at].object == object ? &needs->items[at] : NULL;
}

void versions_needs_add(struct versions_needs *needs, uint32_t object, uint64_t used)
{
    size_t low = find_need(needs, object);
    if (low < needs->n && needs->items[low].object == object) {
        needs->items[low].used += used;
        return;
    }
    if (needs->n == needs->cap) {
        needs->cap = needs->cap == 0 ? 8 : 2 * needs->cap;
        needs->items = xrealloc(needs->items, needs->cap * sizeof *needs->items);
    }
    memmove(needs->items + low + 1, needs->items + low, (needs->n - low) * sizeof *needs->items);
    needs->items[low] = (struct versions_need){ object, used };
    needs->n++;
}

static int compare_names(const void *a, size_t a_len, const void *b, size_t b_len)
{
    int c = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return c != 0 ? c : a_len < b_len ? -1 : a_len > b_len;
}

int versions_open_readonly(struct versions *v, const struct io *io, int state_dirfd, const uint8_t key[SEALED_KEY_SIZE], struct error *err)
{
    *v = (struct versions){ .io = io, .dirfd = -1 };
    memcpy(v->key, key, sizeof v->key);
    return io_open(io, state_dirfd, "versions", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &v->dirfd, err);
}

int versions_open(struct versions *v, const struct io *io, int state_dirfd, const uint8_t key[SEALED_KEY_SIZE], struct error *err)
{
    *v = (struct versions){ .dirfd = -1 };
    int r = fs_make_dirs(io, state_dirfd, "versions", 0700, err);
    if (r == 0)
        r = versions_open_readonly(v, io, state_dirfd, key, err);
    if (r == 0)
        v->seen = spill_new(io, v->dirfd, compare_names, SEEN_MEMORY);
    return r;
}

void versions_done(struct versions *v)
{
    if (v->io == NULL)
        return;
    spill_free(v->seen);
    io_close_quietly(v->io, &v->dirfd);
    *v = (struct versions){ .dirfd = -1 };
}

static void base_name(char name[NAME_MAX_SIZE], const struct place *place, const char *ending)
{
    (void)snprintf(name, NAME_MAX_SIZE, "%u-%llu.%s", place->object, (unsigned long long)place->offset, ending);
}

// "anchor STEPS OBJECT:OFFSET+LENGTH"
static bool read_anchor(const char *line, size_t n, struct versions_needs *needs)
{
    uint64_t steps;
    const char *space = memchr(line, ' ', n);
    if (space == NULL || !parse_u64(line, (size_t)(space - line), RECIPE_CHAIN_MAX, &steps))
        return false;
    needs->steps = (uint32_t)steps;
    return place_parse(space + 1, n - (size_t)(space + 1 - line), &needs->anchor);
}

// Needs as text: "delta N", "anchor …" of a version that is none, then "OBJECT USED" a line. Sealed, so parsing only guards against our own defects.
static int read_needs(struct versions *v, const struct place *place, struct versions_needs *ret_needs, struct error *err)
{
    char name[NAME_MAX_SIZE];
    _cleanup_buf_ struct buf text = { 0 };
    base_name(name, place, "needs");
    int r = sealed_read(v->io, v->dirfd, name, v->key, NEEDS_MAX, &text, err);
    if (r < 0)
        return r;
    struct cursor c = cursor_of(text.data, text.len);
    const char *line;
    size_t n;
    bool good = cursor_line(&c, &line, &n) && n > 6 && memcmp(line, "delta ", 6) == 0 && parse_u64(line + 6, n - 6, UINT64_MAX, &ret_needs->delta_bytes);
    while (good && cursor_line(&c, &line, &n)) {
        if (n > 7 && memcmp(line, "anchor ", 7) == 0) {
            good = read_anchor(line + 7, n - 7, ret_needs);
            continue;
        }
        const char *space = memchr(line, ' ', n);
        uint64_t object, used;
        good = space != NULL && parse_u64(line, (size_t)(space - line), UINT32_MAX, &object) &&
               parse_u64(space + 1, n - (size_t)(space + 1 - line), UINT64_MAX, &used);
        if (good)
            versions_needs_add(ret_needs, (uint32_t)object, used);
    }
    return good ? 0 : error_set(err, ERROR_INTEGRITY, "local cache file '%s' is not understood", name);
}

static int load_search(struct versions_base *base, struct error *err)
{
    _cleanup_buf_ struct buf signature = { 0 };
    int r = version_cache_signature(base->cache, &signature, err);
    return r < 0 ? r : delta_search_new(signature.data, signature.len, base->recipe.size, &base->search, err);
}

static uint64_t memory_of_search(const struct version_cache *cache)
{
    const struct version_cache_info *info = version_cache_info(cache);
    return info->signature_block == 0 ? 0 : delta_signature_memory(delta_signature_count(info->file_size, info->signature_block));
}

int versions_read_recipe(struct versions *v, const struct place *place, struct recipe *ret_recipe, struct error *err)
{
    char name[NAME_MAX_SIZE];
    _cleanup_buf_ struct buf text = { 0 };
    base_name(name, place, "recipe");
    int r = sealed_read(v->io, v->dirfd, name, v->key, RECIPE_TEXT_MAX, &text, err);
    return r < 0 ? r : recipe_parse(buf_str(&text), text.len, ret_recipe, err);
}

int versions_load(struct versions *v, const struct place *place, uint64_t search_memory, struct versions_base *ret_base, struct error *err)
{
    struct versions_base base = { .place = *place };
    char name[NAME_MAX_SIZE];
    int r = versions_read_recipe(v, place, &base.recipe, err);
    if (r == 0)
        r = read_needs(v, place, &base.needs, err);
    if (r < 0) {
        versions_base_done(&base);
        return r;
    }
    struct error ignored; // without tags nothing is found at the same place, without a signature nothing elsewhere
    base_name(name, place, "tags");
    if (version_cache_open(v->io, v->dirfd, name, base.recipe.id, v->key, &base.cache, &ignored) < 0)
        base.cache = NULL;
    uint64_t memory = base.cache == NULL ? 0 : memory_of_search(base.cache);
    if (memory > 0 && memory <= search_memory && load_search(&base, &ignored) < 0)
        base.search = NULL;
    *ret_base = base;
    return 0;
}

void versions_base_done(struct versions_base *base)
{
    delta_search_free(base->search);
    version_cache_free(base->cache);
    versions_needs_done(&base->needs);
    recipe_done(&base->recipe);
    *base = (struct versions_base){ 0 };
}

static int mark_seen(struct versions *v, const struct place *place, struct error *err)
{
    char name[NAME_MAX_SIZE];
    base_name(name, place, "");
    return spill_add(v->seen, name, strlen(name), err);
}

int versions_use(struct versions *v, const struct place *place, struct versions_needs *ret_needs, struct error *err)
{
    int r = read_needs(v, place, ret_needs, err);
    if (r == 0)
        r = mark_seen(v, place, err);
    return r < 0 || ret_needs->steps == 0 ? r : mark_seen(v, &ret_needs->anchor, err);
}

int versions_begin_cache(struct versions *v, const struct version_cache_info *info, struct version_cache_writer **ret_writer, struct error *err)
{
    char name[NAME_MAX_SIZE];
    aside_name(name, info->version_id);
    return version_cache_create(v->io, v->dirfd, name, info, v->key, ret_writer, err);
}

int versions_save(struct versions *v, const struct place *place, const struct buf *recipe_text, const struct versions_needs *needs,
                  const uint8_t *cache_id, struct error *err)
{
    char name[NAME_MAX_SIZE], aside[NAME_MAX_SIZE];
    _cleanup_buf_ struct buf text = { 0 };
    v->changed = true;
    buf_addf(&text, "delta %llu\n", (unsigned long long)needs->delta_bytes);
    if (needs->steps > 0) {
        buf_addf(&text, "anchor %u ", needs->steps);
        place_format(&text, &needs->anchor);
        buf_add_char(&text, '\n');
    }
    for (size_t i = 0; i < needs->n; i++)
        buf_addf(&text, "%u %llu\n", needs->items[i].object, (unsigned long long)needs->items[i].used);
    int r = 0;
    if (cache_id != NULL) {
        base_name(name, place, "tags");
        aside_name(aside, cache_id);
        r = io_rename_over(v->io, v->dirfd, aside, v->dirfd, name, err);
    }
    base_name(name, place, "recipe");
    if (r == 0)
        r = sealed_write(v->io, v->dirfd, name, v->key, recipe_text->data, recipe_text->len, err);
    base_name(name, place, "needs");
    return r < 0 ? r : sealed_write(v->io, v->dirfd, name, v->key, text.data, text.len, err);
}

static int collect_name(void *arg, const char *name, unsigned char type, struct error *err)
{
    (void)type;
    return spill_add(arg, name, strlen(name), err);
}

// Both lists are sorted; a file belongs to a version when the version's name ("12-512.") is its beginning.
static int remove_unseen(struct versions *v, struct spill *present, struct error *err)
{
    const void *file = NULL, *seen = NULL;
    size_t file_len = 0, seen_len = 0;
    int r = spill_next(present, &file, &file_len, err);
    if (r == 0)
        r = spill_next(v->seen, &seen, &seen_len, err);
    while (r == 0 && file != NULL) {
        size_t n = seen == NULL || file_len < seen_len ? file_len : seen_len;
        int c = seen == NULL ? -1 : memcmp(file, seen, n);
        if (c > 0 || (c == 0 && file_len < seen_len)) {
            r = spill_next(v->seen, &seen, &seen_len, err);
            continue;
        }
        if (c < 0) {
            _cleanup_free_ char *name = xstrndup(file, file_len);
            (void)v->io->unlinkat(v->io, v->dirfd, name, 0); // tried again next time
        }
        r = spill_next(present, &file, &file_len, err);
    }
    return r;
}

int versions_sweep(struct versions *v, struct error *err)
{
    if (!v->changed)
        return 0;
    _cleanup_spill_ struct spill *present = spill_new(v->io, v->dirfd, compare_names, SEEN_MEMORY);
    int r = fs_list_dir(v->io, v->dirfd, ".", collect_name, present, err);
    if (r == 0)
        r = spill_sort(present, err);
    if (r == 0)
        r = spill_sort(v->seen, err);
    return r < 0 ? r : remove_unseen(v, present, err);
}
