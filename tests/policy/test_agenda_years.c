// Invariant I9 over years: many policies with random schedules, zones, windows, retries and dependencies; runs of random length that fail, crash and are
// cut off; a daemon that is down for minutes or days; clocks that jump; people who pause policies and start runs themselves. Each slot has exactly one run,
// or exactly one record with a reason, in the order of time; limits and dependencies hold at each start.
//
// BKD_TEST_AGENDA=full: 200 policies, 20 years (rows C-15, C-16, C-31, L-04).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bkd/policy/agenda.h"

#define START INT64_C(1577836800) // 2020-01-01T00:00:00Z
#define MINUTE 60
#define HOUR 3600
#define DAY 86400
#define YEAR (365 * INT64_C(86400))
#define CLOCK_BACK_MAX (2 * HOUR) // less than AGENDA_CLOCK_S, also where two come together

static uint64_t seed;

static uint64_t roll(uint64_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % n;
}

// From `low` to `high`, the small ones as often as the large.
static int64_t roll_length(int64_t low, int64_t high)
{
    int64_t top = low;
    while (top < high && roll(3) > 0)
        top *= 2;
    return low + (int64_t)roll((uint64_t)(top > high ? high : top));
}

// What the catalogue would remember, and what the simulation knows of a task.
struct subject {
    struct schedule schedule;
    size_t after[2];
    int64_t recorded_s;    // the newest slot that is decided
    int64_t first_seen_s;
    struct agenda_run last;
    int64_t last_success_s;
    int64_t ends_at;       // true time at which the running one ends
    enum agenda_outcome will_be;
    bool by_hand;
    int64_t resumes_at;
};

struct figures {
    uint64_t slots, runs, retries, missed, coalesced, skipped, stopped, warned, passes, crashes, jumps, by_hand;
    int64_t longest_wait_s;
    size_t most_at_once;
};

struct simulation {
    struct agenda agenda;
    struct subject *subjects;
    char (*names)[24];
    int64_t now, end, clock_off_s; // true time; what the clock shows more
    int64_t crash_at, jump_at, hand_at;
    struct figures f;
};

static int64_t clock_of(const struct simulation *s) { return s->now + s->clock_off_s; }

// ---- a random set of policies ------------------------------------------------------------------------------------------

static void random_expression(char *text, size_t n)
{
    static const char *const days[] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" };
    unsigned minute = (unsigned)roll(60), hour = (unsigned)roll(24), kind = (unsigned)roll(40);
    if (kind < 22)
        (void)snprintf(text, n, "%u %u * * *", minute, hour);
    else if (kind < 26)
        (void)snprintf(text, n, "%u %u * * %s", minute, hour, days[roll(7)]);
    else if (kind < 29)
        (void)snprintf(text, n, "%u %u %u,%u * *", minute, hour, 1 + (unsigned)roll(15), 16 + (unsigned)roll(13));
    else if (kind < 32)
        (void)snprintf(text, n, "%u */%u * * *", minute, 2 + (unsigned)roll(6));
    else if (kind < 34)
        (void)snprintf(text, n, "Mon..Fri %02u:%02u:%02u", hour, minute, (unsigned)roll(60));
    else if (kind < 36)
        (void)snprintf(text, n, "*-*~%u %02u:%02u", 1 + (unsigned)roll(5), hour, minute);
    else if (kind < 39)
        (void)snprintf(text, n, "%u * * * *", minute);
    else
        (void)snprintf(text, n, "*/%u 8-18 * * mon-fri", 10 + 5 * (unsigned)roll(4));
}

static void make_schedule(struct schedule *ret_schedule)
{
    static const char *const zones[] = { "UTC",           "Europe/Berlin",     "America/New_York",  "Australia/Lord_Howe", "Antarctica/Troll", "Pacific/Auckland",
                                         "Asia/Kathmandu", "Africa/Casablanca", "Africa/Cairo",      "America/Santiago",    "Asia/Gaza",        "America/St_Johns" };
    char texts[2][80];
    char *items[] = { texts[0], texts[1], NULL };
    struct policy_list list = { .items = items, .count = roll(4) ? 1 : 2 };
    struct error err;
    random_expression(texts[0], sizeof texts[0]);
    random_expression(texts[1], sizeof texts[1]);
    assert_int_equal(schedule_open(io_real(), &list, zones[roll(12)], ret_schedule, &err), 0);
}

static void configure(struct agenda_task *task)
{
    task->tier = 1 + roll(5);
    task->start_delay_s = roll(2) ? 0 : (int64_t)roll(15 * MINUTE);
    task->retry = (struct policy_retry){ .times = roll(5), .delay_s = MINUTE + roll(10 * MINUTE), .max_delay_s = HOUR };
    task->catch_up = roll(4) != 0;
    if (roll(4) == 0)
        task->window.length_s = HOUR + roll(8 * HOUR);
    if (roll(6) == 0)
        task->window.until_minute = roll(1440);
    task->window.at_end = roll(3);
}

