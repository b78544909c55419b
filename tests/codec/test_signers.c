// The allowed_signers file: parsed as ssh-keygen reads it, and compared with ssh-keygen's own verdict.
#include "scratch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "bkd/codec/sshsig.h"

#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea" // RFC 8032, test 1
static const uint8_t key_bytes[32] = { 0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
                                       0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a };

static void test_match(void **state)
{
    (void)state;
    static const struct {
        const char *text, *list;
        bool matches;
    } cases[] = {
        { "a", "a", true },         { "a", "b", false },          { "a", "b,a", true },       { "ab", "a", false },       { "a", "ab", false },
        { "a", "*", true },         { "", "*", true },            { "abc", "a*c", true },     { "abc", "a?c", true },     { "ac", "a?c", false },
        { "abcbc", "a*bc", true },  { "abcb", "a*bc", false },    { "a", "*,!a", false },     { "b", "*,!a", true },      { "a", "!a,*", false },
        { "b", "!a", false },       { "", "", false },            { "a", "", false },         { "a", ",a", true },        { "A", "a", false },
        { "bkd@h", "bkd@*", true }, { "bkd-head@v1", "bkd-*@v1", true }, { "aaaaaaaaaaaaaaaaaaaaaaaa", "*a*a*a*a*a*a*b", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (signers_match(cases[i].text, cases[i].list) != cases[i].matches)
            fail_msg("'%s' and '%s'", cases[i].text, cases[i].list);
}

static void test_parse(void **state)
{
    (void)state;
    const char *text = "# comment\n\n  \t\n"
                       "a@x,b@y " KEY " with a comment\r\n"
                       "\"c d\"\tnamespaces=\"n1,n2\",valid-after=\"20260101\",valid-before=\"20270101000000Z\" " KEY "\n"
                       "e NameSpaces=\"n 3\" " KEY "\n"
                       "other ssh-rsa AAAAB3NzaC1yc2E= skipped\n"
                       "sk sk-ssh-ed25519@openssh.com AAAA skipped\n"
                       "last " KEY;
    _cleanup_signers_ struct signers s = { 0 };
    struct error err;
    scratch_ok(signers_parse(text, strlen(text), &s, &err), &err);
    assert_int_equal(s.n, 4);
    assert_string_equal(s.list[0].principals, "a@x,b@y");
    assert_null(s.list[0].namespaces);
    assert_int_equal(s.list[0].line, 4);
    assert_memory_equal(s.list[0].public_key, key_bytes, 32);
    assert_string_equal(s.list[1].principals, "c d");
    assert_string_equal(s.list[1].namespaces, "n1,n2");
    assert_int_equal(s.list[1].valid_before_s, 1798761600);
    assert_true(s.list[1].valid_after_s > 1767139200 && s.list[1].valid_after_s < 1767312000);
    assert_string_equal(s.list[2].namespaces, "n 3");
    assert_string_equal(s.list[3].principals, "last");
}

static void test_bad_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } cases[] = {
        { "a", "key is missing" },
        { "a " KEY "x", "base64" },
        { "a ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINda", "malformed" },
        { "a ssh-ed25519 AAAAB3NzaC1yc2E=", "another type" },
        { "a cert-authority " KEY, "cert-authority" },
        { "a namespaces=\"x\",CERT-AUTHORITY " KEY, "cert-authority" },
        { "a namespaces=x " KEY, "double quotes" },
        { "a namespaces=\"x " KEY, "double quotes" },
        { "a namespaces=\"x\",namespaces=\"y\" " KEY, "one value" },
        { "a valid-after=\"2026\" " KEY, "needs a time" },
        { "a valid-before=\"20260230\" " KEY, "needs a time" },
        { "a valid-before=\"20261301\" " KEY, "needs a time" },
        { "a valid-after=\"20270101\",valid-before=\"20260101\" " KEY, "not later" },
        { "a no-such-option " KEY, "option" },
        { "a namespaces=\"x\"; " KEY, "commas" },
        { "\"\" " KEY, "principals" },
        { "\"a " KEY, "principals" },
        { "a -----BEGIN OPENSSH PRIVATE KEY-----", "option" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct signers s = { 0 };
        struct error err;
        char text[512];
        (void)snprintf(text, sizeof text, "# first\n%s\n", cases[i].line);
        int r = signers_parse(text, strlen(text), &s, &err);
        if (r != ERROR_FORMAT && r != ERROR_KEY)
            fail_msg("'%s' was accepted", cases[i].line);
        if (strstr(err.text, "line 2") == NULL || strstr(err.text, cases[i].says) == NULL)
            fail_msg("'%s': '%s'", cases[i].line, err.text);
        assert_null(s.list);
    }
    struct signers s;
    struct error err;
    assert_int_equal(signers_parse("a\0b", 3, &s, &err), ERROR_FORMAT);
}

static void test_find(void **state)
{
    (void)state;
    const char *text = "old valid-before=\"20260101Z\" " KEY "\n"
                       "new valid-after=\"20260601Z\",namespaces=\"bkd-*\" " KEY "\n";
    _cleanup_signers_ struct signers s = { 0 };
    const struct signers_entry *e = NULL;
    struct error err;
    scratch_ok(signers_parse(text, strlen(text), &s, &err), &err);
    scratch_ok(signers_find(&s, key_bytes, "any", 1767225600, NULL, &e, &err), &err); // exactly the end
    assert_string_equal(e->principals, "old");
    assert_int_equal(signers_find(&s, key_bytes, "any", 1767225601, NULL, &e, &err), ERROR_INTEGRITY);
    assert_int_equal(signers_find(&s, key_bytes, "bkd-head", 1780271999, NULL, &e, &err), ERROR_INTEGRITY);
    assert_non_null(strstr(err.text, "not valid yet"));
    scratch_ok(signers_find(&s, key_bytes, "bkd-head", 1780272000, NULL, &e, &err), &err); // exactly the beginning
    assert_string_equal(e->principals, "new");
    assert_int_equal(signers_find(&s, key_bytes, "bkd-head", 1780272000, "old", &e, &err), ERROR_INTEGRITY);
    scratch_ok(signers_find(&s, key_bytes, "bkd-head", 1780272000, "new", &e, &err), &err);
    uint8_t other[32] = { 1 };
    assert_int_equal(signers_find(&s, other, "bkd-head", 1780272000, NULL, &e, &err), ERROR_INTEGRITY);
    assert_non_null(strstr(err.text, "SHA256:"));
}

// The same files, principals, namespaces and times put to ssh-keygen: both must say the same.
static void test_same_verdict_as_ssh_keygen(void **state)
{
    (void)state;
    if (system("command -v ssh-keygen >/dev/null 2>&1") != 0)
        skip();
    _cleanup_scratch_ struct scratch s = scratch_new();
    struct sshkey key;
    _cleanup_buf_ struct buf file = { 0 }, armored = { 0 }, public_line = { 0 };
    sshkey_new(io_real(), &key);
    sshkey_public_format(key.public_key, "", &public_line);
    sshsig_sign(&key, "bkd-head@v1", "data", 4, &armored);
    scratch_write(&s, "sig", armored.data, armored.len);
    scratch_write(&s, "data", "data", 4);
    static const char *const lines[] = {
        "bkd@host", "*", "bkd@*", "*@host", "b?d@host", "!bkd@host,*", "*,!bkd@host", "bkd@HOST", "other,bkd@host", "\"bkd@host\"",
        "bkd@host namespaces=\"bkd-head@v1\"", "bkd@host namespaces=\"bkd-*\"", "bkd@host namespaces=\"x,bkd-head@v1\"", "bkd@host namespaces=\"x\"",
        "bkd@host NAMESPACES=\"*,!bkd-head@v1\"", "bkd@host valid-after=\"20200101\"", "bkd@host valid-after=\"20400101\"",
        "bkd@host valid-before=\"20200101\"", "bkd@host valid-before=\"20400101Z\"", "bkd@host valid-after=\"20200101\",valid-before=\"204001011200\"",
        "bkd@host valid-after=\"20200101\",namespaces=\"bkd-head@v1\"", "bkd@host namespaces=bkd-head@v1", "bkd@host valid-after=\"2020\"",
        "bkd@host bad-option", "bkd@host namespaces=\"bkd-head@v1\" bad",
    };
    unsigned accepted = 0;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        buf_reset(&file);
        buf_addf(&file, "%s %s\n", lines[i], buf_str(&public_line));
        scratch_write(&s, "signers", file.data, file.len);
        char command[512];
        (void)snprintf(command, sizeof command, "cd %s && ssh-keygen -q -Y verify -f signers -I bkd@host -n bkd-head@v1 -s sig < data >/dev/null 2>&1", s.dir);
        bool theirs = system(command) == 0;
        struct signers parsed = { 0 };
        struct error err = { 0 };
        int r = signers_parse(buf_str(&file), file.len, &parsed, &err);
        if (r == 0)
            r = sshsig_verify(&parsed, "bkd@host", "bkd-head@v1", (uint64_t)time(NULL), "data", 4, armored.data, armored.len, NULL, &err);
        if ((r == 0) != theirs)
            fail_msg("'%s': ssh-keygen says %d, we say %d (%s)", lines[i], theirs, r == 0, err.text);
        accepted += r == 0;
        signers_done(&parsed);
    }
    assert_true(accepted >= 10);
    print_message("             %zu lines judged as ssh-keygen does, %u accepted\n", sizeof lines / sizeof *lines, accepted);
}

