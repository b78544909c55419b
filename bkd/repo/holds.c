#include "bkd/repo/holds.h"

#include <string.h>

static bool names_hold(const struct record *release, const struct records_item *hold)
{
    for (size_t i = 0; i < release->n_holds; i++)
        if (memcmp(release->holds[i], hold->sha256, sizeof hold->sha256) == 0)
            return true;
    return false;
}

static bool is_released(const struct records_item *const *of_snapshot, size_t n, const struct records_item *hold, const struct repository_head *head)
{
    for (size_t i = 0; i < n; i++)
        if (of_snapshot[i]->record.kind == RECORD_RELEASE && records_concerns(of_snapshot[i], head) && names_hold(&of_snapshot[i]->record, hold))
            return true;
    return false;
}

size_t holds_standing(const struct records *records, const struct repository_head *head, const struct records_item **ret_holds, size_t max)
{
    const struct records_item *const *of_snapshot;
    size_t n = records_of(records, head, &of_snapshot), count = 0;
    for (size_t i = 0; i < n; i++) {
        const struct records_item *item = of_snapshot[i];
        if (item->record.kind != RECORD_HOLD || !records_concerns(item, head) || is_released(of_snapshot, n, item, head))
            continue;
        if (count < max)
            ret_holds[count] = item;
        count++;
    }
    return count;
}

bool holds_is_held(const struct records *records, const struct repository_head *head) { return holds_standing(records, head, NULL, 0) > 0; }
