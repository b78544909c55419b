// What a number of measurements supports, and no more: order statistics and bounds that hold whatever the distribution is. Pure.
//
// The r-th smallest of n independent measurements is at least the q-quantile with probability P(Binomial(n, q) <= r - 1) (David and Nagaraja, Order
// Statistics, section 7.1). So the slowest of n restores bounds the 90 % quantile with confidence 1 - 0.9^n: 29 of them are needed for 95 %.
#ifndef BKD_DR_EVIDENCE_H
#define BKD_DR_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVIDENCE_CONFIDENCE 0.95
#define EVIDENCE_P90_RUNS 29 // the smallest n with 1 - 0.9^n >= 0.95
#define EVIDENCE_TEXT_MAX 200

struct evidence {
    size_t runs;
    // Of what was measured; nothing is claimed of what was not. p90 by nearest rank. Undefined when runs is 0.
    uint64_t median, p90, worst;
    // Of all that is comparable: nine in ten take at most this, with 95 % confidence.
    bool has_bound_p90;
    uint64_t bound_p90;
    // What fewer runs support: this share takes at most the worst seen, with this confidence.
    double share, confidence;
};

// values: n measurements in any order (durations, say); they are sorted in place.
void evidence_of(uint64_t *values, size_t n, struct evidence *ret_evidence);
// "31 runs: nine in ten restores take at most 42.0 s (95 % confidence)", "insufficient evidence (7 of 29); 7 runs: …". The values are milliseconds.
void evidence_text(const struct evidence *e, char ret_text[EVIDENCE_TEXT_MAX]);

// The one-sided upper bound, with this confidence, of the share that is bad when `bad` of `n` drawn at random were (Clopper and Pearson 1934). 1 when n is 0.
double evidence_share_bound(uint64_t bad, uint64_t n, double confidence);

#endif
