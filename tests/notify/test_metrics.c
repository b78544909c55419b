// Figures for Prometheus: the format, and what of the catalogue they say.
#include "tests/record/ledger.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bkd/notify/exposition.h"
#include "bkd/notify/metrics.h"
#include "bkd/notify/scrape.h"
#include "bkd/record/alarms.h"
#include "bkd/record/copies.h"
#include "bkd/record/deliveries.h"
#include "bkd/record/runs.h"
#include "bkd/record/snapshots.h"
#include "bkd/record/verifications.h"

static void test_format(void **state)
{
    (void)state;
    static const struct exposition_family families[] = { { "a", "gauge", "First." }, { "b", "counter", "Second." }, { "c", "gauge", "Third." } };
    struct exposition e;
    _cleanup_buf_ struct buf text = { 0 };
    exposition_init(&e, families, 3);
    exposition_add(&e, 2, 7, EXPOSITION_NO_LABELS);
    exposition_add_milli(&e, 0, 12045, EXPOSITION_LABELS("x", "1", "y", "a\\b\"c\nd\xff\xc3\xbc"));
    exposition_add(&e, 2, UINT64_MAX, EXPOSITION_LABELS("x", ""));
    exposition_text(&e, &text);
    assert_string_equal(buf_str(&text), "# HELP a First.\n# TYPE a gauge\na{x=\"1\",y=\"a\\\\b\\\"c\\nd\xef\xbf\xbd\xc3\xbc\"} 12.045\n"
                                        "# HELP c Third.\n# TYPE c gauge\nc 7\nc{x=\"\"} 18446744073709551615\n");
    exposition_done(&e);
}

static void assert_has(const struct buf *text, const char *line)
{
    if (!strstr(buf_str(text), line))
        fail_msg("'%s' is not in\n%s", line, buf_str(text));
}


static void add_run(struct ledger *l, int exit_code, uint64_t seconds)
{
    struct error err;
    int64_t id = 0;
    OK(runs_begin(&l->catalogue, &(struct run_record){ .kind = "backup", .policy = "erp" }, &id, &err));
    l->now_ns += seconds * SECOND;
    if (exit_code >= 0)
        OK(runs_end(&l->catalogue, id, exit_code, "", &err));
}

