// Commands as sources: what they write becomes a file, delta'd like any other; unless they end well there is no snapshot.
#include "tests/engine/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/support/fault_io.h"

enum { PIECE = 16 << 20 };

static const char *const env[] = { "PATH=/usr/bin:/bin", "LC_ALL=C", NULL };

// A lab whose streams run `sh -c SCRIPT` in its directory.
struct streams {
    struct lab lab;
    struct stream_source sources[4];
    char *script[4];
    const char *argv[4][4];
    struct buf said;
};

static void note_said(void *arg, const char *name, const char *line)
{
    struct streams *s = (struct streams *)arg; // the lab is its first member
    buf_addf(&s->said, "%s: %s\n", name, line);
}

static int setup(void **state)
{
    struct streams *s = xcalloc(1, sizeof *s);
    lab_init(&s->lab, false, 0);
    s->lab.options.streams = s->sources;
    s->lab.options.said = note_said;
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct streams *s = *state;
    for (size_t i = 0; i < 4; i++)
        free(s->script[i]);
    buf_done(&s->said);
    lab_done(&s->lab);
    free(s);
    return 0;
}

// The i-th stream; they are given in the order of their names.
static void stream(struct streams *s, size_t i, const char *name, const char *script)
{
    free(s->script[i]);
    s->script[i] = xasprintf("cd '%s'\n%s", s->lab.dir, script);
    const char *argv[] = { "sh", "-c", s->script[i], NULL };
    memcpy(s->argv[i], argv, sizeof argv);
    s->sources[i] = (struct stream_source){ .name = name, .command = s->argv[i], .env = env };
    s->lab.options.n_streams = i + 1 > s->lab.options.n_streams ? i + 1 : s->lab.options.n_streams;
}

// The stream in the newest snapshot has the bytes of dir/FILE.
static void assert_stored(struct streams *s, const char *name, const char *file)
{
    _cleanup_free_ char *target = lab_restore(&s->lab, "latest");
    _cleanup_free_ char *script = xasprintf("cmp '%s/stream/%s' '%s'; rm -rf '%s'", target, name, file, target);
    lab_sh(&s->lab, script);
}

static void expect_failure(struct streams *s, const char *part)
{
    struct error err;
    struct backup_result result = { 0 };
    assert_int_equal(lab_try(&s->lab, &result, &err), ERROR_FAILED);
    if (strstr(err.text, part) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, part);
}

static void make_noise(struct streams *s, const char *name, uint64_t seed, size_t n)
{
    lab_noise(&s->lab, name, seed, n);
    _cleanup_free_ char *script = xasprintf("mv $SRC/%s .", name);
    lab_sh(&s->lab, script);
}

static void test_sizes(void **state)
{
    struct streams *s = *state;
    static const size_t sizes[] = { 0, 1, 65535, 300000, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        make_noise(s, "data", i + 1, sizes[i]);
        stream(s, 0, "x", "cat data");
        struct backup_result result = lab_backup(&s->lab);
        assert_int_equal(result.streams, 1);
        assert_int_equal(result.files, 1);
        assert_int_equal(result.changed_files, 1);
        assert_int_equal(result.bytes_source, sizes[i]);
        assert_stored(s, "x", "data");
        result = lab_backup(&s->lab); // the same again
        assert_int_equal(result.changed_files, 0);
        assert_in_range(result.bytes_stored, 1, 5000);
        assert_stored(s, "x", "data");
    }
    lab_assert_sound(&s->lab);
}

static void test_entry(void **state)
{
    struct streams *s = *state;
    lab_file(&s->lab, "f", "file");
    stream(s, 0, "a b", "echo one");
    stream(s, 1, "z", "echo two");
    uint64_t before = io_realtime_ns(io_real());
    struct backup_result result = lab_backup(&s->lab);
    assert_int_equal(result.files, 3);
    _cleanup_free_ char *text = lab_manifest(&s->lab);
    const char *line = strstr(text, "\nstream/a%20b f mode=0600 "), *other = strstr(text, "\nstream/z f mode=0600 ");
    assert_non_null(line);
    assert_non_null(other);
    assert_true(line < other);
    struct manifest_entry e = { 0 };
    struct error err;
    scratch_ok(manifest_parse(other + 1, strcspn(other + 1, "\n"), &e, &err), &err);
    assert_int_equal(e.uid, geteuid());
    assert_int_equal(e.gid, getegid());
    assert_int_equal(e.source, MANIFEST_NO_SOURCE);
    assert_true((uint64_t)e.mtime_s * 1000000000u + e.mtime_ns >= before);
    manifest_entry_done(&e);
}

