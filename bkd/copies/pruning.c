#include "bkd/copies/pruning.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/interrupt.h"
#include "bkd/base/log.h"
#include "bkd/engine/replicate.h"
#include "bkd/history/recording.h"
#include "bkd/policy/units.h"
#include "bkd/record/alarms.h"
#include "bkd/snapshots/holding.h"

void pruning_rules_text(const struct keep_rules *r, struct buf *out)
{
    const struct { const char *name; uint64_t count; } rules[] = {
        { "last", r->last }, { "hourly", r->hourly }, { "daily", r->daily }, { "weekly", r->weekly }, { "monthly", r->monthly }, { "quarterly", r->quarterly },
        { "yearly", r->yearly },
    };
    const char *separator = "";
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (rules[i].count == 0)
            continue;
        buf_addf(out, "%s%s %llu", separator, rules[i].name, (unsigned long long)rules[i].count);
        separator = ", ";
    }
    char within[UNITS_TEXT_MAX];
    units_format_duration(within, r->within_s);
    if (r->within_s > 0)
        buf_addf(out, "%swithin %s", separator, within);
}

// ---- telling

// Why it stays; of one that goes, why no more.
static const char *fate(const struct pruning *p, const struct prune_item *item, bool *ret_stays)
{
    *ret_stays = p->options.rules == NULL ? item->tombstone == NULL || (item->keep.reasons & ~(unsigned)(KEEP_ALL | KEEP_DOUBT)) != 0 : item->keep.reasons != 0;
    return item->tombstone == NULL ? "no-rule-keeps-it" : "given-up";
}

static int tell_json(const struct pruning *p, const struct prune_item *item, struct error *err)
{
    bool stays;
    const char *reason, *no_more = fate(p, item, &stays);
    struct json *line = json_line_new("snapshot");
    json_add_str(line, "policy", p->policy);
    json_add_str(line, "store", p->options.repository->store->url);
    json_add_u64(line, "snapshot", item->head->number);
    json_add_time(line, "time", item->head->head.time_ns);
    json_add_bool(line, "keep", stays);
    struct json *reasons = json_add_array(line, "reasons");
    for (unsigned at = 0; stays && (reason = keep_reason_next(item->keep.reasons, &at)) != NULL;)
        json_append_str(reasons, reason);
    if (!stays)
        json_append_str(reasons, no_more);
    if (item->tombstone != NULL) {
        json_add_time(line, "given_up", item->tombstone->time_ns);
        json_add_time(line, "goes_after", item->due_ns);
    }
    return json_line_print(&line, stdout, err);
}

static void tell_text(const struct pruning *p, const struct prune_item *item)
{
    bool stays;
    char time[CLOCK_TEXT_MAX], after[CLOCK_TEXT_MAX];
    const char *reason, *separator = "", *no_more = fate(p, item, &stays);
    clock_format_utc(time, item->head->head.time_ns, false);
    printf("%8llu  %s  %s  ", (unsigned long long)item->head->number, time, stays ? "stays" : "goes ");
    for (unsigned at = 0; stays && (reason = keep_reason_next(item->keep.reasons, &at)) != NULL; separator = ", ")
        printf("%s%s", separator, reason);
    if (!stays && item->tombstone != NULL) {
        clock_format_utc(after, item->due_ns, false);
        printf("given up, its data goes after %s", after);
    } else if (!stays) {
        printf("%s", no_more);
    }
    printf("\n");
}

static int tell_all(const struct pruning *p, const struct prune_plan *plan, struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < plan->n; i++) {
        if (plan->items[i].gone)
            continue;
        if (p->ctx->json)
            r = tell_json(p, &plan->items[i], err);
        else if (p->dry_run || p->ctx->verbosity > 0)
            tell_text(p, &plan->items[i]);
    }
    return r;
}

static void warn(const struct pruning *p, const struct prune_plan *plan)
{
    const struct keep_result *k = &plan->keep;
    if (k->frozen_by > 0)
        log_warn("policy %s: snapshot %llu is suspect, so nothing is removed until somebody looked at it: bkd accept %s %llu", p->policy,
                 (unsigned long long)k->frozen_by, p->policy, (unsigned long long)k->frozen_by);
    if (k->burst > 0)
        log_warn("policy %s: %zu snapshots in an hour, far more than ever before: find out who made them; they push no older ones out", p->policy, k->burst);
    if (k->doubtful > 0)
        log_warn("policy %s: the times of %zu snapshots contradict those around them (a clock was wrong, or somebody made them up); these snapshots stay", p->policy, k->doubtful);
}

