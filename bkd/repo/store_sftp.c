// A store on an SSH server, through SFTP version 3 and nothing beyond it: works on a chrooted internal-sftp without extensions.
//
// A file is written under NAME.part-RANDOM, made durable where the server can (fsync@openssh.com), compared in size, and renamed; version 3's rename does
// not overwrite. When the line breaks, a new connection is tried a few times, and after a put both names are looked at, since the answer to the rename
// may have been lost.
//
// Lanes are connections, opened as they are needed, up to a number; each is used by one thread at a time. A lane keeps the file it read last open.
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/base/bytes.h"
#include "bkd/base/fs.h"
#include "bkd/base/log.h"
#include "bkd/base/ssh_url.h"
#include "bkd/repo/sftp_client.h"
#include "bkd/repo/ssh.h"
#include "bkd/repo/store.h"

enum {
    LANES = 4,                   // as many as fill 1 Gbit/s at 50 ms, where a channel takes 2 MiB a round trip
    TRIES = 5,                   // connections for one request
    TRIES_AT_FIRST = 3,          // before there was one: a server that is down is told soon
    BACK_OFF_MS = 500,           // before the second try, doubled each time
    STRIPE_MIN = 8 << 20,        // smaller files go through one lane
    NEAR_NS = 3000000,           // round trips below are a local network: the cipher is the limit there, not the window
    NEAR_LANES = 2,
    COMPARE_MAX = 1 << 20,       // a small file whose put was cut off is compared byte by byte
};

struct sftp_store_lane {
    struct sftp_client *client; // NULL: not connected
    bool busy;
    char *open_name; // the file that is open for reading, or NULL
    struct sftp_handle handle;
};

struct store_sftp {
    struct store store;
    const struct io *io;
    struct store_connector connector;
    char *root;
    pthread_mutex_t lock;
    pthread_cond_t freed;
    struct sftp_store_lane lanes[LANES];
    unsigned n_lanes; // that may be used: fewer than LANES where the server lets no more in
    _Atomic bool was_there; // a connection was made
};

static struct store_sftp *sftp_of(struct store *s) { return (struct store_sftp *)s; }

static char *path_of(const struct store_sftp *s, const char *name)
{
    return name[0] == '\0' ? xstrdup(s->root) : strcmp(s->root, "/") == 0 ? xasprintf("/%s", name) : xasprintf("%s/%s", s->root, name);
}

static int in_store(const struct store_sftp *s, int r, struct error *err) { return r < 0 ? error_prefix(err, "repository %s", s->store.url) : r; }

// ---- lanes

static void disconnect(struct sftp_store_lane *lane)
{
    sftp_client_free(lane->client);
    lane->client = NULL;
    free(lane->open_name);
    lane->open_name = NULL;
}

// The idle lane best suited: one that has the file open, else a connected one, else one that is not. NULL when all are busy.
static struct sftp_store_lane *idle_lane(struct store_sftp *s, const char *name)
{
    struct sftp_store_lane *best = NULL;
    for (unsigned i = 0; i < s->n_lanes; i++) {
        struct sftp_store_lane *lane = &s->lanes[i];
        if (lane->busy)
            continue;
        if (name != NULL && lane->open_name != NULL && strcmp(lane->open_name, name) == 0)
            return lane;
        if (best == NULL || (best->client == NULL && lane->client != NULL))
            best = lane;
    }
    return best;
}

static struct sftp_store_lane *take_lane(struct store_sftp *s, const char *name)
{
    struct sftp_store_lane *lane;
    pthread_mutex_lock(&s->lock);
    while ((lane = idle_lane(s, name)) == NULL)
        pthread_cond_wait(&s->freed, &s->lock);
    lane->busy = true;
    pthread_mutex_unlock(&s->lock);
    return lane;
}

