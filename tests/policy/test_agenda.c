// The decisions of the scheduler: each rule of bkd/policy/agenda.h by itself.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "bkd/policy/agenda.h"
#include "bkd/policy/civil.h"

#define TASKS 4
#define MINUTE 60
#define HOUR 3600
#define DAY 86400

// A few tasks, and what was decided last.
struct desk {
    struct agenda agenda;
    struct agenda_task tasks[TASKS];
    struct schedule schedules[TASKS];
    struct agenda_decisions decisions;
    int64_t start_s; // 2026-03-02T00:00:00Z, a Monday
};

static int64_t at(const char *text)
{
    int64_t utc_s;
    assert_true(civil_parse(text, &utc_s));
    return utc_s;
}

// Gives a task a schedule in UTC, known since the start.
static struct agenda_task *add_task(struct desk *desk, const char *name, const char *expression)
{
    size_t i = desk->agenda.count++;
    struct agenda_task *task = &desk->tasks[i];
    struct error err;
    char *items[] = { (char *)expression, NULL };
    struct policy_list list = { .items = items, .count = 1 };
    assert_int_equal(schedule_open(io_real(), &list, "UTC", &desk->schedules[i], &err), 0);
    agenda_task_init(task);
    task->policy = name;
    task->action = "backup";
    task->schedule = &desk->schedules[i];
    task->catch_up = true;
    task->retry = (struct policy_retry){ .times = 3, .delay_s = 5 * MINUTE, .max_delay_s = 15 * MINUTE };
    task->last_slot_s = desk->start_s;
    return task;
}

static int set_up(void **state)
{
    struct desk *desk = xcalloc(1, sizeof *desk);
    desk->start_s = at("2026-03-02T00:00:00Z");
    desk->agenda = (struct agenda){ .tasks = desk->tasks, .max_parallel = 2 };
    *state = desk;
    return 0;
}

static int tear_down(void **state)
{
    struct desk *desk = *state;
    for (size_t i = 0; i < TASKS; i++)
        schedule_done(&desk->schedules[i]);
    agenda_decisions_done(&desk->decisions);
    free(desk);
    return 0;
}

// Decides at a time after the start, and shows it as text: "start a 01:30", "coalesced a 01:30: why".
static void assert_decided(struct desk *desk, int64_t after_start_s, const char *wanted)
{
    static const char *const names[] = { "start", "missed", "coalesced", "skipped", "warn", "stop" };
    _cleanup_buf_ struct buf text = { 0 };
    agenda_decisions_done(&desk->decisions);
    agenda_decide(&desk->agenda, desk->start_s + after_start_s, &desk->decisions);
    for (size_t i = 0; i < desk->decisions.count; i++) {
        const struct agenda_decision *d = &desk->decisions.items[i];
        struct civil c = civil_of(d->slot_s);
        buf_addf(&text, "%s%s %s %02u:%02u", i ? "; " : "", names[d->what], desk->tasks[d->task].policy, c.hour, c.minute);
        if (d->what == AGENDA_START && d->attempt > 1)
            buf_addf(&text, " attempt %u", d->attempt);
        if (d->again)
            buf_add_str(&text, " again");
        if (d->reason) {
            buf_add_str(&text, ": ");
            agenda_reason_text(&desk->agenda, d, &text);
        }
    }
    assert_string_equal(buf_str(&text), wanted);
}

static void assert_wake(const struct desk *desk, int64_t after_start_s)
{
    assert_true(desk->decisions.wake_s == (after_start_s < 0 ? CALENDAR_NEVER : desk->start_s + after_start_s));
}

static void end(struct desk *desk, size_t task, enum agenda_outcome outcome, int64_t after_start_s)
{
    agenda_ended(&desk->tasks[task], outcome, desk->start_s + after_start_s);
}

static void test_slot_runs_once(void **state)
{
    struct desk *desk = *state;
    add_task(desk, "a", "30 1 * * *");
    assert_decided(desk, 0, "");
    assert_wake(desk, HOUR + 30 * MINUTE);
    assert_decided(desk, HOUR + 30 * MINUTE - 1, "");
    assert_decided(desk, HOUR + 30 * MINUTE, "start a 01:30");
    assert_decided(desk, HOUR + 31 * MINUTE, "");
    end(desk, 0, AGENDA_SUCCEEDED, HOUR + 40 * MINUTE);
    assert_decided(desk, HOUR + 40 * MINUTE, "");
    assert_wake(desk, DAY + HOUR + 30 * MINUTE);
}

