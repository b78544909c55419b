// Policies that are right: their typed values, names, limits; and what no golden file can hold.
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

#include "bkd/policy/policy.h"
#include "bkd/policy/policy_trust.h"
#include "bkd/policy/schema.h"

#define SR "sources: [/srv]\nrepository: /backup\n"

static int parse(const char *path, const char *text, struct policy *ret_policy, struct policy_errors *ret_errors)
{
    struct error err;
    return policy_parse(path, text, strlen(text), ret_policy, ret_errors, &err);
}

// How old a copy may be: as it says; else as the policy promises for every place, but for disks in a safe; else a week.
static void test_age_of_copies(void **state)
{
    (void)state;
    static const char copies[] = SR "offsite: [/a, {url: /b, max_age: 2d}, {url: /c, removable: true}, {url: /d, max_age: auto}]\n";
    static const uint64_t promised[] = { 86400, 2 * 86400, 7 * 86400, 86400 };
    _cleanup_free_ char *text = xasprintf("%sobjectives: {rpo: 1d}\n", copies);
    _cleanup_policy_ struct policy with = { 0 }, without = { 0 };
    struct policy_errors errors;
    assert_int_equal(parse("p.yaml", text, &with, &errors), 0);
    policy_errors_done(&errors);
    assert_int_equal(parse("p.yaml", copies, &without, &errors), 0);
    policy_errors_done(&errors);
    assert_int_equal(with.offsite.count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(policy_copy_max_age_s(&with, &with.offsite.items[i]), promised[i]);
        assert_int_equal(policy_copy_max_age_s(&without, &without.offsite.items[i]), i == 1 ? 2 * 86400 : 7 * 86400);
    }
}

static void test_contract(void **state)
{
    (void)state;
    static const char text[] = "description: ERP files\n"
                               "sources:\n"
                               "  - path: /srv//erp/./data/\n"
                               "    exclude: [\"*.tmp\", \"/cache/\"]\n"
                               "  - /etc\n"
                               "repository: /var/backups/bkd/erp/      # a directory\n"
                               "encryption: {recipients: [ops.txt, dr.txt], allow_single_recipient: true}\n"
                               "compression: 5\n"
                               "delta: {min_size: 64KiB, block_size: auto, max_chain: 7, max_share: 40%}\n"
                               "compare: mtime\n"
                               "one_filesystem: false\n";
    _cleanup_policy_ struct policy policy = { 0 };
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    assert_int_equal(parse("/c/policies/erp.yaml", text, &policy, &errors), 0);
    assert_string_equal(policy.name, "erp");
    assert_string_equal(policy.file, "/c/policies/erp.yaml");
    assert_string_equal(policy.description, "ERP files");
    assert_int_equal(policy.source_count, 2);
    assert_string_equal(policy.sources[0].path, "/srv/erp/data");
    assert_int_equal(policy.sources[0].exclude.count, 2);
    assert_string_equal(policy.sources[0].exclude.items[1], "/cache/");
    assert_string_equal(policy.sources[1].path, "/etc");
    assert_int_equal(policy.sources[1].exclude.count, 0);
    assert_string_equal(policy.repository.url, "/var/backups/bkd/erp");
    assert_true(policy.encrypted && policy.allow_single_recipient);
    assert_int_equal(policy.recipients.count, 2);
    assert_string_equal(policy.recipients.items[1], "dr.txt");
    assert_int_equal(policy.compression_level, 5);
    assert_int_equal(policy.delta_min_size_bytes, 65536);
    assert_int_equal(policy.delta_block_size_bytes, 0);
    assert_int_equal(policy.delta_max_chain, 7);
    assert_int_equal(policy.delta_max_share_percent, 40);
    assert_int_equal(policy.compare, POLICY_COMPARE_MTIME);
    assert_false(policy.one_filesystem);
    assert_int_equal(policy.key_lines[schema_index(schema_find("delta", "max_chain"))], 9);
}

static void test_defaults(void **state)
{
    (void)state;
    _cleanup_policy_ struct policy policy = { 0 };
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    assert_int_equal(parse("a.yaml", SR, &policy, &errors), 0);
    assert_string_equal(policy.description, "");
    assert_true(policy.encrypted);
    assert_false(policy.allow_single_recipient);
    assert_int_equal(policy.recipients.count, 1);
    assert_string_equal(policy.recipients.items[0], "recipients.txt");
    assert_int_equal(policy.compression_level, 2);
    assert_int_equal(policy.delta_min_size_bytes, 0);
    assert_int_equal(policy.delta_max_chain, 20);
    assert_int_equal(policy.delta_max_share_percent, 100);
    assert_int_equal(policy.compare, POLICY_COMPARE_INODE);
    assert_true(policy.one_filesystem);
    assert_int_equal(policy.key_lines[schema_index(schema_find("", "compression"))], 0);
}

