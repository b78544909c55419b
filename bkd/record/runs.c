#include "bkd/record/runs.h"

#include <stdio.h>
#include <string.h>

#include "bkd/base/buf.h"
#include "bkd/base/bytes.h"
#include "bkd/record/events.h"

static const char *const trigger_names[RUN_TRIGGERS] = { [RUN_MANUAL] = "manual", [RUN_CRON] = "cron", [RUN_DAEMON] = "daemon", [RUN_DUE] = "due" };
static const char *const state_names[RUN_STATES] = { [RUN_RUNNING] = "running", [RUN_ENDED] = "ended", [RUN_KILLED] = "killed" };

#define COLUMNS                                                                                                                                       \
    "id, uid, kind, policy, host, trigger, slot_ns, attempt, pid, boot_id, process_start, started_ns, ended_ns, state, exit_code, message, snapshot, " \
    "copy, policy_version"

const char *run_trigger_name(enum run_trigger trigger) { return trigger_names[trigger]; }
const char *run_state_name(enum run_state state) { return state_names[state]; }

bool run_trigger_parse(const char *name, enum run_trigger *ret_trigger)
{
    for (int i = 0; i < RUN_TRIGGERS; i++)
        if (strcmp(trigger_names[i], name) == 0) {
            *ret_trigger = (enum run_trigger)i;
            return true;
        }
    return false;
}

static enum run_state parse_state(const char *name)
{
    for (int i = 0; i < RUN_STATES; i++)
        if (strcmp(state_names[i], name) == 0)
            return (enum run_state)i;
    return RUN_KILLED; // cannot be: the table checks it
}

static void read_row(struct sql_statement *s, struct run_record *ret_run)
{
    struct run_record run = { .id = sql_i64(s, 0) };
    sql_copy(s, 1, run.uid, sizeof run.uid);
    sql_copy(s, 2, run.kind, sizeof run.kind);
    sql_copy(s, 3, run.policy, sizeof run.policy);
    sql_copy(s, 4, run.host, sizeof run.host);
    (void)run_trigger_parse(sql_str(s, 5), &run.trigger);
    run.slot_ns = sql_u64(s, 6);
    run.attempt = (unsigned)sql_u64(s, 7);
    run.process.pid = (pid_t)sql_i64(s, 8);
    sql_copy(s, 9, run.process.boot_id, sizeof run.process.boot_id);
    run.process.start = sql_u64(s, 10);
    run.started_ns = sql_u64(s, 11);
    run.ended_ns = sql_u64(s, 12);
    run.state = parse_state(sql_str(s, 13));
    run.exit_code = sql_is_null(s, 14) ? -1 : (int)sql_i64(s, 14);
    sql_copy(s, 15, run.message, sizeof run.message);
    run.snapshot = sql_u64(s, 16);
    run.copy = sql_i64(s, 17);
    run.policy_version = sql_i64(s, 18);
    *ret_run = run;
}

void runs_complete(const struct io *io, struct run_record *run)
{
    if (run->uid[0] == '\0') {
        uint8_t random[16];
        io_random(io, random, sizeof random);
        format_hex(run->uid, random, sizeof random);
    }
    if (run->process.pid == 0)
        process_self(&run->process);
    if (run->started_ns == 0)
        run->started_ns = io_realtime_ns(io);
    if (run->attempt == 0)
        run->attempt = 1;
}

static int insert(struct catalogue *c, const struct run_record *run, struct error *err)
{
    return sql_do(c->sql,
                  "INSERT INTO runs (uid, kind, policy, host, trigger, slot_ns, attempt, pid, boot_id, process_start, started_ns, snapshot, copy, policy_version,"
                  " state, ended_ns, exit_code, message) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, nullif(?18, ''))",
                  SQL_VALUES(SQL_TEXT(run->uid), SQL_TEXT(run->kind), SQL_TEXT(run->policy), SQL_TEXT(run->host), SQL_TEXT(run_trigger_name(run->trigger)),
                             SQL_SOME(run->slot_ns), SQL_I64(run->attempt), SQL_I64(run->process.pid), SQL_TEXT(run->process.boot_id),
                             SQL_I64(run->process.start), SQL_I64(run->started_ns), SQL_SOME(run->snapshot), SQL_SOME((uint64_t)run->copy),
                             SQL_SOME((uint64_t)run->policy_version), SQL_TEXT(run_state_name(run->state)), SQL_SOME(run->ended_ns),
                             run->state == RUN_ENDED ? SQL_I64(run->exit_code) : SQL_TEXT(NULL), SQL_TEXT(run->message)),
                  err);
}

