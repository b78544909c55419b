#include "tests/restore/jail.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECONDS = 20, NOBODY = 65534 };

void jail_make(const struct fixture *f)
{
    fixture_run("mkdir -m 777 '%s/jail' && cd '%s/jail' && mkdir -m 777 out out/dir && echo secret >out/file && echo deep >out/dir/file && "
                "ln -s file out/link && mkfifo out/fifo && chmod 666 out/file out/dir/file && chmod 711 '%s'", f->dir, f->dir, f->dir);
}

char *jail_look(const struct fixture *f)
{
    struct buf text = { 0 };
    char piece[4096];
    size_t n;
    _cleanup_free_ char *command = xasprintf(
        "cd '%s/jail' && find . -maxdepth 1 ! -name 't-*' ! -name . -printf '%%p\\n' | sort && find out -printf '%%p %%y %%m %%U %%G %%s %%n %%T@ %%C@ %%l\\n' | "
        "sort && sha256sum out/file out/dir/file && ls /tmp/bkd-hostile-* 2>/dev/null; true", f->dir);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    while ((n = fread(piece, 1, sizeof piece, p)) > 0)
        buf_add(&text, piece, n);
    assert_int_equal(pclose(p), 0);
    return buf_take_str(&text);
}

void jail_check(const struct fixture *f, const char *before, const char *name)
{
    _cleanup_free_ char *after = jail_look(f);
    if (strcmp(before, after) != 0)
        fail_msg("%s changed something outside the target:\n%s\nwas\n%s", name, after, before);
}

_Noreturn static void restore_and_tell(struct fixture *f, const char *target, const struct run_options *options, bool as_user, int pipe)
{
    struct jail_outcome o = { 0 };
    struct report report = { 0 };
    alarm(SECONDS);
    if (as_user && (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
        _exit(99);
    o.code = fixture_restore(f, target, options, &report, &o.err);
    memcpy(o.count, report.count, sizeof o.count);
    _exit(write(pipe, &o, sizeof o) == (ssize_t)sizeof o ? 0 : 98);
}

struct jail_outcome jail_restore(struct fixture *f, const char *target, const struct run_options *options, bool as_user)
{
    int p[2], status = 0;
    struct jail_outcome o = { 0 };
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0)
        restore_and_tell(f, target, options, as_user, p[1]);
    close(p[1]);
    bool told = read(p[0], &o, sizeof o) == (ssize_t)sizeof o;
    close(p[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!told || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the restore ended with status 0x%x (14 = it took more than %d s)", status, SECONDS);
    return o;
}
