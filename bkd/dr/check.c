#include "bkd/dr/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "bkd/base/env.h"
#include "bkd/base/printable.h"
#include "bkd/base/userns.h"
#include "bkd/dr/check_kinds.h"

static const struct {
    const char *name;
    check_kind *execute;
} kinds[] = {
    [POLICY_CHECK_COMMAND] = { "command", check_command },
    [POLICY_CHECK_FILE] = { "file", check_file },
    [POLICY_CHECK_SQLITE] = { "sqlite", check_sqlite },
    [POLICY_CHECK_POSTGRES] = { "postgres", check_postgres },
    [POLICY_CHECK_HTTP] = { "http", check_http },
    [POLICY_CHECK_MTREE] = { "mtree", check_mtree },
};

const char *check_type_name(uint64_t type) { return kinds[type].name; }

static void execute(struct check_tree *tree, const struct policy_check *check, struct check_outcome *ret_outcome)
{
    _cleanup_buf_ struct buf found = { 0 };
    _cleanup_buf_ struct buf line = { 0 };
    struct error why = { 0 };
    uint64_t started = io_monotonic_ns(tree->io);
    tree->fd = -1;
    bool passed = io_open(tree->io, AT_FDCWD, tree->path, O_RDONLY | O_DIRECTORY, 0, &tree->fd, &why) == 0 && kinds[check->type].execute(tree, check, &found, &why) == 0;
    io_close_quietly(tree->io, &tree->fd);
    const char *text = passed ? buf_str(&found) : why.text;
    printable_add(&line, text, strlen(text));
    *ret_outcome = (struct check_outcome){ .passed = passed, .duration_ns = io_monotonic_ns(tree->io) - started };
    (void)snprintf(ret_outcome->message, sizeof ret_outcome->message, "%s", buf_str(&line));
}

struct execution {
    struct check_tree tree;
    const struct policy_check *check;
};

static int execute_within(void *arg, void *result, struct error *err)
{
    struct execution *e = arg;
    (void)err;
    execute(&e->tree, e->check, result);
    return 0;
}

void check_execute(const struct check_tree *tree, const struct policy_check *check, struct check_outcome *ret_outcome)
{
    struct error err;
    *ret_outcome = (struct check_outcome){ 0 };
    if (userns_call(tree->userns_fd, execute_within, &(struct execution){ *tree, check }, ret_outcome, sizeof *ret_outcome, tree->stop, &err) < 0)
        (void)snprintf(ret_outcome->message, sizeof ret_outcome->message, "%.*s", CHECK_MESSAGE_MAX - 1, err.text);
}

// ---- what several kinds need

static void add_last_line(struct buf *out, const struct buf *tail)
{
    size_t n;
    const char *line = proc_last_line(tail, &n);
    if (n > 0)
        buf_addf(out, ": %.*s", (int)(n < 200 ? n : 200), line);
}

static void make_env(const struct check_tree *tree, const char *user, struct env *env)
{
    env_init(env, user);
    env_add(env, "BKD_POLICY", tree->policy);
    env_add_u64(env, "BKD_SNAPSHOT", tree->snapshot);
    env_add(env, "BKD_TREE", tree->path);
}

static int tell_end(const char *program, const struct proc_result *result, struct error *err)
{
    _cleanup_buf_ struct buf said = { 0 };
    char how[PROC_TEXT_MAX];
    proc_result_text(result, how);
    add_last_line(&said, result->error.tail.len > 0 ? &result->error.tail : &result->output.tail);
    return error_set(err, ERROR_FAILED, "'%s' %s%s", program, how, buf_str(&said));
}

int check_run(const struct check_tree *tree, const struct policy_check *check, const char *const *argv, const char *user, struct proc_result *ret_result,
              struct error *err)
{
    _cleanup_env_ struct env env = { 0 };
    _cleanup_proc_result_ struct proc_result result = { 0 };
    make_env(tree, user, &env);
    int r = proc_run(tree->io,
                     &(struct proc_options){ .argv = argv, .env = env.list, .directory = tree->path, .user = user, .keep_rights = tree->userns_fd > 0,
                                             .timeout_ms = check->timeout_s * 1000, .stop = tree->stop },
                     &result, err);
    if (r < 0)
        return r;
    if (!proc_result_ok(&result))
        return tell_end(argv[0], &result, err);
    if (ret_result != NULL) {
        *ret_result = result;
        result = (struct proc_result){ 0 };
    }
    return 0;
}

// ---- servers

struct serving {
    const struct check_tree *tree;
    check_ask *ask;
    void *arg;
    bool answered;
    int result; // of ask
    struct error *err;
};

// Asked several times a second while the server runs: the time to ask it.
static bool is_answered(void *arg)
{
    struct serving *s = arg;
    if (s->tree->stop != NULL && s->tree->stop(NULL))
        return true;
    s->result = s->ask(s->arg, &s->answered, s->err);
    return s->answered || s->result < 0;
}

int check_serve(const struct check_tree *tree, const struct policy_check *check, const char *const *argv, const char *user, check_ask *ask, void *arg,
                struct error *err)
{
    _cleanup_env_ struct env env = { 0 };
    _cleanup_proc_result_ struct proc_result result = { 0 };
    struct serving serving = { .tree = tree, .ask = ask, .arg = arg, .err = err };
    make_env(tree, user, &env);
    int r = proc_run(tree->io,
                     &(struct proc_options){ .argv = argv, .env = env.list, .directory = tree->path, .user = user, .keep_rights = tree->userns_fd > 0,
                                             .timeout_ms = check->timeout_s * 1000, .stop = is_answered, .arg = &serving, .merge = true },
                     &result, err);
    if (r < 0 || serving.result < 0)
        return r < 0 ? r : serving.result;
    return serving.answered ? 0 : tell_end(argv[0], &result, err);
}

// ---- answers

static size_t trim(const char **text)
{
    *text += strspn(*text, " \t\r\n");
    size_t n = strlen(*text);
    while (n > 0 && strchr(" \t\r\n", (*text)[n - 1]) != NULL)
        n--;
    return n;
}

int check_expected(const struct policy_check *check, const char *answer, struct error *err)
{
    const char *wanted = check->expect;
    if (wanted[0] == '\0')
        return 0;
    size_t n = trim(&answer), wanted_n = trim(&wanted);
    if (n == wanted_n && memcmp(answer, wanted, n) == 0)
        return 0;
    return error_set(err, ERROR_FAILED, "the query gives '%.*s', and '%.*s' was expected", (int)(n < 100 ? n : 100), answer, (int)(wanted_n < 100 ? wanted_n : 100), wanted);
}

static const char *user_of(const struct policy_check *check) { return check->user[0] == '\0' ? NULL : check->user; }

int check_command(const struct check_tree *tree, const struct policy_check *check, struct buf *ret_found, struct error *err)
{
    int r = check_run(tree, check, (const char *const *)check->run.items, user_of(check), NULL, err);
    if (r == 0)
        buf_add_str(ret_found, "ended with 0");
    return r;
}

// mtree(8) of Debian's package mtree-netbsd.
int check_mtree(const struct check_tree *tree, const struct policy_check *check, struct buf *ret_found, struct error *err)
{
    const char *argv[] = { "mtree", "-p", tree->path, "-f", check->file, NULL };
    int r = check_run(tree, check, argv, user_of(check), NULL, err);
    if (r == ERROR_NOT_FOUND)
        return error_set(err, r, "'mtree' is not installed: apt-get install mtree-netbsd");
    if (r == 0)
        buf_addf(ret_found, "as '%s' says", check->file);
    return r;
}
