// known_hosts against ssh-keygen: names in all their forms, and what is refused.
#include "tests/codec/scratch.h"

#include "bkd/base/bytes.h"
#include "bkd/codec/known_hosts.h"

static void read_blob(const struct scratch *s, const char *public_file, struct buf *ret_blob)
{
    _cleanup_buf_ struct buf text = { 0 };
    scratch_read(s, public_file, &text);
    const char *key = strchr(buf_str(&text), ' ') + 1;
    size_t n = 0, len = strcspn(key, " \n");
    buf_reserve(ret_blob, len);
    assert_true(base64_decode(key, len, true, ret_blob->data, len, &n));
    ret_blob->len = n;
}

static enum known_hosts_answer ask(const char *text, const char *name, const struct buf *blob)
{
    struct error err;
    enum known_hosts_answer answer;
    if (known_hosts_find(text, strlen(text), name, blob->data, blob->len, &answer, &err) < 0)
        fail_msg("%s", err.text);
    return answer;
}

struct keys {
    struct scratch s;
    struct buf one, other;
    char *line; // "ssh-ed25519 AAAA…" of the first
};

static int setup(void **state)
{
    struct keys *k = xcalloc(1, sizeof *k);
    k->s = scratch_new();
    scratch_run("cd '%s' && ssh-keygen -q -t ed25519 -N '' -C '' -f one && ssh-keygen -q -t ecdsa -N '' -C '' -f other", k->s.dir);
    read_blob(&k->s, "one.pub", &k->one);
    read_blob(&k->s, "other.pub", &k->other);
    _cleanup_buf_ struct buf text = { 0 };
    scratch_read(&k->s, "one.pub", &text);
    k->line = xstrndup(buf_str(&text), strcspn(strchr(buf_str(&text), ' ') + 1, " \n") + (size_t)(strchr(buf_str(&text), ' ') + 1 - buf_str(&text)));
    *state = k;
    return 0;
}

static int teardown(void **state)
{
    struct keys *k = *state;
    scratch_done(&k->s);
    buf_done(&k->one);
    buf_done(&k->other);
    free(k->line);
    free(k);
    return 0;
}

