// What a new version of a file builds on. Pure: storing and the simulation share it.
//
// A version is a delta against the one before it, so that a night costs what it changed. But a snapshot that is kept needs every version down to
// the one that was stored whole, so such a line may be neither long nor heavy. When it has become so, the file need not be stored whole: a delta
// against the version where the line began, its anchor, holds every changed block once, and begins a new line. The versions between are then needed by
// their own snapshots alone, and go with them. Only when the anchors themselves are too many, or too much has changed, everything is stored again.
//
//   whole ── anchor ── anchor ── anchor      each line: up to max_chain / 2 versions, one built on the other
//     └ v ─ v ─ v └ v ─ v ─ v └ v ─ v
#ifndef BKD_ENGINE_ANCESTRY_H
#define BKD_ENGINE_ANCESTRY_H

#include <stdint.h>

struct ancestry_limits {
    uint32_t max_chain;         // versions that recovery by hand may have to go through
    uint32_t max_share_percent; // deltas it may have to apply, against the file's size
};

// A stored version, with all that it builds on.
struct ancestry {
    uint32_t chain;       // versions
    uint32_t steps;       // of these since its anchor; 0: it is one
    uint64_t delta_bytes; // of all these versions
};

enum ancestry_choice { ANCESTRY_PREVIOUS, ANCESTRY_ANCHOR, ANCESTRY_WHOLE };

// previous: the version before, of `size` bytes; anchor: its anchor, when that is another version and known, else NULL.
enum ancestry_choice ancestry_choose(const struct ancestry_limits *limits, uint64_t size, const struct ancestry *previous, const struct ancestry *anchor);

#endif
