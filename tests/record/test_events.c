// Alarms that open, change and clear, each with its event; the outbox; snapshots and where they are.
#include "tests/record/ledger.h"

#include "bkd/record/alarms.h"
#include "bkd/record/copies.h"
#include "bkd/record/deliveries.h"
#include "bkd/record/snapshots.h"
#include "bkd/record/tellings.h"
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

// Who knows is not told again, until it gets worse.
static void test_acknowledgement(void **state)
{
    (void)state;
    struct error err;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    struct catalogue *c = &l.catalogue;
    struct alarm_raise alarm = { .kind = "rpo", .policy = "erp", .severity = SEVERITY_WARNING, .text = "old" };
    int64_t id = 0;
    OK(alarms_raise(c, &alarm, &id, &err));
    OK(alarms_acknowledge(c, id, "ann", &err));
    OK(alarms_raise(c, &alarm, NULL, &err)); // the same again changes nothing
    for (int worse = 0; worse < 2; worse++) {
        _cleanup_alarms_ struct alarms found = { 0 };
        OK(alarms_get(c, id, &found, &err));
        assert_int_equal(found.n, 1);
        assert_string_equal(found.items[0].acknowledged_by, worse ? "" : "ann");
        assert_int_equal(found.items[0].acknowledged_ns, worse ? 0 : l.now_ns);
        alarm.severity = SEVERITY_CRITICAL;
        OK(alarms_raise(c, &alarm, NULL, &err));
    }
    OK(alarms_clear(c, "rpo", "erp", NULL, NULL, NULL, &err));
    assert_int_equal(alarms_acknowledge(c, id, "ann", &err), ERROR_NOT_FOUND);
    _cleanup_alarms_ struct alarms gone = { 0 }, none = { 0 };
    OK(alarms_get(c, id, &gone, &err));
    assert_int_equal(gone.items[0].cleared_ns, l.now_ns);
    assert_int_equal(alarms_get(c, id + 1, &none, &err), ERROR_NOT_FOUND);
}

static int see_telling(void *arg, const struct telling *t, struct error *err)
{
    struct seen *seen = arg;
    (void)err;
    (void)snprintf(seen->text + strlen(seen->text), sizeof seen->text - strlen(seen->text), "%s:%s:%s:%s:%d:%lld:%s:%d:%llu:%llu:%llu ", t->channel, t->kind, t->policy, t->copy,
                   t->of_event, (long long)t->alarm, severity_name(t->severity), t->stands, (unsigned long long)t->told_ns, (unsigned long long)t->flaps,
                   (unsigned long long)t->unsaid);
    return 0;
}

static void test_tellings(void **state)
{
    (void)state;
    struct error err;
    _cleanup_ledger_ struct ledger l;
    ledger_open(&l);
    struct catalogue *c = &l.catalogue;
    struct telling t = { .channel = "mail", .kind = "rpo", .policy = "erp", .copy = "", .alarm = 3, .severity = SEVERITY_WARNING, .stands = true, .told_ns = 5 };
    OK(tellings_set(c, &t, &err));
    t.of_event = true;
    t.unsaid = 4;
    OK(tellings_set(c, &t, &err));
    t = (struct telling){ .channel = "mail", .kind = "rpo", .policy = "erp", .severity = SEVERITY_CRITICAL, .told_ns = 6, .flaps = 2 };
    OK(tellings_set(c, &t, &err));
    struct seen seen = { 0 };
    OK(tellings_list(c, see_telling, &seen, &err));
    assert_string_equal(seen.text, "mail:rpo:erp::0:0:critical:0:6:2:0 mail:rpo:erp::1:3:warning:1:5:0:4 ");
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
        cmocka_unit_test(test_an_alarm), cmocka_unit_test(test_acknowledgement), cmocka_unit_test(test_tellings), cmocka_unit_test(test_the_outbox), cmocka_unit_test(test_snapshots_and_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
