#include "bkd/proof/verifying.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/crypto.h"
#include "bkd/base/fs.h"
#include "bkd/base/interrupt.h"
#include "bkd/base/log.h"
#include "bkd/dr/sample.h"
#include "bkd/dr/scratch.h"
#include "bkd/dr/stragglers.h"
#include "bkd/history/proofs.h"
#include "bkd/host/pinned.h"
#include "bkd/host/programs.h"
#include "bkd/policy/units.h"
#include "bkd/proof/trying.h"
#include "bkd/snapshots/choosing.h"
#include "bkd/snapshots/holding.h"

const char *verifying_mode_name(enum verifying_mode mode)
{
    static const char *const names[] = { "full", "sample", "keyless" };
    return names[mode];
}

// What is found out before anything is restored.
struct preparation {
    struct setup setup;
    const struct policy_store *place; // borrowed from the policy
    struct repository *repository;
    const struct repository_head *head;
    char *identity; // owned; NULL = none is needed or there is none
    char *signers;  // owned
    uint64_t sample_files, sample_bytes;
    struct sample sample;
};

static void preparation_done(struct preparation *p)
{
    sample_done(&p->sample);
    repository_close(p->repository);
    free(p->identity);
    free(p->signers);
    setup_done(&p->setup);
}

// ---- what is meant

int verifying_find_place(const struct policy *policy, const char *from, const struct policy_store **ret_place, struct error *err)
{
    const struct policy_store *first = policy->offsite.count > 0 ? &policy->offsite.items[0] : NULL, *place = NULL;
    from = from != NULL ? from : policy->verify.from;
    if (strcmp(from, "repository") == 0 || strcmp(from, policy->repository.url) == 0 || (strcmp(from, "auto") == 0 && first == NULL) ||
        (strcmp(from, "offsite") == 0 && policy_only_verifies(policy))) // its repository is another host's copy
        place = &policy->repository;
    else if (strcmp(from, "offsite") == 0 || strcmp(from, "auto") == 0)
        place = first;
    for (size_t i = 0; place == NULL && i < policy->offsite.count; i++)
        if (strcmp(policy->offsite.items[i].url, from) == 0)
            place = &policy->offsite.items[i];
    if (place == NULL && strcmp(from, "offsite") == 0)
        return error_set(err, ERROR_USAGE, "policy %s has no copy elsewhere to verify from: list one below `offsite`, or say repository", policy->name);
    if (place == NULL)
        return error_set(err, ERROR_USAGE, "'%s' is neither the repository nor a copy of policy %s: `bkd policy show %s` lists them", from, policy->name, policy->name);
    *ret_place = place;
    return 0;
}

static int open_place(struct preparation *p, struct error *err)
{
    const struct policy_store *ignored;
    if (p->place == &p->setup.policy.repository)
        return setup_open_repository(&p->setup, &p->repository, err);
    return setup_open_copy(&p->setup, p->place->url, &ignored, &p->repository, err);
}

int verifying_find_identity(const struct context *ctx, const struct policy *policy, const char *given, char **ret_identity, struct error *err)
{
    struct statx st;
    bool is_default = given == NULL && strcmp(policy->verify.identity, "operations.txt") == 0;
    _cleanup_free_ char *path = given != NULL ? xstrdup(given) : context_key_path(ctx, policy->verify.identity);
    int r = io_stat(ctx->io, AT_FDCWD, path, 0, &st, err);
    if (r == 0)
        *ret_identity = TAKE(path);
    if (r == ERROR_NOT_FOUND && is_default)
        return 0;
    return r < 0 ? error_set(err, ERROR_KEY, "there is no identity '%s' to verify with; bring it here, or verify on a host that has it", path) : 0;
}

static int read_sample(struct preparation *p, const char *given, struct error *err)
{
    const struct policy_verification *v = &p->setup.policy.verify;
    char *end = NULL;
    if (given == NULL)
        p->sample_files = v->mode == POLICY_VERIFY_MODE_SAMPLE ? v->sample_files : 0;
    else if (strcmp(given, "full") != 0 && (p->sample_files = strtoull(given, &end, 10)) > 0 && *end != '\0') {
        p->sample_files = SAMPLE_MAX;
        if (units_parse_size(given, &p->sample_bytes, err) < 0)
            return error_set(err, ERROR_USAGE, "--sample is full, a number of files or a size such as 10GiB, not '%s'", given);
    } else if (strcmp(given, "full") != 0 && p->sample_files == 0)
        return error_set(err, ERROR_USAGE, "--sample is full, a number of files or a size such as 10GiB, not '%s'", given);
    if (p->sample_files > SAMPLE_MAX)
        return error_set(err, ERROR_USAGE, "a sample has at most %d files; --sample full restores all", SAMPLE_MAX);
    return 0;
}

