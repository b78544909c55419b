// What runs note of the places they store in, for those who watch: how much room is left on the disk there, and how far its clock is off. Figures of the run
// in the catalogue; those of the repository are `store_free`, `store_total` and `store_clock_off_s`, those of a copy `copy_free.ID` and so on, where ID is the
// first 8 hex digits of the SHA-256 of its address, a space and its disk's serial.
#ifndef BKD_WATCH_PLACE_FIGURES_H
#define BKD_WATCH_PLACE_FIGURES_H

#include "bkd/host/context.h"
#include "bkd/record/catalogue.h"
#include "bkd/store/store.h"
#include "bkd/watch/watch.h"

// Of a copy (at url, as the policy writes it) that was brought up to date just now: serial "" = no removable disk; head_name: of the head written last, NULL = none was (the clock is not known
// then). What the place does not tell is left out.
void place_figures_note(const struct context *ctx, struct store *store, const char *url, const char *serial, const char *head_name);

// What the last runs of a policy noted, and when the disk is full by that. url NULL: its repository.
void place_figures_load(struct catalogue *c, const char *policy, const char *url, const char *serial, struct watch_disk *ret_disk, uint64_t *ret_clock_off_ns);

#endif
