// Row N-11: a bit that flips once on the way from a place far away is healed by reading again, whatever small file it was in; one that always comes so is told.
#include "tests/repo/made.h"

#include "bkd/codec/sshsig.h"
#include "bkd/repo/repository.h"

enum { HEADS = 3 };

static const uint8_t chain[16] = { 7 };

struct far_place {
    struct store *real;
    struct buf signers;
    uint8_t refs[32];
    uint64_t refs_size;
};

static void put_head(struct far_place *p, const struct sshkey *key, const struct format_repository *info, uint64_t number, uint8_t previous[32])
{
    struct error err;
    struct format_head h = { .number = number, .time_ns = info->created_ns, .manifest = { 1, 0, 10 }, .next_object = 2, .host = "web", .policy = "erp", .refs_size = p->refs_size };
    memcpy(h.repository, info->id, sizeof h.repository);
    memcpy(h.chain, chain, sizeof h.chain);
    memcpy(h.previous, previous, sizeof h.previous);
    memcpy(h.refs, p->refs, sizeof h.refs);
    _cleanup_buf_ struct buf file = { 0 }, text = { 0 };
    format_head_write(&text, &h);
    buf_add(&file, text.data, text.len);
    sshsig_sign(key, FORMAT_NAMESPACE_HEAD, text.data, text.len, &file);
    _cleanup_free_ char *name = format_head_name(chain, number);
    OK(p->real->ops->put(p->real, name, file.data, file.len, &err));
    crypto_sha256(file.data, file.len, previous);
}

static void put_refs(struct far_place *p)
{
    struct error err;
    struct format_ref ref = { .object = 1, .stored_size = 5, .used = 3 };
    struct format_refs refs = { .refs = &ref, .n = 1 };
    _cleanup_buf_ struct buf text = { 0 };
    memcpy(refs.chain, chain, sizeof refs.chain);
    format_refs_write(&text, &refs);
    crypto_sha256(text.data, text.len, p->refs);
    p->refs_size = text.len;
    _cleanup_free_ char *name = format_refs_name(p->refs);
    OK(p->real->ops->put(p->real, name, text.data, text.len, &err));
}

static void make(struct far_place *p)
{
    struct error err;
    struct sshkey key;
    _cleanup_buf_ struct buf key_text = { 0 };
    struct format_repository info = { .id = { 1, 2, 3 }, .created_ns = UINT64_C(1795420800000000000), .piece_size = 16777216, .object_size = 134217728 };
    uint8_t previous[32] = { 0 };
    sshkey_new(io_real(), &key);
    sshkey_format(io_real(), &key, "test", &key_text);
    buf_add_str(&p->signers, "host ");
    sshkey_public_format(key.public_key, "test", &p->signers);
    buf_add_char(&p->signers, '\n');
    p->real = store_memory_new();
    OK(repository_create(io_real(), p->real, &info, (const char *)key_text.data, key_text.len, "#!/bin/sh\n", "read me\n", &err));
    put_refs(p);
    for (uint64_t n = 1; n <= HEADS; n++)
        put_head(p, &key, &info, n, previous);
}

// ---- a line on which the read number `at` comes with another bit, or all from there on

struct flipping {
    struct store store;
    struct store *real;
    unsigned reads, at;
    bool always;
};

static int flipping_get(struct store *s, const char *name, uint64_t offset, void *data, size_t n, struct error *err)
{
    struct flipping *f = (struct flipping *)s;
    int r = f->real->ops->get(f->real, name, offset, data, n, err);
    f->reads++;
    if (r == 0 && n > 0 && (f->reads == f->at || (f->always && f->reads > f->at)))
        ((uint8_t *)data)[n / 2] ^= 4;
    return r;
}

static int flipping_size(struct store *s, const char *name, uint64_t *ret_size, struct error *err)
{
    struct flipping *f = (struct flipping *)s;
    return f->real->ops->size(f->real, name, ret_size, err);
}

static int flipping_list(struct store *s, const char *dir, store_visit_fn *visit, void *arg, struct error *err)
{
    struct flipping *f = (struct flipping *)s;
    return f->real->ops->list(f->real, dir, visit, arg, err);
}

static void flipping_close(struct store *s) { free(s); }

static const struct store_ops flipping_ops = { .get = flipping_get, .size = flipping_size, .list = flipping_list, .close = flipping_close };

// Opens the repository, counts its heads and reads the refs of the newest. *ret_reads: what that took.
static int read_all(const struct far_place *p, unsigned at, bool always, unsigned *ret_reads)
{
    struct error err;
    struct flipping *f = xcalloc(1, sizeof *f);
    *f = (struct flipping){ .store = { .ops = &flipping_ops, .far = true, .url = xstrdup("flipping") }, .real = p->real, .at = at, .always = always };
    _cleanup_repository_ struct repository *r = NULL;
    _cleanup_format_refs_ struct format_refs refs = { 0 };
    int e = repository_open(io_real(), &f->store, buf_str(&p->signers), &r, &err);
    if (e < 0)
        return e;
    for (size_t i = 0; i < r->n_heads; i++)
        if (!r->heads[i].valid)
            return ERROR_INTEGRITY;
    assert_int_equal(r->n_heads, HEADS);
    e = repository_read_refs(r, &r->heads[HEADS - 1].head, &refs, &err);
    *ret_reads = f->reads;
    return e;
}

static void test_each_read(void **state)
{
    struct far_place p = { 0 };
    unsigned reads = 0, ignored;
    (void)state;
    make(&p);
    assert_int_equal(read_all(&p, 0, false, &reads), 0);
    assert_int_equal(reads, 1 + HEADS + 1);
    for (unsigned at = 1; at <= reads; at++) {
        assert_int_equal(read_all(&p, at, false, &ignored), 0);
        assert_int_equal(read_all(&p, at, true, &ignored), ERROR_INTEGRITY);
    }
    store_close(p.real);
    buf_done(&p.signers);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_each_read) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
