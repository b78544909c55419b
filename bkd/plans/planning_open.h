// The runs of a plan that are not over: those that a process carries out, and those that can be gone on with.
#ifndef BKD_PLANS_PLANNING_OPEN_H
#define BKD_PLANS_PLANNING_OPEN_H

#include "bkd/plans/planning.h"

struct planning_open {
    struct planning planning;
    bool is_alive; // a process carries it out
};

struct planning_opens {
    struct planning_open *items; // owned; alive ones first, each the newest first
    size_t n;
};

// Of those that nobody carries out only the newest of its mode and scenario is open: what began later took its place (planning_begin.h). Journals that cannot be read
// are none. planning_opens_done in every case.
void planning_opens_load(const struct context *ctx, const char *plan, struct planning_opens *ret_opens);
void planning_opens_done(struct planning_opens *opens);
#define _cleanup_planning_opens_ __attribute__((cleanup(planning_opens_done)))

#endif