static int prepare(const struct context *ctx, const struct verifying_options *o, struct preparation *p, struct error *err)
{
    int r = setup_load(ctx, o->policy, &p->setup, err);
    if (r == 0)
        r = read_sample(p, o->sample, err);
    if (r == 0)
        r = verifying_find_place(&p->setup.policy, o->from, &p->place, err);
    if (r == 0)
        r = open_place(p, err);
    if (r == 0)
        r = choosing_snapshot(&p->setup, p->repository, p->place, o->snapshot, &p->head, err);
    if (r == 0 && policy_only_verifies(&p->setup.policy))
        pinned_remember(&p->setup, p->repository, p->place);
    if (r == 0 && p->repository->info.encrypted)
        r = verifying_find_identity(ctx, &p->setup.policy, o->identity, &p->identity, err);
    if (r < 0)
        return r;
    p->signers = context_key_path(ctx, "allowed_signers");
    return 0;
}

// As far as it is known: also what could not be tried is told by place and snapshot.
static void describe(const struct preparation *p, struct verifying *v)
{
    v->host = p->setup.host == NULL ? NULL : xstrdup(p->setup.host);
    if (p->place != NULL) {
        v->url = xstrdup(p->place->url);
        v->is_offsite = p->place != &p->setup.policy.repository;
    }
    if (p->head == NULL)
        return;
    v->snapshot = p->head->number;
    v->snapshot_time_ns = p->head->head.time_ns;
    v->mode = p->repository->info.encrypted && p->identity == NULL ? VERIFYING_KEYLESS : p->sample_files > 0 ? VERIFYING_SAMPLE : VERIFYING_FULL;
}

// ---- without a key

static int look_through(const struct preparation *p, struct verifying *v, struct error *err)
{
    const struct context *ctx = p->setup.ctx;
    int code = 0;
    _cleanup_free_ char *program = programs_path("bkd");
    const char *const argv[] = { program, "--config-dir", ctx->config_dir, "--state-dir", ctx->state_dir, "check", p->setup.policy.name,
                                 v->is_offsite ? "--from" : NULL, v->url, NULL };
    int r = programs_run(argv, true, &code, err);
    if (r < 0)
        return r;
    if (code == 4)
        v->why = xasprintf("`bkd check` finds damage at '%s'", v->url);
    else if (code != 0)
        return error_set(err, programs_error(code), "`bkd check %s` could not look at '%s'", p->setup.policy.name, v->url);
    else
        v->why = xstrdup("this host has no identity that opens it: signatures, hashes and sizes are right, but nothing was restored; verify on a host that has one");
    v->n_failed = code == 4;
    return 0;
}

// ---- with one

static int draw(struct preparation *p, const struct verifying_options *o, struct verifying *v, struct error *err)
{
    _cleanup_setup_manifest_ struct setup_manifest manifest = { 0 };
    struct manifest_reader reader;
    const struct repository_head *head = NULL;
    char number[24];
    (void)o;
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)v->snapshot);
    int r = setup_open_manifest(&p->setup, p->repository, number, p->identity, NULL, &head, &manifest, err);
    if (r < 0)
        return r;
    manifest_reader_init(&reader, p->setup.ctx->io, manifest.fd, "manifest", 0, manifest.size);
    r = sample_draw(p->setup.ctx->io, &reader, p->sample_files, p->sample_bytes, &p->setup.policy.verify.canaries, &p->sample, err);
    manifest_reader_done(&reader);
    v->drawn = p->sample.drawn;
    v->snapshot_files = p->sample.files;
    if (r == 0 && p->sample.n == 0)
        r = error_set(err, ERROR_NOT_FOUND, "snapshot %llu has no files that a sample could draw", (unsigned long long)v->snapshot);
    return r;
}

