// Command lines from a table: what is understood, what is refused and with which words.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "bkd/base/cli.h"

static int run_nothing(struct context *ctx, const struct cli_args *args, struct error *err)
{
    (void)ctx;
    (void)args;
    (void)err;
    return 0;
}

static const struct cli_option globals[] = {
    { "config-dir", 0, "DIR", "where the policies are" },
    { "json", 0, NULL, "JSON lines" },
    { "quiet", 'q', NULL, "say less" },
    { "help", 'h', NULL, "explain" },
    { "version", 0, NULL, "print the version" },
    { 0 },
};
static const struct cli_option restore_options[] = {
    { "target", 't', "DIR", "where to" },
    { "include", 'i', "PATH", "what (repeatable)" },
    { "strip-components", 0, "N", "shorten paths" },
    { 0 },
};
static const struct cli_command commands[] = {
    { "policy check", "FILE...", 1, CLI_ARGS_MANY, "check policies", NULL, NULL, run_nothing },
    { "policy show", "NAME", 1, 1, "show a policy", NULL, NULL, run_nothing },
    { "restore", "SNAPSHOT [PATH]", 1, 2, "restore files", "Writes below the target.", restore_options, run_nothing },
    { "status", "", 0, 0, "how things are", NULL, NULL, run_nothing },
    { 0 },
};
static const struct cli_program program = { "prog", "a program", "1.2.3", commands, globals };

#define WORDS_MAX 16

// Splits `line` at spaces and parses it. The words live in a static buffer until the next call.
static int parse(const char *line, struct cli_args *ret_args, struct error *err)
{
    static char text[512];
    static char *words[WORDS_MAX];
    int n = 0;
    snprintf(text, sizeof text, "prog %s", line);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
        words[n++] = word;
    words[n] = NULL;
    memset(err, 0, sizeof *err);
    return cli_parse(&program, n, words, ret_args, err);
}

static void test_globals_before_and_after(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "--json --config-dir /c policy check a b", "policy --json check --config-dir=/c a b", "policy check a --config-dir /c b --json",
        "--config-dir=/c policy check --json -- a b",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct error err;
        _cleanup_cli_args_ struct cli_args args = { 0 };
        assert_int_equal(parse(lines[i], &args, &err), 0);
        assert_string_equal(args.command->name, "policy check");
        assert_true(cli_args_flag(&args, "json"));
        assert_string_equal(cli_args_option(&args, "config-dir"), "/c");
        assert_int_equal(args.count, 2);
        assert_string_equal(cli_args_value(&args, 0), "a");
        assert_string_equal(cli_args_value(&args, 1), "b");
        assert_null(cli_args_value(&args, 2));
    }
}

static void test_options_and_values(void **state)
{
    (void)state;
    struct error err;
    _cleanup_cli_args_ struct cli_args args = { 0 };
    assert_int_equal(parse("-q restore latest -t/x -i a --include=b --strip-components 2 -- -odd", &args, &err), 0);
    assert_string_equal(cli_args_option(&args, "target"), "/x");
    assert_string_equal(cli_args_option_at(&args, "include", 0), "a");
    assert_string_equal(cli_args_option_at(&args, "include", 1), "b");
    assert_null(cli_args_option_at(&args, "include", 2));
    assert_string_equal(cli_args_option(&args, "include"), "b");
    assert_true(cli_args_flag(&args, "quiet"));
    assert_false(cli_args_flag(&args, "json"));
    assert_string_equal(cli_args_value(&args, 1), "-odd");
    unsigned long n = 7;
    assert_int_equal(cli_args_number(&args, "strip-components", 100, &n, &err), 0);
    assert_int_equal(n, 2);
    assert_int_equal(cli_args_number(&args, "strip-components", 1, &n, &err), ERROR_USAGE);
    assert_int_equal(n, 2);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *line, *text;
    } cases[] = {
        { "", "a command is missing; see 'prog --help'" },
        { "polciy check", "unknown command 'polciy'; did you mean 'policy'?" },
        { "wibble", "unknown command 'wibble'; see 'prog --help'" },
        { "stauts", "unknown command 'stauts'; did you mean 'status'?" },
        { "policy chekc x", "unknown command 'policy chekc'; did you mean 'policy check'?" },
        { "policy", "'prog policy' needs one more word: 'check' or 'show'" },
        { "policy show", "too few arguments; usage: prog policy show NAME" },
        { "policy show a b", "surplus argument 'b'; usage: prog policy show NAME" },
        { "status x", "surplus argument 'x'; usage: prog status" },
        { "--jsn status", "unknown option '--jsn'; did you mean '--json'?" },
        { "--conf /c status", "unknown option '--conf'; did you mean '--config-dir'?" },
        { "--conf=/c status", "unknown option '--conf'; did you mean '--config-dir'?" },
        { "status --wibble", "unknown option '--wibble'; see 'prog status --help'" },
        { "status -x", "unknown option '-x'; see 'prog status --help'" },
        { "status -qx", "unknown option '-x'; see 'prog status --help'" },
        { "status --config-dir", "option '--config-dir' needs a value: DIR" },
        { "restore 1 -t", "option '-t' needs a value: DIR" },
        { "status --json=yes", "option '--json' takes no value" },
        { "status --target /x", "unknown option '--target'; see 'prog status --help'" },
        { "restore 1 --targte /x", "unknown option '--targte'; did you mean '--target'?" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err;
        _cleanup_cli_args_ struct cli_args args = { 0 };
        assert_int_equal(parse(cases[i].line, &args, &err), ERROR_USAGE);
        assert_string_equal(err.text, cases[i].text);
    }
}

