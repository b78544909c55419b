// What a target can hold, tried on a real one and on one that lacks things; what of a selection it then cannot hold.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "restore/expect.h"
#include "restore/needs.h"
#include "tests/restore/fixture.h"

#define EVERYTHING \
    { .symlinks = true, .hard_links = true, .fifos = true, .devices = true, .acls = true, .user_xattrs = true, .trusted_xattrs = true, \
      .security_xattrs = true, .owners = true, .modes = true, .nanoseconds = true, .times_before_1970 = true, .times_after_2038 = true, \
      .trailing = true, .name_max = 255, .file_size_max = UINT64_C(1) << 60 }

static int no_xattr(const struct io *self, int fd, const char *name, const void *value, size_t n)
{
    (void)self, (void)fd, (void)name, (void)value, (void)n;
    errno = EOPNOTSUPP;
    return -1;
}

static int no_symlink(const struct io *self, const char *target, int dirfd, const char *path)
{
    (void)self, (void)target, (void)dirfd, (void)path;
    errno = EPERM;
    return -1;
}

// A file system that takes no colon, and knows no upper case.
static int folding_open(const struct io *self, int dirfd, const char *path, int flags, mode_t mode)
{
    if (strchr(path, ':') != NULL) {
        errno = EINVAL;
        return -1;
    }
    return io_real()->openat(self, dirfd, path, flags, mode);
}

static int folding_statx(const struct io *self, int dirfd, const char *path, int flags, unsigned mask, struct statx *st)
{
    return io_real()->statx(self, dirfd, strcmp(path, "CASE-A") == 0 ? "case-a" : path, flags, mask, st);
}

static void test_probe(void **state)
{
    char dir[] = "/tmp/bkd-test-XXXXXX";
    struct abilities a;
    struct error err;
    struct stat before, after;
    (void)state;
    assert_non_null(mkdtemp(dir));
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 1000000000, .tv_nsec = 7 } };
    assert_int_equal(futimens(fd, times), 0);
    assert_int_equal(fstat(fd, &before), 0);
    assert_int_equal(abilities_probe(io_real(), fd, &a, &err), 0);
    assert_true(a.symlinks && a.hard_links && a.fifos && a.modes && a.nanoseconds && a.trailing && !a.folds_case && !a.forbidden[255]);
    assert_true(a.name_max == 255 && a.file_size_max > UINT64_C(1) << 40);
    assert_true(a.owners == (geteuid() == 0));
    struct io poor = *io_real();
    poor.fsetxattr = no_xattr;
    poor.symlinkat = no_symlink;
    poor.openat = folding_open;
    poor.statx = folding_statx;
    assert_int_equal(abilities_probe(&poor, fd, &a, &err), 0);
    assert_true(a.folds_case && a.forbidden[':'] && !a.forbidden['*'] && !a.symlinks && !a.acls && !a.user_xattrs && a.hard_links);
    // Nothing stays, not even the time at which something was there.
    assert_int_equal(fstat(fd, &after), 0);
    assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim);
    close(fd);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(abilities_probe(io_real(), -1, &a, &err) < 0, 1);
}

// Opens the newest snapshot and asks what of it such a target cannot hold.
static void ask(struct fixture *f, const struct abilities *abilities, struct needs *ret_needs)
{
    struct error err = { 0 };
    _cleanup_snapshot_ struct snapshot snapshot = { 0 };
    _cleanup_plan_ struct plan plan = { .fd = -1 };
    _cleanup_repository_ struct repository *repository = fixture_open(f);
    const struct repository_head *head;
    struct timing timing;
    struct attrs_self self = { .numeric_owner = true };
    struct attrs_names *names = attrs_names_new();
    int scratch = open(f->dir, O_RDONLY | O_DIRECTORY);
    assert_int_equal(repository_find(repository, NULL, "latest", &head, &err), 0);
    assert_int_equal(snapshot_open(repository, head, NULL, 0, &snapshot, &err), 0);
    timing_init(&timing, io_real());
    struct apply apply = { .reader = snapshot.reader, .timing = &timing, .self = &self };
    apply_init(&apply, io_real(), 1);
    assert_int_equal(plan_open(&plan, io_real(), &snapshot, scratch, NULL, &err), 0);
    assert_int_equal(plan_count(&plan, &err), 0);
    struct needs_question question = { .io = io_real(), .plan = &plan, .abilities = abilities, .apply = &apply, .names = names, .self = &self };
    if (needs_count(&question, ret_needs, &err) < 0)
        fail_msg("%s", err.text);
    apply_done(&apply);
    attrs_names_free(names);
    close(scratch);
}

