// What is to be done next in a run of a plan, and the journal that remembers it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "bkd/dr/plan_journal.h"
#include "bkd/dr/plan_run.h"

static const char text[] = "systems:\n"
                           "  - {name: web, tier: 3, after: app}\n"
                           "  - {name: app, tier: 2, after: db}\n"
                           "  - {name: db, tier: 1}\n"
                           "  - {name: mail, tier: 2}\n"
                           "steps:\n"
                           "  - {id: mail, type: manual, system: mail, instruction: x}\n"
                           "  - {id: web, type: manual, system: web, instruction: x}\n"
                           "  - {id: app, type: manual, system: app, instruction: x}\n"
                           "  - {id: db, type: manual, system: db, instruction: x}\n"
                           "  - {id: db-start, type: manual, system: db, after: db, instruction: x}\n"
                           "  - {id: bell, type: manual, instruction: x}\n";
enum { MAIL, WEB, APP, DB, DB_START, BELL, STEPS };

static void load(struct recovery *plan, struct recovery_graph *graph)
{
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    struct error err;
    assert_int_equal(recovery_parse("x.yaml", text, sizeof text - 1, plan, &errors, &err), 0);
    recovery_graph_init(graph, plan);
}

static void test_ready(void **state)
{
    (void)state;
    _cleanup_recovery_ struct recovery plan = { 0 };
    _cleanup_recovery_graph_ struct recovery_graph graph = { 0 };
    enum planning_state states[STEPS] = { PLANNING_WAITING };
    size_t ready[STEPS];
    load(&plan, &graph);
    assert_int_equal(plan_run_ready(&plan, &graph, states, ready), 3);
    assert_int_equal(ready[0], BELL); // of no system, then tier 1, then tier 2
    assert_int_equal(ready[1], DB);
    assert_int_equal(ready[2], MAIL);
    states[DB] = PLANNING_RUNNING;
    states[BELL] = states[MAIL] = PLANNING_DONE;
    assert_int_equal(plan_run_ready(&plan, &graph, states, ready), 0);
    states[DB] = PLANNING_DONE;
    assert_int_equal(plan_run_ready(&plan, &graph, states, ready), 1);
    assert_int_equal(ready[0], DB_START);
    states[DB_START] = PLANNING_FAILED; // what waits for it does not begin
    assert_int_equal(plan_run_ready(&plan, &graph, states, ready), 0);
    assert_false(plan_run_passed(states, STEPS));
    states[DB_START] = PLANNING_SKIPPED; // what is left out holds nothing up
    assert_int_equal(plan_run_ready(&plan, &graph, states, ready), 1);
    assert_int_equal(ready[0], APP);
    states[APP] = PLANNING_DONE;
    assert_false(plan_run_passed(states, STEPS)); // one has not begun
    states[WEB] = PLANNING_RUNNING;
    assert_false(plan_run_passed(states, STEPS));
    states[WEB] = PLANNING_DONE;
    assert_true(plan_run_passed(states, STEPS));
}

// Whatever ends first, no step begins before what it waits for, and all are done in the end.
static void test_any_order(void **state)
{
    (void)state;
    _cleanup_recovery_ struct recovery plan = { 0 };
    _cleanup_recovery_graph_ struct recovery_graph graph = { 0 };
    load(&plan, &graph);
    for (unsigned seed = 0; seed < 300; seed++) {
        enum planning_state states[STEPS] = { PLANNING_WAITING };
        unsigned random = seed;
        for (unsigned turns = 0; !plan_run_passed(states, STEPS); turns++) {
            size_t ready[STEPS], n = plan_run_ready(&plan, &graph, states, ready);
            assert_true(turns < 200);
            for (size_t i = 0; i < n; i++) {
                for (size_t k = 0; k < STEPS; k++)
                    assert_true(!recovery_graph_needs(&graph, ready[i], k) || states[k] == PLANNING_DONE || states[k] == PLANNING_SKIPPED);
                states[ready[i]] = PLANNING_RUNNING;
            }
            size_t one = (size_t)rand_r(&random) % STEPS;
            if (states[one] == PLANNING_RUNNING)
                states[one] = rand_r(&random) % 5 == 0 ? PLANNING_SKIPPED : PLANNING_DONE;
        }
    }
}

static void count(void *arg, const struct json *line)
{
    const char *type = json_get_str(line, "type");
    *(unsigned *)arg += type != NULL && strcmp(type, "x") == 0;
}

static void test_journal(void **state)
{
    (void)state;
    char directory[] = "/tmp/bkd-test-XXXXXX";
    const struct io *io = io_real();
    struct plan_journal journal = { 0 }, other = { 0 };
    struct error err;
    unsigned lines = 0;
    assert_non_null(mkdtemp(directory));
    assert_false(plan_journal_is_alive(io, directory));
    assert_int_equal(plan_journal_open(io, directory, &journal, &err), 0);
    assert_true(plan_journal_is_alive(io, directory));
    assert_int_equal(plan_journal_open(io, directory, &other, &err), ERROR_BUSY);
    struct json *line = json_line_new("x");
    assert_int_equal(plan_journal_write(&journal, &line, true, &err), 0);
    assert_int_equal(io_write_all(io, journal.fd, "{\"type\":\"x\"", 11, "journal", &err), 0); // torn
    plan_journal_close(&journal);
    assert_false(plan_journal_is_alive(io, directory));
    assert_int_equal(plan_journal_open(io, directory, &journal, &err), 0);
    line = json_line_new("x");
    assert_int_equal(plan_journal_write(&journal, &line, true, &err), 0);
    plan_journal_close(&journal);
    assert_int_equal(plan_journal_read(io, directory, count, &lines, &err), 0);
    assert_int_equal(lines, 2); // what follows a torn line is read
    assert_int_equal(fs_remove_tree(io, AT_FDCWD, directory, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_ready), cmocka_unit_test(test_any_order), cmocka_unit_test(test_journal) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
