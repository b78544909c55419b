// From alarms and events to somebody who was told: the catalogue, the plan and the outbox together, with commands as channels and a clock that the test sets.
#include "tests/record/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bkd/base/fs.h"
#include "bkd/base/json.h"
#include "bkd/notify/outbox.h"
#include "bkd/notify/plan.h"
#include "bkd/record/alarms.h"
#include "bkd/record/deliveries.h"
#include "bkd/record/events.h"
#include "bkd/record/runs.h"
#include "bkd/record/watch_state.h"

#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

// Channel NAME appends each message as a JSON line to DIR/NAME, and fails while DIR/NAME.down is there.
struct office {
    struct ledger ledger;
    struct config config;
    struct policy_errors errors;
    struct zone *zone;
    char *text;
};

static void begin(struct office *o, const char *rules)
{
    struct error err;
    *o = (struct office){ 0 };
    ledger_open(&o->ledger);
    const char *dir = o->ledger.scratch.dir;
    o->text = xasprintf("timezone: UTC\nnotify:\n  channels:\n"
                        "    - {name: mail, type: command, command: [sh, -c, \"test ! -e %s/mail.down || { echo it is down; exit 1; }; cat >>%s/mail\"]}\n"
                        "    - {name: chat, type: command, command: [sh, -c, \"test ! -e %s/chat.down || { echo it is down; exit 1; }; cat >>%s/chat\"]}\n%s",
                        dir, dir, dir, dir, rules);
    if (config_parse("bkd.yaml", o->text, strlen(o->text), &o->config, &o->errors, &err) < 0)
        fail_msg("%s", err.text);
    OK(zone_open(io_real(), ZONE_DIRECTORY, "UTC", &o->zone, &err));
}

static void end(struct office *o)
{
    zone_free(&o->zone);
    config_done(&o->config);
    policy_errors_done(&o->errors);
    free(o->text);
    ledger_done(&o->ledger);
}
#define _cleanup_office_ __attribute__((cleanup(end)))

// One tick.
static void deliver(struct office *o)
{
    struct error err;
    static const char *const policies[] = { "erp", "web" };
    struct plan plan = { .config = &o->config, .catalogue = &o->ledger.catalogue, .zone = o->zone, .host = "web1", .policies = policies, .policy_count = 2,
                         .now_ns = o->ledger.now_ns };
    struct outbox outbox = { .io = &o->ledger.io, .config_dir = o->ledger.scratch.dir, .config = &o->config, .host = "web1", .catalogue = &o->ledger.catalogue,
                             .budget_ms = 60000 };
    struct outbox_result result = { .more = true };
    for (int i = 0; i < 2 && (result.more || result.alarms_changed); i++) {
        OK(plan_messages(&plan, &err));
        OK(outbox_send(&outbox, &result, &err));
    }
}

static void down(struct office *o, const char *channel, bool is_down)
{
    _cleanup_free_ char *path = xasprintf("%s/%s.down", o->ledger.scratch.dir, channel);
    struct error err;
    if (is_down)
        OK(fs_replace_file(io_real(), AT_FDCWD, path, 0600, "", 0, &err));
    else
        assert_int_equal(unlink(path), 0);
}

// "what:kind:severity " of each message that a channel got, and "(late)" behind those that say so.
static void got(const struct office *o, const char *channel, struct buf *ret_text)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", o->ledger.scratch.dir, channel);
    _cleanup_buf_ struct buf all = { 0 };
    struct error err;
    if (fs_read_file(io_real(), AT_FDCWD, path, 1u << 22, &all, &err) < 0)
        return;
    for (char *line = (char *)all.data, *lf; line != NULL && (lf = strchr(line, '\n')) != NULL; line = lf + 1) {
        _cleanup_json_ struct json *json = NULL;
        uint64_t late = 0;
        OK(json_parse(line, (size_t)(lf - line), &json, &err));
        buf_addf(ret_text, "%s:%s:%s%s ", json_get_str(json, "what"), json_get_str(json, "kind"), json_get_str(json, "severity"),
                 json_get_u64(json, "late_ms", &late) ? "(late)" : "");
    }
}

