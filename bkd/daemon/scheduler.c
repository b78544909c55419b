#include "bkd/daemon/scheduler.h"

#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/clock.h"
#include "bkd/base/log.h"
#include "bkd/host/remembered.h"
#include "bkd/record/alarms.h"
#include "bkd/record/pauses.h"
#include "bkd/record/slots.h"

#define NS_PER_S UINT64_C(1000000000)
#define PRUNE "prune"
#define PRUNE_EVERY_NS (20 * 3600 * NS_PER_S)

enum { DEFAULT_PARALLEL = 4, TRY_AGAIN_S = 60, LOOK_AGAIN_S = 300 };

// What the catalogue does not let in is told and done without: it is no reason not to back up.
static bool open_catalogue(const struct scheduler *s, struct catalogue *ret_catalogue)
{
    struct error err;
    if (catalogue_open(s->ctx->io, s->ctx->state_dir, CATALOGUE_WRITE, ret_catalogue, &err) == 0)
        return true;
    log_warn("going on without the catalogue: %s", err.text);
    return false;
}

static void tell(int r, const struct error *err)
{
    if (r < 0)
        log_warn("this is not in the catalogue: %s", err->text);
}

static int64_t now_s(const struct scheduler *s) { return (int64_t)(io_realtime_ns(s->ctx->io) / NS_PER_S); }

// ---- reading policies ------------------------------------------------------------------------------------------------------

static void on_job_ended(void *arg, struct job *job, const struct job_end *end);

void scheduler_init(struct scheduler *s, const struct context *ctx, struct loop *loop, enum run_trigger trigger, const char *starter)
{
    *s = (struct scheduler){ .loop = loop, .ctx = ctx, .trigger = trigger, .policies.without_work = true };
    s->jobs = (struct jobs){ .loop = loop, .ctx = ctx, .starter = starter, .ended = on_job_ended, .arg = s };
}

void scheduler_done(struct scheduler *s)
{
    tasks_done(&s->tasks);
    jobs_done(&s->jobs);
    policies_done(&s->policies);
    if (s->has_config)
        config_done(&s->config);
}

struct reading {
    struct scheduler *s;
    struct catalogue *c; // NULL = closed
};

static void raise_invalid(struct reading *reading, const struct policies_item *item)
{
    _cleanup_free_ char *step = xasprintf("see `bkd policy check %s`", item->name);
    _cleanup_free_ char *text = xasprintf("%s: %s", item->has_policy ? "the policy's file has mistakes, and its version before goes on" : "the policy's file has mistakes, and nothing of it runs",
                                          item->problem);
    struct error err;
    log_error("policy %s: %s", item->name, text);
    if (reading->c != NULL)
        tell(alarms_raise(reading->c, &(struct alarm_raise){ .kind = "policy-invalid", .policy = item->name, .severity = SEVERITY_CRITICAL,
                                                            .text = text, .next_step = step }, NULL, &err), &err);
}

static void on_policy(void *arg, const struct policies_change *change)
{
    struct reading *reading = arg;
    struct error err;
    if (change->item != NULL && change->item->problem != NULL)
        raise_invalid(reading, change->item);
    else if (reading->c != NULL)
        tell(alarms_clear(reading->c, "policy-invalid", change->name, NULL, change->item == NULL ? "the policy was removed" : "the policy's file is good again", NULL, &err), &err);
    log_debug("policy %s: %s", change->name, change->item == NULL ? "was removed" : "was read");
}

// One with mistakes keeps the configuration before, or the defaults.
static void read_config(struct scheduler *s, struct catalogue *c)
{
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    struct config config;
    struct error err, lost;
    if (config_load(s->ctx->io, s->ctx->config_dir, &config, &errors, &err) == 0) {
        if (s->has_config)
            config_done(&s->config);
        s->config = config;
        s->has_config = true;
        if (c != NULL)
            tell(alarms_clear(c, "configuration", NULL, NULL, CONFIG_FILE " is good again", NULL, &lost), &lost);
        return;
    }
    _cleanup_free_ char *text = xasprintf("%s/" CONFIG_FILE " has mistakes, and %s: %s", s->ctx->config_dir, s->has_config ? "what it said before holds" : "the defaults hold", err.text);
    log_error("%s", text);
    if (c != NULL)
        tell(alarms_raise(c, &(struct alarm_raise){ .kind = "configuration", .severity = SEVERITY_WARNING, .text = text, .next_step = "see `bkd config check`" }, NULL, &lost), &lost);
}

