// bkd verify: proves that a snapshot can be restored, and says how long it took.
#include <stdio.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/interrupt.h"
#include "bkd/base/log.h"
#include "bkd/cmd.h"
#include "bkd/dr/draws.h"
#include "bkd/dr/evidence.h"
#include "bkd/history/recording.h"
#include "bkd/proof/verifying.h"
#include "bkd/record/verifications.h"

static const char *name_of(const struct policy_check *check) { return check->name[0] != '\0' ? check->name : check_type_name(check->type); }

static void show_begin(void *arg, uint64_t snapshot, const char *url, const char *target)
{
    const struct context *ctx = arg;
    if (!ctx->json)
        log_info("restoring snapshot %llu from '%s' into '%s'", (unsigned long long)snapshot, url, target);
}

static void show_check(void *arg, const struct policy_check *check, const struct check_outcome *outcome)
{
    const struct context *ctx = arg;
    if (!ctx->json && outcome->passed)
        log_info("check '%s' passed: %s", name_of(check), outcome->message);
    else if (!ctx->json)
        log_warn("check '%s' FAILED: %s", name_of(check), outcome->message);
}

// ---- JSON

static void add_checks(struct json *line, const struct verifying *v)
{
    struct json *array = json_add_array(line, "checks");
    for (size_t i = 0; i < v->n_checks; i++) {
        struct json *check = json_append_object(array);
        json_add_str(check, "type", check_type_name(v->policy.verify.checks[i].type));
        json_add_str(check, "name", name_of(&v->policy.verify.checks[i]));
        json_add_bool(check, "passed", v->checks[i].passed);
        json_add_u64(check, "duration_ms", v->checks[i].duration_ns / 1000000);
        json_add_str(check, "message", v->checks[i].message);
    }
}

static void add_problems(struct json *line, const struct verifying *v)
{
    struct json *array = json_add_array(line, "problems");
    for (const char *at = buf_str(&v->trial.problems); *at != '\0'; at += strcspn(at, "\n") + 1) {
        _cleanup_free_ char *problem = xstrndup(at, strcspn(at, "\n"));
        json_append_str(array, problem);
    }
}

// Of those drawn, at most.
static uint64_t bad_files(const struct verifying *v)
{
    bool is_told = v->trial.n_problems > 0 && v->trial.n_problems < v->drawn;
    return v->is_proven ? 0 : is_told ? v->trial.n_problems : v->drawn;
}

static void add_sample(struct json *line, const struct verifying *v)
{
    if (v->mode != VERIFYING_SAMPLE)
        return;
    json_add_u64(line, "drawn_files", v->drawn);
    json_add_u64(line, "snapshot_files", v->snapshot_files);
    json_add_double(line, "bad_share_at_most", evidence_share_bound(bad_files(v), v->drawn, EVIDENCE_CONFIDENCE));
    json_add_u64(line, "confidence_percent", (uint64_t)(EVIDENCE_CONFIDENCE * 100 + 0.5));
}

static void add_known_ms(struct json *line, const char *key, uint64_t ms, bool is_known)
{
    if (is_known)
        json_add_u64(line, key, ms);
    else
        json_add_null(line, key);
}

// What was to be proven; null where it was not found.
static void add_subject(struct json *line, const struct verifying *v)
{
    json_add_str(line, "policy", v->policy.name);
    if (v->snapshot > 0) {
        json_add_u64(line, "snapshot", v->snapshot);
        json_add_time(line, "snapshot_time", v->snapshot_time_ns);
    } else {
        json_add_null(line, "snapshot");
        json_add_null(line, "snapshot_time");
    }
    json_add_str(line, "from", v->url);
    json_add_bool(line, "offsite", v->is_offsite);
    json_add_str(line, "mode", v->snapshot > 0 ? verifying_mode_name(v->mode) : NULL);
}

