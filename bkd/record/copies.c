#include "bkd/record/copies.h"

#include <string.h>

static const char *const role_names[COPY_ROLES] = { [COPY_REPOSITORY] = "repository", [COPY_OFFSITE] = "offsite" };

const char *copy_role_name(enum copy_role role) { return role_names[role]; }

int copies_set(struct catalogue *c, const struct copy *copy, int64_t *ret_id, struct error *err)
{
    int64_t id = 0;
    int r = sql_number(c->sql,
                       "INSERT INTO copies (policy, url, serial, role, snapshot, snapshot_time_ns, arrived_ns, failing_since_ns, failures, problem)"
                       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, nullif(?10, '')) ON CONFLICT DO UPDATE SET role = excluded.role, snapshot = excluded.snapshot,"
                       " snapshot_time_ns = excluded.snapshot_time_ns, arrived_ns = excluded.arrived_ns, failing_since_ns = excluded.failing_since_ns,"
                       " failures = excluded.failures, problem = excluded.problem RETURNING id",
                       SQL_VALUES(SQL_TEXT(copy->policy), SQL_TEXT(copy->url), SQL_NAMED(copy->serial), SQL_TEXT(copy_role_name(copy->role)),
                                  SQL_SOME(copy->snapshot), SQL_SOME(copy->snapshot_time_ns), SQL_SOME(copy->arrived_ns), SQL_SOME(copy->failing_since_ns),
                                  SQL_I64(copy->failures), SQL_NAMED(copy->problem)),
                       &id, err);
    if (r == 0 && ret_id != NULL)
        *ret_id = id;
    return r;
}

static struct copy read_row(struct sql_statement *s)
{
    return (struct copy){
        .id = sql_i64(s, 0), .policy = sql_str(s, 1), .url = sql_str(s, 2), .serial = sql_str(s, 3),
        .role = strcmp(sql_str(s, 4), "offsite") == 0 ? COPY_OFFSITE : COPY_REPOSITORY, .snapshot = sql_u64(s, 5), .snapshot_time_ns = sql_u64(s, 6),
        .arrived_ns = sql_u64(s, 7), .failing_since_ns = sql_u64(s, 8), .failures = sql_u64(s, 9), .problem = sql_str(s, 10),
    };
}

int copies_list(struct catalogue *c, const char *policy, copies_visit_fn *visit, void *arg, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(c->sql,
                      "SELECT id, policy, url, serial, role, snapshot, snapshot_time_ns, arrived_ns, failing_since_ns, failures, problem FROM copies"
                      " WHERE ?1 IS NULL OR policy = ?1 ORDER BY policy, role = 'offsite', url, serial",
                      SQL_VALUES(SQL_TEXT(policy)), &s, err);
    while (r == 0 && (r = sql_next(s, err)) > 0) {
        struct copy copy = read_row(s);
        r = visit(arg, &copy, err);
    }
    return r;
}