static void give_lane(struct store_sftp *s, struct sftp_store_lane *lane)
{
    pthread_mutex_lock(&s->lock);
    lane->busy = false;
    pthread_cond_signal(&s->freed);
    pthread_mutex_unlock(&s->lock);
}

static int connect_lane(struct store_sftp *s, struct sftp_store_lane *lane, struct error *err)
{
    int r = lane->client != NULL ? 0 : s->connector.connect(s->connector.arg, &lane->client, err);
    if (r == 0)
        s->was_there = true;
    return r;
}

static bool is_line_broken(int r) { return r == ERROR_UNREACHABLE || r == ERROR_FORMAT; }

// ---- one request, tried again on a new connection when the line breaks

// `again`: an earlier try may have done it already.
typedef int request_fn(struct store_sftp *s, struct sftp_store_lane *lane, void *arg, bool again, struct error *err);

static void back_off(const struct store_sftp *s, unsigned tries)
{
    unsigned first = s->connector.back_off_ms == 0 ? BACK_OFF_MS : s->connector.back_off_ms, ms = first << (tries - 1);
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
    (void)nanosleep(&t, NULL);
}

static int try_request(struct store_sftp *s, struct sftp_store_lane *lane, request_fn *request, void *arg, struct error *err)
{
    for (unsigned tries = 1;; tries++) {
        int r = connect_lane(s, lane, err);
        if (r == 0)
            r = request(s, lane, arg, tries > 1, err);
        if (!is_line_broken(r))
            return r;
        disconnect(lane);
        if (tries == (s->was_there ? TRIES : TRIES_AT_FIRST)) {
            err->code = ERROR_UNREACHABLE;
            return error_prefix(err, "given up after %u tries", tries);
        }
        log_info("%s: %s; trying again", s->store.url, err->text);
        back_off(s, tries);
    }
}

static int run_request(struct store *store, const char *name, request_fn *request, void *arg, struct error *err)
{
    struct store_sftp *s = sftp_of(store);
    struct sftp_store_lane *lane = take_lane(s, name);
    int r = try_request(s, lane, request, arg, err);
    give_lane(s, lane);
    return in_store(s, r, err);
}

// ---- reading

struct get {
    const char *name;
    uint64_t offset;
    void *data;
    size_t n;
};

// Closes the file that was read last. ERROR_UNREACHABLE when the line broke over it.
static int close_read_file(struct sftp_store_lane *lane, struct error *err)
{
    if (lane->open_name == NULL)
        return 0;
    free(lane->open_name);
    lane->open_name = NULL;
    int r = sftp_close(lane->client, &lane->handle, err);
    return is_line_broken(r) ? r : 0; // it was only read from
}

static int open_for_reading(struct store_sftp *s, struct sftp_store_lane *lane, const char *name, struct error *err)
{
    if (lane->open_name != NULL && strcmp(lane->open_name, name) == 0)
        return 0;
    _cleanup_free_ char *path = path_of(s, name);
    int r = close_read_file(lane, err);
    if (r == 0)
        r = sftp_open(lane->client, path, SFTP_OPEN_READ, 0, &lane->handle, err);
    if (r == 0)
        lane->open_name = xstrdup(name);
    return r;
}

static int do_get(struct store_sftp *s, struct sftp_store_lane *lane, void *arg, bool again, struct error *err)
{
    struct get *g = arg;
    (void)again;
    int r = open_for_reading(s, lane, g->name, err);
    if (r < 0 || g->n == 0)
        return r;
    r = sftp_read(lane->client, &lane->handle, g->offset, g->data, g->n, err);
    return r < 0 ? error_prefix(err, "'%s'", g->name) : 0;
}

static int get(struct store *s, const char *name, uint64_t offset, void *data, size_t n, struct error *err)
{
    struct get g = { name, offset, data, n };
    int r = store_check_name(s, name, err);
    return r < 0 ? r : run_request(s, name, do_get, &g, err);
}

struct size {
    const char *name;
    uint64_t size;
};

