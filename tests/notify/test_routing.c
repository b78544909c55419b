// The rules of who is told what, with a clock that runs through weeks in a moment.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "bkd/notify/ping.h"
#include "bkd/notify/routing.h"

#define SECOND UINT64_C(1000000000)
#define MINUTE (60 * SECOND)
#define MIDNIGHT (UINT64_C(1795564800) * SECOND) // 2026-11-25T00:00:00Z
#define CHANNELS 3

static const char *const channels[CHANNELS] = { "mail", "pager", "chat" };

// One alarm, what each channel was told of it, and what was said when: "+15 mail opened".
struct world {
    struct config config;
    struct policy_errors errors;
    struct alarm alarm;
    bool known; // there was one
    struct telling told[CHANNELS];
    bool has_told[CHANNELS];
    uint64_t minute; // since midnight of the first day
    char log[4000];
    size_t messages[CHANNELS];
    uint64_t last_at[CHANNELS]; // minute
    uint64_t closest[CHANNELS]; // least distance between "opened" messages
    uint64_t opened_at[CHANNELS];
};

static void begin(struct world *w, const char *routes)
{
    struct error err;
    _cleanup_free_ char *text = xasprintf("notify:\n  channels:\n    - {name: mail, type: email, server: s, to: a@b}\n    - {name: pager, type: command, command: [p]}\n"
                                          "    - {name: chat, type: webhook, url: \"https://c\"}\n  routes:\n%s", routes);
    *w = (struct world){ .closest = { UINT64_MAX, UINT64_MAX, UINT64_MAX } };
    if (config_parse("bkd.yaml", text, strlen(text), &w->config, &w->errors, &err) < 0)
        fail_msg("%s", err.text);
    w->alarm = (struct alarm){ .kind = (char *)"rpo", .policy = (char *)"erp", .copy = (char *)"", .cleared_ns = 1 };
}

static void end(struct world *w)
{
    config_done(&w->config);
    policy_errors_done(&w->errors);
}

static uint64_t now_ns(const struct world *w) { return MIDNIGHT + w->minute * MINUTE; }

static void open_alarm(struct world *w, enum severity severity)
{
    w->alarm.id++;
    w->alarm.severity = severity;
    w->alarm.opened_ns = now_ns(w);
    w->alarm.cleared_ns = w->alarm.acknowledged_ns = 0;
    w->known = true;
}

static void clear_alarm(struct world *w) { w->alarm.cleared_ns = now_ns(w); }

static void note(struct world *w, int c, enum message_what what)
{
    size_t used = strlen(w->log);
    if (used + 40 < sizeof w->log)
        (void)snprintf(w->log + used, sizeof w->log - used, "+%llu %s %s; ", (unsigned long long)w->minute, channels[c], message_what_name(what));
    if (what == MESSAGE_OPENED || what == MESSAGE_ESCALATED) {
        if (w->messages[c] > 0 && w->minute - w->opened_at[c] < w->closest[c] && w->opened_at[c] > 0)
            w->closest[c] = w->minute - w->opened_at[c];
        w->opened_at[c] = w->minute;
    }
    w->messages[c]++;
    w->last_at[c] = w->minute;
}

// What notify_deliver does with each alarm, once.
static void tick(struct world *w)
{
    struct routing_time now = { now_ns(w), (unsigned)(w->minute % 1440) };
    for (int c = 0; c < CHANNELS && w->known; c++) {
        const struct telling *last = w->has_told[c] ? &w->told[c] : NULL;
        struct routing_decision d = routing_alarm(&w->config.notify, channels[c], &w->alarm, last, &now);
        if (d.tell) {
            note(w, c, d.what);
            w->told[c] = routing_alarm_told(&w->config.notify, channels[c], &w->alarm, last, &d, &now);
            w->has_told[c] = true;
        }
    }
}

static void pass(struct world *w, uint64_t minutes)
{
    for (uint64_t i = 0; i < minutes; i++) {
        tick(w);
        w->minute++;
    }
}

