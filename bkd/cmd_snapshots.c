#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/repo/marks.h"
#include "bkd/repo/suspects.h"
#include "bkd/setup.h"

static int print_json(const struct repository_head *h, const struct records *records, struct error *err)
{
    struct json *line = json_line_new(h->valid ? "snapshot" : "void");
    json_add_u64(line, h->valid ? "snapshot" : "number", h->number);
    json_add_hex(line, "chain", h->chain, sizeof h->chain);
    if (!h->valid) {
        json_add_str(line, "problem", h->problem);
        return cmd_print_line(&line, err);
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
    json_add_bool(line, "suspect", suspects_is(records, h));
    json_add_str(line, "tag", head->tag[0] == '\0' ? NULL : head->tag);
    marks_add_json(line, records, h);
    json_add_hex(line, "head_sha256", h->sha256, sizeof h->sha256);
    return cmd_print_line(&line, err);
}

static void print_text(const struct repository_head *h, const struct records *records)
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
    marks_add_text(&marks, records, h);
    printf("%8llu  %s  %10llu files  %10s  stored %10s%s%s%s\n", (unsigned long long)h->number, time, (unsigned long long)h->head.files, bytes, stored,
           (h->head.flags & FORMAT_INCOMPLETE) != 0 ? "  incomplete" : "", suspects_is(records, h) ? "  suspect" : "", buf_str(&marks));
}

int cmd_snapshots(struct cmd_context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_setup_ struct setup s = { 0 };
    _cleanup_repository_ struct repository *repository = NULL;
    _cleanup_records_ struct records records = { 0 };
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
    r = records_load(repository, buf_str(&s.signers), &records, err);
    for (size_t i = 0; r == 0 && i < repository->n_heads; i++) {
        const struct repository_head *h = &repository->heads[i];
        if (!all && memcmp(h->chain, chain, sizeof chain) != 0)
            continue;
        if (ctx->json)
            r = print_json(h, &records, err);
        else
            print_text(h, &records);
    }
    return r;
}
