#include "bkd/record/events.h"

#include <string.h>

static const char *const severity_names[SEVERITIES] = { [SEVERITY_INFO] = "info", [SEVERITY_WARNING] = "warning", [SEVERITY_CRITICAL] = "critical" };
static const char *const what_names[EVENT_WHATS] = {
    [EVENT_OPENED] = "opened", [EVENT_CHANGED] = "changed", [EVENT_CLEARED] = "cleared", [EVENT_HAPPENED] = "happened",
};

const char *severity_name(enum severity severity) { return severity_names[severity]; }
const char *event_what_name(enum event_what what) { return what_names[what]; }

bool severity_parse(const char *name, enum severity *ret_severity)
{
    for (int i = 0; i < SEVERITIES; i++)
        if (strcmp(severity_names[i], name) == 0) {
            *ret_severity = (enum severity)i;
            return true;
        }
    return false;
}

int events_append(struct catalogue *c, const struct event *event, int64_t *ret_id, struct error *err)
{
    int r = sql_do(c->sql,
                   "INSERT INTO events (time_ns, what, kind, policy, copy, severity, text, next_step, alarm, run) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                   SQL_VALUES(SQL_I64(catalogue_now_ns(c)), SQL_TEXT(event_what_name(event->what)), SQL_TEXT(event->kind), SQL_NAMED(event->policy),
                              SQL_NAMED(event->copy), SQL_TEXT(severity_name(event->severity)), SQL_NAMED(event->text), SQL_NAMED(event->next_step),
                              SQL_SOME((uint64_t)event->alarm), SQL_SOME((uint64_t)event->run)),
                   err);
    if (r == 0 && ret_id != NULL)
        *ret_id = sql_last_id(c->sql);
    return r;
}

int events_add(struct catalogue *c, const char *kind, const char *policy, enum severity severity, const char *text, struct error *err)
{
    struct event event = { .what = EVENT_HAPPENED, .kind = kind, .policy = policy, .severity = severity, .text = text };
    return events_append(c, &event, NULL, err);
}

static struct event read_row(struct sql_statement *s)
{
    struct event event = {
        .id = sql_i64(s, 0), .time_ns = sql_u64(s, 1), .what = EVENT_HAPPENED, .kind = sql_str(s, 3), .policy = sql_str(s, 4), .copy = sql_str(s, 5),
        .text = sql_str(s, 7), .next_step = sql_str(s, 8), .alarm = sql_i64(s, 9), .run = sql_i64(s, 10),
    };
    for (int i = 0; i < EVENT_WHATS; i++)
        if (strcmp(what_names[i], sql_str(s, 2)) == 0)
            event.what = (enum event_what)i;
    (void)severity_parse(sql_str(s, 6), &event.severity);
    return event;
}

int events_after(struct catalogue *c, int64_t after, uint64_t limit, events_visit_fn *visit, void *arg, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(c->sql,
                      "SELECT id, time_ns, what, kind, policy, copy, severity, text, next_step, alarm, run FROM events WHERE id > ?1 ORDER BY id"
                      " LIMIT coalesce(?2, -1)",
                      SQL_VALUES(SQL_I64(after), SQL_SOME(limit)), &s, err);
    while (r == 0 && (r = sql_next(s, err)) > 0) {
        struct event event = read_row(s);
        r = visit(arg, &event, err);
    }
    return r;
}

int events_last_id(struct catalogue *c, int64_t *ret_id, struct error *err)
{
    return sql_number(c->sql, "SELECT coalesce(max(id), 0) FROM events", SQL_NOTHING, ret_id, err);
}

struct one {
    events_visit_fn *visit;
    void *arg;
    int64_t id;
    bool found;
};

static int visit_one(void *arg, const struct event *event, struct error *err)
{
    struct one *one = arg;
    one->found = event->id == one->id;
    return one->found ? one->visit(one->arg, event, err) : 0;
}

int events_get(struct catalogue *c, int64_t id, events_visit_fn *visit, void *arg, struct error *err)
{
    struct one one = { .visit = visit, .arg = arg, .id = id };
    int r = events_after(c, id - 1, 1, visit_one, &one, err);
    return r == 0 && !one.found ? error_set(err, ERROR_NOT_FOUND, "there is no event %lld", (long long)id) : r;
}

int events_last_of_alarm(struct catalogue *c, int64_t alarm, int64_t *ret_id, struct error *err)
{
    return sql_number(c->sql, "SELECT coalesce(max(id), 0) FROM events WHERE alarm = ?1", SQL_VALUES(SQL_I64(alarm)), ret_id, err);
}
