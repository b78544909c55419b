// What a walk leaves out: patterns, marking files, sizes, the nodump flag, other file systems of every kind; and directories that are moved
// under its feet. Mounts are tried as root only.
#include "tests/engine/walkway.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

static void test_patterns(void **state)
{
    struct walkway *p = *state;
    const char *patterns[] = { "*.tmp", "/cache/", "logs/", "!logs/keep.tmp", "!important.tmp" };
    __attribute__((unused)) _cleanup_pattern_set_ struct pattern_set *set = walkway_exclude(p, patterns, 5);
    walkway_sh(p, "mkdir -p cache/deep sub/cache logs sub/logs other; touch cache/x cache/deep/x sub/cache/kept logs/keep.tmp sub/logs/x a.tmp sub/b.tmp "
                  "important.tmp other/f; touch sub/logs.txt");
    walkway_walk_ok(p);
    walkway_expect(p, " d 0\n/important.tmp f 0\n/other d 0\n/other/f f 0\n/sub d 0\n/sub/cache d 0\n/sub/cache/kept f 0\n/sub/logs.txt f 0\n");
    walkway_expect_excluded(p, "/a.tmp f pattern 0\n/cache d pattern 1\n/logs d pattern 2\n/sub/b.tmp f pattern 0\n/sub/logs d pattern 2\n");
}

static void test_marked_directories(void **state)
{
    struct walkway *p = *state;
    const char *markers[] = { ".nobackup", "CACHEDIR.TAG", ".git" };
    p->rules = (struct exclude_rules){ .markers = markers, .n_markers = 3 };
    p->sources[0].exclude = &p->rules;
    walkway_sh(p, "mkdir -p no/deep tag/x fake dir/.git link both late/.nobackup2; touch .nobackup no/.nobackup no/a no/deep/b tag/a fake/a dir/a dir/.git/c link/a both/a\n"
                  "printf 'Signature: 8a477f597d28d172789f06886806bc55' | tee tag/CACHEDIR.TAG >both/CACHEDIR.TAG; cp tag/CACHEDIR.TAG both/.nobackup\n"
                  "echo 'Signature: of somebody else, who has not read the specification' >fake/CACHEDIR.TAG; ln -s ../tag/CACHEDIR.TAG link/CACHEDIR.TAG");
    walkway_walk_ok(p);
    // The source's own marker does not count: the policy names the source.
    walkway_expect(p, " d 0\n/.nobackup f 0\n/both d 0 excluded\n/both/.nobackup f 0\n/both/CACHEDIR.TAG f 0\n/dir d 0 excluded\n/fake d 0\n/fake/CACHEDIR.TAG f 0\n"
                      "/fake/a f 0\n/late d 0\n/late/.nobackup2 d 0\n/link d 0\n/link/CACHEDIR.TAG l 0\n/link/a f 0\n/no d 0 excluded\n/no/.nobackup f 0\n"
                      "/tag d 0 excluded\n/tag/CACHEDIR.TAG f 0\n");
    walkway_expect_excluded(p, "/both d marker 0\n/dir d marker 2\n/no d marker 0\n/tag d marker 1\n");
}

static void test_sizes(void **state)
{
    struct walkway *p = *state;
    p->rules = (struct exclude_rules){ .larger_than_bytes = 1000 };
    p->sources[0].exclude = &p->rules;
    walkway_sh(p, "truncate -s 1000 just; truncate -s 1001 over; truncate -s 1T holes; mkdir d; ln -s over link; cd d; for i in $(seq 200); do : >a-name-$i; done; mkdir ../e");
    walkway_walk_ok(p);
    _cleanup_free_ char *got = walkway_below_root(p, &p->entries);
    assert_non_null(strstr(got, "/just f 0\n"));
    assert_non_null(strstr(got, "/link l 0\n"));
    assert_non_null(strstr(got, "/d/a-name-200 f 0\n"));
    assert_null(strstr(got, "/over"));
    walkway_expect_excluded(p, "/holes f size\n/over f size\n");
}

static void test_nodump(void **state)
{
    struct walkway *p = *state;
    p->rules = (struct exclude_rules){ .nodump = true };
    p->sources[0].exclude = &p->rules;
    walkway_sh(p, "mkdir -p not/below yes; touch not/below/f yes/f yes/not");
    _cleanup_free_ char *command = xasprintf("cd '%s' && chattr +d not yes/not 2>/dev/null", p->root);
    if (system(command) != 0) {
        print_message("no inode flags on this file system\n");
        skip();
    }
    walkway_walk_ok(p);
    walkway_expect(p, " d 0\n/yes d 0\n/yes/f f 0\n");
    walkway_expect_excluded(p, "/not d nodump\n/yes/not f nodump\n");
    p->rules.nodump = false;
    walkway_walk_ok(p);
    walkway_expect(p, " d 0\n/not d 0\n/not/below d 0\n/not/below/f f 0\n/yes d 0\n/yes/f f 0\n/yes/not f 0\n");
}