static int print_json(const struct verifying *v, struct error *err)
{
    struct json *line = json_line_new("summary");
    add_subject(line, v);
    json_add_bool(line, "proven", v->is_proven);
    add_known_ms(line, "rto_ms", v->rto_ns / 1000000, v->rto_ns > 0);
    add_known_ms(line, "objective_rto_ms", v->policy.objectives.rto_s * 1000, v->policy.objectives.rto_s > 0);
    json_add_u64(line, "files", v->trial.files);
    json_add_u64(line, "bytes", v->trial.bytes);
    json_add_u64(line, "bytes_fetched", v->trial.bytes_fetched);
    phases_add_json(line, &v->trial.phases);
    add_checks(line, v);
    add_sample(line, v);
    struct json *not_exercised = json_add_object(line, "not_exercised");
    json_add_u64(not_exercised, "metadata", v->trial.inexact);
    json_add_u64(not_exercised, "owners", v->trial.owners);
    json_add_u64(not_exercised, "sockets", v->trial.sockets);
    json_add_u64(not_exercised, "special", v->trial.special);
    json_add_bool(line, "user_namespace", v->is_namespaced);
    add_problems(line, v);
    json_add_str(line, "reason", v->why);
    return json_line_print(&line, stdout, err);
}

// ---- text

static void print_phases(const struct verifying *v)
{
    char rto[CLOCK_TEXT_MAX], promised[CLOCK_TEXT_MAX];
    clock_format_duration(rto, v->rto_ns);
    clock_format_duration(promised, v->policy.objectives.rto_s * UINT64_C(1000000000));
    printf("  recovery took %s%s%s\n   ", rto, v->policy.objectives.rto_s > 0 ? "; promised are " : "; nothing is promised (objectives.rto)",
           v->policy.objectives.rto_s > 0 ? promised : "");
    for (int i = 0; i < PHASES; i++)
        printf(" %s %.2f s%s", phase_name((enum phase)i), (double)v->trial.phases.ns[i] / 1e9, i + 1 < PHASES ? "," : "\n");
}

static void print_sample(const struct verifying *v)
{
    double share = evidence_share_bound(0, v->drawn, EVIDENCE_CONFIDENCE);
    if (v->mode == VERIFYING_SAMPLE)
        printf("  %llu of %llu files were drawn at random: at most %.2g %% of all files cannot be restored, with %.0f %% confidence; checks need a full verification\n",
               (unsigned long long)v->drawn, (unsigned long long)v->snapshot_files, share * 100, EVIDENCE_CONFIDENCE * 100);
}

static void print_count(uint64_t n, const char *text)
{
    if (n > 0)
        printf("  not exercised: %llu %s\n", (unsigned long long)n, text);
}

static void print_not_exercised(const struct verifying *v)
{
    print_count(v->trial.inexact, "entries have metadata that the scratch space cannot hold, or this user may not give");
    print_count(v->trial.owners, v->is_namespaced ? "entries belong to others than their owners, whose numbers this user's range in /etc/subuid or /etc/subgid does not reach"
                                                  : "entries belong to this user instead of their owners (verify as root, or install uidmap and give this user a range in "
                                                    "/etc/subuid and /etc/subgid, to exercise that)");
    print_count(v->trial.special, "devices or FIFOs, which the scratch space cannot have, or this user may not make (verify as root to exercise that)");
    print_count(v->trial.sockets, "sockets, which are never restored");
    for (const char *at = buf_str(&v->trial.problems); *at != '\0'; at += strcspn(at, "\n") + 1)
        printf("    %.*s\n", (int)strcspn(at, "\n"), at);
    if (v->trial.n_problems > TRIAL_PROBLEMS_KEPT)
        printf("    and %llu more\n", (unsigned long long)(v->trial.n_problems - TRIAL_PROBLEMS_KEPT));
}

