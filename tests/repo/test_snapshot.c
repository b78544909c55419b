// A snapshot from head to manifest text: recipe with flat ranges over two objects, whole and in part, and what is refused.
#include "tests/repo/made.h"

#include <sys/mman.h>
#include <unistd.h>

#include "bkd/repo/snapshot.h"

enum { ENTRIES = 200000 }; // a manifest of two pieces

struct fixture {
    struct repository repository;
    struct age_identity identity, stranger;
    struct buf manifest;
    struct recipe recipe;
    struct repository_head head;
    struct format_ref ref[2];
    uint64_t offsets[ENTRIES + 1]; // of each line
};

static void make_manifest(struct fixture *f)
{
    _cleanup_manifest_entry_ struct manifest_entry e = { 0 };
    uint64_t next_index = 0;
    for (int i = 0; i < ENTRIES; i++) {
        manifest_entry_reset(&e);
        if (i == 0)
            buf_add_char(&e.path, '/');
        else if ((i - 1) % 1000 == 0)
            buf_addf(&e.path, "/d%03d", (i - 1) / 1000);
        else
            buf_addf(&e.path, "/d%03d/file %05d", (i - 1) / 1000, (i - 1) % 1000);
        e.type = i == 0 || (i - 1) % 1000 == 0 ? MANIFEST_DIR : MANIFEST_FIFO;
        e.mode = 0755;
        buf_add_str(&e.group, "a group with a long name, to have fewer lines");
        f->offsets[i] = f->manifest.len;
        if (f->manifest.len >= next_index) {
            recipe_add_index(&f->recipe, f->manifest.len, buf_str(&e.path), e.path.len);
            next_index = (f->manifest.len / 262144 + 1) * 262144;
        }
        manifest_format(&f->manifest, &e);
    }
    f->offsets[ENTRIES] = f->manifest.len;
}

// Piece 0 is a delta over both objects with a few ranges, piece 1 whole in object 2, whose stream also holds the recipe.
static void make_recipe(struct fixture *f, struct buf *one, struct buf *two)
{
    struct recipe *r = &f->recipe;
    assert_true(f->manifest.len > RECIPE_PIECE_SIZE && f->manifest.len < 2 * (size_t)RECIPE_PIECE_SIZE);
    r->size = f->manifest.len;
    r->has_sha256 = r->has_base = true;
    crypto_sha256(f->manifest.data, f->manifest.len, r->sha256);
    r->base = (struct place){ 1, 0, 10 };
    r->chain = 2;
    struct recipe_piece *piece = recipe_add_piece(r);
    piece->kind = RECIPE_DELTA;
    piece->length = RECIPE_PIECE_SIZE;
    piece->member = (struct place){ 2, 0, 5 };
    crypto_sha256(f->manifest.data, RECIPE_PIECE_SIZE, piece->sha256);
    piece->ranges = xcalloc(300, sizeof *piece->ranges);
    for (uint32_t at = 0; at < RECIPE_PIECE_SIZE; piece->n_ranges++) {
        uint32_t n = RECIPE_PIECE_SIZE - at < 100003 ? RECIPE_PIECE_SIZE - at : 100003;
        struct buf *to = piece->n_ranges % 3 == 0 ? two : one;
        buf_add_str(to, "between"); // so that neighbours in the piece are none in the object
        piece->ranges[piece->n_ranges] = (struct place){ to == one ? 1 : 2, to->len, n };
        buf_add(to, f->manifest.data + at, n);
        at += n;
    }
    piece = recipe_add_piece(r);
    piece->kind = RECIPE_WHOLE;
    piece->length = (uint32_t)(f->manifest.len - RECIPE_PIECE_SIZE);
    piece->member = (struct place){ 2, two->len, piece->length };
    crypto_sha256(f->manifest.data + RECIPE_PIECE_SIZE, piece->length, piece->sha256);
    buf_add(two, f->manifest.data + RECIPE_PIECE_SIZE, piece->length);
}

