#include "bkd/drills/drill_evidence.h"

#include <stdio.h>
#include <string.h>

#include "bkd/base/fs.h"
#include "bkd/base/log.h"
#include "bkd/host/setup.h"

enum { SIGNED_MAX = 64 << 10, FILE_MAX = 64 << 20 };

// ---- heads

static int keep_signed(const struct drill *d, const struct repository *repository, const char *stored, const char *name, const char *suffix, struct error *err)
{
    _cleanup_buf_ struct buf data = { 0 };
    _cleanup_free_ char *path = xasprintf("%s/%s%s", d->dir, name, suffix);
    int r = store_get_all(repository->store, stored, SIGNED_MAX, &data, err);
    return r < 0 ? r : fs_replace_file(d->io, AT_FDCWD, path, 0600, data.data, data.len, err);
}

int drill_evidence_head(const struct drill *d, const struct repository *repository, const struct repository_head *head, const char *suffix, struct error *err)
{
    _cleanup_free_ char *name = format_head_name(head->chain, head->number);
    int r = keep_signed(d, repository, name, "head", suffix, err);
    return r < 0 ? r : keep_signed(d, repository, "bkd-repository", "bkd-repository", suffix, err);
}

// ---- plans

static int keep_file(const struct drill *d, const char *from, const char *name, struct error *err)
{
    _cleanup_buf_ struct buf data = { 0 };
    _cleanup_free_ char *path = xasprintf("%s/%s", d->dir, name);
    int r = fs_read_file(d->io, AT_FDCWD, from, FILE_MAX, &data, err);
    return r < 0 ? r : fs_create_file(d->io, AT_FDCWD, path, 0600, data.data, data.len, err);
}

static int keep_restored(const struct context *ctx, const struct drill *d, const struct recovery_system *system, const struct planning_step *step, struct error *err)
{
    _cleanup_setup_ struct setup setup = { 0 };
    _cleanup_repository_ struct repository *repository = NULL;
    const struct policy_store *ignored;
    const struct repository_head *head = NULL;
    char number[24];
    _cleanup_free_ char *suffix = xasprintf("-%s", system->name);
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)step->snapshot);
    int r = setup_load(ctx, system->policy, &setup, err);
    if (r == 0)
        r = strcmp(step->copy, setup.policy.repository.url) == 0 ? setup_open_repository(&setup, &repository, err) : setup_open_copy(&setup, step->copy, &ignored, &repository, err);
    if (r == 0)
        r = setup_find_snapshot(&setup, repository, number, &head, err);
    return r < 0 ? r : drill_evidence_head(d, repository, head, suffix, err);
}

static void tell(int r, const char *what, const struct error *err)
{
    if (r < 0)
        log_warn("%s is not kept with the record of the drill: %s", what, err->text);
}

void drill_evidence_plan(const struct context *ctx, const struct drill *d, const struct recovery *plan, const struct planning *p)
{
    _cleanup_free_ char *directory = planning_directory(ctx, p->id), *journal = xasprintf("%s/journal.jsonl", directory);
    struct error err;
    tell(keep_file(d, plan->file, "plan.yaml", &err), "the plan", &err);
    tell(keep_file(d, journal, "run.jsonl", &err), "the journal of the run", &err);
    for (size_t i = 0; i < p->n_steps && i < plan->step_count; i++) {
        const struct recovery_system *system = recovery_find_system(plan, plan->steps[i].system);
        if (system != NULL && p->steps[i].snapshot > 0 && p->steps[i].copy != NULL)
            tell(keep_restored(ctx, d, system, &p->steps[i], &err), system->name, &err);
    }
}
