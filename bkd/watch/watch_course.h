// A run of a recovery plan that has not come to its end: whether a process still carries it out, and whom it waits for. Facts are gathered by watch_course_load and judged
// by watch_course_judge, which is pure.
#ifndef BKD_WATCH_WATCH_COURSE_H
#define BKD_WATCH_WATCH_COURSE_H

#include "bkd/plans/planning.h"
#include "bkd/watch/watch.h"

struct watch_course {
    char *id;                // of the newest run for real, else of the newest rehearsal or tabletop, that is not over; NULL = there is none, and the rest is not known
    char *scenario;          // "" = none in particular
    enum planning_mode mode;
    bool is_alive, was_stopped; // a process carries it out; else it ended in order (a step failed, somebody interrupted it), or was killed
    size_t done, steps;
    char *failed;            // the first step that did; NULL
    char *waits_for;         // the step that people have been asked about for longest; NULL
    char *question;          // about it: who is to answer, what
    bool is_choice;          // it is a decision
    uint64_t asked_ns, patience_ns; // since when, and for how long nobody minds
};

void watch_course_load(const struct context *ctx, const struct recovery *plan, struct watch_course *ret_course);
// Appends to *findings; their `copy` is `plan`, borrowed.
void watch_course_judge(const struct watch_course *c, const char *plan, uint64_t now_ns, struct watch_findings *findings);
void watch_course_done(struct watch_course *c);

#endif
