#include "bkd/history/rebuilding.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/fs.h"
#include "bkd/base/log.h"
#include "bkd/history/cataloguing.h"
#include "bkd/record/archive.h"
#include "bkd/repo/exports.h"

struct rebuilding {
    const struct context *ctx;
    struct catalogue *catalogue;
    const char *identity;
    struct rebuilt *rebuilt;
};

// ---- one export

static int read_lines(struct archive_reader *reader, const char *text, struct error *err)
{
    int r = 0;
    for (const char *at = text; r == 0 && *at != '\0';) {
        size_t n = strcspn(at, "\n");
        r = n == 0 ? 0 : archive_read(reader, at, n, err);
        at += n + (at[n] == '\n');
    }
    return r;
}

static int import(struct rebuilding *b, const struct buf *text, struct error *err)
{
    struct archive_reader reader;
    int r = archive_begin(b->catalogue, &reader, err);
    if (r == 0)
        r = archive_end(&reader, read_lines(&reader, buf_str(text), err), err);
    if (r < 0)
        return r;
    b->rebuilt->exports++;
    b->rebuilt->rows += reader.rows;
    if (reader.left_out > 0)
        log_warn("lines of an export that made no sense were left out: %llu", (unsigned long long)reader.left_out);
    return 0;
}

// *ret_sealed: it takes an identity that is not here.
static void take_export(struct rebuilding *b, const struct setup *s, const struct repository *repository, const struct age_identities *identities,
                        const struct export *export, bool *ret_taken, bool *ret_sealed)
{
    _cleanup_buf_ struct buf text = { 0 };
    struct error why;
    int r = exports_read(repository, export, buf_str(&s->signers), identities->list, identities->n, &text, &why);
    if (r == 0)
        r = import(b, &text, &why);
    *ret_taken = r == 0;
    if (r == ERROR_KEY)
        *ret_sealed = true;
    else if (r < 0) {
        b->rebuilt->problems++;
        log_warn("policy %s: an export of the catalogue at %s is left out: %s", s->policy.name, repository->store->url, why.text);
    }
}

// From the newest backwards: one since the last full export, then that one. Damaged ones give way to older ones.
static int take_exports(struct rebuilding *b, const struct setup *s, const struct repository *repository, const uint8_t chain[16], struct error *err)
{
    _cleanup_exports_ struct exports list = { 0 };
    _cleanup_age_identities_ struct age_identities identities = { 0 };
    bool full = false, since = false, sealed = false, taken;
    int r = setup_load_identities(s, b->identity, &identities, err);
    if (r == 0)
        r = exports_list(repository->store, chain, &list, err);
    for (size_t i = list.n; r == 0 && i > 0 && !full && !sealed; i--) {
        const struct export *export = &list.items[i - 1];
        if (!export->is_full && since)
            continue;
        take_export(b, s, repository, &identities, export, &taken, &sealed);
        full = full || (taken && export->is_full);
        since = since || taken;
    }
    if (r == 0 && sealed) {
        b->rebuilt->left_sealed++;
        log_warn("policy %s: earlier runs and alarms are in encrypted exports at %s: bring an identity that opens them here, and give it with -i FILE", s->policy.name,
                 repository->store->url);
    }
    return r;
}

// ---- one policy

// Repository and copies are equal witnesses: the first that can be read gives heads and exports.
static int open_place(const struct setup *s, size_t index, struct repository **ret_repository, struct error *err)
{
    const struct policy_store *place;
    return index == 0 ? setup_open_repository(s, ret_repository, err) : setup_open_copy(s, s->policy.offsite.items[index - 1].url, &place, ret_repository, err);
}

static int take_place(struct rebuilding *b, const struct setup *s, size_t index, uint64_t *ret_snapshots, struct error *err)
{
    _cleanup_repository_ struct repository *repository = NULL;
    _cleanup_receipts_ struct receipts receipts = { .lock_fd = -1 };
    uint8_t chain[16];
    struct cataloguing_place place = { .url = index == 0 ? s->policy.repository.url : s->policy.offsite.items[index - 1].url,
                                       .role = index == 0 ? COPY_REPOSITORY : COPY_OFFSITE };
    int r = open_place(s, index, &repository, err);
    if (r == 0)
        r = setup_find_chain(s, repository, chain, err);
    if (r == 0)
        r = receipts_open(s->ctx->io, s->ctx->state_dir, s->policy.name, false, &receipts, err);
    if (r == 0)
        r = cataloguing_all(b->catalogue, s, &place, repository, chain, &receipts, ret_snapshots, err);
    return r < 0 ? r : take_exports(b, s, repository, chain, err);
}

static int take_policy(struct rebuilding *b, const char *name, struct error *err)
{
    _cleanup_setup_ struct setup s = { 0 };
    uint64_t snapshots = 0, most = 0;
    size_t read = 0;
    int r = setup_load(b->ctx, name, &s, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i <= s.policy.offsite.count; i++) {
        struct error why;
        r = take_place(b, &s, i, &snapshots, &why);
        if (r == ERROR_BUSY || r == ERROR_NO_SPACE) {
            *err = why;
            return r; // of the catalogue: the others would not do better
        }
        if (r < 0)
            log_warn("policy %s: %s", s.policy.name, why.text);
        read += r == 0;
        most = r == 0 && snapshots > most ? snapshots : most;
    }
    b->rebuilt->policies += read > 0;
    b->rebuilt->failed += read == 0;
    b->rebuilt->snapshots += most;
    return 0;
}

// ---- all of them

static int see_policy(void *arg, const char *file, unsigned char type, struct error *err)
{
    struct rebuilding *b = arg;
    size_t n = strlen(file);
    struct error why;
    (void)type;
    if (n <= 5 || strcmp(file + n - 5, ".yaml") != 0)
        return 0;
    _cleanup_free_ char *name = xstrndup(file, n - 5);
    int r = take_policy(b, name, &why);
    if (r == ERROR_BUSY || r == ERROR_NO_SPACE) {
        *err = why;
        return r;
    }
    if (r < 0) {
        b->rebuilt->failed++;
        log_warn("%s", why.text);
    }
    return 0;
}

int rebuilding_run(const struct context *ctx, struct catalogue *c, const char *policy, const char *identity, struct rebuilt *ret_rebuilt, struct error *err)
{
    struct rebuilding b = { .ctx = ctx, .catalogue = c, .identity = identity, .rebuilt = ret_rebuilt };
    *ret_rebuilt = (struct rebuilt){ 0 };
    if (policy != NULL)
        return take_policy(&b, policy, err);
    _cleanup_free_ char *dir = xasprintf("%s/policies", ctx->config_dir);
    int r = fs_list_dir(ctx->io, AT_FDCWD, dir, see_policy, &b, err);
    return r == ERROR_NOT_FOUND ? 0 : r;
}