static void store_all(struct fixture *f, struct buf *one, struct buf *two)
{
    struct error err;
    struct format_head *h = &f->head.head;
    _cleanup_buf_ struct buf text = { 0 }, refs_text = { 0 }, stored_one = { 0 }, stored_two = { 0 };
    recipe_format(&text, &f->recipe);
    h->manifest = (struct place){ 2, two->len, text.len };
    buf_add(two, text.data, text.len);
    crypto_sha256(text.data, text.len, h->recipe_sha256);
    h->manifest_size = f->manifest.len;
    memcpy(h->manifest_sha256, f->recipe.sha256, 32);
    h->number = 7;
    made_stored(one->data, one->len, 1 << 20, &f->identity.recipient, 1, &stored_one);
    made_stored(two->data, two->len, 1 << 20, &f->identity.recipient, 1, &stored_two);
    struct store *s = f->repository.store;
    made_put(s, 1, &stored_one, true, &f->ref[0]);
    made_put(s, 2, &stored_two, true, &f->ref[1]);
    struct format_refs refs = { .refs = f->ref, .n = 2 };
    format_refs_write(&refs_text, &refs);
    crypto_sha256(refs_text.data, refs_text.len, h->refs);
    h->refs_size = refs_text.len;
    _cleanup_free_ char *name = format_refs_name(h->refs);
    OK(s->ops->put(s, name, refs_text.data, refs_text.len, &err));
    f->head.valid = true;
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    f->repository = (struct repository){ .io = io_real(), .store = store_memory_new(), .info = { .encrypted = true } };
    age_identity_new(io_real(), &f->identity);
    age_identity_new(io_real(), &f->stranger);
    _cleanup_buf_ struct buf one = { 0 }, two = { 0 };
    buf_add_str(&two, "delta");
    make_manifest(f);
    make_recipe(f, &one, &two);
    store_all(f, &one, &two);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_close(f->repository.store);
    buf_done(&f->manifest);
    recipe_done(&f->recipe);
    free(f);
    return 0;
}

static int open_it(struct fixture *f, struct snapshot *ret_snapshot, struct error *err)
{
    return snapshot_open(&f->repository, &f->head, &f->identity, 1, ret_snapshot, err);
}

static void test_whole_manifest(void **state)
{
    struct fixture *f = *state;
    struct error err;
    _cleanup_snapshot_ struct snapshot opened = { 0 };
    OK(open_it(f, &opened, &err));
    // A snapshot may be moved: nothing in it points to itself.
    struct snapshot s = opened;
    memset(&opened, 0x55, sizeof opened);
    int fd = memfd_create("manifest", MFD_CLOEXEC);
    OK(snapshot_fetch_manifest(&s, fd, "manifest", &err));
    _cleanup_buf_ struct buf back = { 0 };
    size_t got;
    OK(io_pread_full(io_real(), fd, buf_extend(&back, f->manifest.len + 1), f->manifest.len + 1, 0, "manifest", &got, &err));
    assert_int_equal(got, f->manifest.len);
    assert_memory_equal(back.data, f->manifest.data, f->manifest.len);
    struct recipe recipe = { 0 };
    OK(snapshot_read_recipe(&s, &f->head.head.manifest, &recipe, &err));
    assert_int_equal(recipe.n_index, f->recipe.n_index);
    recipe_done(&recipe);
    assert_int_equal(snapshot_read_recipe(&s, &(struct place){ 1, 0, 100 }, &recipe, &err), ERROR_INTEGRITY);
    assert_int_equal(snapshot_read_recipe(&s, &(struct place){ 1, 0, UINT64_C(1) << 40 }, &recipe, &err), ERROR_INTEGRITY);
    close(fd);
    snapshot_done(&s);
    opened = (struct snapshot){ 0 };
}

// The part must begin and end at lines and hold every line of `path` and below it.
static uint64_t check_part(struct fixture *f, struct snapshot *s, const char *path)
{
    struct error err;
    uint64_t size = 0;
    int fd = memfd_create("part", MFD_CLOEXEC);
    OK(snapshot_fetch_part(s, path, fd, "part", &size, &err));
    struct manifest_reader r;
    manifest_reader_init(&r, io_real(), fd, "part", 0, size);
    const struct manifest_entry *e = NULL;
    unsigned found = 0, expected = 0;
    do {
        OK(manifest_reader_next(&r, &e, &err));
        found += e != NULL && manifest_path_below(buf_str(&e->path), e->path.len, path, strlen(path));
    } while (e != NULL);
    manifest_reader_done(&r);
    close(fd);
    for (int i = 0; i < ENTRIES; i++) {
        const char *line = (const char *)f->manifest.data + f->offsets[i];
        _cleanup_buf_ struct buf raw = { 0 };
        assert_true(manifest_unescape(&raw, line, (size_t)((const char *)memchr(line, ' ', 1000) - line)));
        expected += manifest_path_below(buf_str(&raw), raw.len, path, strlen(path));
    }
    assert_int_equal(found, expected);
    return size;
}

