// A run of a recovery plan that has not come to its end: facts in, findings out.
#include "tests/codec/scratch.h"

#include "bkd/dr/plan_journal.h"
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
    watch_courses_judge(&(struct watch_courses){ (struct watch_course *)(uintptr_t)c, 1 }, "erp", NOW, &found);
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
    _cleanup_watch_findings_ struct watch_findings found = { 0 };
    watch_courses_judge(&(struct watch_courses){ 0 }, "erp", NOW, &found);
    assert_int_equal(found.n, 0);
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

// A plan has one alarm of each kind: it tells of all of them.
static void test_several(void **state)
{
    (void)state;
    struct watch_course items[] = { course(PLANNING_REHEARSE), course(PLANNING_RUN), course(PLANNING_REHEARSE) };
    const struct watch_courses courses = { items, 3 };
    _cleanup_watch_findings_ struct watch_findings found = { 0 };
    items[0] = (struct watch_course){ .id = (char *)"erp-3", .scenario = (char *)"", .mode = PLANNING_REHEARSE, .is_alive = true, .waits_for = (char *)"go",
                                      .question = (char *)"step 'go': x", .asked_ns = NOW - 60 * NS };
    items[2].id = (char *)"erp-0";
    watch_courses_judge(&courses, "erp", NOW, &found);
    assert_int_equal(found.n, 2);
    assert_string_equal(found.items[0].kind, "plan-waiting");
    assert_non_null(strstr(found.items[0].text, "rehearsal erp-3"));
    assert_string_equal(found.items[1].kind, "plan-unfinished");
    assert_non_null(strstr(found.items[1].text, "run erp-1"));
    assert_non_null(strstr(found.items[1].text, "; rehearsal erp-0"));
    assert_non_null(strstr(found.items[1].step, "bkd plan close erp-1"));
    assert_non_null(strstr(found.items[1].step, "bkd plan close erp-0"));
}

// ---- from journals

#define BEGIN(plan_mode, hour) "{\"type\":\"begin\",\"time\":\"2026-11-22T" hour ":00:00.000Z\",\"plan\":\"erp\",\"mode\":\"" plan_mode "\",\"scenario\":\"fire\",\"steps\":[\"one\",\"go\",\"then\"]}\n"
#define STEP_BEGIN(id, hour) "{\"type\":\"step_begin\",\"step\":\"" id "\",\"time\":\"2026-11-22T" hour ":30:00.000Z\"}\n"
#define ASKED(id, hour, more) "{\"type\":\"step_begin\",\"step\":\"" id "\",\"time\":\"2026-11-22T" hour ":30:00.000Z\",\"question\":\"" id "?\"" more "}\n"
#define STEP_END(id, how) "{\"type\":\"step_end\",\"step\":\"" id "\",\"state\":\"" how "\"}\n"
#define END "{\"type\":\"end\",\"time\":\"2026-11-22T09:00:00.000Z\",\"passed\":false,\"aborted\":true}\n"

struct journals {
    struct scratch scratch;
    struct context ctx;
    struct watch_courses courses;
};

static int setup(void **state)
{
    struct journals *j = xcalloc(1, sizeof *j);
    j->scratch = scratch_new();
    j->ctx = (struct context){ .io = io_real(), .state_dir = j->scratch.dir };
    *state = j;
    return 0;
}

static int teardown(void **state)
{
    struct journals *j = *state;
    watch_courses_done(&j->courses);
    scratch_done(&j->scratch);
    free(j);
    return 0;
}

// The journal of a run has these lines; what carries it out holds *ret_journal open.
static void write_run(const struct journals *j, const char *id, const char *text, struct plan_journal *ret_journal)
{
    struct error err;
    char name[64];
    _cleanup_free_ char *directory = xasprintf("%s/plans/%s", j->scratch.dir, id);
    assert_int_equal(plan_journal_open(io_real(), directory, ret_journal, &err), 0);
    (void)snprintf(name, sizeof name, "plans/%s/journal.jsonl", id);
    scratch_write(&j->scratch, name, text, strlen(text));
}

static void write_left(const struct journals *j, const char *id, const char *text)
{
    struct plan_journal journal = { .fd = -1, .lock_fd = -1 };
    write_run(j, id, text, &journal);
    plan_journal_close(&journal);
}

static size_t load(struct journals *j)
{
    watch_courses_done(&j->courses);
    watch_courses_load(&j->ctx, "erp", &j->courses);
    return j->courses.n;
}

