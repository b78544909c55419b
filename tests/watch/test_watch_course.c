// A run of a recovery plan that has not come to its end: facts in, findings out.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "bkd/watch/watch_course.h"

#define NS UINT64_C(1000000000)
#define NOW (UINT64_C(1795420800) * NS) // 2026-11-23

static struct watch_course course(enum planning_mode mode)
{
    return (struct watch_course){ .id = (char *)"erp-1", .scenario = (char *)"", .mode = mode, .done = 2, .steps = 5 };
}

// "" = nothing is found; else its kind, and what its text and step have in them.
static void expect(const struct watch_course *c, const char *kind, const char *text, const char *step)
{
    _cleanup_watch_findings_ struct watch_findings found = { 0 };
    watch_course_judge(c, "erp", NOW, &found);
    assert_int_equal(found.n, kind[0] != '\0');
    if (found.n == 0)
        return;
    assert_string_equal(found.items[0].kind, kind);
    assert_string_equal(found.items[0].copy, "erp");
    assert_true(watch_is_kind(kind));
    assert_non_null(strstr(found.items[0].text, text));
    assert_non_null(strstr(found.items[0].step, step));
}

static void test_over(void **state)
{
    (void)state;
    expect(&(struct watch_course){ 0 }, "", "", "");
}

static void test_waiting(void **state)
{
    (void)state;
    struct watch_course c = course(PLANNING_RUN);
    c.is_alive = true;
    expect(&c, "", "", "");
    c.waits_for = (char *)"go";
    c.question = (char *)"step 'go' (lead: Ana, else Ben; 1): is it lost?";
    c.asked_ns = NOW - 60 * NS;
    c.patience_ns = 60 * NS;
    expect(&c, "", "", "");
    c.asked_ns -= NS;
    expect(&c, "plan-waiting", "run erp-1 of recovery plan erp has waited 1 min for an answer to step 'go' (lead: Ana, else Ben; 1): is it lost?", "bkd plan answer erp-1 go --by NAME --note");
    c.is_choice = true;
    expect(&c, "plan-waiting", "", "--choice WORD");
    c.asked_ns = NOW + 7200 * NS; // the clock was set back
    expect(&c, "", "", "");
}

static void test_for_real(void **state)
{
    (void)state;
    struct watch_course c = course(PLANNING_RUN);
    expect(&c, "plan-unfinished", "its process was killed, and 2 of 5 steps are done", "go on: bkd plan run erp --yes; or say that it is over: bkd plan close erp-1 ");
    c.was_stopped = true;
    expect(&c, "plan-unfinished", "it was interrupted", "bkd plan run");
    c.failed = (char *)"go";
    c.scenario = (char *)"host-loss";
    expect(&c, "plan-unfinished", "(scenario host-loss) is not finished: step 'go' failed", "--scenario host-loss;");
}

static void test_drill(void **state)
{
    (void)state;
    struct watch_course c = course(PLANNING_REHEARSE);
    expect(&c, "plan-unfinished", "rehearsal erp-1", "bkd drill run erp --resume;");
    c.mode = PLANNING_TABLETOP;
    expect(&c, "plan-unfinished", "tabletop erp-1", "bkd drill run erp --tabletop --resume;");
    c.was_stopped = true;
    expect(&c, "", "", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_over), cmocka_unit_test(test_waiting), cmocka_unit_test(test_for_real), cmocka_unit_test(test_drill) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
