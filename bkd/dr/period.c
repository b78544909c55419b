#include "bkd/dr/period.h"

#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/policy/civil.h"

static uint64_t begin_of(uint64_t year, unsigned month)
{
    if (month > 12) {
        year++;
        month -= 12;
    }
    return (uint64_t)civil_days((int64_t)year, month, 1) * CIVIL_DAY * 1000000000;
}

int period_parse(const char *text, struct period *ret_period, struct error *err)
{
    uint64_t year = 0, part = 0;
    unsigned first = 1, months = 12;
    size_t n = strlen(text);
    bool good = n >= 4 && parse_u64(text, 4, 2199, &year) && year >= 1970;
    if (good && n == 6 && text[4] == 'Q') {
        good = parse_u64(text + 5, 1, 4, &part) && part >= 1;
        first = 3 * (unsigned)part - 2;
        months = 3;
    } else if (good && n == 7 && text[4] == '-') { // months below 10 have a zero before them
        good = parse_u64(text + 5 + (text[5] == '0'), text[5] == '0' ? 1 : 2, 12, &part) && part >= 1;
        first = (unsigned)part;
        months = 1;
    } else if (n != 4) {
        good = false;
    }
    if (!good)
        return error_set(err, ERROR_USAGE, "'%s' is no period: give a year, quarter or month, such as 2026, 2026Q4 or 2026-11", text);
    *ret_period = (struct period){ .from_ns = begin_of(year, first), .until_ns = begin_of(year, first + months) };
    return 0;
}
