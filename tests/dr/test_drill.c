// What a drill's record says of what was promised: the loss that is nearest to its promise, or furthest beyond it, and a verdict only of drills that passed.
#include "tests/codec/scratch.h"

#include "bkd/dr/drill.h"

#define NONE UINT64_MAX

// A snapshot, its age when the drill began and what is promised, in ms; a promise of 0 is none.
struct loss {
    uint64_t age_ms, promised_ms;
};

struct verdict {
    uint64_t loss_ms, objective_rpo_ms; // NONE: the record has none
    int within_rpo, within_rto;         // -1: no word of it
};

static struct drill begin(const struct scratch *s, uint64_t rto_ms, uint64_t rpo_ms)
{
    struct error err;
    struct drill d;
    const struct drill_about about = { .kind = DRILL_REHEARSAL, .plan = "erp", .objective_rto_ms = rto_ms, .objective_rpo_ms = rpo_ms };
    scratch_ok(drill_begin(io_real(), s->dir, &about, &d, &err), &err);
    return d;
}

static void lose(struct drill *d, struct loss loss) { drill_loss(d, d->started_ns - loss.age_ms * 1000000, loss.promised_ms); }

static int word_of(const struct drill *d, const char *key)
{
    bool is_kept;
    return !json_get_bool(d->record, key, &is_kept) ? -1 : is_kept;
}

static uint64_t figure_of(const struct drill *d, const char *key)
{
    uint64_t value;
    return json_get_u64(d->record, key, &value) ? value : NONE;
}

// Ends the drill.
static void expect(struct drill *d, enum drill_end end, struct verdict wanted)
{
    struct error err;
    scratch_ok(drill_end(d, end, "as it was", &err), &err);
    assert_int_equal(figure_of(d, "loss_ms"), wanted.loss_ms);
    assert_int_equal(figure_of(d, "objective_rpo_ms"), wanted.objective_rpo_ms);
    assert_int_equal(word_of(d, "within_rpo"), wanted.within_rpo);
    assert_int_equal(word_of(d, "within_rto"), wanted.within_rto);
    drill_done(d);
}

static void test_loss(void **state)
{
    static const struct {
        struct loss one, two;
        struct verdict verdict;
    } cases[] = {
        { { 1000, 1000 }, { 1000, 1000 }, { 1000, 1000, 1, -1 } },
        { { 1001, 1000 }, { 1001, 1000 }, { 1001, 1000, 0, -1 } },
        { { 500, 1000 }, { 600, 10000 }, { 500, 1000, 1, -1 } },   // half of the promise is more than 6 % of it
        { { 3000, 1000 }, { 9000, 5000 }, { 3000, 1000, 0, -1 } }, // as is three times
        { { 10, 1000 }, { 9000, 0 }, { 10, 1000, 1, -1 } },        // what nothing is promised for does not count beside it
        { { 20, 0 }, { 30, 0 }, { 30, NONE, -1, -1 } },
    };
    _cleanup_scratch_ struct scratch s = scratch_new();
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int turned = 0; turned < 2; turned++) {
            struct drill d = begin(&s, 0, 0);
            lose(&d, turned ? cases[i].two : cases[i].one);
            lose(&d, turned ? cases[i].one : cases[i].two);
            expect(&d, DRILL_HELD, cases[i].verdict);
        }
}

static void test_no_verdict(void **state)
{
    _cleanup_scratch_ struct scratch s = scratch_new();
    (void)state;
    struct drill none = begin(&s, 0, 70);
    expect(&none, DRILL_HELD, (struct verdict){ NONE, 70, -1, -1 });
    struct drill failed = begin(&s, 60, 70);
    drill_figure(&failed, "by_hand_ms", 50);
    lose(&failed, (struct loss){ 10, 70 });
    expect(&failed, DRILL_NOT_DONE, (struct verdict){ 10, 70, -1, -1 });
    struct drill future = begin(&s, 0, 0); // the other clock is ahead
    drill_loss(&future, future.started_ns + 1000000, 70);
    expect(&future, DRILL_HELD, (struct verdict){ 0, 70, 1, -1 });
}

static void test_recovery_by_hand(void **state)
{
    _cleanup_scratch_ struct scratch s = scratch_new();
    (void)state;
    for (uint64_t promised_ms = 0; promised_ms <= 60; promised_ms += 20) {
        struct drill d = begin(&s, promised_ms, 0);
        drill_figure(&d, "by_hand_ms", 40);
        expect(&d, DRILL_HELD, (struct verdict){ NONE, NONE, -1, promised_ms == 0 ? -1 : promised_ms >= 40 });
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_loss), cmocka_unit_test(test_no_verdict), cmocka_unit_test(test_recovery_by_hand) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
