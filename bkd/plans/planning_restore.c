// The restore of a system: by bkd-restore, here or on another host.
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/clock.h"
#include "bkd/base/interrupt.h"
#include "bkd/base/log.h"
#include "bkd/host/programs.h"
#include "bkd/plans/planning_far.h"
#include "bkd/proof/trying.h"
#include "bkd/proof/verifying.h"
#include "bkd/snapshots/choosing.h"

struct restoring {
    struct planning_work *w;
    struct setup setup;
    const struct policy_store *place; // borrowed from the policy
    struct repository *repository;
    const struct repository_head *head;
    char *identity, *signers, *program; // owned
};

static void restoring_done(struct restoring *s)
{
    repository_close(s->repository);
    setup_done(&s->setup);
    free(s->identity);
    free(s->signers);
    free(s->program);
}

// A rehearsal does not pass on what hides that the newest is damaged or gone. After a disaster the newest that is left is better than nothing, and said to be that.
static int find_snapshot(struct restoring *s, struct error *err)
{
    const struct planning_work *w = s->w;
    int r = choosing_snapshot(&s->setup, s->repository, s->place, w->step->snapshot, &s->head, err);
    if (r != ERROR_INTEGRITY || w->mode == PLANNING_REHEARSE)
        return r;
    _cleanup_free_ char *why = xstrdup(err->text);
    r = setup_find_snapshot(&s->setup, s->repository, w->step->snapshot, &s->head, err);
    if (r < 0)
        return error_prefix(err, "%s; and", why);
    log_warn("step '%s': %s", w->step->id, why);
    w->said(w->arg, w->step, why);
    return 0;
}

static int prepare(struct restoring *s, struct error *err)
{
    const struct planning_work *w = s->w;
    const struct policy_store *ignored;
    int r = setup_load(w->ctx, w->system->policy, &s->setup, err);
    if (r == 0)
        r = verifying_find_place(&s->setup.policy, w->step->from, &s->place, err);
    if (r == 0 && s->place == &s->setup.policy.repository)
        r = setup_open_repository(&s->setup, &s->repository, err);
    else if (r == 0)
        r = setup_open_copy(&s->setup, s->place->url, &ignored, &s->repository, err);
    if (r == 0)
        r = find_snapshot(s, err);
    if (r == 0 && s->repository->info.encrypted)
        r = verifying_find_identity(w->ctx, &s->setup.policy, w->identity, &s->identity, err);
    if (r == 0 && s->repository->info.encrypted && s->identity == NULL)
        r = error_set(err, ERROR_KEY, "this host has no identity that opens the backups of policy %s; bring one and give it with -i FILE", s->setup.policy.name);
    if (r < 0)
        return r;
    s->program = programs_path("bkd-restore");
    s->signers = context_key_path(w->ctx, "allowed_signers");
    return 0;
}

// ---- the restore

static int judge(struct planning_work *w, const struct trial *t, struct error *err)
{
    const struct recovery_host *host = w->place.host;
    char bytes[CLOCK_TEXT_MAX];
    int r = host == NULL || t->is_restored ? 0 : planning_far_judge(w, t, err);
    if (r < 0)
        return r;
    if (!t->is_restored)
        return error_set(err, t->exit_code == 4 ? ERROR_INTEGRITY : ERROR_FAILED, "policy %s, snapshot %llu did not come back from '%s'%s%s: %s%s%s", w->system->policy,
                         (unsigned long long)w->snapshot, w->copy, host == NULL ? "" : " on host ", host == NULL ? "" : host->name,
                         t->why == NULL ? "bkd-restore was ended" : t->why, t->problems.len > 0 ? "; " : "", buf_str(&t->problems));
    clock_format_bytes(bytes, t->bytes);
    w->message = xasprintf("snapshot %llu: %llu files, %s, every byte compared%s%s", (unsigned long long)w->snapshot, (unsigned long long)t->files, bytes,
                           host == NULL ? "" : ", on host ", host == NULL ? "" : host->name);
    return 0;
}

static int tell(struct planning_work *w, int r, const struct trial *trial, struct error *err)
{
    w->files = trial->files;
    w->bytes = trial->bytes;
    return r < 0 ? r : judge(w, trial, err);
}

static int enter_scratch(struct restoring *s, struct trial_request *request, struct error *err)
{
    const struct scratch *scratch = s->w->scratch;
    if (scratch == NULL)
        return 0;
    request->userns_fd = scratch->userns_fd;
    request->gives_way = s->w->mode == PLANNING_REHEARSE;
    return scratch_copy(scratch, "signers", &s->setup.signers, &s->signers, err);
}

static int restore_here(struct restoring *s, struct trial_request *request, struct error *err)
{
    _cleanup_trial_ struct trial trial = { 0 };
    request->program = s->program;
    request->identity = s->identity;
    int r = enter_scratch(s, request, err);
    request->signers = s->signers;
    if (r == 0)
        r = trying_run(s->w->ctx, s->place, request, &trial, err);
    return tell(s->w, r, &trial, err);
}

static int restore_far(struct restoring *s, struct trial_request *request, struct error *err)
{
    _cleanup_planning_far_ struct planning_far far = { 0 };
    _cleanup_trial_ struct trial trial = { 0 };
    const struct planning_far_files files = { .program = s->program, .identity = s->identity, .signers = s->signers };
    int r = planning_far_init(&far, s->w, s->place, &files, request, err);
    if (r == 0)
        r = parcel_send(&far.parcel, &request->stdin_fd, err);
    if (r == 0)
        r = trial_run(s->w->ctx->io, request, &trial, err);
    return tell(s->w, r, &trial, err);
}

int planning_restore(struct planning_work *w, struct error *err)
{
    __attribute__((cleanup(restoring_done))) struct restoring s = { .w = w };
    char chain[33];
    int r = prepare(&s, err);
    if (r < 0)
        return r;
    w->copy = xstrdup(s.place->url);
    w->snapshot = s.head->number;
    w->snapshot_time_ns = s.head->head.time_ns;
    format_hex(chain, s.head->chain, sizeof s.head->chain);
    struct trial_request request = {
        .chain = chain, .snapshot = s.head->number, .target = w->place.to == RECOVERY_IN_PLACE ? NULL : w->place.tree, .is_in_place = w->place.to == RECOVERY_IN_PLACE,
        .is_merging = w->place.to != RECOVERY_SCRATCH, .stop = interrupt_stops,
    };
    return w->place.host == NULL ? restore_here(&s, &request, err) : restore_far(&s, &request, err);
}
