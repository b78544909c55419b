// What a restore came to, by what bkd-restore says: programs that say it in its place.
#include "tests/codec/scratch.h"

#include <sys/resource.h>

#include "bkd/dr/trial.h"

// A program that prints these lines and ends with this code.
static void make_program(const struct scratch *s, const char *lines, int code)
{
    _cleanup_buf_ struct buf text = { 0 };
    buf_addf(&text, "#!/bin/sh\ncat <<'END'\n%s\nEND\necho 'on its way' >&2\necho 'its last words' >&2\nexit %d\n", lines, code);
    scratch_write(s, "restore", text.data, text.len);
    scratch_run("chmod 700 '%s/restore'", s->dir);
}

static void run(const struct scratch *s, struct trial_request request, struct trial *ret_trial)
{
    _cleanup_free_ char *program = xasprintf("%s/restore", s->dir);
    struct error err;
    request.program = program;
    request.repository = "/repository";
    request.snapshot = 12;
    if (trial_run(io_real(), &request, ret_trial, &err) < 0)
        fail_msg("%s", err.text);
}

static void run_saying(const struct scratch *s, const char *lines, int code, struct trial *ret_trial)
{
    make_program(s, lines, code);
    run(s, (struct trial_request){ .timeout_ms = 60000 }, ret_trial);
}

#define SUMMARY(more, problems) "{\"type\":\"summary\",\"files\":5,\"bytes\":1000,\"bytes_fetched\":400" more ",\"problems\":{" problems "}}"

static void test_restored(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        int code;
        bool is_restored;
    } cases[] = {
        { SUMMARY("", "\"lost\":0,\"refused\":0,\"exists\":0,\"skipped\":0,\"differs\":0,\"stripped\":0,\"failed\":0,\"metadata\":0"), 0, true },
        { SUMMARY("", ""), 0, true },
        { SUMMARY("", "\"metadata\":3"), 3, true }, // which the target cannot hold
        { SUMMARY(",\"special_impossible\":2", "\"failed\":2"), 3, true },
        { SUMMARY(",\"special_impossible\":2", "\"failed\":3"), 3, false },
        { SUMMARY("", "\"failed\":1"), 3, false },
        { SUMMARY("", "\"lost\":1"), 3, false },
        { SUMMARY("", "\"refused\":1"), 3, false },
        { SUMMARY("", "\"exists\":1"), 3, false },
        { SUMMARY("", "\"skipped\":1"), 3, false },
        { SUMMARY("", "\"differs\":1"), 3, false },
        { SUMMARY("", "\"stripped\":1"), 3, false },
        { SUMMARY("", "\"lost\":1"), 0, false }, // whatever the code is
        { SUMMARY("", ""), 1, false },
        { SUMMARY("", ""), 4, false },
        { "{\"type\":\"summary\",\"files\":5}", 0, false }, // says nothing of problems
        { "{\"type\":\"progress\"}", 0, false },
        { "no JSON", 0, false },
    };
    _cleanup_scratch_ struct scratch s = scratch_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        _cleanup_trial_ struct trial trial = { 0 };
        run_saying(&s, cases[i].lines, cases[i].code, &trial);
        if (trial.is_restored != cases[i].is_restored || trial.exit_code != cases[i].code)
            fail_msg("%s and %d: %d, %d", cases[i].lines, cases[i].code, trial.is_restored, trial.exit_code);
    }
}

