// What the commands of bkd share: the context each handler gets, and the handlers themselves.
// One command = one handler cmd_<verb> in bkd/cmd_<verb>.c = one line in the table of bkd/commands.c.
#ifndef BKD_CMD_H
#define BKD_CMD_H

#include <stdbool.h>
#include <sys/types.h>

#include "bkd/base/cli.h"
#include "bkd/base/error.h"
#include "bkd/base/io.h"
#include "bkd/base/json.h"
#include "bkd/policy/config.h"
#include "bkd/policy/policy.h"

struct cmd_context {
    const struct io *io;
    const char *config_dir; // --config-dir, BKD_CONFIG_DIR, /etc/bkd, or ~/.config/bkd when not root
    const char *state_dir;  // --state-dir, BKD_STATE_DIR, /var/lib/bkd, or ~/.local/state/bkd when not root
    bool json;              // --json: every result is one JSON object a line on stdout, nothing else is
    int verbosity;          // -1 = -q, 0, 1 = -v (the log level is set accordingly)
    int exit_code;          // of a handler that returns 0: what it found may ask for another than 0
    bool has_concluded;     // with `json`: the handler's summary is the last line also when it fails, for it printed the line of the error before
    bool tells;             // a run was recorded that no daemon started: who is to be told of it is told at its end (bkd/notify.h)
    pid_t herald;           // tells meanwhile that the run began; 0 = nobody waits for that
    struct recording *recording; // of this run (bkd/recording.h); NULL = it is not recorded
};

// Loads POLICY: a name in CONFIG_DIR/policies (without .yaml) or a path with a slash. All mistakes of the file are printed
// (standard error, or policy_error lines with --json); then ERROR_USAGE. ERROR_USAGE as well when there is no such policy.
// Owner frees with policy_done.
MUST_USE int cmd_load_policy(const struct cmd_context *ctx, const char *policy, struct policy *ret_policy, struct error *err);
// The file of a policy's name; a path with a slash stays what it is. Caller frees.
char *cmd_policy_path(const struct cmd_context *ctx, const char *policy);
// The names of all policies, or of what lies in another folder of the configuration directory ("plans"), sorted: those of files NAME.yaml, whatever they hold. Without
// policies ERROR_USAGE; without such a folder there are none.
struct cmd_names {
    char **items;
    size_t count;
};
MUST_USE int cmd_names_below(const struct cmd_context *ctx, const char *folder, struct cmd_names *ret_names, struct error *err);
MUST_USE int cmd_policy_names(const struct cmd_context *ctx, struct cmd_names *ret_names, struct error *err);
void cmd_names_done(struct cmd_names *names);
#define _cleanup_cmd_names_ __attribute__((cleanup(cmd_names_done)))
// Prints a policy file's mistakes: standard error, or policy_error lines with --json.
void cmd_print_policy_errors(const struct cmd_context *ctx, const struct policy_errors *errors);
// Loads CONFIG_DIR/bkd.yaml, or its defaults when there is none; mistakes are printed as those of policies are. Owner frees with config_done.
MUST_USE int cmd_load_config(const struct cmd_context *ctx, struct config *ret_config, struct error *err);
// CONFIG_DIR/keys/NAME, or NAME itself when absolute. Caller frees.
char *cmd_key_path(const struct cmd_context *ctx, const char *name);
// PATH as a person types it: with the leading slash (but for "stream/…"), without slashes at its end. Caller frees.
char *cmd_clean_path(const char *path);
// A double-quoted YAML scalar, as a policy file has it.
void cmd_add_quoted(const char *text, struct buf *ret_text);
// Prints one JSON line on stdout and frees it.
MUST_USE int cmd_print_line(struct json **line, struct error *err);
// The line of type error that a failure is told with.
MUST_USE int cmd_print_error(const struct error *failure, struct error *err);

// Handlers: 0, or a negative error_code and one sentence with the next step in *err; main prints it, once, and turns it
// into the exit code. With ctx->json a handler's last line is its {"type":"summary",…}; main adds an error line behind it on failure (unless `has_concluded`),
// but not for ERROR_INCOMPLETE, which the summary tells ("complete":false).
int cmd_accept(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_alarm_ack(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_alarm_list(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_backup(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_cancel(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_catalogue_check(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_catalogue_export(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_catalogue_rebuild(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_check(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_check_remote(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_completion(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_config_check(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_config_show(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_copy(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_daemon(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_diff(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_drill_by_hand(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_drill_key(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_drill_history(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_drill_list(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_drill_negative(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_drill_report(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_drill_run(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_evidence_pack(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_estimate(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_help(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_history(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_hold(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_improve_add(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_improve_close(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_improve_list(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_init(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_keys_init(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_keys_sheet(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_ls(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_ls_source(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_metrics(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_notify_send(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_notify_status(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_notify_test(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_pause(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_plan_answer(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_plan_check(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_plan_lint(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_plan_list(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_plan_print(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_plan_run(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_plan_show(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_policy_check(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_policy_show(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_prune(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_prune_simulate(struct cmd_context *ctx, const struct cli_args *args, struct error *err); // of cmd_prune
int cmd_release(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_resume(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_rollback(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_rpo(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_rto(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_run(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_schedule(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_runs_show(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_serve(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_ship(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_snapshots(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_status(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_tag(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_trust_host(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_verify(struct cmd_context *ctx, const struct cli_args *args, struct error *err);
int cmd_watch(struct cmd_context *ctx, const struct cli_args *args, struct error *err);

#endif
