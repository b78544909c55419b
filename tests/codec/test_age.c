// age: every vector of the test kit classified as it says; both directions against the age command; ranges; sizes.
// BKD_AGE_VECTORS names another folder of vectors than tests/vectors/age.
#include "scratch.h"

#include <dirent.h>
#include <zlib.h>

#include "bkd/base/bytes.h"
#include "bkd/codec/age.h"

static void source_path(char *ret_path, size_t cap, const char *below)
{
    const char *srcdir = getenv("srcdir");
    (void)snprintf(ret_path, cap, "%s/tests/vectors/%s", srcdir == NULL ? "." : srcdir, below);
}

static void read_path(const char *path, struct buf *ret_data)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char chunk[65536];
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, file)) > 0;)
        buf_add(ret_data, chunk, n);
    assert_int_equal(fclose(file), 0);
}

// ---- vectors

struct vector {
    char expect[32], payload[65], passphrase[64];
    struct age_identity identities[4];
    size_t n_identities;
    struct buf file;
};

static void inflate_into(const uint8_t *data, size_t n, struct buf *ret_data)
{
    uLongf cap = 32u << 20;
    uint8_t *plain = xmalloc(cap);
    assert_int_equal(uncompress(plain, &cap, data, n), Z_OK);
    buf_add(ret_data, plain, cap);
    free(plain);
}

static void parse_vector(const struct buf *text, struct vector *v)
{
    struct cursor c = cursor_of(text->data, text->len);
    const char *line;
    size_t len;
    bool compressed = false;
    struct error err;
    while (cursor_line(&c, &line, &len) && len > 0) {
        const char *value = memmem(line, len, ": ", 2);
        assert_non_null(value);
        int key_len = (int)(value - line), value_len = (int)(len - (size_t)key_len - 2);
        value += 2;
        if (strncmp(line, "expect", (size_t)key_len) == 0)
            (void)snprintf(v->expect, sizeof v->expect, "%.*s", value_len, value);
        else if (strncmp(line, "payload", (size_t)key_len) == 0)
            (void)snprintf(v->payload, sizeof v->payload, "%.*s", value_len, value);
        else if (strncmp(line, "passphrase", (size_t)key_len) == 0)
            (void)snprintf(v->passphrase, sizeof v->passphrase, "%.*s", value_len, value);
        else if (strncmp(line, "compressed", (size_t)key_len) == 0)
            compressed = true;
        else if (strncmp(line, "identity", (size_t)key_len) == 0)
            scratch_ok(age_identity_parse(value, (size_t)value_len, &v->identities[v->n_identities++], &err), &err);
    }
    if (compressed)
        inflate_into(c.at, cursor_left(&c), &v->file);
    else
        buf_add(&v->file, c.at, cursor_left(&c));
}

// Decrypts as a stream, in steps of `step` bytes, and says what the test kit says.
static const char *classify(const struct vector *v, size_t step, char ret_payload[65])
{
    _cleanup_age_key_ struct age_key key = { 0 };
    _cleanup_buf_ struct buf plain = { 0 };
    struct error err;
    int r = ERROR_KEY;
    if (v->n_identities > 0 || *v->passphrase == '\0')
        r = age_unwrap(v->file.data, v->file.len, v->identities, v->n_identities, &key, &err);
    if (r == ERROR_KEY && *v->passphrase != '\0')
        r = age_unwrap_passphrase(v->file.data, v->file.len, v->passphrase, &key, &err);
    if (r == ERROR_KEY)
        return "no match";
    if (r < 0) {
        assert_true(r == ERROR_FORMAT || r == ERROR_INTEGRITY);
        return r == ERROR_FORMAT ? "header failure" : "HMAC failure";
    }
    size_t offset = 0;
    assert_true(age_header_size(v->file.data, v->file.len, &offset));
    assert_int_equal(offset, key.payload_offset);
    _cleanup_age_decrypt_ struct age_decrypt d;
    age_decrypt_init(&d, &key);
    for (size_t at = offset; at < v->file.len && r == 0; at += step)
        r = age_decrypt_update(&d, v->file.data + at, v->file.len - at < step ? v->file.len - at : step, &plain, &err);
    if (r == 0)
        r = age_decrypt_final(&d, &plain, &err);
    uint8_t digest[32];
    crypto_sha256(plain.data, plain.len, digest);
    format_hex(ret_payload, digest, sizeof digest);
    if (r < 0)
        assert_int_equal(r, ERROR_INTEGRITY);
    return r < 0 ? "payload failure" : "success";
}

