#include "bkd/copies/shipping.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/clock.h"
#include "bkd/base/interrupt.h"
#include "bkd/base/log.h"
#include "bkd/base/shell.h"
#include "bkd/engine/replicate.h"
#include "bkd/history/cataloguing.h"
#include "bkd/history/exporting.h"
#include "bkd/history/recording.h"
#include "bkd/snapshots/holding.h"
#include "bkd/watch/place_figures.h"

#define MARKER "bkd-copy" // on removable disks; doc/FORMAT.md section 2
#define MARKER_MAX 256u

struct shipping {
    struct setup *setup;
    const struct shipping_options *options;
    struct repository *repository;
    uint8_t chain[16];
    struct receipts receipts;
    uint64_t shown_bytes, shown_snapshots;
    uint64_t duration_ns, bytes, snapshots, objects, copies, current; // of all copies so far
};

const char *shipping_state_name(enum shipping_state state)
{
    static const char *const names[] = { "current", "away", "unreachable", "damaged", "failed" };
    return names[state];
}

// ---- what a place is

static bool has_repository(struct store *store)
{
    uint64_t size;
    struct error ignored;
    return store->ops->size(store, "bkd-repository", &size, &ignored) == 0;
}

// "bkd-copy/1\nserial HEX\n"
static int read_serial(struct store *store, char ret_serial[RECEIPTS_SERIAL_MAX], struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    static const char head[] = "bkd-copy/1\nserial ";
    uint8_t serial[16];
    int r = store_get_all(store, MARKER, MARKER_MAX, &text, err);
    if (r < 0)
        return r;
    if (text.len != sizeof head - 1 + 33 || memcmp(text.data, head, sizeof head - 1) != 0 || !parse_hex(buf_str(&text) + sizeof head - 1, 32, serial, sizeof serial))
        return error_set(err, ERROR_INTEGRITY, "'%s' in %s is damaged: move it away, and give --init", MARKER, store->url);
    format_hex(ret_serial, serial, sizeof serial);
    return 0;
}

static int make_serial(const struct io *io, struct store *store, char ret_serial[RECEIPTS_SERIAL_MAX], struct error *err)
{
    uint8_t serial[16];
    io_random(io, serial, sizeof serial);
    format_hex(ret_serial, serial, sizeof serial);
    _cleanup_free_ char *text = xasprintf("bkd-copy/1\nserial %s\n", ret_serial);
    return store->ops->put(store, MARKER, text, strlen(text), err);
}

// A disk is known by its marker, not by where it is mounted: an empty mount point is no disk.
static int identify_disk(struct shipping *s, struct shipping_copy *copy, struct store *store, char ret_serial[RECEIPTS_SERIAL_MAX], struct error *err)
{
    int r = read_serial(store, ret_serial, err);
    if (r != ERROR_NOT_FOUND)
        return r;
    if (s->options->init && !s->options->dry_run)
        return make_serial(s->setup->ctx->io, store, ret_serial, err);
    copy->state = SHIPPING_AWAY;
    return error_set(err, ERROR_NOT_FOUND, "'%s' has no disk with a copy; a new disk is made known with: bkd ship %s --to %s --init", store->url, s->setup->policy.name,
                     store->url);
}

// A place that had a copy and is empty now has lost it; it is not filled again in silence.
static int check_not_emptied(const struct shipping *s, const struct receipt *receipt, struct store *store, struct error *err)
{
    if (receipt->snapshot == 0 || s->options->init || has_repository(store))
        return 0;
    return error_set(err, ERROR_INTEGRITY, "the copy at %s is gone: it had snapshot %llu. Is its disk mounted? If it is lost, make it anew: bkd ship %s --to %s --init", store->url,
                     (unsigned long long)receipt->snapshot, s->setup->policy.name, store->url);
}

