#include "bkd/drills/negative.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/env.h"
#include "bkd/base/fs.h"
#include "bkd/base/interrupt.h"
#include "bkd/base/proc.h"
#include "bkd/dr/clear.h"
#include "bkd/dr/replica.h"
#include "bkd/dr/sabotage.h"
#include "bkd/dr/trial.h"
#include "bkd/drills/negative_line.h"
#include "bkd/engine/state.h"
#include "bkd/host/programs.h"

enum { EXIT_ALARM = 4, EXIT_KEY = 9 };

struct negative {
    struct drilling *d;
    char *copy, *config, *state; // below the scratch space; owned
    char *bkd, *restore;         // programs; owned
    char *object;                // of the copy: the one that the snapshot uses most of; owned
    uint64_t copied_bytes;
    uint64_t fetched_bytes;      // by a restore of it; 0 = none was tried
};

static void negative_done(struct negative *n)
{
    free(n->copy);
    free(n->config);
    free(n->state);
    free(n->bkd);
    free(n->restore);
    free(n->object);
}

// ---- the scratch host: a configuration with this one policy, and the memory of the newest head, both of their own, so that nothing here gets into the history

static int write_file(const struct negative *n, const char *name, const void *data, size_t size, struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", n->config, name), *dir = xstrdup(path);
    *strrchr(dir, '/') = '\0';
    int r = fs_make_dirs(n->d->setup.ctx->io, AT_FDCWD, dir, 0700, err);
    return r < 0 ? r : fs_create_file(n->d->setup.ctx->io, AT_FDCWD, path, 0600, data, size, err);
}

static int write_policy(const struct negative *n, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    _cleanup_free_ char *name = xasprintf("policies/%s.yaml", n->d->setup.policy.name);
    buf_add_str(&text, "sources: ["); // which nobody reads: a check asks only for the repository
    context_add_quoted(n->config, &text);
    buf_add_str(&text, "]\nrepository: ");
    context_add_quoted(n->copy, &text);
    buf_add_char(&text, '\n');
    return write_file(n, name, text.data, text.len, err);
}

static int remember_head(const struct negative *n, struct error *err)
{
    _cleanup_state_ struct state state = { .dirfd = -1, .lock_fd = -1 };
    const struct repository_head *head = n->d->head;
    struct state_pin pin = { .is_set = true, .number = head->number };
    memcpy(pin.sha256, head->sha256, sizeof pin.sha256);
    memcpy(pin.repository, n->d->repository->info.id, sizeof pin.repository);
    int r = state_open(n->d->setup.ctx->io, n->state, n->d->setup.policy.name, &state, err);
    if (r == 0)
        r = state_set_chain(&state, head->chain, err);
    return r < 0 ? r : state_set_pin(&state, &pin, err);
}

static int find_object(struct negative *n, struct error *err)
{
    _cleanup_format_refs_ struct format_refs refs = { 0 };
    size_t most = 0;
    int r = repository_read_refs(n->d->repository, &n->d->head->head, &refs, err);
    if (r == 0 && refs.n == 0)
        r = error_set(err, ERROR_NOT_FOUND, "snapshot %llu needs no objects, so there is nothing to damage", (unsigned long long)n->d->head->number);
    if (r < 0)
        return r;
    for (size_t i = 1; i < refs.n; i++)
        most = refs.refs[i].used > refs.refs[most].used ? i : most;
    _cleanup_free_ char *name = format_object_name(refs.refs[most].sha256, n->d->repository->info.encrypted);
    n->object = xasprintf("%s/%s", n->copy, name);
    return 0;
}

static int make_host(struct negative *n, struct error *err)
{
    const struct drilling *d = n->d;
    n->copy = xasprintf("%s/repository", d->scratch.path);
    n->config = xasprintf("%s/config", d->scratch.path);
    n->state = xasprintf("%s/state", d->scratch.path);
    n->bkd = programs_path("bkd");
    n->restore = programs_path("bkd-restore");
    int r = replica_make(d->repository, d->head, true, n->copy, &n->copied_bytes, err);
    if (r == 0)
        r = write_file(n, "keys/allowed_signers", d->setup.signers.data, d->setup.signers.len, err);
    if (r == 0)
        r = write_policy(n, err);
    if (r == 0)
        r = remember_head(n, err);
    return r < 0 ? r : find_object(n, err);
}

// ---- who has to notice

// What `bkd check` says of the scratch copy.
struct finding_sought {
    const char *file; // relative to the repository
    bool is_named;    // an alarm names it
};

static void take_finding(void *arg, enum proc_stream stream, const char *text, size_t size)
{
    struct finding_sought *sought = arg;
    _cleanup_json_ struct json *line = NULL;
    struct error ignored; // a line that is none says nothing
    if (stream != PROC_OUTPUT || json_parse(text, size, &line, &ignored) < 0)
        return;
    const char *type = json_get_str(line, "type"), *severity = json_get_str(line, "severity"), *file = json_get_str(line, "file");
    if (type != NULL && severity != NULL && file != NULL && strcmp(type, "finding") == 0 && strcmp(severity, "alarm") == 0 && strcmp(file, sought->file) == 0)
        sought->is_named = true;
}

