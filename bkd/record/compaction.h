// Keeping the catalogue small for years: what is old goes, in short transactions that hold nobody up.
//
// Kept for ever: verifications, drills, snapshots, copies, hosts, alarms that are active, the last run of each policy and kind and its last successful one.
#ifndef BKD_RECORD_COMPACTION_H
#define BKD_RECORD_COMPACTION_H

#include "bkd/record/catalogue.h"

struct compaction_options {
    uint64_t details_ns; // phases and figures of runs that ended longer ago; slots, events and deliveries as well
    uint64_t runs_ns;    // runs that ended longer ago; alarms that were cleared, and versions of policies that no run knows any more, as well
};

struct compaction_result {
    uint64_t rows;     // that went
    bool was_vacuumed; // the file was made smaller: a quarter of it or more was free
};

// Now is the catalogue's clock. ERROR_BUSY and others end it; what went until then stays gone.
MUST_USE int compaction_run(struct catalogue *c, const struct compaction_options *options, struct compaction_result *ret_result, struct error *err);

#endif