static void print_text(const struct verifying *v)
{
    char bytes[CLOCK_TEXT_MAX], when[CLOCK_TEXT_MAX];
    clock_format_bytes(bytes, v->trial.bytes);
    clock_format_utc(when, v->snapshot_time_ns, false);
    if (v->mode == VERIFYING_KEYLESS) {
        printf("NOT PROVEN: snapshot %llu (%s) of policy %s, from %s\n", (unsigned long long)v->snapshot, when, v->policy.name, v->url);
        return; // the reason follows, on standard error
    }
    printf("%s: snapshot %llu (%s) of policy %s, from %s: %llu files, %s", v->is_proven ? "PROVEN" : "NOT PROVEN", (unsigned long long)v->snapshot, when, v->policy.name, v->url,
           (unsigned long long)v->trial.files, bytes);
    printf("%s\n", v->n_checks == 0 ? "" : v->n_failed == 0 ? ", all checks passed" : ", CHECKS FAILED");
    if (v->rto_ns > 0 && v->mode == VERIFYING_FULL)
        print_phases(v);
    if (v->is_proven)
        print_sample(v);
    print_not_exercised(v);
}

// ---- the record

// A verification that is not remembered is still one: its result was told.
static void remember(const struct context *ctx, const struct verifying *v)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    struct error err;
    const struct verification record = {
        .uid = v->uid, .policy = v->policy.name, .copy = v->is_offsite ? v->url : "", .snapshot = v->snapshot, .mode = verifying_mode_name(v->mode), .is_proven = v->is_proven,
        .duration_ns = v->rto_ns, .files = v->trial.files, .bytes = v->trial.bytes, .message = v->why, .host = v->host,
    };
    recording_snapshot(ctx, v->snapshot);
    recording_figure(ctx, "files", v->trial.files);
    recording_figure(ctx, "bytes", v->trial.bytes);
    recording_figure(ctx, "bytes_fetched", v->trial.bytes_fetched);
    recording_figure(ctx, "offsite", v->is_offsite);
    if (v->mode == VERIFYING_SAMPLE) {
        recording_figure(ctx, DRAWS_FIGURE, v->drawn);
        recording_figure(ctx, DRAWS_FIGURE_BAD, bad_files(v));
    }
    for (int i = 0; i < PHASES; i++)
        recording_phase(ctx, phase_name((enum phase)i), v->trial.phases.ns[i]);
    if (v->mode == VERIFYING_KEYLESS && v->n_failed == 0)
        return; // proves nothing, and refutes nothing
    int r = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_WRITE, &catalogue, &err);
    if (r == 0)
        r = verifications_add(&catalogue, &record, &err);
    if (r < 0)
        log_warn("this verification is not in the history: %s", err.text);
}

// The last line is the summary, whatever it came to: who reads only that knows.
static int conclude(struct context *ctx, struct verifying *v, int result, struct error *err)
{
    struct error lost;
    if (result < 0 && v->why == NULL && !v->is_proven)
        v->why = xstrdup(err->text);
    context_conclude(ctx, result, err);
    int r = print_json(v, &lost);
    if (r < 0 && result == 0)
        *err = lost;
    return result < 0 ? result : r;
}

int cmd_verify(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_verifying_ struct verifying v = { 0 };
    const struct verifying_options options = {
        .policy = cli_args_value(args, 0), .from = cli_args_option(args, "from"), .identity = cli_args_option(args, "identity"), .sample = cli_args_option(args, "sample"),
        .snapshot = cli_args_option(args, "snapshot") != NULL ? cli_args_option(args, "snapshot") : "latest", .checked = show_check, .began = show_begin, .arg = ctx,
    };
    interrupt_install();
    int r = verifying_run(ctx, &options, &v, err);
    if (r < 0)
        return ctx->json && v.policy.name != NULL ? conclude(ctx, &v, r, err) : r;
    remember(ctx, &v);
    if (!ctx->json && ctx->verbosity >= 0)
        print_text(&v);
    r = verifying_result(&v, err);
    return ctx->json ? conclude(ctx, &v, r, err) : r;
}
