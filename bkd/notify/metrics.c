#include "bkd/notify/metrics.h"

#include <string.h>

#include "bkd/notify/exposition.h"
#include "bkd/record/alarms.h"
#include "bkd/record/copies.h"
#include "bkd/record/deliveries.h"
#include "bkd/record/events.h"
#include "bkd/record/runs.h"
#include "bkd/record/snapshots.h"
#include "bkd/record/verifications.h"

#define SECOND UINT64_C(1000000000)

enum family {
    BUILD_INFO, POLICY_VALID, POLICY_TIER, LAST_SUCCESS, LAST_RUN, LAST_DURATION, LAST_EXIT, RUNS, RUNNING, SNAPSHOT, SNAPSHOT_TIME, SNAPSHOT_AGE, SNAPSHOTS,
    SOURCE_BYTES, SOURCE_FILES, STORED_BYTES, STORED_TOTAL, SUSPECT, COPY_FAILURES, COPY_FAILING, RPO, RPO_MET, RTO, RTO_MEASURED, RTO_MET, VERIFIED, VERIFIED_OK, ALARM,
    ALARMS, OUTBOX, FAMILIES
};

static const struct exposition_family families[FAMILIES] = {
    [BUILD_INFO] = { "bkd_build_info", "gauge", "The version of bkd." },
    [POLICY_VALID] = { "bkd_policy_valid", "gauge", "Whether the policy's file can be used." },
    [POLICY_TIER] = { "bkd_policy_tier", "gauge", "The policy's tier; 1 matters most." },
    [LAST_SUCCESS] = { "bkd_last_success_timestamp_seconds", "gauge", "When the last run that did its work ended." },
    [LAST_RUN] = { "bkd_last_run_timestamp_seconds", "gauge", "When the last run ended." },
    [LAST_DURATION] = { "bkd_last_run_duration_seconds", "gauge", "How long the last run took." },
    [LAST_EXIT] = { "bkd_last_run_exit_code", "gauge", "Exit code of the last run, see bkd(1); 255 when it was killed." },
    [RUNS] = { "bkd_runs_total", "counter", "Runs that ended, by what became of them." },
    [RUNNING] = { "bkd_runs_running", "gauge", "Runs at work." },
    [SNAPSHOT] = { "bkd_snapshot_number", "gauge", "Number of the newest snapshot in the repository or copy." },
    [SNAPSHOT_TIME] = { "bkd_snapshot_timestamp_seconds", "gauge", "When the newest snapshot in the repository or copy was begun." },
    [SNAPSHOT_AGE] = { "bkd_snapshot_age_seconds", "gauge", "How old the newest snapshot in the repository or copy is." },
    [SNAPSHOTS] = { "bkd_snapshots", "gauge", "Snapshots that are known." },
    [SOURCE_BYTES] = { "bkd_source_bytes", "gauge", "Size of what the newest snapshot holds." },
    [SOURCE_FILES] = { "bkd_source_files", "gauge", "Files that the newest snapshot holds." },
    [STORED_BYTES] = { "bkd_snapshot_stored_bytes", "gauge", "What the newest snapshot added to the repository." },
    [STORED_TOTAL] = { "bkd_stored_bytes", "gauge", "What all known snapshots added to the repository." },
    [SUSPECT] = { "bkd_snapshots_suspect", "gauge", "Snapshots that changed too much to be believed." },
    [COPY_FAILURES] = { "bkd_copy_failures", "gauge", "Tries since the copy was brought up to date last." },
    [COPY_FAILING] = { "bkd_copy_failing_since_timestamp_seconds", "gauge", "Since when the copy cannot be brought up to date." },
    [RPO] = { "bkd_rpo_objective_seconds", "gauge", "How old the newest snapshot may be, by the policy." },
    [RPO_MET] = { "bkd_rpo_met", "gauge", "Whether the newest snapshot in the repository or copy is young enough." },
    [RTO] = { "bkd_rto_objective_seconds", "gauge", "How long a restore may take, by the policy." },
    [RTO_MEASURED] = { "bkd_rto_measured_seconds", "gauge", "How long the last restore of everything took that was tried." },
    [RTO_MET] = { "bkd_rto_met", "gauge", "Whether it was quick enough." },
    [VERIFIED] = { "bkd_verification_timestamp_seconds", "gauge", "When a snapshot was last verified." },
    [VERIFIED_OK] = { "bkd_verification_proven", "gauge", "Whether that came back whole." },
    [ALARM] = { "bkd_alarm", "gauge", "An alarm that stands." },
    [ALARMS] = { "bkd_alarms", "gauge", "Alarms that stand, of the whole host." },
    [OUTBOX] = { "bkd_outbox_messages", "gauge", "Messages that wait for a channel." },
};

struct metering {
    const struct metrics *metrics;
    const struct metrics_policy *policy; // at hand
    struct exposition out;
};

