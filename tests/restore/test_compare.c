// What comes out of the repository is compared with what was signed, also where it decodes without a complaint.
#include "tests/restore/fixture.h"

#include <unistd.h>

#include "bkd/base/crypto.h"
#include "restore/compare.h"
#include "restore/content.h"

enum { PIECES = 4, LENGTH = 1000 };

// Pieces of noise but the third, which is zeros.
static void make_file(uint8_t data[PIECES * LENGTH], uint8_t ret_sha256[32])
{
    for (size_t i = 0; i < PIECES * LENGTH; i++)
        data[i] = i / LENGTH == 2 ? 0 : (uint8_t)(i * 31 + i / 7);
    crypto_sha256(data, PIECES * LENGTH, ret_sha256);
}

static void test_bytes(void **state)
{
    struct timing timing;
    uint8_t sha256[32];
    (void)state;
    timing_init(&timing, io_real());
    crypto_sha256("right", 5, sha256);
    assert_true(compare_bytes(&timing, "right", 5, sha256));
    assert_false(compare_bytes(&timing, "wrong", 5, sha256));
    assert_false(compare_bytes(&timing, "right", 4, sha256));
    sha256[31] ^= 1;
    assert_false(compare_bytes(&timing, "right", 5, sha256));
}

// Side by side, each is judged alone; of different lengths too.
static void test_each(void **state)
{
    struct timing timing;
    uint8_t first[32], second[32];
    static const char data[] = "one piece, and then a second one that is longer than a single block of the hash, which has sixty-four bytes";
    (void)state;
    timing_init(&timing, io_real());
    crypto_sha256(data, 9, first);
    crypto_sha256(data + 9, sizeof data - 9, second);
    for (int wrong = 0; wrong < 4; wrong++) {
        struct compare_item a = { data, wrong & 1 ? 8 : 9, first, false }, b = { data + 9, sizeof data - 9 - (wrong & 2), second, false };
        struct compare_item items[] = { a, b, b, a, a };
        for (size_t n = 0; n <= 5; n++) {
            compare_each(&timing, items, n);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(items[i].equal, items[i].sha256 == first ? (wrong & 1) == 0 : (wrong & 2) == 0);
        }
    }
}

// In every order of the pieces; without one of them, or with another's bytes, it is not equal.
static void test_whole(void **state)
{
    struct timing timing;
    uint8_t data[PIECES * LENGTH], sha256[32];
    (void)state;
    timing_init(&timing, io_real());
    make_file(data, sha256);
    for (uint32_t first = 0; first < PIECES; first++)
        for (int way = 0; way < 3; way++) {
            struct compare_whole *w = compare_whole_new(&timing, PIECES);
            for (uint32_t i = way == 1; i < PIECES; i++) {
                uint32_t index = (first + i) % PIECES, from = way == 2 && i == 0 ? (index + 1) % PIECES : index;
                compare_whole_piece(w, index, from == 2 ? NULL : data + from * LENGTH, LENGTH);
            }
            compare_whole_settle(w);
            assert_int_equal(compare_whole_equal(w, sha256), way == 0);
            compare_whole_free(w);
        }
}

// Two files, of which one's stored bytes are not those of its line.
static void fill(struct fixture *f, struct place *ret_place)
{
    _cleanup_buf_ struct buf at = { 0 };
    fixture_init(f, true);
    fixture_dir(f, "/", 0755);
    fixture_file(f, "/a", 0644, "right", 5);
    *ret_place = fixture_member(f, "whole", "WRONG", 5);
    place_format(&at, ret_place);
    fixture_line(f, "/b f mode=0644 uid=%u gid=%u mtime=1.000000000 size=5 sha256=%064d at=%s", (unsigned)geteuid(), (unsigned)getegid(), 1, buf_str(&at));
    fixture_commit(f);
}

static void test_restore(void **state)
{
    struct fixture f;
    struct place place;
    struct report report;
    struct error err;
    (void)state;
    fill(&f, &place);
    assert_int_equal(fixture_restore(&f, "t", NULL, &report, &err), ERROR_INTEGRITY);
    assert_non_null(strstr(err.text, "/b"));
    assert_non_null(strstr(err.text, "recorded SHA-256"));
    assert_false(fixture_exists(&f, "t/b"));
    assert_int_equal(fixture_restore(&f, "k", &(struct run_options){ .keep_going = true }, &report, &err), ERROR_INTEGRITY);
    assert_int_equal(report.count[REPORT_LOST], 1);
    fixture_assert_content(&f, "k/a", "right", 5);
    assert_false(fixture_exists(&f, "k/b"));
    fixture_done(&f);
}

// Small files of one frame are judged together, each by its own hash: more than fit into one round, and every seventh is not what the manifest says.
static void test_many_in_a_frame(void **state)
{
    enum { MANY = 2 * COMPARE_EACH_MAX + 22 };
    struct fixture f;
    struct report report;
    struct error err;
    char path[32], content[32];
    (void)state;
    fixture_init(&f, true);
    fixture_dir(&f, "/", 0755);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(path, sizeof path, "/%03d", i);
        int n = snprintf(content, sizeof content, "this is file %d", i);
        if (i % 7 != 0) {
            fixture_file(&f, path, 0644, content, (size_t)n);
            continue;
        }
        _cleanup_buf_ struct buf at = { 0 };
        struct place place = fixture_member(&f, "whole", content, (size_t)n);
        place_format(&at, &place);
        fixture_line(&f, "%s f mode=0644 uid=%u gid=%u mtime=1.000000000 size=%d sha256=%064d at=%s", path, (unsigned)geteuid(), (unsigned)getegid(), n, 1,
                     buf_str(&at));
    }
    fixture_commit(&f);
    assert_int_equal(fixture_restore(&f, "t", &(struct run_options){ .keep_going = true }, &report, &err), ERROR_INTEGRITY);
    assert_int_equal(report.count[REPORT_LOST], (MANY + 6) / 7);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(path, sizeof path, "t/%03d", i);
        int n = snprintf(content, sizeof content, "this is file %d", i);
        if (i % 7 == 0)
            assert_false(fixture_exists(&f, path));
        else
            fixture_assert_content(&f, path, content, (size_t)n);
    }
    fixture_done(&f);
}

// As dump reads.
static void test_piece(void **state)
{
    struct fixture f;
    struct snapshot snapshot = { 0 };
    struct recipe_piece piece = { .kind = RECIPE_WHOLE, .length = 5 };
    const struct repository_head *head;
    struct error err;
    char data[5];
    (void)state;
    fill(&f, &piece.member);
    _cleanup_repository_ struct repository *repository = fixture_open(&f);
    assert_int_equal(repository_find(repository, NULL, "latest", &head, &err), 0);
    assert_int_equal(snapshot_open(repository, head, &f.identity, 1, &snapshot, &err), 0);
    crypto_sha256("WRONG", 5, piece.sha256);
    assert_int_equal(content_piece(&snapshot, &piece, data, &err), 0);
    assert_memory_equal(data, "WRONG", 5);
    crypto_sha256("right", 5, piece.sha256);
    assert_int_equal(content_piece(&snapshot, &piece, data, &err), ERROR_INTEGRITY);
    snapshot_done(&snapshot);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_restore),
        cmocka_unit_test(test_many_in_a_frame),
        cmocka_unit_test(test_piece),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
