// Policies that are paused: their slots are skipped until somebody resumes them, or until a time. A pause whose time has come is none any more.
#ifndef BKD_RECORD_PAUSES_H
#define BKD_RECORD_PAUSES_H

#include "bkd/record/catalogue.h"

struct pause {
    char policy[CATALOGUE_NAME_MAX];
    uint64_t since_ns;
    uint64_t until_ns; // 0 = until it is resumed
    char by[256]; // who did it
    char reason[CATALOGUE_TEXT_MAX];
};

// Pauses from now on until `until_ns` (0 = until it is resumed); one that is paused already stays so since then, for the rest the later word counts. reason may be NULL.
MUST_USE int pauses_set(struct catalogue *c, const char *policy, uint64_t until_ns, const char *by, const char *reason, struct error *err);
// *ret_was_paused may be NULL.
MUST_USE int pauses_clear(struct catalogue *c, const char *policy, bool *ret_was_paused, struct error *err);
// ERROR_NOT_FOUND: it is not paused.
MUST_USE int pauses_get(struct catalogue *c, const char *policy, struct pause *ret_pause, struct error *err);

typedef int pauses_visit_fn(void *arg, const struct pause *pause, struct error *err);
// By name. A visit that returns non-zero ends the listing with that value.
MUST_USE int pauses_list(struct catalogue *c, pauses_visit_fn *visit, void *arg, struct error *err);

#endif