// One that was given up as killed may still end: it was only slow to say so.
static int update(struct catalogue *c, int64_t id, const struct run_record *run, struct error *err)
{
    if (run->state == RUN_RUNNING)
        return 0;
    return sql_do(c->sql,
                  "UPDATE runs SET state = ?2, ended_ns = ?3, exit_code = ?4, message = nullif(?5, ''), snapshot = coalesce(?6, snapshot),"
                  " policy_version = coalesce(?7, policy_version) WHERE id = ?1 AND state <> 'ended'",
                  SQL_VALUES(SQL_I64(id), SQL_TEXT(run_state_name(run->state)), SQL_SOME(run->ended_ns),
                             run->state == RUN_ENDED ? SQL_I64(run->exit_code) : SQL_TEXT(NULL), SQL_TEXT(run->message), SQL_SOME(run->snapshot),
                             SQL_SOME((uint64_t)run->policy_version)),
                  err);
}

static int save_in(struct catalogue *c, const struct run_record *run, int64_t *ret_id, struct error *err)
{
    int r = runs_find(c, run->uid, ret_id, err);
    if (r == 0)
        return update(c, *ret_id, run, err);
    if (r == ERROR_NOT_FOUND)
        r = insert(c, run, err);
    if (r == 0)
        *ret_id = sql_last_id(c->sql);
    return r;
}

int runs_save(struct catalogue *c, const struct run_record *run, int64_t *ret_id, struct error *err)
{
    int r = catalogue_begin(c, err);
    return r < 0 ? r : catalogue_end(c, save_in(c, run, ret_id, err), err);
}

int runs_begin(struct catalogue *c, const struct run_record *run, int64_t *ret_id, struct error *err)
{
    struct run_record new = *run;
    runs_complete(c->io, &new);
    new.state = RUN_RUNNING;
    new.ended_ns = 0;
    return runs_save(c, &new, ret_id, err);
}

int runs_find(struct catalogue *c, const char *uid, int64_t *ret_id, struct error *err)
{
    return sql_number(c->sql, "SELECT id FROM runs WHERE uid = ?1", SQL_VALUES(SQL_TEXT(uid)), ret_id, err);
}

int runs_phase(struct catalogue *c, int64_t id, const char *name, uint64_t duration_ns, struct error *err)
{
    return sql_do(c->sql, "INSERT INTO run_phases VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET duration_ns = excluded.duration_ns",
                  SQL_VALUES(SQL_I64(id), SQL_TEXT(name), SQL_I64(duration_ns)), err);
}

int runs_figure(struct catalogue *c, int64_t id, const char *name, uint64_t value, struct error *err)
{
    return sql_do(c->sql, "INSERT INTO run_figures VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET value = excluded.value",
                  SQL_VALUES(SQL_I64(id), SQL_TEXT(name), SQL_I64(value > INT64_MAX ? INT64_MAX : value)), err);
}

int runs_set_snapshot(struct catalogue *c, int64_t id, uint64_t snapshot, struct error *err)
{
    return sql_do(c->sql, "UPDATE runs SET snapshot = ?2 WHERE id = ?1", SQL_VALUES(SQL_I64(id), SQL_SOME(snapshot)), err);
}

int runs_note(struct catalogue *c, int64_t id, const char *note, struct error *err)
{
    return sql_do(c->sql, "UPDATE runs SET message = CASE WHEN message IS NULL THEN ?2 WHEN instr(message, ?2) = 1 THEN message ELSE ?2 || ': ' || message END WHERE id = ?1",
                  SQL_VALUES(SQL_I64(id), SQL_TEXT(note)), err);
}

int runs_end(struct catalogue *c, int64_t id, int exit_code, const char *message, struct error *err)
{
    return sql_do(c->sql, "UPDATE runs SET state = 'ended', ended_ns = ?2, exit_code = ?3, message = nullif(?4, '') WHERE id = ?1 AND state = 'running'",
                  SQL_VALUES(SQL_I64(id), SQL_I64(catalogue_now_ns(c)), SQL_I64(exit_code), SQL_TEXT(message)), err);
}

