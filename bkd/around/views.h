// The views of a run: of each source whose policy says `snapshot`, one. They are written down in the policy's local state (file "views") before they
// are made, so that the next run releases what a killed one left; their names are the same each time, so that nothing piles up.
// Usual order: views_init; views_release_left; views_take; the backup reads views_path in the place of each source; views_release; views_done.
#ifndef BKD_AROUND_VIEWS_H
#define BKD_AROUND_VIEWS_H

#include <stddef.h>

#include "bkd/around/view.h"
#include "bkd/base/env.h"
#include "bkd/policy/policy.h"

#define VIEWS_FILE "views"

struct views {
    const struct view_system *system; // borrowed
    const struct policy *policy;      // borrowed
    char *state_dir;                  // of the policy
    struct view *items;               // planned or made, not yet released
    size_t count;
};

// The system as it is: programs are run without a shell, and ended when stop says so.
void view_system_init(struct view_system *system, const struct io *io, bool (*stop)(void *arg), void *arg);

void views_init(struct views *v, const struct view_system *system, const struct policy *policy, const char *state_dir);
void views_done(struct views *v);
// Releases what an earlier run left. What cannot be is an error: it would be in the way.
MUST_USE int views_release_left(struct views *v, const struct env *facts, struct error *err);
// Plans, writes down and makes the view of each source that wants one. After a failure some may be made: views_release.
MUST_USE int views_take(struct views *v, const struct env *facts, struct error *err);
// What to read in the place of a source of the policy; NULL = itself. Borrowed.
const char *views_path(const struct views *v, const char *source);
// Releases all, the last one first, also when one of them fails: what failed stays written down for the next run, and is the error.
MUST_USE int views_release(struct views *v, const struct env *facts, struct error *err);

#endif
