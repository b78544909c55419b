// bkd prune: which snapshots stay, and removing the data of those that do not.
#include <string.h>

#include "bkd/base/interrupt.h"
#include "bkd/base/log.h"
#include "bkd/holding.h"
#include "bkd/pruning.h"
#include "bkd/receipts.h"
#include "bkd/setup.h"

struct work {
    struct setup setup;
    struct repository *repository;
    struct receipts receipts; // locked: nobody ships meanwhile
    uint8_t chain[16];
    char by[LINES_LABEL_MAX + 1];
};

static void work_done(struct work *w)
{
    repository_close(w->repository);
    receipts_close(&w->receipts);
    setup_done(&w->setup);
}
#define _cleanup_work_ __attribute__((cleanup(work_done)))

static void take_rules(const struct policy_keep *keep, struct keep_rules *ret_rules)
{
    *ret_rules = (struct keep_rules){ .last = keep->last, .hourly = keep->hourly, .daily = keep->daily, .weekly = keep->weekly, .monthly = keep->monthly,
                                      .quarterly = keep->quarterly, .yearly = keep->yearly, .within_s = keep->within_s };
    if (keep->all)
        *ret_rules = (struct keep_rules){ 0 };
}

static int work_open(struct work *w, const struct cmd_context *ctx, const struct cli_args *args, struct error *err)
{
    int r = setup_load(ctx, cli_args_value(args, 0), &w->setup, err);
    if (r == 0 && !cli_args_flag(args, "dry-run"))
        r = receipts_open(ctx->io, ctx->state_dir, w->setup.policy.name, true, &w->receipts, err);
    if (r == 0)
        r = setup_open_repository(&w->setup, &w->repository, err);
    if (r == 0)
        r = setup_find_chain(&w->setup, w->repository, w->chain, err);
    if (r == 0)
        holding_who(&w->setup, w->by);
    return r;
}

static int prune_place(const struct work *w, const struct cli_args *args, const struct repository *place, const struct policy_keep *keep, struct error *err)
{
    struct keep_rules rules;
    _cleanup_buf_ struct buf text = { 0 };
    take_rules(keep, &rules);
    buf_add_str(&text, "keep ");
    pruning_rules_text(&rules, &text);
    struct pruning p = {
        .ctx = w->setup.ctx, .policy = w->setup.policy.name, .key = cli_args_option(args, "key"), .by = w->by, .reason = buf_str(&text),
        .grace_s = w->setup.policy.grace_s, .dry_run = cli_args_flag(args, "dry-run"), .clock_is_right = cli_args_flag(args, "clock-is-right"),
        .options = { .repository = place, .home = place == w->repository ? NULL : w->repository, .signers = buf_str(&w->setup.signers), .rules = &rules },
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
        worst = weigh(worst, prune_copy(w, args, &copies->items[i], &why), &why, err);
    }
    if (!found)
        return error_set(err, ERROR_USAGE, "'%s' is no copy of policy %s: `bkd policy show %s` lists them below `offsite`", only, w->setup.policy.name, w->setup.policy.name);
    return worst;
}

int cmd_prune(struct cmd_context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_work_ struct work w = { .receipts = { .lock_fd = -1 } };
    const char *at = cli_args_option(args, "at");
    interrupt_install();
    int r = work_open(&w, ctx, args, err);
    if (r == 0 && at == NULL)
        r = prune_place(&w, args, w.repository, &w.setup.policy.keep, err);
    if (at != NULL || cli_args_flag(args, "all"))
        r = r < 0 && at != NULL ? r : prune_copies(&w, args, at, r, err);
    return r < 0 ? error_prefix(err, "policy %s", cli_args_value(args, 0)) : 0;
}
