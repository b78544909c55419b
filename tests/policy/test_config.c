// The host's configuration: its typed values, its mistakes with their places, and who may have written it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "bkd/policy/config.h"
#include "bkd/policy/config_schema.h"

static int parse(const char *text, struct config *ret_config, struct policy_errors *ret_errors)
{
    struct error err;
    return config_parse("bkd.yaml", text, strlen(text), ret_config, ret_errors, &err);
}

static void test_values(void **state)
{
    (void)state;
    static const char text[] = "max_parallel: 5\n"
                               "notify:\n"
                               "  channels:\n"
                               "    - {name: mail, type: email, server: smtp.example.net, to: [a@example.net, b@example.net]}\n"
                               "    - {name: hook, type: webhook, url: \"https://example.net/x\", format: healthchecks, timeout: 5s}\n"
                               "  routes:\n"
                               "    - {to: mail, repeat: 4h, escalate: {after: 1h, to: [hook]}, quiet: \"22:00-07:30\"}\n"
                               "    - {to: [mail, hook], severity: info, policies: \"erp*\"}\n"
                               "  digest: {to: mail}\n"
                               "metrics: {textfile: /var/lib//x.prom, listen: \"[::1]:9469\"}\n";
    _cleanup_config_ struct config c = { 0 };
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    assert_int_equal(parse(text, &c, &errors), 0);
    assert_int_equal(c.max_parallel, 5);
    assert_int_equal(c.key_lines[config_schema_index(config_schema_find("", "max_parallel"))], 1);
    assert_int_equal(c.notify.channel_count, 2);
    assert_int_equal(c.notify.channels[0].type, CONFIG_EMAIL);
    assert_int_equal(c.notify.channels[0].tls, CONFIG_TLS_REQUIRED);
    assert_int_equal(c.notify.channels[0].to.count, 2);
    assert_int_equal(c.notify.channels[0].timeout_s, 30);
    assert_int_equal(c.notify.channels[1].format, CONFIG_FORMAT_HEALTHCHECKS);
    assert_int_equal(c.notify.channels[1].timeout_s, 5);
    assert_int_equal(c.notify.route_count, 2);
    assert_int_equal(c.notify.routes[0].severity, CONFIG_WARNING);
    assert_int_equal(c.notify.routes[0].repeat_s, 4 * 3600);
    assert_int_equal(c.notify.routes[0].escalate.after_s, 3600);
    assert_string_equal(c.notify.routes[0].escalate.to.items[0], "hook");
    assert_int_equal(c.notify.routes[1].severity, CONFIG_INFO);
    assert_int_equal(c.notify.routes[1].repeat_s, 0);
    assert_string_equal(c.notify.routes[1].policies.items[0], "erp*");
    assert_string_equal(c.notify.digest.at, "07:00");
    assert_int_equal(c.notify.min_interval_s, 900);
    assert_string_equal(c.metrics.textfile, "/var/lib/x.prom");
    assert_ptr_equal(config_find_channel(&c, "hook"), &c.notify.channels[1]);
    assert_null(config_find_channel(&c, "hoo"));
}

#define CHANNEL "notify:\n  channels: [{name: mail, type: email, server: s, to: a@b}]\n"