static void test_only_one_place(void **state)
{
    struct walkway *p = *state;
    const char *patterns[] = { "/out/" };
    __attribute__((unused)) _cleanup_pattern_set_ struct pattern_set *set = walkway_exclude(p, patterns, 1);
    walkway_sh(p, "mkdir -p a/b/c a-b a/bb out/in; touch a/b/c/f a/bb/f a-b/f a/f out/in/f");
    _cleanup_free_ char *only = xasprintf("%s/a/b", p->root), *left_out = xasprintf("%s/out/in/f", p->root);
    p->options.only = only;
    walkway_walk_ok(p);
    walkway_expect(p, " d 0\n/a d 0\n/a/b d 0\n/a/b/c d 0\n/a/b/c/f f 0\n");
    walkway_expect_excluded(p, "");
    p->options.only = left_out; // what keeps it out is told
    walkway_walk_ok(p);
    walkway_expect(p, " d 0\n");
    walkway_expect_excluded(p, "/out d pattern 0\n");
}

// ---- mounts

struct mounts {
    const struct walkway *p;
    char *at[16];
    size_t n;
};

static void umount_all(struct mounts *m)
{
    while (m->n > 0) {
        (void)umount2(m->at[--m->n], MNT_DETACH);
        free(m->at[m->n]);
    }
}

// Mounts at tree/NAME, made before by the test. `what` is below the tree too where it begins with "@".
static bool mount_at(struct mounts *m, const char *what, const char *name, const char *type, unsigned long flags)
{
    _cleanup_free_ char *at = xasprintf("%s/%s", m->p->root, name), *from = what[0] == '@' ? xasprintf("%s/%s", m->p->root, what + 1) : xstrdup(what);
    if (mount(from, at, type == NULL ? "" : type, flags, NULL) < 0) {
        print_message("cannot mount %s: %s\n", type == NULL ? "--bind" : type, strerror(errno));
        return false;
    }
    m->at[m->n++] = TAKE(at);
    return true;
}

static void test_mounts(void **state)
{
    struct walkway *p = *state;
    __attribute__((cleanup(umount_all))) struct mounts m = { .p = p };
    walkway_sh(p, "mkdir -p bound kernel memory real/in; touch real/f real/in/g file z; echo content >real/f");
    if (!mount_at(&m, "@real", "bound", NULL, MS_BIND) || !mount_at(&m, "none", "memory", "tmpfs", 0) || !mount_at(&m, "@real/f", "file", NULL, MS_BIND) ||
        !mount_at(&m, "none", "kernel", "proc", 0))
        skip();
    walkway_sh(p, "mkdir memory/sub; touch memory/sub/f");
    p->options.one_filesystem = true;
    walkway_walk_ok(p);
    walkway_expect(p, " d 0\n/bound d 0 mount\n/file f 0\n/kernel d 0 mount\n/memory d 0 mount\n/real d 0\n/real/f f 0\n/real/in d 0\n/real/in/g f 0\n/z f 0\n");
    walkway_expect_excluded(p, "/bound d filesystem\n/kernel d filesystem\n/memory d filesystem\n");
    p->options.one_filesystem = false;
    walkway_walk_ok(p);
    walkway_expect(p, " d 0\n/bound d 0\n/bound/f f 0\n/bound/in d 0\n/bound/in/g f 0\n/file f 0\n/kernel d 0 mount\n/memory d 0 mount\n/real d 0\n/real/f f 0\n"
                      "/real/in d 0\n/real/in/g f 0\n/z f 0\n");
    walkway_expect_excluded(p, "/kernel d kernel\n/memory d memory\n");
    assert_int_equal(p->problems.len, 0);
}

