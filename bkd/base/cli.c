#include "bkd/base/cli.h"

#include <assert.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/nearest.h"

#define OPTIONS_KNOWN_MAX 64 // of a program and one of its commands together

// The options valid at one point of a command line, in getopt's form.
struct option_set {
    const struct cli_option *known[OPTIONS_KNOWN_MAX];
    struct option longs[OPTIONS_KNOWN_MAX + 1];
    char shorts[2 * OPTIONS_KNOWN_MAX + 3];
    size_t count;
};

static void option_set_add(struct option_set *set, const struct cli_option *options)
{
    for (; options && options->name; options++) {
        assert(set->count < OPTIONS_KNOWN_MAX);
        set->longs[set->count] = (struct option){ options->name, options->argument ? required_argument : no_argument, NULL, 0 };
        set->known[set->count++] = options;
        if (!options->letter)
            continue;
        size_t n = strlen(set->shorts);
        set->shorts[n++] = options->letter;
        if (options->argument)
            set->shorts[n] = ':';
    }
}

// `mode` is getopt's first character(s): "+:" stops at the first word that is no option, ":" goes on behind it.
static void option_set_init(struct option_set *set, const char *mode, const struct cli_program *program, const struct cli_command *command)
{
    memset(set, 0, sizeof *set);
    strcpy(set->shorts, mode);
    option_set_add(set, program->options);
    option_set_add(set, command ? command->options : NULL);
}

static const struct cli_option *option_set_find(const struct option_set *set, int letter)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->known[i]->letter == letter)
            return set->known[i];
    return NULL;
}

static int see_help(const struct cli_args *args, struct error *err)
{
    size_t used = strlen(err->text);
    (void)snprintf(err->text + used, sizeof err->text - used, "; see '%s%s%s --help'", args->program->name, args->command ? " " : "",
                   args->command ? args->command->name : "");
    return err->code;
}

static int unknown_option(const struct cli_args *args, const struct option_set *set, const char *word, struct error *err)
{
    _cleanup_free_ char *name = xstrndup(word + 2, strcspn(word + 2, "="));
    struct nearest nearest = nearest_to(name);
    for (size_t i = 0; i < set->count; i++)
        nearest_offer(&nearest, set->known[i]->name);
    if (nearest.best)
        (void)error_set(err, ERROR_USAGE, "unknown option '--%s'; did you mean '--%s'?", name, nearest.best);
    else
        (void)error_set(err, ERROR_USAGE, "unknown option '--%s'", name);
    return nearest.best ? err->code : see_help(args, err);
}

static int bad_option(const struct cli_args *args, const struct option_set *set, int what, const char *word, struct error *err)
{
    bool is_long = strncmp(word, "--", 2) == 0;
    if (what == ':') {
        const struct cli_option *option = is_long ? NULL : option_set_find(set, optopt);
        for (size_t i = 0; is_long && i < set->count; i++)
            if (strcmp(set->known[i]->name, word + 2) == 0)
                option = set->known[i];
        return error_set(err, ERROR_USAGE, "option '%s' needs a value%s%s", word, option ? ": " : "", option ? option->argument : "");
    }
    for (size_t i = 0; is_long && i < set->count; i++) {
        size_t n = strlen(set->known[i]->name);
        if (strncmp(word + 2, set->known[i]->name, n) == 0 && word[2 + n] == '=')
            return error_set(err, ERROR_USAGE, "option '--%s' takes no value", set->known[i]->name);
    }
    if (is_long)
        return unknown_option(args, set, word, err);
    (void)error_set(err, ERROR_USAGE, "unknown option '-%c'", optopt);
    return see_help(args, err);
}

