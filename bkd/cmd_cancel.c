#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/control_client.h"

static int show(void *arg, const struct json *line, struct error *err)
{
    const struct cmd_context *ctx = arg;
    const char *type = json_get_str(line, "type"), *policy = json_get_str(line, "policy");
    uint64_t pid = 0;
    if (type == NULL || strcmp(type, "cancelled") != 0 || policy == NULL)
        return 0;
    (void)json_get_u64(line, "process", &pid);
    if (ctx->json) {
        struct json *shown = json_line_new("cancelled");
        json_add_str(shown, "policy", policy);
        json_add_u64(shown, "process", pid);
        return cmd_print_line(&shown, err);
    }
    if (ctx->verbosity >= 0)
        printf("%s: process %llu was asked to end; ask again to end it at once\n", policy, (unsigned long long)pid);
    return 0;
}

// A number is a run of `bkd history`, anything else a policy.
int cmd_cancel(struct cmd_context *ctx, const struct cli_args *args, struct error *err)
{
    const char *what = cli_args_value(args, 0);
    struct control_request request = { .verb = CONTROL_CANCEL };
    if (!parse_u64(what, strlen(what), INT64_MAX, &request.run)) {
        if (!policy_is_name(what, strlen(what)))
            return error_set(err, ERROR_USAGE, "'%s' is neither the number of a run nor the name of a policy", what);
        (void)snprintf(request.policy, sizeof request.policy, "%s", what);
    }
    int r = control_client_ask(ctx, &request, show, ctx, err);
    if (r == ERROR_NOT_FOUND)
        return error_set(err, ERROR_FAILED, "no daemon is running for '%s': a run of a person's or of cron's ends with Ctrl-C or kill(1)", ctx->state_dir);
    return r;
}