static int open_place(struct shipping *s, struct shipping_copy *copy, struct store **ret_store, struct error *err)
{
    _cleanup_setup_access_ struct setup_access access = { 0 };
    const struct receipt *known = receipts_newest(&s->receipts, copy->place->url);
    bool make = !s->options->dry_run && (s->options->init || (!copy->place->removable && (known == NULL || known->snapshot == 0)));
    setup_access(s->setup->ctx, copy->place, &access);
    if (s->options->bandwidth != NULL)
        access.access.bandwidth = *s->options->bandwidth;
    int r = store_open(s->setup->ctx->io, copy->place->url, &access.access, make, ret_store, err);
    if (r == ERROR_NOT_FOUND && copy->place->removable) {
        copy->state = SHIPPING_AWAY;
        return error_set(err, ERROR_NOT_FOUND, "there is no '%s': its disk is not here", copy->place->url);
    }
    if (r == ERROR_NOT_FOUND && known != NULL && known->snapshot > 0)
        return error_set(err, ERROR_INTEGRITY, "the copy at %s is gone: it had snapshot %llu. Is its disk mounted? If it is lost, make it anew: bkd ship %s --to %s --init",
                         copy->place->url, (unsigned long long)known->snapshot, s->setup->policy.name, copy->place->url);
    return r;
}

// ---- shipping to one

static void show_progress(void *arg, uint64_t bytes, uint64_t total_bytes, uint64_t snapshots, uint64_t total_snapshots)
{
    struct shipping *s = arg;
    if (bytes == 0 && snapshots == 0) {
        progress_begin(s->options->progress, "ship", total_snapshots, total_bytes);
        s->shown_bytes = s->shown_snapshots = 0;
    }
    progress_add(s->options->progress, snapshots - s->shown_snapshots, bytes - s->shown_bytes);
    s->shown_bytes = bytes;
    s->shown_snapshots = snapshots;
}

static uint64_t time_of(const struct shipping *s, uint64_t number)
{
    for (size_t i = 0; i < s->repository->n_heads; i++) {
        const struct repository_head *head = &s->repository->heads[i];
        if (head->valid && head->number == number && memcmp(head->chain, s->chain, sizeof s->chain) == 0)
            return head->head.time_ns;
    }
    return 0;
}

static int tell_lost(const struct shipping *s, const char *to, const struct replicate_result *result, struct error *err)
{
    bool snapshots = result->lost > 0;
    _cleanup_free_ char *word = shell_word(to);
    return error_set(err, ERROR_INTEGRITY, "%llu %s that had been there %s. Find out who removed them, and look at the rest with `bkd-restore -r %s check`",
                     (unsigned long long)(snapshots ? result->lost : result->lost_objects), snapshots ? "snapshots" : "objects",
                     s->options->dry_run ? "are missing" : "were missing; they were brought again", word);
}

// Signed by this host: that data never got somewhere gives nothing up.
static int note_absent(void *arg, const uint8_t chain[16], const uint8_t store[STORE_ID_SIZE], const struct repository_head *const *heads, size_t n, struct error *err)
{
    struct shipping *s = arg;
    _cleanup_sshkey_ struct sshkey key = { 0 };
    int r = s->setup->signing_key.len > 0 ? 0 : setup_load_signing(s->setup, err);
    if (r == 0)
        r = sshkey_parse(s->setup->signing_key.data, s->setup->signing_key.len, &key, err);
    for (size_t at = 0; r == 0 && at < n;) {
        _cleanup_record_ struct record record = { .kind = RECORD_ABSENT, .time_ns = io_realtime_ns(s->setup->ctx->io), .reason = "pruned before it was shipped" };
        record.snapshots = xcalloc(RECORD_SNAPSHOTS_MAX, sizeof *record.snapshots);
        memcpy(record.chain, chain, sizeof record.chain);
        memcpy(record.store, store, sizeof record.store);
        holding_who(s->setup, record.by);
        for (; at < n && record.n_snapshots < RECORD_SNAPSHOTS_MAX; at++) {
            struct record_snapshot *snapshot = &record.snapshots[record.n_snapshots++];
            snapshot->number = heads[at]->number;
            memcpy(snapshot->head, heads[at]->sha256, sizeof snapshot->head);
        }
        r = records_append_several(s->repository, buf_str(&s->setup->signers), &key, &record, err);
    }
    return r;
}