// Records options until getopt finds no more; afterwards optind is the first word that is no option.
static int take_options(struct cli_args *args, const struct option_set *set, int argc, char **argv, struct error *err)
{
    opterr = 0;
    for (;;) {
        int at = optind > 0 ? optind : 1, index = -1;
        int what = getopt_long(argc, argv, set->shorts, set->longs, &index);
        if (what == -1)
            return 0;
        const char *word = optind > at || optind < 1 ? argv[optind - 1] : argv[optind];
        if (what == ':' || what == '?')
            return bad_option(args, set, what, word, err);
        const struct cli_option *option = what == 0 ? set->known[index] : option_set_find(set, what);
        // getopt accepts beginnings of long names; a script that uses one would break with the next option we add.
        if (what == 0) {
            const char *typed = option->argument && optarg == argv[optind - 1] ? argv[optind - 2] : argv[optind - 1];
            if (strcspn(typed + 2, "=") != strlen(option->name))
                return unknown_option(args, set, typed, err);
        }
        if (args->given_count == CLI_OPTIONS_MAX)
            return error_set(err, ERROR_USAGE, "more than %d options", CLI_OPTIONS_MAX);
        args->given[args->given_count].option = option;
        args->given[args->given_count++].value = optarg;
    }
}

static const struct cli_command *find_words(const struct cli_program *program, const char *word, const char *second)
{
    size_t n = strlen(word);
    for (const struct cli_command *c = program->commands; c->name; c++) {
        if (strncmp(c->name, word, n) != 0)
            continue;
        if (c->name[n] == '\0' || (second && c->name[n] == ' ' && strcmp(c->name + n + 1, second) == 0))
            return c;
    }
    return NULL;
}

// Is `word` the first word of commands of two words?
static bool is_group(const struct cli_program *program, const char *word)
{
    size_t n = strlen(word);
    for (const struct cli_command *c = program->commands; c->name; c++)
        if (strncmp(c->name, word, n) == 0 && c->name[n] == ' ')
            return true;
    return false;
}

