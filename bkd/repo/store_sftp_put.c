#include "bkd/repo/store_sftp_put.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/clock.h"
#include "bkd/base/log.h"
#include "bkd/repo/sftp_lanes.h"

enum {
    STRIPE_MIN = 8 << 20,        // smaller files go through one lane
    NEAR_NS = 3000000,           // round trips below are a local network: the cipher is the limit there, not the window
    NEAR_LANES = 2,
    COMPARE_MAX = 1 << 20,       // a small file whose put was cut off is compared byte by byte
};

struct put {
    const char *name;
    char *path, *part;
    int fd;           // of the spool file; -1: from `data`
    const void *data;
    uint64_t size;
    bool renaming;    // the rename was asked for, by this try or one before
};

// Makes the directories that the path names before each slash from `from` on.
int store_sftp_make_dirs(struct sftp_client *client, const char *path, size_t from, struct error *err)
{
    struct error why;
    for (const char *slash = strchr(path + from, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        _cleanup_free_ char *dir = xstrndup(path, (size_t)(slash - path));
        struct sftp_attrs attrs;
        int r = sftp_mkdir(client, dir, 0700, &why);
        if (r < 0 && !sftp_lanes_is_broken(r))
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
    r = store_sftp_make_dirs(client, p->part, strlen(s->root) + 1, err);
    return r < 0 ? r : sftp_open(client, p->part, flags, 0600, ret_handle, err);
}

// A further connection for a large file; all of them are made at the same time, since each takes a dozen round trips.
struct further {
    struct store_sftp *store;
    const struct put *put;
    struct sftp_lane_slot *slot;
    struct sftp_handle handle;
    pthread_t thread;
    bool has_thread;
    int result;
    struct error why;
};

static void *connect_further(void *arg)
{
    struct further *f = arg;
    f->result = sftp_lanes_connect(f->store, f->slot, &f->why);
    if (f->result == 0)
        f->result = sftp_open(f->slot->client, f->put->part, SFTP_OPEN_WRITE, 0, &f->handle, &f->why);
    return NULL;
}

static size_t take_idle(struct store_sftp *s, const struct put *p, size_t wanted, struct further *ret_further)
{
    size_t n = 0;
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->n_lanes && n < wanted; i++)
        if (!s->lanes[i].busy) {
            s->lanes[i].busy = true;
            ret_further[n++] = (struct further){ .store = s, .put = p, .slot = &s->lanes[i] };
        }
    pthread_mutex_unlock(&s->lock);
    return n;
}

// As many as are idle and the server lets in.
static size_t add_lanes(struct store_sftp *s, const struct put *p, struct sftp_lane_slot **taken, struct sftp_lane *lanes)
{
    size_t good = 1, wanted = sftp_client_abilities(taken[0]->client)->round_trip_ns < NEAR_NS ? NEAR_LANES : SFTP_STORE_LANES;
    struct further further[SFTP_STORE_LANES];
    if (p->size < STRIPE_MIN)
        return 1;
    size_t n = take_idle(s, p, wanted - 1, further);
    for (size_t i = 0; i < n; i++) {
        further[i].has_thread = pthread_create(&further[i].thread, NULL, connect_further, &further[i]) == 0;
        if (!further[i].has_thread)
            (void)connect_further(&further[i]);
    }
    for (size_t i = 0; i < n; i++) {
        struct further *f = &further[i];
        if (f->has_thread)
            (void)pthread_join(f->thread, NULL);
        if (f->result == 0) {
            lanes[good] = (struct sftp_lane){ .client = f->slot->client, .handle = f->handle };
            taken[good++] = f->slot;
            continue;
        }
        log_debug("%s: no further connection: %s", s->store.url, f->why.text);
        sftp_lanes_disconnect(f->slot);
        sftp_lanes_give(s, f->slot);
    }
    return good;
}

static int end_lanes(struct store_sftp *s, struct sftp_lane_slot **taken, struct sftp_lane *lanes, size_t n, int r, struct error *err)
{
    for (size_t i = 1; i < n; i++) {
        int closed = r < 0 ? ERROR_UNREACHABLE : sftp_close(lanes[i].client, &lanes[i].handle, err);
        if (closed < 0)
            sftp_lanes_disconnect(taken[i]);
        r = r < 0 ? r : closed;
        sftp_lanes_give(s, taken[i]);
    }
    return r;
}

static int send_content(struct store_sftp *s, struct sftp_lane_slot *lane, const struct put *p, const struct sftp_handle *handle, struct error *err)
{
    struct sftp_lane_slot *taken[SFTP_STORE_LANES] = { lane };
    struct sftp_lane lanes[SFTP_STORE_LANES] = { { .client = lane->client, .handle = *handle } };
    if (p->fd < 0)
        return sftp_write(lane->client, handle, p->data, (size_t)p->size, err);
    size_t n = add_lanes(s, p, taken, lanes);
    int r = sftp_send_file(s->io, lanes, n, p->fd, p->size, s->connector.pace, err);
    return end_lanes(s, taken, lanes, n, r, err);
}

// A server that says only "failure" may be full, and none says how much is missing.
static int say_if_full(struct store_sftp *s, struct sftp_lane_slot *lane, const struct put *p, struct error *err)
{
    struct error ignored;
    uint64_t free_bytes, total;
    char needed[CLOCK_TEXT_MAX], there[CLOCK_TEXT_MAX];
    sftp_lanes_disconnect(lane); // answers may still be on their way
    if ((err->code != ERROR_FAILED && err->code != ERROR_NO_SPACE) || sftp_lanes_connect(s, lane, &ignored) < 0)
        return err->code;
    (void)!sftp_remove(lane->client, p->part, &ignored); // what was sent counts as free again
    if (sftp_space(lane->client, s->root, &free_bytes, &total, &ignored) < 0 || (err->code == ERROR_FAILED && free_bytes >= p->size))
        return err->code;
    clock_format_bytes(needed, p->size);
    clock_format_bytes(there, free_bytes);
    return error_set(err, ERROR_NO_SPACE, "the server has no room for '%s': %s are needed, %s are free. Make room there (nothing stored before is harmed), then run again", p->name,
                     needed, there);
}

static int write_part(struct store_sftp *s, struct sftp_lane_slot *lane, const struct put *p, struct error *err)
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
static int is_put_already(struct store_sftp *s, struct sftp_lane_slot *lane, const struct put *p, bool *ret_done, struct error *err)
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
    r = sftp_lanes_open_file(s, lane, p->name, err);
    if (r == 0)
        r = sftp_read(lane->client, &lane->handle, 0, buf_extend(&there, (size_t)p->size), (size_t)p->size, err);
    *ret_done = r == 0 && memcmp(there.data, p->data, there.len) == 0;
    return r;
}

