// An expression is any text: it becomes a calendar whose slots can be found in any zone, or a mistake with a place inside the text.
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"
#include "bkd/policy/calendar.h"
#include "bkd/policy/civil.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = { "UTC", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia" };

static void check_slots(const struct calendar *calendar, const char *name)
{
    struct zone *zone = NULL;
    struct error err;
    if (zone_open(io_real(), ZONE_DIRECTORY, name, &zone, &err) < 0)
        return; // no zone database here
    int64_t at = 1300000000;
    for (unsigned i = 0; i < 20 && at != CALENDAR_NEVER; i++) {
        int64_t next = calendar_next(calendar, zone, at);
        assert(next > at && (next == CALENDAR_NEVER || next < CIVIL_END));
        if (next != CALENDAR_NEVER) {
            assert(calendar_next(calendar, zone, next - 1) == next);
            (void)calendar_note(calendar, zone, next);
        }
        at = next;
    }
    zone_free(&zone);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct calendar calendar;
    struct calendar_mistake mistake;
    struct error err;
    _cleanup_free_ char *text = xstrndup((const char *)data, size);
    int rc = calendar_parse(text, &calendar, &mistake, &err);
    assert(rc == 0 || rc == ERROR_USAGE);
    if (rc < 0) {
        assert(mistake.offset <= strlen(text) && mistake.length >= 1 && err.text[0]);
        return 0;
    }
    assert(calendar.hours && calendar.minutes && calendar.seconds && calendar.months);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_slots(&calendar, names[i]);
    return 0;
}
