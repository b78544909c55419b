#include "bkd/watch/watch_load.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "bkd/codec/signers.h"
#include "bkd/dr/comparable.h"
#include "bkd/drills/by_hand.h"
#include "bkd/drills/key_drill.h"
#include "bkd/drills/negative.h"
#include "bkd/host/setup.h"
#include "bkd/policy/agenda.h"
#include "bkd/policy/schedule.h"
#include "bkd/record/drills.h"
#include "bkd/record/pauses.h"
#include "bkd/record/runs.h"
#include "bkd/record/slots.h"
#include "bkd/record/verifications.h"
#include "bkd/watch/place_figures.h"
#include "bkd/watch/watch_plans.h"

#define NS_PER_S UINT64_C(1000000000)

#define DIFFERING_FORGOTTEN_NS (UINT64_C(7) * 86400 * NS_PER_S)

enum { RUNS_LOOKED_AT = 30, VERIFICATIONS_LOOKED_AT = 100 };

void watch_source_init(struct watch_source *source, const struct context *ctx, struct catalogue *catalogue, uint64_t now_ns)
{
    char host[256] = "localhost";
    struct error err;
    *source = (struct watch_source){ .ctx = ctx, .catalogue = catalogue, .now_ns = now_ns };
    (void)gethostname(host, sizeof host - 1);
    source->host = xstrdup(host);
    _cleanup_free_ char *path = context_key_path(ctx, "allowed_signers");
    int r = fs_read_file(ctx->io, AT_FDCWD, path, SIGNERS_FILE_MAX, &source->signers, &err);
    if (r < 0)
        source->signers_problem = r == ERROR_NOT_FOUND ? xasprintf("there is no '%s': make this host's keys with `bkd keys init`", path) : xstrdup(err.text);
}

void watch_source_done(struct watch_source *source)
{
    buf_done(&source->signers);
    free(source->signers_problem);
    free(source->host);
    *source = (struct watch_source){ 0 };
}

void watch_loaded_done(struct watch_loaded *loaded)
{
    free(loaded->store_problem);
    free(loaded->run_message);
    free(loaded->paused_by);
    free(loaded->prune_problem);
    free(loaded->unnoticed);
    free(loaded->unrecovered);
    free(loaded->killed_drill);
    receipts_close(&loaded->receipts);
    free(loaded->copies);
    *loaded = (struct watch_loaded){ .receipts = { .lock_fd = -1 } };
}

// ---- runs

struct runs_seen {
    struct watch_loaded *loaded;
    bool good_seen;
    uint64_t newest_start_ns;
};

// A run that made a snapshot is none that failed, whatever else it had to say.
static bool made_snapshot(const struct run_record *run) { return run->state == RUN_ENDED && (run->snapshot > 0 || run->exit_code == 0 || run->exit_code == 3); }

static int see_run(void *arg, const struct run_record *run, struct error *err)
{
    struct runs_seen *seen = arg;
    struct watch_facts *w = &seen->loaded->facts;
    bool is_gone = run->state == RUN_RUNNING && !process_is_alive(&run->process);
    (void)err;
    if (run->started_ns > seen->newest_start_ns)
        seen->newest_start_ns = run->started_ns;
    if (run->state == RUN_RUNNING && !is_gone) {
        w->running_since_ns = run->started_ns;
        return 0;
    }
    if (seen->good_seen || run->exit_code == error_exit_code(ERROR_BUSY))
        return 0;
    if (!w->has_run) {
        w->has_run = true;
        w->run_id = (uint64_t)run->id;
        w->run_was_killed = run->state == RUN_KILLED || is_gone;
        w->run_exit_code = run->exit_code;
        w->run_ended_ns = run->ended_ns;
        seen->loaded->run_message = xstrdup(run->message);
        w->run_message = seen->loaded->run_message;
    }
    seen->good_seen = made_snapshot(run);
    if (!seen->good_seen) {
        w->failures++;
        w->failing_since_ns = run->started_ns;
    }
    return 0;
}

// ---- verifications

struct proofs_seen {
    struct watch_loaded *loaded;
    bool of_repository, *of_copies; // the newest was seen
};

