// Known answers of RFC 7748 and RFC 8032, and what must be refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/curve.h"

static void from_hex(const char *hex, uint8_t *ret_bytes)
{
    assert_true(parse_hex(hex, strlen(hex), ret_bytes, strlen(hex) / 2));
}

static void test_x25519(void **state)
{
    (void)state;
    uint8_t secret[32], point[32], want[32], got[32];
    from_hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4", secret); // RFC 7748, 5.2
    from_hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c", point);
    from_hex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552", want);
    assert_true(curve_x25519_shared(secret, point, got));
    assert_memory_equal(got, want, 32);
    from_hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb", secret); // 6.1, Bob
    from_hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f", want);
    curve_x25519_public(secret, got);
    assert_memory_equal(got, want, 32);
    from_hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", point);
    from_hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742", want);
    assert_true(curve_x25519_shared(secret, point, got));
    assert_memory_equal(got, want, 32);
}

static void test_low_order_points(void **state)
{
    (void)state;
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000", "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800", "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    uint8_t secret[32], point[32], shared[32];
    curve_x25519_new(io_real(), secret);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        from_hex(points[i], point);
        assert_false(curve_x25519_shared(secret, point, shared));
    }
}

static void test_x25519_agrees(void **state)
{
    (void)state;
    uint8_t a[32], b[32], pa[32], pb[32], ab[32], ba[32];
    curve_x25519_new(io_real(), a);
    curve_x25519_new(io_real(), b);
    assert_memory_not_equal(a, b, 32);
    curve_x25519_public(a, pa);
    curve_x25519_public(b, pb);
    assert_true(curve_x25519_shared(a, pb, ab));
    assert_true(curve_x25519_shared(b, pa, ba));
    assert_memory_equal(ab, ba, 32);
}

static void test_ed25519(void **state)
{
    (void)state;
    static const struct {
        const char *seed, *public_key, *message, *signature;
    } cases[] = {
        // RFC 8032, 7.1, tests 1 and 2
        { "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
          "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b" },
        { "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
          "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t seed[32], want_public[32], want[64], public_key[32], secret[64], signature[64], message[8] = { 0 };
        size_t n = strlen(cases[i].message) / 2;
        from_hex(cases[i].seed, seed);
        from_hex(cases[i].public_key, want_public);
        from_hex(cases[i].signature, want);
        from_hex(cases[i].message, message);
        curve_ed25519_from_seed(seed, public_key, secret);
        assert_memory_equal(public_key, want_public, 32);
        curve_ed25519_sign(secret, message, n, signature);
        assert_memory_equal(signature, want, 64);
        assert_true(curve_ed25519_verify(public_key, message, n, signature));
        for (size_t bit = 0; bit < 512; bit++) {
            signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_false(curve_ed25519_verify(public_key, message, n, signature));
            signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        assert_false(curve_ed25519_verify(public_key, message, n + 1, signature));
        // S + L: the same signature in another form.
        static const uint8_t order[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10 };
        unsigned carry = 0;
        for (size_t k = 0; k < 32; k++) {
            carry += signature[32 + k] + order[k];
            signature[32 + k] = (uint8_t)carry;
            carry >>= 8;
        }
        assert_false(curve_ed25519_verify(public_key, message, n, signature));
    }
}

static void test_equal_and_wipe(void **state)
{
    (void)state;
    uint8_t a[40], b[40], zeros[40] = { 0 };
    memset(a, 5, sizeof a);
    memset(b, 5, sizeof b);
    assert_true(curve_equal(a, b, sizeof a));
    b[39] ^= 0x80;
    assert_false(curve_equal(a, b, sizeof a));
    assert_true(curve_equal(a, b, 39));
    curve_wipe(a, sizeof a);
    assert_memory_equal(a, zeros, sizeof a);
    curve_wipe(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_x25519), cmocka_unit_test(test_low_order_points), cmocka_unit_test(test_x25519_agrees),
        cmocka_unit_test(test_ed25519), cmocka_unit_test(test_equal_and_wipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
