#include "bkd/record/pauses.h"

#define COLUMNS "SELECT policy, since_ns, until_ns, paused_by, reason FROM pauses"
#define HOLDS "(until_ns IS NULL OR until_ns > ?1)" // ?1 is now

static void read_row(struct sql_statement *s, struct pause *ret_pause)
{
    struct pause pause = { .since_ns = sql_u64(s, 1), .until_ns = sql_u64(s, 2) };
    sql_copy(s, 0, pause.policy, sizeof pause.policy);
    sql_copy(s, 3, pause.by, sizeof pause.by);
    sql_copy(s, 4, pause.reason, sizeof pause.reason);
    *ret_pause = pause;
}

int pauses_set(struct catalogue *c, const char *policy, uint64_t until_ns, const char *by, const char *reason, struct error *err)
{
    return sql_do(c->sql, "INSERT INTO pauses (since_ns, policy, until_ns, paused_by, reason) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET "
                          "since_ns = CASE WHEN " HOLDS " THEN since_ns ELSE ?1 END, until_ns = ?3, paused_by = ?4, reason = ?5",
                  SQL_VALUES(SQL_I64(catalogue_now_ns(c)), SQL_TEXT(policy), SQL_SOME(until_ns), SQL_NAMED(by), SQL_NAMED(reason)), err);
}

int pauses_clear(struct catalogue *c, const char *policy, bool *ret_was_paused, struct error *err)
{
    struct pause pause;
    int held = pauses_get(c, policy, &pause, err);
    int r = held < 0 && held != ERROR_NOT_FOUND ? held : sql_do(c->sql, "DELETE FROM pauses WHERE policy = ?1", SQL_VALUES(SQL_TEXT(policy)), err);
    if (r == 0 && ret_was_paused != NULL)
        *ret_was_paused = held == 0;
    return r;
}

int pauses_get(struct catalogue *c, const char *policy, struct pause *ret_pause, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(c->sql, COLUMNS " WHERE " HOLDS " AND policy = ?2", SQL_VALUES(SQL_I64(catalogue_now_ns(c)), SQL_TEXT(policy)), &s, err);
    if (r == 0)
        r = sql_next(s, err);
    if (r > 0)
        read_row(s, ret_pause);
    return r == 0 ? error_set(err, ERROR_NOT_FOUND, "policy %s is not paused", policy) : r < 0 ? r : 0;
}

int pauses_list(struct catalogue *c, pauses_visit_fn *visit, void *arg, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(c->sql, COLUMNS " WHERE " HOLDS " ORDER BY policy", SQL_VALUES(SQL_I64(catalogue_now_ns(c))), &s, err);
    while (r == 0 && (r = sql_next(s, err)) > 0) {
        struct pause pause;
        read_row(s, &pause);
        r = visit(arg, &pause, err);
    }
    return r;
}
