// Where time goes, on made-up clocks; and what is told of it, on made-up sums.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "bkd/base/profile.h"

#define MS UINT64_C(1000000)

// Two clocks that a test sets.
static struct {
    struct io io;
    uint64_t now_ns, cpu_ns;
} fake;

static int fake_clock(const struct io *self, clockid_t clock, struct timespec *ret_now)
{
    (void)self;
    uint64_t ns = clock == CLOCK_THREAD_CPUTIME_ID ? fake.cpu_ns : fake.now_ns;
    *ret_now = (struct timespec){ .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };
    return 0;
}

static void pass(uint64_t wall_ms, uint64_t cpu_ms)
{
    fake.now_ns += wall_ms * MS;
    fake.cpu_ns += cpu_ms * MS;
}

static void begin(struct profile_lap *lap, struct profile *p, enum profile_stage stage)
{
    fake.io = *io_real();
    fake.io.clock = fake_clock;
    fake.now_ns = fake.cpu_ns = 1000 * MS;
    profile_begin(lap, p, &fake.io, stage);
}

static void assert_ms(const struct profile *p, enum profile_stage stage, uint64_t cpu, uint64_t off, uint64_t starved, uint64_t blocked)
{
    assert_int_equal(p->ns[stage][PROFILE_CPU] / MS, cpu);
    assert_int_equal(p->ns[stage][PROFILE_OFF] / MS, off);
    assert_int_equal(p->ns[stage][PROFILE_STARVED] / MS, starved);
    assert_int_equal(p->ns[stage][PROFILE_BLOCKED] / MS, blocked);
}

// What a stretch is off the processor belongs to the reading, not to the hashing.
static void test_stretch(void **state)
{
    struct profile p = { 0 };
    struct profile_lap lap;
    (void)state;
    begin(&lap, &p, PROFILE_READ);
    for (int i = 0; i < 10; i++) {
        pass(10, 2);
        profile_to(&lap, PROFILE_HASH);
        pass(5, 5);
        profile_to(&lap, PROFILE_READ);
    }
    profile_end(&lap);
    assert_ms(&p, PROFILE_READ, 20, 80, 0, 0);
    assert_ms(&p, PROFILE_HASH, 50, 0, 0, 0);
    pass(1000, 1000);
    profile_to(&lap, PROFILE_HASH); // ended: counts nothing any more
    profile_end(&lap);
    assert_ms(&p, PROFILE_HASH, 50, 0, 0, 0);
}

// More off the processor than the reading took: others had the processor while this hashed.
static void test_preempted(void **state)
{
    struct profile p = { 0 };
    struct profile_lap lap;
    (void)state;
    begin(&lap, &p, PROFILE_READ);
    pass(10, 0);
    profile_to(&lap, PROFILE_HASH);
    pass(30, 20);
    profile_to(&lap, PROFILE_DELTA);
    pass(10, 0);
    profile_end(&lap);
    assert_ms(&p, PROFILE_READ, 0, 10, 0, 0);
    assert_ms(&p, PROFILE_HASH, 15, 15, 0, 0); // 20 off for 40 of computing
    assert_ms(&p, PROFILE_DELTA, 5, 5, 0, 0);
}

static void test_waits(void **state)
{
    struct profile p = { 0 };
    struct profile_lap lap;
    (void)state;
    begin(&lap, &p, PROFILE_PLACE);
    pass(7, 7);
    profile_pause(&lap);
    pass(20, 0);
    profile_resume(&lap, PROFILE_STARVED);
    pass(1, 1);
    profile_pause(&lap);
    pass(40, 0);
    profile_resume(&lap, PROFILE_BLOCKED);
    pass(2, 2);
    profile_end(&lap);
    assert_ms(&p, PROFILE_PLACE, 10, 0, 20, 40);
}