// ---- tasks -----------------------------------------------------------------------------------------------------------------

// Runs outlive a change of the policies.
static void put_running(struct scheduler *s)
{
    for (const struct job *job = s->jobs.list; job != NULL; job = job->next) {
        size_t i = tasks_find(&s->tasks, job->policy, job->action);
        if (i != SIZE_MAX && !s->tasks.agenda.tasks[i].running.there)
            agenda_began(&s->tasks.agenda.tasks[i], job->slot_ns != 0 ? (int64_t)(job->slot_ns / NS_PER_S) : AGENDA_NEVER, (int64_t)(job->started_ns / NS_PER_S));
    }
}

static void make_tasks(struct scheduler *s, struct catalogue *c)
{
    tasks_make(&s->tasks, s->ctx->io, &s->policies, c, now_s(s));
    s->tasks.agenda.max_parallel = s->has_config ? s->config.max_parallel : DEFAULT_PARALLEL;
    put_running(s);
}

int scheduler_read(struct scheduler *s, struct error *err)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    struct reading reading = { .s = s };
    if (open_catalogue(s, &catalogue))
        reading.c = &catalogue;
    read_config(s, reading.c);
    int r = policies_read(s->ctx, &s->policies, on_policy, &reading, err);
    make_tasks(s, reading.c);
    return r;
}

void scheduler_refresh(struct scheduler *s)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    make_tasks(s, open_catalogue(s, &catalogue) ? &catalogue : NULL);
}

size_t scheduler_count_bad(const struct scheduler *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->policies.count; i++)
        n += s->policies.items[i].problem != NULL;
    return n;
}

// ---- runs of others --------------------------------------------------------------------------------------------------------

static int adopt_one(void *arg, const struct run_record *run, struct error *err)
{
    struct scheduler *s = arg;
    for (const struct job *job = s->jobs.list; job != NULL; job = job->next)
        if (strcmp(job->uid, run->uid) == 0)
            return 0;
    (void)err;
    struct error gone;
    if (jobs_check_action(run->kind, &gone) == 0 && jobs_adopt(&s->jobs, run, &gone) == 0)
        log_debug("policy %s: process %d, started by other means, is watched", run->policy, (int)run->process.pid);
    return 0;
}

static void adopt_from(struct scheduler *s, struct catalogue *c)
{
    struct error err;
    tell(runs_abandoned(c, NULL, NULL, &err), &err);
    tell(runs_list(c, &(struct runs_filter){ .running = true }, adopt_one, s, &err), &err);
    put_running(s);
}

void scheduler_adopt(struct scheduler *s)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    if (open_catalogue(s, &catalogue))
        adopt_from(s, &catalogue);
}

// ---- the end of a run ------------------------------------------------------------------------------------------------------

static void note_end(struct catalogue *c, const struct job *job, const struct run_record *run)
{
    struct error err;
    if (job->slot_ns != 0)
        tell(slots_set_run(c, job->policy, job->action, job->slot_ns, run->id, &err), &err);
    if (job->cancelled_by != NULL) {
        _cleanup_free_ char *note = xasprintf("cancelled by %s", job->cancelled_by);
        tell(runs_note(c, run->id, note, &err), &err);
    }
}

// A run that could not even record itself (its policy's file is gone, memory ended) is known by its exit code only.
static int find_end(struct scheduler *s, const struct job *job, const struct job_end *end, struct run_record *ret_run)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    struct error err;
    int64_t id = 0;
    if (!open_catalogue(s, &catalogue))
        return ERROR_FAILED;
    tell(runs_abandoned(&catalogue, NULL, NULL, &err), &err);
    int r = runs_find(&catalogue, job->uid, &id, &err);
    if (r == 0)
        r = runs_get(&catalogue, id, ret_run, &err);
    if (r == 0)
        note_end(&catalogue, job, ret_run);
    else if (end->problem != NULL || end->exit_code != 0)
        tell(events_add(&catalogue, "run-failed", job->policy, SEVERITY_WARNING, end->problem != NULL ? end->problem : "a run ended before it could record itself", &err), &err);
    return r;
}

