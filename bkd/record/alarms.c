#include "bkd/record/alarms.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"

#define COLUMNS "id, kind, policy, copy, severity, text, next_step, opened_ns, last_seen_ns, cleared_ns, acknowledged_ns, acknowledged_by"

static void alarm_done(struct alarm *a)
{
    free(a->kind);
    free(a->policy);
    free(a->copy);
    free(a->text);
    free(a->next_step);
    free(a->acknowledged_by);
}

void alarms_done(struct alarms *alarms)
{
    for (size_t i = 0; i < alarms->n; i++)
        alarm_done(&alarms->items[i]);
    free(alarms->items);
    *alarms = (struct alarms){ 0 };
}

static int load(struct catalogue *c, const char *text, const struct sql_value *values, struct alarms *ret_alarms, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    _cleanup_alarms_ struct alarms list = { 0 };
    int r = sql_query(c->sql, text, values, &s, err);
    while (r == 0 && (r = sql_next(s, err)) > 0) {
        list.items = xrealloc(list.items, (list.n + 1) * sizeof *list.items);
        struct alarm *a = &list.items[list.n++];
        *a = (struct alarm){ .id = sql_i64(s, 0), .kind = xstrdup(sql_str(s, 1)), .policy = xstrdup(sql_str(s, 2)), .copy = xstrdup(sql_str(s, 3)),
                             .text = xstrdup(sql_str(s, 5)), .next_step = xstrdup(sql_str(s, 6)), .opened_ns = sql_u64(s, 7), .last_seen_ns = sql_u64(s, 8),
                             .cleared_ns = sql_u64(s, 9), .acknowledged_ns = sql_u64(s, 10), .acknowledged_by = xstrdup(sql_str(s, 11)) };
        (void)severity_parse(sql_str(s, 4), &a->severity);
        r = 0;
    }
    if (r < 0)
        return r;
    *ret_alarms = list;
    list = (struct alarms){ 0 };
    return 0;
}

static int find(struct catalogue *c, const char *kind, const char *policy, const char *copy, struct alarms *ret_alarms, struct error *err)
{
    return load(c, "SELECT " COLUMNS " FROM alarms WHERE kind = ?1 AND policy = ?2 AND copy = ?3 AND cleared_ns IS NULL",
                SQL_VALUES(SQL_TEXT(kind), SQL_NAMED(policy), SQL_NAMED(copy)), ret_alarms, err);
}

static int append_event(struct catalogue *c, enum event_what what, int64_t id, const struct alarm_raise *alarm, struct error *err)
{
    struct event event = { .what = what, .kind = alarm->kind, .policy = alarm->policy, .copy = alarm->copy, .severity = alarm->severity, .text = alarm->text,
                           .next_step = alarm->next_step, .alarm = id };
    return events_append(c, &event, NULL, err);
}

static int open_alarm(struct catalogue *c, const struct alarm_raise *alarm, int64_t *ret_id, struct error *err)
{
    int r = sql_do(c->sql, "INSERT INTO alarms (kind, policy, copy, severity, text, next_step, opened_ns, last_seen_ns) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
                   SQL_VALUES(SQL_TEXT(alarm->kind), SQL_NAMED(alarm->policy), SQL_NAMED(alarm->copy), SQL_TEXT(severity_name(alarm->severity)),
                              SQL_NAMED(alarm->text), SQL_NAMED(alarm->next_step), SQL_I64(catalogue_now_ns(c))),
                   err);
    if (r < 0)
        return r;
    *ret_id = sql_last_id(c->sql);
    return append_event(c, EVENT_OPENED, *ret_id, alarm, err);
}

static int refresh(struct catalogue *c, const struct alarm *old, const struct alarm_raise *alarm, struct error *err)
{
    int r = sql_do(c->sql, "UPDATE alarms SET severity = ?2, text = ?3, next_step = ?4, last_seen_ns = ?5, acknowledged_ns = iif(?6, NULL, acknowledged_ns),"
                   " acknowledged_by = iif(?6, NULL, acknowledged_by) WHERE id = ?1",
                   SQL_VALUES(SQL_I64(old->id), SQL_TEXT(severity_name(alarm->severity)), SQL_NAMED(alarm->text), SQL_NAMED(alarm->next_step),
                              SQL_I64(catalogue_now_ns(c)), SQL_I64(alarm->severity > old->severity)),
                   err);
    return r < 0 || old->severity == alarm->severity ? r : append_event(c, EVENT_CHANGED, old->id, alarm, err);
}

