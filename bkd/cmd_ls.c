#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/cmd.h"
#include "bkd/host/setup.h"

static void add_mode(struct buf *out, const struct manifest_entry *e)
{
    static const char bits[] = "rwxrwxrwx";
    buf_add_char(out, e->type == MANIFEST_FILE ? '-' : (char)e->type);
    for (int i = 0; i < 9; i++)
        buf_add_char(out, (e->mode & (0400u >> i)) != 0 ? bits[i] : '-');
    char *rights = (char *)out->data + out->len - 9;
    if ((e->mode & 04000) != 0)
        rights[2] = rights[2] == 'x' ? 's' : 'S';
    if ((e->mode & 02000) != 0)
        rights[5] = rights[5] == 'x' ? 's' : 'S';
    if ((e->mode & 01000) != 0)
        rights[8] = rights[8] == 'x' ? 't' : 'T';
}

// Names are shown escaped as in the manifest, so that nothing in them reaches the terminal raw.
static void print_text(const struct manifest_entry *e)
{
    char time[CLOCK_TEXT_MAX] = "-";
    _cleanup_buf_ struct buf line = { 0 };
    if (e->mtime_s >= 0)
        clock_format_utc(time, (uint64_t)e->mtime_s * 1000000000u, false);
    add_mode(&line, e);
    buf_addf(&line, " %5u %5u %12llu %s ", e->uid, e->gid, (unsigned long long)e->size, time);
    manifest_escape(&line, e->path.data, e->path.len);
    if (e->type == MANIFEST_LINK) {
        buf_add_str(&line, " -> ");
        manifest_escape(&line, e->target.data, e->target.len);
    }
    puts(buf_str(&line));
}

static int print_json(const struct manifest_entry *e, struct error *err)
{
    char type[2] = { (char)e->type, '\0' }, mode[8];
    struct json *line = json_line_new("entry");
    json_add_name(line, "path", e->path.data, e->path.len);
    json_add_str(line, "kind", type);
    (void)snprintf(mode, sizeof mode, "%04o", e->mode);
    json_add_str(line, "mode", mode);
    json_add_u64(line, "uid", e->uid);
    json_add_u64(line, "gid", e->gid);
    if (e->user.len > 0)
        json_add_name(line, "user", e->user.data, e->user.len);
    if (e->group.len > 0)
        json_add_name(line, "group", e->group.data, e->group.len);
    json_add_i64(line, "mtime_s", e->mtime_s);
    json_add_u64(line, "mtime_ns", e->mtime_ns);
    if (e->type == MANIFEST_FILE)
        json_add_u64(line, "size", e->size);
    if (e->has_sha256)
        json_add_hex(line, "sha256", e->sha256, sizeof e->sha256);
    if (e->type == MANIFEST_LINK)
        json_add_name(line, "target", e->target.data, e->target.len);
    if ((e->notes & MANIFEST_UNSTABLE) != 0)
        json_add_bool(line, "unstable", true);
    if ((e->notes & (MANIFEST_MOUNT | MANIFEST_EXCLUDED)) != 0)
        json_add_bool(line, (e->notes & MANIFEST_MOUNT) != 0 ? "mount" : "excluded", true);
    return json_line_print(&line, stdout, err);
}

int cmd_ls(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_setup_ struct setup s = { 0 };
    _cleanup_repository_ struct repository *repository = NULL;
    _cleanup_setup_manifest_ struct setup_manifest manifest = { 0 };
    const struct repository_head *head = NULL;
    const char *given = cli_args_value(args, 2);
    _cleanup_free_ char *path = context_clean_path(given == NULL ? "/" : given);
    int r = setup_load(ctx, cli_args_value(args, 0), &s, err);
    if (r == 0)
        r = setup_open_repository(&s, &repository, err);
    if (r == 0)
        r = setup_open_manifest(&s, repository, cli_args_value(args, 1), cli_args_option(args, "identity"), path, &head, &manifest, err);
    if (r < 0)
        return r;
    struct manifest_reader reader;
    const struct manifest_entry *e = NULL;
    uint64_t found = 0;
    manifest_reader_init(&reader, ctx->io, manifest.fd, "manifest", 0, manifest.size);
    while ((r = manifest_reader_next(&reader, &e, err)) == 0 && e != NULL) {
        bool below = strcmp(path, "/") == 0 || manifest_path_below(buf_str(&e->path), e->path.len, path, strlen(path));
        if (!below)
            continue;
        found++;
        if (!ctx->json)
            print_text(e);
        else if ((r = print_json(e, err)) < 0)
            break;
    }
    manifest_reader_done(&reader);
    if (r == 0 && found == 0)
        return error_set(err, ERROR_NOT_FOUND, "snapshot %llu holds no '%s'; look with `bkd ls %s %llu`", (unsigned long long)head->number, path,
                         s.policy.name, (unsigned long long)head->number);
    return r;
}
