// STATE_DIR/catalogue.pending: records of runs that could not be written to the catalogue, a line each (run_facts.h), until it can take them in.
// A run may have two lines, of its begin and of its end. Lines that are torn or unknown are left out and told.
#ifndef BKD_RECORD_PENDING_H
#define BKD_RECORD_PENDING_H

#include "bkd/record/run_facts.h"

// Appends one; durable.
MUST_USE int pending_add(const struct io *io, const char *state_dir, const struct run_facts *facts, struct error *err);
// Takes all of them in and removes the file; a kill in between only repeats it. *ret_runs: how many lines were taken. No file: 0.
MUST_USE int pending_take_in(struct catalogue *c, const char *state_dir, uint64_t *ret_runs, struct error *err);

#endif
