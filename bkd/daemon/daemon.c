#include "bkd/daemon/daemon.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/bytes.h"
#include "bkd/base/fs.h"
#include "bkd/base/log.h"
#include "bkd/base/readiness.h"
#include "bkd/base/slim.h"
#include "bkd/daemon/control.h"
#include "bkd/daemon/scheduler.h"
#include "bkd/daemon/upkeep.h"
#include "bkd/history/metering.h"
#include "bkd/host/who.h"

#define NS_PER_S UINT64_C(1000000000)
#define LOCK_FILE "daemon.lock"

enum {
    SETTLE_MS = 500,      // an editor writes a file in several steps
    UPKEEP_S = 60,        // alarms by the passing of time, and messages that could not be sent
    REFRESH_TICKS = 60,   // of upkeep, between looks at the files of time zones
    STOP_MS = 8000,       // of the 10 s that an end may take
};

struct daemon {
    const struct context *ctx;
    const struct daemon_options *options;
    struct loop *loop;
    struct control *control;
    struct scheduler scheduler;
    struct upkeep upkeep;
    struct metering_server metrics;
    struct loop_source *wake, *soon, *reread, *upkeep_tick, *last_call, *policies_dir, *config_dir;
    unsigned ticks; // of upkeep
    int lock_fd;
    bool is_stopping;
};

// ---- one at a time ---------------------------------------------------------------------------------------------------------

static void name_holder(const struct daemon *d, const char *path, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    struct error ignored; // then nobody knows who it is
    uint64_t pid = 0;
    if (fs_read_file(d->ctx->io, AT_FDCWD, path, 64, &text, &ignored) == 0 && text.len > 1 && parse_u64(buf_str(&text), text.len - 1, INT32_MAX, &pid))
        (void)error_set(err, ERROR_BUSY, "a daemon works on '%s' already: process %llu", d->ctx->state_dir, (unsigned long long)pid);
    else
        (void)error_set(err, ERROR_BUSY, "a daemon works on '%s' already", d->ctx->state_dir);
}

// The lock goes with the process; the number in the file is for people.
static int take_lock(struct daemon *d, struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/" LOCK_FILE, d->ctx->state_dir);
    char text[24];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    int r = fs_make_dirs(d->ctx->io, AT_FDCWD, d->ctx->state_dir, 0700, err);
    if (r == 0)
        r = fs_lock(d->ctx->io, AT_FDCWD, path, &d->lock_fd, err);
    if (r == ERROR_BUSY)
        name_holder(d, path, err);
    if (r == 0)
        r = io_truncate(d->ctx->io, d->lock_fd, 0, path, err);
    return r < 0 ? r : io_pwrite_all(d->ctx->io, d->lock_fd, text, (size_t)n, 0, path, err);
}

// ---- telling ---------------------------------------------------------------------------------------------------------------

static void tell_watcher(void *arg, struct control_client *client)
{
    (void)arg;
    if (!client->watches)
        return;
    struct json *line = json_line_new("changed");
    control_answer(client, &line);
}

static void tell_change(struct daemon *d)
{
    size_t bad = scheduler_count_bad(&d->scheduler);
    readiness_status("policies: %zu (with mistakes: %zu); at work: %zu", d->scheduler.policies.count, bad, d->scheduler.jobs.count);
    if (d->control != NULL)
        control_each(d->control, tell_watcher, d);
}

static void tell_waiter(void *arg, struct control_client *client)
{
    const struct scheduler_end *end = arg;
    if (client->waits_for != end->job->number)
        return;
    struct json *line = json_line_new("ended");
    json_add_str(line, "policy", end->job->policy);
    json_add_u64(line, "exit", end->exit_code < 0 ? 1 : (uint64_t)end->exit_code);
    json_add_str(line, "message", end->exit_code < 0 && end->message[0] == '\0' ? "the run was killed" : end->message);
    control_answer(client, &line);
    control_end(client);
}

