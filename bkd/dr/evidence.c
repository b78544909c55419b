#include "bkd/dr/evidence.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bkd/base/clock.h"

// P(Binomial(n, p) <= k). Each term by logarithms: n may be large.
static double binomial_at_most(uint64_t k, uint64_t n, double p)
{
    double sum = 0;
    if (k >= n || p <= 0)
        return 1;
    if (p >= 1)
        return 0;
    for (uint64_t i = 0; i <= k; i++)
        sum += exp(lgamma((double)n + 1) - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) + (double)i * log(p) + (double)(n - i) * log1p(-p));
    return sum < 1 ? sum : 1;
}

static int compare_values(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

// The smallest value that at least `percent` of all are not above.
static uint64_t nearest_rank(const uint64_t *sorted, size_t n, unsigned percent) { return sorted[(n * percent + 99) / 100 - 1]; }

// Of an even number the mean of the two in the middle.
static uint64_t median_of(const uint64_t *sorted, size_t n) { return sorted[(n - 1) / 2] + (sorted[n / 2] - sorted[(n - 1) / 2]) / 2; }

static bool bound_quantile(const uint64_t *sorted, size_t n, double quantile, uint64_t *ret_bound)
{
    size_t low = 1, high = n + 1; // the rank is in low … high; n + 1 = none is enough
    while (low < high) {
        size_t rank = low + (high - low) / 2;
        if (binomial_at_most(rank - 1, n, quantile) >= EVIDENCE_CONFIDENCE)
            high = rank;
        else
            low = rank + 1;
    }
    // P(Binomial <= n) is 1 and says nothing: the rank must be that of a measurement, and at rank n the probability is 1 - q^n.
    if (low > n || 1 - pow(quantile, (double)n) < EVIDENCE_CONFIDENCE)
        return false;
    *ret_bound = sorted[low - 1];
    return true;
}

void evidence_of(uint64_t *values, size_t n, struct evidence *ret_evidence)
{
    static const double shares[] = { 0.9, 0.8, 0.7, 0.6, 0.5 };
    struct evidence e = { .runs = n };
    size_t i = 0;
    if (n > 0) {
        qsort(values, n, sizeof *values, compare_values);
        e.median = median_of(values, n);
        e.p90 = nearest_rank(values, n, 90);
        e.worst = values[n - 1];
        e.has_bound_p90 = bound_quantile(values, n, 0.9, &e.bound_p90);
        while (i + 1 < sizeof shares / sizeof *shares && 1 - pow(shares[i], (double)n) < EVIDENCE_CONFIDENCE)
            i++;
        e.share = shares[i];
        e.confidence = 1 - pow(shares[i], (double)n);
    }
    *ret_evidence = e;
}

void evidence_text(const struct evidence *e, char ret_text[EVIDENCE_TEXT_MAX])
{
    static const char *const words[] = { "half of all", "six in ten", "seven in ten", "eight in ten", "nine in ten" };
    char duration[CLOCK_TEXT_MAX];
    clock_format_duration(duration, (e->has_bound_p90 ? e->bound_p90 : e->worst) * 1000000);
    if (e->runs == 0)
        (void)snprintf(ret_text, EVIDENCE_TEXT_MAX, "no evidence (0 of %d runs)", EVIDENCE_P90_RUNS);
    else if (e->has_bound_p90)
        (void)snprintf(ret_text, EVIDENCE_TEXT_MAX, "%zu runs: nine in ten restores take at most %s, 95 %% confidence", e->runs, duration);
    else
        (void)snprintf(ret_text, EVIDENCE_TEXT_MAX, "insufficient evidence (%zu of %d); %zu run%s: %s restores take at most %s, %.0f %% confidence", e->runs,
                       EVIDENCE_P90_RUNS, e->runs, e->runs == 1 ? "" : "s", words[lround(e->share * 10) - 5], duration, e->confidence * 100);
}

double evidence_share_bound(uint64_t bad, uint64_t n, double confidence)
{
    double low = 0, high = 1;
    if (n == 0 || bad >= n)
        return 1;
    for (int i = 0; i < 60; i++) { // the probability falls with the share: 60 halvings leave less than 10^-18
        double share = (low + high) / 2;
        if (binomial_at_most(bad, n, share) > 1 - confidence)
            low = share;
        else
            high = share;
    }
    return high;
}
