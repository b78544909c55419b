// Phases add up to the whole, whatever a report says.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "bkd/dr/phases.h"

#define MS UINT64_C(1000000)

static struct phases of(const char *text, uint64_t wall_ns)
{
    _cleanup_json_ struct json *summary = NULL;
    struct phases p;
    struct error err;
    assert_int_equal(json_parse(text, strlen(text), &summary, &err), 0);
    phases_of_restore(summary, wall_ns, &p);
    return p;
}

static void test_shared_in_proportion(void **state)
{
    struct phases p = of("{\"phases\":{\"open\":{\"ms\":10},\"plan\":{\"ms\":20},\"fetch\":{\"ms\":100},\"decode\":{\"ms\":200},\"write\":{\"ms\":100},"
                         "\"compare\":{\"ms\":0},\"metadata\":{\"ms\":0},\"verify\":{\"ms\":50}}}",
                         280 * MS);
    (void)state;
    assert_int_equal(p.ns[PHASE_FETCH], 50 * MS); // 400 ms of work in 200 ms
    assert_int_equal(p.ns[PHASE_DECODE], 100 * MS);
    assert_int_equal(p.ns[PHASE_WRITE], 50 * MS);
    assert_int_equal(p.ns[PHASE_COMPARE], 50 * MS); // reading again
    assert_int_equal(p.ns[PHASE_LOCATE], 30 * MS);
    assert_int_equal(phases_sum(&p), 280 * MS);
}

static void test_without_a_report(void **state)
{
    struct phases p = of("{}", 7 * MS);
    (void)state;
    assert_int_equal(p.ns[PHASE_LOCATE], 7 * MS);
    assert_int_equal(phases_sum(&p), 7 * MS);
}

// Also of reports that cannot be: more elapsed than there was.
static void test_sum_is_the_whole(void **state)
{
    static const char *const names[] = { "open", "plan", "fetch", "decode", "write", "compare", "metadata", "verify" };
    (void)state;
    srandom(2);
    for (int t = 0; t < 20000; t++) {
        _cleanup_json_ struct json *line = json_object_new();
        struct json *phases = json_add_object(line, "phases");
        struct phases p;
        uint64_t wall = (uint64_t)random() % (100000 * MS), printed = 0, value;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            json_add_u64(json_add_object(phases, names[i]), "ms", (uint64_t)random() % (random() % 4 == 0 ? 1u : 90000u));
        phases_of_restore(line, wall, &p);
        assert_int_equal(phases_sum(&p), wall);
        p.ns[PHASE_CHECKS] = (uint64_t)random();
        _cleanup_json_ struct json *out = json_object_new();
        phases_add_json(out, &p);
        for (int i = 0; i < PHASES; i++) {
            char key[32];
            (void)strcpy(key, phase_name((enum phase)i));
            assert_true(json_get_u64(json_get(out, "phases"), strcat(key, "_ms"), &value));
            printed += value;
        }
        assert_int_equal(printed, phases_sum(&p) / MS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared_in_proportion),
        cmocka_unit_test(test_without_a_report),
        cmocka_unit_test(test_sum_is_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
