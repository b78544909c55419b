#include "bkd/policy/agenda.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"
#include "bkd/policy/civil.h"

// ---- tasks -------------------------------------------------------------------------------------------------------------

void agenda_task_init(struct agenda_task *task)
{
    *task = (struct agenda_task){
        .tier = 1,
        .last_slot_s = AGENDA_NEVER,
        .last_success_s = AGENDA_NEVER,
        .since_s = AGENDA_NEVER,
        .paused_s = AGENDA_NEVER,
        .next_s = CALENDAR_NEVER,
        .next_from_s = AGENDA_NEVER,
        .undone_until_s = AGENDA_NEVER,
        .window.until_minute = POLICY_NO_MINUTE,
        .waits_until_s = CALENDAR_NEVER,
    };
}

void agenda_task_configure(struct agenda_task *task, const struct policy *policy)
{
    task->tier = policy->objectives.tier;
    task->window = policy->window;
    task->retry = policy->retry;
    task->catch_up = policy->catch_up == POLICY_CATCH_UP_ONCE;
    task->skip_after_failure = policy->after_failure == POLICY_AFTER_FAILURE_SKIP;
}

enum agenda_outcome agenda_outcome_of(int exit_code)
{
    switch (exit_code) {
    case 0:
    case 3: // some entries could not be read; the snapshot is there
    case 5: // an objective was missed; the snapshot is there
        return AGENDA_SUCCEEDED;
    case 2: // mistakes in the policy
    case 4: // integrity or security
    case 9: // a key
        return AGENDA_HOPELESS;
    default: return AGENDA_FAILED;
    }
}

int64_t agenda_start_delay(const char *host, const char *policy, const char *action, uint64_t jitter_s)
{
    uint8_t digest[CRYPTO_SHA256_SIZE];
    _cleanup_free_ char *text = xasprintf("%s\n%s\n%s", host, policy, action);
    crypto_sha256(text, strlen(text), digest);
    return jitter_s == 0 ? 0 : (int64_t)(get_u64be(digest) % jitter_s);
}

void agenda_began(struct agenda_task *task, int64_t slot_s, int64_t now_s)
{
    task->running = (struct agenda_run){ .there = true, .slot_s = slot_s, .attempt = 1, .began_s = now_s };
    task->window_told = false;
}

void agenda_ended(struct agenda_task *task, enum agenda_outcome outcome, int64_t now_s)
{
    task->last = task->running;
    task->last.ended_s = now_s;
    task->last.outcome = outcome;
    if (outcome == AGENDA_SUCCEEDED)
        task->last_success_s = task->running.began_s;
    task->running.there = false;
}

void agenda_lost(struct agenda_task *task) { task->running.there = false; }

int64_t agenda_window_end(const struct agenda_task *task, int64_t slot_s)
{
    int64_t end_s = task->window.length_s > 0 ? slot_s + (int64_t)task->window.length_s : CALENDAR_NEVER;
    if (task->window.until_minute < POLICY_NO_MINUTE && task->schedule) {
        struct calendar daily = { .any_year = true, .months = 0x1ffe, .days = 0xfffffffe, .weekdays = 0x7f, .seconds = 1 };
        daily.hours = UINT64_C(1) << task->window.until_minute / 60;
        daily.minutes = UINT64_C(1) << task->window.until_minute % 60;
        int64_t until_s = calendar_next(&daily, task->schedule->zone, slot_s);
        end_s = until_s < end_s ? until_s : end_s;
    }
    return end_s;
}

// ---- deciding ----------------------------------------------------------------------------------------------------------

void agenda_decisions_done(struct agenda_decisions *decisions)
{
    free(decisions->items);
    *decisions = (struct agenda_decisions){ 0 };
}

// One call of agenda_decide.
struct pass {
    struct agenda *agenda;
    int64_t now_s;
    struct agenda_decisions *decisions;
};

