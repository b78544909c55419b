#include "bkd/record/compaction.h"

enum { BATCH = 5000 }; // rows a transaction

#define OLD_RUNS                                                                                                                                          \
    "SELECT id FROM runs WHERE ended_ns < ?1 AND id NOT IN (SELECT max(id) FROM runs GROUP BY policy, kind)"                                             \
    " AND id NOT IN (SELECT max(id) FROM runs WHERE exit_code IN (0, 3) GROUP BY policy, kind)"

// ?1 = older than this, ?2 = at most so many. Tables without a row number are limited by what names their rows.
static const char *const details[] = {
    "DELETE FROM run_phases WHERE (run, name) IN (SELECT run, name FROM run_phases JOIN runs ON runs.id = run WHERE ended_ns < ?1 LIMIT ?2)",
    "DELETE FROM run_figures WHERE (run, name) IN (SELECT run, name FROM run_figures JOIN runs ON runs.id = run WHERE ended_ns < ?1 LIMIT ?2)",
    ("DELETE FROM slots WHERE (policy, action, slot_ns) IN (SELECT policy, action, slot_ns FROM slots AS s WHERE slot_ns < ?1"
    " AND slot_ns < (SELECT max(slot_ns) FROM slots AS l WHERE l.policy = s.policy AND l.action = s.action) LIMIT ?2)"),
    "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE state <> 'waiting' AND created_ns < ?1 LIMIT ?2)",
    ("DELETE FROM events WHERE id IN (SELECT id FROM events WHERE time_ns < ?1 AND id NOT IN (SELECT event FROM deliveries WHERE state = 'waiting' AND event IS NOT NULL)"
    " AND id < (SELECT max(id) FROM events) LIMIT ?2)"),
};
static const char *const runs[] = {
    "DELETE FROM runs WHERE id IN (" OLD_RUNS " LIMIT ?2)",
    "DELETE FROM alarms WHERE id IN (SELECT id FROM alarms WHERE cleared_ns < ?1 LIMIT ?2)",
    ("DELETE FROM policy_versions WHERE id IN (SELECT id FROM policy_versions WHERE last_seen_ns < ?1"
    " AND id NOT IN (SELECT policy_version FROM runs WHERE policy_version IS NOT NULL) LIMIT ?2)"),
};

static int delete_all(struct catalogue *c, const char *text, uint64_t before_ns, uint64_t *rows, struct error *err)
{
    int64_t changed;
    do {
        int r = sql_do(c->sql, text, SQL_VALUES(SQL_I64(before_ns), SQL_I64(BATCH)), err);
        if (r < 0)
            return r;
        changed = sql_changes(c->sql);
        *rows += (uint64_t)changed;
    } while (changed == BATCH);
    return 0;
}

// VACUUM writes the whole file anew, so it waits until that is worth it.
static int vacuum(struct catalogue *c, bool *ret_was_vacuumed, struct error *err)
{
    int64_t pages = 0, free_pages = 0;
    int r = sql_number(c->sql, "PRAGMA page_count", SQL_NOTHING, &pages, err);
    if (r == 0)
        r = sql_number(c->sql, "PRAGMA freelist_count", SQL_NOTHING, &free_pages, err);
    *ret_was_vacuumed = r == 0 && free_pages > 64 && free_pages * 4 > pages;
    return *ret_was_vacuumed ? sql_script(c->sql, "VACUUM", err) : r;
}

int compaction_run(struct catalogue *c, const struct compaction_options *options, struct compaction_result *ret_result, struct error *err)
{
    uint64_t now = catalogue_now_ns(c);
    uint64_t details_before = now > options->details_ns ? now - options->details_ns : 0, runs_before = now > options->runs_ns ? now - options->runs_ns : 0;
    int r = 0;
    *ret_result = (struct compaction_result){ 0 };
    for (size_t i = 0; r == 0 && i < sizeof details / sizeof *details; i++)
        r = delete_all(c, details[i], details_before, &ret_result->rows, err);
    for (size_t i = 0; r == 0 && i < sizeof runs / sizeof *runs; i++)
        r = delete_all(c, runs[i], runs_before, &ret_result->rows, err);
    return r < 0 ? r : vacuum(c, &ret_result->was_vacuumed, err);
}
