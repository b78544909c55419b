#include "bkd/watch/watch_run.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/log.h"
#include "bkd/host/keydir.h"
#include "bkd/policy/policy_trust.h"
#include "bkd/record/alarms.h"
#include "bkd/record/snapshots.h"

void watched_done(struct watched *w)
{
    for (size_t i = 0; i < w->n; i++) {
        watch_findings_done(&w->items[i].findings);
        watch_loaded_done(&w->items[i].loaded);
    }
    free(w->items);
    watch_findings_done(&w->host);
    watch_plans_done(&w->plans);
    policies_done(&w->policies);
    policy_done(&w->alone);
    free(w->alone_name);
    free(w->alone_problem);
    free(w->keys_dir);
    watch_source_done(&w->source);
    *w = (struct watched){ 0 };
}

// ---- looking

static struct watched_policy *find(const struct watched *w, const char *policy)
{
    for (size_t i = 0; i < w->n; i++)
        if (strcmp(w->items[i].name, policy) == 0)
            return &w->items[i];
    return NULL;
}

// What others raised (a daemon, a notifier) is part of the picture.
static void add_others(struct watched *w)
{
    _cleanup_alarms_ struct alarms active = { 0 };
    struct error ignored; // a catalogue that cannot be read is told of by itself
    if (w->source.catalogue == NULL || alarms_active(w->source.catalogue, NULL, &active, &ignored) < 0)
        return;
    for (size_t i = 0; i < active.n; i++) {
        const struct alarm *alarm = &active.items[i];
        struct watched_policy *item = find(w, alarm->policy);
        if (watch_is_kind(alarm->kind) || (item == NULL && alarm->policy[0] != '\0'))
            continue;
        (void)watch_add(item == NULL ? &w->host : &item->findings, alarm->kind, alarm->severity, alarm->text, alarm->next_step);
        if (item != NULL && item->state == WATCH_PROTECTED && alarm->severity > SEVERITY_INFO)
            item->state = WATCH_AT_RISK;
    }
}

static void look_at(struct watched *w, const char *name, const struct policy *policy, const char *problem)
{
    struct watched_policy *item = &w->items[w->n++];
    *item = (struct watched_policy){ .name = name, .policy = policy };
    watch_load(&w->source, name, policy, problem, &item->loaded);
    item->state = watch_policy(&item->loaded.facts, w->source.now_ns, &item->findings, &item->since_ns);
}

// A clock that was set back, or was ahead, shows in snapshots that are not made yet.
static void find_clock(const struct watched *w, struct watch_host *host)
{
    for (size_t i = 0; i < w->n; i++) {
        const struct watch_facts *facts = &w->items[i].loaded.facts;
        uint64_t off = facts->future_ns > w->source.now_ns ? facts->future_ns - w->source.now_ns : 0;
        if (off <= host->clock_off_ns)
            continue;
        host->clock_is_behind = true;
        host->clock_off_ns = off;
        host->clock_policy = w->items[i].name;
    }
}

static void look_at_host(struct watched *w, const char *catalogue_problem)
{
    w->keys_dir = xasprintf("%s/keys", w->source.ctx->config_dir);
    struct watch_host host = { .catalogue_problem = catalogue_problem, .keys_dir = w->keys_dir,
                               .identities_here = keydir_has_identity(w->source.ctx->io, w->keys_dir) };
    host.clock_is_unsynchronised = clock_is_unsynchronised();
    find_clock(w, &host);
    watch_host(&host, &w->host);
    add_others(w);
}

static void begin(struct watched *w, const struct context *ctx, struct catalogue *catalogue, enum watch_depth depth, uint64_t now_ns)
{
    *w = (struct watched){ 0 };
    watch_source_init(&w->source, ctx, catalogue, now_ns);
    w->source.refresh = depth == WATCH_REFRESH;
    w->source.remembered = depth == WATCH_REMEMBERED;
}

static void pass_over(void *arg, const struct policies_change *change)
{
    (void)arg;
    (void)change;
}

