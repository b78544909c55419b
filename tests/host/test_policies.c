// The set of policies that holds: files that come, change, get mistakes, get well, and go; and what a restart knows of the version before.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "bkd/host/policies.h"

#define GOOD "sources: [/srv/data]\nrepository: /srv/repository\nencryption: none\ndescription: %s\n"

struct host {
    char dir[32];
    char *config, *state;
    struct context ctx;
    struct policies policies;
    char told[256]; // names, in the order of telling; "-" before one that was removed, "!" before one with mistakes
};

static int setup(void **state)
{
    struct host *h = xcalloc(1, sizeof *h);
    struct error err;
    strcpy(h->dir, "/tmp/bkd-policies-XXXXXX");
    assert_non_null(mkdtemp(h->dir));
    h->config = xasprintf("%s/config", h->dir);
    h->state = xasprintf("%s/state", h->dir);
    h->ctx = (struct context){ .io = io_real(), .config_dir = h->config, .state_dir = h->state };
    _cleanup_free_ char *policies = xasprintf("%s/policies", h->config);
    assert_int_equal(fs_make_dirs(io_real(), AT_FDCWD, policies, 0700, &err), 0);
    *state = h;
    return 0;
}

static int teardown(void **state)
{
    struct host *h = *state;
    struct error err;
    policies_done(&h->policies);
    assert_int_equal(fs_remove_tree(io_real(), AT_FDCWD, h->dir, &err), 0);
    free(h->config);
    free(h->state);
    free(h);
    return 0;
}

static void write_policy(const struct host *h, const char *name, const char *text)
{
    struct error err;
    _cleanup_free_ char *path = xasprintf("%s/policies/%s.yaml", h->config, name);
    assert_int_equal(fs_replace_file(io_real(), AT_FDCWD, path, 0600, text, strlen(text), &err), 0);
}

static void write_good(const struct host *h, const char *name, const char *description)
{
    _cleanup_free_ char *text = xasprintf(GOOD, description);
    write_policy(h, name, text);
}

static void remove_policy(const struct host *h, const char *name)
{
    _cleanup_free_ char *path = xasprintf("%s/policies/%s.yaml", h->config, name);
    assert_int_equal(unlink(path), 0);
}

static void note(void *arg, const struct policies_change *change)
{
    struct host *h = arg;
    size_t n = strlen(h->told);
    (void)snprintf(h->told + n, sizeof h->told - n, "%s%s ", change->item == NULL ? "-" : change->item->problem != NULL ? "!" : "", change->name);
}

static const char *read_again(struct host *h)
{
    struct error err;
    h->told[0] = '\0';
    assert_int_equal(policies_read(&h->ctx, &h->policies, note, h, &err), 0);
    return h->told;
}

static void test_come_change_and_go(void **state)
{
    struct host *h = *state;
    assert_string_equal(read_again(h), "");
    write_good(h, "b", "one");
    assert_string_equal(read_again(h), "b ");
    write_good(h, "a", "one");
    write_policy(h, ".hidden", "x"); // no name of a policy
    assert_string_equal(read_again(h), "a ");
    assert_string_equal(h->policies.items[0].name, "a"); // by name
    assert_string_equal(read_again(h), "");              // nothing is read twice
    write_good(h, "b", "two");
    assert_string_equal(read_again(h), "b ");
    assert_string_equal(policies_find(&h->policies, "b")->policy.description, "two");
    remove_policy(h, "a");
    assert_string_equal(read_again(h), "-a ");
    assert_null(policies_find(&h->policies, "a"));
    assert_int_equal(h->policies.count, 1);
}

static void test_mistakes_leave_the_version_before(void **state)
{
    struct host *h = *state;
    write_good(h, "p", "good");
    (void)read_again(h);
    assert_null(policies_file(policies_find(&h->policies, "p")));
    write_policy(h, "p", "sorces: [/srv]\n");
    assert_string_equal(read_again(h), "!p ");
    const struct policies_item *item = policies_find(&h->policies, "p");
    assert_true(item->has_policy);
    assert_string_equal(item->policy.description, "good");
    assert_non_null(strstr(item->problem, "p.yaml:1:1: "));
    assert_int_equal(access(policies_file(item), R_OK), 0); // what a run is given
    policies_done(&h->policies);                            // a restart
    assert_string_equal(read_again(h), "!p ");
    assert_string_equal(policies_find(&h->policies, "p")->policy.description, "good");
    write_good(h, "p", "better");
    assert_string_equal(read_again(h), "p ");
    assert_null(policies_file(policies_find(&h->policies, "p")));
}

