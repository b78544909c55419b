// All policies of a host, as they hold now: those in CONFIG_DIR/policies. A file with mistakes does not take its policy away: the version before goes on, from
// the copy that was kept of it in STATE_DIR/accepted when it was good, also after a restart.
#ifndef BKD_HOST_POLICIES_H
#define BKD_HOST_POLICIES_H

#include "bkd/host/context.h"

struct policies_item {
    char *name;
    struct policy policy; // when has_policy
    bool has_policy;      // false: the file has mistakes, and there is no version before
    char *problem;        // what is wrong with the file, in one line; NULL = nothing
    char *accepted;       // the path of the kept copy, which holds while there is a problem
    uint64_t changed_ns, size, inode; // of the file, when it was read
    bool is_there;        // for reading anew
};

struct policies {
    struct policies_item *items; // by name
    size_t count;
    bool without_work; // set before the first reading: of each policy only what policy_forget_work leaves
};

// What reading anew found.
struct policies_change {
    const struct policies_item *item; // NULL: it was removed
    const char *name;
};
typedef void policies_changed_fn(void *arg, const struct policies_change *change);

void policies_done(struct policies *p);
#define _cleanup_policies_ __attribute__((cleanup(policies_done)))

// Reads what is new or was changed since the last time (the first time: all) and tells of each. Fails when the directory cannot be listed, or is gone although
// there were policies (a disk that is not mounted is no order to forget them); they stay then.
MUST_USE int policies_read(const struct context *ctx, struct policies *p, policies_changed_fn *changed, void *arg, struct error *err);
// NULL when there is none of that name.
const struct policies_item *policies_find(const struct policies *p, const char *name);
// What a run is to be given instead of its name: the kept copy while the file has mistakes; else NULL.
const char *policies_file(const struct policies_item *item);

#endif