// Somebody carries it out as long as the journal is held.
static void test_alive(void **state)
{
    struct journals *j = *state;
    struct plan_journal journal = { .fd = -1, .lock_fd = -1 };
    assert_int_equal(load(j), 0);
    write_run(j, "erp-1", BEGIN("run", "08") STEP_BEGIN("one", "08") STEP_END("one", "done") ASKED("then", "09", "") ASKED("go", "08", ",\"choice\":true,\"patience_ms\":600000"), &journal);
    assert_int_equal(load(j), 1);
    const struct watch_course *c = j->courses.items;
    assert_string_equal(c->id, "erp-1");
    assert_string_equal(c->scenario, "fire");
    assert_true(c->is_alive && c->mode == PLANNING_RUN);
    assert_int_equal(c->steps, 3);
    assert_int_equal(c->done, 1);
    assert_string_equal(c->waits_for, "go"); // the one that was asked first; nobody is asked about a command
    assert_string_equal(c->question, "go?");
    assert_true(c->is_choice);
    assert_int_equal(c->asked_ns, UINT64_C(1795336200) * NS);
    assert_int_equal(c->patience_ns, 600 * NS);
    plan_journal_close(&journal);
    assert_int_equal(load(j), 1);
    assert_false(j->courses.items[0].is_alive);
}

static void test_stopped_or_ended(void **state)
{
    struct journals *j = *state;
    write_left(j, "erp-1", BEGIN("run", "08") STEP_END("one", "failed") "{\"type\":\"stop\"}\n");
    assert_int_equal(load(j), 1);
    assert_true(j->courses.items[0].was_stopped);
    assert_string_equal(j->courses.items[0].failed, "one");
    assert_int_equal(j->courses.items[0].done, 0);
    write_left(j, "erp-1", BEGIN("run", "08") END);
    assert_int_equal(load(j), 0);
}

// A newer one of the same mode and scenario takes the place of what was left; what somebody carries out is always looked at, and first.
static void test_which_ones(void **state)
{
    struct journals *j = *state;
    struct plan_journal journal = { .fd = -1, .lock_fd = -1 };
    write_left(j, "erp-1", BEGIN("run", "08"));
    write_left(j, "erp-2", BEGIN("rehearsal", "10"));
    assert_int_equal(load(j), 2);
    assert_string_equal(j->courses.items[0].id, "erp-2");
    assert_string_equal(j->courses.items[1].id, "erp-1");
    write_left(j, "erp-3", BEGIN("run", "09") END);
    assert_int_equal(load(j), 1);
    assert_int_equal(j->courses.items[0].mode, PLANNING_REHEARSE);
    write_left(j, "erp-4", BEGIN("tabletop", "11") END);
    assert_int_equal(load(j), 1);
    write_run(j, "erp-0", BEGIN("rehearsal", "07"), &journal);
    assert_int_equal(load(j), 2);
    assert_string_equal(j->courses.items[0].id, "erp-0");
    assert_true(j->courses.items[0].is_alive);
    plan_journal_close(&journal);
    assert_int_equal(load(j), 1);
    assert_string_equal(j->courses.items[0].id, "erp-2");
    write_left(j, "erp-5", BEGIN("rehearsal", "12") END);
    assert_int_equal(load(j), 0);
}

static struct journals *ends_meanwhile;

static int ending_openat(const struct io *io, int dirfd, const char *path, int flags, mode_t mode)
{
    (void)io;
    if (strcmp(path + strlen(path) - 5, "/lock") == 0)
        write_left(ends_meanwhile, "erp-1", BEGIN("run", "08") END);
    return io_real()->openat(io_real(), dirfd, path, flags, mode);
}

// Between its journal and its lock being looked at a run comes to its end: it was not killed.
static void test_ends_meanwhile(void **state)
{
    struct journals *j = *state;
    struct io io = *io_real();
    write_left(j, "erp-1", BEGIN("run", "08"));
    io.openat = ending_openat;
    ends_meanwhile = j;
    j->ctx.io = &io;
    assert_int_equal(load(j), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_over),
        cmocka_unit_test(test_waiting),
        cmocka_unit_test(test_for_real),
        cmocka_unit_test(test_drill),
        cmocka_unit_test(test_several),
        cmocka_unit_test_setup_teardown(test_alive, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stopped_or_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(test_which_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ends_meanwhile, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
