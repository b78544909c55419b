// Threads that do one step each in the order of their numbers: 0, 1, 2 … Every number must come, and pass, once; a thread that waits must not keep
// an earlier number from being worked at (a pool that takes jobs in the order of submission does not).
#ifndef BKD_BASE_TURNS_H
#define BKD_BASE_TURNS_H

#include <pthread.h>
#include <stdint.h>

struct turns {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t next;
};

void turns_init(struct turns *t);
// Waits until all numbers before have passed.
void turns_wait(struct turns *t, uint64_t number);
// The step is done: the next number's turn.
void turns_pass(struct turns *t);
void turns_done(struct turns *t);

#endif
