#include "bkd/record/run_facts.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/json.h"
#include "bkd/record/events.h"
#include "bkd/record/policy_versions.h"

void run_facts_done(struct run_facts *facts)
{
    free(facts->policy_text);
    facts->policy_text = NULL;
}

static void copy_text(char *ret_text, size_t n, const char *text)
{
    size_t length = text == NULL ? 0 : strnlen(text, n - 1);
    if (length > 0)
        memcpy(ret_text, text, length);
    ret_text[length] = '\0';
}

void run_facts_add(struct run_facts *facts, bool is_phase, const char *name, uint64_t value)
{
    struct run_fact *fact = NULL;
    for (size_t i = 0; i < facts->n && fact == NULL; i++)
        if (facts->facts[i].is_phase == is_phase && strcmp(facts->facts[i].name, name) == 0)
            fact = &facts->facts[i];
    if (fact == NULL && facts->n < RUN_FACTS_MAX)
        fact = &facts->facts[facts->n++];
    if (fact == NULL)
        return;
    *fact = (struct run_fact){ .value = value, .is_phase = is_phase };
    copy_text(fact->name, sizeof fact->name, name);
}

// The snapshot that a backup made was there before the run had its end.
static int link_snapshot(struct catalogue *c, const struct run_record *run, int64_t id, struct error *err)
{
    if (run->snapshot == 0 || strcmp(run->kind, "backup") != 0)
        return 0;
    return sql_do(c->sql, "UPDATE snapshots SET run = ?1 WHERE run IS NULL AND policy = ?2 AND number = ?3 AND time_ns >= ?4",
                  SQL_VALUES(SQL_I64(id), SQL_TEXT(run->policy), SQL_I64(run->snapshot), SQL_I64(run->started_ns / 1000000000 * 1000000000)), err);
}

// Another run at work (6) is no failure of the policy: that run will tell.
static int append_end(struct catalogue *c, const struct run_record *run, int64_t id, struct error *err)
{
    static const struct {
        const char *kind;
        enum severity severity;
    } by_code[] = { { "run-done", SEVERITY_INFO }, { "run-failed", SEVERITY_WARNING }, { "run-failed", SEVERITY_WARNING }, { "run-incomplete", SEVERITY_WARNING },
                    { "run-failed", SEVERITY_CRITICAL }, { "run-failed", SEVERITY_WARNING }, { "run-busy", SEVERITY_INFO } };
    size_t code = run->exit_code >= 0 && (size_t)run->exit_code < sizeof by_code / sizeof *by_code ? (size_t)run->exit_code : 1;
    _cleanup_buf_ struct buf text = { 0 };
    buf_addf(&text, "%s of %s ended with %d%s%s", run->kind, run->policy, run->exit_code, run->message[0] == '\0' ? "" : ": ", run->message);
    struct event event = { .what = EVENT_HAPPENED, .kind = by_code[code].kind, .policy = run->policy, .severity = by_code[code].severity, .text = buf_str(&text), .run = id };
    return events_append(c, &event, NULL, err);
}

static int append_begin(struct catalogue *c, const struct run_record *run, int64_t id, struct error *err)
{
    _cleanup_free_ char *text = xasprintf("%s of %s began", run->kind, run->policy);
    struct event event = { .what = EVENT_HAPPENED, .kind = "run-started", .policy = run->policy, .severity = SEVERITY_INFO, .text = text, .run = id };
    return events_append(c, &event, NULL, err);
}

// What is new by saving it: its begin, its end, or nothing.
static int append_event(struct catalogue *c, const struct run_record *run, bool was_known, enum run_state was, int64_t id, struct error *err)
{
    if (run->state == RUN_ENDED)
        return was_known && was == RUN_ENDED ? 0 : append_end(c, run, id, err);
    return was_known ? 0 : append_begin(c, run, id, err);
}

static int find_before(struct catalogue *c, const struct run_record *run, bool *ret_known, struct run_record *ret_before, struct error *err)
{
    int64_t id = 0;
    int r = runs_find(c, run->uid, &id, err);
    *ret_known = r == 0;
    return r == ERROR_NOT_FOUND ? 0 : r < 0 ? r : runs_get(c, id, ret_before, err);
}

static int save_in(struct catalogue *c, const struct run_facts *facts, int64_t *ret_id, struct error *err)
{
    struct run_record run = facts->run;
    struct run_record before = { 0 };
    bool was_known = false;
    int r = find_before(c, &run, &was_known, &before, err);
    if (r == 0 && facts->policy_text != NULL)
        r = policy_versions_note(c, run.policy, facts->policy_text, &run.policy_version, err);
    if (r == 0 && run.host[0] != '\0')
        r = policy_versions_note_host(c, run.host, err);
    if (r == 0)
        r = runs_save(c, &run, ret_id, err);
    if (r == 0)
        r = link_snapshot(c, &run, *ret_id, err);
    for (size_t i = 0; r == 0 && i < facts->n; i++) {
        const struct run_fact *fact = &facts->facts[i];
        r = fact->is_phase ? runs_phase(c, *ret_id, fact->name, fact->value, err) : runs_figure(c, *ret_id, fact->name, fact->value, err);
    }
    return r < 0 ? r : append_event(c, &run, was_known, before.state, *ret_id, err);
}

