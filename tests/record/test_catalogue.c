// Opening, migrating and refusing; transactions; what becomes of damage. The stock sqlite3 program looks at the same file.
#include "tests/record/ledger.h"

#include <sys/stat.h>

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
    assert_int_equal(catalogue_open(&l.io, l.scratch.dir, CATALOGUE_WRITE, &c, &err), ERROR_FORMAT);
    assert_non_null(strstr(err.text, "4711"));
    assert_non_null(strstr(err.text, "newer bkd"));
    assert_int_equal(catalogue_open(&l.io, l.scratch.dir, CATALOGUE_READ, &c, &err), ERROR_FORMAT);
    assert_int_equal(ledger_number(&l, "PRAGMA user_version"), 4711);
}

static void test_damage_is_told(void **state)
{
    (void)state;
    struct error err;
    _cleanup_catalogue_ struct catalogue c = { 0 };
    _cleanup_scratch_ struct scratch s = scratch_new();
    assert_int_equal(catalogue_open(io_real(), s.dir, CATALOGUE_READ, &c, &err), ERROR_NOT_FOUND);
    scratch_run("head -c 40960 /dev/urandom > '%s/catalogue.db'", s.dir);
    assert_int_equal(catalogue_open(io_real(), s.dir, CATALOGUE_WRITE, &c, &err), ERROR_INTEGRITY);
    scratch_run("rm -f '%s'/catalogue.db*; sqlite3 '%s/catalogue.db' 'CREATE TABLE t (a); PRAGMA user_version=1'", s.dir, s.dir);
    assert_int_equal(catalogue_open(io_real(), s.dir, CATALOGUE_WRITE, &c, &err), ERROR_INTEGRITY);
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
        cmocka_unit_test(test_made_and_opened_again),   cmocka_unit_test(test_every_table_is_strict), cmocka_unit_test(test_newer_schema_is_refused),
        cmocka_unit_test(test_damage_is_told), cmocka_unit_test(test_transactions_nest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
