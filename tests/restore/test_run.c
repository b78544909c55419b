// A restore from end to end: content, metadata, what exists, what is damaged, what is refused.
#include "tests/restore/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "bkd/base/crypto.h"
#include "bkd/base/fs.h"

// Opening the snapshot strictly ends with this error.
static void expect_open(struct fixture *f, int expected, const char *text)
{
    struct error err = { 0 };
    struct snapshot snapshot = { 0 };
    const struct repository_head *head;
    _cleanup_repository_ struct repository *repository = fixture_open(f);
    assert_int_equal(repository_find(repository, NULL, "latest", &head, &err), 0);
    assert_int_equal(snapshot_open(repository, head, &f->identity, 1, &snapshot, &err), expected);
    if (strstr(err.text, text) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, text);
}

static void tree(struct fixture *f)
{
    _cleanup_free_ char *big = fixture_noise(100000, 1);
    _cleanup_free_ char *large = fixture_noise((32 << 20) + 12345, 2);
    fixture_dir(f, "/", 0755);
    fixture_dir(f, "/srv", 0755);
    fixture_dir(f, "/srv/data", 0750);
    fixture_line(f, "/srv/data/.fifo p mode=0600 uid=%u gid=%u mtime=1600000001.000000000", (unsigned)geteuid(), (unsigned)getegid());
    fixture_file(f, "/srv/data/a%20b%0A", 0644, "hello\n", 6);
    fixture_file(f, "/srv/data/big", 0600, big, 100000);
    fixture_dir(f, "/srv/data/closed", 0);
    fixture_file(f, "/srv/data/closed/in", 0444, "in", 2);
    fixture_file(f, "/srv/data/empty", 0644, "", 0);
    fixture_file_with(f, "/srv/data/h1", "hardlink=1.2", "linked", 6);
    fixture_version(f, "/srv/data/large", large, (32 << 20) + 12345, 0);
    fixture_line(f, "/srv/data/link l mode=0777 uid=%u gid=%u mtime=-5.250000000 target=../no%%20where", (unsigned)geteuid(),
                 (unsigned)getegid());
    fixture_line(f, "/srv/data/sock s mode=0777 uid=0 gid=0 mtime=1600000000.000000000");
    fixture_version(f, "/srv/data/sparse", large, 16 << 20, (48 << 20) + 5);
    fixture_dir(f, "/srv/data/z", 0777);
    char *hex = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"; // not looked at: a further name
    fixture_line(f, "/srv/data/z/h2 f mode=0644 uid=%u gid=%u mtime=%d.123456789 size=6 hardlink=1.2 sha256=%s at=1:512+6",
                 (unsigned)geteuid(), (unsigned)getegid(), FIXTURE_MTIME_S, hex);
}

static void assert_stat(const struct fixture *f, const char *name, mode_t mode, time_t s, long ns)
{
    struct stat st;
    _cleanup_free_ char *path = fixture_path(f, name);
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
    assert_int_equal(st.st_mtim.tv_sec, s);
    assert_int_equal(st.st_mtim.tv_nsec, ns);
}

static void check_tree(struct fixture *f)
{
    struct stat a, b;
    _cleanup_free_ char *large = fixture_noise((32 << 20) + 12345, 2);
    _cleanup_free_ char *h1 = fixture_path(f, "t/srv/data/h1"), *h2 = fixture_path(f, "t/srv/data/z/h2"),
                        *sparse = fixture_path(f, "t/srv/data/sparse");
    fixture_assert_content(f, "t/srv/data/a b\n", "hello\n", 6);
    fixture_assert_content(f, "t/srv/data/large", large, (32 << 20) + 12345);
    fixture_assert_content(f, "t/srv/data/empty", "", 0);
    assert_stat(f, "t", 0755, FIXTURE_MTIME_S, 7);
    assert_stat(f, "t/srv/data", 0750, FIXTURE_MTIME_S, 7);
    assert_stat(f, "t/srv/data/closed", 0, FIXTURE_MTIME_S, 7);
    assert_stat(f, "t/srv/data/big", 0600, FIXTURE_MTIME_S, 123456789);
    assert_stat(f, "t/srv/data/link", 0777, -5, 250000000);
    assert_stat(f, "t/srv/data/.fifo", 0600, 1600000001, 0);
    assert_int_equal(stat(h1, &a), 0);
    assert_int_equal(stat(h2, &b), 0);
    assert_int_equal(a.st_ino, b.st_ino);
    assert_int_equal(a.st_nlink, 2);
    assert_int_equal(stat(sparse, &a), 0);
    assert_int_equal(a.st_size, (64 << 20) + 5);
    assert_true(a.st_blocks * 512 <= (17 << 20));
    assert_false(fixture_exists(f, "t/srv/data/sock"));
    fixture_run("test -z \"$(find '%s/t' -name '.bkd-part*')\"", f->dir);
}

