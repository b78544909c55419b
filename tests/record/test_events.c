// Alarms that open, change and clear, each with its event; the outbox; snapshots and where they are.
#include "tests/record/ledger.h"

#include "bkd/record/alarms.h"
#include "bkd/record/copies.h"
#include "bkd/record/deliveries.h"
#include "bkd/record/snapshots.h"
#include "bkd/record/verifications.h"

struct seen {
    char text[400];
};

static int see_event(void *arg, const struct event *event, struct error *err)
{
    struct seen *seen = arg;
    (void)err;
    (void)snprintf(seen->text + strlen(seen->text), sizeof seen->text - strlen(seen->text), "%s:%s:%s:%s ", event_what_name(event->what), event->kind,
                   severity_name(event->severity), event->text);
    return 0;
}

static void test_an_alarm(void **state)
{
    (void)state;
    struct error err;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    struct catalogue *c = &l.catalogue;
    struct alarm_raise alarm = { .kind = "rpo", .policy = "erp", .copy = "sftp://v/", .severity = SEVERITY_WARNING, .text = "old", .next_step = "bkd ship erp" };
    int64_t first = 0, second = 0;
    OK(alarms_raise(c, &alarm, &first, &err));
    l.now_ns += SECOND;
    alarm.text = "older";
    OK(alarms_raise(c, &alarm, &second, &err));
    assert_int_equal(first, second);
    alarm.severity = SEVERITY_CRITICAL;
    OK(alarms_raise(c, &alarm, NULL, &err));
    OK(alarms_raise(c, &(struct alarm_raise){ .kind = "disk", .severity = SEVERITY_WARNING, .text = "full" }, NULL, &err));
    OK(events_add(c, "run-failed", "erp", SEVERITY_WARNING, "no", &err));
    {
        _cleanup_alarms_ struct alarms all = { 0 }, host = { 0 };
        OK(alarms_active(c, NULL, &all, &err));
        assert_int_equal(all.n, 2);
        assert_string_equal(all.items[0].kind, "rpo");
        assert_string_equal(all.items[0].text, "older");
        assert_string_equal(all.items[0].next_step, "bkd ship erp");
        assert_true(all.items[0].last_seen_ns == all.items[0].opened_ns + SECOND);
        OK(alarms_active(c, "", &host, &err));
        assert_int_equal(host.n, 1);
    }
    bool was = false;
    OK(alarms_clear(c, "rpo", "erp", "sftp://v/", "fresh again", &was, &err));
    assert_true(was);
    OK(alarms_clear(c, "rpo", "erp", "sftp://v/", NULL, &was, &err));
    assert_false(was);
    struct seen seen = { 0 };
    OK(events_after(c, 0, 0, see_event, &seen, &err));
    assert_string_equal(seen.text, "opened:rpo:warning:old changed:rpo:critical:older opened:disk:warning:full happened:run-failed:warning:no "
                                   "cleared:rpo:critical:fresh again ");
    seen.text[0] = '\0';
    OK(events_after(c, 2, 1, see_event, &seen, &err));
    assert_string_equal(seen.text, "opened:disk:warning:full ");
    OK(alarms_raise(c, &alarm, &second, &err));
    assert_true(second > first); // a new one
}

static int see_delivery(void *arg, const struct delivery *delivery, struct error *err)
{
    (void)err;
    *(int64_t *)arg = delivery->id;
    return 0;
}

