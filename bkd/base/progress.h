// Showing how far a long run is. Workers only count; whoever counts when a line is due prints it.
//
// On a terminal one line is rewritten in place, at most five times a second; elsewhere one line a minute (a log); with
// JSON one {"type":"progress","schema":1,…} line at most once a second; nothing when silent. Lines for people go to
// standard error, JSON to standard output.
//
// JSON keys: phase, files, bytes, elapsed_ms, and where known files_total, bytes_total, bytes_per_second and eta_s (seconds
// left), both from what was measured in the last seconds of this phase (bkd/base/estimate.h).
#ifndef BKD_BASE_PROGRESS_H
#define BKD_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "bkd/base/buf.h"
#include "bkd/base/estimate.h"
#include "bkd/base/io.h"

struct progress;

enum progress_style {
    PROGRESS_SILENT,
    PROGRESS_LINES,    // one a minute
    PROGRESS_TERMINAL, // one line, rewritten
    PROGRESS_JSON,
};

// The style that fits: JSON when asked for, SILENT when quiet, TERMINAL when standard error is one, else LINES.
enum progress_style progress_style_for(bool json, bool quiet);

// `stream` NULL means standard error, or standard output for JSON. `io` is the clock; it must outlive the progress.
struct progress *progress_new(const struct io *io, enum progress_style style, FILE *stream);
// Clears the terminal's line and frees. NULL is fine.
void progress_free(struct progress **progress);
#define _cleanup_progress_ __attribute__((cleanup(progress_free)))

// Starts a phase: counters begin at zero. `phase` is one word ("scan", "store") and must outlive the phase. Totals that
// are not known are 0. Call it while no worker counts. NULL progress is fine here and below: nothing is shown.
void progress_begin(struct progress *progress, const char *phase, uint64_t files_total, uint64_t bytes_total);
// What the phase's work is expected to cost, until enough of it was measured. After progress_begin.
void progress_expect(struct progress *progress, double seconds_per_file, double seconds_per_byte);
// Counts finished work; from any thread.
void progress_add(struct progress *progress, uint64_t files, uint64_t bytes);
// Ends the line of a terminal, so that other output starts on a fresh one. The next count draws it again.
void progress_pause(struct progress *progress);

// One moment, as text for people: "store: 1.5 GiB of 3.0 GiB, 1234 files, 250 MiB/s, 6 s left". Pure; for tests.
struct progress_view {
    const char *phase;
    uint64_t files, files_total, bytes, bytes_total; // totals 0 = unknown
    uint64_t elapsed_ns;
    uint64_t bytes_per_second; // 0 = unknown
    struct estimate measured;  // of what has a total
};
void progress_format(const struct progress_view *view, struct buf *ret_text);
// Seconds left by what was measured; false when it cannot be told.
bool progress_seconds_left(const struct progress_view *view, uint64_t *ret_seconds);

#endif