static void test_figures(void **state)
{
    (void)state;
    _cleanup_scratch_ struct scratch s = scratch_new();
    _cleanup_trial_ struct trial trial = { 0 }, quiet = { 0 };
    run_saying(&s, "{\"type\":\"problem\",\"path\":\"/a\",\"reason\":\"gone\"}\n{\"type\":\"error\",\"message\":\"it is damaged\"}\n"
               SUMMARY(",\"directories\":2,\"links\":3,\"hard_links\":4,\"other\":1,\"owners_different\":9", "\"lost\":1,\"metadata\":8"), 4, &trial);
    assert_int_equal(trial.files, 5);
    assert_int_equal(trial.entries, 15);
    assert_int_equal(trial.bytes, 1000);
    assert_int_equal(trial.bytes_fetched, 400);
    assert_int_equal(trial.owners, 9);
    assert_int_equal(trial.inexact, 8);
    assert_int_equal(trial.n_problems, 1);
    assert_string_equal(buf_str(&trial.problems), "/a: gone\n");
    assert_string_equal(trial.why, "it is damaged");
    assert_int_equal(phases_sum(&trial.phases), trial.wall_ns);
    run_saying(&s, "", 9, &quiet); // what it said to people is told instead
    assert_string_equal(quiet.why, "its last words");
    assert_int_equal(phases_sum(&quiet.phases), quiet.wall_ns);
}

static void test_no_end(void **state)
{
    (void)state;
    static const char endless[] = "#!/bin/sh\necho '" SUMMARY("", "") "'\nexec sleep 600\n", killed[] = "#!/bin/sh\necho '" SUMMARY("", "") "'\nkill -9 $$\n";
    _cleanup_scratch_ struct scratch s = scratch_new();
    _cleanup_trial_ struct trial late = { 0 }, ended = { 0 };
    make_program(&s, "", 0);
    scratch_write(&s, "restore", endless, sizeof endless - 1);
    run(&s, (struct trial_request){ .timeout_ms = 300 }, &late);
    assert_false(late.is_restored);
    assert_non_null(strstr(late.why, "took longer than"));
    scratch_write(&s, "restore", killed, sizeof killed - 1);
    run(&s, (struct trial_request){ .timeout_ms = 60000 }, &ended);
    assert_false(ended.is_restored);
    assert_int_equal(ended.exit_code, -1);
}

// What it was asked to do; every restored file is read again (--verify).
static void test_command(void **state)
{
    (void)state;
    static const char asked[] = "#!/bin/sh\nprintf '%s ' \"$@\" >\"${0%/*}/words\"\n";
    static const char *const paths[] = { "/a b", "/-c" };
    _cleanup_scratch_ struct scratch s = scratch_new();
    _cleanup_trial_ struct trial trial = { 0 };
    _cleanup_buf_ struct buf words = { 0 };
    make_program(&s, "", 0);
    scratch_write(&s, "restore", asked, sizeof asked - 1);
    run(&s, (struct trial_request){ .timeout_ms = 60000, .identity = "key", .signers = "signers", .chain = "00ff", .target = "/target", .paths = paths, .n_paths = 2 }, &trial);
    scratch_read(&s, "words", &words);
    assert_string_equal(buf_str(&words), "restore --json --verify -r /repository -i key -s signers --chain 00ff --target /target 12 -- /a b /-c ");
}

// How nice the program was.
static int niceness(const struct scratch *s, bool gives_way)
{
    _cleanup_trial_ struct trial trial = { 0 };
    _cleanup_buf_ struct buf words = { 0 };
    run(s, (struct trial_request){ .timeout_ms = 60000, .gives_way = gives_way }, &trial);
    scratch_read(s, "words", &words);
    return atoi(buf_str(&words));
}

static void test_gives_way_where_asked(void **state)
{
    (void)state;
    static const char asked[] = "#!/bin/sh\nnice >\"${0%/*}/words\"\n";
    _cleanup_scratch_ struct scratch s = scratch_new();
    int own = getpriority(PRIO_PROCESS, 0);
    make_program(&s, "", 0);
    scratch_write(&s, "restore", asked, sizeof asked - 1);
    assert_int_equal(niceness(&s, false), own);
    assert_int_equal(niceness(&s, true), own < 10 ? 10 : own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restored),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_no_end),
        cmocka_unit_test(test_command),
        cmocka_unit_test(test_gives_way_where_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