static void on_ended(void *arg, const struct scheduler_end *end)
{
    struct daemon *d = arg;
    const struct job *job = end->job;
    if (job->cancelled_by != NULL)
        log_info("policy %s: %s was cancelled by %s", job->policy, job->action, job->cancelled_by);
    else if (end->exit_code == 0)
        log_info("policy %s: %s is done", job->policy, job->action);
    else if (end->exit_code < 0)
        log_error("policy %s: %s was killed", job->policy, job->action);
    else
        log_warn("policy %s: %s ended with %d%s%s", job->policy, job->action, end->exit_code, end->message[0] != '\0' ? ": " : "", end->message);
    control_each(d->control, tell_waiter, (void *)(uintptr_t)end);
    upkeep_start(&d->upkeep);
    loop_set_delay(d->soon, 0); // when this job is off the list
}

// ---- turning ---------------------------------------------------------------------------------------------------------------

static void turn(void *arg)
{
    struct daemon *d = arg;
    size_t started = 0;
    if (d->is_stopping && d->scheduler.jobs.count == 0)
        loop_stop(d->loop);
    if (d->is_stopping)
        return;
    uint64_t wake_ns = scheduler_turn(&d->scheduler, &started);
    loop_set_time(d->wake, wake_ns);
    tell_change(d);
}

static void on_upkeep(void *arg)
{
    struct daemon *d = arg;
    loop_set_delay(d->upkeep_tick, UPKEEP_S * NS_PER_S);
    if (++d->ticks % REFRESH_TICKS == 0)
        scheduler_refresh(&d->scheduler);
    upkeep_start(&d->upkeep);
    slim_down(); // whatever was begun, read or turned since the last time
}

static void on_clock_change(void *arg)
{
    log_info("the clock was set: times are looked at anew");
    turn(arg);
}

// ---- policies --------------------------------------------------------------------------------------------------------------

static void on_config_change(void *arg, const char *name);
static void on_policies_change(void *arg, const char *name);

// The directory may come to be only now, or be another one of the same name.
static void watch_directories(struct daemon *d)
{
    _cleanup_free_ char *policies = xasprintf("%s/policies", d->ctx->config_dir);
    struct error ignored; // SIGHUP remains, and the directory above is watched
    loop_source_free(TAKE(d->policies_dir));
    if (d->config_dir == NULL)
        (void)!loop_add_directory(d->loop, d->ctx->config_dir, on_config_change, d, &d->config_dir, &ignored);
    (void)!loop_add_directory(d->loop, policies, on_policies_change, d, &d->policies_dir, &ignored);
}

static void on_config_change(void *arg, const char *name)
{
    struct daemon *d = arg;
    if (strcmp(name, CONFIG_FILE) == 0 || strcmp(name, "policies") == 0 || name[0] == '\0')
        loop_set_delay(d->reread, SETTLE_MS * UINT64_C(1000000));
}

static void on_policies_change(void *arg, const char *name)
{
    struct daemon *d = arg;
    size_t n = strlen(name);
    if (n == 0 || (n > 5 && strcmp(name + n - 5, ".yaml") == 0))
        loop_set_delay(d->reread, SETTLE_MS * UINT64_C(1000000));
}

static void reread(void *arg)
{
    struct daemon *d = arg;
    struct error err;
    readiness_reloading();
    watch_directories(d); // first: what changes from here on is seen
    if (scheduler_read(&d->scheduler, &err) < 0)
        log_error("the policies stay as they were: %s", err.text);
    else
        log_info("policies were read anew: %zu (with mistakes: %zu)", d->scheduler.policies.count, scheduler_count_bad(&d->scheduler));
    metering_follow(d->ctx, &d->metrics);
    turn(d);
    readiness_ready();
}

// ---- requests --------------------------------------------------------------------------------------------------------------

static void answer_done(struct control_client *client)
{
    struct json *line = json_line_new("done");
    json_add_u64(line, "process", (uint64_t)getpid());
    control_answer(client, &line);
    control_end(client);
}