// Inserted bytes move all that follows: the search finds it, also where the size was not known when its blocks were chosen.
static void test_deltas(void **state)
{
    struct streams *s = *state;
    make_noise(s, "data", 1, 3 * PIECE + 12345);
    stream(s, 0, "x", "cat data");
    struct backup_result first = lab_backup(&s->lab);
    assert_true(first.bytes_stored > 3 * PIECE);
    lab_sh(&s->lab, "{ head -c 20000000 data; echo inserted; tail -c +20000001 data; } >new; mv new data");
    struct backup_result second = lab_backup(&s->lab);
    assert_in_range(second.bytes_stored, 100, 200000);
    assert_stored(s, "x", "data");
    lab_sh(&s->lab, "{ echo in front; cat data; } >new; mv new data");
    struct backup_result third = lab_backup(&s->lab);
    assert_in_range(third.bytes_stored, 100, 60000); // blocks of 4 KiB by now
    assert_stored(s, "x", "data");
    lab_sh(&s->lab, "head -c 100 data >new; mv new data");
    (void)lab_backup(&s->lab);
    assert_stored(s, "x", "data");
    lab_assert_sound(&s->lab);
}

// Bytes that are stored already are not stored again, whether a file held them or another stream did.
static void test_known_content(void **state)
{
    struct streams *s = *state;
    lab_noise(&s->lab, "dump", 7, 2 * PIECE + 5);
    (void)lab_backup(&s->lab);
    stream(s, 0, "one", "cat $SRC/dump");
    stream(s, 1, "two", "cat source/dump");
    stream(s, 0, "one", "cat source/dump");
    struct backup_result result = lab_backup(&s->lab);
    assert_in_range(result.bytes_stored, 1, 20000);
    assert_stored(s, "one", "source/dump");
    stream(s, 0, "renamed", "cat source/dump; echo more");
    s->lab.options.n_streams = 1;
    result = lab_backup(&s->lab);
    assert_in_range(result.bytes_stored, 1, 20000);
}

static void test_failures(void **state)
{
    struct streams *s = *state;
    lab_file(&s->lab, "f", "file");
    (void)lab_backup(&s->lab);
    stream(s, 0, "x", "echo some; echo first >&2; echo broken >&2; exit 3");
    expect_failure(s, "stream 'x': 'sh' exited with status 3; no snapshot was made, earlier ones stay; it said: first | broken");
    assert_string_equal(buf_str(&s->said), "x: first\nx: broken\n");
    stream(s, 0, "x", "head -c 40000000 /dev/zero; exit 1");
    expect_failure(s, "exited with status 1");
    stream(s, 0, "x", "echo some; kill -9 $$");
    expect_failure(s, "killed by signal 9");
    stream(s, 0, "x", "echo some; sleep 60");
    s->sources[0].timeout_ms = 300;
    expect_failure(s, "timeout");
    stream(s, 0, "x", "echo some; sleep 60 & exit 0"); // who knows what it would still write
    expect_failure(s, "may lack its end");
    static const char *const missing[] = { "/nonexistent/dump", NULL };
    s->sources[0].command = missing;
    expect_failure(s, "stream 'x'");
    stream(s, 0, "x", "echo some; exec >&-; exit 0"); // closes what it has written: that is all there is
    struct backup_result result = lab_backup(&s->lab);
    assert_int_equal(result.snapshot, 2);
    stream(s, 0, "x", "echo some; sleep 60 >/dev/null & exit 0"); // only its standard error is held open, as by a master of ssh
    result = lab_backup(&s->lab);
    assert_int_equal(result.snapshot, 3);
    lab_assert_sound(&s->lab);
}

