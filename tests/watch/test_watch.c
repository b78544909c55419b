// What is protected, what is not, since when, what to do: facts in, findings out.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "bkd/base/error.h"
#include "bkd/watch/watch.h"

#define HOUR UINT64_C(3600000000000)
#define DAY (24 * HOUR)
#define NOW (UINT64_C(1795420800) * 1000000000)

// A policy of which all is well: 24 h promised, the newest snapshot 3 h old.
static struct watch_facts well(void)
{
    return (struct watch_facts){ .policy = "erp", .is_loaded = true, .rpo_ns = DAY, .snapshots = 42, .newest = 42, .newest_ns = NOW - 3 * HOUR, .good = 42,
                                 .good_ns = NOW - 3 * HOUR, .heads_were_read = true, .run_message = "", .paused_by = "" };
}

// The state, and the kinds found, heaviest first: "rpo,run-failed".
static enum watch_state judge(const struct watch_facts *facts, char ret_kinds[256], int *ret_exit_code, uint64_t *ret_since)
{
    struct watch_findings found = { 0 };
    enum watch_state state = watch_policy(facts, NOW, &found, ret_since);
    ret_kinds[0] = '\0';
    for (size_t i = 0; i < found.n; i++) {
        assert_true(found.items[i].text[0] != '\0' && found.items[i].step[0] != '\0'); // nothing is wrong without a next step
        (void)strcat(strcat(ret_kinds, i > 0 ? "," : ""), found.items[i].kind);
    }
    *ret_exit_code = watch_exit_code(&found);
    watch_findings_done(&found);
    return state;
}

static void expect(const struct watch_facts *facts, enum watch_state state, bool is_protected, int exit_code, const char *kinds)
{
    char got[256];
    int code;
    uint64_t since;
    assert_int_equal(judge(facts, got, &code, &since), state);
    assert_string_equal(got, kinds);
    assert_int_equal(code, exit_code);
    assert_int_equal(watch_is_protected(facts, NOW), is_protected);
}

static void test_all_is_well(void **state)
{
    (void)state;
    struct watch_facts w = well();
    expect(&w, WATCH_PROTECTED, true, 0, "");
    w.rpo_ns = 0; // nothing is promised
    w.good_ns = w.newest_ns = NOW - 900 * DAY;
    expect(&w, WATCH_PROTECTED, true, 0, "");
}

static void test_rto(void **state)
{
    (void)state;
    struct watch_facts w = well();
    w.rto_crossed_in_days = UINT64_MAX;
    w.measured_ns = 3 * HOUR;
    expect(&w, WATCH_PROTECTED, true, 0, ""); // nothing is promised
    w.rto_ns = 3 * HOUR;
    expect(&w, WATCH_PROTECTED, true, 0, "");
    w.rto_ns = 2 * HOUR;
    expect(&w, WATCH_AT_RISK, true, 5, "rto");
    w.rto_ns = 4 * HOUR;
    w.rto_crossed_in_days = 91;
    expect(&w, WATCH_PROTECTED, true, 0, "");
    w.rto_crossed_in_days = 90;
    expect(&w, WATCH_AT_RISK, true, 0, "rto-trend");
    w.rto_crossed_in_days = UINT64_MAX;
    w.proof_due_ns = NOW - HOUR / 2;
    expect(&w, WATCH_PROTECTED, true, 0, ""); // it may be running
    w.proof_due_ns = NOW - 2 * HOUR;
    expect(&w, WATCH_AT_RISK, true, 0, "proof-overdue");
}

static void test_drills(void **state)
{
    (void)state;
    struct watch_facts w = well();
    w.unrecovered = "20261101-0900-aabbcc";
    expect(&w, WATCH_AT_RISK, true, 0, "by-hand-drill");
    w.unnoticed = "20261102-0900-aabbcc";
    expect(&w, WATCH_AT_RISK, true, 4, "negative-drill,by-hand-drill");
    w.unrecovered = NULL;
    expect(&w, WATCH_AT_RISK, true, 4, "negative-drill");
    w = well();
    w.killed_drill = "20261103-0900-aabbcc";
    w.killed_kind = "key";
    expect(&w, WATCH_PROTECTED, true, 0, "drill-unfinished");
}