static void take_run(struct daemon *d, struct control_client *client, const struct control_request *request)
{
    struct job *job = NULL;
    struct error err;
    char who[WHO_MAX];
    who_is(client->uid, who);
    if (scheduler_start(&d->scheduler, request->policy, request->action, &job, &err) < 0) {
        control_refuse(client, &err);
        return;
    }
    log_info("policy %s: %s begins, as %s wants", job->policy, job->action, who);
    struct json *line = json_line_new("started");
    json_add_str(line, "policy", job->policy);
    json_add_str(line, "action", job->action);
    json_add_u64(line, "process", (uint64_t)job->process.pid);
    control_answer(client, &line);
    if (request->wait)
        client->waits_for = job->number;
    else
        control_end(client);
    tell_change(d);
}

// A run has the number that `bkd history` shows, which is the catalogue's.
static bool is_meant(const struct job *job, const struct control_request *request, const char *uid)
{
    return request->run == 0 ? strcmp(job->policy, request->policy) == 0 : strcmp(job->uid, uid) == 0;
}

static int find_uid(const struct daemon *d, uint64_t run, char ret_uid[RUN_UID_MAX], struct error *err)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    struct run_record record;
    int r = catalogue_open(d->ctx->io, d->ctx->state_dir, CATALOGUE_READ, &catalogue, err);
    if (r == 0)
        r = runs_get(&catalogue, (int64_t)run, &record, err);
    if (r == 0)
        memcpy(ret_uid, record.uid, RUN_UID_MAX);
    return r;
}

static void take_cancel(struct daemon *d, struct control_client *client, const struct control_request *request)
{
    struct error err;
    char who[WHO_MAX], uid[RUN_UID_MAX] = "";
    size_t found = 0;
    who_is(client->uid, who);
    int r = request->run == 0 ? 0 : find_uid(d, request->run, uid, &err);
    scheduler_adopt(&d->scheduler);
    for (struct job *job = d->scheduler.jobs.list; r == 0 && job != NULL; job = job->next) {
        if (!is_meant(job, request, uid))
            continue;
        found++;
        r = scheduler_cancel(&d->scheduler, job, who, &err);
        struct json *line = json_line_new("cancelled");
        json_add_str(line, "policy", job->policy);
        json_add_u64(line, "process", (uint64_t)job->process.pid);
        control_answer(client, &line);
    }
    if (r == 0 && found == 0)
        r = request->run == 0 ? error_set(&err, ERROR_FAILED, "policy %s is not at work", request->policy)
                              : error_set(&err, ERROR_FAILED, "run %llu is not at work", (unsigned long long)request->run);
    if (r < 0)
        control_refuse(client, &err);
    else
        control_end(client);
}

static void on_request(void *arg, struct control_client *client, const struct control_request *request)
{
    struct daemon *d = arg;
    switch (request->verb) {
    case CONTROL_RUN:
        take_run(d, client, request);
        break;
    case CONTROL_CANCEL:
        take_cancel(d, client, request);
        break;
    case CONTROL_WATCH:
        client->watches = true;
        tell_watcher(d, client);
        break;
    case CONTROL_RELOAD:
        loop_set_delay(d->reread, 0);
        answer_done(client);
        break;
    case CONTROL_WAKE:
        loop_set_delay(d->soon, 0);
        answer_done(client);
        break;
    default:
        answer_done(client);
    }
}

// ---- beginning and end -----------------------------------------------------------------------------------------------------

static void on_last_call(void *arg) { loop_stop(((struct daemon *)arg)->loop); }

