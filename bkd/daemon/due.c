#include "bkd/daemon/due.h"

#include <signal.h>
#include <string.h>

#include "bkd/base/fs.h"
#include "bkd/base/log.h"
#include "bkd/daemon/scheduler.h"

struct due {
    struct context *ctx;
    struct loop *loop;
    struct scheduler scheduler;
    struct loop_source *again;
    uint64_t started, failed;
    int exit_code;
    bool is_interrupted;
};

// What a person should hear of first: the loss of trust, then of keys and backups, then what is only late or incomplete.
static int weight(int exit_code)
{
    static const int from_light_to_heavy[] = { 0, 6, 3, 5, 8, 7, 2, 1, 9, 4 };
    for (int i = 0; i < 10; i++)
        if (from_light_to_heavy[i] == exit_code)
            return i;
    return 7; // as 1
}

static void add_code(struct due *due, int exit_code)
{
    int code = exit_code < 0 || exit_code > 9 ? 1 : exit_code;
    if (weight(code) > weight(due->exit_code))
        due->exit_code = code;
}

static void on_ended(void *arg, const struct scheduler_end *end)
{
    struct due *due = arg;
    struct error ignored; // standard output gone: the exit code tells
    if (end->job->was_adopted)
        return;
    add_code(due, end->exit_code);
    due->failed += end->exit_code != 0;
    if (due->ctx->json) {
        struct json *line = json_line_new("ended");
        json_add_str(line, "policy", end->job->policy);
        json_add_str(line, "action", end->job->action);
        json_add_u64(line, "exit", end->exit_code < 0 ? 1 : (uint64_t)end->exit_code);
        json_add_str(line, "message", end->message);
        (void)!json_line_print(&line, stdout, &ignored);
    } else if (end->exit_code != 0) {
        log_warn("policy %s: %s %s%s%s", end->job->policy, end->job->action, end->exit_code < 0 ? "was killed" : "did not end well", end->message[0] != '\0' ? ": " : "",
                 end->message);
    } else {
        log_info("policy %s: %s is done", end->job->policy, end->job->action);
    }
    loop_turn_soon(due->again); // when this job is off the list
}

static size_t count_own(const struct due *due)
{
    size_t n = 0;
    for (const struct job *job = due->scheduler.jobs.list; job != NULL; job = job->next)
        n += !job->was_adopted;
    return n;
}

// What waits for a run of this process is started by the turn after its end; what waits for anything else is left to the next `--due`.
static void turn(void *arg)
{
    struct due *due = arg;
    size_t started = 0;
    if (!due->is_interrupted)
        (void)scheduler_turn(&due->scheduler, &started);
    due->started += started;
    if (count_own(due) == 0)
        loop_stop(due->loop);
}

static void on_stop(void *arg)
{
    struct due *due = arg;
    struct error err;
    due->is_interrupted = true;
    for (struct job *job = due->scheduler.jobs.list; job != NULL; job = job->next)
        if (!job->was_adopted && scheduler_cancel(&due->scheduler, job, "a signal to `bkd run --due`", &err) < 0)
            log_warn("%s", err.text);
    add_code(due, 1);
    loop_turn_soon(due->again);
}

static int begin(struct due *due, struct error *err)
{
    int r = fs_make_dirs(due->ctx->io, AT_FDCWD, due->ctx->state_dir, 0700, err);
    if (r == 0)
        r = loop_new(&due->loop, err);
    if (r == 0)
        r = loop_add_signal(due->loop, SIGTERM, on_stop, due, err);
    if (r == 0)
        r = loop_add_signal(due->loop, SIGINT, on_stop, due, err);
    if (r == 0)
        r = loop_add_turn(due->loop, turn, due, &due->again, err);
    if (r < 0)
        return r;
    scheduler_init(&due->scheduler, due->ctx, due->loop, RUN_DUE, NULL);
    due->scheduler.ended = on_ended;
    due->scheduler.arg = due;
    loop_turn_soon(due->again);
    return scheduler_read(&due->scheduler, err);
}

static int report(const struct due *due, struct error *err)
{
    if (due->ctx->json) {
        struct json *line = json_line_new("summary");
        json_add_u64(line, "runs", due->started);
        json_add_u64(line, "not_done", due->failed);
        return json_line_print(&line, stdout, err);
    }
    if (due->started == 0)
        log_info("nothing is due");
    return 0;
}

int due_run(struct context *ctx, struct error *err)
{
    struct due due = { .ctx = ctx };
    int r = begin(&due, err);
    if (r == 0)
        r = loop_run(due.loop, err);
    if (r == 0 && scheduler_count_bad(&due.scheduler) > 0)
        add_code(&due, 2);
    if (r == 0)
        r = report(&due, err);
    if (due.scheduler.ctx != NULL)
        scheduler_done(&due.scheduler);
    loop_free(due.loop);
    if (r == 0)
        ctx->exit_code = due.exit_code;
    return r;
}
