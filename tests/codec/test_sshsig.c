// SSHSIG both ways against ssh-keygen, and everything that must be refused.
#include "scratch.h"

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"
#include "bkd/codec/sshsig.h"

#define NOW 1763900000u // 2025-11-23

struct fixture {
    struct scratch s;
    struct sshkey key;
    struct signers signers;
};

static void write_key(const struct scratch *s, const struct sshkey *key, const char *name)
{
    struct buf text = { 0 };
    sshkey_format(io_real(), key, "bkd test", &text);
    scratch_write(s, name, text.data, text.len);
    scratch_run("chmod 600 %s/%s", s->dir, name);
    buf_done(&text);
}

static void write_signers(struct fixture *f, const char *principals, const char *options, const struct sshkey *key)
{
    _cleanup_buf_ struct buf text = { 0 };
    struct error err;
    buf_addf(&text, "# who may sign\n%s %s ", principals, options);
    sshkey_public_format(key->public_key, "comment here", &text);
    buf_add_str(&text, "\n");
    scratch_write(&f->s, "signers", text.data, text.len);
    signers_done(&f->signers);
    scratch_ok(signers_parse(buf_str(&text), text.len, &f->signers, &err), &err);
}

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){ .s = scratch_new() };
    sshkey_new(io_real(), &f->key);
    write_key(&f->s, &f->key, "key");
    write_signers(f, "bkd@host", "namespaces=\"bkd-head@v1,bkd-record@v1\"", &f->key);
}

static void fixture_done(struct fixture *f)
{
    signers_done(&f->signers);
    scratch_done(&f->s);
}
#define _cleanup_fixture_ __attribute__((cleanup(fixture_done)))

static int verify(const struct fixture *f, const char *name_space, const void *data, size_t n, const struct buf *armored, struct error *err)
{
    const struct signers_entry *entry = NULL;
    return sshsig_verify(&f->signers, NULL, name_space, NOW, data, n, armored->data, armored->len, &entry, err);
}

static void need_ssh_keygen(void)
{
    if (system("command -v ssh-keygen >/dev/null 2>&1") != 0)
        skip();
}

static const size_t sizes[] = { 0, 1, 100, 8192, 1000000 };
#define N_SIZES (sizeof sizes / sizeof *sizes)

static void test_ours_verified_by_ssh_keygen(void **state)
{
    (void)state;
    need_ssh_keygen();
    _cleanup_fixture_ struct fixture f;
    fixture_init(&f);
    uint64_t random = 3;
    uint8_t *data = xmalloc(1000000);
    scratch_fill(&random, data, 1000000);
    for (size_t i = 0; i < N_SIZES; i++) {
        _cleanup_buf_ struct buf armored = { 0 };
        struct error err;
        sshsig_sign(&f.key, "bkd-head@v1", data, sizes[i], &armored);
        assert_true(armored.len <= 306); // what heads have room for
        scratch_write(&f.s, "data", data, sizes[i]);
        scratch_write(&f.s, "sig", armored.data, armored.len);
        scratch_run("cd %s && ssh-keygen -q -Y verify -f signers -I bkd@host -n bkd-head@v1 -s sig < data >/dev/null", f.s.dir);
        scratch_ok(verify(&f, "bkd-head@v1", data, sizes[i], &armored, &err), &err);
    }
    free(data);
}

static void test_ssh_keygens_verified_by_us(void **state)
{
    (void)state;
    need_ssh_keygen();
    _cleanup_fixture_ struct fixture f;
    fixture_init(&f);
    uint64_t random = 4;
    uint8_t *data = xmalloc(1000000);
    scratch_fill(&random, data, 1000000);
    scratch_run("cd %s && ssh-keygen -q -t ed25519 -N '' -C 'theirs' -f theirs", f.s.dir);
    _cleanup_buf_ struct buf text = { 0 }, line = { 0 };
    _cleanup_sshkey_ struct sshkey theirs;
    struct error err;
    scratch_read(&f.s, "theirs", &text);
    scratch_ok(sshkey_parse(text.data, text.len, &theirs, &err), &err);
    scratch_read(&f.s, "theirs.pub", &line);
    uint8_t public_key[CURVE_KEY_SIZE];
    scratch_ok(sshkey_public_parse(buf_str(&line), line.len - 1, public_key, &err), &err);
    assert_memory_equal(public_key, theirs.public_key, CURVE_KEY_SIZE);
    write_signers(&f, "*", "", &theirs);
    for (size_t i = 0; i < N_SIZES; i++) {
        _cleanup_buf_ struct buf armored = { 0 }, ours = { 0 };
        scratch_write(&f.s, "data", data, sizes[i]);
        scratch_run("cd %s && ssh-keygen -q -Y sign -f theirs -n bkd-head@v1 < data > sig 2>/dev/null", f.s.dir);
        scratch_read(&f.s, "sig", &armored);
        scratch_ok(verify(&f, "bkd-head@v1", data, sizes[i], &armored, &err), &err);
        // Ed25519 is deterministic: the same key gives the same bytes.
        sshsig_sign(&theirs, "bkd-head@v1", data, sizes[i], &ours);
        assert_int_equal(ours.len, armored.len);
        assert_memory_equal(ours.data, armored.data, ours.len);
    }
    free(data);
}

