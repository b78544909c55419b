// Where the time of a run went (bkd/base/profile.h), as people and programs see it, and as it stands in the catalogue beside the run's phases and figures.
#ifndef BKD_HISTORY_PROFILING_H
#define BKD_HISTORY_PROFILING_H

#include "bkd/base/profile.h"
#include "bkd/host/context.h"

// Of a command while it runs. Zero-initialised but for started_ns (io_monotonic_ns).
struct profiling {
    struct profile profile;
    uint64_t started_ns;
};

void profiling_begin(const struct context *ctx, struct profiling *p);
// Sums up what was measured until now.
void profiling_take(const struct context *ctx, const struct profiling *p, struct profile_report *ret_report);

// Into the record of this run of bkd (recording.h).
void profiling_record(const struct context *ctx, const struct profile_report *r);
// A phase or figure of a recorded run: is it part of a profile? Then the report takes it. A report is one when wall_ns is set.
bool profiling_read(struct profile_report *r, bool is_phase, const char *name, uint64_t value);

// A table, and what limited the run.
void profiling_print(const struct profile_report *r);
// As the object "profile".
void profiling_add_json(struct json *line, const struct profile_report *r);

#endif
