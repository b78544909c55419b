// What became of each slot of a schedule: every slot has one row, whoever decided it. A slot is one time of one action ("backup", "verify" …) of one policy.
#ifndef BKD_RECORD_SLOTS_H
#define BKD_RECORD_SLOTS_H

#include "bkd/record/catalogue.h"

#define SLOTS_AHEAD_NS (3 * UINT64_C(3600) * 1000000000) // a clock that goes back further is corrected (AGENDA_CLOCK_S)

enum slot_outcome {
    SLOT_RUN,       // a run was started for it
    SLOT_MISSED,    // nothing ran: the host was off, the window was over …
    SLOT_COALESCED, // one run counts for it and a later one
    SLOT_SKIPPED,   // on purpose: paused, the policy it waits for failed …
    SLOT_OUTCOMES
};

struct slot {
    char policy[CATALOGUE_NAME_MAX];
    char action[CATALOGUE_NAME_MAX];
    uint64_t slot_ns;
    enum slot_outcome outcome;
    int64_t run; // 0 = none, or not known (yet)
    char reason[CATALOGUE_TEXT_MAX];
    uint64_t decided_ns;
};

// "run", "missed", "coalesced", "skipped".
const char *slot_outcome_name(enum slot_outcome outcome);

// Decides a slot, now. *ret_won false: it was decided already, and stays as it is (another process was first). What was decided more than SLOTS_AHEAD_NS after now
// had a wrong clock, and is decided anew. run 0 = not known yet; reason may be NULL.
MUST_USE int slots_set(struct catalogue *c, const char *policy, const char *action, uint64_t slot_ns, enum slot_outcome outcome, int64_t run, const char *reason,
                       bool *ret_won, struct error *err);
// The run that was started for a slot decided as SLOT_RUN (a retry replaces the run before).
MUST_USE int slots_set_run(struct catalogue *c, const char *policy, const char *action, uint64_t slot_ns, int64_t run, struct error *err);
// The latest slot (by its time) that was decided, and not later than until_ns (0 = no limit). ERROR_NOT_FOUND.
MUST_USE int slots_last(struct catalogue *c, const char *policy, const char *action, uint64_t until_ns, struct slot *ret_slot, struct error *err);

#endif
