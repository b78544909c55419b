// Messages as text, as JSON, as mail and as pings.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>
#include <string.h>

#include "bkd/notify/mail.h"
#include "bkd/notify/ping.h"

#define SECOND UINT64_C(1000000000)
#define HOUR (3600 * SECOND)
#define NOON (UINT64_C(1795608000) * SECOND) // 2026-11-25T12:00:00Z

static const struct message alarm = {
    .what = MESSAGE_OPENED, .severity = SEVERITY_WARNING, .host = "web1", .kind = "rpo", .policy = "erp", .copy = "sftp://v/erp", .text = "the newest copy is 26 h old",
    .next_step = "bkd ship erp", .time_ns = NOON, .since_ns = NOON - HOUR, .made_ns = NOON, .now_ns = NOON, .id = 4, .alarm = 12, .run_uid = "", .subject = "s", .body = "b",
};

static void assert_subject(const struct message *m, const char *wanted)
{
    _cleanup_buf_ struct buf text = { 0 };
    message_subject(m, &text);
    assert_string_equal(buf_str(&text), wanted);
}

static void test_subjects(void **state)
{
    (void)state;
    struct message m = alarm;
    assert_subject(&m, "[bkd web1] WARNING erp: the newest copy is 26 h old");
    m.what = MESSAGE_OVER;
    assert_subject(&m, "[bkd web1] WELL AGAIN erp: the newest copy is 26 h old");
    m.what = MESSAGE_REMINDER;
    m.severity = SEVERITY_CRITICAL;
    assert_subject(&m, "[bkd web1] STILL CRITICAL erp: the newest copy is 26 h old");
    m.what = MESSAGE_HAPPENED;
    m.policy = "";
    m.text = "first\nsecond\x1b[31m";
    assert_subject(&m, "[bkd web1] CRITICAL: first second [31m");
}

static void test_bodies(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf text = { 0 }, over = { 0 }, late = { 0 };
    struct message m = alarm;
    message_body(&m, &text);
    assert_string_equal(buf_str(&text), "the newest copy is 26 h old\n\nWhat to do: bkd ship erp\n\n"
                                        "Host:     web1\nPolicy:   erp\nCopy:     sftp://v/erp\nSeverity: warning\nKind:     rpo\nSince:    2026-11-25T11:00:00Z\n"
                                        "Time:     2026-11-25T12:00:00Z\nFor:      1 h 0 min\nAlarm:    12 (bkd alarm ack 12)\n");
    m.what = MESSAGE_OVER;
    m.repeated = 3;
    message_body(&m, &over);
    assert_non_null(strstr(buf_str(&over), "It is well again.\nthe newest copy is 26 h old\n(3 more like this"));
    assert_null(strstr(buf_str(&over), "What to do"));
    assert_null(strstr(buf_str(&over), "alarm ack"));
    message_late(&m, &late);
    assert_int_equal(late.len, 0);
    m.now_ns += 2 * HOUR;
    message_late(&m, &late);
    assert_string_equal(buf_str(&late), "This message is 2 h 0 min late: it was made at 2026-11-25T12:00:00Z and is delivered only now.\n\n");
}

