#include "bkd/engine/renewal.h"

#include <stdlib.h>

// In a million: exact enough, and without an overflow up to 16 TB.
static uint64_t share_in_use(const struct renewal_object *object)
{
    return object->used_bytes >= object->bytes ? 1000000 : object->used_bytes * 1000000 / object->bytes;
}

bool renewal_is_due(const struct renewal_rule *rule, const struct renewal_object *object)
{
    return object->used_bytes > 0 && share_in_use(object) < rule->min_live_percent * UINT64_C(10000);
}

static int compare_shares(const void *a, const void *b)
{
    uint64_t x = share_in_use(a), y = share_in_use(b);
    return x < y ? -1 : x > y;
}

size_t renewal_choose(const struct renewal_rule *rule, struct renewal_object *objects, size_t n)
{
    size_t due = 0, chosen = 0;
    for (size_t i = 0; i < n; i++) {
        if (!renewal_is_due(rule, &objects[i]))
            continue;
        struct renewal_object swap = objects[due];
        objects[due++] = objects[i];
        objects[i] = swap;
    }
    qsort(objects, due, sizeof *objects, compare_shares);
    for (uint64_t cost = 0; chosen < due && cost < rule->budget_bytes; chosen++)
        cost += objects[chosen].used_bytes;
    return chosen;
}