static void test_our_key_files(void **state)
{
    (void)state;
    need_ssh_keygen();
    _cleanup_fixture_ struct fixture f;
    fixture_init(&f);
    // ssh-keygen reads our private key file, and finds the same public key and fingerprint in it.
    _cleanup_buf_ struct buf theirs = { 0 }, ours = { 0 }, text = { 0 };
    scratch_run("cd %s && ssh-keygen -y -f key > pub && ssh-keygen -l -f pub > fingerprint", f.s.dir);
    scratch_read(&f.s, "pub", &theirs);
    sshkey_public_format(f.key.public_key, "bkd test", &ours);
    buf_add_char(&ours, '\n');
    assert_string_equal(buf_str(&ours), buf_str(&theirs));
    char fingerprint[SSHKEY_FINGERPRINT_SIZE];
    sshkey_fingerprint(f.key.public_key, fingerprint);
    scratch_read(&f.s, "fingerprint", &text);
    assert_non_null(strstr(buf_str(&text), fingerprint));
    // Written by ssh-keygen, line for line as we write it but for the check number.
    _cleanup_sshkey_ struct sshkey again;
    struct error err;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/key", f.s.dir);
    scratch_ok(sshkey_load(io_real(), AT_FDCWD, path, &again, &err), &err);
    assert_memory_equal(&again, &f.key, sizeof again);
    scratch_run("chmod 644 %s", path);
    assert_int_equal(sshkey_load(io_real(), AT_FDCWD, path, &again, &err), ERROR_KEY);
}