// Tombstones hold for a store by its name: whoever gives a copy the name of another could hide that snapshots were removed there.
static int check_name(struct receipt *receipt, struct store *store, bool is_new, struct error *err)
{
    uint8_t id[STORE_ID_SIZE];
    char name[RECEIPTS_STORE_MAX] = "";
    int r = store_id_read(store, id, err);
    if (r < 0 && r != ERROR_NOT_FOUND)
        return r;
    if (r == 0)
        format_hex(name, id, sizeof id);
    if (receipt->store[0] != '\0' && !is_new && strcmp(receipt->store, name) != 0)
        return error_set(err, ERROR_INTEGRITY, "'" STORE_ID_FILE "' in %s is not the one that was there (id %s): somebody exchanged it, which can hide that snapshots were removed; look at the "
                         "place with `bkd check --from`, and put it back", store->url, receipt->store);
    (void)snprintf(receipt->store, sizeof receipt->store, "%s", name);
    return 0;
}

static int replicate(struct shipping *s, struct shipping_copy *copy, struct store *store, struct receipt *receipt, struct error *err)
{
    struct replicate_options options = {
        .from = s->repository, .to = store, .chain = s->chain, .shipped_before = s->options->init ? 0 : receipt->snapshot, .dry_run = s->options->dry_run,
        .absent = note_absent, .prove_present = receipt->damaged, .proof = (enum proof_reading)copy->place->verify, .interrupted = interrupt_requested, .progress = show_progress, .arg = s,
    };
    struct replicate_result result;
    int r = replicate_run(s->setup->ctx->io, &options, &result, err);
    if (r == 0 && !s->options->dry_run)
        exporting_ship(s->setup, s->repository->store, store, s->chain);
    if (r == 0 && !s->options->dry_run)
        cataloguing_proofs(s->setup, s->repository, store, s->chain);
    copy->snapshots = result.snapshots;
    copy->objects = result.objects;
    copy->bytes = result.bytes;
    copy->records = result.records;
    copy->lost = result.lost;
    copy->lost_objects = result.lost_objects;
    if (result.latest > 0 && !s->options->dry_run) {
        receipt->snapshot = result.latest;
        receipt->snapshot_time_ns = time_of(s, result.latest);
        receipt->shipped_ns = io_realtime_ns(s->setup->ctx->io);
    }
    return r == 0 && result.lost + result.lost_objects > 0 ? tell_lost(s, store->url, &result, err) : r;
}

// By another name: through a link, a bind mount, or a second mount of the same disk.
static int check_elsewhere(const struct shipping *s, const struct shipping_copy *copy, struct error *err)
{
    const struct io *io = s->setup->ctx->io;
    const struct policy_store *repository = &s->setup->policy.repository;
    struct statx here, there;
    struct error ignored; // what is not there is told by who opens it
    if (policy_store_is_remote(repository) || policy_store_is_remote(copy->place) || io_stat(io, AT_FDCWD, repository->url, 0, &here, &ignored) < 0 ||
        io_stat(io, AT_FDCWD, copy->place->url, 0, &there, &ignored) < 0)
        return 0;
    if (here.stx_ino != there.stx_ino || here.stx_dev_major != there.stx_dev_major || here.stx_dev_minor != there.stx_dev_minor)
        return 0;
    return error_set(err, ERROR_INTEGRITY, "it is no copy: '%s' leads to the repository itself, '%s'; look at links and mounts there", copy->place->url, repository->url);
}

