#include "bkd/daemon/tasks.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/log.h"
#include "bkd/host/remembered.h"

static const char *const scheduled[] = { TASKS_BACKUP, "verify" }; // the actions that a policy has times for, in their order

struct tasks_own {
    struct schedule schedule;
    const struct policies_item *item;
    char *policy; // its name, which outlives the item
    size_t *after;
};

// One call of tasks_make.
struct making {
    struct tasks *tasks;
    struct tasks old;
    const struct io *io;
    struct catalogue *c;
    int64_t now_s;
    char host[256]; // "" when it has no name
};

void tasks_done(struct tasks *tasks)
{
    for (size_t i = 0; i < tasks->agenda.count; i++) {
        schedule_done(&tasks->own[i].schedule);
        free(tasks->own[i].policy);
        free(tasks->own[i].after);
    }
    free(tasks->own);
    free(tasks->agenda.tasks);
    *tasks = (struct tasks){ .agenda.max_parallel = tasks->agenda.max_parallel };
}

// They are in the order of policies and actions.
size_t tasks_find(const struct tasks *tasks, const char *policy, const char *action)
{
    size_t low = 0, high = tasks->agenda.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct agenda_task *task = &tasks->agenda.tasks[middle];
        int order = strcmp(policy, task->policy);
        order = order != 0 ? order : strcmp(action, task->action);
        if (order == 0)
            return middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return SIZE_MAX;
}

const struct policies_item *tasks_item(const struct tasks *tasks, size_t index) { return tasks->own[index].item; }

// ---- making ----------------------------------------------------------------------------------------------------------------

// Backups have a task even without times: others may come after them.
static bool has_task(const struct policy *policy, const char *action) { return strcmp(action, TASKS_BACKUP) == 0 || policy_times(policy, action)->count > 0; }

// The history and what goes on; a slot that is due already is done although the times are others now.
static void carry_over(struct agenda_task *task, const struct agenda_task *old)
{
    task->last_slot_s = old->last_slot_s;
    task->last_success_s = old->last_success_s;
    task->last = old->last;
    task->paused_s = old->paused_s;
    task->running = old->running;
    task->window_told = old->window_told;
    task->undone_until_s = old->undone_until_s;
    if (task->schedule == NULL)
        return;
    task->is_pending = old->is_pending;
    task->pending_s = old->pending_s;
    task->waiting_since_s = old->waiting_since_s;
}

static void open_times(const struct making *m, const struct policy_list *times, struct tasks_own *own, struct tasks_own *old)
{
    const struct policy *policy = &own->item->policy;
    struct error err;
    if (schedule_open(m->io, times, policy->timezone, &own->schedule, &err) == 0)
        return;
    bool goes_on = old != NULL && old->schedule.count > 0;
    log_error("policy %s: %s; %s", policy->name, err.text, goes_on ? "its times stay as they were read before" : "nothing of it begins by itself");
    if (!goes_on)
        return;
    own->schedule = old->schedule;
    old->schedule = (struct schedule){ 0 };
}

static void make_task(const struct making *m, const struct policies_item *item, const char *action)
{
    size_t i = m->tasks->agenda.count++, before = tasks_find(&m->old, item->name, action);
    struct agenda_task *task = &m->tasks->agenda.tasks[i], *old = before == SIZE_MAX ? NULL : &m->old.agenda.tasks[before];
    struct tasks_own *own = &m->tasks->own[i];
    const struct policy_list *times = policy_times(&item->policy, action);
    *own = (struct tasks_own){ .item = item, .policy = xstrdup(item->name) };
    agenda_task_init(task);
    agenda_task_configure(task, &item->policy);
    task->policy = own->policy;
    task->action = action;
    task->start_delay_s = agenda_start_delay(m->host, item->name, action, item->policy.jitter_s);
    if (times->count > 0)
        open_times(m, times, own, old == NULL ? NULL : &m->old.own[before]);
    if (own->schedule.count > 0)
        task->schedule = &own->schedule;
    if (old != NULL) {
        task->since_s = old->since_s;
        carry_over(task, old);
    }
}

static void make_tasks_of(const struct making *m, const struct policies_item *item)
{
    struct error err;
    for (size_t i = 0; i < sizeof scheduled / sizeof *scheduled; i++) {
        int64_t since_s = AGENDA_NEVER;
        if (m->c != NULL && remembered_schedule(m->c, &item->policy, scheduled[i], m->now_s, &since_s, &err) < 0)
            log_warn("this is not in the catalogue: %s", err.text);
        if (!has_task(&item->policy, scheduled[i]))
            continue;
        make_task(m, item, scheduled[i]);
        if (since_s != AGENDA_NEVER)
            m->tasks->agenda.tasks[m->tasks->agenda.count - 1].since_s = since_s;
    }
}

// Names of policies that are not there wait for nothing. Only backups wait.
static void link_after(struct tasks *tasks, size_t index)
{
    struct agenda_task *task = &tasks->agenda.tasks[index];
    const struct policy_list *names = &tasks->own[index].item->policy.after;
    size_t *after = xcalloc(names->count + 1, sizeof *after), n = 0;
    for (size_t i = 0; i < names->count && strcmp(task->action, TASKS_BACKUP) == 0; i++) {
        size_t found = tasks_find(tasks, names->items[i], TASKS_BACKUP);
        if (found != SIZE_MAX && found != index)
            after[n++] = found;
        else
            log_warn("policy %s: it comes after '%s', which is no other policy", task->policy, names->items[i]);
    }
    tasks->own[index].after = after;
    task->after = after;
    task->after_count = n;
}

void tasks_make(struct tasks *tasks, const struct io *io, const struct policies *policies, struct catalogue *c, int64_t now_s)
{
    struct making m = { .tasks = tasks, .old = *tasks, .io = io, .c = c, .now_s = now_s };
    size_t most = policies->count * (sizeof scheduled / sizeof *scheduled);
    struct error err;
    bool together = c != NULL && catalogue_begin(c, &err) == 0; // thousands of new policies are one write
    (void)gethostname(m.host, sizeof m.host - 1);
    tasks->agenda.tasks = xcalloc(most + 1, sizeof *tasks->agenda.tasks);
    tasks->agenda.count = 0;
    tasks->own = xcalloc(most + 1, sizeof *tasks->own);
    for (size_t i = 0; i < policies->count; i++)
        if (policies->items[i].has_policy)
            make_tasks_of(&m, &policies->items[i]);
    for (size_t i = 0; i < tasks->agenda.count; i++)
        link_after(tasks, i);
    if (together && catalogue_end(c, 0, &err) < 0)
        log_warn("this is not in the catalogue: %s", err.text);
    tasks_done(&m.old);
}