static void test_vectors(void **state)
{
    (void)state;
    char folder[512], path[1024];
    source_path(folder, sizeof folder, "age");
    const char *other = getenv("BKD_AGE_VECTORS");
    DIR *dir = opendir(other != NULL ? other : folder);
    if (dir == NULL)
        skip();
    size_t ran = 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", other != NULL ? other : folder, e->d_name);
        _cleanup_buf_ struct buf text = { 0 };
        struct vector v = { 0 };
        read_path(path, &text);
        parse_vector(&text, &v);
        static const size_t steps[] = { 1u << 30, 65552, 70001, 4096 };
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            char payload[65] = "";
            const char *got = classify(&v, steps[i], payload);
            if (strcmp(got, v.expect) != 0)
                fail_msg("%s: '%s' instead of '%s'", e->d_name, got, v.expect);
            if (strcmp(payload, v.payload) != 0)
                fail_msg("%s in steps of %zu: released plaintext differs", e->d_name, steps[i]);
        }
        ran++;
        buf_done(&v.file);
    }
    (void)closedir(dir);
    print_message("             %zu age vectors classified as they say\n", ran);
    assert_true(ran >= 56);
}

// ---- our own encryption

static void encrypt(const struct age_recipient *recipients, size_t n_recipients, const uint8_t *data, size_t n, size_t step, struct buf *ret_file)
{
    struct error err;
    _cleanup_age_encrypt_ struct age_encrypt e = { 0 };
    scratch_ok(age_encrypt_begin(io_real(), recipients, n_recipients, ret_file, &e, &err), &err);
    for (size_t at = 0; at < n; at += step)
        age_encrypt_update(&e, data + at, n - at < step ? n - at : step, ret_file);
    age_encrypt_final(&e, ret_file);
    assert_int_equal(ret_file->len, age_stored_size(n_recipients, n));
}

static void decrypt(const struct age_identity *identity, const struct buf *file, struct buf *ret_plain)
{
    struct error err;
    _cleanup_age_key_ struct age_key key = { 0 };
    scratch_ok(age_unwrap(file->data, file->len, identity, 1, &key, &err), &err);
    _cleanup_age_decrypt_ struct age_decrypt d;
    age_decrypt_init(&d, &key);
    scratch_ok(age_decrypt_update(&d, file->data + key.payload_offset, file->len - key.payload_offset, ret_plain, &err), &err);
    scratch_ok(age_decrypt_final(&d, ret_plain, &err), &err);
}

static const size_t sizes[] = { 0, 1, 65535, 65536, 65537, 131072, 200000 };
#define N_SIZES (sizeof sizes / sizeof *sizes)

static void test_own_round_trip(void **state)
{
    (void)state;
    static const size_t steps[] = { 1, 1000, 65536, 65537, 1u << 20 };
    uint64_t random = 42;
    uint8_t *data = xmalloc(200000);
    scratch_fill(&random, data, 200000);
    struct age_identity identity;
    age_identity_new(io_real(), &identity);
    for (size_t i = 0; i < N_SIZES; i++) {
        for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
            _cleanup_buf_ struct buf file = { 0 }, plain = { 0 };
            encrypt(&identity.recipient, 1, data, sizes[i], steps[k], &file);
            decrypt(&identity, &file, &plain);
            assert_int_equal(plain.len, sizes[i]);
            if (sizes[i] > 0)
                assert_memory_equal(plain.data, data, sizes[i]);
        }
    }
    free(data);
}

