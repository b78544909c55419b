// Runs from begin to end, abandoned ones, slots that two processes decide, pauses.
#include "tests/record/ledger.h"

#include <sys/wait.h>
#include <unistd.h>

#include "bkd/record/pauses.h"
#include "bkd/record/policy_versions.h"
#include "bkd/record/runs.h"
#include "bkd/record/slots.h"

static int64_t begin(struct ledger *l, const char *policy, const char *kind)
{
    struct error err;
    struct run_record run = { .trigger = RUN_DAEMON };
    int64_t id = 0;
    (void)snprintf(run.policy, sizeof run.policy, "%s", policy);
    (void)snprintf(run.kind, sizeof run.kind, "%s", kind);
    OK(runs_begin(&l->catalogue, &run, &id, &err));
    l->now_ns += SECOND;
    return id;
}

static int count(void *arg, const struct run_record *run, struct error *err)
{
    (void)run;
    (void)err;
    ++*(int *)arg;
    return 0;
}

static int add_value(void *arg, const char *name, uint64_t value, struct error *err)
{
    (void)err;
    char *text = arg;
    (void)snprintf(text + strlen(text), 100 - strlen(text), "%s=%llu ", name, (unsigned long long)value);
    return 0;
}

static void test_a_run(void **state)
{
    (void)state;
    struct error err;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    struct catalogue *c = &l.catalogue;
    struct run_record run, last;
    int64_t id = begin(&l, "erp", "backup"), version = 0;
    OK(policy_versions_note(c, "erp", "a: 1\n", &version, &err));
    OK(runs_get(c, id, &run, &err));
    assert_true(run.state == RUN_RUNNING && run.ended_ns == 0 && run.exit_code == -1 && run.trigger == RUN_DAEMON && run.attempt == 1);
    assert_int_equal(run.process.pid, getpid());
    assert_int_equal(strlen(run.uid), 32);
    assert_int_equal(runs_last(c, "erp", "backup", true, &last, &err), ERROR_NOT_FOUND);
    OK(runs_phase(c, id, "scan", 5, &err));
    OK(runs_phase(c, id, "scan", 6, &err));
    OK(runs_figure(c, id, "files", 3, &err));
    OK(runs_figure(c, id, "bytes", UINT64_MAX, &err));
    OK(runs_set_snapshot(c, id, 12, &err));
    OK(runs_end(c, id, 3, "two files could not be read", &err));
    OK(runs_end(c, id, 0, "", &err));
    OK(runs_last(c, "erp", "backup", true, &last, &err));
    assert_true(last.id == id && last.state == RUN_ENDED && last.exit_code == 3 && last.snapshot == 12 && last.ended_ns == last.started_ns + SECOND);
    assert_string_equal(last.message, "two files could not be read");
    char text[200] = "";
    OK(runs_phases(c, id, add_value, text, &err));
    OK(runs_figures(c, id, add_value, text, &err));
    assert_string_equal(text, "scan=6 bytes=9223372036854775807 files=3 ");
    assert_int_equal(runs_get(c, 99, &run, &err), ERROR_NOT_FOUND);
}

static void test_failing(void **state)
{
    (void)state;
    static const int codes[] = { 1, 0, 1, 6, 8, 1 };
    struct error err;
    uint64_t n = 9, since_ns = 9;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    OK(runs_failing(&l.catalogue, "erp", "backup", &n, &since_ns, &err));
    assert_true(n == 0 && since_ns == 0);
    uint64_t start_ns = l.now_ns;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        OK(runs_end(&l.catalogue, begin(&l, "erp", "backup"), codes[i], "", &err));
    OK(runs_end(&l.catalogue, begin(&l, "web", "backup"), 1, "", &err));
    (void)begin(&l, "erp", "backup"); // goes on
    OK(runs_failing(&l.catalogue, "erp", "backup", &n, &since_ns, &err));
    assert_int_equal(n, 3); // one was busy
    assert_true(since_ns == start_ns + 2 * SECOND);
}

