// The texts made from a command table: help, completion, man page sections.
#include <ctype.h>
#include <string.h>

#include "bkd/base/cli.h"

#define HELP_COLUMN 28

// "  -q, --quiet" padded to the help column, then the help.
static void help_option(const struct cli_option *option, struct buf *ret_text)
{
    size_t start = ret_text->len;
    if (option->letter)
        buf_addf(ret_text, "  -%c, --%s", option->letter, option->name);
    else
        buf_addf(ret_text, "      --%s", option->name);
    if (option->argument)
        buf_addf(ret_text, " %s", option->argument);
    size_t width = ret_text->len - start;
    buf_addf(ret_text, "%*s%s\n", (int)(width < HELP_COLUMN - 1 ? HELP_COLUMN - width : 2), "", option->help);
}

static void help_options(const char *title, const struct cli_option *options, struct buf *ret_text)
{
    if (!options || !options->name)
        return;
    buf_addf(ret_text, "\n%s:\n", title);
    for (; options->name; options++)
        help_option(options, ret_text);
}

void cli_help_program(const struct cli_program *program, struct buf *ret_text)
{
    buf_addf(ret_text, "%s - %s\n\nUsage: %s [OPTION]... COMMAND [ARGUMENT]...\n\nCommands:\n", program->name, program->summary, program->name);
    for (const struct cli_command *c = program->commands; c->name; c++)
        buf_addf(ret_text, "  %-*s%s\n", HELP_COLUMN - 2, c->name, c->summary);
    help_options("Global options, before or after the command", program->options, ret_text);
    buf_addf(ret_text, "\n'%s COMMAND --help' explains a command; the manual is %s(1).\n", program->name, program->name);
}

// Breaks text at spaces to lines of at most 78 bytes.
static void wrap(const char *text, struct buf *ret_text)
{
    size_t column = 0;
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column && column + 1 + word > 78) {
            buf_add_char(ret_text, '\n');
            column = 0;
        } else if (column) {
            buf_add_char(ret_text, ' ');
            column++;
        }
        buf_add(ret_text, text, word);
        column += word;
        text += word + strspn(text + word, " ");
    }
    buf_add_char(ret_text, '\n');
}

void cli_help_command(const struct cli_program *program, const struct cli_command *command, struct buf *ret_text)
{
    buf_addf(ret_text, "%s %s - %s\n\nUsage: %s %s%s%s%s\n", program->name, command->name, command->summary, program->name, command->name,
             command->options && command->options->name ? " [OPTION]..." : "", command->arguments[0] ? " " : "", command->arguments);
    if (command->description) {
        buf_add_char(ret_text, '\n');
        wrap(command->description, ret_text);
    }
    help_options("Options", command->options, ret_text);
    help_options("Global options, before or after the command", program->options, ret_text);
}

// ---- bash --------------------------------------------------------------------------------------------------------------

static void option_words(const struct cli_option *options, struct buf *ret_text)
{
    for (; options && options->name; options++) {
        buf_addf(ret_text, " --%s", options->name);
        if (options->letter)
            buf_addf(ret_text, " -%c", options->letter);
    }
}

// "--config-dir|--state-dir" of the options whose argument is (or is not) a file or directory.
static void value_options(const struct cli_program *program, bool files, struct buf *ret_text)
{
    size_t start = ret_text->len;
    for (const struct cli_command *c = program->commands;; c++) {
        const struct cli_option *options = c->name ? c->options : program->options;
        for (; options && options->name; options++) {
            bool is_file = options->argument && (strcmp(options->argument, "DIR") == 0 || strcmp(options->argument, "FILE") == 0);
            if (!options->argument || is_file != files)
                continue;
            buf_addf(ret_text, "%s--%s", ret_text->len > start ? "|" : "", options->name);
            if (options->letter)
                buf_addf(ret_text, "|-%c", options->letter);
        }
        if (!c->name)
            break;
    }
    if (ret_text->len == start)
        buf_add_str(ret_text, "--no-such-option");
}

// The words that may come first, each once, or the words that may follow `group`.
static void command_words(const struct cli_program *program, const char *group, struct buf *ret_text)
{
    size_t n = group ? strlen(group) : 0, last_len = 0;
    const char *last = "";
    for (const struct cli_command *c = program->commands; c->name; c++) {
        if (group && (strncmp(c->name, group, n) != 0 || c->name[n] != ' '))
            continue;
        const char *word = group ? c->name + n + 1 : c->name;
        size_t len = strcspn(word, " ");
        if (len == last_len && strncmp(word, last, len) == 0)
            continue;
        buf_addf(ret_text, " %.*s", (int)len, word);
        last = word;
        last_len = len;
    }
}

