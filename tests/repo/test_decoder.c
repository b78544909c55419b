// The decoding processes: what /proc says of them while they work, and what happens when one crashes, hangs or is ended.
#include "tests/repo/made.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bkd/repo/decoder.h"

enum { PLAIN = 200000 };

struct fixture {
    struct buf plain, frame;
    struct decoders *pool;
};

static int setup_with(void **state, const struct decoders_rules *rules)
{
    struct error err;
    struct fixture *f = xcalloc(1, sizeof *f);
    made_bytes(1, PLAIN, &f->plain);
    struct zframe_compressor *c = zframe_compressor_new(3);
    OK(zframe_compress(c, f->plain.data, PLAIN, &f->frame, &err));
    zframe_compressor_free(c);
    OK(decoders_new(NULL, 0, rules, &f->pool, &err));
    *state = f;
    return 0;
}

static int setup(void **state) { return setup_with(state, &(struct decoders_rules){ 0 }); }
static int setup_impatient(void **state) { return setup_with(state, &(struct decoders_rules){ .seconds_per_mib = 1 }); }
static int setup_two(void **state) { return setup_with(state, &(struct decoders_rules){ .most = 2 }); }

static int teardown(void **state)
{
    struct fixture *f = *state;
    decoders_free(f->pool);
    buf_done(&f->plain);
    buf_done(&f->frame);
    free(f);
    return 0;
}

static int decode(struct fixture *f, struct decoder *d, struct error *err)
{
    struct decode_job job = {
        .op = DECODE_FRAME, .in_size = (uint32_t)f->frame.len, .plain_size = (uint32_t)f->frame.len, .frame_size = PLAIN
    };
    struct decode_reply reply;
    memcpy(d->in, f->frame.data, f->frame.len);
    int r = decoder_run(f->pool, d, &job, &reply, err);
    if (r == 0) {
        assert_int_equal(reply.size, PLAIN);
        assert_memory_equal(d->out, f->plain.data, PLAIN);
    }
    return r;
}

// ---- /proc

static char *read_proc(pid_t pid, const char *what)
{
    _cleanup_free_ char *path = xasprintf("/proc/%d/%s", (int)pid, what);
    struct buf text = { 0 };
    FILE *f = fopen(path, "r");
    int c;
    if (f == NULL)
        return NULL;
    while ((c = getc(f)) != EOF)
        buf_add_char(&text, (char)c);
    fclose(f);
    return buf_take_str(&text);
}

static long status_of(pid_t pid, const char *key)
{
    _cleanup_free_ char *text = read_proc(pid, "status");
    _cleanup_free_ char *wanted = xasprintf("\n%s:", key);
    const char *at = text == NULL ? NULL : strstr(text, wanted);
    return at == NULL ? -1 : strtol(at + strlen(wanted), NULL, 10);
}

static size_t children_of(pid_t parent, pid_t *ret_pids, size_t most)
{
    size_t n = 0;
    const struct dirent *e;
    DIR *proc = opendir("/proc");
    while ((e = readdir(proc)) != NULL) {
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
        if (pid > 0 && n < most && status_of(pid, "PPid") == parent)
            ret_pids[n++] = pid;
    }
    closedir(proc);
    return n;
}

// The numbers of a process's open descriptors as "3 "; NULL when they may not be seen.
static char *descriptors_of(pid_t pid)
{
    _cleanup_free_ char *path = xasprintf("/proc/%d/fd", (int)pid);
    struct buf numbers = { 0 };
    const struct dirent *e;
    DIR *dir = opendir(path);
    if (dir == NULL)
        return NULL;
    while ((e = readdir(dir)) != NULL)
        if (e->d_name[0] != '.')
            buf_addf(&numbers, "%s ", e->d_name);
    closedir(dir);
    return numbers.len == 0 ? xstrdup("") : buf_take_str(&numbers);
}

static void check_confined(struct fixture *f, pid_t pid)
{
    if (decoders_confinement(f->pool).filtered) {
        assert_int_equal(status_of(pid, "Seccomp"), 2);
    }
    assert_int_equal(status_of(pid, "NoNewPrivs"), 1);
    struct rlimit core;
    assert_int_equal(prlimit(pid, RLIMIT_CORE, NULL, &core), 0);
    assert_int_equal(core.rlim_max, 0);
    _cleanup_free_ char *open = descriptors_of(pid);
#if !defined(__SANITIZE_ADDRESS__)
    if (open != NULL)
        assert_string_equal(open, "3 ");
#endif
}

