// The walk: its order against `sort`, several sources, trees of any depth and names of any byte. What it leaves out: test_where.
#include "tests/engine/walkway.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

// '/' becomes the lowest byte for sort, so that names compare component by component.
static void test_order_as_sort_says(void **state)
{
    struct walkway *p = *state;
    walkway_sh(p, "mkdir -p a a.b a-b/x a/b 'a b' ab A; for d in a a.b a-b/x a/b 'a b' ab A; do for f in z a.c a-c ac a 0 '~' .h; do : >\"$d/$f\"; done; done\n"
          ": >a!; ln -s a link; mkfifo fifo; i=0; while [ $i -lt 3000 ]; do : >ab/$i; i=$((i + 1)); done");
    walkway_walk_ok(p);
    _cleanup_free_ char *got = walkway_below_root(p, &p->entries);
    scratch_write(&p->scratch, "got", got, strlen(got));
    walkway_sh(p, "find . -printf '%P\\t%y\\n' | tr / '\\001' | sort -t \"$(printf '\\t')\" -k1,1 | tr '\\001' / | sed 's/ /%20/g; s/\\t/ /; s|^|/|; s|^/ | |; s/$/ 0/' >../expected\n"
          "diff ../expected ../got >&2");
    assert_int_equal(p->problems.len, 0);
}

static void test_parents_and_metadata(void **state)
{
    struct walkway *p = *state;
    walkway_sh(p, "echo 12345 >f; chmod 4755 f; ln f g");
    walkway_walk_ok(p);
    _cleanup_free_ char *expected = xasprintf("/ d -\n/tmp d -\n%s d -\n%s d 0\n%s/f f 0\n%s/g f 0\n", p->scratch.dir, p->root, p->root, p->root);
    assert_string_equal(buf_str(&p->entries), expected);
}

static void test_several_sources(void **state)
{
    struct walkway *p = *state;
    walkway_sh(p, "mkdir -p x/one x/two/deep x/other y/three; echo 1 >x/one/f; echo 2 >x/two/deep/f; echo 3 >x/other/f; echo 4 >y/three/f; echo 5 >single");
    _cleanup_free_ char *one = xasprintf("%s/x/one", p->root), *two = xasprintf("%s/x/two/deep", p->root), *three = xasprintf("%s/y/three", p->root),
                        *single = xasprintf("%s/single", p->root);
    p->sources[0].path = three; // in no particular order
    p->sources[1].path = single;
    p->sources[2].path = two;
    p->sources[3].path = one;
    p->options.n_sources = 4;
    walkway_walk_ok(p);
    walkway_expect(p, " d -\n/single f 1\n/x d -\n/x/one d 3\n/x/one/f f 3\n/x/two d -\n/x/two/deep d 2\n/x/two/deep/f f 2\n/y d -\n/y/three d 0\n/y/three/f f 0\n");
    // Sources whose names begin alike are not within each other.
    walkway_sh(p, "mkdir -p x/one-more; echo 6 >x/one-more/f");
    _cleanup_free_ char *more = xasprintf("%s/x/one-more", p->root);
    p->sources[0].path = more;
    p->sources[1].path = one;
    p->options.n_sources = 2;
    walkway_walk_ok(p);
    walkway_expect(p, " d -\n/x d -\n/x/one d 1\n/x/one/f f 1\n/x/one-more d 0\n/x/one-more/f f 0\n");
}