static void completion_groups(const struct cli_program *program, struct buf *ret_text)
{
    const char *last = "";
    for (const struct cli_command *c = program->commands; c->name; c++) {
        size_t n = strcspn(c->name, " ");
        if (c->name[n] == '\0' || strncmp(last, c->name, n + 1) == 0)
            continue;
        last = c->name;
        _cleanup_free_ char *group = xstrndup(c->name, n);
        buf_addf(ret_text, "        %s) words=\"", group);
        command_words(program, group, ret_text);
        buf_add_str(ret_text, "\" ;;\n");
    }
}

void cli_completion_bash(const struct cli_program *program, struct buf *ret_text)
{
    _cleanup_free_ char *function = xasprintf("_%s", program->name);
    for (char *c = function; *c; c++)
        if (*c == '-')
            *c = '_';
    buf_addf(ret_text, "# bash completion for %s; made by '%s completion bash'\n%s()\n{\n", program->name, program->name, function);
    buf_add_str(ret_text, "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= words= i\n    case $prev in\n        ");
    value_options(program, true, ret_text);
    buf_add_str(ret_text, ") mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); compopt -o filenames; return ;;\n        ");
    value_options(program, false, ret_text);
    buf_add_str(ret_text, ") return ;;\n    esac\n    for ((i = 1; i < COMP_CWORD; i++)); do\n        case ${COMP_WORDS[i]} in\n            ");
    value_options(program, true, ret_text);
    buf_add_str(ret_text, ") ((i++)) ;;\n            ");
    value_options(program, false, ret_text);
    buf_add_str(ret_text, ") ((i++)) ;;\n            -*) ;;\n            *) command=\"${command:+$command }${COMP_WORDS[i]}\" ;;\n        esac\n    done\n");
    buf_add_str(ret_text, "    case $command in\n        \"\") words=\"");
    command_words(program, NULL, ret_text);
    buf_add_str(ret_text, "\" ;;\n");
    completion_groups(program, ret_text);
    buf_add_str(ret_text, "    esac\n    if [[ $cur == -* ]]; then\n        words=\"");
    option_words(program->options, ret_text);
    buf_add_str(ret_text, "\"\n        case $command in\n");
    for (const struct cli_command *c = program->commands; c->name; c++) {
        if (!c->options || !c->options->name)
            continue;
        buf_addf(ret_text, "            \"%s\"|\"%s \"*) words+=\"", c->name, c->name);
        option_words(c->options, ret_text);
        buf_add_str(ret_text, "\" ;;\n");
    }
    buf_add_str(ret_text, "        esac\n    fi\n    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n");
    buf_add_str(ret_text, "    if [[ -z $words ]]; then\n        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n        compopt -o filenames\n    fi\n}\n");
    buf_addf(ret_text, "complete -F %s %s\n", function, program->name);
}

// ---- man(7) ------------------------------------------------------------------------------------------------------------

// Text with what roff would take for its own escaped.
static void roff(const char *text, struct buf *ret_text)
{
    for (const char *s = text; *s; s++) {
        if (*s == '\\')
            buf_add_str(ret_text, "\\e");
        else if (*s == '-')
            buf_add_str(ret_text, "\\-");
        else if (*s == '\'')
            buf_add_str(ret_text, "\\(aq");
        else if (*s == '.' && (s == text || s[-1] == '\n'))
            buf_add_str(ret_text, "\\&.");
        else
            buf_add_char(ret_text, *s);
    }
}

// A help text, which starts small and ends without full stop, as a sentence.
static void man_sentence(const char *text, struct buf *ret_text)
{
    size_t start = ret_text->len;
    roff(text, ret_text);
    ret_text->data[start] = (uint8_t)toupper(ret_text->data[start]);
    buf_add_str(ret_text, ".\n");
}

static void man_options(const struct cli_option *options, struct buf *ret_text)
{
    for (; options && options->name; options++) {
        buf_add_str(ret_text, ".TP\n");
        if (options->letter)
            buf_addf(ret_text, "\\fB\\-%c\\fR, ", options->letter);
        buf_add_str(ret_text, "\\fB\\-\\-");
        roff(options->name, ret_text);
        buf_addf(ret_text, "\\fR%s%s%s\n", options->argument ? " \\fI" : "", options->argument ? options->argument : "", options->argument ? "\\fR" : "");
        man_sentence(options->help, ret_text);
    }
}

void cli_man_options(const struct cli_program *program, struct buf *ret_text)
{
    man_options(program->options, ret_text);
}

void cli_man_commands(const struct cli_program *program, struct buf *ret_text)
{
    for (const struct cli_command *c = program->commands; c->name; c++) {
        buf_add_str(ret_text, ".SS \"");
        roff(program->name, ret_text);
        buf_addf(ret_text, " %s%s%s\"\n", c->name, c->arguments[0] ? " " : "", c->arguments);
        man_sentence(c->summary, ret_text);
        if (c->description) {
            roff(c->description, ret_text);
            buf_add_char(ret_text, '\n');
        }
        man_options(c->options, ret_text);
    }
}
