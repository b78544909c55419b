// What a drill worked with, kept beside its record as it was at the time: signed heads of the snapshots, the plan's text, the journal of its run. A record that names
// them by more than a number, for who verifies it without bkd.
#ifndef BKD_DRILLS_DRILL_EVIDENCE_H
#define BKD_DRILLS_DRILL_EVIDENCE_H

#include "bkd/dr/drill.h"
#include "bkd/plans/planning.h"
#include "bkd/repo/repository.h"

// Keeps "headSUFFIX" and "bkd-repositorySUFFIX" in the drill's directory.
MUST_USE int drill_evidence_head(const struct drill *d, const struct repository *repository, const struct repository_head *head, const char *suffix, struct error *err);
// Keeps "plan.yaml", "run.jsonl", and for each system that was restored its head, with "-SYSTEM" behind its name. What cannot be kept is a warning: the drill was held.
void drill_evidence_plan(const struct context *ctx, const struct drill *d, const struct recovery *plan, const struct planning *p);

#endif
