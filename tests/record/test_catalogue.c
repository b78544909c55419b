// Opening, migrating and refusing; transactions; what becomes of damage. The stock sqlite3 program looks at the same file.
#include "tests/record/ledger.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "bkd/base/log.h"
#include "bkd/record/alarms.h"
#include "bkd/record/catalogue_heal.h"
#include "bkd/record/catalogue_schema.h"

static void test_made_and_opened_again(void **state)
{
    (void)state;
    struct error err;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    assert_true(l.catalogue.is_new);
    int64_t mark = 7;
    OK(catalogue_mark(&l.catalogue, "never", &mark, &err));
    assert_int_equal(mark, 0);
    OK(catalogue_set_mark(&l.catalogue, "m", -5, &err));
    OK(catalogue_set_mark(&l.catalogue, "m", 6, &err));
    {
        _cleanup_catalogue_ struct catalogue again = { 0 };
        OK(catalogue_open(&l.io, l.scratch.dir, CATALOGUE_READ, &again, &err));
        OK(catalogue_mark(&again, "m", &mark, &err));
        assert_int_equal(mark, 6);
        assert_int_equal(catalogue_set_mark(&again, "m", 1, &err), ERROR_FAILED); // opened for reading
    }
    scratch_run("test \"$(stat -c %%a '%s/catalogue.db')\" = 600", l.scratch.dir);
    scratch_run("test \"$(sqlite3 '%s/catalogue.db' 'PRAGMA journal_mode; PRAGMA user_version; PRAGMA integrity_check; PRAGMA foreign_key_check' | tr '\\n' ' ')\" = 'wal %d ok '",
                l.scratch.dir, CATALOGUE_VERSION);
}

// Locks that others see on the database (F_GETLK tells of those of other processes only).
static bool is_locked_for_others(const char *path)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        int fd = open(path, O_RDWR | O_CLOEXEC);
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        _exit(fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Whoever opens it again in the same process (a command that reports, a thread that serves metrics) leaves the locks of the first alone: without them another
// process that closes it last removes the write-ahead log below its feet.
static void test_opened_twice_keeps_its_locks(void **state)
{
    (void)state;
    static const enum catalogue_mode modes[] = { CATALOGUE_WRITE, CATALOGUE_READ };
    struct error err;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    _cleanup_free_ char *path = xasprintf("%s/catalogue.db", l.scratch.dir);
    OK(catalogue_set_mark(&l.catalogue, "m", 1, &err));
    assert_true(is_locked_for_others(path));
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        struct catalogue again = { 0 };
        OK(catalogue_open(&l.io, l.scratch.dir, modes[i], &again, &err));
        assert_true(is_locked_for_others(path));
        catalogue_close(&again);
        assert_true(is_locked_for_others(path));
    }
    catalogue_close(&l.catalogue);
    assert_false(is_locked_for_others(path)); // the test can tell
    OK(catalogue_open(&l.io, l.scratch.dir, CATALOGUE_WRITE, &l.catalogue, &err));
}

static void test_every_table_is_strict(void **state)
{
    (void)state;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    assert_true(ledger_number(&l, "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%'") >= 15);
    assert_int_equal(ledger_number(&l, "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%' AND strict = 0"), 0);
}

static void test_newer_schema_is_refused(void **state)
{
    (void)state;
    struct error err;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    OK(sql_script(l.catalogue.sql, "PRAGMA user_version=4711", &err));
    _cleanup_catalogue_ struct catalogue c = { 0 };
    assert_int_equal(catalogue_open(&l.io, l.scratch.dir, CATALOGUE_WRITE, &c, &err), ERROR_USAGE);
    assert_non_null(strstr(err.text, "4711"));
    assert_non_null(strstr(err.text, "newer bkd"));
    assert_int_equal(catalogue_open(&l.io, l.scratch.dir, CATALOGUE_READ, &c, &err), ERROR_USAGE);
    assert_int_equal(ledger_number(&l, "PRAGMA user_version"), 4711);
}

static void test_older_schema_is_brought_up_to_date_by_a_reader(void **state)
{
    (void)state;
    struct error err;
    _cleanup_ledger_ struct ledger l;
    struct sql *sql = NULL;
    ledger_open(&l);
    catalogue_close(&l.catalogue);
    scratch_run("rm -f '%s'/catalogue.db*", l.scratch.dir);
    _cleanup_free_ char *path = xasprintf("%s/catalogue.db", l.scratch.dir), *version = xasprintf("PRAGMA application_id=%d; PRAGMA user_version=1", CATALOGUE_APPLICATION_ID);
    OK(sql_open(path, SQL_CREATE, 1000, &sql, &err));
    OK(sql_script(sql, catalogue_schema_script(1), &err));
    OK(sql_script(sql, version, &err));
    sql_close(sql);
    OK(catalogue_open(&l.io, l.scratch.dir, CATALOGUE_READ, &l.catalogue, &err));
    assert_int_equal(ledger_number(&l, "PRAGMA user_version"), CATALOGUE_VERSION);
}

