// bkd accept: somebody looked at a suspect snapshot, and what it shows is meant to be.
#include <stdlib.h>

#include "bkd/cmd.h"
#include "bkd/repo/suspects.h"
#include "bkd/snapshots/holding.h"
#include "bkd/watch/watch_run.h"

static int report(const struct setup *s, const struct repository_head *head, size_t written, size_t left, const char *text, struct error *err)
{
    const struct context *ctx = s->ctx;
    if (ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_str(line, "policy", s->policy.name);
        json_add_u64(line, "snapshot", head->number);
        json_add_u64(line, "written", written);
        json_add_u64(line, "suspect_left", left);
        return json_line_print(&line, stdout, err);
    }
    if (ctx->verbosity < 0)
        return 0;
    printf("%s: snapshot %llu %s\n", s->policy.name, (unsigned long long)head->number, text);
    if (left > 0)
        printf("%s: %zu more are suspect, and retention stays frozen: `bkd snapshots %s`\n", s->policy.name, left, s->policy.name);
    return 0;
}

static int write_accept(const struct setup *s, const struct repository *repository, const struct repository_head *head, const struct cli_args *args,
                        struct error *err)
{
    _cleanup_sshkey_ struct sshkey key = { 0 };
    const char *reason = cli_args_option(args, "reason");
    struct record record = { .kind = RECORD_ACCEPT, .time_ns = io_realtime_ns(s->ctx->io) };
    holding_who(s, record.by);
    (void)snprintf(record.reason, sizeof record.reason, "%s", reason == NULL ? "" : reason);
    int r = holding_load_retention_key(s->ctx, cli_args_option(args, "key"), &key, err);
    return r < 0 ? r : records_append(repository, buf_str(&s->signers), &key, head, &record, err);
}

int cmd_accept(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_setup_ struct setup s = { 0 };
    _cleanup_repository_ struct repository *repository = NULL;
    _cleanup_records_ struct records records = { 0 };
    const struct repository_head *head = NULL;
    int r = holding_check_reason(cli_args_option(args, "reason"), err);
    if (r == 0)
        r = setup_load(ctx, cli_args_value(args, 0), &s, err);
    if (r == 0)
        r = setup_open_repository(&s, &repository, err);
    if (r == 0)
        r = setup_find_snapshot(&s, repository, cli_args_value(args, 1), &head, err);
    if (r == 0)
        r = records_load(repository, buf_str(&s.signers), &records, err);
    if (r < 0)
        return error_prefix(err, "policy %s", cli_args_value(args, 0));
    size_t standing = suspects_standing(repository, &records, head->chain, NULL);
    if (!suspects_is(&records, head))
        return report(&s, head, 0, standing, "is not suspect", err);
    r = write_accept(&s, repository, head, args, err);
    if (r == 0)
        watch_after_run(ctx, cli_args_value(args, 0)); // the alarm is over
    return r < 0 ? error_prefix(err, "policy %s", s.policy.name)
                 : report(&s, head, 1, standing - 1, standing > 1 ? "is accepted" : "is accepted: retention goes on", err);
}
