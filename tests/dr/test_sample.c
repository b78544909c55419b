// Draws from a made-up manifest: uniform, with the newest, the largest and the canaries besides.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bkd/dr/sample.h"

enum { FILES = 50 };

// Directories /d and files /d/f00 … with sizes that rise and times that fall; f00 is the newest, the last one the largest.
static int make_manifest(int files, uint64_t *ret_size)
{
    _cleanup_buf_ struct buf text = { 0 };
    _cleanup_manifest_entry_ struct manifest_entry e = { 0 };
    manifest_entry_reset(&e);
    e.type = MANIFEST_DIR;
    buf_add_str(&e.path, "/d");
    manifest_format(&text, &e);
    for (int i = 0; i < files; i++) {
        manifest_entry_reset(&e);
        e.type = MANIFEST_FILE;
        buf_addf(&e.path, "/d/f%02d", i);
        e.size = (uint64_t)i;
        e.mtime_s = 1000 - i;
        e.has_sha256 = true;
        manifest_format(&text, &e);
    }
    int fd = memfd_create("manifest", MFD_CLOEXEC);
    assert_int_equal(write(fd, text.data, text.len), text.len);
    *ret_size = text.len;
    return fd;
}

static int draw_within(int files, uint64_t wanted, uint64_t max_bytes, const struct policy_list *canaries, struct sample *ret_sample, struct error *err)
{
    struct manifest_reader reader;
    uint64_t size;
    int fd = make_manifest(files, &size);
    manifest_reader_init(&reader, io_real(), fd, "manifest", 0, size);
    int r = sample_draw(io_real(), &reader, wanted, max_bytes, canaries, ret_sample, err);
    manifest_reader_done(&reader);
    (void)close(fd);
    return r;
}

static int draw_of(int files, uint64_t wanted, const struct policy_list *canaries, struct sample *ret_sample, struct error *err)
{
    return draw_within(files, wanted, 0, canaries, ret_sample, err);
}

static int draw(uint64_t wanted, const struct policy_list *canaries, struct sample *ret_sample, struct error *err) { return draw_of(FILES, wanted, canaries, ret_sample, err); }

static bool has(const struct sample *s, const char *path)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->paths[i], path) == 0)
            return true;
    return false;
}

static void test_uniform(void **state)
{
    enum { TRIALS = 3000, WANTED = 10 };
    const struct policy_list none = { 0 };
    unsigned times[FILES] = { 0 };
    struct error err;
    (void)state;
    for (int t = 0; t < TRIALS; t++) {
        _cleanup_sample_ struct sample s = { 0 };
        assert_int_equal(draw(WANTED, &none, &s, &err), 0);
        assert_int_equal(s.drawn, WANTED);
        assert_int_equal(s.files, FILES);
        assert_true(has(&s, "/d/f00") && has(&s, "/d/f49")); // the newest and the largest, always
        for (int i = 1; i < FILES - 1; i++) {
            char path[16];
            (void)snprintf(path, sizeof path, "/d/f%02d", i);
            times[i] += has(&s, path);
        }
    }
    for (int i = 1; i < FILES - 1; i++) // 600 of 3,000 each; the standard deviation is 22
        assert_in_range(times[i], 480, 720);
}

// Of few files an error by one shows most: two of four are drawn, each with the same chance.
static void test_uniform_of_four(void **state)
{
    enum { TRIALS = 3000 };
    const struct policy_list none = { 0 };
    unsigned second = 0, third = 0;
    struct error err;
    (void)state;
    for (int t = 0; t < TRIALS; t++) {
        _cleanup_sample_ struct sample s = { 0 };
        assert_int_equal(draw_of(4, 2, &none, &s, &err), 0);
        second += has(&s, "/d/f01");
        third += has(&s, "/d/f02");
    }
    assert_in_range(second, 1300, 1700); // the standard deviation is 27
    assert_in_range(third, 1300, 1700);
}

// Half of the files are too big to be restored. Were all of these damaged, five good draws would be one time in 32: claims that take more would be wrong as seldom.
static void test_limit_claims_no_more(void **state)
{
    enum { TRIALS = 3000 };
    const struct policy_list none = { 0 };
    unsigned five = 0, some = 0;
    struct error err;
    (void)state;
    for (int t = 0; t < TRIALS; t++) {
        _cleanup_sample_ struct sample s = { 0 };
        assert_int_equal(draw_within(FILES, FILES, FILES / 2 - 1, &none, &s, &err), 0);
        five += s.drawn >= 5;
        some += s.drawn >= 1;
        assert_true(s.drawn <= s.n);
    }
    assert_true(five <= TRIALS / 25);
    assert_in_range(some, 1350, 1650); // the first one fits every other time; the standard deviation is 27
}

static void test_all_when_there_are_few(void **state)
{
    _cleanup_sample_ struct sample s = { 0 };
    const struct policy_list none = { 0 };
    struct error err;
    (void)state;
    assert_int_equal(draw(500, &none, &s, &err), 0);
    assert_int_equal(s.drawn, FILES);
    assert_int_equal(s.n, FILES); // without doubles
}

static void test_canaries(void **state)
{
    char *there[] = { "/d/f33", NULL }, *gone[] = { "/d/f99", NULL };
    const struct policy_list is_there = { .items = there, .count = 1 }, is_gone = { .items = gone, .count = 1 };
    _cleanup_sample_ struct sample s = { 0 };
    struct error err;
    (void)state;
    assert_int_equal(draw(1, &is_there, &s, &err), 0);
    assert_true(has(&s, "/d/f33"));
    sample_done(&s);
    assert_int_equal(draw(1, &is_gone, &s, &err), ERROR_NOT_FOUND);
    assert_non_null(strstr(err.text, "/d/f99"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uniform),
        cmocka_unit_test(test_uniform_of_four),
        cmocka_unit_test(test_limit_claims_no_more),
        cmocka_unit_test(test_all_when_there_are_few),
        cmocka_unit_test(test_canaries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