static void test_key_drill(void **state)
{
    (void)state;
    struct watch_facts w = well();
    w.has_key = true;
    expect(&w, WATCH_PROTECTED, true, 0, "key-drill"); // never
    w.key_drilled_ns = NOW - 180 * DAY;
    expect(&w, WATCH_PROTECTED, true, 0, "");
    w.key_drilled_ns--;
    expect(&w, WATCH_AT_RISK, true, 0, "key-drill");
    w.has_key = false;
    expect(&w, WATCH_PROTECTED, true, 0, "");
}

static void test_age(void **state)
{
    (void)state;
    char kinds[256];
    int code;
    uint64_t since;
    struct watch_facts w = well();
    w.good_ns = w.newest_ns = NOW - DAY;
    expect(&w, WATCH_PROTECTED, true, 0, "");
    w.good_ns = w.newest_ns = NOW - DAY - 1;
    expect(&w, WATCH_NOT_PROTECTED, false, 5, "rpo");
    w.good_ns = w.newest_ns = NOW - 3 * DAY;
    (void)judge(&w, kinds, &code, &since);
    assert_true(since == NOW - 2 * DAY); // when the promise was broken
    w.good_ns = w.newest_ns = NOW + DAY; // the clock was set back
    expect(&w, WATCH_PROTECTED, true, 0, "");
}

static void test_nothing_there(void **state)
{
    (void)state;
    struct watch_facts w = { .policy = "erp", .is_loaded = true, .run_message = "", .paused_by = "", .rpo_ns = DAY };
    expect(&w, WATCH_NOT_PROTECTED, false, 5, "no-snapshot");
    w.store_problem = "there is no directory";
    w.store_is_missing = true;
    expect(&w, WATCH_NOT_PROTECTED, false, 5, "store");
    w = (struct watch_facts){ .policy = "erp", .policy_problem = "line 3" };
    expect(&w, WATCH_NOT_PROTECTED, false, 5, "policy-invalid");
    w = well();
    w.policy_problem = "line 3"; // the version before goes on
    expect(&w, WATCH_AT_RISK, true, 0, "policy-invalid");
}

static void test_integrity(void **state)
{
    (void)state;
    struct watch_facts w = well();
    w.head_problems = 1;
    expect(&w, WATCH_NOT_PROTECTED, false, 4, "integrity");
    w = well();
    w.lost_head = 43;
    expect(&w, WATCH_NOT_PROTECTED, false, 4, "rolled-back");
    w.foreign_head = 44;
    expect(&w, WATCH_NOT_PROTECTED, false, 4, "foreign,rolled-back");
    w.foreign_head = 0;
    w.good_ns = NOW - 5 * DAY; // weighs more than an objective
    expect(&w, WATCH_NOT_PROTECTED, false, 4, "rolled-back,rpo");
}

static void test_suspect(void **state)
{
    (void)state;
    struct watch_facts w = well();
    w.suspects = 1;
    w.first_suspect = 42;
    w.good = w.before_suspect = 41;
    expect(&w, WATCH_AT_RISK, false, 4, "suspect");
    struct watch_findings found = { 0 };
    uint64_t since;
    (void)watch_policy(&w, NOW, &found, &since);
    assert_non_null(strstr(found.items[0].step, "bkd diff erp 41 42 --stat"));
    assert_non_null(strstr(found.items[0].step, "bkd hold erp 41"));
    assert_non_null(strstr(found.items[0].step, "bkd accept erp 42"));
    watch_findings_done(&found);
}

static void test_runs(void **state)
{
    (void)state;
    char kinds[256];
    int code;
    uint64_t since;
    struct watch_facts w = well();
    w.is_incomplete = true;
    expect(&w, WATCH_AT_RISK, false, 0, "incomplete");
    w = well();
    w.has_run = true;
    w.failing_since_ns = NOW - HOUR;
    w.failures = 1;
    w.run_message = "the disk is full";
    expect(&w, WATCH_AT_RISK, true, 0, "run-failed");
    (void)judge(&w, kinds, &code, &since);
    assert_true(since == NOW - HOUR);
    w = well();
    w.prune_problem = "the clock is wrong";
    expect(&w, WATCH_PROTECTED, true, 0, "prune");
    w.refuted = 40;
    expect(&w, WATCH_AT_RISK, true, 4, "verification,prune");
}

