// The handlers of bkd's commands.
// One command = one handler cmd_<verb> in bkd/cmd_<verb>.c = one line in the table of bkd/commands.c.
#ifndef BKD_CMD_H
#define BKD_CMD_H

#include "bkd/base/cli.h"
#include "bkd/base/error.h"
#include "bkd/host/context.h"

// Handlers: 0, or a negative error_code and one sentence with the next step in *err; main prints it, once, and turns it
// into the exit code. With ctx->json a handler's last line is its {"type":"summary",…}; main adds an error line behind it on failure (unless `has_concluded`),
// but not for ERROR_INCOMPLETE, which the summary tells ("complete":false).
int cmd_accept(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_alarm_ack(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_alarm_list(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_backup(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_cancel(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_catalogue_check(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_catalogue_export(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_catalogue_rebuild(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_check(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_check_remote(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_completion(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_config_check(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_config_show(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_copy(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_daemon(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_diff(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_drill_by_hand(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_drill_key(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_drill_history(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_drill_list(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_drill_negative(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_drill_report(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_drill_run(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_evidence_pack(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_estimate(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_help(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_history(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_hold(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_improve_add(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_improve_close(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_improve_list(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_init(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_keys_init(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_keys_sheet(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_ls(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_ls_source(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_metrics(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_notify_send(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_notify_status(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_notify_test(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_pause(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_plan_answer(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_plan_check(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_plan_close(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_plan_lint(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_plan_list(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_plan_print(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_plan_run(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_plan_show(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_policy_check(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_policy_show(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_prune(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_prune_simulate(struct context *ctx, const struct cli_args *args, struct error *err); // of cmd_prune
int cmd_release(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_resume(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_rollback(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_rpo(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_rto(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_run(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_schedule(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_runs_show(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_serve(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_ship(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_snapshots(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_status(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_tag(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_trust_host(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_verify(struct context *ctx, const struct cli_args *args, struct error *err);
int cmd_watch(struct context *ctx, const struct cli_args *args, struct error *err);

#endif
