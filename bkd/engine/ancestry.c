#include "bkd/engine/ancestry.h"

#include <stddef.h>

static uint64_t share_of(uint64_t size, uint32_t percent) { return size / 100 * percent + size % 100 * percent / 100; }

enum ancestry_choice ancestry_choose(const struct ancestry_limits *limits, uint64_t size, const struct ancestry *previous, const struct ancestry *anchor)
{
    uint32_t line = limits->max_chain / 2;
    uint64_t most = share_of(size, limits->max_share_percent);
    if (previous->chain < limits->max_chain && previous->steps < line && previous->delta_bytes <= most)
        return ANCESTRY_PREVIOUS;
    // A new line must have room, and a delta of most of the file is no better than the file.
    if (anchor == NULL || anchor->chain + line >= limits->max_chain || anchor->delta_bytes > most || previous->delta_bytes - anchor->delta_bytes > size / 2)
        return ANCESTRY_WHOLE;
    return ANCESTRY_ANCHOR;
}
