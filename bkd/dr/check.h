// What a policy says must work after a restore: one check, executed on the restored tree. A check that cannot be executed has failed.
#ifndef BKD_DR_CHECK_H
#define BKD_DR_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/base/io.h"
#include "bkd/policy/policy.h"

#define CHECK_MESSAGE_MAX 400

// Where checks are executed.
struct check_tree {
    const struct io *io;
    const char *path; // absolute: the restored tree; checks have it as their working directory
    int fd;           // of the same; set by check_execute
    int userns_fd;    // borrowed; the user namespace that its owners are of; 0 = none
    const char *policy;
    uint64_t snapshot;
    bool (*stop)(void *arg); // asked while a program runs, with NULL; NULL = never
};

// A plain value.
struct check_outcome {
    bool passed;
    uint64_t duration_ns;
    char message[CHECK_MESSAGE_MAX]; // what was found, for people; one line
};

// Executes it. Whatever it starts has ended when it returns.
void check_execute(const struct check_tree *tree, const struct policy_check *check, struct check_outcome *ret_outcome);
// "command", "file" …, as policies name them.
const char *check_type_name(uint64_t type);

#endif
