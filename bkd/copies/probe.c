#include "bkd/copies/probe.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"

#define CONTENT "What bkd check-remote tries its hands on.\n"
#define LENGTH (sizeof CONTENT - 1)

struct trial {
    const struct io *io;
    struct sftp_client *client;
    const char *root;
    char *path; // the file that is there
    struct sftp_attrs before;
};

static bool is_line_broken(int r) { return r == ERROR_UNREACHABLE || r == ERROR_FORMAT; }

static char *new_path(const struct trial *t)
{
    uint8_t noise[8];
    char hex[2 * sizeof noise + 1];
    io_random(t->io, noise, sizeof noise);
    format_hex(hex, noise, sizeof noise);
    return xasprintf("%s%stmp/check-remote-%s", t->root, strcmp(t->root, "/") == 0 ? "" : "/", hex);
}

// ---- making the file, as a copy's files are made

static int write_new(struct trial *t, const char *part, struct error *err)
{
    struct sftp_handle handle;
    int r = sftp_open(t->client, part, SFTP_OPEN_WRITE | SFTP_OPEN_CREAT | SFTP_OPEN_EXCL, 0600, &handle, err);
    if (r == 0)
        r = sftp_write(t->client, &handle, CONTENT, LENGTH, err);
    return r == 0 ? sftp_close(t->client, &handle, err) : r;
}

static int make_file(struct trial *t, struct error *err)
{
    free(t->path);
    t->path = new_path(t);
    _cleanup_free_ char *part = xasprintf("%s.part-1", t->path), *dir = xstrndup(t->path, (size_t)(strrchr(t->path, '/') - t->path));
    struct error exists;
    int r = sftp_mkdir(t->client, dir, 0700, &exists);
    if (is_line_broken(r))
        *err = exists;
    r = is_line_broken(r) ? r : write_new(t, part, err);
    if (r == 0)
        r = sftp_rename(t->client, part, t->path, err);
    return r == 0 ? sftp_stat(t->client, t->path, &t->before, err) : r;
}

// Is it there, with its content, times and mode?
static int is_unharmed(struct trial *t, bool *ret_same, struct error *err)
{
    struct sftp_handle handle;
    struct sftp_attrs now;
    char content[LENGTH];
    *ret_same = false;
    int r = sftp_stat(t->client, t->path, &now, err);
    if (r < 0)
        return is_line_broken(r) ? r : 0;
    if (now.size != LENGTH || now.mtime != t->before.mtime || now.permissions != t->before.permissions)
        return 0;
    r = sftp_open(t->client, t->path, SFTP_OPEN_READ, 0, &handle, err);
    if (r == 0)
        r = sftp_read(t->client, &handle, 0, content, LENGTH, err);
    *ret_same = r == 0 && memcmp(content, CONTENT, LENGTH) == 0;
    if (r == 0)
        r = sftp_close(t->client, &handle, err);
    return is_line_broken(r) ? r : 0;
}

// ---- what is tried: 0, or what the server answered

typedef int attempt_fn(struct trial *t, struct error *err);

static int open_and_write(struct trial *t, uint32_t flags, struct error *err)
{
    struct sftp_handle handle;
    struct error second;
    int r = sftp_open(t->client, t->path, flags, 0600, &handle, err);
    if (r < 0)
        return r;
    r = sftp_write(t->client, &handle, "taken", 5, err);
    int closed = is_line_broken(r) ? 0 : sftp_close(t->client, &handle, r == 0 ? err : &second);
    return r < 0 ? r : closed;
}

static int overwrite(struct trial *t, struct error *err) { return open_and_write(t, SFTP_OPEN_WRITE, err); }
static int append(struct trial *t, struct error *err) { return open_and_write(t, SFTP_OPEN_WRITE | SFTP_OPEN_APPEND, err); }
static int put_over(struct trial *t, struct error *err) { return open_and_write(t, SFTP_OPEN_WRITE | SFTP_OPEN_CREAT | SFTP_OPEN_TRUNC, err); }

static int truncate_open(struct trial *t, struct error *err)
{
    struct sftp_handle handle;
    int r = sftp_open(t->client, t->path, SFTP_OPEN_WRITE | SFTP_OPEN_TRUNC, 0600, &handle, err);
    return r < 0 ? r : sftp_close(t->client, &handle, err);
}

static int truncate_path(struct trial *t, struct error *err)
{
    return sftp_setstat(t->client, t->path, &(struct sftp_attrs){ .flags = SFTP_ATTR_SIZE }, err);
}

static int set_times(struct trial *t, struct error *err)
{
    return sftp_setstat(t->client, t->path, &(struct sftp_attrs){ .flags = SFTP_ATTR_TIMES, .atime = 1, .mtime = 1 }, err);
}

