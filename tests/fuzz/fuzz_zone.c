// A zone file is any bytes: it becomes a zone whose periods follow each other, or it is refused.
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "bkd/policy/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct zone *zone = NULL;
    struct error err;
    int rc = zone_parse("fuzz", data, size, &zone, &err);
    assert(rc == 0 || rc == ERROR_FORMAT);
    if (rc < 0)
        return 0;
    static const int64_t moments[] = { -INT64_C(62135596800), -2208988800, 0, 1774656000, 4102444800, INT64_C(253402300799) };
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
        struct zone_period period, next;
        zone_period_at(zone, moments[i], &period);
        assert(period.begin_s <= moments[i] && moments[i] < period.end_s);
        assert(memchr(period.abbreviation, '\0', sizeof period.abbreviation));
        if (period.end_s != INT64_MAX) {
            zone_period_at(zone, period.end_s, &next);
            assert(next.begin_s == period.end_s);
        }
    }
    zone_free(&zone);
    return 0;
}
