// What micro-verifications support together: the files they drew at random over the last nights, and how many of those could not be restored.
#ifndef BKD_DR_DRAWS_H
#define BKD_DR_DRAWS_H

#include "bkd/base/json.h"
#include "bkd/record/catalogue.h"

enum { DRAWS_DAYS = 30, DRAWS_RUNS_MAX = 1000 };
// Figures of runs of kind "verify".
#define DRAWS_FIGURE "drawn_files"
#define DRAWS_FIGURE_BAD "drawn_files_bad"

struct draws {
    uint64_t nights, files, bad; // verifications that drew; what they drew; what could not be restored, at most
    double bad_share;            // at most, with EVIDENCE_CONFIDENCE; 1 when nothing was drawn
};

// Of this host's verifications in the DRAWS_DAYS days before now. Files drawn in different nights are drawn with replacement: Clopper and Pearson holds.
MUST_USE int draws_load(struct catalogue *c, const char *policy, uint64_t now_ns, struct draws *ret_draws, struct error *err);
// "samples", with the claim, in a JSON object; nothing when nothing was drawn.
void draws_add_json(struct json *line, const struct draws *draws);
// The claim as a sentence: "at most 0.5 % of files cannot be restored, with 95 % confidence, n = 598 (…)".
void draws_format(const struct draws *draws, struct buf *ret_text);

#endif
