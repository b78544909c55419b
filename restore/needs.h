// What of a selection the target's file system cannot hold: counted before the first write, told with examples.
//
// Most of it is metadata, whose loss is also reported for each path when it comes to it. Names that the target takes for one and the same are
// another matter: then nothing may be written at all, because one would stand for the other.
#ifndef BKD_RESTORE_NEEDS_H
#define BKD_RESTORE_NEEDS_H

#include "restore/abilities.h"
#include "restore/apply.h"
#include "restore/plan.h"

enum need {
    NEED_ACL,
    NEED_USER_XATTR,
    NEED_TRUSTED_XATTR,
    NEED_SECURITY_XATTR, // capabilities, labels
    NEED_OWNER,
    NEED_MODE,
    NEED_NANOSECONDS,
    NEED_TIME, // before 1970 or after 2038
    NEED_HARD_LINK,
    NEED_SYMLINK,
    NEED_FIFO,
    NEED_DEVICE,
    NEED_NAME,      // bytes no name may have there
    NEED_LONG_NAME,
    NEED_LARGE_FILE,
    NEED_FOLDED, // names that are one there
    NEEDS,
};

struct needs {
    uint64_t count[NEEDS]; // of entries that need what the target does not have
    char *example[NEEDS];  // a path each; owned
    char *folded_with;     // what example[NEED_FOLDED] is taken for
};

void needs_done(struct needs *n);
#define _cleanup_needs_ __attribute__((cleanup(needs_done)))

struct needs_question {
    const struct io *io; // all borrowed
    struct plan *plan;   // after plan_count
    const struct abilities *abilities;
    struct apply *apply; // reads texts of attributes, as its last worker
    struct attrs_names *names;
    const struct attrs_self *self;
    unsigned strip;
};

// Reads the selection once, unless the target can hold everything there is.
MUST_USE int needs_count(const struct needs_question *q, struct needs *ret_needs, struct error *err);

// "acl", for JSON; "ACLs", for people; whether what needs it is lost as a whole.
const char *needs_name(enum need need);
const char *needs_text(enum need need);
bool needs_is_entry(enum need need);

#endif