static void note_place(const struct shipping *s, const struct shipping_copy *copy, struct store *store, const char *serial, uint64_t snapshot)
{
    _cleanup_free_ char *head = copy->snapshots > 0 ? format_head_name(s->chain, snapshot) : NULL;
    place_figures_note(s->setup->ctx, store, copy->place->url, serial, head);
}

static int ship_to(struct shipping *s, struct shipping_copy *copy, char serial[RECEIPTS_SERIAL_MAX], struct error *err)
{
    struct store *store = NULL;
    int r = check_elsewhere(s, copy, err);
    if (r == 0)
        r = open_place(s, copy, &store, err);
    if (r == 0 && copy->place->removable)
        r = identify_disk(s, copy, store, serial, err);
    struct receipt *receipt = r == 0 ? receipts_of(&s->receipts, copy->place->url, serial) : NULL;
    if (r == 0)
        r = check_not_emptied(s, receipt, store, err);
    if (r == 0)
        r = check_name(receipt, store, s->options->init, err);
    if (r == 0)
        r = replicate(s, copy, store, receipt, err);
    if (r == 0 && receipt->store[0] == '\0' && !s->options->dry_run) // it has got its name now
        r = check_name(receipt, store, true, err);
    if (r == 0 && !s->options->dry_run)
        note_place(s, copy, store, serial, receipt->snapshot);
    store_close(store);
    return r;
}

static enum shipping_state state_of(const struct shipping_copy *copy, int r)
{
    if (r == 0)
        return SHIPPING_CURRENT;
    if (copy->state == SHIPPING_AWAY)
        return SHIPPING_AWAY;
    return r == ERROR_INTEGRITY ? SHIPPING_DAMAGED : r == ERROR_UNREACHABLE ? SHIPPING_UNREACHABLE : SHIPPING_FAILED;
}

static void remember(struct shipping *s, const struct shipping_copy *copy, const char *serial)
{
    uint64_t now = io_realtime_ns(s->setup->ctx->io);
    if (copy->state == SHIPPING_AWAY || s->options->dry_run)
        return;
    struct receipt *receipt = receipts_of(&s->receipts, copy->place->url, serial);
    bool failed = copy->state != SHIPPING_CURRENT;
    if (copy->state == SHIPPING_DAMAGED || !failed || !receipt->damaged) { // a place that cannot be reached does not heal meanwhile
        free(receipt->problem);
        receipt->problem = failed ? xstrdup(copy->error.text) : NULL;
        receipt->damaged = copy->state == SHIPPING_DAMAGED;
    }
    receipt->failures = failed ? receipt->failures + 1 : 0;
    receipt->failing_since_ns = !failed ? 0 : receipt->failing_since_ns > 0 ? receipt->failing_since_ns : now;
}

static void judge_age(const struct shipping *s, struct shipping_copy *copy)
{
    uint64_t now = io_realtime_ns(s->setup->ctx->io);
    const struct receipt *newest = receipts_newest(&s->receipts, copy->place->url);
    bool has = newest != NULL && newest->snapshot > 0;
    copy->snapshot = has ? newest->snapshot : 0;
    copy->age_ns = !has ? UINT64_MAX : now > newest->snapshot_time_ns ? now - newest->snapshot_time_ns : 0;
    copy->overdue = copy->state != SHIPPING_CURRENT && copy->age_ns > policy_copy_max_age_s(&s->setup->policy, copy->place) * UINT64_C(1000000000);
}

static void ship_one(struct shipping *s, struct shipping_copy *copy)
{
    char serial[RECEIPTS_SERIAL_MAX] = "";
    uint64_t start = io_monotonic_ns(s->setup->ctx->io);
    int r = ship_to(s, copy, serial, &copy->error);
    copy->state = state_of(copy, r);
    copy->duration_ns = io_monotonic_ns(s->setup->ctx->io) - start;
    remember(s, copy, serial);
    judge_age(s, copy);
    s->duration_ns += copy->duration_ns;
    s->bytes += copy->bytes;
    s->snapshots += copy->snapshots;
    s->objects += copy->objects;
    s->copies++;
    s->current += copy->state == SHIPPING_CURRENT;
}