int watch_all(const struct context *ctx, struct catalogue *catalogue, const char *catalogue_problem, enum watch_depth depth, uint64_t now_ns,
              struct watched *ret_watched, struct error *err)
{
    _cleanup_watched_ struct watched w;
    begin(&w, ctx, catalogue, depth, now_ns);
    int r = policies_read(ctx, &w.policies, pass_over, NULL, err);
    if (r < 0)
        return r;
    w.source.newest_only = depth == WATCH_LOCAL;
    w.items = xcalloc(w.policies.count + 1, sizeof *w.items);
    for (size_t i = 0; i < w.policies.count; i++) {
        const struct policies_item *item = &w.policies.items[i];
        look_at(&w, item->name, item->has_policy ? &item->policy : NULL, item->problem);
    }
    look_at_host(&w, catalogue_problem);
    watch_plans_load(ctx, catalogue, now_ns, &w.plans);
    watch_plans_judge(&w.plans, now_ns, &w.host);
    *ret_watched = w;
    w = (struct watched){ 0 };
    return 0;
}

static int load_alone(struct watched *w, const char *policy, struct error *err)
{
    const struct context *ctx = w->source.ctx;
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    _cleanup_free_ char *path = context_policy_path(ctx, policy);
    struct error why;
    int r = policy_load(ctx->io, path, &w->alone, &errors, &why);
    if (r == 0)
        r = policy_trust_check(ctx->io, &w->alone, &why);
    if (r == ERROR_NOT_FOUND)
        return error_set(err, ERROR_USAGE, "there is no policy '%s': write %s, or give --config-dir", policy, path);
    if (r < 0) {
        policy_done(&w->alone);
        w->alone = (struct policy){ 0 };
        w->alone_problem = xstrdup(errors.count > 0 ? errors.items[0].message : why.text);
    }
    w->alone_name = xstrdup(r == 0 ? w->alone.name : policy);
    return 0;
}

int watch_one(const struct context *ctx, struct catalogue *catalogue, const char *catalogue_problem, enum watch_depth depth, uint64_t now_ns,
              const char *policy, struct watched *ret_watched, struct error *err)
{
    _cleanup_watched_ struct watched w;
    begin(&w, ctx, catalogue, depth, now_ns);
    int r = load_alone(&w, policy, err);
    if (r < 0)
        return r;
    w.items = xcalloc(1, sizeof *w.items);
    *ret_watched = w;
    w = (struct watched){ 0 };
    // What is looked at borrows from where it stays.
    look_at(ret_watched, ret_watched->alone_name, ret_watched->alone_problem == NULL ? &ret_watched->alone : NULL, ret_watched->alone_problem);
    look_at_host(ret_watched, catalogue_problem);
    return 0;
}

// ---- alarms

static int raise_all(struct catalogue *c, const char *policy, const struct watch_findings *findings, struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < findings->n; i++) {
        const struct watch_finding *f = &findings->items[i];
        if (!watch_is_kind(f->kind))
            continue; // shown, and somebody else's
        struct alarm_raise alarm = { .kind = f->kind, .policy = policy, .copy = f->copy, .severity = f->severity, .text = f->text, .next_step = f->step };
        r = alarms_raise(c, &alarm, NULL, err);
    }
    return r;
}

static bool is_found(const struct watch_findings *findings, const struct alarm *alarm)
{
    for (size_t i = 0; i < findings->n; i++)
        if (strcmp(findings->items[i].kind, alarm->kind) == 0 && strcmp(findings->items[i].copy, alarm->copy) == 0)
            return true;
    return false;
}

// What only the heads tell stays until they were read; what is wrong with the repository, until somebody looked at it or a later backup went there.
static bool could_be_seen(const struct watched_policy *item, const struct alarm *alarm)
{
    if (item == NULL)
        return true;
    const struct watch_facts *w = &item->loaded.facts;
    if (strcmp(alarm->kind, "store") == 0)
        return w->store_was_seen || (w->has_run && w->failing_since_ns == 0 && w->run_ended_ns > alarm->last_seen_ns);
    bool of_heads = strcmp(alarm->kind, "integrity") == 0 || strcmp(alarm->kind, "rolled-back") == 0 || strcmp(alarm->kind, "foreign") == 0;
    return !of_heads || w->heads_were_read;
}

static int see_accepted(void *arg, const struct snapshot_record *snapshot, struct error *err)
{
    struct catalogue *c = arg;
    return snapshot->is_suspect ? snapshots_set_suspect(c, snapshot->id, false, err) : 0;
}

static int clear_one(const struct watched *w, const struct alarm *alarm, const struct watched_policy *item, struct error *err)
{
    struct catalogue *c = w->source.catalogue;
    int r = 0;
    if (item != NULL && item->loaded.facts.heads_were_read && strcmp(alarm->kind, "suspect") == 0)
        r = snapshots_list(c, item->name, 0, see_accepted, c, err);
    return r < 0 ? r : alarms_clear(c, alarm->kind, alarm->policy, alarm->copy, NULL, NULL, err);
}