static void test_repeat_and_escalation(void **state)
{
    (void)state;
    struct world w;
    begin(&w, "    - {to: mail, repeat: 4h, escalate: {after: 1h, to: pager}}\n    - {to: chat, severity: critical}\n");
    pass(&w, 10);
    open_alarm(&w, SEVERITY_WARNING);
    pass(&w, 600);
    clear_alarm(&w);
    pass(&w, 3 * 1440);
    assert_string_equal(w.log, "+10 mail opened; +70 pager escalated; +250 mail reminder; +310 pager reminder; +490 mail reminder; +550 pager reminder; "
                               "+610 mail over; +610 pager over; ");
    end(&w);
}

static void test_acknowledged(void **state)
{
    (void)state;
    struct world w;
    begin(&w, "    - {to: mail, repeat: 4h, escalate: {after: 1h, to: pager}}\n");
    open_alarm(&w, SEVERITY_WARNING);
    pass(&w, 30);
    w.alarm.acknowledged_ns = now_ns(&w);
    pass(&w, 1440);
    w.alarm.acknowledged_ns = 0; // as the catalogue does when it gets worse
    w.alarm.severity = SEVERITY_CRITICAL;
    pass(&w, 10);
    w.alarm.severity = SEVERITY_WARNING;
    pass(&w, 100);
    clear_alarm(&w);
    pass(&w, 1440);
    assert_string_equal(w.log, "+0 mail opened; +1470 mail changed; +1470 pager escalated; +1485 mail changed; +1485 pager changed; +1580 mail over; +1580 pager over; ");
    end(&w);
}

static void test_less_than_the_route_wants(void **state)
{
    (void)state;
    struct world w;
    begin(&w, "    - {to: pager, severity: critical, repeat: 1h}\n    - {to: mail, policies: [web, \"db*\"]}\n");
    open_alarm(&w, SEVERITY_WARNING);
    pass(&w, 10);
    w.alarm.severity = SEVERITY_CRITICAL;
    pass(&w, 70);
    w.alarm.severity = SEVERITY_WARNING; // the pager does not care any more, but was told otherwise
    pass(&w, 200);
    clear_alarm(&w);
    pass(&w, 10);
    assert_string_equal(w.log, "+10 pager opened; +70 pager reminder; +85 pager changed; +280 pager over; ");
    end(&w);
}

static void test_quiet_hours(void **state)
{
    (void)state;
    struct world w;
    begin(&w, "    - {to: mail, quiet: \"22:00-07:00\", repeat: 6h}\n");
    w.minute = 23 * 60;
    open_alarm(&w, SEVERITY_WARNING);
    pass(&w, 9 * 60); // until 08:00
    clear_alarm(&w);
    pass(&w, 16 * 60); // until midnight
    open_alarm(&w, SEVERITY_WARNING); // comes and goes in the night: nothing
    pass(&w, 60);
    clear_alarm(&w);
    pass(&w, 12 * 60);
    open_alarm(&w, SEVERITY_WARNING); // told at 13:00, over in the night: told in the morning
    pass(&w, 10 * 60);
    clear_alarm(&w);
    pass(&w, 12 * 60);
    assert_string_equal(w.log, "+1860 mail opened; +1920 mail over; +3660 mail opened; +4020 mail reminder; +4740 mail over; ");
    w.log[0] = '\0';
    w.minute = 10 * 1440 + 60; // 01:00
    open_alarm(&w, SEVERITY_CRITICAL);
    pass(&w, 60);
    clear_alarm(&w);
    pass(&w, 10);
    assert_string_equal(w.log, "+14460 mail opened; +14520 mail over; ");
    end(&w);
}

// Two weeks of coming and going every two minutes are a few dozen messages, and the last one says that it is over.
static void test_flapping(void **state)
{
    (void)state;
    struct world w;
    begin(&w, "    - {to: mail}\n");
    for (int i = 0; i < 14 * 1440 / 4; i++) {
        open_alarm(&w, SEVERITY_WARNING);
        pass(&w, 2);
        clear_alarm(&w);
        pass(&w, 2);
    }
    print_message("%zu messages, openings at least %llu min apart\n", w.messages[0], (unsigned long long)w.closest[0]);
    assert_true(w.messages[0] > 20 && w.messages[0] <= 2 * (14 * 6 + 6));
    assert_true(w.closest[0] >= 15);
    assert_false(w.told[0].stands);
    pass(&w, 3 * 1440); // calm: the next one is told at once
    uint64_t at = w.minute;
    open_alarm(&w, SEVERITY_WARNING);
    pass(&w, 1);
    assert_int_equal(w.last_at[0], at);
    end(&w);
}

