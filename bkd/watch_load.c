#include "bkd/watch_load.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/crypto.h"
#include "bkd/base/fs.h"
#include "bkd/codec/signers.h"
#include "bkd/engine/state.h"
#include "bkd/forecast.h"
#include "bkd/policy/schedule.h"
#include "bkd/record/alarms.h"
#include "bkd/record/pauses.h"
#include "bkd/record/runs.h"
#include "bkd/record/slots.h"
#include "bkd/record/snapshots.h"
#include "bkd/record/verifications.h"
#include "bkd/repo/holds.h"
#include "bkd/repo/suspects.h"
#include "bkd/setup.h"

#define NS_PER_S UINT64_C(1000000000)

enum { RUNS_LOOKED_AT = 30, SNAPSHOTS_LOOKED_AT = 30 };

void watch_source_init(struct watch_source *source, const struct cmd_context *ctx, struct catalogue *catalogue, uint64_t now_ns)
{
    char host[256] = "localhost";
    struct error err;
    *source = (struct watch_source){ .ctx = ctx, .catalogue = catalogue, .now_ns = now_ns };
    (void)gethostname(host, sizeof host - 1);
    source->host = xstrdup(host);
    _cleanup_free_ char *path = cmd_key_path(ctx, "allowed_signers");
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
    receipts_close(&loaded->receipts);
    free(loaded->copies);
    *loaded = (struct watch_loaded){ .receipts = { .lock_fd = -1 } };
}

// ---- heads

#define SKEW_NS (300 * NS_PER_S)
#define FUTURE_FORGOTTEN 3u // snapshots with a right time after it

// Of a snapshot that claims to be made later than now the age is not known: the one before it tells how old what is there is, at worst.
static void see_time(struct watch_facts *w, uint64_t time_ns, bool is_good, uint64_t now_ns)
{
    bool is_to_come = time_ns > now_ns + SKEW_NS;
    w->after_future = is_to_come ? 0 : w->after_future + 1;
    if (is_to_come)
        w->future_ns = time_ns;
    else if (w->after_future >= FUTURE_FORGOTTEN)
        w->future_ns = 0;
    if (is_good && (!is_to_come || w->good_ns == 0))
        w->good_ns = time_ns;
}

static void see_head(struct watch_facts *w, const struct repository_head *head, bool is_suspect, uint64_t now_ns)
{
    if (!head->valid)
        return;
    w->snapshots++;
    w->newest = head->number;
    w->newest_ns = head->head.time_ns;
    w->is_incomplete = (head->head.flags & FORMAT_INCOMPLETE) != 0;
    if (is_suspect && w->suspects++ == 0) {
        w->first_suspect = head->number;
        w->before_suspect = w->good;
    }
    if (!is_suspect && !head->fork)
        w->good = head->number;
    see_time(w, head->head.time_ns, !is_suspect && !head->fork, now_ns);
}

static bool is_pinned(const struct state_pin *pin, const struct repository_head *head)
{
    return head->valid && head->number == pin->number && memcmp(head->sha256, pin->sha256, sizeof pin->sha256) == 0;
}

static void see_heads(const struct watch_source *source, const struct repository *r, const uint8_t chain[16], const struct state_pin *pin, struct watch_facts *w)
{
    _cleanup_records_ struct records records = { 0 };
    struct error ignored; // the store answered for the heads; `bkd check` says what is wrong with records
    bool pin_seen = !pin->is_set || memcmp(pin->repository, r->info.id, sizeof r->info.id) != 0;
    if (records_load(r, buf_str(&source->signers), &records, &ignored) == 0)
        w->record_problems = records_count_problems(&records);
    for (size_t i = 0; i < r->n_heads; i++) {
        const struct repository_head *head = &r->heads[i];
        if (memcmp(head->chain, chain, 16) != 0)
            continue;
        see_head(w, head, suspects_is(&records, head), source->now_ns);
        w->held += head->valid && holds_is_held(&records, head);
        pin_seen = pin_seen || is_pinned(pin, head);
    }
    w->head_problems = repository_count_problems(r);
    w->lost_head = pin_seen ? 0 : pin->number;
}

static int find_chain(const struct watch_source *source, const struct policy *policy, const struct repository *r, const struct state *state, uint8_t ret_chain[16],
                      struct error *err)
{
    if (state->has_chain) {
        memcpy(ret_chain, state->chain, 16);
        return 0;
    }
    if (repository_chain(r, policy->name, source->host, ret_chain, err) == 0)
        return 0;
    return repository_chain(r, policy->name, NULL, ret_chain, err);
}

static int open_repository(const struct watch_source *source, const struct policy *policy, struct repository **ret_repository, struct error *err)
{
    _cleanup_setup_access_ struct setup_access a = { 0 };
    struct store *store = NULL;
    if (source->signers_problem != NULL)
        return error_set(err, ERROR_KEY, "%s", source->signers_problem);
    setup_access(source->ctx, &policy->repository, &a);
    int r = store_open(source->ctx->io, policy->repository.url, &a.access, false, &store, err);
    return r < 0 ? r : repository_open(source->ctx->io, store, buf_str(&source->signers), ret_repository, err);
}