static void test_tree(void **state)
{
    struct fixture f;
    struct report report;
    fixture_init(&f, *(bool *)*state);
    tree(&f);
    fixture_commit(&f);
    fixture_expect(&f, "t", NULL, &report, 0);
    assert_int_equal(report.files, 7);
    assert_int_equal(report.hard_links, 1);
    assert_int_equal(report.dirs, 5);
    assert_int_equal(report.sockets, 1);
    check_tree(&f);
    fixture_done(&f);
}

static int failing_syncfs(const struct io *io, int fd)
{
    (void)io, (void)fd;
    errno = EIO;
    return -1;
}

// A disk that cannot keep what it took fails a restore; one that was not to wait for the disk does not ask.
static void test_no_sync(void **state)
{
    struct fixture f;
    struct report report;
    struct error err;
    struct io io = *io_real();
    (void)state;
    io.syncfs = failing_syncfs;
    fixture_init(&f, false);
    tree(&f);
    fixture_commit(&f);
    assert_int_equal(fixture_restore_io(&f, &io, "s", NULL, &report, &err), ERROR_FAILED);
    assert_non_null(strstr(err.text, "not all on the disk"));
    assert_int_equal(fixture_restore_io(&f, &io, "t", &(struct run_options){ .no_sync = true }, &report, &err), 0);
    check_tree(&f);
    fixture_done(&f);
}