static void test_parts(void **state)
{
    struct fixture *f = *state;
    struct error err;
    _cleanup_snapshot_ struct snapshot s = { 0 };
    OK(open_it(f, &s, &err));
    assert_int_equal(check_part(f, &s, "/"), f->manifest.len);
    struct object_reader_stats before, after;
    object_reader_stats(s.reader, &before);
    assert_true(check_part(f, &s, "/d100/file 00500") < 3 * 262144);
    assert_true(check_part(f, &s, "/d000") < 3 * 262144);
    assert_true(check_part(f, &s, "/d199") < 3 * 262144);
    assert_true(check_part(f, &s, "/d199/file 00999") < 3 * 262144);
    assert_true(check_part(f, &s, "/nothing") < 3 * 262144);
    assert_true(check_part(f, &s, "stream/x") < 3 * 262144);
    assert_true(check_part(f, &s, "/A") < 3 * 262144);
    // A path whose lines lie across the border of the two pieces.
    size_t border = 0;
    while (f->offsets[border] < RECIPE_PIECE_SIZE)
        border++;
    _cleanup_free_ char *path = xasprintf("/d%03zu", (border - 1) / 1000);
    assert_true(check_part(f, &s, path) > 100);
    for (size_t i = 0; i < f->recipe.n_index; i++) {
        check_part(f, &s, f->recipe.index[i].path);
        if (i == 3)
            break;
    }
    object_reader_stats(s.reader, &after);
    assert_true(after.decoded_bytes >= before.decoded_bytes);
}

// One small read for one file of many: few bytes are fetched.
static void test_part_is_cheap(void **state)
{
    struct fixture *f = *state;
    struct error err;
    _cleanup_snapshot_ struct snapshot s = { 0 };
    OK(open_it(f, &s, &err));
    struct object_reader_stats before, after;
    object_reader_stats(s.reader, &before);
    uint64_t size;
    int fd = memfd_create("part", MFD_CLOEXEC);
    OK(snapshot_fetch_part(&s, "/d150/file 00001", fd, "part", &size, &err));
    close(fd);
    object_reader_stats(s.reader, &after);
    assert_true(after.decoded_bytes - before.decoded_bytes <= 4u << 20);
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct snapshot s = { 0 };
    struct repository_head right = f->head;
    assert_int_equal(snapshot_open(&f->repository, &f->head, &f->stranger, 1, &s, &err), ERROR_KEY);
    assert_non_null(strstr(err.text, "snapshot 7"));
    assert_int_equal(snapshot_open(&f->repository, &f->head, NULL, 0, &s, &err), ERROR_KEY);
    f->head.valid = false;
    f->head.problem = (char *)"torn";
    assert_int_equal(open_it(f, &s, &err), ERROR_INTEGRITY);
    f->head = right;
    f->head.head.recipe_sha256[0] ^= 1;
    assert_int_equal(open_it(f, &s, &err), ERROR_INTEGRITY);
    f->head = right;
    f->head.head.manifest.offset++;
    assert_int_equal(open_it(f, &s, &err), ERROR_INTEGRITY);
    f->head = right;
    f->head.head.manifest.object = 3;
    assert_int_equal(open_it(f, &s, &err), ERROR_INTEGRITY);
    f->head = right;
    f->head.head.manifest_size++;
    assert_int_equal(open_it(f, &s, &err), ERROR_INTEGRITY);
    f->head = right;
    f->head.head.manifest_sha256[31] ^= 1;
    assert_int_equal(open_it(f, &s, &err), ERROR_INTEGRITY);
    f->head = right;
    f->head.head.refs[5] ^= 1;
    assert_int_equal(open_it(f, &s, &err), ERROR_INTEGRITY);
    f->head = right;
    assert_null(s.reader);
}

// Objects that decrypt and decode well but hold other bytes than was signed, as one could make who has only the recipients' keys: here
// it is the hashes that are other.
static void test_other_bytes_than_signed(void **state)
{
    struct fixture *f = *state;
    struct error err;
    _cleanup_snapshot_ struct snapshot s = { 0 };
    int fd = memfd_create("manifest", MFD_CLOEXEC);
    OK(open_it(f, &s, &err));
    s.manifest.pieces[1].sha256[9] ^= 1;
    assert_int_equal(snapshot_fetch_manifest(&s, fd, "manifest", &err), ERROR_INTEGRITY);
    assert_non_null(strstr(err.text, "piece 1"));
    s.manifest.pieces[1].sha256[9] ^= 1;
    f->head.head.manifest_sha256[0] ^= 1;
    assert_int_equal(snapshot_fetch_manifest(&s, fd, "manifest", &err), ERROR_INTEGRITY);
    f->head.head.manifest_sha256[0] ^= 1;
    OK(snapshot_fetch_manifest(&s, fd, "manifest", &err));
    close(fd);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = { WITH(test_whole_manifest), WITH(test_parts), WITH(test_part_is_cheap), WITH(test_refusals), WITH(test_other_bytes_than_signed) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
