#include "tests/support/fault_log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAMES_MAX = 20000, FILES_MAX = 900 };

// A name made, removed or exchanged.
struct name_op {
    enum { CREATED, REMOVED, REMOVED_DIR, RENAMED } kind;
    char *path, *from; // absolute; from: of a rename
    long aside;        // number of the link to what stood there before, or 0
    mode_t mode;       // of a removed directory
    int root;
    bool durable;
};

// A file written to, kept open so that its inode stays what it is.
struct file_op {
    dev_t device;
    ino_t inode;
    int fd, root;
    char *synced; // content
    size_t synced_size;
    bool dirty;
};

struct fault_log {
    const char *roots[FAULT_ROOTS_MAX];
    const char *aside;
    long next_aside;
    struct name_op *names;
    size_t n_names;
    struct name_op pending;
    bool has_pending;
    struct file_op files[FILES_MAX];
    size_t n_files;
};

static _Noreturn void broken(const char *what, const char *path)
{
    (void)fprintf(stderr, "fault_log: %s '%s': %s\n", what, path, strerror(errno));
    abort();
}

struct fault_log *fault_log_new(const char *const roots[FAULT_ROOTS_MAX], const char *aside)
{
    struct fault_log *log = calloc(1, sizeof *log);
    if (log == NULL || (log->names = calloc(NAMES_MAX, sizeof *log->names)) == NULL)
        abort();
    memcpy(log->roots, roots, sizeof log->roots);
    log->aside = aside;
    return log;
}

void fault_log_free(struct fault_log *log)
{
    if (log == NULL)
        return;
    for (size_t i = 0; i < log->n_names; i++) {
        free(log->names[i].path);
        free(log->names[i].from);
    }
    for (size_t i = 0; i < log->n_files; i++) {
        (void)close(log->files[i].fd);
        free(log->files[i].synced);
    }
    free(log->names);
    free(log);
}

// ---- paths

static char *resolve(int dirfd, const char *path)
{
    char dir[PATH_MAX], link[40];
    char *whole = NULL;
    if (path[0] == '/')
        return strdup(path);
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd);
    ssize_t n = dirfd == AT_FDCWD ? readlink("/proc/self/cwd", dir, sizeof dir - 1) : readlink(link, dir, sizeof dir - 1);
    if (n < 0)
        broken("where is", path);
    dir[n] = '\0';
    if (path[0] == '\0' || strcmp(path, ".") == 0)
        return strdup(dir);
    if (asprintf(&whole, "%s/%s", dir, path) < 0)
        abort();
    return whole;
}

static bool is_below(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static int root_of(const struct fault_log *log, const char *path)
{
    for (int i = 0; i < FAULT_ROOTS_MAX; i++)
        if (log->roots[i] != NULL && is_below(path, log->roots[i]))
            return i;
    return -1;
}

static bool is_parent(const char *dir, const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL && (size_t)(slash - path) == strlen(dir) && strncmp(path, dir, (size_t)(slash - path)) == 0;
}

static char *aside_path(const struct fault_log *log, long number)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%ld", log->aside, number) < 0)
        abort();
    return path;
}

// Keeps what stands under a name, so that it can come back.
static long keep_aside(struct fault_log *log, const char *path)
{
    char *kept = aside_path(log, ++log->next_aside);
    int r = linkat(AT_FDCWD, path, AT_FDCWD, kept, 0);
    if (r < 0 && errno != ENOENT)
        broken("keep", path);
    free(kept);
    return r < 0 ? 0 : log->next_aside;
}

// ---- files

static void read_content(struct file_op *file)
{
    struct stat st;
    if (fstat(file->fd, &st) < 0)
        broken("stat", "a file");
    file->synced = realloc(file->synced, (size_t)st.st_size + 1);
    if (file->synced == NULL)
        abort();
    ssize_t n = pread(file->fd, file->synced, (size_t)st.st_size, 0);
    if (n != st.st_size)
        broken("read", "a file");
    file->synced_size = (size_t)n;
}

static struct file_op *find_file(struct fault_log *log, const struct stat *st)
{
    for (size_t i = 0; i < log->n_files; i++)
        if (log->files[i].device == st->st_dev && log->files[i].inode == st->st_ino)
            return &log->files[i];
    return NULL;
}

// fd: any descriptor of the file.
static void note_dirty(struct fault_log *log, int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) // one without a name may get one yet
        return;
    struct file_op *file = find_file(log, &st);
    if (file == NULL) {
        char link[40];
        char *path = resolve(fd, "");
        int root = root_of(log, path);
        free(path);
        if (root < 0)
            return;
        if (log->n_files == FILES_MAX)
            broken("too many files", "");
        file = &log->files[log->n_files++];
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        *file = (struct file_op){ .device = st.st_dev, .inode = st.st_ino, .fd = open(link, O_RDWR | O_CLOEXEC), .root = root };
        if (file->fd < 0)
            broken("open", link);
        read_content(file);
    }
    file->dirty = true;
}

void fault_log_before_write(struct fault_log *log, int fd) { note_dirty(log, fd); }

void fault_log_before_truncate(struct fault_log *log, int dirfd, const char *path)
{
    int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    note_dirty(log, fd);
    (void)close(fd);
}

// ---- names

static void add_name(struct fault_log *log, struct name_op op)
{
    if (log->n_names == NAMES_MAX)
        broken("too many names", op.path);
    log->names[log->n_names++] = op;
}