// `file`: within the copy. *ret_code is the exit code; -1: a signal.
static int run_check(const struct negative *n, const char *file, bool *ret_is_named, int *ret_code, struct error *err)
{
    _cleanup_env_ struct env env = { 0 };
    _cleanup_proc_result_ struct proc_result result = { 0 };
    struct finding_sought sought = { .file = file + strlen(n->copy) + 1 };
    const char *const argv[] = { n->bkd, "--config-dir", n->config, "--state-dir", n->state, "--json", "check", n->d->setup.policy.name, NULL };
    env_init(&env, NULL);
    env_add(&env, "TMPDIR", n->d->scratch.path);
    int r = proc_run(n->d->setup.ctx->io, &(struct proc_options){ .argv = argv, .env = env.list, .line = take_finding, .stop = interrupt_stops, .arg = &sought }, &result, err);
    if (r == 0 && interrupt_requested())
        r = error_set(err, ERROR_FAILED, "interrupted");
    *ret_is_named = sought.is_named;
    *ret_code = result.end == PROC_EXITED ? result.code : -1;
    return r;
}

static int run_restore(const struct negative *n, const char *identity, struct trial *ret_trial, struct error *err)
{
    char chain[2 * sizeof n->d->head->chain + 1];
    const struct drilling *d = n->d;
    format_hex(chain, d->head->chain, sizeof d->head->chain);
    const struct trial_request request = {
        .program = n->restore, .repository = n->copy, .identity = identity, .signers = d->signers, .chain = chain, .snapshot = d->head->number, .target = d->scratch.tree,
        .stop = interrupt_stops,
    };
    int r = trial_run(d->setup.ctx->io, &request, ret_trial, err);
    if (r == 0 && interrupt_requested())
        r = error_set(err, ERROR_FAILED, "interrupted");
    return r < 0 ? r : clear_tree(d->setup.ctx->io, d->scratch.tree, err);
}

static uint64_t since(const struct negative *n, uint64_t then_ns) { return io_monotonic_ns(n->d->setup.ctx->io) - then_ns; }

static bool can_restore(const struct negative *n) { return n->d->identity != NULL || !n->d->repository->info.encrypted; }

// ---- before anything is damaged

static int step_whole(struct negative *n, struct error *err)
{
    _cleanup_trial_ struct trial trial = { 0 };
    uint64_t start = io_monotonic_ns(n->d->setup.ctx->io);
    bool is_named = false;
    int code, r = run_check(n, n->object, &is_named, &code, err);
    if (r == 0 && is_named)
        return error_set(err, ERROR_INTEGRITY, "'%s' is damaged where it came from: `bkd check %s`", n->object + strlen(n->copy) + 1, n->d->setup.policy.name);
    if (r == 0 && code != 0 && code != EXIT_ALARM)
        r = error_set(err, ERROR_FAILED, "`bkd check` ends with %d on the undamaged copy", code);
    if (r < 0 || !can_restore(n))
        return r;
    r = run_restore(n, n->d->identity, &trial, err);
    if (r == 0 && !trial.is_restored)
        return error_set(err, ERROR_INTEGRITY, "the copy does not restore before anything was done to it: %s", trial.why == NULL ? "bkd-restore was ended by a signal" : trial.why);
    n->fetched_bytes = trial.bytes_fetched;
    return r < 0 ? r : drilling_step(n->d, "undamaged copy", since(n, start), DRILL_PASSED, err, "%llu files restore from it", (unsigned long long)trial.files);
}

// ---- tricks

// Both look at the damaged copy. A restore that does not need the damaged bytes may succeed: its content was compared with what was signed.
static int judge_damage(struct negative *n, const char *name, struct error *err)
{
    _cleanup_trial_ struct trial trial = { .is_restored = true };
    uint64_t start = io_monotonic_ns(n->d->setup.ctx->io);
    bool is_named;
    int code, r = run_check(n, n->object, &is_named, &code, err);
    if (r == 0 && can_restore(n))
        r = run_restore(n, n->d->identity, &trial, err);
    if (r < 0)
        return r;
    bool check_noticed = code == EXIT_ALARM && is_named, restore_noticed = !trial.is_restored && trial.exit_code == EXIT_ALARM;
    bool passed = check_noticed && (restore_noticed || !can_restore(n));
    return drilling_step(n->d, name, since(n, start), passed ? DRILL_PASSED : DRILL_FAILED, err, "bkd check ends with %d and %s the object; bkd-restore %s %d", code,
                         is_named ? "names" : "does NOT name", can_restore(n) ? "ends with" : "was not tried without an identity:", trial.exit_code);
}

static int damage(struct negative *n, const char *name, enum sabotage_kind kind, struct error *err)
{
    const struct io *io = n->d->setup.ctx->io;
    int r = sabotage_do(io, kind, n->object, err);
    if (r == 0)
        r = judge_damage(n, name, err);
    return r < 0 ? r : sabotage_undo(io, n->object, err);
}

