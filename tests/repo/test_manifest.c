// Manifest lines: golden lines, what is refused, a round trip over random entries with every byte in names, order, the reader.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "bkd/repo/manifest.h"

#define SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const char *const golden[] = {
    "/ d mode=0755 uid=0 gid=0 user=root group=root mtime=1700000000.000000000",
    "/srv d mode=2775 uid=1000 gid=50 mtime=-1.999999999 flags=800 xattr=3:512+77 note=mount source=0",
    "/srv/a%20b%25%0A%7F f mode=4755 uid=0 gid=4294967295 user=root mtime=1700000000.123456789 size=12 hardlink=803.1f sha256=" SHA
    " at=1:512+12 source=1",
    "/srv/empty f mode=0000 uid=0 gid=0 mtime=0.000000000 size=0 sha256=" SHA " source=0",
    "/srv/holes f mode=0600 uid=0 gid=0 mtime=9223372036.000000001 size=5000000000 version=2147483647:1099511627000+700 note=unstable,preallocated source=0",
    "/srv/link l mode=0777 uid=0 gid=0 mtime=1.000000000 target=..%20/x=y source=0",
    "/srv/null c mode=0666 uid=0 gid=0 mtime=1.000000000 device=1,3 source=0",
    "/srv/pipe p mode=0666 uid=0 gid=0 mtime=1.000000000 source=4294967294",
    "/srv/sda b mode=0660 uid=0 gid=6 group=disk mtime=1.000000000 device=8,4294967295",
    "/srv/sock s mode=0666 uid=0 gid=0 mtime=1.000000000",
    "stream/pg_dump f mode=0600 uid=0 gid=0 mtime=1.000000000 size=3 sha256=" SHA " at=0:0+3 note=unstable,mount source=2",
};

static void test_golden(void **state)
{
    (void)state;
    _cleanup_manifest_entry_ struct manifest_entry e = { 0 };
    struct error err;
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        if (manifest_parse(golden[i], strlen(golden[i]), &e, &err) < 0)
            fail_msg("%s", err.text);
        _cleanup_buf_ struct buf out = { 0 };
        manifest_format(&out, &e);
        assert_int_equal(out.data[out.len - 1], '\n');
        out.data[out.len - 1] = '\0';
        assert_string_equal(buf_str(&out), golden[i]);
    }
}

static void test_fields(void **state)
{
    (void)state;
    _cleanup_manifest_entry_ struct manifest_entry e = { 0 };
    struct error err;
    assert_int_equal(manifest_parse(golden[2], strlen(golden[2]), &e, &err), 0);
    assert_string_equal(buf_str(&e.path), "/srv/a b%\n\x7f");
    assert_int_equal(e.type, MANIFEST_FILE);
    assert_int_equal(e.mode, 04755);
    assert_int_equal(e.gid, 4294967295);
    assert_string_equal(buf_str(&e.user), "root");
    assert_int_equal(e.group.len, 0);
    assert_int_equal(e.mtime_s, 1700000000);
    assert_int_equal(e.mtime_ns, 123456789);
    assert_int_equal(e.size, 12);
    assert_string_equal(buf_str(&e.hardlink), "803.1f");
    assert_true(e.has_sha256);
    assert_int_equal(e.sha256[0], 0xe3);
    assert_int_equal(e.sha256[31], 0x55);
    assert_int_equal(e.at.object, 1);
    assert_int_equal(e.at.offset, 512);
    assert_false(place_is_set(&e.version));
    assert_int_equal(e.source, 1);
    assert_int_equal(manifest_parse(golden[1], strlen(golden[1]), &e, &err), 0);
    assert_int_equal(e.mtime_s, -1);
    assert_int_equal(e.mtime_ns, 999999999);
    assert_int_equal(e.flags, 0x800);
    assert_int_equal(e.notes, MANIFEST_MOUNT);
    assert_int_equal(e.hardlink.len, 0); // nothing is left of the line before
    assert_false(e.has_sha256);
}