// Reads a range with random access only.
static void read_range(const struct age_key *key, const struct buf *file, uint64_t plain_size, uint64_t offset, uint64_t length, struct buf *ret_plain)
{
    struct error err;
    struct age_span span;
    assert_true(age_span(key->payload_offset, plain_size, offset, length, &span));
    assert_true(span.stored_offset + span.stored_size <= file->len);
    _cleanup_age_decrypt_ struct age_decrypt d;
    age_decrypt_init(&d, key);
    _cleanup_buf_ struct buf chunks = { 0 };
    const uint8_t *at = file->data + span.stored_offset;
    uint64_t left = span.stored_size;
    for (uint64_t i = 0; i < span.chunks; i++) {
        size_t n = left < AGE_SEALED_SIZE ? (size_t)left : AGE_SEALED_SIZE;
        uint64_t index = span.first_chunk + i;
        scratch_ok(age_decrypt_chunk(&d, index, index == span.last_chunk, at, n, buf_extend(&chunks, n - 16), &err), &err);
        at += n;
        left -= n;
    }
    assert_int_equal(left, 0);
    if (length > 0)
        buf_add(ret_plain, chunks.data + span.skip, length);
}

static void test_ranges(void **state)
{
    (void)state;
    uint64_t random = 7;
    uint8_t *data = xmalloc(200000);
    scratch_fill(&random, data, 200000);
    struct age_identity identity;
    struct error err;
    age_identity_new(io_real(), &identity);
    for (size_t i = 0; i < N_SIZES; i++) {
        _cleanup_buf_ struct buf file = { 0 };
        _cleanup_age_key_ struct age_key key = { 0 };
        encrypt(&identity.recipient, 1, data, sizes[i], 1u << 20, &file);
        // Header and nonce are enough to open it.
        size_t offset = 0;
        assert_true(age_header_size(file.data, file.len, &offset));
        assert_false(age_header_size(file.data, offset - 1, &offset));
        scratch_ok(age_unwrap(file.data, offset, &identity, 1, &key, &err), &err);
        uint64_t size = 0;
        assert_true(age_plain_size(file.len, key.payload_offset, &size));
        assert_int_equal(size, sizes[i]);
        for (int k = 0; k < 50; k++) {
            uint64_t from = scratch_random(&random) % (size + 1), length = scratch_random(&random) % (size - from + 1);
            _cleanup_buf_ struct buf part = { 0 };
            read_range(&key, &file, size, from, length, &part);
            assert_int_equal(part.len, length);
            if (length > 0)
                assert_memory_equal(part.data, data + from, length);
        }
        struct age_span span;
        assert_false(age_span(key.payload_offset, size, size + 1, 0, &span));
        assert_false(age_span(key.payload_offset, size, 0, size + 1, &span));
        assert_false(age_span(key.payload_offset, size, 1, UINT64_MAX, &span));
    }
    free(data);
}

static void test_sizes(void **state)
{
    (void)state;
    uint64_t size = 0;
    for (uint64_t plain = 0; plain < 5 * 65536; plain += plain % 65536 > 3 && plain % 65536 < 65530 ? 65526 : 1) {
        assert_true(age_plain_size(age_stored_size(3, plain), 70 + 3 * 98 + 16, &size));
        assert_int_equal(size, plain);
    }
    assert_int_equal(age_stored_size(1, 0), 168 + 16 + 16);
    for (size_t n = 0; n < 16; n++)
        assert_false(age_plain_size(184 + n, 184, &size));
    // A second chunk without a byte of plaintext, or with less than a tag.
    for (size_t n = 1; n <= 16; n++)
        assert_false(age_plain_size(184 + 65552 + n, 184, &size));
    assert_true(age_plain_size(184 + 65552 + 17, 184, &size));
    assert_int_equal(size, 65537);
    assert_false(age_plain_size(100, 184, &size));
}

