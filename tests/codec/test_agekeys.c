// Files of age keys: what age-keygen writes, what goes wrong with them, files under a passphrase.
#include "scratch.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "bkd/codec/agekeys.h"

#define A "age12czmw7fqe9x6ltfsdgeeslt9fsqed9lfhuw9576t5cnhw2r3t5gs6npaj0"
#define B "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
#define SECRET "AGE-SECRET-KEY-1PPYT78QUJMCNZA282NFH0JSPAKF4E8VL70TKZK7GJRXN82QRHW2SX7E3FP"

static int parse_recipients(const char *text, size_t *ret_n, struct error *err)
{
    _cleanup_age_recipients_ struct age_recipients found = { 0 };
    int r = age_recipients_parse(text, strlen(text), "r.txt", &found, err);
    *ret_n = found.n;
    return r;
}

static void test_recipients(void **state)
{
    (void)state;
    struct error err;
    size_t n;
    scratch_ok(parse_recipients("# operations\n" A "\n\n# offline\r\n" B " \r\n", &n, &err), &err);
    assert_int_equal(n, 2);
    scratch_ok(parse_recipients(A, &n, &err), &err); // without LF at the end
    assert_int_equal(n, 1);
    static const struct {
        const char *text;
        int code;
        const char *says;
    } wrong[] = {
        { "", ERROR_FORMAT, "no recipient" },
        { "# only comments\n", ERROR_FORMAT, "no recipient" },
        { A "\n" SECRET "\n", ERROR_KEY, "'r.txt' line 2: this is an identity" },
        { "\n\nage12czmw7fqe9x6ltfsdgeeslt9fsqed9lfhuw9576t5cnhw2r3t5gs6npaj1\n", ERROR_FORMAT, "line 3" },
        { "Age12czmw7fqe9x6ltfsdgeeslt9fsqed9lfhuw9576t5cnhw2r3t5gs6npaj0\n", ERROR_FORMAT, "mixed" },
        { "age12czmw7fqe9x6ltfsdgeeslt9fsqed9lfhuw9576t5cnhw2r3t5gs6npak0\n", ERROR_FORMAT, "checksum" },
        { A "\n" B "\n" A "\n", ERROR_FORMAT, "line 3: the same recipient" },
        { "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI\n", ERROR_FORMAT, "line 1" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int r = parse_recipients(wrong[i].text, &n, &err);
        if (r != wrong[i].code || strstr(err.text, wrong[i].says) == NULL)
            fail_msg("case %zu: %d '%s'", i, r, err.text);
        assert_null(strstr(err.text, "PPYT78"));
    }
}

static void write_mode(const struct scratch *s, const char *name, const char *text, mode_t mode, char *ret_path)
{
    scratch_write(s, name, text, strlen(text));
    (void)snprintf(ret_path, 128, "%s/%s", s->dir, name);
    assert_int_equal(chmod(ret_path, mode), 0);
}

static void test_minimum(void **state)
{
    (void)state;
    _cleanup_scratch_ struct scratch s = scratch_new();
    char path[128];
    struct error err;
    _cleanup_age_recipients_ struct age_recipients one = { 0 }, none = { 0 };
    write_mode(&s, "one", A "\n", 0644, path);
    scratch_ok(age_recipients_load(io_real(), AT_FDCWD, path, 1, &one, &err), &err);
    assert_int_equal(one.n, 1);
    assert_int_equal(age_recipients_load(io_real(), AT_FDCWD, path, 2, &none, &err), ERROR_KEY);
    assert_non_null(strstr(err.text, "offline"));
    assert_null(none.list);
    assert_int_equal(age_recipients_load(io_real(), AT_FDCWD, "/nonexistent/r.txt", 2, &none, &err), ERROR_KEY);
    assert_non_null(strstr(err.text, "bkd keys init"));
}

static void test_identities(void **state)
{
    (void)state;
    _cleanup_scratch_ struct scratch s = scratch_new();
    char path[128], text[AGE_RECIPIENT_TEXT_SIZE];
    struct error err;
    _cleanup_age_identities_ struct age_identities found = { 0 }, none = { 0 };
    write_mode(&s, "id", "# created: 2026-11-23T13:20:00Z\n# public key: " A "\n" SECRET "\n", 0600, path);
    scratch_ok(age_identities_load(io_real(), AT_FDCWD, path, NULL, &found, &err), &err);
    assert_int_equal(found.n, 1);
    age_recipient_format(&found.list[0].recipient, text);
    assert_string_equal(text, A);

    static const mode_t modes[] = { 0640, 0604, 0644, 0660, 0777, 0610 };
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_int_equal(age_identities_load(io_real(), AT_FDCWD, path, NULL, &none, &err), ERROR_KEY);
        assert_non_null(strstr(err.text, "chmod 600"));
    }
    assert_int_equal(chmod(path, 0400), 0);
    _cleanup_age_identities_ struct age_identities again = { 0 };
    scratch_ok(age_identities_load(io_real(), AT_FDCWD, path, NULL, &again, &err), &err);

    static const struct {
        const char *text;
        int code;
        const char *says;
    } wrong[] = {
        { "", ERROR_KEY, "no identity" },
        { "# nothing\n", ERROR_KEY, "no identity" },
        { "#\n" A "\n", ERROR_KEY, "line 2: this is a recipient" },
        { "AGE-SECRET-KEY-1PPYT78QUJMCNZA282NFH0JSPAKF4E8VL70TKZK7GJRXN82QRHW2SX7E3FQ\n", ERROR_KEY, "checksum" },
        { "AGE-SECRET-KEY-1PPYT78QUJMCNZA282NFH0JSPAKF4E8VL70TKZK7GJRXN82QRHW2SX7e3FP\n", ERROR_KEY, "mixed" },
        { "-----BEGIN AGE ENCRYPTED FILE-----\nAAAA\n", ERROR_KEY, "armor" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        write_mode(&s, "wrong", wrong[i].text, 0600, path);
        int r = age_identities_load(io_real(), AT_FDCWD, path, NULL, &none, &err);
        if (r != wrong[i].code || strstr(err.text, wrong[i].says) == NULL)
            fail_msg("case %zu: %d '%s'", i, r, err.text);
        assert_null(strcasestr(err.text, "PPYT78"));
    }
    assert_int_equal(age_identities_load(io_real(), AT_FDCWD, s.dir, NULL, &none, &err), ERROR_KEY); // a directory
    assert_int_equal(age_identities_load(io_real(), AT_FDCWD, "/nonexistent/id", NULL, &none, &err), ERROR_KEY);
    char *large = xmalloc(70000);
    memset(large, '#', 69999);
    large[69999] = '\0';
    write_mode(&s, "large", large, 0600, path);
    assert_int_equal(age_identities_load(io_real(), AT_FDCWD, path, NULL, &none, &err), ERROR_KEY);
    free(large);
}

static void test_another_owner(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    _cleanup_scratch_ struct scratch s = scratch_new();
    char path[128];
    struct error err;
    _cleanup_age_identities_ struct age_identities none = { 0 };
    write_mode(&s, "id", SECRET "\n", 0600, path);
    assert_int_equal(chown(path, 12345, 12345), 0);
    assert_int_equal(age_identities_load(io_real(), AT_FDCWD, path, NULL, &none, &err), ERROR_KEY);
    assert_non_null(strstr(err.text, "another user"));
}

static void test_a_pipe(void **state)
{
    (void)state;
    int fds[2];
    char path[64];
    struct error err;
    _cleanup_age_identities_ struct age_identities found = { 0 };
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], SECRET "\n", strlen(SECRET) + 1), strlen(SECRET) + 1);
    assert_int_equal(close(fds[1]), 0);
    (void)snprintf(path, sizeof path, "/dev/fd/%d", fds[0]);
    scratch_ok(age_identities_load(io_real(), AT_FDCWD, path, NULL, &found, &err), &err);
    assert_int_equal(found.n, 1);
    assert_int_equal(close(fds[0]), 0);
}

