// The rule that a zone follows after the last change its file lists: the TZ string of POSIX, with the extensions of RFC 8536, 3.3.1
// (hours from -167 to 167): "CET-1CEST,M3.5.0,M10.5.0/3". Pure.
#ifndef BKD_POLICY_ZONE_RULE_H
#define BKD_POLICY_ZONE_RULE_H

#include "bkd/policy/zone.h"

// A day of each year and a time on it.
struct zone_rule_date {
    enum { ZONE_RULE_MONTH_WEEK_DAY, ZONE_RULE_JULIAN, ZONE_RULE_DAY } form; // M3.5.0; J60 (the leap day does not count); 59 (it does)
    unsigned month, week, weekday; // of the first form
    unsigned day;
    int32_t time_s; // from the day's midnight, local
};

struct zone_rule {
    struct zone_period standard, summer; // offset, dst, abbreviation
    bool has_summer;
    struct zone_rule_date begin, end; // of summer time
};

bool zone_rule_parse(const char *text, size_t n, struct zone_rule *ret_rule);
// The period at a moment, as if the rule had always held.
void zone_rule_period_at(const struct zone_rule *rule, int64_t utc_s, struct zone_period *ret_period);

#endif
