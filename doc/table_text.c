// Prints what the build makes from a program's table of commands: table_text PROGRAM options|commands|completion.
// The first two are man(7) source for the marked lines of PROGRAM.1.in, the third is a bash completion script.
#include <stdio.h>
#include <string.h>

#include "bkd/commands.h"
#include "restore/verbs.h"

static const struct cli_program *find_program(const char *name)
{
    if (strcmp(name, "bkd") == 0)
        return commands_program();
    return strcmp(name, "bkd-restore") == 0 ? verbs_program() : NULL;
}

int main(int argc, char **argv)
{
    const struct cli_program *program = argc == 3 ? find_program(argv[1]) : NULL;
    _cleanup_buf_ struct buf text = { 0 };
    if (program && strcmp(argv[2], "options") == 0)
        cli_man_options(program, &text);
    else if (program && strcmp(argv[2], "commands") == 0)
        cli_man_commands(program, &text);
    else if (program && strcmp(argv[2], "completion") == 0)
        cli_completion_bash(program, &text);
    else
        return 2;
    return fputs(buf_str(&text), stdout) == EOF || fflush(stdout) != 0;
}