// They come newest first, and of each place the newest counts. Places that the policy no longer names do not.
static int see_verification(void *arg, const struct verification *verification, struct error *err)
{
    struct proofs_seen *seen = arg;
    struct watch_facts *w = &seen->loaded->facts;
    uint64_t refuted = verification->is_proven ? 0 : verification->snapshot;
    (void)err;
    if (w->verified_ns == 0) {
        w->verified = verification->snapshot;
        w->verified_ns = verification->time_ns;
        w->verification_failed = !verification->is_proven;
    }
    if (verification->copy[0] == '\0' && !seen->of_repository) {
        seen->of_repository = true;
        w->refuted = refuted;
    }
    for (size_t i = 0; i < w->n_copies; i++)
        if (!seen->of_copies[i] && strcmp(verification->copy, w->copies[i].url) == 0) {
            seen->of_copies[i] = true;
            seen->loaded->copies[i].refuted = refuted;
        }
    return 0;
}

static void load_verifications(const struct watch_source *source, const char *policy, struct watch_loaded *loaded)
{
    struct error ignored; // a catalogue that cannot be read is told of by itself
    struct proofs_seen seen = { .loaded = loaded };
    if (source->catalogue == NULL)
        return;
    seen.of_copies = xcalloc(loaded->facts.n_copies + 1, sizeof *seen.of_copies);
    (void)!verifications_list(source->catalogue, policy, VERIFICATIONS_LOOKED_AT, see_verification, &seen, &ignored);
    free(seen.of_copies);
}

// The newest that passed ends the listing.
static int see_key_drill(void *arg, const struct drill_row *row, struct error *err)
{
    struct watch_facts *w = arg;
    (void)err;
    if (!row->has_passed)
        return 0;
    w->key_drilled_ns = row->ended_ns;
    return 1;
}

// The newest ends the listing.
static int see_unended(void *arg, const struct drill_row *row, struct error *err)
{
    char **id = arg;
    (void)err;
    *id = row->ended_ns == 0 ? xstrdup(row->uid) : NULL;
    return 1;
}

static void load_killed_drill(struct catalogue *c, const char *policy, struct watch_loaded *loaded)
{
    static const char *const kinds[] = { NEGATIVE_KIND, BY_HAND_KIND, KEY_DRILL_KIND };
    struct error ignored; // a catalogue that cannot be read is told of by itself
    bool goes_on = watch_drill_goes_on(c, policy);
    for (size_t i = 0; !goes_on && loaded->killed_drill == NULL && i < sizeof kinds / sizeof *kinds; i++) {
        (void)!drills_list(c, policy, kinds[i], see_unended, &loaded->killed_drill, &ignored);
        loaded->facts.killed_kind = kinds[i];
    }
    loaded->facts.killed_drill = loaded->killed_drill;
}

// The id of the last drill, when it did not pass; else NULL.
static char *load_failed_drill(struct catalogue *c, const char *policy, const char *kind)
{
    struct watch_drill last;
    watch_drill_load(c, policy, kind, &last);
    if (!last.has_passed)
        return last.id;
    free(last.id);
    return NULL;
}

// ---- runs

struct differing {
    struct watch_facts *facts;
    uint64_t since_ns;
};

static int see_differing(void *arg, uint64_t ended_ns, uint64_t value, struct error *err)
{
    const struct differing *seen = arg;
    (void)err;
    if (value == 0 || ended_ns < seen->since_ns || seen->facts->differing > 0)
        return 0;
    seen->facts->differing = value;
    seen->facts->differing_ns = ended_ns;
    return 0;
}

static void load_differing(const struct watch_source *source, const char *policy, struct watch_facts *w)
{
    struct differing seen = { w, source->now_ns > DIFFERING_FORGOTTEN_NS ? source->now_ns - DIFFERING_FORGOTTEN_NS : 0 };
    struct error ignored;
    (void)!runs_series(source->catalogue, policy, "backup", "differing_files", RUNS_LOOKED_AT, see_differing, &seen, &ignored);
}

