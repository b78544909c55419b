// What the last run knew, as one stream: manifest and facts side by side, the journal's entries over them, nothing where a cache is damaged.
#include "tests/codec/scratch.h"

#include <fcntl.h>

#include "bkd/engine/previous.h"

static const uint8_t key[SEALED_KEY_SIZE] = { 8 };

struct place_dir {
    struct scratch scratch;
    int dirfd;
    uint8_t sha256[32]; // of the manifest
    struct spill *overlay;
};

static int setup(void **state)
{
    struct place_dir *p = xcalloc(1, sizeof *p);
    p->scratch = scratch_new();
    p->dirfd = open(p->scratch.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    p->overlay = spill_new(io_real(), p->dirfd, previous_compare_records, 1 << 20);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place_dir *p = *state;
    spill_free(p->overlay);
    (void)close(p->dirfd);
    scratch_done(&p->scratch);
    free(p);
    return 0;
}

static char *line_of(const char *path, unsigned long long size)
{
    return xasprintf("%s f mode=0644 uid=0 gid=0 mtime=1.000000002 size=%llu sha256=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 "
                     "at=1:512+%llu source=0",
                     path, size, size);
}

static void put(struct sealed_writer *w, const void *data, size_t n)
{
    struct error err;
    scratch_ok(sealed_add(w, data, n, &err), &err);
}

// Paths in order; inode of entry i is 100 + i, every third is racy. facts: how many of them have a record.
static void write_caches(struct place_dir *p, const char *const *paths, size_t n, size_t facts)
{
    struct error err;
    struct sealed_writer manifest, stat;
    _cleanup_crypto_sha256_ struct crypto_sha256 hash;
    char manifest_name[PREVIOUS_NAME_SIZE], stat_name[PREVIOUS_NAME_SIZE];
    scratch_ok(sealed_begin(&manifest, io_real(), p->dirfd, "manifest", key, &err), &err);
    scratch_ok(sealed_begin(&stat, io_real(), p->dirfd, "stat", key, &err), &err);
    crypto_sha256_init(&hash);
    for (size_t i = 0; i < n; i++) {
        _cleanup_free_ char *line = line_of(paths[i], 9);
        _cleanup_free_ char *text = xasprintf("%s\n", line);
        put(&manifest, text, strlen(text));
        crypto_sha256_update(&hash, text, strlen(text));
        uint8_t record[PREVIOUS_STAT_SIZE];
        struct scan_stat s = { .inode = 100 + i, .ctime_s = -5, .ctime_ns = (uint32_t)i };
        previous_put_stat(record, &s, i % 3 == 2);
        if (i < facts)
            put(&stat, record, sizeof record);
    }
    crypto_sha256_final(&hash, p->sha256);
    previous_names(p->sha256, manifest_name, stat_name);
    scratch_ok(sealed_commit_as(&manifest, manifest_name, &err), &err);
    scratch_ok(sealed_commit_as(&stat, stat_name, &err), &err);
    sealed_abandon(&manifest);
    sealed_abandon(&stat);
}

static void overlay(struct place_dir *p, const char *path, uint64_t inode)
{
    struct error err;
    _cleanup_buf_ struct buf record = { 0 };
    _cleanup_free_ char *line = line_of(path, 3);
    struct scan_stat s = { .inode = inode };
    previous_record(&record, path, strlen(path), &s, false, line, strlen(line));
    scratch_ok(spill_add(p->overlay, record.data, record.len, &err), &err);
}

// The stream as "PATH INODE[!] " … (! = racy); each line is compared with its entry.
static char *stream(struct place_dir *p, const uint8_t *sha256)
{
    struct error err;
    struct buf text = { 0 };
    _cleanup_previous_ struct previous previous;
    scratch_ok(spill_sort(p->overlay, &err), &err);
    scratch_ok(previous_open(&previous, io_real(), p->dirfd, key, sha256, p->overlay, &err), &err);
    for (;;) {
        bool more = false;
        struct previous_entry e;
        scratch_ok(previous_next(&previous, &more, &e, &err), &err);
        if (!more)
            break;
        const char *path = buf_str(&e.entry->path);
        _cleanup_free_ char *line = line_of(path, e.entry->size);
        assert_int_equal(e.line_len, strlen(line));
        assert_memory_equal(e.line, line, e.line_len);
        buf_addf(&text, "%s %llu%s ", path, (unsigned long long)e.stat.inode, e.racy ? "!" : "");
        if (e.stat.inode >= 100 && e.stat.inode < 200) {
            assert_int_equal(e.stat.ctime_s, -5);
            assert_int_equal(e.stat.ctime_ns, e.stat.inode - 100);
        }
    }
    bool more = true;
    scratch_ok(previous_next(&previous, &more, &(struct previous_entry){ 0 }, &err), &err);
    assert_false(more);
    buf_add_str(&text, "");
    return buf_take_str(&text);
}

static void expect(struct place_dir *p, const uint8_t *sha256, const char *text)
{
    _cleanup_free_ char *got = stream(p, sha256);
    assert_string_equal(got == NULL ? "" : got, text);
}

static const char *const paths[] = { "/a", "/a/b", "/a/b/c", "/a-b", "/ab" };

static void test_nothing(void **state)
{
    struct place_dir *p = *state;
    static const uint8_t sha256[32] = { 1 };
    expect(p, NULL, "");
    expect(p, sha256, "");
}

static void test_manifest_and_facts(void **state)
{
    struct place_dir *p = *state;
    write_caches(p, paths, 5, 5);
    expect(p, p->sha256, "/a 100 /a/b 101 /a/b/c 102! /a-b 103 /ab 104 ");
    expect(p, NULL, "");
}

static void test_overlay_wins(void **state)
{
    struct place_dir *p = *state;
    write_caches(p, paths, 5, 5);
    overlay(p, "/zz", 9);
    overlay(p, "/a/b", 5);
    overlay(p, "/", 3);
    overlay(p, "/a/b", 6); // of a later cut-off run: the first stands
    overlay(p, "/a/b/b", 7);
    overlay(p, "/ab", 8);
    expect(p, p->sha256, "/ 3 /a 100 /a/b 5 /a/b/b 7 /a/b/c 102! /a-b 103 /ab 8 /zz 9 ");
    expect(p, NULL, "/ 3 /a/b 5 /a/b/b 7 /ab 8 /zz 9 ");
}

// Without facts, or with too few, entries are there but not to be trusted.
static void test_facts_missing(void **state)
{
    struct place_dir *p = *state;
    write_caches(p, paths, 5, 2);
    expect(p, p->sha256, "/a 100 /a/b 101 /a/b/c 0! /a-b 0! /ab 0! ");
    scratch_run("rm '%s'/stat-*", p->scratch.dir);
    expect(p, p->sha256, "/a 0! /a/b 0! /a/b/c 0! /a-b 0! /ab 0! ");
}

static void flip_each_byte(struct place_dir *p, const char *name, const char *expected)
{
    int fd = openat(p->dirfd, name, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    uint8_t byte;
    for (off_t at = 0; pread(fd, &byte, 1, at) == 1; at++) {
        uint8_t bad = byte ^ (uint8_t)(1 << at % 8);
        assert_int_equal(pwrite(fd, &bad, 1, at), 1);
        expect(p, p->sha256, expected);
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    assert_int_equal(close(fd), 0);
}

static void test_damage_is_emptiness(void **state)
{
    struct place_dir *p = *state;
    char manifest[PREVIOUS_NAME_SIZE], stat[PREVIOUS_NAME_SIZE];
    write_caches(p, paths, 2, 2);
    previous_names(p->sha256, manifest, stat);
    flip_each_byte(p, manifest, "");
    flip_each_byte(p, stat, "/a 0! /a/b 0! ");
    expect(p, p->sha256, "/a 100 /a/b 101 ");
    // A good manifest under the name of another one is not that one.
    uint8_t other[32];
    memcpy(other, p->sha256, 32);
    other[31] ^= 1; // the name is the same
    expect(p, other, "");
    // The files' roles are not exchangeable.
    scratch_run("cd '%s' && cp %s %s", p->scratch.dir, manifest, stat);
    expect(p, p->sha256, "/a 0! /a/b 0! ");
}

// More than one window of facts and of manifest.
static void test_many(void **state)
{
    struct place_dir *p = *state;
    enum { N = 20000 };
    const char **many = xcalloc(N, sizeof *many);
    for (unsigned i = 0; i < N; i++)
        many[i] = xasprintf("/%06u", i);
    write_caches(p, many, N, N);
    struct error err;
    _cleanup_previous_ struct previous previous;
    scratch_ok(previous_open(&previous, io_real(), p->dirfd, key, p->sha256, NULL, &err), &err);
    for (unsigned i = 0;; i++) {
        bool more;
        struct previous_entry e;
        scratch_ok(previous_next(&previous, &more, &e, &err), &err);
        if (!more) {
            assert_int_equal(i, N);
            break;
        }
        assert_string_equal(buf_str(&e.entry->path), many[i]);
        assert_int_equal(e.stat.inode, 100 + i);
        assert_int_equal(e.racy, i % 3 == 2);
    }
    for (unsigned i = 0; i < N; i++)
        free((char *)many[i]);
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_manifest_and_facts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_overlay_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(test_facts_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage_is_emptiness, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
