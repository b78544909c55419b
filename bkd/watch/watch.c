#include "bkd/watch/watch.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"
#include "bkd/base/clock.h"
#include "bkd/base/error.h"
#include "bkd/base/shell.h"

#define MINUTE_NS (UINT64_C(60) * 1000000000)
#define HOUR_NS (60 * MINUTE_NS)
#define DAY_NS (24 * HOUR_NS)
#define SKEW_NS (5 * MINUTE_NS)      // clocks further apart than this are wrong (doc/bkd.1.in)
#define PAUSED_LONG_NS (3 * DAY_NS)
#define SLOT_GRACE_NS HOUR_NS        // a slot that nobody has looked at for so long: nobody does
#define UNREACHABLE_LONG_NS DAY_NS
#define KEY_DRILL_DAYS UINT64_C(180)
#define DISK_SOON_DAYS 14u
#define DISK_NOW_DAYS 3u
#define DISK_NEARLY_PART 50u          // less than one part of so many is free
#define RTO_SOON_DAYS 90u

const char *const *watch_kinds(void)
{
    static const char *const kinds[] = {
        "policy-invalid", "store", "no-snapshot", "rpo", "incomplete", "integrity", "rolled-back", "foreign", "suspect", "run-failed", "schedule", "paused",
        "copy-overdue", "copy-unreached", "copy-damaged", "disk", "prune", "verification", "rto", "rto-trend", "proof-overdue", "differing", "catalogue",
        "clock", "clock-sync", "clock-far", "identities", "key-drill", "negative-drill", "by-hand-drill", "plan-invalid", "plan-review", "plan-unrehearsed",
        "plan-unfinished", "plan-waiting", "drill-unfinished", "drill-overdue", "drill-failed", "improvement", NULL,
    };
    return kinds;
}

void watch_findings_done(struct watch_findings *f)
{
    free(f->items);
    *f = (struct watch_findings){ 0 };
}

bool watch_is_kind(const char *kind)
{
    for (const char *const *k = watch_kinds(); *k != NULL; k++)
        if (strcmp(*k, kind) == 0)
            return true;
    return false;
}

static struct watch_finding *append(struct watch_findings *f, const char *kind, enum severity severity, enum watch_effect effect)
{
    f->items = xrealloc(f->items, (f->n + 1) * sizeof *f->items);
    struct watch_finding *finding = &f->items[f->n++];
    *finding = (struct watch_finding){ .copy = "", .severity = severity, .effect = effect };
    (void)snprintf(finding->kind, sizeof finding->kind, "%s", kind);
    return finding;
}

// Of ours: one that is not in the list would be shown, but never become an alarm.
static struct watch_finding *add(struct watch_findings *f, const char *kind, enum severity severity, enum watch_effect effect)
{
    assert(watch_is_kind(kind));
    return append(f, kind, severity, effect);
}

static void __attribute__((format(printf, 2, 3))) say(char text[WATCH_TEXT_MAX], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, WATCH_TEXT_MAX, format, args);
    va_end(args);
}

static uint64_t age_of(uint64_t then_ns, uint64_t now_ns) { return now_ns > then_ns ? now_ns - then_ns : 0; }

static unsigned long long number(uint64_t n) { return (unsigned long long)n; }

static bool is_late(const struct watch_facts *w, uint64_t now_ns) { return w->rpo_ns > 0 && age_of(w->good_ns, now_ns) > w->rpo_ns; }

static bool was_rolled_back(const struct watch_facts *w) { return w->lost_head > 0; }

static bool is_sound(const struct watch_facts *w) { return w->head_problems == 0 && w->record_problems == 0 && w->foreign_head == 0 && !was_rolled_back(w); }

bool watch_is_protected(const struct watch_facts *w, uint64_t now_ns)
{
    return w->is_loaded && w->good > 0 && !is_late(w, now_ns) && is_sound(w) && w->suspects == 0 && !w->is_incomplete;
}