static void test_names(void **state)
{
    struct keys *k = *state;
    static const struct { const char *names, *name; bool found; } cases[] = {
        { "host", "host", true }, { "HOST", "host", true }, { "host", "hos", false }, { "host", "hosts", false }, { "a,host,b", "host", true },
        { "[host]:2222", "[host]:2222", true }, { "host", "[host]:2222", false }, { "*.example.net", "vault.example.net", true },
        { "*.example.net", "example.net", false }, { "vault?", "vault1", true }, { "vault?", "vault", false }, { "*,!host", "host", false },
        { "*,!host", "other", true }, { "!host,*", "host", false }, { "192.0.2.*", "192.0.2.17", true }, { "*a*b*c", "xxaxxbxxc", true },
        { "*a*b*c", "xxaxxcxxb", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        _cleanup_free_ char *text = xasprintf("# a comment\n\n%s %s comment\r\n", cases[i].names, k->line);
        enum known_hosts_answer answer = ask(text, cases[i].name, &k->one);
        if ((answer == KNOWN_HOSTS_MATCH) != cases[i].found)
            fail_msg("'%s' and '%s'", cases[i].names, cases[i].name);
        if (cases[i].found)
            assert_int_equal(ask(text, cases[i].name, &k->other), KNOWN_HOSTS_CHANGED);
        else
            assert_int_equal(answer, KNOWN_HOSTS_UNKNOWN);
    }
}

// Lines that ssh-keygen hashed.
// Another key of the same type differs in its bytes only.
static void test_one_bit(void **state)
{
    struct keys *k = *state;
    _cleanup_free_ char *text = xasprintf("host %s\n", k->line);
    assert_int_equal(ask(text, "host", &k->one), KNOWN_HOSTS_MATCH);
    k->one.data[k->one.len - 1] ^= 1;
    assert_int_equal(ask(text, "host", &k->one), KNOWN_HOSTS_CHANGED);
}

static void test_hashed(void **state)
{
    struct keys *k = *state;
    _cleanup_free_ char *plain = xasprintf("vault.example.net %s\n[vault]:2222 %s\n", k->line, k->line);
    _cleanup_buf_ struct buf hashed = { 0 };
    scratch_write(&k->s, "known", plain, strlen(plain));
    scratch_run("cd '%s' && ssh-keygen -q -H -f known >/dev/null 2>&1", k->s.dir);
    scratch_read(&k->s, "known", &hashed);
    assert_null(strstr(buf_str(&hashed), "vault"));
    assert_int_equal(ask(buf_str(&hashed), "vault.example.net", &k->one), KNOWN_HOSTS_MATCH);
    assert_int_equal(ask(buf_str(&hashed), "[vault]:2222", &k->one), KNOWN_HOSTS_MATCH);
    assert_int_equal(ask(buf_str(&hashed), "vault", &k->one), KNOWN_HOSTS_UNKNOWN);
    assert_int_equal(ask(buf_str(&hashed), "vault.example.net", &k->other), KNOWN_HOSTS_CHANGED);
}

// What is written is found by ssh-keygen, under its fingerprint.
static void test_line(void **state)
{
    struct keys *k = *state;
    _cleanup_buf_ struct buf line = { 0 }, said = { 0 };
    char fingerprint[KNOWN_HOSTS_FINGERPRINT_SIZE];
    _cleanup_free_ char *name = known_hosts_name("vault", 2222), *plain = known_hosts_name("vault", 22);
    assert_string_equal(name, "[vault]:2222");
    assert_string_equal(plain, "vault");
    known_hosts_line(name, k->one.data, k->one.len, &line);
    scratch_write(&k->s, "mine", line.data, line.len);
    scratch_run("cd '%s' && ssh-keygen -f mine -F '[vault]:2222' >/dev/null && ssh-keygen -lf one.pub | cut -d' ' -f2 >print", k->s.dir);
    scratch_read(&k->s, "print", &said);
    known_hosts_fingerprint(k->one.data, k->one.len, fingerprint);
    assert_int_equal(strncmp(fingerprint, buf_str(&said), strlen(fingerprint)), 0);
}

static void test_types(void **state)
{
    struct keys *k = *state;
    struct error err;
    _cleanup_buf_ struct buf types = { 0 }, other = { 0 };
    known_hosts_line("host", k->other.data, k->other.len, &other);
    _cleanup_free_ char *text = xasprintf("host %s\n%shost %s\n", k->line, buf_str(&other), k->line);
    assert_int_equal(known_hosts_types(text, strlen(text), "host", &types, &err), 0);
    assert_string_equal(buf_str(&types), "ssh-ed25519,ecdsa-sha2-nistp256");
}

// What gives way to a new key: the host's own lines, hashed ones, too.
static void test_without(void **state)
{
    struct keys *k = *state;
    struct error err;
    _cleanup_buf_ struct buf hashed = { 0 }, rest = { 0 };
    _cleanup_free_ char *own = xasprintf("vault.example.net %s", k->line);
    scratch_write(&k->s, "known", own, strlen(own));
    scratch_run("cd '%s' && ssh-keygen -q -H -f known >/dev/null 2>&1", k->s.dir);
    scratch_read(&k->s, "known", &hashed);
    _cleanup_free_ char *kept = xasprintf("# of a person\nother.example.net %s\n\nvault.example.net,both %s\n", k->line, k->line);
    _cleanup_free_ char *text = xasprintf("%s\n%s%s", own, buf_str(&hashed), kept);
    assert_int_equal(known_hosts_without(text, strlen(text), "vault.example.net", &rest, &err), 0);
    assert_string_equal(buf_str(&rest), kept);
    buf_reset(&rest);
    assert_int_equal(known_hosts_without("vault ssh-ed25519 %", 19, "vault", &rest, &err), ERROR_KEY);
}

static void test_refused(void **state)
{
    struct keys *k = *state;
    struct error err;
    enum known_hosts_answer answer;
    static const char *const markers[] = { "@revoked", "@cert-authority" };
    for (size_t i = 0; i < 2; i++) {
        _cleanup_free_ char *text = xasprintf("%s host %s\n", markers[i], k->line);
        assert_int_equal(known_hosts_find(text, strlen(text), "host", k->one.data, k->one.len, &answer, &err), ERROR_KEY);
        assert_non_null(strstr(err.text, markers[i]));
        assert_int_equal(known_hosts_find(text, strlen(text), "other", k->one.data, k->one.len, &answer, &err), 0);
    }
    static const char *const broken[] = { "host", "host ssh-ed25519", "host ssh-ed25519 %%%", "host ssh-ed25519 AAA" };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        assert_int_equal(known_hosts_find(broken[i], strlen(broken[i]), "host", k->one.data, k->one.len, &answer, &err), ERROR_KEY);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = { TEST(test_names), TEST(test_one_bit), TEST(test_hashed), TEST(test_line), TEST(test_types), TEST(test_without), TEST(test_refused) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