// One that this host has made snapshots in is not missing: it is gone, or its disk is not mounted.
static void note_store_problem(struct watch_loaded *loaded, const struct policy *policy, const struct state_pin *pin, const struct error *err)
{
    struct watch_facts *w = &loaded->facts;
    bool is_gone = err->code == ERROR_NOT_FOUND && pin->is_set;
    loaded->store_problem = is_gone ? xasprintf("%s had snapshot %llu and is not there now", policy->repository.url, (unsigned long long)pin->number) : xstrdup(err->text);
    w->store_problem = loaded->store_problem;
    w->store_is_missing = err->code == ERROR_NOT_FOUND && !pin->is_set;
    if (err->code == ERROR_KEY)
        w->store_step = "make this host's keys: bkd keys init; pin a server's: bkd trust-host";
}

// The newest head this host made is there as it made it, none follows it, and nothing was wrong when all were last read.
static bool newest_is_in_place(const struct watch_source *source, const struct policy *policy)
{
    static const char *const of_heads[] = { "integrity", "rolled-back", "suspect" };
    _cleanup_alarms_ struct alarms active = { 0 };
    _cleanup_state_ struct state state = { 0 };
    _cleanup_buf_ struct buf head = { 0 };
    struct statx st;
    struct error ignored;
    uint8_t sha256[32];
    if (source->catalogue == NULL || state_open_readonly(source->ctx->io, source->ctx->state_dir, policy->name, &state, &ignored) < 0 || !state.pin.is_set ||
        alarms_active(source->catalogue, policy->name, &active, &ignored) < 0)
        return false;
    for (size_t i = 0; i < active.n; i++)
        for (size_t k = 0; k < sizeof of_heads / sizeof *of_heads; k++)
            if (strcmp(active.items[i].kind, of_heads[k]) == 0)
                return false;
    _cleanup_free_ char *name = format_head_name(state.chain, state.pin.number), *next = format_head_name(state.chain, state.pin.number + 1);
    _cleanup_free_ char *path = xasprintf("%s/%s", policy->repository.url, name), *next_path = xasprintf("%s/%s", policy->repository.url, next);
    if (fs_read_file(source->ctx->io, AT_FDCWD, path, FORMAT_HEAD_MAX, &head, &ignored) < 0 ||
        io_stat(source->ctx->io, AT_FDCWD, next_path, AT_SYMLINK_NOFOLLOW, &st, &ignored) != ERROR_NOT_FOUND)
        return false;
    crypto_sha256(head.data, head.len, sha256);
    return memcmp(sha256, state.pin.sha256, sizeof sha256) == 0;
}

static void load_heads(const struct watch_source *source, const struct policy *policy, struct watch_loaded *loaded)
{
    _cleanup_repository_ struct repository *repository = NULL;
    _cleanup_state_ struct state state = { 0 };
    struct watch_facts *w = &loaded->facts;
    struct error err, ignored;
    uint8_t chain[16];
    int r = open_repository(source, policy, &repository, &err);
    if (state_open_readonly(source->ctx->io, source->ctx->state_dir, policy->name, &state, &ignored) < 0)
        state = (struct state){ 0 };
    if (r < 0) {
        note_store_problem(loaded, policy, &state.pin, &err);
        return;
    }
    w->heads_were_read = true;
    if (find_chain(source, policy, repository, &state, chain, &ignored) == 0)
        see_heads(source, repository, chain, &state.pin, w);
}

// ---- what the catalogue remembers of a repository that was not opened

struct remembered {
    struct watch_facts *facts;
    uint64_t now_ns;
};

static int see_snapshot(void *arg, const struct snapshot_record *snapshot, struct error *err)
{
    const struct remembered *seen = arg;
    struct watch_facts *w = seen->facts;
    (void)err;
    bool is_to_come = snapshot->time_ns > seen->now_ns + SKEW_NS;
    if (w->snapshots++ == 0) { // the newest comes first
        w->newest = snapshot->number;
        w->newest_ns = snapshot->time_ns;
        w->is_incomplete = snapshot->is_incomplete;
    }
    if (is_to_come && w->snapshots <= FUTURE_FORGOTTEN)
        w->future_ns = snapshot->time_ns;
    if (snapshot->is_suspect) {
        w->suspects++;
        w->first_suspect = snapshot->number;
        w->before_suspect = 0;
        return 0;
    }
    if (w->good == 0)
        w->good = snapshot->number;
    if (w->good_ns == 0 || (w->good_ns > seen->now_ns + SKEW_NS && !is_to_come))
        w->good_ns = snapshot->time_ns;
    if (w->suspects > 0 && w->before_suspect == 0)
        w->before_suspect = snapshot->number;
    return 0;
}