static void test_without(void **state)
{
    struct profile_lap lap;
    (void)state;
    begin(&lap, NULL, PROFILE_READ);
    profile_to(&lap, PROFILE_HASH);
    profile_pause(&lap);
    profile_resume(&lap, PROFILE_STARVED);
    profile_end(&lap);
    profile_add(NULL, PROFILE_READ, PROFILE_CPU, 1);
    profile_threads(NULL, PROFILE_READ, 2);
}

static void assert_limit(const struct profile_report *r, enum profile_limit wanted, enum profile_stage stage, unsigned percent)
{
    enum profile_stage seen;
    double share;
    assert_string_equal(profile_limit_name(profile_judge(r, &seen, &share)), profile_limit_name(wanted));
    if (wanted != PROFILE_LIMIT_NONE)
        assert_string_equal(profile_stage_name(seen), profile_stage_name(stage));
    assert_int_equal((unsigned)(share * 100 + 0.5), percent);
}

static void test_judge(void **state)
{
    (void)state;
    struct profile_report r = { .wall_ns = 1000 * MS, .processors = 2, .cpu_ns = 1900 * MS };
    r.ns[PROFILE_COMPRESS][PROFILE_CPU] = 1300 * MS;
    r.threads[PROFILE_COMPRESS] = 2;
    r.ns[PROFILE_PLACE][PROFILE_CPU] = 400 * MS;
    assert_limit(&r, PROFILE_LIMIT_PROCESSORS, PROFILE_COMPRESS, 95);
    r.cpu_ns = 1300 * MS; // the two were not busy, but others had one of them while this wanted to compress
    r.ns[PROFILE_COMPRESS][PROFILE_OFF] = 500 * MS;
    assert_limit(&r, PROFILE_LIMIT_PROCESSORS, PROFILE_COMPRESS, 90);

    r = (struct profile_report){ .wall_ns = 1000 * MS, .processors = 2, .cpu_ns = 1200 * MS };
    r.ns[PROFILE_PLACE][PROFILE_CPU] = 930 * MS;
    assert_limit(&r, PROFILE_LIMIT_THREAD, PROFILE_PLACE, 93);

    r = (struct profile_report){ .wall_ns = 1000 * MS, .processors = 2, .cpu_ns = 200 * MS };
    r.ns[PROFILE_READ][PROFILE_OFF] = 3200 * MS;
    r.threads[PROFILE_READ] = 4;
    assert_limit(&r, PROFILE_LIMIT_DEVICE, PROFILE_READ, 80);
    r.ns[PROFILE_SHIP][PROFILE_OFF] = 900 * MS;
    assert_limit(&r, PROFILE_LIMIT_DEVICE, PROFILE_SHIP, 90);

    r = (struct profile_report){ .wall_ns = 1000 * MS, .processors = 2, .cpu_ns = 600 * MS };
    assert_limit(&r, PROFILE_LIMIT_NONE, PROFILE_SCAN, 30);
    r.wall_ns = 0;
    assert_limit(&r, PROFILE_LIMIT_NONE, PROFILE_SCAN, 0);
}

static void test_take(void **state)
{
    struct profile p = { 0 };
    struct profile_report r = { 0 };
    (void)state;
    profile_add(&p, PROFILE_SHIP, PROFILE_OFF, 5);
    profile_add(&p, PROFILE_SHIP, PROFILE_OFF, 6);
    profile_threads(&p, PROFILE_READ, 4);
    profile_threads(&p, PROFILE_READ, 2);
    profile_take(&p, &r);
    assert_int_equal(r.ns[PROFILE_SHIP][PROFILE_OFF], 11);
    assert_int_equal(r.threads[PROFILE_READ], 4);
    assert_int_equal(r.threads[PROFILE_SHIP], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stretch), cmocka_unit_test(test_preempted), cmocka_unit_test(test_waits), cmocka_unit_test(test_without),
        cmocka_unit_test(test_judge),   cmocka_unit_test(test_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