static void test_long_run_coalesces(void **state)
{
    struct desk *desk = *state;
    add_task(desk, "a", "*/10 * * * *");
    assert_decided(desk, 10 * MINUTE, "start a 00:10");
    assert_decided(desk, 20 * MINUTE, "coalesced a 00:20: the run that began at 2026-03-02T00:10:00Z was still going on");
    assert_decided(desk, 31 * MINUTE, "coalesced a 00:30: the run that began at 2026-03-02T00:10:00Z was still going on");
    end(desk, 0, AGENDA_SUCCEEDED, 35 * MINUTE);
    assert_decided(desk, 35 * MINUTE, "");
    assert_decided(desk, 40 * MINUTE, "start a 00:40");
}

static void test_missed_slots_are_caught_up_once(void **state)
{
    struct desk *desk = *state;
    add_task(desk, "a", "0 * * * *");
    assert_decided(desk, 3 * HOUR + 20 * MINUTE,
                   "coalesced a 01:00: bkd was not there to start it; left to the slot of 2026-03-02T03:00:00Z; "
                   "coalesced a 02:00: bkd was not there to start it; left to the slot of 2026-03-02T03:00:00Z; start a 03:00");
    add_task(desk, "b", "0 * * * *")->catch_up = false;
    assert_decided(desk, 3 * HOUR + 20 * MINUTE,
                   "missed b 01:00: bkd was not there to start it, and 'catch_up' is none; missed b 02:00: bkd was not there to start it, and 'catch_up' is none; "
                   "missed b 03:00: bkd was not there to start it, and 'catch_up' is none");
    assert_decided(desk, 4 * HOUR + 10 * MINUTE, "coalesced a 04:00: the run that began at 2026-03-02T03:20:00Z was still going on; start b 04:00");
}

static void test_success_covers_earlier_slots(void **state)
{
    struct desk *desk = *state;
    add_task(desk, "a", "0 * * * *")->last_success_s = desk->start_s + 2 * HOUR + 1;
    assert_decided(desk, 2 * HOUR + 30 * MINUTE,
                   "coalesced a 01:00: the run that began at 2026-03-02T02:00:01Z has succeeded; coalesced a 02:00: the run that began at 2026-03-02T02:00:01Z has succeeded");
    assert_decided(desk, 3 * HOUR, "start a 03:00");
}

static void test_new_policy_waits_for_its_first_slot(void **state)
{
    struct desk *desk = *state;
    struct agenda_task *task = add_task(desk, "a", "30 1 * * *");
    task->last_slot_s = AGENDA_NEVER;
    assert_decided(desk, 2 * HOUR, "skipped a 02:00: the policy is new here; its slots count from now on");
    assert_wake(desk, DAY + HOUR + 30 * MINUTE);
    task->last_slot_s = AGENDA_NEVER; // the catalogue is lost, the head of the last snapshot is not
    task->last_success_s = desk->start_s;
    assert_decided(desk, 2 * HOUR, "start a 01:30");
}

// It was in use before anybody looked at its schedule, without a success.
static void test_schedule_known_before(void **state)
{
    struct desk *desk = *state;
    struct agenda_task *task = add_task(desk, "a", "30 1 * * *");
    task->last_slot_s = AGENDA_NEVER;
    task->since_s = desk->start_s;
    assert_decided(desk, HOUR, "");
    assert_decided(desk, 2 * HOUR, "start a 01:30");
}

// A schedule that is said to hold from years to come on: the clock was wrong when it was seen first.
static void test_schedule_of_the_future(void **state)
{
    struct desk *desk = *state;
    struct agenda_task *task = add_task(desk, "a", "30 1 * * *");
    task->since_s = desk->start_s + 3650 * DAY;
    assert_decided(desk, 2 * HOUR, "start a 01:30");
}

// Nothing is remembered of it either: the catalogue may be gone.
static void test_no_schedule(void **state)
{
    struct desk *desk = *state;
    struct agenda_task *task = add_task(desk, "a", "0 * * * *");
    task->schedule = NULL;
    task->last_slot_s = AGENDA_NEVER;
    assert_decided(desk, DAY, "");
    assert_true(desk->decisions.wake_s == CALENDAR_NEVER);
}