static void assert_got(const struct office *o, const char *channel, const char *wanted)
{
    _cleanup_buf_ struct buf text = { 0 };
    got(o, channel, &text);
    assert_string_equal(buf_str(&text), wanted);
}

static const struct alarm_raise rpo = { .kind = "rpo", .policy = "erp", .severity = SEVERITY_WARNING, .text = "old", .next_step = "bkd backup erp" };

static void test_told_once_and_well_again(void **state)
{
    (void)state;
    struct error err;
    _cleanup_office_ struct office o;
    begin(&o, "  routes: [{to: [mail, chat]}]\n");
    struct catalogue *c = &o.ledger.catalogue;
    for (int i = 0; i < 30; i++) {
        OK(alarms_raise(c, &rpo, NULL, &err)); // as each evaluation does
        deliver(&o);
        o.ledger.now_ns += MINUTE;
    }
    assert_got(&o, "mail", "opened:rpo:warning ");
    OK(alarms_clear(c, "rpo", "erp", NULL, NULL, NULL, &err));
    deliver(&o);
    deliver(&o);
    assert_got(&o, "mail", "opened:rpo:warning over:rpo:warning ");
    assert_got(&o, "chat", "opened:rpo:warning over:rpo:warning ");
}

// Nobody looked while it stood: it is told as something that was.
static void test_began_and_ended_between_looks(void **state)
{
    (void)state;
    struct error err;
    _cleanup_office_ struct office o;
    begin(&o, "  routes: [{to: mail}, {to: chat, severity: critical}]\n");
    struct catalogue *c = &o.ledger.catalogue;
    for (int i = 0; i < 20; i++) { // ten times in a minute
        if (i % 2 == 0)
            OK(alarms_raise(c, &rpo, NULL, &err));
        else
            OK(alarms_clear(c, "rpo", "erp", NULL, NULL, NULL, &err));
        o.ledger.now_ns += 3 * SECOND;
    }
    deliver(&o);
    deliver(&o);
    assert_got(&o, "mail", "happened:rpo:warning ");
    assert_got(&o, "chat", "");
    o.ledger.now_ns += 5 * HOUR;
    OK(alarms_raise(c, &rpo, NULL, &err));
    deliver(&o); // seen: what follows is told by its state
    OK(alarms_clear(c, "rpo", "erp", NULL, NULL, NULL, &err));
    OK(alarms_raise(c, &rpo, NULL, &err));
    OK(alarms_clear(c, "rpo", "erp", NULL, NULL, NULL, &err));
    deliver(&o);
    assert_got(&o, "mail", "happened:rpo:warning opened:rpo:warning over:rpo:warning ");
}

static void test_events_and_alarms_of_one_thing(void **state)
{
    (void)state;
    struct error err;
    _cleanup_office_ struct office o;
    begin(&o, "  routes: [{to: mail}, {to: chat, severity: info}]\n");
    struct catalogue *c = &o.ledger.catalogue;
    OK(events_add(c, "run-done", "web", SEVERITY_INFO, "done", &err));
    OK(events_add(c, "run-failed", "erp", SEVERITY_WARNING, "no", &err)); // its alarm says it better
    OK(alarms_raise(c, &(struct alarm_raise){ .kind = "run-failed", .policy = "erp", .severity = SEVERITY_WARNING, .text = "no" }, NULL, &err));
    OK(events_add(c, "run-failed", "web", SEVERITY_WARNING, "no", &err)); // of another policy: there is none
    deliver(&o);
    assert_got(&o, "mail", "opened:run-failed:warning happened:run-failed:warning ");
    assert_got(&o, "chat", "opened:run-failed:warning happened:run-done:info happened:run-failed:warning ");
}