// What somebody should hear of who does not read this run's output; the place is the alarm's copy.
static void set_alarm(const struct pruning *p, struct catalogue *c, const char *kind, bool stands, const char *text, const char *next_step)
{
    struct error err;
    const char *place = p->options.repository->store->url;
    const struct alarm_raise alarm = { .kind = kind, .policy = p->policy, .copy = place, .severity = SEVERITY_WARNING, .text = text, .next_step = next_step };
    int r = stands ? alarms_raise(c, &alarm, NULL, &err) : alarms_clear(c, kind, p->policy, place, NULL, NULL, &err);
    if (r < 0)
        log_warn("this alarm is not in the catalogue: %s", err.text);
}

static void set_alarms(const struct pruning *p, const struct prune_plan *plan)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    struct error err;
    if (p->dry_run || p->options.trust_receipts) // on a server that keeps copies of others there is no catalogue of theirs
        return;
    if (catalogue_open(p->ctx->io, p->ctx->state_dir, CATALOGUE_WRITE, &catalogue, &err) < 0) {
        log_warn("alarms of this run are not in the catalogue: %s", err.text);
        return;
    }
    _cleanup_free_ char *burst = xasprintf("%zu snapshots were made within an hour, far more than ever before", plan->keep.burst),
                        *times = xasprintf("the times of %zu snapshots contradict those around them; they are kept for good", plan->keep.doubtful);
    set_alarm(p, &catalogue, "snapshot-burst", plan->keep.burst > 0, burst, "find out who made them; they push no older ones out");
    set_alarm(p, &catalogue, "snapshot-times", plan->keep.doubtful > 0, times, "look at the host's clock, and at who could make snapshots: bkd snapshots POLICY");
}

static int sum_up_json(const struct pruning *p, const struct prune_plan *before, const struct prune_plan *plan, const struct prune_removed *removed, struct error *err)
{
    struct json *line = json_line_new("summary");
    json_add_str(line, "policy", p->policy);
    json_add_str(line, "store", p->options.repository->store->url);
    json_add_bool(line, "dry_run", p->dry_run);
    json_add_u64(line, "kept", before->keep.kept);
    json_add_u64(line, "given_up", before->to_give_up);
    json_add_u64(line, "revived", before->to_revive);
    json_add_u64(line, "waiting", plan->waiting);
    if (plan->next_due_ns > 0)
        json_add_time(line, "next_removal", plan->next_due_ns);
    json_add_u64(line, "due", before->due);
    json_add_u64(line, "removed_snapshots", removed->snapshots);
    json_add_u64(line, "removed_objects", removed->objects);
    json_add_u64(line, "removed_bytes", removed->bytes);
    json_add_u64(line, "leftover_objects", removed->left_objects);
    json_add_u64(line, "leftover_bytes", removed->left_bytes);
    json_add_u64(line, "frozen_by", before->keep.frozen_by);
    json_add_u64(line, "burst", before->keep.burst);
    json_add_u64(line, "doubtful", before->keep.doubtful);
    json_add_bool(line, "refused", removed->refused);
    return json_line_print(&line, stdout, err);
}

static void sum_up_text(const struct pruning *p, const struct prune_plan *before, const struct prune_plan *plan, const struct prune_removed *removed)
{
    char bytes[CLOCK_TEXT_MAX], left[CLOCK_TEXT_MAX], next[CLOCK_TEXT_MAX];
    _cleanup_buf_ struct buf rules = { 0 };
    clock_format_bytes(bytes, removed->bytes);
    clock_format_bytes(left, removed->left_bytes);
    clock_format_utc(next, plan->next_due_ns, false);
    if (p->options.rules != NULL)
        pruning_rules_text(p->options.rules, &rules);
    printf("%s: %s: %zu snapshots stay (%s)", p->policy, p->options.repository->store->url, plan->n - plan->gone - before->to_give_up - before->due - before->waiting,
           p->options.rules == NULL ? "as tombstones say" : rules.len == 0 ? "no rule is given: all stay" : buf_str(&rules));
    if (before->to_give_up > 0)
        printf(p->dry_run ? ", %zu would be given up" : ", %zu given up now", before->to_give_up);
    if (before->to_revive > 0)
        printf(p->dry_run ? ", %zu would be taken back" : ", %zu taken back", before->to_revive);
    if (p->dry_run && before->due > 0)
        printf(", data of %zu would be removed", before->due);
    if (removed->snapshots > 0)
        printf(", data of %llu removed: %llu objects, %s", (unsigned long long)removed->snapshots, (unsigned long long)removed->objects, bytes);
    if (removed->left_objects > 0)
        printf(", %s that runs which were killed had left", left);
    if (plan->waiting > 0)
        printf("; data of %zu goes from %s on", plan->waiting, next);
    printf("\n");
}

