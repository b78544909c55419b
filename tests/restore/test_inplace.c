// Restores into a target that has something, and restores that are cut off: what is kept, what is written, and that going on ends the same.
#include "tests/restore/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/fault_io.h"

enum { PIECE = 16 << 20, BIG = PIECE + (1 << 20) };

// A few entries of each kind, a file of two pieces.
static void tree(struct fixture *f)
{
    unsigned uid = geteuid(), gid = getegid();
    _cleanup_free_ char *big = fixture_noise(BIG, 1);
    fixture_dir(f, "/", 0755);
    fixture_dir(f, "/d", 0750);
    fixture_file(f, "/d/a", 0644, "one", 3);
    fixture_file_with(f, "/d/b", "hardlink=1.2", "two", 3);
    fixture_dir(f, "/d/closed", 0500);
    fixture_file(f, "/d/closed/in", 0400, "in", 2);
    fixture_line(f, "/d/fifo p mode=0620 uid=%u gid=%u mtime=1600000001.000000000", uid, gid);
    fixture_line(f, "/d/link l mode=0777 uid=%u gid=%u mtime=1600000001.000000000 target=a", uid, gid);
    char *hex = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"; // not looked at: a further name
    fixture_line(f, "/d/twin f mode=0644 uid=%u gid=%u mtime=%d.123456789 size=3 hardlink=1.2 sha256=%s at=1:512+3", uid, gid, FIXTURE_MTIME_S, hex);
    fixture_line(f, "/empty f mode=0644 uid=%u gid=%u mtime=%d.123456789 size=0", uid, gid, FIXTURE_MTIME_S);
    fixture_version(f, "/image", big, BIG, 0);
}

static void tree_with_sparse(struct fixture *f)
{
    _cleanup_free_ char *data = fixture_noise(PIECE, 1);
    tree(f);
    fixture_version(f, "/sparse", data, PIECE, 2 * PIECE);
}

// The same bytes, modes and times in files with final names.
static void assert_files_whole(struct fixture *f, const char *name)
{
    fixture_run("cd '%s' && test ! -e '%s' || (cd '%s' && find . -name '.bkd-*' -prune -o -type f -print | while read -r n; do cmp \"$n\" ../good/\"$n\" || exit 1; "
                "test \"$(stat -c '%%a %%y' \"$n\")\" = \"$(stat -c '%%a %%y' ../good/\"$n\")\" || { echo \"$n: metadata\"; exit 1; }; done)",
                f->dir, name, name);
}

// By size and time, then byte by byte.
static void assert_same(struct fixture *f, const char *name)
{
    fixture_run("cd '%s' && chmod u+rwx good/d/closed '%s/d/closed'; out=$(rsync -aHn --delete --itemize-changes good/ '%s/' 2>&1); "
                "chmod 500 good/d/closed '%s/d/closed'; test -z \"$out\" || { echo \"$out\"; exit 1; }; test -z \"$(find '%s' -name '.bkd-*')\"",
                f->dir, name, name, name, name);
    assert_files_whole(f, name);
}

static uint64_t inode_of(const struct fixture *f, const char *name)
{
    struct stat st;
    _cleanup_free_ char *path = fixture_path(f, name);
    assert_int_equal(lstat(path, &st), 0);
    return st.st_ino;
}