static void test_kept_and_retried(void **state)
{
    (void)state;
    struct error err;
    _cleanup_office_ struct office o;
    begin(&o, "  routes: [{to: [mail, chat]}]\n");
    struct catalogue *c = &o.ledger.catalogue;
    down(&o, "mail", true);
    OK(alarms_raise(c, &rpo, NULL, &err));
    deliver(&o);
    assert_int_equal(ledger_number(&o.ledger, "SELECT tries FROM deliveries WHERE channel = 'mail'"), 1);
    deliver(&o); // not before a minute has passed
    assert_int_equal(ledger_number(&o.ledger, "SELECT tries FROM deliveries WHERE channel = 'mail'"), 1);
    for (int i = 0; i < 130; i++) {
        o.ledger.now_ns += MINUTE;
        deliver(&o);
    }
    assert_int_equal(ledger_number(&o.ledger, "SELECT tries FROM deliveries WHERE channel = 'mail'"), 8); // after 0, 1, 3, 7, 15, 31, 63, 123 minutes
    assert_got(&o, "chat", "opened:rpo:warning opened:channel:warning ");
    OK(events_add(c, "run-failed", "web", SEVERITY_WARNING, "no", &err)); // a new one does not hammer the channel
    deliver(&o);
    assert_int_equal(ledger_number(&o.ledger, "SELECT sum(tries) FROM deliveries WHERE channel = 'mail'"), 8);
    down(&o, "mail", false);
    for (int i = 0; i < 60; i++) {
        o.ledger.now_ns += MINUTE;
        deliver(&o);
    }
    assert_got(&o, "mail", "opened:rpo:warning(late) happened:run-failed:warning(late) ");
    assert_got(&o, "chat", "opened:rpo:warning opened:channel:warning happened:run-failed:warning over:channel:warning ");
    assert_int_equal(ledger_number(&o.ledger, "SELECT count(*) FROM deliveries WHERE state <> 'sent'"), 0);
}

static void test_bounded(void **state)
{
    (void)state;
    struct error err;
    _cleanup_office_ struct office o;
    begin(&o, "  routes: [{to: chat}]\n");
    struct catalogue *c = &o.ledger.catalogue;
    down(&o, "chat", true);
    for (int i = 0; i < 260; i++) {
        _cleanup_free_ char *policy = xasprintf("p%d", i);
        OK(events_add(c, "run-failed", policy, SEVERITY_WARNING, "no", &err));
        if (i % 20 == 19)
            deliver(&o);
        assert_true(ledger_number(&o.ledger, "SELECT count(*) FROM deliveries WHERE state = 'waiting'") <= (int64_t)PLAN_WAITING_MAX);
        o.ledger.now_ns += MINUTE;
    }
    down(&o, "chat", false);
    o.ledger.now_ns += 2 * HOUR;
    deliver(&o);
    deliver(&o);
    _cleanup_buf_ struct buf text = { 0 };
    got(&o, "chat", &text);
    size_t messages = 0, summaries = 0;
    for (const char *s = buf_str(&text); (s = strstr(s, "run-failed")) != NULL; s++)
        messages++;
    for (const char *s = buf_str(&text); (s = strstr(s, "summary:")) != NULL; s++)
        summaries++;
    int64_t told_of = ledger_number(&o.ledger, "SELECT sum(CAST(body AS INTEGER)) FROM deliveries WHERE what = 'summary' AND state = 'sent'");
    print_message("%zu messages, %zu summaries of %lld\n", messages, summaries / 2, (long long)told_of);
    assert_true(summaries > 0);
    assert_int_equal((int64_t)messages + told_of, 260);
}

static void add_run(struct office *o, int exit_code)
{
    struct error err;
    int64_t id = 0;
    OK(runs_begin(&o->ledger.catalogue, &(struct run_record){ .kind = "backup", .policy = "erp" }, &id, &err));
    OK(runs_end(&o->ledger.catalogue, id, exit_code, exit_code ? "disk full" : "", &err));
}

static int take_body(void *arg, const struct delivery *d, struct error *err)
{
    struct buf *all = arg;
    (void)err;
    if (strcmp(d->what, "digest") == 0)
        buf_addf(all, "%s\n%s\n", d->subject, d->body);
    return 0;
}

