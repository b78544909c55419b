#include "bkd/plans/planning_step.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/interrupt.h"
#include "bkd/base/printable.h"
#include "bkd/base/proc.h"
#include "bkd/base/shell.h"
#include "bkd/dr/check.h"
#include "bkd/dr/remote.h"
#include "bkd/history/notify.h"
#include "bkd/record/events.h"

void planning_ssh_init(struct planning_ssh *ssh, const struct context *ctx, const struct recovery_host *host)
{
    *ssh = (struct planning_ssh){ .remote = xcalloc(1, sizeof *ssh->remote) };
    ssh->identity = host->ssh_identity[0] == '\0' ? NULL : context_key_path(ctx, host->ssh_identity);
    ssh->known_hosts = host->ssh_known_hosts[0] == '\0' ? NULL : context_key_path(ctx, host->ssh_known_hosts);
    ssh->remote->address = host->address;
    ssh->remote->identity = ssh->identity;
    ssh->remote->known_hosts = ssh->known_hosts;
}

void planning_ssh_done(struct planning_ssh *ssh)
{
    free(ssh->remote);
    free(ssh->identity);
    free(ssh->known_hosts);
}

// ---- commands

static void add_variables(const struct planning_work *w, struct env *env)
{
    env_add(env, "BKD_PLAN", w->plan->name);
    env_add(env, "BKD_RUN", w->run);
    env_add(env, "BKD_STEP", w->step->id);
    env_add(env, "BKD_MODE", planning_mode_name(w->mode));
    env_add(env, "BKD_SCENARIO", w->scenario);
    env_add(env, "BKD_SYSTEM", w->system == NULL ? NULL : w->system->name);
    env_add(env, "BKD_TREE", w->system == NULL ? NULL : w->place.tree);
}

// `env NAME=value … PROGRAM …` for the shell of another host.
static void add_far_command(const struct planning_work *w, const char *const *argv, struct buf *out)
{
    _cleanup_env_ struct env env = { 0 };
    env.list = xcalloc(1, sizeof *env.list);
    add_variables(w, &env);
    buf_add_str(out, "exec env ");
    shell_add_command(out, env.list);
    buf_add_char(out, ' ');
    shell_add_command(out, argv);
}

static void take_line(void *arg, enum proc_stream stream, const char *line, size_t n)
{
    struct planning_work *w = arg;
    _cleanup_buf_ struct buf text = { 0 };
    (void)stream;
    printable_add(&text, line, n < 400 ? n : 400);
    w->said(w->arg, w->step, buf_str(&text));
}

static const struct recovery_host *host_of_command(const struct planning_work *w)
{
    if (w->mode == PLANNING_REHEARSE || w->step->host[0] == '\0')
        return NULL;
    return strcmp(w->step->host, "target") == 0 ? w->place.host : recovery_find_host(w->plan, w->step->host);
}

static char *last_line(const struct proc_result *result)
{
    _cleanup_buf_ struct buf text = { 0 };
    size_t n;
    const char *line = proc_last_line(&result->output.tail, &n);
    printable_add(&text, line, n < 300 ? n : 300);
    return buf_take_str(&text);
}

// What is restored belongs to whom it should only within.
static int userns_of(const struct planning_work *w) { return w->scratch == NULL ? 0 : w->scratch->userns_fd; }

static int run_command(struct planning_work *w, const char *const *argv, const struct recovery_host *host, uint64_t timeout_ms, struct error *err)
{
    _cleanup_planning_ssh_ struct planning_ssh ssh = { 0 };
    _cleanup_buf_ struct buf far = { 0 };
    _cleanup_env_ struct env env = { 0 };
    _cleanup_proc_result_ struct proc_result result = { 0 };
    const char *words[REMOTE_WORDS_MAX];
    char how[PROC_TEXT_MAX];
    struct proc_options options = { .argv = argv, .timeout_ms = timeout_ms, .stop = interrupt_stops, .line = take_line, .arg = w, .merge = true };
    remote_env(&env);
    if (host != NULL) {
        size_t n = 0;
        planning_ssh_init(&ssh, w->ctx, host);
        remote_words(ssh.remote, words);
        while (words[n] != NULL)
            n++;
        add_far_command(w, argv, &far);
        words[n] = buf_str(&far);
        words[n + 1] = NULL;
        options.argv = words;
    } else {
        add_variables(w, &env);
        options.userns_fd = userns_of(w);
    }
    options.env = env.list;
    int r = proc_run(w->ctx->io, &options, &result, err);
    if (r < 0)
        return r;
    w->message = last_line(&result);
    proc_result_text(&result, how);
    if (proc_result_ok(&result))
        return 0;
    return error_set(err, ERROR_FAILED, "'%s'%s%s %s%s%s", argv[0], host == NULL ? "" : " on ", host == NULL ? "" : host->name, how, w->message[0] == '\0' ? "" : ": ", w->message);
}

