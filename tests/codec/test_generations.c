// The whole delta path over 30 generations of random edits of one file of two pieces: piece deltas made from tags and a signature that are
// themselves carried from version to version, flat ranges composed each time. In every generation the content put together from
// flat ranges, the content rebuilt by a chain of `rdiff patch`, and the file itself must be equal.
#include "tests/codec/scratch.h"

#include "bkd/codec/piece_delta.h"
#include "bkd/codec/ranges.h"
#include "bkd/codec/sameplace.h"

#define GENERATIONS 30
#define BLOCK 4096u
#define PIECES_MAX 4

static const uint8_t tag_key[SAMEPLACE_KEY] = { 1, 9, 7 };

// A stored version: what is kept of it, as the engine would keep it.
struct version {
    uint64_t size;
    struct buf tags, signature;
    struct ranges pieces[PIECES_MAX];
};

static void version_done(struct version *v)
{
    buf_done(&v->tags);
    buf_done(&v->signature);
    for (unsigned i = 0; i < PIECES_MAX; i++)
        ranges_done(&v->pieces[i]);
}

struct story {
    struct scratch scratch;
    struct buf objects[GENERATIONS + 1]; // object n holds the members of generation n; 0 is unused
    struct sameplace_hasher *hasher;
    uint64_t seed;
    unsigned counts[4]; // by class
};

static size_t random_below(struct story *s, size_t n) { return (size_t)(scratch_random(&s->seed) % n); }

static void replace(struct buf *file, size_t at, size_t gone, const uint8_t *data, size_t n)
{
    struct buf next = { 0 };
    buf_add(&next, file->data, at);
    buf_add(&next, data, n);
    buf_add(&next, file->data + at + gone, file->len - at - gone);
    buf_done(file);
    *file = next;
}

static void edit(struct story *s, struct buf *file)
{
    uint8_t fresh[20000];
    size_t n = 1 + random_below(s, sizeof(fresh)), at = random_below(s, file->len - 100000);
    scratch_fill(&s->seed, fresh, n);
    switch (random_below(s, 7)) {
    case 0: // overwrite in place
        memcpy(file->data + at, fresh, n);
        break;
    case 1: // insert
        replace(file, at, 0, fresh, n);
        break;
    case 2: // delete
        replace(file, at, n, NULL, 0);
        break;
    case 3: // append
        buf_add(file, fresh, n);
        break;
    case 4: // truncate
        file->len -= n;
        break;
    case 5: // move aligned blocks within the file
        memmove(file->data + at / BLOCK * BLOCK, file->data + random_below(s, file->len / BLOCK - 20) * BLOCK, 20 * BLOCK);
        break;
    default: // scattered blocks, as a database does
        for (unsigned i = 0; i < 30; i++)
            file->data[random_below(s, file->len)] ^= 0x55;
    }
}

static int base_piece(void *arg, uint64_t index, const struct place **ret_items, size_t *ret_count, struct error *err)
{
    struct version *v = arg;
    (void)err;
    *ret_items = v->pieces[index].items;
    *ret_count = v->pieces[index].count;
    return 0;
}

// Stores bytes as a member of the generation's object, after something else.
static struct place store(struct story *s, unsigned generation, const void *data, size_t n)
{
    struct buf *object = &s->objects[generation];
    buf_add(object, "other members", 13);
    struct place place = { generation, object->len, n };
    buf_add(object, data, n);
    return place;
}

// What one piece becomes, and how a person with stock tools makes it from the previous version's file "old".
static void store_piece(struct story *s, unsigned generation, struct version *base, const struct piece_input *in, struct piece_search *search,
                        struct ranges *ret_ranges)
{
    struct error err;
    _cleanup_piece_output_ struct piece_output out = { 0 };
    scratch_ok(piece_delta_make(in, search, &out, &err), &err);
    s->counts[out.class]++;
    struct ranges_base ranges_base = { base_piece, base, base->size };
    bool fits = true;
    if (out.class == PIECE_SAME) {
        scratch_ok(ranges_slice(&ranges_base, in->offset, in->length, ret_ranges, &err), &err);
        scratch_run("dd if='%s/old' of='%s/piece' iflag=skip_bytes,count_bytes skip=%llu count=%u bs=1M status=none", s->scratch.dir, s->scratch.dir,
                    (unsigned long long)in->offset, in->length);
    } else if (out.class == PIECE_DELTA) {
        struct place member = store(s, generation, out.delta.data, out.delta.len);
        scratch_ok(ranges_resolve(&ranges_base, &out.commands, &member, 0, ret_ranges, &fits, &err), &err);
        scratch_write(&s->scratch, "delta", out.delta.data, out.delta.len);
        scratch_run("cd '%s' && rdiff -f patch old delta piece", s->scratch.dir);
    }
    if (out.class == PIECE_WHOLE || !fits) {
        ranges_reset(ret_ranges);
        struct place member = store(s, generation, in->data, in->length);
        ranges_add(ret_ranges, &member);
        scratch_write(&s->scratch, "piece", in->data, in->length);
    }
    scratch_run("cat '%s/piece' >> '%s/new'", s->scratch.dir, s->scratch.dir);
}

