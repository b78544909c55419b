// The journal of a run of a plan: what happens, line by line, as bkd/plans/planning.c reads it again. What cannot be written is trouble of the run
// (planning_course.h), which ends it: a recovery that nobody can account for later is not begun.
#ifndef BKD_PLANS_PLANNING_NOTE_H
#define BKD_PLANS_PLANNING_NOTE_H

#include "bkd/plans/planning_course.h"

// type: "begin" of a new run, "resume" of one that was interrupted.
void planning_note_begin(struct planning_course *run, const char *type);
void planning_note_step_begin(struct planning_course *run, const struct recovery_step *step);
// A line of output of a step; arg is its planning_worker. Called by the threads of steps; not synced, and not more than a few hundred lines of each.
void planning_note_output(void *arg, const struct recovery_step *step, const char *text);
// The step takes longer than its deadline.
void planning_note_late(struct planning_course *run, const struct recovery_step *step);
void planning_note_step_end(struct planning_course *run, size_t i);
// The run is over, or stops where it can be gone on with.
void planning_note_end(struct planning_course *run, bool is_over);

#endif
