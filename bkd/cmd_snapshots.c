#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/cmd.h"
#include "bkd/host/setup.h"
#include "bkd/repo/marks.h"
#include "bkd/repo/suspects.h"
#include "bkd/repo/tombstones.h"

struct listing {
    const struct context *ctx;
    struct records records;
    struct tombstones tombstones;
    uint64_t now_ns;
    size_t pruned; // left out
};

static int print_json(const struct listing *l, const struct repository_head *h, struct error *err)
{
    struct json *line = json_line_new(h->valid ? "snapshot" : "void");
    json_add_u64(line, h->valid ? "snapshot" : "number", h->number);
    json_add_hex(line, "chain", h->chain, sizeof h->chain);
    if (!h->valid) {
        json_add_str(line, "problem", h->problem);
        return json_line_print(&line, stdout, err);
    }
    const struct format_head *head = &h->head;
    json_add_time(line, "time", head->time_ns);
    json_add_str(line, "host", head->host);
    json_add_str(line, "policy", head->policy);
    json_add_u64(line, "files", head->files);
    json_add_u64(line, "entries", head->entries);
    json_add_u64(line, "bytes_source", head->bytes);
    json_add_u64(line, "bytes_stored", head->stored);
    json_add_bool(line, "complete", (head->flags & FORMAT_INCOMPLETE) == 0);
    json_add_bool(line, "suspect", suspects_is(&l->records, h));
    json_add_str(line, "tag", head->tag[0] == '\0' ? NULL : head->tag);
    marks_add_json(line, &l->records, h);
    const struct tombstone *stone = tombstones_of(&l->tombstones, h);
    json_add_bool(line, "pruned", tombstones_excuse(&l->tombstones, h, l->now_ns));
    if (stone != NULL) {
        json_add_time(line, "given_up", stone->time_ns);
        json_add_time(line, "goes_after", stone->after_ns);
    }
    json_add_hex(line, "head_sha256", h->sha256, sizeof h->sha256);
    return json_line_print(&line, stdout, err);
}

static void add_fate(const struct listing *l, const struct repository_head *h, struct buf *out)
{
    char after[CLOCK_TEXT_MAX];
    const struct tombstone *stone = tombstones_of(&l->tombstones, h);
    if (stone == NULL)
        return;
    clock_format_utc(after, stone->after_ns, false);
    if (tombstones_excuse(&l->tombstones, h, l->now_ns))
        buf_add_str(out, stone->absent ? "  never here" : "  pruned");
    else
        buf_addf(out, "  given up, goes after %s", after);
}

static void print_text(const struct listing *l, const struct repository_head *h)
{
    _cleanup_buf_ struct buf marks = { 0 };
    char time[CLOCK_TEXT_MAX], bytes[CLOCK_TEXT_MAX], stored[CLOCK_TEXT_MAX];
    if (!h->valid) {
        printf("%8llu  void: %s\n", (unsigned long long)h->number, h->problem);
        return;
    }
    clock_format_utc(time, h->head.time_ns, false);
    clock_format_bytes(bytes, h->head.bytes);
    clock_format_bytes(stored, h->head.stored);
    marks_add_text(&marks, &l->records, h);
    add_fate(l, h, &marks);
    printf("%8llu  %s  %10llu files  %10s  stored %10s%s%s%s\n", (unsigned long long)h->number, time, (unsigned long long)h->head.files, bytes, stored,
           (h->head.flags & FORMAT_INCOMPLETE) != 0 ? "  incomplete" : "", suspects_is(&l->records, h) ? "  suspect" : "", buf_str(&marks));
}

static void listing_done(struct listing *l)
{
    tombstones_done(&l->tombstones);
    records_done(&l->records);
}
#define _cleanup_listing_ __attribute__((cleanup(listing_done)))

static int list(struct listing *l, const struct repository *repository, const uint8_t *chain, bool with_pruned, struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < repository->n_heads; i++) {
        const struct repository_head *h = &repository->heads[i];
        if (chain != NULL && memcmp(h->chain, chain, sizeof h->chain) != 0)
            continue;
        bool is_hidden = !with_pruned && tombstones_excuse(&l->tombstones, h, l->now_ns);
        l->pruned += is_hidden;
        if (is_hidden)
            continue;
        if (l->ctx->json)
            r = print_json(l, h, err);
        else
            print_text(l, h);
    }
    return r;
}

int cmd_snapshots(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_setup_ struct setup s = { 0 };
    _cleanup_repository_ struct repository *repository = NULL;
    _cleanup_listing_ struct listing l = { .ctx = ctx, .now_ns = io_realtime_ns(ctx->io) };
    uint8_t chain[16];
    int r = setup_load(ctx, cli_args_value(args, 0), &s, err);
    if (r == 0)
        r = setup_open_repository(&s, &repository, err);
    if (r < 0)
        return r;
    bool all = cli_args_flag(args, "all");
    if (repository->n_heads == 0 || (!all && setup_find_chain(&s, repository, chain, err) < 0)) {
        if (!ctx->json && ctx->verbosity >= 0)
            printf("no snapshots yet; make one with: bkd backup %s\n", s.policy.name);
        return 0;
    }
    r = records_load(repository, buf_str(&s.signers), &l.records, err);
    if (r == 0)
        r = tombstones_load(repository, &l.tombstones, err);
    if (r == 0)
        r = list(&l, repository, all ? NULL : chain, cli_args_flag(args, "pruned"), err);
    if (r == 0 && l.pruned > 0 && !ctx->json && ctx->verbosity >= 0)
        printf("%zu more were removed by rule (--pruned lists them)\n", l.pruned);
    return r;
}
