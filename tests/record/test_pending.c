// What could not be written at its time; twenty writers at once; writers killed at random; memory that runs out at every place.
#include "tests/record/ledger.h"

#include <sqlite3.h>
#include <sys/wait.h>

#include "bkd/base/log.h"
#include "bkd/record/pending.h"

static struct run_facts new_facts(struct ledger *l, bool has_ended)
{
    struct run_facts facts = { .n = 0 };
    (void)snprintf(facts.run.kind, sizeof facts.run.kind, "backup");
    (void)snprintf(facts.run.policy, sizeof facts.run.policy, "p");
    runs_complete(&l->io, &facts.run);
    if (has_ended) {
        facts.run.state = RUN_ENDED;
        facts.run.ended_ns = l->now_ns;
        facts.run.exit_code = 0;
    }
    return facts;
}

static void test_kept_and_taken_in(void **state)
{
    (void)state;
    struct error err;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    catalogue_close(&l.catalogue);
    struct run_facts run = new_facts(&l, false), killed = new_facts(&l, false);
    OK(pending_add(&l.io, l.scratch.dir, &run, &err));
    OK(pending_add(&l.io, l.scratch.dir, &killed, &err));
    scratch_run("printf '\\n{\"uid\":\"torn' >> '%s/catalogue.pending'", l.scratch.dir); // a full disk
    run.run.state = RUN_ENDED;
    run.run.ended_ns = l.now_ns + 5;
    run.run.exit_code = 3;
    OK(pending_add(&l.io, l.scratch.dir, &run, &err));
    log_set_level(LOG_LEVEL_ERROR);
    OK(catalogue_open(&l.io, l.scratch.dir, CATALOGUE_WRITE, &l.catalogue, &err));
    scratch_run("test ! -e '%s/catalogue.pending'", l.scratch.dir);
    assert_int_equal(ledger_number(&l, "SELECT count(*) FROM runs"), 2);
    assert_int_equal(ledger_number(&l, "SELECT count(*) FROM runs WHERE exit_code = 3"), 1);
    assert_int_equal(ledger_number(&l, "SELECT count(*) FROM events"), 3); // two began, one ended
    OK(pending_add(&l.io, l.scratch.dir, &run, &err)); // as after a kill between commit and removal
    uint64_t n = 0;
    OK(pending_take_in(&l.catalogue, l.scratch.dir, &n, &err));
    assert_int_equal(n, 1);
    assert_int_equal(ledger_number(&l, "SELECT count(*) FROM runs"), 2);
    assert_int_equal(ledger_number(&l, "SELECT count(*) FROM events"), 3);
}

enum { WRITERS = 20, RUNS = 5 };

// As a process of its own would: opens, begins, ends, now and then into the spool.
static void write_runs(struct ledger *l, int writer)
{
    struct error err;
    for (int i = 0; i < RUNS; i++) {
        struct run_facts facts = new_facts(l, true);
        struct catalogue c = { 0 };
        int64_t id;
        int r = (writer + i) % 5 == 0 ? pending_add(&l->io, l->scratch.dir, &facts, &err) : catalogue_open(&l->io, l->scratch.dir, CATALOGUE_WRITE, &c, &err);
        if (r == 0 && c.sql != NULL)
            r = run_facts_save(&c, &facts, &id, &err);
        catalogue_close(&c);
        if (r < 0) {
            (void)fprintf(stderr, "# %s\n", err.text);
            _exit(1);
        }
    }
    _exit(0);
}

// A run opens the catalogue half a dozen times: while another process keeps it locked, it waits long once.
static void test_a_lock_is_waited_for_once(void **state)
{
    (void)state;
    struct error err;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    _cleanup_free_ char *path = xasprintf("%s/catalogue.db", l.scratch.dir);
    struct run_facts facts = new_facts(&l, true);
    struct sql *other = NULL;
    struct catalogue c = { 0 };
    l.now_ns = io_realtime_ns(io_real()); // the spool's file has a time of the real clock
    OK(sql_open(path, SQL_READ_WRITE, 0, &other, &err));
    OK(sql_script(other, "BEGIN IMMEDIATE", &err));
    OK(pending_add(&l.io, l.scratch.dir, &facts, &err));
    uint64_t start = io_monotonic_ns(io_real());
    log_set_level(LOG_LEVEL_ERROR);
    OK(catalogue_open(&l.io, l.scratch.dir, CATALOGUE_WRITE, &c, &err));
    assert_int_equal(catalogue_begin(&c, &err), ERROR_BUSY);
    assert_true(io_monotonic_ns(io_real()) - start < 8 * SECOND);
    catalogue_close(&c);
    sql_close(other);
    run_facts_done(&facts);
}

