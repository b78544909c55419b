// What is found out before the first write: what the target's file system cannot hold of the selection, and how long it will take.
#ifndef BKD_RESTORE_READY_H
#define BKD_RESTORE_READY_H

#include "restore/expect.h"
#include "restore/needs.h"
#include "restore/report.h"

struct ready {
    struct needs_question question; // its abilities are filled in here
    struct report *report;
    int target_fd;      // the target, or what exists of the way to it; borrowed
    const char *target; // its name
    bool strict;        // losses of metadata end it too
};

// Tells what will be lost, a line (with --json an object of the type "loss") for each kind. ERROR_FAILED when names would be one file there,
// and with `strict` when anything would be lost. A target that cannot be tried is left to the writing.
MUST_USE int ready_check(struct ready *r, struct error *err);

// "expected: about 3 min (12345 files, 20.0 GiB; …)"; with --json an object of the type "expectation". Kept in the report for its end.
void ready_tell(struct report *report, const struct expect *expect);

#endif
