#include "bkd/record/deliveries.h"

#include <string.h>

#define COLUMNS "id, event, channel, what, subject, body, state, tries, created_ns, next_try_ns, sent_ns, last_error"

static const char *const state_names[DELIVERY_STATES] = { [DELIVERY_WAITING] = "waiting", [DELIVERY_SENT] = "sent", [DELIVERY_GIVEN_UP] = "given-up" };

int deliveries_add(struct catalogue *c, const struct delivery *d, int64_t *ret_id, struct error *err)
{
    uint64_t now = catalogue_now_ns(c);
    int r = sql_do(c->sql, "INSERT INTO deliveries (event, channel, what, subject, body, created_ns, next_try_ns) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                   SQL_VALUES(SQL_SOME((uint64_t)d->event), SQL_TEXT(d->channel), SQL_NAMED(d->what), SQL_NAMED(d->subject), SQL_NAMED(d->body), SQL_I64(now),
                              SQL_I64(d->next_try_ns == 0 ? now : d->next_try_ns)),
                   err);
    if (r == 0 && ret_id != NULL)
        *ret_id = sql_last_id(c->sql);
    return r;
}

static struct delivery read_row(struct sql_statement *s)
{
    struct delivery d = {
        .id = sql_i64(s, 0), .event = sql_i64(s, 1), .channel = sql_str(s, 2), .what = sql_str(s, 3), .subject = sql_str(s, 4), .body = sql_str(s, 5),
        .tries = sql_u64(s, 7), .created_ns = sql_u64(s, 8), .next_try_ns = sql_u64(s, 9), .sent_ns = sql_u64(s, 10), .last_error = sql_str(s, 11),
    };
    for (int i = 0; i < DELIVERY_STATES; i++)
        if (strcmp(state_names[i], sql_str(s, 6)) == 0)
            d.state = (enum delivery_state)i;
    return d;
}

static int visit_all(struct catalogue *c, const char *text, const struct sql_value *values, deliveries_visit_fn *visit, void *arg, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(c->sql, text, values, &s, err);
    while (r == 0 && (r = sql_next(s, err)) > 0) {
        struct delivery delivery = read_row(s);
        r = visit(arg, &delivery, err);
    }
    return r;
}

int deliveries_due(struct catalogue *c, uint64_t now_ns, uint64_t limit, deliveries_visit_fn *visit, void *arg, struct error *err)
{
    return visit_all(c, "SELECT " COLUMNS " FROM deliveries WHERE state = 'waiting' AND next_try_ns <= ?1 ORDER BY id LIMIT coalesce(?2, -1)",
                     SQL_VALUES(SQL_I64(now_ns), SQL_SOME(limit)), visit, arg, err);
}

int deliveries_list(struct catalogue *c, uint64_t limit, deliveries_visit_fn *visit, void *arg, struct error *err)
{
    return visit_all(c, "SELECT " COLUMNS " FROM deliveries ORDER BY id DESC LIMIT coalesce(?1, -1)", SQL_VALUES(SQL_SOME(limit)), visit, arg, err);
}

int deliveries_claim(struct catalogue *c, int64_t id, uint64_t now_ns, uint64_t until_ns, bool *ret_won, struct error *err)
{
    int r = sql_do(c->sql, "UPDATE deliveries SET next_try_ns = ?3 WHERE id = ?1 AND state = 'waiting' AND next_try_ns <= ?2",
                   SQL_VALUES(SQL_I64(id), SQL_I64(now_ns), SQL_I64(until_ns)), err);
    if (r == 0)
        *ret_won = sql_changes(c->sql) == 1;
    return r;
}

int deliveries_sent(struct catalogue *c, int64_t id, struct error *err)
{
    return sql_do(c->sql, "UPDATE deliveries SET state = 'sent', tries = tries + 1, sent_ns = ?2, last_error = '' WHERE id = ?1",
                  SQL_VALUES(SQL_I64(id), SQL_I64(catalogue_now_ns(c))), err);
}

int deliveries_failed(struct catalogue *c, int64_t id, uint64_t next_try_ns, const char *error, struct error *err)
{
    return sql_do(c->sql,
                  "UPDATE deliveries SET state = iif(?2 IS NULL, 'given-up', 'waiting'), tries = tries + 1, next_try_ns = coalesce(?2, next_try_ns), last_error = ?3"
                  " WHERE id = ?1",
                  SQL_VALUES(SQL_I64(id), SQL_SOME(next_try_ns), SQL_NAMED(error)), err);
}

int deliveries_waiting(struct catalogue *c, const char *channel, uint64_t limit, deliveries_visit_fn *visit, void *arg, struct error *err)
{
    return visit_all(c, "SELECT " COLUMNS " FROM deliveries WHERE state = 'waiting' AND channel = ?1 ORDER BY id LIMIT coalesce(?2, -1)",
                     SQL_VALUES(SQL_TEXT(channel), SQL_SOME(limit)), visit, arg, err);
}

int deliveries_backlogs(struct catalogue *c, deliveries_backlog_fn *visit, void *arg, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(c->sql,
                      "SELECT channel, sum(state = 'waiting'), sum(state = 'waiting' AND tries > 0), min(iif(state = 'waiting', created_ns, NULL)),"
                      " min(iif(state = 'waiting' AND tries > 0, created_ns, NULL)), max(iif(state = 'waiting', tries, 0)),"
                      " (SELECT last_error FROM deliveries AS f WHERE f.channel = d.channel AND f.state = 'waiting' AND f.tries > 0 ORDER BY f.id LIMIT 1), max(sent_ns)"
                      " FROM deliveries AS d GROUP BY channel",
                      SQL_NOTHING, &s, err);
    while (r == 0 && (r = sql_next(s, err)) > 0) {
        struct delivery_backlog backlog = {
            .channel = sql_str(s, 0), .waiting = sql_u64(s, 1), .failing = sql_u64(s, 2), .oldest_ns = sql_u64(s, 3), .oldest_failing_ns = sql_u64(s, 4),
            .tries = sql_u64(s, 5), .last_error = sql_str(s, 6), .sent_ns = sql_u64(s, 7),
        };
        r = visit(arg, &backlog, err);
    }
    return r;
}

int deliveries_forget(struct catalogue *c, uint64_t before_ns, struct error *err)
{
    return sql_do(c->sql, "DELETE FROM deliveries WHERE state <> 'waiting' AND created_ns < ?1", SQL_VALUES(SQL_I64(before_ns)), err);
}

int deliveries_hurry(struct catalogue *c, const char *channel, struct error *err)
{
    return sql_do(c->sql, "UPDATE deliveries SET next_try_ns = min(next_try_ns, ?2) WHERE state = 'waiting' AND channel = ?1 AND tries > 0",
                  SQL_VALUES(SQL_TEXT(channel), SQL_I64(catalogue_now_ns(c))), err);
}
