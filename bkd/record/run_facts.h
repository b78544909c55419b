// One run with all that is known of it, in memory and as a line of text: what a command collects while it runs, and what is kept in STATE_DIR/catalogue.pending
// when the catalogue cannot be written.
#ifndef BKD_RECORD_RUN_FACTS_H
#define BKD_RECORD_RUN_FACTS_H

#include "bkd/base/buf.h"
#include "bkd/record/runs.h"

#define RUN_FACTS_MAX 128

struct run_fact {
    char name[CATALOGUE_NAME_MAX];
    uint64_t value; // nanoseconds of a phase; anything of a figure
    bool is_phase;
};

struct run_facts {
    struct run_record run; // copy and policy_version are not looked at
    struct run_fact facts[RUN_FACTS_MAX];
    size_t n;
    char *policy_text; // the policy's file; owned, NULL = unknown
};

void run_facts_done(struct run_facts *facts);
#define _cleanup_run_facts_ __attribute__((cleanup(run_facts_done)))

// One more phase or figure; the same name again replaces it. What does not fit is left out.
void run_facts_add(struct run_facts *facts, bool is_phase, const char *name, uint64_t value);

// Puts the run, its phases and figures, its host and its policy's version into the catalogue; what is there stays (runs_save).
// Its begin and its end append an event each: "run-started"; "run-done", "run-incomplete", "run-busy" or "run-failed".
MUST_USE int run_facts_save(struct catalogue *c, const struct run_facts *facts, int64_t *ret_id, struct error *err);

// One JSON object on one line, with LF, and back. ERROR_FORMAT: it is none.
void run_facts_format(const struct run_facts *facts, struct buf *ret_text);
MUST_USE int run_facts_parse(const char *line, size_t n, struct run_facts *ret_facts, struct error *err);

#endif