static void make_tree(struct fixture *f)
{
    static const char acl[] = "user.colour=0x01\nsystem.posix_acl_access=0x02\n";
    struct place place = fixture_member(f, "xattr", acl, sizeof acl - 1);
    _cleanup_buf_ struct buf xattr = { 0 };
    place_format(&xattr, &place);
    fixture_line(f, "/ d mode=0755 uid=0 gid=0 mtime=1.000000000");
    fixture_line(f, "/A d mode=0755 uid=0 gid=0 mtime=1.000000000");
    fixture_line(f, "/A/b:c l mode=0777 uid=0 gid=0 mtime=-1.000000000 target=x");
    fixture_line(f, "/A/caf\303\211 p mode=0644 uid=0 gid=0 mtime=1.000000000");
    fixture_line(f, "/A/caf\303\251 p mode=0644 uid=0 gid=0 mtime=1.000000005");
    fixture_line(f, "/A/one f mode=0644 uid=4711 gid=0 mtime=1.000000000 size=0 hardlink=1.2 xattr=%s", buf_str(&xattr));
    fixture_line(f, "/A/two f mode=0644 uid=4711 gid=0 mtime=1.000000000 size=0 hardlink=1.2 xattr=%s", buf_str(&xattr));
    fixture_line(f, "/a d mode=0750 uid=0 gid=0 mtime=1.000000000 xattr=%s", buf_str(&xattr));
    fixture_line(f, "/a/end. c mode=0644 uid=0 gid=0 mtime=5000000000.000000000 device=1,3");
    fixture_line(f, "/bad\377 f mode=0644 uid=0 gid=0 mtime=1.000000000 size=0");
    fixture_commit(f);
}

static void expect_need(struct fixture *f, struct abilities abilities, enum need need, uint64_t count, const char *example)
{
    _cleanup_needs_ struct needs needs = { 0 };
    ask(f, &abilities, &needs);
    for (int i = 0; i < NEEDS; i++)
        if (needs.count[i] != (i == (int)need ? count : 0))
            fail_msg("%s: %d of %s", needs_name(need), (int)needs.count[i], needs_name(i));
    if (count > 0)
        assert_string_equal(needs.example[need], example);
}

static void test_needs(void **state)
{
    struct fixture f;
    const struct abilities all = EVERYTHING;
    struct abilities a = all;
    (void)state;
    fixture_init(&f, false);
    make_tree(&f);
    expect_need(&f, all, NEED_ACL, 0, NULL);
#define LACKING(field, value, need, count, example) \
    do { \
        a = all; \
        a.field = value; \
        expect_need(&f, a, need, count, example); \
    } while (0)
    LACKING(acls, false, NEED_ACL, 2, "/A/one"); // an inode with two names has them once
    LACKING(user_xattrs, false, NEED_USER_XATTR, 2, "/A/one");
    LACKING(security_xattrs, false, NEED_SECURITY_XATTR, 0, NULL);
    LACKING(owners, false, NEED_OWNER, 1, "/A/one");
    LACKING(modes, false, NEED_MODE, 1, "/a");
    LACKING(nanoseconds, false, NEED_NANOSECONDS, 1, "/A/caf\303\251");
    LACKING(times_before_1970, false, NEED_TIME, 1, "/A/b:c");
    LACKING(times_after_2038, false, NEED_TIME, 1, "/a/end.");
    LACKING(hard_links, false, NEED_HARD_LINK, 1, "/A/two");
    LACKING(symlinks, false, NEED_SYMLINK, 1, "/A/b:c");
    LACKING(fifos, false, NEED_FIFO, 2, "/A/caf\303\211");
    LACKING(devices, false, NEED_DEVICE, 1, "/a/end.");
    LACKING(forbidden[':'], true, NEED_NAME, 1, "/A/b:c");
    LACKING(forbidden[255], true, NEED_NAME, 1, "/bad\377");
    LACKING(trailing, false, NEED_NAME, 1, "/a/end.");
    LACKING(name_max, 4, NEED_LONG_NAME, 2, "/A/caf\303\211");
    // /A and /a, and the capital of an accented letter.
    LACKING(folds_case, true, NEED_FOLDED, 2, "/a");
    fixture_done(&f);
}

static void assert_near(double seen, double wanted) { assert_true(seen > wanted * 0.999 && seen < wanted * 1.001); }

static void test_expectation(void **state)
{
    struct expect_rates rates = { .decode_s_per_byte = 4e-9, .write_s_per_byte = 1e-9, .sync_s_per_byte = 1e-9, .file_s = 50e-6, .authenticate_s_per_byte = 1e-9 };
    (void)state;
    // One thread: 5 s of work for a thousand million bytes, 5 s for 100,000 files, half a second to authenticate what is stored.
    assert_near(expect_seconds(&rates, 100000, 1000000000, 500000000, 1), 10.5);
    assert_near(expect_seconds(&rates, 100000, 1000000000, 500000000, 2), 5.5);
    rates.sync_s_per_byte = 100e-9; // a slow disk: the threads wait for it
    assert_near(expect_seconds(&rates, 100000, 1000000000, 500000000, 2), 100.5);
    assert_true(expect_seconds(&(struct expect_rates){ 0 }, 1, 1, 1, 1) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_probe), cmocka_unit_test(test_needs), cmocka_unit_test(test_expectation) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
