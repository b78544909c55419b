#include "bkd/record/snapshots.h"

int snapshots_add(struct catalogue *c, const struct snapshot_record *n, int64_t *ret_id, struct error *err)
{
    int64_t id = 0;
    int r = sql_number(c->sql,
                       "INSERT INTO snapshots (policy, chain, number, time_ns, host, head_sha256, tag, files, bytes_source, bytes_stored, incomplete, suspect, run)"
                       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT DO UPDATE SET time_ns = excluded.time_ns, host = excluded.host,"
                       " head_sha256 = excluded.head_sha256, tag = excluded.tag, files = excluded.files, bytes_source = excluded.bytes_source,"
                       " bytes_stored = excluded.bytes_stored, incomplete = excluded.incomplete, suspect = max(suspect, excluded.suspect),"
                       " run = coalesce(excluded.run, run) RETURNING id",
                       SQL_VALUES(SQL_TEXT(n->policy), SQL_TEXT(n->chain), SQL_I64(n->number), SQL_I64(n->time_ns), SQL_NAMED(n->host), SQL_NAMED(n->head_sha256),
                                  SQL_NAMED(n->tag), SQL_I64(n->files), SQL_I64(n->bytes_source), SQL_I64(n->bytes_stored), SQL_I64(n->is_incomplete),
                                  SQL_I64(n->is_suspect), SQL_SOME((uint64_t)n->run)),
                       &id, err);
    if (r == 0 && ret_id != NULL)
        *ret_id = id;
    return r;
}

int snapshots_of_run(struct catalogue *c, int64_t run, int64_t *ret_id, struct error *err)
{
    return sql_number(c->sql, "SELECT id FROM snapshots WHERE run = ?1 ORDER BY id DESC LIMIT 1", SQL_VALUES(SQL_I64(run)), ret_id, err);
}

int snapshots_set_suspect(struct catalogue *c, int64_t id, bool is_suspect, struct error *err)
{
    return sql_do(c->sql, "UPDATE snapshots SET suspect = ?2 WHERE id = ?1", SQL_VALUES(SQL_I64(id), SQL_I64(is_suspect)), err);
}

static struct snapshot_record read_row(struct sql_statement *s)
{
    return (struct snapshot_record){
        .id = sql_i64(s, 0), .policy = sql_str(s, 1), .chain = sql_str(s, 2), .number = sql_u64(s, 3), .time_ns = sql_u64(s, 4), .host = sql_str(s, 5),
        .head_sha256 = sql_str(s, 6), .tag = sql_str(s, 7), .files = sql_u64(s, 8), .bytes_source = sql_u64(s, 9), .bytes_stored = sql_u64(s, 10),
        .is_incomplete = sql_i64(s, 11) != 0, .is_suspect = sql_i64(s, 12) != 0, .run = sql_i64(s, 13),
    };
}

int snapshots_list(struct catalogue *c, const char *policy, uint64_t limit, snapshots_visit_fn *visit, void *arg, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(c->sql,
                      "SELECT id, policy, chain, number, time_ns, host, head_sha256, tag, files, bytes_source, bytes_stored, incomplete, suspect, run"
                      " FROM snapshots WHERE policy = ?1 ORDER BY time_ns DESC, number DESC LIMIT coalesce(?2, -1)",
                      SQL_VALUES(SQL_TEXT(policy), SQL_SOME(limit)), &s, err);
    while (r == 0 && (r = sql_next(s, err)) > 0) {
        struct snapshot_record snapshot = read_row(s);
        r = visit(arg, &snapshot, err);
    }
    return r;
}

int snapshots_arrived(struct catalogue *c, int64_t snapshot, int64_t copy, uint64_t arrived_ns, struct error *err)
{
    return sql_do(c->sql,
                  "INSERT INTO snapshot_copies (snapshot, copy, arrived_ns) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET"
                  " arrived_ns = CASE WHEN gone_ns IS NULL THEN arrived_ns ELSE excluded.arrived_ns END, gone_ns = NULL",
                  SQL_VALUES(SQL_I64(snapshot), SQL_I64(copy), SQL_I64(arrived_ns)), err);
}

int snapshots_arrived_up_to(struct catalogue *c, const char *policy, const char *chain, uint64_t number, int64_t copy, uint64_t arrived_ns, struct error *err)
{
    return sql_do(c->sql,
                  "INSERT INTO snapshot_copies (snapshot, copy, arrived_ns) SELECT id, ?4, ?5 FROM snapshots WHERE policy = ?1 AND chain = ?2 AND number <= ?3"
                  " ON CONFLICT DO NOTHING",
                  SQL_VALUES(SQL_TEXT(policy), SQL_TEXT(chain), SQL_I64(number), SQL_I64(copy), SQL_I64(arrived_ns)), err);
}

int snapshots_highest(struct catalogue *c, const char *policy, const char *chain, uint64_t *ret_number, struct error *err)
{
    int64_t number = 0;
    int r = sql_number(c->sql, "SELECT max(number) FROM snapshots WHERE policy = ?1 AND chain = ?2", SQL_VALUES(SQL_TEXT(policy), SQL_TEXT(chain)), &number, err);
    if (r == 0)
        *ret_number = (uint64_t)number;
    return r;
}

int snapshots_gone(struct catalogue *c, int64_t snapshot, int64_t copy, struct error *err)
{
    return sql_do(c->sql, "UPDATE snapshot_copies SET gone_ns = ?3 WHERE snapshot = ?1 AND copy = ?2 AND gone_ns IS NULL",
                  SQL_VALUES(SQL_I64(snapshot), SQL_I64(copy), SQL_I64(catalogue_now_ns(c))), err);
}

int snapshots_places(struct catalogue *c, int64_t snapshot, snapshots_place_fn *visit, void *arg, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(c->sql,
                      "SELECT copies.id, url, serial, snapshot_copies.arrived_ns, gone_ns FROM snapshot_copies JOIN copies ON copies.id = copy"
                      " WHERE snapshot_copies.snapshot = ?1 ORDER BY role = 'offsite', url, serial",
                      SQL_VALUES(SQL_I64(snapshot)), &s, err);
    while (r == 0 && (r = sql_next(s, err)) > 0)
        r = visit(arg, sql_i64(s, 0), sql_str(s, 1), sql_str(s, 2), sql_u64(s, 3), sql_u64(s, 4), err);
    return r;
}