static enum agenda_outcome outcome_of(const struct job *job, int exit_code)
{
    if (job->cancelled_by != NULL)
        return AGENDA_STOPPED;
    return exit_code < 0 || exit_code > 127 ? AGENDA_KILLED : agenda_outcome_of(exit_code);
}

static int start(struct scheduler *s, const struct policies_item *item, const char *action, const struct jobs_order *order, struct job **ret_job, struct error *err);

// A host that keeps no retention key leaves giving up to where that is.
static bool is_to_prune(struct scheduler *s, const struct policies_item *item)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    _cleanup_free_ char *key = context_key_path(s->ctx, "retention");
    struct run_record last;
    struct statx st;
    struct error err;
    if (item == NULL || !item->has_policy || !policy_keep_is_set(&item->policy.keep) || io_stat(s->ctx->io, AT_FDCWD, key, 0, &st, &err) < 0 || !open_catalogue(s, &catalogue))
        return false;
    int r = runs_last(&catalogue, item->name, PRUNE, false, &last, &err);
    uint64_t now = io_realtime_ns(s->ctx->io);
    return r == ERROR_NOT_FOUND || (r == 0 && (last.started_ns > now || last.started_ns + PRUNE_EVERY_NS < now)); // one of the future had a wrong clock
}

// Once a day after a backup that was made, old snapshots go.
static void prune_after(struct scheduler *s, const struct job *job, int exit_code)
{
    struct job *prune;
    struct error err;
    const struct policies_item *item = policies_find(&s->policies, job->policy);
    if (strcmp(job->action, TASKS_BACKUP) != 0 || (exit_code != 0 && exit_code != 3) || !is_to_prune(s, item))
        return;
    if (start(s, item, PRUNE, &(struct jobs_order){ .trigger = s->trigger }, &prune, &err) < 0)
        log_warn("policy %s: old snapshots are not looked at now: %s", job->policy, err.text);
}

static void on_job_ended(void *arg, struct job *job, const struct job_end *end)
{
    struct scheduler *s = arg;
    struct run_record run = { .exit_code = -1 };
    int found = find_end(s, job, end, &run);
    int exit_code = found == 0 && run.state == RUN_ENDED ? run.exit_code : end->problem != NULL ? 1 : end->is_known ? end->exit_code : -1;
    size_t i = tasks_find(&s->tasks, job->policy, job->action);
    if (i != SIZE_MAX && s->tasks.agenda.tasks[i].running.there)
        agenda_ended(&s->tasks.agenda.tasks[i], outcome_of(job, exit_code), now_s(s));
    prune_after(s, job, exit_code);
    if (s->ended != NULL)
        s->ended(s->arg, &(struct scheduler_end){ .job = job, .exit_code = exit_code > 127 ? -1 : exit_code, .message = end->problem != NULL ? end->problem : run.message });
}

// ---- starting --------------------------------------------------------------------------------------------------------------

static int start(struct scheduler *s, const struct policies_item *item, const char *action, const struct jobs_order *order, struct job **ret_job, struct error *err)
{
    struct jobs_order full = *order;
    (void)snprintf(full.policy, sizeof full.policy, "%s", item->name);
    (void)snprintf(full.action, sizeof full.action, "%s", action);
    full.policy_file = policies_file(item);
    return jobs_start(&s->jobs, &full, ret_job, err);
}

// What is at work and cannot go on together with a new run: all but a prune, which minds what others do.
static const struct job *find_rival(const struct scheduler *s, const char *policy, const char *action)
{
    for (const struct job *job = s->jobs.list; job != NULL; job = job->next)
        if (strcmp(job->policy, policy) == 0 && (strcmp(job->action, action) == 0 || (strcmp(job->action, PRUNE) != 0 && strcmp(action, PRUNE) != 0)))
            return job;
    return NULL;
}