// ---- telling

static int tell_json(const struct shipping *s, const struct shipping_copy *copy, struct error *err)
{
    struct json *line = json_line_new("copy");
    json_add_str(line, "policy", s->setup->policy.name);
    json_add_str(line, "url", copy->place->url);
    json_add_str(line, "state", shipping_state_name(copy->state));
    if (s->options->dry_run)
        json_add_bool(line, "dry_run", true);
    if (copy->snapshot > 0) {
        json_add_u64(line, "snapshot", copy->snapshot);
        json_add_u64(line, "age_ms", copy->age_ns / 1000000);
    }
    json_add_bool(line, "overdue", copy->overdue);
    json_add_u64(line, "snapshots", copy->snapshots);
    json_add_u64(line, "objects", copy->objects);
    json_add_u64(line, "bytes", copy->bytes);
    json_add_u64(line, "records", copy->records);
    json_add_u64(line, "lost", copy->lost);
    json_add_u64(line, "lost_objects", copy->lost_objects);
    json_add_u64(line, "duration_ms", copy->duration_ns / 1000000);
    if (copy->state != SHIPPING_CURRENT)
        json_add_str(line, "reason", copy->error.text);
    return json_line_print(&line, stdout, err);
}

static void tell_text(const struct shipping *s, const struct shipping_copy *copy)
{
    char bytes[CLOCK_TEXT_MAX], duration[CLOCK_TEXT_MAX], age[CLOCK_TEXT_MAX];
    clock_format_bytes(bytes, copy->bytes);
    clock_format_duration(duration, copy->duration_ns);
    clock_format_duration(age, copy->age_ns == UINT64_MAX ? 0 : copy->age_ns);
    progress_pause(s->options->progress);
    if (copy->state != SHIPPING_CURRENT)
        log_warn("copy %s is %s: %s%s%s%s", copy->place->url, shipping_state_name(copy->state), copy->error.text, copy->overdue ? "; its newest snapshot is " : "",
                 !copy->overdue ? "" : copy->age_ns == UINT64_MAX ? "none at all" : age, copy->overdue && copy->age_ns != UINT64_MAX ? " old, more than it may be" : "");
    else if (s->options->dry_run && s->setup->ctx->verbosity >= 0)
        printf("%s: copy %s lacks %llu snapshots\n", s->setup->policy.name, copy->place->url, (unsigned long long)copy->snapshots);
    else if (s->setup->ctx->verbosity >= 0)
        printf("%s: copy %s has snapshot %llu; brought %llu snapshots, %llu objects, %s; %s\n", s->setup->policy.name, copy->place->url, (unsigned long long)copy->snapshot,
               (unsigned long long)copy->snapshots, (unsigned long long)copy->objects, bytes, duration);
}

static int tell(const struct shipping *s, const struct shipping_copy *copy, struct error *err)
{
    if (s->setup->ctx->json)
        return tell_json(s, copy, err);
    tell_text(s, copy);
    return 0;
}

static int tell_all(const struct shipping *s, struct error *err)
{
    struct json *line = json_line_new("summary");
    json_add_str(line, "policy", s->setup->policy.name);
    if (s->options->dry_run)
        json_add_bool(line, "dry_run", true);
    json_add_u64(line, "copies", s->copies);
    json_add_u64(line, "current", s->current);
    json_add_u64(line, "snapshots", s->snapshots);
    json_add_u64(line, "objects", s->objects);
    json_add_u64(line, "bytes", s->bytes);
    json_add_u64(line, "duration_ms", s->duration_ns / 1000000);
    return json_line_print(&line, stdout, err);
}

// ---- all of them