static void test_lists(void **state)
{
    (void)state;
    struct error err;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    struct catalogue *c = &l.catalogue;
    uint64_t start = l.now_ns;
    OK(runs_end(c, begin(&l, "a", "backup"), 0, "", &err));
    OK(runs_end(c, begin(&l, "a", "backup"), 1, "no", &err));
    OK(runs_end(c, begin(&l, "a", "check"), 0, "", &err));
    OK(runs_end(c, begin(&l, "b", "backup"), 0, "", &err));
    (void)begin(&l, "b", "backup");
    static const struct {
        struct runs_filter filter;
        int count;
    } cases[] = {
        { { 0 }, 5 },
        { { .policy = "a" }, 3 },
        { { .policy = "a", .kind = "backup" }, 2 },
        { { .failed = true }, 1 },
        { { .running = true }, 1 },
        { { .limit = 2 }, 2 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int n = 0;
        OK(runs_list(c, &cases[i].filter, count, &n, &err));
        assert_int_equal(n, cases[i].count);
    }
    int n = 0;
    OK(runs_list(c, &(struct runs_filter){ .since_ns = start + SECOND, .until_ns = start + 3 * SECOND }, count, &n, &err));
    assert_int_equal(n, 2);
    struct run_record last;
    OK(runs_last(c, "a", "backup", false, &last, &err));
    assert_int_equal(last.exit_code, 1);
    OK(runs_last(c, "a", "backup", true, &last, &err));
    assert_int_equal(last.exit_code, 0);
}

// A child begins a run and is killed; another run has this process's number, but another start; a third one belongs to an earlier boot.
static void test_abandoned(void **state)
{
    (void)state;
    struct error err;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    struct catalogue *c = &l.catalogue;
    int64_t mine = begin(&l, "p", "backup");
    struct run_record run = { .kind = "backup", .policy = "p" };
    int64_t ids[3];
    process_self(&run.process);
    run.process.start--;
    OK(runs_begin(c, &run, &ids[0], &err));
    process_self(&run.process);
    run.process.boot_id[0] = run.process.boot_id[0] == '0' ? '1' : '0';
    OK(runs_begin(c, &run, &ids[1], &err));
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    run.process.pid = pid;
    struct process self;
    process_self(&self);
    memcpy(run.process.boot_id, self.boot_id, sizeof self.boot_id);
    run.process.start = process_start(pid);
    OK(runs_begin(c, &run, &ids[2], &err));
    int n = 0;
    OK(runs_abandoned(c, count, &n, &err));
    assert_int_equal(n, 2);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    OK(runs_abandoned(c, count, &n, &err));
    assert_int_equal(n, 3);
    OK(runs_abandoned(c, count, &n, &err));
    assert_int_equal(n, 3);
    for (int i = 0; i < 3; i++) {
        OK(runs_get(c, ids[i], &run, &err));
        assert_true(run.state == RUN_KILLED && run.exit_code == -1 && run.ended_ns != 0 && run.message[0] != '\0');
    }
    OK(runs_get(c, mine, &run, &err));
    assert_int_equal(run.state, RUN_RUNNING);
}

static void test_slots(void **state)
{
    (void)state;
    struct error err;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    struct catalogue *c = &l.catalogue;
    struct slot slot;
    bool won = false;
    assert_int_equal(slots_last(c, "p", "backup", 0, &slot, &err), ERROR_NOT_FOUND);
    OK(slots_set(c, "p", "backup", 10, SLOT_MISSED, 0, "the host was off", &won, &err));
    assert_true(won);
    OK(slots_set(c, "p", "backup", 20, SLOT_RUN, 0, NULL, &won, &err));
    assert_true(won);
    OK(slots_set(c, "p", "backup", 20, SLOT_SKIPPED, 0, "late", &won, &err));
    assert_false(won);
    OK(slots_set(c, "p", "verify", 20, SLOT_SKIPPED, 0, "paused", &won, &err));
    assert_true(won);
    int64_t run = begin(&l, "p", "backup");
    OK(slots_set_run(c, "p", "backup", 20, run, &err));
    OK(slots_last(c, "p", "backup", 0, &slot, &err));
    assert_true(slot.slot_ns == 20 && slot.outcome == SLOT_RUN && slot.run == run && slot.reason[0] == '\0');
}

static void test_pauses(void **state)
{
    (void)state;
    struct error err;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    struct pause pause;
    bool was = true;
    assert_int_equal(pauses_get(&l.catalogue, "p", &pause, &err), ERROR_NOT_FOUND);
    OK(pauses_set(&l.catalogue, "p", 0, "root", "moving house", &err));
    uint64_t since = l.now_ns;
    l.now_ns += SECOND;
    OK(pauses_set(&l.catalogue, "p", 0, "other", NULL, &err));
    OK(pauses_get(&l.catalogue, "p", &pause, &err));
    assert_int_equal(pause.since_ns, since);
    assert_string_equal(pause.by, "other");
    OK(pauses_clear(&l.catalogue, "p", &was, &err));
    assert_true(was);
    OK(pauses_clear(&l.catalogue, "p", &was, &err));
    assert_false(was);
    OK(pauses_set(&l.catalogue, "p", l.now_ns + 5 * SECOND, "root", NULL, &err));
    l.now_ns += 4 * SECOND;
    OK(pauses_get(&l.catalogue, "p", &pause, &err));
    assert_int_equal(pause.until_ns, l.now_ns + SECOND);
    l.now_ns += SECOND; // over by itself
    assert_int_equal(pauses_get(&l.catalogue, "p", &pause, &err), ERROR_NOT_FOUND);
    OK(pauses_set(&l.catalogue, "p", 0, "root", NULL, &err));
    OK(pauses_get(&l.catalogue, "p", &pause, &err));
    assert_int_equal(pause.since_ns, l.now_ns); // a new one
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_run), cmocka_unit_test(test_failing), cmocka_unit_test(test_lists), cmocka_unit_test(test_abandoned), cmocka_unit_test(test_slots), cmocka_unit_test(test_pauses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
