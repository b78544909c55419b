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

static unsigned confidence_percent(void) { return (unsigned)(EVIDENCE_CONFIDENCE * 100 + 0.5); }

void draws_add_json(struct json *line, const struct draws *d)
{
    if (d->files == 0)
        return;
    struct json *samples = json_add_object(line, "samples");
    json_add_u64(samples, "days", DRAWS_DAYS);
    json_add_u64(samples, "nights", d->nights);
    json_add_u64(samples, "drawn_files", d->files);
    json_add_u64(samples, "bad_files", d->bad);
    json_add_double(samples, "bad_share_at_most", d->bad_share);
    json_add_u64(samples, "confidence_percent", confidence_percent());
}

void draws_format(const struct draws *d, struct buf *ret_text)
{
    buf_addf(ret_text,
             "at most %.2g %% of files cannot be restored, with %u %% confidence, n = %llu (drawn at random in %llu verifications of the last %d days; "
             "%llu of them could not be restored)",
             d->bad_share * 100, confidence_percent(), (unsigned long long)d->files, (unsigned long long)d->nights, DRAWS_DAYS, (unsigned long long)d->bad);
}
