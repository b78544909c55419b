// bkd-restore: reads the command line, runs one command, reports its error once and returns the exit code (see bkd-restore(1)).
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/base/interrupt.h"
#include "bkd/base/log.h"
#include "bkd/base/sandbox.h"
#include "restore/verb.h"
#include "restore/verbs.h"

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
    else if (args->command != NULL)
        cli_help_command(args->program, args->command, &text);
    else
        cli_help_program(args->program, &text);
    return print_text(&text, err);
}

static int read_transport(const char *how, bool *ret_ssh_program, struct error *err)
{
    *ret_ssh_program = how != NULL && strcmp(how, "ssh") == 0;
    return how == NULL || *ret_ssh_program || strcmp(how, "builtin") == 0 ? 0 : error_set(err, ERROR_USAGE, "--transport %s: it is 'ssh' or 'builtin'", how);
}

static int run(struct context *ctx, const struct cli_args *args, struct error *err)
{
    if (args->command == NULL || cli_args_flag(args, "help") || cli_args_flag(args, "version"))
        return print_help(args, err);
    ctx->session = (struct session_options){
        .repository = cli_args_option(args, "repository"),
        .identity = cli_args_option(args, "identity"),
        .signers = cli_args_option(args, "signers"),
        .access = {
            .identity = cli_args_option(args, "ssh-identity"),
            .passphrase_file = cli_args_option(args, "ssh-passphrase"),
            .ssh_config = cli_args_option(args, "ssh-config"),
            .known_hosts = cli_args_option(args, "known-hosts"),
        },
        .accept_unsigned = cli_args_flag(args, "accept-unsigned"),
        .chain = cli_args_option(args, "chain"),
        .policy = cli_args_option(args, "policy"),
        .host = cli_args_option(args, "host"),
    };
    int r = read_transport(cli_args_option(args, "transport"), &ctx->session.access.ssh_program, err);
    if (r < 0)
        return r;
    if (ctx->session.repository == NULL)
        return error_set(err, ERROR_USAGE, "which repository? Give -r DIR");
    return args->command->run(ctx, args, err);
}

static void report(const struct error *err)
{
    if (err->code == ERROR_INCOMPLETE)
        log_warn("%s", err->text);
    else
        log_error("%s", err->text);
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
    interrupt_install();
    (void)signal(SIGPIPE, SIG_IGN); // a closed pipe is a failed write, reported as such
    // Frames of a few MiB come and go in several threads: one heap that keeps what it has is the fastest (a fresh page for each 4 KiB of every
    // frame cost a third of the time) and stays small.
    (void)mallopt(M_MMAP_THRESHOLD, 32 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 256 << 20);
    (void)mallopt(M_ARENA_MAX, 1);
    (void)umask(0); // modes are given exactly, at creation
    struct context ctx = { .io = io_real(), .argc = argc, .argv = argv };
    timing_init(&ctx.timing, ctx.io);
    int rc = cli_parse(verbs_program(), argc, argv, &args, &err);
    ctx.json = cli_args_flag(&args, "json");
    ctx.quiet = cli_args_flag(&args, "quiet");
    log_set_level(cli_args_flag(&args, "verbose") ? LOG_LEVEL_DEBUG : ctx.quiet ? LOG_LEVEL_WARN : LOG_LEVEL_INFO);
    if (rc == 0)
        rc = finish_output(run(&ctx, &args, &err), &err);
    if (rc < 0)
        report(&err);
    if (rc < 0 && ctx.json && !ctx.told)
        verb_print_error(&err);
    return error_exit_code(rc < 0 ? err.code : ERROR_NONE);
}