static void load_runs(const struct watch_source *source, const char *policy, struct watch_loaded *loaded, uint64_t *ret_newest_start_ns)
{
    struct watch_facts *w = &loaded->facts;
    struct runs_seen seen = { .loaded = loaded };
    struct runs_filter filter = { .policy = policy, .kind = "backup", .limit = RUNS_LOOKED_AT };
    struct run_record prune;
    struct pause pause;
    struct error ignored; // a catalogue that cannot be read is told of by itself
    *ret_newest_start_ns = 0;
    if (source->catalogue == NULL)
        return;
    (void)!runs_list(source->catalogue, &filter, see_run, &seen, &ignored);
    uint64_t failures, since_ns; // perhaps from further back
    if (!seen.good_seen && runs_failing(source->catalogue, policy, "backup", &failures, &since_ns, &ignored) == 0 && failures > w->failures) {
        w->failures = failures;
        w->failing_since_ns = since_ns;
    }
    *ret_newest_start_ns = seen.newest_start_ns;
    place_figures_load(source->catalogue, policy, NULL, "", &w->disk, &w->far_clock_off_ns);
    load_differing(source, policy, w);
    (void)!drills_list(source->catalogue, policy, KEY_DRILL_KIND, see_key_drill, w, &ignored);
    w->unnoticed = loaded->unnoticed = load_failed_drill(source->catalogue, policy, NEGATIVE_KIND);
    w->unrecovered = loaded->unrecovered = load_failed_drill(source->catalogue, policy, BY_HAND_KIND);
    load_killed_drill(source->catalogue, policy, loaded);
    if (runs_last(source->catalogue, policy, "prune", false, &prune, &ignored) == 0 && prune.state == RUN_ENDED && prune.exit_code != 0) {
        loaded->prune_problem = xstrdup(prune.message[0] == '\0' ? "the run failed" : prune.message);
        w->prune_problem = loaded->prune_problem;
    }
    if (pauses_get(source->catalogue, policy, &pause, &ignored) < 0)
        return;
    loaded->paused_by = xstrdup(pause.by);
    w->paused_by = loaded->paused_by;
    w->paused_ns = pause.since_ns;
}

// ---- schedule

// When the schedule came into force: slots from before count for nobody.
static uint64_t in_force_since_ns(const struct watch_source *source, const struct policy *policy)
{
    struct statx st;
    struct error ignored;
    if (io_stat(source->ctx->io, AT_FDCWD, policy->file, 0, &st, &ignored) < 0 || st.stx_mtime.tv_sec < 0)
        return source->now_ns;
    return (uint64_t)st.stx_mtime.tv_sec * NS_PER_S;
}

static uint64_t later(uint64_t a, uint64_t b) { return a > b ? a : b; }

// The first slot since anybody ran the policy or decided upon one: when it is long past, nobody does.
static void load_schedule(const struct watch_source *source, const struct policy *policy, uint64_t newest_start_ns, struct watch_facts *w)
{
    _cleanup_schedule_ struct schedule schedule = { 0 };
    struct error ignored; // a zone that is gone is told by whoever wants to run the policy
    struct slot slot;
    uint64_t seen_ns = later(in_force_since_ns(source, policy), later(newest_start_ns, w->newest_ns));
    if (!w->has_schedule || schedule_open(source->ctx->io, &policy->schedule, policy->timezone, &schedule, &ignored) < 0)
        return;
    if (source->catalogue != NULL && slots_last(source->catalogue, policy->name, "backup", source->now_ns + AGENDA_CLOCK_S * NS_PER_S, &slot, &ignored) == 0)
        seen_ns = later(seen_ns, slot.slot_ns);
    int64_t now_s = (int64_t)(source->now_ns / NS_PER_S), next_s = schedule_next(&schedule, now_s), first_s = schedule_next(&schedule, (int64_t)(seen_ns / NS_PER_S));
    w->next_slot_ns = next_s == CALENDAR_NEVER ? 0 : (uint64_t)next_s * NS_PER_S;
    if (first_s != CALENDAR_NEVER && first_s + (int64_t)policy->jitter_s <= now_s)
        w->overdue_slot_ns = (uint64_t)first_s * NS_PER_S;
}

// ---- copies

// Of removable disks at one address the newest tells the age, and any that is damaged is told of.
static void see_damage(const struct receipts *receipts, struct watch_copy *copy)
{
    for (size_t i = 0; i < receipts->n && !copy->is_damaged; i++) {
        const struct receipt *receipt = &receipts->items[i];
        if (!receipt->damaged || strcmp(receipt->url, copy->url) != 0)
            continue;
        copy->is_damaged = true;
        copy->problem = receipt->problem;
    }
}