// A source on tmpfs is meant to be there, and one in a kernel interface is a mistake.
static void test_sources_on_mounts(void **state)
{
    struct walkway *p = *state;
    struct error err;
    __attribute__((cleanup(umount_all))) struct mounts m = { .p = p };
    walkway_sh(p, "mkdir -p memory kernel");
    if (!mount_at(&m, "none", "memory", "tmpfs", 0) || !mount_at(&m, "none", "kernel", "sysfs", 0))
        skip();
    walkway_sh(p, "mkdir -p memory/sub/more; touch memory/sub/more/f");
    _cleanup_free_ char *memory = xasprintf("%s/memory", p->root), *below = xasprintf("%s/memory/sub", p->root), *kernel = xasprintf("%s/kernel", p->root),
                        *in_kernel = xasprintf("%s/kernel/class", p->root);
    for (int one_filesystem = 0; one_filesystem < 2; one_filesystem++) {
        p->options.one_filesystem = one_filesystem;
        p->sources[0].path = memory;
        walkway_walk_ok(p);
        walkway_expect(p, " d -\n/memory d 0\n/memory/sub d 0\n/memory/sub/more d 0\n/memory/sub/more/f f 0\n");
        p->sources[0].path = below;
        walkway_walk_ok(p);
        walkway_expect(p, " d -\n/memory d -\n/memory/sub d 0\n/memory/sub/more d 0\n/memory/sub/more/f f 0\n");
        p->sources[0].path = kernel;
        assert_int_equal(walkway_walk(p, io_real(), &err), ERROR_USAGE);
        assert_non_null(strstr(err.text, "kernel"));
        p->sources[0].path = in_kernel;
        assert_int_equal(walkway_walk(p, io_real(), &err), ERROR_USAGE);
    }
}

// Every kind of kernel interface this machine can mount.
static void test_kernel_interfaces(void **state)
{
    struct walkway *p = *state;
    static const char *const types[] = { "proc", "sysfs", "devpts", "cgroup2", "debugfs", "tracefs", "securityfs", "bpf", "mqueue", "configfs", "pstore", "efivarfs",
                                         "fusectl", "binfmt_misc", "rpc_pipefs", "selinuxfs", "cpuset" };
    __attribute__((cleanup(umount_all))) struct mounts m = { .p = p };
    p->options.one_filesystem = false;
    _cleanup_buf_ struct buf wanted = { 0 };
    buf_add_str(&wanted, " d 0\n/0 d 0\n");
    walkway_sh(p, "mkdir 0");
    for (size_t i = 0; i < sizeof types / sizeof *types && m.n < 16; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%c-%s", (char)('a' + i), types[i]);
        _cleanup_free_ char *make = xasprintf("mkdir %s", name), *undo = xasprintf("rmdir %s", name);
        walkway_sh(p, make);
        if (mount_at(&m, "none", name, types[i], 0))
            buf_addf(&wanted, "/%s d 0 mount\n", name);
        else
            walkway_sh(p, undo);
    }
    if (m.n == 0)
        skip();
    print_message("%zu kinds\n", m.n);
    walkway_walk_ok(p);
    walkway_expect(p, buf_str(&wanted));
}

// Looking must not mount: the kernel would write a request into the pipe, and wait for a daemon that is not there.
static void test_automount_is_not_triggered(void **state)
{
    struct walkway *p = *state;
    int pipes[2];
    char options[100], request[512];
    __attribute__((cleanup(umount_all))) struct mounts m = { .p = p };
    static const char *const kinds[] = { "indirect", "direct" };
    for (size_t i = 0; i < 2; i++) {
        _cleanup_free_ char *make = xasprintf("mkdir %s", kinds[i]), *at = xasprintf("%s/%s", p->root, kinds[i]);
        walkway_sh(p, make);
        assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
        (void)snprintf(options, sizeof options, "fd=%d,pgrp=1,minproto=5,maxproto=5,%s", pipes[1], kinds[i]);
        if (mount("none", at, "autofs", 0, options) < 0) {
            print_message("cannot mount autofs: %s\n", strerror(errno));
            skip();
        }
        m.at[m.n++] = TAKE(at);
        for (int one_filesystem = 0; one_filesystem < 2; one_filesystem++) {
            p->options.one_filesystem = one_filesystem;
            walkway_walk_ok(p);
            walkway_expect(p, i == 0 ? " d 0\n/indirect d 0 mount\n" : " d 0\n/direct d 0 mount\n/indirect d 0 mount\n");
        }
        assert_true(read(pipes[0], request, sizeof request) < 0 && errno == EAGAIN);
        (void)close(pipes[0]);
        (void)close(pipes[1]);
    }
}

// Another user's FUSE mount may not even be looked at by root: with one_filesystem it is a mount point like others, no reason for exit 3. (The
// daemon that would have to answer is not needed: the kernel refuses before it asks.)
static void test_closed_mount(void **state)
{
    struct walkway *p = *state;
    char options[100];
    __attribute__((cleanup(umount_all))) struct mounts m = { .p = p };
    walkway_sh(p, "mkdir fuse; touch z");
    _cleanup_free_ char *at = xasprintf("%s/fuse", p->root), *problem = xasprintf("%s/fuse: Permission denied\n", p->root);
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    (void)snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=65534,group_id=65534", fd);
    if (fd < 0 || mount("none", at, "fuse", 0, options) < 0) {
        print_message("cannot mount FUSE: %s\n", strerror(errno));
        skip();
    }
    m.at[m.n++] = TAKE(at);
    p->options.one_filesystem = true;
    walkway_walk_ok(p);
    walkway_expect(p, " d 0\n/z f 0\n");
    walkway_expect_excluded(p, "/fuse d filesystem\n");
    assert_int_equal(p->problems.len, 0);
    p->options.one_filesystem = false;
    walkway_walk_ok(p);
    assert_string_equal(buf_str(&p->problems), problem);
    (void)close(fd);
}

