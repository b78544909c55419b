// How protected a policy is, in the words of `bkd status`, and what was last found: it is noted in the catalogue for those who tell of it.
#ifndef BKD_RECORD_WATCH_STATE_H
#define BKD_RECORD_WATCH_STATE_H

#include <stdbool.h>

#include "bkd/record/catalogue.h"

enum watch_state { WATCH_PROTECTED, WATCH_AT_RISK, WATCH_NOT_PROTECTED };
// "PROTECTED", "AT RISK", "NOT PROTECTED".
const char *watch_state_name(enum watch_state state);

MUST_USE int watch_state_note(struct catalogue *c, const char *policy, enum watch_state state, struct error *err);
// *ret_known false: nobody has looked yet, and *ret_state stays.
MUST_USE int watch_state_noted(struct catalogue *c, const char *policy, bool *ret_known, enum watch_state *ret_state, struct error *err);

#endif
