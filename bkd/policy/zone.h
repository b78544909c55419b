// Time zones, read from the zone database (/usr/share/zoneinfo).
#ifndef BKD_POLICY_ZONE_H
#define BKD_POLICY_ZONE_H

#include "bkd/base/error.h"

#define ZONE_DIRECTORY "/usr/share/zoneinfo"
#define ZONE_NAME_MAX 63u

// Is there a zone of this name? ERROR_USAGE says what is wrong with it.
MUST_USE int zone_check(const char *name, struct error *err);

#endif