static void test_confined(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct decoder *a = NULL, *b = NULL;
    pid_t helper, decoders[8];
    OK(decoders_take(f->pool, &a, &err));
    OK(decoders_take(f->pool, &b, &err));
    OK(decode(f, a, &err));
    OK(decode(f, b, &err));
    assert_int_equal(children_of(getpid(), &helper, 1), 1);
    assert_int_equal(children_of(helper, decoders, 8), 2);
    if (geteuid() != 0 && decoders_confinement(f->pool).filtered) // prlimit of a process that is not dumpable is for root
        skip();
    check_confined(f, helper);
    check_confined(f, decoders[0]);
    check_confined(f, decoders[1]);
    decoders_give(f->pool, a);
    decoders_give(f->pool, b);
}

static void test_is_reused(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct decoder *d = NULL, *again = NULL;
    OK(decoders_take(f->pool, &d, &err));
    decoders_give(f->pool, d);
    OK(decoders_take(f->pool, &again, &err));
    assert_ptr_equal(d, again);
    decoders_give(f->pool, again);
}

struct crowd {
    struct fixture *f;
    atomic_int now, most, done;
};

static void *take_for_a_while(void *arg)
{
    struct crowd *c = arg;
    struct error err;
    struct decoder *d = NULL;
    for (int i = 0; i < 3; i++) {
        OK(decoders_take(c->f->pool, &d, &err));
        int now = atomic_fetch_add(&c->now, 1) + 1;
        if (now > atomic_load(&c->most))
            atomic_store(&c->most, now);
        (void)usleep(5000);
        atomic_fetch_add(&c->done, decode(c->f, d, &err) == 0);
        atomic_fetch_sub(&c->now, 1);
        decoders_give(c->f->pool, d);
    }
    return NULL;
}

// Of five that want one at the same time, three wait; all get theirs.
static void test_no_more_than_allowed(void **state)
{
    struct crowd c = { .f = *state };
    pthread_t threads[5];
    for (int i = 0; i < 5; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_for_a_while, &c), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(c.done, 15);
    assert_in_range(c.most, 1, 2);
}

// ---- trouble

static pid_t only_decoder(void)
{
    pid_t helper = 0, decoder = 0;
    assert_int_equal(children_of(getpid(), &helper, 1), 1);
    assert_int_equal(children_of(helper, &decoder, 1), 1);
    return decoder;
}

static void expect_failure(struct fixture *f, int signal, const char *text)
{
    struct error err = { 0 };
    struct decoder *d = NULL;
    OK(decoders_take(f->pool, &d, &err));
    OK(decode(f, d, &err));
    assert_int_equal(kill(only_decoder(), signal), 0);
    assert_int_equal(decode(f, d, &err), ERROR_INTEGRITY);
#if !defined(__SANITIZE_ADDRESS__) // whose own handlers end it otherwise
    if (strstr(err.text, text) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, text);
#endif
    (void)text;
    decoders_give(f->pool, d);
    // The next one is new and works.
    OK(decoders_take(f->pool, &d, &err));
    OK(decode(f, d, &err));
    decoders_give(f->pool, d);
}

static void test_crash(void **state) { expect_failure(*state, SIGSEGV, "signal 11"); }
static void test_forbidden_call(void **state) { expect_failure(*state, SIGSYS, "forbidden"); }

static void test_hang(void **state)
{
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    expect_failure(*state, SIGSTOP, "did not come to an end");
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(after.tv_sec - before.tv_sec < 10);
}

static void test_helper_gone(void **state)
{
    struct fixture *f = *state;
    struct error err = { 0 };
    struct decoder *d = NULL;
    pid_t helper = 0, decoder = 0;
    OK(decoders_take(f->pool, &d, &err));
    decoder = only_decoder();
    assert_int_equal(children_of(getpid(), &helper, 1), 1);
    assert_int_equal(kill(helper, SIGKILL), 0);
    for (int i = 0; i < 500 && status_of(decoder, "PPid") == helper; i++)
        usleep(20000); // its decoders die with it, a moment later
    assert_true(decode(f, d, &err) < 0);
    decoders_give(f->pool, d);
    assert_int_equal(decoders_take(f->pool, &d, &err), ERROR_FAILED);
    for (int i = 0; i < 100 && kill(decoder, 0) == 0; i++)
        usleep(20000);
    long parent = status_of(decoder, "PPid"); // gone, or a dead entry somebody else will collect
    assert_true(parent != helper);
}