static void test_existing_is_left_alone(void **state)
{
    struct fixture f;
    struct report report;
    (void)state;
    fixture_init(&f, false);
    tree(&f);
    fixture_commit(&f);
    fixture_run("mkdir -m 711 -p '%s/t/srv/data'; echo mine >'%s/t/srv/data/big'; ln -s /etc '%s/t/srv/data/z'; touch '%s/t/srv/data/h1'; "
                "ln -s /tmp '%s/t/srv/data/link'",
                f.dir, f.dir, f.dir, f.dir, f.dir);
    fixture_run("touch -d @99 '%s/t/srv/data'", f.dir);
    fixture_expect(&f, "t", NULL, &report, ERROR_INCOMPLETE);
    assert_int_equal(report.count[REPORT_EXISTS], 4);  // big, h1, link, z
    assert_int_equal(report.count[REPORT_SKIPPED], 1); // z/h2, a further name of h1
    fixture_assert_content(&f, "t/srv/data/big", "mine\n", 5);
    assert_false(fixture_exists(&f, "t/srv/data/z/h2"));
    fixture_assert_content(&f, "t/srv/data/closed/in", "in", 2);
    struct stat st;
    _cleanup_free_ char *data = fixture_path(&f, "t/srv/data");
    assert_int_equal(stat(data, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0711);
    fixture_done(&f);
}

static void test_paths_and_strip(void **state)
{
    struct fixture f;
    struct report report;
    const char *paths[] = { "srv/data/closed/", "/srv/data/z/h2" };
    struct selection_options wanted = { .paths = paths, .n_paths = 2 };
    struct selection *selection = NULL;
    struct run_options options = { .strip = 2 };
    struct error err;
    (void)state;
    fixture_init(&f, true);
    fixture_dir(&f, "/", 0755);
    fixture_dir(&f, "/etc", 0755);
    for (int i = 0; i < 500; i++)
        fixture_line(&f, "/etc/%03d l mode=0777 uid=0 gid=0 mtime=1.000000000 target=x", i);
    fixture_dir(&f, "/srv", 0755);
    fixture_dir(&f, "/srv/data", 0751);
    fixture_dir(&f, "/srv/data/closed", 0500);
    fixture_file(&f, "/srv/data/closed/in", 0444, "in", 2);
    for (int i = 0; i < 500; i++)
        fixture_line(&f, "/srv/data/n%03d l mode=0777 uid=0 gid=0 mtime=1.000000000 target=x", i);
    fixture_dir(&f, "/srv/data/z", 0711);
    fixture_file_with(&f, "/srv/data/z/h2", "hardlink=1.2", "linked", 6);
    fixture_commit(&f);
    assert_int_equal(selection_new(&wanted, &selection, &err), 0);
    options.selection = selection;
    fixture_expect(&f, "t", &options, &report, 0);
    selection_free(selection);
    assert_int_equal(report.files, 2);
    assert_int_equal(report.links, 0);
    fixture_assert_content(&f, "t/closed/in", "in", 2);
    fixture_assert_content(&f, "t/z/h2", "linked", 6);
    assert_stat(&f, "t", 0751, FIXTURE_MTIME_S, 7);
    assert_stat(&f, "t/z", 0711, FIXTURE_MTIME_S, 7);
    paths[1] = "/srv/data/none";
    assert_int_equal(selection_new(&wanted, &selection, &err), 0);
    options.selection = selection;
    fixture_expect(&f, "u", &options, &report, ERROR_NOT_FOUND);
    selection_free(selection);
    assert_false(fixture_exists(&f, "u"));
    fixture_done(&f);
}

static void test_damage(void **state)
{
    struct fixture f;
    struct report report;
    struct run_options options = { .keep_going = true };
    (void)state;
    fixture_init(&f, true);
    fixture_dir(&f, "/", 0755);
    _cleanup_free_ char *one = fixture_noise(20 << 20, 7), *two = fixture_noise(3 << 20, 9);
    fixture_version(&f, "/a", one, 20 << 20, 0);
    fixture_file(&f, "/b", 0644, two, 3 << 20);
    fixture_file(&f, "/c", 0644, "small", 5);
    fixture_commit(&f);
    fixture_flip(&f, 1, 0.5);
    fixture_expect(&f, "t", NULL, &report, ERROR_INTEGRITY);
    assert_false(fixture_exists(&f, "t/a"));
    fixture_run("test -z \"$(find '%s/t' -name '.bkd-part*')\"", f.dir);
    fixture_expect(&f, "u", &options, &report, ERROR_INTEGRITY);
    assert_int_equal(report.count[REPORT_LOST], 1);
    assert_false(fixture_exists(&f, "u/a"));
    fixture_assert_content(&f, "u/b", two, 3 << 20);
    fixture_assert_content(&f, "u/c", "small", 5);
    assert_stat(&f, "u", 0755, FIXTURE_MTIME_S, 7);
    fixture_done(&f);
}

// Whoever holds the store can write objects of his own, encrypted for the right recipients: nothing in them is looked at. With --keep-going
// what can be compared with the manifest is taken all the same; a recipe with right pieces of a wrong file must not pass then.
static void test_forged_recipe(void **state)
{
    struct fixture f;
    struct report report;
    uint8_t sha256[32];
    (void)state;
    fixture_init(&f, true);
    fixture_object_size(&f, 64 << 20);
    fixture_dir(&f, "/", 0755);
    _cleanup_free_ char *data = fixture_noise(20 << 20, 7);
    crypto_sha256(data, 20 << 20, sha256);
    fixture_version(&f, "/a", data, 20 << 20, 0);
    data[0] ^= 1;
    f.forged_sha256 = sha256; // the true file's, as a signed manifest has it
    fixture_version(&f, "/b", data, 20 << 20, 0);
    f.forged_sha256 = NULL;
    f.exchanged = true;
    fixture_commit(&f);
    expect_open(&f, ERROR_INTEGRITY, "do not have the SHA-256");
    struct run_options options = { .keep_going = true };
    fixture_expect(&f, "t", &options, &report, ERROR_INTEGRITY);
    assert_int_equal(report.count[REPORT_LOST], 1);
    assert_true(fixture_exists(&f, "t/a"));
    assert_false(fixture_exists(&f, "t/b"));
    fixture_done(&f);
}

// Whatever was changed in an object, needed or not: nothing in it is used.
static void test_exchanged_object(void **state)
{
    struct fixture f;
    struct report report;
    (void)state;
    fixture_init(&f, false);
    fixture_dir(&f, "/", 0755);
    _cleanup_free_ char *data = fixture_noise(20 << 20, 7);
    fixture_version(&f, "/a", data, 20 << 20, 0);
    struct place unused = fixture_member(&f, "whole", data, 3 << 20);
    fixture_commit(&f);
    fixture_expect(&f, "t", NULL, &report, 0);
    fixture_flip(&f, unused.object, 0.8);
    fixture_expect(&f, "u", NULL, &report, ERROR_INTEGRITY);
    assert_false(fixture_exists(&f, "u/a"));
    fixture_done(&f);
}

static void test_refuses_entry_without_directory(void **state)
{
    struct fixture f;
    struct report report;
    struct run_options options = { .keep_going = true };
    (void)state;
    fixture_init(&f, false);
    fixture_dir(&f, "/", 0755);
    fixture_line(&f, "/l l mode=0777 uid=0 gid=0 mtime=1.000000000 target=/tmp");
    fixture_file(&f, "/l/evil", 0644, "evil", 4); // through the link
    fixture_file(&f, "/ok", 0644, "ok", 2);
    fixture_commit(&f);
    fixture_expect(&f, "t", &options, &report, ERROR_INTEGRITY);
    assert_int_equal(report.count[REPORT_REFUSED], 1);
    assert_int_not_equal(access("/tmp/evil", F_OK), 0);
    fixture_assert_content(&f, "t/ok", "ok", 2);
    fixture_expect(&f, "u", NULL, &report, ERROR_INTEGRITY);
    fixture_done(&f);
}

static void test_attributes(void **state)
{
    struct fixture f;
    struct report report;
    char value[64];
    (void)state;
    fixture_init(&f, true);
    fixture_dir(&f, "/", 0755);
    const char text[] = "user.a\\075b=0x00ff41\nuser.empty=0x\n", broken[] = "user.x=0xzz\n";
    struct place place = fixture_member(&f, "xattr", text, strlen(text)), bad = fixture_member(&f, "xattr", broken, strlen(broken));
    struct buf at = { 0 }, bad_at = { 0 };
    place_format(&at, &place);
    place_format(&bad_at, &bad);
    fixture_line(&f, "/d d mode=0555 uid=%u gid=%u mtime=7.000000008 xattr=%s", (unsigned)geteuid(), (unsigned)getegid(), buf_str(&at));
    fixture_line(&f,
                 "/d/f f mode=4755 uid=%u gid=%u mtime=7.000000009 size=0 flags=40 xattr=%s "
                 "sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                 (unsigned)geteuid(), (unsigned)getegid(), buf_str(&at));
    fixture_line(&f,
                 "/g f mode=0644 uid=%u gid=%u mtime=7.000000009 size=0 xattr=%s "
                 "sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                 (unsigned)geteuid(), (unsigned)getegid(), buf_str(&bad_at));
    fixture_commit(&f);
    fixture_expect(&f, "t", NULL, &report, ERROR_INCOMPLETE);
    assert_int_equal(report.count[REPORT_METADATA], 1); // g
    assert_stat(&f, "t/d", 0555, 7, 8);
    assert_stat(&f, "t/d/f", 04755, 7, 9);
    _cleanup_free_ char *d = fixture_path(&f, "t/d"), *file = fixture_path(&f, "t/d/f");
    assert_int_equal(getxattr(d, "user.a=b", value, sizeof value), 3);
    assert_memory_equal(value,
                        "\0\xff"
                        "A",
                        3);
    assert_int_equal(getxattr(file, "user.empty", value, sizeof value), 0);
    buf_done(&at);
    buf_done(&bad_at);
    fixture_done(&f);
}

// Deeper than the descriptors kept open, longer than PATH_MAX.
static void test_deep(void **state)
{
    struct fixture f;
    struct report report;
    struct buf path = { 0 };
    (void)state;
    fixture_init(&f, false);
    fixture_dir(&f, "/", 0755);
    for (int i = 0; i < 120; i++) {
        buf_addf(&path, "/%0100d", i);
        fixture_dir(&f, buf_str(&path), i % 2 == 0 ? 0755 : 0500);
    }
    buf_add_str(&path, "/f");
    fixture_file(&f, buf_str(&path), 0644, "deep", 4);
    path.len = 0;
    buf_addf(&path, "/%0100d/%0100d/z", 0, 1);
    fixture_file(&f, buf_str(&path), 0644, "back", 4);
    fixture_commit(&f);
    fixture_expect(&f, "t", NULL, &report, 0);
    assert_int_equal(report.files, 2);
    fixture_run("test \"$(find '%s/t' -type f -name f -printf '%%d')\" = 121", f.dir);
    buf_done(&path);
    fixture_done(&f);
}

static void test_no_space_before_writing(void **state)
{
    struct fixture f;
    struct report report;
    struct error err;
    (void)state;
    if (geteuid() != 0)
        skip();
    fixture_init(&f, false);
    fixture_dir(&f, "/", 0755);
    _cleanup_free_ char *data = fixture_noise(4 << 20, 3);
    fixture_version(&f, "/a", data, 0, 8ull << 30); // a hole needs no room
    fixture_file(&f, "/b", 0644, data, 4 << 20);
    fixture_commit(&f);
    fixture_run("mkdir '%s/small' && mount -t tmpfs -o size=2m none '%s/small'", f.dir, f.dir);
    int r = fixture_restore(&f, "small/t", NULL, &report, &err);
    fixture_run("test -z \"$(find '%s/small/t' -type f)\"; mount -o remount,size=32m '%s/small'", f.dir, f.dir);
    int again = fixture_restore(&f, "small/u", NULL, &report, &err);
    fixture_run("umount '%s/small'", f.dir);
    assert_int_equal(r, ERROR_NO_SPACE);
    assert_int_equal(again, 0);
    fixture_done(&f);
}

// Pieces of one file in several windows, hashed as a whole in their order while several workers write them.
static void test_whole_over_windows(void **state)
{
    struct fixture f;
    struct report report;
    (void)state;
    fixture_init(&f, false);
    fixture_object_size(&f, 256 << 20);
    fixture_dir(&f, "/", 0755);
    const size_t n = (100 << 20) + 77;
    _cleanup_free_ char *data = fixture_noise(n, 4);
    fixture_version(&f, "/a", data, n, 0);
    fixture_commit(&f);
    struct run_options options = { .jobs = 4 };
    fixture_expect(&f, "t", &options, &report, 0);
    fixture_assert_content(&f, "t/a", data, n);
    assert_true(report.bytes == n);
    fixture_done(&f);
}

static void test_many_files(void **state)
{
    struct fixture f;
    struct report report;
    char path[64], text[32];
    (void)state;
    fixture_init(&f, true);
    fixture_dir(&f, "/", 0755);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(path, sizeof path, "/d%03d", i);
        fixture_dir(&f, path, 0755);
        for (int k = 0; k < 100; k++) {
            (void)snprintf(path, sizeof path, "/d%03d/%03d", i, k);
            int n = snprintf(text, sizeof text, "%d.%d", i, k);
            fixture_file(&f, path, 0644, text, (size_t)n);
        }
    }
    fixture_commit(&f);
    fixture_expect(&f, "t", NULL, &report, 0);
    assert_int_equal(report.files, 10000);
    fixture_assert_content(&f, "t/d042/017", "42.17", 5);
    fixture_done(&f);
}

int main(void)
{
    static bool off = false, on = true;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_tree, &off),
        cmocka_unit_test_prestate(test_tree, &on),
        cmocka_unit_test(test_no_sync),
        cmocka_unit_test(test_existing_is_left_alone),
        cmocka_unit_test(test_paths_and_strip),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_forged_recipe),
        cmocka_unit_test(test_exchanged_object),
        cmocka_unit_test(test_refuses_entry_without_directory),
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_no_space_before_writing),
        cmocka_unit_test(test_whole_over_windows),
        cmocka_unit_test(test_many_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