// False: nothing is, and the heads can be read.
static bool load_remembered(const struct watch_source *source, const struct policy *policy, struct watch_loaded *loaded)
{
    struct error err;
    struct remembered seen = { &loaded->facts, source->now_ns };
    bool known = source->catalogue != NULL && snapshots_list(source->catalogue, policy->name, SNAPSHOTS_LOOKED_AT, see_snapshot, &seen, &err) == 0 &&
                 loaded->facts.newest > 0;
    if (known || !policy_store_is_remote(&policy->repository))
        return known;
    loaded->facts.store_problem = "it is on a server, and nothing is known of it here";
    loaded->facts.store_step = "ask the server: bkd status --refresh";
    return true;
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

static int see_verification(void *arg, const struct verification *verification, struct error *err)
{
    struct watch_facts *w = arg;
    (void)err;
    w->verified = verification->snapshot;
    w->verified_ns = verification->time_ns;
    w->verification_failed = !verification->is_proven;
    return 0;
}

// ---- disk and far clock, as the last runs saw them

struct points {
    struct forecast_point items[FORECAST_POINTS_MAX];
    size_t n;
};

static int add_point(void *arg, uint64_t ended_ns, uint64_t value, struct error *err)
{
    struct points *points = arg;
    (void)err;
    if (points->n < FORECAST_POINTS_MAX)
        points->items[points->n++] = (struct forecast_point){ .time_ns = ended_ns, .free_bytes = value };
    return 0;
}

static uint64_t last_figure(struct catalogue *c, const char *policy, const char *figure)
{
    struct points points = { .n = 0 };
    struct error ignored; // then it is not known
    return runs_series(c, policy, "backup", figure, 1, add_point, &points, &ignored) == 0 && points.n > 0 ? points.items[0].free_bytes : 0;
}

static void load_disk(struct catalogue *c, const char *policy, struct watch_facts *w)
{
    struct points points = { .n = 0 };
    struct forecast forecast = { .full_in_days = UINT64_MAX };
    struct error ignored;
    w->far_clock_off_ns = last_figure(c, policy, "store_clock_off_s") * NS_PER_S;
    if (runs_series(c, policy, "backup", "store_free", FORECAST_POINTS_MAX, add_point, &points, &ignored) < 0 || points.n == 0)
        return;
    bool known = forecast_make(points.items, points.n, &forecast);
    w->disk = (struct watch_disk){ .is_known = true, .free_bytes = points.items[0].free_bytes, .total_bytes = last_figure(c, policy, "store_total"),
                                   .bytes_per_day = known ? forecast.bytes_per_day : 0, .full_in_days = forecast.full_in_days };
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
    *ret_newest_start_ns = seen.newest_start_ns;
    load_disk(source->catalogue, policy, w);
    (void)!verifications_list(source->catalogue, policy, 1, see_verification, w, &ignored);
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
    if (source->catalogue != NULL && slots_last(source->catalogue, policy->name, "backup", &slot, &ignored) == 0)
        seen_ns = later(seen_ns, slot.slot_ns);
    int64_t now_s = (int64_t)(source->now_ns / NS_PER_S), next_s = schedule_next(&schedule, now_s), first_s = schedule_next(&schedule, (int64_t)(seen_ns / NS_PER_S));
    w->next_slot_ns = next_s == CALENDAR_NEVER ? 0 : (uint64_t)next_s * NS_PER_S;
    if (first_s != CALENDAR_NEVER && first_s + (int64_t)policy->jitter_s <= now_s)
        w->overdue_slot_ns = (uint64_t)first_s * NS_PER_S;
}

// ---- copies

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
        *copy = (struct watch_copy){ .url = place->url, .serial = "", .is_removable = place->removable, .max_age_ns = place->max_age_s * NS_PER_S };
        if (receipt == NULL)
            continue;
        copy->serial = receipt->serial;
        copy->snapshot = receipt->snapshot;
        copy->snapshot_time_ns = receipt->snapshot_time_ns;
        copy->failing_since_ns = receipt->failing_since_ns;
        copy->failures = receipt->failures;
        copy->problem = receipt->problem;
    }
    loaded->facts.copies = loaded->copies;
    loaded->facts.n_copies = policy->offsite.count;
}

void watch_load(const struct watch_source *source, const char *name, const struct policy *policy, const char *problem, struct watch_loaded *ret_loaded)
{
    *ret_loaded = (struct watch_loaded){ .facts = { .policy = name, .policy_problem = problem, .is_loaded = policy != NULL, .run_message = "", .paused_by = "" },
                                         .receipts = { .lock_fd = -1 } };
    if (policy == NULL)
        return;
    struct watch_facts *w = &ret_loaded->facts;
    w->rpo_ns = policy->objectives.rpo_s * NS_PER_S;
    w->has_schedule = policy->schedule.count > 0;
    bool is_local = !policy_store_is_remote(&policy->repository);
    bool is_to_open = source->refresh || (!source->remembered && is_local && !(source->newest_only && newest_is_in_place(source, policy)));
    if (is_to_open || !load_remembered(source, policy, ret_loaded))
        load_heads(source, policy, ret_loaded);
    uint64_t newest_start_ns;
    load_runs(source, policy->name, ret_loaded, &newest_start_ns);
    load_schedule(source, policy, newest_start_ns, w);
    load_copies(source, policy, ret_loaded);
}