static struct agenda_decision *decide(struct pass *pass, struct agenda_task *task, enum agenda_what what, int64_t slot_s)
{
    struct agenda_decisions *d = pass->decisions;
    d->items = xrealloc(d->items, (d->count + 1) * sizeof *d->items);
    struct agenda_decision *decision = &d->items[d->count++];
    *decision = (struct agenda_decision){
        .what = what,
        .task = (size_t)(task - pass->agenda->tasks),
        .slot_s = slot_s,
        .first_s = slot_s,
        .again = slot_s <= task->undone_until_s,
    };
    return decision;
}

static void record(struct pass *pass, struct agenda_task *task, enum agenda_what what, int64_t slot_s, enum agenda_reason reason, int64_t other_s)
{
    struct agenda_decision *decision = decide(pass, task, what, slot_s);
    decision->reason = reason;
    decision->other_s = other_s;
    if (task->last_slot_s < slot_s)
        task->last_slot_s = slot_s;
}

// From where on slots have not been looked at.
static int64_t seen_until(const struct agenda_task *task)
{
    int64_t seen = task->last_slot_s > task->since_s ? task->last_slot_s : task->since_s;
    return task->is_pending && task->pending_s > seen ? task->pending_s : seen;
}

static int64_t next_slot(struct agenda_task *task)
{
    int64_t from = seen_until(task);
    if (task->next_from_s != from) {
        task->next_from_s = from;
        task->next_s = task->schedule ? schedule_next(task->schedule, from) : CALENDAR_NEVER;
    }
    return task->next_s;
}

static bool is_covered(const struct pass *pass, const struct agenda_task *task, int64_t slot_s)
{
    return task->last_success_s >= slot_s && task->last_success_s <= pass->now_s + AGENDA_CLOCK_S;
}

// What was remembered of a clock that was wrong, and what is not remembered at all.
static void settle_past(struct pass *pass, struct agenda_task *task)
{
    int64_t limit = pass->now_s + AGENDA_CLOCK_S;
    if (task->is_pending && task->pending_s + task->start_delay_s > pass->now_s)
        task->is_pending = false; // the clock went back: it comes due again
    if (task->last_slot_s != AGENDA_NEVER && task->last_slot_s > limit) {
        task->undone_until_s = task->last_slot_s;
        task->last_slot_s = pass->now_s;
    }
    if (task->since_s > limit)
        task->since_s = AGENDA_NEVER;
    if (task->last.there && task->last.ended_s > pass->now_s)
        task->last.ended_s = pass->now_s;
    if (task->last.began_s > limit)
        task->last.began_s = pass->now_s;
    if (task->last.slot_s > limit)
        task->last.slot_s = AGENDA_NEVER; // nothing to try again
    if (task->last_slot_s != AGENDA_NEVER || !task->schedule)
        return;
    if (task->last_success_s != AGENDA_NEVER && task->last_success_s <= limit)
        task->last_slot_s = task->last_success_s;
    else if (task->since_s == AGENDA_NEVER || task->since_s >= pass->now_s)
        record(pass, task, AGENDA_SKIPPED, pass->now_s, AGENDA_NEW, pass->now_s);
}

// A slot that came due before `newest`, and has no run of its own.
static void pass_over(struct pass *pass, struct agenda_task *task, int64_t slot_s, int64_t newest_s)
{
    int64_t over = agenda_window_end(task, newest_s);
    if (task->paused_s != AGENDA_NEVER)
        record(pass, task, AGENDA_SKIPPED, slot_s, AGENDA_PAUSED, task->paused_s);
    else if (task->running.there)
        record(pass, task, AGENDA_COALESCED, slot_s, AGENDA_STILL_RUNS, task->running.began_s);
    else if (is_covered(pass, task, slot_s))
        record(pass, task, AGENDA_COALESCED, slot_s, AGENDA_COVERED, task->last_success_s);
    else if (over <= pass->now_s)
        record(pass, task, AGENDA_MISSED, slot_s, AGENDA_WINDOW_OVER, over);
    else if (task->catch_up)
        record(pass, task, AGENDA_COALESCED, slot_s, AGENDA_MADE_UP, newest_s);
    else
        record(pass, task, AGENDA_MISSED, slot_s, AGENDA_TOO_LATE, pass->now_s);
}

