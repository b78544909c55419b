// bkd prune: which snapshots stay, and removing the data of those that do not.
#include <stdio.h>
#include <string.h>

#include "bkd/base/interrupt.h"
#include "bkd/base/log.h"
#include "bkd/cmd.h"
#include "bkd/copies/prune_store.h"
#include "bkd/copies/pruning.h"
#include "bkd/host/receipts.h"
#include "bkd/host/setup.h"
#include "bkd/policy/zone.h"
#include "bkd/record/verifications.h"
#include "bkd/snapshots/holding.h"

struct work {
    struct setup setup;
    struct repository *repository;
    struct receipts receipts; // locked: nobody ships meanwhile
    struct zone *zone;  // whose midnight begins a day
    uint8_t chain[16];
    uint64_t verified;  // number of the last verified snapshot; 0 = none is known
    char by[LINES_LABEL_MAX + 1];
};

static void work_done(struct work *w)
{
    repository_close(w->repository);
    zone_free(&w->zone);
    receipts_close(&w->receipts);
    setup_done(&w->setup);
}
#define _cleanup_work_ __attribute__((cleanup(work_done)))

static int take_verified(void *arg, const struct verification *verification, struct error *err)
{
    uint64_t *verified = arg;
    (void)err;
    if (verification->is_proven && verification->snapshot > *verified)
        *verified = verification->snapshot;
    return 0;
}

// The catalogue knows; where there is none, the newest complete snapshot stays as ever.
static uint64_t find_verified(const struct work *w)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    struct error ignored;
    uint64_t verified = 0;
    if (catalogue_open(w->setup.ctx->io, w->setup.ctx->state_dir, CATALOGUE_READ, &catalogue, &ignored) == 0)
        (void)!verifications_list(&catalogue, w->setup.policy.name, 0, take_verified, &verified, &ignored);
    return verified;
}

static int open_zone(struct work *w, struct error *err)
{
    const struct io *io = w->setup.ctx->io;
    const char *name = w->setup.policy.timezone;
    return strcmp(name, "host") == 0 ? zone_open_host(io, ZONE_HOST_FILE, &w->zone, err) : zone_open(io, ZONE_DIRECTORY, name, &w->zone, err);
}

static int64_t zone_offset(const void *arg, int64_t utc_s)
{
    struct zone_period period;
    zone_period_at(arg, utc_s, &period);
    return period.offset_s;
}

static int work_open(struct work *w, const struct context *ctx, const struct cli_args *args, struct error *err)
{
    int r = setup_load(ctx, cli_args_value(args, 0), &w->setup, err);
    if (r == 0 && !cli_args_flag(args, "dry-run"))
        r = receipts_open(ctx->io, ctx->state_dir, w->setup.policy.name, true, &w->receipts, err);
    if (r == 0)
        r = setup_open_repository(&w->setup, &w->repository, err);
    if (r == 0 && w->repository->n_heads > 0)
        r = setup_find_chain(&w->setup, w->repository, w->chain, err);
    if (r == 0)
        r = open_zone(w, err);
    if (r < 0)
        return r;
    holding_who(&w->setup, w->by);
    w->verified = find_verified(w);
    return 0;
}

static int prune_place(const struct work *w, const struct cli_args *args, const struct repository *place, const struct policy_keep *keep, struct error *err)
{
    struct keep_rules rules;
    _cleanup_buf_ struct buf text = { 0 };
    pruning_take_rules(keep, &rules);
    buf_add_str(&text, "keep ");
    pruning_rules_text(&rules, &text);
    struct pruning p = {
        .ctx = w->setup.ctx, .policy = w->setup.policy.name, .key = cli_args_option(args, "key"), .by = w->by, .reason = buf_str(&text),
        .grace_s = w->setup.policy.grace_s, .dry_run = cli_args_flag(args, "dry-run"), .clock_is_right = cli_args_flag(args, "clock-is-right"),
        .options = { .repository = place, .home = place == w->repository ? NULL : w->repository, .signers = buf_str(&w->setup.signers), .rules = &rules,
                     .clock = { .offset_s = zone_offset, .arg = w->zone }, .verified = w->verified },
    };
    memcpy(p.options.chain, w->chain, sizeof p.options.chain);
    return pruning_run(&p, err);
}

