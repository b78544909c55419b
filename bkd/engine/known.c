#include "bkd/engine/known.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"

#define ROLE "known"

// Record: kind (1), SHA-256 (32), object (4, LE), offset (8, LE), length (8, LE); sorted by its bytes.
enum { RECORD = 53, KEY = 33, RECENT = 1 << 16, ADDED_MEMORY = 8 << 20 };

struct known {
    const struct io *io;
    int dirfd;
    char name[KNOWN_NAME_SIZE];
    uint8_t key[SEALED_KEY_SIZE];
    known_usable_fn *usable;
    void *arg;
    int fd; // -1 when there is no file
    uint64_t count;
    uint8_t (*recent)[RECORD]; // direct-mapped by the hash; kind 0 = empty
    struct spill *added;
};

static int compare_records(const void *a, size_t a_len, const void *b, size_t b_len)
{
    (void)a_len;
    (void)b_len;
    return memcmp(a, b, RECORD);
}

static void put_record(uint8_t record[RECORD], enum known_kind kind, const uint8_t sha256[32], const struct place *place)
{
    record[0] = (uint8_t)kind;
    memcpy(record + 1, sha256, 32);
    put_u32le(record + KEY, place->object);
    put_u64le(record + KEY + 4, place->offset);
    put_u64le(record + KEY + 12, place->length);
}

static struct place record_place(const uint8_t record[RECORD])
{
    return (struct place){ .object = get_u32le(record + KEY), .offset = get_u64le(record + KEY + 4), .length = get_u64le(record + KEY + 12) };
}

void known_name(const uint8_t *head_sha256, char ret_name[KNOWN_NAME_SIZE])
{
    char hex[17] = "none"; // no such file is ever written
    if (head_sha256 != NULL)
        format_hex(hex, head_sha256, 8);
    (void)snprintf(ret_name, KNOWN_NAME_SIZE, "%s-%s", ROLE, hex);
}

int known_open(const struct io *io, int dirfd, const uint8_t *head_sha256, const uint8_t key[SEALED_KEY_SIZE], known_usable_fn *usable, void *arg,
               struct known **ret_known, struct error *err)
{
    struct known *k = xcalloc(1, sizeof *k);
    *k = (struct known){ .io = io, .dirfd = dirfd, .usable = usable, .arg = arg, .fd = -1 };
    known_name(head_sha256, k->name);
    memcpy(k->key, key, sizeof k->key);
    k->recent = xcalloc(RECENT, sizeof *k->recent);
    k->added = spill_new(io, dirfd, compare_records, ADDED_MEMORY);
    uint64_t size = 0;
    int r = sealed_open_as(io, dirfd, ROLE, k->name, key, &k->fd, &size, NULL, err);
    if (r == ERROR_NOT_FOUND || r == ERROR_INTEGRITY)
        r = 0; // content is then stored again
    k->count = size / RECORD;
    if (r < 0) {
        known_free(k);
        return r;
    }
    *ret_known = k;
    return 0;
}

void known_free(struct known *k)
{
    if (k == NULL)
        return;
    io_close_quietly(k->io, &k->fd);
    spill_free(k->added);
    free(k->recent);
    free(k);
}

// A piece, the version it begins and a file of that one piece have the same hash: each has a slot.
static size_t recent_slot(enum known_kind kind, const uint8_t sha256[32]) { return (get_u32le(sha256) + (uint32_t)kind) % RECENT; }

static bool read_record(struct known *k, uint64_t index, uint8_t record[RECORD])
{
    struct error ignored; // an unreadable cache is an empty cache
    size_t got = 0;
    return io_pread_full(k->io, k->fd, record, RECORD, index * RECORD, k->name, &got, &ignored) == 0 && got == RECORD;
}

// A plain binary search; its upper steps stay in the page cache.
static bool find_in_file(struct known *k, const uint8_t wanted[KEY], struct place *ret_place)
{
    uint64_t low = 0, high = k->count;
    uint8_t record[RECORD];
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (!read_record(k, middle, record))
            return false;
        int c = memcmp(record, wanted, KEY);
        if (c < 0) {
            low = middle + 1;
        } else if (c > 0) {
            high = middle;
        } else {
            struct place place = record_place(record);
            if (k->usable(k->arg, place.object)) {
                *ret_place = place;
                return true;
            }
            high = middle; // the same content may stand in another object too
        }
    }
    for (uint64_t i = low; i < k->count && read_record(k, i, record) && memcmp(record, wanted, KEY) == 0; i++) {
        struct place place = record_place(record);
        if (k->usable(k->arg, place.object)) {
            *ret_place = place;
            return true;
        }
    }
    return false;
}