// An error's own report must know whether JSON was asked for, wherever the mistake stands.
static void test_options_before_a_mistake_are_kept(void **state)
{
    (void)state;
    struct error err;
    _cleanup_cli_args_ struct cli_args args = { 0 };
    assert_int_equal(parse("--json status --wibble", &args, &err), ERROR_USAGE);
    assert_true(cli_args_flag(&args, "json"));
}

static void test_help_needs_no_arguments(void **state)
{
    (void)state;
    static const char *const lines[] = { "--help", "restore --help", "policy --help", "-h restore", "--version" };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct error err;
        _cleanup_cli_args_ struct cli_args args = { 0 };
        assert_int_equal(parse(lines[i], &args, &err), 0);
    }
}

static void test_too_many_options(void **state)
{
    (void)state;
    char *words[CLI_OPTIONS_MAX + 4] = { "prog", "status" };
    for (int i = 0; i <= CLI_OPTIONS_MAX; i++)
        words[2 + i] = "-q";
    struct error err;
    _cleanup_cli_args_ struct cli_args args = { 0 };
    assert_int_equal(cli_parse(&program, CLI_OPTIONS_MAX + 3, words, &args, &err), ERROR_USAGE);
}

static void test_texts_name_everything(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf help = { 0 }, one = { 0 }, bash = { 0 }, man = { 0 };
    cli_help_program(&program, &help);
    cli_help_command(&program, &commands[2], &one);
    cli_completion_bash(&program, &bash);
    cli_man_commands(&program, &man);
    for (const struct cli_command *c = commands; c->name; c++)
        assert_non_null(strstr(buf_str(&help), c->name));
    assert_non_null(strstr(buf_str(&one), "Usage: prog restore [OPTION]... SNAPSHOT [PATH]\n"));
    assert_non_null(strstr(buf_str(&one), "  -t, --target DIR          where to\n"));
    assert_non_null(strstr(buf_str(&man), ".SS \"prog restore SNAPSHOT [PATH]\"\nRestore files.\nWrites below the target.\n"));
    assert_non_null(strstr(buf_str(&man), "\\fB\\-\\-strip\\-components\\fR \\fIN\\fR\n"));
}

// Runs the completion script in bash for one command line and returns the words offered, sorted.
static char *complete(const char *words)
{
    _cleanup_buf_ struct buf script = { 0 };
    cli_completion_bash(&program, &script);
    buf_addf(&script, "COMP_WORDS=(prog %s); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _prog 2>/dev/null; echo ${COMPREPLY[*]}\n", words);
    char path[] = "/tmp/bkd-cli-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    fwrite(script.data, 1, script.len, file);
    fclose(file);
    _cleanup_free_ char *command = xasprintf("bash %s", path);
    FILE *pipe = popen(command, "r");
    char line[1024] = "";
    assert_non_null(fgets(line, sizeof line, pipe));
    pclose(pipe);
    remove(path);
    line[strcspn(line, "\n")] = '\0';
    return xstrdup(line);
}

static void test_bash_completion_works(void **state)
{
    (void)state;
    if (system("bash -c true >/dev/null 2>&1") != 0)
        skip();
    static const struct {
        const char *words, *offered;
    } cases[] = {
        { "''", "policy restore status" },          { "re", "restore" },
        { "policy ''", "check show" },              { "--json policy s", "show" },
        { "restore --st", "--strip-components" },   { "status --st", "" },
        { "--config-dir /c st", "status" },         { "restore --js", "--json" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        _cleanup_free_ char *offered = complete(cases[i].words);
        assert_string_equal(offered, cases[i].offered);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_globals_before_and_after),
        cmocka_unit_test(test_options_and_values),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_options_before_a_mistake_are_kept),
        cmocka_unit_test(test_help_needs_no_arguments),
        cmocka_unit_test(test_too_many_options),
        cmocka_unit_test(test_texts_name_everything),
        cmocka_unit_test(test_bash_completion_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
