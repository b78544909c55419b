#include "bkd/policy/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/log.h"

// The policy's zone. Runs must go on when the host's own file is damaged, and say so.
static int open_zone(const struct io *io, const char *timezone, struct zone **ret_zone, struct error *err)
{
    struct error why;
    if (strcmp(timezone, "host") != 0)
        return zone_open(io, ZONE_DIRECTORY, timezone, ret_zone, err);
    if (zone_open_host(io, ZONE_HOST_FILE, ret_zone, &why) == 0)
        return 0;
    log_warn("%s; schedules without 'timezone' are taken as UTC until that is mended", why.text);
    return zone_open(io, ZONE_DIRECTORY, "UTC", ret_zone, err);
}

static int open_item(const struct io *io, const char *expression, const struct zone *zone, struct schedule_item *item, struct error *err)
{
    struct calendar_mistake mistake;
    int rc = calendar_parse(expression, &item->calendar, &mistake, err);
    item->zone = zone;
    if (rc < 0 || !item->calendar.zone[0])
        return rc;
    rc = zone_open(io, ZONE_DIRECTORY, item->calendar.zone, &item->own_zone, err);
    item->zone = item->own_zone;
    return rc;
}

int schedule_open(const struct io *io, const struct policy_list *expressions, const char *timezone, struct schedule *ret_schedule, struct error *err)
{
    _cleanup_schedule_ struct schedule schedule = { .items = xcalloc(expressions->count + 1, sizeof *schedule.items) };
    int rc = open_zone(io, timezone, &schedule.zone, err);
    for (size_t i = 0; i < expressions->count && rc == 0; i++) {
        schedule.count++;
        rc = open_item(io, expressions->items[i], schedule.zone, &schedule.items[i], err);
    }
    if (rc < 0)
        return error_prefix(err, "schedule");
    *ret_schedule = schedule;
    schedule = (struct schedule){ 0 };
    return 0;
}

void schedule_done(struct schedule *schedule)
{
    for (size_t i = 0; i < schedule->count; i++)
        zone_free(&schedule->items[i].own_zone);
    free(schedule->items);
    zone_free(&schedule->zone);
    *schedule = (struct schedule){ 0 };
}

int64_t schedule_next(const struct schedule *schedule, int64_t after_s)
{
    int64_t first = CALENDAR_NEVER;
    for (size_t i = 0; i < schedule->count; i++) {
        int64_t next = calendar_next(&schedule->items[i].calendar, schedule->items[i].zone, after_s);
        if (next < first)
            first = next;
    }
    return first;
}

int64_t schedule_newest(const struct schedule *schedule, int64_t after_s, int64_t until_s)
{
    // Back from the end, in steps that double, until a slot lies between; then forward.
    for (int64_t back = 64; after_s < until_s; back *= 2) {
        int64_t from = until_s - after_s > back ? until_s - back : after_s, newest = CALENDAR_NEVER;
        for (int64_t slot = schedule_next(schedule, from); slot <= until_s; slot = schedule_next(schedule, slot))
            newest = slot;
        if (newest != CALENDAR_NEVER || from == after_s)
            return newest;
    }
    return CALENDAR_NEVER;
}

const struct schedule_item *schedule_item_of(const struct schedule *schedule, int64_t slot_s)
{
    for (size_t i = 0; i < schedule->count; i++)
        if (calendar_next(&schedule->items[i].calendar, schedule->items[i].zone, slot_s - 1) == slot_s)
            return &schedule->items[i];
    return NULL;
}
