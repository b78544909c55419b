#include "bkd/store/pace.h"

#include <time.h>

enum { NS = 1000000000, HELD_NS = NS / 10 }; // what is not used within that time is lost: no burst after a pause

void pace_init(struct pace *p, const struct io *io, const struct bandwidth *bandwidth)
{
    *p = (struct pace){ .io = io, .bandwidth = *bandwidth, .filled_ns = io_monotonic_ns(io) };
    pthread_mutex_init(&p->lock, NULL);
}

void pace_done(struct pace *p) { pthread_mutex_destroy(&p->lock); }

static unsigned minute_of_day(const struct io *io)
{
    time_t now = (time_t)(io_realtime_ns(io) / NS);
    struct tm local;
    return localtime_r(&now, &local) == NULL ? 0 : (unsigned)(local.tm_hour * 60 + local.tm_min);
}

static void fill(struct pace *p, uint64_t rate, size_t wanted)
{
    uint64_t now = io_monotonic_ns(p->io), passed = now - p->filled_ns, most = rate / (NS / HELD_NS);
    uint64_t more = passed >= NS ? rate : passed * (rate / 1000) / (NS / 1000);
    if (more == 0)
        return; // so that many short times add up
    p->filled_ns = now;
    if (most < wanted)
        most = wanted; // what is asked for goes in one piece
    p->bytes = p->bytes + more < most ? p->bytes + more : most;
}

size_t pace_may_send(void *arg, size_t wanted)
{
    struct pace *p = arg;
    uint64_t rate = bandwidth_at(&p->bandwidth, minute_of_day(p->io));
    if (rate == 0)
        return wanted;
    pthread_mutex_lock(&p->lock);
    fill(p, rate, wanted);
    bool may = p->bytes >= wanted;
    p->bytes -= may ? wanted : 0;
    pthread_mutex_unlock(&p->lock);
    return may ? wanted : 0;
}