static void test_schedule(void **state)
{
    (void)state;
    struct watch_facts w = well();
    w.has_schedule = true;
    w.overdue_slot_ns = NOW - HOUR / 2;
    expect(&w, WATCH_PROTECTED, true, 0, "");
    w.overdue_slot_ns = NOW - 2 * HOUR;
    expect(&w, WATCH_AT_RISK, true, 0, "schedule");
    w.running_since_ns = NOW - HOUR;
    expect(&w, WATCH_PROTECTED, true, 0, "");
    w.running_since_ns = 0;
    w.paused_ns = NOW - 2 * HOUR; // on purpose
    expect(&w, WATCH_PROTECTED, true, 0, "paused");
    w.paused_ns = NOW - 4 * DAY; // forgotten
    expect(&w, WATCH_AT_RISK, true, 0, "paused");
}

static void test_copies(void **state)
{
    (void)state;
    struct watch_facts w = well();
    struct watch_copy copies[2] = {
        { .url = "/a", .serial = "", .max_age_ns = 7 * DAY, .snapshot = 42, .snapshot_time_ns = NOW - 3 * HOUR },
        { .url = "/b", .serial = "", .max_age_ns = 7 * DAY, .snapshot = 30, .snapshot_time_ns = NOW - 6 * DAY },
    };
    w.copies = copies;
    w.n_copies = 2;
    expect(&w, WATCH_PROTECTED, true, 0, "");
    copies[1].failing_since_ns = NOW - HOUR;
    expect(&w, WATCH_PROTECTED, true, 0, "copy-unreached");
    copies[1].failing_since_ns = NOW - 2 * DAY;
    expect(&w, WATCH_AT_RISK, true, 0, "copy-unreached");
    copies[1].is_removable = true; // its disk lies in a safe
    expect(&w, WATCH_PROTECTED, true, 0, "copy-unreached");
    copies[1].snapshot_time_ns = NOW - 8 * DAY;
    expect(&w, WATCH_AT_RISK, true, 5, "copy-overdue");
    copies[1].snapshot = 0;
    copies[1].snapshot_time_ns = 0;
    expect(&w, WATCH_AT_RISK, true, 5, "copy-overdue");
    copies[0].snapshot = 0;
    expect(&w, WATCH_AT_RISK, true, 5, "copy-overdue,copy-overdue");
    copies[1] = copies[0] = (struct watch_copy){ .url = "/a", .serial = "", .max_age_ns = 7 * DAY, .snapshot = 42, .snapshot_time_ns = NOW - 3 * HOUR };
    copies[1].is_damaged = true; // however young its newest snapshot is
    copies[1].problem = "the copy at /a is gone";
    copies[1].failing_since_ns = NOW - HOUR;
    expect(&w, WATCH_AT_RISK, true, 4, "copy-damaged");
}

// What is to be copied from a terminal names the copy as a shell takes it.
static void test_addresses_in_next_steps(void **state)
{
    (void)state;
    struct watch_facts w = well();
    struct watch_findings found = { 0 };
    uint64_t since;
    struct watch_copy copy = { .url = "/mnt/my disk", .serial = "", .max_age_ns = 7 * DAY, .refuted = 41 };
    w.copies = &copy;
    w.n_copies = 1;
    (void)watch_policy(&w, NOW, &found, &since);
    assert_int_equal(found.n, 2);
    for (size_t i = 0; i < found.n; i++) {
        bool overdue = strcmp(found.items[i].kind, "copy-overdue") == 0;
        assert_non_null(strstr(found.items[i].text, "the copy /mnt/my disk"));
        assert_string_equal(found.items[i].step, overdue ? "bkd ship erp --to '/mnt/my disk'"
                                                         : "find what is damaged: bkd check erp --from '/mnt/my disk' --read-data; then prove it again: bkd verify erp --from '/mnt/my disk'");
    }
    watch_findings_done(&found);
    w = (struct watch_facts){ .policy = "./my erp.yaml", .policy_problem = "no" }; // given as a path
    (void)watch_policy(&w, NOW, &found, &since);
    assert_string_equal(found.items[0].step, "correct it: bkd policy check './my erp.yaml'");
    watch_findings_done(&found);
}