// What the top level says, and what a source says for itself.
static void test_exclusions(void **state)
{
    (void)state;
    static const char text[] = "sources:\n"
                               "  - path: /srv\n"
                               "    exclude:\n"
                               "      - \"!keep.tmp\"\n"
                               "      - \"/cache/\"\n"
                               "    exclude_if_present: []\n"
                               "    exclude_larger_than: none\n"
                               "  - /etc\n"
                               "repository: /backup\n"
                               "exclude: [\"*.tmp\"]\n"
                               "exclude_if_present: [.nobackup, CACHEDIR.TAG]\n"
                               "exclude_larger_than: 2GiB\n"
                               "exclude_nodump: true\n";
    struct error err;
    size_t rule;
    _cleanup_policy_ struct policy policy = { 0 };
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    _cleanup_pattern_set_ struct pattern_set *srv = NULL, *etc = NULL;
    assert_int_equal(parse("a.yaml", text, &policy, &errors), 0);
    const struct policy_source *source = &policy.sources[0];
    assert_int_equal(policy.exclude_larger_than_bytes, UINT64_C(2) << 30);
    assert_true(policy.exclude_nodump);
    assert_int_equal(policy.exclude_if_present.count, 2);
    assert_string_equal(policy.exclude_if_present.items[1], "CACHEDIR.TAG");
    assert_int_equal(policy.exclude_if_present.lines[1], 11);
    assert_int_equal(source->exclude.lines[1], 5);
    assert_int_equal(source->exclude_larger_than_bytes, 0);
    assert_int_equal(source->key_lines[schema_index(schema_find("sources", "exclude_larger_than"))], 7);
    assert_int_equal(source->key_lines[schema_index(schema_find("sources", "exclude_nodump"))], 0);
    assert_int_equal(policy.sources[1].key_lines[schema_index(schema_find("sources", "exclude_if_present"))], 0);
    assert_int_equal(policy_source_patterns(&policy, source, &srv, &err), 0);
    assert_false(pattern_set_match(srv, "x/keep.tmp", false, &rule)); // its own come after the policy's
    assert_int_equal(rule, 1);
    assert_true(pattern_set_match(srv, "x/lose.tmp", false, &rule));
    assert_int_equal(rule, 0);
    assert_int_equal(policy_source_patterns(&policy, &policy.sources[1], &etc, &err), 0);
    assert_true(pattern_set_match(etc, "keep.tmp", false, NULL));
    assert_false(pattern_set_match(etc, "cache", true, NULL));
}