// What a check found, whoever raised it.
static bool is_of_integrity(const char *kind) { return strcmp(kind, "check") == 0 || strcmp(kind, "check-quick") == 0 || strcmp(kind, "check-data") == 0; }

struct watch_finding *watch_add(struct watch_findings *findings, const char *kind, enum severity severity, const char *text, const char *step)
{
    struct watch_finding *finding = append(findings, kind, severity, is_of_integrity(kind) ? WATCH_SECURITY : severity == SEVERITY_INFO ? WATCH_NOTE : WATCH_RISK);
    say(finding->text, "%s", text);
    say(finding->step, "%s", step);
    return finding;
}

// ---- the policy and its repository

static void judge_policy_file(const struct watch_facts *w, struct watch_findings *f)
{
    if (w->policy_problem == NULL)
        return;
    struct watch_finding *found = add(f, "policy-invalid", SEVERITY_CRITICAL, w->is_loaded ? WATCH_RISK : WATCH_OBJECTIVE);
    say(found->text, "the policy file cannot be used%s: %s", w->is_loaded ? ", what it said before goes on" : "", w->policy_problem);
    _cleanup_free_ char *word = shell_word(w->policy); // a path, where one was given
    say(found->step, "correct it: bkd policy check %s", word);
}

static void judge_store(const struct watch_facts *w, uint64_t now_ns, struct watch_findings *f)
{
    if (w->store_problem == NULL)
        return;
    bool nothing_known = w->good == 0;
    struct watch_finding *found = add(f, "store", nothing_known ? SEVERITY_CRITICAL : SEVERITY_WARNING, nothing_known || is_late(w, now_ns) ? WATCH_OBJECTIVE : WATCH_RISK);
    if (w->store_is_missing)
        say(found->text, "there is no repository yet");
    else
        say(found->text, "the repository cannot be opened: %s", w->store_problem);
    if (w->store_is_missing)
        say(found->step, "make it: bkd init %s; then a first backup: bkd backup %s", w->policy, w->policy);
    else
        say(found->step, "%s", w->store_step == NULL ? "mount its disk, or see whether its server answers; then: bkd status" : w->store_step);
}

static void judge_integrity(const struct watch_facts *w, struct watch_findings *f)
{
    if (w->head_problems > 0 || w->record_problems > 0) {
        struct watch_finding *found = add(f, "integrity", SEVERITY_CRITICAL, WATCH_SECURITY);
        say(found->text, "%llu heads and %llu records (tags, holds, releases) are not as they were signed", number(w->head_problems), number(w->record_problems));
        say(found->step, "find out which, and who was there: bkd check %s", w->policy);
    }
    if (w->foreign_head > 0) {
        struct watch_finding *found = add(f, "foreign", SEVERITY_CRITICAL, WATCH_SECURITY);
        say(found->text, "snapshot %llu, and what follows, was made with this host's key, but not by this host", number(w->foreign_head));
        say(found->step, "find out who has the key, or whether the state directory was set back: bkd snapshots %s; bkd backup %s says how to go on", w->policy, w->policy);
    }
    if (!was_rolled_back(w))
        return;
    struct watch_finding *found = add(f, "rolled-back", SEVERITY_CRITICAL, WATCH_SECURITY);
    say(found->text, "snapshots are missing: the repository does not hold number %llu as this host made it", number(w->lost_head));
    say(found->step, "ask who set the repository back; compare with the copies: bkd check %s, bkd ship %s --dry-run", w->policy, w->policy);
}

static void judge_suspects(const struct watch_facts *w, struct watch_findings *f)
{
    if (w->suspects == 0)
        return;
    struct watch_finding *found = add(f, "suspect", SEVERITY_CRITICAL, WATCH_SECURITY);
    uint64_t first = w->first_suspect, before = w->before_suspect;
    say(found->text, "snapshot %llu is suspect%s: far more files are gone, changed or turned incompressible than usual; retention is stopped", number(first),
        w->suspects > 1 ? ", and later ones" : "");
    if (before > 0)
        say(found->step, "look: bkd diff %s %llu %llu --stat; keep the last good one: bkd hold %s %llu; if it was meant: bkd accept %s %llu", w->policy, number(before),
            number(first), w->policy, number(before), w->policy, number(first));
    else
        say(found->step, "look: bkd ls %s %llu; if it was meant: bkd accept %s %llu", w->policy, number(first), w->policy, number(first));
}

