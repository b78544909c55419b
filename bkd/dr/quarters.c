#include "bkd/dr/quarters.h"

#include <stdio.h>
#include <stdlib.h>

#include "bkd/base/buf.h"
#include "bkd/policy/civil.h"

enum { QUARTERS = 4, MONTHS = 3 };

// Quarters since the year 0.
static uint64_t number_of(uint64_t ns)
{
    struct civil c = civil_of((int64_t)(ns / 1000000000));
    return (uint64_t)c.year * QUARTERS + (c.month - 1) / MONTHS;
}

void quarter_name(const struct quarter *quarter, char ret_name[QUARTERS_NAME_MAX])
{
    (void)snprintf(ret_name, QUARTERS_NAME_MAX, "%04u" "Q%u", (unsigned)quarter->year % 10000, quarter->number);
}

void quarters_init(struct quarters *q, uint64_t from_ns, uint64_t until_ns, size_t max)
{
    uint64_t last = number_of(until_ns), first = number_of(from_ns < until_ns ? from_ns : until_ns);
    if (last - first >= max)
        first = last + 1 - max;
    *q = (struct quarters){ .items = xcalloc((size_t)(last - first) + 1, sizeof *q->items), .n = (size_t)(last - first) + 1 };
    for (size_t i = 0; i < q->n; i++)
        q->items[i] = (struct quarter){ .year = (first + i) / QUARTERS, .number = (unsigned)((first + i) % QUARTERS) + 1 };
}

void quarters_done(struct quarters *q)
{
    free(q->items);
    *q = (struct quarters){ 0 };
}

static struct quarter *find(struct quarters *q, uint64_t ns)
{
    uint64_t number = number_of(ns), first = q->n == 0 ? 0 : q->items[0].year * QUARTERS + q->items[0].number - 1;
    return number < first || number - first >= q->n ? NULL : &q->items[number - first];
}

void quarters_plan(struct quarters *q, uint64_t date_ns)
{
    struct quarter *quarter = find(q, date_ns);
    if (quarter != NULL)
        quarter->planned++;
}

void quarters_hold(struct quarters *q, const struct quarters_drill *drill)
{
    struct quarter *quarter = find(q, drill->started_ns);
    if (quarter == NULL)
        return;
    quarter->held++;
    if (!drill->has_passed)
        return;
    quarter->passed++;
    quarter->is_late = quarter->is_late || (drill->promised_ms > 0 && drill->recovery_ms > drill->promised_ms);
    if (drill->recovery_ms <= quarter->worst_ms)
        return;
    quarter->worst_ms = drill->recovery_ms;
    quarter->promised_ms = drill->promised_ms;
}

bool quarters_trend(const struct quarters *q, double *ret_percent)
{
    const struct quarter *first = NULL, *last = NULL;
    for (size_t i = 0; i < q->n; i++) {
        if (q->items[i].worst_ms == 0)
            continue;
        first = first == NULL ? &q->items[i] : first;
        last = &q->items[i];
    }
    if (first == last)
        return false;
    *ret_percent = ((double)last->worst_ms / (double)first->worst_ms - 1) * 100;
    return true;
}
