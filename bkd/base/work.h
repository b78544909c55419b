// A pool of worker threads whose results come back in the order of submission.
// Usual order: work_new; for each job { while (work_count(p) >= limit) use(work_next(p)); work_submit(p, run, job); }; while (work_count(p) > 0) use(work_next(p));
// work_free. Submitting and taking results belong to one thread. The limit is the caller's: it bounds the memory in flight.
#ifndef BKD_BASE_WORK_H
#define BKD_BASE_WORK_H

#include <stdbool.h>
#include <stddef.h>

#include "bkd/base/profile.h"

struct work_pool;

// Runs in a worker thread. Failures are kept in the job itself. `worker` counts from 0: per-thread state may be kept by it.
typedef void work_fn(void *job, unsigned worker);

struct work_pool *work_new(unsigned threads);
// Waits for all jobs under way; jobs not taken by work_next stay the caller's.
void work_free(struct work_pool *pool);
unsigned work_threads(const struct work_pool *pool);
// Adds what the threads wait for jobs to what `stage` waits for its input. profile NULL: nothing. Before the first job; both are borrowed.
void work_profile(struct work_pool *pool, struct profile *profile, const struct io *io, enum profile_stage stage);

void work_submit(struct work_pool *pool, work_fn *run, void *job);
// Jobs submitted and not yet taken.
size_t work_count(const struct work_pool *pool);
// Waits for the oldest job to be done and takes it; NULL when there is none.
void *work_next(struct work_pool *pool);
// The oldest job if it is done already, else NULL.
void *work_try_next(struct work_pool *pool);

// Number of processors this process may use.
unsigned work_processors(void);

#endif
