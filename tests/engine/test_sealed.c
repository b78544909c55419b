// Sealed files prove themselves: any byte flipped, any length but the right one, another name, role or key is told from a good file.
#include "tests/codec/scratch.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "bkd/engine/sealed.h"

static const uint8_t key[SEALED_KEY_SIZE] = { 1, 2, 3 };

struct place {
    struct scratch scratch;
    int dirfd;
};

static int setup(void **state)
{
    struct place *p = xcalloc(1, sizeof *p);
    p->scratch = scratch_new();
    p->dirfd = open(p->scratch.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    (void)close(p->dirfd);
    scratch_done(&p->scratch);
    free(p);
    return 0;
}

static int open_code(const struct place *p, const char *role, const char *name, const uint8_t *with)
{
    struct error err;
    int fd = -7;
    uint64_t size = 77;
    int r = sealed_open_as(io_real(), p->dirfd, role, name, with, &fd, &size, NULL, &err);
    if (r == 0)
        assert_int_equal(close(fd), 0);
    else
        assert_true(fd == -7 && size == 77); // untouched
    return r;
}

static void test_round_trip(void **state)
{
    struct place *p = *state;
    struct error err;
    uint64_t seed = 3;
    uint8_t expected[32], sha256[32];
    _cleanup_free_ char *data = xmalloc(1000008);
    scratch_fill(&seed, (uint8_t *)data, 1000000);
    const size_t sizes[] = { 0, 1, 31, 32, 33, 262143, 262144, 262145, 1000000 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int fd = -1;
        uint64_t size = 0;
        _cleanup_buf_ struct buf back = { 0 };
        scratch_ok(sealed_write(io_real(), p->dirfd, "f", key, data, sizes[i], &err), &err);
        scratch_ok(sealed_open(io_real(), p->dirfd, "f", key, &fd, &size, sha256, &err), &err);
        assert_int_equal(close(fd), 0);
        assert_int_equal(size, sizes[i]);
        crypto_sha256(data, sizes[i], expected);
        assert_memory_equal(sha256, expected, 32);
        scratch_ok(sealed_read(io_real(), p->dirfd, "f", key, sizes[i], &back, &err), &err);
        assert_int_equal(back.len, sizes[i]);
        assert_true(sizes[i] == 0 || memcmp(back.data, data, sizes[i]) == 0);
        if (sizes[i] > 0)
            assert_int_equal(sealed_read(io_real(), p->dirfd, "f", key, sizes[i] - 1, &back, &err), ERROR_INTEGRITY);
        assert_int_equal(back.len, sizes[i]); // what is refused adds nothing
    }
    assert_int_equal(open_code(p, "none", "none", key), ERROR_NOT_FOUND);
}

static void test_each_byte_flipped(void **state)
{
    struct place *p = *state;
    struct error err;
    char text[200];
    memset(text, 'x', sizeof text);
    scratch_ok(sealed_write(io_real(), p->dirfd, "f", key, text, sizeof text, &err), &err);
    int fd = openat(p->dirfd, "f", O_RDWR | O_CLOEXEC);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, sizeof text + SEALED_TRAILER);
    assert_int_equal(st.st_mode & 07777, 0600);
    for (off_t at = 0; at < st.st_size; at++) {
        uint8_t good, bad;
        assert_int_equal(pread(fd, &good, 1, at), 1);
        bad = good ^ (uint8_t)(1 << at % 8);
        assert_int_equal(pwrite(fd, &bad, 1, at), 1);
        assert_int_equal(open_code(p, "f", "f", key), ERROR_INTEGRITY);
        assert_int_equal(pwrite(fd, &good, 1, at), 1);
    }
    assert_int_equal(open_code(p, "f", "f", key), 0);
    assert_int_equal(pwrite(fd, "x", 1, st.st_size), 1); // one byte more
    assert_int_equal(open_code(p, "f", "f", key), ERROR_INTEGRITY);
    for (off_t size = st.st_size - 1; size >= 0; size--) {
        assert_int_equal(ftruncate(fd, size), 0);
        assert_int_equal(open_code(p, "f", "f", key), ERROR_INTEGRITY);
    }
    assert_int_equal(close(fd), 0);
}

static void test_name_role_key(void **state)
{
    struct place *p = *state;
    struct error err;
    uint8_t other[SEALED_KEY_SIZE] = { 1, 2, 4 };
    scratch_ok(sealed_write(io_real(), p->dirfd, "f", key, "text", 4, &err), &err);
    assert_int_equal(open_code(p, "f", "f", other), ERROR_INTEGRITY);
    scratch_run("cd '%s' && cp f g", p->scratch.dir);
    assert_int_equal(open_code(p, "g", "g", key), ERROR_INTEGRITY);
    assert_int_equal(open_code(p, "f", "g", key), 0); // the role is what counts where names change
    struct sealed_writer w;
    scratch_ok(sealed_begin(&w, io_real(), p->dirfd, "role", key, &err), &err);
    scratch_ok(sealed_add(&w, "ab", 2, &err), &err);
    scratch_ok(sealed_commit_as(&w, "h", &err), &err);
    sealed_abandon(&w);
    assert_int_equal(open_code(p, "role", "h", key), 0);
    assert_int_equal(open_code(p, "h", "h", key), ERROR_INTEGRITY);
    scratch_run("cd '%s' && test ! -e role -a ! -e role.new && ln -sf h link", p->scratch.dir);
    assert_int_equal(open_code(p, "role", "link", key), ERROR_FAILED); // a link is nothing of ours
}

// The role and the content cannot be confused where they meet.
static void test_role_is_not_content(void **state)
{
    struct place *p = *state;
    struct error err;
    scratch_ok(sealed_write(io_real(), p->dirfd, "ab", key, "c", 1, &err), &err);
    scratch_ok(sealed_write(io_real(), p->dirfd, "a", key, "bc", 2, &err), &err);
    assert_int_equal(open_code(p, "ab", "a", key), ERROR_INTEGRITY);
    assert_int_equal(open_code(p, "a", "ab", key), ERROR_INTEGRITY);
}

static void test_writing(void **state)
{
    struct place *p = *state;
    struct error err;
    struct sealed_writer w;
    scratch_ok(sealed_write(io_real(), p->dirfd, "f", key, "old", 3, &err), &err);
    scratch_ok(sealed_begin(&w, io_real(), p->dirfd, "f", key, &err), &err);
    scratch_ok(sealed_add(&w, "new", 3, &err), &err);
    scratch_ok(sealed_flush(&w, &err), &err);
    char text[10] = "";
    assert_int_equal(pread(w.fd, text, 10, 0), 3); // can be read while it is written
    assert_string_equal(text, "new");
    sealed_abandon(&w);
    sealed_abandon(&w);
    assert_int_equal(open_code(p, "f", "f", key), 0); // the old one
    scratch_run("cd '%s' && test \"$(ls)\" = f && test $(stat -c %%s f) = 35 && echo left >f.new", p->scratch.dir);
    scratch_ok(sealed_write(io_real(), p->dirfd, "f", key, "newer", 5, &err), &err); // over the leftover of a run that died
    scratch_run("cd '%s' && test \"$(ls)\" = f && test $(stat -c %%s f) = 37", p->scratch.dir);
    assert_int_equal(open_code(p, "f", "f", key), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_byte_flipped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_name_role_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_role_is_not_content, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
