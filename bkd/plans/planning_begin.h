// The begin of a run of a plan: anew, with a journal of its own, or where one that was interrupted left off.
#ifndef BKD_PLANS_PLANNING_BEGIN_H
#define BKD_PLANS_PLANNING_BEGIN_H

#include "bkd/plans/planning_course.h"

// The plan, its graph and the arrays of *run are there; what it is called, what was done already and since when comes from here, and the journal is open afterwards.
// ERROR_BUSY: another process carries that run out; ERROR_USAGE: the plan was changed meanwhile.
MUST_USE int planning_begin(struct planning_course *run, struct error *err);

#endif
