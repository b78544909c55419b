// The runs of a recovery plan that have not come to their end: whether a process still carries each out, and whom it waits for. All of it is in their journals: nothing
// of it ends because the plan's file has a mistake now, or another text. Facts are gathered by watch_courses_load and judged by watch_courses_judge, which is pure.
#ifndef BKD_WATCH_WATCH_COURSE_H
#define BKD_WATCH_WATCH_COURSE_H

#include "bkd/plans/planning.h"
#include "bkd/watch/watch.h"

struct watch_course {
    char *id;
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

struct watch_courses {
    struct watch_course *items; // owned; those that are alive first, each the newest first
    size_t n;
};

void watch_courses_load(const struct context *ctx, const char *plan, struct watch_courses *ret_courses);
// Appends to *findings, at most one of each kind, as an alarm is one of its plan; their `copy` is `plan`, borrowed.
void watch_courses_judge(const struct watch_courses *courses, const char *plan, uint64_t now_ns, struct watch_findings *findings);
void watch_courses_done(struct watch_courses *courses);

#endif
