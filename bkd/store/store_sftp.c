// A store on an SSH server, through SFTP version 3 and nothing beyond it: works on a chrooted internal-sftp without extensions.
//
// A file is written under NAME.part-RANDOM, made durable where the server can (fsync@openssh.com), compared in size, and renamed; version 3's rename does
// not overwrite. When the line breaks, a new connection is tried a few times, and after a put both names are looked at, since the answer to the rename
// may have been lost.
//
// Lanes are connections (sftp_lanes.h); a lane keeps the file it read last open.
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bkd/base/bytes.h"
#include "bkd/base/fs.h"
#include "bkd/store/sftp_lanes.h"
#include "bkd/store/sftp_many.h"
#include "bkd/store/store.h"
#include "bkd/store/store_sftp_hash.h"
#include "bkd/store/store_sftp_parts.h"
#include "bkd/store/store_sftp_put.h"

// ---- reading

enum { AHEAD_FOR_MAX = SFTP_AHEAD / 2 }; // longer reads are likely not followed by their neighbours

struct get {
    const char *name;
    uint64_t offset;
    void *data;
    size_t n;
};

static bool take_ahead(const struct sftp_lane_slot *lane, const struct get *g)
{
    uint64_t skip = g->offset - lane->ahead_offset;
    if (g->offset < lane->ahead_offset || skip > lane->ahead_n || lane->ahead_n - skip < g->n)
        return false;
    memcpy(g->data, lane->ahead + skip, g->n);
    return true;
}

static int read_ahead(struct sftp_lane_slot *lane, const struct get *g, struct error *err)
{
    size_t got = 0;
    if (lane->ahead == NULL)
        lane->ahead = xmalloc(SFTP_AHEAD);
    lane->ahead_n = 0;
    int r = sftp_read_some(lane->client, &lane->handle, g->offset, lane->ahead, SFTP_AHEAD, &got, err);
    if (r < 0)
        return r;
    lane->ahead_n = got;
    lane->ahead_offset = g->offset;
    return take_ahead(lane, g) ? 0 : error_set(err, ERROR_INTEGRITY, "it ends before byte %llu", (unsigned long long)(g->offset + g->n));
}

static int do_get(struct store_sftp *s, struct sftp_lane_slot *lane, void *arg, bool again, struct error *err)
{
    struct get *g = arg;
    (void)again;
    int r = sftp_lanes_open_file(s, lane, g->name, err);
    if (r < 0 || g->n == 0)
        return r;
    if (take_ahead(lane, g))
        return 0;
    r = g->n <= AHEAD_FOR_MAX ? read_ahead(lane, g, err) : sftp_read(lane->client, &lane->handle, g->offset, g->data, g->n, err);
    return r < 0 ? error_prefix(err, "'%s'", g->name) : 0;
}

static int get(struct store *s, const char *name, uint64_t offset, void *data, size_t n, struct error *err)
{
    struct get g = { name, offset, data, n };
    int r = store_check_name(s, name, err);
    return r < 0 ? r : sftp_lanes_run(s, name, do_get, &g, err);
}

// Of lanes in use others are the readers, who meet the same.
static void forget(struct store *store, const char *name)
{
    struct store_sftp *s = sftp_lanes_of(store);
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->n_lanes; i++)
        if (!s->lanes[i].busy && s->lanes[i].open_name != NULL && strcmp(s->lanes[i].open_name, name) == 0)
            s->lanes[i].ahead_n = 0;
    pthread_mutex_unlock(&s->lock);
}

struct size {
    const char *name;
    uint64_t size, time_ns;
};

static int do_size(struct store_sftp *s, struct sftp_lane_slot *lane, void *arg, bool again, struct error *err)
{
    struct size *z = arg;
    struct sftp_attrs attrs;
    (void)again;
    _cleanup_free_ char *path = sftp_lanes_path(s, z->name);
    int r = sftp_stat(lane->client, path, &attrs, err);
    if (r < 0)
        return r;
    if ((attrs.flags & SFTP_ATTR_PERMISSIONS) != 0 && !S_ISREG(attrs.permissions))
        return error_set(err, ERROR_INTEGRITY, "'%s' is not a regular file", z->name);
    if ((attrs.flags & SFTP_ATTR_SIZE) == 0)
        return error_set(err, ERROR_FAILED, "the server does not tell the size of '%s'", z->name);
    z->size = attrs.size;
    z->time_ns = (attrs.flags & SFTP_ATTR_TIMES) != 0 ? attrs.mtime * UINT64_C(1000000000) : 0;
    return 0;
}

