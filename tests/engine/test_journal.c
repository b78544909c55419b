// The journal: valid up to the last commit record whose object is there, whatever happened to the rest.
#include "tests/codec/scratch.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"
#include "bkd/engine/journal.h"

static const uint8_t key[SEALED_KEY_SIZE] = { 4, 4 };

struct place_dir {
    struct scratch scratch;
    int dirfd;
    // What a replay told.
    uint32_t objects, missing; // objects seen; number of one that is not in the store
    uint32_t pieces;
    struct buf paths; // of entries, in order of path, each with LF
};

static int setup(void **state)
{
    struct place_dir *p = xcalloc(1, sizeof *p);
    p->scratch = scratch_new();
    p->dirfd = open(p->scratch.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place_dir *p = *state;
    (void)close(p->dirfd);
    scratch_done(&p->scratch);
    buf_done(&p->paths);
    free(p);
    return 0;
}

static bool object_seen(void *arg, const struct format_ref *object)
{
    struct place_dir *p = arg;
    uint32_t number = object->object;
    if (number == p->missing)
        return false;
    assert_int_equal(number, ++p->objects);
    assert_int_equal(object->sha256[0], number);
    assert_int_equal(object->opening_size, 216);
    assert_int_equal(object->stored_size, UINT64_C(6000000000) + number);
    return true;
}

static int piece_seen(void *arg, const uint8_t sha256[32], const struct place *place, struct error *err)
{
    struct place_dir *p = arg;
    (void)err;
    p->pieces++;
    assert_int_equal(sha256[31], 7);
    assert_int_equal(place->offset, place->object * UINT64_C(10000000000));
    assert_int_equal(place->length, 5);
    assert_true(place->object <= p->objects); // never ahead of what is vouched for
    return 0;
}

// Opens and replays; collects what was told.
static struct journal *open_journal(struct place_dir *p, const uint8_t *with)
{
    struct error err;
    struct journal *j = NULL;
    _cleanup_spill_ struct spill *entries = spill_new(io_real(), p->dirfd, previous_compare_records, 1 << 20);
    struct journal_replay replay = { object_seen, piece_seen, p, entries };
    p->objects = p->pieces = 0;
    buf_reset(&p->paths);
    scratch_ok(journal_open(io_real(), p->dirfd, with, &replay, &j, &err), &err);
    scratch_ok(spill_sort(entries, &err), &err);
    const void *record;
    size_t n;
    for (;;) {
        scratch_ok(spill_next(entries, &record, &n, &err), &err);
        if (record == NULL)
            return j;
        buf_add(&p->paths, (const uint8_t *)record + 4, get_u32le(record));
        buf_add_char(&p->paths, '\n');
    }
}

static void add_entry(struct journal *j, const char *path, size_t line_len)
{
    struct error err;
    struct manifest_entry e = { 0 };
    struct scan_stat stat = { .inode = 5, .ctime_s = 6, .ctime_ns = 7 };
    _cleanup_free_ char *line = xmalloc(line_len + 1);
    memset(line, 'x', line_len);
    buf_add_str(&e.path, path);
    scratch_ok(journal_add_entry(j, &e, &stat, false, line, line_len, &err), &err);
    manifest_entry_done(&e);
}

static void add_piece(struct journal *j, uint32_t object)
{
    struct error err;
    uint8_t sha256[32] = { [31] = 7 };
    scratch_ok(journal_add_piece(j, sha256, &(struct place){ object, object * UINT64_C(10000000000), 5 }, &err), &err);
}

static void commit(struct journal *j, uint32_t number)
{
    struct error err;
    struct format_ref object = { .object = number, .sha256 = { (uint8_t)number }, .stored_size = UINT64_C(6000000000) + number, .opening_size = 216 };
    scratch_ok(journal_commit_object(j, &object, &err), &err);
}

static void expect(struct place_dir *p, const uint8_t *with, uint32_t objects, uint32_t pieces, const char *paths)
{
    journal_close(open_journal(p, with));
    assert_int_equal(p->objects, objects);
    assert_int_equal(p->pieces, pieces);
    assert_string_equal(buf_str(&p->paths), paths);
}

static void write_three(struct place_dir *p)
{
    struct journal *j = open_journal(p, key);
    add_entry(j, "/a", 20);
    add_piece(j, 1);
    commit(j, 1);
    add_entry(j, "/b", 30);
    commit(j, 2);
    commit(j, 3); // an object of only pieces that are not journaled
    add_entry(j, "/c", 40);
    add_piece(j, 4);
    journal_close(j); // object 4 was not finished
}

static void test_replay(void **state)
{
    struct place_dir *p = *state;
    expect(p, key, 0, 0, "");
    write_three(p);
    expect(p, key, 3, 1, "/a\n/b\n");
    expect(p, key, 3, 1, "/a\n/b\n"); // replaying changes nothing
    struct journal *j = open_journal(p, key); // going on behind it
    add_entry(j, "/d", 10);
    commit(j, 4);
    journal_close(j);
    expect(p, key, 4, 1, "/a\n/b\n/d\n");
    j = open_journal(p, key);
    journal_remove(j);
    journal_close(j);
    expect(p, key, 0, 0, "");
}

static void test_other_key(void **state)
{
    struct place_dir *p = *state;
    uint8_t other[SEALED_KEY_SIZE] = { 4, 5 };
    write_three(p);
    expect(p, other, 0, 0, "");
    expect(p, key, 0, 0, ""); // it was begun anew
}

// An object the store does not have ends the replay there, also when later ones are there.
static void test_object_missing(void **state)
{
    struct place_dir *p = *state;
    write_three(p);
    p->missing = 2;
    journal_close(open_journal(p, key));
    assert_int_equal(p->objects, 1);
    assert_string_equal(buf_str(&p->paths), "/a\n");
    p->missing = 0;
    expect(p, key, 1, 1, "/a\n"); // what was cut off does not come back
}

static void *read_journal(const struct place_dir *p, size_t *ret_n)
{
    struct buf data = { 0 };
    scratch_read(&p->scratch, "journal", &data);
    *ret_n = data.len;
    return data.data;
}

// What a journal of this content tells: between two commit records, always the state of the one before.
static void expect_prefix(struct place_dir *p)
{
    static const char *const paths[] = { "", "/a\n", "/a\n/b\n", "/a\n/b\n" };
    journal_close(open_journal(p, key));
    assert_in_range(p->objects, 0, 3);
    assert_string_equal(buf_str(&p->paths), paths[p->objects]);
    assert_int_equal(p->pieces, p->objects > 0 ? 1 : 0);
}

static void test_torn_at_every_byte(void **state)
{
    struct place_dir *p = *state;
    size_t n;
    uint32_t last = 0;
    write_three(p);
    _cleanup_free_ char *whole = read_journal(p, &n);
    for (size_t i = 0; i <= n; i++) {
        scratch_write(&p->scratch, "journal", whole, i);
        expect_prefix(p);
        assert_true(p->objects >= last);
        last = p->objects;
    }
    assert_int_equal(last, 3);
    for (size_t i = 0; i < n; i += 3) { // the tail as zeros, as some file systems leave it
        _cleanup_free_ char *zeros = (char *)xcalloc(1, n);
        memcpy(zeros, whole, i);
        scratch_write(&p->scratch, "journal", zeros, n);
        expect_prefix(p);
    }
}

static void test_flipped_at_every_byte(void **state)
{
    struct place_dir *p = *state;
    size_t n;
    write_three(p);
    _cleanup_free_ char *whole = read_journal(p, &n);
    for (size_t i = 0; i < n; i++) {
        whole[i] ^= (char)(1 << i % 8);
        scratch_write(&p->scratch, "journal", whole, n);
        expect_prefix(p);
        whole[i] ^= (char)(1 << i % 8);
        // And going on behind a damaged one is sound.
        struct journal *j = open_journal(p, key);
        uint32_t objects = p->objects;
        add_entry(j, "/z", 3);
        commit(j, objects + 1);
        journal_close(j);
        journal_close(open_journal(p, key));
        assert_int_equal(p->objects, objects + 1);
        assert_non_null(strstr(buf_str(&p->paths), "/z\n"));
    }
}

// Two records exchanged, or one repeated, are not the journal that was written.
static void test_order_counts(void **state)
{
    struct place_dir *p = *state;
    struct journal *j = open_journal(p, key);
    add_entry(j, "/a", 20);
    add_entry(j, "/b", 20);
    commit(j, 1);
    commit(j, 2);
    journal_close(j);
    size_t n;
    _cleanup_free_ char *whole = read_journal(p, &n);
    size_t entry = 5 + 4 + 2 + PREVIOUS_STAT_SIZE + 20, object = (n - 2 * entry) / 2;
    _cleanup_buf_ struct buf other = { 0 };
    buf_add(&other, whole + entry, entry);
    buf_add(&other, whole, entry);
    buf_add(&other, whole + 2 * entry, 2 * object);
    scratch_write(&p->scratch, "journal", other.data, other.len);
    expect(p, key, 0, 0, "");
    buf_reset(&other);
    buf_add(&other, whole, 2 * entry + object);
    buf_add(&other, whole + 2 * entry, object); // object 1 again, without 2
    scratch_write(&p->scratch, "journal", other.data, other.len);
    expect(p, key, 1, 0, "/a\n/b\n");
    scratch_write(&p->scratch, "journal", whole + 2 * entry + object, object); // the second commit alone
    expect(p, key, 0, 0, "");
}

// Larger than all windows.
static void test_large(void **state)
{
    struct place_dir *p = *state;
    enum { N = 30000 };
    struct journal *j = open_journal(p, key);
    char path[32];
    for (uint32_t i = 0; i < N; i++) {
        (void)snprintf(path, sizeof path, "/%05u", i);
        add_entry(j, path, i % 100 == 99 ? 100000 : 50);
        if (i % 5000 == 4999)
            commit(j, i / 5000 + 1);
    }
    add_entry(j, "/x", 50);
    journal_close(j);
    journal_close(open_journal(p, key));
    assert_int_equal(p->objects, N / 5000);
    assert_int_equal(p->paths.len, N * 7);
    for (uint32_t i = 0; i < N; i++) {
        (void)snprintf(path, sizeof path, "/%05u\n", i);
        assert_memory_equal(p->paths.data + i * 7, path, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_replay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_object_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torn_at_every_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flipped_at_every_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