static void test_delta_in_place(void **state)
{
    struct fixture f;
    struct report report;
    struct run_options options = { .overwrite = DECIDE_IF_CHANGED, .in_place_delta = true };
    (void)state;
    fixture_init(&f, false);
    tree_with_sparse(&f);
    fixture_commit(&f);
    fixture_expect(&f, "t", NULL, &report, 0);
    fixture_expect(&f, "good", NULL, &report, 0);
    // Two blocks of the second piece, and data where the snapshot has a hole.
    fixture_run("for at in 4100 4200; do printf xxxx | dd of='%s/t/image' bs=4096 seek=$at conv=notrunc status=none; done; "
                "printf yyyy | dd of='%s/t/sparse' bs=1M seek=20 conv=notrunc status=none",
                f.dir, f.dir);
    uint64_t before = inode_of(&f, "t/image");
    fixture_expect(&f, "t", &options, &report, 0);
    fixture_run("touch -r '%s/good' '%s/t'", f.dir, f.dir); // the target itself keeps its own
    assert_same(&f, "t");
    assert_int_equal(report.replaced, 2);
    assert_int_equal(report.left, 7); // a, b, its twin, closed/in, empty, fifo, link
    assert_true(report.kept >= PIECE);
    assert_true(report.written <= 3 * 4096);
    assert_true(inode_of(&f, "t/image") == before || report.written == 2 * 4096); // a clone where blocks can be shared
    // With another name elsewhere it is not changed in place.
    fixture_run("ln '%s/t/image' '%s/outside'; printf xxxx | dd of='%s/t/image' bs=4096 seek=1 conv=notrunc status=none; cp '%s/outside' '%s/copy'", f.dir,
                f.dir, f.dir, f.dir, f.dir);
    fixture_expect(&f, "t", &options, &report, 0);
    fixture_run("touch -r '%s/good' '%s/t'", f.dir, f.dir); // the target itself keeps its own
    assert_same(&f, "t");
    fixture_run("cmp '%s/outside' '%s/copy'", f.dir, f.dir);
    // Longer, shorter, another time only.
    fixture_run("truncate -s +100000 '%s/t/image'; truncate -s 20M '%s/t/sparse'", f.dir, f.dir);
    fixture_expect(&f, "t", &options, &report, 0);
    fixture_run("touch -r '%s/good' '%s/t'", f.dir, f.dir); // the target itself keeps its own
    assert_same(&f, "t");
    fixture_run("touch '%s/t/image'", f.dir);
    fixture_expect(&f, "t", &options, &report, 0);
    assert_int_equal(report.updated, 1);
    assert_int_equal(report.written, 0);
    assert_same(&f, "t");
    fixture_done(&f);
}

// Zeros that were written are a piece without content, too, and take their space again, as far as this file system gives zeros any. What stood there goes.
static void test_zeros_in_place(void **state)
{
    static const struct recipe_extent all[] = { { 0, 2 * PIECE }, { 0, 0 } };
    struct fixture f;
    struct report report;
    struct run_options options = { .overwrite = DECIDE_IF_CHANGED, .in_place_delta = true };
    _cleanup_free_ char *data = xcalloc(1, 2 * PIECE);
    (void)state;
    memset(data, 'd', PIECE);
    fixture_init(&f, false);
    fixture_dir(&f, "/", 0755);
    f.extents = all;
    fixture_version(&f, "/zeros", data, PIECE, PIECE);
    fixture_commit(&f);
    fixture_expect(&f, "t", NULL, &report, 0);
    fixture_assert_content(&f, "t/zeros", data, 2 * PIECE);
    fixture_run("cd '%s' && cp --sparse=never --reflink=never t/zeros written && sync -f written && test $((4 * $(stat -c %%b t/zeros))) -ge $((3 * $(stat -c %%b written)))", f.dir); // whatever the file system needs itself
    fixture_run("printf yyyy | dd of='%s/t/zeros' bs=1M seek=20 conv=notrunc status=none", f.dir);
    fixture_expect(&f, "t", &options, &report, 0);
    assert_int_equal(report.replaced, 1);
    fixture_assert_content(&f, "t/zeros", data, 2 * PIECE);
    fixture_done(&f);
}

