#include "bkd/policy/zone.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/base/fs.h"
#include "bkd/policy/zone_rule.h"

#define TYPES_MAX 256u     // an index of one byte
#define NAMES_MAX 4096u    // bytes of all abbreviations
#define CHANGES_MAX 20000u // of a zone; the longest lists have a few hundred
#define OFFSET_MAX 93599   // seconds: 25:59:59, RFC 8536, 3.2

struct type {
    int32_t offset_s;
    bool dst;
    uint8_t abbreviation; // index
};

struct zone {
    char *name;
    int64_t *changes; // ascending, UTC seconds
    uint8_t *types_of_changes;
    size_t change_count;
    struct type *types; // types[0] holds before the first change
    size_t type_count;
    char *abbreviations;
    struct zone_rule rule; // holds from the last change on
    bool has_rule;
};

void zone_free(struct zone **zone)
{
    if (*zone) {
        free((*zone)->name);
        free((*zone)->changes);
        free((*zone)->types_of_changes);
        free((*zone)->types);
        free((*zone)->abbreviations);
        free(*zone);
    }
    *zone = NULL;
}

const char *zone_name(const struct zone *zone) { return zone->name; }

// ---- reading -----------------------------------------------------------------------------------------------------------

struct header {
    uint8_t version;
    uint32_t isut, isstd, leap, change, type, abbreviation; // counts
};

static bool take_header(struct cursor *c, struct header *ret_header)
{
    const uint8_t *magic, *reserved;
    struct header *h = ret_header;
    return cursor_take(c, 4, &magic) && memcmp(magic, "TZif", 4) == 0 && cursor_u8(c, &h->version) && cursor_take(c, 15, &reserved) && cursor_u32be(c, &h->isut) &&
           cursor_u32be(c, &h->isstd) && cursor_u32be(c, &h->leap) && cursor_u32be(c, &h->change) && cursor_u32be(c, &h->type) && cursor_u32be(c, &h->abbreviation);
}

// Passes over the data that 32-bit readers use.
static bool skip_old_data(struct cursor *c, const struct header *h)
{
    const uint8_t *ignored;
    uint64_t n = UINT64_C(5) * h->change + UINT64_C(6) * h->type + h->abbreviation + UINT64_C(8) * h->leap + h->isstd + h->isut;
    return n <= cursor_left(c) && cursor_take(c, (size_t)n, &ignored);
}

static bool take_changes(struct cursor *c, const struct header *h, struct zone *zone)
{
    const uint8_t *types;
    zone->change_count = h->change;
    zone->changes = xcalloc(h->change + 1, sizeof *zone->changes);
    zone->types_of_changes = xcalloc(h->change + 1, 1);
    for (size_t i = 0; i < h->change; i++) {
        uint64_t time;
        if (!cursor_ube(c, 8, &time))
            return false;
        zone->changes[i] = (int64_t)time;
        if (i > 0 && zone->changes[i] <= zone->changes[i - 1])
            return false;
    }
    if (!cursor_take(c, h->change, &types))
        return false;
    for (size_t i = 0; i < h->change; i++)
        if (types[i] >= h->type)
            return false;
    memcpy(zone->types_of_changes, types, h->change);
    return true;
}

static bool take_types(struct cursor *c, const struct header *h, struct zone *zone)
{
    const uint8_t *names, *ignored;
    zone->type_count = h->type;
    zone->types = xcalloc(h->type, sizeof *zone->types);
    for (size_t i = 0; i < h->type; i++) {
        uint32_t offset;
        uint8_t dst, abbreviation;
        if (!cursor_u32be(c, &offset) || !cursor_u8(c, &dst) || !cursor_u8(c, &abbreviation))
            return false;
        zone->types[i] = (struct type){ (int32_t)offset, dst != 0, abbreviation };
        if (dst > 1 || abbreviation >= h->abbreviation || zone->types[i].offset_s > OFFSET_MAX || zone->types[i].offset_s < -OFFSET_MAX)
            return false;
    }
    if (!cursor_take(c, h->abbreviation, &names) || names[h->abbreviation - 1] != '\0')
        return false;
    zone->abbreviations = xcalloc(1, h->abbreviation);
    memcpy(zone->abbreviations, names, h->abbreviation);
    return cursor_take(c, h->isstd, &ignored) && cursor_take(c, h->isut, &ignored);
}

static bool take_footer(struct cursor *c, struct zone *zone)
{
    const char *line;
    size_t n;
    if (!cursor_line(c, &line, &n) || n != 0 || !cursor_line(c, &line, &n))
        return false;
    zone->has_rule = n > 0;
    return !zone->has_rule || zone_rule_parse(line, n, &zone->rule);
}

// RFC 8536, 3: a header and data with 32-bit times, then both again with 64-bit times, then the rule for what follows.
static const char *read_zone(struct cursor *c, struct zone *zone)
{
    struct header old, h;
    if (!take_header(c, &old))
        return "it is no TZif file";
    if (old.version < '2')
        return "it is of the first version of the format, which ends in 2038";
    if (!skip_old_data(c, &old) || !take_header(c, &h))
        return "it ends too early";
    if (h.leap > 0)
        return "it counts leap seconds, as nothing else here does; take the zone without 'right/'";
    if (h.type == 0 || h.type > TYPES_MAX || h.abbreviation == 0 || h.abbreviation > NAMES_MAX || h.change > CHANGES_MAX || cursor_left(c) / 9 < h.change)
        return "its numbers make no sense";
    if (!take_changes(c, &h, zone) || !take_types(c, &h, zone))
        return "its times or offsets make no sense";
    return take_footer(c, zone) ? NULL : "the rule at its end cannot be read";
}