static int do_size(struct store_sftp *s, struct sftp_store_lane *lane, void *arg, bool again, struct error *err)
{
    struct size *z = arg;
    struct sftp_attrs attrs;
    (void)again;
    _cleanup_free_ char *path = path_of(s, z->name);
    int r = sftp_stat(lane->client, path, &attrs, err);
    if (r < 0)
        return r;
    if ((attrs.flags & SFTP_ATTR_PERMISSIONS) != 0 && !S_ISREG(attrs.permissions))
        return error_set(err, ERROR_INTEGRITY, "'%s' is not a regular file", z->name);
    if ((attrs.flags & SFTP_ATTR_SIZE) == 0)
        return error_set(err, ERROR_FAILED, "the server does not tell the size of '%s'", z->name);
    z->size = attrs.size;
    return 0;
}

static int size(struct store *s, const char *name, uint64_t *ret_size, struct error *err)
{
    struct size z = { .name = name };
    int r = store_check_name(s, name, err);
    if (r == 0)
        r = run_request(s, NULL, do_size, &z, err);
    if (r == 0)
        *ret_size = z.size;
    return r;
}

// ---- writing

struct put {
    const char *name;
    char *path, *part;
    int fd;           // of the spool file; -1: from `data`
    const void *data;
    uint64_t size;
    bool renaming;    // the rename was asked for, by this try or one before
};

// Makes the directories that the path names before each slash from `from` on.
static int make_dirs(struct sftp_client *client, const char *path, size_t from, struct error *err)
{
    struct error why;
    for (const char *slash = strchr(path + from, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        _cleanup_free_ char *dir = xstrndup(path, (size_t)(slash - path));
        struct sftp_attrs attrs;
        int r = sftp_mkdir(client, dir, 0700, &why);
        if (r < 0 && !is_line_broken(r))
            r = sftp_stat(client, dir, &attrs, err); // servers answer "failure" where it exists
        else if (r < 0)
            *err = why;
        if (r < 0)
            return r;
    }
    return 0;
}

static int open_part(const struct store_sftp *s, struct sftp_client *client, const struct put *p, struct sftp_handle *ret_handle, struct error *err)
{
    uint32_t flags = SFTP_OPEN_WRITE | SFTP_OPEN_CREAT | SFTP_OPEN_EXCL;
    int r = sftp_open(client, p->part, flags, 0600, ret_handle, err);
    if (r != ERROR_NOT_FOUND)
        return r;
    r = make_dirs(client, p->part, strlen(s->root) + 1, err);
    return r < 0 ? r : sftp_open(client, p->part, flags, 0600, ret_handle, err);
}

// More connections for a large file, as far as they are idle and the server lets them in.
static size_t add_lanes(struct store_sftp *s, const struct put *p, struct sftp_store_lane **taken, struct sftp_lane *lanes)
{
    size_t n = 1, wanted = sftp_client_abilities(taken[0]->client)->round_trip_ns < NEAR_NS ? NEAR_LANES : LANES;
    struct error why;
    if (p->size < STRIPE_MIN)
        return n;
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->n_lanes && n < wanted; i++)
        if (!s->lanes[i].busy) {
            s->lanes[i].busy = true;
            taken[n++] = &s->lanes[i];
        }
    pthread_mutex_unlock(&s->lock);
    size_t good = 1;
    for (size_t i = 1; i < n; i++) {
        int r = connect_lane(s, taken[i], &why);
        if (r == 0)
            r = sftp_open(taken[i]->client, p->part, SFTP_OPEN_WRITE, 0, &lanes[good].handle, &why);
        if (r == 0) {
            lanes[good].client = taken[i]->client;
            taken[good++] = taken[i];
            continue;
        }
        log_debug("%s: no further connection: %s", s->store.url, why.text);
        disconnect(taken[i]);
        give_lane(s, taken[i]);
    }
    return good;
}