static int clear_over(const struct watched *w, bool is_all, struct error *err)
{
    static const struct watch_findings none = { 0 };
    _cleanup_alarms_ struct alarms active = { 0 };
    int r = alarms_active(w->source.catalogue, NULL, &active, err);
    for (size_t i = 0; r == 0 && i < active.n; i++) {
        const struct alarm *alarm = &active.items[i];
        bool of_host = alarm->policy[0] == '\0';
        const struct watched_policy *item = of_host ? NULL : find(w, alarm->policy);
        bool is_removed = is_all && !of_host && item == NULL; // the policy: nobody else will end its alarms
        if ((!watch_is_kind(alarm->kind) && !is_removed) || (!is_all && item == NULL))
            continue; // somebody else's, or a policy that was not looked at
        const struct watch_findings *findings = of_host ? &w->host : item == NULL ? &none : &item->findings;
        if (!is_found(findings, alarm) && could_be_seen(item, alarm))
            r = clear_one(w, alarm, item, err);
    }
    return r;
}

// What was found, or worse where an alarm stands that could not be looked at now.
static enum watch_state state_of(const struct watched_policy *item, const struct alarms *active)
{
    enum watch_state state = item->state;
    for (size_t i = 0; i < active->n; i++) {
        const struct alarm *alarm = &active->items[i];
        enum watch_state meant = alarm->severity == SEVERITY_CRITICAL ? WATCH_NOT_PROTECTED : WATCH_AT_RISK;
        if (strcmp(alarm->policy, item->name) == 0 && !could_be_seen(item, alarm) && !is_found(&item->findings, alarm) && state < meant)
            state = meant;
    }
    return state;
}

static int note_states(const struct watched *w, struct error *err)
{
    _cleanup_alarms_ struct alarms active = { 0 };
    int r = alarms_active(w->source.catalogue, NULL, &active, err);
    for (size_t i = 0; r == 0 && i < w->n; i++)
        r = watch_state_note(w->source.catalogue, w->items[i].name, state_of(&w->items[i], &active), err);
    return r;
}

int watch_record(const struct watched *w, bool is_all, struct error *err)
{
    struct catalogue *c = w->source.catalogue;
    int r = catalogue_begin(c, err);
    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < w->n; i++)
        r = raise_all(c, w->items[i].name, &w->items[i].findings, err);
    if (r == 0 && is_all)
        r = raise_all(c, "", &w->host, err);
    if (r == 0)
        r = clear_over(w, is_all, err);
    if (r == 0)
        r = note_states(w, err);
    return catalogue_end(c, r, err);
}

int watch_run(const struct context *ctx, struct catalogue *catalogue, uint64_t now_ns, struct error *err)
{
    _cleanup_watched_ struct watched w = { 0 };
    int r = watch_plans_announce(ctx, catalogue, now_ns, err);
    if (r == 0)
        r = watch_all(ctx, catalogue, NULL, WATCH_REMEMBERED, now_ns, &w, err);
    return r < 0 ? r : watch_record(&w, true, err);
}

int watch_run_policy(const struct context *ctx, struct catalogue *catalogue, const char *policy, uint64_t now_ns, struct error *err)
{
    _cleanup_watched_ struct watched w = { 0 };
    int r = watch_one(ctx, catalogue, NULL, WATCH_LOCAL, now_ns, policy, &w, err);
    return r < 0 ? r : watch_record(&w, false, err);
}

static void watch_after(const struct context *ctx, const char *policy)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    struct error why;
    uint64_t now_ns = io_realtime_ns(ctx->io);
    int r = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_WRITE, &catalogue, &why);
    if (r == 0)
        r = policy != NULL ? watch_run_policy(ctx, &catalogue, policy, now_ns, &why) : watch_run(ctx, &catalogue, now_ns, &why);
    if (r < 0)
        log_debug("alarms of %s were not brought up to date: %s", policy == NULL ? "this host" : policy, why.text);
}

void watch_after_run(const struct context *ctx, const char *policy) { watch_after(ctx, policy); }

void watch_after_drill(struct context *ctx)
{
    watch_after(ctx, NULL);
    ctx->tells = true;
}