// A nightly run whose dump fails reads its files only once.
static void test_failed_run_is_resumed(void **state)
{
    struct streams *s = *state;
    lab_noise(&s->lab, "f", 1, 5 << 20);
    lab_settle();
    stream(s, 0, "x", "exit 1");
    expect_failure(s, "exited with status 1");
    stream(s, 0, "x", "echo fine");
    struct backup_result result = lab_backup(&s->lab);
    assert_true(result.resumed);
    assert_in_range(result.bytes_stored, 1, 10000);
    assert_int_equal(result.bytes_read, 5);
    lab_sh(&s->lab, "echo fine >fine");
    assert_stored(s, "x", "fine");
    lab_assert_sound(&s->lab);
}

// What it says is passed on up to a limit, and cannot hold the output up.
static void test_flood_of_words(void **state)
{
    struct streams *s = *state;
    stream(s, 0, "x", "i=0; while [ $i -lt 3000 ]; do echo word $i >&2; echo $i; i=$((i + 1)); done; printf 'no end' >&2");
    (void)lab_backup(&s->lab);
    assert_non_null(strstr(buf_str(&s->said), "x: word 999\nx: (it says more"));
    assert_null(strstr(buf_str(&s->said), "word 1000"));
    lab_sh(&s->lab, "seq 0 2999 >wanted");
    assert_stored(s, "x", "wanted");
}

// A run with a stream in which call N fails: it fails with an error, leaves no process and no descriptor, and the next run is as if nothing had been.
static bool survives_fault(struct streams *s, unsigned kinds, int os_errno, long n)
{
    struct error err;
    struct backup_result result = { 0 };
    struct fault_io_options options = { .mode = FAULT_ERROR, .kinds = kinds, .call = n, .os_errno = os_errno };
    struct fault_io *fault = fault_io_new(&options);
    make_noise(s, "data", (uint64_t)n, 300000);
    s->lab.io = fault_io(fault);
    int r = lab_try(&s->lab, &result, &err);
    bool happened = fault_io_happened(fault);
    s->lab.io = io_real();
    fault_io_free(fault);
    assert_true(r == 0 || err.text[0] != '\0');
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    (void)lab_backup(&s->lab);
    assert_stored(s, "x", "data");
    return happened;
}

static void test_faults(void **state)
{
    struct streams *s = *state;
    stream(s, 0, "x", "cat data; echo said >&2");
    long n = 1;
    for (int before = open("/dev/null", O_RDONLY); survives_fault(s, FAULT_ALL, EIO, n); n += 23) {
        int after = open("/dev/null", O_RDONLY);
        assert_true(after == before + 1 && close(after) == 0); // nothing is left open
    }
    assert_true(n > 100);
    for (n = 1; survives_fault(s, FAULT_SPACE, ENOSPC, n); n += 11)
        continue;
    lab_assert_sound(&s->lab);
}

static void test_only_streams(void **state)
{
    struct streams *s = *state;
    s->lab.n_sources = 0;
    stream(s, 0, "x", "echo one");
    (void)lab_backup(&s->lab);
    _cleanup_free_ char *text = lab_manifest(&s->lab);
    assert_memory_equal(text, "stream/x f ", 11);
    struct backup_result second = lab_backup(&s->lab);
    assert_int_equal(second.changed_files, 0);
    stream(s, 0, "y", "echo two");
    struct backup_result third = lab_backup(&s->lab);
    assert_int_equal(third.gone_files, 1);
    lab_assert_sound(&s->lab);
}

// A source that never held a file is no reason to ask whether its disk is mounted, only because a stream was there.
static void test_emptied_sources_are_still_noticed(void **state)
{
    struct streams *s = *state;
    stream(s, 0, "x", "echo one");
    (void)lab_backup(&s->lab);
    (void)lab_backup(&s->lab);
    lab_file(&s->lab, "f", "file");
    (void)lab_backup(&s->lab);
    lab_sh(&s->lab, "rm $SRC/f");
    expect_failure(s, "accept-source-change");
}

static void test_dry_run(void **state)
{
    struct streams *s = *state;
    stream(s, 0, "x", "touch ran; echo one");
    s->lab.options.dry_run = true;
    struct backup_result result = lab_backup(&s->lab);
    assert_int_equal(result.streams, 1);
    lab_sh(&s->lab, "test ! -e ran");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_sizes), TEST(test_entry), TEST(test_deltas), TEST(test_known_content), TEST(test_failures), TEST(test_failed_run_is_resumed),
        TEST(test_flood_of_words), TEST(test_faults), TEST(test_only_streams), TEST(test_emptied_sources_are_still_noticed), TEST(test_dry_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
