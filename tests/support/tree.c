#include "tests/support/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static _Noreturn void broken(const char *what, const char *path)
{
    (void)fprintf(stderr, "tree: %s '%s': %s\n", what, path, strerror(errno));
    abort();
}

static char *join(const char *dir, const char *name)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", dir, name) < 0)
        abort();
    return path;
}

static void must(int r, const char *what, const char *path)
{
    if (r < 0)
        broken(what, path);
}

// ---- making one

// Repeatable bytes, compressible by half.
static char *make_bytes(size_t n, unsigned seed)
{
    char *data = malloc(n + 8);
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    if (data == NULL)
        abort();
    for (size_t i = 0; i < n; i += 4) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(data + i, &x, 2);
        memcpy(data + i + 2, "ab", 2);
    }
    return data;
}

static void put_at(const char *dir, const char *name, size_t n, unsigned seed, off_t offset, bool fresh)
{
    char *path = join(dir, name), *data = make_bytes(n, seed);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (fresh ? O_TRUNC : 0), 0644);
    must(fd, "create", path);
    if (pwrite(fd, data, n, offset) != (ssize_t)n)
        broken("write", path);
    must(close(fd), "close", path);
    free(data);
    free(path);
}

static void put(const char *dir, const char *name, size_t n, unsigned seed) { put_at(dir, name, n, seed, 0, true); }

static void at(const char *dir, const char *name, void (*change)(const char *path))
{
    char *path = join(dir, name);
    change(path);
    free(path);
}

static void make_dir(const char *path) { must(mkdir(path, 0755), "mkdir", path); }
static void make_private(const char *path) { must(chmod(path, 0700), "chmod", path); }
static void make_setgid(const char *path) { must(chmod(path, 02751), "chmod", path); }
static void make_fifo(const char *path) { must(mkfifo(path, 0620), "mkfifo", path); }
static void make_removed(const char *path) { must(unlink(path), "unlink", path); }
static void make_short(const char *path) { must(truncate(path, 1000), "truncate", path); }
static void make_sparse(const char *path) { must(truncate(path, 400000), "truncate", path); }
static void make_attributes(const char *path) { (void)setxattr(path, "user.bkd.test", "a\0b", 3, 0); } // not on every file system

static void make_old(const char *path)
{
    const struct timespec times[2] = { { 1000000000, 1 }, { 981173106, 123456789 } };
    must(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), "utimes", path);
}

static void move(const char *dir, const char *from, const char *to)
{
    char *a = join(dir, from), *b = join(dir, to);
    must(rename(a, b), "rename", a);
    free(a);
    free(b);
}

static void link_to(const char *dir, const char *from, const char *to)
{
    char *a = join(dir, from), *b = join(dir, to);
    must(link(a, b), "link", a);
    free(a);
    free(b);
}

static void point(const char *dir, const char *target, const char *name)
{
    char *path = join(dir, name);
    must(symlink(target, path), "symlink", path);
    free(path);
}

void tree_make(const char *dir)
{
    static const char *const dirs[] = { "docs", "docs/deep", "docs/deep/er", "empty", "moved", "moved/sub", "private" };
    make_dir(dir);
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
        at(dir, dirs[i], make_dir);
    for (unsigned i = 0; i < 24; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s/file-%02u", i % 3 == 0 ? "docs" : i % 3 == 1 ? "docs/deep/er" : "moved/sub", i);
        put(dir, name, i * 700, i);
    }
    put(dir, "volume.img", 1536 << 10, 100);
    put(dir, "middle.db", 90000, 101);
    put(dir, "docs/leaves", 30000, 102);
    put(dir, "zero", 0, 0);
    put(dir, "odd \n%name\x80 \xff", 50, 103);
    put(dir, "docs/a", 10, 104);
    put(dir, "docs/a b", 10, 104); // the same content
    put(dir, "docs/a-", 11, 105);
    put(dir, "private/secret", 300, 106);
    put(dir, "becomes-link", 200, 107);
    put(dir, "only-mode", 400, 108);
    put(dir, "moved/alone", 5000, 109);
    put(dir, "with-attributes", 60, 110);
    at(dir, "with-attributes", make_attributes);
    at(dir, "sparse", make_fifo); // replaced: an inode of its own for what follows
    at(dir, "sparse", make_removed);
    put(dir, "sparse", 5000, 111);
    put_at(dir, "sparse", 5000, 112, 200000, false);
    at(dir, "sparse", make_sparse);
    link_to(dir, "middle.db", "docs/middle.hard");
    link_to(dir, "docs/a", "docs/deep/a.hard");
    point(dir, "docs/a", "link");
    point(dir, "/nowhere/at all", "dangling");
    at(dir, "fifo", make_fifo);
    at(dir, "private/secret", make_private);
    at(dir, "docs/leaves", make_old);
    at(dir, "dangling", make_old);
    at(dir, "private", make_private);
    at(dir, "empty", make_setgid);
    at(dir, "docs/deep", make_old);
}