static uint64_t draw(uint64_t *seed, uint64_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*seed >> 33) % below;
}

// Whatever happens in three weeks: what stands for half a day was told to whom a route without quiet hours names, whoever was told hears the end of it, and
// nobody hears more of one thing than a few times an hour.
static void test_any_history(void **state)
{
    (void)state;
    static const char *const routes[] = {
        "    - {to: [mail, chat], repeat: 1h}\n    - {to: pager, severity: critical}\n",
        "    - {to: mail, severity: info, quiet: \"21:30-06:10\"}\n    - {to: chat, escalate: {after: 30min, to: pager}}\n",
        "    - {to: chat, policies: \"e*\", severity: warning, repeat: 5min}\n    - {to: mail, severity: info, escalate: {after: 10min, to: [chat, pager]}}\n",
    };
    for (uint64_t run = 0; run < 60; run++) {
        struct world w;
        uint64_t seed = run + 1, since = 0, in_hour[CHANNELS] = { 0 }, before[CHANNELS] = { 0 };
        bool stands = false;
        begin(&w, routes[run % 3]);
        while (w.minute < 21 * 1440) {
            pass(&w, 1);
            if (draw(&seed, run % 2 ? 7 : 400) == 0) {
                stands = !stands;
                if (stands)
                    open_alarm(&w, (enum severity)draw(&seed, 3));
                else
                    clear_alarm(&w);
            } else if (stands && draw(&seed, 300) == 0) {
                w.alarm.severity = (enum severity)draw(&seed, 3);
            }
            if (!stands || w.alarm.severity < SEVERITY_WARNING)
                since = w.minute;
            if (w.minute - since > 720 && run % 3 != 1)
                assert_true(w.has_told[2] && w.told[2].stands); // chat
            for (int c = 0; c < CHANNELS && w.minute % 60 == 0; c++) {
                in_hour[c] = w.messages[c] - before[c];
                before[c] = w.messages[c];
                assert_true(in_hour[c] <= 20);
            }
        }
        if (stands)
            clear_alarm(&w);
        pass(&w, 1440);
        for (int c = 0; c < CHANNELS; c++)
            assert_false(w.has_told[c] && w.told[c].stands);
        end(&w);
    }
}

// A channel that fails is not told so itself; and what belongs to no policy reaches only routes for all.
static void test_host_and_channel(void **state)
{
    (void)state;
    struct world w;
    begin(&w, "    - {to: [mail, pager]}\n    - {to: chat, policies: \"*\"}\n");
    w.alarm.kind = (char *)ROUTING_CHANNEL_ALARM;
    w.alarm.policy = (char *)"";
    w.alarm.copy = (char *)"mail";
    open_alarm(&w, SEVERITY_WARNING);
    pass(&w, 10);
    assert_string_equal(w.log, "+0 pager opened; ");
    end(&w);
}

// Recovery plans have routes of their own.
static void test_plans(void **state)
{
    (void)state;
    struct world w;
    begin(&w, "    - {to: mail, plans: \"e*\"}\n    - {to: pager, policies: \"e*\"}\n    - {to: chat, policies: web, plans: [other, erp]}\n");
    open_alarm(&w, SEVERITY_WARNING); // of policy erp
    pass(&w, 1);
    clear_alarm(&w);
    pass(&w, 1);
    w.alarm.kind = (char *)"plan-waiting";
    w.alarm.policy = (char *)"";
    w.alarm.copy = (char *)"erp";
    open_alarm(&w, SEVERITY_WARNING);
    pass(&w, 1);
    clear_alarm(&w);
    pass(&w, 1);
    w.alarm.kind = (char *)"clock"; // of no plan, whatever its copy
    open_alarm(&w, SEVERITY_WARNING);
    pass(&w, 10);
    assert_string_equal(w.log, "+0 pager opened; +1 pager over; +2 mail opened; +2 chat opened; +3 mail over; +3 chat over; ");
    end(&w);
}