static void judge_age(const struct watch_facts *w, uint64_t now_ns, struct watch_findings *f)
{
    char age[CLOCK_TEXT_MAX], limit[CLOCK_TEXT_MAX];
    bool none_tried = !w->has_run && w->failing_since_ns == 0 && w->newest == 0;
    if (w->good == 0 && w->store_problem == NULL) {
        struct watch_finding *found = add(f, "no-snapshot", none_tried ? SEVERITY_WARNING : SEVERITY_CRITICAL, WATCH_OBJECTIVE);
        say(found->text, w->newest == 0 ? "there is no snapshot yet" : "there is no snapshot that can be relied on");
        say(found->step, w->running_since_ns > 0 ? "one is being made: bkd status %s --watch" : "make one: bkd backup %s", w->policy);
    }
    if (w->good == 0 || !is_late(w, now_ns))
        return;
    struct watch_finding *found = add(f, "rpo", SEVERITY_CRITICAL, WATCH_OBJECTIVE);
    clock_format_age(age, age_of(w->good_ns, now_ns));
    clock_format_age(limit, w->rpo_ns);
    say(found->text, "the newest good snapshot is %s old, and %s are promised", age, limit);
    say(found->step, w->running_since_ns > 0 ? "one is being made: bkd status %s --watch" : "make one now, and see what it says: bkd backup %s", w->policy);
}

static void judge_completeness(const struct watch_facts *w, struct watch_findings *f)
{
    if (!w->is_incomplete)
        return;
    struct watch_finding *found = add(f, "incomplete", SEVERITY_WARNING, WATCH_RISK);
    say(found->text, "snapshot %llu is incomplete: something could not be read, or changed while it was", number(w->newest));
    if (w->run_id > 0)
        say(found->step, "see what: bkd runs show %llu; correct it, or leave it out with `exclude`", number(w->run_id));
    else
        say(found->step, "run `bkd backup %s` and see what it names; correct it, or leave it out with `exclude`", w->policy);
}

// ---- runs and schedule

static void judge_runs(const struct watch_facts *w, uint64_t now_ns, struct watch_findings *f)
{
    char age[CLOCK_TEXT_MAX];
    if (w->failing_since_ns > 0) {
        struct watch_finding *found = add(f, "run-failed", w->failures > 2 ? SEVERITY_CRITICAL : SEVERITY_WARNING, WATCH_RISK);
        clock_format_age(age, age_of(w->failing_since_ns, now_ns));
        say(found->text, "the last backup %s%s%s%s (%llu failed since %s)", w->run_was_killed ? "was killed" : "failed", w->run_message[0] == '\0' ? "" : ": ", w->run_message,
            w->run_message[0] == '\0' && !w->run_was_killed ? ", and did not say why" : "", number(w->failures), age);
        say(found->step, "correct that, then: bkd backup %s%s", w->policy, w->run_id > 0 ? "" : " -v");
    }
    if (w->prune_problem != NULL) {
        struct watch_finding *found = add(f, "prune", SEVERITY_WARNING, WATCH_NOTE);
        say(found->text, "old snapshots were not removed: %s", w->prune_problem);
        say(found->step, "see what it would do: bkd prune %s --dry-run", w->policy);
    }
    if (w->differing > 0) {
        struct watch_finding *found = add(f, "differing", SEVERITY_WARNING, WATCH_RISK);
        clock_format_age(age, age_of(w->differing_ns, now_ns));
        say(found->text, "%llu files are not what was stored, though size, times and inode are the same (seen %s ago): a disk that changes data, or somebody who hides a change",
            number(w->differing), age);
        say(found->step, "find which: bkd-restore the newest snapshot aside and compare; the stored content is the earlier one, and stays");
    }
}

