// Archives: everything comes back, once, into an empty catalogue and into one that has other rows; what makes no sense is left out.
// And compaction: what is old goes, what must stay stays.
#include "tests/record/ledger.h"

#include "bkd/record/alarms.h"
#include "bkd/record/archive.h"
#include "bkd/record/compaction.h"
#include "bkd/record/pauses.h"
#include "bkd/record/run_facts.h"
#include "bkd/record/slots.h"
#include "bkd/record/verifications.h"

#define DAY (UINT64_C(86400) * SECOND)

static int append(void *arg, const void *text, size_t n, struct error *err)
{
    (void)err;
    buf_add(arg, text, n);
    return 0;
}

static int64_t run_once(struct ledger *l, const char *policy, int exit_code)
{
    struct error err;
    int64_t id = 0;
    struct run_facts facts = { .policy_text = xstrdup(policy) };
    (void)snprintf(facts.run.policy, sizeof facts.run.policy, "%s", policy);
    (void)snprintf(facts.run.kind, sizeof facts.run.kind, "backup");
    (void)snprintf(facts.run.host, sizeof facts.run.host, "db1");
    runs_complete(&l->io, &facts.run);
    run_facts_add(&facts, true, "scan", 5);
    run_facts_add(&facts, false, "files", 7);
    OK(run_facts_save(&l->catalogue, &facts, &id, &err));
    l->now_ns += SECOND;
    facts.run.state = RUN_ENDED;
    facts.run.ended_ns = l->now_ns;
    facts.run.exit_code = exit_code;
    OK(run_facts_save(&l->catalogue, &facts, &id, &err));
    run_facts_done(&facts);
    return id;
}

static void fill(struct ledger *l)
{
    struct error err;
    bool won;
    struct catalogue *c = &l->catalogue;
    int64_t run = run_once(l, "erp", 0);
    (void)run_once(l, "mail", 1);
    OK(slots_set(c, "erp", "backup", l->now_ns, SLOT_RUN, run, NULL, &won, &err));
    OK(pauses_set(c, "erp", 0, "root", "moving \"house\"\nnow", &err));
    OK(alarms_raise(c, &(struct alarm_raise){ .kind = "rpo", .policy = "erp", .severity = SEVERITY_WARNING, .text = "alt" }, NULL, &err));
    OK(alarms_raise(c, &(struct alarm_raise){ .kind = "disk", .severity = SEVERITY_CRITICAL, .text = "full" }, NULL, &err));
    OK(verifications_add(c, &(struct verification){ .policy = "erp", .snapshot = 3, .mode = "full", .is_proven = true, .run = run }, &err));
}

static void write_archive(struct ledger *l, const char *policy, uint64_t since_ns, struct buf *ret_text)
{
    struct error err;
    OK(archive_write(&l->catalogue, &(struct archive_options){ .host = "db1", .policy = policy, .since_ns = since_ns }, append, ret_text, &err));
}

static int read_archive(struct ledger *l, const char *text, struct archive_reader *reader, struct error *err)
{
    int r = archive_begin(&l->catalogue, reader, err);
    if (r < 0)
        return r;
    for (const char *at = text; r == 0 && *at != '\0';) {
        size_t n = strcspn(at, "\n");
        r = archive_read(reader, at, n, err);
        at += n + (at[n] == '\n');
    }
    return archive_end(reader, r, err);
}

static void test_there_and_back(void **state)
{
    (void)state;
    struct error err;
    struct archive_reader reader;
    _cleanup_buf_ struct buf first = { 0 }, second = { 0 };
    _cleanup_ledger_ struct ledger a, b;
    ledger_open(&a);
    ledger_open(&b);
    fill(&a);
    write_archive(&a, NULL, 0, &first);
    OK(read_archive(&b, buf_str(&first), &reader, &err));
    assert_true(reader.rows > 15 && reader.left_out == 0 && reader.known == 0);
    b.now_ns = a.now_ns;
    write_archive(&b, NULL, 0, &second);
    assert_string_equal(buf_str(&first), buf_str(&second));
    uint64_t rows = reader.rows;
    OK(read_archive(&b, buf_str(&first), &reader, &err));
    assert_true(reader.rows == 0 && reader.known == rows);
}

