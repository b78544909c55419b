// How many bytes a second may be sent, by the time of day: "2MiB/s", or a table "08:00 4MiB/s, 19:00 off". Pure.
#ifndef BKD_BASE_BANDWIDTH_H
#define BKD_BASE_BANDWIDTH_H

#include <stddef.h>
#include <stdint.h>

#include "bkd/base/error.h"

#define BANDWIDTH_STEPS_MAX 24u
#define BANDWIDTH_MIN 1024u // bytes a second: with less nothing would ever end

// Each step holds from its minute of the day to the next one's; the last goes on over midnight to the first. bytes_per_s 0 = no limit.
struct bandwidth {
    struct {
        unsigned minute;
        uint64_t bytes_per_s;
    } steps[BANDWIDTH_STEPS_MAX];
    size_t n; // 0 = no limit at any time
};

// A rate (number, unit B, KiB, MiB or GiB, "/s") or the word off; or times "HH:MM" each followed by such a rate, ascending, separated by commas.
// ERROR_USAGE says what is wrong and shows the form.
MUST_USE int bandwidth_parse(const char *text, struct bandwidth *ret_bandwidth, struct error *err);
// minute: of the day, 0 to 1439. 0 = no limit.
uint64_t bandwidth_at(const struct bandwidth *b, unsigned minute);

#endif