int zone_parse(const char *name, const void *bytes, size_t n, struct zone **ret_zone, struct error *err)
{
    _cleanup_zone_ struct zone *zone = xcalloc(1, sizeof *zone);
    struct cursor c = cursor_of(bytes, n);
    zone->name = xstrdup(name);
    const char *wrong = read_zone(&c, zone);
    if (wrong)
        return error_set(err, ERROR_FORMAT, "time zone '%s' cannot be used: %s", name, wrong);
    *ret_zone = TAKE(zone);
    return 0;
}

static struct zone *make_utc(const char *name)
{
    struct zone *zone = xcalloc(1, sizeof *zone);
    zone->name = xstrdup(name);
    zone->type_count = 1;
    zone->types = xcalloc(1, sizeof *zone->types);
    zone->abbreviations = xstrdup("UTC");
    return zone;
}

// Names as the database has them, and no way out of its directory.
static bool is_name(const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length > ZONE_NAME_MAX || name[0] == '/' || strstr(name, "..") || strstr(name, "//"))
        return false;
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/.") == length;
}

int zone_open(const struct io *io, const char *directory, const char *name, struct zone **ret_zone, struct error *err)
{
    _cleanup_buf_ struct buf bytes = { 0 };
    if (!is_name(name))
        return error_set(err, ERROR_USAGE, "'%.64s' is not the name of a time zone; they look like Europe/Berlin", name);
    if (strcmp(name, "UTC") == 0) {
        *ret_zone = make_utc(name);
        return 0;
    }
    _cleanup_free_ char *path = xasprintf("%s/%s", directory, name);
    int rc = fs_read_file(io, AT_FDCWD, path, ZONE_FILE_MAX, &bytes, err);
    if (rc == ERROR_NOT_FOUND)
        return error_set(err, ERROR_USAGE, "there is no time zone '%s' in %s; `timedatectl list-timezones` names them", name, directory);
    return rc < 0 ? error_prefix(err, "time zone") : zone_parse(name, bytes.data, bytes.len, ret_zone, err);
}

// "Europe/Berlin" of a link to /usr/share/zoneinfo/Europe/Berlin.
static char *name_of_link(const struct io *io, const char *file)
{
    static const char part[] = "/zoneinfo/";
    char target[512];
    ssize_t n = io->readlinkat(io, AT_FDCWD, file, target, sizeof target - 1);
    if (n < 0) // no link: a copy of the zone's file
        return xstrdup("host");
    target[n] = '\0';
    const char *name = strstr(target, part);
    return xstrdup(name && is_name(name + strlen(part)) ? name + strlen(part) : "host");
}

int zone_open_host(const struct io *io, const char *file, struct zone **ret_zone, struct error *err)
{
    _cleanup_buf_ struct buf bytes = { 0 };
    _cleanup_free_ char *name = name_of_link(io, file);
    struct statx st;
    struct error ignored;
    int rc = fs_read_file(io, AT_FDCWD, file, ZONE_FILE_MAX, &bytes, err);
    if (rc == ERROR_NOT_FOUND && io_stat(io, AT_FDCWD, file, AT_SYMLINK_NOFOLLOW, &st, &ignored) == ERROR_NOT_FOUND) {
        *ret_zone = make_utc("UTC");
        return 0;
    }
    return rc < 0 ? error_prefix(err, "the host's time zone") : zone_parse(name, bytes.data, bytes.len, ret_zone, err);
}

int zone_check(const char *name, struct error *err)
{
    _cleanup_zone_ struct zone *zone = NULL;
    if (zone_open(io_real(), ZONE_DIRECTORY, name, &zone, err) == 0)
        return 0;
    err->code = ERROR_USAGE;
    return ERROR_USAGE;
}

// ---- looking up --------------------------------------------------------------------------------------------------------

// How many changes took place up to a moment.
static size_t changes_until(const struct zone *zone, int64_t utc_s)
{
    size_t low = 0, high = zone->change_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zone->changes[middle] <= utc_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void zone_period_at(const struct zone *zone, int64_t utc_s, struct zone_period *ret_period)
{
    size_t past = changes_until(zone, utc_s);
    int64_t begin_s = past > 0 ? zone->changes[past - 1] : INT64_MIN;
    if (past == zone->change_count && zone->has_rule) {
        zone_rule_period_at(&zone->rule, utc_s, ret_period);
        if (ret_period->begin_s < begin_s)
            ret_period->begin_s = begin_s;
        return;
    }
    const struct type *type = &zone->types[past > 0 ? zone->types_of_changes[past - 1] : 0];
    *ret_period = (struct zone_period){ .begin_s = begin_s, .end_s = past < zone->change_count ? zone->changes[past] : INT64_MAX, .offset_s = type->offset_s, .dst = type->dst };
    const char *abbreviation = zone->abbreviations + type->abbreviation;
    memcpy(ret_period->abbreviation, abbreviation, strnlen(abbreviation, ZONE_ABBREVIATION_MAX));
}