bool known_find(struct known *k, enum known_kind kind, const uint8_t sha256[32], struct place *ret_place)
{
    uint8_t wanted[KEY];
    wanted[0] = (uint8_t)kind;
    memcpy(wanted + 1, sha256, 32);
    const uint8_t *recent = k->recent[recent_slot(kind, sha256)];
    if (memcmp(recent, wanted, KEY) == 0) {
        *ret_place = record_place(recent);
        return true;
    }
    return k->count > 0 && find_in_file(k, wanted, ret_place);
}

int known_add(struct known *k, enum known_kind kind, const uint8_t sha256[32], const struct place *place, struct error *err)
{
    uint8_t *record = k->recent[recent_slot(kind, sha256)];
    put_record(record, kind, sha256, place);
    return spill_add(k->added, record, RECORD, err);
}

// Reads the old file in order, in chunks.
struct old_records {
    struct known *k;
    uint64_t next;
    struct buf window;
    size_t at;
};

static const uint8_t *old_next(struct old_records *old, int *ret_status, struct error *err)
{
    struct known *k = old->k;
    if (old->at == old->window.len) {
        uint64_t left = k->count - old->next;
        size_t want = (left < 4096 ? (size_t)left : 4096) * RECORD, got = 0;
        buf_reset(&old->window);
        old->at = 0;
        if (want == 0)
            return NULL;
        *ret_status = io_pread_full(k->io, k->fd, buf_extend(&old->window, want), want, old->next * RECORD, k->name, &got, err);
        if (*ret_status == 0 && got != want)
            *ret_status = error_set(err, ERROR_INTEGRITY, "local cache file '%s' was cut short", k->name);
        if (*ret_status < 0)
            return NULL;
        old->next += want / RECORD;
    }
    const uint8_t *record = old->window.data + old->at;
    old->at += RECORD;
    return record;
}

static int merge(struct known *k, struct sealed_writer *w, struct old_records *old, struct error *err)
{
    int r = 0;
    size_t len;
    const void *added = NULL;
    const uint8_t *record = old_next(old, &r, err);
    if (r == 0)
        r = spill_next(k->added, &added, &len, err);
    while (r == 0 && (record != NULL || added != NULL)) {
        bool take_old = added == NULL || (record != NULL && memcmp(record, added, RECORD) <= 0);
        const uint8_t *take = take_old ? record : added;
        if (!take_old || k->usable(k->arg, record_place(take).object))
            r = sealed_add(w, take, RECORD, err);
        if (r < 0)
            break;
        if (take_old)
            record = old_next(old, &r, err);
        else
            r = spill_next(k->added, &added, &len, err);
    }
    return r;
}

// Drops what this run could not refer to, and adds what it made.
static int write_merged(struct known *k, const char *name, struct error *err)
{
    _cleanup_sealed_ struct sealed_writer w = { .fd = -1 };
    struct old_records old = { .k = k };
    int r = spill_sort(k->added, err);
    if (r == 0)
        r = sealed_begin(&w, k->io, k->dirfd, ROLE, k->key, err);
    if (r == 0)
        r = merge(k, &w, &old, err);
    buf_done(&old.window);
    return r < 0 ? r : sealed_commit_as(&w, name, err);
}

int known_save(struct known *k, const uint8_t head_sha256[32], struct error *err)
{
    char name[KNOWN_NAME_SIZE];
    known_name(head_sha256, name);
    if (spill_count(k->added) > 0) {
        int r = write_merged(k, name, err);
        if (r == 0)
            (void)k->io->unlinkat(k->io, k->dirfd, k->name, 0); // found by no run any more
        return r;
    }
    return k->fd < 0 ? 0 : io_rename_over(k->io, k->dirfd, k->name, k->dirfd, name, err);
}
