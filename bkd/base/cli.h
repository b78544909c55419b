// Command lines from a table: one array of commands gives dispatch, --help, `help`, bash completion and the command
// list of a man page. bkd and bkd-restore each have such a table (bkd/commands.c and the one of restore/).
//
// Rules of a command line: options are long ("--json", "--target DIR", "--target=DIR", never abbreviated) or one letter
// ("-q", "-r DIR"); global options stand before or after the command, a command's own options after it; "--" ends the
// options. A command's name has one or two words ("policy check"). Every mistake is ERROR_USAGE and names the nearest
// valid word.
//
// Usual order: cli_parse → (help or version asked for? print it) → args.command->run(ctx, &args, err) → cli_args_done.
#ifndef BKD_BASE_CLI_H
#define BKD_BASE_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "bkd/base/buf.h"
#include "bkd/base/error.h"

struct cli_args;
struct context; // what a program hands to its handlers; each program defines its own

// A handler returns 0 or a negative error_code with the text for the person in *err.
typedef int cli_handler(struct context *ctx, const struct cli_args *args, struct error *err);

struct cli_option {
    const char *name;     // long name without dashes; NULL ends a list
    char letter;          // short form, 0 = none
    const char *argument; // "DIR" in help texts; NULL = a switch
    const char *help;     // one line, lower case, no full stop
};

struct cli_command {
    const char *name;                 // "backup" or "policy check"; NULL ends a table
    const char *arguments;            // synopsis of the positional arguments, "POLICY SNAPSHOT [PATH]"; "" = none
    unsigned min_args, max_args;      // how many positional arguments; CLI_ARGS_MANY = no limit
    const char *summary;              // one line
    const char *description;          // what a person must know, one or more sentences; NULL = the summary says it all
    const struct cli_option *options; // NULL = none
    cli_handler *run;
};
#define CLI_ARGS_MANY 1000000u

struct cli_program {
    const char *name;    // "bkd"
    const char *summary; // one line
    const char *version; // "0.1.0"
    const struct cli_command *commands;
    const struct cli_option *options; // global; "help" and "version" must be among them
};

#define CLI_OPTIONS_MAX 512 // given on one command line

// A parsed command line. Strings are borrowed from argv.
struct cli_args {
    const struct cli_program *program;
    const struct cli_command *command; // NULL when only --help or --version was given, or nothing
    const char **values;               // positional arguments
    size_t count;
    struct {
        const struct cli_option *option;
        const char *value; // NULL for a switch
    } given[CLI_OPTIONS_MAX];
    size_t given_count;
};

// Parses argv[1..]. ERROR_USAGE on unknown commands and options, missing or surplus arguments; *ret_args then still
// holds the options understood so far (so that --json is known for the error's own report). With --help or --version
// given, missing commands and arguments are no error. Call cli_args_done in every case.
MUST_USE int cli_parse(const struct cli_program *program, int argc, char **argv, struct cli_args *ret_args, struct error *err);
void cli_args_done(struct cli_args *args);
#define _cleanup_cli_args_ __attribute__((cleanup(cli_args_done)))

// Was the option given? `name` is the long name.
bool cli_args_flag(const struct cli_args *args, const char *name);
// The value of an option that takes one: the last one given, or NULL.
const char *cli_args_option(const struct cli_args *args, const char *name);
// The index-th value (0 is the first) of an option that may be repeated, or NULL when there are fewer.
const char *cli_args_option_at(const struct cli_args *args, const char *name, size_t index);
// Positional argument `index`, or NULL.
const char *cli_args_value(const struct cli_args *args, size_t index);
// An option's value as a number of at most `max`; *ret_value is left alone when the option was not given.
MUST_USE int cli_args_number(const struct cli_args *args, const char *name, unsigned long max, unsigned long *ret_value, struct error *err);

// The command of that name (words joined by one space), or NULL.
const struct cli_command *cli_find_command(const struct cli_program *program, const char *name);

// Texts made from the table, appended to *ret_text: the program's help; one command's help; a bash completion script;
// the command list as man(7) source.
void cli_help_program(const struct cli_program *program, struct buf *ret_text);
void cli_help_command(const struct cli_program *program, const struct cli_command *command, struct buf *ret_text);
void cli_completion_bash(const struct cli_program *program, struct buf *ret_text);
void cli_man_commands(const struct cli_program *program, struct buf *ret_text);
void cli_man_options(const struct cli_program *program, struct buf *ret_text);

#endif
