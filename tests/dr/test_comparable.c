// Which restores are compared with one another: on made-up histories, against a definition written down once more.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/dr/comparable.h"
#include "bkd/record/verifications.h"
#include "tests/record/ledger.h"

enum { RUNS = 60 };

struct made {
    const char *copy, *host, *mode;
    bool is_proven;
    uint64_t bytes, ms;
};

static struct made draw(void)
{
    static const char *const copies[] = { "", "sftp://far/" }, *const hosts[] = { "erp", "verifier" }, *const modes[] = { "full", "full", "full", "sample", "by-hand" };
    return (struct made){ copies[rand() % 2], hosts[rand() % 2], modes[rand() % 5], rand() % 8 != 0, UINT64_C(1) << (10 + rand() % 4), 1000 + (uint64_t)(rand() % 5000) };
}

static void add(struct ledger *l, const struct made *m)
{
    struct error err;
    l->now_ns += SECOND;
    OK(verifications_add(&l->catalogue, &(struct verification){ .policy = "erp", .copy = m->copy, .host = m->host, .mode = m->mode, .is_proven = m->is_proven, .bytes = m->bytes,
                                                               .duration_ns = m->ms * 1000000, .snapshot = 1 }, &err));
}

static bool counts(const struct made *m) { return m->is_proven && strcmp(m->mode, "full") == 0; }

// The newest first; *ret_others: whole restores that are left out.
static size_t expect(const struct made *made, size_t n, const char *from, uint64_t *ret_ms, uint64_t *ret_others)
{
    const struct made *newest = NULL;
    size_t found = 0;
    *ret_others = 0;
    for (size_t i = n; i-- > 0;) {
        const struct made *m = &made[i];
        if (!counts(m))
            continue;
        if (newest == NULL && (from == NULL || strcmp(from, m->copy) == 0))
            newest = m;
        if (newest != NULL && strcmp(m->copy, newest->copy) == 0 && strcmp(m->host, newest->host) == 0 && m->bytes <= 2 * newest->bytes && newest->bytes <= 2 * m->bytes)
            ret_ms[found++] = m->ms;
        else
            (*ret_others)++;
    }
    return found;
}

static void test_histories(void **state)
{
    static const char *const asked[] = { NULL, "", "sftp://far/", "nowhere" };
    (void)state;
    srand(5);
    for (int trial = 0; trial < 8; trial++) {
        struct made made[RUNS];
        struct error err;
        _cleanup_ledger_ struct ledger l;
        ledger_open(&l);
        for (size_t i = 0; i < RUNS; i++) {
            made[i] = draw();
            add(&l, &made[i]);
        }
        for (size_t a = 0; a < sizeof asked / sizeof *asked; a++) {
            _cleanup_comparable_ struct comparable c = { 0 };
            struct evidence evidence;
            uint64_t ms[RUNS], others;
            size_t n = expect(made, RUNS, asked[a], ms, &others);
            OK(comparable_load(&l.catalogue, "erp", asked[a], &c, &err));
            assert_int_equal(c.n, n);
            assert_int_equal(c.others, others);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(c.runs[i].value, ms[i]);
            comparable_evidence(&c, &evidence);
            assert_int_equal(evidence.runs, n);
            assert_true(!evidence.has_bound_p90 || n >= EVIDENCE_P90_RUNS);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_histories) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