// ---- doing

static void show_progress(void *arg, uint64_t files, uint64_t bytes) { progress_add(arg, files, bytes); }

static int bring_records(const struct pruning *p, struct error *err)
{
    uint64_t ignored;
    const struct prune_options *o = &p->options;
    return o->home == NULL ? 0 : replicate_records(p->ctx->io, o->home, o->repository->store, &ignored, err);
}

static int give_up(const struct pruning *p, const struct prune_plan *plan, struct error *err)
{
    _cleanup_sshkey_ struct sshkey key = { 0 };
    if (p->options.rules == NULL || plan->to_give_up + plan->to_revive == 0)
        return 0;
    struct prune_giving giving = { .key = &key, .grace_s = p->grace_s, .by = p->by, .reason = p->reason };
    int r = holding_load_retention_key(p->ctx, p->key, &key, err);
    if (r == 0)
        r = prune_give_up(&p->options, plan, &giving, err);
    return r < 0 ? r : bring_records(p, err);
}

static int remove_due(struct pruning *p, const struct prune_plan *plan, struct prune_removed *removed, struct error *err)
{
    _cleanup_progress_ struct progress *progress = progress_new(p->ctx->io, progress_style_for(p->ctx->json, p->ctx->verbosity < 0), NULL);
    progress_begin(progress, "remove", 0, 0);
    p->options.progress = show_progress;
    p->options.arg = progress;
    p->options.interrupted = interrupt_requested;
    return prune_remove(&p->options, plan, removed, err);
}

static int sum_up(const struct pruning *p, const struct prune_plan *before, const struct prune_plan *plan, const struct prune_removed *removed, struct error *err)
{
    int r = 0;
    recording_figure(p->ctx, "kept", before->keep.kept);
    recording_figure(p->ctx, "given_up", before->to_give_up);
    recording_figure(p->ctx, "waiting", plan->waiting);
    recording_figure(p->ctx, "removed_snapshots", removed->snapshots);
    recording_figure(p->ctx, "removed_objects", removed->objects + removed->left_objects);
    recording_figure(p->ctx, "removed_bytes", removed->bytes + removed->left_bytes);
    if (p->ctx->json)
        r = sum_up_json(p, before, plan, removed, err);
    else if (p->ctx->verbosity >= 0)
        sum_up_text(p, before, plan, removed);
    if (r == 0 && removed->refused)
        r = error_set(err, ERROR_INCOMPLETE, "%s lets nothing be removed from here, as a copy should; what was given up goes when its server runs: bkd prune --store DIR "
                      "--signers FILE (it answered: %s)", p->options.repository->store->url, removed->why.text);
    return r;
}

int pruning_run(struct pruning *p, struct error *err)
{
    _cleanup_prune_plan_ struct prune_plan before = { 0 }, plan = { 0 };
    struct prune_removed removed = { 0 };
    p->options.clock.now_ns = io_realtime_ns(p->ctx->io);
    int r = p->dry_run ? 0 : bring_records(p, err);
    if (r == 0)
        r = prune_plan(&p->options, &before, err);
    if (r == 0)
        r = tell_all(p, &before, err);
    if (r < 0)
        return r;
    warn(p, &before);
    set_alarms(p, &before);
    r = prune_check_clock(&p->options, &before, p->clock_is_right, err);
    if (r == 0 && !p->dry_run)
        r = give_up(p, &before, err);
    if (r == 0)
        r = prune_plan(&p->options, &plan, err); // computed anew: what was said meanwhile counts
    if (r == 0 && !p->dry_run)
        r = remove_due(p, &plan, &removed, err);
    return r < 0 ? r : sum_up(p, &before, &plan, &removed, err);
}

void pruning_take_rules(const struct policy_keep *keep, struct keep_rules *ret_rules)
{
    *ret_rules = (struct keep_rules){ .last = keep->last, .hourly = keep->hourly, .daily = keep->daily, .weekly = keep->weekly, .monthly = keep->monthly,
                                      .quarterly = keep->quarterly, .yearly = keep->yearly, .within_s = keep->within_s };
    if (keep->all)
        *ret_rules = (struct keep_rules){ 0 };
}
