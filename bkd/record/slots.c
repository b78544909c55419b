#include "bkd/record/slots.h"

#include <string.h>

#define COLUMNS "policy, action, slot_ns, outcome, run, reason, decided_ns"

static const char *const outcome_names[SLOT_OUTCOMES] = {
    [SLOT_RUN] = "run", [SLOT_MISSED] = "missed", [SLOT_COALESCED] = "coalesced", [SLOT_SKIPPED] = "skipped",
};

const char *slot_outcome_name(enum slot_outcome outcome) { return outcome_names[outcome]; }

static void read_row(struct sql_statement *s, struct slot *ret_slot)
{
    struct slot slot = { .slot_ns = sql_u64(s, 2), .run = sql_i64(s, 4), .decided_ns = sql_u64(s, 6) };
    sql_copy(s, 0, slot.policy, sizeof slot.policy);
    sql_copy(s, 1, slot.action, sizeof slot.action);
    for (int i = 0; i < SLOT_OUTCOMES; i++)
        if (strcmp(outcome_names[i], sql_str(s, 3)) == 0)
            slot.outcome = (enum slot_outcome)i;
    sql_copy(s, 5, slot.reason, sizeof slot.reason);
    *ret_slot = slot;
}

int slots_set(struct catalogue *c, const char *policy, const char *action, uint64_t slot_ns, enum slot_outcome outcome, int64_t run, const char *reason,
              bool *ret_won, struct error *err)
{
    int r = sql_do(c->sql, "INSERT INTO slots (" COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET outcome = ?4, run = ?5, reason = ?6,"
                            " decided_ns = ?7 WHERE decided_ns > ?7 + ?8",
                   SQL_VALUES(SQL_TEXT(policy), SQL_TEXT(action), SQL_I64(slot_ns), SQL_TEXT(slot_outcome_name(outcome)), SQL_SOME((uint64_t)run),
                              SQL_NAMED(reason), SQL_I64(catalogue_now_ns(c)), SQL_I64(SLOTS_AHEAD_NS)),
                   err);
    if (r == 0)
        *ret_won = sql_changes(c->sql) == 1;
    return r;
}

int slots_set_run(struct catalogue *c, const char *policy, const char *action, uint64_t slot_ns, int64_t run, struct error *err)
{
    return sql_do(c->sql, "UPDATE slots SET run = ?4 WHERE policy = ?1 AND action = ?2 AND slot_ns = ?3 AND outcome = 'run'",
                  SQL_VALUES(SQL_TEXT(policy), SQL_TEXT(action), SQL_I64(slot_ns), SQL_SOME((uint64_t)run)), err);
}

int slots_last(struct catalogue *c, const char *policy, const char *action, uint64_t until_ns, struct slot *ret_slot, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(c->sql, "SELECT " COLUMNS " FROM slots WHERE policy = ?1 AND action = ?2 AND decided_ns <= coalesce(?3, decided_ns) ORDER BY slot_ns DESC LIMIT 1",
                      SQL_VALUES(SQL_TEXT(policy), SQL_TEXT(action), SQL_SOME(until_ns)), &s, err);
    if (r == 0)
        r = sql_next(s, err);
    if (r > 0)
        read_row(s, ret_slot);
    return r == 0 ? error_set(err, ERROR_NOT_FOUND, "no %s of policy %s was decided yet", action, policy) : r < 0 ? r : 0;
}