static int execute_command(struct planning_work *w, struct error *err)
{
    return run_command(w, (const char *const *)w->step->command.items, host_of_command(w), w->step->timeout_s * 1000, err);
}

// ---- checks

// On another host: from within the restored tree.
static int check_far(struct planning_work *w, const struct policy_check *check, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    if (check->type != POLICY_CHECK_COMMAND)
        return error_set(err, ERROR_USAGE, "checks of type %s work on this host only; on '%s' use one of type command", check_type_name(check->type), w->place.host->name);
    buf_add_str(&text, "cd ");
    shell_add_quoted(&text, w->place.tree);
    buf_add_str(&text, " && exec ");
    shell_add_command(&text, (const char *const *)check->run.items);
    const char *const argv[] = { "/bin/sh", "-c", buf_str(&text), NULL };
    return run_command(w, argv, w->place.host, check->timeout_s * 1000, err);
}

static int check_here(struct planning_work *w, const struct policy_check *check, struct error *err)
{
    const struct check_tree tree = { .io = w->ctx->io, .path = w->place.tree, .userns_fd = userns_of(w), .policy = w->system->policy, .snapshot = w->snapshot, .stop = interrupt_stops };
    struct check_outcome outcome;
    check_execute(&tree, check, &outcome);
    w->said(w->arg, w->step, outcome.message);
    return outcome.passed ? 0 : error_set(err, ERROR_FAILED, "check '%s' failed: %s", check->name[0] == '\0' ? check_type_name(check->type) : check->name, outcome.message);
}

static int execute_checks(struct planning_work *w, struct error *err)
{
    _cleanup_policy_ struct policy policy = { 0 };
    const struct policy_check *checks = w->step->checks;
    size_t n = w->step->check_count;
    int r = 0;
    if (n == 0) {
        r = context_load_policy(w->ctx, w->system->policy, &policy, err);
        checks = policy.verify.checks;
        n = policy.verify.check_count;
    }
    if (r == 0 && n == 0)
        return error_set(err, ERROR_USAGE, "there is nothing to check: neither the step nor policy '%s' has checks", w->system->policy);
    for (size_t i = 0; i < n && r == 0; i++)
        r = w->place.host == NULL ? check_here(w, &checks[i], err) : check_far(w, &checks[i], err);
    if (r == 0) {
        free(w->message);
        w->message = xasprintf("%zu checks passed", n);
    }
    return r;
}

// ---- telling

static int execute_notify(struct planning_work *w, struct error *err)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    _cleanup_free_ char *text = xasprintf("%splan %s: %s", w->mode == PLANNING_REHEARSE ? "REHEARSAL: " : "", w->plan->name, w->step->message);
    const struct event event = { .what = EVENT_HAPPENED, .kind = "plan", .policy = "", .copy = w->plan->name, .severity = (enum severity)w->step->severity, .text = text };
    int r = catalogue_open(w->ctx->io, w->ctx->state_dir, CATALOGUE_WRITE, &catalogue, err);
    if (r == 0)
        r = events_append(&catalogue, &event, NULL, err);
    if (r == 0)
        r = notify_deliver(w->ctx, &catalogue, io_realtime_ns(w->ctx->io), err);
    return r;
}

void planning_step_execute(struct planning_work *w)
{
    typedef int execute_fn(struct planning_work *w, struct error *err);
    static execute_fn *const kinds[RECOVERY_TYPES] = { [RECOVERY_RESTORE] = planning_restore, [RECOVERY_COMMAND] = execute_command, [RECOVERY_CHECK] = execute_checks,
                                                       [RECOVERY_NOTIFY] = execute_notify };
    struct error err = { 0 };
    w->passed = kinds[w->step->type](w, &err) == 0;
    if (w->passed)
        return;
    free(w->message);
    w->message = xstrdup(err.text);
}

void planning_work_done(struct planning_work *w)
{
    free(w->message);
    free(w->copy);
}