// Events: all for a log, else thinned out and counted; in quiet hours they wait.
static void test_events(void **state)
{
    (void)state;
    struct world w;
    begin(&w, "    - {to: [mail, pager], severity: info}\n    - {to: chat, quiet: \"00:00-06:00\"}\n");
    struct event event = { .what = EVENT_HAPPENED, .kind = "run-failed", .policy = "erp", .copy = "", .severity = SEVERITY_WARNING, .text = "" };
    size_t told = 0, of_log = 0;
    uint64_t wait;
    bool counts;
    for (; w.minute < 7 * 1440; w.minute++) {
        struct routing_time now = { now_ns(&w), (unsigned)(w.minute % 1440) };
        const struct telling *last = w.has_told[0] ? &w.told[0] : NULL;
        struct routing_decision d = routing_event(&w.config.notify, "mail", false, &event, last, &now, &wait, &counts);
        assert_true(d.tell != counts);
        told += d.tell;
        if (d.tell && w.minute > 0)
            assert_true(last->unsaid >= 14);
        w.told[0] = routing_event_told(&w.config.notify, "mail", &event, last, d.tell, &now);
        w.has_told[0] = true;
        of_log += routing_event(&w.config.notify, "pager", true, &event, last, &now, &wait, &counts).tell;
    }
    print_message("%zu of %zu told\n", told, of_log);
    assert_int_equal(of_log, 7 * 1440);
    assert_true(told > 30 && told <= 7 * 6 + 6);
    struct routing_time night = { MIDNIGHT + 90 * MINUTE, 90 }, noon = { MIDNIGHT + 720 * MINUTE, 720 };
    assert_true(routing_event(&w.config.notify, "chat", false, &event, NULL, &night, &wait, &counts).tell);
    assert_true(wait == 270 * MINUTE);
    assert_true(routing_event(&w.config.notify, "chat", false, &event, NULL, &noon, &wait, &counts).tell);
    assert_true(wait == 0);
    event.severity = SEVERITY_INFO;
    assert_false(routing_event(&w.config.notify, "chat", false, &event, NULL, &noon, &wait, &counts).tell);
    event.kind = ROUTING_ANNOUNCEMENT; // for people, whatever the route's severity; but not at night
    assert_true(routing_event(&w.config.notify, "chat", false, &event, NULL, &noon, &wait, &counts).tell && wait == 0);
    assert_true(routing_event(&w.config.notify, "chat", false, &event, NULL, &night, &wait, &counts).tell && wait == 270 * MINUTE);
    event.kind = PING_RUN_STARTED;
    assert_false(routing_event(&w.config.notify, "mail", false, &event, NULL, &noon, &wait, &counts).tell);
    assert_true(routing_event(&w.config.notify, "mail", true, &event, NULL, &noon, &wait, &counts).tell);
    end(&w);
}

static void test_times(void **state)
{
    (void)state;
    assert_int_equal(routing_last_minute(86400 * 5 + 420 * 60, 420), 86400 * 5 + 420 * 60);
    assert_int_equal(routing_last_minute(86400 * 5 + 420 * 60 - 1, 420), 86400 * 4 + 420 * 60);
    assert_int_equal(routing_last_minute(86400 * 5 + 86399, 420), 86400 * 5 + 420 * 60);
    static const unsigned minutes[] = { 1, 1, 2, 4, 8, 16, 32, 60, 60 };
    for (unsigned i = 0; i < sizeof minutes / sizeof *minutes; i++)
        assert_int_equal(routing_backoff_ns(i), minutes[i] * MINUTE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repeat_and_escalation), cmocka_unit_test(test_acknowledged), cmocka_unit_test(test_less_than_the_route_wants),
        cmocka_unit_test(test_quiet_hours), cmocka_unit_test(test_flapping), cmocka_unit_test(test_any_history), cmocka_unit_test(test_host_and_channel), cmocka_unit_test(test_plans),
        cmocka_unit_test(test_events), cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
