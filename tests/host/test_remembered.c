// What the agenda is told of the past: what was begun and never came to be, clocks that were wrong, records that could not be written.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "bkd/host/remembered.h"
#include "bkd/record/runs.h"
#include "bkd/record/slots.h"
#include "tests/record/ledger.h"

#define YEAR (365 * 86400)

static int64_t now_s(const struct ledger *l) { return (int64_t)(l->now_ns / SECOND); }

static struct agenda_task task_new(void)
{
    struct agenda_task task;
    agenda_task_init(&task);
    task.policy = "p";
    task.action = "backup";
    return task;
}

static void decide(struct ledger *l, int64_t slot_s, enum slot_outcome outcome)
{
    struct error err;
    bool won = false;
    OK(slots_set(&l->catalogue, "p", "backup", (uint64_t)slot_s * SECOND, outcome, 0, NULL, &won, &err));
    assert_true(won);
}

static void run(struct ledger *l, int64_t slot_s, int exit_code) // -1 = it goes on
{
    struct error err;
    int64_t id;
    struct run_record record = { .kind = "backup", .policy = "p", .slot_ns = (uint64_t)slot_s * SECOND };
    OK(runs_begin(&l->catalogue, &record, &id, &err));
    if (exit_code >= 0)
        OK(runs_end(&l->catalogue, id, exit_code, "", &err));
}

static void remember(struct ledger *l, struct agenda_task *task)
{
    struct error err;
    OK(remembered_runs(&l->catalogue, task, now_s(l), &err));
}

// Whoever decided upon a slot died before the run began: it is made up for, once time has shown that none came.
static void test_slot_without_run(void **state)
{
    (void)state;
    _cleanup_ledger_ struct ledger l;
    struct agenda_task task = task_new();
    ledger_open(&l);
    int64_t slot_s = now_s(&l);
    decide(&l, slot_s, SLOT_RUN);
    remember(&l, &task);
    assert_int_equal(task.last_slot_s, slot_s);
    assert_false(task.last.there);
    l.now_ns += 200 * SECOND;
    remember(&l, &task);
    assert_true(task.last.there);
    assert_int_equal(task.last.outcome, AGENDA_KILLED);
    assert_int_equal(task.last.slot_s, slot_s);
    assert_int_equal(task.last.attempt, 1);
}

static void test_slot_with_run(void **state)
{
    (void)state;
    _cleanup_ledger_ struct ledger l;
    struct agenda_task task = task_new();
    ledger_open(&l);
    decide(&l, now_s(&l), SLOT_RUN);
    run(&l, now_s(&l), -1);
    l.now_ns += 200 * SECOND;
    remember(&l, &task);
    assert_false(task.last.there);
}

// A start that failed has no record, and is not forgotten for an older run that has one.
static void test_memory_is_newer(void **state)
{
    (void)state;
    _cleanup_ledger_ struct ledger l;
    struct agenda_task task = task_new();
    ledger_open(&l);
    run(&l, now_s(&l), 0);
    l.now_ns += 60 * SECOND;
    agenda_began(&task, now_s(&l), now_s(&l));
    agenda_ended(&task, AGENDA_FAILED, now_s(&l));
    task.last_slot_s = now_s(&l);
    remember(&l, &task);
    assert_int_equal(task.last.outcome, AGENDA_FAILED);
    assert_int_equal(task.last_slot_s, now_s(&l));
    assert_int_equal(task.last_success_s, now_s(&l) - 60);
    l.now_ns += 60 * SECOND;
    run(&l, now_s(&l), 4);
    remember(&l, &task);
    assert_int_equal(task.last.outcome, AGENDA_HOPELESS);
}

// A clock that was ahead by years for a while leaves records that must not stop the schedule for as long.
static void test_records_of_the_future(void **state)
{
    (void)state;
    _cleanup_ledger_ struct ledger l;
    struct agenda_task task = task_new();
    ledger_open(&l);
    int64_t right_s = now_s(&l);
    decide(&l, right_s, SLOT_RUN);
    run(&l, right_s, 0);
    l.now_ns += 10 * YEAR * SECOND;
    decide(&l, right_s + 3600, SLOT_COALESCED);
    decide(&l, right_s + 10 * YEAR, SLOT_RUN);
    run(&l, right_s + 10 * YEAR, 0);
    remember(&l, &task);
    assert_int_equal(task.last_slot_s, right_s + 10 * YEAR);
    l.now_ns -= 10 * YEAR * SECOND;
    remember(&l, &task);
    assert_int_equal(task.last_slot_s, right_s);
    assert_int_equal(task.undone_until_s, right_s + 10 * YEAR);
    assert_int_equal(task.last_success_s, right_s);
    l.now_ns += 3600 * SECOND;
    decide(&l, right_s + 3600, SLOT_RUN); // anew
}

// Times hold since they were seen first; others since they are others; and never since a time to come.
static void test_since_when_times_hold(void **state)
{
    (void)state;
    _cleanup_ledger_ struct ledger l;
    struct error err;
    char *nightly[] = { (char *)"30 1 * * *", NULL }, *hourly[] = { (char *)"0 * * * *", NULL };
    const struct policy_list first = { .items = nightly, .count = 1 }, other = { .items = hourly, .count = 1 };
    int64_t since_s = -1;
    ledger_open(&l);
    OK(remembered_times(&l.catalogue, "p", "backup", &(struct policy_list){ 0 }, "UTC", 1000, &since_s, &err));
    assert_int_equal(since_s, -1);
    OK(remembered_times(&l.catalogue, "p", "backup", &first, "UTC", 2000, &since_s, &err));
    OK(remembered_times(&l.catalogue, "p", "backup", &first, "UTC", 3000, &since_s, &err));
    assert_int_equal(since_s, 2000);
    OK(remembered_times(&l.catalogue, "p", "backup", &first, "UTC", 1500, &since_s, &err)); // the clock was ahead
    OK(remembered_times(&l.catalogue, "p", "backup", &first, "UTC", 3000, &since_s, &err));
    assert_int_equal(since_s, 1500);
    OK(remembered_times(&l.catalogue, "p", "backup", &other, "UTC", 4000, &since_s, &err));
    assert_int_equal(since_s, 4000);
    OK(remembered_times(&l.catalogue, "p", "backup", &other, "Europe/Berlin", 5000, &since_s, &err));
    assert_int_equal(since_s, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slot_without_run),
        cmocka_unit_test(test_slot_with_run),
        cmocka_unit_test(test_memory_is_newer),
        cmocka_unit_test(test_records_of_the_future),
        cmocka_unit_test(test_since_when_times_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
