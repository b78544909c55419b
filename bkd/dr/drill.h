// The record of a drill, kept as it happens: each step is a line of STATE_DIR/drills/ID/journal.jsonl, on the disk before the next one begins; at the end all
// of it is STATE_DIR/drills/ID/record.json. What was killed has its journal.
//
// Usual order: drill_begin; drill_note, drill_step …, drill_not_exercised, drill_problem; drill_end; drill_done.
#ifndef BKD_DR_DRILL_H
#define BKD_DR_DRILL_H

#include <stdbool.h>

#include "bkd/base/io.h"
#include "bkd/base/json.h"

#define DRILL_ID_MAX 32

// Texts are UTF-8; NULL where there is nothing to say.
struct drill_about {
    const char *kind;         // "negative", "by-hand", "key" …
    const char *plan;         // the plan, or the policy where it is a drill of one policy
    const char *plan_version; // of its text
    const char *place, *responsible, *participants;
    const char *scope;        // what is rehearsed, one sentence
    const char *copy;         // where the data comes from
    uint64_t snapshot;        // 0 = none
    uint64_t objective_rto_ms, objective_rpo_ms; // 0 = nothing is promised
};

// Of a recovery plan, by people: rehearsed, or walked through at a table. Else it is of one policy.
#define DRILL_REHEARSAL "rehearsal"
#define DRILL_TABLETOP "tabletop"
bool drill_is_of_plan(const char *kind);

enum drill_result { DRILL_PASSED, DRILL_FAILED, DRILL_SKIPPED };
const char *drill_result_name(enum drill_result result);

struct drill_step {
    const char *name; // what was done, a few words
    uint64_t planned_ms; // 0 = no time was planned
    uint64_t took_ns;
    const uint64_t *begun_ns; // from the begin of the drill, or of the run of its plan; NULL = the step ends now
    enum drill_result result;
    const char *text; // what came of it, one sentence
    uint64_t snapshot; // that it restored; 0 = it restored none
    const char *copy;  // from there
};

struct drill {
    const struct io *io;
    char id[DRILL_ID_MAX]; // "20261126-0931-4f2a9c": the minute in UTC, and chance
    char *dir;             // owned
    int journal_fd;        // owned
    struct json *record;   // owned; its arrays are borrowed:
    struct json *steps, *not_exercised, *problems;
    uint64_t started_ns, since_ns; // realtime, monotonic
    uint64_t ended_ns;     // realtime; 0 = not yet
    size_t n_failed;       // steps
    bool has_loss;         // of drill_loss
    uint64_t loss_ms, loss_promised_ms;
    bool has_passed;       // after drill_end
};

// `state_dir` exists. ERROR_NO_SPACE, ERROR_FAILED: nothing can be recorded there, so that a drill would be for nothing.
MUST_USE int drill_begin(const struct io *io, const char *state_dir, const struct drill_about *about, struct drill *ret_drill, struct error *err);
MUST_USE int drill_step(struct drill *d, const struct drill_step *step, struct error *err);
// What this drill said nothing about.
MUST_USE int drill_not_exercised(struct drill *d, const char *text, struct error *err);
MUST_USE int drill_problem(struct drill *d, const char *text, struct error *err);
// A figure of the result, such as "recovery_ms".
void drill_figure(struct drill *d, const char *name, uint64_t value);
// The drill used a snapshot of that time: what would have been lost is its age when the drill began. Of several the one counts that is nearest to what is promised (0 =
// nothing is), or furthest beyond it. In the record that is `loss_ms`, and `within_rpo`.
void drill_loss(struct drill *d, uint64_t snapshot_time_ns, uint64_t promised_ms);
// How it came to its end.
enum drill_end {
    DRILL_HELD,       // it passed when no step failed
    DRILL_NOT_DONE,   // it was held, and did not come to all it was for
    DRILL_BROKEN_OFF, // it could not be held: it counts for no date
};
// `evaluation`: one sentence.
MUST_USE int drill_end(struct drill *d, enum drill_end end, const char *evaluation, struct error *err);
// Was the drill of this record broken off?
bool drill_was_broken_off(const struct json *record);
void drill_done(struct drill *d);
#define _cleanup_drill_ __attribute__((cleanup(drill_done)))

#endif
