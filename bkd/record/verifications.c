#include "bkd/record/verifications.h"

#include "bkd/base/bytes.h"

int verifications_add(struct catalogue *c, const struct verification *v, struct error *err)
{
    uint8_t random[16];
    char uid[2 * sizeof random + 1];
    io_random(c->io, random, sizeof random);
    format_hex(uid, random, sizeof random);
    return sql_do(c->sql,
                  "INSERT INTO verifications (uid, policy, copy, snapshot, time_ns, mode, proven, duration_ns, files, bytes, message, run, host)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT DO NOTHING",
                  SQL_VALUES(SQL_TEXT(v->uid == NULL || v->uid[0] == '\0' ? uid : v->uid), SQL_TEXT(v->policy), SQL_NAMED(v->copy), SQL_I64(v->snapshot),
                             SQL_I64(v->time_ns == 0 ? catalogue_now_ns(c) : v->time_ns), SQL_TEXT(v->mode), SQL_I64(v->is_proven), SQL_I64(v->duration_ns),
                             SQL_I64(v->files), SQL_I64(v->bytes), SQL_NAMED(v->message), SQL_SOME((uint64_t)v->run), SQL_NAMED(v->host)),
                  err);
}

static struct verification read_row(struct sql_statement *s)
{
    return (struct verification){
        .id = sql_i64(s, 0), .uid = sql_str(s, 1), .policy = sql_str(s, 2), .copy = sql_str(s, 3), .snapshot = sql_u64(s, 4), .time_ns = sql_u64(s, 5),
        .mode = sql_str(s, 6), .is_proven = sql_i64(s, 7) != 0, .duration_ns = sql_u64(s, 8), .files = sql_u64(s, 9), .bytes = sql_u64(s, 10),
        .message = sql_str(s, 11), .run = sql_i64(s, 12), .host = sql_str(s, 13),
    };
}

int verifications_list(struct catalogue *c, const char *policy, uint64_t limit, verifications_visit_fn *visit, void *arg, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(c->sql,
                      "SELECT id, uid, policy, copy, snapshot, time_ns, mode, proven, duration_ns, files, bytes, message, run, host FROM verifications"
                      " WHERE policy = ?1 ORDER BY time_ns DESC, id DESC LIMIT coalesce(?2, -1)",
                      SQL_VALUES(SQL_TEXT(policy), SQL_SOME(limit)), &s, err);
    while (r == 0 && (r = sql_next(s, err)) > 0) {
        struct verification verification = read_row(s);
        r = visit(arg, &verification, err);
    }
    return r;
}