// All due slots but the newest. A clock set forward by years, or a host that was off for months, must not become millions of records.
static void pass_over_older(struct pass *pass, struct agenda_task *task, int64_t newest_s)
{
    int64_t slot_s = next_slot(task);
    for (unsigned n = 0; slot_s < newest_s && n < AGENDA_SINGLY_MAX; n++) {
        pass_over(pass, task, slot_s, newest_s);
        slot_s = schedule_next(task->schedule, slot_s);
    }
    if (slot_s >= newest_s)
        return;
    pass_over(pass, task, schedule_newest(task->schedule, slot_s - 1, newest_s - 1), newest_s);
    pass->decisions->items[pass->decisions->count - 1].first_s = slot_s;
}

// The slots that have come due since the last time.
static void note_due(struct pass *pass, struct agenda_task *task)
{
    int64_t until = pass->now_s - task->start_delay_s;
    if (next_slot(task) > until)
        return;
    int64_t newest_s = schedule_newest(task->schedule, seen_until(task), until), waiting_since_s = newest_s + task->start_delay_s;
    if (task->is_pending) {
        int64_t overtaken_s = task->pending_s;
        waiting_since_s = task->waiting_since_s;
        task->is_pending = false;
        record(pass, task, AGENDA_COALESCED, overtaken_s, AGENDA_OVERTAKEN, newest_s);
    }
    pass_over_older(pass, task, newest_s);
    bool late = !task->catch_up && until - newest_s > AGENDA_LATE_S && waiting_since_s == newest_s + task->start_delay_s;
    if (task->paused_s != AGENDA_NEVER || task->running.there || is_covered(pass, task, newest_s) || late || agenda_window_end(task, newest_s) <= pass->now_s) {
        pass_over(pass, task, newest_s, newest_s);
        return;
    }
    task->is_pending = true;
    task->pending_s = newest_s;
    task->waiting_since_s = waiting_since_s;
}

// A slot that waits may have become needless, or too late.
static void review_pending(struct pass *pass, struct agenda_task *task)
{
    int64_t slot_s = task->pending_s;
    if (!task->is_pending)
        return;
    bool over = agenda_window_end(task, slot_s) <= pass->now_s;
    if (task->paused_s == AGENDA_NEVER && !task->running.there && !is_covered(pass, task, slot_s) && !over)
        return;
    task->is_pending = false;
    pass_over(pass, task, slot_s, slot_s);
}

// When a run that failed is to be tried again; CALENDAR_NEVER when it is not.
static int64_t retry_at(const struct pass *pass, const struct agenda_task *task)
{
    const struct agenda_run *last = &task->last;
    bool may = last->there && last->slot_s != AGENDA_NEVER && (last->outcome == AGENDA_FAILED || (last->outcome == AGENDA_KILLED && task->catch_up));
    if (!may || task->running.there || task->is_pending || task->paused_s != AGENDA_NEVER || is_covered(pass, task, last->slot_s))
        return CALENDAR_NEVER;
    uint64_t times = last->outcome == AGENDA_KILLED && task->retry.times == 0 ? 1 : task->retry.times; // a run cut off by a crash is made up for
    if (last->attempt > times)
        return CALENDAR_NEVER;
    uint64_t delay_s = task->retry.delay_s;
    for (unsigned i = 1; i < last->attempt && delay_s < task->retry.max_delay_s; i++)
        delay_s *= 2;
    if (delay_s > task->retry.max_delay_s)
        delay_s = task->retry.max_delay_s;
    int64_t at = last->ended_s + (int64_t)delay_s, over = agenda_window_end(task, last->slot_s);
    return at < over && pass->now_s < over ? at : CALENDAR_NEVER;
}

// ---- starting ----------------------------------------------------------------------------------------------------------