static int end_lanes(struct store_sftp *s, struct sftp_store_lane **taken, struct sftp_lane *lanes, size_t n, int r, struct error *err)
{
    for (size_t i = 1; i < n; i++) {
        int closed = r < 0 ? ERROR_UNREACHABLE : sftp_close(lanes[i].client, &lanes[i].handle, err);
        if (closed < 0)
            disconnect(taken[i]);
        r = r < 0 ? r : closed;
        give_lane(s, taken[i]);
    }
    return r;
}

static int send_content(struct store_sftp *s, struct sftp_store_lane *lane, const struct put *p, const struct sftp_handle *handle, struct error *err)
{
    struct sftp_store_lane *taken[LANES] = { lane };
    struct sftp_lane lanes[LANES] = { { .client = lane->client, .handle = *handle } };
    if (p->fd < 0)
        return sftp_write(lane->client, handle, p->data, (size_t)p->size, err);
    size_t n = add_lanes(s, p, taken, lanes);
    int r = sftp_send_file(s->io, lanes, n, p->fd, p->size, NULL, err);
    return end_lanes(s, taken, lanes, n, r, err);
}

// A server that says only "failure" may be full.
static int say_if_full(struct store_sftp *s, struct sftp_store_lane *lane, const struct put *p, struct error *err)
{
    struct error ignored;
    uint64_t free_bytes, total;
    disconnect(lane); // answers may still be on their way
    if (err->code == ERROR_FAILED && connect_lane(s, lane, &ignored) == 0 && sftp_space(lane->client, s->root, &free_bytes, &total, &ignored) == 0 &&
        free_bytes < p->size)
        err->code = ERROR_NO_SPACE;
    return err->code;
}

static int write_part(struct store_sftp *s, struct sftp_store_lane *lane, const struct put *p, struct error *err)
{
    struct sftp_handle handle;
    struct sftp_attrs attrs = { 0 };
    int r = open_part(s, lane->client, p, &handle, err);
    if (r == 0)
        r = send_content(s, lane, p, &handle, err);
    if (r == 0 && sftp_client_abilities(lane->client)->fsync)
        r = sftp_fsync(lane->client, &handle, err);
    if (r == 0)
        r = sftp_fstat(lane->client, &handle, &attrs, err);
    if (r == 0 && attrs.size != p->size)
        r = error_set(err, ERROR_FAILED, "the server kept %llu of %llu bytes of '%s'", (unsigned long long)attrs.size, (unsigned long long)p->size, p->name);
    return r == 0 ? sftp_close(lane->client, &handle, err) : r;
}

// Does the final name hold what is to be put there? Asked after the line broke around the rename.
static int is_put_already(struct store_sftp *s, struct sftp_store_lane *lane, const struct put *p, bool *ret_done, struct error *err)
{
    struct sftp_attrs attrs;
    *ret_done = false;
    int r = sftp_stat(lane->client, p->path, &attrs, err);
    if (r < 0)
        return r == ERROR_NOT_FOUND ? 0 : r;
    if (attrs.size != p->size)
        return 0;
    *ret_done = p->fd >= 0 || p->size > COMPARE_MAX; // an object's name is its hash
    if (*ret_done)
        return 0;
    _cleanup_buf_ struct buf there = { 0 };
    r = open_for_reading(s, lane, p->name, err);
    if (r == 0)
        r = sftp_read(lane->client, &lane->handle, 0, buf_extend(&there, (size_t)p->size), (size_t)p->size, err);
    *ret_done = r == 0 && memcmp(there.data, p->data, there.len) == 0;
    return r;
}

