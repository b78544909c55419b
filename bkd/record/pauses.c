#include "bkd/record/pauses.h"

static void read_row(struct sql_statement *s, struct pause *ret_pause)
{
    struct pause pause = { .since_ns = sql_u64(s, 1) };
    sql_copy(s, 0, pause.policy, sizeof pause.policy);
    sql_copy(s, 2, pause.by, sizeof pause.by);
    sql_copy(s, 3, pause.reason, sizeof pause.reason);
    *ret_pause = pause;
}

int pauses_set(struct catalogue *c, const char *policy, const char *by, const char *reason, struct error *err)
{
    return sql_do(c->sql, "INSERT INTO pauses (policy, since_ns, paused_by, reason) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                  SQL_VALUES(SQL_TEXT(policy), SQL_I64(catalogue_now_ns(c)), SQL_NAMED(by), SQL_NAMED(reason)), err);
}

int pauses_clear(struct catalogue *c, const char *policy, bool *ret_was_paused, struct error *err)
{
    int r = sql_do(c->sql, "DELETE FROM pauses WHERE policy = ?1", SQL_VALUES(SQL_TEXT(policy)), err);
    if (r == 0 && ret_was_paused != NULL)
        *ret_was_paused = sql_changes(c->sql) == 1;
    return r;
}

int pauses_get(struct catalogue *c, const char *policy, struct pause *ret_pause, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(c->sql, "SELECT policy, since_ns, paused_by, reason FROM pauses WHERE policy = ?1", SQL_VALUES(SQL_TEXT(policy)), &s, err);
    if (r == 0)
        r = sql_next(s, err);
    if (r > 0)
        read_row(s, ret_pause);
    return r == 0 ? error_set(err, ERROR_NOT_FOUND, "policy %s is not paused", policy) : r < 0 ? r : 0;
}

int pauses_list(struct catalogue *c, pauses_visit_fn *visit, void *arg, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(c->sql, "SELECT policy, since_ns, paused_by, reason FROM pauses ORDER BY policy", SQL_NOTHING, &s, err);
    while (r == 0 && (r = sql_next(s, err)) > 0) {
        struct pause pause;
        read_row(s, &pause);
        r = visit(arg, &pause, err);
    }
    return r;
}
