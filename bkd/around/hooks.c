#include "bkd/around/hooks.h"

#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/base/log.h"
#include "bkd/base/printable.h"

const char *const hooks_phase_names[] = { "before", "on_failure", "after" };

static const struct policy_commands *commands_of(const struct policy *policy, enum hooks_phase phase)
{
    return phase == HOOKS_BEFORE ? &policy->hooks_before : phase == HOOKS_AFTER ? &policy->hooks_after : &policy->hooks_on_failure;
}

static const char *name_of(const struct policy_command *command)
{
    const char *program = command->argv.items[0], *slash = strrchr(program, '/');
    return command->name[0] != '\0' ? command->name : slash != NULL ? slash + 1 : program;
}

static bool must_stop(void *arg)
{
    const struct hooks *h = arg;
    return h->interrupted != NULL && h->interrupted() && !h->was_interrupted;
}

// ---- what is told of it --------------------------------------------------------------------------------------------------

static void write_log(const struct hooks *h, const struct hooks_outcome *o, const char *how)
{
    _cleanup_buf_ struct buf text = { 0 };
    char now[CLOCK_TEXT_MAX];
    clock_format_utc(now, io_realtime_ns(h->io), false);
    buf_addf(&text, "%s %s ", now, hooks_phase_names[o->phase]);
    printable_add(&text, o->name, strlen(o->name));
    buf_addf(&text, ": %s\n", how);
    const char *line = o->started ? buf_str(&o->result->output.tail) : "", *end = line + (o->started ? o->result->output.tail.len : 0);
    while (line < end) {
        const char *lf = memchr(line, '\n', (size_t)(end - line));
        size_t n = (size_t)((lf != NULL ? lf : end) - line);
        buf_add_str(&text, "    ");
        printable_add(&text, line, n);
        buf_add_char(&text, '\n');
        line += n + 1;
    }
    struct error ignored; // the log is a convenience: what it tells was said already
    (void)!io_write_all(h->io, h->log_fd, text.data, text.len, HOOKS_LOG, &ignored);
}

// What a failed command said is a warning, so that it is seen also with -q.
static void show_output(const struct hooks_outcome *o)
{
    void (*show)(const char *format, ...) = proc_result_ok(o->result) ? log_info : log_warn;
    const struct proc_kept *said = &o->result->output;
    const char *line = buf_str(&said->tail), *end = line + said->tail.len;
    if (said->total_bytes > said->tail.len)
        show("hook %s %s: %llu bytes of output, of which these are the last %zu", hooks_phase_names[o->phase], o->name, (unsigned long long)said->total_bytes,
             said->tail.len);
    while (line < end) {
        const char *lf = memchr(line, '\n', (size_t)(end - line));
        int n = (int)((lf != NULL ? lf : end) - line);
        show("hook %s %s: %.*s", hooks_phase_names[o->phase], o->name, n, line);
        line += n + 1;
    }
}

// The last line it wrote says why, as a rule.
static char *last_line(const struct proc_result *r)
{
    size_t n;
    const char *line = proc_last_line(&r->output.tail, &n);
    return xasprintf("%s%.*s", n > 0 ? ": " : "", (int)(n > 300 ? 300 : n), line);
}

// ---- running them --------------------------------------------------------------------------------------------------------

static int judge(const struct hooks_outcome *o, const char *how, struct error *err)
{
    if (!o->started)
        return error_set(err, ERROR_FAILED, "hook %s %s: %s", hooks_phase_names[o->phase], o->name, how);
    if (proc_result_ok(o->result))
        return 0;
    _cleanup_free_ char *said = last_line(o->result);
    return error_set(err, ERROR_FAILED, "hook %s %s %s%s", hooks_phase_names[o->phase], o->name, how, said);
}

static int run_command(struct hooks *h, enum hooks_phase phase, const struct policy_command *command, const struct env *facts, struct error *err)
{
    const char *const *argv = (const char *const *)command->argv.items;
    h->was_interrupted = h->interrupted != NULL && h->interrupted();
    struct proc_options options = { .argv = argv, .env = facts->list, .timeout_ms = command->timeout_s * 1000, .merge = true, .stop = must_stop, .arg = h };
    _cleanup_proc_result_ struct proc_result result = { 0 };
    char how[PROC_TEXT_MAX];
    struct error why;
    struct hooks_outcome outcome = { .phase = phase, .name = name_of(command), .program = argv[0], .result = &result };
    log_info("hook %s %s: runs", hooks_phase_names[phase], outcome.name);
    outcome.started = proc_run(h->io, &options, &result, &why) == 0;
    outcome.why = outcome.started ? NULL : why.text;
    if (outcome.started) {
        proc_result_text(&result, how);
        show_output(&outcome);
    }
    write_log(h, &outcome, outcome.started ? how : why.text);
    h->report(h->arg, &outcome);
    return judge(&outcome, outcome.started ? how : why.text, err);
}

int hooks_run(struct hooks *h, enum hooks_phase phase, const struct env *facts, struct error *err)
{
    const struct policy_commands *commands = commands_of(h->policy, phase);
    int failed = 0;
    for (size_t i = 0; i < commands->count && (failed == 0 || phase != HOOKS_BEFORE); i++) {
        struct error why;
        int r = run_command(h, phase, &commands->items[i], facts, &why);
        if (r < 0 && failed == 0) {
            *err = why;
            failed = r;
        }
    }
    return failed;
}

int hooks_open(struct hooks *h, const struct io *io, const char *state_dir, struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/" HOOKS_LOG, state_dir);
    h->io = io;
    if (h->policy->hooks_before.count + h->policy->hooks_after.count + h->policy->hooks_on_failure.count == 0)
        return 0;
    return io_open(io, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW, 0600, &h->log_fd, err);
}

void hooks_close(struct hooks *h)
{
    if (h->io != NULL)
        io_close_quietly(h->io, &h->log_fd);
}
