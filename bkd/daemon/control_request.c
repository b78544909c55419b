#include "bkd/daemon/control_request.h"

#include <string.h>

#include "bkd/base/json.h"

static const char *const verb_names[CONTROL_VERBS] = { "ping", "run", "cancel", "watch", "wake", "reload" };

static int find_verb(const char *name, enum control_verb *ret_verb, struct error *err)
{
    for (int verb = 0; name != NULL && verb < CONTROL_VERBS; verb++) {
        if (strcmp(name, verb_names[verb]) == 0) {
            *ret_verb = (enum control_verb)verb;
            return 0;
        }
    }
    return name == NULL ? error_set(err, ERROR_FORMAT, "a request has a verb") : error_set(err, ERROR_USAGE, "this daemon does not know the verb '%.40s'", name);
}

static bool is_action(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= CONTROL_ACTION_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyz-") == n;
}

static int take_names(const struct json *json, struct control_request *request, struct error *err)
{
    const char *policy = json_get_str(json, "policy"), *action = json_get_str(json, "action");
    if (policy != NULL && !policy_is_name(policy, strlen(policy)))
        return error_set(err, ERROR_USAGE, "'%.80s' is no policy name", policy);
    if (action != NULL && !is_action(action))
        return error_set(err, ERROR_USAGE, "'%.40s' is no action", action);
    strcpy(request->policy, policy == NULL ? "" : policy);   // both were measured
    strcpy(request->action, action == NULL ? "backup" : action);
    return 0;
}

static int check_needs(const struct control_request *request, struct error *err)
{
    if (request->verb == CONTROL_RUN && request->policy[0] == '\0')
        return error_set(err, ERROR_USAGE, "which policy is to run?");
    if (request->verb == CONTROL_CANCEL && (request->policy[0] == '\0') == (request->run == 0))
        return error_set(err, ERROR_USAGE, "which run is to be cancelled? Give its number or its policy");
    return 0;
}

int control_request_parse(const void *text, size_t n, struct control_request *ret_request, struct error *err)
{
    _cleanup_json_ struct json *json = NULL;
    struct control_request request = { 0 };
    if (n > CONTROL_REQUEST_MAX)
        return error_set(err, ERROR_FORMAT, "a request has at most %u bytes", CONTROL_REQUEST_MAX);
    int r = json_parse(text, n, &json, err);
    if (r == 0)
        r = find_verb(json_get_str(json, "verb"), &request.verb, err);
    if (r == 0)
        r = take_names(json, &request, err);
    if (r < 0)
        return r;
    (void)json_get_u64(json, "run", &request.run);
    (void)json_get_bool(json, "wait", &request.wait);
    r = check_needs(&request, err);
    if (r == 0)
        *ret_request = request;
    return r;
}

void control_request_format(const struct control_request *request, struct buf *ret_text)
{
    _cleanup_json_ struct json *json = json_line_new("request");
    json_add_str(json, "verb", verb_names[request->verb]);
    if (request->policy[0] != '\0')
        json_add_str(json, "policy", request->policy);
    if (request->action[0] != '\0')
        json_add_str(json, "action", request->action);
    if (request->run != 0)
        json_add_u64(json, "run", request->run);
    if (request->wait)
        json_add_bool(json, "wait", true);
    json_format(json, ret_text);
    buf_add_char(ret_text, '\n');
}