static char *from_copy(const char *copy)
{
    _cleanup_free_ char *word = shell_word(copy);
    return xasprintf(" --from %s", word);
}

static void judge_proof(const struct watch_facts *w, const char *copy, uint64_t refuted, struct watch_findings *f)
{
    if (refuted == 0)
        return;
    bool is_home = copy[0] == '\0';
    struct watch_finding *found = add(f, "verification", SEVERITY_CRITICAL, WATCH_SECURITY);
    found->copy = copy;
    say(found->text, "the last proof by a restore%s%s failed, of snapshot %llu", is_home ? "" : " from the copy ", copy, number(refuted));
    _cleanup_free_ char *from = is_home ? xstrdup("") : from_copy(copy);
    say(found->step, "find what is damaged: bkd check %s%s --read-data; then prove it again: bkd verify %s%s", w->policy, from, w->policy, from);
}

// Nobody proves: a verification may fail to start once, not twice.
static void judge_rto(const struct watch_facts *w, uint64_t now_ns, struct watch_findings *f)
{
    char took[CLOCK_TEXT_MAX], promised[CLOCK_TEXT_MAX];
    clock_format_duration(took, w->measured_ns);
    clock_format_duration(promised, w->rto_ns);
    if (w->rto_ns > 0 && w->measured_ns > w->rto_ns) {
        struct watch_finding *found = add(f, "rto", SEVERITY_WARNING, WATCH_OBJECTIVE);
        say(found->text, "the last measured restore took %s, and %s are promised", took, promised);
        say(found->step, "see where the time goes: bkd verify %s, bkd estimate %s; make it faster, or promise less (objectives.rto)", w->policy, w->policy);
    } else if (w->rto_ns > 0 && w->rto_crossed_in_days <= RTO_SOON_DAYS) {
        struct watch_finding *found = add(f, "rto-trend", SEVERITY_WARNING, WATCH_RISK);
        say(found->text, "restores take longer and longer: in %llu days more than the %s that are promised", number(w->rto_crossed_in_days), promised);
        say(found->step, "see the trend: bkd rto %s; what would help: bkd estimate %s", w->policy, w->policy);
    }
    if (w->proof_due_ns == 0 || age_of(w->proof_due_ns, now_ns) <= SLOT_GRACE_NS)
        return;
    struct watch_finding *found = add(f, "proof-overdue", SEVERITY_WARNING, WATCH_RISK);
    clock_format_age(took, age_of(w->verified_ns, now_ns));
    if (w->verified_ns == 0)
        say(found->text, "no restore was ever tried, though `verify` has a schedule");
    else
        say(found->text, "the last verification was %s ago, longer than its schedule allows", took);
    say(found->step, "prove it now, and see what it says: bkd verify %s", w->policy);
}

// A key that nobody has tried is no key. That it never was is only to be known: a host is not at risk on its first day.
static void judge_key(const struct watch_facts *w, uint64_t now_ns, struct watch_findings *f)
{
    char age[CLOCK_TEXT_MAX];
    bool is_old = w->key_drilled_ns > 0 && age_of(w->key_drilled_ns, now_ns) > KEY_DRILL_DAYS * DAY_NS;
    if (!w->has_key || w->good == 0 || (w->key_drilled_ns > 0 && !is_old))
        return;
    struct watch_finding *found = add(f, "key-drill", is_old ? SEVERITY_WARNING : SEVERITY_INFO, is_old ? WATCH_RISK : WATCH_NOTE);
    clock_format_age(age, age_of(w->key_drilled_ns, now_ns));
    if (is_old)
        say(found->text, "the offline key was tried %s ago, and should be every %llu days", age, number(KEY_DRILL_DAYS));
    else
        say(found->text, "the offline key was never tried");
    say(found->step, "bring it, and see whether it opens a backup: bkd drill key %s -i recovery.txt", w->policy);
}

