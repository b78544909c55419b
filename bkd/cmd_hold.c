// bkd hold, bkd release: keeping a snapshot whatever retention says, and letting go of it.
#include <stdlib.h>
#include <string.h>

#include "bkd/cmd.h"
#include "bkd/codec/sshkey.h"
#include "bkd/repo/tags.h"
#include "bkd/repo/tombstones.h"
#include "bkd/repo/whole.h"
#include "bkd/snapshots/holding.h"

// What both begin with: the policy's repository, the snapshot, the records.
struct work {
    struct setup setup;
    struct repository *repository;
    const struct repository_head *head;
    struct records records;
    const struct records_item *standing[RECORD_HOLDS_MAX];
    size_t n_standing;
};

static void work_done(struct work *w)
{
    records_done(&w->records);
    repository_close(w->repository);
    setup_done(&w->setup);
}
#define _cleanup_work_ __attribute__((cleanup(work_done)))

static int work_open(struct work *w, const struct context *ctx, const struct cli_args *args, struct error *err)
{
    int r = holding_check_reason(cli_args_option(args, "reason"), err);
    if (r == 0)
        r = setup_load(ctx, cli_args_value(args, 0), &w->setup, err);
    if (r == 0)
        r = setup_open_repository(&w->setup, &w->repository, err);
    if (r == 0)
        r = setup_find_snapshot(&w->setup, w->repository, cli_args_value(args, 1), &w->head, err);
    if (r == 0)
        r = records_load(w->repository, buf_str(&w->setup.signers), &w->records, err);
    if (r == 0)
        w->n_standing = holds_standing(&w->records, w->head, w->standing, RECORD_HOLDS_MAX);
    return r;
}

static int report(const struct work *w, bool is_held, size_t written, const char *text, struct error *err)
{
    const struct context *ctx = w->setup.ctx;
    if (ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_str(line, "policy", w->setup.policy.name);
        json_add_u64(line, "snapshot", w->head->number);
        json_add_bool(line, "held", is_held);
        json_add_u64(line, "written", written);
        return json_line_print(&line, stdout, err);
    }
    if (ctx->verbosity >= 0)
        printf("%s: snapshot %llu %s\n", w->setup.policy.name, (unsigned long long)w->head->number, text);
    return 0;
}

// Holding twice for one reason says nothing new.
static bool is_held_for(const struct work *w, const char *reason)
{
    for (size_t i = 0; i < w->n_standing && i < RECORD_HOLDS_MAX; i++)
        if (strcmp(w->standing[i]->record.reason, reason == NULL ? "" : reason) == 0)
            return true;
    return false;
}

// What was removed by rule cannot be kept any more, nor can what a prune that was cut off has begun to remove.
static int check_there(const struct work *w, struct error *err)
{
    _cleanup_tombstones_ struct tombstones tombstones = { 0 };
    _cleanup_buf_ struct buf why = { 0 };
    bool is_whole;
    int r = tombstones_load(w->repository, &tombstones, err);
    if (r < 0 || !tombstones_explain(&tombstones, w->head, io_realtime_ns(w->setup.ctx->io), &why))
        return r;
    r = whole_check(w->repository, w->head, &is_whole, err);
    if (r == 0 && !is_whole)
        r = error_set(err, ERROR_NOT_FOUND, "snapshot %llu is no longer here: %s", (unsigned long long)w->head->number, buf_str(&why));
    return r;
}

int cmd_hold(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_work_ struct work w = { 0 };
    const char *reason = cli_args_option(args, "reason");
    int r = work_open(&w, ctx, args, err);
    if (r == 0 && is_held_for(&w, reason))
        return report(&w, true, 0, "is held already", err);
    if (r == 0)
        r = check_there(&w, err);
    if (r == 0)
        r = setup_load_signing(&w.setup, err);
    if (r == 0)
        r = holding_hold(&w.setup, w.repository, w.head, reason, err);
    return r < 0 ? error_prefix(err, "policy %s", cli_args_value(args, 0)) : report(&w, true, 1, "is held until it is released", err);
}

static int write_release(struct work *w, const struct sshkey *key, const char *reason, struct error *err)
{
    size_t n = w->n_standing < RECORD_HOLDS_MAX ? w->n_standing : RECORD_HOLDS_MAX;
    _cleanup_record_ struct record record = { .kind = RECORD_RELEASE, .time_ns = io_realtime_ns(w->setup.ctx->io), .holds = xcalloc(n, 32), .n_holds = n };
    for (size_t i = 0; i < n; i++)
        memcpy(record.holds[i], w->standing[i]->sha256, sizeof record.holds[i]);
    holding_who(&w->setup, record.by);
    (void)snprintf(record.reason, sizeof record.reason, "%s", reason == NULL ? "" : reason);
    return records_append(w->repository, buf_str(&w->setup.signers), key, w->head, &record, err);
}

int cmd_release(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_work_ struct work w = { 0 };
    _cleanup_sshkey_ struct sshkey key = { 0 };
    size_t written = 0;
    int r = work_open(&w, ctx, args, err);
    if (r == 0 && w.n_standing == 0)
        return report(&w, false, 0, "is not held", err);
    if (r == 0)
        r = holding_load_retention_key(ctx, cli_args_option(args, "key"), &key, err);
    while (r == 0 && w.n_standing > 0) { // one record names RECORD_HOLDS_MAX at most
        r = write_release(&w, &key, cli_args_option(args, "reason"), err);
        written++;
        records_done(&w.records);
        if (r == 0)
            r = records_load(w.repository, buf_str(&w.setup.signers), &w.records, err);
        if (r == 0)
            w.n_standing = holds_standing(&w.records, w.head, w.standing, RECORD_HOLDS_MAX);
    }
    return r < 0 ? error_prefix(err, "policy %s", cli_args_value(args, 0)) : report(&w, false, written, "is released: retention may remove it in its turn", err);
}
