#include "bkd/daemon/jobs.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bkd/base/bytes.h"
#include "bkd/base/local_socket.h"
#include "bkd/history/recording.h"
#include "bkd/host/programs.h"

extern char **environ;

enum { ORDER_MAX = 16384, CONNECT_MS = 5000, STARTER_MS = 90000 }; // the last one is systemd's own limit for starting a unit

//   child:    jobs_start ─────────────────────> watched ──on_ended──> freed
//   starter:  jobs_start ──> ordered ──on_answer──┘
//   adopted:  jobs_adopt ─────────────────────────┘
struct job_watch {
    struct jobs *jobs;
    struct job *job;
    bool is_child;
    int fd; // a pidfd; or the starter's connection, while it is ordered
    struct loop_source *source, *limit;
};

// ---- what is executed ------------------------------------------------------------------------------------------------------

struct command {
    const char *argv[16];
    char *texts[8]; // those of argv that are owned
    size_t n_argv, n_texts;
    char **env; // ends with NULL; owned, as its strings from `first_own` on
    size_t n_env, first_own;
};

static void command_done(struct command *c)
{
    for (size_t i = 0; i < c->n_texts; i++)
        free(c->texts[i]);
    for (size_t i = c->first_own; i < c->n_env; i++)
        free(c->env[i]);
    free(c->env);
}

static const char *own(struct command *c, char *text) { return c->texts[c->n_texts++] = text; }

static void add_argument(struct command *c, const char *text) { c->argv[c->n_argv++] = text; }

