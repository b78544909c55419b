#include "bkd/remembered.h"

#include <string.h>

#include "bkd/base/buf.h"
#include "bkd/record/runs.h"
#include "bkd/record/slots.h"

#define NS_PER_S UINT64_C(1000000000)

static int64_t seconds(uint64_t ns) { return (int64_t)(ns / NS_PER_S); }

// ---- runs ------------------------------------------------------------------------------------------------------------------

static int note_cancelled(void *arg, const char *name, uint64_t value, struct error *err)
{
    (void)err;
    *(bool *)arg |= value != 0 && strcmp(name, REMEMBERED_CANCELLED) == 0;
    return 0;
}

struct newest {
    struct catalogue *c;
    struct agenda_run *run;
};

// The newest first: the first that has ended is the one.
static int take_ended(void *arg, const struct run_record *record, struct error *err)
{
    struct newest *newest = arg;
    bool cancelled = false;
    if (record->state == RUN_RUNNING)
        return 0;
    int r = runs_figures(newest->c, record->id, note_cancelled, &cancelled, err);
    if (r < 0)
        return r;
    *newest->run = (struct agenda_run){
        .there = true,
        .slot_s = record->slot_ns == 0 ? AGENDA_NEVER : seconds(record->slot_ns),
        .attempt = record->attempt,
        .began_s = seconds(record->started_ns),
        .ended_s = seconds(record->ended_ns),
        .outcome = cancelled ? AGENDA_STOPPED : record->state == RUN_KILLED ? AGENDA_KILLED : agenda_outcome_of(record->exit_code),
    };
    return 1;
}

int remembered_runs(struct catalogue *c, struct agenda_task *task, struct error *err)
{
    struct slot slot;
    struct run_record success;
    struct newest newest = { .c = c, .run = &task->last };
    int r = slots_last(c, task->policy, task->action, &slot, err);
    if (r == 0)
        task->last_slot_s = seconds(slot.slot_ns);
    if (r == 0 || r == ERROR_NOT_FOUND)
        r = runs_last(c, task->policy, task->action, true, &success, err);
    if (r == 0)
        task->last_success_s = seconds(success.started_ns);
    if (r == 0 || r == ERROR_NOT_FOUND)
        r = runs_list(c, &(struct runs_filter){ .policy = task->policy, .kind = task->action, .limit = 8 }, take_ended, &newest, err);
    return r < 0 ? r : 0;
}

// ---- schedule --------------------------------------------------------------------------------------------------------------

// FNV-1a (64 bits), which is plenty to notice a change; a cryptographic hash would bring the daemon 2 MB of library.
static uint64_t add_text(uint64_t hash, const char *text)
{
    do
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    while (*text++ != '\0');
    return hash;
}

// A number that is another one when the times that the policy names are others.
static int64_t fingerprint(const struct policy_list *times, const char *timezone)
{
    uint64_t hash = add_text(UINT64_C(0xcbf29ce484222325), timezone);
    for (size_t i = 0; i < times->count; i++)
        hash = add_text(hash, times->items[i]);
    return (int64_t)(hash >> 1) | 1; // never 0, which is "none"
}

// Backups came first, and have the plain names.
static char *mark_name(const char *what, const struct policy *policy, const char *action)
{
    bool is_backup = strcmp(action, "backup") == 0;
    return xasprintf("schedule.%s.%s%s%s", what, policy->name, is_backup ? "" : "/", is_backup ? "" : action);
}

static int remember(struct catalogue *c, const char *is, int64_t now_is, const char *since, int64_t now_s, struct error *err)
{
    int r = catalogue_begin(c, err);
    if (r < 0)
        return r;
    r = catalogue_set_mark(c, since, now_s, err);
    if (r == 0)
        r = catalogue_set_mark(c, is, now_is, err);
    return catalogue_end(c, r, err);
}

int remembered_schedule(struct catalogue *c, const struct policy *policy, const char *action, int64_t now_s, int64_t *ret_since_s, struct error *err)
{
    const struct policy_list *times = policy_times(policy, action);
    _cleanup_free_ char *is = mark_name("is", policy, action), *since = mark_name("since", policy, action);
    int64_t known = 0, now_is = fingerprint(times, policy->timezone);
    int r = catalogue_mark(c, is, &known, err);
    if (r < 0 || (known == 0 && times->count == 0))
        return r;
    if (known == now_is)
        return catalogue_mark(c, since, ret_since_s, err);
    r = remember(c, is, now_is, since, now_s, err);
    if (r == 0)
        *ret_since_s = now_s;
    return r;
}