static void test_other_keys_are_refused(void **state)
{
    (void)state;
    need_ssh_keygen();
    _cleanup_scratch_ struct scratch s = scratch_new();
    static const struct {
        const char *arguments;
        int code;
        const char *says;
    } cases[] = {
        { "-t ed25519 -N secret", ERROR_KEY, "passphrase" },
        { "-t ecdsa -N ''", ERROR_KEY, "another type" },
        { "-t rsa -b 2048 -m PEM -N ''", ERROR_FORMAT, "not an OpenSSH private key" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        _cleanup_buf_ struct buf text = { 0 };
        struct sshkey key;
        struct error err;
        scratch_run("cd %s && rm -f k k.pub && ssh-keygen -q %s -C c -f k", s.dir, cases[i].arguments);
        scratch_read(&s, "k", &text);
        assert_int_equal(sshkey_parse(text.data, text.len, &key, &err), cases[i].code);
        assert_non_null(strstr(err.text, cases[i].says));
    }
}

// A private key file with a byte of its text changed is refused, or is the same key (comment and check number differ only); cut off, it is refused.
static void test_damaged_key_files(void **state)
{
    (void)state;
    struct sshkey key, got;
    struct error err;
    sshkey_new(io_real(), &key);
    _cleanup_buf_ struct buf text = { 0 };
    sshkey_format(io_real(), &key, "c", &text);
    for (size_t i = 0; i < text.len; i++) {
        if (i + 1 < text.len) // without its last LF it is still whole
            assert_int_equal(sshkey_parse(text.data, i, &got, &err), ERROR_FORMAT);
        uint8_t old = text.data[i];
        text.data[i] = old == 'A' ? 'B' : 'A';
        if (sshkey_parse(text.data, text.len, &got, &err) == 0)
            assert_memory_equal(&got, &key, sizeof key);
        text.data[i] = old;
    }
    scratch_ok(sshkey_parse(text.data, text.len, &got, &err), &err);
}

static void test_refused(void **state)
{
    (void)state;
    _cleanup_fixture_ struct fixture f;
    fixture_init(&f);
    struct error err;
    _cleanup_buf_ struct buf armored = { 0 };
    sshsig_sign(&f.key, "bkd-head@v1", "head", 4, &armored);
    scratch_ok(verify(&f, "bkd-head@v1", "head", 4, &armored, &err), &err);

    assert_int_equal(verify(&f, "bkd-head@v1", "Head", 4, &armored, &err), ERROR_INTEGRITY); // other bytes
    assert_int_equal(verify(&f, "bkd-head@v1", "head2", 5, &armored, &err), ERROR_INTEGRITY);
    assert_int_equal(verify(&f, "bkd-record@v1", "head", 4, &armored, &err), ERROR_INTEGRITY); // made for another purpose
    assert_non_null(strstr(err.text, "purpose"));
    _cleanup_buf_ struct buf other_use = { 0 }, other_key = { 0 };
    sshsig_sign(&f.key, "bkd-retention@v1", "head", 4, &other_use); // a purpose the key may not sign for
    assert_int_equal(verify(&f, "bkd-retention@v1", "head", 4, &other_use, &err), ERROR_INTEGRITY);
    assert_non_null(strstr(err.text, "may not sign"));
    struct sshkey stranger;
    sshkey_new(io_real(), &stranger);
    sshsig_sign(&stranger, "bkd-head@v1", "head", 4, &other_key);
    assert_int_equal(verify(&f, "bkd-head@v1", "head", 4, &other_key, &err), ERROR_INTEGRITY);
    assert_non_null(strstr(err.text, "not among the signers"));

    const struct signers_entry *entry = NULL;
    assert_int_equal(sshsig_verify(&f.signers, "somebody@else", "bkd-head@v1", NOW, "head", 4, armored.data, armored.len, &entry, &err), ERROR_INTEGRITY);
    scratch_ok(sshsig_verify(&f.signers, "bkd@host", "bkd-head@v1", NOW, "head", 4, armored.data, armored.len, &entry, &err), &err);
    assert_string_equal(entry->principals, "bkd@host");
    assert_int_equal(entry->line, 2);
    uint8_t who[CURVE_KEY_SIZE];
    scratch_ok(sshsig_check("bkd-head@v1", "head", 4, other_key.data, other_key.len, who, &err), &err);
    assert_memory_equal(who, stranger.public_key, sizeof who);
}

// Every byte of the armour changed; cut anywhere; anything added: refused.
static void test_one_encoding_only(void **state)
{
    (void)state;
    _cleanup_fixture_ struct fixture f;
    fixture_init(&f);
    struct error err;
    _cleanup_buf_ struct buf good = { 0 };
    sshsig_sign(&f.key, "bkd-head@v1", "head", 4, &good);
    for (size_t i = 0; i < good.len; i++) {
        _cleanup_buf_ struct buf bad = { 0 };
        buf_add(&bad, good.data, i);
        assert_true(verify(&f, "bkd-head@v1", "head", 4, &bad, &err) < 0);
        for (int bit = 0; bit < 8; bit++) {
            good.data[i] ^= (uint8_t)(1 << bit);
            int r = verify(&f, "bkd-head@v1", "head", 4, &good, &err);
            assert_true(r == ERROR_FORMAT || r == ERROR_INTEGRITY);
            good.data[i] ^= (uint8_t)(1 << bit);
        }
        static const char *const extra[] = { "\n", " ", "=", "A", "\r" };
        for (size_t k = 0; k < sizeof extra / sizeof *extra; k++) {
            buf_reset(&bad);
            buf_add(&bad, good.data, i);
            buf_add_str(&bad, extra[k]);
            buf_add(&bad, good.data + i, good.len - i);
            assert_true(verify(&f, "bkd-head@v1", "head", 4, &bad, &err) < 0);
        }
    }
    static const char *const after[] = { "\n", "x", "-----BEGIN SSH SIGNATURE-----\n" };
    for (size_t k = 0; k < sizeof after / sizeof *after; k++) {
        _cleanup_buf_ struct buf bad = { 0 };
        buf_add(&bad, good.data, good.len);
        buf_add_str(&bad, after[k]);
        assert_int_equal(verify(&f, "bkd-head@v1", "head", 4, &bad, &err), ERROR_FORMAT);
    }
    uint8_t large[SSHSIG_ARMOR_MAX + 1] = { 0 };
    struct buf big = { .data = large, .len = sizeof large, .cap = sizeof large };
    assert_int_equal(verify(&f, "bkd-head@v1", "head", 4, &big, &err), ERROR_FORMAT);
}

// A signature put together by hand with one field exchanged; the key truly signs it each time.
struct fields {
    const char *magic, *key_type, *reserved, *hash, *signature_type, *tail;
    uint32_t version;
};

static void put_text(struct buf *b, const char *text)
{
    put_u32be(buf_extend(b, 4), (uint32_t)strlen(text));
    buf_add_str(b, text);
}

static void put_buf(struct buf *b, const struct buf *part)
{
    put_u32be(buf_extend(b, 4), (uint32_t)part->len);
    buf_add(b, part->data, part->len);
}

static void forge(const struct sshkey *key, const struct fields *x, struct buf *ret_armored)
{
    _cleanup_buf_ struct buf message = { 0 }, blob = { 0 }, signature = { 0 }, raw = { 0 };
    uint8_t digest[64], bytes[64];
    struct buf d = { .data = digest, .len = strcmp(x->hash, "sha256") == 0 ? 32 : 64 }, b = { .data = bytes, .len = 64 };
    struct buf k = { .data = (uint8_t *)key->public_key, .len = 32 };
    if (d.len == 32)
        crypto_sha256("head", 4, digest);
    else
        crypto_sha512("head", 4, digest);
    buf_add_str(&message, "SSHSIG");
    put_text(&message, "bkd-head@v1");
    put_text(&message, x->reserved);
    put_text(&message, x->hash);
    put_buf(&message, &d);
    curve_ed25519_sign(key->secret, message.data, message.len, bytes);
    put_text(&blob, x->key_type);
    put_buf(&blob, &k);
    put_text(&signature, x->signature_type);
    put_buf(&signature, &b);
    buf_add_str(&raw, x->magic);
    put_u32be(buf_extend(&raw, 4), x->version);
    put_buf(&raw, &blob);
    put_text(&raw, "bkd-head@v1");
    put_text(&raw, x->reserved);
    put_text(&raw, x->hash);
    put_buf(&raw, &signature);
    buf_add_str(&raw, x->tail);
    char text[1024];
    size_t len = base64_encode(text, raw.data, raw.len, true);
    buf_add_str(ret_armored, SSHSIG_BEGIN);
    for (size_t at = 0; at < len; at += 70)
        buf_addf(ret_armored, "%.*s\n", (int)(len - at < 70 ? len - at : 70), text + at);
    buf_add_str(ret_armored, "-----END SSH SIGNATURE-----\n");
}

static void test_swapped_fields(void **state)
{
    (void)state;
    _cleanup_fixture_ struct fixture f;
    fixture_init(&f);
    struct error err;
    const struct fields good = { "SSHSIG", "ssh-ed25519", "", "sha512", "ssh-ed25519", "", 1 };
    struct fields cases[] = { good, good, good, good, good, good, good, good };
    cases[1].magic = "SSHSIK";
    cases[2].version = 2;
    cases[3].key_type = "ssh-rsa";
    cases[4].reserved = "x";
    cases[5].hash = "sha256"; // ssh-keygen would accept this one
    cases[6].signature_type = "ssh-rsa";
    cases[7].tail = "x";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        _cleanup_buf_ struct buf armored = { 0 };
        forge(&f.key, &cases[i], &armored);
        int r = verify(&f, "bkd-head@v1", "head", 4, &armored, &err);
        if (r != (i == 0 ? 0 : ERROR_FORMAT))
            fail_msg("case %zu: %d %s", i, r, err.text);
    }
}