static const char *const refused[] = {
    "",
    " d mode=0755 uid=0 gid=0 mtime=1.000000000",
    "/a",
    "/a ",
    "/a d",
    "/a x mode=0755 uid=0 gid=0 mtime=1.000000000",
    "/a dd mode=0755 uid=0 gid=0 mtime=1.000000000",
    "/a d  mode=0755 uid=0 gid=0 mtime=1.000000000",
    "/a d mode=0755 uid=0 gid=0 mtime=1.000000000 ",
    "a d mode=0755 uid=0 gid=0 mtime=1.000000000",
    "stream d mode=0755 uid=0 gid=0 mtime=1.000000000",
    "stream/ d mode=0755 uid=0 gid=0 mtime=1.000000000",
    "stream/../x d mode=0755 uid=0 gid=0 mtime=1.000000000",
    "stream/x d mode=0755 uid=0 gid=0 mtime=1.000000000",
    "stream/x l mode=0777 uid=0 gid=0 mtime=1.000000000 target=y",
    "stream/x/y f mode=0600 uid=0 gid=0 mtime=1.000000000 size=0",
    "streams/x d mode=0755 uid=0 gid=0 mtime=1.000000000",
    "// d mode=0755 uid=0 gid=0 mtime=1.000000000",
    "/a/ d mode=0755 uid=0 gid=0 mtime=1.000000000",
    "/a//b d mode=0755 uid=0 gid=0 mtime=1.000000000",
    "/. d mode=0755 uid=0 gid=0 mtime=1.000000000",
    "/.. d mode=0755 uid=0 gid=0 mtime=1.000000000",
    "/a/../b d mode=0755 uid=0 gid=0 mtime=1.000000000",
    "/a/. d mode=0755 uid=0 gid=0 mtime=1.000000000",
    "/a%00 d mode=0755 uid=0 gid=0 mtime=1.000000000",
    "/a%41 d mode=0755 uid=0 gid=0 mtime=1.000000000",
    "/a%2F d mode=0755 uid=0 gid=0 mtime=1.000000000",
    "/a%0a d mode=0755 uid=0 gid=0 mtime=1.000000000",
    "/a%2 d mode=0755 uid=0 gid=0 mtime=1.000000000",
    "/a% d mode=0755 uid=0 gid=0 mtime=1.000000000",
    "/a\t d mode=0755 uid=0 gid=0 mtime=1.000000000",
    "/a\x7f d mode=0755 uid=0 gid=0 mtime=1.000000000",
    "/a d mode=755 uid=0 gid=0 mtime=1.000000000",
    "/a d mode=0758 uid=0 gid=0 mtime=1.000000000",
    "/a d mode=00755 uid=0 gid=0 mtime=1.000000000",
    "/a d uid=0 gid=0 mtime=1.000000000",
    "/a d mode=0755 gid=0 mtime=1.000000000",
    "/a d mode=0755 uid=0 mtime=1.000000000",
    "/a d mode=0755 uid=0 gid=0",
    "/a d mode=0755 uid=00 gid=0 mtime=1.000000000",
    "/a d mode=0755 uid=4294967296 gid=0 mtime=1.000000000",
    "/a d mode=0755 uid=-1 gid=0 mtime=1.000000000",
    "/a d mode=0755 gid=0 uid=0 mtime=1.000000000",
    "/a d mode=0755 uid=0 uid=0 gid=0 mtime=1.000000000",
    "/a d mode=0755 uid=0 gid=0 user= mtime=1.000000000",
    "/a d mode=0755 uid=0 gid=0 group=x user=x mtime=1.000000000",
    "/a d mode=0755 uid=0 gid=0 mtime=1.00000000",
    "/a d mode=0755 uid=0 gid=0 mtime=1.0000000000",
    "/a d mode=0755 uid=0 gid=0 mtime=.000000000",
    "/a d mode=0755 uid=0 gid=0 mtime=-.000000000",
    "/a d mode=0755 uid=0 gid=0 mtime=-0.000000001",
    "/a d mode=0755 uid=0 gid=0 mtime=01.000000000",
    "/a d mode=0755 uid=0 gid=0 mtime=9223372036854775808.000000000",
    "/a d mode=0755 uid=0 gid=0 mtime=1.000000000 size=0",
    "/a d mode=0755 uid=0 gid=0 mtime=1.000000000 target=x",
    "/a d mode=0755 uid=0 gid=0 mtime=1.000000000 device=1,1",
    "/a d mode=0755 uid=0 gid=0 mtime=1.000000000 sha256=" SHA,
    "/a d mode=0755 uid=0 gid=0 mtime=1.000000000 at=1:0+1",
    "/a d mode=0755 uid=0 gid=0 mtime=1.000000000 x-new=1",
    "/a d mode=0755 uid=0 gid=0 mtime=1.000000000 flags=0",
    "/a d mode=0755 uid=0 gid=0 mtime=1.000000000 flags=A",
    "/a d mode=0755 uid=0 gid=0 mtime=1.000000000 flags=123456789",
    "/a d mode=0755 uid=0 gid=0 mtime=1.000000000 xattr=0:0+3",
    "/a d mode=0755 uid=0 gid=0 mtime=1.000000000 note=",
    "/a d mode=0755 uid=0 gid=0 mtime=1.000000000 note=skipped",
    "/a d mode=0755 uid=0 gid=0 mtime=1.000000000 note=mount,",
    "/a d mode=0755 uid=0 gid=0 mtime=1.000000000 note=,mount",
    "/a d mode=0755 uid=0 gid=0 mtime=1.000000000 note=mount,mount",
    "/a d mode=0755 uid=0 gid=0 mtime=1.000000000 note=mountexcluded",
    "/a d mode=0755 uid=0 gid=0 mtime=1.000000000 note=excluded,mount",
    "/a d mode=0755 uid=0 gid=0 mtime=1.000000000 note=mount,unstable",
    "/a d mode=0755 uid=0 gid=0 mtime=1.000000000 source=4294967295",
    "/a d mode=0755 uid=0 gid=0 mtime=1.000000000 source=1 source=1",
    "/a d mode=0755 uid=0 gid=0 mtime=1.000000000 source=1 note=mount",
    "/a f mode=0755 uid=0 gid=0 mtime=1.000000000",
    "/a f mode=0755 uid=0 gid=0 mtime=1.000000000 size=9223372036854775808",
    "/a f mode=0755 uid=0 gid=0 mtime=1.000000000 size=1 at=1:0+2",
    "/a f mode=0755 uid=0 gid=0 mtime=1.000000000 size=0 at=1:0+0",
    "/a f mode=0755 uid=0 gid=0 mtime=1.000000000 size=1 at=1:0+1 version=1:0+1",
    "/a f mode=0755 uid=0 gid=0 mtime=1.000000000 size=1 version=0:0+1",
    "/a f mode=0755 uid=0 gid=0 mtime=1.000000000 size=1 at=0:1+1",
    "/a f mode=0755 uid=0 gid=0 mtime=1.000000000 size=1 at=1:1099511627776+1",
    "/a f mode=0755 uid=0 gid=0 mtime=1.000000000 size=1 at=2147483648:0+1",
    "/a f mode=0755 uid=0 gid=0 mtime=1.000000000 size=1 sha256=E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "/a f mode=0755 uid=0 gid=0 mtime=1.000000000 size=1 sha256=e3b0",
    "/a f mode=0755 uid=0 gid=0 mtime=1.000000000 size=1 sha256=" SHA "0",
    "/a l mode=0777 uid=0 gid=0 mtime=1.000000000",
    "/a l mode=0777 uid=0 gid=0 mtime=1.000000000 target=",
    "/a l mode=0777 uid=0 gid=0 mtime=1.000000000 target=a%00",
    "/a c mode=0777 uid=0 gid=0 mtime=1.000000000",
    "/a c mode=0777 uid=0 gid=0 mtime=1.000000000 device=1",
    "/a c mode=0777 uid=0 gid=0 mtime=1.000000000 device=1,",
    "/a c mode=0777 uid=0 gid=0 mtime=1.000000000 device=1,1,1",
};