static void test_mistakes_from_the_beginning(void **state)
{
    struct host *h = *state;
    write_policy(h, "p", "sorces: [/srv]\n");
    assert_string_equal(read_again(h), "!p ");
    assert_false(policies_find(&h->policies, "p")->has_policy);
    write_good(h, "p", "good");
    (void)read_again(h);
    remove_policy(h, "p");
    (void)read_again(h);
    write_policy(h, "p", "sorces: [/srv]\n"); // another policy of that name: the old one's copy is gone
    (void)read_again(h);
    assert_false(policies_find(&h->policies, "p")->has_policy);
}

static void test_a_directory_that_is_gone_removes_nothing(void **state)
{
    struct host *h = *state;
    struct error err;
    write_good(h, "p", "good");
    (void)read_again(h);
    _cleanup_free_ char *dir = xasprintf("%s/policies", h->config), *aside = xasprintf("%s/aside", h->config);
    assert_int_equal(rename(dir, aside), 0);
    assert_int_equal(policies_read(&h->ctx, &h->policies, note, h, &err), ERROR_NOT_FOUND);
    assert_non_null(policies_find(&h->policies, "p"));
    assert_int_equal(rename(aside, dir), 0);
    assert_string_equal(read_again(h), "");
}

// Many that are new are copied together; each copy is there, and nothing else.
static int count_copy(void *arg, const char *name, unsigned char type, struct error *err)
{
    (void)type;
    (void)err;
    *(size_t *)arg += strncmp(name, "many-", 5) == 0 && strcmp(strrchr(name, '.'), ".yaml") == 0 ? 1 : 1000;
    return 0;
}

static void test_many_are_copied_together(void **state)
{
    enum { MANY = 20 };
    struct host *h = *state;
    struct error err;
    size_t copies = 0;
    char name[24];
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "many-%d", i);
        write_good(h, name, name);
    }
    (void)read_again(h);
    _cleanup_free_ char *dir = xasprintf("%s/accepted", h->state);
    assert_int_equal(fs_list_dir(io_real(), AT_FDCWD, dir, count_copy, &copies, &err), 0);
    assert_int_equal(copies, MANY);
    write_policy(h, "many-13", "sorces: [/srv]\n");
    policies_done(&h->policies);
    (void)read_again(h);
    assert_string_equal(policies_find(&h->policies, "many-13")->policy.description, "many-13");
}

static void test_without_work_times_and_promises_stay(void **state)
{
    struct host *h = *state;
    h->policies.without_work = true;
    write_policy(h, "p", "sources: [/srv/data]\nrepository: /srv/repository\nencryption: none\nschedule: \"03:00\"\nafter: q\nkeep: {daily: 3}\nobjectives: {rpo: 1d}\n"
                         "verify: {schedule: weekly}\ntimezone: UTC\nwindow: {length: 2h}\njitter: 10min\nretry: {times: 7}\ncatch_up: none\nafter_failure: skip\n");
    assert_string_equal(read_again(h), "p ");
    const struct policies_item *item = policies_find(&h->policies, "p");
    assert_int_equal(item->policy.source_count, 0);
    assert_null(item->policy.repository.url);
    assert_string_equal(item->policy.schedule.items[0], "03:00");
    assert_string_equal(item->policy.verify.schedule.items[0], "weekly");
    assert_string_equal(item->policy.after.items[0], "q");
    assert_string_equal(item->policy.timezone, "UTC");
    assert_int_equal(item->policy.keep.daily, 3);
    assert_int_equal(item->policy.objectives.rpo_s, 86400);
    assert_string_equal(item->policy.name, "p");
    assert_non_null(strstr(item->policy.file, "/policies/p.yaml"));
    assert_int_equal(item->policy.window.length_s, 7200);
    assert_int_equal(item->policy.jitter_s, 600);
    assert_int_equal(item->policy.retry.times, 7);
    assert_int_equal(item->policy.catch_up, POLICY_CATCH_UP_NONE);
    assert_int_equal(item->policy.after_failure, POLICY_AFTER_FAILURE_SKIP);
    write_policy(h, "p", "sorces: [/srv]\n");
    assert_string_equal(read_again(h), "!p ");
    assert_string_equal(policies_find(&h->policies, "p")->policy.schedule.items[0], "03:00");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_come_change_and_go, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mistakes_leave_the_version_before, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mistakes_from_the_beginning, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_directory_that_is_gone_removes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_are_copied_together, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_work_times_and_promises_stay, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
