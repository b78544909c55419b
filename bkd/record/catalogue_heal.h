// What becomes of a catalogue that is damaged or gone: the file is set aside under another name (never deleted), the last nightly copy takes its place, and an
// alarm says what to do. Used by catalogue.c.
//
// STATE_DIR/catalogue.lock   held shared by whoever has the catalogue open, alone by who exchanges the file
// STATE_DIR/catalogue.backup the nightly copy (catalogue_backup)
// STATE_DIR/catalogue.broken somebody met damage behind the header: the next opening sets the file aside
#ifndef BKD_RECORD_CATALOGUE_HEAL_H
#define BKD_RECORD_CATALOGUE_HEAL_H

#include "bkd/record/catalogue.h"

// Takes the lock, shared or alone, waiting up to wait_ms; ERROR_BUSY. *ret_fd -1: there is no lock file, and none can be made.
MUST_USE int catalogue_heal_lock(const struct io *io, const char *state_dir, bool alone, unsigned wait_ms, int *ret_fd, struct error *err);

// Does it look as if it needed healing: not opened without damage, marked as broken, or gone while there is a nightly copy? *ret_text is why, "" = no.
MUST_USE int catalogue_heal_look(const struct io *io, const char *state_dir, char ret_why[CATALOGUE_TEXT_MAX], struct error *err);

// What was done.
struct catalogue_healed {
    char why[CATALOGUE_TEXT_MAX]; // "" = nothing: another process was first
    char aside[256];              // name of the file that was set aside; "" = there was none
    uint64_t backup_ns;           // time of the nightly copy that took its place; 0 = none did
};
// Waits up to wait_ms for others to close it; ERROR_BUSY.
MUST_USE int catalogue_heal(const struct io *io, const char *state_dir, unsigned wait_ms, struct catalogue_healed *ret_healed, struct error *err);
// Tells of it: a warning, an alarm (kind "catalogue-damaged") and the mark "rebuild.wanted" in the catalogue that is there now.
MUST_USE int catalogue_heal_tell(struct catalogue *c, const struct catalogue_healed *healed, struct error *err);

// Remembers that damage was met, for the next opening.
void catalogue_heal_mark(const struct io *io, const char *state_dir);

#endif