static int give_name(struct sftp_store_lane *lane, struct put *p, struct error *err)
{
    struct sftp_attrs attrs;
    struct error why;
    // A server whose rename overwrites must not be asked for one that does.
    int there = sftp_stat(lane->client, p->path, &attrs, &why);
    if (there == 0)
        return error_set(err, ERROR_EXISTS, "'%s' exists", p->name);
    if (there != ERROR_NOT_FOUND) {
        *err = why;
        return there;
    }
    p->renaming = true;
    int r = sftp_rename(lane->client, p->part, p->path, err);
    if (r < 0 && !is_line_broken(r) && sftp_stat(lane->client, p->path, &attrs, &why) == 0)
        r = error_set(err, ERROR_EXISTS, "'%s' exists", p->name);
    return r;
}

static void new_part_name(struct store_sftp *s, struct put *p)
{
    uint8_t noise[8];
    char hex[2 * sizeof noise + 1];
    io_random(s->io, noise, sizeof noise);
    format_hex(hex, noise, sizeof noise);
    free(p->part);
    p->part = xasprintf("%s.part-%s", p->path, hex);
}

static int do_put(struct store_sftp *s, struct sftp_store_lane *lane, void *arg, bool again, struct error *err)
{
    struct put *p = arg;
    struct error ignored;
    if (again) {
        bool done = false;
        int r = p->renaming ? is_put_already(s, lane, p, &done, err) : 0;
        if (r < 0 || done)
            return r;
        if (is_line_broken(sftp_remove(lane->client, p->part, &ignored))) // of the try before; perhaps it never came to be
            return error_set(err, ERROR_UNREACHABLE, "%s", ignored.text);
    }
    new_part_name(s, p);
    int r = write_part(s, lane, p, err);
    if (r < 0 && !is_line_broken(r))
        r = say_if_full(s, lane, p, err);
    if (r == 0)
        r = give_name(lane, p, err);
    if (r < 0 && !is_line_broken(r) && connect_lane(s, lane, &ignored) == 0)
        (void)!sftp_remove(lane->client, p->part, &ignored); // what stays takes space, nothing else
    return r;
}

static int run_put(struct store *store, struct put *p, struct error *err)
{
    p->path = path_of(sftp_of(store), p->name);
    int r = store_check_name(store, p->name, err);
    if (r == 0)
        r = run_request(store, NULL, do_put, p, err);
    free(p->path);
    free(p->part);
    return r;
}

static int put(struct store *s, const char *name, const void *data, size_t n, struct error *err)
{
    struct put p = { .name = name, .fd = -1, .data = data, .size = n };
    return run_put(s, &p, err);
}

static int put_spool(struct store *s, const char *name, int fd, const char *spool_name, struct error *err)
{
    const struct io *io = sftp_of(s)->io;
    struct statx st;
    (void)spool_name;
    int r = io_stat(io, fd, "", AT_EMPTY_PATH, &st, err);
    struct put p = { .name = name, .fd = fd, .size = st.stx_size };
    if (r == 0)
        r = run_put(s, &p, err);
    io_close_quietly(io, &fd);
    return r;
}

// A file without a name: gone with its descriptor, also when the process is killed.
static int spool_open(struct store *s, int *ret_fd, char **ret_name, struct error *err)
{
    const char *dir = getenv("TMPDIR");
    dir = dir == NULL || dir[0] == '\0' ? "/var/tmp" : dir;
    int r = io_open(sftp_of(s)->io, AT_FDCWD, dir, O_RDWR | O_TMPFILE, 0600, ret_fd, err);
    if (r < 0)
        return error_prefix(err, "room for an object on its way to %s (TMPDIR says where)", s->url);
    *ret_name = xstrdup("unnamed");
    return 0;
}

static void spool_drop(struct store *s, const char *spool_name) { (void)s, (void)spool_name; }

struct removal {
    const char *name;
};

static int do_remove(struct store_sftp *s, struct sftp_store_lane *lane, void *arg, bool again, struct error *err)
{
    const struct removal *m = arg;
    _cleanup_free_ char *path = path_of(s, m->name);
    int r = close_read_file(lane, err);
    if (r == 0)
        r = sftp_remove(lane->client, path, err);
    return r == ERROR_NOT_FOUND && again ? 0 : r;
}