static void test_figures(void **state)
{
    (void)state;
    struct error err;
    _cleanup_ledger_ struct ledger l;
    _cleanup_buf_ struct buf text = { 0 };
    ledger_open(&l);
    struct catalogue *c = &l.catalogue;
    uint64_t begin = l.now_ns;
    add_run(&l, 0, 10);
    add_run(&l, 1, 20);
    add_run(&l, -1, 5); // is at work
    OK(copies_set(c, &(struct copy){ .policy = "erp", .url = "/r", .role = COPY_REPOSITORY, .snapshot = 4, .snapshot_time_ns = begin }, NULL, &err));
    OK(copies_set(c, &(struct copy){ .policy = "erp", .url = "sftp://v/", .role = COPY_OFFSITE, .failures = 3, .failing_since_ns = begin }, NULL, &err));
    OK(snapshots_add(c, &(struct snapshot_record){ .policy = "erp", .chain = "c", .number = 3, .bytes_stored = 100, .is_suspect = true }, NULL, &err));
    OK(snapshots_add(c, &(struct snapshot_record){ .policy = "erp", .chain = "c", .number = 4, .bytes_stored = 7, .bytes_source = 900, .files = 12, .time_ns = 5 }, NULL, &err));
    OK(verifications_add(c, &(struct verification){ .policy = "erp", .snapshot = 4, .mode = "full", .is_proven = true, .duration_ns = 90 * SECOND }, &err));
    OK(alarms_raise(c, &(struct alarm_raise){ .kind = "rpo", .policy = "erp", .copy = "a\"b", .severity = SEVERITY_CRITICAL, .text = "t" }, NULL, &err));
    OK(deliveries_add(c, &(struct delivery){ .channel = "mail" }, NULL, &err));
    static const struct metrics_policy policies[] = { { "erp", true, 60, 3600, 1 }, { "web", false, 0, 0, 0 } };
    OK(metrics_text(&(struct metrics){ .catalogue = c, .policies = policies, .policy_count = 2, .now_ns = begin + 61 * SECOND }, &text, &err));
    static const char *const wanted[] = {
        "bkd_build_info{version=\"" PACKAGE_VERSION "\"} 1\n", "bkd_policy_valid{policy=\"web\"} 0\n", "bkd_policy_tier{policy=\"erp\"} 1\n",
        "bkd_last_success_timestamp_seconds{policy=\"erp\",kind=\"backup\"} 1800000010.000\n", "bkd_last_run_timestamp_seconds{policy=\"erp\",kind=\"backup\"} 1800000030.000\n",
        "bkd_last_run_duration_seconds{policy=\"erp\",kind=\"backup\"} 20.000\n", "bkd_last_run_exit_code{policy=\"erp\",kind=\"backup\"} 1\n",
        "bkd_runs_total{policy=\"erp\",kind=\"backup\",result=\"failed\"} 1\n", "bkd_runs_running{policy=\"erp\",kind=\"backup\"} 1\n",
        "bkd_snapshot_age_seconds{policy=\"erp\",copy=\"/r\",disk=\"\",role=\"repository\"} 61.000\n", "bkd_rpo_met{policy=\"erp\",copy=\"/r\",disk=\"\",role=\"repository\"} 0\n",
        "bkd_copy_failures{policy=\"erp\",copy=\"sftp://v/\",disk=\"\",role=\"offsite\"} 3\n", "bkd_rpo_objective_seconds{policy=\"erp\"} 60\n",
        "bkd_source_bytes{policy=\"erp\"} 900\n", "bkd_snapshot_stored_bytes{policy=\"erp\"} 7\n", "bkd_stored_bytes{policy=\"erp\"} 107\n",
        "bkd_snapshots_suspect{policy=\"erp\"} 1\n", "bkd_rto_measured_seconds{policy=\"erp\"} 90.000\n", "bkd_rto_met{policy=\"erp\"} 1\n",
        "bkd_alarm{policy=\"erp\",kind=\"rpo\",copy=\"a\\\"b\",severity=\"critical\"} 1\n", "bkd_alarms{severity=\"critical\"} 1\n",
        "bkd_outbox_messages{channel=\"mail\",state=\"waiting\"} 1\n",
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        assert_has(&text, wanted[i]);
    _cleanup_buf_ struct buf nothing = { 0 };
    OK(metrics_text(&(struct metrics){ .policies = policies, .policy_count = 2, .now_ns = begin }, &nothing, &err));
    assert_has(&nothing, "bkd_policy_valid{policy=\"erp\"} 1\n");
}

static int make(void *arg, struct buf *ret_text, struct error *err)
{
    if (*(bool *)arg)
        return error_set(err, ERROR_FAILED, "not now");
    buf_add_str(ret_text, "a 1\n");
    return 0;
}

// What the server says to some bytes.
static void ask(unsigned port, const char *request, struct buf *ret_answer)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(write(fd, request, strlen(request)), (ssize_t)strlen(request));
    for (;;) {
        ssize_t n = read(fd, buf_extend(ret_answer, 4096), 4096);
        ret_answer->len -= 4096 - (n > 0 ? (size_t)n : 0);
        if (n <= 0)
            break;
    }
    buf_add_char(ret_answer, '\0');
    close(fd);
}

static void test_scrape(void **state)
{
    (void)state;
    struct error err;
    bool fails = false;
    _cleanup_scrape_ struct scrape *scrape = NULL, *second = NULL;
    OK(scrape_open("127.0.0.1:0", make, &fails, &scrape, &err));
    static const struct { const char *request, *wanted; } cases[] = {
        { "GET /metrics HTTP/1.0\r\n\r\n", "200 OK" }, { "GET /metrics?x=1 HTTP/1.0\r\n\r\n", "\r\n\r\na 1\n" }, { "GET / HTTP/1.0\r\n\r\n", "404" },
        { "GET /metrics/../etc HTTP/1.0\r\n\r\n", "404" }, { "DELETE /metrics HTTP/1.0\r\n\r\n", "405" }, { "GET /metrics HTTP/1.0\r\n\r\n", "503" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        _cleanup_buf_ struct buf answer = { 0 };
        fails = i == 5;
        ask(scrape_port(scrape), cases[i].request, &answer);
        assert_has(&answer, cases[i].wanted);
    }
    _cleanup_free_ char *taken = xasprintf("127.0.0.1:%u", scrape_port(scrape));
    assert_int_equal(scrape_open(taken, make, &fails, &second, &err), ERROR_FAILED);
    assert_non_null(strstr(err.text, "in use"));
    assert_int_equal(scrape_open("example.net:80", make, &fails, &second, &err), ERROR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_format), cmocka_unit_test(test_figures), cmocka_unit_test(test_scrape) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