static void check_ranges(const struct story *s, const struct version *v, const struct buf *file)
{
    _cleanup_buf_ struct buf got = { 0 };
    for (unsigned p = 0; p < PIECES_MAX; p++)
        for (size_t i = 0; i < v->pieces[p].count; i++) {
            const struct place *r = &v->pieces[p].items[i];
            assert_in_range(r->object, 1, GENERATIONS);
            assert_true(r->offset + r->length <= s->objects[r->object].len);
            buf_add(&got, s->objects[r->object].data + r->offset, r->length);
        }
    assert_int_equal(got.len, file->len);
    assert_memory_equal(got.data, file->data, file->len);
}

static struct version store_version(struct story *s, unsigned generation, struct version *base, const struct buf *file)
{
    struct error err;
    struct version v = { .size = file->len };
    struct delta_search *loaded = NULL;
    if (base->size > 0)
        scratch_ok(delta_search_new(base->signature.data, base->signature.len, base->size, &loaded, &err), &err);
    struct piece_search search = { .search = loaded };
    delta_signature_begin(&v.signature, BLOCK);
    scratch_write(&s->scratch, "new", "", 0);
    for (uint64_t at = 0; at < file->len; at += PIECE_SIZE) {
        uint32_t n = file->len - at < PIECE_SIZE ? (uint32_t)(file->len - at) : PIECE_SIZE;
        size_t first = at / BLOCK;
        sameplace_hash(s->hasher, file->data + at, n, buf_extend(&v.tags, sameplace_count(n) * SAMEPLACE_TAG));
        struct piece_input in = { .data = file->data + at, .length = n, .offset = at, .base_size = base->size, .tags = v.tags.data + first * SAMEPLACE_TAG };
        bool has_base = at < base->size;
        in.base_tags = has_base ? base->tags.data + first * SAMEPLACE_TAG : NULL;
        store_piece(s, generation, base, &in, &search, &v.pieces[at / PIECE_SIZE]);
        const uint8_t *entries = has_base ? base->signature.data + DELTA_SIGNATURE_HEAD + first * DELTA_SIGNATURE_ENTRY : NULL;
        scratch_ok(piece_delta_signature(&in, BLOCK, entries, &v.signature, &err), &err);
    }
    delta_search_free(loaded);
    return v;
}

static void test_thirty_generations(void **state)
{
    (void)state;
    struct error err;
    struct story s = { .scratch = scratch_new(), .hasher = sameplace_hasher_new(tag_key), .seed = 2026 };
    struct buf file = { 0 };
    struct version last = { 0 };
    size_t stored_first = 0;
    scratch_fill(&s.seed, buf_extend(&file, PIECE_SIZE + (3u << 20)), PIECE_SIZE + (3u << 20));
    memset(file.data + (5u << 20), 0, 1u << 20);
    for (unsigned generation = 1; generation <= GENERATIONS; generation++) {
        if (generation > 1 && generation % 7 != 0) // every seventh night nothing changes
            for (size_t edits = 1 + random_below(&s, 6); edits > 0; edits--)
                edit(&s, &file);
        struct version next = store_version(&s, generation, &last, &file);
        check_ranges(&s, &next, &file);
        scratch_write(&s.scratch, "file", file.data, file.len);
        scratch_run("cd '%s' && cmp file new && mv new old", s.scratch.dir);
        _cleanup_buf_ struct buf fresh = { 0 };
        delta_signature_begin(&fresh, BLOCK);
        scratch_ok(delta_signature_append(&fresh, BLOCK, file.data, file.len, &err), &err);
        assert_int_equal(fresh.len, next.signature.len);
        assert_memory_equal(fresh.data, next.signature.data, fresh.len);
        version_done(&last);
        last = next;
        if (generation == 1)
            stored_first = s.objects[1].len;
        else
            assert_true(s.objects[generation].len < stored_first / 20); // deltas it is
        if (generation % 7 == 0)
            assert_int_equal(s.objects[generation].len, 0);
    }
    assert_true(s.counts[PIECE_SAME] >= 8 && s.counts[PIECE_DELTA] >= 30 && s.counts[PIECE_WHOLE] >= 2);
    version_done(&last);
    buf_done(&file);
    for (unsigned i = 0; i <= GENERATIONS; i++)
        buf_done(&s.objects[i]);
    sameplace_hasher_free(s.hasher);
    scratch_done(&s.scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_thirty_generations) };
    return cmocka_run_group_tests_name("generations", tests, NULL, NULL);
}
