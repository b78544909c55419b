#include "bkd/policy/zone.h"

#include <string.h>

#include "bkd/base/fs.h"

#define FILE_MAX (1u << 20)

// Names as the database has them, and no way out of its directory.
static bool is_name(const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length > ZONE_NAME_MAX || name[0] == '/' || strstr(name, "..") || strstr(name, "//"))
        return false;
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/.") == length;
}

int zone_check(const char *name, struct error *err)
{
    struct error ignored;
    _cleanup_buf_ struct buf bytes = { 0 };
    if (!is_name(name))
        return error_set(err, ERROR_USAGE, "'%.64s' is not the name of a time zone; they look like Europe/Berlin", name);
    _cleanup_free_ char *path = xasprintf("%s/%s", ZONE_DIRECTORY, name);
    if (fs_read_file(io_real(), AT_FDCWD, path, FILE_MAX, &bytes, &ignored) < 0 || bytes.len < 4 || memcmp(bytes.data, "TZif", 4) != 0)
        return error_set(err, ERROR_USAGE, "there is no time zone '%s' in %s; `timedatectl list-timezones` names them", name, ZONE_DIRECTORY);
    return 0;
}