// What may begin: a pending slot, or a retry whose time has come.
struct candidate {
    size_t task;
    int64_t slot_s;
    unsigned attempt;
    int64_t rank; // the time since when it waits, tiers added
};

static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return x->task < y->task ? -1 : x->task > y->task;
}

static size_t find_candidates(const struct pass *pass, struct candidate *ret_candidates)
{
    size_t count = 0;
    for (size_t i = 0; i < pass->agenda->count; i++) {
        const struct agenda_task *task = &pass->agenda->tasks[i];
        int64_t tier_s = ((int64_t)task->tier - 1) * AGENDA_TIER_S, again_s = retry_at(pass, task);
        if (task->is_pending)
            ret_candidates[count++] = (struct candidate){ i, task->pending_s, 1, task->waiting_since_s + tier_s };
        else if (again_s <= pass->now_s)
            ret_candidates[count++] = (struct candidate){ i, task->last.slot_s, task->last.attempt + 1, again_s + tier_s };
    }
    qsort(ret_candidates, count, sizeof *ret_candidates, compare_candidates);
    return count;
}

static bool is_undone(const struct pass *pass, const struct agenda_task *task)
{
    return task->running.there || task->is_pending || retry_at(pass, task) != CALENDAR_NEVER;
}

// Is `to` what `from` comes after, directly or by others? seen: a flag for each task, false at first.
static bool comes_after(const struct agenda *agenda, size_t from, size_t to, bool *seen)
{
    const struct agenda_task *task = &agenda->tasks[from];
    seen[from] = true;
    for (size_t i = 0; i < task->after_count; i++)
        if (task->after[i] == to || (!seen[task->after[i]] && comes_after(agenda, task->after[i], to, seen)))
            return true;
    return false;
}

bool agenda_is_circle(const struct agenda *agenda, size_t task, size_t other)
{
    bool *seen = xcalloc(agenda->count + 1, sizeof *seen);
    bool circle = comes_after(agenda, other, task, seen);
    free(seen);
    return circle;
}

static bool has_failed(const struct agenda_task *task)
{
    return task->last.there && task->last.outcome != AGENDA_SUCCEEDED && task->last_success_s < task->last.began_s;
}

// What keeps a task from beginning now.
static enum agenda_reason obstacle(const struct pass *pass, const struct agenda_task *task, size_t running, size_t *ret_other)
{
    const struct agenda *agenda = pass->agenda;
    for (size_t i = 0; i < task->after_count; i++) {
        *ret_other = task->after[i];
        if (is_undone(pass, &agenda->tasks[*ret_other]) && !agenda_is_circle(agenda, (size_t)(task - agenda->tasks), *ret_other))
            return AGENDA_AFTER;
    }
    for (size_t i = 0; i < task->after_count && task->skip_after_failure; i++) {
        *ret_other = task->after[i];
        if (has_failed(&agenda->tasks[*ret_other]))
            return AGENDA_AFTER_FAILED;
    }
    for (size_t i = 0; i < agenda->count; i++) {
        *ret_other = i;
        if (agenda->tasks[i].running.there && strcmp(agenda->tasks[i].policy, task->policy) == 0)
            return AGENDA_POLICY_BUSY;
    }
    return running >= agenda->max_parallel ? AGENDA_MAX_PARALLEL : AGENDA_NO_REASON;
}

static void start(struct pass *pass, struct agenda_task *task, const struct candidate *candidate)
{
    decide(pass, task, AGENDA_START, candidate->slot_s)->attempt = candidate->attempt;
    agenda_began(task, candidate->slot_s, pass->now_s);
    task->running.attempt = candidate->attempt;
    task->is_pending = false;
    if (task->last_slot_s < candidate->slot_s)
        task->last_slot_s = candidate->slot_s;
}

// A slot that is left out because what it comes after failed; a retry of it is given up.
static void leave_out(struct pass *pass, struct agenda_task *task, size_t other)
{
    if (!task->is_pending) {
        task->last.outcome = AGENDA_HOPELESS;
        return;
    }
    task->is_pending = false;
    record(pass, task, AGENDA_SKIPPED, task->pending_s, AGENDA_AFTER_FAILED, pass->agenda->tasks[other].last.began_s);
    pass->decisions->items[pass->decisions->count - 1].other = other;
}