int scheduler_start(struct scheduler *s, const char *policy, const char *action, struct job **ret_job, struct error *err)
{
    const struct policies_item *item = policies_find(&s->policies, policy);
    if (item == NULL || !item->has_policy)
        return error_set(err, ERROR_USAGE, item == NULL ? "there is no policy '%s' here: see `bkd policy check`" : "policy '%s' has mistakes: see `bkd policy check`", policy);
    scheduler_adopt(s);
    const struct job *running = find_rival(s, policy, action);
    if (running != NULL)
        return error_set(err, ERROR_BUSY, "policy %s is at work already (%s, process %d); `bkd cancel %s` ends that", policy, running->action, (int)running->process.pid, policy);
    int r = start(s, item, action, &(struct jobs_order){ .trigger = RUN_MANUAL }, ret_job, err);
    if (r == 0)
        put_running(s);
    return r;
}

int scheduler_cancel(struct scheduler *s, struct job *job, const char *by, struct error *err)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    struct error lost;
    int64_t id = 0;
    int r = jobs_cancel(job, by, err);
    if (r == 0 && open_catalogue(s, &catalogue) && runs_find(&catalogue, job->uid, &id, &lost) == 0)
        tell(runs_figure(&catalogue, id, REMEMBERED_CANCELLED, 1, &lost), &lost); // also for whoever plans after us
    return r;
}

// ---- a turn ----------------------------------------------------------------------------------------------------------------

struct turn {
    struct scheduler *s;
    struct catalogue *c; // NULL = closed
    size_t started;
};

// Is it ours to run? Without a catalogue nobody else can say that it is theirs.
static bool win_slot(const struct turn *turn, const struct agenda_decision *d)
{
    const struct agenda_task *task = &turn->s->tasks.agenda.tasks[d->task];
    struct error err;
    bool won = true;
    if (turn->c == NULL || d->attempt > 1)
        return true;
    int r = slots_set(turn->c, task->policy, task->action, (uint64_t)d->slot_s * NS_PER_S, SLOT_RUN, 0, NULL, &won, &err);
    tell(r, &err);
    return r < 0 || won;
}

static void start_slot(struct turn *turn, const struct agenda_decision *d)
{
    struct scheduler *s = turn->s;
    struct agenda_task *task = &s->tasks.agenda.tasks[d->task];
    struct jobs_order order = { .trigger = s->trigger, .slot_ns = (uint64_t)d->slot_s * NS_PER_S, .attempt = d->attempt };
    struct job *job = NULL;
    struct error err, lost;
    if (!win_slot(turn, d)) {
        agenda_lost(task);
        return;
    }
    if (start(s, tasks_item(&s->tasks, d->task), task->action, &order, &job, &err) == 0) {
        turn->started++;
        log_info("policy %s: %s begins%s", task->policy, task->action, d->attempt > 1 ? " once more" : "");
        return;
    }
    log_error("%s", err.text);
    agenda_ended(task, AGENDA_FAILED, now_s(s));
    if (turn->c != NULL)
        tell(events_add(turn->c, "run-failed", task->policy, SEVERITY_CRITICAL, err.text, &lost), &lost);
}

// The outcome of a slot that gets no run; SLOT_RUN for all other decisions.
static enum slot_outcome outcome_without_run(const struct agenda_decision *d)
{
    return d->what == AGENDA_MISSED ? SLOT_MISSED : d->what == AGENDA_COALESCED ? SLOT_COALESCED : d->what == AGENDA_SKIPPED ? SLOT_SKIPPED : SLOT_RUN;
}

// Of many alike only the last one is logged, and of those that another run stands for none: the catalogue has them all.
static bool is_to_log(const struct agenda_decisions *decisions, size_t index)
{
    const struct agenda_decision *d = &decisions->items[index], *next = index + 1 < decisions->count ? d + 1 : NULL;
    return d->what != AGENDA_COALESCED && (next == NULL || next->task != d->task || next->what != d->what);
}

static void record_slot(const struct scheduler *s, struct catalogue *c, const struct agenda_decisions *decisions, size_t index)
{
    const struct agenda_decision *d = &decisions->items[index];
    const struct agenda_task *task = &s->tasks.agenda.tasks[d->task];
    _cleanup_buf_ struct buf reason = { 0 };
    char slot[CLOCK_TEXT_MAX];
    struct error err;
    bool won;
    agenda_reason_text(&s->tasks.agenda, d, &reason);
    clock_format_utc(slot, (uint64_t)d->slot_s * NS_PER_S, false);
    if (is_to_log(decisions, index))
        log_info("policy %s: no %s for the slot of %s: %s", task->policy, task->action, slot, buf_str(&reason));
    if (c != NULL)
        tell(slots_set(c, task->policy, task->action, (uint64_t)d->slot_s * NS_PER_S, outcome_without_run(d), 0, buf_str(&reason), &won, &err), &err);
}

