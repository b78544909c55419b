#include "bkd/store/store_sftp_put.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/clock.h"
#include "bkd/store/sftp_join.h"
#include "bkd/store/sftp_lanes.h"
#include "bkd/store/sftp_many.h"
#include "bkd/store/sftp_publish.h"

#define TRIES_JOINED 2u // the lines of several connections break more often than that of one
#define COMPARE_MAX (4u << 20) // a small file whose put was cut off is compared byte by byte
#define BLOCK 4096u // file systems give room in such pieces, at least

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

// ---- names

static char *new_part_name(const struct store_sftp *s, const char *path)
{
    uint8_t noise[8];
    char hex[2 * sizeof noise + 1];
    io_random(s->io, noise, sizeof noise);
    format_hex(hex, noise, sizeof noise);
    return xasprintf("%s.part-%s", path, hex);
}

// ---- is it full?

// What could not be written.
struct failed {
    const char *name;
    const char *part;      // is removed; NULL: it is gone already
    uint64_t size;         // of all that has to have room
    uint64_t given_back;   // store_sftp's, as it was when the writing began
};

static uint64_t free_or(struct sftp_client *client, const char *root, uint64_t unknown)
{
    uint64_t free_bytes, total;
    struct error ignored;
    return sftp_space(client, root, &free_bytes, &total, &ignored) < 0 ? unknown : free_bytes;
}

// The room there was for it: what is free with its own part removed, without what others that failed beside it have given back since it began, as that was not free
// then. UINT64_MAX: the server does not tell.
static uint64_t room_there_was(struct store_sftp *s, struct sftp_client *client, const struct failed *f)
{
    struct error ignored;
    pthread_mutex_lock(&s->failing);
    uint64_t others = s->given_back - f->given_back, before = f->part == NULL ? 0 : free_or(client, s->root, UINT64_MAX);
    if (f->part != NULL)
        (void)!sftp_remove(client, f->part, &ignored);
    uint64_t after = free_or(client, s->root, UINT64_MAX);
    if (f->part != NULL && after != UINT64_MAX && after > before)
        s->given_back += after - before;
    pthread_mutex_unlock(&s->failing);
    return after == UINT64_MAX ? after : after > others ? after - others : 0;
}

// A server that says only "failure" may be full, and none says how much is missing.
static int say_if_full(struct store_sftp *s, struct sftp_lane_slot *lane, const struct failed *f, struct error *err)
{
    struct error said = *err, ignored;
    char needed[CLOCK_TEXT_MAX], there[CLOCK_TEXT_MAX];
    sftp_lanes_disconnect(lane); // answers may still be on their way
    if (err->code == ERROR_NOT_FOUND)
        return error_set(err, ERROR_FAILED, "%.600s. Is '%s' still there, and what holds it mounted?", said.text, s->root);
    if ((err->code != ERROR_FAILED && err->code != ERROR_NO_SPACE) || sftp_lanes_connect(s, lane, &ignored) < 0)
        return err->code;
    uint64_t room = room_there_was(s, lane->client, f);
    if (err->code == ERROR_FAILED && room >= f->size)
        return error_set(err, ERROR_FAILED, "%.600s. Can the account write there (owner and mode of the directory, a mount that is read-only, a quota)? Then run again", said.text);
    if (room >= f->size)
        return err->code;
    clock_format_bytes(needed, f->size);
    clock_format_bytes(there, room);
    return error_set(err, ERROR_NO_SPACE, "the server has no room for '%s': %s are needed, %s are free. Make room there (nothing stored before is harmed), then run again", f->name,
                     needed, there);
}

// ---- one large file

struct put {
    const char *name;
    char *path, *part;
    int fd;
    uint64_t size;
    const uint8_t *sha256; // or NULL
    bool next_comes;       // as sftp_join_init
    bool renaming;         // the rename was asked for, by this try or one before
    unsigned tries;
};