static void test_refused(void **state)
{
    (void)state;
    _cleanup_manifest_entry_ struct manifest_entry e = { 0 };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct error err = { 0 };
        // A copy of exactly this size, so that a read beyond it shows under AddressSanitizer.
        size_t n = strlen(refused[i]);
        char *copy = malloc(n == 0 ? 1 : n);
        memcpy(copy, refused[i], n);
        int r = manifest_parse(copy, n, &e, &err);
        free(copy);
        if (r != ERROR_FORMAT || err.text[0] == '\0')
            fail_msg("accepted: %s", refused[i]);
    }
}

static void test_line_with_nul(void **state)
{
    (void)state;
    _cleanup_manifest_entry_ struct manifest_entry e = { 0 };
    struct error err;
    static const char line[] = "/a\0b d mode=0755 uid=0 gid=0 mtime=1.000000000";
    assert_int_equal(manifest_parse(line, sizeof line - 1, &e, &err), ERROR_FORMAT);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

// 1 to 40 bytes, any value but NUL (and '/' where a path component is made).
static void random_name(uint64_t *seed, struct buf *out, bool component)
{
    size_t n = 1 + next_random(seed) % 40;
    size_t start = out->len;
    while (out->len < start + n) {
        uint8_t c = (uint8_t)(next_random(seed) >> 11);
        if (c != 0 && !(component && c == '/'))
            buf_add_char(out, (char)c);
    }
    if (component && out->data[start] == '.')
        out->data[start] = '_';
}

static void random_place(uint64_t *seed, uint64_t length, struct place *ret_place)
{
    *ret_place = (struct place){ .object = 1 + (uint32_t)(next_random(seed) % PLACE_OBJECT_MAX), .offset = next_random(seed) % (1u << 30), .length = length };
}

static void random_content(uint64_t *seed, struct manifest_entry *e)
{
    e->size = next_random(seed) >> (1 + next_random(seed) % 63);
    e->has_sha256 = next_random(seed) % 4 != 0;
    for (int i = 0; e->has_sha256 && i < 32; i++)
        e->sha256[i] = (uint8_t)(next_random(seed) >> 9);
    if (e->size > 0 && e->size <= 16u << 20 && next_random(seed) % 2 == 0)
        random_place(seed, e->size, &e->at);
    else if (e->size > 0)
        random_place(seed, 1 + next_random(seed) % 1000, &e->version);
}

static void random_entry(uint64_t *seed, struct manifest_entry *e)
{
    manifest_entry_reset(e);
    for (size_t i = 0, n = next_random(seed) % 5; i < n; i++) {
        buf_add_char(&e->path, '/');
        random_name(seed, &e->path, true);
    }
    if (e->path.len == 0)
        buf_add_char(&e->path, '/');
    e->type = (enum manifest_type)"dflpcbs"[next_random(seed) % 7];
    e->mode = next_random(seed) & 07777;
    e->uid = (uint32_t)(next_random(seed) >> 16);
    e->gid = (uint32_t)(next_random(seed) >> 48);
    if (next_random(seed) % 2 == 0)
        random_name(seed, &e->user, false);
    if (next_random(seed) % 2 == 0)
        random_name(seed, &e->group, false);
    e->mtime_s = (int64_t)next_random(seed) >> next_random(seed) % 64;
    e->mtime_ns = (uint32_t)(next_random(seed) % 1000000000);
    if (e->type == MANIFEST_LINK)
        random_name(seed, &e->target, false);
    if (e->type == MANIFEST_CHAR || e->type == MANIFEST_BLOCK) {
        e->device_major = (uint32_t)(next_random(seed) >> 40);
        e->device_minor = (uint32_t)(next_random(seed) >> 20);
    }
    if (next_random(seed) % 4 == 0)
        buf_addf(&e->hardlink, "%x.%x", (unsigned)(next_random(seed) >> 40), (unsigned)(next_random(seed) >> 32));
    if (next_random(seed) % 4 == 0)
        e->flags = (uint32_t)next_random(seed);
    if (next_random(seed) % 4 == 0)
        random_place(seed, 1 + next_random(seed) % 5000, &e->xattr);
    if (e->type == MANIFEST_FILE)
        random_content(seed, e);
    e->notes = next_random(seed) & 7;
    e->source = next_random(seed) % 3 == 0 ? MANIFEST_NO_SOURCE : (uint32_t)(next_random(seed) % 10);
}

static void assert_same_buf(const struct buf *a, const struct buf *b)
{
    assert_int_equal(a->len, b->len);
    if (a->len > 0)
        assert_memory_equal(a->data, b->data, a->len);
}

static void assert_same_place(const struct place *a, const struct place *b)
{
    assert_true(a->object == b->object && a->offset == b->offset && a->length == b->length);
}

static void assert_same_entry(const struct manifest_entry *a, const struct manifest_entry *b)
{
    assert_same_buf(&a->path, &b->path);
    assert_same_buf(&a->user, &b->user);
    assert_same_buf(&a->group, &b->group);
    assert_same_buf(&a->target, &b->target);
    assert_same_buf(&a->hardlink, &b->hardlink);
    assert_true(a->type == b->type && a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->mtime_s == b->mtime_s &&
                a->mtime_ns == b->mtime_ns && a->size == b->size && a->device_major == b->device_major && a->device_minor == b->device_minor &&
                a->flags == b->flags && a->has_sha256 == b->has_sha256 && a->notes == b->notes && a->source == b->source);
    assert_memory_equal(a->sha256, b->sha256, 32);
    assert_same_place(&a->xattr, &b->xattr);
    assert_same_place(&a->at, &b->at);
    assert_same_place(&a->version, &b->version);
}

static void test_round_trip(void **state)
{
    (void)state;
    uint64_t seed = 0x9e3779b97f4a7c15;
    _cleanup_manifest_entry_ struct manifest_entry e = { 0 }, back = { 0 }, copy = { 0 };
    bool seen[256] = { false };
    for (int i = 0; i < 20000; i++) {
        random_entry(&seed, &e);
        _cleanup_buf_ struct buf line = { 0 };
        manifest_format(&line, &e);
        for (size_t k = 0; k + 1 < line.len; k++)
            assert_true(line.data[k] >= 0x20 && line.data[k] != 0x7f);
        struct error err;
        if (manifest_parse((const char *)line.data, line.len - 1, &back, &err) < 0)
            fail_msg("%s", err.text);
        assert_same_entry(&e, &back);
        manifest_entry_copy(&copy, &e);
        assert_same_entry(&e, &copy);
        for (size_t k = 0; k < e.path.len; k++)
            seen[e.path.data[k]] = true;
    }
    for (int c = 1; c < 256; c++)
        assert_true(seen[c]);
}

static void test_escape_every_byte(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        uint8_t raw[3] = { 'a', (uint8_t)c, 'z' };
        _cleanup_buf_ struct buf text = { 0 }, back = { 0 };
        manifest_escape(&text, raw, 3);
        bool escaped = c <= 0x20 || c == '%' || c == 0x7f;
        assert_int_equal(text.len, escaped ? 5 : 3);
        assert_true(manifest_unescape(&back, (const char *)text.data, text.len));
        assert_int_equal(back.len, 3);
        assert_memory_equal(back.data, raw, 3);
    }
}