static unsigned weight_of(int code)
{
    return code == ERROR_INTEGRITY ? 4 : code == ERROR_UNREACHABLE ? 2 : code == ERROR_OBJECTIVE ? 1 : code < 0 ? 3 : 0;
}

// What weighs most is what the whole ends with.
static int weigh(const struct shipping_copy *copy, int worst, struct error *err)
{
    int code = copy->state == SHIPPING_CURRENT || copy->state == SHIPPING_AWAY ? 0 : copy->error.code;
    if (copy->overdue && code == 0)
        code = ERROR_OBJECTIVE;
    if (weight_of(code) <= weight_of(worst))
        return worst;
    *err = copy->error;
    err->code = (enum error_code)code;
    return error_prefix(err, "copy %s", copy->place->url);
}

static int check_only(const struct policy *policy, const char *only, struct error *err)
{
    _cleanup_buf_ struct buf list = { 0 };
    for (size_t i = 0; i < policy->offsite.count; i++) {
        if (only == NULL || strcmp(policy->offsite.items[i].url, only) == 0)
            return 0;
        buf_addf(&list, "%s%s", i > 0 ? ", " : "", policy->offsite.items[i].url);
    }
    if (policy->offsite.count == 0)
        return error_set(err, ERROR_USAGE, "it has no copies: name them below `offsite`");
    return error_set(err, ERROR_USAGE, "'%s' is none of its copies; there are %s", only, buf_str(&list));
}

static int ship_all(struct shipping *s, struct error *err)
{
    const struct policy_stores *places = &s->setup->policy.offsite;
    int worst = 0;
    for (size_t i = 0; i < places->count && !interrupt_requested(); i++) {
        struct shipping_copy copy = { .place = &places->items[i], .state = SHIPPING_FAILED };
        struct error lost;
        if (s->options->only != NULL && strcmp(s->options->only, copy.place->url) != 0)
            continue;
        ship_one(s, &copy);
        worst = weigh(&copy, worst, err);
        int r = s->options->dry_run ? 0 : receipts_save(&s->receipts, &lost);
        if (r == 0)
            r = tell(s, &copy, &lost);
        if (r < 0 && worst == 0) {
            *err = lost;
            worst = r;
        }
    }
    recording_phase(s->setup->ctx, "ship", s->duration_ns);
    recording_figure(s->setup->ctx, "bytes_shipped", s->bytes);
    recording_figure(s->setup->ctx, "snapshots_shipped", s->snapshots);
    return worst;
}

// What was only looked at, when this policy verified what another host brought there, is nothing that was brought, nor could be lost.
static void forget_seen(struct receipts *receipts)
{
    for (size_t i = 0; i < receipts->n; i++) {
        struct receipt *receipt = &receipts->items[i];
        if (receipt->chain[0] == '\0')
            continue;
        receipt->chain[0] = '\0';
        receipt->snapshot = receipt->snapshot_time_ns = 0;
    }
}

int shipping_run(struct setup *setup, const struct shipping_options *options, struct error *err)
{
    struct shipping s = { .setup = setup, .options = options, .receipts = { .lock_fd = -1 } };
    int r = check_only(&setup->policy, options->only, err);
    if (r == 0)
        r = receipts_open(setup->ctx->io, setup->ctx->state_dir, setup->policy.name, !options->dry_run, &s.receipts, err);
    if (r == 0)
        forget_seen(&s.receipts);
    if (r == 0)
        r = setup_open_repository(setup, &s.repository, err);
    if (r == 0)
        r = setup_find_chain(setup, s.repository, s.chain, err);
    if (r == 0)
        r = ship_all(&s, err);
    if (r == 0 && options->summary && setup->ctx->json)
        r = tell_all(&s, err);
    if (s.repository != NULL && !options->dry_run)
        cataloguing_copies(setup, s.repository, s.chain, &s.receipts);
    repository_close(s.repository);
    receipts_close(&s.receipts);
    return r < 0 ? error_prefix(err, "policy %s", setup->policy.name) : 0;
}