// The caller's bytes are hashed where they are read for sending, so that no more is read than is sent.
static int send_content(struct store_sftp *s, struct sftp_lane_slot *lane, const struct put *p, const struct sftp_handle *handle, struct error *err)
{
    _cleanup_crypto_sha256_ struct crypto_sha256 hash = { 0 };
    uint8_t digest[CRYPTO_SHA256_SIZE];
    crypto_sha256_init(&hash);
    struct sftp_join join;
    sftp_join_init(&join, s, lane, p->part, p->fd, p->next_comes);
    struct sftp_sending sending = {
        .fd = p->fd, .size = p->size, .hash = p->sha256 == NULL ? NULL : &hash, .pace = s->connector.pace,
        .further = p->tries <= TRIES_JOINED ? sftp_join_further : NULL, .arg = &join,
    };
    int r = sftp_send_file(s->io, &(struct sftp_lane){ .client = lane->client, .handle = *handle }, &sending, err);
    r = sftp_join_end(&join, r, err);
    crypto_sha256_final(&hash, digest);
    if (r == 0 && p->sha256 != NULL && memcmp(digest, p->sha256, sizeof digest) != 0)
        r = error_set(err, ERROR_INTEGRITY, "'%s' is damaged here: its bytes do not have the SHA-256 of its name", p->name);
    return r;
}

static int write_and_name(struct store_sftp *s, struct sftp_lane_slot *lane, struct put *p, struct error *err)
{
    struct sftp_publish file = { .path = p->path, .part = p->part, .n = p->size };
    int r = sftp_publish_open(lane->client, &file, strlen(s->root), err);
    if (r == 0)
        r = send_content(s, lane, p, &file.handle, err);
    if (r == 0)
        r = sftp_publish_end(lane->client, &file, err);
    p->renaming |= file.renaming;
    if (r == 0 && file.result != 0) {
        *err = file.why;
        r = file.result;
    }
    return r;
}

// Does the final name hold what is to be put there? Asked after the line broke around the rename. An object's name is its hash.
static int is_put_already(struct sftp_lane_slot *lane, const struct put *p, bool *ret_done, struct error *err)
{
    struct sftp_attrs attrs;
    int r = sftp_stat(lane->client, p->path, &attrs, err);
    *ret_done = r == 0 && attrs.size == p->size;
    return r == ERROR_NOT_FOUND ? 0 : r;
}

static int do_put_file(struct store_sftp *s, struct sftp_lane_slot *lane, void *arg, bool again, struct error *err)
{
    struct put *p = arg;
    struct error ignored;
    if (again) {
        bool done = false;
        int r = p->renaming ? is_put_already(lane, p, &done, err) : 0;
        if (r < 0 || done)
            return r;
        if (sftp_lanes_is_broken(sftp_remove(lane->client, p->part, &ignored))) // of the try before; perhaps it never came to be
            return error_set(err, ERROR_UNREACHABLE, "%s", ignored.text);
    }
    free(p->part);
    p->part = new_part_name(s, p->path);
    p->tries++;
    const struct failed failed = { .name = p->name, .part = p->part, .size = p->size, .given_back = s->given_back };
    int r = write_and_name(s, lane, p, err);
    if (r < 0 && r != ERROR_EXISTS && !sftp_lanes_is_broken(r))
        r = say_if_full(s, lane, &failed, err);
    if (r < 0 && r != ERROR_EXISTS && !sftp_lanes_is_broken(r) && sftp_lanes_connect(s, lane, &ignored) == 0)
        (void)!sftp_remove(lane->client, p->part, &ignored); // what stays takes space, nothing else
    return r;
}

// p: name, fd, size and what holds of them.
static int put_file(struct store *store, struct put *p, struct error *err)
{
    p->path = sftp_lanes_path(sftp_lanes_of(store), p->name);
    int r = store_check_name(store, p->name, err);
    if (r == 0)
        r = sftp_lanes_run(store, NULL, do_put_file, p, err);
    free(p->path);
    free(p->part);
    return r;
}

int store_sftp_put_file(struct store *store, const char *name, int fd, uint64_t size, const uint8_t sha256[32], struct error *err)
{
    return put_file(store, &(struct put){ .name = name, .fd = fd, .size = size, .sha256 = sha256 }, err);
}

int store_sftp_put_spool(struct store *s, const char *name, int fd, const char *spool_name, struct error *err)
{
    const struct io *io = sftp_lanes_of(s)->io;
    struct statx st;
    (void)spool_name;
    int r = io_stat(io, fd, "", AT_EMPTY_PATH, &st, err);
    if (r == 0)
        r = put_file(s, &(struct put){ .name = name, .fd = fd, .size = st.stx_size, .next_comes = true }, err);
    io_close_quietly(io, &fd);
    return r;
}

// ---- many small ones

struct put_many {
    struct store_put *puts;
    struct sftp_publish *files; // beside puts
    size_t n;
};

// Which of those whose rename was asked for have their names? The line broke before the answer.
struct comparison {
    const struct put_many *m;
    size_t *index; // of each path that is read
};