// Read in a snapshot of it, somewhere else, a source is told of under its own path; also where the way back to what holds it has to be found again.
static void test_read_from(void **state)
{
    struct walkway *p = *state;
    walkway_sh(p, "mkdir -p a/live b z; echo now >a/live/new; echo 1 >z/last\n"
                  "d=b/view; i=0; while [ $i -lt 140 ]; do d=$d/d; i=$((i + 1)); done; mkdir -p $d; echo then >b/view/old; cd a/live; ln -s ../../b/view other");
    _cleanup_free_ char *live = xasprintf("%s/a/live", p->root), *view = xasprintf("%s/b/view", p->root), *last = xasprintf("%s/z", p->root);
    _cleanup_buf_ struct buf expected = { 0 };
    p->sources[0] = (struct scan_source){ .path = live, .read_from = view };
    p->sources[1] = (struct scan_source){ .path = last };
    p->options.n_sources = 2;
    walkway_walk_ok(p);
    buf_add_str(&expected, " d -\n/a d -\n/a/live d 0\n");
    for (int i = 1; i <= 140; i++) {
        buf_add_str(&expected, "/a/live");
        for (int k = 0; k < i; k++)
            buf_add_str(&expected, "/d");
        buf_add_str(&expected, " d 0\n");
    }
    buf_add_str(&expected, "/a/live/old f 0\n/z d 1\n/z/last f 1\n");
    walkway_expect(p, buf_str(&expected));
    p->sources[0].read_from = "/nowhere";
    struct error err;
    assert_int_equal(walkway_walk(p, io_real(), &err), ERROR_NOT_FOUND);
    assert_non_null(strstr(err.text, "/a/live'"));
}

static void test_missing_and_link_sources(void **state)
{
    struct walkway *p = *state;
    struct error err;
    _cleanup_free_ char *missing = xasprintf("%s/none/deeper", p->root), *link = xasprintf("%s/link", p->root), *through = xasprintf("%s/link/in", p->root),
                        *file = xasprintf("%s/file/in", p->root);
    walkway_sh(p, "mkdir -p real/in; ln -s real link; : >file");
    p->sources[0].path = missing;
    assert_int_equal(walkway_walk(p, io_real(), &err), ERROR_NOT_FOUND);
    assert_non_null(strstr(err.text, "/none'"));
    p->sources[0].path = through;
    assert_int_equal(walkway_walk(p, io_real(), &err), ERROR_USAGE);
    p->sources[0].path = file;
    assert_int_equal(walkway_walk(p, io_real(), &err), ERROR_USAGE);
    p->sources[0].path = link;
    assert_int_equal(walkway_walk(p, io_real(), &err), ERROR_USAGE);
    // One of two that is missing ends the walk as well.
    p->sources[0].path = p->root;
    p->sources[1].path = "/nowhere";
    p->options.n_sources = 2;
    assert_int_equal(walkway_walk(p, io_real(), &err), ERROR_NOT_FOUND);
}

