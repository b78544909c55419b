#include "bkd/record/tellings.h"

int tellings_set(struct catalogue *c, const struct telling *t, struct error *err)
{
    return sql_do(c->sql,
                  "INSERT INTO tellings (channel, kind, policy, copy, of_event, alarm, severity, stands, told_ns, flaps, unsaid)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (channel, kind, policy, copy, of_event) DO UPDATE SET"
                  " alarm = ?6, severity = ?7, stands = ?8, told_ns = ?9, flaps = ?10, unsaid = ?11",
                  SQL_VALUES(SQL_TEXT(t->channel), SQL_NAMED(t->kind), SQL_NAMED(t->policy), SQL_NAMED(t->copy), SQL_I64(t->of_event), SQL_SOME((uint64_t)t->alarm),
                             SQL_TEXT(severity_name(t->severity)), SQL_I64(t->stands), SQL_I64(t->told_ns), SQL_I64(t->flaps), SQL_I64(t->unsaid)),
                  err);
}

int tellings_list(struct catalogue *c, tellings_visit_fn *visit, void *arg, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(c->sql, "SELECT channel, kind, policy, copy, of_event, alarm, severity, stands, told_ns, flaps, unsaid FROM tellings", SQL_NOTHING, &s, err);
    while (r == 0 && (r = sql_next(s, err)) > 0) {
        struct telling telling = {
            .channel = sql_str(s, 0), .kind = sql_str(s, 1), .policy = sql_str(s, 2), .copy = sql_str(s, 3), .of_event = sql_i64(s, 4) != 0, .alarm = sql_i64(s, 5),
            .stands = sql_i64(s, 7) != 0, .told_ns = sql_u64(s, 8), .flaps = sql_u64(s, 9), .unsaid = sql_u64(s, 10),
        };
        (void)severity_parse(sql_str(s, 6), &telling.severity); // only our own words are in there
        r = visit(arg, &telling, err);
    }
    return r;
}