static void test_load(void **state)
{
    (void)state;
    _cleanup_scratch_ struct scratch s = scratch_new();
    _cleanup_signers_ struct signers found = { 0 };
    struct error err;
    char path[128];
    scratch_write(&s, "signers", "a " KEY "\n", strlen("a " KEY "\n"));
    (void)snprintf(path, sizeof path, "%s/signers", s.dir);
    assert_int_equal(chmod(path, 0664), 0);
    assert_int_equal(signers_load(io_real(), AT_FDCWD, path, &found, &err), ERROR_KEY);
    assert_int_equal(chmod(path, 0644), 0);
    scratch_ok(signers_load(io_real(), AT_FDCWD, path, &found, &err), &err);
    assert_int_equal(found.n, 1);
    scratch_write(&s, "signers", "a b c\n", 6);
    assert_int_equal(signers_load(io_real(), AT_FDCWD, path, &found, &err), ERROR_KEY);
    assert_non_null(strstr(err.text, "line 1"));
    assert_int_equal(signers_load(io_real(), AT_FDCWD, "/nonexistent/signers", &found, &err), ERROR_KEY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_match), cmocka_unit_test(test_parse), cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_find),  cmocka_unit_test(test_load),  cmocka_unit_test(test_same_verdict_as_ssh_keygen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
