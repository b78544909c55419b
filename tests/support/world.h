// A source on two nights, repositories and states as they are before each step, and what must hold after a fault.
#ifndef BKD_TESTS_SUPPORT_WORLD_H
#define BKD_TESTS_SUPPORT_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/support/scene.h"

enum world_step { WORLD_INIT, WORLD_FIRST, WORLD_SECOND, WORLD_RESTORE };
extern const char *const world_step_names[];

struct world {
    char dir[64];
    struct scene scene[2]; // plain, encrypted
    char *nights[2];       // copies of the source
    char *before[2][4];    // [encrypted][step]: directories with repository and state
    char *source;
    unsigned workers;
    bool all; // BKD_FAULTS_ALL
};

// Before: as on the first night. For cmocka_run_group_tests.
int world_set_up(void **state);
int world_tear_down(void **state);
// Edits the source, and makes what is there before WORLD_RESTORE.
void world_next_night(struct world *w);
// A fresh copy of what is there before a step, under the name `name`; what had that name goes. The caller frees the path.
char *world_place(const struct world *w, bool encrypted, enum world_step step, const char *name);

// In a function that returns bool: false, with a message, unless the condition holds.
#define WORLD_REQUIRE(condition, ...)                                                                                                                \
    do {                                                                                                                                             \
        if (!(condition)) {                                                                                                                          \
            (void)fprintf(stderr, "      " __VA_ARGS__);                                                                                             \
            (void)fputc('\n', stderr);                                                                                                               \
            return false;                                                                                                                            \
        }                                                                                                                                            \
    } while (0)

// Every listed snapshot restores to its night; there are at least this many. with_gaps: all but the last may lack files.
bool world_all_restore(const struct world *w, bool encrypted, enum world_step step, const char *place, size_t least, bool with_gaps);
// After a fault in `step`, with the real io: the repository opens, at most `most` new snapshots are listed, the next run succeeds, all restore.
bool world_is_sound(const struct world *w, bool encrypted, enum world_step step, const char *place, size_t most, bool with_gaps);

#endif