static void test_the_outbox(void **state)
{
    (void)state;
    struct error err;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    struct catalogue *c = &l.catalogue;
    int64_t id = 0, due = 0, event = 0;
    bool won = false;
    OK(events_append(c, &(struct event){ .what = EVENT_HAPPENED, .kind = "k", .text = "t" }, &event, &err));
    OK(deliveries_add(c, &(struct delivery){ .event = event, .channel = "mail" }, &id, &err));
    OK(deliveries_due(c, l.now_ns, 0, see_delivery, &due, &err));
    assert_int_equal(due, id);
    OK(deliveries_claim(c, id, l.now_ns, l.now_ns + 60 * SECOND, &won, &err));
    assert_true(won);
    OK(deliveries_claim(c, id, l.now_ns, l.now_ns + 60 * SECOND, &won, &err));
    assert_false(won);
    OK(deliveries_failed(c, id, l.now_ns + 5 * SECOND, "refused", &err));
    due = 0;
    OK(deliveries_due(c, l.now_ns, 0, see_delivery, &due, &err));
    assert_int_equal(due, 0);
    OK(deliveries_due(c, l.now_ns + 5 * SECOND, 0, see_delivery, &due, &err));
    assert_int_equal(due, id);
    OK(deliveries_sent(c, id, &err));
    assert_int_equal(ledger_number(&l, "SELECT count(*) FROM deliveries WHERE state = 'sent' AND tries = 2 AND last_error = ''"), 1);
    OK(deliveries_add(c, &(struct delivery){ .channel = "mail", .subject = "digest" }, &id, &err));
    OK(deliveries_failed(c, id, 0, "no such user", &err));
    assert_int_equal(ledger_number(&l, "SELECT count(*) FROM deliveries WHERE state = 'given-up' AND last_error = 'no such user'"), 1);
}

static int see_place(void *arg, int64_t copy, const char *url, const char *serial, uint64_t arrived_ns, uint64_t gone_ns, struct error *err)
{
    struct seen *seen = arg;
    (void)copy;
    (void)serial;
    (void)err;
    (void)snprintf(seen->text + strlen(seen->text), sizeof seen->text - strlen(seen->text), "%s:%llu:%d ", url, (unsigned long long)arrived_ns, gone_ns != 0);
    return 0;
}

static void test_snapshots_and_places(void **state)
{
    (void)state;
    struct error err;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    struct catalogue *c = &l.catalogue;
    int64_t near = 0, far = 0, again = 0, snapshot = 0;
    OK(copies_set(c, &(struct copy){ .policy = "p", .url = "/r", .role = COPY_REPOSITORY }, &near, &err));
    OK(copies_set(c, &(struct copy){ .policy = "p", .url = "sftp://v/", .role = COPY_OFFSITE, .failures = 2, .problem = "no route" }, &far, &err));
    OK(copies_set(c, &(struct copy){ .policy = "p", .url = "sftp://v/", .role = COPY_OFFSITE, .snapshot = 5 }, &again, &err));
    assert_int_equal(far, again);
    assert_int_equal(ledger_number(&l, "SELECT count(*) FROM copies WHERE problem IS NULL AND failures = 0"), 2);
    struct snapshot_record record = { .policy = "p", .chain = "00112233445566778899aabbccddeeff", .number = 5, .time_ns = 3, .files = 4 };
    OK(snapshots_add(c, &record, &snapshot, &err));
    record.tag = "t";
    OK(snapshots_add(c, &record, &again, &err));
    assert_int_equal(snapshot, again);
    OK(snapshots_arrived(c, snapshot, near, 10, &err));
    OK(snapshots_arrived(c, snapshot, near, 11, &err));
    OK(snapshots_arrived(c, snapshot, far, 12, &err));
    OK(snapshots_gone(c, snapshot, far, &err));
    struct seen seen = { 0 };
    OK(snapshots_places(c, snapshot, see_place, &seen, &err));
    assert_string_equal(seen.text, "/r:10:0 sftp://v/:12:1 ");
    OK(snapshots_arrived(c, snapshot, far, 13, &err));
    seen.text[0] = '\0';
    OK(snapshots_places(c, snapshot, see_place, &seen, &err));
    assert_string_equal(seen.text, "/r:10:0 sftp://v/:13:0 ");
    struct verification verification = { .uid = "u", .policy = "p", .snapshot = 5, .mode = "full", .is_proven = true };
    OK(verifications_add(c, &verification, &err));
    OK(verifications_add(c, &verification, &err));
    assert_int_equal(ledger_number(&l, "SELECT count(*) FROM verifications"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_alarm), cmocka_unit_test(test_the_outbox), cmocka_unit_test(test_snapshots_and_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