// Damage met while a file is changed in place: nothing half-changed has the name, and what is left of the old is told.
static void test_delta_and_damage(void **state)
{
    struct fixture f;
    struct report report;
    struct run_options options = { .overwrite = DECIDE_ALWAYS, .in_place_delta = true, .keep_going = true };
    (void)state;
    fixture_init(&f, false);
    tree(&f);
    fixture_commit(&f);
    fixture_expect(&f, "t", NULL, &report, 0);
    fixture_run("cp '%s/t/image' '%s/old'; printf xxxx | dd of='%s/t/image' bs=4096 seek=100 conv=notrunc status=none; "
                "printf xxxx | dd of='%s/t/image' bs=4096 seek=4200 conv=notrunc status=none; cp '%s/t/image' '%s/changed'",
                f.dir, f.dir, f.dir, f.dir, f.dir, f.dir);
    for (uint32_t i = 1; i <= f.refs.n; i++) // every object, so the image's pieces are hit
        fixture_flip(&f, i, 0.5);
    fixture_expect(&f, "t", &options, &report, ERROR_INTEGRITY);
    fixture_run("cd '%s' && { ! test -e t/image || cmp t/image old || cmp t/image changed; }", f.dir);
    fixture_done(&f);
}

// The marker tells whether there is something to go on with.
static void go_on(struct fixture *f, struct run_options options)
{
    struct report report;
    struct error err;
    _cleanup_free_ char *target = fixture_path(f, "t");
    options.resume = true;
    int r = access(target, F_OK) == 0 ? fixture_restore(f, "t", &options, &report, &err) : ERROR_USAGE;
    if (r == ERROR_USAGE) { // it was cut off before its marker was whole
        options.resume = false;
        fixture_run("test ! -e '%s' || test -z \"$(find '%s' -mindepth 1 -name '.bkd-*' -prune -o -mindepth 1 -print)\"; rm -rf '%s'", target, target, target);
        r = fixture_restore(f, "t", &options, &report, &err);
    }
    if (r != 0)
        fail_msg("going on ended with %d: %s", r, err.text);
}

static void cut_off_everywhere(struct fixture *f, enum fault_mode mode, enum fault_power power, long step)
{
    _cleanup_free_ char *aside = fixture_path(f, "aside");
    struct run_options options = { .jobs = 1 };
    for (long call = 1;; call += step) {
        struct fault_io_options fault = {
            .mode = mode, .kinds = FAULT_CHANGES, .call = call, .os_errno = ENOSPC, .power = power, .seed = (uint64_t)call, .aside = aside
        };
        fixture_run("chmod -R u+rwx '%s/t' 2>/dev/null; rm -rf '%s/t' '%s'; mkdir '%s/t' '%s'", f->dir, f->dir, aside, f->dir, aside);
        _cleanup_free_ char *target = fixture_path(f, "t");
        fault.roots[0] = mode == FAULT_POWER ? target : NULL;
        pid_t pid = fork();
        if (pid == 0) {
            struct fault_io *io = fault_io_new(&fault);
            struct report report;
            struct error err;
            int r = fixture_restore_io(f, fault_io(io), "t", &options, &report, &err);
            _exit(fault_io_happened(io) ? FAULT_EXIT : r == 0 ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 0)
            return;
        assert_int_equal(WEXITSTATUS(status), FAULT_EXIT);
        if (mode == FAULT_POWER)
            fixture_run("sed -i 's/^boot .*/boot another/' '%s/t'/.bkd-restore-* 2>/dev/null; true", f->dir);
        else
            assert_files_whole(f, "t");
        go_on(f, options);
        fixture_run("touch -r '%s/good' '%s/t'; chmod 755 '%s/t'", f->dir, f->dir, f->dir); // the target existed: it keeps its own
        assert_same(f, "t");
    }
}

static void cut_off(enum fault_mode mode, enum fault_power power, long step)
{
    struct fixture f;
    struct report report;
    fixture_init(&f, false);
    tree(&f);
    fixture_commit(&f);
    fixture_expect(&f, "good", NULL, &report, 0);
    cut_off_everywhere(&f, mode, power, step);
    fixture_done(&f);
}

static void test_killed_everywhere(void **state) { (void)state, cut_off(FAULT_KILL, 0, 7); }
static void test_disk_full_everywhere(void **state) { (void)state, cut_off(FAULT_ERRORS, 0, 17); }

static void test_power_lost_everywhere(void **state)
{
    (void)state;
    for (int power = 0; power < FAULT_POWERS; power++)
        cut_off(FAULT_POWER, power, 37);
}

// ---- --verify

static int corrupting_syncfs(const struct io *self, int fd)
{
    (void)self;
    if (syncfs(fd) < 0)
        return -1;
    // As a disk that returns something else than it was given.
    int image = openat(fd, "image", O_WRONLY), a = openat(fd, "d/a", O_WRONLY);
    struct stat st;
    bool written = image >= 0 && fstat(image, &st) == 0 && pwrite(image, "?", 1, PIECE + 5) == 1 && a >= 0 && fchmod(a, 0600) == 0;
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, st.st_mtim };
    written = written && futimens(image, times) == 0;
    (void)close(image), (void)close(a);
    return written ? 0 : -1;
}