static void test_retries_back_off(void **state)
{
    struct desk *desk = *state;
    add_task(desk, "a", "0 1 * * *");
    assert_decided(desk, HOUR, "start a 01:00");
    end(desk, 0, AGENDA_FAILED, HOUR + MINUTE);
    assert_decided(desk, HOUR + MINUTE, "");
    assert_wake(desk, HOUR + 6 * MINUTE);
    assert_int_equal(desk->tasks[0].waits, AGENDA_RETRY);
    assert_decided(desk, HOUR + 6 * MINUTE, "start a 01:00 attempt 2");
    end(desk, 0, AGENDA_FAILED, HOUR + 7 * MINUTE);
    assert_decided(desk, HOUR + 16 * MINUTE, "");
    assert_decided(desk, HOUR + 17 * MINUTE, "start a 01:00 attempt 3");
    end(desk, 0, AGENDA_FAILED, HOUR + 18 * MINUTE);
    assert_decided(desk, HOUR + 18 * MINUTE, "");
    assert_wake(desk, HOUR + 33 * MINUTE); // 20 minutes, capped
    assert_decided(desk, HOUR + 33 * MINUTE, "start a 01:00 attempt 4");
    end(desk, 0, AGENDA_FAILED, HOUR + 34 * MINUTE);
    assert_decided(desk, HOUR + 34 * MINUTE, "");
    assert_wake(desk, DAY + HOUR);
}

static void test_no_retry_without_hope(void **state)
{
    struct desk *desk = *state;
    add_task(desk, "a", "0 1 * * *");
    assert_decided(desk, HOUR, "start a 01:00");
    end(desk, 0, agenda_outcome_of(9), HOUR + MINUTE);
    assert_decided(desk, 2 * HOUR, "");
    assert_wake(desk, DAY + HOUR);
    assert_int_equal(agenda_outcome_of(3), AGENDA_SUCCEEDED);
    assert_int_equal(agenda_outcome_of(8), AGENDA_FAILED);
    assert_int_equal(agenda_outcome_of(143), AGENDA_FAILED);
}

static void test_killed_run_is_made_up_for(void **state)
{
    struct desk *desk = *state;
    struct agenda_task *task = add_task(desk, "a", "0 1 * * *");
    task->retry.times = 0;
    task->last_slot_s = desk->start_s + HOUR;
    task->last = (struct agenda_run){ .there = true, .slot_s = desk->start_s + HOUR, .attempt = 1, .began_s = desk->start_s + HOUR, .ended_s = desk->start_s + 2 * HOUR, .outcome = AGENDA_KILLED };
    assert_decided(desk, 4 * HOUR, "start a 01:00 attempt 2");
    end(desk, 0, AGENDA_KILLED, 5 * HOUR);
    assert_decided(desk, 6 * HOUR, "");
    task->last.attempt = 1;
    task->catch_up = false;
    assert_decided(desk, 7 * HOUR, "");
}

static void test_windows(void **state)
{
    struct desk *desk = *state;
    struct agenda_task *a = add_task(desk, "a", "0 1 * * *"), *b = add_task(desk, "b", "0 1 * * *");
    desk->agenda.max_parallel = 1;
    a->window.length_s = 2 * HOUR;
    a->window.at_end = POLICY_WINDOW_STOP;
    b->window.until_minute = 4 * 60;
    assert_decided(desk, HOUR, "start a 01:00");
    assert_int_equal(b->waits, AGENDA_MAX_PARALLEL);
    assert_wake(desk, 3 * HOUR);
    assert_decided(desk, 3 * HOUR, "stop a 01:00: its window ended at 2026-03-02T03:00:00Z");
    assert_decided(desk, 3 * HOUR + 1, "");
    assert_wake(desk, 4 * HOUR);
    assert_decided(desk, 4 * HOUR, "missed b 01:00: its window ended at 2026-03-02T04:00:00Z");
    end(desk, 0, AGENDA_STOPPED, 4 * HOUR + 1);
    assert_decided(desk, 5 * HOUR, "");
    assert_decided(desk, 2 * DAY, "missed a 01:00: its window ended at 2026-03-03T03:00:00Z; missed b 01:00: its window ended at 2026-03-03T04:00:00Z");
}

