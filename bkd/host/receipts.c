#include "bkd/host/receipts.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/fs.h"
#include "bkd/base/json.h"
#include "bkd/base/log.h"

#define FILE_MAX (1u << 20)
#define MINUTE_NS UINT64_C(60000000000)

static void read_line(struct receipts *r, const char *line, size_t n)
{
    _cleanup_json_ struct json *json = NULL;
    struct error ignored;
    if (json_parse(line, n, &json, &ignored) < 0)
        return;
    const char *url = json_get_str(json, "url"), *serial = json_get_str(json, "serial"), *problem = json_get_str(json, "problem");
    if (url == NULL || (serial != NULL && strlen(serial) >= RECEIPTS_SERIAL_MAX))
        return;
    struct receipt *receipt = receipts_of(r, url, serial == NULL ? "" : serial);
    const char *store = json_get_str(json, "store"), *chain = json_get_str(json, "chain");
    (void)snprintf(receipt->chain, sizeof receipt->chain, "%s", chain == NULL ? "" : chain);
    (void)snprintf(receipt->store, sizeof receipt->store, "%s", store == NULL ? "" : store);
    uint64_t failures = 0, damaged = 0;
    (void)json_get_u64(json, "snapshot", &receipt->snapshot); // what is missing stays 0
    (void)json_get_u64(json, "snapshot_time_ns", &receipt->snapshot_time_ns);
    (void)json_get_u64(json, "shipped_ns", &receipt->shipped_ns);
    (void)json_get_u64(json, "failing_since_ns", &receipt->failing_since_ns);
    (void)json_get_u64(json, "failures", &failures);
    (void)json_get_u64(json, "damaged", &damaged);
    receipt->damaged = damaged != 0;
    receipt->failures = failures > 1000000 ? 1000000 : (unsigned)failures;
    free(receipt->problem);
    receipt->problem = problem == NULL ? NULL : xstrdup(problem);
}

static int read_all(struct receipts *r, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    int e = fs_read_file(r->io, AT_FDCWD, r->path, FILE_MAX, &text, err);
    if (e == ERROR_NOT_FOUND)
        return 0;
    if (e < 0)
        return e;
    for (const char *at = buf_str(&text); *at != '\0';) {
        size_t n = strcspn(at, "\n");
        read_line(r, at, n);
        at += n + (at[n] == '\n');
    }
    return 0;
}

int receipts_open(const struct io *io, const char *state_dir, const char *policy, bool lock, struct receipts *ret_receipts, struct error *err)
{
    struct receipts r = { .io = io, .path = xasprintf("%s/policies/%s/copies", state_dir, policy), .lock_fd = -1 };
    _cleanup_free_ char *lock_path = xasprintf("%s.lock", r.path), *dir = xasprintf("%s/policies/%s", state_dir, policy);
    int e = lock ? fs_make_dirs(io, AT_FDCWD, dir, 0700, err) : 0;
    if (e == 0 && lock)
        e = fs_lock(io, AT_FDCWD, lock_path, &r.lock_fd, err);
    if (e == ERROR_BUSY)
        (void)error_set(err, ERROR_BUSY, "another process ships the copies of policy %s", policy);
    if (e == 0)
        e = read_all(&r, err);
    if (e < 0)
        receipts_close(&r);
    else
        *ret_receipts = r;
    return e;
}

void receipts_close(struct receipts *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->items[i].url);
        free(r->items[i].problem);
    }
    free(r->items);
    free(r->path);
    if (r->io != NULL && r->lock_fd >= 0)
        io_close_quietly(r->io, &r->lock_fd);
    *r = (struct receipts){ .lock_fd = -1 };
}

struct receipt *receipts_of(struct receipts *r, const char *url, const char *serial)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->items[i].url, url) == 0 && strcmp(r->items[i].serial, serial) == 0)
            return &r->items[i];
    r->items = xrealloc(r->items, (r->n + 1) * sizeof *r->items);
    struct receipt *new = &r->items[r->n++];
    *new = (struct receipt){ .url = xstrdup(url) };
    (void)memccpy(new->serial, serial, '\0', sizeof new->serial - 1);
    return new;
}

const struct receipt *receipts_newest(const struct receipts *r, const char *url)
{
    const struct receipt *newest = NULL;
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->items[i].url, url) == 0 && (newest == NULL || r->items[i].snapshot_time_ns > newest->snapshot_time_ns))
            newest = &r->items[i];
    return newest;
}

int receipts_save(const struct receipts *r, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    for (size_t i = 0; i < r->n; i++) {
        const struct receipt *it = &r->items[i];
        _cleanup_json_ struct json *json = json_object_new();
        json_add_str(json, "url", it->url);
        json_add_str(json, "serial", it->serial);
        json_add_str(json, "store", it->store[0] == '\0' ? NULL : it->store);
        if (it->chain[0] != '\0')
            json_add_str(json, "chain", it->chain);
        json_add_u64(json, "snapshot", it->snapshot);
        json_add_u64(json, "snapshot_time_ns", it->snapshot_time_ns);
        json_add_u64(json, "shipped_ns", it->shipped_ns);
        json_add_u64(json, "failing_since_ns", it->failing_since_ns);
        json_add_u64(json, "failures", it->failures);
        json_add_u64(json, "damaged", it->damaged);
        if (it->problem != NULL)
            json_add_str(json, "problem", it->problem);
        json_format(json, &text);
        buf_add_char(&text, '\n');
    }
    return fs_replace_file(r->io, AT_FDCWD, r->path, 0600, text.data, text.len, err);
}

uint64_t receipts_back_off_ns(unsigned failures)
{
    return failures == 0 ? 0 : failures > 6 ? 60 * MINUTE_NS : MINUTE_NS << (failures - 1);
}