// Tasks come in pairs of one policy now and then, and after those with a smaller number.
static void make_tasks(struct simulation *s, size_t count)
{
    s->agenda.tasks = xcalloc(count, sizeof *s->agenda.tasks);
    s->subjects = xcalloc(count, sizeof *s->subjects);
    s->names = xcalloc(count, sizeof *s->names);
    s->agenda.count = count;
    for (size_t i = 0; i < count; i++) {
        struct agenda_task *task = &s->agenda.tasks[i];
        struct subject *subject = &s->subjects[i];
        bool second = i > 0 && roll(8) == 0 && strcmp(s->agenda.tasks[i - 1].action, "backup") == 0;
        agenda_task_init(task);
        configure(task);
        make_schedule(&subject->schedule);
        (void)snprintf(s->names[i], sizeof s->names[i], "p%zu", second ? i - 1 : i);
        task->policy = s->names[i];
        task->action = second ? "verify" : "backup";
        task->schedule = &subject->schedule;
        task->after = subject->after;
        for (; i > 0 && task->after_count < 2 && roll(6) == 0; task->after_count++)
            subject->after[task->after_count] = roll(i);
        task->skip_after_failure = roll(2) == 0;
        subject->recorded_s = subject->last_success_s = AGENDA_NEVER;
    }
}

// ---- what is demanded --------------------------------------------------------------------------------------------------

// The next slots of a task, `from` to `to`, are decided: nothing may have been left out before them, and none be decided twice.
static uint64_t take_slots(struct simulation *s, size_t index, int64_t from, int64_t to)
{
    uint64_t count = 1;
    struct subject *subject = &s->subjects[index];
    int64_t wanted = schedule_next(&subject->schedule, subject->recorded_s);
    if (from != wanted)
        fail_msg("task %zu: slot %lld decided, %lld was next", index, (long long)from, (long long)wanted);
    for (; wanted < to; count++)
        wanted = schedule_next(&subject->schedule, wanted);
    assert_true(wanted == to);
    subject->recorded_s = to;
    s->f.slots += count;
    return count;
}

static void check_start(struct simulation *s, const struct agenda_decision *d)
{
    const struct agenda_task *task = &s->agenda.tasks[d->task];
    const struct subject *subject = &s->subjects[d->task];
    size_t running = 0;
    for (size_t i = 0; i < s->agenda.count; i++) {
        const struct agenda_task *other = &s->agenda.tasks[i];
        running += other->running.there && !s->subjects[i].by_hand; // people are not held back
        if (i != d->task && other->running.there && strcmp(other->policy, task->policy) == 0)
            fail_msg("policy %s does two things at once", task->policy);
    }
    assert_true(running <= s->agenda.max_parallel);
    if (running > s->f.most_at_once)
        s->f.most_at_once = running;
    assert_true(d->attempt > 1 || clock_of(s) >= d->slot_s + task->start_delay_s); // the clock may have gone back before a retry
    assert_true(clock_of(s) < agenda_window_end(task, d->slot_s));
    assert_true(task->paused_s == AGENDA_NEVER);
    if (d->attempt > 1) {
        assert_true(subject->last.slot_s == d->slot_s && subject->last.attempt + 1 == d->attempt);
        assert_true(subject->last.outcome == AGENDA_FAILED || subject->last.outcome == AGENDA_KILLED);
        assert_true(d->attempt <= task->retry.times + 1 || (d->attempt == 2 && subject->last.outcome == AGENDA_KILLED));
    }
    for (size_t i = 0; i < task->after_count; i++) {
        const struct agenda_task *before = &s->agenda.tasks[task->after[i]];
        assert_false(before->is_pending);
        // What began in the same pass began before: it would have been waited for.
        assert_false(before->running.there && before->running.slot_s != AGENDA_NEVER);
    }
}

static void begin_run(struct simulation *s, const struct agenda_decision *d)
{
    struct subject *subject = &s->subjects[d->task];
    int64_t wait = clock_of(s) - d->slot_s;
    subject->by_hand = false;
    check_start(s, d);
    if (d->attempt == 1) {
        s->f.runs += take_slots(s, d->task, d->slot_s, d->slot_s);
        if (s->agenda.tasks[d->task].after_count == 0 && wait > s->f.longest_wait_s)
            s->f.longest_wait_s = wait;
    } else {
        s->f.retries++;
    }
    subject->ends_at = s->now + (roll(20) ? roll_length(20, 2 * HOUR) : roll_length(HOUR, 2 * DAY));
    subject->will_be = roll(8) ? AGENDA_SUCCEEDED : roll(8) ? AGENDA_FAILED : AGENDA_HOPELESS;
}