static int one(struct catalogue *c, const char *text, const struct sql_value *values, struct run_record *ret_run, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(c->sql, text, values, &s, err);
    if (r == 0)
        r = sql_next(s, err);
    if (r > 0)
        read_row(s, ret_run);
    return r == 0 ? ERROR_NOT_FOUND : r < 0 ? r : 0;
}

int runs_get(struct catalogue *c, int64_t id, struct run_record *ret_run, struct error *err)
{
    int r = one(c, "SELECT " COLUMNS " FROM runs WHERE id = ?1", SQL_VALUES(SQL_I64(id)), ret_run, err);
    return r == ERROR_NOT_FOUND ? error_set(err, r, "there is no run %lld; `bkd history` lists those there are", (long long)id) : r;
}

int runs_last(struct catalogue *c, const char *policy, const char *kind, bool only_successful, struct run_record *ret_run, struct error *err)
{
    int r = one(c, "SELECT " COLUMNS " FROM runs WHERE policy = ?1 AND kind = ?2 AND (?3 = 0 OR exit_code IN (0, 3)) ORDER BY started_ns DESC, id DESC LIMIT 1",
                SQL_VALUES(SQL_TEXT(policy), SQL_TEXT(kind), SQL_I64(only_successful)), ret_run, err);
    return r == ERROR_NOT_FOUND ? error_set(err, r, "policy %s has no %s%s yet", policy, only_successful ? "successful " : "", kind) : r;
}

static int visit_all(struct catalogue *c, const char *text, const struct sql_value *values, runs_visit_fn *visit, void *arg, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(c->sql, text, values, &s, err);
    while (r == 0 && (r = sql_next(s, err)) > 0) {
        struct run_record run;
        read_row(s, &run);
        r = visit(arg, &run, err);
    }
    return r;
}

// Only the conditions that are asked for, so that SQLite can choose its index.
int runs_list(struct catalogue *c, const struct runs_filter *filter, runs_visit_fn *visit, void *arg, struct error *err)
{
    _cleanup_buf_ struct buf text = { 0 };
    buf_add_str(&text, "SELECT " COLUMNS " FROM runs WHERE true");
    if (filter->policy != NULL)
        buf_add_str(&text, " AND policy = ?1");
    if (filter->kind != NULL)
        buf_add_str(&text, " AND kind = ?2");
    if (filter->since_ns != 0)
        buf_add_str(&text, " AND started_ns >= ?3");
    if (filter->until_ns != 0)
        buf_add_str(&text, " AND started_ns < ?4");
    if (filter->failed)
        buf_add_str(&text, " AND (state = 'killed' OR (state = 'ended' AND exit_code <> 0))");
    if (filter->running)
        buf_add_str(&text, " AND state = 'running'");
    if (filter->successful)
        buf_add_str(&text, " AND exit_code IN (0, 3)");
    buf_add_str(&text, " ORDER BY started_ns DESC, id DESC LIMIT coalesce(?5, -1)");
    return visit_all(c, buf_str(&text),
                     SQL_VALUES(SQL_TEXT(filter->policy), SQL_TEXT(filter->kind), SQL_SOME(filter->since_ns), SQL_SOME(filter->until_ns), SQL_SOME(filter->limit)),
                     visit, arg, err);
}

static int values_of(struct catalogue *c, const char *text, int64_t id, runs_value_fn *visit, void *arg, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(c->sql, text, SQL_VALUES(SQL_I64(id)), &s, err);
    while (r == 0 && (r = sql_next(s, err)) > 0)
        r = visit(arg, sql_str(s, 0), sql_u64(s, 1), err);
    return r;
}

int runs_phases(struct catalogue *c, int64_t id, runs_value_fn *visit, void *arg, struct error *err)
{
    return values_of(c, "SELECT name, duration_ns FROM run_phases WHERE run = ?1", id, visit, arg, err);
}

int runs_figures(struct catalogue *c, int64_t id, runs_value_fn *visit, void *arg, struct error *err)
{
    return values_of(c, "SELECT name, value FROM run_figures WHERE run = ?1", id, visit, arg, err);
}