static void judge_drills(const struct watch_facts *w, struct watch_findings *f)
{
    if (w->unnoticed != NULL) {
        struct watch_finding *found = add(f, "negative-drill", SEVERITY_CRITICAL, WATCH_SECURITY);
        say(found->text, "damage or deceit went unnoticed in the last negative drill (%s): the same may happen to the backups unnoticed", w->unnoticed);
        say(found->step, "see which: bkd drill report %s -o FILE; mend what looks away, then: bkd drill negative %s", w->unnoticed, w->policy);
    }
    if (w->unrecovered != NULL) {
        struct watch_finding *found = add(f, "by-hand-drill", SEVERITY_WARNING, WATCH_RISK);
        say(found->text, "the last recovery without bkd (%s) did not pass", w->unrecovered);
        say(found->step, "see why: bkd drill report %s -o FILE; then again: bkd drill by-hand %s", w->unrecovered, w->policy);
    }
}

static void judge_killed_drill(const struct watch_facts *w, struct watch_findings *f)
{
    if (w->killed_drill == NULL)
        return;
    struct watch_finding *found = add(f, "drill-unfinished", SEVERITY_WARNING, WATCH_NOTE);
    say(found->text, "the last %s drill (%s) was killed before its end, and says nothing", w->killed_kind, w->killed_drill);
    say(found->step, "hold it again: bkd drill %s %s", w->killed_kind, w->policy);
}

static void judge_schedule(const struct watch_facts *w, uint64_t now_ns, struct watch_findings *f)
{
    char age[CLOCK_TEXT_MAX], slot[CLOCK_TEXT_MAX];
    if (w->paused_ns > 0 && w->has_schedule) {
        bool is_long = age_of(w->paused_ns, now_ns) > PAUSED_LONG_NS;
        struct watch_finding *found = add(f, "paused", is_long ? SEVERITY_WARNING : SEVERITY_INFO, is_long ? WATCH_RISK : WATCH_NOTE);
        clock_format_age(age, age_of(w->paused_ns, now_ns));
        say(found->text, "paused for %s%s%s", age, w->paused_by[0] == '\0' ? "" : " by ", w->paused_by);
        say(found->step, "go on: bkd resume %s", w->policy);
    } else if (w->has_schedule && w->overdue_slot_ns > 0 && age_of(w->overdue_slot_ns, now_ns) > SLOT_GRACE_NS && w->running_since_ns == 0) {
        struct watch_finding *found = add(f, "schedule", SEVERITY_WARNING, WATCH_RISK);
        clock_format_utc(slot, w->overdue_slot_ns, false);
        say(found->text, "nobody ran what was due at %s", slot);
        say(found->step, "start the daemon (systemctl enable --now bkd), or let cron call `bkd run --due`");
    }
}

// ---- copies and disk

static void judge_copy(const struct watch_facts *w, const struct watch_copy *copy, uint64_t now_ns, struct watch_findings *f)
{
    char age[CLOCK_TEXT_MAX], limit[CLOCK_TEXT_MAX];
    const char *disk = copy->is_removable ? "bring its disk, then: " : "";
    _cleanup_free_ char *to = shell_word(copy->url);
    if (copy->is_damaged && copy->problem != NULL) { // whatever its age: time does not heal it
        struct watch_finding *found = add(f, "copy-damaged", SEVERITY_CRITICAL, WATCH_SECURITY);
        found->copy = copy->url;
        say(found->text, "the copy %s is not as it was: %s", copy->url, copy->problem);
        say(found->step, "find out who or what changed it, then: bkd ship %s --to %s", w->policy, to);
        return;
    }
    bool overdue = copy->snapshot == 0 || age_of(copy->snapshot_time_ns, now_ns) > copy->max_age_ns;
    if (overdue && (copy->snapshot > 0 || w->newest > 0)) {
        struct watch_finding *found = add(f, "copy-overdue", SEVERITY_CRITICAL, WATCH_OBJECTIVE);
        clock_format_age(age, age_of(copy->snapshot_time_ns, now_ns));
        clock_format_age(limit, copy->max_age_ns);
        found->copy = copy->url;
        if (copy->snapshot == 0)
            say(found->text, "no snapshot has reached the copy %s%s%s", copy->url, copy->problem == NULL ? "" : ": ", copy->problem == NULL ? "" : copy->problem);
        else
            say(found->text, "the newest snapshot of the copy %s is %s old, and %s are promised%s%s", copy->url, age, limit, copy->problem == NULL ? "" : ": ",
                copy->problem == NULL ? "" : copy->problem);
        say(found->step, "%sbkd ship %s --to %s", disk, w->policy, to);
        return;
    }
    if (copy->failing_since_ns == 0)
        return;
    bool is_long = age_of(copy->failing_since_ns, now_ns) > UNREACHABLE_LONG_NS && !copy->is_removable;
    struct watch_finding *found = add(f, "copy-unreached", is_long ? SEVERITY_WARNING : SEVERITY_INFO, is_long ? WATCH_RISK : WATCH_NOTE);
    clock_format_age(age, age_of(copy->failing_since_ns, now_ns));
    found->copy = copy->url;
    say(found->text, "the copy %s has not been brought up to date for %s%s%s", copy->url, age, copy->problem == NULL ? "" : ": ", copy->problem == NULL ? "" : copy->problem);
    say(found->step, "%sbkd ship %s --to %s", disk, w->policy, to);
}