// One that could not be started takes nobody's place: who asks again is refused again, and does not wait for ever.
static void test_failed_starts_take_no_place(void **state)
{
    struct fixture *f = *state;
    struct error err = { 0 };
    struct decoder *d = NULL;
    pid_t helper = 0;
    assert_int_equal(children_of(getpid(), &helper, 1), 1);
    assert_int_equal(kill(helper, SIGKILL), 0);
    (void)alarm(60);
    for (int i = 0; i < 5; i++)
        assert_int_equal(decoders_take(f->pool, &d, &err), ERROR_FAILED);
    (void)alarm(0);
}

static void test_all_end_with_the_pool(void **state)
{
    struct fixture *f = *state;
    struct error err = { 0 };
    struct decoder *d = NULL;
    pid_t helper;
    OK(decoders_take(f->pool, &d, &err));
    decoders_give(f->pool, d);
    decoders_free(f->pool);
    f->pool = NULL;
    assert_int_equal(children_of(getpid(), &helper, 1), 0);
}

// ---- hostile jobs and bytes: an error each time, and the decoder goes on

static void test_hostile_jobs(void **state)
{
    struct fixture *f = *state;
    struct error err = { 0 };
    struct decode_reply reply;
    struct decoder *d = NULL;
    uint64_t seed = 5;
    OK(decoders_take(f->pool, &d, &err));
    for (int i = 0; i < 2000; i++) {
        struct decode_job job;
        uint8_t *bytes = (uint8_t *)&job;
        for (size_t k = 0; k < sizeof job; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            bytes[k] = i % 3 == 0 ? (uint8_t)(seed >> 56) : (uint8_t)((seed >> 60) == 0 ? seed >> 48 : 0);
        }
        job.op = (uint32_t)i % 5;
        job.frame_size %= PLAIN * 2; // the deadline grows with it
        assert_true(decoder_run(f->pool, d, &job, &reply, &err) <= 0);
    }
    OK(decode(f, d, &err));
    decoders_give(f->pool, d);
}

// A frame that claims a window of 2 GiB, one that claims more content than it may, one that gives more than it claims.
static void test_bombs(void **state)
{
    struct fixture *f = *state;
    struct error err = { 0 };
    struct decode_reply reply;
    struct decoder *d = NULL;
    static const uint8_t bombs[][16] = {
        { 0x28, 0xb5, 0x2f, 0xfd, 0x80, 0xa8, 0x40, 0x0d, 0x03, 0x00, 0x01, 0x00, 0x00 }, // window 2^31, content 200000
        { 0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0xff, 0xff, 0xff, 0x7f, 0x01, 0x00, 0x00 },       // content 2 GiB in one segment
        { 0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0x40, 0x0d, 0x03, 0x00, 0xfb, 0xff, 0xff, 0x00 }, // a run of 2 MiB for 200000
    };
    OK(decoders_take(f->pool, &d, &err));
    for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
        struct decode_job job = { .op = DECODE_FRAME, .in_size = sizeof *bombs, .plain_size = sizeof *bombs, .frame_size = PLAIN };
        for (job.in_size = 5; job.in_size <= sizeof *bombs; job.in_size++) {
            job.plain_size = job.in_size;
            memcpy(d->in, bombs[i], sizeof *bombs);
            assert_true(decoder_run(f->pool, d, &job, &reply, &err) < 0);
        }
    }
    OK(decode(f, d, &err));
    decoders_give(f->pool, d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_confined, setup, teardown),
        cmocka_unit_test_setup_teardown(test_is_reused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_more_than_allowed, setup_two, teardown),
        cmocka_unit_test_setup_teardown(test_crash, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forbidden_call, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hang, setup_impatient, teardown),
        cmocka_unit_test_setup_teardown(test_helper_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failed_starts_take_no_place, setup_two, teardown),
        cmocka_unit_test_setup_teardown(test_all_end_with_the_pool, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_jobs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bombs, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