void fault_log_created(struct fault_log *log, int dirfd, const char *path)
{
    struct name_op op = { .kind = CREATED, .path = resolve(dirfd, path) };
    op.root = root_of(log, op.path);
    if (op.root < 0)
        free(op.path);
    else
        add_name(log, op);
}

static void begin(struct fault_log *log, struct name_op op)
{
    log->has_pending = op.root >= 0;
    log->pending = op;
    if (log->has_pending)
        return;
    free(op.path);
    free(op.from);
}

void fault_log_before_remove(struct fault_log *log, int dirfd, const char *path, int flags)
{
    struct stat st;
    struct name_op op = { .kind = (flags & AT_REMOVEDIR) != 0 ? REMOVED_DIR : REMOVED, .path = resolve(dirfd, path) };
    op.root = root_of(log, op.path);
    if (op.root >= 0 && op.kind == REMOVED)
        op.aside = keep_aside(log, op.path);
    if (op.kind == REMOVED_DIR && lstat(op.path, &st) == 0)
        op.mode = st.st_mode & 07777;
    begin(log, op);
}

void fault_log_before_rename(struct fault_log *log, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path)
{
    struct name_op op = { .kind = RENAMED, .path = resolve(new_dirfd, new_path), .from = resolve(old_dirfd, old_path) };
    op.root = root_of(log, op.path);
    if (op.root >= 0)
        op.aside = keep_aside(log, op.path);
    begin(log, op);
}

void fault_log_after(struct fault_log *log, bool done)
{
    if (!log->has_pending)
        return;
    log->has_pending = false;
    if (done) {
        add_name(log, log->pending);
        return;
    }
    free(log->pending.path);
    free(log->pending.from);
}

// ---- becoming durable

static void sync_file(struct file_op *file)
{
    if (!file->dirty)
        return;
    read_content(file);
    file->dirty = false;
}

void fault_log_synced(struct fault_log *log, int fd, bool all)
{
    struct stat st;
    char *path = resolve(fd, "");
    int root = root_of(log, path);
    if (root < 0 || fstat(fd, &st) < 0) {
        free(path);
        return;
    }
    struct file_op *file = find_file(log, &st);
    if (file != NULL && !all)
        sync_file(file);
    for (size_t i = 0; all && i < log->n_files; i++)
        if (log->files[i].root == root)
            sync_file(&log->files[i]);
    for (size_t i = 0; i < log->n_names && (all || S_ISDIR(st.st_mode)); i++) {
        struct name_op *op = &log->names[i];
        bool on_the_way = op->kind == CREATED && is_below(path, op->path);
        op->durable = op->durable || (all && op->root == root) || is_parent(path, op->path) || on_the_way;
    }
    free(path);
}

// ---- losing the rest

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static void undo(const struct fault_log *log, const struct name_op *op)
{
    char *kept = op->aside == 0 ? NULL : aside_path(log, op->aside);
    switch (op->kind) {
    case CREATED:
        if (unlink(op->path) < 0 && errno == EISDIR)
            (void)rmdir(op->path); // not empty: something durable is in it, so it is durable too
        break;
    case REMOVED_DIR:
        (void)mkdir(op->path, op->mode);
        break;
    case RENAMED:
        (void)rename(op->path, op->from);
        break;
    case REMOVED:
        break;
    }
    if (kept != NULL)
        (void)rename(kept, op->path);
    free(kept);
}

static void put_content(const struct file_op *file, enum fault_power power)
{
    struct stat st;
    if (fstat(file->fd, &st) < 0)
        return;
    size_t size = (size_t)st.st_size, keep = file->synced_size < size ? file->synced_size : size;
    char *content = calloc(1, size + 1);
    if (content == NULL)
        abort();
    if (power == FAULT_POWER_TORN) {
        size_t torn = keep + (size - keep) / 2;
        (void)!pread(file->fd, content, torn, 0);
    } else {
        memcpy(content, file->synced, keep);
    }
    if (power == FAULT_POWER_NONE || power == FAULT_POWER_DATA) {
        (void)!pwrite(file->fd, file->synced, file->synced_size, 0);
        (void)!ftruncate(file->fd, (off_t)file->synced_size);
    } else {
        (void)!pwrite(file->fd, content, size, 0);
    }
    free(content);
}

void fault_log_lose(struct fault_log *log, enum fault_power power, uint64_t seed)
{
    uint64_t random = seed * 2654435761u + 1;
    size_t left[FAULT_ROOTS_MAX], cut[FAULT_ROOTS_MAX]; // of each root: names not durable; how many of them stay
    for (int root = 0; root < FAULT_ROOTS_MAX; root++) {
        left[root] = 0;
        for (size_t i = 0; i < log->n_names; i++)
            left[root] += log->names[i].root == root && !log->names[i].durable;
        cut[root] = power == FAULT_POWER_NONE ? 0 : power == FAULT_POWER_SOME ? next_random(&random) % (left[root] + 1) : left[root];
    }
    for (size_t i = log->n_names; i-- > 0;) {
        const struct name_op *op = &log->names[i];
        if (!op->durable && left[op->root]-- > cut[op->root])
            undo(log, op);
    }
    for (size_t i = 0; i < log->n_files; i++) {
        static const enum fault_power choices[] = { FAULT_POWER_DATA, FAULT_POWER_TORN, FAULT_POWER_ZERO };
        uint64_t choice = next_random(&random) % 4;
        if (!log->files[i].dirty || (power == FAULT_POWER_SOME && choice == 3))
            continue;
        put_content(&log->files[i], power == FAULT_POWER_SOME ? choices[choice] : power);
    }
}
