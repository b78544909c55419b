// bkd-restore find: in which snapshots a path is, and which versions of it there are.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/clock.h"
#include "bkd/base/interrupt.h"
#include "bkd/base/log.h"
#include "bkd/base/progress.h"
#include "restore/finder.h"
#include "restore/verb.h"

struct range {
    uint64_t first, last;
};

// ---- arguments

// A snapshot's number as it is, also one that is gone; else as everywhere ("latest~2").
static int read_end(const struct session *s, const char *text, size_t n, uint64_t *ret_number, struct error *err)
{
    const struct repository_head *head = NULL;
    _cleanup_free_ char *name = xstrndup(text, n);
    if (n == 0 || parse_u64(text, n, UINT64_MAX, ret_number))
        return 0;
    int r = session_find(s, name, &head, err);
    if (r == 0)
        *ret_number = head->number;
    return r < 0 ? error_prefix(err, "--snapshots") : 0;
}

static int read_range(const struct session *s, const struct cli_args *args, struct range *ret_range, struct error *err)
{
    const char *text = cli_args_option(args, "snapshots"), *dots = text == NULL ? NULL : strstr(text, "..");
    *ret_range = (struct range){ 0, UINT64_MAX };
    if (text == NULL)
        return 0;
    if (cli_args_flag(args, "all"))
        return error_set(err, ERROR_USAGE, "--all and --snapshots exclude each other");
    int r = read_end(s, text, dots == NULL ? strlen(text) : (size_t)(dots - text), &ret_range->first, err);
    if (dots == NULL)
        ret_range->last = ret_range->first;
    else if (r == 0)
        r = read_end(s, dots + 2, strlen(dots + 2), &ret_range->last, err);
    if (r == 0 && ret_range->first > ret_range->last)
        return error_set(err, ERROR_USAGE, "--snapshots %s: the range is backwards", text);
    return r;
}

static int read_time(const struct cli_args *args, const char *option, int64_t *ret_s, struct error *err)
{
    const char *text = cli_args_option(args, option);
    uint64_t ns;
    if (text == NULL)
        return 0;
    _cleanup_free_ char *midnight = xasprintf("%sT00:00:00Z", text);
    if (!clock_parse_utc(text, strlen(text), &ns) && !clock_parse_utc(midnight, strlen(midnight), &ns))
        return error_set(err, ERROR_USAGE, "--%s takes a day or a time in UTC: 2026-11-30 or 2026-11-30T08:00:00Z", option);
    *ret_s = (int64_t)(ns / 1000000000);
    return 0;
}

static int read_patterns(const struct cli_args *args, struct pattern_set **ret_names, struct selection **ret_selection, struct error *err)
{
    struct selection_options options = { .include = args->values, .n_include = args->count };
    int r = pattern_set_new(args->values, args->count, ret_names, err);
    if (r < 0) {
        err->code = ERROR_USAGE;
        return r;
    }
    return selection_new(&options, ret_selection, err);
}

// ---- searching

struct search {
    struct context *ctx;
    struct session *session;
    struct finder *finder;
    struct range range;
    bool one_chain;
    uint8_t chain[16];
    uint64_t searched, unread;
};

static bool is_searched(const struct search *s, const struct repository_head *h)
{
    return h->number >= s->range.first && h->number <= s->range.last && (!s->one_chain || memcmp(h->chain, s->chain, sizeof s->chain) == 0);
}

// A snapshot that cannot be read does not stop the search in the others.
static int search_one(struct search *s, const struct repository_head *h, struct error *err)
{
    _cleanup_snapshot_ struct snapshot snapshot = { 0 };
    const struct session *session = s->session;
    s->finder->ordinal++;
    int r = h->valid ? snapshot_open_parts(session->repository, h, session->identities.list, session->identities.n, &snapshot, err)
                     : error_set(err, ERROR_INTEGRITY, "%s", h->problem);
    if (r == 0)
        r = finder_add(s->finder, &snapshot, err);
    s->searched += r == 0;
    if (r != ERROR_INTEGRITY && r != ERROR_FORMAT)
        return r;
    log_warn("snapshot %" PRIu64 " was not searched: %s", h->number, err->text);
    s->unread++;
    return 0;
}

static int search_all(struct search *s, struct error *err)
{
    const struct repository *repository = s->session->repository;
    uint64_t bytes = 0;
    int r = 0;
    for (size_t i = 0; i < repository->n_heads; i++)
        if (is_searched(s, &repository->heads[i]) && repository->heads[i].valid)
            bytes += repository->heads[i].head.manifest_size;
    _cleanup_progress_ struct progress *progress = progress_new(s->ctx->io, progress_style_for(s->ctx->json, s->ctx->quiet), NULL);
    progress_begin(progress, "search", 0, bytes);
    for (size_t i = 0; r == 0 && i < repository->n_heads; i++) {
        const struct repository_head *h = &repository->heads[i];
        if (i > 0 && memcmp(h->chain, repository->heads[i - 1].chain, sizeof h->chain) != 0)
            s->finder->ordinal++; // nothing continues from one chain to the next
        if (!is_searched(s, h))
            continue;
        if (interrupt_requested())
            return error_set(err, ERROR_FAILED, "interrupted");
        r = search_one(s, h, err);
        progress_add(progress, 0, h->valid ? h->head.manifest_size : 0);
    }
    return r;
}

