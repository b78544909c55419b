// Where secrets lie: names of files and of systemd credentials, and what is no such name.
#include "tests/codec/scratch.h"

#include "bkd/codec/keyfile.h"

static void expect(const char *name, const char *dir, const char *wanted)
{
    struct error err;
    _cleanup_free_ char *path = NULL;
    assert_int_equal(keyfile_find(name, dir, &path, &err), 0);
    assert_string_equal(path, wanted);
}

static void test_found(void **state)
{
    (void)state;
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "/run/credentials/bkd.service", 1), 0);
    expect("smtp.password", "/etc/bkd/keys", "/etc/bkd/keys/smtp.password");
    expect("/root/word", "/etc/bkd/keys", "/root/word");
    expect("word", NULL, "word");
    expect("credential:word", "/etc/bkd/keys", "/run/credentials/bkd.service/word");
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = { "credential:", "credential:../shadow", "credential:a/b", "credential:.." };
    struct error err;
    char *path = NULL;
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "/run/credentials/bkd.service", 1), 0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(keyfile_find(wrong[i], NULL, &path, &err), ERROR_USAGE);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "here", 1), 0); // systemd gives an absolute one
    assert_int_equal(keyfile_find("credential:word", NULL, &path, &err), ERROR_KEY);
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    assert_int_equal(keyfile_find("credential:word", NULL, &path, &err), ERROR_KEY);
    assert_non_null(strstr(err.text, "LoadCredential=word:"));
    assert_null(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_found), cmocka_unit_test(test_refused) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
