// What a progress display prints and how often, by a clock of the test's own.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bkd/base/json.h"
#include "bkd/base/progress.h"

struct fixture {
    struct io io;
    uint64_t now_ms;
    FILE *stream;
    char *text;
    size_t len;
    struct progress *progress;
};

static int fake_clock(const struct io *self, clockid_t clock, struct timespec *ret_now)
{
    (void)clock;
    const uint64_t *now_ms = self->state;
    *ret_now = (struct timespec){ (time_t)(*now_ms / 1000), (long)(*now_ms % 1000) * 1000000 };
    return 0;
}

static void fixture_init(struct fixture *f, enum progress_style style)
{
    *f = (struct fixture){ .io = *io_real(), .now_ms = 1000 };
    f->io.clock = fake_clock;
    f->io.state = &f->now_ms;
    f->stream = open_memstream(&f->text, &f->len);
    f->progress = progress_new(&f->io, style, f->stream);
}

static void fixture_done(struct fixture *f)
{
    progress_free(&f->progress);
    fclose(f->stream);
    free(f->text);
}

// 300 s of work, 10 files of 1 MiB each tenth of a second.
static size_t work_and_count(struct fixture *f, char mark)
{
    progress_begin(f->progress, "store", 30000, UINT64_C(30000) << 20);
    for (int i = 0; i < 3000; i++) {
        f->now_ms += 100;
        progress_add(f->progress, 10, UINT64_C(10) << 20);
    }
    fflush(f->stream);
    size_t count = 0;
    for (const char *s = f->text; s && *s; s++)
        count += *s == mark;
    return count;
}

static void test_one_line_a_minute(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, PROGRESS_LINES);
    assert_int_equal(work_and_count(&f, '\n'), 5);
    assert_non_null(strstr(f.text, "store: 5.9 GiB of 29.3 GiB, 6000 of 30000 files, 100.0 MiB/s, 4 min 0 s left\n"));
    fixture_done(&f);
}

static void test_terminal_line_is_rewritten_and_cleared(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, PROGRESS_TERMINAL);
    assert_int_equal(work_and_count(&f, '\r'), 1500);
    assert_null(strchr(f.text, '\n'));
    progress_free(&f.progress);
    fflush(f.stream);
    assert_string_equal(f.text + f.len - 4, "\r\033[K");
    fixture_done(&f);
}

static void test_json_at_most_one_a_second(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, PROGRESS_JSON);
    assert_int_equal(work_and_count(&f, '\n'), 300);
    struct error err;
    _cleanup_json_ struct json *line = NULL;
    const char *last = f.text + f.len - 1;
    while (last > f.text && last[-1] != '\n')
        last--;
    assert_int_equal(json_parse(last, strlen(last), &line, &err), 0);
    uint64_t value;
    assert_string_equal(json_get_str(line, "type"), "progress");
    assert_true(json_get_u64(line, "schema", &value) && value == 1);
    assert_true(json_get_u64(line, "files", &value) && value == 30000);
    assert_true(json_get_u64(line, "elapsed_ms", &value) && value == 300000);
    assert_true(json_get_u64(line, "bytes_per_second", &value) && value == UINT64_C(100) << 20);
    assert_true(json_get_u64(line, "eta_s", &value) && value == 0);
    fixture_done(&f);
}

static void test_silent(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, PROGRESS_SILENT);
    assert_int_equal(work_and_count(&f, '\n'), 0);
    assert_int_equal(f.len, 0);
    fixture_done(&f);
    progress_begin(NULL, "x", 0, 0);
    progress_add(NULL, 1, 1);
    progress_pause(NULL);
}

static void test_unknown_totals(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf text = { 0 };
    uint64_t left = 7;
    struct progress_view view = { .phase = "scan", .files = 3, .bytes = 1536 };
    progress_format(&view, &text);
    assert_string_equal(buf_str(&text), "scan: 1.5 KiB, 3 files");
    assert_false(progress_seconds_left(&view, &left));
    view.bytes_total = 1000; // less than there turned out to be
    estimate_add(&view.measured, 0, 10, 1);
    assert_false(progress_seconds_left(&view, &left));
    assert_int_equal(left, 7);
}

static void test_style(void **state)
{
    (void)state;
    assert_int_equal(progress_style_for(true, false), PROGRESS_JSON);
    assert_int_equal(progress_style_for(true, true), PROGRESS_SILENT);
    assert_int_equal(progress_style_for(false, true), PROGRESS_SILENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_line_a_minute), cmocka_unit_test(test_terminal_line_is_rewritten_and_cleared),
        cmocka_unit_test(test_json_at_most_one_a_second), cmocka_unit_test(test_silent),
        cmocka_unit_test(test_unknown_totals),    cmocka_unit_test(test_style),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