static int size(struct store *s, const char *name, uint64_t *ret_size, struct error *err)
{
    struct size z = { .name = name };
    int r = store_check_name(s, name, err);
    if (r == 0)
        r = sftp_lanes_run(s, NULL, do_size, &z, err);
    if (r == 0)
        *ret_size = z.size;
    return r;
}

static int modified(struct store *s, const char *name, uint64_t *ret_time_ns, struct error *err)
{
    struct size z = { .name = name };
    int r = store_check_name(s, name, err);
    if (r == 0)
        r = sftp_lanes_run(s, NULL, do_size, &z, err);
    if (r == 0 && z.time_ns == 0)
        r = error_set(err, ERROR_FAILED, "the server does not tell the time of '%s'", name);
    if (r == 0)
        *ret_time_ns = z.time_ns;
    return r;
}

struct room {
    uint64_t free_bytes, total_bytes;
};

static int do_space(struct store_sftp *s, struct sftp_lane_slot *lane, void *arg, bool again, struct error *err)
{
    struct room *room = arg;
    (void)again;
    return sftp_space(lane->client, s->root, &room->free_bytes, &room->total_bytes, err);
}

static int space(struct store *s, uint64_t *ret_free, uint64_t *ret_total, struct error *err)
{
    struct room room = { 0 };
    int r = sftp_lanes_run(s, NULL, do_space, &room, err);
    if (r == 0) {
        *ret_free = room.free_bytes;
        *ret_total = room.total_bytes;
    }
    return r;
}

// ---- writing

// A file without a name: gone with its descriptor, also when the process is killed.
static int spool_open(struct store *s, int *ret_fd, char **ret_name, struct error *err)
{
    const char *dir = getenv("TMPDIR");
    dir = dir == NULL || dir[0] == '\0' ? "/var/tmp" : dir;
    int r = io_open(sftp_lanes_of(s)->io, AT_FDCWD, dir, O_RDWR | O_TMPFILE, 0600, ret_fd, err);
    if (r < 0)
        return error_prefix(err, "room for an object on its way to %s (TMPDIR says where)", s->url);
    *ret_name = xstrdup("unnamed");
    return 0;
}

static void spool_drop(struct store *s, const char *spool_name) { (void)s, (void)spool_name; }

struct removal {
    const char *name;
};

static int do_remove(struct store_sftp *s, struct sftp_lane_slot *lane, void *arg, bool again, struct error *err)
{
    const struct removal *m = arg;
    _cleanup_free_ char *path = sftp_lanes_path(s, m->name);
    sftp_lanes_close_file(lane);
    int r = sftp_remove(lane->client, path, err);
    return r == ERROR_NOT_FOUND && again ? 0 : r;
}

static int remove_name(struct store *s, const char *name, struct error *err)
{
    struct removal m = { name };
    int r = store_check_name(s, name, err);
    return r < 0 ? r : sftp_lanes_run(s, name, do_remove, &m, err);
}

// ---- listing

// A server can invent names without end.
enum { DIRS_AT_ONCE = 64, DIRS_MAX = 1 << 20, ENTRIES_MAX = 256 << 20 };

// Directories still to be listed, and what stands in those of one turn. The entries are kept until the lane is given back: whoever visits them makes
// requests of his own.
struct listing {
    char **dirs;
    size_t n, cap, next; // next: the first that is not listed
    size_t turn;         // how many this turn lists
    struct buf entries;  // u32 index of the directory, u64 size (UINT64_MAX: not told), u8 is a directory, name, NUL
};

enum { ENTRY_HEAD = 4 + 8 + 1 };

static void add_dir(struct listing *l, const char *dir)
{
    if (l->n == l->cap) {
        l->cap = l->cap == 0 ? 64 : 2 * l->cap;
        l->dirs = xrealloc(l->dirs, l->cap * sizeof *l->dirs);
    }
    l->dirs[l->n++] = xstrdup(dir);
}

static int keep_entry(void *arg, size_t index, const char *name, const struct sftp_attrs *attrs, struct error *err)
{
    struct listing *l = arg;
    if (l->entries.len > ENTRIES_MAX || l->n > DIRS_MAX)
        return error_set(err, ERROR_INTEGRITY, "'%s' on the server holds more names than a repository has", l->dirs[l->next + index]);
    bool is_dir = (attrs->flags & SFTP_ATTR_PERMISSIONS) != 0 && S_ISDIR(attrs->permissions);
    put_u32le(buf_extend(&l->entries, 4), (uint32_t)(l->next + index));
    put_u64le(buf_extend(&l->entries, 8), (attrs->flags & SFTP_ATTR_SIZE) != 0 ? attrs->size : UINT64_MAX);
    buf_add_char(&l->entries, is_dir);
    buf_add(&l->entries, name, strlen(name) + 1);
    return 0;
}

