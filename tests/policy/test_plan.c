// Recovery plans: their values, their mistakes with places, and which step waits for which.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/policy/recovery.h"
#include "bkd/policy/recovery_graph.h"

static int parse(const char *text, struct recovery *ret_plan, struct policy_errors *ret_errors)
{
    struct error err;
    return recovery_parse("plans/erp.yaml", text, strlen(text), ret_plan, ret_errors, &err);
}

#define HEAD \
    "roles:\n" \
    "  - {name: dba, holder: 王芳, deputy: Ana, contact: \"1\"}\n" \
    "hosts:\n" \
    "  - {name: standby, address: \"ssh://root@10.0.0.2:2222\"}\n" \
    "systems:\n" \
    "  - {name: db, policy: pg, rto: 2h, targets: [{scenario: host-loss, to: directory, host: standby, path: /srv//x/}]}\n" \
    "  - {name: app, policy: erp, tier: 2, after: db}\n" \
    "  - {name: web, after: [app]}\n"

static void test_values(void **state)
{
    (void)state;
    _cleanup_recovery_ struct recovery plan = { 0 };
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    assert_int_equal(parse("review: 2027-02-28\nrto: 4h\n" HEAD
                           "steps:\n"
                           "  - {id: a, type: restore, system: db, owner: dba, deadline: 30min}\n"
                           "  - {id: b, type: command, system: app, host: target, command: [systemctl, start, erp], rehearse: true}\n"
                           "  - {id: c, type: check, system: db, after: a, checks: [{type: command, run: [sh, -c, \"test -s x\"]}, {type: file, file: a, min_size: 1KiB}]}\n"
                           "  - {id: d, type: decision, after: [a, c], instruction: go on?, choices: [go, abort]}\n"
                           "  - {id: e, type: notify, system: web, message: 完成, severity: critical}\n",
                           &plan, &errors),
                     0);
    assert_string_equal(plan.name, "erp");
    assert_int_equal(plan.rto_s, 4 * 3600);
    assert_int_equal(strlen(plan.sha256), 64);
    assert_string_equal(plan.roles[0].holder, "王芳");
    const struct recovery_target *target = recovery_find_target(&plan.systems[0], "host-loss");
    assert_non_null(target);
    assert_int_equal(target->to, RECOVERY_DIRECTORY);
    assert_string_equal(target->path, "/srv/x");
    assert_null(recovery_find_target(&plan.systems[0], "other"));
    assert_true(recovery_has_scenario(&plan, "host-loss") && !recovery_has_scenario(&plan, "other"));
    assert_int_equal(plan.steps[0].deadline_s, 1800);
    assert_string_equal(plan.steps[0].from, "auto");
    assert_string_equal(plan.steps[0].snapshot, "latest");
    assert_int_equal(plan.steps[1].command.count, 3);
    assert_true(plan.steps[1].rehearse);
    assert_int_equal(plan.steps[2].check_count, 2);
    assert_int_equal(plan.steps[2].checks[1].min_size_bytes, 1024);
    assert_int_equal(plan.steps[3].choices.count, 2);
    assert_int_equal(plan.steps[4].severity, 2);
}

static void test_order(void **state)
{
    (void)state;
    _cleanup_recovery_ struct recovery plan = { 0 };
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    _cleanup_recovery_graph_ struct recovery_graph graph = { 0 };
    assert_int_equal(parse(HEAD "steps:\n"
                                "  - {id: w, type: manual, system: web, instruction: x}\n"
                                "  - {id: d, type: restore, system: db}\n"
                                "  - {id: a, type: restore, system: app}\n"
                                "  - {id: n, type: manual, after: a, instruction: x}\n",
                           &plan, &errors),
                     0);
    recovery_graph_init(&graph, &plan);
    assert_true(recovery_graph_needs(&graph, 2, 1));  // app after db
    assert_true(recovery_graph_needs(&graph, 0, 1));  // web after app after db
    assert_true(recovery_graph_needs(&graph, 3, 2));  // by the step itself
    assert_false(recovery_graph_needs(&graph, 1, 0));
    assert_false(recovery_graph_needs(&graph, 3, 1)); // only what is said
}

