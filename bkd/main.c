// bkd: reads the command line, runs one command, reports its error once and returns the exit code (see bkd(1)).
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/interrupt.h"
#include "bkd/base/log.h"
#include "bkd/base/sandbox.h"
#include "bkd/cmd.h"
#include "bkd/commands.h"
#include "bkd/history/notify.h"
#include "bkd/history/recording.h"
#include "bkd/host/privileges.h"
#include "bkd/watch/watch_run.h"

// From this size on memory goes back to the system when it is freed. (glibc would raise the bound to the largest that was ever freed, and keep holes
// between what its threads hold.)
#define LARGE_MEMORY (1 << 20)

// From the root on, as programs that are run elsewhere need it; it need not exist yet. Caller frees.
static char *from_root(const char *dir)
{
    _cleanup_free_ char *here = dir[0] == '/' ? NULL : getcwd(NULL, 0);
    return here == NULL ? xstrdup(dir) : xasprintf("%s/%s", here, dir);
}

// An option, else a variable, else the system's place, or the user's own when not root. Caller frees; NULL without HOME.
static char *find_dir(const struct cli_args *args, const char *option, const char *variable, const char *system_dir, const char *xdg_variable, const char *home_dir)
{
    const char *given = cli_args_option(args, option);
    if (!given)
        given = getenv(variable);
    if (given && given[0])
        return from_root(given);
    if (geteuid() == 0)
        return xstrdup(system_dir);
    const char *xdg = getenv(xdg_variable), *home = getenv("HOME");
    if (xdg && xdg[0] == '/')
        return xasprintf("%s/bkd", xdg);
    return home && home[0] ? xasprintf("%s/%s/bkd", home, home_dir) : NULL;
}

static int print_text(const struct buf *text, struct error *err)
{
    if (fputs(buf_str(text), stdout) == EOF || fflush(stdout) != 0)
        return error_set(err, ERROR_FAILED, "cannot write to standard output");
    return 0;
}

static int print_help(const struct cli_args *args, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    if (cli_args_flag(args, "version"))
        buf_addf(&text, "%s %s\n", args->program->name, args->program->version);
    else if (args->command)
        cli_help_command(args->program, args->command, &text);
    else
        cli_help_program(args->program, &text);
    return print_text(&text, err);
}

// These write what belongs to others than the owner of the state directory.
static bool needs_root(const struct cli_command *command) { return strcmp(command->name, "rollback") == 0 || strcmp(command->name, "serve") == 0; }

static int run(struct context *ctx, const struct cli_args *args, struct error *err)
{
    if (!args->command || cli_args_flag(args, "help") || cli_args_flag(args, "version"))
        return print_help(args, err);
    if (!ctx->config_dir || !ctx->state_dir)
        return error_set(err, ERROR_USAGE, "HOME is not set; give --config-dir and --state-dir");
    bool joined = false;
    int r = needs_root(args->command) ? 0 : privileges_join_owner(ctx->io, ctx->state_dir, &joined, err);
    if (r < 0)
        return r;
    recording_begin(ctx, args);
    bool is_recorded = ctx->recording != NULL;
    if (is_recorded)
        ctx->herald = notify_before_run(ctx);
    r = recording_end(ctx, args->command->run(ctx, args, err), err);
    if (is_recorded)
        watch_after_run(ctx, cli_args_value(args, 0));
    return r == ERROR_FAILED && joined ? error_prefix(err, "working as user %u, whose '%s' is", (unsigned)geteuid(), ctx->state_dir) : r;
}

static void report(const struct context *ctx, const struct error *err)
{
    if (err->code == ERROR_INCOMPLETE)
        log_warn("%s", err->text);
    else
        log_error("%s", err->text);
    struct error ignored; // the exit code tells it as well
    if (ctx->json && !ctx->has_concluded && err->code != ERROR_INCOMPLETE) // a run that is done but incomplete ends with its summary, which says so
        (void)!context_print_error(err, &ignored);
}

// A list that was cut off by a full disk or a closed pipe is no success, whatever printed it.
static int finish_output(int r, struct error *err)
{
    if (r == 0 && (fflush(stdout) != 0 || ferror(stdout)))
        return error_set(err, ERROR_FAILED, "not all could be written to standard output: what it got is incomplete (the rest of the command was done)");
    return r;
}

int main(int argc, char **argv)
{
    _cleanup_cli_args_ struct cli_args args = { 0 };
    struct error err = { 0 };
    sandbox_no_core(); // keys and content stay out of core files
    (void)signal(SIGPIPE, SIG_IGN); // a closed pipe is a failed write, reported as such
    (void)signal(SIGCHLD, SIG_DFL); // ignored by whoever started us, it would cost us how programs ended
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_MEMORY);
    int rc = cli_parse(commands_program(), argc, argv, &args, &err);
    _cleanup_free_ char *config_dir = find_dir(&args, "config-dir", "BKD_CONFIG_DIR", "/etc/bkd", "XDG_CONFIG_HOME", ".config");
    _cleanup_free_ char *state_dir = find_dir(&args, "state-dir", "BKD_STATE_DIR", "/var/lib/bkd", "XDG_STATE_HOME", ".local/state");
    struct context ctx = { .io = io_real(), .config_dir = config_dir, .state_dir = state_dir, .json = cli_args_flag(&args, "json") };
    ctx.verbosity = cli_args_flag(&args, "verbose") ? 1 : cli_args_flag(&args, "quiet") ? -1 : 0;
    log_set_level(ctx.verbosity > 0 ? LOG_LEVEL_DEBUG : ctx.verbosity < 0 ? LOG_LEVEL_WARN : LOG_LEVEL_INFO);
    if (rc == 0)
        rc = finish_output(run(&ctx, &args, &err), &err);
    if (rc < 0)
        report(&ctx, &err);
    notify_after_run(&ctx, ctx.herald); // the run is over, and said so: nobody waits for this
    return rc < 0 ? error_exit_code(err.code) : ctx.exit_code;
}
