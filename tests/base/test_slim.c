// A process that slims down: its pages are unmapped, and all of it still works.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"
#include "bkd/base/crypto.h"
#include "bkd/base/slim.h"

// The sum of a field of /proc/self/smaps in KiB, over mappings of a library's code.
static unsigned long mapped_kib(const char *field)
{
    char line[512];
    unsigned long sum = 0, kib;
    bool is_code = false;
    size_t n = strlen(field);
    FILE *f = fopen("/proc/self/smaps", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        if (strstr(line, " r-xp ") != NULL)
            is_code = strstr(line, "libcrypto") != NULL;
        else if (strstr(line, "-p ") != NULL)
            is_code = false;
        else if (is_code && strncmp(line, field, n) == 0 && sscanf(line + n, ": %lu kB", &kib) == 1)
            sum += kib;
    }
    assert_int_equal(fclose(f), 0);
    return sum;
}

static void hash(uint8_t digest[CRYPTO_SHA256_SIZE])
{
    crypto_sha256("bkd", 3, digest);
}

static void test_code_is_unmapped_and_still_runs(void **state)
{
    (void)state;
    uint8_t before[CRYPTO_SHA256_SIZE], after[CRYPTO_SHA256_SIZE];
    hash(before);
    unsigned long mapped = mapped_kib("Rss"), written = mapped_kib("Private_Dirty");
    slim_down();
    if (mapped == 0) // linked statically, or without smaps
        skip();
    if (written == 0)
        assert_true(mapped_kib("Rss") < mapped);
    hash(after);
    assert_memory_equal(after, before, sizeof after);
}

static void test_what_was_written_stays(void **state)
{
    (void)state;
    static char data[3 * 4096];
    char *kept = xmalloc(100000), *freed = xmalloc(100000);
    memset(data, 'd', sizeof data);
    memset(kept, 'k', 100000);
    free(freed);
    for (int i = 0; i < 3; i++)
        slim_down();
    for (size_t i = 0; i < sizeof data; i++)
        assert_int_equal(data[i], 'd');
    assert_int_equal(kept[0], 'k');
    assert_int_equal(kept[99999], 'k');
    assert_non_null(getenv("PATH")); // a table of the C library
    free(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_code_is_unmapped_and_still_runs),
        cmocka_unit_test(test_what_was_written_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