// A chunk is authentic only in its place, with the right mark of the end, whole.
static void test_chunks_in_other_places(void **state)
{
    (void)state;
    uint8_t data[131073] = { 0 }, out[AGE_CHUNK_SIZE];
    struct age_identity identity;
    struct error err;
    age_identity_new(io_real(), &identity);
    _cleanup_buf_ struct buf file = { 0 };
    _cleanup_age_key_ struct age_key key = { 0 };
    encrypt(&identity.recipient, 1, data, sizeof data, 1u << 20, &file);
    scratch_ok(age_unwrap(file.data, file.len, &identity, 1, &key, &err), &err);
    const uint8_t *first = file.data + key.payload_offset;
    _cleanup_age_decrypt_ struct age_decrypt d;
    age_decrypt_init(&d, &key);
    scratch_ok(age_decrypt_chunk(&d, 1, false, first + AGE_SEALED_SIZE, AGE_SEALED_SIZE, out, &err), &err); // in any order
    scratch_ok(age_decrypt_chunk(&d, 0, false, first, AGE_SEALED_SIZE, out, &err), &err);
    scratch_ok(age_decrypt_chunk(&d, 2, true, first + 2 * AGE_SEALED_SIZE, 17, out, &err), &err);
    assert_int_equal(age_decrypt_chunk(&d, 1, false, first, AGE_SEALED_SIZE, out, &err), ERROR_INTEGRITY);
    assert_int_equal(age_decrypt_chunk(&d, 0, true, first, AGE_SEALED_SIZE, out, &err), ERROR_INTEGRITY);
    assert_int_equal(age_decrypt_chunk(&d, 0, false, first, AGE_SEALED_SIZE - 1, out, &err), ERROR_INTEGRITY);
    assert_int_equal(age_decrypt_chunk(&d, 2, false, first + 2 * AGE_SEALED_SIZE, 17, out, &err), ERROR_INTEGRITY);
    assert_int_equal(age_decrypt_chunk(&d, 2, true, first + 2 * AGE_SEALED_SIZE, 16, out, &err), ERROR_INTEGRITY);
    assert_int_equal(age_decrypt_chunk(&d, UINT64_C(1) << 32, false, first, AGE_SEALED_SIZE, out, &err), ERROR_INTEGRITY);
}

// A byte flipped anywhere, or the file cut anywhere in or near its header: never a success, never plaintext that was not there.
static void test_damage(void **state)
{
    (void)state;
    struct age_identity identities[2];
    struct age_recipient recipients[2];
    struct error err;
    for (int i = 0; i < 2; i++) {
        age_identity_new(io_real(), &identities[i]);
        recipients[i] = identities[i].recipient;
    }
    _cleanup_buf_ struct buf file = { 0 };
    encrypt(recipients, 2, (const uint8_t *)"hello", 5, 5, &file);
    for (size_t i = 0; i < 2 * file.len; i++) {
        bool flip = i < file.len;
        size_t at = flip ? i : i - file.len;
        _cleanup_buf_ struct buf bad = { 0 }, plain = { 0 };
        buf_add(&bad, file.data, flip ? file.len : at);
        if (flip)
            bad.data[at] ^= 0x01;
        _cleanup_age_key_ struct age_key key = { 0 };
        int r = age_unwrap(bad.data, bad.len, &identities[1], 1, &key, &err);
        if (r == 0) {
            _cleanup_age_decrypt_ struct age_decrypt d;
            age_decrypt_init(&d, &key);
            r = age_decrypt_update(&d, bad.data + key.payload_offset, bad.len - key.payload_offset, &plain, &err);
            if (r == 0)
                r = age_decrypt_final(&d, &plain, &err);
        }
        assert_true(r == ERROR_FORMAT || r == ERROR_INTEGRITY || r == ERROR_KEY);
        assert_int_equal(plain.len, 0);
    }
}

