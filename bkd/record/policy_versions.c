#include "bkd/record/policy_versions.h"

#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/crypto.h"

int policy_versions_note(struct catalogue *c, const char *policy, const char *text, int64_t *ret_id, struct error *err)
{
    uint8_t digest[CRYPTO_SHA256_SIZE];
    char sha256[2 * CRYPTO_SHA256_SIZE + 1];
    crypto_sha256(text, strlen(text), digest);
    format_hex(sha256, digest, sizeof digest);
    return sql_number(c->sql,
                      "INSERT INTO policy_versions (policy, sha256, text, first_seen_ns, last_seen_ns) VALUES (?1, ?2, ?3, ?4, ?4)"
                      " ON CONFLICT DO UPDATE SET last_seen_ns = max(last_seen_ns, excluded.last_seen_ns) RETURNING id",
                      SQL_VALUES(SQL_TEXT(policy), SQL_TEXT(sha256), SQL_TEXT(text), SQL_I64(catalogue_now_ns(c))), ret_id, err);
}

int policy_versions_note_host(struct catalogue *c, const char *host, struct error *err)
{
    return sql_do(c->sql,
                  "INSERT INTO hosts (name, first_seen_ns, last_seen_ns) VALUES (?1, ?2, ?2)"
                  " ON CONFLICT DO UPDATE SET last_seen_ns = max(last_seen_ns, excluded.last_seen_ns)",
                  SQL_VALUES(SQL_TEXT(host), SQL_I64(catalogue_now_ns(c))), err);
}

int policy_versions_list(struct catalogue *c, const char *policy, policy_versions_visit_fn *visit, void *arg, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(c->sql,
                      "SELECT id, policy, sha256, text, first_seen_ns, last_seen_ns FROM policy_versions WHERE policy = ?1 ORDER BY last_seen_ns DESC, id DESC",
                      SQL_VALUES(SQL_TEXT(policy)), &s, err);
    while (r == 0 && (r = sql_next(s, err)) > 0) {
        struct policy_version version = { .id = sql_i64(s, 0), .policy = sql_str(s, 1), .sha256 = sql_str(s, 2), .text = sql_str(s, 3), .first_seen_ns = sql_u64(s, 4),
                                          .last_seen_ns = sql_u64(s, 5) };
        r = visit(arg, &version, err);
    }
    return r;
}