static int give_name(struct sftp_lane_slot *lane, struct put *p, struct error *err)
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
    if (r < 0 && !sftp_lanes_is_broken(r) && sftp_stat(lane->client, p->path, &attrs, &why) == 0)
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

static int do_put(struct store_sftp *s, struct sftp_lane_slot *lane, void *arg, bool again, struct error *err)
{
    struct put *p = arg;
    struct error ignored;
    if (again) {
        bool done = false;
        int r = p->renaming ? is_put_already(s, lane, p, &done, err) : 0;
        if (r < 0 || done)
            return r;
        if (sftp_lanes_is_broken(sftp_remove(lane->client, p->part, &ignored))) // of the try before; perhaps it never came to be
            return error_set(err, ERROR_UNREACHABLE, "%s", ignored.text);
    }
    new_part_name(s, p);
    int r = write_part(s, lane, p, err);
    if (r < 0 && !sftp_lanes_is_broken(r))
        r = say_if_full(s, lane, p, err);
    if (r == 0)
        r = give_name(lane, p, err);
    if (r < 0 && !sftp_lanes_is_broken(r) && sftp_lanes_connect(s, lane, &ignored) == 0)
        (void)!sftp_remove(lane->client, p->part, &ignored); // what stays takes space, nothing else
    return r;
}

static int run_put(struct store *store, struct put *p, struct error *err)
{
    p->path = sftp_lanes_path(sftp_lanes_of(store), p->name);
    int r = store_check_name(store, p->name, err);
    if (r == 0)
        r = sftp_lanes_run(store, NULL, do_put, p, err);
    free(p->path);
    free(p->part);
    return r;
}

int store_sftp_put(struct store *s, const char *name, const void *data, size_t n, struct error *err)
{
    struct put p = { .name = name, .fd = -1, .data = data, .size = n };
    return run_put(s, &p, err);
}

int store_sftp_put_spool(struct store *s, const char *name, int fd, const char *spool_name, struct error *err)
{
    const struct io *io = sftp_lanes_of(s)->io;
    struct statx st;
    (void)spool_name;
    int r = io_stat(io, fd, "", AT_EMPTY_PATH, &st, err);
    struct put p = { .name = name, .fd = fd, .size = st.stx_size };
    if (r == 0)
        r = run_put(s, &p, err);
    io_close_quietly(io, &fd);
    return r;
}
