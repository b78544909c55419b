#include "bkd/repo/run_markers.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/repo/lines.h"

enum { NONCE = 16, TEXT_MAX = 1024 };

int run_markers_begin(const struct repository *r, const uint8_t chain[16], const uint8_t *parent_sha256, const char *host, char **ret_name, struct error *err)
{
    static const uint8_t none[32] = { 0 };
    uint8_t nonce[NONCE];
    char hex[2 * NONCE + 1];
    _cleanup_buf_ struct buf text = { 0 };
    io_random(r->io, nonce, sizeof nonce);
    format_hex(hex, nonce, sizeof nonce);
    buf_add_str(&text, "bkd-run/1\n");
    lines_add_hex(&text, "chain", chain, 16);
    lines_add_hex(&text, "parent", parent_sha256 == NULL ? none : parent_sha256, sizeof none);
    lines_add_time(&text, "time", io_realtime_ns(r->io));
    lines_add_label(&text, "host", host);
    _cleanup_free_ char *name = xasprintf("runs/%s", hex);
    int e = r->store->ops->put(r->store, name, text.data, text.len, err);
    if (e == 0)
        *ret_name = TAKE(name);
    return e;
}

void run_markers_end(const struct repository *r, const char *name)
{
    struct error ignored;
    if (name != NULL)
        (void)!r->store->ops->remove(r->store, name, &ignored);
}

// ---- reading

static int parse(const void *text, size_t n, struct run_marker *marker, struct error *err)
{
    struct lines l;
    const char *v;
    char host[LINES_LABEL_MAX + 1];
    lines_init(&l, text, n, "marker of a run", true);
    int e = lines_take_first(&l, "bkd-run/1", err);
    if (e < 0)
        return e;
    LINES_NEED(&l, "chain", LINES_ONLY(lines_hex(&v, &n, marker->chain, sizeof marker->chain)));
    LINES_NEED(&l, "parent", LINES_ONLY(lines_hex(&v, &n, marker->parent, sizeof marker->parent)));
    LINES_NEED(&l, "time", lines_time(v, n, &marker->time_ns));
    LINES_NEED(&l, "host", lines_label(v, n, host));
    return lines_ended(&l) ? 0 : lines_expected(&l, "line", err);
}

static int note(void *arg, const char *name, uint64_t size, struct error *err)
{
    struct run_markers *runs = arg;
    (void)size, (void)err;
    runs->items = xrealloc(runs->items, (runs->n + 1) * sizeof *runs->items);
    runs->items[runs->n++] = (struct run_marker){ .name = xstrdup(name) };
    return 0;
}

static int take(void *arg, size_t index, const struct store_found *found, struct error *err)
{
    struct run_markers *runs = arg;
    struct error ignored;
    (void)err;
    runs->items[index].alive = found->result == 0 && parse(found->data, (size_t)found->size, &runs->items[index], &ignored) == 0;
    return 0;
}

int run_markers_load(const struct repository *r, uint64_t now_ns, struct run_markers *ret_runs, struct error *err)
{
    _cleanup_run_markers_ struct run_markers runs = { 0 };
    int e = r->store->ops->list(r->store, "runs", note, &runs, err);
    const char **names = xcalloc(runs.n + 1, sizeof *names);
    for (size_t i = 0; i < runs.n; i++)
        names[i] = runs.items[i].name;
    struct store_many many = { .names = names, .n = runs.n, .max = TEXT_MAX, .visit = take, .arg = &runs };
    if (e == 0)
        e = store_get_many(r->store, &many, err);
    free(names);
    for (size_t i = 0; i < runs.n; i++) {
        uint64_t time = runs.items[i].time_ns, away = time > now_ns ? time - now_ns : now_ns - time;
        runs.items[i].alive = runs.items[i].alive && away <= RUN_MARKERS_ALIVE_NS;
    }
    if (e == 0) {
        *ret_runs = runs;
        runs = (struct run_markers){ 0 };
    }
    return e;
}

void run_markers_done(struct run_markers *runs)
{
    for (size_t i = 0; i < runs->n; i++)
        free(runs->items[i].name);
    free(runs->items);
    *runs = (struct run_markers){ 0 };
}

bool run_markers_any_alive(const struct run_markers *runs)
{
    for (size_t i = 0; i < runs->n; i++)
        if (runs->items[i].alive)
            return true;
    return false;
}

bool run_markers_need(const struct run_markers *runs, const struct repository_head *head)
{
    for (size_t i = 0; i < runs->n; i++)
        if (runs->items[i].alive && memcmp(runs->items[i].parent, head->sha256, sizeof head->sha256) == 0)
            return true;
    return false;
}