static int raise_in(struct catalogue *c, const struct alarm_raise *alarm, int64_t *ret_id, struct error *err)
{
    _cleanup_alarms_ struct alarms active = { 0 };
    int r = find(c, alarm->kind, alarm->policy, alarm->copy, &active, err);
    if (r < 0 || active.n == 0)
        return r < 0 ? r : open_alarm(c, alarm, ret_id, err);
    *ret_id = active.items[0].id;
    return refresh(c, &active.items[0], alarm, err);
}

int alarms_raise(struct catalogue *c, const struct alarm_raise *alarm, int64_t *ret_id, struct error *err)
{
    int64_t id = 0;
    int r = catalogue_begin(c, err);
    if (r == 0)
        r = catalogue_end(c, raise_in(c, alarm, &id, err), err);
    if (r == 0 && ret_id != NULL)
        *ret_id = id;
    return r;
}

static int clear_in(struct catalogue *c, const struct alarm *a, const char *text, struct error *err)
{
    struct alarm_raise alarm = { .kind = a->kind, .policy = a->policy, .copy = a->copy, .severity = a->severity, .text = text == NULL ? a->text : text };
    int r = sql_do(c->sql, "UPDATE alarms SET cleared_ns = ?2 WHERE id = ?1", SQL_VALUES(SQL_I64(a->id), SQL_I64(catalogue_now_ns(c))), err);
    return r < 0 ? r : append_event(c, EVENT_CLEARED, a->id, &alarm, err);
}

// Most calls find nothing to clear: these take no lock.
int alarms_clear(struct catalogue *c, const char *kind, const char *policy, const char *copy, const char *text, bool *ret_was_active, struct error *err)
{
    _cleanup_alarms_ struct alarms seen = { 0 }, active = { 0 };
    int r = find(c, kind, policy, copy, &seen, err);
    if (r == 0 && seen.n > 0)
        r = catalogue_begin(c, err);
    if (r < 0 || seen.n == 0) {
        if (r == 0 && ret_was_active != NULL)
            *ret_was_active = false;
        return r;
    }
    r = find(c, kind, policy, copy, &active, err); // again, now that nobody else writes
    if (r == 0 && active.n > 0)
        r = clear_in(c, &active.items[0], text, err);
    r = catalogue_end(c, r, err);
    if (r == 0 && ret_was_active != NULL)
        *ret_was_active = active.n > 0;
    return r;
}

int alarms_active(struct catalogue *c, const char *policy, struct alarms *ret_alarms, struct error *err)
{
    return load(c,
                "SELECT " COLUMNS " FROM alarms WHERE cleared_ns IS NULL AND (?1 IS NULL OR policy = ?1)"
                " ORDER BY CASE severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, opened_ns, id",
                SQL_VALUES(SQL_TEXT(policy)), ret_alarms, err);
}

int alarms_get(struct catalogue *c, int64_t id, struct alarms *ret_alarms, struct error *err)
{
    _cleanup_alarms_ struct alarms found = { 0 };
    int r = load(c, "SELECT " COLUMNS " FROM alarms WHERE id = ?1", SQL_VALUES(SQL_I64(id)), &found, err);
    if (r == 0 && found.n == 0)
        r = error_set(err, ERROR_NOT_FOUND, "there is no alarm %lld", (long long)id);
    if (r < 0)
        return r;
    *ret_alarms = found;
    found = (struct alarms){ 0 };
    return 0;
}

int alarms_acknowledge(struct catalogue *c, int64_t id, const char *by, struct error *err)
{
    int r = sql_do(c->sql, "UPDATE alarms SET acknowledged_ns = ?2, acknowledged_by = ?3 WHERE id = ?1 AND cleared_ns IS NULL",
                   SQL_VALUES(SQL_I64(id), SQL_I64(catalogue_now_ns(c)), SQL_NAMED(by)), err);
    if (r == 0 && sql_changes(c->sql) == 0)
        r = error_set(err, ERROR_NOT_FOUND, "there is no active alarm %lld; `bkd alarm list` shows those there are", (long long)id);
    return r;
}
