// Turns: threads come in the order of their numbers, whichever is ready first, and wait as long as it takes.
#include "tests/codec/scratch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "bkd/base/turns.h"

enum { THREADS = 5, STEPS = 4000 };

struct course {
    struct turns turns;
    uint64_t seen[STEPS];
    size_t n; // no atomic one: only whose turn it is writes
};

struct runner {
    struct course *course;
    uint64_t first;
    pthread_t thread;
};

static void *run(void *arg)
{
    struct runner *r = arg;
    for (uint64_t number = r->first; number < STEPS; number += THREADS) {
        turns_wait(&r->course->turns, number);
        r->course->seen[r->course->n++] = number;
        turns_pass(&r->course->turns);
    }
    return NULL;
}

static void test_in_order(void **state)
{
    static struct course course;
    struct runner runners[THREADS];
    (void)state;
    course.n = 0;
    turns_init(&course.turns);
    for (size_t i = THREADS; i-- > 0;) { // the first comes last
        runners[i] = (struct runner){ .course = &course, .first = i };
        assert_int_equal(pthread_create(&runners[i].thread, NULL, run, &runners[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(runners[i].thread, NULL), 0);
    turns_done(&course.turns);
    assert_int_equal(course.n, STEPS);
    for (size_t i = 0; i < STEPS; i++)
        assert_int_equal(course.seen[i], i);
}

struct waiter {
    struct turns turns;
    atomic_bool is_through;
};

static void *wait_for_third(void *arg)
{
    struct waiter *w = arg;
    turns_wait(&w->turns, 2);
    atomic_store(&w->is_through, true);
    return NULL;
}

// Neither the beginning nor the turn before is one's own.
static void test_waits(void **state)
{
    struct waiter w = { .is_through = false };
    pthread_t thread;
    (void)state;
    turns_init(&w.turns);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_third, &w), 0);
    for (int passed = 0; passed < 2; passed++) {
        (void)nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
        assert_false(atomic_load(&w.is_through));
        turns_wait(&w.turns, (uint64_t)passed); // it is: this returns at once
        turns_pass(&w.turns);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(atomic_load(&w.is_through));
    turns_done(&w.turns);
}

int main(void)
{
    (void)alarm(120); // a turn that never comes ends the test
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_in_order), cmocka_unit_test(test_waits) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