// What a file is damaged into, beside one that was whole and had a nightly copy or none.
static void heal(const char *how, bool has_backup)
{
    struct error err;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    OK(catalogue_set_mark(&l.catalogue, "before", 1, &err));
    if (has_backup)
        OK(catalogue_backup(&l.catalogue, &err));
    OK(catalogue_set_mark(&l.catalogue, "after", 1, &err));
    catalogue_close(&l.catalogue);
    scratch_run("cd '%s' && %s", l.scratch.dir, how);
    OK(catalogue_open(&l.io, l.scratch.dir, CATALOGUE_WRITE, &l.catalogue, &err));
    int64_t before, after, wanted;
    OK(catalogue_mark(&l.catalogue, "before", &before, &err));
    OK(catalogue_mark(&l.catalogue, "after", &after, &err));
    OK(catalogue_mark(&l.catalogue, "rebuild.wanted", &wanted, &err));
    assert_int_equal(before, has_backup);
    assert_int_equal(after, 0);
    assert_int_equal(wanted, 1);
    _cleanup_alarms_ struct alarms alarms = { 0 };
    OK(alarms_active(&l.catalogue, NULL, &alarms, &err));
    assert_int_equal(alarms.n, 1);
    assert_string_equal(alarms.items[0].kind, "catalogue-damaged");
    catalogue_close(&l.catalogue);
    OK(catalogue_open(&l.io, l.scratch.dir, CATALOGUE_WRITE, &l.catalogue, &err)); // once is enough
    scratch_run("cd '%s' && test $(ls | grep -c 'damaged-.*Z$') -le 1 && test \"$(sqlite3 catalogue.db 'PRAGMA integrity_check')\" = ok", l.scratch.dir);
}

static void test_damage_is_healed(void **state)
{
    (void)state;
    static const char *const ways[] = {
        "head -c 40960 /dev/urandom > catalogue.db",
        "dd if=/dev/zero of=catalogue.db bs=100 count=1 conv=notrunc 2>/dev/null",
        "truncate -s 5000 catalogue.db",
        "sqlite3 other.db 'CREATE TABLE t (a); PRAGMA user_version=1' && mv other.db catalogue.db",
        "printf 'SQLite format 3' > catalogue.db",
    };
    log_set_level(LOG_LEVEL_ERROR); // warnings are expected
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        heal(ways[i], true);
        heal(ways[i], false);
    }
    heal("rm catalogue.db", true);
    heal("truncate -s 0 catalogue.db", true);
}

// Pages behind the header: met in use, and then the next opening heals.
static void test_damage_inside_is_met(void **state)
{
    (void)state;
    struct error err;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    log_set_level(LOG_LEVEL_ERROR);
    OK(catalogue_begin(&l.catalogue, &err));
    for (int i = 0; i < 2000; i++) {
        char name[20];
        (void)snprintf(name, sizeof name, "mark %d", i);
        OK(catalogue_set_mark(&l.catalogue, name, i, &err));
    }
    OK(catalogue_end(&l.catalogue, 0, &err));
    catalogue_close(&l.catalogue);
    scratch_run("cd '%s' && size=$(stat -c %%s catalogue.db) && dd if=/dev/urandom of=catalogue.db bs=4096 seek=$((size / 4096 - 8)) count=8 conv=notrunc 2>/dev/null",
                l.scratch.dir);
    OK(catalogue_open(&l.io, l.scratch.dir, CATALOGUE_WRITE, &l.catalogue, &err));
    int r = 0;
    int64_t value;
    for (int i = 0; i < 2000 && r == 0; i++) {
        char name[20];
        (void)snprintf(name, sizeof name, "mark %d", i);
        r = catalogue_mark(&l.catalogue, name, &value, &err);
    }
    assert_int_equal(r, ERROR_INTEGRITY);
    catalogue_close(&l.catalogue);
    scratch_run("test -e '%s/catalogue.broken'", l.scratch.dir);
    OK(catalogue_open(&l.io, l.scratch.dir, CATALOGUE_WRITE, &l.catalogue, &err));
    assert_int_equal(ledger_number(&l, "SELECT count(*) FROM alarms"), 1);
    scratch_run("cd '%s' && test ! -e catalogue.broken && ls catalogue.db.damaged-*Z >/dev/null", l.scratch.dir);
}

// Nobody's file is exchanged below somebody who has it open.
static void test_healing_waits_for_others(void **state)
{
    (void)state;
    struct error err;
    struct catalogue_healed healed;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    scratch_run("touch '%s/catalogue.broken'", l.scratch.dir);
    assert_int_equal(catalogue_heal(&l.io, l.scratch.dir, 100, &healed, &err), ERROR_BUSY);
    scratch_run("rm '%s/catalogue.broken'", l.scratch.dir);
}

static void test_transactions_nest(void **state)
{
    (void)state;
    struct error err;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    struct catalogue *c = &l.catalogue;
    OK(catalogue_begin(c, &err));
    OK(catalogue_set_mark(c, "outer", 1, &err));
    OK(catalogue_begin(c, &err));
    OK(catalogue_set_mark(c, "inner", 1, &err));
    assert_int_equal(catalogue_end(c, ERROR_FAILED, &err), ERROR_FAILED);
    OK(catalogue_begin(c, &err));
    OK(catalogue_set_mark(c, "second", 1, &err));
    OK(catalogue_end(c, 0, &err));
    OK(catalogue_end(c, 0, &err));
    assert_int_equal(ledger_number(&l, "SELECT group_concat(name) = 'outer,second' FROM marks"), 1);
    OK(catalogue_begin(c, &err));
    OK(catalogue_set_mark(c, "third", 1, &err));
    assert_int_equal(catalogue_end(c, ERROR_FAILED, &err), ERROR_FAILED);
    assert_int_equal(ledger_number(&l, "SELECT count(*) FROM marks"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_and_opened_again), cmocka_unit_test(test_opened_twice_keeps_its_locks), cmocka_unit_test(test_every_table_is_strict),
        cmocka_unit_test(test_newer_schema_is_refused), cmocka_unit_test(test_older_schema_is_brought_up_to_date_by_a_reader),
        cmocka_unit_test(test_damage_is_healed), cmocka_unit_test(test_damage_inside_is_met), cmocka_unit_test(test_healing_waits_for_others),
        cmocka_unit_test(test_transactions_nest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
