// Where the time of a run goes: each stage of a pipeline adds up, over all its threads, how long it computed, how long it was off the processor while it
// worked (it waited for a disk, a line, or a processor that others had), and how long its neighbours made it wait. Then what limited the run can be told.
//
// A thread keeps a lap: profile_begin; profile_to at each change of stage (one reading of the clock, some 25 ns: cheap enough for a call a file);
// profile_pause and profile_resume around a wait for a neighbour; profile_end. Without a profile (NULL) all of them do nothing.
// The processor's time is read at the ends of a stretch only (begin to pause, resume to end), because that is a system call: a stretch is a batch, a frame or a
// piece, not a file. What the stretch was off the processor is divided among its stages that move bytes (profile_moves), where it has any.
#ifndef BKD_BASE_PROFILE_H
#define BKD_BASE_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/io.h"

enum profile_stage {
    PROFILE_SCAN,     // walking the sources, comparing with the manifest before
    PROFILE_READ,     // the sources' content
    PROFILE_HASH,     // SHA-256 of content
    PROFILE_DELTA,    // comparing with the version before
    PROFILE_PLACE,    // choosing where content goes: objects, recipes, manifest
    PROFILE_COMPRESS,
    PROFILE_ENCRYPT,  // with the hash of what is stored
    PROFILE_WRITE,    // to the repository
    PROFILE_SHIP,     // to other places
    PROFILE_STAGES
};

enum profile_kind {
    PROFILE_CPU,
    PROFILE_OFF,     // off the processor while at work
    PROFILE_STARVED, // waited for the stage before
    PROFILE_BLOCKED, // waited for the stage behind
    PROFILE_KINDS
};

// "scan" …, "cpu" …
const char *profile_stage_name(enum profile_stage stage);
const char *profile_kind_name(enum profile_kind kind);
// It works for a disk or a line, not for the processor alone.
bool profile_moves(enum profile_stage stage);

// Zero-initialised; written by all threads.
struct profile {
    _Atomic uint64_t ns[PROFILE_STAGES][PROFILE_KINDS];
    _Atomic unsigned threads[PROFILE_STAGES]; // that worked on it at a time; 0 = one
};

// A stage has so many threads; the most that was said counts.
void profile_threads(struct profile *p, enum profile_stage stage, unsigned threads);
// Adds to one number, for what is measured otherwise.
void profile_add(struct profile *p, enum profile_stage stage, enum profile_kind kind, uint64_t ns);

// Of one thread. No allocation; forgetting it loses what was not ended.
struct profile_lap {
    struct profile *profile; // NULL: nothing is measured
    const struct io *io;
    enum profile_stage stage;
    uint64_t since_ns, cpu_since_ns; // of this part of the stretch; of the stretch
    uint64_t spent_ns[PROFILE_STAGES];
};

void profile_begin(struct profile_lap *lap, struct profile *profile, const struct io *io, enum profile_stage stage);
// What follows is work of another stage.
void profile_to(struct profile_lap *lap, enum profile_stage stage);
// The thread waits for a neighbour of its stage, kind says which; and goes on in the same stage.
void profile_pause(struct profile_lap *lap);
void profile_resume(struct profile_lap *lap, enum profile_kind waited);
void profile_end(struct profile_lap *lap);

// What became of it, as it is shown and recorded.
struct profile_report {
    uint64_t ns[PROFILE_STAGES][PROFILE_KINDS];
    unsigned threads[PROFILE_STAGES];
    uint64_t wall_ns, cpu_ns; // of the whole run; cpu_ns with what belongs to no stage
    unsigned processors;      // that it could use
};

enum profile_limit {
    PROFILE_LIMIT_NONE,       // no one thing: stages waited for each other
    PROFILE_LIMIT_PROCESSORS, // `stage` used most of them
    PROFILE_LIMIT_THREAD,     // `stage` runs in one thread, which was busy
    PROFILE_LIMIT_DEVICE,     // what `stage` reads or writes: a disk, a line
};

// "none", "processors", "thread", "device".
const char *profile_limit_name(enum profile_limit limit);
// What was nearest to its limit, and how near (1 = at it). Pure.
enum profile_limit profile_judge(const struct profile_report *r, enum profile_stage *ret_stage, double *ret_share);
// Takes the sums so far.
void profile_take(const struct profile *p, struct profile_report *ret_report);

#endif
