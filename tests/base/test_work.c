// The pool: results in the order of submission whatever the order of ending, each job once, in the thread it is told.
#include "tests/codec/scratch.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "bkd/base/work.h"

struct job {
    unsigned number;
    unsigned runs;
    unsigned worker;
    int status; // how jobs tell failures
    unsigned nap_us;
};

static void run(void *arg, unsigned worker)
{
    struct job *job = arg;
    if (job->nap_us > 0)
        (void)nanosleep(&(struct timespec){ .tv_nsec = job->nap_us * 1000 }, NULL);
    job->runs++;
    job->worker = worker;
    job->status = job->number % 7 == 3 ? -1 : 0;
}

static void test_nothing(void **state)
{
    (void)state;
    struct work_pool *pool = work_new(3);
    assert_int_equal(work_threads(pool), 3);
    assert_int_equal(work_count(pool), 0);
    assert_null(work_next(pool));
    assert_null(work_try_next(pool));
    work_free(pool);
    work_free(NULL);
    pool = work_new(0); // at least one
    assert_int_equal(work_threads(pool), 1);
    work_free(pool);
    assert_true(work_processors() >= 1);
}

static void run_many(unsigned threads, unsigned jobs, size_t limit, unsigned slow_every)
{
    struct work_pool *pool = work_new(threads);
    struct job *all = xcalloc(jobs, sizeof *all);
    unsigned taken = 0, failed = 0;
    for (unsigned i = 0; i <= jobs; i++) {
        while (work_count(pool) >= limit || (i == jobs && work_count(pool) > 0)) {
            struct job *job = work_next(pool);
            assert_ptr_equal(job, &all[taken]);
            assert_int_equal(job->runs, 1);
            assert_in_range(job->worker, 0, threads - 1);
            failed += job->status < 0;
            taken++;
        }
        if (i == jobs)
            break;
        all[i] = (struct job){ .number = i, .nap_us = slow_every > 0 && i % slow_every == 0 ? 300 : 0 };
        work_submit(pool, run, &all[i]);
        assert_in_range(work_count(pool), 1, limit);
    }
    assert_int_equal(taken, jobs);
    assert_int_equal(failed, jobs == 0 ? 0 : (jobs + 3) / 7);
    work_free(pool);
    free(all);
}

static void test_order(void **state)
{
    (void)state;
    run_many(1, 1000, 1, 0);
    run_many(1, 1000, 5, 0);
    run_many(2, 100000, 3, 0);
    run_many(7, 100000, 50, 0);
    run_many(4, 2000, 20, 5); // the slow ones end after those behind them
    run_many(3, 0, 4, 0);
}

// The first job ends only when the second has: with two threads both must be under way at once.
static void wait_for(void *arg, unsigned worker)
{
    (void)worker;
    _Atomic int *turn = arg;
    for (unsigned i = 0; atomic_load(turn) == 0 && i < 5000; i++)
        (void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    atomic_fetch_add(turn, 10);
}

static void give(void *arg, unsigned worker)
{
    (void)worker;
    atomic_store((_Atomic int *)arg, 1);
}

static void test_in_parallel(void **state)
{
    (void)state;
    _Atomic int turn = 0;
    struct work_pool *pool = work_new(2);
    work_submit(pool, wait_for, &turn);
    assert_null(work_try_next(pool)); // the oldest cannot be done
    work_submit(pool, give, &turn);
    assert_ptr_equal(work_next(pool), &turn);
    assert_int_equal(atomic_load(&turn), 11);
    assert_ptr_equal(work_next(pool), &turn);
    work_free(pool);
}

static void test_try_next(void **state)
{
    (void)state;
    struct job job = { .number = 1 };
    struct work_pool *pool = work_new(1);
    work_submit(pool, run, &job);
    struct job *got = NULL;
    for (unsigned i = 0; got == NULL && i < 5000; i++) {
        got = work_try_next(pool);
        (void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
    assert_ptr_equal(got, &job);
    assert_int_equal(work_count(pool), 0);
    assert_null(work_try_next(pool));
    work_free(pool);
}

// work_free waits for what is under way, and leaves the jobs to their owner.
static void test_free_waits(void **state)
{
    (void)state;
    struct job jobs[20];
    struct work_pool *pool = work_new(2);
    for (unsigned i = 0; i < 20; i++) {
        jobs[i] = (struct job){ .number = i, .nap_us = 1000 };
        work_submit(pool, run, &jobs[i]);
    }
    work_free(pool);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(jobs[i].runs, 1);
}

static void ask_mask(void *arg, unsigned worker)
{
    (void)worker;
    sigset_t blocked;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    *(int *)arg = sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGINT);
}

static void test_signals_stay_with_the_main_thread(void **state)
{
    (void)state;
    int blocked = 0;
    sigset_t mine;
    struct work_pool *pool = work_new(1);
    work_submit(pool, ask_mask, &blocked);
    assert_ptr_equal(work_next(pool), &blocked);
    assert_true(blocked);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mine), 0);
    assert_false(sigismember(&mine, SIGTERM));
    work_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_in_parallel),
        cmocka_unit_test(test_try_next),
        cmocka_unit_test(test_free_waits),
        cmocka_unit_test(test_signals_stay_with_the_main_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