static int remove_name(struct store *s, const char *name, struct error *err)
{
    struct removal m = { name };
    int r = store_check_name(s, name, err);
    return r < 0 ? r : run_request(s, name, do_remove, &m, err);
}

// ---- listing

// The entries of one directory, kept until the lane is given back: whoever visits them makes requests of his own.
struct listing {
    const char *dir;
    struct buf entries; // u64 size (UINT64_MAX: not told), u8 is a directory, name, NUL
};

static int keep_entry(void *arg, const char *name, const struct sftp_attrs *attrs, struct error *err)
{
    struct listing *l = arg;
    (void)err;
    bool is_dir = (attrs->flags & SFTP_ATTR_PERMISSIONS) != 0 && S_ISDIR(attrs->permissions);
    put_u64le(buf_extend(&l->entries, 8), (attrs->flags & SFTP_ATTR_SIZE) != 0 ? attrs->size : UINT64_MAX);
    buf_add_char(&l->entries, is_dir);
    buf_add(&l->entries, name, strlen(name) + 1);
    return 0;
}

static int do_list(struct store_sftp *s, struct sftp_store_lane *lane, void *arg, bool again, struct error *err)
{
    struct listing *l = arg;
    (void)again;
    buf_reset(&l->entries);
    _cleanup_free_ char *path = path_of(s, l->dir);
    return sftp_list(lane->client, path, keep_entry, l, err);
}

static int list_below(struct store *s, const char *dir, store_visit_fn *visit, void *arg, struct error *err)
{
    struct listing l = { .dir = dir };
    int r = run_request(s, NULL, do_list, &l, err);
    if (r == ERROR_NOT_FOUND && dir[0] != '\0')
        r = 0;
    for (size_t at = 0; r == 0 && at < l.entries.len;) {
        const uint8_t *e = l.entries.data + at;
        const char *name = (const char *)e + 9;
        at += 9 + strlen(name) + 1;
        if (strstr(name, ".part-") != NULL || (dir[0] == '\0' && strcmp(name, "tmp") == 0))
            continue;
        _cleanup_free_ char *path = dir[0] == '\0' ? xstrdup(name) : xasprintf("%s/%s", dir, name);
        r = e[8] != 0 ? list_below(s, path, visit, arg, err) : visit(arg, path, get_u64le(e), err);
    }
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

// ---- opening and closing

static void close_store(struct store *store)
{
    struct store_sftp *s = sftp_of(store);
    for (unsigned i = 0; i < LANES; i++)
        disconnect(&s->lanes[i]);
    if (s->connector.done != NULL)
        s->connector.done(s->connector.arg);
    pthread_cond_destroy(&s->freed);
    pthread_mutex_destroy(&s->lock);
    free(s->root);
    free(s);
}

static const struct store_ops ops = {
    .put = put,
    .put_spool = put_spool,
    .spool_open = spool_open,
    .spool_drop = spool_drop,
    .get = get,
    .size = size,
    .list = list,
    .remove = remove_name,
    .close = close_store,
};

struct root {
    bool create;
};

static int do_open_root(struct store_sftp *s, struct sftp_store_lane *lane, void *arg, bool again, struct error *err)
{
    const struct root *root = arg;
    struct sftp_attrs attrs;
    (void)again;
    int r = sftp_stat(lane->client, s->root, &attrs, err);
    if (r == ERROR_NOT_FOUND && root->create) {
        _cleanup_free_ char *with_slash = xasprintf("%s/", s->root);
        return make_dirs(lane->client, with_slash, 1, err);
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
                              .n_lanes = LANES };
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->freed, NULL);
    struct root r = { create };
    int e = run_request(&s->store, NULL, do_open_root, &r, err);
    if (e < 0)
        store_close(&s->store);
    else
        *ret_store = &s->store;
    return e;
}
