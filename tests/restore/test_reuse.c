// What the target has already: which part files are taken up again, and which of their pieces are believed.
#include "tests/codec/scratch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/base/crypto.h"
#include "restore/reuse.h"

enum { PIECE = 1 << 20, HALF = PIECE / 2 };

struct place_to_be {
    struct scratch scratch;
    struct timing timing;
    struct apply apply;
    struct target_dir dir;
    struct apply_file file;
    char *part; // path of the part file that an interrupted run would have left
};

static int setup(void **state)
{
    struct place_to_be *p = xcalloc(1, sizeof *p);
    p->scratch = scratch_new();
    timing_init(&p->timing, io_real());
    apply_init(&p->apply, io_real(), 1);
    p->apply.timing = &p->timing;
    p->apply.run = 7;
    p->apply.resume = true;
    p->dir.fd = open(p->scratch.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(p->dir.fd >= 0);
    p->file = (struct apply_file){ .dir = &p->dir, .name = (char *)"big", .size = PIECE, .sequence = 3, .fd = -1, .source_fd = -1 };
    struct apply_part part = apply_part_name(&p->apply, p->file.sequence);
    p->part = xasprintf("%s/%s", p->scratch.dir, part.name);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place_to_be *p = *state;
    if (p->file.fd >= 0)
        (void)close(p->file.fd);
    (void)close(p->dir.fd);
    apply_done(&p->apply);
    scratch_done(&p->scratch);
    free(p->part);
    free(p);
    return 0;
}

static void write_part(const struct place_to_be *p, const void *data, size_t n)
{
    scratch_write(&p->scratch, strrchr(p->part, '/') + 1, data, n);
}

static uint64_t size_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_size;
}

static void test_part_of_its_own(void **state)
{
    struct place_to_be *p = *state;
    assert_false(reuse_part(&p->apply, &p->file)); // there is none
    write_part(p, "begun", 5);
    assert_true(reuse_part(&p->apply, &p->file));
    assert_true(p->file.fd >= 0 && p->file.reused && p->file.multi);
    assert_int_equal(size_of(p->part), PIECE);
}

// Somebody gave it a second name: what is written into it would be in that file, too.
static void test_part_with_a_second_name(void **state)
{
    struct place_to_be *p = *state;
    _cleanup_free_ char *other = xasprintf("%s/other", p->scratch.dir);
    write_part(p, "begun", 5);
    assert_int_equal(link(p->part, other), 0);
    assert_false(reuse_part(&p->apply, &p->file));
    assert_int_equal(p->file.fd, -1);
    assert_false(p->file.reused);
    assert_int_equal(size_of(other), 5);
}

// A link leads to somebody's file, a FIFO would be waited for.
static void test_part_that_is_no_file(void **state)
{
    struct place_to_be *p = *state;
    _cleanup_free_ char *other = xasprintf("%s/other", p->scratch.dir);
    scratch_write(&p->scratch, "other", "begun", 5);
    assert_int_equal(symlink("other", p->part), 0);
    assert_false(reuse_part(&p->apply, &p->file));
    assert_int_equal(size_of(other), 5);
    assert_int_equal(unlink(p->part), 0);
    assert_int_equal(mkfifo(p->part, 0600), 0);
    assert_false(reuse_part(&p->apply, &p->file));
    assert_int_equal(p->file.fd, -1);
}

// A piece that is zeros from its middle on, of which only the first half is in the file: memory behind what was read may well be zeros.
static void test_piece_that_ends_early(void **state)
{
    struct place_to_be *p = *state;
    _cleanup_free_ char *data = xcalloc(1, PIECE);
    uint8_t sha256[32];
    memset(data, 'x', HALF);
    crypto_sha256(data, PIECE, sha256);
    write_part(p, data, HALF);
    p->file.fd = open(p->part, O_RDWR | O_CLOEXEC);
    assert_false(reuse_piece(&p->apply, &p->file, 0, PIECE, sha256));
    assert_int_equal(p->apply.kept_bytes, 0);
    assert_int_equal(ftruncate(p->file.fd, PIECE), 0);
    assert_true(reuse_piece(&p->apply, &p->file, 0, PIECE, sha256));
    assert_int_equal(p->apply.kept_bytes, PIECE);
    sha256[0] ^= 1;
    assert_false(reuse_piece(&p->apply, &p->file, 0, PIECE, sha256));
    assert_int_equal(p->apply.kept_bytes, PIECE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_part_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_part_with_a_second_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_part_that_is_no_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_piece_that_ends_early, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
