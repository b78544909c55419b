// Questions of a run of a plan to people: asked on the terminal, or answered elsewhere by a file in RUN/answers. Never waits: it is looked at again and again.
#ifndef BKD_PLANS_PLANNING_ASK_H
#define BKD_PLANS_PLANNING_ASK_H

#include "bkd/plans/planning.h"

struct planning_answer {
    char *by, *note, *choice; // owned; choice "" where there is nothing to choose
    bool refused;             // it was not done
};
void planning_answer_done(struct planning_answer *a);
#define _cleanup_planning_answer_ __attribute__((cleanup(planning_answer_done)))

// Leaves an answer for a run. ERROR_EXISTS: it was answered before; ERROR_USAGE: it is longer than anybody reads.
MUST_USE int planning_answer_write(const struct io *io, const char *directory, const char *step, const struct planning_answer *answer, struct error *err);
// Reads an answer that was left; false when there is none. It stays until planning_answer_drop, which comes once the journal has it: no kill loses an answer.
bool planning_answer_read(const struct io *io, const char *directory, const char *step, struct planning_answer *ret_answer);
void planning_answer_drop(const struct io *io, const char *directory, const char *step);

// The dialogue on the terminal, one question after the other.
struct planning_dialogue {
    bool enabled;
    const struct recovery_step *step; // that is asked now; NULL = none
    int stage;
    struct planning_answer answer;
    struct buf line; // typed so far
};
void planning_dialogue_done(struct planning_dialogue *d);
// Begins to ask about a step.
void planning_dialogue_begin(struct planning_dialogue *d, const struct recovery_step *step);
// Takes what was typed; waits for it up to wait_ms. True when the answer is complete; it is given away, and the dialogue is over.
bool planning_dialogue_go_on(struct planning_dialogue *d, int wait_ms, struct planning_answer *ret_answer);
// It was answered elsewhere.
void planning_dialogue_drop(struct planning_dialogue *d);

// Is this a choice of the step? ERROR_USAGE lists them.
MUST_USE int planning_check_choice(const struct recovery_step *step, const char *choice, struct error *err);

#endif