static void test_twenty_writers(void **state)
{
    (void)state;
    struct error err;
    int status;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    catalogue_close(&l.catalogue); // a connection does not outlive a fork
    for (int i = 0; i < WRITERS; i++)
        if (fork() == 0)
            write_runs(&l, i);
    while (wait(&status) > 0)
        assert_int_equal(status, 0);
    OK(catalogue_open(&l.io, l.scratch.dir, CATALOGUE_WRITE, &l.catalogue, &err));
    assert_int_equal(ledger_number(&l, "SELECT count(*) FROM runs"), WRITERS * RUNS);
    assert_int_equal(ledger_number(&l, "SELECT count(*) FROM runs WHERE exit_code = 0"), WRITERS * RUNS);
    scratch_run("test \"$(sqlite3 '%s/catalogue.db' 'PRAGMA integrity_check')\" = ok", l.scratch.dir);
}

static void test_killed_writers(void **state)
{
    (void)state;
    struct error err;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    for (int i = 0; i < 30; i++) {
        catalogue_close(&l.catalogue);
        pid_t pid = fork();
        if (pid == 0)
            write_runs(&l, i);
        (void)usleep((useconds_t)(i * 700));
        (void)kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        OK(catalogue_open(&l.io, l.scratch.dir, CATALOGUE_WRITE, &l.catalogue, &err));
    }
    assert_int_equal(ledger_number(&l, "SELECT count(*) FROM alarms"), 0); // nothing was damaged
    scratch_run("test \"$(sqlite3 '%s/catalogue.db' 'PRAGMA integrity_check')\" = ok", l.scratch.dir);
}

// ---- memory (row C-09)

static sqlite3_mem_methods real;
static long allowed; // allocations until one fails; negative: none does
static bool for_good;

static bool fails(void)
{
    if (allowed < 0)
        return false;
    bool now = allowed == 0;
    if (!now || !for_good)
        allowed--;
    return now;
}
static void *limited_malloc(int n) { return fails() ? NULL : real.xMalloc(n); }
static void *limited_realloc(void *p, int n) { return fails() ? NULL : real.xRealloc(p, n); }

static int use_catalogue(struct ledger *l, struct error *err)
{
    struct catalogue c = { 0 };
    struct run_facts facts = new_facts(l, true);
    int64_t id;
    int r = catalogue_open(&l->io, l->scratch.dir, CATALOGUE_WRITE, &c, err);
    if (r == 0)
        r = run_facts_save(&c, &facts, &id, err);
    catalogue_close(&c);
    return r;
}

// SQLite's memory runs out at allocation N, once or from then on: a clean error, and the catalogue is as it was, or has the run.
static void test_out_of_memory(void **state)
{
    (void)state;
    struct error err;
    sqlite3_mem_methods limited;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    catalogue_close(&l.catalogue);
    log_set_level(LOG_LEVEL_ERROR);
    assert_int_equal(sqlite3_shutdown(), SQLITE_OK);
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real), SQLITE_OK);
    limited = real;
    limited.xMalloc = limited_malloc;
    limited.xRealloc = limited_realloc;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &limited), SQLITE_OK);
    int failed = 0;
    for (int persistent = 0; persistent < 2; persistent++)
        for (long n = 0; n < 2000; n += 1 + n / 12) {
            allowed = n;
            for_good = persistent != 0;
            failed += use_catalogue(&l, &err) < 0;
            allowed = -1;
        }
    OK(catalogue_open(&l.io, l.scratch.dir, CATALOGUE_WRITE, &l.catalogue, &err));
    assert_true(failed > 20);
    assert_int_equal(ledger_number(&l, "SELECT count(*) FROM alarms"), 0);
    scratch_run("test \"$(sqlite3 '%s/catalogue.db' 'PRAGMA integrity_check')\" = ok", l.scratch.dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept_and_taken_in), cmocka_unit_test(test_a_lock_is_waited_for_once), cmocka_unit_test(test_twenty_writers),
        cmocka_unit_test(test_killed_writers),     cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
