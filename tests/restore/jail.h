// Restores into a directory with canaries beside it, each in a process of its own, watched from outside by find(1) and sha256sum(1).
#ifndef BKD_TESTS_RESTORE_JAIL_H
#define BKD_TESTS_RESTORE_JAIL_H

#include "tests/restore/fixture.h"

struct jail_outcome {
    int code;
    struct error err;
    uint64_t count[REPORT_KINDS];
};

// Makes dir/jail: targets are called t-… and lie in it; what lies in jail/out must never change.
void jail_make(const struct fixture *f);
// What can be seen of everything but the targets: names, types, modes, owners, sizes, link counts, times (of the inode too), content.
char *jail_look(const struct fixture *f); // caller frees
// Fails the test when that is not as before.
void jail_check(const struct fixture *f, const char *before, const char *name);
// Restores into dir/target, also as an ordinary user. A restore that crashes or takes more than 20 s fails the test.
struct jail_outcome jail_restore(struct fixture *f, const char *target, const struct run_options *options, bool as_user);

#endif