static int compare_whole(void *arg, size_t i, const struct sftp_found *found, struct error *err)
{
    const struct comparison *c = arg;
    struct sftp_publish *f = &c->m->files[c->index[i]];
    (void)err;
    f->over = found->result == 0 && found->n == f->n && memcmp(found->data, f->data, f->n) == 0;
    return 0;
}

static int find_named(struct sftp_client *client, const struct put_many *m, struct error *err)
{
    struct comparison c = { m, xcalloc(m->n, sizeof *c.index) };
    const char **paths = xcalloc(m->n, sizeof *paths);
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++)
        if (m->files[i].renaming && !m->files[i].over) {
            c.index[n] = i;
            paths[n++] = m->files[i].path;
        }
    struct sftp_many many = { .paths = paths, .n = n, .done = compare_whole, .arg = &c };
    int r = n == 0 ? 0 : sftp_get_many(client, &many, COMPARE_MAX, err);
    free(paths);
    free(c.index);
    return r;
}

static int begin_again(struct sftp_client *client, const struct put_many *m, struct error *err)
{
    int r = find_named(client, m, err);
    for (size_t i = 0; r == 0 && i < m->n; i++) {
        const struct sftp_publish *f = &m->files[i];
        if (!f->over && f->part != NULL)
            r = sftp_remove(client, f->part, err); // of the try before; perhaps it never came to be
        r = sftp_lanes_is_broken(r) ? r : 0;
    }
    return r;
}

static void new_files(const struct store_sftp *s, const struct put_many *m)
{
    for (size_t i = 0; i < m->n; i++) {
        struct sftp_publish *f = &m->files[i];
        if (f->over)
            continue;
        char *path = sftp_lanes_path(s, m->puts[i].name);
        free((char *)(uintptr_t)f->path);
        free((char *)(uintptr_t)f->part);
        *f = (struct sftp_publish){ .path = path, .part = new_part_name(s, path), .data = m->puts[i].data, .n = m->puts[i].n, .last = m->puts[i].last };
    }
}

static const struct sftp_publish *first_failed(const struct put_many *m, size_t *ret_index)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->files[i].result != 0 && m->files[i].result != ERROR_EXISTS) {
            *ret_index = i;
            return &m->files[i];
        }
    return NULL;
}

// All that have not got their names: the temporary files of those that were written are gone again, too.
static uint64_t size_left(const struct put_many *m)
{
    uint64_t size = 0;
    for (size_t i = 0; i < m->n; i++)
        if (!m->files[i].over || (m->files[i].result != 0 && m->files[i].result != ERROR_EXISTS))
            size += (m->files[i].n + BLOCK - 1) / BLOCK * BLOCK;
    return size;
}

static int do_put_many(struct store_sftp *s, struct sftp_lane_slot *lane, void *arg, bool again, struct error *err)
{
    const struct put_many *m = arg;
    size_t i = 0;
    int r = again ? begin_again(lane->client, m, err) : 0;
    if (r < 0)
        return r;
    new_files(s, m);
    struct failed failed = { .given_back = s->given_back };
    r = sftp_publish_run(lane->client, m->files, m->n, strlen(s->root), s->connector.pace, err);
    if (r == 0 || sftp_lanes_is_broken(r) || first_failed(m, &i) == NULL)
        return r;
    failed.name = m->puts[i].name;
    failed.size = size_left(m);
    return say_if_full(s, lane, &failed, err);
}

int store_sftp_put_many(struct store *store, struct store_put *puts, size_t n, struct error *err)
{
    struct put_many m = { .puts = puts, .files = xcalloc(n, sizeof *m.files), .n = n };
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = store_check_name(store, puts[i].name, err);
    if (r == 0)
        r = sftp_lanes_run(store, NULL, do_put_many, &m, err);
    for (size_t i = 0; i < n; i++) {
        puts[i].result = m.files[i].result;
        free((char *)(uintptr_t)m.files[i].path);
        free((char *)(uintptr_t)m.files[i].part);
    }
    free(m.files);
    return r;
}

int store_sftp_put(struct store *s, const char *name, const void *data, size_t n, struct error *err)
{
    struct store_put one = { .name = name, .data = data, .n = n };
    int r = store_sftp_put_many(s, &one, 1, err);
    return r == 0 && one.result == ERROR_EXISTS ? sftp_lanes_in_store(sftp_lanes_of(s), error_set(err, ERROR_EXISTS, "'%s' exists", name), err) : r;
}