static void start_candidates(struct pass *pass)
{
    struct agenda *agenda = pass->agenda;
    size_t running = 0, count, other = 0;
    struct candidate *candidates = xcalloc(agenda->count + 1, sizeof *candidates);
    for (size_t i = 0; i < agenda->count; i++)
        running += agenda->tasks[i].running.there;
    count = find_candidates(pass, candidates);
    for (size_t i = 0; i < count; i++) {
        struct agenda_task *task = &agenda->tasks[candidates[i].task];
        enum agenda_reason reason = obstacle(pass, task, running, &other);
        if (reason == AGENDA_NO_REASON) {
            start(pass, task, &candidates[i]);
            running++;
        } else if (reason == AGENDA_AFTER_FAILED) {
            leave_out(pass, task, other);
        } else {
            task->waits = reason;
            task->waits_for = other;
        }
    }
    free(candidates);
}

// ---- windows, waking ---------------------------------------------------------------------------------------------------

// When the window of the running one ends, as far as that is of interest.
static int64_t running_window_end(const struct agenda_task *task)
{
    bool counts = task->running.there && task->running.slot_s != AGENDA_NEVER && !task->window_told && task->window.at_end != POLICY_WINDOW_FINISH;
    return counts ? agenda_window_end(task, task->running.slot_s) : CALENDAR_NEVER;
}

static void end_window(struct pass *pass, struct agenda_task *task)
{
    int64_t end_s = running_window_end(task);
    if (end_s > pass->now_s)
        return;
    struct agenda_decision *decision = decide(pass, task, task->window.at_end == POLICY_WINDOW_STOP ? AGENDA_STOP : AGENDA_WARN_WINDOW, task->running.slot_s);
    decision->reason = AGENDA_WINDOW_OVER;
    decision->other_s = end_s;
    task->window_told = true;
}

static void wake_by(struct pass *pass, int64_t at_s)
{
    if (at_s > pass->now_s && at_s < pass->decisions->wake_s)
        pass->decisions->wake_s = at_s;
}

// The next moment at which something changes by itself, and what the task waits for until then.
static void plan_wake(struct pass *pass, struct agenda_task *task)
{
    int64_t next_s = next_slot(task), again_s = retry_at(pass, task);
    if (next_s != CALENDAR_NEVER)
        wake_by(pass, next_s + task->start_delay_s);
    wake_by(pass, again_s);
    wake_by(pass, running_window_end(task));
    if (task->is_pending)
        wake_by(pass, agenda_window_end(task, task->pending_s));
    if (task->waits == AGENDA_NO_REASON && again_s != CALENDAR_NEVER && again_s > pass->now_s) {
        task->waits = AGENDA_RETRY;
        task->waits_until_s = again_s;
    } else if (task->waits == AGENDA_NO_REASON && next_s <= pass->now_s) {
        task->waits = AGENDA_JITTER;
        task->waits_until_s = next_s + task->start_delay_s;
    }
}

void agenda_decide(struct agenda *agenda, int64_t now_s, struct agenda_decisions *ret_decisions)
{
    struct pass pass = { agenda, now_s, ret_decisions };
    *ret_decisions = (struct agenda_decisions){ .wake_s = CALENDAR_NEVER };
    for (size_t i = 0; i < agenda->count; i++) {
        struct agenda_task *task = &agenda->tasks[i];
        task->waits = AGENDA_NO_REASON;
        task->waits_until_s = CALENDAR_NEVER;
        settle_past(&pass, task);
        note_due(&pass, task);
        review_pending(&pass, task);
    }
    start_candidates(&pass);
    for (size_t i = 0; i < agenda->count; i++) {
        end_window(&pass, &agenda->tasks[i]);
        plan_wake(&pass, &agenda->tasks[i]);
    }
}