static int restore(struct preparation *p, const struct scratch *scratch, struct verifying *v, struct error *err)
{
    char chain[33];
    _cleanup_free_ char *program = programs_path("bkd-restore");
    int r = scratch_copy(scratch, "signers", &p->setup.signers, &p->signers, err);
    if (r < 0)
        return r;
    format_hex(chain, p->head->chain, sizeof p->head->chain);
    const struct trial_request request = {
        .program = program, .identity = p->identity, .signers = p->signers, .userns_fd = scratch->userns_fd, .chain = chain, .snapshot = v->snapshot,
        .paths = (const char *const *)p->sample.paths, .n_paths = p->sample.n, .target = scratch->tree, .stop = interrupt_stops,
        .timeout_ms = p->setup.policy.verify.timeout_s * 1000, .gives_way = true,
    };
    r = trying_run(p->setup.ctx, p->place, &request, &v->trial, err);
    if (r == 0 && interrupt_requested())
        r = error_set(err, ERROR_FAILED, "interrupted; nothing is proven");
    return r;
}

// What bkd-restore could not even try is no proof of damage.
static int judge_trial(struct verifying *v, struct error *err)
{
    const struct trial *t = &v->trial;
    enum error_code code = programs_error(t->exit_code);
    if (t->is_restored)
        return 0;
    v->why = xasprintf("snapshot %llu does not restore from '%s': %s", (unsigned long long)v->snapshot, v->url, t->why == NULL ? "bkd-restore was ended by a signal" : t->why);
    if (code == ERROR_NO_SPACE || code == ERROR_UNREACHABLE || code == ERROR_KEY || code == ERROR_USAGE || code == ERROR_BUSY)
        return error_set(err, code, "%s", v->why);
    return 0;
}

static int execute_checks(const struct preparation *p, const struct scratch *scratch, const struct verifying_options *o, struct verifying *v, struct error *err)
{
    const struct policy_verification *rules = &p->setup.policy.verify;
    const struct io *io = p->setup.ctx->io;
    const struct check_tree tree = { .io = io, .path = scratch->tree, .userns_fd = scratch->userns_fd, .policy = p->setup.policy.name, .snapshot = v->snapshot, .stop = interrupt_stops };
    struct stragglers stragglers;
    uint64_t since = io_monotonic_ns(io);
    v->checks = xcalloc(rules->check_count + 1, sizeof *v->checks);
    stragglers_watch(io, &stragglers);
    for (size_t i = 0; i < rules->check_count && !interrupt_requested(); i++) {
        check_execute(&tree, &rules->checks[i], &v->checks[v->n_checks]);
        (void)stragglers_end(io, &stragglers);
        v->n_failed += !v->checks[v->n_checks].passed;
        if (o->checked != NULL)
            o->checked(o->arg, &rules->checks[i], &v->checks[v->n_checks]);
        v->n_checks++;
    }
    v->trial.phases.ns[PHASE_CHECKS] = io_monotonic_ns(io) - since;
    return interrupt_requested() ? error_set(err, ERROR_FAILED, "interrupted; nothing is proven") : 0;
}

static void judge(const struct policy *policy, struct verifying *v)
{
    uint64_t objective_ns = policy->objectives.rto_s * UINT64_C(1000000000);
    v->rto_ns = v->trial.is_restored ? phases_sum(&v->trial.phases) : 0;
    v->is_proven = v->trial.is_restored && v->n_failed == 0;
    v->misses_rto = v->is_proven && v->mode == VERIFYING_FULL && objective_ns > 0 && v->rto_ns > objective_ns;
    if (v->trial.is_restored && v->n_failed > 0)
        v->why = xasprintf("snapshot %llu restores from '%s', but %zu of %zu checks failed", (unsigned long long)v->snapshot, v->url, v->n_failed, v->n_checks);
}

static int prove(struct preparation *p, const struct verifying_options *o, struct verifying *v, struct error *err)
{
    _cleanup_scratch_ struct scratch scratch = { .lock_fd = -1 };
    int r = v->mode == VERIFYING_SAMPLE ? draw(p, o, v, err) : 0;
    if (r == 0)
        r = scratch_make(p->setup.ctx->io, p->setup.policy.verify.scratch, &scratch, err);
    if (r < 0)
        return r;
    if (o->began != NULL)
        o->began(o->arg, v->snapshot, v->url, scratch.tree);
    v->is_namespaced = scratch.userns_fd > 0;
    r = restore(p, &scratch, v, err);
    if (r == 0)
        r = judge_trial(v, err);
    if (r == 0 && v->trial.is_restored && v->mode == VERIFYING_FULL && p->setup.policy.verify.check_count > 0)
        r = execute_checks(p, &scratch, o, v, err);
    return r < 0 ? r : scratch_remove(&scratch, err);
}