static void test_order_and_limit(void **state)
{
    struct desk *desk = *state;
    add_task(desk, "slow", "0 * * * *")->tier = 3;
    add_task(desk, "plain", "0 * * * *")->tier = 2;
    add_task(desk, "first", "0 * * * *")->tier = 1;
    desk->agenda.max_parallel = 1;
    assert_decided(desk, HOUR, "start first 01:00");
    end(desk, 2, AGENDA_SUCCEEDED, 2 * HOUR - 1);
    assert_decided(desk, 2 * HOUR - 1, "start plain 01:00");
    // 'slow' waits since 01:00, which its tier makes 03:00; the slot of 'first' is of 02:00.
    end(desk, 1, AGENDA_SUCCEEDED, 2 * HOUR + 10 * MINUTE);
    assert_decided(desk, 2 * HOUR + 10 * MINUTE,
                   "coalesced slow 01:00: it was still waiting when the slot of 2026-03-02T02:00:00Z came due; start first 02:00");
    end(desk, 2, AGENDA_SUCCEEDED, 4 * HOUR + 1);
    // Now those of 'first' and 'plain' are of 03:00 and 04:00, and 'slow' is before them.
    agenda_decisions_done(&desk->decisions);
    agenda_decide(&desk->agenda, desk->start_s + 4 * HOUR + 1, &desk->decisions);
    const struct agenda_decision *last = &desk->decisions.items[desk->decisions.count - 1];
    assert_int_equal(last->what, AGENDA_START);
    assert_int_equal(last->task, 0);
}

static void test_same_policy_one_at_a_time(void **state)
{
    struct desk *desk = *state;
    add_task(desk, "a", "0 1 * * *");
    add_task(desk, "a", "0 1 * * *")->action = "verify";
    assert_decided(desk, HOUR, "start a 01:00");
    assert_int_equal(desk->tasks[1].waits, AGENDA_POLICY_BUSY);
    end(desk, 0, AGENDA_SUCCEEDED, 2 * HOUR);
    assert_decided(desk, 2 * HOUR, "start a 01:00");
    assert_true(desk->tasks[1].running.there);
}

static void test_after(void **state)
{
    struct desk *desk = *state;
    static const size_t first[] = { 0 };
    struct agenda_task *database = add_task(desk, "database", "0 1 * * *");
    struct agenda_task *files = add_task(desk, "files", "0 1 * * *"), *mirror = add_task(desk, "mirror", "30 1 * * *");
    files->after = mirror->after = first;
    files->after_count = mirror->after_count = 1;
    mirror->skip_after_failure = true;
    database->retry.times = 1;
    assert_decided(desk, HOUR, "start database 01:00");
    assert_int_equal(files->waits, AGENDA_AFTER);
    end(desk, 0, AGENDA_FAILED, 2 * HOUR);
    assert_decided(desk, 2 * HOUR, ""); // it will be tried again
    assert_decided(desk, 2 * HOUR + 5 * MINUTE, "start database 01:00 attempt 2");
    end(desk, 0, AGENDA_FAILED, 3 * HOUR);
    assert_decided(desk, 3 * HOUR, "start files 01:00; skipped mirror 01:30: 'database' (backup), which it comes after, failed");
    end(desk, 1, AGENDA_SUCCEEDED, 4 * HOUR);
    assert_decided(desk, DAY + HOUR, "start database 01:00");
    end(desk, 0, AGENDA_SUCCEEDED, DAY + 2 * HOUR);
    assert_decided(desk, DAY + 2 * HOUR, "start files 01:00; start mirror 01:30");
}

static void test_circle_does_not_wait(void **state)
{
    struct desk *desk = *state;
    static const size_t first[] = { 0 }, second[] = { 1 }, third[] = { 2 };
    desk->agenda.max_parallel = 4;
    struct agenda_task *a = add_task(desk, "a", "0 1 * * *"), *b = add_task(desk, "b", "0 1 * * *"), *c = add_task(desk, "c", "0 1 * * *"), *d = add_task(desk, "d", "0 1 * * *");
    a->after = second, b->after = third, c->after = first, d->after = first;
    a->after_count = b->after_count = c->after_count = d->after_count = 1;
    assert_true(agenda_is_circle(&desk->agenda, 0, 1));
    assert_false(agenda_is_circle(&desk->agenda, 3, 0));
    assert_decided(desk, HOUR, "start a 01:00; start b 01:00; start c 01:00");
    assert_int_equal(d->waits, AGENDA_AFTER);
}

static void test_pause(void **state)
{
    struct desk *desk = *state;
    struct agenda_task *task = add_task(desk, "a", "0 * * * *");
    task->paused_s = desk->start_s + MINUTE;
    assert_decided(desk, HOUR, "skipped a 01:00: the policy is paused since 2026-03-02T00:01:00Z");
    task->paused_s = AGENDA_NEVER;
    assert_decided(desk, HOUR + 1, "");
    assert_decided(desk, 2 * HOUR, "start a 02:00");
}