const struct cli_command *cli_find_command(const struct cli_program *program, const char *name)
{
    for (const struct cli_command *c = program->commands; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

static int unknown_command(const struct cli_args *args, const char *first, const char *second, struct error *err)
{
    _cleanup_free_ char *typed = second ? xasprintf("%s %s", first, second) : xstrdup(first);
    _cleanup_free_ char *group = NULL; // the word `nearest` may point at
    struct nearest nearest = nearest_to(typed);
    for (const struct cli_command *c = args->program->commands; c->name; c++) {
        nearest_offer(&nearest, c->name);
        _cleanup_free_ char *word = xstrndup(c->name, strcspn(c->name, " "));
        nearest_offer(&nearest, word);
        if (nearest.best == word) {
            free(group);
            group = TAKE(word);
        }
    }
    if (nearest.best)
        return error_set(err, ERROR_USAGE, "unknown command '%s'; did you mean '%s'?", typed, nearest.best);
    (void)error_set(err, ERROR_USAGE, "unknown command '%s'", typed);
    return see_help(args, err);
}

static int group_needs_word(const struct cli_args *args, const char *word, struct error *err)
{
    size_t n = strlen(word);
    const char *separator = " needs one more word: ";
    (void)error_set(err, ERROR_USAGE, "'%s %s'", args->program->name, word);
    for (const struct cli_command *c = args->program->commands; c->name; c++) {
        if (strncmp(c->name, word, n) != 0 || c->name[n] != ' ')
            continue;
        size_t used = strlen(err->text);
        (void)snprintf(err->text + used, sizeof err->text - used, "%s'%s'", separator, c->name + n + 1);
        separator = " or ";
    }
    return err->code;
}

static bool asks_for_text(const struct cli_args *args)
{
    return cli_args_flag(args, "help") || cli_args_flag(args, "version");
}

// Finds the command in the words before its options; global options may stand between them. Moves optind behind it.
static int take_command(struct cli_args *args, int argc, char **argv, struct error *err)
{
    struct option_set set;
    option_set_init(&set, "+:", args->program, NULL);
    int rc = take_options(args, &set, argc, argv, err);
    if (rc < 0)
        return rc;
    if (optind >= argc) {
        if (asks_for_text(args))
            return 0;
        (void)error_set(err, ERROR_USAGE, "a command is missing");
        return see_help(args, err);
    }
    const char *first = argv[optind++], *second = NULL;
    if (is_group(args->program, first)) {
        rc = take_options(args, &set, argc, argv, err);
        if (rc < 0)
            return rc;
        if (optind >= argc && !find_words(args->program, first, NULL))
            return asks_for_text(args) ? 0 : group_needs_word(args, first, err);
        second = optind < argc ? argv[optind++] : NULL;
    }
    args->command = find_words(args->program, first, second);
    return args->command ? 0 : unknown_command(args, first, second, err);
}

static int check_count(const struct cli_args *args, struct error *err)
{
    const struct cli_command *command = args->command;
    if (args->count < command->min_args)
        return error_set(err, ERROR_USAGE, "too few arguments; usage: %s %s %s", args->program->name, command->name, command->arguments);
    if (args->count > command->max_args)
        return error_set(err, ERROR_USAGE, "surplus argument '%s'; usage: %s %s%s%s", args->values[command->max_args], args->program->name,
                         command->name, command->arguments[0] ? " " : "", command->arguments);
    return 0;
}

int cli_parse(const struct cli_program *program, int argc, char **argv, struct cli_args *ret_args, struct error *err)
{
    *ret_args = (struct cli_args){ .program = program };
    // getopt moves the words around, so it gets an array of its own.
    ret_args->values = xcalloc((size_t)argc + 1, sizeof *ret_args->values);
    char **words = (char **)ret_args->values;
    memcpy(words, argv, (size_t)argc * sizeof *words);
    optind = 0; // glibc: start anew, also its hidden state
    int rc = take_command(ret_args, argc, words, err);
    if (rc < 0 || !ret_args->command)
        return rc;
    struct option_set set;
    option_set_init(&set, ":", program, ret_args->command);
    // What is left is parsed as a command line of its own, its "program name" being the last command word.
    int rest = optind - 1;
    words += rest;
    argc -= rest;
    optind = 0;
    rc = take_options(ret_args, &set, argc, words, err);
    if (rc < 0)
        return rc;
    ret_args->count = (size_t)(argc - optind);
    memmove(ret_args->values, words + optind, ret_args->count * sizeof *words);
    ret_args->values[ret_args->count] = NULL;
    return asks_for_text(ret_args) ? 0 : check_count(ret_args, err);
}

void cli_args_done(struct cli_args *args)
{
    free(args->values);
    args->values = NULL;
    args->count = 0;
}

bool cli_args_flag(const struct cli_args *args, const char *name)
{
    for (size_t i = 0; i < args->given_count; i++)
        if (strcmp(args->given[i].option->name, name) == 0)
            return true;
    return false;
}

const char *cli_args_option_at(const struct cli_args *args, const char *name, size_t index)
{
    for (size_t i = 0; i < args->given_count; i++)
        if (strcmp(args->given[i].option->name, name) == 0 && index-- == 0)
            return args->given[i].value;
    return NULL;
}

const char *cli_args_option(const struct cli_args *args, const char *name)
{
    for (size_t i = args->given_count; i-- > 0;)
        if (strcmp(args->given[i].option->name, name) == 0)
            return args->given[i].value;
    return NULL;
}

const char *cli_args_value(const struct cli_args *args, size_t index)
{
    return index < args->count ? args->values[index] : NULL;
}

int cli_args_number(const struct cli_args *args, const char *name, unsigned long max, unsigned long *ret_value, struct error *err)
{
    const char *text = cli_args_option(args, name);
    uint64_t value;
    if (!text)
        return 0;
    if (!parse_u64(text, strlen(text), max, &value))
        return error_set(err, ERROR_USAGE, "option '--%s' needs a number from 0 to %lu, not '%s'", name, max, text);
    *ret_value = (unsigned long)value;
    return 0;
}