// Runs go on by themselves, unless they are to end: then their ends are awaited, as long as there is time.
static void on_stop(void *arg)
{
    struct daemon *d = arg;
    struct error err;
    readiness_stopping();
    bool again = d->is_stopping;
    d->is_stopping = true;
    if (!d->options->stop_runs || d->scheduler.jobs.count == 0 || again) {
        loop_stop(d->loop);
        return;
    }
    for (struct job *job = d->scheduler.jobs.list; job != NULL; job = job->next)
        if (scheduler_cancel(&d->scheduler, job, "the daemon's end", &err) < 0)
            log_warn("%s", err.text);
    loop_set_delay(d->last_call, STOP_MS * UINT64_C(1000000));
}

static int add_timers(struct daemon *d, struct error *err)
{
    int r = loop_add_timer(d->loop, LOOP_WALL, turn, d, &d->wake, err);
    if (r == 0)
        r = loop_add_timer(d->loop, LOOP_MONOTONIC, turn, d, &d->soon, err);
    if (r == 0)
        r = loop_add_timer(d->loop, LOOP_MONOTONIC, reread, d, &d->reread, err);
    if (r == 0)
        r = loop_add_timer(d->loop, LOOP_MONOTONIC, on_upkeep, d, &d->upkeep_tick, err);
    if (r == 0)
        r = loop_add_timer(d->loop, LOOP_MONOTONIC, on_last_call, d, &d->last_call, err);
    return r == 0 ? loop_add_clock_change(d->loop, on_clock_change, d, err) : r;
}

static void on_hangup(void *arg) { loop_set_delay(((struct daemon *)arg)->reread, 0); }

static int add_signals(struct daemon *d, struct error *err)
{
    int r = loop_add_signal(d->loop, SIGTERM, on_stop, d, err);
    if (r == 0)
        r = loop_add_signal(d->loop, SIGINT, on_stop, d, err);
    return r == 0 ? loop_add_signal(d->loop, SIGHUP, on_hangup, d, err) : r;
}

static int begin(struct daemon *d, struct error *err)
{
    int r = take_lock(d, err);
    if (r == 0)
        r = loop_new(&d->loop, err);
    if (r == 0)
        r = add_signals(d, err);
    if (r == 0)
        r = add_timers(d, err);
    if (r < 0)
        return r;
    scheduler_init(&d->scheduler, d->ctx, d->loop, RUN_DAEMON, d->options->starter);
    d->scheduler.ended = on_ended;
    d->scheduler.arg = d;
    watch_directories(d);
    r = scheduler_read(&d->scheduler, err);
    if (r == 0)
        r = control_new(d->loop, d->ctx->state_dir, on_request, d, &d->control, err);
    if (r < 0)
        return r;
    scheduler_adopt(&d->scheduler);
    r = upkeep_init(&d->upkeep, d->ctx, d->loop, d->options->starter, err);
    if (r < 0)
        return r;
    metering_follow(d->ctx, &d->metrics);
    loop_feed_watchdog(d->loop);
    log_info("ready; policies: %zu (with mistakes: %zu); at work: %zu", d->scheduler.policies.count, scheduler_count_bad(&d->scheduler), d->scheduler.jobs.count);
    turn(d);
    readiness_ready();
    on_upkeep(d);
    return 0;
}

static void end(struct daemon *d)
{
    for (const struct job *job = d->scheduler.jobs.list; job != NULL; job = job->next)
        log_info("policy %s: %s goes on by itself (process %d); the next daemon watches it", job->policy, job->action, (int)job->process.pid);
    control_free(d->control);
    metering_server_done(&d->metrics);
    upkeep_done(&d->upkeep);
    if (d->scheduler.ctx != NULL)
        scheduler_done(&d->scheduler);
    loop_free(d->loop);
    io_close_quietly(d->ctx->io, &d->lock_fd);
}

int daemon_run(const struct context *ctx, const struct daemon_options *options, struct error *err)
{
    struct daemon d = { .ctx = ctx, .options = options, .lock_fd = -1 };
    int r = begin(&d, err);
    if (r == 0)
        r = loop_run(d.loop, err);
    if (r == 0)
        log_info("ends");
    end(&d);
    return r;
}
