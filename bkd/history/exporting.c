#include "bkd/history/exporting.h"

#include <string.h>

#include "bkd/base/log.h"
#include "bkd/codec/sshkey.h"
#include "bkd/engine/state.h"
#include "bkd/record/archive.h"
#include "bkd/repo/exports.h"

#define HOUR_NS UINT64_C(3600000000000)
#define EVERY_NS (20 * HOUR_NS)      // a nightly run is sometimes early
#define FULL_NS (30 * 24 * HOUR_NS)  // until then, what is new since the last full export

static int add(void *arg, const void *text, size_t n, struct error *err) { return exports_writer_add(arg, text, n, err); }

// Marks are named by the policy: "export.full:erp".
static int mark_of(struct catalogue *c, const char *what, const char *policy, uint64_t *ret_ns, struct error *err)
{
    _cleanup_free_ char *name = xasprintf("export.%s:%s", what, policy);
    int64_t value = 0;
    int r = catalogue_mark(c, name, &value, err);
    *ret_ns = r < 0 || value < 0 ? 0 : (uint64_t)value;
    return r;
}

static int set_mark(struct catalogue *c, const char *what, const char *policy, uint64_t value, struct error *err)
{
    _cleanup_free_ char *name = xasprintf("export.%s:%s", what, policy);
    return catalogue_set_mark(c, name, (int64_t)value, err);
}

static int find_chain(const struct setup *s, uint8_t ret_chain[16], struct error *err)
{
    _cleanup_state_ struct state state = { 0 };
    int r = state_open_readonly(s->ctx->io, s->ctx->state_dir, s->policy.name, &state, err);
    if (r == 0 && !state.has_chain)
        r = error_set(err, ERROR_NOT_FOUND, "policy %s has no snapshot yet", s->policy.name);
    if (r == 0)
        memcpy(ret_chain, state.chain, sizeof state.chain);
    return r;
}

static int put(struct catalogue *c, const struct setup *s, struct store *store, const uint8_t chain[16], uint64_t since_ns, uint64_t *ret_size, struct error *err)
{
    _cleanup_sshkey_ struct sshkey key = { 0 };
    _cleanup_exports_writer_ struct exports_writer *w = NULL;
    struct archive_options options = { .host = s->host, .policy = s->policy.name, .since_ns = since_ns };
    int r = sshkey_parse(s->signing_key.data, s->signing_key.len, &key, err);
    if (r == 0)
        r = exports_writer_new(s->ctx->io, s->recipients.list, s->recipients.n, &w, err);
    if (r == 0)
        r = archive_write(c, &options, add, w, err);
    return r < 0 ? r : exports_writer_put(&w, store, chain, since_ns == 0, &key, ret_size, err);
}

int exporting_run(struct catalogue *c, const struct setup *s, struct store *store, bool is_full, uint64_t *ret_size, struct error *err)
{
    uint8_t chain[16];
    uint64_t last_full, now = catalogue_now_ns(c), removed;
    int r = mark_of(c, "full", s->policy.name, &last_full, err);
    if (r == 0)
        r = find_chain(s, chain, err);
    is_full = is_full || last_full == 0 || last_full > now || now - last_full > FULL_NS;
    if (r == 0)
        r = put(c, s, store, chain, is_full ? 0 : last_full, ret_size, err);
    if (r == 0)
        r = set_mark(c, "last", s->policy.name, now, err);
    if (r == 0 && is_full)
        r = set_mark(c, "full", s->policy.name, now, err);
    if (r == 0)
        r = exports_prune(store, chain, &removed, err);
    return r;
}

void exporting_nightly(const struct setup *s, struct store *store)
{
    _cleanup_catalogue_ struct catalogue c = { 0 };
    uint64_t last = 0, size = 0;
    struct error err;
    int r = catalogue_open(s->ctx->io, s->ctx->state_dir, CATALOGUE_WRITE, &c, &err);
    if (r == 0)
        r = mark_of(&c, "last", s->policy.name, &last, &err);
    uint64_t now = io_realtime_ns(s->ctx->io);
    if (r == 0 && last <= now && now - last < EVERY_NS)
        return;
    if (r == 0)
        r = exporting_run(&c, s, store, false, &size, &err);
    if (r < 0)
        log_warn("policy %s: the catalogue was not exported beside the repository: %s. The next backup tries again, or `bkd catalogue export %s`", s->policy.name, err.text,
                 s->policy.name);
    else
        log_debug("the catalogue was exported beside the repository size=%llu", (unsigned long long)size);
}

void exporting_ship(const struct setup *s, struct store *from, struct store *to, const uint8_t chain[16])
{
    uint64_t brought = 0, removed;
    struct error err;
    int r = exports_copy(from, to, chain, &brought, &err);
    if (r == 0 && brought > 0)
        r = exports_prune(to, chain, &removed, &err);
    if (r < 0)
        log_warn("policy %s: the export of the catalogue did not reach %s: %s. The next ship tries again", s->policy.name, to->url, err.text);
}