static void test_mistakes(void **state)
{
    (void)state;
    static const struct { const char *text, *said; } cases[] = {
        { "max_paralel: 2\n", "bkd.yaml:1:1: error: unknown key 'max_paralel'; did you mean 'max_parallel'?" },
        { "max_parallel: 0\n", "bkd.yaml:1:15: error: 'max_parallel' must be a number from 1 to 64" },
        { "- a\n", "bkd.yaml:1:1: error: the configuration is a map of keys" },
        { "notify:\n  channels: [{name: a}]\n", "bkd.yaml:2:14: error: 'type' is missing" },
        { "notify:\n  channels: [{name: a b, type: syslog}]\n", "'a b' is no name" },
        { "notify:\n  channels: [{name: a, type: syslog}, {name: a, type: syslog}]\n", "there is another channel 'a'" },
        { "notify:\n  channels: [{name: a, type: syslog, url: x}]\n", "bkd.yaml:2:38: error: 'url' means nothing for a channel of type syslog" },
        { "notify:\n  channels: [{name: a, type: mail}]\n", "'type' must be email, webhook, command or syslog, not 'mail'" },
        { "notify:\n  channels: [{name: a, type: email, to: a@b}]\n", "'server' is missing" },
        { "notify:\n  channels: [{name: a, type: email, server: \"http://x\", to: a@b}]\n", "'server' must be HOST:PORT" },
        { "notify:\n  channels: [{name: a, type: email, server: x}]\n", "'to' is missing" },
        { "notify:\n  channels: [{name: a, type: email, server: x, to: [a@b, \"b@c>,<d@e\"]}]\n", "bkd.yaml:2:58: error: 'b@c>,<d@e' is no mail address" },
        { "notify:\n  channels: [{name: a, type: email, server: x, to: a@b, user: u}]\n", "'user' and 'password' are given together" },
        { "notify:\n  channels: [{name: a, type: email, server: x, to: a@b, user: u, password: p, tls: none}]\n", "everybody on the way could read the password" },
        { "notify:\n  channels: [{name: a, type: webhook}]\n", "a webhook has either 'url' or 'url_file'" },
        { "notify:\n  channels: [{name: a, type: webhook, url: \"ftp://x\"}]\n", "'url' must be an address https://" },
        { "notify:\n  channels: [{name: a, type: webhook, url: \"http://x\"}]\n", "everybody on the way could read and change" },
        { "notify:\n  channels: [{name: a, type: command}]\n", "'command' is missing" },
        { "notify:\n  channels: [{name: a, type: command, command: \"rm x\"}]\n", "each an item, not text" },
        { CHANNEL "  routes: [{to: mial}]\n", "bkd.yaml:3:17: error: there is no channel 'mial'; did you mean 'mail'?" },
        { CHANNEL "  routes: [{severity: info}]\n", "'to' is missing" },
        { CHANNEL "  routes: [{to: mail, repeat: 1s}]\n", "'repeat' must be never, or a duration from 5min to 52w" },
        { CHANNEL "  routes: [{to: mail, escalate: {after: 1h}}]\n", "'to' is missing" },
        { CHANNEL "  routes: [{to: mail, quiet: \"22-7\"}]\n", "'quiet' must be times of day as" },
        { CHANNEL "  digest: {to: mail, at: \"24:00\"}\n", "'at' must be a time of day" },
        { CHANNEL "  digest: {to: [mail, x]}\n", "there is no channel 'x'" },
        { "metrics: {listen: localhost}\n", "'listen' must be ADDRESS:PORT" },
        { "metrics: {textfile: x.prom}\n", "'textfile' must be an absolute path" },
        { "a: &b 1\n", "an anchor ('&') cannot be used in a configuration" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        _cleanup_config_ struct config c = { 0 };
        _cleanup_policy_errors_ struct policy_errors errors = { 0 };
        _cleanup_buf_ struct buf text = { 0 };
        assert_int_equal(parse(cases[i].text, &c, &errors), ERROR_USAGE);
        policy_errors_format(&errors, &text);
        if (!strstr(buf_str(&text), cases[i].said))
            fail_msg("%s said:\n%s", cases[i].text, buf_str(&text));
    }
}

static void test_empty_is_default(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "# nothing\n", "max_parallel: 2\n" };
    for (size_t i = 0; i < 3; i++) {
        _cleanup_config_ struct config c = { 0 };
        _cleanup_policy_errors_ struct policy_errors errors = { 0 };
        assert_int_equal(parse(texts[i], &c, &errors), 0);
        assert_int_equal(c.max_parallel, 2);
        assert_string_equal(c.timezone, "host");
        assert_int_equal(c.notify.route_count, 0);
        assert_string_equal(c.metrics.listen, "");
        assert_null(c.metrics.textfile);
    }
}

static void test_example(void **state)
{
    (void)state;
    const char *srcdir = getenv("srcdir");
    _cleanup_free_ char *path = xasprintf("%s/policies/bkd.yaml", srcdir ? srcdir : ".");
    _cleanup_buf_ struct buf text = { 0 };
    struct error err;
    assert_int_equal(fs_read_file(io_real(), AT_FDCWD, path, POLICY_FILE_MAX, &text, &err), 0);
    _cleanup_config_ struct config c = { 0 };
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    assert_int_equal(parse(buf_str(&text), &c, &errors), 0);
    const struct schema_table *table = config_schema();
    for (size_t i = 0; i < table->count; i++) // every key is shown
        if (!strstr(buf_str(&text), schema_leaf(&table->keys[i])))
            fail_msg("the example lacks %s", table->keys[i].name);
}

// Only what names channels must not be writable for others; a missing file is fine.
static void test_load(void **state)
{
    (void)state;
    char dir[] = "/tmp/bkd-config-XXXXXX";
    assert_non_null(mkdtemp(dir));
    _cleanup_free_ char *path = xasprintf("%s/bkd.yaml", dir);
    for (int step = 0; step < 5; step++) {
        static const struct { const char *text; mode_t mode; int want; } steps[] = {
            { NULL, 0, 0 }, { "max_parallel: 3\n", 0666, 0 }, { CHANNEL, 0666, ERROR_USAGE }, { CHANNEL, 0640, 0 }, { "x: 1\n", 0600, ERROR_USAGE },
        };
        struct error err;
        _cleanup_config_ struct config c = { 0 };
        _cleanup_policy_errors_ struct policy_errors errors = { 0 };
        if (steps[step].text) {
            assert_int_equal(fs_replace_file(io_real(), AT_FDCWD, path, 0600, steps[step].text, strlen(steps[step].text), &err), 0);
            assert_int_equal(chmod(path, steps[step].mode), 0);
        }
        assert_int_equal(config_load(io_real(), dir, &c, &errors, &err), steps[step].want);
        if (steps[step].want == 0)
            assert_int_equal(c.exists, steps[step].text != NULL);
        if (step == 2)
            assert_non_null(strstr(err.text, "chmod go-w"));
    }
    unlink(path);
    rmdir(dir);
}

static void test_times(void **state)
{
    (void)state;
    unsigned a, b;
    assert_true(config_parse_time("07:30", 5, &a) && a == 450);
    assert_true(config_parse_time("23:59", 5, &a) && a == 1439);
    assert_true(config_parse_hours("22:00-07:00", &a, &b) && a == 1320 && b == 420);
    static const char *const bad[] = { "7:30", "24:00", "12:60", "12.30", "", "12:3", "1 :30" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(config_parse_time(bad[i], strlen(bad[i]), &a));
    assert_false(config_parse_hours("07:00-07:00", &a, &b));
    assert_false(config_parse_hours("07:00", &a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values), cmocka_unit_test(test_mistakes), cmocka_unit_test(test_empty_is_default),
        cmocka_unit_test(test_example), cmocka_unit_test(test_load), cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
