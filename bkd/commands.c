#include "bkd/commands.h"

#include "bkd/cmd.h"

static const struct cli_option global_options[] = {
    { "config-dir", 0, "DIR", "policies and keys (BKD_CONFIG_DIR; /etc/bkd or ~/.config/bkd)" },
    { "state-dir", 0, "DIR", "caches and locks (BKD_STATE_DIR; /var/lib/bkd or ~/.local/state/bkd)" },
    { "json", 0, NULL, "one JSON object a line on standard output" },
    { "quiet", 'q', NULL, "only warnings and errors, no progress" },
    { "verbose", 'v', NULL, "say more" },
    { "help", 'h', NULL, "explain bkd or a command" },
    { "version", 0, NULL, "print the version" },
    { 0 },
};

// One command, one line (or two). A command is in the table when it works.
static const struct cli_command commands[] = {
    { "policy check", "[FILE]...", 0, CLI_ARGS_MANY, "check policy files",
      "Shows every mistake of every file with its place and exits with 2 when there is one. Without FILE, all policies of the "
      "configuration directory are checked.",
      NULL, cmd_policy_check },
    { "policy show", "POLICY", 1, 1, "show a policy's effective values",
      "Prints all keys with the values that hold, and where each comes from: a line of the file, or the default. What is printed is a policy "
      "file itself. POLICY is a name in the configuration directory's policies/, or a path with a slash.",
      NULL, cmd_policy_show },
    { "completion", "SHELL", 1, 1, "print a completion script", "SHELL is bash. Use it with: source <(bkd completion bash)", NULL, cmd_completion },
    { "help", "[COMMAND]...", 0, 2, "explain bkd or a command", NULL, NULL, cmd_help },
    { 0 },
};

static const struct cli_program program = {
    .name = "bkd",
    .summary = "backups that are proved to restore",
    .version = PACKAGE_VERSION,
    .commands = commands,
    .options = global_options,
};

const struct cli_program *commands_program(void)
{
    return &program;
}
