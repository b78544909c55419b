#include <string.h>

#include "bkd/watch/status.h"

static uint64_t age_ms(uint64_t then_ns, uint64_t now_ns) { return now_ns > then_ns ? (now_ns - then_ns) / 1000000 : 0; }

static void add_time_if(struct json *object, const char *key, uint64_t time_ns)
{
    if (time_ns > 0)
        json_add_time(object, key, time_ns);
    else
        json_add_null(object, key);
}

static void add_alarm(struct json *alarm, const struct watch_finding *f)
{
    json_add_str(alarm, "kind", f->kind);
    json_add_str(alarm, "severity", severity_name(f->severity));
    json_add_str(alarm, "copy", f->copy[0] == '\0' ? NULL : f->copy);
    json_add_str(alarm, "text", f->text);
    json_add_str(alarm, "next_step", f->step);
}

static void add_disk(struct json *parent, const struct watch_disk *disk)
{
    if (!disk->is_known)
        return;
    struct json *object = json_add_object(parent, "disk");
    json_add_u64(object, "free_bytes", disk->free_bytes);
    json_add_u64(object, "total_bytes", disk->total_bytes);
    json_add_u64(object, "bytes_per_day", disk->bytes_per_day);
    if (disk->full_in_days != UINT64_MAX)
        json_add_u64(object, "full_in_days", disk->full_in_days);
}

static void add_copy(struct json *copy, const struct watch_copy *c, const struct receipt *receipt, uint64_t now_ns)
{
    uint64_t snapshot = receipt == NULL ? 0 : receipt->snapshot, time_ns = receipt == NULL ? 0 : receipt->snapshot_time_ns;
    json_add_str(copy, "url", c->url);
    if (receipt != NULL && receipt->serial[0] != '\0')
        json_add_str(copy, "disk", receipt->serial);
    if (snapshot > 0) {
        json_add_u64(copy, "snapshot", snapshot);
        json_add_time(copy, "time", time_ns);
        json_add_time(copy, "shipped", receipt->shipped_ns);
        json_add_u64(copy, "rpo_age_ms", age_ms(time_ns, now_ns));
    }
    if (receipt != NULL && strcmp(receipt->serial, c->serial) == 0)
        add_disk(copy, &c->disk);
    json_add_bool(copy, "overdue", snapshot == 0 || age_ms(time_ns, now_ns) > c->max_age_ns / 1000000);
    if (receipt != NULL && receipt->failing_since_ns > 0) {
        json_add_time(copy, "failing_since", receipt->failing_since_ns);
        json_add_u64(copy, "failures", receipt->failures);
        json_add_str(copy, "problem", receipt->problem);
    }
}

// Each disk of a removable place is a copy of its own; a place without any receipt is shown, too.
static void add_copies(struct json *line, const struct watched_policy *item, uint64_t now_ns)
{
    struct json *array = json_add_array(line, "copies");
    for (size_t i = 0; i < item->loaded.facts.n_copies; i++) {
        const struct watch_copy *copy = &item->loaded.copies[i];
        size_t shown = 0;
        for (size_t k = 0; k < item->loaded.receipts.n; k++) {
            if (strcmp(item->loaded.receipts.items[k].url, copy->url) != 0)
                continue;
            add_copy(json_append_object(array), copy, &item->loaded.receipts.items[k], now_ns);
            shown++;
        }
        if (shown == 0)
            add_copy(json_append_object(array), copy, NULL, now_ns);
    }
}

static void add_snapshot(struct json *line, const struct watch_facts *w, uint64_t now_ns)
{
    if (w->newest == 0) {
        json_add_null(line, "snapshot");
        json_add_str(line, "reason", !w->is_loaded ? w->policy_problem : w->store_problem != NULL ? w->store_problem : "there is no snapshot yet");
    } else {
        json_add_u64(line, "snapshot", w->newest);
        json_add_time(line, "time", w->newest_ns);
        json_add_u64(line, "age_ms", age_ms(w->newest_ns, now_ns));
        json_add_bool(line, "complete", !w->is_incomplete);
    }
    json_add_u64(line, "snapshots", w->snapshots);
    json_add_u64(line, "suspect", w->suspects);
    json_add_u64(line, "head_problems", w->head_problems);
    json_add_u64(line, "record_problems", w->record_problems);
    json_add_u64(line, "held", w->held);
}

static void add_objectives(struct json *line, const struct watched_policy *item, uint64_t now_ns)
{
    const struct watch_facts *w = &item->loaded.facts;
    if (w->good > 0)
        json_add_u64(line, "rpo_age_ms", age_ms(w->good_ns, now_ns));
    else
        json_add_null(line, "rpo_age_ms");
    if (w->rpo_ns > 0)
        json_add_u64(line, "rpo_ms", w->rpo_ns / 1000000);
    else
        json_add_null(line, "rpo_ms");
    if (w->rto_ns > 0)
        json_add_u64(line, "rto_ms", w->rto_ns / 1000000);
    if (w->measured_ns > 0)
        json_add_u64(line, "rto_measured_ms", w->measured_ns / 1000000);
    add_time_if(line, "since", item->since_ns);
    add_time_if(line, "last_run", w->run_ended_ns);
    add_time_if(line, "running_since", w->running_since_ns);
    add_time_if(line, "next_run", w->next_slot_ns);
    add_time_if(line, "paused_since", w->paused_ns);
    add_time_if(line, "verified", w->verified_ns);
    draws_add_json(line, &w->draws);
}

static int print_policy(const struct watched *watched, const struct watched_policy *item, struct error *err)
{
    uint64_t now_ns = watched->source.now_ns;
    struct json *line = json_line_new("policy");
    json_add_str(line, "policy", item->name);
    if (item->loaded.facts.only_verifies)
        json_add_bool(line, "only_verifies", true);
    json_add_bool(line, "protected", watch_is_protected(&item->loaded.facts, now_ns));
    json_add_str(line, "state", watch_state_name(item->state));
    add_objectives(line, item, now_ns);
    add_snapshot(line, &item->loaded.facts, now_ns);
    add_copies(line, item, now_ns);
    add_disk(line, &item->loaded.facts.disk);
    struct json *alarms = json_add_array(line, "alarms");
    for (size_t i = 0; i < item->findings.n; i++)
        add_alarm(json_append_object(alarms), &item->findings.items[i]);
    return json_line_print(&line, stdout, err);
}

int status_json(const struct watched *watched, struct error *err)
{
    size_t counts[WATCH_NOT_PROTECTED + 1] = { 0 };
    int r = 0;
    for (size_t i = 0; r == 0 && i < watched->n; i++) {
        counts[watched->items[i].state]++;
        r = print_policy(watched, &watched->items[i], err);
    }
    for (size_t i = 0; r == 0 && i < watched->host.n; i++) {
        struct json *line = json_line_new("host_alarm");
        add_alarm(line, &watched->host.items[i]);
        r = json_line_print(&line, stdout, err);
    }
    if (r < 0)
        return r;
    struct json *line = json_line_new("summary");
    json_add_u64(line, "policies", watched->n);
    json_add_u64(line, "protected", counts[WATCH_PROTECTED]);
    json_add_u64(line, "at_risk", counts[WATCH_AT_RISK]);
    json_add_u64(line, "not_protected", counts[WATCH_NOT_PROTECTED]);
    return json_line_print(&line, stdout, err);
}