// Each text has this mistake, at this place.
static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
        unsigned line, column;
    } cases[] = {
        { HEAD "steps: []\n", "'steps' must be", 9, 8 },
        { HEAD "steps:\n  - {id: a, type: restore}\n", "needs 'system'", 10, 5 },
        { HEAD "steps:\n  - {id: a, type: restore, system: web}\n", "has no policy to restore from", 10, 36 },
        { HEAD "steps:\n  - {id: a, type: manual, instruction: x, owner: dbs}\n", "there is no role 'dbs'; did you mean 'dba'?", 10, 50 },
        { HEAD "steps:\n  - {id: a, type: manual, instruction: x, command: [x]}\n", "a step of type manual has no 'command'", 10, 43 },
        { HEAD "steps:\n  - {id: a, type: manual, instruction: x}\n  - {id: a, type: manual, instruction: x}\n", "there is another step 'a'", 11, 10 },
        { HEAD "steps:\n  - {id: a, type: manual, instruction: x, after: b}\n  - {id: b, type: manual, instruction: x, after: a}\n",
          "wait for each other: 'a' after 'b' after 'a'", 10, 5 },
        { HEAD "steps:\n  - {id: a, type: restore, system: db, after: b}\n  - {id: b, type: restore, system: app}\n", "wait for each other: 'a' after 'b' after 'a'", 10, 5 },
        { HEAD "steps:\n  - {id: a, type: decision, instruction: x, choices: [y]}\n", "two choices", 10, 54 },
        { HEAD "steps:\n  - {id: a, type: command, command: [x], host: target}\n", "it has none", 10, 48 },
        { "review: 2027-02-29\nsteps:\n  - {id: a, type: manual, instruction: x}\n", "'review' must be a date", 1, 9 },
        { "hosts: [{name: a, address: -oProxyCommand=x}]\nsteps:\n  - {id: a, type: manual, instruction: x}\n", "'address' must be", 1, 28 },
        { "systems: [{name: a, targets: [{scenario: s, to: directory}]}]\nsteps:\n  - {id: a, type: manual, instruction: x}\n", "'path' is missing", 1, 31 },
        { "stpes: []\n", "did you mean 'steps'?", 1, 1 },
        { "steps:\n  - {id: a, type: check, system: b, checks: [{type: file}]}\n", "a check of type file needs 'file'", 2, 46 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        _cleanup_recovery_ struct recovery plan = { 0 };
        _cleanup_policy_errors_ struct policy_errors errors = { 0 };
        _cleanup_buf_ struct buf text = { 0 }, place = { 0 };
        assert_int_equal(parse(cases[i].text, &plan, &errors), ERROR_USAGE);
        policy_errors_format(&errors, &text);
        buf_addf(&place, "plans/erp.yaml:%u:%u: error: ", cases[i].line, cases[i].column);
        const char *at = strstr(buf_str(&text), cases[i].message);
        if (at == NULL || strstr(buf_str(&text), buf_str(&place)) == NULL)
            fail_msg("case %zu: wanted %s%s, got:\n%s", i, buf_str(&place), cases[i].message, buf_str(&text));
    }
}

// The hash is of the bytes: a comment makes another plan.
static void test_version(void **state)
{
    (void)state;
    _cleanup_recovery_ struct recovery a = { 0 }, b = { 0 };
    _cleanup_policy_errors_ struct policy_errors ignored = { 0 }, also = { 0 };
    assert_int_equal(parse("steps: [{id: a, type: manual, instruction: x}]\n", &a, &ignored), 0);
    assert_int_equal(parse("steps: [{id: a, type: manual, instruction: x}] #\n", &b, &also), 0);
    assert_string_not_equal(a.sha256, b.sha256);
}

static void test_examples(void **state)
{
    (void)state;
    const char *top = getenv("srcdir");
    _cleanup_free_ char *pattern = xasprintf("%s/policies/examples/plans/*.yaml", top == NULL ? "." : top);
    glob_t found;
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        _cleanup_recovery_ struct recovery plan = { 0 };
        _cleanup_policy_errors_ struct policy_errors errors = { 0 };
        _cleanup_buf_ struct buf text = { 0 };
        struct error err;
        int r = recovery_load(io_real(), found.gl_pathv[i], &plan, &errors, &err);
        policy_errors_format(&errors, &text);
        if (r < 0 && errors.count > 0)
            fail_msg("%s", buf_str(&text));
    }
    globfree(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_values), cmocka_unit_test(test_order), cmocka_unit_test(test_mistakes), cmocka_unit_test(test_version),
                                        cmocka_unit_test(test_examples) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