int run_facts_save(struct catalogue *c, const struct run_facts *facts, int64_t *ret_id, struct error *err)
{
    int r = catalogue_begin(c, err);
    return r < 0 ? r : catalogue_end(c, save_in(c, facts, ret_id, err), err);
}

static void add_facts(struct json *json, const char *key, const struct run_facts *facts, bool phases)
{
    struct json *array = json_add_array(json, key);
    for (size_t i = 0; i < facts->n; i++) {
        if (facts->facts[i].is_phase != phases)
            continue;
        struct json *item = json_append_object(array);
        json_add_str(item, "name", facts->facts[i].name);
        json_add_u64(item, "value", facts->facts[i].value);
    }
}

void run_facts_format(const struct run_facts *facts, struct buf *ret_text)
{
    const struct run_record *run = &facts->run;
    _cleanup_json_ struct json *json = json_object_new();
    json_add_str(json, "uid", run->uid);
    json_add_str(json, "kind", run->kind);
    json_add_str(json, "policy", run->policy);
    json_add_str(json, "host", run->host);
    json_add_str(json, "trigger", run_trigger_name(run->trigger));
    json_add_u64(json, "slot_ns", run->slot_ns);
    json_add_u64(json, "attempt", run->attempt);
    json_add_u64(json, "pid", (uint64_t)run->process.pid);
    json_add_str(json, "boot_id", run->process.boot_id);
    json_add_u64(json, "process_start", run->process.start);
    json_add_u64(json, "started_ns", run->started_ns);
    if (run->state == RUN_ENDED) {
        json_add_u64(json, "ended_ns", run->ended_ns);
        json_add_u64(json, "exit_code", (uint64_t)run->exit_code);
        json_add_str(json, "message", run->message);
    }
    json_add_u64(json, "snapshot", run->snapshot);
    add_facts(json, "phases", facts, true);
    add_facts(json, "figures", facts, false);
    if (facts->policy_text != NULL)
        json_add_str(json, "policy_text", facts->policy_text);
    json_format(json, ret_text);
    buf_add_char(ret_text, '\n');
}

static void read_facts(const struct json *json, const char *key, bool phases, struct run_facts *facts)
{
    const struct json *array = json_get(json, key);
    for (size_t i = 0; array != NULL && i < json_length(array); i++) {
        const struct json *item = json_at(array, i);
        const char *name = item == NULL ? NULL : json_get_str(item, "name");
        uint64_t value;
        if (name != NULL && json_get_u64(item, "value", &value))
            run_facts_add(facts, phases, name, value);
    }
}

int run_facts_parse(const char *line, size_t n, struct run_facts *ret_facts, struct error *err)
{
    _cleanup_json_ struct json *json = NULL;
    struct run_facts facts = { 0 };
    struct run_record *run = &facts.run;
    int r = json_parse(line, n, &json, err);
    if (r < 0)
        return r;
    const char *trigger = json_get_str(json, "trigger"), *text = json_get_str(json, "policy_text");
    copy_text(run->uid, sizeof run->uid, json_get_str(json, "uid"));
    copy_text(run->kind, sizeof run->kind, json_get_str(json, "kind"));
    copy_text(run->policy, sizeof run->policy, json_get_str(json, "policy"));
    copy_text(run->host, sizeof run->host, json_get_str(json, "host"));
    copy_text(run->message, sizeof run->message, json_get_str(json, "message"));
    copy_text(run->process.boot_id, sizeof run->process.boot_id, json_get_str(json, "boot_id"));
    run->slot_ns = json_number(json, "slot_ns");
    run->attempt = (unsigned)json_number(json, "attempt");
    run->process.pid = (pid_t)json_number(json, "pid");
    run->process.start = json_number(json, "process_start");
    run->started_ns = json_number(json, "started_ns");
    run->ended_ns = json_number(json, "ended_ns");
    run->state = run->ended_ns == 0 ? RUN_RUNNING : RUN_ENDED;
    run->exit_code = run->ended_ns == 0 ? -1 : (int)json_number(json, "exit_code");
    run->snapshot = json_number(json, "snapshot");
    read_facts(json, "phases", true, &facts);
    read_facts(json, "figures", false, &facts);
    if (strlen(run->uid) != RUN_UID_MAX - 1 || run->kind[0] == '\0' || run->started_ns == 0 || trigger == NULL || !run_trigger_parse(trigger, &run->trigger))
        return error_set(err, ERROR_FORMAT, "it is no record of a run");
    facts.policy_text = text == NULL ? NULL : xstrdup(text);
    *ret_facts = facts;
    return 0;
}
