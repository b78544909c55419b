#include <string.h>

#include "bkd/setup.h"

struct side {
    struct manifest_reader reader;
    const struct manifest_entry *entry;
};

struct counts {
    uint64_t added, removed, changed, metadata;
};

static bool same_buf(const struct buf *a, const struct buf *b) { return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0); }

static bool same_content(const struct manifest_entry *a, const struct manifest_entry *b)
{
    if (a->type != b->type || a->size != b->size || !same_buf(&a->target, &b->target))
        return false;
    if (a->has_sha256 && b->has_sha256)
        return memcmp(a->sha256, b->sha256, sizeof a->sha256) == 0;
    return a->version.object == b->version.object && a->version.offset == b->version.offset;
}

static bool same_metadata(const struct manifest_entry *a, const struct manifest_entry *b)
{
    return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->mtime_s == b->mtime_s && a->mtime_ns == b->mtime_ns && a->flags == b->flags &&
           a->device_major == b->device_major && a->device_minor == b->device_minor && memcmp(&a->xattr, &b->xattr, sizeof a->xattr) == 0;
}

// sign: '+' only in B, '-' only in A, 'M' content or type, 'm' metadata.
static int print_change(const struct cmd_context *ctx, char sign, const struct manifest_entry *e, struct error *err)
{
    if (!ctx->json) {
        _cleanup_buf_ struct buf line = { 0 };
        buf_addf(&line, "%c %c ", sign, (char)e->type);
        manifest_escape(&line, e->path.data, e->path.len);
        puts(buf_str(&line));
        return 0;
    }
    char kind[2] = { (char)e->type, '\0' };
    struct json *line = json_line_new("change");
    json_add_str(line, "change", sign == '+' ? "added" : sign == '-' ? "removed" : sign == 'M' ? "modified" : "metadata");
    json_add_name(line, "path", e->path.data, e->path.len);
    json_add_str(line, "kind", kind);
    json_add_u64(line, "size", e->size);
    return cmd_print_line(&line, err);
}

static int compare_streams(const struct cmd_context *ctx, struct side *a, struct side *b, struct counts *counts, struct error *err)
{
    int r = manifest_reader_next(&a->reader, &a->entry, err);
    if (r == 0)
        r = manifest_reader_next(&b->reader, &b->entry, err);
    while (r == 0 && (a->entry != NULL || b->entry != NULL)) {
        int c = a->entry == NULL   ? 1
                : b->entry == NULL ? -1
                                   : manifest_path_compare(a->entry->path.data, a->entry->path.len, b->entry->path.data, b->entry->path.len);
        char sign = c < 0 ? '-' : c > 0 ? '+' : !same_content(a->entry, b->entry) ? 'M' : !same_metadata(a->entry, b->entry) ? 'm' : 0;
        counts->removed += sign == '-';
        counts->added += sign == '+';
        counts->changed += sign == 'M';
        counts->metadata += sign == 'm';
        if (sign != 0)
            r = print_change(ctx, sign, sign == '-' ? a->entry : b->entry, err);
        if (r == 0 && c <= 0)
            r = manifest_reader_next(&a->reader, &a->entry, err);
        if (r == 0 && c >= 0)
            r = manifest_reader_next(&b->reader, &b->entry, err);
    }
    return r;
}

static int print_summary(const struct cmd_context *ctx, const struct counts *counts, struct error *err)
{
    if (ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_u64(line, "added", counts->added);
        json_add_u64(line, "removed", counts->removed);
        json_add_u64(line, "modified", counts->changed);
        json_add_u64(line, "metadata", counts->metadata);
        return cmd_print_line(&line, err);
    }
    if (ctx->verbosity >= 0)
        printf("%llu added, %llu removed, %llu modified, %llu with other metadata\n", (unsigned long long)counts->added, (unsigned long long)counts->removed,
               (unsigned long long)counts->changed, (unsigned long long)counts->metadata);
    return 0;
}

int cmd_diff(struct cmd_context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_setup_ struct setup s = { 0 };
    _cleanup_repository_ struct repository *repository = NULL;
    _cleanup_setup_manifest_ struct setup_manifest ma = { 0 }, mb = { 0 };
    const struct repository_head *head = NULL;
    const char *identity = cli_args_option(args, "identity");
    int r = setup_load(ctx, cli_args_value(args, 0), &s, err);
    if (r == 0)
        r = setup_open_repository(&s, &repository, err);
    if (r == 0)
        r = setup_open_manifest(&s, repository, cli_args_value(args, 1), identity, NULL, &head, &ma, err);
    if (r == 0)
        r = setup_open_manifest(&s, repository, cli_args_value(args, 2), identity, NULL, &head, &mb, err);
    if (r < 0)
        return r;
    struct side a, b;
    struct counts counts = { 0 };
    manifest_reader_init(&a.reader, ctx->io, ma.fd, "manifest", 0, ma.size);
    manifest_reader_init(&b.reader, ctx->io, mb.fd, "manifest", 0, mb.size);
    r = compare_streams(ctx, &a, &b, &counts, err);
    manifest_reader_done(&a.reader);
    manifest_reader_done(&b.reader);
    return r < 0 ? r : print_summary(ctx, &counts, err);
}
