// What a restore tells: problems one by one as they are found, the summary at the end; for people on standard error and output,
// with --json one object a line on standard output.
#ifndef BKD_RESTORE_REPORT_H
#define BKD_RESTORE_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/error.h"
#include "bkd/base/progress.h"
#include "restore/timing.h"
#include "restore/told.h"

enum report_kind {
    REPORT_LOST,     // stored bytes are damaged or missing: exit 4
    REPORT_REFUSED,  // the manifest says something no manifest may say: exit 4
    REPORT_EXISTS,   // the target has this name already; it was left alone: exit 3
    REPORT_FAILED,   // the target did not take it: exit 3
    REPORT_METADATA, // restored, but owner, mode, times or attributes are not exact: exit 3
    REPORT_SKIPPED,  // not tried, because what it depends on is not there: exit 3
    REPORT_DIFFERS,  // read again from the disk, it is not what was restored: exit 4
    REPORT_STRIPPED, // --untrusted took something away, or left it out, as it was asked to: exit 0
    REPORT_KINDS,
};

struct report {
    bool json, quiet, dry_run;
    struct progress *progress; // its line makes room for problems; may be NULL; borrowed
    uint64_t count[REPORT_KINDS];
    struct told *told; // remembers the paths of problems; may be NULL; borrowed
    uint64_t files, bytes, dirs, links, hard_links, others;
    uint64_t verified; // entries read again
    uint64_t replaced; // of all these: took the place of something
    uint64_t updated;  // existed and only got their metadata, directories not counted
    uint64_t left;     // existed and are the same, or newer where that was asked for
    uint64_t deleted;  // not in the snapshot, removed
    uint64_t needed;     // bytes on the target's disk that a rehearsal would write
    uint64_t free_space; // there
    bool free_known;
    uint64_t expected_ns; // how long it was expected to take, without opening and planning
    bool expected_known;
    uint64_t holes;        // bytes that needed no writing
    uint64_t kept, written; // bytes that were in the target already; bytes written to files
    uint64_t owners;       // entries whose owner could not be given (not counting the way to the sources)
    uint64_t owners_above; // the way to the sources
    uint64_t impossible;   // of REPORT_FAILED: devices and the like that the target cannot have, or this user may not make
    uint64_t sockets, streams, unstable, mounts, excluded, existing_dirs;
};

// One path that is not restored, or not exactly. Shown at once.
void report_problem(struct report *r, enum report_kind kind, const char *path, const char *reason);
// What an entry did not get (REPORT_METADATA) and what was taken from it (REPORT_STRIPPED); "" = nothing.
void report_inexact(struct report *r, const char *path, const char *lost, const char *stripped);

// The end: 0, or the error that the exit code comes from, with one sentence and the next step.
int report_result(const struct report *r, struct error *err);

// The summary. For people: what was restored from where to where, how long, at what rate, phase by phase, and what is not exact.
struct report_place {
    const char *repository, *target, *host, *policy;
    uint64_t snapshot, snapshot_time_ns;
};
void report_summary(const struct report *r, const struct report_place *place, struct timing *timing, bool complete);

#endif