static void test_digest(void **state)
{
    (void)state;
    struct error err;
    _cleanup_office_ struct office o;
    begin(&o, "  digest: {to: mail, at: \"07:00\"}\n");
    struct catalogue *c = &o.ledger.catalogue;
    o.ledger.now_ns = UINT64_C(1795590000) * SECOND; // 2026-11-25T07:00:00Z
    deliver(&o);                                     // the first comes tomorrow
    add_run(&o, 0);
    add_run(&o, 1);
    int64_t drill = 0;
    OK(runs_begin(c, &(struct run_record){ .kind = "drill", .policy = "move" }, &drill, &err)); // a recovery plan is no policy
    OK(runs_end(c, drill, 0, "", &err));
    OK(alarms_raise(c, &rpo, NULL, &err));
    for (int i = 0; i < 4 * 24; i++) { // four days by the hour: four digests
        o.ledger.now_ns += HOUR;
        deliver(&o);
        deliver(&o);
    }
    assert_got(&o, "mail", "digest:digest:info digest:digest:info digest:digest:info digest:digest:info ");
    OK(watch_state_note(c, "erp", WATCH_NOT_PROTECTED, &err));
    OK(watch_state_note(c, "web", WATCH_AT_RISK, &err));
    OK(watch_state_note(c, "web", WATCH_PROTECTED, &err));
    o.ledger.now_ns += 3 * 24 * HOUR + 2 * HOUR; // off for three days: one, late
    deliver(&o);
    assert_int_equal(ledger_number(&o.ledger, "SELECT count(*) FROM deliveries WHERE what = 'digest'"), 5);
    _cleanup_buf_ struct buf bodies = { 0 };
    OK(deliveries_list(c, 0, take_body, &bodies, &err)); // the newest first
    const char *first = strstr(buf_str(&bodies), "[bkd web1] digest: 1 of 2 policies NOT PROTECTED, 1 of 2 policies AT RISK, 3 runs, 1 failed\n");
    assert_non_null(first);
    assert_non_null(strstr(first, "2026-11-25T07:00:00Z to 2026-11-26T07:00:00Z"));
    assert_non_null(strstr(first, "Policies\n"
                                  "  web                  NOT PROTECTED no good backup on record; nothing ran\n"
                                  "  erp                  AT RISK       last good backup 24 h 0 min ago; 1 good, 1 FAILED\n"
                                  "  move                 -             1 good\n\n"));
    assert_non_null(strstr(first, "  1 warning erp: old (since 2026-11-25T07:00:00Z)\n      what to do: bkd backup erp\n"));
    const char *newest = buf_str(&bodies);
    assert_non_null(strstr(newest, "[bkd web1] digest: 1 of 2 policies NOT PROTECTED, nothing ran\n"));
    assert_non_null(strstr(newest, "  web                  PROTECTED     no good backup on record; nothing ran\n"));
    assert_non_null(strstr(newest, "2026-11-29T07:00:00Z to 2026-12-02T09:00:00Z"));
    assert_non_null(strstr(newest, "Nothing happened in this time."));
}

// Two processes at once: each message goes out once.
static void test_two_at_once(void **state)
{
    (void)state;
    struct error err;
    _cleanup_office_ struct office o;
    begin(&o, "  routes: [{to: mail}]\n");
    for (int i = 0; i < 8; i++) {
        _cleanup_free_ char *policy = xasprintf("p%d", i);
        OK(events_add(&o.ledger.catalogue, "run-failed", policy, SEVERITY_WARNING, "no", &err));
    }
    pid_t child = fork();
    if (child == 0) {
        OK(catalogue_open(&o.ledger.io, o.ledger.scratch.dir, CATALOGUE_WRITE, &o.ledger.catalogue, &err));
        deliver(&o);
        _exit(0);
    }
    deliver(&o);
    assert_true(child > 0 && waitpid(child, NULL, 0) == child);
    deliver(&o);
    _cleanup_buf_ struct buf text = { 0 };
    got(&o, "mail", &text);
    assert_int_equal(text.len, 8 * strlen("happened:run-failed:warning "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_told_once_and_well_again), cmocka_unit_test(test_began_and_ended_between_looks), cmocka_unit_test(test_events_and_alarms_of_one_thing),
        cmocka_unit_test(test_kept_and_retried), cmocka_unit_test(test_bounded), cmocka_unit_test(test_digest), cmocka_unit_test(test_two_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