int runs_series(struct catalogue *c, const char *policy, const char *kind, const char *figure, uint64_t limit, runs_point_fn *visit, void *arg, struct error *err)
{
    static const char text[] = "SELECT r.ended_ns, f.value FROM runs r JOIN run_figures f ON f.run = r.id AND f.name = ?3"
                               " WHERE r.policy = ?1 AND r.kind = ?2 AND r.ended_ns IS NOT NULL ORDER BY r.started_ns DESC LIMIT ?4";
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int more = 0, r = sql_query(c->sql, text, SQL_VALUES(SQL_TEXT(policy), SQL_TEXT(kind), SQL_TEXT(figure), SQL_I64(limit)), &s, err);
    while (r == 0 && (more = sql_next(s, err)) == 1)
        r = visit(arg, sql_u64(s, 0), sql_u64(s, 1), err);
    return r == 0 ? more : r;
}

int runs_failing(struct catalogue *c, const char *policy, const char *kind, uint64_t *ret_count, uint64_t *ret_since_ns, struct error *err)
{
    static const char text[] = "SELECT count(*), min(started_ns) FROM runs WHERE policy = ?1 AND kind = ?2 AND state <> 'running' AND exit_code IS NOT ?3 AND started_ns > coalesce(("
                               "SELECT started_ns FROM runs WHERE policy = ?1 AND kind = ?2 AND (snapshot > 0 OR exit_code IN (0, 3)) ORDER BY started_ns DESC LIMIT 1), 0)";
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(c->sql, text, SQL_VALUES(SQL_TEXT(policy), SQL_TEXT(kind), SQL_I64(error_exit_code(ERROR_BUSY))), &s, err);
    if (r == 0)
        r = sql_next(s, err);
    if (r < 0)
        return r;
    *ret_count = sql_u64(s, 0);
    *ret_since_ns = sql_u64(s, 1);
    return 0;
}

struct abandoned {
    struct catalogue *catalogue;
    runs_visit_fn *visit;
    void *arg;
};

static int end_if_gone(void *arg, const struct run_record *run, struct error *err)
{
    const struct abandoned *a = arg;
    if (process_is_alive(&run->process))
        return 0;
    char text[3 * CATALOGUE_NAME_MAX];
    (void)snprintf(text, sizeof text, "%s of %s is gone without an end: it was killed, or the host went down", run->kind, run->policy);
    struct event event = { .what = EVENT_HAPPENED, .kind = "run-killed", .policy = run->policy, .severity = SEVERITY_WARNING, .text = text, .run = run->id };
    int r = a->visit == NULL ? 0 : a->visit(a->arg, run, err);
    if (r == 0)
        r = events_append(a->catalogue, &event, NULL, err);
    if (r != 0)
        return r;
    return sql_do(a->catalogue->sql,
                  "UPDATE runs SET state = 'killed', ended_ns = max(started_ns, ?2), message = 'its process is gone without an end: killed, or the host went down' WHERE id = ?1",
                  SQL_VALUES(SQL_I64(run->id), SQL_I64(catalogue_now_ns(a->catalogue))), err);
}

int runs_abandoned(struct catalogue *c, runs_visit_fn *visit, void *arg, struct error *err)
{
    struct abandoned a = { .catalogue = c, .visit = visit, .arg = arg };
    struct runs_filter going = { .running = true };
    int64_t n = 0;
    int r = sql_number(c->sql, "SELECT count(*) FROM runs WHERE state = 'running'", SQL_NOTHING, &n, err);
    if (r == 0 && n == 0)
        return 0; // mostly so, and then no lock is needed
    if (r == 0)
        r = catalogue_begin(c, err);
    return r < 0 ? r : catalogue_end(c, runs_list(c, &going, end_if_gone, &a, err), err);
}

int runs_counts(struct catalogue *c, runs_count_fn *visit, void *arg, struct error *err)
{
    _cleanup_sql_statement_ struct sql_statement *s = NULL;
    int r = sql_query(c->sql,
                      "SELECT policy, kind, count(*) FILTER (WHERE exit_code = 0), count(*) FILTER (WHERE exit_code = 3), count(*) FILTER (WHERE exit_code NOT IN (0, 3)),"
                      " count(*) FILTER (WHERE state = 'killed'), count(*) FILTER (WHERE state = 'running') FROM runs GROUP BY policy, kind",
                      SQL_NOTHING, &s, err);
    while (r == 0 && (r = sql_next(s, err)) > 0) {
        struct runs_count count = { .policy = sql_str(s, 0), .kind = sql_str(s, 1), .done = sql_u64(s, 2), .incomplete = sql_u64(s, 3), .failed = sql_u64(s, 4),
                                    .killed = sql_u64(s, 5), .running = sql_u64(s, 6) };
        r = visit(arg, &count, err);
    }
    return r;
}