static void test_jitter(void **state)
{
    struct desk *desk = *state;
    struct agenda_task *task = add_task(desk, "a", "0 * * * *");
    task->start_delay_s = agenda_start_delay("db1", "a", "backup", 600);
    assert_in_range(task->start_delay_s, 0, 599);
    assert_true(agenda_start_delay("db1", "a", "backup", 600) == task->start_delay_s);
    assert_true(agenda_start_delay("db2", "a", "backup", 600) != task->start_delay_s || agenda_start_delay("db3", "a", "backup", 600) != task->start_delay_s);
    assert_true(agenda_start_delay("db1", "a", "backup", 0) == 0);
    task->start_delay_s = 7 * MINUTE;
    assert_decided(desk, HOUR, "");
    assert_int_equal(task->waits, AGENDA_JITTER);
    assert_wake(desk, HOUR + 7 * MINUTE);
    assert_decided(desk, HOUR + 7 * MINUTE, "start a 01:00");
}

// Row C-31.
static void test_clock_jumps(void **state)
{
    struct desk *desk = *state;
    add_task(desk, "a", "*/10 * * * *");
    assert_decided(desk, 10 * MINUTE, "start a 00:10");
    end(desk, 0, AGENDA_SUCCEEDED, 11 * MINUTE);
    assert_decided(desk, 9 * MINUTE, ""); // back over the slot
    assert_decided(desk, 10 * MINUTE, "");
    assert_decided(desk, 20 * MINUTE, "start a 00:20");
    end(desk, 0, AGENDA_SUCCEEDED, 21 * MINUTE);
    assert_decided(desk, 55 * MINUTE,
                   "coalesced a 00:30: bkd was not there to start it; left to the slot of 2026-03-02T00:50:00Z; "
                   "coalesced a 00:40: bkd was not there to start it; left to the slot of 2026-03-02T00:50:00Z; start a 00:50");
    end(desk, 0, AGENDA_SUCCEEDED, 56 * MINUTE);
    assert_decided(desk, 4 * MINUTE, "");
    assert_decided(desk, 50 * MINUTE, "");
    assert_decided(desk, 60 * MINUTE, "start a 01:00");
    end(desk, 0, AGENDA_SUCCEEDED, 61 * MINUTE);
}

// A clock that is wrong by years makes few records, and is forgotten when it is mended.
static void test_clock_wrong_by_years(void **state)
{
    struct desk *desk = *state;
    const int64_t years = INT64_C(3650) * DAY;
    struct agenda_task *task = add_task(desk, "a", "*/10 * * * *");
    agenda_decide(&desk->agenda, desk->start_s + years + 1, &desk->decisions);
    assert_int_equal(desk->decisions.count, AGENDA_SINGLY_MAX + 2);
    const struct agenda_decision *rest = &desk->decisions.items[AGENDA_SINGLY_MAX];
    assert_int_equal(rest->what, AGENDA_COALESCED);
    assert_true(rest->first_s == desk->start_s + (AGENDA_SINGLY_MAX + 1) * 10 * MINUTE);
    assert_true(rest->slot_s == desk->start_s + years - 10 * MINUTE);
    assert_int_equal(rest[1].what, AGENDA_START);
    assert_true(rest[1].slot_s == desk->start_s + years);
    end(desk, 0, AGENDA_FAILED, years + 2);
    assert_decided(desk, 5 * MINUTE, ""); // 2026 again
    assert_wake(desk, 10 * MINUTE);
    assert_true(task->last.ended_s <= desk->start_s + 5 * MINUTE);
    assert_decided(desk, 10 * MINUTE, "start a 00:10 again");
    end(desk, 0, AGENDA_SUCCEEDED, 11 * MINUTE);
    assert_decided(desk, 20 * MINUTE, "start a 00:20 again");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_slot_runs_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_run_coalesces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_missed_slots_are_caught_up_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_success_covers_earlier_slots, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_new_policy_waits_for_its_first_slot, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_schedule_known_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_schedule_of_the_future, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_schedule, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_retries_back_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_retry_without_hope, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_killed_run_is_made_up_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_windows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_order_and_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_same_policy_one_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_after, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_circle_does_not_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pause, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jitter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_clock_jumps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_clock_wrong_by_years, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