// All in one transaction: after months there may be a thousand of each policy. When the catalogue is locked, that is waited for once, not a thousand times.
static void record_slots(const struct turn *turn, const struct agenda_decisions *decisions)
{
    struct catalogue *c = NULL;
    struct error err;
    size_t count = 0;
    for (size_t i = 0; i < decisions->count; i++)
        count += outcome_without_run(&decisions->items[i]) != SLOT_RUN;
    if (count > 0 && turn->c != NULL) {
        int r = catalogue_begin(turn->c, &err);
        tell(r, &err);
        c = r == 0 ? turn->c : NULL;
    }
    for (size_t i = 0; i < decisions->count; i++)
        if (outcome_without_run(&decisions->items[i]) != SLOT_RUN)
            record_slot(turn->s, c, decisions, i);
    if (c != NULL)
        tell(catalogue_end(c, 0, &err), &err);
}

static void window_is_over(const struct turn *turn, const struct agenda_decision *d)
{
    struct scheduler *s = turn->s;
    const struct agenda_task *task = &s->tasks.agenda.tasks[d->task];
    struct job *job = jobs_find(&s->jobs, task->policy, task->action);
    bool stop = d->what == AGENDA_STOP;
    struct error err;
    if (job == NULL)
        return;
    _cleanup_free_ char *text = xasprintf("%s of %s was still going on when its window ended%s", task->action, task->policy, stop ? ", and is ended" : "");
    log_warn("%s", text);
    if (stop && scheduler_cancel(s, job, "the end of its window", &err) < 0)
        log_error("%s", err.text);
    if (turn->c != NULL)
        tell(events_add(turn->c, "window-over", task->policy, SEVERITY_WARNING, text, &err), &err);
}

static int note_pause(void *arg, const struct pause *pause, struct error *err)
{
    struct scheduler *s = arg;
    (void)err;
    for (size_t i = 0; i < s->tasks.agenda.count; i++)
        if (strcmp(s->tasks.agenda.tasks[i].policy, pause->policy) == 0)
            s->tasks.agenda.tasks[i].paused_s = (int64_t)(pause->since_ns / NS_PER_S);
    return 0;
}

// What others have done meanwhile: people, crontabs, another scheduler.
static void look_around(struct scheduler *s, struct catalogue *c)
{
    struct error err;
    adopt_from(s, c);
    for (size_t i = 0; i < s->tasks.agenda.count; i++) {
        s->tasks.agenda.tasks[i].paused_s = AGENDA_NEVER;
        tell(remembered_runs(c, &s->tasks.agenda.tasks[i], now_s(s), &err), &err);
    }
    tell(pauses_list(c, note_pause, s, &err), &err);
}

uint64_t scheduler_turn(struct scheduler *s, size_t *ret_started)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    _cleanup_agenda_decisions_ struct agenda_decisions decisions = { 0 };
    struct turn turn = { .s = s };
    if (open_catalogue(s, &catalogue)) {
        turn.c = &catalogue;
        look_around(s, &catalogue);
    }
    agenda_decide(&s->tasks.agenda, now_s(s), &decisions);
    record_slots(&turn, &decisions); // before runs begin, which want to write there, too
    for (size_t i = 0; i < decisions.count; i++) {
        if (decisions.items[i].what == AGENDA_START)
            start_slot(&turn, &decisions.items[i]);
        else if (outcome_without_run(&decisions.items[i]) == SLOT_RUN)
            window_is_over(&turn, &decisions.items[i]);
    }
    *ret_started = turn.started;
    // Others decide and run, too, and it may let us in later. Whatever happens, no loop without rest.
    int64_t latest_s = now_s(s) + (turn.c == NULL ? TRY_AGAIN_S : LOOK_AGAIN_S), wake_s = decisions.wake_s < latest_s ? decisions.wake_s : latest_s;
    return (uint64_t)(wake_s > now_s(s) ? wake_s : now_s(s) + 1) * NS_PER_S;
}
