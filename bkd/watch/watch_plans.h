// Watching recovery plans: whether each can be carried out, was rehearsed as it is now, is looked through again in time, and has its drills when they are due; and
// what drills asked for, until it is done. Facts are gathered by watch_plans_load and judged by watch_plans_judge, which is pure.
//
// Usual order: watch_plans_load; watch_plans_judge (findings of the host, each with the plan's name as its copy); watch_plans_done.
#ifndef BKD_WATCH_WATCH_PLANS_H
#define BKD_WATCH_WATCH_PLANS_H

#include "bkd/dr/drill_dates.h"
#include "bkd/dr/improvements.h"
#include "bkd/host/context.h"
#include "bkd/policy/recovery.h"
#include "bkd/record/catalogue.h"
#include "bkd/watch/watch.h"
#include "bkd/watch/watch_course.h"

#define WATCH_PLANS_ACTION "drill" // of what the catalogue remembers of a plan's schedule (remembered.h)

// The last drill of a plan, or of a policy, that was not broken off.
struct watch_drill {
    char *id;            // NULL = there was none
    uint64_t started_ns;
    bool has_passed;
};

struct watch_plan {
    char *name;
    struct watch_courses courses; // its runs that are not over, whatever its file says now
    char *problem;           // its file cannot be used, and why; NULL: it can, and the rest is known
    struct recovery plan;
    uint64_t changed_ns;     // its file
    bool was_rehearsed, is_rehearsed; // some text of it; this one
    struct watch_drill last; // rehearsal or tabletop
    struct schedule schedule; // of its drills; none when nobody asks for them
    int64_t since_s;          // when that came into force
    struct drill_dates dates;
};

struct watch_plans {
    struct watch_plan *items; // by name
    size_t n;
    struct improvements improvements;
    char *improvements_problem; // they cannot be read, and why; NULL
    char (*numbers)[24];        // of the improvements, as text
};

// Never fails: what cannot be found out is a fact as well. c may be NULL.
void watch_plans_load(const struct context *ctx, struct catalogue *c, uint64_t now_ns, struct watch_plans *ret_plans);
// Appends to *findings; their `copy` borrows from the plans.
void watch_plans_judge(const struct watch_plans *plans, uint64_t now_ns, struct watch_findings *findings);
void watch_plans_done(struct watch_plans *plans);

// When the plan is to be looked through again: on its `review` date, else a year after its file was changed.
uint64_t watch_plans_review_ns(const struct recovery *plan, uint64_t changed_ns);

// The last drill of a plan (kind NULL: rehearsal or tabletop) or of a policy that ended and was not broken off. `free` its id.
void watch_drill_load(struct catalogue *c, const char *plan, const char *kind, struct watch_drill *ret_drill);

// Does a process hold a drill of the plan, or the policy, now?
bool watch_drill_goes_on(struct catalogue *c, const char *plan);

// Remembers since when plans have their schedules, and announces the drills whose time has come: an event each, once, which the notifiers tell.
MUST_USE int watch_plans_announce(const struct context *ctx, struct catalogue *c, uint64_t now_ns, struct error *err);

#endif
