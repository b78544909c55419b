#include "restore/timing.h"

void timing_init(struct timing *t, const struct io *io)
{
    t->io = io;
    t->started_ns = io_monotonic_ns(io);
    for (int i = 0; i < TIMING_PHASES; i++) {
        atomic_init(&t->bytes[i], 0);
        atomic_init(&t->ns[i], 0);
    }
}

uint64_t timing_now(const struct timing *t) { return io_monotonic_ns(t->io); }

uint64_t timing_add(struct timing *t, enum timing_phase phase, uint64_t since_ns, uint64_t bytes)
{
    uint64_t now = timing_now(t);
    atomic_fetch_add_explicit(&t->ns[phase], now - since_ns, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->bytes[phase], bytes, memory_order_relaxed);
    return now;
}

uint64_t timing_duration(const struct timing *t) { return timing_now(t) - t->started_ns; }

const char *timing_name(enum timing_phase phase)
{
    static const char *const names[TIMING_PHASES] = { "open", "plan", "fetch", "decode", "write", "compare", "metadata", "verify" };
    return names[phase];
}