// ---- runs --------------------------------------------------------------------------------------------------------------

// The first of the newest runs that has ended.
static int add_ended(void *arg, const struct run_record *run, struct error *err)
{
    struct metering *m = arg;
    const char *const *labels = EXPOSITION_LABELS("policy", run->policy, "kind", run->kind);
    (void)err;
    if (run->state == RUN_RUNNING)
        return 0;
    exposition_add_milli(&m->out, LAST_RUN, run->ended_ns / 1000000, labels);
    exposition_add_milli(&m->out, LAST_DURATION, run->ended_ns > run->started_ns ? (run->ended_ns - run->started_ns) / 1000000 : 0, labels);
    exposition_add(&m->out, LAST_EXIT, run->state == RUN_KILLED ? 255 : (uint64_t)run->exit_code, labels);
    return 1; // enough
}

static int add_counts(void *arg, const struct runs_count *count, struct error *err)
{
    struct metering *m = arg;
    struct run_record run;
    const struct {
        const char *result;
        uint64_t n;
    } results[] = { { "done", count->done }, { "incomplete", count->incomplete }, { "failed", count->failed }, { "killed", count->killed } };
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        exposition_add(&m->out, RUNS, results[i].n, EXPOSITION_LABELS("policy", count->policy, "kind", count->kind, "result", results[i].result));
    exposition_add(&m->out, RUNNING, count->running, EXPOSITION_LABELS("policy", count->policy, "kind", count->kind));
    struct runs_filter filter = { .policy = count->policy, .kind = count->kind, .limit = count->running + 1 };
    int r = runs_list(m->metrics->catalogue, &filter, add_ended, m, err);
    if (r >= 0)
        r = runs_last(m->metrics->catalogue, count->policy, count->kind, true, &run, err);
    if (r == 0)
        exposition_add_milli(&m->out, LAST_SUCCESS, run.ended_ns / 1000000, EXPOSITION_LABELS("policy", count->policy, "kind", count->kind));
    return r == ERROR_NOT_FOUND ? 0 : r;
}

// ---- snapshots and copies ----------------------------------------------------------------------------------------------

struct snapshot_sum {
    struct metering *m;
    uint64_t count, suspect, stored_bytes;
};

static int add_snapshot(void *arg, const struct snapshot_record *snapshot, struct error *err)
{
    struct snapshot_sum *sum = arg;
    const char *const *labels = EXPOSITION_LABELS("policy", snapshot->policy);
    (void)err;
    if (sum->count++ == 0) { // the newest comes first
        exposition_add(&sum->m->out, SOURCE_BYTES, snapshot->bytes_source, labels);
        exposition_add(&sum->m->out, SOURCE_FILES, snapshot->files, labels);
        exposition_add(&sum->m->out, STORED_BYTES, snapshot->bytes_stored, labels);
    }
    sum->suspect += snapshot->is_suspect;
    sum->stored_bytes += snapshot->bytes_stored;
    return 0;
}

static int add_snapshots(struct metering *m, const char *policy, struct error *err)
{
    struct snapshot_sum sum = { .m = m };
    int r = snapshots_list(m->metrics->catalogue, policy, 0, add_snapshot, &sum, err);
    if (r < 0)
        return r;
    exposition_add(&m->out, SNAPSHOTS, sum.count, EXPOSITION_LABELS("policy", policy));
    exposition_add(&m->out, SUSPECT, sum.suspect, EXPOSITION_LABELS("policy", policy));
    exposition_add(&m->out, STORED_TOTAL, sum.stored_bytes, EXPOSITION_LABELS("policy", policy));
    return 0;
}

static int add_copy(void *arg, const struct copy *copy, struct error *err)
{
    struct metering *m = arg;
    const char *const *labels = EXPOSITION_LABELS("policy", copy->policy, "copy", copy->url, "disk", copy->serial, "role", copy_role_name(copy->role));
    uint64_t now = m->metrics->now_ns, age = now > copy->snapshot_time_ns ? now - copy->snapshot_time_ns : 0, rpo = m->policy->rpo_s * SECOND;
    (void)err;
    if (copy->snapshot > 0) {
        exposition_add(&m->out, SNAPSHOT, copy->snapshot, labels);
        exposition_add_milli(&m->out, SNAPSHOT_TIME, copy->snapshot_time_ns / 1000000, labels);
        exposition_add_milli(&m->out, SNAPSHOT_AGE, age / 1000000, labels);
    }
    if (rpo > 0)
        exposition_add(&m->out, RPO_MET, copy->snapshot > 0 && age <= rpo, labels);
    exposition_add(&m->out, COPY_FAILURES, copy->failures, labels);
    if (copy->failing_since_ns > 0)
        exposition_add_milli(&m->out, COPY_FAILING, copy->failing_since_ns / 1000000, labels);
    return 0;
}

