// Time zones, read from the zone database (TZif files, RFC 8536, of /usr/share/zoneinfo) without the C library's: each policy has its own, and the
// TZ variable means nothing here.
//
// A zone is a sequence of periods, each with one offset from UTC. The last one has no end. Files that count leap seconds ("right/") and those
// without 64-bit times are refused, as is everything damaged; whoever asked says so, or says that UTC is used instead.
#ifndef BKD_POLICY_ZONE_H
#define BKD_POLICY_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bkd/base/error.h"
#include "bkd/base/io.h"

#define ZONE_DIRECTORY "/usr/share/zoneinfo"
#define ZONE_HOST_FILE "/etc/localtime"
#define ZONE_NAME_MAX 63u
#define ZONE_FILE_MAX (1u << 20) // bytes
#define ZONE_ABBREVIATION_MAX 15u

struct zone;

// Seconds of UTC from begin_s to before end_s, with one offset. INT64_MIN and INT64_MAX are no limit.
struct zone_period {
    int64_t begin_s, end_s;
    int32_t offset_s; // local time is UTC plus this: east is positive
    bool dst;
    char abbreviation[ZONE_ABBREVIATION_MAX + 1]; // "CEST"
};

// The zone `name` of `directory`. UTC needs no file. ERROR_USAGE says what is wrong with the name, ERROR_FORMAT with the file. Free with zone_free.
MUST_USE int zone_open(const struct io *io, const char *directory, const char *name, struct zone **ret_zone, struct error *err);
// The host's zone, of ZONE_HOST_FILE or another `file`: UTC when there is none (localtime(5)); its name is that of the link's target, or "host".
MUST_USE int zone_open_host(const struct io *io, const char *file, struct zone **ret_zone, struct error *err);
// The same for the bytes of a file. ERROR_FORMAT.
MUST_USE int zone_parse(const char *name, const void *bytes, size_t n, struct zone **ret_zone, struct error *err);
void zone_free(struct zone **zone);
#define _cleanup_zone_ __attribute__((cleanup(zone_free)))

const char *zone_name(const struct zone *zone);
// The period that a moment lies in.
void zone_period_at(const struct zone *zone, int64_t utc_s, struct zone_period *ret_period);

// Is there such a zone in ZONE_DIRECTORY, and can it be read? ERROR_USAGE says what is wrong.
MUST_USE int zone_check(const char *name, struct error *err);

#endif
