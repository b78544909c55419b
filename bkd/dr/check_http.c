// type: http
#include <regex.h>
#include <string.h>

#include "bkd/dr/check_kinds.h"
#include "bkd/notify/transfer.h"

enum { TRY_MS = 5000 };

struct asking {
    const struct policy_check *check;
    struct buf *found;
};

static bool has_pattern(const struct policy_check *check, const char *body)
{
    regex_t expression;
    if (check->pattern[0] == '\0')
        return true;
    if (regcomp(&expression, check->pattern, REG_EXTENDED | REG_NOSUB | REG_NEWLINE) != 0)
        return false;
    bool found = regexec(&expression, body, 0, NULL, 0) == 0;
    regfree(&expression);
    return found;
}

// The address as it may be told: without the user's name and password, and without what stands in the query.
static char *shown_url(const char *url)
{
    const char *scheme = strstr(url, "://"), *host = scheme == NULL ? url : scheme + 3, *end = host + strcspn(host, "/?#"), *query = host + strcspn(host, "?#"), *at = end;
    while (at > host && at[-1] != '@')
        at--;
    return xasprintf("%.*s%.*s%s", (int)(host - url), url, (int)(query - at), at, *query == '?' ? "?..." : "");
}

// A server that is starting refuses connections, or says that it is not ready (502 … 504): it is asked again until the check's time is up.
static int ask(void *arg, bool *ret_answered, struct error *err)
{
    struct asking *a = arg;
    _cleanup_buf_ struct buf body = { 0 };
    _cleanup_free_ char *url = shown_url(a->check->url);
    struct error not_yet;
    unsigned status = 0;
    if (transfer_get(a->check->url, TRY_MS, &body, &status, &not_yet) < 0)
        return 0;
    if (status != a->check->status && status >= 502 && status <= 504)
        return 0;
    if (status != a->check->status)
        return error_set(err, ERROR_FAILED, "'%s' answers with status %u, and %llu was expected", url, status, (unsigned long long)a->check->status);
    if (!has_pattern(a->check, buf_str(&body)))
        return error_set(err, ERROR_FAILED, "nothing in the answer of '%s' matches '%s'", url, a->check->pattern);
    buf_addf(a->found, "'%s' answers with status %u, %zu bytes", url, status, body.len);
    *ret_answered = true;
    return 0;
}

// The live program, or what an earlier check left, must not answer in the place of the one that is started: it would be taken for the restored one.
static int refuse_others(const struct policy_check *check, struct error *err)
{
    _cleanup_buf_ struct buf body = { 0 };
    _cleanup_free_ char *url = shown_url(check->url);
    struct error as_wanted;
    unsigned status = 0;
    if (transfer_get(check->url, TRY_MS, &body, &status, &as_wanted) < 0)
        return 0;
    return error_set(err, ERROR_FAILED, "'%s' answers (status %u) before '%s' was started: something else listens there; give the check a port of its own", url, status,
                     check->run.items[0]);
}

int check_http(const struct check_tree *tree, const struct policy_check *check, struct buf *ret_found, struct error *err)
{
    struct asking asking = { check, ret_found };
    int r = refuse_others(check, err);
    return r < 0 ? r : check_serve(tree, check, (const char *const *)check->run.items, check->user[0] == '\0' ? NULL : check->user, ask, &asking, err);
}