// Files that `age -p` wrote (see tests/vectors/README.md).
static void test_under_a_passphrase(void **state)
{
    (void)state;
    _cleanup_scratch_ struct scratch s = scratch_new();
    const char *srcdir = getenv("srcdir");
    static const char *const names[] = { "wrapped.age", "wrapped.asc" };
    for (size_t i = 0; i < 2; i++) {
        char path[128], text[AGE_IDENTITY_TEXT_SIZE];
        struct error err;
        _cleanup_age_identities_ struct age_identities found = { 0 };
        scratch_run("install -m 600 '%s/tests/vectors/keys/%s' %s", srcdir == NULL ? "." : srcdir, names[i], s.dir);
        (void)snprintf(path, sizeof path, "%s/%s", s.dir, names[i]);
        assert_int_equal(age_identities_load(io_real(), AT_FDCWD, path, NULL, &found, &err), ERROR_KEY);
        assert_non_null(strstr(err.text, "passphrase"));
        assert_int_equal(age_identities_load(io_real(), AT_FDCWD, path, "wrong horse", &found, &err), ERROR_KEY);
        assert_null(strstr(err.text, "horse"));
        scratch_ok(age_identities_load(io_real(), AT_FDCWD, path, "correct horse", &found, &err), &err);
        assert_int_equal(found.n, 1);
        age_identity_format(&found.list[0], text);
        assert_string_equal(text, SECRET);
    }
}

static void test_files_of_age_keygen(void **state)
{
    (void)state;
    if (system("command -v age-keygen >/dev/null 2>&1") != 0)
        skip();
    _cleanup_scratch_ struct scratch s = scratch_new();
    struct error err;
    char path[128], text[AGE_RECIPIENT_TEXT_SIZE];
    _cleanup_buf_ struct buf said = { 0 };
    _cleanup_age_identities_ struct age_identities found = { 0 };
    scratch_run("cd %s && age-keygen -o id 2>/dev/null && age-keygen -y id | tr -d '\\n' > recipient", s.dir);
    (void)snprintf(path, sizeof path, "%s/id", s.dir);
    scratch_ok(age_identities_load(io_real(), AT_FDCWD, path, NULL, &found, &err), &err);
    scratch_read(&s, "recipient", &said);
    age_recipient_format(&found.list[0].recipient, text);
    assert_string_equal(text, buf_str(&said));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recipients),     cmocka_unit_test(test_minimum), cmocka_unit_test(test_identities),
        cmocka_unit_test(test_another_owner),  cmocka_unit_test(test_a_pipe),  cmocka_unit_test(test_under_a_passphrase),
        cmocka_unit_test(test_files_of_age_keygen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