static int order(const char *a, const char *b) { return manifest_path_compare(a, strlen(a), b, strlen(b)); }

static void test_order(void **state)
{
    (void)state;
    static const char *const sorted[] = { "/", "/a", "/a/", "/a/b", "/a/b/c", "/a\x01", "/a b", "/a!", "/a-b", "/a-b/c", "/a.b", "/a0", "/a\xff", "/b",
                                          "/b/12345678", "/b/12345678/x", "/b/12345678-", "/b/12345679", "stream/x" };
    size_t n = sizeof sorted / sizeof *sorted;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            assert_int_equal(order(sorted[i], sorted[k]), i < k ? -1 : i == k ? 0 : 1);
}

static bool below(const char *path, const char *dir) { return manifest_path_below(path, strlen(path), dir, strlen(dir)); }

static void test_below(void **state)
{
    (void)state;
    assert_true(below("/a", "/a"));
    assert_true(below("/a/b", "/a"));
    assert_true(below("/a/b", "/"));
    assert_true(below("/", "/"));
    assert_false(below("/ab", "/a"));
    assert_false(below("/", "/a"));
    assert_false(below("stream/a", "/"));
    assert_true(below("stream/a", "stream"));
}

static int scratch(const char *text, size_t n)
{
    int fd = memfd_create("manifest", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), n);
    return fd;
}