// "the repository", "the copy /mnt/usb".
static const char *place_of(const char *copy) { return copy[0] == '\0' ? "the repository" : "the copy "; }

static void judge_far_clock(const char *copy, uint64_t off_ns, struct watch_findings *f)
{
    char off[CLOCK_TEXT_MAX];
    if (off_ns <= SKEW_NS)
        return;
    struct watch_finding *found = add(f, "clock-far", SEVERITY_WARNING, WATCH_RISK);
    found->copy = copy;
    clock_format_age(off, off_ns);
    say(found->text, "this host's clock and that of the server of %s%s are %s apart", place_of(copy), copy, off);
    say(found->step, "set the one that is wrong (timedatectl)");
}

static void judge_disk(const struct watch_facts *w, const char *copy, const struct watch_disk *disk, struct watch_findings *f)
{
    char left[CLOCK_TEXT_MAX], growth[CLOCK_TEXT_MAX], total[CLOCK_TEXT_MAX];
    bool is_soon = disk->full_in_days <= DISK_SOON_DAYS, is_nearly = disk->free_bytes < disk->total_bytes / DISK_NEARLY_PART;
    if (!disk->is_known || (!is_soon && !is_nearly))
        return;
    struct watch_finding *found = add(f, "disk", disk->full_in_days <= DISK_NOW_DAYS ? SEVERITY_CRITICAL : SEVERITY_WARNING, WATCH_RISK);
    found->copy = copy;
    clock_format_bytes(left, disk->free_bytes);
    clock_format_bytes(growth, disk->bytes_per_day);
    clock_format_bytes(total, disk->total_bytes);
    if (is_soon)
        say(found->text, "the disk of %s%s is full in %llu days: %s are free, and %s come each day", place_of(copy), copy, number(disk->full_in_days), left, growth);
    else
        say(found->text, "the disk of %s%s is nearly full: %s of %s are free", place_of(copy), copy, left, total);
    say(found->step, "make room, or keep less (`keep` in the policy; bkd prune %s --dry-run shows what that gives)", w->policy);
}

// ---- all of it

static int by_weight(const void *a, const void *b)
{
    const struct watch_finding *x = a, *y = b;
    int order = (int)y->severity - (int)x->severity;
    return order != 0 ? order : (int)y->effect - (int)x->effect;
}

// Since when: the objective was missed when the newest good snapshot grew too old for it; else the first run that failed.
static uint64_t since(const struct watch_facts *w, enum watch_state state, uint64_t now_ns)
{
    if (state == WATCH_NOT_PROTECTED && w->good > 0 && is_late(w, now_ns))
        return w->good_ns + w->rpo_ns;
    if (state == WATCH_PROTECTED)
        return 0;
    return w->failing_since_ns;
}

