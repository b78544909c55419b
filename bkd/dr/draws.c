#include "bkd/dr/draws.h"

#include "bkd/dr/evidence.h"
#include "bkd/record/runs.h"

struct summing {
    uint64_t since_ns, n, sum;
};

static int add(void *arg, uint64_t ended_ns, uint64_t value, struct error *err)
{
    struct summing *s = arg;
    (void)err;
    if (ended_ns < s->since_ns)
        return 0;
    s->n++;
    s->sum += value;
    return 0;
}

int draws_load(struct catalogue *c, const char *policy, uint64_t now_ns, struct draws *ret_draws, struct error *err)
{
    uint64_t span_ns = DRAWS_DAYS * UINT64_C(86400000000000), since_ns = now_ns > span_ns ? now_ns - span_ns : 0;
    struct summing drawn = { .since_ns = since_ns }, bad = { .since_ns = since_ns };
    int r = runs_series(c, policy, "verify", DRAWS_FIGURE, DRAWS_RUNS_MAX, add, &drawn, err);
    if (r == 0)
        r = runs_series(c, policy, "verify", DRAWS_FIGURE_BAD, DRAWS_RUNS_MAX, add, &bad, err);
    if (r < 0)
        return r;
    *ret_draws = (struct draws){ drawn.n, drawn.sum, bad.sum, evidence_share_bound(bad.sum, drawn.sum, EVIDENCE_CONFIDENCE) };
    return 0;
}
