// Holes: those that come back, those that had space, those whose zeros a piece copies, and how they count in a restore's progress.
#include "tests/restore/fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/base/fs.h"

static off_t reserved; // by the last call

static int noting_fallocate(const struct io *io, int fd, int mode, off_t offset, off_t length)
{
    (void)io;
    assert_int_equal(mode, 0);
    assert_int_equal(offset, 0);
    reserved = length;
    return io_real()->fallocate(io_real(), fd, mode, offset, length);
}

// A file whose holes had space has space again; one whose holes had none has none.
static void test_reserved_space(void **state)
{
    enum { DATA = RECIPE_PIECE_SIZE, HOLE = 1 << 20 };
    struct fixture f;
    struct report report;
    struct error err;
    struct io io = *io_real();
    _cleanup_free_ char *data = xmalloc(DATA);
    (void)state;
    io.fallocate = noting_fallocate;
    memset(data, 'd', DATA);
    for (int i = 0; i < 2; i++) {
        fixture_init(&f, false);
        fixture_dir(&f, "/", 0755);
        f.note = i == 0 ? NULL : "preallocated";
        fixture_version(&f, "/image", data, DATA, HOLE);
        fixture_commit(&f);
        reserved = 0;
        assert_int_equal(fixture_restore_io(&f, &io, "t", NULL, &report, &err), 0);
        assert_int_equal(reserved, i == 0 ? 0 : DATA + HOLE);
        fixture_run("cd '%s/t' && test $(stat -c %%s image) = %d && head -c %d image | tr -d d | (! grep -q .)", f.dir, DATA + HOLE, DATA);
        fixture_done(&f);
    }
}

// Holes within a piece that has data are holes again; what is written is where it was.
static void test_small_holes(void **state)
{
    enum { PIECE = 16 << 20, FIRST = 1 << 20, SECOND = 9 << 20, LENGTH = 8192 };
    static const struct recipe_extent extents[] = { { FIRST, LENGTH }, { SECOND, LENGTH }, { PIECE - LENGTH, LENGTH }, { 0, 0 } };
    struct fixture f;
    struct report report;
    struct stat st;
    _cleanup_free_ char *data = xcalloc(1, PIECE), *bytes = fixture_noise(3 * LENGTH, 4);
    (void)state;
    for (size_t i = 0; i < 3; i++)
        memcpy(data + extents[i].offset, bytes + i * LENGTH, LENGTH);
    fixture_init(&f, false);
    fixture_dir(&f, "/", 0755);
    f.extents = extents;
    fixture_version(&f, "/sparse", data, PIECE, 0);
    fixture_commit(&f);
    fixture_expect(&f, "t", NULL, &report, 0);
    fixture_assert_content(&f, "t/sparse", data, PIECE);
    _cleanup_free_ char *path = fixture_path(&f, "t/sparse");
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_blocks * 512 <= 8 << 20); // far more than the data: file systems have blocks of their own size
    fixture_done(&f);
}

// What a piece copies from a hole of its base are zeros, whatever the memory held that it is put together in.
static void test_zeros_among_pieces(void **state)
{
    enum { PIECE = 16 << 20, PIECES = 5 };
    struct fixture f;
    struct report report;
    char *noisy = fixture_noise(PIECES * PIECE, 5);
    (void)state;
    memset(noisy + (PIECES - 1) * PIECE + 8192, 0, PIECE - 8192);
    fixture_init(&f, false);
    fixture_dir(&f, "/", 0755);
    fixture_version(&f, "/pieces", noisy, PIECES * PIECE, 0);
    fixture_commit(&f);
    fixture_expect(&f, "t", &(struct run_options){ .jobs = 1 }, &report, 0);
    fixture_assert_content(&f, "t/pieces", noisy, PIECES * PIECE);
    free(noisy);
    fixture_done(&f);
}

// A second passes with each look at the clock, so that every count is printed.
static int hasty_clock(const struct io *io, clockid_t clock, struct timespec *ret_now)
{
    static _Atomic time_t now = 1000000000;
    (void)io, (void)clock;
    *ret_now = (struct timespec){ .tv_sec = ++now };
    return 0;
}

static uint64_t last_number(const char *text, const char *key)
{
    const char *found = NULL;
    for (const char *at = strstr(text, key); at != NULL; at = strstr(at + 1, key))
        found = at;
    assert_non_null(found);
    return strtoull(found + strlen(key), NULL, 10);
}

// Restores, and reads the progress that standard output gets meanwhile: at the end all is done.
static void expect_all_counted(struct fixture *f, const struct run_options *options)
{
    struct error err;
    struct report report;
    _cleanup_buf_ struct buf text = { 0 };
    _cleanup_free_ char *path = fixture_path(f, "progress");
    struct io io = *io_real();
    io.clock = hasty_clock;
    (void)fflush(stdout);
    int kept = dup(STDOUT_FILENO), fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(kept >= 0 && fd >= 0 && dup2(fd, STDOUT_FILENO) >= 0);
    int r = fixture_restore_io(f, &io, "t", options, &report, &err);
    (void)fflush(stdout);
    assert_true(dup2(kept, STDOUT_FILENO) >= 0 && close(kept) == 0 && close(fd) == 0);
    if (r != 0)
        fail_msg("restore ended with %d: %s", r, err.text);
    assert_int_equal(fs_read_file(io_real(), AT_FDCWD, path, 1 << 20, &text, &err), 0);
    assert_true(last_number(buf_str(&text), "\"bytes\":") == last_number(buf_str(&text), "\"bytes_total\":"));
}

// Holes that were not left out of the total are counted as they pass, and so is what stays in the target.
static void test_progress_comes_to_its_end(void **state)
{
    enum { PIECE = 16 << 20 };
    struct fixture f;
    _cleanup_free_ char *data = fixture_noise(5 * PIECE, 6), *target = NULL;
    (void)state;
    memset(data + 3 * PIECE, 0, 2 * PIECE);
    fixture_init(&f, false);
    fixture_dir(&f, "/", 0755);
    fixture_version(&f, "/sparse", data, 3 * PIECE, 2 * PIECE);
    fixture_commit(&f);
    expect_all_counted(&f, &(struct run_options){ .json = true });
    target = fixture_path(&f, "t/sparse");
    int fd = open(target, O_WRONLY);
    assert_true(fd >= 0 && pwrite(fd, "x", 1, PIECE + 5) == 1 && close(fd) == 0);
    expect_all_counted(&f, &(struct run_options){ .json = true, .overwrite = DECIDE_ALWAYS, .in_place_delta = true });
    fixture_assert_content(&f, "t/sparse", data, 5 * PIECE);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reserved_space),
        cmocka_unit_test(test_small_holes),
        cmocka_unit_test(test_zeros_among_pieces),
        cmocka_unit_test(test_progress_comes_to_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
