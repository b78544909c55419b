// The environment programs get: what they need, what we say, and nothing else.
#include "tests/codec/scratch.h"

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "bkd/base/env.h"

static const char *value_of(const struct env *env, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < env->count; i++)
        if (strncmp(env->list[i], name, n) == 0 && env->list[i][n] == '=')
            return env->list[i] + n + 1;
    return NULL;
}

static void test_init(void **state)
{
    (void)state;
    assert_int_equal(setenv("HOME", "/somewhere/else", 1), 0);
    assert_int_equal(setenv("BKD_TEST_SECRET", "x", 1), 0);
    const struct passwd *us = getpwuid(geteuid());
    _cleanup_env_ struct env env = { 0 };
    env_init(&env, NULL);
    assert_non_null(strstr(value_of(&env, "PATH"), "/usr/bin:"));
    assert_string_equal(value_of(&env, "LANG"), "C.UTF-8");
    if (us != NULL) {
        assert_string_equal(value_of(&env, "HOME"), us->pw_dir);
        assert_string_equal(value_of(&env, "USER"), us->pw_name);
    }
    assert_null(value_of(&env, "BKD_TEST_SECRET"));
    assert_null(env.list[env.count]);
}

static void test_another_user(void **state)
{
    (void)state;
    _cleanup_env_ struct env root = { 0 }, nobody_at_all = { 0 };
    env_init(&root, "root");
    assert_string_equal(value_of(&root, "HOME"), "/root");
    assert_string_equal(value_of(&root, "LOGNAME"), "root");
    env_init(&nobody_at_all, "no-such-user");
    assert_int_equal(nobody_at_all.count, 2);
}

static void test_add(void **state)
{
    (void)state;
    _cleanup_env_ struct env env = { 0 };
    env_add(&env, "A", "x=y\n$(z)");
    env_add(&env, "B", "");
    env_add(&env, "C", NULL);
    env_add_u64(&env, "D", UINT64_MAX);
    assert_int_equal(env.count, 3);
    assert_string_equal(env.list[0], "A=x=y\n$(z)");
    assert_string_equal(env.list[1], "B=");
    assert_string_equal(env.list[2], "D=18446744073709551615");
    assert_null(env.list[3]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_init), cmocka_unit_test(test_another_user), cmocka_unit_test(test_add) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
