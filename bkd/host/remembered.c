#include "bkd/host/remembered.h"

#include <string.h>

#include "bkd/base/buf.h"
#include "bkd/record/runs.h"
#include "bkd/record/slots.h"

#define NS_PER_S UINT64_C(1000000000)
#define LOST_NS (120 * NS_PER_S) // a run is recorded by then, also one that systemd starts

static int64_t seconds(uint64_t ns) { return (int64_t)(ns / NS_PER_S); }

// ---- runs ------------------------------------------------------------------------------------------------------------------

static int note_cancelled(void *arg, const char *name, uint64_t value, struct error *err)
{
    (void)err;
    *(bool *)arg |= value != 0 && strcmp(name, REMEMBERED_CANCELLED) == 0;
    return 0;
}

// One call of remembered_runs.
struct looking {
    struct catalogue *c;
    struct agenda_task *task;
    uint64_t limit_ns; // later is the future
    uint64_t lost_ns;  // a slot that is to have a run; 0 = none
    bool has_ended;    // the newest run that has ended was seen
};

static void take_newer(struct agenda_task *task, const struct agenda_run *run)
{
    if (!task->last.there || run->began_s >= task->last.began_s)
        task->last = *run;
}

// The newest first: the first that has ended is the one.
static int take_run(void *arg, const struct run_record *record, struct error *err)
{
    struct looking *l = arg;
    bool cancelled = false;
    if (record->slot_ns == l->lost_ns)
        l->lost_ns = 0;
    if (record->state == RUN_RUNNING || l->has_ended)
        return 0;
    int r = runs_figures(l->c, record->id, note_cancelled, &cancelled, err);
    if (r < 0)
        return r;
    l->has_ended = true;
    take_newer(l->task, &(struct agenda_run){
        .there = true,
        .slot_s = record->slot_ns == 0 ? AGENDA_NEVER : seconds(record->slot_ns),
        .attempt = record->attempt,
        .began_s = seconds(record->started_ns),
        .ended_s = seconds(record->ended_ns),
        .outcome = cancelled ? AGENDA_STOPPED : record->state == RUN_KILLED ? AGENDA_KILLED : agenda_outcome_of(record->exit_code),
    });
    return 0;
}

static int take_success(void *arg, const struct run_record *record, struct error *err)
{
    struct agenda_task *task = arg;
    (void)err;
    if (task->last_success_s < seconds(record->started_ns))
        task->last_success_s = seconds(record->started_ns);
    return 0;
}

// A memory of the future is corrected by what is recorded of the past.
static int look_for_slot(struct looking *l, struct slot *ret_slot, struct error *err)
{
    struct agenda_task *task = l->task;
    int64_t limit_s = seconds(l->limit_ns);
    int r = slots_last(l->c, task->policy, task->action, 0, ret_slot, err);
    if (r == 0 && ret_slot->decided_ns > l->limit_ns) {
        task->undone_until_s = seconds(ret_slot->slot_ns);
        r = slots_last(l->c, task->policy, task->action, l->limit_ns, ret_slot, err);
    }
    if (r == 0 && (task->last_slot_s < seconds(ret_slot->slot_ns) || task->last_slot_s > limit_s))
        task->last_slot_s = seconds(ret_slot->slot_ns);
    return r;
}

int remembered_runs(struct catalogue *c, struct agenda_task *task, int64_t now_s, struct error *err)
{
    struct looking l = { .c = c, .task = task, .limit_ns = (uint64_t)(now_s + AGENDA_CLOCK_S) * NS_PER_S };
    struct runs_filter ended = { .policy = task->policy, .kind = task->action, .until_ns = l.limit_ns, .limit = 8 }, successful = ended;
    struct slot slot = { 0 };
    successful.successful = true;
    successful.limit = 1;
    int r = look_for_slot(&l, &slot, err);
    if (r < 0 && r != ERROR_NOT_FOUND)
        return r;
    if (r == 0 && slot.outcome == SLOT_RUN && slot.run == 0 && slot.decided_ns + LOST_NS < (uint64_t)now_s * NS_PER_S)
        l.lost_ns = slot.slot_ns;
    if (task->last_success_s > seconds(l.limit_ns))
        task->last_success_s = AGENDA_NEVER;
    r = runs_list(c, &successful, take_success, task, err);
    if (r == 0)
        r = runs_list(c, &ended, take_run, &l, err);
    if (r == 0 && l.lost_ns != 0 && !task->running.there)
        take_newer(task, &(struct agenda_run){ .there = true, .slot_s = seconds(l.lost_ns), .attempt = 1, .began_s = seconds(slot.decided_ns),
                                               .ended_s = seconds(slot.decided_ns), .outcome = AGENDA_KILLED });
    return r;
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
static char *mark_name(const char *what, const char *owner, const char *action)
{
    bool is_backup = strcmp(action, "backup") == 0;
    return xasprintf("schedule.%s.%s%s%s", what, owner, is_backup ? "" : "/", is_backup ? "" : action);
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

int remembered_times(struct catalogue *c, const char *owner, const char *action, const struct policy_list *times, const char *timezone, int64_t now_s, int64_t *ret_since_s,
                     struct error *err)
{
    _cleanup_free_ char *is = mark_name("is", owner, action), *since = mark_name("since", owner, action);
    int64_t known = 0, now_is = fingerprint(times, timezone);
    int r = catalogue_mark(c, is, &known, err);
    if (r < 0 || (known == 0 && times->count == 0))
        return r;
    int64_t since_s = now_s;
    if (known == now_is)
        r = catalogue_mark(c, since, &since_s, err);
    if (r == 0 && (known != now_is || since_s > now_s)) { // later than now: the clock was wrong, or is
        since_s = now_s;
        r = remember(c, is, now_is, since, since_s, err);
    }
    if (r == 0)
        *ret_since_s = since_s;
    return r;
}

int remembered_since(struct catalogue *c, const char *owner, const char *action, int64_t *ret_since_s, struct error *err)
{
    _cleanup_free_ char *since = mark_name("since", owner, action);
    return catalogue_mark(c, since, ret_since_s, err);
}

int remembered_schedule(struct catalogue *c, const struct policy *policy, const char *action, int64_t now_s, int64_t *ret_since_s, struct error *err)
{
    return remembered_times(c, policy->name, action, policy_times(policy, action), policy->timezone, now_s, ret_since_s, err);
}
