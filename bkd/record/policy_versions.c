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
