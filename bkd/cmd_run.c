#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/log.h"
#include "bkd/cmd.h"
#include "bkd/daemon/control_client.h"
#include "bkd/daemon/due.h"
#include "bkd/daemon/jobs.h"
#include "bkd/host/programs.h"

struct asking {
    struct context *ctx;
    const char *policy;
    bool wait;
};

static int show_started(const struct asking *asking, const struct json *line, struct error *err)
{
    uint64_t pid = 0;
    (void)json_get_u64(line, "process", &pid);
    if (asking->ctx->json) {
        struct json *shown = json_line_new("started");
        json_add_str(shown, "policy", asking->policy);
        json_add_str(shown, "action", json_get_str(line, "action"));
        json_add_u64(shown, "process", pid);
        return json_line_print(&shown, stdout, err);
    }
    if (asking->ctx->verbosity >= 0)
        printf("%s: started%s\n", asking->policy, asking->wait ? "; waiting for its end" : "; `bkd status --watch` follows it");
    return 0;
}

// The run's exit code is this command's.
static int show_ended(const struct asking *asking, const struct json *line, struct error *err)
{
    uint64_t code = 1;
    const char *message = json_get_str(line, "message");
    (void)json_get_u64(line, "exit", &code);
    asking->ctx->exit_code = (int)code;
    if (asking->ctx->json) {
        struct json *shown = json_line_new("ended");
        json_add_str(shown, "policy", asking->policy);
        json_add_u64(shown, "exit", code);
        json_add_str(shown, "message", message);
        return json_line_print(&shown, stdout, err);
    }
    if (code == 0 && asking->ctx->verbosity >= 0)
        printf("%s: done\n", asking->policy);
    else if (code != 0)
        log_error("policy %s: the run ended with %llu%s%s", asking->policy, (unsigned long long)code, message == NULL || message[0] == '\0' ? "" : ": ",
                  message == NULL ? "" : message);
    return 0;
}

static int take_answer(void *arg, const struct json *line, struct error *err)
{
    const struct asking *asking = arg;
    const char *type = json_get_str(line, "type");
    if (type != NULL && strcmp(type, "started") == 0)
        return show_started(asking, line, err);
    return type != NULL && strcmp(type, "ended") == 0 ? show_ended(asking, line, err) : 0;
}

// Without a daemon a person who says "run" still wants a run: it is this command's own, in the foreground.
static int run_here(struct context *ctx, const char *policy, const char *action, struct error *err)
{
    _cleanup_free_ char *program = programs_path("bkd");
    const char *argv[12];
    size_t n = 0;
    argv[n++] = program;
    argv[n++] = "--config-dir";
    argv[n++] = ctx->config_dir;
    argv[n++] = "--state-dir";
    argv[n++] = ctx->state_dir;
    if (ctx->json)
        argv[n++] = "--json";
    if (ctx->verbosity != 0)
        argv[n++] = ctx->verbosity > 0 ? "--verbose" : "--quiet";
    argv[n++] = action;
    argv[n++] = policy;
    argv[n] = NULL;
    log_info("no daemon is running: policy %s is run here and now", policy);
    return programs_run(argv, false, &ctx->exit_code, err);
}

static int run_policy(struct context *ctx, const struct cli_args *args, struct error *err)
{
    const char *action = cli_args_option(args, "action");
    struct asking asking = { .ctx = ctx, .policy = cli_args_value(args, 0), .wait = cli_args_flag(args, "wait") };
    struct control_request request = { .verb = CONTROL_RUN, .wait = asking.wait };
    _cleanup_policy_ struct policy policy = { 0 };
    if (action == NULL)
        action = "backup";
    int r = jobs_check_action(action, err);
    if (r == 0)
        r = context_load_policy(ctx, asking.policy, &policy, err); // its mistakes are shown here, not in the daemon's log
    if (r == 0 && strchr(asking.policy, '/') != NULL)
        return run_here(ctx, asking.policy, action, err); // the daemon has names only
    if (r < 0)
        return r;
    (void)snprintf(request.policy, sizeof request.policy, "%s", policy.name);
    (void)snprintf(request.action, sizeof request.action, "%s", action);
    r = control_client_ask(ctx, &request, take_answer, &asking, err);
    return r == ERROR_NOT_FOUND ? run_here(ctx, asking.policy, action, err) : r;
}

// The runs are over, and their codes are what counts: alarms and messages that fail are told only.
static int run_due(struct context *ctx, const struct cli_args *args, struct error *err)
{
    struct error problem;
    int r = due_run(ctx, err);
    if (cmd_watch(ctx, args, &problem) < 0)
        log_warn("%s", problem.text);
    return r;
}

int cmd_run(struct context *ctx, const struct cli_args *args, struct error *err)
{
    bool due = cli_args_flag(args, "due"), order = cli_args_flag(args, "order");
    if ((int)due + (int)order + (args->count > 0 ? 1 : 0) != 1)
        return error_set(err, ERROR_USAGE, "give a POLICY to run now, or --due to run whatever is due");
    if (order)
        return jobs_take_order(ctx, STDIN_FILENO, err);
    return due ? run_due(ctx, args, err) : run_policy(ctx, args, err);
}