// ---- verifications -----------------------------------------------------------------------------------------------------

struct proof {
    bool has_any, is_proven, has_full;
    uint64_t time_ns, full_ns;
};

static int take_proof(void *arg, const struct verification *v, struct error *err)
{
    struct proof *proof = arg;
    (void)err;
    if (!proof->has_any) { // the newest comes first
        proof->has_any = true;
        proof->is_proven = v->is_proven;
        proof->time_ns = v->time_ns;
    }
    if (!proof->has_full && v->is_proven && strcmp(v->mode, "full") == 0) {
        proof->has_full = true;
        proof->full_ns = v->duration_ns;
    }
    return 0;
}

static int add_proofs(struct metering *m, const char *policy, struct error *err)
{
    struct proof proof = { 0 };
    const char *const *labels = EXPOSITION_LABELS("policy", policy);
    int r = verifications_list(m->metrics->catalogue, policy, 0, take_proof, &proof, err);
    if (r < 0 || !proof.has_any)
        return r;
    exposition_add_milli(&m->out, VERIFIED, proof.time_ns / 1000000, labels);
    exposition_add(&m->out, VERIFIED_OK, proof.is_proven, labels);
    if (proof.has_full)
        exposition_add_milli(&m->out, RTO_MEASURED, proof.full_ns / 1000000, labels);
    if (proof.has_full && m->policy->rto_s > 0)
        exposition_add(&m->out, RTO_MET, proof.full_ns <= m->policy->rto_s * SECOND, labels);
    return 0;
}

static int add_policy(struct metering *m, struct error *err)
{
    const char *name = m->policy->name, *const *labels = EXPOSITION_LABELS("policy", name);
    exposition_add(&m->out, POLICY_VALID, m->policy->is_valid, labels);
    if (m->policy->tier > 0)
        exposition_add(&m->out, POLICY_TIER, m->policy->tier, labels);
    if (m->policy->rpo_s > 0)
        exposition_add(&m->out, RPO, m->policy->rpo_s, labels);
    if (m->policy->rto_s > 0)
        exposition_add(&m->out, RTO, m->policy->rto_s, labels);
    if (m->metrics->catalogue == NULL)
        return 0;
    int r = copies_list(m->metrics->catalogue, name, add_copy, m, err);
    if (r == 0)
        r = add_snapshots(m, name, err);
    return r < 0 ? r : add_proofs(m, name, err);
}

// ---- alarms and messages -----------------------------------------------------------------------------------------------

static int add_alarms(struct metering *m, struct error *err)
{
    _cleanup_alarms_ struct alarms alarms = { 0 };
    uint64_t counts[SEVERITIES] = { 0 };
    int r = alarms_active(m->metrics->catalogue, NULL, &alarms, err);
    for (size_t i = 0; i < alarms.n; i++) {
        const struct alarm *a = &alarms.items[i];
        counts[a->severity]++;
        exposition_add(&m->out, ALARM, 1, EXPOSITION_LABELS("policy", a->policy, "kind", a->kind, "copy", a->copy, "severity", severity_name(a->severity)));
    }
    for (int s = 0; s < SEVERITIES && r == 0; s++)
        exposition_add(&m->out, ALARMS, counts[s], EXPOSITION_LABELS("severity", severity_name((enum severity)s)));
    return r;
}

static int add_backlog(void *arg, const struct delivery_backlog *backlog, struct error *err)
{
    struct metering *m = arg;
    (void)err;
    exposition_add(&m->out, OUTBOX, backlog->waiting, EXPOSITION_LABELS("channel", backlog->channel, "state", "waiting"));
    exposition_add(&m->out, OUTBOX, backlog->failing, EXPOSITION_LABELS("channel", backlog->channel, "state", "failing"));
    return 0;
}

static int add_host(struct metering *m, struct error *err)
{
    int r = runs_counts(m->metrics->catalogue, add_counts, m, err);
    if (r == 0)
        r = add_alarms(m, err);
    return r < 0 ? r : deliveries_backlogs(m->metrics->catalogue, add_backlog, m, err);
}

int metrics_text(const struct metrics *metrics, struct buf *ret_text, struct error *err)
{
    struct metering m = { .metrics = metrics };
    int r = 0;
    exposition_init(&m.out, families, FAMILIES);
    exposition_add(&m.out, BUILD_INFO, 1, EXPOSITION_LABELS("version", PACKAGE_VERSION));
    for (size_t i = 0; i < metrics->policy_count && r == 0; i++) {
        m.policy = &metrics->policies[i];
        r = add_policy(&m, err);
    }
    if (r == 0 && metrics->catalogue != NULL)
        r = add_host(&m, err);
    if (r == 0)
        exposition_text(&m.out, ret_text);
    exposition_done(&m.out);
    return r;
}
