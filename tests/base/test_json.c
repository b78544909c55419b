// JSON lines: what they look like, and that any bytes a file is named by survive them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/json.h"

static void assert_line(struct json *line, const char *wanted)
{
    _cleanup_buf_ struct buf text = { 0 };
    json_format(line, &text);
    assert_string_equal(buf_str(&text), wanted);
}

static void test_every_kind(void **state)
{
    (void)state;
    _cleanup_json_ struct json *line = json_line_new("summary");
    json_add_str(line, "s", "a\"b\n");
    json_add_str(line, "none", NULL);
    json_add_u64(line, "u", UINT64_MAX);
    json_add_i64(line, "i", -5);
    json_add_double(line, "d", 0.5);
    json_add_double(line, "nan", NAN);
    json_add_bool(line, "b", true);
    json_add_time(line, "t", UINT64_C(1795420800) * 1000000000 + 123000000);
    json_add_hex(line, "h", (const uint8_t *)"\x01\xff", 2);
    struct json *array = json_add_array(line, "a");
    json_append_str(array, "x");
    json_add_str(json_append_object(array), "k", "v");
    json_add_u64(json_add_object(line, "o"), "n", 0);
    assert_line(line, "{\"type\":\"summary\",\"schema\":1,\"s\":\"a\\\"b\\n\",\"none\":null,\"u\":9223372036854775807,\"i\":-5,\"d\":0.5,\"nan\":null,"
                      "\"b\":true,\"t\":\"2026-11-23T08:00:00.123Z\",\"h\":\"01ff\",\"a\":[\"x\",{\"k\":\"v\"}],\"o\":{\"n\":0}}");
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *name, *wanted;
    } cases[] = {
        { "plain", "{\"n\":\"plain\"}" },
        { "\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80", "{\"n\":\"\\u00E9\\u4E2D\\uD83D\\uDE00\"}" },
        { "\xef\xbf\xbd", "{\"n\":\"\\uFFFD\"}" }, // a name that really has U+FFFD is exact as it is
        { "a\xff/b", "{\"n\":\"a\\uFFFD/b\",\"n_bytes\":\"a%FF/b\"}" },
        { "\xc0\xaf", "{\"n\":\"\\uFFFD\\uFFFD\",\"n_bytes\":\"%C0%AF\"}" },                   // overlong
        { "\xed\xa0\x80", "{\"n\":\"\\uFFFD\\uFFFD\\uFFFD\",\"n_bytes\":\"%ED%A0%80\"}" },     // surrogate
        { "\xf4\x90\x80\x80", "{\"n\":\"\\uFFFD\\uFFFD\\uFFFD\\uFFFD\",\"n_bytes\":\"%F4%90%80%80\"}" },
        { "x\xe4\xb8", "{\"n\":\"x\\uFFFD\\uFFFD\",\"n_bytes\":\"x%E4%B8\"}" },                // cut off
        { "\x1b[31m\xc2\x9b", "{\"n\":\"\\u001B[31m\\u009B\"}" },                              // never raw on a terminal
        { "100%\xff\n", "{\"n\":\"100%\\uFFFD\\n\",\"n_bytes\":\"100%25%FF%0A\"}" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        _cleanup_json_ struct json *line = json_object_new();
        json_add_name(line, "n", cases[i].name, strlen(cases[i].name));
        assert_line(line, cases[i].wanted);
    }
}

// KEY_bytes decodes to the name, KEY is the name when there is no KEY_bytes.
static void decode_name(const struct json *line, struct buf *ret_name)
{
    const char *bytes = json_get_str(line, "n_bytes");
    if (!bytes) {
        buf_add_str(ret_name, json_get_str(line, "n"));
        return;
    }
    for (const char *s = bytes; *s; s++) {
        char hex[3] = { s[0] == '%' ? s[1] : '0', s[0] == '%' ? s[2] : '0', 0 };
        buf_add_char(ret_name, s[0] == '%' ? (char)strtoul(hex, NULL, 16) : *s);
        s += s[0] == '%' ? 2 : 0;
    }
}

static void test_random_names_come_back(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (int round = 0; round < 20000; round++) {
        char name[9] = { 0 };
        for (int i = 0; i < 8; i++) {
            seed = seed * 1664525u + 1013904223u;
            name[i] = (char)(seed >> 24); // a NUL ends it early
        }
        struct error err;
        _cleanup_buf_ struct buf text = { 0 }, back = { 0 };
        _cleanup_json_ struct json *line = json_object_new(), *parsed = NULL;
        json_add_str(line, "n", name);
        json_format(line, &text);
        for (size_t i = 0; i < text.len; i++)
            assert_true(text.data[i] >= 0x20 && text.data[i] < 0x7f);
        assert_int_equal(json_parse(text.data, text.len, &parsed, &err), 0);
        decode_name(parsed, &back);
        assert_string_equal(buf_str(&back), name);
    }
}

static void test_reading(void **state)
{
    (void)state;
    static const char text[] = "{\"s\":\"x\",\"n\":7,\"neg\":-1,\"b\":false,\"a\":[\"y\",{\"z\":1}]}";
    struct error err;
    uint64_t n = 99;
    bool b = true;
    _cleanup_json_ struct json *json = NULL;
    assert_int_equal(json_parse(text, strlen(text), &json, &err), 0);
    assert_string_equal(json_get_str(json, "s"), "x");
    assert_null(json_get_str(json, "n"));
    assert_null(json_get_str(json, "missing"));
    assert_true(json_get_u64(json, "n", &n) && n == 7);
    assert_false(json_get_u64(json, "neg", &n));
    assert_int_equal(n, 7);
    assert_int_equal(json_number(json, "n"), 7);
    assert_int_equal(json_number(json, "neg"), 0);
    assert_int_equal(json_number(json, "missing"), 0);
    assert_int_equal(json_number(NULL, "n"), 0);
    assert_true(json_get_bool(json, "b", &b) && !b);
    const struct json *array = json_get(json, "a");
    assert_int_equal(json_length(array), 2);
    assert_string_equal(json_str_at(array, 0), "y");
    assert_true(json_get_u64(json_at(array, 1), "z", &n) && n == 1);
    assert_null(json_at(array, 2));
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "{", "{\"a\":1,\"a\":2}", "{} x", "\"text\"", "{\"a\":\"\xff\"}", "nope" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error err = { 0 };
        struct json *json = NULL;
        assert_int_equal(json_parse(bad[i], strlen(bad[i]), &json, &err), ERROR_FORMAT);
        assert_null(json);
    }
}

static void test_print_and_full_device(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len;
    struct error err;
    FILE *stream = open_memstream(&text, &len);
    struct json *line = json_line_new("x");
    assert_int_equal(json_line_print(&line, stream, &err), 0);
    assert_null(line);
    fclose(stream);
    assert_string_equal(text, "{\"type\":\"x\",\"schema\":1}\n");
    free(text);
    stream = fopen("/dev/full", "w");
    if (!stream)
        skip();
    line = json_line_new("x");
    assert_int_equal(json_line_print(&line, stream, &err), ERROR_NO_SPACE);
    assert_null(line);
    fclose(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind), cmocka_unit_test(test_names),   cmocka_unit_test(test_random_names_come_back),
        cmocka_unit_test(test_reading),    cmocka_unit_test(test_refused), cmocka_unit_test(test_print_and_full_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