// ---- the record

// Always into the policy's own repository, from where it is shipped: a signer's records are one sequence, and must not begin twice.
static int publish(struct preparation *p, struct verifying *v, struct error *err)
{
    _cleanup_repository_ struct repository *repository = NULL;
    _cleanup_sshkey_ struct sshkey key = { 0 };
    struct record record = { .kind = RECORD_PROOF, .time_ns = io_realtime_ns(p->setup.ctx->io),
                             .proof = { .is_proven = v->is_proven, .duration_ms = v->rto_ns / 1000000, .files = v->trial.files, .bytes = v->trial.bytes } };
    // The address by which this host knows a copy stays its own: who reads the repository learns only whether two proofs are of the same place.
    proofs_place(v->is_offsite ? v->url : "", record.proof.place);
    (void)snprintf(record.proof.mode, sizeof record.proof.mode, "%s", verifying_mode_name(v->mode));
    (void)snprintf(record.reason, sizeof record.reason, "%.200s", v->why == NULL ? "" : v->why);
    holding_who(&p->setup, record.by);
    int r = setup_load_signing(&p->setup, err);
    if (r == 0)
        r = sshkey_parse(p->setup.signing_key.data, p->setup.signing_key.len, &key, err);
    if (r == 0)
        r = setup_open_repository(&p->setup, &repository, err);
    if (r == 0)
        r = records_append(repository, buf_str(&p->setup.signers), &key, p->head, &record, err);
    if (r < 0)
        return r;
    uint8_t signer[CRYPTO_SHA256_SIZE];
    records_signer(key.public_key, signer);
    proofs_uid(&record, signer, v->uid);
    return 0;
}

// A proof that nobody else hears of is still one.
static void tell_others(struct preparation *p, struct verifying *v)
{
    struct error err;
    if ((v->mode != VERIFYING_KEYLESS || v->n_failed > 0) && publish(p, v, &err) < 0)
        log_warn("the result is not in the repository, so other hosts do not hear of it: %s", err.text);
}

static int prove_or_look(struct preparation *p, const struct verifying_options *o, struct verifying *v, struct error *err)
{
    if (v->mode == VERIFYING_KEYLESS)
        return look_through(p, v, err);
    int r = prove(p, o, v, err);
    if (r == 0)
        judge(&p->setup.policy, v);
    return r;
}

int verifying_run(const struct context *ctx, const struct verifying_options *options, struct verifying *ret_verifying, struct error *err)
{
    __attribute__((cleanup(preparation_done))) struct preparation p = { 0 };
    struct verifying *v = ret_verifying;
    *v = (struct verifying){ 0 };
    int r = prepare(ctx, options, &p, err);
    describe(&p, v);
    if (r == 0)
        r = prove_or_look(&p, options, v, err);
    if (r == 0)
        tell_others(&p, v);
    v->policy = p.setup.policy; // it is needed for telling; what is left behind owns nothing
    p.setup.policy = (struct policy){ 0 };
    return r;
}

void verifying_done(struct verifying *v)
{
    policy_done(&v->policy);
    trial_done(&v->trial);
    free(v->url);
    free(v->host);
    free(v->checks);
    free(v->why);
    *v = (struct verifying){ 0 };
}

int verifying_result(const struct verifying *v, struct error *err)
{
    char took[CLOCK_TEXT_MAX], promised[CLOCK_TEXT_MAX];
    if (v->is_proven && !v->misses_rto)
        return 0;
    if (v->misses_rto) {
        clock_format_duration(took, v->rto_ns);
        clock_format_duration(promised, v->policy.objectives.rto_s * UINT64_C(1000000000));
        return error_set(err, ERROR_OBJECTIVE, "policy %s: the restore took %s and %s is promised; see where the time went, or change objectives.rto", v->policy.name, took, promised);
    }
    bool only_looked = v->mode == VERIFYING_KEYLESS && v->n_failed == 0;
    return error_set(err, only_looked ? ERROR_INCOMPLETE : ERROR_INTEGRITY, "policy %s: NOT PROVEN: %s", v->policy.name, v->why == NULL ? "it was not restored" : v->why);
}
