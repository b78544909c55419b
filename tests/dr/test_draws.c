// What nights of samples support together.
#include "tests/record/ledger.h"

#include "bkd/dr/draws.h"
#include "bkd/dr/evidence.h"
#include "bkd/record/runs.h"

#define DAY (UINT64_C(86400) * SECOND)

// A verification that ends now; drawn 0: it drew nothing.
static void verify(struct ledger *l, const char *policy, uint64_t drawn, uint64_t bad)
{
    struct error err;
    struct run_record run = { .trigger = RUN_DAEMON, .kind = "verify" };
    int64_t id = 0;
    (void)snprintf(run.policy, sizeof run.policy, "%s", policy);
    OK(runs_begin(&l->catalogue, &run, &id, &err));
    if (drawn > 0) {
        OK(runs_figure(&l->catalogue, id, DRAWS_FIGURE, drawn, &err));
        OK(runs_figure(&l->catalogue, id, DRAWS_FIGURE_BAD, bad, &err));
    }
    OK(runs_end(&l->catalogue, id, 0, "", &err));
}

static struct draws load(struct ledger *l)
{
    struct error err;
    struct draws d;
    OK(draws_load(&l->catalogue, "erp", l->now_ns, &d, &err));
    return d;
}

static void test_nights(void **state)
{
    (void)state;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    struct draws d = load(&l);
    assert_true(d.nights == 0 && d.files == 0 && d.bad_share == 1);
    verify(&l, "erp", 1000, 7); // falls out of the time looked at
    l.now_ns += DAY;
    verify(&l, "erp", 20, 1);
    verify(&l, "erp", 0, 0); // a whole restore draws nothing
    verify(&l, "web", 500, 500);
    l.now_ns += (DRAWS_DAYS - 1) * DAY;
    verify(&l, "erp", 40, 0);
    l.now_ns += DAY / 2;
    d = load(&l);
    assert_int_equal(d.nights, 2);
    assert_int_equal(d.files, 60);
    assert_int_equal(d.bad, 1);
    assert_true(d.bad_share == evidence_share_bound(1, 60, EVIDENCE_CONFIDENCE));
}

static void test_told(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf text = { 0 };
    struct draws d = { .nights = 30, .files = 598, .bad = 0, .bad_share = evidence_share_bound(0, 598, EVIDENCE_CONFIDENCE) };
    draws_format(&d, &text);
    assert_non_null(strstr(buf_str(&text), "at most 0.5 % of files cannot be restored, with 95 % confidence, n = 598 ("));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_nights), cmocka_unit_test(test_told) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