// What belongs to the daemon alone must not reach a run: it would answer systemd in its name.
static bool is_private(const char *variable)
{
    static const char *const names[] = { "NOTIFY_SOCKET=", "WATCHDOG_PID=", "WATCHDOG_USEC=", "LISTEN_FDS=", "LISTEN_PID=", "LISTEN_FDNAMES=",
                                         RECORDING_TRIGGER "=", RECORDING_SLOT "=", RECORDING_ATTEMPT "=", RECORDING_UID "=" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(variable, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static void add_environment(struct command *c, const struct jobs_order *order, const char *uid)
{
    size_t n = 0;
    while (environ[n] != NULL)
        n++;
    c->env = xcalloc(n + 5, sizeof *c->env);
    for (size_t i = 0; i < n; i++)
        if (!is_private(environ[i]))
            c->env[c->n_env++] = environ[i];
    c->first_own = c->n_env;
    c->env[c->n_env++] = xasprintf("%s=%s", RECORDING_TRIGGER, run_trigger_name(order->trigger));
    c->env[c->n_env++] = xasprintf("%s=%s", RECORDING_UID, uid);
    if (order->slot_ns != 0) {
        c->env[c->n_env++] = xasprintf("%s=%llu", RECORDING_SLOT, (unsigned long long)order->slot_ns);
        c->env[c->n_env++] = xasprintf("%s=%u", RECORDING_ATTEMPT, order->attempt == 0 ? 1 : order->attempt);
    }
}

int jobs_check_action(const char *action, struct error *err)
{
    static const char *const actions[] = { "backup", "check", "prune", "ship", "verify" };
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (strcmp(actions[i], action) == 0)
            return 0;
    return error_set(err, ERROR_USAGE, "'%.40s' is no action that runs by itself: backup, check, prune, ship and verify are", action);
}

static int make_command(const struct context *ctx, const struct jobs_order *order, const char *uid, struct command *ret_command, struct error *err)
{
    struct command *c = ret_command;
    bool is_upkeep = order->policy[0] == '\0' && strcmp(order->action, JOBS_UPKEEP) == 0;
    int r = is_upkeep ? 0 : jobs_check_action(order->action, err);
    if (r < 0)
        return r;
    add_argument(c, own(c, programs_path("bkd")));
    add_argument(c, "--config-dir");
    add_argument(c, ctx->config_dir);
    add_argument(c, "--state-dir");
    add_argument(c, ctx->state_dir);
    add_argument(c, "--quiet");
    add_argument(c, order->action);
    if (strcmp(order->action, "prune") == 0 && order->trigger != RUN_MANUAL)
        add_argument(c, "--all");
    if (!is_upkeep)
        add_argument(c, order->policy_file != NULL ? order->policy_file : order->policy);
    add_environment(c, order, uid);
    return 0;
}

// ---- watching --------------------------------------------------------------------------------------------------------------

static void free_job(struct jobs *jobs, struct job *job)
{
    struct job **link = &jobs->list;
    while (*link != job)
        link = &(*link)->next;
    *link = job->next;
    jobs->count--;
    loop_source_free(job->watch->source);
    loop_source_free(job->watch->limit);
    io_close_quietly(io_real(), &job->watch->fd);
    free(job->watch);
    free(job->cancelled_by);
    free(job);
}

void jobs_done(struct jobs *jobs)
{
    while (jobs->list != NULL)
        free_job(jobs, jobs->list);
}

static struct job *add_job(struct jobs *jobs, const char *policy, const char *action)
{
    struct job *job = xcalloc(1, sizeof *job);
    *job = (struct job){ .number = ++jobs->last_number, .started_ns = io_realtime_ns(jobs->ctx->io), .watch = xcalloc(1, sizeof *job->watch) };
    *job->watch = (struct job_watch){ .jobs = jobs, .job = job, .fd = -1 };
    (void)snprintf(job->policy, sizeof job->policy, "%s", policy);
    (void)snprintf(job->action, sizeof job->action, "%s", action);
    struct job **link = &jobs->list; // in the order they were started
    while (*link != NULL)
        link = &(*link)->next;
    *link = job;
    jobs->count++;
    return job;
}

static void end_job(struct job *job, const struct job_end *end)
{
    struct jobs *jobs = job->watch->jobs;
    jobs->ended(jobs->arg, job, end);
    free_job(jobs, job);
}

static void on_ended(void *arg, uint32_t events)
{
    struct job_watch *w = arg;
    struct job_end end = { 0 };
    siginfo_t info = { 0 };
    (void)events;
    if (w->is_child && waitid(P_PID, (id_t)w->job->process.pid, &info, WEXITED | WNOHANG) == 0 && info.si_pid != 0) {
        end.is_known = true;
        end.exit_code = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    }
    end_job(w->job, &end);
}

static int watch_process(struct job_watch *w, pid_t pid, struct error *err)
{
    struct job *job = w->job;
    w->fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (w->fd < 0)
        return error_set_errno(err, errno == ESRCH ? ENOENT : errno, "watch process %d", (int)pid);
    process_self(&job->process); // for the boot
    job->process.pid = pid;
    job->process.start = process_start(pid);
    return loop_add_fd(w->jobs->loop, w->fd, EPOLLIN, on_ended, w, &w->source, err);
}

int jobs_adopt(struct jobs *jobs, const struct run_record *run, struct error *err)
{
    struct job *job = add_job(jobs, run->policy, run->kind);
    memcpy(job->uid, run->uid, sizeof job->uid);
    job->slot_ns = run->slot_ns;
    job->started_ns = run->started_ns;
    job->was_adopted = true;
    int r = watch_process(job->watch, run->process.pid, err);
    if (r == 0 && !process_is_alive(&run->process)) // the number is another process's by now
        r = error_set(err, ERROR_NOT_FOUND, "process %d of run %lld is gone", (int)run->process.pid, (long long)run->id);
    if (r < 0)
        free_job(jobs, job);
    return r;
}

// ---- as a child ------------------------------------------------------------------------------------------------------------

static int start_child(struct job_watch *w, const struct jobs_order *order, struct error *err)
{
    __attribute__((cleanup(command_done))) struct command command = { 0 };
    pid_t pid = -1;
    int r = make_command(w->jobs->ctx, order, w->job->uid, &command, err);
    if (r < 0)
        return r;
    r = programs_start(command.argv, (const char *const *)command.env, &pid, err);
    w->is_child = r == 0;
    return r == 0 ? watch_process(w, pid, err) : r;
}

// ---- as a unit -------------------------------------------------------------------------------------------------------------

static void fail_start(struct job_watch *w, const char *problem)
{
    end_job(w->job, &(struct job_end){ .problem = problem });
}

static void on_starter_late(void *arg) { fail_start(arg, "systemd did not start its unit in time: see `systemctl status 'bkd-run@*'`"); }

// {"pid":N}: the unit's process, which is about to become the run.
static void on_answer(void *arg, uint32_t events)
{
    struct job_watch *w = arg;
    char text[256];
    struct error err;
    _cleanup_json_ struct json *json = NULL;
    uint64_t pid = 0;
    (void)events;
    ssize_t n = recv(w->fd, text, sizeof text, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || json_parse(text, (size_t)n, &json, &err) < 0 || !json_get_u64(json, "pid", &pid) || pid == 0 || pid > INT32_MAX) {
        fail_start(w, "its unit did not start: see `systemctl status 'bkd-run@*'`");
        return;
    }
    loop_source_free(TAKE(w->source));
    loop_source_free(TAKE(w->limit));
    io_close_quietly(io_real(), &w->fd);
    int r = watch_process(w, (pid_t)pid, &err);
    if (r == ERROR_NOT_FOUND) // it has ended already, and the catalogue knows how
        end_job(w->job, &(struct job_end){ 0 });
    else if (r < 0)
        fail_start(w, err.text);
}

static void format_order(const struct jobs_order *order, const char *uid, struct buf *ret_text)
{
    _cleanup_json_ struct json *json = json_line_new("order");
    json_add_str(json, "policy", order->policy);
    json_add_str(json, "action", order->action);
    json_add_str(json, "uid", uid);
    if (order->policy_file != NULL)
        json_add_str(json, "policy_file", order->policy_file);
    json_add_str(json, "trigger", run_trigger_name(order->trigger));
    json_add_u64(json, "slot", order->slot_ns);
    json_add_u64(json, "attempt", order->attempt);
    json_format(json, ret_text);
    buf_add_char(ret_text, '\n');
}

static int start_unit(struct job_watch *w, const struct jobs_order *order, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    const char *slash = strrchr(w->jobs->starter, '/');
    _cleanup_free_ char *dir = slash == NULL ? xstrdup(".") : xstrndup(w->jobs->starter, (size_t)(slash - w->jobs->starter));
    format_order(order, w->job->uid, &text);
    int r = local_socket_connect(dir, slash == NULL ? w->jobs->starter : slash + 1, CONNECT_MS, &w->fd, err);
    if (r == 0 && send(w->fd, text.data, text.len, MSG_NOSIGNAL) != (ssize_t)text.len)
        r = error_set_errno(err, errno, "send an order");
    if (r < 0)
        return error_prefix(err, "no run can be started (is bkd-run.socket active? systemctl start bkd-run.socket)");
    r = loop_add_fd(w->jobs->loop, w->fd, EPOLLIN, on_answer, w, &w->source, err);
    if (r == 0)
        r = loop_add_timer(w->jobs->loop, LOOP_MONOTONIC, on_starter_late, w, &w->limit, err);
    if (r == 0)
        loop_set_delay(w->limit, STARTER_MS * UINT64_C(1000000));
    return r;
}

int jobs_start(struct jobs *jobs, const struct jobs_order *order, struct job **ret_job, struct error *err)
{
    struct job *job = add_job(jobs, order->policy, order->action);
    uint8_t noise[(RUN_UID_MAX - 1) / 2];
    io_random(jobs->ctx->io, noise, sizeof noise);
    format_hex(job->uid, noise, sizeof noise);
    job->slot_ns = order->slot_ns;
    int r = jobs->starter != NULL ? start_unit(job->watch, order, err) : start_child(job->watch, order, err);
    if (r < 0) {
        free_job(jobs, job);
        return order->policy[0] == '\0' ? r : error_prefix(err, "policy %s", order->policy);
    }
    *ret_job = job;
    return 0;
}

// ---- the unit's side -------------------------------------------------------------------------------------------------------

static int read_line(int fd, struct buf *ret_line, struct error *err)
{
    char byte;
    while (ret_line->len < ORDER_MAX) {
        ssize_t n = read(fd, &byte, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_set(err, ERROR_USAGE, "standard input ended before a whole order was read; orders come from `bkd daemon`");
        if (byte == '\n')
            return 0;
        buf_add_char(ret_line, byte);
    }
    return error_set(err, ERROR_USAGE, "an order is longer than %d bytes", ORDER_MAX);
}

static int parse_order(const struct json *json, struct jobs_order *ret_order, const char **ret_uid, struct error *err)
{
    const char *uid = json_get_str(json, "uid"), *policy = json_get_str(json, "policy"), *action = json_get_str(json, "action"), *trigger = json_get_str(json, "trigger");
    uint64_t attempt = 0;
    if (policy == NULL || (policy[0] != '\0' && !policy_is_name(policy, strlen(policy))) || action == NULL || uid == NULL || trigger == NULL || !run_trigger_parse(trigger, &ret_order->trigger))
        return error_set(err, ERROR_USAGE, "this is no order of `bkd daemon`");
    (void)snprintf(ret_order->policy, sizeof ret_order->policy, "%s", policy);
    (void)snprintf(ret_order->action, sizeof ret_order->action, "%s", action);
    (void)json_get_u64(json, "slot", &ret_order->slot_ns);
    (void)json_get_u64(json, "attempt", &attempt);
    ret_order->attempt = attempt > 1000 ? 1000 : (unsigned)attempt;
    ret_order->policy_file = json_get_str(json, "policy_file");
    *ret_uid = uid;
    return 0;
}

static int answer_order(int fd, struct error *err)
{
    char text[32];
    int n = snprintf(text, sizeof text, "{\"pid\":%d}\n", (int)getpid());
    return send(fd, text, (size_t)n, MSG_NOSIGNAL) == n ? 0 : error_set_errno(err, errno, "answer an order");
}

// The connection was this process's standard input and output; a run has neither.
static int become(struct command *c, struct error *err)
{
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(null_fd, STDOUT_FILENO) < 0)
        return error_set_errno(err, errno, "open '/dev/null'");
    (void)execvpe(c->argv[0], (char *const *)c->argv, c->env);
    return error_set_errno(err, errno, "execute '%s'", c->argv[0]);
}

int jobs_take_order(const struct context *ctx, int fd, struct error *err)
{
    __attribute__((cleanup(command_done))) struct command command = { 0 };
    _cleanup_buf_ struct buf line = { 0 };
    _cleanup_json_ struct json *json = NULL;
    struct jobs_order order = { 0 };
    const char *uid = NULL;
    int r = read_line(fd, &line, err);
    if (r == 0 && json_parse(line.data, line.len, &json, err) < 0)
        r = error_set(err, ERROR_USAGE, "this is no order of `bkd daemon`");
    if (r == 0)
        r = parse_order(json, &order, &uid, err);
    if (r == 0)
        r = make_command(ctx, &order, uid, &command, err);
    if (r == 0)
        r = answer_order(fd, err);
    return r < 0 ? r : become(&command, err);
}

// ---- asking it to end ------------------------------------------------------------------------------------------------------

struct job *jobs_find(const struct jobs *jobs, const char *policy, const char *action)
{
    for (struct job *job = jobs->list; job != NULL; job = job->next)
        if (strcmp(job->policy, policy) == 0 && (action == NULL || strcmp(job->action, action) == 0))
            return job;
    return NULL;
}

int jobs_cancel(struct job *job, const char *by, struct error *err)
{
    if (job->process.pid == 0)
        return error_set(err, ERROR_BUSY, "policy %s: its run is just being started; try again", job->policy);
    if (job->cancelled_by == NULL)
        job->cancelled_by = xstrdup(by);
    if (syscall(SYS_pidfd_send_signal, job->watch->fd, SIGTERM, NULL, 0) < 0)
        return error_set_errno(err, errno, "policy %s: end process %d", job->policy, (int)job->process.pid);
    (void)syscall(SYS_pidfd_send_signal, job->watch->fd, SIGCONT, NULL, 0); // a stopped one would not hear it
    return 0;
}
