// Small files have no name until they are complete, where the file system and the user's rights allow that; elsewhere the same comes out by part names.
#include "tests/restore/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "restore/apply.h"

enum { FILES = 20, LARGE = APPLY_DIRECT_MIN, DIED = 77 };

// What the kernel does of it, and what was asked.
static struct {
    int make_errno, link_errno, close_errno; // 0: done
    int given_away_errno;                    // of a link to what belongs to another user
    bool dies_at_rename, dies_at_unlink;     // of a part name
    atomic_int closing_fd;                   // linked, and to be closed next
    atomic_uint asked, linked, renamed, parts;
} seen;

static bool is_part(const char *name) { return strncmp(name, APPLY_PART_PREFIX, strlen(APPLY_PART_PREFIX)) == 0; }

static int opening(const struct io *io, int dirfd, const char *path, int flags, mode_t mode)
{
    (void)io;
    bool nameless = (flags & O_TMPFILE) == O_TMPFILE;
    if (nameless && seen.make_errno != 0) {
        errno = seen.make_errno;
        return -1;
    }
    int fd = io_real()->openat(io_real(), dirfd, path, flags, mode);
    seen.parts += !nameless && (flags & O_CREAT) != 0 && is_part(path);
    return fd;
}

static bool is_given_away(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_uid != geteuid();
}

static int linking(const struct io *io, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, int flags)
{
    (void)io;
    bool by_fd = (flags & AT_EMPTY_PATH) != 0;
    seen.asked += by_fd;
    if (by_fd && (seen.link_errno != 0 || (seen.given_away_errno != 0 && is_given_away(old_dirfd)))) {
        errno = seen.link_errno != 0 ? seen.link_errno : seen.given_away_errno;
        return -1;
    }
    int r = io_real()->linkat(io_real(), old_dirfd, old_path, new_dirfd, new_path, flags);
    if (by_fd && r == 0) {
        seen.linked++;
        seen.closing_fd = is_part(new_path) ? -1 : old_dirfd;
    }
    return r;
}

static int renaming(const struct io *io, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, unsigned flags)
{
    (void)io;
    if (seen.dies_at_rename && is_part(old_path))
        _exit(DIED);
    seen.renamed += is_part(old_path);
    return io_real()->renameat2(io_real(), old_dirfd, old_path, new_dirfd, new_path, flags);
}

static int unlinking(const struct io *io, int dirfd, const char *path, int flags)
{
    (void)io;
    if (seen.dies_at_unlink && is_part(path))
        _exit(DIED);
    return io_real()->unlinkat(io_real(), dirfd, path, flags);
}

static int closing(const struct io *io, int fd)
{
    (void)io;
    bool fails = seen.close_errno != 0 && fd >= 0 && fd == seen.closing_fd;
    int r = io_real()->close(io_real(), fd);
    if (fails)
        errno = seen.close_errno;
    return fails ? -1 : r;
}

static struct io watched(void)
{
    struct io io = *io_real();
    io.openat = opening;
    io.linkat = linking;
    io.renameat2 = renaming;
    io.unlinkat = unlinking;
    io.close = closing;
    return io;
}

static void forget(void)
{
    memset(&seen, 0, sizeof seen);
    seen.closing_fd = -1;
}

static void make_tree(struct fixture *f)
{
    _cleanup_free_ char *large = fixture_noise(LARGE, 1);
    fixture_init(f, false);
    fixture_dir(f, "/", 0755);
    fixture_dir(f, "/d", 02775);
    for (int i = 0; i < FILES; i++) {
        char path[32], content[64] = "";
        int n = i == 3 ? 0 : snprintf(content, sizeof content, "the content of file %d", i);
        (void)snprintf(path, sizeof path, "/d/file-%02d", i);
        fixture_file(f, path, i % 2 == 0 ? 0644 : 04711, content, (size_t)n);
    }
    fixture_file(f, "/large", 0600, large, LARGE);
    fixture_commit(f);
}