enum watch_state watch_policy(const struct watch_facts *w, uint64_t now_ns, struct watch_findings *ret_findings, uint64_t *ret_since_ns)
{
    struct watch_findings found = { 0 };
    judge_policy_file(w, &found);
    if (w->is_loaded) {
        judge_store(w, now_ns, &found);
        judge_integrity(w, &found);
        judge_suspects(w, &found);
        judge_age(w, now_ns, &found);
        judge_completeness(w, &found);
        judge_runs(w, now_ns, &found);
        judge_key(w, now_ns, &found);
        judge_drills(w, &found);
        judge_killed_drill(w, &found);
        judge_schedule(w, now_ns, &found);
        judge_rto(w, now_ns, &found);
        judge_proof(w, "", w->refuted, &found);
        for (size_t i = 0; i < w->n_copies; i++) {
            judge_copy(w, &w->copies[i], now_ns, &found);
            judge_proof(w, w->copies[i].url, w->copies[i].refuted, &found);
            judge_disk(w, w->copies[i].url, &w->copies[i].disk, &found);
            judge_far_clock(w->copies[i].url, w->copies[i].clock_off_ns, &found);
        }
        judge_disk(w, "", &w->disk, &found);
        judge_far_clock("", w->far_clock_off_ns, &found);
    }
    if (found.n > 1)
        qsort(found.items, found.n, sizeof *found.items, by_weight);
    enum watch_state state = WATCH_PROTECTED;
    for (size_t i = 0; i < found.n; i++)
        if (found.items[i].effect != WATCH_NOTE)
            state = WATCH_AT_RISK;
    if (!w->is_loaded || w->good == 0 || is_late(w, now_ns) || !is_sound(w))
        state = WATCH_NOT_PROTECTED;
    *ret_since_ns = since(w, state, now_ns);
    *ret_findings = found;
    return state;
}

void watch_host(const struct watch_host *host, struct watch_findings *ret_findings)
{
    char off[CLOCK_TEXT_MAX];
    struct watch_findings found = { 0 };
    if (host->catalogue_problem != NULL) {
        struct watch_finding *finding = add(&found, "catalogue", SEVERITY_WARNING, WATCH_RISK);
        say(finding->text, "the catalogue of runs and alarms cannot be used: %s", host->catalogue_problem);
        say(finding->step, "backups go on without it; make it anew: bkd catalogue rebuild");
    }
    if (host->clock_is_behind && host->clock_off_ns > SKEW_NS) {
        struct watch_finding *finding = add(&found, "clock", SEVERITY_CRITICAL, WATCH_RISK);
        clock_format_age(off, host->clock_off_ns);
        say(finding->text, "this host's clock is %s before a snapshot of policy %s: one of the two is wrong", off, host->clock_policy);
        say(finding->step, "set the clock (timedatectl); until then retention removes nothing");
    }
    if (host->clock_is_unsynchronised) {
        struct watch_finding *finding = add(&found, "clock-sync", SEVERITY_INFO, WATCH_NOTE);
        say(finding->text, "no time server keeps this host's clock right");
        say(finding->step, "timedatectl set-ntp true, or leave it to the machine this one runs on");
    }
    if (host->identities_here) {
        struct watch_finding *finding = add(&found, "identities", SEVERITY_WARNING, WATCH_NOTE);
        say(finding->text, "identities lie on this host, in %s: whoever breaks in can read all backups", host->keys_dir);
        say(finding->step, "move operations.txt to the host that restores, and recovery.txt off line");
    }
    *ret_findings = found;
}

int watch_exit_code(const struct watch_findings *findings)
{
    int code = 0, security = error_exit_code(ERROR_INTEGRITY);
    for (size_t i = 0; i < findings->n; i++) {
        if (findings->items[i].effect == WATCH_SECURITY)
            code = security;
        else if (findings->items[i].effect == WATCH_OBJECTIVE && code != security)
            code = error_exit_code(ERROR_OBJECTIVE);
    }
    return code;
}
