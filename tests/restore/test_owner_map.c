// Rules that exchange owners: what they accept, which one decides, and how they stand beside --numeric-owner.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "restore/attrs.h"
#include "restore/owner_map.h"

static void add(struct owner_map *m, const char *rule)
{
    struct error err;
    if (owner_map_add(m, rule, &err) < 0)
        fail_msg("%s", err.text);
}

static void assert_maps(const struct owner_map *m, bool group, const char *name, uint32_t id, uint32_t wanted)
{
    uint32_t to = UINT32_MAX;
    assert_true(owner_map_find(m, group, name, strlen(name), id, &to));
    assert_int_equal(to, wanted);
}

static void test_rules(void **state)
{
    _cleanup_owner_map_ struct owner_map m = { 0 };
    uint32_t to = 7;
    (void)state;
    add(&m, "user:alice=2001");
    add(&m, "user:1000=2000");
    add(&m, "user:1000-1999=2999");
    add(&m, "group:staff=root");
    add(&m, "group:4294967294=0");
    assert_maps(&m, false, "alice", 1000, 2001); // the first rule that fits
    assert_maps(&m, false, "bob", 1000, 2000);
    assert_maps(&m, false, "", 1999, 2999);
    assert_maps(&m, true, "staff", 50, 0); // a name of this machine
    assert_maps(&m, true, "", 4294967294u, 0);
    assert_false(owner_map_find(&m, false, "carol", 5, 2000, &to));
    assert_false(owner_map_find(&m, true, "alice", 5, 1000, &to)); // a rule for users
    assert_false(owner_map_find(&m, false, "alic", 4, 7, &to));
    assert_false(owner_map_find(NULL, false, "alice", 5, 1000, &to));
    assert_int_equal(to, 7);
    add(&m, "user:*=33");
    assert_maps(&m, false, "carol", 2000, 33);
    assert_maps(&m, false, "alice", 1000, 2001);
}

static void test_mistakes(void **state)
{
    static const char *const bad[] = { "", "user:", "user:a", "user:a=", "user:=b", "users:a=b", "a=b", "user:9-1=3", "user:a=no-such-user-here",
                                       "group:a=no-such-group-here", "user:a=4294967295" };
    _cleanup_owner_map_ struct owner_map m = { 0 };
    struct error err;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(owner_map_add(&m, bad[i], &err), ERROR_USAGE);
    assert_int_equal(m.n, 0);
    assert_int_equal(owner_map_add_text(&m, "# owners\n\nuser:a=1\ngroup:b=2", "f", &err), 0);
    assert_int_equal(m.n, 2);
    assert_int_equal(owner_map_add_text(&m, "user:a=1\n\nuser:a", "map", &err), ERROR_USAGE);
    assert_non_null(strstr(err.text, "'map' line 3"));
    assert_true(owner_map_is_rule("group:x") && !owner_map_is_rule("./group:x"));
}

// A rule goes before names and numbers; what no rule fits goes as without a map.
static void test_beside_numeric_owner(void **state)
{
    _cleanup_owner_map_ struct owner_map m = { 0 };
    _cleanup_manifest_entry_ struct manifest_entry e = { .uid = 4711, .gid = 4712 };
    struct attrs_names *names = attrs_names_new();
    struct attrs attrs;
    (void)state;
    buf_add_str(&e.user, "daemon"); // number 1 on Debian, whatever it was at home
    buf_add_str(&e.group, "daemon");
    add(&m, "user:4711=5000");
    for (int numeric = 0; numeric < 2; numeric++) {
        struct attrs_self self = { .root = true, .numeric_owner = numeric, .owners = &m };
        attrs_of_entry(names, &self, &e, &attrs);
        assert_int_equal(attrs.uid, 5000);
        assert_int_equal(attrs.gid, numeric ? 4712 : 1);
    }
    attrs_names_free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_beside_numeric_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
