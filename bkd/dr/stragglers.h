// Daemons that a check left running: what made a session of its own outlives its group. They become children of this process, and are ended.
#ifndef BKD_DR_STRAGGLERS_H
#define BKD_DR_STRAGGLERS_H

#include <stdbool.h>
#include <sys/types.h>

#include "bkd/base/io.h"

enum { STRAGGLERS_KNOWN_MAX = 64 };

struct stragglers {
    pid_t known[STRAGGLERS_KNOWN_MAX]; // children from before: they stay
    size_t n_known;
    bool is_watching;
};

// From here on orphans among the descendants of this process become its children (prctl(2), PR_SET_CHILD_SUBREAPER).
void stragglers_watch(const struct io *io, struct stragglers *ret_stragglers);
// Kills all children that came since, and what they leave. Returns how many. Nothing else may have started one that is still wanted.
size_t stragglers_end(const struct io *io, const struct stragglers *stragglers);

#endif
