// bkd-restore ls
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "restore/plan.h"
#include "restore/selection_args.h"
#include "restore/verb.h"

static void add_mode(struct buf *out, const struct manifest_entry *e)
{
    static const char bits[] = "rwxrwxrwx";
    buf_add_char(out, e->type == MANIFEST_FILE ? '-' : (char)e->type);
    for (int i = 0; i < 9; i++)
        buf_add_char(out, (e->mode & (0400u >> i)) != 0 ? bits[i] : '-');
    for (int i = 0; i < 3; i++) // setuid, setgid, sticky over the three x
        if ((e->mode & (04000u >> i)) != 0) {
            uint8_t *x = &out->data[out->len - 7 + 3 * (size_t)i];
            *x = (uint8_t)(*x == 'x' ? "sst"[i] : "SST"[i]);
        }
}

static void add_owner(struct buf *out, const struct buf *name, uint32_t id)
{
    buf_add_char(out, ' ');
    if (name->len > 0)
        verb_add_printable(out, buf_str(name), name->len);
    else
        buf_add_u64(out, id);
}

static void print_text(const struct manifest_entry *e)
{
    _cleanup_buf_ struct buf line = { 0 };
    char when[CLOCK_TEXT_MAX] = "";
    add_mode(&line, e);
    add_owner(&line, &e->user, e->uid);
    add_owner(&line, &e->group, e->gid);
    if (e->mtime_s >= 0 && e->mtime_s < INT64_MAX / 1000000000)
        clock_format_utc(when, (uint64_t)e->mtime_s * 1000000000u, false);
    else
        (void)snprintf(when, sizeof when, "%" PRId64, e->mtime_s);
    buf_addf(&line, " %12" PRIu64 " %s ", e->size, when);
    verb_add_printable(&line, buf_str(&e->path), e->path.len);
    if (e->type == MANIFEST_LINK) {
        buf_add_str(&line, " -> ");
        verb_add_printable(&line, buf_str(&e->target), e->target.len);
    }
    puts(buf_str(&line));
}

static int print_json(const struct manifest_entry *e, struct error *err)
{
    char type[2] = { (char)e->type, '\0' }, mode[8], mtime[40];
    struct json *line = json_line_new("entry");
    (void)snprintf(mode, sizeof mode, "%04o", e->mode);
    (void)snprintf(mtime, sizeof mtime, "%" PRId64 ".%09" PRIu32, e->mtime_s, e->mtime_ns);
    json_add_name(line, "path", buf_str(&e->path), e->path.len);
    json_add_str(line, "entry_type", type);
    json_add_str(line, "mode", mode);
    json_add_u64(line, "uid", e->uid);
    json_add_u64(line, "gid", e->gid);
    if (e->user.len > 0)
        json_add_name(line, "user", buf_str(&e->user), e->user.len);
    if (e->group.len > 0)
        json_add_name(line, "group", buf_str(&e->group), e->group.len);
    json_add_str(line, "mtime", mtime); // seconds since 1970 with 9 digits: RFC 3339 does not reach every file time
    if (e->type == MANIFEST_FILE)
        json_add_u64(line, "size", e->size);
    if (e->has_sha256)
        json_add_hex(line, "sha256", e->sha256, sizeof e->sha256);
    if (e->type == MANIFEST_LINK)
        json_add_name(line, "target", buf_str(&e->target), e->target.len);
    return verb_print_line(&line, err);
}

int verb_ls(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_session_ struct session session = { 0 };
    _cleanup_snapshot_ struct snapshot snapshot = { 0 };
    _cleanup_selection_ struct selection *selection = NULL;
    _cleanup_plan_ struct plan plan = { .fd = -1 };
    const struct manifest_entry *e;
    enum plan_role role;
    bool later;
    int scratch = -1;
    uint64_t shown = 0;
    ctx->session.wants_parts = true;
    int r = selection_from_args(ctx->io, args, 1, &selection, err);
    if (r == 0)
        r = session_open_for(&session, ctx->io, &ctx->session, cli_args_value(args, 0), err);
    if (r == 0)
        r = session_snapshot(&session, cli_args_value(args, 0), &snapshot, NULL, err);
    if (r == 0)
        r = plan_open_scratch(ctx->io, NULL, &scratch, err);
    if (r == 0)
        r = plan_open(&plan, ctx->io, &snapshot, scratch, selection, err);
    if (r == 0)
        r = plan_rewind(&plan, err);
    while (r == 0 && (r = plan_next(&plan, &e, &role, &later, err)) == 0 && e != NULL) {
        if (role == PLAN_ANCESTOR)
            continue;
        shown++;
        if (ctx->json)
            r = print_json(e, err);
        else
            print_text(e);
    }
    io_close_quietly(ctx->io, &scratch);
    if (r == 0)
        r = selection_tell(selection, shown, ctx->json, err);
    if (r == 0 && ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_u64(line, "snapshot", snapshot.head->number);
        json_add_u64(line, "entries", shown);
        r = verb_print_line(&line, err);
    }
    return r;
}
