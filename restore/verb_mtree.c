// bkd-restore mtree: the manifest in mtree(5) format, one full path a line, to check a restored tree with tools that are not ours:
// `mtree -p DIR -f FILE` (NetBSD), `bsdtar -tvf FILE`.
#include <inttypes.h>
#include <stdio.h>

#include "restore/plan.h"
#include "restore/verb.h"

// vis(3) with VIS_OCTAL, as mtree(5) asks: whatever could be taken for something else becomes \ooo.
static void add_vis(struct buf *out, const struct buf *name)
{
    for (size_t i = 0; i < name->len; i++) {
        unsigned char c = name->data[i];
        bool plain = c > 0x20 && c < 0x7f && c != '\\' && c != '#' && c != '*' && c != '?' && c != '[' && c != '=';
        if (plain)
            buf_add_char(out, (char)c);
        else
            buf_addf(out, "\\%03o", c);
    }
}

static const char *type_name(enum manifest_type type)
{
    switch (type) {
    case MANIFEST_DIR:
        return "dir";
    case MANIFEST_FILE:
        return "file";
    case MANIFEST_LINK:
        return "link";
    case MANIFEST_FIFO:
        return "fifo";
    case MANIFEST_CHAR:
        return "char";
    case MANIFEST_BLOCK:
        return "block";
    default:
        return NULL;
    }
}

static void print_entry(const struct manifest_entry *e, struct buf *line)
{
    const char *type = type_name(e->type);
    if (type == NULL) // sockets are not restored
        return;
    buf_reset(line);
    buf_add_str(line, e->path.data[0] == '/' ? "." : "./"); // streams are restored below the target as all else is
    if (e->path.len > 1)
        add_vis(line, &e->path);
    buf_addf(line, " type=%s uid=%" PRIu32 " gid=%" PRIu32, type, e->uid, e->gid);
    if (e->type != MANIFEST_LINK)
        buf_addf(line, " mode=%04o", e->mode);
    buf_addf(line, " time=%" PRId64 ".%09" PRIu32, e->mtime_s, e->mtime_ns);
    if (e->type == MANIFEST_FILE)
        buf_addf(line, " size=%" PRIu64, e->size);
    if (e->type == MANIFEST_FILE && e->has_sha256) {
        buf_add_str(line, " sha256=");
        buf_add_hex(line, e->sha256, sizeof e->sha256);
    }
    if (e->type == MANIFEST_LINK) {
        buf_add_str(line, " link=");
        add_vis(line, &e->target);
    }
    if (e->type == MANIFEST_CHAR || e->type == MANIFEST_BLOCK)
        buf_addf(line, " device=linux,%" PRIu32 ",%" PRIu32, e->device_major, e->device_minor);
    puts(buf_str(line));
}

int verb_mtree(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_session_ struct session session = { 0 };
    _cleanup_snapshot_ struct snapshot snapshot = { 0 };
    _cleanup_plan_ struct plan plan = { .fd = -1 };
    _cleanup_buf_ struct buf line = { 0 };
    const struct manifest_entry *e;
    enum plan_role role;
    bool later;
    int scratch = -1;
    if (ctx->json)
        return error_set(err, ERROR_USAGE, "mtree prints its own format: leave --json out (`ls --json` has the same facts)");
    ctx->session.wants_parts = true;
    int r = session_open_for(&session, ctx->io, &ctx->session, cli_args_value(args, 0), err);
    if (r == 0)
        r = session_snapshot(&session, cli_args_value(args, 0), &snapshot, NULL, err);
    if (r == 0)
        r = plan_open_scratch(ctx->io, NULL, &scratch, err);
    if (r == 0)
        r = plan_open(&plan, ctx->io, &snapshot, scratch, NULL, err);
    if (r == 0)
        r = plan_rewind(&plan, err);
    if (r == 0)
        puts("#mtree");
    while (r == 0 && (r = plan_next(&plan, &e, &role, &later, err)) == 0 && e != NULL)
        print_entry(e, &line);
    io_close_quietly(ctx->io, &scratch);
    if (r == 0 && (fflush(stdout) != 0 || ferror(stdout)))
        r = error_set(err, ERROR_FAILED, "cannot write to standard output");
    return r;
}
