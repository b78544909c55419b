// Files for a program elsewhere, tried with a shell of this host in ssh's place: they arrive whole, the program finds them, and nothing stays, whoever is killed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/base/env.h"
#include "bkd/base/proc.h"
#include "bkd/base/shell.h"
#include "bkd/dr/parcel.h"

struct place {
    char dir[64];
    struct parcel parcel;
    struct env env;
};

static void begin(struct place *p, const char *dir)
{
    (void)snprintf(p->dir, sizeof p->dir, "%s", dir);
    parcel_init(io_real(), &p->parcel);
    env_init(&p->env, NULL);
}

static void end(struct place *p)
{
    parcel_done(&p->parcel);
    env_done(&p->env);
}

// The command that ssh would be given, for a program of the parcel and its arguments.
static char *command_of(const struct parcel *parcel, const char *argument)
{
    struct buf text = { 0 };
    char *program = parcel_path(parcel, "program");
    const char *const words[] = { program, argument, NULL };
    parcel_add_shell(parcel, &text);
    shell_add_command(&text, words);
    free(program);
    return buf_take_str(&text);
}

static void start(struct place *p, const char *argument, struct proc **ret_proc)
{
    struct error err;
    int input = -1;
    char *command = command_of(&p->parcel, argument);
    const char *const argv[] = { "sh", "-c", command, NULL };
    assert_int_equal(parcel_send(&p->parcel, &input, &err), 0);
    struct proc_options options = { .argv = argv, .env = (const char *const *)p->env.list, .stdin_fd = input, .grace_ms = 1000 };
    assert_int_equal(proc_start(io_real(), &options, ret_proc, &err), 0);
    free(command);
}