void tree_make_small(const char *dir, unsigned n, size_t size)
{
    make_dir(dir);
    for (unsigned i = 0; i < n; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%04u", i);
        put(dir, name, size, 1000 + i);
    }
}

void tree_edit(const char *dir)
{
    put_at(dir, "volume.img", 9000, 200, 700000, false); // blocks changed in the middle
    put_at(dir, "middle.db", 4000, 201, 90000, false); // grown
    at(dir, "docs/file-21", make_short);
    at(dir, "docs/leaves", make_removed);
    at(dir, "zero", make_removed);
    put(dir, "new", 20000, 202);
    put(dir, "docs/deep/new", 20, 203);
    move(dir, "moved", "moved-away");
    move(dir, "docs/file-18", "docs/deep/file-18.renamed");
    at(dir, "becomes-link", make_removed);
    point(dir, "only-mode", "becomes-link");
    at(dir, "only-mode", make_private);
    at(dir, "new", make_old);
}

// ---- copying and removing

typedef void visit_fn(const char *path, const char *name, void *arg);

static void each(const char *dir, visit_fn *visit, void *arg)
{
    DIR *d = opendir(dir);
    if (d == NULL)
        broken("open", dir);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        char *path = join(dir, e->d_name);
        visit(path, e->d_name, arg);
        free(path);
    }
    (void)closedir(d);
}

static void copy_file(const char *from, const char *to, mode_t mode)
{
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    must(in, "open", from);
    must(out, "create", to);
    static _Thread_local char chunk[1 << 18];
    for (ssize_t n; (n = read(in, chunk, sizeof chunk)) > 0;)
        if (write(out, chunk, (size_t)n) != n)
            broken("write", to);
    (void)close(in);
    must(close(out), "close", to);
}

static void copy_entry(const char *path, const char *name, void *arg)
{
    char *to = join(arg, name);
    struct stat st;
    must(lstat(path, &st), "stat", path);
    if (S_ISDIR(st.st_mode))
        tree_copy(path, to);
    else
        copy_file(path, to, st.st_mode & 07777);
    free(to);
}

void tree_copy(const char *from, const char *to)
{
    must(mkdir(to, 0700), "mkdir", to);
    each(from, copy_entry, (void *)to);
}

static void remove_entry(const char *path, const char *name, void *arg)
{
    (void)name;
    (void)arg;
    if (unlink(path) == 0)
        return;
    if (errno == EISDIR || errno == EPERM)
        tree_remove(path);
    else
        broken("remove", path);
}

void tree_remove(const char *dir)
{
    if (access(dir, F_OK) < 0)
        return;
    each(dir, remove_entry, NULL);
    must(rmdir(dir), "rmdir", dir);
}

static void count_entry(const char *path, const char *name, void *arg)
{
    struct stat st;
    (void)name;
    must(lstat(path, &st), "stat", path);
    *(size_t *)arg += 1 + (S_ISDIR(st.st_mode) ? tree_count(path) : 0);
}

size_t tree_count(const char *dir)
{
    size_t n = 0;
    each(dir, count_entry, &n);
    return n;
}

// ---- comparing

struct comparison {
    const char *expected, *found; // the directories being compared
    bool with_gaps, same;
    const char *aside;
    char *difference;
    size_t size;
    // The first name of each inode with several: which restored inode stands for which.
    struct {
        ino_t expected, found;
    } links[64];
    size_t n_links;
};