static void test_no_encryption(void **state)
{
    (void)state;
    _cleanup_policy_ struct policy policy = { 0 };
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    assert_int_equal(parse("a.yaml", SR "encryption: none\n", &policy, &errors), 0);
    assert_false(policy.encrypted);
    assert_int_equal(policy.recipients.count, 0);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const good[] = { "a", "erp-2", "A_b.c", "9" };
    static const char *const bad[] = { "", ".a", "-a", "a b", "a/b", "\xc3\xa9", "a\n" };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(policy_is_name(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(policy_is_name(bad[i], strlen(bad[i])));
    char longest[POLICY_NAME_MAX + 2];
    memset(longest, 'a', sizeof longest);
    assert_true(policy_is_name(longest, POLICY_NAME_MAX));
    assert_false(policy_is_name(longest, POLICY_NAME_MAX + 1));
}

static void test_file_names_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *path, *said;
    } cases[] = {
        { "erp.yml", "erp.yml: error: the name of a policy file ends in '.yaml'\n" },
        { "/c/.yaml", "/c/.yaml: error: '' is no policy name: letters, digits, '-', '_' and '.' (not first), at most 64\n" },
        { "a b.yaml", "a b.yaml: error: 'a b' is no policy name: letters, digits, '-', '_' and '.' (not first), at most 64\n" },
        { "a\x1b.yaml", "a?.yaml: error: 'a?' is no policy name: letters, digits, '-', '_' and '.' (not first), at most 64\n" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        _cleanup_policy_ struct policy policy = { 0 };
        _cleanup_policy_errors_ struct policy_errors errors = { 0 };
        _cleanup_buf_ struct buf text = { 0 };
        assert_int_equal(parse(cases[i].path, SR, &policy, &errors), ERROR_USAGE);
        policy_errors_format(&errors, &text);
        assert_string_equal(buf_str(&text), cases[i].said);
    }
}

// Sizes that a golden file should not have: each must end quickly, with an error that names the limit.
static void test_limits(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf line = { 0 }, many = { 0 }, deep = { 0 };
    buf_add_str(&line, SR "description: ");
    for (int i = 0; i < 1 << 20; i++)
        buf_add_char(&line, 'x');
    buf_add_str(&many, "repository: /backup\nsources:\n");
    for (int i = 0; i < 100000; i++)
        buf_addf(&many, "  - /srv/%d\n", i);
    for (int i = 0; i < 100000; i++)
        buf_add_char(&deep, '[');
    struct {
        struct buf *text;
        const char *said;
    } cases[] = { { &line, "the line has 1048589 bytes, at most 4096 are allowed" },
                  { &many, "'sources' has 100000 items, at most 1024 are allowed" },
                  { &deep, "nested more than 8 levels deep" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        _cleanup_policy_ struct policy policy = { 0 };
        _cleanup_policy_errors_ struct policy_errors errors = { 0 };
        _cleanup_buf_ struct buf text = { 0 };
        assert_int_equal(parse("a.yaml", buf_str(cases[i].text), &policy, &errors), ERROR_USAGE);
        policy_errors_format(&errors, &text);
        assert_non_null(strstr(buf_str(&text), cases[i].said));
        assert_true(text.len < 4096); // the line itself is shown cut
    }
}

static void test_mistakes_are_bounded(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf text = { 0 };
    _cleanup_policy_ struct policy policy = { 0 };
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    for (int i = 0; i < 5000; i++)
        buf_addf(&text, "wrong%d: 1\n", i);
    assert_int_equal(parse("a.yaml", buf_str(&text), &policy, &errors), ERROR_USAGE);
    assert_int_equal(errors.count, POLICY_ERRORS_MAX);
    assert_non_null(strstr(errors.items[POLICY_ERRORS_MAX - 1].message, "more mistakes than are shown"));
}

static void test_load(void **state)
{
    (void)state;
    char dir[] = "/tmp/bkd-policy-XXXXXX";
    assert_non_null(mkdtemp(dir));
    _cleanup_free_ char *path = xasprintf("%s/erp.yaml", dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(SR, file);
    fclose(file);
    struct error err;
    _cleanup_policy_ struct policy policy = { 0 };
    _cleanup_policy_errors_ struct policy_errors errors = { 0 }, none = { 0 };
    assert_int_equal(policy_load(io_real(), path, &policy, &errors, &err), 0);
    assert_string_equal(policy.name, "erp");
    unlink(path);
    assert_int_equal(policy_load(io_real(), path, &policy, &none, &err), ERROR_NOT_FOUND);
    assert_int_equal(none.count, 0);
    rmdir(dir);
}

// What runs with our rights must not be writable for others; what runs nothing may be.
static void test_trust(void **state)
{
    (void)state;
    char dir[] = "/tmp/bkd-policy-XXXXXX";
    assert_non_null(mkdtemp(dir));
    _cleanup_free_ char *path = xasprintf("%s/erp.yaml", dir), *link = xasprintf("%s/link.yaml", dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(SR "hooks: {before: [\"true\"]}\n", file);
    fclose(file);
    assert_int_equal(symlink("erp.yaml", link), 0);
    static const struct { mode_t dir, file; bool good; } modes[] = {
        { 0755, 0644, true }, { 0755, 0664, false }, { 0755, 0646, false }, { 0775, 0644, false }, { 0757, 0600, false }, { 01777, 0644, true },
    };
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        struct error err = { 0 };
        _cleanup_policy_ struct policy policy = { 0 };
        _cleanup_policy_errors_ struct policy_errors errors = { 0 };
        assert_true(chmod(dir, modes[i].dir) == 0 && chmod(path, modes[i].file) == 0);
        assert_int_equal(policy_load(io_real(), i % 2 ? link : path, &policy, &errors, &err), 0);
        assert_int_equal(policy_trust_check(io_real(), &policy, &err), modes[i].good ? 0 : ERROR_USAGE);
        assert_true(modes[i].good || strstr(err.text, "chmod go-w /tmp/bkd-policy-") != NULL);
        policy.hooks_before.count = 0;
        assert_int_equal(policy_trust_check(io_real(), &policy, &err), 0);
        policy.hooks_before.count = 1;
        if (geteuid() == 0) {
            assert_int_equal(chown(path, 65534, 0), 0);
            assert_int_equal(policy_trust_check(io_real(), &policy, &err), ERROR_USAGE);
            assert_int_equal(chown(path, 0, 0), 0);
        }
    }
    unlink(link);
    unlink(path);
    rmdir(dir);
}

// The three ways to write commands.
static void test_hooks(void **state)
{
    (void)state;
    _cleanup_policy_ struct policy policy = { 0 };
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    assert_int_equal(parse("p.yaml", SR "hooks:\n  before: [a, \"b c\", \"\"]\n  after: [[a], {command: [/b], name: B, timeout: 5min}]\n  on_failure: {command: [c]}\n", &policy, &errors), 0);
    assert_int_equal(policy.hooks_before.count, 1);
    const struct policy_command *before = policy.hooks_before.items, *after = policy.hooks_after.items;
    assert_int_equal(before->argv.count, 3);
    assert_string_equal(before->argv.items[1], "b c");
    assert_int_equal(before->timeout_s, 3600);
    assert_string_equal(before->name, "");
    assert_int_equal(policy.hooks_after.count, 2);
    assert_string_equal(after[1].argv.items[0], "/b");
    assert_string_equal(after[1].name, "B");
    assert_int_equal(after[1].timeout_s, 300);
    assert_int_equal(policy.hooks_on_failure.count, 1);
    assert_true(policy_names_commands(&policy));
}

static void test_snapshots(void **state)
{
    (void)state;
    _cleanup_policy_ struct policy policy = { 0 };
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    assert_int_equal(parse("p.yaml", "sources:\n  - {path: /a, snapshot: {type: command, create: [x, y], release: [z], timeout: 1min}}\n  - {path: /b, snapshot: {type: btrfs, place: /b/s/}}\n"
          "  - {path: /c, snapshot: none}\n  - /d\nrepository: /r\n", &policy, &errors), 0);
    assert_true(policy.sources[0].snapshot.wanted && policy.sources[1].snapshot.wanted);
    assert_int_equal(policy.sources[0].snapshot.type, POLICY_SNAPSHOT_COMMAND);
    assert_int_equal(policy.sources[0].snapshot.create.count, 2);
    assert_int_equal(policy.sources[0].snapshot.timeout_s, 60);
    assert_int_equal(policy.sources[1].snapshot.type, POLICY_SNAPSHOT_BTRFS);
    assert_string_equal(policy.sources[1].snapshot.place, "/b/s");
    assert_int_equal(policy.sources[1].snapshot.timeout_s, 600);
    assert_false(policy.sources[2].snapshot.wanted || policy.sources[3].snapshot.wanted);
    assert_true(policy_names_commands(&policy));
}

static bool is_parent_name(const char *name, size_t before)
{
    size_t count;
    const struct schema_key *keys = schema_keys(&count);
    for (size_t i = 0; i < before; i++)
        if (strcmp(keys[i].name, name) == 0)
            return true;
    return strcmp(name, "hooks.HOOK") == 0; // stands for each of the three
}

// The table itself: parents before children, defaults of their own form, everything said that the man page prints.
static void test_schema_is_sound(void **state)
{
    (void)state;
    size_t count;
    const struct schema_key *keys = schema_keys(&count);
    for (size_t i = 0; i < count; i++) {
        const char *dot = strrchr(keys[i].name, '.');
        _cleanup_free_ char *parent = xstrndup(keys[i].name, dot ? (size_t)(dot - keys[i].name) : 0);
        assert_true(schema_find(parent, schema_leaf(&keys[i])) == &keys[i]);
        if (dot)
            assert_true(is_parent_name(parent, i));
        assert_true(keys[i].help[0] && keys[i].form[0]);
        assert_false(keys[i].required && keys[i].default_text);
    }
    assert_string_equal(schema_nearest("", "repositry")->name, "repository");
    assert_string_equal(schema_nearest("", "max_chian")->name, "delta.max_chain");
    assert_null(schema_nearest("", "wibble"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contract), cmocka_unit_test(test_age_of_copies),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_exclusions),
        cmocka_unit_test(test_no_encryption),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_file_names_are_checked),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_mistakes_are_bounded),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_trust),
        cmocka_unit_test(test_hooks),
        cmocka_unit_test(test_snapshots),
        cmocka_unit_test(test_schema_is_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