static void load_copies(const struct watch_source *source, const struct policy *policy, struct watch_loaded *loaded)
{
    struct error ignored; // without receipts nothing is known, which is what is said then
    if (policy->offsite.count == 0)
        return;
    (void)!receipts_open(source->ctx->io, source->ctx->state_dir, policy->name, false, &loaded->receipts, &ignored);
    loaded->copies = xcalloc(policy->offsite.count, sizeof *loaded->copies);
    for (size_t i = 0; i < policy->offsite.count; i++) {
        const struct policy_store *place = &policy->offsite.items[i];
        const struct receipt *receipt = receipts_newest(&loaded->receipts, place->url);
        struct watch_copy *copy = &loaded->copies[i];
        *copy = (struct watch_copy){ .url = place->url, .serial = "", .is_removable = place->removable, .max_age_ns = policy_copy_max_age_s(policy, place) * NS_PER_S };
        if (receipt == NULL)
            continue;
        copy->serial = receipt->serial;
        copy->snapshot = receipt->snapshot;
        copy->snapshot_time_ns = receipt->snapshot_time_ns;
        copy->failing_since_ns = receipt->failing_since_ns;
        copy->failures = receipt->failures;
        copy->problem = receipt->problem;
        see_damage(&loaded->receipts, copy);
        if (source->catalogue != NULL)
            place_figures_load(source->catalogue, policy->name, copy->url, copy->serial, &copy->disk, &copy->clock_off_ns);
    }
    loaded->facts.copies = loaded->copies;
    loaded->facts.n_copies = policy->offsite.count;
}

// ---- how long restores take, and when the next proof is due

static void load_rto(const struct watch_source *source, const struct policy *policy, struct watch_facts *w)
{
    _cleanup_comparable_ struct comparable restores = { 0 };
    struct error ignored; // a catalogue that cannot be read is told of by itself
    w->rto_ns = policy->objectives.rto_s * NS_PER_S;
    if (source->catalogue != NULL)
        (void)!draws_load(source->catalogue, policy->name, source->now_ns, &w->draws, &ignored);
    w->rto_crossed_in_days = TREND_NEVER;
    if (w->rto_ns == 0 || source->catalogue == NULL || comparable_load(source->catalogue, policy->name, NULL, &restores, &ignored) < 0 || !restores.has_newest)
        return;
    struct trend trend = trend_of(restores.runs, restores.n);
    w->measured_ns = restores.newest_ms * (NS_PER_S / 1000);
    w->rto_crossed_in_days = trend_crossing_days(&trend, (double)(w->rto_ns / (NS_PER_S / 1000)), source->now_ns);
}

static void load_proof_schedule(const struct watch_source *source, const struct policy *policy, struct watch_facts *w)
{
    _cleanup_schedule_ struct schedule schedule = { 0 };
    struct error ignored; // a zone that is gone is told by whoever wants to run the policy
    int64_t now_s = (int64_t)(source->now_ns / NS_PER_S);
    if (policy->verify.schedule.count == 0 || w->paused_ns > 0 || source->catalogue == NULL ||
        schedule_open(source->ctx->io, &policy->verify.schedule, policy->timezone, &schedule, &ignored) < 0)
        return;
    int64_t due_s = schedule_next(&schedule, (int64_t)(later(in_force_since_ns(source, policy), w->verified_ns) / NS_PER_S));
    due_s = due_s == CALENDAR_NEVER ? due_s : schedule_next(&schedule, due_s);
    if (due_s != CALENDAR_NEVER && due_s <= now_s)
        w->proof_due_ns = (uint64_t)due_s * NS_PER_S;
}

void watch_load(const struct watch_source *source, const char *name, const struct policy *policy, const char *problem, struct watch_loaded *ret_loaded)
{
    *ret_loaded = (struct watch_loaded){ .facts = { .policy = name, .policy_problem = problem, .is_loaded = policy != NULL, .run_message = "", .paused_by = "" },
                                         .receipts = { .lock_fd = -1 } };
    if (policy == NULL)
        return;
    struct watch_facts *w = &ret_loaded->facts;
    w->only_verifies = policy_only_verifies(policy);
    w->rpo_ns = policy->objectives.rpo_s * NS_PER_S;
    w->has_schedule = policy->schedule.count > 0;
    w->has_key = policy->encrypted;
    watch_load_heads(source, policy, ret_loaded);
    uint64_t newest_start_ns;
    load_runs(source, policy->name, ret_loaded, &newest_start_ns);
    load_schedule(source, policy, newest_start_ns, w);
    load_copies(source, policy, ret_loaded);
    load_verifications(source, policy->name, ret_loaded);
    load_rto(source, policy, w);
    load_proof_schedule(source, policy, w);
}