static void differs(struct comparison *c, const char *path, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void differs(struct comparison *c, const char *path, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (c->same)
        (void)snprintf(c->difference, c->size, "'%s': %s", path, text);
    c->same = false;
}

static bool same_content(const char *a, const char *b)
{
    FILE *fa = fopen(a, "rb"), *fb = fopen(b, "rb");
    if (fa == NULL || fb == NULL)
        broken("open", fa == NULL ? a : b);
    static char ca[65536], cb[65536];
    size_t na, nb;
    bool same = true;
    do {
        na = fread(ca, 1, sizeof ca, fa);
        nb = fread(cb, 1, sizeof cb, fb);
        same = na == nb && memcmp(ca, cb, na) == 0;
    } while (same && na > 0);
    (void)fclose(fa);
    (void)fclose(fb);
    return same;
}

static bool same_target(const char *a, const char *b)
{
    char ta[4096], tb[4096];
    ssize_t na = readlink(a, ta, sizeof ta), nb = readlink(b, tb, sizeof tb);
    return na == nb && na > 0 && memcmp(ta, tb, (size_t)na) == 0;
}

static bool same_attributes(const char *a, const char *b)
{
    char va[64], vb[64];
    ssize_t na = lgetxattr(a, "user.bkd.test", va, sizeof va), nb = lgetxattr(b, "user.bkd.test", vb, sizeof vb);
    return na == nb && (na <= 0 || memcmp(va, vb, (size_t)na) == 0);
}

static bool same_links(struct comparison *c, const struct stat *a, const struct stat *b)
{
    if (a->st_nlink < 2 || S_ISDIR(a->st_mode))
        return true;
    for (size_t i = 0; i < c->n_links; i++)
        if (c->links[i].expected == a->st_ino || c->links[i].found == b->st_ino)
            return c->links[i].expected == a->st_ino && c->links[i].found == b->st_ino;
    if (c->n_links < sizeof c->links / sizeof *c->links) {
        c->links[c->n_links].expected = a->st_ino;
        c->links[c->n_links++].found = b->st_ino;
    }
    return true;
}

static void compare_one(struct comparison *c, const char *a, const char *b, bool is_root);

static void compare_expected(const char *path, const char *name, void *arg)
{
    struct comparison *c = arg;
    char *other = join(c->found, name);
    compare_one(c, path, other, false);
    free(other);
}

static void find_extra(const char *path, const char *name, void *arg)
{
    struct comparison *c = arg;
    char *other = join(c->expected, name);
    struct stat st;
    if (lstat(other, &st) < 0)
        differs(c, path, "is not expected");
    free(other);
}

static void compare_dirs(struct comparison *c, const char *a, const char *b)
{
    const char *expected = c->expected, *found = c->found;
    c->expected = a;
    c->found = b;
    each(a, compare_expected, c);
    c->expected = a;
    c->found = b;
    each(b, find_extra, c);
    c->expected = expected;
    c->found = found;
}

static void compare_one(struct comparison *c, const char *a, const char *b, bool is_root)
{
    struct stat sa, sb;
    must(lstat(a, &sa), "stat", a);
    if (lstat(b, &sb) < 0) {
        if (!c->with_gaps || is_root)
            differs(c, b, "is missing");
        return;
    }
    if (sa.st_mode != sb.st_mode)
        differs(c, b, "has mode %o instead of %o", sb.st_mode, sa.st_mode);
    else if (sa.st_uid != sb.st_uid || sa.st_gid != sb.st_gid)
        differs(c, b, "belongs to %u:%u instead of %u:%u", sb.st_uid, sb.st_gid, sa.st_uid, sa.st_gid);
    else if (sa.st_mtim.tv_sec != sb.st_mtim.tv_sec || sa.st_mtim.tv_nsec != sb.st_mtim.tv_nsec)
        differs(c, b, "has time %lld.%09ld instead of %lld.%09ld", (long long)sb.st_mtim.tv_sec, sb.st_mtim.tv_nsec, (long long)sa.st_mtim.tv_sec, sa.st_mtim.tv_nsec);
    else if (S_ISREG(sa.st_mode) && sa.st_size != sb.st_size)
        differs(c, b, "has %lld bytes instead of %lld", (long long)sb.st_size, (long long)sa.st_size);
    else if (S_ISREG(sa.st_mode) && !same_content(a, b))
        differs(c, b, "has other content");
    else if (S_ISLNK(sa.st_mode) && !same_target(a, b))
        differs(c, b, "points elsewhere");
    else if (!same_attributes(a, b))
        differs(c, b, "has other attributes");
    else if (!c->with_gaps && (!same_links(c, &sa, &sb) || (!S_ISDIR(sa.st_mode) && sa.st_nlink != sb.st_nlink)))
        differs(c, b, "is linked otherwise");
    else if (S_ISDIR(sa.st_mode))
        compare_dirs(c, a, b);
}

bool tree_same(const char *expected, const char *found, bool with_gaps, char *ret_difference, size_t size)
{
    struct comparison c = { .with_gaps = with_gaps, .same = true, .difference = ret_difference, .size = size };
    compare_one(&c, expected, found, true);
    return c.same;
}

static void fit_entry(const char *path, const char *name, void *arg)
{
    struct comparison *c = arg;
    struct stat st, expected;
    const char *outer = c->expected;
    char *other = join(c->expected, name);
    must(lstat(path, &st), "stat", path);
    if (S_ISDIR(st.st_mode)) {
        c->expected = other;
        each(path, fit_entry, c);
        c->expected = outer;
    } else if (S_ISREG(st.st_mode) && strncmp(name, c->aside, strlen(c->aside)) != 0) {
        if (lstat(other, &expected) < 0 || !S_ISREG(expected.st_mode))
            differs(c, path, "is not expected");
        else if (!same_content(other, path))
            differs(c, path, "has other content");
    }
    free(other);
}

bool tree_content_fits(const char *expected, const char *found, const char *aside, char *ret_difference, size_t size)
{
    struct comparison c = { .expected = expected, .same = true, .aside = aside, .difference = ret_difference, .size = size };
    each(found, fit_entry, &c);
    return c.same;
}
