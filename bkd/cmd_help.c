// bkd help, bkd completion.
#include <string.h>

#include "bkd/cmd.h"

static int print_text(const struct context *ctx, const char *type, const struct buf *text, struct error *err)
{
    if (ctx->json) {
        struct json *line = json_line_new(type);
        json_add_str(line, "text", buf_str(text));
        return json_line_print(&line, stdout, err);
    }
    if (fputs(buf_str(text), stdout) == EOF || fflush(stdout) != 0)
        return error_set(err, ERROR_FAILED, "cannot write to standard output");
    return 0;
}

int cmd_help(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 }, name = { 0 };
    for (size_t i = 0; i < args->count; i++)
        buf_addf(&name, "%s%s", i ? " " : "", args->values[i]);
    const struct cli_command *command = cli_find_command(args->program, buf_str(&name));
    if (args->count > 0 && !command)
        return error_set(err, ERROR_USAGE, "there is no command '%s'; '%s help' lists all", buf_str(&name), args->program->name);
    if (command)
        cli_help_command(args->program, command, &text);
    else
        cli_help_program(args->program, &text);
    return print_text(ctx, "help", &text, err);
}

int cmd_completion(struct context *ctx, const struct cli_args *args, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    if (strcmp(args->values[0], "bash") != 0)
        return error_set(err, ERROR_USAGE, "there is no completion for '%s', only for bash", args->values[0]);
    cli_completion_bash(args->program, &text);
    return print_text(ctx, "completion", &text, err);
}