static int set_mode(struct trial *t, struct error *err)
{
    return sftp_setstat(t->client, t->path, &(struct sftp_attrs){ .flags = SFTP_ATTR_PERMISSIONS, .permissions = 0640 }, err);
}

// `rename` of a file of our own onto the one that is there. What stays of it is removed where that is possible.
static int rename_onto(struct trial *t, int (*rename_file)(struct sftp_client *c, const char *from, const char *to, struct error *err), struct error *err)
{
    _cleanup_free_ char *path = new_path(t), *part = xasprintf("%s.part-1", path);
    struct sftp_handle handle;
    struct error second;
    int r = sftp_open(t->client, part, SFTP_OPEN_WRITE | SFTP_OPEN_CREAT | SFTP_OPEN_EXCL, 0600, &handle, err);
    if (r == 0)
        r = sftp_close(t->client, &handle, err);
    if (r < 0)
        return r;
    r = rename_file(t->client, part, t->path, err);
    if (r < 0 && is_line_broken(sftp_remove(t->client, part, &second)))
        *err = second;
    return r < 0 ? err->code : 0;
}

static int rename_over(struct trial *t, struct error *err) { return rename_onto(t, sftp_rename, err); }
static int posix_rename_over(struct trial *t, struct error *err) { return rename_onto(t, sftp_posix_rename, err); }

static int rename_away(struct trial *t, struct error *err)
{
    _cleanup_free_ char *other = new_path(t);
    struct error second;
    int r = sftp_rename(t->client, t->path, other, err);
    if (r == 0 && is_line_broken(sftp_remove(t->client, other, &second)))
        return error_set(err, ERROR_UNREACHABLE, "%s", second.text);
    return r;
}

static int remove_file(struct trial *t, struct error *err) { return sftp_remove(t->client, t->path, err); }

static const struct { const char *name; attempt_fn *run; } attempts[] = {
    { "overwrite", overwrite },
    { "append", append },
    { "put over", put_over },
    { "truncate", truncate_open },
    { "truncate by name", truncate_path },
    { "set times", set_times },
    { "set mode", set_mode },
    { "rename over", rename_over },
    { "rename over (posix-rename)", posix_rename_over },
    { "rename away", rename_away },
    { "delete", remove_file },
};

// ---- all of it

void probe_add(struct probe *p, const char *name, bool harmed, const char *answer)
{
    assert(p->n < PROBE_ATTEMPTS_MAX);
    p->attempts[p->n++] = (struct probe_attempt){ .name = name, .harmed = harmed, .answer = xstrdup(answer) };
}

static int try_all(struct trial *t, struct probe *p, struct error *err)
{
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        struct error answer = { .text = "done" };
        bool same;
        int r = attempts[i].run(t, &answer);
        if (is_line_broken(r)) {
            *err = answer;
            return error_prefix(err, "while trying to %s", attempts[i].name);
        }
        r = is_unharmed(t, &same, err);
        if (r < 0)
            return r;
        probe_add(p, attempts[i].name, !same, answer.text);
        if (same)
            continue;
        struct error gone; // a harmed file is not kept
        (void)!sftp_remove(t->client, t->path, &gone);
        r = make_file(t, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int clean_up(struct trial *t, struct probe *p, struct error *err)
{
    struct error answer;
    int r = sftp_remove(t->client, t->path, &answer);
    if (is_line_broken(r))
        *err = answer;
    else if (r < 0)
        p->left = xstrdup(t->path);
    return is_line_broken(r) ? r : 0;
}

int probe_run(const struct io *io, struct sftp_client *client, const char *root, struct probe *ret_probe, struct error *err)
{
    struct trial t = { .io = io, .client = client, .root = root };
    struct probe p = { 0 };
    struct error no_space;
    int r = make_file(&t, err);
    uint64_t now_s = io_realtime_ns(io) / 1000000000u;
    p.clock_ahead_s = (int64_t)t.before.mtime - (int64_t)now_s;
    p.has_space = r == 0 && sftp_space(client, root, &p.free_bytes, &p.total_bytes, &no_space) == 0;
    if (r == 0)
        r = try_all(&t, &p, err);
    if (r == 0)
        r = clean_up(&t, &p, err);
    free(t.path);
    if (r < 0)
        probe_done(&p);
    else
        *ret_probe = p;
    return r;
}

void probe_done(struct probe *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->attempts[i].answer);
    free(p->left);
    *p = (struct probe){ 0 };
}

bool probe_is_append_only(const struct probe *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->attempts[i].harmed)
            return false;
    return p->n > 0;
}
