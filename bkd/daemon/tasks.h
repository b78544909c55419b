// The tasks of the agenda (bkd/policy/agenda.h), made from the policies as they hold now: for each policy its backup, and its verification when that has times.
//
// They are made anew when policies or the files of time zones may have changed. What the agenda knows of a task outlives that, and so do its times when its zone
// is gone: a mistake made while the daemon works must not end backups.
#ifndef BKD_DAEMON_TASKS_H
#define BKD_DAEMON_TASKS_H

#include "bkd/host/policies.h"
#include "bkd/policy/agenda.h"
#include "bkd/record/catalogue.h"

#define TASKS_BACKUP "backup"

struct tasks {
    struct agenda agenda; // max_parallel is the owner's
    struct tasks_own *own; // of tasks.c, one for each task of the agenda; NULL = never made
};

// c: NULL when it is closed. The tasks borrow the policies.
void tasks_make(struct tasks *tasks, const struct io *io, const struct policies *policies, struct catalogue *c, int64_t now_s);
void tasks_done(struct tasks *tasks);
// SIZE_MAX when there is none.
size_t tasks_find(const struct tasks *tasks, const char *policy, const char *action);
// The policy of a task.
const struct policies_item *tasks_item(const struct tasks *tasks, size_t index);

#endif