static void test_every_byte_in_names(void **state)
{
    struct walkway *p = *state;
    _cleanup_buf_ struct buf expected = { 0 };
    buf_add_str(&expected, " d 0\n");
    int fd = open(p->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int c = 1; c < 256; c++) {
        char name[4] = { (char)c, 'n', '\0' };
        if (c == '/')
            continue;
        int file = openat(fd, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        assert_true(file >= 0);
        assert_int_equal(close(file), 0);
        buf_add_char(&expected, '/');
        manifest_escape(&expected, name, 2);
        buf_add_str(&expected, " f 0\n");
    }
    char longest[256];
    memset(longest, 0xff, 255);
    longest[255] = '\0';
    assert_int_equal(symlinkat("\x01\n\xfe", fd, longest), 0);
    buf_addf(&expected, "/%s l 0\n", longest);
    assert_int_equal(close(fd), 0);
    walkway_walk_ok(p);
    walkway_expect(p, buf_str(&expected));
}

// 3,000 levels, a file after each: down and up again with few descriptors and no path given to the kernel.
static void test_deep(void **state)
{
    struct walkway *p = *state;
    enum { LEVELS = 3000 };
    int fd = open(p->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < LEVELS; i++) {
        assert_int_equal(mkdirat(fd, "directory", 0755), 0);
        int file = openat(fd, "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        assert_int_equal(close(file), 0);
        int below = openat(fd, "directory", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(close(fd), 0);
        fd = below;
    }
    assert_int_equal(close(fd), 0);
    struct rlimit before, few = { .rlim_cur = 200, .rlim_max = 200 };
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    walkway_walk_ok(p);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(p->count, 2 * LEVELS + 4);
    assert_int_equal(p->longest, strlen(p->root) + LEVELS * 10);
    assert_int_equal(p->problems.len, 0);
}

// An entry has to fit in a line of the manifest: below 1,300 levels of names that are escaped to 765 bytes each, one is told and left out.
static void test_too_deep(void **state)
{
    struct walkway *p = *state;
    char name[256];
    memset(name, 1, 255);
    name[255] = '\0';
    int fd = open(p->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 1300; i++) {
        assert_int_equal(mkdirat(fd, name, 0755), 0);
        int below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(close(fd), 0);
        fd = below;
    }
    assert_int_equal(close(fd), 0);
    walkway_walk_ok(p);
    assert_in_range(p->count, 1280, 1290);
    assert_true(p->longest * 3 < MANIFEST_LINE_MAX);
    assert_non_null(strstr(buf_str(&p->problems), ": its path is too long to be recorded"));
    assert_ptr_equal(strchr(buf_str(&p->problems), '\n'), buf_str(&p->problems) + p->problems.len - 1); // one
}

// An unreadable directory is reported and stays an entry; the rest is there. As an ordinary user: root may read everything.
static int walk_as_nobody(struct walkway *p)
{
    struct error err = { 0 };
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
        return 10;
    int r = walkway_walk(p, io_real(), &err);
    if (r < 0)
        return r == ERROR_NOT_FOUND ? 1 : 2;
    _cleanup_free_ char *got = walkway_below_root(p, &p->entries);
    _cleanup_free_ char *problem = xasprintf("%s/closed: Permission denied\n", p->root);
    if (strcmp(got, " d 0\n/a f 0\n/closed d 0\n/z f 0\n") != 0)
        return 3;
    return strcmp(buf_str(&p->problems), problem) == 0 ? 0 : 4;
}

static int in_child(int (*run)(struct walkway *), struct walkway *p)
{
    pid_t child = fork();
    if (child == 0)
        _exit(run(p));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_unreadable(void **state)
{
    struct walkway *p = *state;
    walkway_sh(p, "mkdir closed; touch a z closed/in; chmod 0 closed; chmod 711 ..; chmod 777 ."); // the way to the source may be passed, not listed
    assert_int_equal(in_child(walk_as_nobody, p), 0);
    walkway_sh(p, "chmod 311 .");
    assert_int_equal(in_child(walk_as_nobody, p), 2); // a source that cannot be read ends the run
}

static const char *vanishing;

static int vanishing_statx(const struct io *io, int dirfd, const char *path, int flags, unsigned mask, struct statx *st)
{
    if (strcmp(path, vanishing) == 0) {
        errno = ENOENT;
        return -1;
    }
    return io_real()->statx(io, dirfd, path, flags, mask, st);
}

static ssize_t failing_getdents(const struct io *io, int fd, void *data, size_t n)
{
    char link[64], path[4096] = "";
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    assert_true(readlink(link, path, sizeof path - 1) > 0);
    if (strcmp(path + strlen(path) - 4, "/bad") == 0) {
        errno = EIO;
        return -1;
    }
    return io_real()->getdents64(io, fd, data, n);
}

static void test_troubles_on_the_way(void **state)
{
    struct walkway *p = *state;
    struct error err;
    walkway_sh(p, "mkdir bad good; touch bad/x good/y vanished");
    struct io io = *io_real();
    io.statx = vanishing_statx;
    io.getdents64 = failing_getdents;
    vanishing = "vanished";
    scratch_ok(walkway_walk(p, &io, &err), &err);
    walkway_expect(p, " d 0\n/bad d 0\n/good d 0\n/good/y f 0\n");
    _cleanup_free_ char *problem = xasprintf("%s/bad: Input/output error\n", p->root);
    assert_string_equal(buf_str(&p->problems), problem); // what went away is none
    p->stop_at = 5;
    assert_int_equal(walkway_walk(p, io_real(), &err), ERROR_BUSY);
    assert_string_equal(err.text, "enough");
}

static int check_entry(void *arg, const struct manifest_entry *e, const struct scan_stat *stat, uint32_t links, uint64_t blocks_bytes, struct error *err)
{
    (void)err;
    unsigned *seen = arg;
    struct stat st;
    assert_int_equal(lstat(buf_str(&e->path), &st), 0);
    assert_int_equal(e->mode, st.st_mode & 07777);
    assert_int_equal(e->uid, st.st_uid);
    assert_int_equal(e->gid, st.st_gid);
    assert_int_equal(e->mtime_s, st.st_mtim.tv_sec);
    assert_int_equal(e->mtime_ns, st.st_mtim.tv_nsec);
    assert_int_equal(e->size, S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0);
    assert_int_equal(stat->inode, st.st_ino);
    assert_int_equal(stat->ctime_s, st.st_ctim.tv_sec);
    assert_int_equal(stat->ctime_ns, st.st_ctim.tv_nsec);
    assert_int_equal(links, st.st_nlink);
    assert_int_equal(blocks_bytes, (uint64_t)st.st_blocks * 512);
    assert_int_equal(e->hardlink.len > 0, !S_ISDIR(st.st_mode) && st.st_nlink > 1);
    if (S_ISLNK(st.st_mode)) {
        char target[5000];
        ssize_t n = readlink(buf_str(&e->path), target, sizeof target);
        assert_int_equal(e->target.len, n);
        assert_memory_equal(e->target.data, target, (size_t)n);
        ++*seen;
    }
    assert_false(e->has_sha256 || place_is_set(&e->at) || place_is_set(&e->version) || place_is_set(&e->xattr));
    ++*seen;
    return 0;
}

static void test_facts(void **state)
{
    struct walkway *p = *state;
    unsigned seen = 0;
    struct error err;
    struct scan_callbacks callbacks = { .visit = check_entry, .problem = walkway_note_problem, .arg = &seen };
    walkway_sh(p, "echo hi >a; chmod 6711 a; ln a b; mkdir -m 1777 d; mkfifo p; truncate -s 1G sparse; touch -d '1901-12-13 20:45:52.000000001' old; ln -s $(printf %04000d 0) l; ln -s x k\n"
          "if [ $(id -u) = 0 ]; then chown 12345:54321 d; fi");
    scratch_ok(scan_run(io_real(), &p->options, &callbacks, &err), &err);
    assert_int_equal(seen, 9 + 3 + 2); // entries, the parents, links twice
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order_as_sort_says, walkway_setup, walkway_teardown),
        cmocka_unit_test_setup_teardown(test_parents_and_metadata, walkway_setup, walkway_teardown),
        cmocka_unit_test_setup_teardown(test_several_sources, walkway_setup, walkway_teardown),
        cmocka_unit_test_setup_teardown(test_read_from, walkway_setup, walkway_teardown),
        cmocka_unit_test_setup_teardown(test_missing_and_link_sources, walkway_setup, walkway_teardown),
        cmocka_unit_test_setup_teardown(test_every_byte_in_names, walkway_setup, walkway_teardown),
        cmocka_unit_test_setup_teardown(test_deep, walkway_setup, walkway_teardown),
        cmocka_unit_test_setup_teardown(test_too_deep, walkway_setup, walkway_teardown),
        cmocka_unit_test_setup_teardown(test_unreadable, walkway_setup, walkway_teardown),
        cmocka_unit_test_setup_teardown(test_troubles_on_the_way, walkway_setup, walkway_teardown),
        cmocka_unit_test_setup_teardown(test_facts, walkway_setup, walkway_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