// A directory that is not there is empty; the store's own is known to be there.
static int end_dir(void *arg, size_t index, const struct sftp_found *found, struct error *err)
{
    const struct listing *l = arg;
    if (found->result == 0 || (found->result == ERROR_NOT_FOUND && l->dirs[l->next + index][0] != '\0'))
        return 0;
    *err = *found->why;
    return found->result;
}

static int do_list(struct store_sftp *s, struct sftp_lane_slot *lane, void *arg, bool again, struct error *err)
{
    struct listing *l = arg;
    char *paths[DIRS_AT_ONCE];
    (void)again;
    buf_reset(&l->entries);
    for (size_t i = 0; i < l->turn; i++)
        paths[i] = sftp_lanes_path(s, l->dirs[l->next + i]);
    struct sftp_many many = { .paths = (const char *const *)paths, .n = l->turn, .entry = keep_entry, .done = end_dir, .arg = l };
    int r = sftp_list_many(lane->client, &many, err);
    for (size_t i = 0; i < l->turn; i++)
        free(paths[i]);
    return r;
}

static int visit_entries(struct listing *l, store_visit_fn *visit, void *arg, struct error *err)
{
    int r = 0;
    for (size_t at = 0; r == 0 && at < l->entries.len;) {
        const uint8_t *e = l->entries.data + at;
        const char *name = (const char *)e + ENTRY_HEAD, *dir = l->dirs[get_u32le(e)];
        at += ENTRY_HEAD + strlen(name) + 1;
        if (strstr(name, ".part-") != NULL || (dir[0] == '\0' && strcmp(name, "tmp") == 0))
            continue;
        _cleanup_free_ char *path = dir[0] == '\0' ? xstrdup(name) : xasprintf("%s/%s", dir, name);
        if (e[12] != 0)
            add_dir(l, path);
        else
            r = visit(arg, path, get_u64le(e + 4), err);
    }
    return r;
}

static int list_below(struct store *s, const char *dir, store_visit_fn *visit, void *arg, struct error *err)
{
    struct listing l = { 0 };
    int r = 0;
    add_dir(&l, dir);
    while (r == 0 && l.next < l.n) {
        l.turn = l.n - l.next < DIRS_AT_ONCE ? l.n - l.next : DIRS_AT_ONCE;
        r = sftp_lanes_run(s, NULL, do_list, &l, err);
        size_t end = l.next + l.turn;
        if (r == 0)
            r = visit_entries(&l, visit, arg, err);
        l.next = end;
    }
    for (size_t i = 0; i < l.n; i++)
        free(l.dirs[i]);
    free(l.dirs);
    buf_done(&l.entries);
    return r;
}

static int list(struct store *s, const char *dir, store_visit_fn *visit, void *arg, struct error *err)
{
    size_t n = strlen(dir);
    _cleanup_free_ char *path = xstrndup(dir, n > 0 && dir[n - 1] == '/' ? n - 1 : n);
    int r = path[0] == '\0' ? 0 : store_check_name(s, path, err);
    return r < 0 ? r : list_below(s, path, visit, arg, err);
}

// ---- many at once

struct asking {
    const struct store_many *many;
    char **paths;   // beside many->names
    size_t *index;  // of each path asked for in this try, in many->names
    bool *done;
    struct store_sftp *store;
    int ended;      // what a visit ended the whole with: not to be taken for a broken line
    struct error why;
};

static int give_found(void *arg, size_t index, const struct sftp_found *found, struct error *err)
{
    struct asking *a = arg;
    size_t i = a->index[index];
    struct store_found answer = { .result = found->result, .why = found->why, .size = found->attrs->size, .data = found->data };
    struct error why;
    a->done[i] = true;
    if (found->result < 0) {
        why = *found->why;
        (void)sftp_lanes_in_store(a->store, found->result, &why);
        answer.why = &why;
    }
    a->ended = a->many->visit(a->many->arg, i, &answer, &a->why);
    return a->ended == 0 ? 0 : error_set(err, ERROR_FAILED, "ended");
}