static void test_reader(void **state)
{
    (void)state;
    // Long enough to cross the reader's window many times, with a line longer than the window.
    _cleanup_buf_ struct buf text = { 0 };
    for (int i = 0; i < 20000; i++) {
        if (i == 10000) {
            buf_addf(&text, "/%06d", i);
            for (int k = 0; k < 300000; k++)
                buf_add_char(&text, 'x');
            buf_add_str(&text, " d mode=0755 uid=0 gid=0 mtime=1.000000000\n");
        } else {
            buf_addf(&text, "/%06d d mode=0755 uid=%d gid=0 mtime=1.000000000\n", i, i);
        }
    }
    int fd = scratch((const char *)text.data, text.len);
    struct manifest_reader r;
    manifest_reader_init(&r, io_real(), fd, "m", 0, text.len);
    const struct manifest_entry *e = NULL;
    struct error err;
    for (uint32_t i = 0; i < 20000; i++) {
        if (manifest_reader_next(&r, &e, &err) < 0)
            fail_msg("%s", err.text);
        assert_non_null(e);
        assert_int_equal(e->uid, i == 10000 ? 0 : i);
        assert_memory_equal(text.data + r.line_offset, r.line, r.line_len);
    }
    assert_int_equal(manifest_reader_next(&r, &e, &err), 0);
    assert_null(e);
    assert_int_equal(manifest_reader_next(&r, &e, &err), 0);
    assert_null(e);
    manifest_reader_done(&r);
    close(fd);
}