static void test_split(void **state)
{
    (void)state;
    size_t len = 99;
    const char *text = "bkd-head/1\nx-note -----BEGIN SSH SIGNATURE-----\n-----BEGIN SSH SIGNATURE-----\nAAAA\n";
    assert_true(sshsig_split(text, strlen(text), &len));
    assert_int_equal(len, strlen("bkd-head/1\nx-note -----BEGIN SSH SIGNATURE-----\n"));
    assert_true(sshsig_split(SSHSIG_BEGIN, strlen(SSHSIG_BEGIN), &len));
    assert_int_equal(len, 0);
    assert_false(sshsig_split(SSHSIG_BEGIN, strlen(SSHSIG_BEGIN) - 1, &len)); // its LF is missing
    assert_false(sshsig_split("bkd-head/1\n", 11, &len));
    assert_false(sshsig_split("", 0, &len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ours_verified_by_ssh_keygen), cmocka_unit_test(test_ssh_keygens_verified_by_us),
        cmocka_unit_test(test_our_key_files),               cmocka_unit_test(test_other_keys_are_refused),
        cmocka_unit_test(test_damaged_key_files),           cmocka_unit_test(test_refused),
        cmocka_unit_test(test_one_encoding_only),           cmocka_unit_test(test_swapped_fields),
        cmocka_unit_test(test_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