static bool is_there(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static bool goes_away(const char *path)
{
    for (int i = 0; i < 100 && is_there(path); i++)
        usleep(50000);
    return !is_there(path);
}

static bool comes(const char *path)
{
    for (int i = 0; i < 200 && !is_there(path); i++)
        usleep(50000);
    return is_there(path);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static char *make_dir(char *ret_template)
{
    strcpy(ret_template, "/tmp/test-parcel-XXXXXX");
    assert_non_null(mkdtemp(ret_template));
    return ret_template;
}

static void add_program(struct place *p, const char *script)
{
    struct error err;
    assert_int_equal(parcel_add_bytes(&p->parcel, "program", script, strlen(script), &err), 0);
}

static void test_files_arrive(void **state)
{
    struct place p;
    struct error err;
    struct proc *proc = NULL;
    struct proc_result result = { 0 };
    char dir[64], path[96];
    size_t n = 3 << 20; // more than a line holds at once
    uint8_t *big = malloc(n);
    (void)state;
    begin(&p, make_dir(dir));
    io_random(io_real(), big, n);
    (void)snprintf(path, sizeof path, "%s/file", dir);
    write_file(path, "of this host");
    add_program(&p, "#!/bin/sh\ncd \"$1\" && cat keys/secret keys/file && stat -c ' %a %a' . && stat -c %a keys/secret && stat -L -c %a keys && wc -c <keys/big && cat && exit 7\n");
    assert_int_equal(parcel_add_bytes(&p.parcel, PARCEL_SECRETS "big", big, n, &err), 0);
    assert_int_equal(parcel_add_bytes(&p.parcel, PARCEL_SECRETS "secret", "se'c\"ret\n", 9, &err), 0);
    assert_int_equal(parcel_add_file(&p.parcel, PARCEL_SECRETS "file", path, &err), 0);
    start(&p, p.parcel.directory, &proc);
    proc_wait(proc, &result);
    proc_free(proc);
    assert_int_equal(result.end, PROC_EXITED);
    assert_int_equal(result.code, 7); // the program's
    assert_string_equal(buf_str(&result.output.tail), "se'c\"ret\nof this host 700 700\n600\n700\n3145728\n");
    assert_false(is_there(p.parcel.directory));
    proc_result_done(&result);
    unlink(path);
    rmdir(dir);
    free(big);
    end(&p);
}

// A program that lasts tells where the secrets lie.
static void start_lasting(struct place *p, struct proc **ret_proc, char *ret_keys, size_t size)
{
    struct error err;
    char told[96];
    (void)snprintf(told, sizeof told, "%s/told", p->dir);
    add_program(p, "#!/bin/sh\nreadlink -f \"${0%/*}/keys\" >\"$1.new\" && echo $$ >>\"$1.new\" && mv \"$1.new\" \"$1\" && exec sleep 60\n");
    assert_int_equal(parcel_add_bytes(&p->parcel, PARCEL_SECRETS "secret", "x", 1, &err), 0);
    start(p, told, ret_proc);
    assert_true(comes(told));
    FILE *f = fopen(told, "r");
    assert_non_null(f);
    assert_non_null(fgets(ret_keys, (int)size, f));
    ret_keys[strcspn(ret_keys, "\n")] = '\0';
    fclose(f);
    assert_true(is_there(ret_keys));
}

static void finish_lasting(struct place *p)
{
    char told[96];
    (void)snprintf(told, sizeof told, "%s/told", p->dir);
    unlink(told);
    rmdir(p->dir);
    end(p);
}

static void test_line_ends(void **state)
{
    struct place p;
    struct proc *proc = NULL;
    struct proc_result result = { 0 };
    char dir[64], keys[256], *directory;
    (void)state;
    begin(&p, make_dir(dir));
    start_lasting(&p, &proc, keys, sizeof keys);
    directory = strdup(p.parcel.directory);
    parcel_done(&p.parcel); // as when bkd was killed
    proc_wait(proc, &result);
    proc_free(proc);
    assert_int_not_equal(result.code, 0);
    assert_false(is_there(keys));
    assert_false(is_there(directory));
    proc_result_done(&result);
    free(directory);
    finish_lasting(&p);
}

static void test_shell_told_to_end(void **state)
{
    struct place p;
    struct proc *proc = NULL;
    char dir[64], keys[256];
    (void)state;
    begin(&p, make_dir(dir));
    start_lasting(&p, &proc, keys, sizeof keys);
    char command[160]; // the shell and its guard, which has the same words
    (void)snprintf(command, sizeof command, "pkill -TERM -f -- '[b]kd-parcel %s '", p.parcel.directory);
    assert_int_equal(system(command), 0);
    assert_true(goes_away(keys));
    assert_true(goes_away(p.parcel.directory));
    proc_free(proc);
    finish_lasting(&p);
}

static void test_shell_killed(void **state)
{
    struct place p;
    struct proc *proc = NULL;
    char dir[64], keys[256], command[160], *directory;
    (void)state;
    begin(&p, make_dir(dir));
    start_lasting(&p, &proc, keys, sizeof keys);
    directory = strdup(p.parcel.directory);
    (void)snprintf(command, sizeof command, "pkill -KILL -o -f -- '[b]kd-parcel %s '", directory); // the oldest of the two is the shell
    assert_int_equal(system(command), 0);
    parcel_done(&p.parcel);
    assert_true(goes_away(keys));
    assert_true(goes_away(directory));
    proc_free(proc);
    free(directory);
    finish_lasting(&p);
}

static void test_file_shrinks(void **state)
{
    struct place p;
    struct error err;
    struct proc *proc = NULL;
    struct proc_result result = { 0 };
    char dir[64], path[96];
    (void)state;
    begin(&p, make_dir(dir));
    (void)snprintf(path, sizeof path, "%s/file", dir);
    write_file(path, "so long");
    add_program(&p, "#!/bin/sh\necho it runs\n");
    assert_int_equal(parcel_add_file(&p.parcel, PARCEL_SECRETS "file", path, &err), 0);
    write_file(path, "less");
    start(&p, "", &proc);
    proc_wait(proc, &result);
    proc_free(proc);
    assert_int_equal(result.code, PARCEL_FAILED);
    assert_int_equal(result.output.total_bytes, 0);
    assert_non_null(strstr(buf_str(&result.error.tail), "'keys/file' did not arrive whole"));
    assert_false(is_there(p.parcel.directory));
    proc_result_done(&result);
    unlink(path);
    rmdir(dir);
    end(&p);
}

static void test_nothing_there(void **state)
{
    struct place p;
    struct error err;
    (void)state;
    begin(&p, "");
    assert_int_equal(parcel_add_file(&p.parcel, "program", "/nonexistent/bkd-restore", &err), ERROR_NOT_FOUND);
    end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_arrive), cmocka_unit_test(test_line_ends), cmocka_unit_test(test_shell_told_to_end),
        cmocka_unit_test(test_shell_killed), cmocka_unit_test(test_file_shrinks), cmocka_unit_test(test_nothing_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
