// Bech32: the texts of BIP 173, round trips, every single mistyped character.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <string.h>

#include "bkd/codec/bech32.h"

static int decode(const char *text, size_t len)
{
    char prefix[BECH32_PREFIX_MAX + 1];
    uint8_t data[512];
    size_t n;
    struct error err;
    int r = bech32_decode(text, len, prefix, data, sizeof data, &n, &err);
    if (r == 0) { // what was decoded gives the same text again
        _cleanup_buf_ struct buf again = { 0 };
        bech32_encode(prefix, data, n, &again);
        assert_int_equal(again.len, len);
        assert_memory_equal(again.data, text, len);
    }
    return r;
}

static void test_valid(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "A12UEL5L",
        "a12uel5l",
        "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
        "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",
        "11qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqc8247j",
        "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w",
        "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj", // from the README of age
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(decode(texts[i], strlen(texts[i])), 0);
}

static void test_invalid(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "1", "a1", " 1nwldj5", "\x7f" "1axkwrx", "\x80" "1eym55h", "pzry9x0s0muk", "1pzry9x0s0muk", "x1b4n0q5v", "li1dgmt3", "de1lg7wt\xff",
        "A1G7SGD8", "10a06t8", "1qzzfhee",
        "an84characterslonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1569pvx", // a prefix of 84 characters
        "A12UEl5L", "a12uel5 l",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(decode(texts[i], strlen(texts[i])), ERROR_FORMAT);
    char longest[BECH32_TEXT_MAX + 2];
    memset(longest, 'q', sizeof longest);
    longest[1] = '1';
    assert_int_equal(decode(longest, sizeof longest), ERROR_FORMAT);
}

// Returns the text of the error of a secret with one character changed.
static void test_every_typing_mistake(void **state)
{
    (void)state;
    const char *secret = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0";
    size_t len = strlen(secret), tried = 0;
    char text[80], prefix[BECH32_PREFIX_MAX + 1];
    uint8_t data[64];
    size_t n;
    struct error err;
    for (size_t i = 16; i < len; i++) {
        for (const char *c = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L1BIO"; *c != '\0'; c++) {
            if (*c == secret[i])
                continue;
            memcpy(text, secret, len + 1);
            text[i] = *c;
            assert_int_equal(bech32_decode(text, len, prefix, data, sizeof data, &n, &err), ERROR_FORMAT);
            assert_null(strstr(err.text, "EGTZ")); // no part of the secret shows
            tried++;
        }
    }
    assert_true(tried > 2000);
    for (size_t i = 0; i + 1 < len; i++) { // neighbours swapped
        memcpy(text, secret, len + 1);
        text[i] = secret[i + 1];
        text[i + 1] = secret[i];
        if (text[i] != text[i + 1])
            assert_true(bech32_decode(text, len, prefix, data, sizeof data, &n, &err) < 0 || strncmp(prefix, "AGE-SECRET-KEY-", 16) != 0);
    }
}

static void test_round_trips_and_capacity(void **state)
{
    (void)state;
    uint8_t data[300], back[300];
    char prefix[BECH32_PREFIX_MAX + 1];
    struct error err;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 131 + 7);
    for (size_t n = 0; n <= sizeof data; n++) {
        _cleanup_buf_ struct buf text = { 0 };
        size_t got = 999;
        bech32_encode(n % 2 ? "test" : "TEST", data, n, &text);
        for (size_t i = 0; i < text.len; i++)
            assert_true(n % 2 ? !isupper(text.data[i]) : !islower(text.data[i]));
        assert_int_equal(bech32_decode(buf_str(&text), text.len, prefix, back, n, &got, &err), 0);
        assert_int_equal(got, n);
        assert_memory_equal(back, data, n);
        if (n > 0)
            assert_int_equal(bech32_decode(buf_str(&text), text.len, prefix, back, n - 1, &got, &err), ERROR_FORMAT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_every_typing_mistake),
        cmocka_unit_test(test_round_trips_and_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
