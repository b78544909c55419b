#include "bkd/record/drills.h"

int drills_put(struct catalogue *c, const struct drill_row *row, struct error *err)
{
    return sql_do(c->sql,
                  "INSERT INTO drills (uid, plan, kind, started_ns, ended_ns, passed, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
                  " ON CONFLICT (uid) DO UPDATE SET ended_ns = excluded.ended_ns, passed = excluded.passed, record = excluded.record",
                  SQL_VALUES(SQL_TEXT(row->uid), SQL_TEXT(row->plan), SQL_TEXT(row->kind), SQL_I64(row->started_ns), SQL_SOME(row->ended_ns),
                             row->ended_ns == 0 ? SQL_TEXT(NULL) : SQL_I64(row->has_passed), SQL_TEXT(row->record)),
                  err);
}

int drills_list(struct catalogue *c, const char *plan, const char *kind, drills_visit_fn *visit, void *arg, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(c->sql,
                      "SELECT uid, plan, kind, started_ns, ended_ns, passed, record FROM drills WHERE plan = coalesce(?1, plan) AND kind = coalesce(?2, kind)"
                      " ORDER BY started_ns DESC, id DESC",
                      SQL_VALUES(SQL_TEXT(plan), SQL_TEXT(kind)), &s, err);
    while (r == 0 && (r = sql_next(s, err)) > 0) {
        const struct drill_row row = {
            .uid = sql_str(s, 0), .plan = sql_str(s, 1), .kind = sql_str(s, 2), .started_ns = sql_u64(s, 3), .ended_ns = sql_u64(s, 4), .has_passed = sql_i64(s, 5) != 0,
            .record = sql_str(s, 6),
        };
        r = visit(arg, &row, err);
    }
    return r;
}