static int try_flip(struct negative *n, const char *name, struct error *err) { return damage(n, name, SABOTAGE_FLIP, err); }
static int try_remove(struct negative *n, const char *name, struct error *err) { return damage(n, name, SABOTAGE_REMOVE, err); }
static int try_cut(struct negative *n, const char *name, struct error *err) { return damage(n, name, SABOTAGE_CUT, err); }

// The newest head is taken back, and whatever else there was says that the one before is the newest: only who remembers it can know.
static int try_replay(struct negative *n, const char *name, struct error *err)
{
    const struct io *io = n->d->setup.ctx->io;
    _cleanup_free_ char *head = format_head_name(n->d->head->chain, n->d->head->number), *path = xasprintf("%s/%s", n->copy, head), *aside = xasprintf("%s/head", n->d->scratch.path);
    uint64_t start = io_monotonic_ns(io);
    bool is_named = false;
    int code = 0, r = io_rename_new(io, AT_FDCWD, path, AT_FDCWD, aside, err);
    if (r == 0)
        r = run_check(n, path, &is_named, &code, err);
    if (r == 0)
        r = io_rename_new(io, AT_FDCWD, aside, AT_FDCWD, path, err);
    bool passed = code == EXIT_ALARM && is_named;
    return r < 0 ? r : drilling_step(n->d, name, since(n, start), passed ? DRILL_PASSED : DRILL_FAILED, err, "bkd check ends with %d and %s snapshot %llu as missing", code,
                                     is_named ? "names" : "does NOT name", (unsigned long long)n->d->head->number);
}

static int make_stranger(const struct negative *n, const char *path, struct error *err)
{
    struct age_identity identity;
    char text[AGE_IDENTITY_TEXT_SIZE];
    age_identity_new(n->d->setup.ctx->io, &identity);
    age_identity_format(&identity, text);
    return fs_create_file(n->d->setup.ctx->io, AT_FDCWD, path, 0600, text, strlen(text), err);
}

static int try_without_key(struct negative *n, const char *name, struct error *err)
{
    _cleanup_trial_ struct trial none = { 0 }, other = { 0 };
    _cleanup_free_ char *stranger = xasprintf("%s/stranger.txt", n->d->scratch.path);
    uint64_t start = io_monotonic_ns(n->d->setup.ctx->io);
    if (!n->d->repository->info.encrypted)
        return drilling_step(n->d, name, 0, DRILL_SKIPPED, err, "the repository is not encrypted: whoever has it reads it");
    int r = make_stranger(n, stranger, err);
    if (r == 0)
        r = run_restore(n, NULL, &none, err);
    if (r == 0)
        r = run_restore(n, stranger, &other, err);
    bool passed = none.exit_code == EXIT_KEY && other.exit_code == EXIT_KEY && !none.is_restored && !other.is_restored;
    return r < 0 ? r : drilling_step(n->d, name, since(n, start), passed ? DRILL_PASSED : DRILL_FAILED, err, "bkd-restore ends with %d without an identity, with %d with another's",
                                     none.exit_code, other.exit_code);
}

static struct negative_line line_of(const struct negative *n) { return (struct negative_line){ .d = n->d, .restore = n->restore, .fetched_bytes = n->fetched_bytes }; }

static int try_cut_line(struct negative *n, const char *name, struct error *err)
{
    struct negative_line line = line_of(n);
    return negative_line_cut(&line, name, err);
}

static int try_host_key(struct negative *n, const char *name, struct error *err)
{
    struct negative_line line = line_of(n);
    return negative_line_host_key(&line, name, err);
}

static const struct trick {
    const char *name;
    int (*attempt)(struct negative *n, const char *name, struct error *err);
    bool is_far; // takes a server
} tricks[] = {
    { "a flipped bit in an object", try_flip, false },
    { "an object that was removed", try_remove, false },
    { "an object that ends at 60 %", try_cut, false },
    { "an old state put back", try_replay, false },
    { "a key that is withheld", try_without_key, false },
    { "a line that is cut at 60 %", try_cut_line, true },
    { "a wrong host key", try_host_key, true },
};

static int tell_limits(struct negative *n, struct error *err)
{
    int r = drill_not_exercised(&n->d->drill, "records (tags, holds, proofs) that are taken back alone: only the copies' records tell", err);
    if (r == 0 && !can_restore(n))
        r = drill_not_exercised(&n->d->drill, "whether bkd-restore notices the damage: this host has no identity", err);
    if (r == 0 && !policy_store_is_remote(n->d->place))
        r = drill_not_exercised(&n->d->drill, "a line that is cut, and a wrong host key: this copy lies on no server", err);
    return r;
}

int negative_run(struct drilling *d, struct error *err)
{
    __attribute__((cleanup(negative_done))) struct negative n = { .d = d };
    int r = make_host(&n, err);
    if (r == 0)
        r = step_whole(&n, err);
    for (size_t i = 0; r == 0 && i < sizeof tricks / sizeof *tricks; i++)
        r = tricks[i].is_far && !policy_store_is_remote(d->place) ? 0 : tricks[i].attempt(&n, tricks[i].name, err);
    return r < 0 ? r : tell_limits(&n, err);
}
