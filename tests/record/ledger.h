// For tests of the record layer: a catalogue in a scratch directory, with a clock that the test sets.
#ifndef BKD_TESTS_RECORD_LEDGER_H
#define BKD_TESTS_RECORD_LEDGER_H

#include "tests/codec/scratch.h"

#include <time.h>

#include "bkd/record/catalogue.h"

#define OK(call) do { if ((call) != 0) fail_msg("%s: %s", #call, err.text); } while (0)
#define SECOND UINT64_C(1000000000)

struct ledger {
    struct scratch scratch;
    struct io io; // the real one, but for the clock
    uint64_t now_ns;
    struct catalogue catalogue;
};

static inline int ledger_clock(const struct io *self, clockid_t clock, struct timespec *ret_now)
{
    const struct ledger *l = self->state;
    if (clock != CLOCK_REALTIME)
        return clock_gettime(clock, ret_now);
    *ret_now = (struct timespec){ .tv_sec = (time_t)(l->now_ns / SECOND), .tv_nsec = (long)(l->now_ns % SECOND) };
    return 0;
}

// The ledger must not move afterwards: its io points to it.
static inline void ledger_open(struct ledger *l)
{
    struct error err;
    *l = (struct ledger){ .scratch = scratch_new(), .io = *io_real(), .now_ns = 1800000000 * SECOND };
    l->io.clock = ledger_clock;
    l->io.state = l;
    OK(catalogue_open(&l->io, l->scratch.dir, CATALOGUE_WRITE, &l->catalogue, &err));
}

static inline void ledger_done(struct ledger *l)
{
    catalogue_close(&l->catalogue);
    scratch_done(&l->scratch);
}
#define _cleanup_ledger_ __attribute__((cleanup(ledger_done)))

static inline int64_t ledger_number(struct ledger *l, const char *text)
{
    struct error err;
    int64_t number = 0;
    OK(sql_number(l->catalogue.sql, text, SQL_NOTHING, &number, &err));
    return number;
}

#endif
