#include "bkd/repo/suspects.h"

#include <string.h>

bool suspects_is(const struct records *records, const struct repository_head *head)
{
    const struct records_item *const *of_snapshot;
    if (!head->valid || (head->head.flags & FORMAT_SUSPECT) == 0)
        return false;
    size_t n = records_of(records, head, &of_snapshot);
    for (size_t i = 0; i < n; i++)
        if (of_snapshot[i]->record.kind == RECORD_ACCEPT && records_concerns(of_snapshot[i], head))
            return false;
    return true;
}

size_t suspects_standing(const struct repository *r, const struct records *records, const uint8_t chain[16], const struct repository_head **ret_first)
{
    size_t count = 0;
    for (size_t i = 0; i < r->n_heads; i++) {
        if (memcmp(r->heads[i].chain, chain, sizeof r->heads[i].chain) != 0 || !suspects_is(records, &r->heads[i]))
            continue;
        if (count++ == 0 && ret_first != NULL)
            *ret_first = &r->heads[i];
    }
    return count;
}