static void test_disk(void **state)
{
    (void)state;
    struct watch_facts w = well();
    w.disk = (struct watch_disk){ .is_known = true, .free_bytes = 1 << 30, .bytes_per_day = 1 << 20, .full_in_days = 1024 };
    expect(&w, WATCH_PROTECTED, true, 0, "");
    w.disk.full_in_days = 14;
    expect(&w, WATCH_AT_RISK, true, 0, "disk");
    w.disk.full_in_days = UINT64_MAX; // nothing says that it grows, and it is nearly full
    w.disk.total_bytes = (UINT64_C(1) << 30) * 60;
    expect(&w, WATCH_AT_RISK, true, 0, "disk");
    w.disk.total_bytes = (UINT64_C(1) << 30) * 40;
    expect(&w, WATCH_PROTECTED, true, 0, "");
    w.disk.is_known = false;
    expect(&w, WATCH_PROTECTED, true, 0, "");
    struct watch_copy copy = { .url = "/a", .serial = "", .max_age_ns = 7 * DAY, .snapshot = 42, .snapshot_time_ns = NOW - 3 * HOUR,
                               .disk = { .is_known = true, .free_bytes = 1 << 20, .full_in_days = 2 }, .clock_off_ns = HOUR };
    w.copies = &copy;
    w.n_copies = 1;
    expect(&w, WATCH_AT_RISK, true, 0, "disk,clock-far");
}

static void test_host(void **state)
{
    (void)state;
    struct watch_host host = { .keys_dir = "/etc/bkd/keys", .clock_policy = "erp" };
    struct watch_findings found = { 0 };
    watch_host(&host, &found);
    assert_int_equal(found.n, 0);
    host = (struct watch_host){ .keys_dir = "/etc/bkd/keys", .clock_policy = "erp", .clock_is_behind = true, .clock_off_ns = 4 * HOUR / 60 };
    watch_host(&host, &found);
    assert_int_equal(found.n, 0);
    host.clock_off_ns = HOUR;
    host.catalogue_problem = "it is damaged";
    host.clock_is_unsynchronised = host.identities_here = true;
    watch_host(&host, &found);
    assert_int_equal(found.n, 4);
    assert_int_equal(watch_exit_code(&found), 0);
    watch_findings_done(&found);
}

// What a finding is called is in the list by which alarms are cleared.
static void test_kinds_are_known(void **state)
{
    (void)state;
    struct watch_copy copies[2] = { { .url = "/a", .serial = "" }, { .url = "/b", .serial = "", .snapshot = 1, .snapshot_time_ns = NOW, .max_age_ns = DAY, .failing_since_ns = 1 } };
    struct watch_facts w = well();
    struct watch_findings found = { 0 };
    uint64_t since;
    w.policy_problem = w.store_problem = w.prune_problem = w.run_message = "x";
    w.good_ns = 1;
    w.is_incomplete = w.has_schedule = w.has_run = true;
    w.refuted = w.differing = copies[0].refuted = 3;
    w.suspects = w.head_problems = w.lost_head = w.foreign_head = w.failures = 1;
    w.failing_since_ns = w.overdue_slot_ns = 1;
    w.copies = copies;
    w.n_copies = 2;
    w.disk.is_known = true;
    (void)watch_policy(&w, NOW, &found, &since);
    assert_true(found.n >= 15);
    for (size_t i = 0; i < found.n; i++) {
        const char *const *k = watch_kinds();
        while (*k != NULL && strcmp(*k, found.items[i].kind) != 0)
            k++;
        assert_non_null(*k);
        assert_true(i == 0 || found.items[i - 1].severity >= found.items[i].severity);
    }
    watch_findings_done(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_is_well), cmocka_unit_test(test_age), cmocka_unit_test(test_rto), cmocka_unit_test(test_key_drill), cmocka_unit_test(test_drills),      cmocka_unit_test(test_nothing_there), cmocka_unit_test(test_integrity),
        cmocka_unit_test(test_suspect),     cmocka_unit_test(test_runs),     cmocka_unit_test(test_schedule),      cmocka_unit_test(test_copies),
        cmocka_unit_test(test_addresses_in_next_steps), cmocka_unit_test(test_disk),        cmocka_unit_test(test_host),     cmocka_unit_test(test_kinds_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
