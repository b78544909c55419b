// The part of watch_load.h that looks at heads: those of a repository, or what the catalogue remembers of them.
#include <stdlib.h>
#include <string.h>

#include "bkd/base/crypto.h"
#include "bkd/base/fs.h"
#include "bkd/engine/state.h"
#include "bkd/host/setup.h"
#include "bkd/record/alarms.h"
#include "bkd/record/snapshots.h"
#include "bkd/repo/holds.h"
#include "bkd/repo/suspects.h"
#include "bkd/watch/watch_load.h"

#define NS_PER_S UINT64_C(1000000000)

enum { SNAPSHOTS_LOOKED_AT = 30 };

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

static bool is_of(const struct state_pin *pin, const struct repository *r) { return pin->is_set && memcmp(pin->repository, r->info.id, sizeof r->info.id) == 0; }

static void see_heads(const struct watch_source *source, const struct repository *r, const uint8_t chain[16], const struct state *before, const struct state *after,
                      struct watch_facts *w)
{
    _cleanup_records_ struct records records = { 0 };
    struct error ignored; // the store answered for the heads; `bkd check` says what is wrong with records
    bool pin_seen = !is_of(&before->pin, r), is_ours = is_of(&after->pin, r);
    if (records_load(r, buf_str(&source->signers), &records, &ignored) == 0)
        w->record_problems = records_count_problems(&records);
    for (size_t i = 0; i < r->n_heads; i++) {
        const struct repository_head *head = &r->heads[i];
        if (memcmp(head->chain, chain, 16) != 0)
            continue;
        see_head(w, head, suspects_is(&records, head), source->now_ns);
        w->held += head->valid && holds_is_held(&records, head);
        pin_seen = pin_seen || is_pinned(&before->pin, head);
        bool is_after = is_ours && head->valid && head->number > after->pin.number && !is_pinned(&after->pending, head);
        if (is_after && w->foreign_head == 0)
            w->foreign_head = head->number;
    }
    w->head_problems = repository_count_problems(r);
    w->lost_head = pin_seen ? 0 : before->pin.number;
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
    static const char *const of_heads[] = { "integrity", "rolled-back", "foreign", "suspect" };
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

static void read_state(const struct watch_source *source, const struct policy *policy, struct state *ret_state)
{
    struct error ignored; // no run yet, or not ours to read: nothing is known
    if (state_open_readonly(source->ctx->io, source->ctx->state_dir, policy->name, ret_state, &ignored) < 0)
        *ret_state = (struct state){ 0 };
}

// A backup may be committing meanwhile. What was pinned before the heads were read must be among them; and what is among them was at least pending after it.
static void load_heads(const struct watch_source *source, const struct policy *policy, struct watch_loaded *loaded)
{
    _cleanup_repository_ struct repository *repository = NULL;
    _cleanup_state_ struct state before = { 0 }, after = { 0 };
    struct error err, ignored;
    uint8_t chain[16];
    read_state(source, policy, &before);
    int r = open_repository(source, policy, &repository, &err);
    loaded->facts.store_was_seen = true;
    read_state(source, policy, &after);
    if (r < 0) {
        note_store_problem(loaded, policy, &after.pin, &err);
        return;
    }
    loaded->facts.heads_were_read = true;
    if (find_chain(source, policy, repository, &after, chain, &ignored) == 0)
        see_heads(source, repository, chain, &before, &after, &loaded->facts);
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

void watch_load_heads(const struct watch_source *source, const struct policy *policy, struct watch_loaded *loaded)
{
    bool is_to_look = !source->remembered && !policy_store_is_remote(&policy->repository);
    loaded->facts.store_was_seen = is_to_look && source->newest_only && newest_is_in_place(source, policy);
    bool is_to_open = source->refresh || (is_to_look && !loaded->facts.store_was_seen);
    if (is_to_open || !load_remembered(source, policy, loaded))
        load_heads(source, policy, loaded);
}
