// The record that a run of bkd makes of itself in the catalogue: begun before the command's handler, ended with its exit code and message; in between the
// command says how long its parts took and what they came to. Dry runs are not recorded.
//
// Recording never fails a run. When the catalogue cannot be written (damaged, locked, no space, read-only), the record goes to STATE_DIR/catalogue.pending
// and a warning says so; when that cannot be written either, a run that was done ends with 3: nobody would know of it.
//
// Who starts a run says by the environment what it is for: a daemon, `bkd run --due`, a crontab.
#ifndef BKD_HISTORY_RECORDING_H
#define BKD_HISTORY_RECORDING_H

#include "bkd/host/context.h"

#define RECORDING_TRIGGER "BKD_TRIGGER" // "manual" (the default), "cron", "daemon", "due"
#define RECORDING_SLOT "BKD_SLOT_NS"    // the time of the schedule it serves: nanoseconds since 1970 UTC, decimal
#define RECORDING_ATTEMPT "BKD_ATTEMPT" // which try of that slot this is, from 1
#define RECORDING_UID "BKD_RUN_UID"     // 32 hex digits by which the run can be found (runs_find); random when not given

struct recording;

// Begins the record when the command is one that is recorded (it works on a policy or plan whose file exists, and changes or proves something), and sets
// ctx->recording, else leaves it NULL.
void recording_begin(struct context *ctx, const struct cli_args *args);

// What a run came to, for its record; nothing happens when it has none. A name that was given before is replaced.
void recording_phase(const struct context *ctx, const char *name, uint64_t duration_ns);
void recording_figure(const struct context *ctx, const char *name, uint64_t value);
void recording_snapshot(const struct context *ctx, uint64_t number);

// Ends it: r and *err are how the handler ended, ctx->exit_code what it asked for. Then the catalogue is tidied, when that is
// due. Returns r, or ERROR_INCOMPLETE as said above.
MUST_USE int recording_end(struct context *ctx, int r, struct error *err);

#endif
