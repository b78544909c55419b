#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bkd/base/bytes.h"
#include "bkd/cmd.h"
#include "bkd/daemon/control_client.h"
#include "bkd/host/remembered.h"
#include "bkd/host/who.h"
#include "bkd/record/events.h"
#include "bkd/record/runs.h"

static int say(const struct context *ctx, const char *policy, uint64_t pid, struct error *err)
{
    if (ctx->json) {
        struct json *shown = json_line_new("cancelled");
        json_add_str(shown, "policy", policy);
        json_add_u64(shown, "process", pid);
        return json_line_print(&shown, stdout, err);
    }
    if (ctx->verbosity >= 0)
        printf("%s: process %llu was asked to end; ask again to end it at once\n", policy, (unsigned long long)pid);
    return 0;
}

static int show(void *arg, const struct json *line, struct error *err)
{
    const char *type = json_get_str(line, "type"), *policy = json_get_str(line, "policy");
    uint64_t pid = 0;
    if (type == NULL || strcmp(type, "cancelled") != 0 || policy == NULL)
        return 0;
    (void)json_get_u64(line, "process", &pid);
    return say(arg, policy, pid, err);
}

// ---- without a daemon ------------------------------------------------------------------------------------------------------

struct search {
    struct context *ctx;
    const struct control_request *request;
    struct run_record *found;
    size_t n;
};

static int find_run(void *arg, const struct run_record *run, struct error *err)
{
    struct search *search = arg;
    (void)err;
    bool is_meant = search->request->run != 0 ? (uint64_t)run->id == search->request->run : strcmp(run->policy, search->request->policy) == 0;
    if (!is_meant || !process_is_alive(&run->process))
        return 0;
    search->found = xrealloc(search->found, (search->n + 1) * sizeof *search->found);
    search->found[search->n++] = *run;
    return 0;
}

// The run's own record will say that it was interrupted; the event says by whom.
static int end_run(const struct context *ctx, struct catalogue *c, const struct run_record *run, struct error *err)
{
    char who[WHO_MAX];
    who_am_i(who);
    int pidfd = (int)syscall(SYS_pidfd_open, run->process.pid, 0), r = 0;
    if (pidfd < 0 || !process_is_alive(&run->process)) // from here on the descriptor is that process, whatever its number comes to mean
        r = error_set(err, ERROR_FAILED, "run %lld has just ended", (long long)run->id);
    else if (syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0) < 0)
        r = error_set_errno(err, errno, "end process %d of run %lld", (int)run->process.pid, (long long)run->id);
    io_close_quietly(ctx->io, &pidfd);
    _cleanup_free_ char *text = xasprintf("run %lld (%s of %s) was cancelled by %s", (long long)run->id, run->kind, run->policy, who);
    if (r == 0)
        r = runs_figure(c, run->id, REMEMBERED_CANCELLED, 1, err);
    return r == 0 ? events_add(c, "cancelled", run->policy, SEVERITY_INFO, text, err) : r;
}

// Runs of people, crontabs and `bkd run --due` stand in the catalogue like any other.
static int cancel_alone(struct context *ctx, const struct control_request *request, struct error *err)
{
    _cleanup_catalogue_ struct catalogue catalogue = { 0 };
    struct search search = { .ctx = ctx, .request = request };
    int r = catalogue_open(ctx->io, ctx->state_dir, CATALOGUE_WRITE, &catalogue, err);
    if (r == 0)
        r = runs_list(&catalogue, &(struct runs_filter){ .running = true }, find_run, &search, err);
    for (size_t i = 0; r == 0 && i < search.n; i++) {
        r = end_run(ctx, &catalogue, &search.found[i], err);
        if (r == 0)
            r = say(ctx, search.found[i].policy, (uint64_t)search.found[i].process.pid, err);
    }
    free(search.found);
    return r == 0 && search.n == 0 ? error_set(err, ERROR_FAILED, "nothing of that is at work: see `bkd history`") : r;
}

// A number is a run of `bkd history`, anything else a policy.
int cmd_cancel(struct context *ctx, const struct cli_args *args, struct error *err)
{
    const char *what = cli_args_value(args, 0);
    struct control_request request = { .verb = CONTROL_CANCEL };
    if (!parse_u64(what, strlen(what), INT64_MAX, &request.run)) {
        if (!policy_is_name(what, strlen(what)))
            return error_set(err, ERROR_USAGE, "'%s' is neither the number of a run nor the name of a policy", what);
        (void)snprintf(request.policy, sizeof request.policy, "%s", what);
    }
    int r = control_client_ask(ctx, &request, show, ctx, err);
    return r == ERROR_NOT_FOUND ? cancel_alone(ctx, &request, err) : r;
}
