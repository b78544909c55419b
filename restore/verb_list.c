// bkd-restore list
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/clock.h"
#include "bkd/repo/marks.h"
#include "bkd/repo/suspects.h"
#include "bkd/repo/tombstones.h"
#include "restore/verb.h"

static const char *state_of(const struct repository_head *h, const struct records *records)
{
    if (!h->valid)
        return "void";
    if (h->fork)
        return "fork";
    if (h->chain_broken)
        return "broken";
    return suspects_is(records, h) ? "suspect" : (h->head.flags & FORMAT_INCOMPLETE) != 0 ? "incomplete" : "good";
}

static int print_json(const struct repository_head *h, const struct records *records, struct error *err)
{
    struct json *line = json_line_new("snapshot");
    json_add_hex(line, "chain", h->chain, sizeof h->chain);
    json_add_u64(line, "snapshot", h->number);
    json_add_str(line, "state", state_of(h, records));
    if (h->problem != NULL)
        json_add_str(line, "problem", h->problem);
    if (h->valid) {
        json_add_time(line, "time", h->head.time_ns);
        json_add_name(line, "host", h->head.host, strlen(h->head.host));
        json_add_name(line, "policy", h->head.policy, strlen(h->head.policy));
        json_add_u64(line, "files", h->head.files);
        json_add_u64(line, "entries", h->head.entries);
        json_add_u64(line, "bytes", h->head.bytes);
        json_add_u64(line, "bytes_stored", h->head.stored);
        if (h->head.tag[0] != '\0')
            json_add_name(line, "tag", h->head.tag, strlen(h->head.tag));
        marks_add_json(line, records, h);
    }
    return verb_print_line(&line, err);
}

static void print_chain(const struct repository_head *h)
{
    char chain[33];
    _cleanup_buf_ struct buf label = { 0 };
    format_hex(chain, h->chain, sizeof h->chain);
    if (h->valid) {
        buf_add_str(&label, ": policy ");
        verb_add_printable(&label, h->head.policy, strlen(h->head.policy));
        buf_add_str(&label, ", host ");
        verb_add_printable(&label, h->head.host, strlen(h->head.host));
    }
    printf("chain %s%s\n%8s  %-20s %12s %12s %12s  %s\n", chain, buf_str(&label), "SNAPSHOT", "TIME", "FILES", "SIZE", "STORED", "STATE");
}

static void print_text(const struct repository_head *h, const struct records *records)
{
    char when[CLOCK_TEXT_MAX] = "-", size[CLOCK_TEXT_MAX] = "-", stored[CLOCK_TEXT_MAX] = "-";
    _cleanup_buf_ struct buf marks = { 0 };
    if (h->valid) {
        clock_format_utc(when, h->head.time_ns, false);
        clock_format_bytes(size, h->head.bytes);
        clock_format_bytes(stored, h->head.stored);
        marks_add_text(&marks, records, h);
    }
    printf("%8" PRIu64 "  %-20s %12" PRIu64 " %12s %12s  %s%s%s%s\n", h->number, when, h->valid ? h->head.files : 0, size, stored,
           state_of(h, records), h->problem != NULL ? ": " : "", h->problem != NULL ? h->problem : "", buf_str(&marks));
}

static int conclude(const struct context *ctx, uint64_t shown, uint64_t pruned, uint64_t faults, struct error *err)
{
    int r = 0;
    if (ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_u64(line, "snapshots", shown);
        json_add_u64(line, "pruned", pruned);
        json_add_u64(line, "alarms", faults);
        r = verb_print_line(&line, err);
    } else if (shown == 0) {
        printf("no snapshots\n");
    }
    if (!ctx->json && pruned > 0)
        printf("%" PRIu64 " more were removed by rule: signed tombstones name them\n", pruned);
    if (r == 0 && faults > 0)
        return error_set(err, ERROR_INTEGRITY,
                         "%llu snapshots do not fit into their chain: somebody else may hold the signing key, or heads were removed; run "
                         "`bkd-restore check`",
                         (unsigned long long)faults);
    return r;
}

int verb_list(struct context *ctx, const struct cli_args *args, struct error *err)
{
    (void)args;
    _cleanup_session_ struct session session = { 0 };
    _cleanup_records_ struct records records = { 0 };
    uint8_t chain[16];
    bool chosen = false;
    const struct repository_head *previous = NULL;
    uint64_t shown = 0, faults = 0, pruned = 0;
    _cleanup_tombstones_ struct tombstones tombstones = { 0 };
    int r = session_open(&session, ctx->io, &ctx->session, err);
    if (r == 0)
        r = session_chain(&session, &chosen, chain, err);
    if (r == 0)
        r = records_load(session.repository, session_signers(&session), &records, err);
    if (r == 0)
        r = tombstones_load(session.repository, &tombstones, err);
    for (size_t i = 0; r == 0 && i < session.repository->n_heads; i++) {
        const struct repository_head *h = &session.repository->heads[i];
        if (chosen && memcmp(h->chain, chain, sizeof chain) != 0)
            continue;
        faults += h->fork || h->chain_broken;
        if (tombstones_excuse(&tombstones, h, io_realtime_ns(ctx->io))) {
            pruned++; // nothing to restore from
            continue;
        }
        if (!ctx->json && (previous == NULL || memcmp(previous->chain, h->chain, sizeof chain) != 0))
            print_chain(h);
        if (ctx->json)
            r = print_json(h, &records, err);
        else
            print_text(h, &records);
        previous = h;
        shown++;
    }
    if (r < 0)
        return r;
    return conclude(ctx, shown, pruned, faults, err);
}