static void carry_out(struct simulation *s, const struct agenda_decision *d)
{
    struct subject *subject = &s->subjects[d->task];
    if (d->what != AGENDA_START) {
        _cleanup_buf_ struct buf text = { 0 };
        assert_int_not_equal(d->reason, AGENDA_NO_REASON);
        agenda_reason_text(&s->agenda, d, &text);
        assert_true(text.len > 0);
    }
    switch (d->what) {
    case AGENDA_START: begin_run(s, d); return;
    case AGENDA_STOP:
        subject->ends_at = s->now + (int64_t)roll(10);
        subject->will_be = AGENDA_STOPPED;
        s->f.stopped++;
        return;
    case AGENDA_WARN_WINDOW: s->f.warned++; return;
    default: break;
    }
    if (d->reason == AGENDA_NEW) {
        assert_true(subject->recorded_s == AGENDA_NEVER);
        subject->recorded_s = d->slot_s;
        return;
    }
    uint64_t count = take_slots(s, d->task, d->first_s, d->slot_s);
    s->f.missed += d->what == AGENDA_MISSED ? count : 0;
    s->f.coalesced += d->what == AGENDA_COALESCED ? count : 0;
    s->f.skipped += d->what == AGENDA_SKIPPED ? count : 0;
}

// ---- what happens ------------------------------------------------------------------------------------------------------

static void end_run(struct simulation *s, size_t i, enum agenda_outcome outcome)
{
    struct agenda_task *task = &s->agenda.tasks[i];
    agenda_ended(task, outcome, clock_of(s));
    s->subjects[i].last = task->last;
    if (outcome == AGENDA_SUCCEEDED)
        s->subjects[i].last_success_s = task->last.began_s;
}

// The daemon is gone for a while; its runs with it, or not. What it knew is lost but for what the catalogue remembers.
static void crash(struct simulation *s)
{
    bool host = roll(2) == 0;
    s->now += roll_length(10, 5 * DAY);
    for (size_t i = 0; i < s->agenda.count; i++) {
        struct agenda_task *task = &s->agenda.tasks[i], fresh;
        struct subject *subject = &s->subjects[i];
        if (task->running.there && (host || subject->ends_at <= s->now))
            end_run(s, i, host ? AGENDA_KILLED : subject->will_be);
        agenda_task_init(&fresh);
        fresh.policy = task->policy, fresh.action = task->action, fresh.schedule = task->schedule, fresh.tier = task->tier;
        fresh.start_delay_s = task->start_delay_s, fresh.window = task->window, fresh.retry = task->retry, fresh.catch_up = task->catch_up;
        fresh.after = task->after, fresh.after_count = task->after_count, fresh.skip_after_failure = task->skip_after_failure;
        fresh.paused_s = task->paused_s;
        fresh.last_slot_s = subject->recorded_s;
        fresh.last_success_s = subject->last_success_s;
        fresh.last = subject->last;
        fresh.running = task->running;
        *task = fresh;
    }
    s->f.crashes++;
    s->crash_at = s->now + (int64_t)roll(20 * DAY);
}

// Back by less than what counts as a correction, or forward; in the end it is right again.
static void jump(struct simulation *s)
{
    if (s->clock_off_s != 0)
        s->clock_off_s = 0;
    else
        s->clock_off_s = roll(2) ? -(int64_t)roll(CLOCK_BACK_MAX) : (int64_t)roll(CLOCK_BACK_MAX);
    s->f.jumps++;
    s->jump_at = s->now + (int64_t)roll(30 * DAY);
}

// Somebody starts a run, or pauses a policy.
static void meddle(struct simulation *s)
{
    size_t i = roll(s->agenda.count);
    struct agenda_task *task = &s->agenda.tasks[i];
    s->hand_at = s->now + (int64_t)roll(3 * DAY);
    if (roll(3) == 0) {
        task->paused_s = clock_of(s);
        s->subjects[i].resumes_at = s->now + roll_length(HOUR, 10 * DAY);
        return;
    }
    for (size_t k = 0; k < s->agenda.count; k++)
        if (s->agenda.tasks[k].running.there && strcmp(s->agenda.tasks[k].policy, task->policy) == 0)
            return;
    agenda_began(task, AGENDA_NEVER, clock_of(s));
    s->subjects[i].ends_at = s->now + roll_length(20, 3 * HOUR);
    s->subjects[i].will_be = roll(5) ? AGENDA_SUCCEEDED : AGENDA_FAILED;
    s->subjects[i].by_hand = true;
    s->f.by_hand++;
}

static int64_t earlier(int64_t a, int64_t b) { return a < b ? a : b; }