// Ids are taken there: references lead to the right rows all the same.
static void test_into_one_that_has_others(void **state)
{
    (void)state;
    struct error err;
    struct archive_reader reader;
    _cleanup_buf_ struct buf text = { 0 };
    _cleanup_ledger_ struct ledger a, b;
    ledger_open(&a);
    ledger_open(&b);
    fill(&a);
    for (int i = 0; i < 3; i++)
        (void)run_once(&b, "other", 0);
    write_archive(&a, "erp", 0, &text);
    assert_null(strstr(buf_str(&text), "mail"));
    assert_null(strstr(buf_str(&text), "\"policy\":\"other\""));
    OK(read_archive(&b, buf_str(&text), &reader, &err));
    assert_int_equal(reader.left_out, 0);
    assert_int_equal(ledger_number(&b, "SELECT count(*) FROM runs"), 4);
    assert_int_equal(ledger_number(&b, "SELECT count(*) FROM slots JOIN runs ON runs.id = run WHERE runs.policy = 'erp'"), 1);
    assert_int_equal(ledger_number(&b, "SELECT count(*) FROM runs JOIN policy_versions AS v ON v.id = policy_version WHERE runs.policy = v.policy AND text = runs.policy"), 4);
    assert_int_equal(ledger_number(&b, "SELECT value FROM run_figures JOIN runs ON runs.id = run WHERE policy = 'erp'"), 7);
    assert_int_equal(ledger_number(&b, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
}

static void test_only_what_is_new(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf text = { 0 };
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    (void)run_once(&l, "erp", 0);
    uint64_t since = l.now_ns + SECOND;
    l.now_ns += DAY;
    (void)run_once(&l, "erp", 0);
    write_archive(&l, "erp", since, &text);
    assert_null(strstr(buf_str(&text), "\"id\":1,\"uid\""));
    assert_non_null(strstr(buf_str(&text), "\"id\":2,\"uid\""));
}

static void test_nonsense(void **state)
{
    (void)state;
    struct error err;
    struct archive_reader reader;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    assert_int_equal(read_archive(&l, "", &reader, &err), 0);
    assert_int_equal(read_archive(&l, "hello\n", &reader, &err), ERROR_FORMAT);
    assert_int_equal(read_archive(&l, "{\"bkd_catalogue\":99}\n", &reader, &err), ERROR_USAGE);
    OK(read_archive(&l,
                    "{\"bkd_catalogue\":1}\nnot json\n{}\n{\"table\":\"runs\"}\n{\"table\":\"sqlite_schema\",\"row\":{\"name\":\"x\"}}\n{\"table\":\"runs\",\"row\":{}}\n"
                    "{\"table\":\"runs\",\"row\":{\"uid\":\"u\",\"kind\":3}}\n{\"table\":\"run_figures\",\"row\":{\"run\":77,\"name\":\"n\",\"value\":1}}\n"
                    "{\"table\":\"pauses\",\"row\":{\"policy\":\"p\",\"since_ns\":5,\"paused_by\":\"me\",\"nothing; DROP TABLE runs\":1}}\n",
                    &reader, &err));
    assert_int_equal(reader.rows, 1);
    assert_int_equal(reader.left_out, 7);
    assert_int_equal(ledger_number(&l, "SELECT count(*) FROM runs"), 0);
}

static void test_a_line_of_facts(void **state)
{
    (void)state;
    struct error err;
    _cleanup_ledger_ struct ledger l;
    _cleanup_buf_ struct buf text = { 0 }, again = { 0 };
    _cleanup_run_facts_ struct run_facts facts = { .policy_text = xstrdup("a: \"b\"\n") }, back = { 0 };
    ledger_open(&l);
    (void)snprintf(facts.run.kind, sizeof facts.run.kind, "ship");
    (void)snprintf(facts.run.policy, sizeof facts.run.policy, "p");
    runs_complete(&l.io, &facts.run);
    for (int i = 0; i < RUN_FACTS_MAX + 5; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "f%d", i);
        run_facts_add(&facts, i % 2 == 0, name, (uint64_t)i);
    }
    facts.run.state = RUN_ENDED;
    facts.run.ended_ns = l.now_ns;
    facts.run.exit_code = 8;
    (void)snprintf(facts.run.message, sizeof facts.run.message, "no route to \"host\"");
    run_facts_format(&facts, &text);
    OK(run_facts_parse(buf_str(&text), text.len, &back, &err));
    run_facts_format(&back, &again);
    assert_string_equal(buf_str(&text), buf_str(&again));
    assert_int_equal(run_facts_parse("{\"uid\":\"short\"}", 15, &back, &err), ERROR_FORMAT);
}

static void test_what_is_old_goes(void **state)
{
    (void)state;
    struct error err;
    struct compaction_result result;
    struct compaction_options options = { .details_ns = 400 * DAY, .runs_ns = 1095 * DAY };
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    OK(catalogue_begin(&l.catalogue, &err));
    for (int day = 0; day < 1500; day++) {
        (void)run_once(&l, day < 1200 ? "erp" : "other", day == 1199 ? 1 : 0);
        l.now_ns += DAY - SECOND;
    }
    OK(catalogue_end(&l.catalogue, 0, &err));
    int64_t last_good = ledger_number(&l, "SELECT max(id) FROM runs WHERE policy = 'erp' AND exit_code = 0");
    OK(compaction_run(&l.catalogue, &options, &result, &err));
    assert_int_equal(ledger_number(&l, "SELECT count(*) FROM runs"), 1095);
    assert_int_equal(ledger_number(&l, "SELECT count(*) FROM run_figures"), 400);
    OK(compaction_run(&l.catalogue, &options, &result, &err));
    assert_int_equal(result.rows, 0);
    bool was_vacuumed = result.was_vacuumed;
    l.now_ns += 5000 * DAY;
    OK(compaction_run(&l.catalogue, &options, &result, &err));
    assert_true(was_vacuumed || result.was_vacuumed);
    assert_int_equal(ledger_number(&l, "SELECT count(*) FROM runs"), 3); // of each policy the last, and the last successful one
    assert_int_equal(ledger_number(&l, "SELECT max(id) FROM runs WHERE policy = 'erp' AND exit_code = 0"), last_good);
    assert_int_equal(ledger_number(&l, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),  cmocka_unit_test(test_into_one_that_has_others), cmocka_unit_test(test_only_what_is_new), cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_a_line_of_facts), cmocka_unit_test(test_what_is_old_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