// ---- moved while they are read

static struct walkway *moving;
static const char *move_script;

// When the deepest directory is opened, some far above it are moved out of the tree.
static int moving_openat(const struct io *io, int dirfd, const char *path, int flags, mode_t mode)
{
    (void)io;
    if (strcmp(path, "bottom") == 0 && move_script != NULL) {
        walkway_sh(moving, move_script);
        move_script = NULL;
    }
    return io_real()->openat(io_real(), dirfd, path, flags, mode);
}

// 300 levels with a directory each that is still to be read when the bottom is reached: most were given up then.
static char *walk_moved(struct walkway *p, const char *script)
{
    struct error err;
    struct io io = *io_real();
    walkway_sh(p, "rm -rf d ../away; touch z; d=.; i=0; while [ $i -lt 300 ]; do d=$d/d; mkdir -p $d/e; i=$((i + 1)); done; mkdir -p $d/bottom ../away\n"
                  "touch d/z d/d/z d/d/d/z d/d/d/d/z ../outside; cd d/d; seq -f z-%03.0f 300 | xargs touch");
    io.openat = moving_openat;
    moving = p;
    move_script = script;
    scratch_ok(walkway_walk(p, &io, &err), &err);
    assert_null(move_script);
    return walkway_below_root(p, &p->entries);
}

// What was looked at while it was in the source is told. What is left of a directory that was given up, and cannot be found again, is not, and that is said.
static void test_moved_away(void **state)
{
    struct walkway *p = *state;
    p->options.helpers = 0; // nothing is read ahead
    _cleanup_free_ char *one = walk_moved(p, "mv d/d/d ../away/3"), *rest = xasprintf("%s/d/d: it was moved while it was read", p->root);
    _cleanup_free_ char *below = xasprintf("%s/d/d/d/e: a directory above it was moved while it was read", p->root);
    _cleanup_free_ char *beside = xasprintf("%s/d/d/e: a directory above it was moved while it was read", p->root);
    assert_non_null(strstr(buf_str(&p->problems), below));
    assert_null(strstr(buf_str(&p->problems), beside));
    assert_null(strstr(buf_str(&p->problems), rest));
    assert_int_equal(p->count, 3 + 1 + 300 + 1 + 300 + 5 + 300); // parents, source, levels, bottom, e, z, z-…
    _cleanup_free_ char *two = walk_moved(p, "mv d/d/d ../away/3; mv d/d ../away/2");
    assert_non_null(strstr(buf_str(&p->problems), rest));
    assert_non_null(strstr(buf_str(&p->problems), beside));
    assert_non_null(strstr(two, "/d/d/d/z f 0\n"));
    assert_non_null(strstr(two, "\n/d/d/z-001 f 0\n"));
    assert_null(strstr(two, "\n/d/d/z-300 f 0\n"));
    assert_non_null(strstr(two, "\n/d/z f 0\n"));
    assert_non_null(strstr(two, "\n/z f 0\n"));
    assert_null(strstr(one, "outside"));
    assert_null(strstr(two, "outside"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_patterns, walkway_setup, walkway_teardown),
        cmocka_unit_test_setup_teardown(test_marked_directories, walkway_setup, walkway_teardown),
        cmocka_unit_test_setup_teardown(test_sizes, walkway_setup, walkway_teardown),
        cmocka_unit_test_setup_teardown(test_nodump, walkway_setup, walkway_teardown),
        cmocka_unit_test_setup_teardown(test_only_one_place, walkway_setup, walkway_teardown),
        cmocka_unit_test_setup_teardown(test_mounts, walkway_setup, walkway_teardown),
        cmocka_unit_test_setup_teardown(test_sources_on_mounts, walkway_setup, walkway_teardown),
        cmocka_unit_test_setup_teardown(test_kernel_interfaces, walkway_setup, walkway_teardown),
        cmocka_unit_test_setup_teardown(test_automount_is_not_triggered, walkway_setup, walkway_teardown),
        cmocka_unit_test_setup_teardown(test_closed_mount, walkway_setup, walkway_teardown),
        cmocka_unit_test_setup_teardown(test_moved_away, walkway_setup, walkway_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
