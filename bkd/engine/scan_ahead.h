// Who looks at which directory, and when: helper threads read ahead in the order of paths, so that the latency of a cold disk overlaps and a warm scan
// has more than one processor, while the walk takes what was found strictly in that order.
//
// The parts that are not taken yet form one list in the order of paths. A part that is done puts those behind it that it leads to: the first
// part of each directory found in it, and before that the next part of its own directory. Helpers take the first one that waits; the walk takes the head, and
// works on it itself where nobody has begun. What is done and not taken is bounded, and so are the descriptors kept open: one that was
// given up is got back from above, each directory on the way compared with what it was.
#ifndef BKD_ENGINE_SCAN_AHEAD_H
#define BKD_ENGINE_SCAN_AHEAD_H

#include "bkd/engine/scan_dir.h"

struct scan_ahead;

// Borrows both. Up to options->helpers threads are started, as there is work for them. NULL with *err when the scratch space fails.
struct scan_ahead *scan_ahead_new(const struct io *io, const struct scan_options *options, struct error *err);
void scan_ahead_free(struct scan_ahead *a);

// Does a first part of a directory follow this entry?
bool scan_ahead_enters(const struct scan_found *found);
// The next part, done; NULL when there is none. The first one holds the root alone. Free with scan_ahead_drop.
struct scan_part *scan_ahead_next(struct scan_ahead *a);
void scan_ahead_drop(struct scan_ahead *a, struct scan_part *part);

#endif
