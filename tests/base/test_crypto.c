// Known answers of the RFCs; ChaCha20-Poly1305 against libsodium's as an independent second implementation.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"
#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"

static void assert_hex(const uint8_t *bytes, size_t n, const char *hex)
{
    char text[2 * 128 + 1];
    assert_true(n <= 128);
    format_hex(text, bytes, n);
    assert_string_equal(text, hex);
}

static void from_hex(const char *hex, uint8_t *ret_bytes)
{
    assert_true(parse_hex(hex, strlen(hex), ret_bytes, strlen(hex) / 2));
}

static void test_digests(void **state)
{
    (void)state;
    uint8_t d[64];
    crypto_sha256(NULL, 0, d);
    assert_hex(d, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    crypto_sha256("abc", 3, d);
    assert_hex(d, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    crypto_sha512("abc", 3, d);
    assert_hex(d, 64, "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

static void test_digest_in_parts(void **state)
{
    (void)state;
    uint8_t data[300], whole[32], parts[32];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    crypto_sha256(data, sizeof data, whole);
    _cleanup_crypto_sha256_ struct crypto_sha256 h = { 0 };
    crypto_sha256_init(&h);
    for (size_t cut = 0; cut <= sizeof data; cut += 13) {
        crypto_sha256_update(&h, data, cut);
        crypto_sha256_update(&h, data + cut, sizeof data - cut);
        crypto_sha256_final(&h, parts); // and starts anew
        assert_memory_equal(parts, whole, 32);
    }
    crypto_sha256_final(&h, parts);
    assert_hex(parts, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void test_hmac(void **state)
{
    (void)state;
    uint8_t mac[32], key[131];
    memset(key, 0x0b, 20);
    crypto_hmac_sha256(key, 20, "Hi There", 8, mac); // RFC 4231, 4.2
    assert_hex(mac, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    crypto_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, mac); // 4.3
    assert_hex(mac, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    crypto_hmac_sha256(key, sizeof key, "Test Using Larger Than Block-Size Key - Hash Key First", 54, mac); // 4.7
    assert_hex(mac, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void test_hkdf(void **state)
{
    (void)state;
    uint8_t ikm[80], salt[80], info[80], okm[82];
    memset(ikm, 0x0b, 22);
    for (int i = 0; i < 80; i++) {
        salt[i] = (uint8_t)i;
        info[i] = (uint8_t)(0xf0 + i);
    }
    crypto_hkdf_sha256(ikm, 22, salt, 13, info, 10, okm, 42); // RFC 5869, A.1
    assert_hex(okm, 42, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    crypto_hkdf_sha256(ikm, 22, NULL, 0, NULL, 0, okm, 42); // A.3
    assert_hex(okm, 42, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
    for (int i = 0; i < 80; i++) {
        ikm[i] = (uint8_t)i;
        salt[i] = (uint8_t)(0x60 + i);
        info[i] = (uint8_t)(0xb0 + i);
    }
    crypto_hkdf_sha256(ikm, 80, salt, 80, info, 80, okm, 82); // A.2
    assert_hex(okm, 82,
               "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
               "cc30c58179ec3e87c14c01d5c1f3434f1d87");
}

static void test_aead_against_libsodium(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 15, 16, 17, 63, 64, 65, 255, 256, 1000, 65535, 65536 };
    uint8_t key[32], nonce[12];
    uint8_t *data = xmalloc(65536), *ours = xmalloc(65552), *theirs = xmalloc(65552), *back = xmalloc(65536);
    for (size_t i = 0; i < 32; i++)
        key[i] = (uint8_t)(i * 11);
    for (size_t i = 0; i < 65536; i++)
        data[i] = (uint8_t)(i * 31 >> 3);
    _cleanup_crypto_aead_ struct crypto_aead seal = { 0 }, open = { 0 };
    crypto_aead_init(&seal, CRYPTO_SEAL, key);
    crypto_aead_init(&open, CRYPTO_OPEN, key);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i];
        unsigned long long len = 0;
        memset(nonce, (int)i, sizeof nonce);
        crypto_aead_seal(&seal, nonce, data, n, ours);
        assert_int_equal(crypto_aead_chacha20poly1305_ietf_encrypt(theirs, &len, data, n, NULL, 0, NULL, nonce, key), 0);
        assert_int_equal(len, n + 16);
        assert_memory_equal(ours, theirs, n + 16);
        assert_true(crypto_aead_open(&open, nonce, ours, n + 16, back));
        assert_memory_equal(back, data, n);
    }
    // In place, both ways.
    memcpy(back, data, 1000);
    crypto_aead_seal(&seal, nonce, data, 1000, theirs);
    memcpy(ours, data, 1000);
    crypto_aead_seal(&seal, nonce, ours, 1000, ours);
    assert_memory_equal(ours, theirs, 1016);
    assert_true(crypto_aead_open(&open, nonce, ours, 1016, ours));
    assert_memory_equal(ours, data, 1000);
    free(data);
    free(ours);
    free(theirs);
    free(back);
}

static void test_aead_refuses(void **state)
{
    (void)state;
    const uint8_t key[32] = { 1 }, nonce[12] = { 2 }, zeros[100] = { 0 };
    uint8_t data[100], sealed[116], back[100];
    memset(data, 'x', sizeof data);
    _cleanup_crypto_aead_ struct crypto_aead seal = { 0 }, open = { 0 };
    crypto_aead_init(&seal, CRYPTO_SEAL, key);
    crypto_aead_init(&open, CRYPTO_OPEN, key);
    crypto_aead_seal(&seal, nonce, data, sizeof data, sealed);
    for (size_t bit = 0; bit < 8 * sizeof sealed; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        memset(back, 'y', sizeof back);
        assert_false(crypto_aead_open(&open, nonce, sealed, sizeof sealed, back));
        assert_memory_equal(back, zeros, sizeof back); // nothing unauthenticated gets out
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < sizeof sealed; n++)
        assert_false(crypto_aead_open(&open, nonce, sealed, n, back));
    assert_true(crypto_aead_open(&open, nonce, sealed, sizeof sealed, back)); // a refusal leaves the context usable
}

static void test_blockhash(void **state)
{
    (void)state;
    uint8_t key[32], tag[16], other[16], block[4096] = { 0 };
    from_hex("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b", key); // RFC 8439, 2.5.2
    _cleanup_crypto_blockhash_ struct crypto_blockhash h = { 0 };
    crypto_blockhash_init(&h, key);
    for (int i = 0; i < 3; i++) { // the same each time: nothing carries over
        crypto_blockhash_run(&h, "Cryptographic Forum Research Group", 34, tag);
        assert_hex(tag, 16, "a8061dc1305136c6c22b8baf0c0127a9");
    }
    crypto_blockhash_run(&h, block, sizeof block, tag);
    for (size_t i = 0; i < sizeof block; i += 97) {
        block[i] ^= 1;
        crypto_blockhash_run(&h, block, sizeof block, other);
        assert_memory_not_equal(tag, other, 16);
        block[i] ^= 1;
    }
    crypto_blockhash_run(&h, block, sizeof block - 1, other);
    assert_memory_not_equal(tag, other, 16);
}

static void test_scrypt(void **state)
{
    (void)state;
    uint8_t key[64];
    struct error err;
    assert_int_equal(crypto_scrypt("pleaseletmein", 13, "SodiumChloride", 14, 14, key, 64, &err), 0); // RFC 7914, 12
    assert_hex(key, 64, "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887");
    assert_int_equal(crypto_scrypt("p", 1, "s", 1, 0, key, 32, &err), ERROR_FORMAT);
    assert_int_equal(crypto_scrypt("p", 1, "s", 1, 23, key, 32, &err), ERROR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digests),
        cmocka_unit_test(test_digest_in_parts),
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_hkdf),
        cmocka_unit_test(test_aead_against_libsodium),
        cmocka_unit_test(test_aead_refuses),
        cmocka_unit_test(test_blockhash),
        cmocka_unit_test(test_scrypt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