static int prune_copy(const struct work *w, const struct cli_args *args, const struct policy_store *copy, struct error *err)
{
    _cleanup_repository_ struct repository *place = NULL;
    const struct policy_store *found;
    int r = setup_open_copy(&w->setup, copy->url, &found, &place, err);
    if (r == 0)
        r = prune_place(w, args, place, policy_keep_is_set(&copy->keep) ? &copy->keep : &w->setup.policy.keep, err);
    return r < 0 ? error_prefix(err, "copy %s", copy->url) : 0;
}

// What of several failures weighs most is what the whole ends with; the others are told at once.
static int weigh(int worst, int r, const struct error *why, struct error *err)
{
    if (r == 0)
        return worst;
    if (worst != 0 && (worst == ERROR_INTEGRITY || r != ERROR_INTEGRITY)) {
        log_warn("%s", why->text);
        return worst;
    }
    if (worst != 0)
        log_warn("%s", err->text);
    *err = *why;
    return r;
}

static int prune_copies(const struct work *w, const struct cli_args *args, const char *only, int worst, struct error *err)
{
    const struct policy_stores *copies = &w->setup.policy.offsite;
    bool found = only == NULL;
    for (size_t i = 0; i < copies->count && !interrupt_requested(); i++) {
        struct error why;
        if (only != NULL && strcmp(only, copies->items[i].url) != 0)
            continue;
        found = true;
        int r = prune_copy(w, args, &copies->items[i], &why);
        if (r == ERROR_NOT_FOUND && only == NULL && copies->items[i].removable) {
            log_warn("copy %s: its disk is not here, and is not pruned", copies->items[i].url);
            continue;
        }
        worst = weigh(worst, r, &why, err);
    }
    if (!found)
        return error_set(err, ERROR_USAGE, "'%s' is no copy of policy %s: `bkd policy show %s` lists them below `offsite`", only, w->setup.policy.name, w->setup.policy.name);
    return worst;
}

// A policy whose first backup is to come.
static int tell_nothing(const struct work *w, struct error *err)
{
    if (w->setup.ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_str(line, "policy", w->setup.policy.name);
        json_add_u64(line, "kept", 0);
        return json_line_print(&line, stdout, err);
    }
    if (w->setup.ctx->verbosity >= 0)
        printf("%s: there are no snapshots yet\n", w->setup.policy.name);
    return 0;
}

// Which options go together.
static int check_options(const struct cli_args *args, struct error *err)
{
    static const char *const of_store[] = { "signers", "keep", "grace" };
    const char *store = cli_args_option(args, "store"), *policy = cli_args_value(args, 0);
    if (store != NULL && (policy != NULL || cli_args_option(args, "at") != NULL || cli_args_flag(args, "all")))
        return error_set(err, ERROR_USAGE, "--store DIR prunes a place by itself, without a policy");
    if (store == NULL && policy == NULL)
        return error_set(err, ERROR_USAGE, "give a POLICY, or on the server that keeps a copy --store DIR");
    if (cli_args_option(args, "change-rate") != NULL)
        return error_set(err, ERROR_USAGE, "--change-rate is for --simulate DAYS");
    for (size_t i = 0; store == NULL && i < sizeof of_store / sizeof *of_store; i++)
        if (cli_args_option(args, of_store[i]) != NULL)
            return error_set(err, ERROR_USAGE, "--%s is for --store DIR: of a policy its file says it", of_store[i]);
    return 0;
}

int cmd_prune(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_work_ struct work w = { .receipts = { .lock_fd = -1 } };
    const char *at = cli_args_option(args, "at"), *store = cli_args_option(args, "store");
    if (cli_args_flag(args, "simulate"))
        return cmd_prune_simulate(ctx, args, err);
    int checked = check_options(args, err);
    if (checked < 0)
        return checked;
    interrupt_install();
    if (store != NULL)
        return prune_store_run(ctx, args, store, err);
    int r = work_open(&w, ctx, args, err);
    if (r == 0 && w.repository->n_heads == 0)
        return tell_nothing(&w, err);
    if (r == 0 && at == NULL)
        r = prune_place(&w, args, w.repository, &w.setup.policy.keep, err);
    if (at != NULL || cli_args_flag(args, "all"))
        r = r < 0 && at != NULL ? r : prune_copies(&w, args, at, r, err);
    return r < 0 ? error_prefix(err, "policy %s", cli_args_value(args, 0)) : 0;
}
