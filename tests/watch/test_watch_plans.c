// Recovery plans, their drills and what these asked for: facts in, findings out.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "bkd/policy/civil.h"
#include "bkd/watch/watch_plans.h"

#define NS UINT64_C(1000000000)
#define DAY (UINT64_C(86400) * NS)
#define NOW (UINT64_C(1795420800) * NS) // 2026-11-23

// Of which all is well.
static struct watch_plan well(void)
{
    return (struct watch_plan){ .name = (char *)"erp", .changed_ns = NOW - 30 * DAY, .was_rehearsed = true, .is_rehearsed = true, .dates.due_s = CALENDAR_NEVER,
                                .plan = { .name = (char *)"erp", .file = (char *)"/c/plans/erp.yaml", .review = (char *)"2027-05-01" } };
}

static void expect(struct watch_plan *plan, struct improvement *improvement, const char *kinds)
{
    char numbers[1][24] = { "1" }, got[256] = "";
    const struct watch_plans plans = { .items = plan, .n = 1, .improvements = { improvement, improvement == NULL ? 0 : 1 }, .numbers = numbers };
    _cleanup_watch_findings_ struct watch_findings found = { 0 };
    watch_plans_judge(&plans, NOW, &found);
    for (size_t i = 0; i < found.n; i++) {
        assert_true(found.items[i].text[0] != '\0' && found.items[i].step[0] != '\0');
        assert_true(watch_is_kind(found.items[i].kind)); // else it would never become an alarm, nor end
        assert_string_equal(found.items[i].copy, strcmp(found.items[i].kind, "improvement") == 0 ? "1" : "erp");
        (void)strcat(strcat(got, i > 0 ? "," : ""), found.items[i].kind);
    }
    assert_string_equal(got, kinds);
}

static void test_all_is_well(void **state)
{
    (void)state;
    struct watch_plan p = well();
    expect(&p, NULL, "");
}

static void test_review(void **state)
{
    (void)state;
    struct watch_plan p = well();
    p.plan.review = (char *)"2026-11-24";
    expect(&p, NULL, "");
    p.plan.review = (char *)"2026-11-23";
    expect(&p, NULL, "plan-review");
    p.plan.review = (char *)""; // a year after the last change
    expect(&p, NULL, "");
    p.changed_ns = NOW - 365 * DAY + NS;
    expect(&p, NULL, "");
    p.changed_ns -= NS;
    expect(&p, NULL, "plan-review");
}

static void test_rehearsal(void **state)
{
    (void)state;
    struct watch_plan p = well();
    p.is_rehearsed = false;
    expect(&p, NULL, "plan-unrehearsed");
    p.was_rehearsed = false;
    expect(&p, NULL, "plan-unrehearsed");
    p.last = (struct watch_drill){ .id = (char *)"20261101-0900-aabbcc", .started_ns = NOW - 22 * DAY };
    expect(&p, NULL, "drill-failed,plan-unrehearsed");
    p.last.has_passed = true;
    expect(&p, NULL, "plan-unrehearsed");
}

static void test_overdue(void **state)
{
    char *items[] = { (char *)"daily", NULL };
    const struct policy_list times = { .items = items, .count = 1 };
    struct error err;
    (void)state;
    struct watch_plan p = well();
    assert_int_equal(schedule_open(io_real(), &times, "UTC", &p.schedule, &err), 0);
    p.dates = (struct drill_dates){ .due_s = (int64_t)(NOW / NS) - 200000, .is_overdue = true };
    expect(&p, NULL, "drill-overdue");
    schedule_done(&p.schedule);
}

static void test_a_file_with_mistakes(void **state)
{
    (void)state;
    struct watch_plan p = { .name = (char *)"erp", .problem = (char *)"'steps' is missing" };
    expect(&p, NULL, "plan-invalid");
    struct watch_course course = { .id = (char *)"erp-1", .scenario = (char *)"", .steps = 2 };
    p.courses = (struct watch_courses){ &course, 1 }; // which goes on being one
    expect(&p, NULL, "plan-unfinished,plan-invalid");
}

static void test_improvements(void **state)
{
    (void)state;
    struct watch_plan p = well();
    struct improvement i = { .id = 1, .drill = (char *)"20261101-0900-aabbcc", .text = (char *)"a second key", .owner = (char *)"王芳", .due = (char *)"2026-11-23" };
    expect(&p, &i, "");
    i.due = (char *)"2026-11-22";
    expect(&p, &i, "improvement");
    i.closed = (char *)"2026-11-23T09:00:00Z";
    expect(&p, &i, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_is_well), cmocka_unit_test(test_review),  cmocka_unit_test(test_rehearsal),
        cmocka_unit_test(test_overdue),     cmocka_unit_test(test_a_file_with_mistakes), cmocka_unit_test(test_improvements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