// Goes on to the next moment at which something happens. wake_s: by the clock.
static void pass_time(struct simulation *s, int64_t wake_s)
{
    int64_t next = earlier(earlier(s->crash_at, s->jump_at), s->hand_at);
    if (wake_s != CALENDAR_NEVER)
        next = earlier(next, wake_s - s->clock_off_s);
    for (size_t i = 0; i < s->agenda.count; i++) {
        if (s->agenda.tasks[i].running.there)
            next = earlier(next, s->subjects[i].ends_at);
        if (s->agenda.tasks[i].paused_s != AGENDA_NEVER)
            next = earlier(next, s->subjects[i].resumes_at);
    }
    if (next > s->now) // else it was to happen while the daemon was down
        s->now = next;
    for (size_t i = 0; i < s->agenda.count; i++) {
        struct agenda_task *task = &s->agenda.tasks[i];
        if (task->running.there && s->subjects[i].ends_at <= s->now)
            end_run(s, i, s->subjects[i].will_be);
        if (task->paused_s != AGENDA_NEVER && s->subjects[i].resumes_at <= s->now)
            task->paused_s = AGENDA_NEVER;
    }
    if (s->crash_at <= s->now)
        crash(s);
    if (s->jump_at <= s->now)
        jump(s);
    if (s->hand_at <= s->now)
        meddle(s);
}

// In the end nothing is left undecided: with the daemon there and no run going on, each slot of the past has its record.
static void check_end(struct simulation *s)
{
    for (size_t i = 0; i < s->agenda.count; i++) {
        const struct agenda_task *task = &s->agenda.tasks[i];
        int64_t next = schedule_next(task->schedule, s->subjects[i].recorded_s);
        assert_true(next + task->start_delay_s > clock_of(s) || (task->is_pending && task->waits != AGENDA_NO_REASON));
    }
}

static void simulate(size_t policies, size_t max_parallel, int64_t length_s)
{
    struct simulation s = { .now = START, .end = START + length_s, .crash_at = START + 3 * DAY, .jump_at = START + DAY, .hand_at = START + HOUR };
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    make_tasks(&s, policies);
    s.agenda.max_parallel = max_parallel;
    while (s.now < s.end) {
        _cleanup_agenda_decisions_ struct agenda_decisions decisions = { 0 };
        agenda_decide(&s.agenda, clock_of(&s), &decisions);
        for (size_t i = 0; i < decisions.count; i++)
            carry_out(&s, &decisions.items[i]);
        s.f.passes++;
        pass_time(&s, decisions.wake_s);
    }
    _cleanup_agenda_decisions_ struct agenda_decisions last = { 0 };
    agenda_decide(&s.agenda, clock_of(&s), &last);
    for (size_t i = 0; i < last.count; i++)
        carry_out(&s, &last.items[i]);
    check_end(&s);
    clock_gettime(CLOCK_MONOTONIC, &after);
    print_message("%zu tasks, %lld days: %llu slots = %llu runs + %llu coalesced + %llu missed + %llu skipped; %llu retries, %llu stopped and %llu warned of at the window's "
                  "end, at most %zu at once; %llu crashes, %llu clock jumps, %llu runs by hand; longest wait %.1f h; %llu passes in %lld s\n",
                  policies, (long long)(length_s / DAY), (unsigned long long)s.f.slots, (unsigned long long)s.f.runs, (unsigned long long)s.f.coalesced,
                  (unsigned long long)s.f.missed, (unsigned long long)s.f.skipped, (unsigned long long)s.f.retries, (unsigned long long)s.f.stopped, (unsigned long long)s.f.warned,
                  s.f.most_at_once, (unsigned long long)s.f.crashes, (unsigned long long)s.f.jumps, (unsigned long long)s.f.by_hand, (double)s.f.longest_wait_s / HOUR,
                  (unsigned long long)s.f.passes, (long long)(after.tv_sec - before.tv_sec));
    assert_true(s.f.slots == s.f.runs + s.f.coalesced + s.f.missed + s.f.skipped);
    assert_true(s.f.runs > 0 && s.f.coalesced > 0 && s.f.missed > 0 && s.f.skipped > 0 && s.f.retries > 0);
    for (size_t i = 0; i < policies; i++)
        schedule_done(&s.subjects[i].schedule);
    free(s.agenda.tasks);
    free(s.subjects);
    free(s.names);
}

static void test_years(void **state)
{
    (void)state;
    const char *how = getenv("BKD_TEST_AGENDA"), *given = getenv("BKD_TEST_SEED");
    seed = given ? strtoull(given, NULL, 10) : 20261125;
    print_message("BKD_TEST_SEED=%llu\n", (unsigned long long)seed);
    if (how && strcmp(how, "full") == 0)
        simulate(200, 32, 20 * YEAR);
    else
        simulate(40, 6, YEAR);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_years) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