// May this user do it, in this place?
static bool is_possible(const struct fixture *f)
{
    _cleanup_free_ char *name = fixture_path(f, "possible");
    int fd = open(f->dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    bool possible = fd >= 0 && linkat(fd, "", AT_FDCWD, name, AT_EMPTY_PATH) == 0;
    if (possible)
        (void)unlink(name);
    if (fd >= 0)
        (void)close(fd);
    return possible;
}

static void restore(struct fixture *f, const char *name, const struct run_options *options, struct report *report)
{
    struct error err;
    struct io io = watched();
    int r = fixture_restore_io(f, &io, name, options, report, &err);
    if (r != 0)
        print_error("%s\n", err.text);
    assert_int_equal(r, 0);
}

static void assert_complete(const struct fixture *f, const char *name)
{
    fixture_run("cd '%s/%s' && test $(ls d | wc -l) = %d && test \"$(cat d/file-07)\" = 'the content of file 7' && test $(stat -c %%a d/file-07) = 4711 && "
                "test $(stat -c %%a d/file-08) = 644 && test $(stat -c %%Y d/file-08) = %d && test -f d/file-03 && test ! -s d/file-03 && "
                "test $(stat -c %%s large) = %d && test -z \"$(find . -name '.bkd-part*')\"",
                f->dir, name, FILES, FIXTURE_MTIME_S, (int)LARGE);
}

static void test_small_ones_have_no_name(void **state)
{
    struct fixture f;
    struct report report;
    (void)state;
    make_tree(&f);
    if (!is_possible(&f)) {
        fixture_done(&f);
        skip();
    }
    forget();
    restore(&f, "t", NULL, &report);
    assert_complete(&f, "t");
    assert_int_equal(seen.linked, FILES + 1); // and one to try
    assert_int_equal(seen.parts, 1); // the large one
    assert_int_equal(seen.renamed, 1);
    fixture_done(&f);
}

// A file system that cannot, a user who may not: tried once.
static void refused(int make_errno, int link_errno)
{
    struct fixture f;
    struct report report;
    make_tree(&f);
    forget();
    seen.make_errno = make_errno;
    seen.link_errno = link_errno;
    restore(&f, "t", NULL, &report);
    assert_complete(&f, "t");
    assert_int_equal(seen.asked, make_errno == 0);
    assert_int_equal(seen.linked, 0);
    assert_int_equal(seen.parts, FILES + 1);
    assert_int_equal(seen.renamed, FILES + 1);
    fixture_done(&f);
}

static void test_where_files_need_names(void **state)
{
    (void)state;
    refused(EOPNOTSUPP, 0);
    refused(EISDIR, 0); // of kernels that know no O_TMPFILE
    refused(0, ENOENT); // what linkat says to a user without CAP_DAC_READ_SEARCH
}

// With CAP_CHOWN alone a file that was given to its owner can no longer be linked (proc_sys_fs(5), protected_hardlinks), but renamed.
static void test_who_may_only_give_away(void **state)
{
    struct fixture f;
    struct report report;
    (void)state;
    if (geteuid() != 0)
        skip();
    make_tree(&f);
    forget();
    seen.given_away_errno = EPERM;
    restore(&f, "t", NULL, &report);
    assert_complete(&f, "t");
    assert_int_equal(seen.linked, 0);
    assert_int_equal(seen.renamed, FILES + 1);
    fixture_done(&f);
}

static void die_restoring(struct fixture *f)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        struct report report;
        struct error err;
        struct io io = watched();
        (void)fixture_restore_io(f, &io, "t", &(struct run_options){ .jobs = 1 }, &report, &err);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == DIED);
    fixture_run("test -n \"$(find '%s/t' -name '.bkd-part*')\"", f->dir);
}

// What stands under a part name goes away with the run that goes on, also where that run could do without names.
static void test_resumed(void **state)
{
    struct fixture f;
    struct report report;
    (void)state;
    make_tree(&f);
    for (int trying = 0; trying <= is_possible(&f); trying++) {
        forget();
        seen.dies_at_unlink = trying;
        seen.dies_at_rename = !trying;
        seen.make_errno = trying ? 0 : EOPNOTSUPP;
        die_restoring(&f);
        if (!trying) // as another worker would have left one: not the first that is made anew
            fixture_run("part=$(find '%s/t' -name '.bkd-part*') && mv \"$part\" \"${part%%-*}-$(printf %%x $((0x${part##*-} + 2)))\"", f.dir);
        forget();
        restore(&f, "t", &(struct run_options){ .resume = true }, &report);
        assert_complete(&f, "t");
        fixture_run("rm -rf '%s/t'", f.dir);
    }
    fixture_done(&f);
}

// What is there is not overwritten, and what replaces something still is exchanged for it.
static void test_names_that_are_taken(void **state)
{
    struct fixture f;
    struct report report;
    struct error err;
    struct io io = watched();
    (void)state;
    make_tree(&f);
    fixture_run("mkdir -p '%s/t/d' && echo mine >'%s/t/d/file-05'", f.dir, f.dir);
    forget();
    assert_true(fixture_restore_io(&f, &io, "t", &(struct run_options){ .overwrite = DECIDE_NEVER }, &report, &err) < 0); // says that one was left
    fixture_run("test \"$(cat '%s/t/d/file-05')\" = mine && test \"$(cat '%s/t/d/file-06')\" = 'the content of file 6'", f.dir, f.dir);
    forget();
    restore(&f, "t", &(struct run_options){ .overwrite = DECIDE_ALWAYS }, &report);
    assert_complete(&f, "t");
    assert_int_equal(seen.linked, 0);
    fixture_done(&f);
}

// A file that could not be closed has no name, and the restore says so.
static void test_fails_at_close(void **state)
{
    struct fixture f;
    struct report report;
    struct error err;
    struct io io = watched();
    (void)state;
    make_tree(&f);
    if (!is_possible(&f)) {
        fixture_done(&f);
        skip();
    }
    forget();
    seen.close_errno = EIO;
    assert_true(fixture_restore_io(&f, &io, "t", &(struct run_options){ .jobs = 1 }, &report, &err) < 0);
    assert_non_null(strstr(err.text, "close 'file-"));
    fixture_run("test $(ls '%s/t/d' | wc -l) -lt %d", f.dir, FILES);
    fixture_run("! test -e '%s/t/d/file-00'", f.dir);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_ones_have_no_name),
        cmocka_unit_test(test_where_files_need_names),
        cmocka_unit_test(test_who_may_only_give_away),
        cmocka_unit_test(test_resumed),
        cmocka_unit_test(test_names_that_are_taken),
        cmocka_unit_test(test_fails_at_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
