// A store in memory, for tests: the same contract without a disk. Its spool files are memory files of the kernel.
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bkd/base/bytes.h"
#include "bkd/store/store.h"

struct memory_file {
    char *name;
    struct buf data;
};

struct store_memory {
    struct store store;
    pthread_mutex_t lock; // over files: get runs in several threads
    struct memory_file *files; // sorted by name
    size_t n;
};

static struct store_memory *memory_of(struct store *s) { return (struct store_memory *)s; }

// Index of the name, or of where it belongs.
static size_t find(const struct store_memory *m, const char *name, bool *ret_found)
{
    size_t low = 0, high = m->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(m->files[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_found = low < m->n && strcmp(m->files[low].name, name) == 0;
    return low;
}

static int put(struct store *s, const char *name, const void *data, size_t n, struct error *err)
{
    struct store_memory *m = memory_of(s);
    pthread_mutex_lock(&m->lock);
    bool found;
    size_t at = find(m, name, &found);
    if (!found) {
        m->files = xrealloc(m->files, (m->n + 1) * sizeof *m->files);
        memmove(m->files + at + 1, m->files + at, (m->n - at) * sizeof *m->files);
        m->files[at] = (struct memory_file){ .name = xstrdup(name) };
        buf_add(&m->files[at].data, data, n);
        m->n++;
    }
    pthread_mutex_unlock(&m->lock);
    return found ? error_set(err, ERROR_EXISTS, "'%s' exists in %s", name, s->url) : 0;
}

static int spool_open(struct store *s, int *ret_fd, char **ret_name, struct error *err)
{
    (void)s;
    int fd = memfd_create("bkd-spool", MFD_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, errno, "make a file in memory");
    *ret_fd = fd;
    *ret_name = xstrdup("memory");
    return 0;
}

static void spool_drop(struct store *s, const char *spool_name)
{
    (void)s;
    (void)spool_name; // gone with its descriptor
}

static int put_spool(struct store *s, const char *name, int fd, const char *spool_name, struct error *err)
{
    (void)spool_name;
    const struct io *io = io_real();
    _cleanup_buf_ struct buf data = { 0 };
    enum { STEP = 1 << 20 };
    size_t got = STEP;
    int r = 0;
    while (r == 0 && got == STEP) {
        buf_reserve(&data, STEP);
        r = io_pread_full(io, fd, data.data + data.len, STEP, data.len, name, &got, err);
        if (r == 0)
            (void)buf_extend(&data, got);
    }
    io_close_quietly(io, &fd);
    return r < 0 ? r : put(s, name, data.data, data.len, err);
}

static int not_found(const struct store *s, const char *name, struct error *err)
{
    return error_set(err, ERROR_NOT_FOUND, "there is no '%s' in %s", name, s->url);
}

static int get(struct store *s, const char *name, uint64_t offset, void *data, size_t n, struct error *err)
{
    struct store_memory *m = memory_of(s);
    pthread_mutex_lock(&m->lock);
    bool found;
    size_t at = find(m, name, &found);
    bool enough = found && offset <= m->files[at].data.len && n <= m->files[at].data.len - offset;
    if (enough && n > 0)
        memcpy(data, m->files[at].data.data + offset, n);
    pthread_mutex_unlock(&m->lock);
    if (!found)
        return not_found(s, name, err);
    return enough ? 0 : error_set(err, ERROR_INTEGRITY, "'%s' in %s was cut off", name, s->url);
}

static int size(struct store *s, const char *name, uint64_t *ret_size, struct error *err)
{
    struct store_memory *m = memory_of(s);
    pthread_mutex_lock(&m->lock);
    bool found;
    size_t at = find(m, name, &found);
    if (found)
        *ret_size = m->files[at].data.len;
    pthread_mutex_unlock(&m->lock);
    return found ? 0 : not_found(s, name, err);
}

static int list(struct store *s, const char *dir, store_visit_fn *visit, void *arg, struct error *err)
{
    struct store_memory *m = memory_of(s);
    size_t n = strlen(dir);
    if (n > 0 && dir[n - 1] == '/')
        n--;
    for (size_t i = 0; i < m->n; i++) {
        const char *name = m->files[i].name;
        if (n > 0 && (strncmp(name, dir, n) != 0 || name[n] != '/'))
            continue;
        int r = visit(arg, name, m->files[i].data.len, err);
        if (r != 0)
            return r;
    }
    return 0;
}

static int remove_name(struct store *s, const char *name, struct error *err)
{
    struct store_memory *m = memory_of(s);
    pthread_mutex_lock(&m->lock);
    bool found;
    size_t at = find(m, name, &found);
    if (found) {
        free(m->files[at].name);
        buf_done(&m->files[at].data);
        memmove(m->files + at, m->files + at + 1, (m->n - at - 1) * sizeof *m->files);
        m->n--;
    }
    pthread_mutex_unlock(&m->lock);
    return found ? 0 : not_found(s, name, err);
}

static void close_memory(struct store *s)
{
    struct store_memory *m = memory_of(s);
    for (size_t i = 0; i < m->n; i++) {
        free(m->files[i].name);
        buf_done(&m->files[i].data);
    }
    free(m->files);
    pthread_mutex_destroy(&m->lock);
    free(m);
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
    .close = close_memory,
};

struct store *store_memory_new(void)
{
    struct store_memory *m = xcalloc(1, sizeof *m);
    m->store = (struct store){ .ops = &ops, .url = xstrdup("memory") };
    pthread_mutex_init(&m->lock, NULL);
    return &m->store;
}