static void test_header_limits(void **state)
{
    (void)state;
    struct age_identity identity;
    struct age_key key;
    struct error err;
    age_identity_new(io_real(), &identity);
    _cleanup_buf_ struct buf many = { 0 }, large = { 0 };
    buf_add_str(&many, "age-encryption.org/v1\n");
    for (int i = 0; i < AGE_STANZAS_MAX + 1; i++)
        buf_add_str(&many, "-> other x\n\n");
    buf_add_str(&many, "--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
    assert_int_equal(age_unwrap(many.data, many.len, &identity, 1, &key, &err), ERROR_FORMAT);
    assert_non_null(strstr(err.text, "more than 128"));
    buf_add_str(&large, "age-encryption.org/v1\n-> other x\n");
    while (large.len <= AGE_HEADER_MAX)
        buf_add_str(&large, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
    buf_add_str(&large, "\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
    assert_int_equal(age_unwrap(large.data, large.len, &identity, 1, &key, &err), ERROR_FORMAT);

    struct age_recipient low = { { 1 } }, many_recipients[AGE_RECIPIENTS_MAX + 1];
    _cleanup_buf_ struct buf header = { 0 };
    struct age_encrypt e;
    for (size_t i = 0; i <= AGE_RECIPIENTS_MAX; i++)
        many_recipients[i] = identity.recipient;
    assert_int_equal(age_encrypt_begin(io_real(), &low, 1, &header, &e, &err), ERROR_KEY);
    assert_int_equal(age_encrypt_begin(io_real(), NULL, 0, &header, &e, &err), ERROR_KEY);
    assert_int_equal(age_encrypt_begin(io_real(), many_recipients, AGE_RECIPIENTS_MAX + 1, &header, &e, &err), ERROR_KEY);
    assert_int_equal(header.len, 0);
}

// No two files share anything random.
static void test_nothing_is_reused(void **state)
{
    (void)state;
    struct age_identity identity;
    age_identity_new(io_real(), &identity);
    _cleanup_buf_ struct buf a = { 0 }, b = { 0 };
    encrypt(&identity.recipient, 1, (const uint8_t *)"same", 4, 4, &a);
    encrypt(&identity.recipient, 1, (const uint8_t *)"same", 4, 4, &b);
    assert_memory_not_equal(a.data + 32, b.data + 32, 43);   // ephemeral share
    assert_memory_not_equal(a.data + 76, b.data + 76, 43);   // wrapped file key
    assert_memory_not_equal(a.data + 168, b.data + 168, 16); // nonce
    assert_memory_not_equal(a.data + 184, b.data + 184, 20);
    // And two stanzas of one file neither.
    struct age_recipient twice[2] = { identity.recipient, identity.recipient };
    _cleanup_buf_ struct buf c = { 0 };
    encrypt(twice, 2, (const uint8_t *)"same", 4, 4, &c);
    assert_memory_not_equal(c.data + 32, c.data + 32 + 98, 43);
}

static void test_key_texts(void **state)
{
    (void)state;
    const char *secret = "AGE-SECRET-KEY-1PPYT78QUJMCNZA282NFH0JSPAKF4E8VL70TKZK7GJRXN82QRHW2SX7E3FP";
    const char *public_key = "age12czmw7fqe9x6ltfsdgeeslt9fsqed9lfhuw9576t5cnhw2r3t5gs6npaj0"; // age-keygen -y says so
    char text[AGE_IDENTITY_TEXT_SIZE], lower[AGE_IDENTITY_TEXT_SIZE];
    struct age_identity identity;
    struct age_recipient recipient;
    struct error err;
    scratch_ok(age_identity_parse(secret, strlen(secret), &identity, &err), &err);
    age_identity_format(&identity, text);
    assert_string_equal(text, secret);
    age_recipient_format(&identity.recipient, text);
    assert_string_equal(text, public_key);
    scratch_ok(age_recipient_parse(public_key, strlen(public_key), &recipient, &err), &err);
    assert_memory_equal(&recipient, &identity.recipient, sizeof recipient);

    for (size_t i = 0; i <= strlen(secret); i++)
        lower[i] = (char)(secret[i] >= 'A' && secret[i] <= 'Z' ? secret[i] + 32 : secret[i]);
    // What is the wrong way round is named; no error shows any part of a secret.
    const char *const wrong_recipients[] = { secret, lower, "age1pq1qqqqqq", "ssh-ed25519 AAAA", "", "AGE12CZMW7FQE9X6LTFSDGEESLT9FSQED9LFHUW9576T5CNHW2R3T5GS6NPAJ0",
                                             "age12czmw7fqe9x6ltfsdgeeslt9fsqed9lfhuw9576t5cnhw2r3t5gs6npaj9", "A12UEL5L" };
    for (size_t i = 0; i < sizeof wrong_recipients / sizeof *wrong_recipients; i++) {
        int r = age_recipient_parse(wrong_recipients[i], strlen(wrong_recipients[i]), &recipient, &err);
        assert_int_equal(r, i < 2 ? ERROR_KEY : ERROR_FORMAT);
        assert_null(strcasestr(err.text, "PPYT78"));
    }
    assert_int_equal(age_identity_parse(public_key, strlen(public_key), &identity, &err), ERROR_KEY);
    assert_non_null(strstr(err.text, "recipient"));
    for (size_t cut = 0; cut < strlen(secret); cut++) {
        assert_int_equal(age_identity_parse(secret, cut, &identity, &err), ERROR_FORMAT);
        assert_null(strcasestr(err.text, "PPYT78"));
    }
    assert_int_equal(age_identity_parse(lower, strlen(lower), &identity, &err), ERROR_FORMAT);
}

// ---- the age command

static void need_age(void)
{
    if (system("command -v age >/dev/null 2>&1 && command -v age-keygen >/dev/null 2>&1") != 0)
        skip();
}

static void test_with_the_age_command(void **state)
{
    (void)state;
    need_age();
    static const size_t counts[] = { 1, 2, 16 };
    _cleanup_scratch_ struct scratch s = scratch_new();
    uint64_t random = 99;
    uint8_t *data = xmalloc(200000);
    scratch_fill(&random, data, 200000);
    struct age_identity identities[16];
    struct age_recipient recipients[16];
    char text[AGE_IDENTITY_TEXT_SIZE], arguments[16 * 70] = "";
    for (size_t i = 0; i < 16; i++) {
        age_identity_new(io_real(), &identities[i]);
        recipients[i] = identities[i].recipient;
    }
    size_t pairs = 0;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        size_t n = counts[c];
        arguments[0] = '\0';
        for (size_t i = 0; i < n; i++) {
            age_recipient_format(&recipients[i], text);
            (void)snprintf(arguments + strlen(arguments), sizeof arguments - strlen(arguments), " -r %s", text);
        }
        age_identity_format(&identities[n - 1], text); // the last recipient opens it
        scratch_write(&s, "id", text, strlen(text));
        for (size_t i = 0; i < N_SIZES; i++) {
            _cleanup_buf_ struct buf ours = { 0 }, theirs = { 0 }, plain = { 0 }, back = { 0 };
            encrypt(recipients, n, data, sizes[i], 50000, &ours);
            scratch_write(&s, "ours.age", ours.data, ours.len);
            scratch_run("cd %s && age -d -i id ours.age > back", s.dir);
            scratch_read(&s, "back", &back);
            assert_int_equal(back.len, sizes[i]);
            if (sizes[i] > 0)
                assert_memory_equal(back.data, data, sizes[i]);
            scratch_write(&s, "plain", data, sizes[i]);
            scratch_run("cd %s && age%s -o theirs.age plain", s.dir, arguments);
            scratch_read(&s, "theirs.age", &theirs);
            assert_int_equal(theirs.len, age_stored_size(n, sizes[i]));
            decrypt(&identities[n - 1], &theirs, &plain);
            assert_int_equal(plain.len, sizes[i]);
            if (sizes[i] > 0)
                assert_memory_equal(plain.data, data, sizes[i]);
            pairs++;
        }
    }
    print_message("             %zu files each way with the age command\n", pairs);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),          cmocka_unit_test(test_own_round_trip),       cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_sizes),            cmocka_unit_test(test_chunks_in_other_places), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_header_limits),    cmocka_unit_test(test_nothing_is_reused),    cmocka_unit_test(test_key_texts),
        cmocka_unit_test(test_with_the_age_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
