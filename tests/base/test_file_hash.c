// The hash of a file and of its pieces from one pass, against libcrypto; with the processor's instructions and without.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"
#include "bkd/base/file_hash.h"

enum { PIECE = 192, SIZE = 5 * PIECE };

static void fill(uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
}

static void check(struct file_hash *h, const uint8_t *data, size_t n)
{
    uint8_t expected[CRYPTO_SHA256_SIZE], piece[CRYPTO_SHA256_SIZE], whole[CRYPTO_SHA256_SIZE];
    for (size_t at = 0; at < n; at += PIECE) {
        size_t length = n - at < PIECE ? n - at : PIECE;
        bool is_wanted = at != PIECE; // one piece's digest is not asked for
        file_hash_piece(h, data + at, length, is_wanted ? piece : NULL);
        crypto_sha256(data + at, length, expected);
        if (is_wanted)
            assert_memory_equal(piece, expected, sizeof expected);
    }
    file_hash_final(h, whole);
    crypto_sha256(data, n, expected);
    assert_memory_equal(whole, expected, sizeof expected);
    file_hash_done(h);
}

static void every_length_hashes_as_libcrypto_does(void **state)
{
    (void)state;
    uint8_t data[SIZE];
    fill(data, sizeof data);
    for (size_t n = 0; n <= SIZE; n++) {
        struct file_hash h;
        file_hash_init(&h);
        check(&h, data, n);
    }
}

static void the_slow_way_gives_the_same(void **state)
{
    (void)state;
    uint8_t data[SIZE];
    fill(data, sizeof data);
    for (size_t n = 0; n <= SIZE; n += 61) {
        struct file_hash h = { .fast = false };
        crypto_sha256_init(&h.slow);
        check(&h, data, n);
    }
}

static void assert_each_right(const struct file_hash_message *messages, size_t count)
{
    uint8_t expected[CRYPTO_SHA256_SIZE];
    for (size_t i = 0; i < count; i++) {
        crypto_sha256(messages[i].data, messages[i].n, expected);
        assert_memory_equal(messages[i].digest, expected, sizeof expected);
    }
}

static void two_messages_side_by_side(void **state)
{
    (void)state;
    uint8_t data[2 * SIZE];
    fill(data, sizeof data);
    for (size_t n = 0; n <= SIZE; n += 7)
        for (size_t m = 0; m <= SIZE; m += 59) {
            struct file_hash_message messages[2] = { { .data = data, .n = n }, { .data = data + SIZE, .n = m } };
            file_hash_each(messages, 2);
            assert_each_right(messages, 2);
        }
}

static void any_number_of_messages_of_any_length(void **state)
{
    (void)state;
    enum { MOST = 9 };
    uint8_t data[SIZE];
    fill(data, sizeof data);
    srand(7);
    for (unsigned round = 0; round < 3000; round++) {
        struct file_hash_message messages[MOST];
        size_t count = (size_t)rand() % (MOST + 1);
        for (size_t i = 0; i < count; i++) {
            size_t at = (size_t)rand() % SIZE, most = rand() % 3 == 0 ? 70 : SIZE;
            messages[i] = (struct file_hash_message){ .data = data + at, .n = (size_t)rand() % (SIZE - at + 1) % most };
        }
        file_hash_each(messages, count);
        assert_each_right(messages, count);
    }
}

static void large_pieces(void **state)
{
    (void)state;
    enum { LARGE = (1 << 20) + 77 };
    uint8_t *data = xmalloc(LARGE), whole[CRYPTO_SHA256_SIZE], piece[CRYPTO_SHA256_SIZE], expected[CRYPTO_SHA256_SIZE];
    fill(data, LARGE);
    struct file_hash h;
    file_hash_init(&h);
    file_hash_piece(&h, data, 1 << 19, piece);
    file_hash_piece(&h, data + (1 << 19), LARGE - (1 << 19), piece);
    crypto_sha256(data + (1 << 19), LARGE - (1 << 19), expected);
    assert_memory_equal(piece, expected, sizeof expected);
    file_hash_final(&h, whole);
    crypto_sha256(data, LARGE, expected);
    assert_memory_equal(whole, expected, sizeof expected);
    file_hash_done(&h);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_hashes_as_libcrypto_does),
        cmocka_unit_test(the_slow_way_gives_the_same),
        cmocka_unit_test(two_messages_side_by_side),
        cmocka_unit_test(any_number_of_messages_of_any_length),
        cmocka_unit_test(large_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
