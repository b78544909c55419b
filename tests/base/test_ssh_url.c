// sftp:// addresses: what they say, and what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "bkd/base/ssh_url.h"

static void test_good(void **state)
{
    (void)state;
    static const struct { const char *url, *user, *host; unsigned port; const char *path; } cases[] = {
        { "sftp://backup@vault.example.net:22/srv/bkd/erp", "backup", "vault.example.net", 22, "/srv/bkd/erp" },
        { "sftp://vault/srv", NULL, "vault", 0, "/srv" },
        { "sftp://vault/", NULL, "vault", 0, "/" },
        { "sftp://vault/srv///", NULL, "vault", 0, "/srv" },
        { "sftp://u@[::1]:2222/a", "u", "::1", 2222, "/a" },
        { "sftp://[fe80::1]/a", NULL, "fe80::1", 0, "/a" },
        { "sftp://vault/~/backup/erp/", NULL, "vault", 0, "backup/erp" },
        { "sftp://a%40b@vault/with%20space/%41", "a@b", "vault", 0, "/with space/A" },
        { "sftp://u@192.0.2.1/a@b:c", "u", "192.0.2.1", 0, "/a@b:c" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err;
        _cleanup_ssh_url_ struct ssh_url u = { 0 };
        if (ssh_url_parse(cases[i].url, &u, &err) < 0)
            fail_msg("%s: %s", cases[i].url, err.text);
        assert_true((u.user == NULL) == (cases[i].user == NULL));
        if (u.user != NULL)
            assert_string_equal(u.user, cases[i].user);
        assert_string_equal(u.host, cases[i].host);
        assert_int_equal(u.port, cases[i].port);
        assert_string_equal(u.path, cases[i].path);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "sftp://", "sftp:///srv", "sftp://vault", "sftp://vault:22", "sftp://vault:/srv", "sftp://vault:0/srv", "sftp://vault:65536/srv", "sftp://vault:22x/srv",
        "sftp://@vault/srv", "sftp://u:password@vault/srv", "sftp://[::1/srv", "sftp://[::1]x/srv", "sftp://vault/a%2", "sftp://vault/a%zz", "sftp://vault/a%00b",
        "sftp://-oProxyCommand=x/srv", "sftp://va ult/srv", "ssh://vault/srv", "/srv", "sftp://vault/~/",
    };
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct error err;
        struct ssh_url u = { 0 };
        if (ssh_url_parse(urls[i], &u, &err) != ERROR_USAGE)
            fail_msg("%s was taken", urls[i]);
        assert_null(u.host);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_good), cmocka_unit_test(test_refused) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