// A try after the line broke asks only for what was not answered before.
static int do_get_many(struct store_sftp *s, struct sftp_lane_slot *lane, void *arg, bool again, struct error *err)
{
    struct asking *a = arg;
    size_t n = 0, total = a->many->n;
    (void)s, (void)again;
    const char **left = xcalloc(total, sizeof *left);
    for (size_t i = 0; i < total; i++)
        if (!a->done[i]) {
            a->index[n] = i;
            left[n++] = a->paths[i];
        }
    struct sftp_many many = { .paths = left, .n = n, .done = give_found, .arg = a };
    int r = a->many->max == 0 ? sftp_stat_many(lane->client, &many, err) : sftp_get_many(lane->client, &many, a->many->max, err);
    free(left);
    return a->ended != 0 ? 0 : r;
}

static int get_many(struct store *store, const struct store_many *many, struct error *err)
{
    struct store_sftp *s = sftp_lanes_of(store);
    struct asking a = { .many = many, .store = s, .paths = xcalloc(many->n + 1, sizeof *a.paths), .index = xcalloc(many->n + 1, sizeof *a.index),
                        .done = xcalloc(many->n + 1, sizeof *a.done) };
    int r = 0;
    for (size_t i = 0; r == 0 && i < many->n; i++) {
        r = store_check_name(store, many->names[i], err);
        a.paths[i] = sftp_lanes_path(s, many->names[i]);
    }
    if (r == 0)
        r = sftp_lanes_run(store, NULL, do_get_many, &a, err);
    if (a.ended != 0) {
        *err = a.why;
        r = a.ended;
    }
    for (size_t i = 0; i < many->n; i++)
        free(a.paths[i]);
    free(a.paths);
    free(a.index);
    free(a.done);
    return r;
}

// ---- opening and closing

static void close_store(struct store *store)
{
    struct store_sftp *s = sftp_lanes_of(store);
    for (unsigned i = 0; i < SFTP_STORE_LANES; i++)
        sftp_lanes_disconnect(&s->lanes[i]);
    far_hasher_free(s->hasher);
    if (s->connector.done != NULL)
        s->connector.done(s->connector.arg);
    pthread_cond_destroy(&s->freed);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->hasher_lock);
    pthread_mutex_destroy(&s->failing);
    free(s->root);
    free(s);
}

static const struct store_ops ops = {
    .put = store_sftp_put,
    .put_spool = store_sftp_put_spool,
    .put_file = store_sftp_put_file,
    .put_many = store_sftp_put_many,
    .spool_open = spool_open,
    .spool_drop = spool_drop,
    .get = get,
    .size = size,
    .list = list,
    .remove = remove_name,
    .get_many = get_many,
    .get_parts = store_sftp_get_parts,
    .forget = forget,
    .hash = store_sftp_hash,
    .modified = modified,
    .space = space,
    .close = close_store,
};

struct root {
    bool create;
};

static int do_open_root(struct store_sftp *s, struct sftp_lane_slot *lane, void *arg, bool again, struct error *err)
{
    const struct root *root = arg;
    struct sftp_attrs attrs;
    (void)again;
    int r = sftp_stat(lane->client, s->root, &attrs, err);
    if (r == ERROR_NOT_FOUND && root->create) {
        _cleanup_free_ char *with_slash = xasprintf("%s/", s->root);
        return store_sftp_make_dirs(lane->client, with_slash, 1, err);
    }
    if (r == ERROR_NOT_FOUND)
        return error_set(err, ERROR_NOT_FOUND, "there is no directory '%s' on the server: is the path right, and is what holds it mounted? (`bkd init` makes a new repository)", s->root);
    return r;
}

int store_sftp_open(const struct io *io, const char *url, const char *root, bool create, const struct store_connector *connector, struct store **ret_store,
                    struct error *err)
{
    struct store_sftp *s = xcalloc(1, sizeof *s);
    *s = (struct store_sftp){ .store = { .ops = &ops, .url = xstrdup(url), .far = true }, .io = io, .connector = *connector, .root = xstrdup(root),
                              .n_lanes = SFTP_STORE_LANES_USUAL };
    if (connector->lanes > 0)
        s->n_lanes = connector->lanes < SFTP_STORE_LANES ? connector->lanes : SFTP_STORE_LANES;
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->hasher_lock, NULL);
    pthread_mutex_init(&s->failing, NULL);
    pthread_cond_init(&s->freed, NULL);
    struct root r = { create };
    int e = sftp_lanes_run(&s->store, NULL, do_open_root, &r, err);
    if (e < 0)
        store_close(&s->store);
    else
        *ret_store = &s->store;
    return e;
}