static void test_lines(void **state)
{
    (void)state;
    static const struct { const char *text; size_t max; const char *wanted; } cases[] = {
        { "a\r\nb", 10, "a  b" }, { "\xff" "a\xc3", 20, "\xef\xbf\xbd" "a\xef\xbf\xbd" }, { "abcdefghij", 10, "abcdefghij" }, { "abcdefghijk", 10, "abcdefg..." },
        { "abcdef\xc3\xbcghijk", 10, "abcdef..." }, { "x\xe2\x80\xaey", 10, "x y" }, { "", 10, "" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        _cleanup_buf_ struct buf text = { 0 };
        message_add_line(cases[i].text, cases[i].max, &text);
        assert_string_equal(buf_str(&text), cases[i].wanted);
    }
}

static void test_json(void **state)
{
    (void)state;
    struct message m = alarm;
    m.now_ns += HOUR;
    _cleanup_json_ struct json *json = message_json(&m);
    _cleanup_buf_ struct buf text = { 0 };
    json_format(json, &text);
    assert_string_equal(buf_str(&text), "{\"type\":\"message\",\"schema\":1,\"what\":\"opened\",\"severity\":\"warning\",\"host\":\"web1\",\"kind\":\"rpo\",\"policy\":\"erp\","
                                        "\"copy\":\"sftp://v/erp\",\"subject\":\"s\",\"message\":\"the newest copy is 26 h old\",\"next_step\":\"bkd ship erp\","
                                        "\"time\":\"2026-11-25T12:00:00.000Z\",\"since\":\"2026-11-25T11:00:00.000Z\",\"late_ms\":3600000,\"id\":4,\"alarm\":12,\"text\":\"s\\nb\"}");
}

static void test_headers(void **state)
{
    (void)state;
    static const struct { const char *text, *wanted; } cases[] = {
        { "short", "Subject: short\r\n" },
        { "f\xc3\xbcr", "Subject: =?UTF-8?B?ZsO8cg==?=\r\n" },
        { "=?x?=", "Subject: =?UTF-8?B?PT94Pz0=?=\r\n" },
        { "words that go on until they are much longer than one line can be today",
          "Subject: words that go on until they are much longer than one line can be\r\n today\r\n" },
        { "a\r\nBcc: b@c", "Subject: a  Bcc: b@c\r\n" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        _cleanup_buf_ struct buf text = { 0 };
        mail_add_header("Subject", cases[i].text, &text);
        assert_string_equal(buf_str(&text), cases[i].wanted);
    }
    _cleanup_buf_ struct buf date = { 0 }, domain = { 0 }, none = { 0 };
    (void)setlocale(LC_ALL, "de_DE.UTF-8");
    mail_add_date(NOON, &date);
    assert_string_equal(buf_str(&date), "Wed, 25 Nov 2026 12:00:00 +0000");
    mail_add_domain("we\"b>1..example\r\n.net.", 200, &domain);
    assert_string_equal(buf_str(&domain), "web1.example.net");
    mail_add_domain("\xc3\xbc", 200, &none);
    assert_string_equal(buf_str(&none), "localhost");
}

static void test_quoted_printable(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf text = { 0 };
    mail_add_quoted_printable("a = \xc3\xbc \nend \n.\n0123456789012345678901234567890123456789012345678901234567890123456789012345678\nlast", &text);
    assert_string_equal(buf_str(&text), "a =3D =C3=BC=20\r\nend=20\r\n.\r\n"
                                        "012345678901234567890123456789012345678901234567890123456789012345678901234=\r\n5678\r\nlast\r\n");
}

static void test_pings(void **state)
{
    (void)state;
    static const char uid[] = "00112233445566778899aabbccddeeff";
    static const struct { struct message m; const char *url, *wanted; } cases[] = {
        { { .what = MESSAGE_HAPPENED, .kind = PING_RUN_STARTED, .run = 1, .run_uid = uid }, "https://h/p", "https://h/p/start?rid=00112233-4455-6677-8899-aabbccddeeff" },
        { { .what = MESSAGE_HAPPENED, .kind = "run", .run = 1, .run_uid = "" }, "https://h/p/", "https://h/p" },
        { { .what = MESSAGE_HAPPENED, .kind = "run", .run = 1, .severity = SEVERITY_WARNING, .run_uid = "" }, "https://h/p", "https://h/p/fail" },
        { { .what = MESSAGE_HAPPENED, .kind = "other", .run_uid = "" }, "https://h/p", "https://h/p/log" },
        { { .what = MESSAGE_OPENED, .kind = "rpo", .severity = SEVERITY_CRITICAL, .run_uid = "" }, "https://h/p?create=1#x", "https://h/p/fail?create=1" },
        { { .what = MESSAGE_OVER, .kind = "rpo", .severity = SEVERITY_CRITICAL, .run_uid = uid }, "https://h/p?create=1", "https://h/p?rid=00112233-4455-6677-8899-aabbccddeeff&create=1" },
        { { .what = MESSAGE_DIGEST, .kind = "", .run_uid = "" }, "https://h/p", "https://h/p/log" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        _cleanup_buf_ struct buf text = { 0 };
        ping_url(cases[i].url, &cases[i].m, &text);
        assert_string_equal(buf_str(&text), cases[i].wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subjects), cmocka_unit_test(test_bodies), cmocka_unit_test(test_lines), cmocka_unit_test(test_json),
        cmocka_unit_test(test_headers), cmocka_unit_test(test_quoted_printable), cmocka_unit_test(test_pings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