static int read_all(const char *text, size_t n, uint64_t end, struct error *err)
{
    int fd = scratch(text, n);
    struct manifest_reader r;
    manifest_reader_init(&r, io_real(), fd, "m", 0, end);
    const struct manifest_entry *e = NULL;
    int result;
    do
        result = manifest_reader_next(&r, &e, err);
    while (result == 0 && e != NULL);
    manifest_reader_done(&r);
    close(fd);
    return result;
}

static void test_reader_refuses(void **state)
{
    (void)state;
    struct error err;
#define LINE(path) path " d mode=0755 uid=0 gid=0 mtime=1.000000000\n"
    static const char good[] = LINE("/a") LINE("/a/b") LINE("/a-b");
    assert_int_equal(read_all(good, sizeof good - 1, sizeof good - 1, &err), 0);
    assert_int_equal(read_all(good, sizeof good - 1, sizeof good - 2, &err), ERROR_FORMAT); // ends within a line
    assert_int_equal(read_all(good, sizeof good - 1, sizeof good + 9, &err), ERROR_FORMAT); // file shorter than said
    static const char wrong_order[] = LINE("/a") LINE("/a-b") LINE("/a/b");
    assert_int_equal(read_all(wrong_order, sizeof wrong_order - 1, sizeof wrong_order - 1, &err), ERROR_FORMAT);
    static const char twice[] = LINE("/a") LINE("/a");
    assert_int_equal(read_all(twice, sizeof twice - 1, sizeof twice - 1, &err), ERROR_FORMAT);
    static const char empty_line[] = LINE("/a") "\n";
    assert_int_equal(read_all(empty_line, sizeof empty_line - 1, sizeof empty_line - 1, &err), ERROR_FORMAT);
    char *endless = malloc(2 << 20);
    memset(endless, 'a', 2 << 20);
    endless[0] = '/';
    assert_int_equal(read_all(endless, 2 << 20, 2 << 20, &err), ERROR_FORMAT);
    free(endless);
}

static void test_place(void **state)
{
    (void)state;
    struct place p;
    assert_true(place_parse("7:1024+99", 9, &p));
    assert_true(p.object == 7 && p.offset == 1024 && p.length == 99);
    static const char *const wrong[] = { "", "7", "7:1", "7+1", "7:1+", ":1+1", "7:+1", "07:1+1", "7:1+1 ", "7:1+0", "0:1+1", "7:1:1+1", "7:1+1+1", "-7:1+1" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(place_parse(wrong[i], strlen(wrong[i]), &p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_line_with_nul),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_escape_every_byte),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_below),
        cmocka_unit_test(test_reader),
        cmocka_unit_test(test_reader_refuses),
        cmocka_unit_test(test_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