// ---- telling

static void print_text(const struct finder_version *v)
{
    _cleanup_buf_ struct buf line = { 0 };
    char range[48], when[CLOCK_TEXT_MAX], size[CLOCK_TEXT_MAX] = "-", hash[65] = "-";
    if (v->first == v->last)
        (void)snprintf(range, sizeof range, "%" PRIu64, v->first);
    else
        (void)snprintf(range, sizeof range, "%" PRIu64 "-%" PRIu64, v->first, v->last);
    if (v->mtime_s >= 0 && v->mtime_s < INT64_MAX / 1000000000)
        clock_format_utc(when, (uint64_t)v->mtime_s * 1000000000u, false);
    else
        (void)snprintf(when, sizeof when, "%" PRId64, v->mtime_s);
    if (v->type == MANIFEST_FILE)
        clock_format_bytes(size, v->size);
    if (v->has_sha256)
        format_hex(hash, v->sha256, sizeof v->sha256);
    buf_addf(&line, "%11s %c %10s  %-20s  %-12.12s  ", range, v->type == MANIFEST_FILE ? '-' : (char)v->type, size, when, hash);
    verb_add_printable(&line, v->path, v->path_len);
    puts(buf_str(&line));
}

static int print_json(const struct finder_version *v, struct error *err)
{
    char type[2] = { (char)v->type, '\0' }, mtime[40];
    struct json *line = json_line_new("version");
    (void)snprintf(mtime, sizeof mtime, "%" PRId64 ".%09" PRIu32, v->mtime_s, v->mtime_ns);
    json_add_name(line, "path", v->path, v->path_len);
    json_add_str(line, "entry_type", type);
    if (v->type == MANIFEST_FILE)
        json_add_u64(line, "size", v->size);
    json_add_str(line, "mtime", mtime);
    if (v->has_sha256)
        json_add_hex(line, v->type == MANIFEST_LINK ? "target_sha256" : "sha256", v->sha256, sizeof v->sha256);
    json_add_hex(line, "chain", v->chain, sizeof v->chain);
    json_add_u64(line, "first_snapshot", v->first);
    json_add_u64(line, "last_snapshot", v->last);
    json_add_u64(line, "snapshots", v->snapshots);
    json_add_time(line, "first_time", v->first_time_ns);
    json_add_time(line, "last_time", v->last_time_ns);
    return verb_print_line(&line, err);
}

static int tell_all(struct search *s, uint64_t *ret_found, struct error *err)
{
    struct finder_version v;
    bool more = true;
    *ret_found = 0;
    int r = finder_sort(s->finder, err);
    while (r == 0 && (r = finder_next(s->finder, &v, &more, err)) == 0 && more) {
        if (s->ctx->json)
            r = print_json(&v, err);
        else if (++*ret_found == 1)
            printf("%11s %c %10s  %-20s  %-12s  %s\n", "SNAPSHOTS", 'T', "SIZE", "CHANGED", "SHA-256", "PATH");
        if (s->ctx->json)
            ++*ret_found;
        else
            print_text(&v);
    }
    return r;
}

static int finish(const struct search *s, uint64_t found, struct error *err)
{
    if (s->ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_u64(line, "versions", found);
        json_add_u64(line, "snapshots_searched", s->searched);
        json_add_u64(line, "snapshots_not_read", s->unread);
        int r = verb_print_line(&line, err);
        if (r < 0)
            return r;
    }
    if (s->unread > 0)
        return error_set(err, ERROR_INTEGRITY, "%" PRIu64 " snapshots could not be searched; run `bkd-restore check`", s->unread);
    if (s->searched == 0)
        return error_set(err, ERROR_NOT_FOUND, "there is no snapshot to search; `bkd-restore list` shows what there is");
    return found > 0 ? 0 : error_set(err, ERROR_NOT_FOUND, "nothing in %" PRIu64 " snapshots matches", s->searched);
}

int verb_find(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_session_ struct session session = { 0 };
    _cleanup_selection_ struct selection *selection = NULL;
    _cleanup_pattern_set_ struct pattern_set *names = NULL;
    struct finder finder = { 0 };
    struct search search = { .ctx = ctx, .session = &session, .finder = &finder };
    uint64_t found = 0;
    int scratch = -1;
    int r = read_patterns(args, &names, &selection, err);
    if (r == 0)
        r = session_open(&session, ctx->io, &ctx->session, err);
    if (r == 0)
        r = session_chain(&session, &search.one_chain, search.chain, err);
    if (r == 0)
        r = read_range(&session, args, &search.range, err);
    if (r == 0)
        r = session_unlock(&session, err);
    if (r == 0)
        r = plan_open_scratch(ctx->io, NULL, &scratch, err);
    if (r == 0) {
        finder_init(&finder, ctx->io, scratch, names, selection);
        r = read_time(args, "newer", &finder.newer_s, err);
        if (r == 0)
            r = read_time(args, "older", &finder.older_s, err);
        if (r == 0)
            r = search_all(&search, err);
        if (r == 0)
            r = tell_all(&search, &found, err);
        finder_done(&finder);
    }
    io_close_quietly(ctx->io, &scratch);
    return r < 0 ? r : finish(&search, found, err);
}