static void test_verify(void **state)
{
    struct fixture f;
    struct report report;
    struct error err;
    struct run_options options = { .verify = true };
    struct io io = *io_real();
    (void)state;
    io.syncfs = corrupting_syncfs;
    fixture_init(&f, false);
    tree(&f);
    fixture_commit(&f);
    fixture_expect(&f, "t", &options, &report, 0);
    assert_int_equal(report.verified, 10);
    assert_int_equal(fixture_restore_io(&f, &io, "u", &options, &report, &err), ERROR_INTEGRITY);
    assert_int_equal(report.count[REPORT_DIFFERS], 2);
    // Names that were left alone were told already.
    fixture_run("mkdir -p '%s/v/d'; echo mine >'%s/v/d/a'; chmod 700 '%s/v/d'", f.dir, f.dir, f.dir);
    fixture_expect(&f, "v", &options, &report, ERROR_INCOMPLETE);
    assert_int_equal(report.count[REPORT_DIFFERS], 0);
    fixture_done(&f);
}

// Size and time say nothing with --verify.
static void test_verify_compares_what_is_left(void **state)
{
    struct fixture f;
    struct report report;
    struct run_options options = { .overwrite = DECIDE_IF_CHANGED };
    (void)state;
    fixture_init(&f, false);
    tree(&f);
    fixture_commit(&f);
    fixture_expect(&f, "t", NULL, &report, 0);
    fixture_run("touch -r '%s/t/d/a' '%s/stamp'; printf ONE >'%s/t/d/a'; touch -r '%s/stamp' '%s/t/d/a'", f.dir, f.dir, f.dir, f.dir, f.dir);
    fixture_expect(&f, "t", &options, &report, 0);
    assert_int_equal(report.replaced, 0);
    options.verify = true;
    fixture_expect(&f, "t", &options, &report, 0);
    assert_int_equal(report.replaced, 1);
    fixture_assert_content(&f, "t/d/a", "one", 3);
    // A newer file under a further name is left, and nothing is wrong with it.
    options.overwrite = DECIDE_IF_NEWER;
    fixture_run("rm '%s/t/d/twin'; printf newer >'%s/t/d/twin'", f.dir, f.dir);
    fixture_expect(&f, "t", &options, &report, 0);
    fixture_assert_content(&f, "t/d/twin", "newer", 5);
    // A newer one stays also where the first name is newer still; the two were one file.
    fixture_run("printf newest >'%s/t/d/b'; touch -d 2030-01-01 '%s/t/d/b'", f.dir, f.dir);
    fixture_expect(&f, "t", &options, &report, 0);
    fixture_assert_content(&f, "t/d/twin", "newer", 5);
    // And one that is linked to a newer first name.
    fixture_run("printf newest >'%s/t/d/b'; rm '%s/t/d/twin'", f.dir, f.dir);
    fixture_expect(&f, "t", &options, &report, 0);
    fixture_assert_content(&f, "t/d/twin", "newest", 6);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delta_in_place),
        cmocka_unit_test(test_zeros_in_place),      cmocka_unit_test(test_delta_and_damage),      cmocka_unit_test(test_verify),
        cmocka_unit_test(test_verify_compares_what_is_left), cmocka_unit_test(test_killed_everywhere), cmocka_unit_test(test_disk_full_everywhere),
        cmocka_unit_test(test_power_lost_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
