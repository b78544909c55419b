// What every command is given: the streams, the directories of this host's configuration and state, and how it is to speak; and what is found by them.
#ifndef BKD_HOST_CONTEXT_H
#define BKD_HOST_CONTEXT_H

#include <stdbool.h>
#include <sys/types.h>

#include "bkd/base/cli.h"
#include "bkd/base/error.h"
#include "bkd/base/io.h"
#include "bkd/base/json.h"
#include "bkd/policy/config.h"
#include "bkd/policy/policy.h"

struct context {
    const struct io *io;
    const char *config_dir; // --config-dir, BKD_CONFIG_DIR, /etc/bkd, or ~/.config/bkd when not root
    const char *state_dir;  // --state-dir, BKD_STATE_DIR, /var/lib/bkd, or ~/.local/state/bkd when not root
    bool json;              // --json: every result is one JSON object a line on stdout, nothing else is
    int verbosity;          // -1 = -q, 0, 1 = -v (the log level is set accordingly)
    int exit_code;          // of a handler that returns 0: what it found may ask for another than 0
    bool has_concluded;     // with `json`: the handler's summary is the last line also when it fails, for it printed the line of the error before
    bool tells;             // a run was recorded that no daemon started: who is to be told of it is told at its end (bkd/history/notify.h)
    pid_t herald;           // tells meanwhile that the run began; 0 = nobody waits for that
    struct recording *recording; // of this run (bkd/history/recording.h); NULL = it is not recorded
};

// Loads POLICY: a name in CONFIG_DIR/policies (without .yaml) or a path with a slash. All mistakes of the file are printed
// (standard error, or policy_error lines with --json); then ERROR_USAGE. ERROR_USAGE as well when there is no such policy.
// Owner frees with policy_done.
MUST_USE int context_load_policy(const struct context *ctx, const char *policy, struct policy *ret_policy, struct error *err);
// The file of a policy's name; a path with a slash stays what it is. Caller frees.
char *context_policy_path(const struct context *ctx, const char *policy);
// The same of a plan: CONFIG_DIR/plans/NAME.yaml.
char *context_plan_path(const struct context *ctx, const char *plan);
// The names of all policies, or of what lies in another folder of the configuration directory ("plans"), sorted: those of files NAME.yaml, whatever they hold. Without
// policies ERROR_USAGE; without such a folder there are none.
struct context_names {
    char **items;
    size_t count;
};
MUST_USE int context_names_below(const struct context *ctx, const char *folder, struct context_names *ret_names, struct error *err);
MUST_USE int context_policy_names(const struct context *ctx, struct context_names *ret_names, struct error *err);
void context_names_done(struct context_names *names);
#define _cleanup_context_names_ __attribute__((cleanup(context_names_done)))
// Prints a policy file's mistakes: standard error, or policy_error lines with --json.
void context_print_policy_errors(const struct context *ctx, const struct policy_errors *errors);
// Loads CONFIG_DIR/bkd.yaml, or its defaults when there is none; mistakes are printed as those of policies are. Owner frees with config_done.
MUST_USE int context_load_config(const struct context *ctx, struct config *ret_config, struct error *err);
// CONFIG_DIR/keys/NAME, or NAME itself when absolute. Caller frees.
char *context_key_path(const struct context *ctx, const char *name);
// PATH as a person types it: with the leading slash (but for "stream/…"), without slashes at its end. Caller frees.
char *context_clean_path(const char *path);
// A double-quoted YAML scalar, as a policy file has it.
void context_add_quoted(const char *text, struct buf *ret_text);
// The line of type error that a failure is told with.
MUST_USE int context_print_error(const struct error *failure, struct error *err);
// With `json`, before a summary that is to be the last line whatever it came to: prints that line where `result` is a failure, and main does not any more.
void context_conclude(struct context *ctx, int result, const struct error *err);

#endif
