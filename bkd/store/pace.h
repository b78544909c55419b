// Keeps what is sent to a place below a rate that depends on the time of day: a bucket that fills with time, shared by all connections to the place.
#ifndef BKD_STORE_PACE_H
#define BKD_STORE_PACE_H

#include <pthread.h>

#include "bkd/base/bandwidth.h"
#include "bkd/base/io.h"

struct pace {
    const struct io *io;
    struct bandwidth bandwidth;
    pthread_mutex_t lock;
    uint64_t filled_ns; // when bytes were last put in
    uint64_t bytes;     // that may go now
};

void pace_init(struct pace *p, const struct io *io, const struct bandwidth *bandwidth);
void pace_done(struct pace *p);
// How many of `wanted` bytes may go now: all of them, which are taken out of the bucket, or 0. As may_send of struct sftp_pace; arg is the struct pace.
size_t pace_may_send(void *arg, size_t wanted);

#endif
