#include "bkd/notify/ping.h"

#include <string.h>

static const char *suffix_of(const struct message *m)
{
    switch (m->what) {
    case MESSAGE_OPENED:
    case MESSAGE_CHANGED:
    case MESSAGE_REMINDER:
    case MESSAGE_ESCALATED: return m->severity == SEVERITY_INFO ? "/log" : "/fail";
    case MESSAGE_OVER: return "";
    case MESSAGE_HAPPENED:
        if (strcmp(m->kind, PING_RUN_STARTED) == 0)
            return "/start";
        return m->run == 0 ? "/log" : m->severity == SEVERITY_INFO ? "" : "/fail";
    default: return "/log";
    }
}

void ping_url(const char *url, const struct message *m, struct buf *ret_url)
{
    size_t n = strcspn(url, "?#"), path = n;
    const char *query = url[n] == '?' ? url + n + 1 : "";
    while (path > 0 && url[path - 1] == '/')
        path--;
    buf_add(ret_url, url, path);
    buf_add_str(ret_url, suffix_of(m));
    bool has_run = strlen(m->run_uid) == 32; // written as a UUID
    if (has_run)
        buf_addf(ret_url, "?rid=%.8s-%.4s-%.4s-%.4s-%.12s", m->run_uid, m->run_uid + 8, m->run_uid + 12, m->run_uid + 16, m->run_uid + 20);
    if (query[0] != '\0')
        buf_addf(ret_url, "%c%.*s", has_run ? '&' : '?', (int)strcspn(query, "#"), query);
}
