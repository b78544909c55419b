#include "bkd/base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, enum error_code code, const char *format, ...)
{
    char text[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args); // a cut text is still the best text there is
    va_end(args);
    err->code = code;
    err->os_errno = 0;
    memcpy(err->text, text, sizeof text);
    return code;
}

static enum error_code code_of_errno(int os_errno)
{
    switch (os_errno) {
    case ENOSPC:
    case EDQUOT:
        return ERROR_NO_SPACE;
    case ENOENT:
        return ERROR_NOT_FOUND;
    case EEXIST:
        return ERROR_EXISTS;
    default:
        return ERROR_FAILED;
    }
}

int error_set_errno(struct error *err, int os_errno, const char *format, ...)
{
    char what[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    char reason[128];
    (void)error_set(err, code_of_errno(os_errno), "%s: %s", what, strerror_r(os_errno, reason, sizeof reason));
    err->os_errno = os_errno;
    return err->code;
}

int error_prefix(struct error *err, const char *format, ...)
{
    char text[2 * ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, ERROR_TEXT_MAX, format, args);
    va_end(args);
    size_t n = strlen(text);
    (void)snprintf(text + n, sizeof text - n, ": %s", err->text);
    text[ERROR_TEXT_MAX - 1] = '\0'; // a cut text is still the best text there is
    memcpy(err->text, text, ERROR_TEXT_MAX);
    return err->code;
}

int error_exit_code(enum error_code code)
{
    switch (code) {
    case ERROR_NONE:
        return 0;
    case ERROR_USAGE:
        return 2;
    case ERROR_INCOMPLETE:
        return 3;
    case ERROR_INTEGRITY:
    case ERROR_FORMAT:
        return 4;
    case ERROR_OBJECTIVE:
        return 5;
    case ERROR_BUSY:
        return 6;
    case ERROR_NO_SPACE:
        return 7;
    case ERROR_UNREACHABLE:
        return 8;
    case ERROR_KEY:
        return 9;
    default:
        return 1;
    }
}

const char *error_code_name(enum error_code code)
{
    static const char *const names[] = {
        "none", "failed", "usage", "integrity", "objective", "busy", "no-space", "unreachable", "key", "not-found", "exists", "format", "incomplete",
    };
    unsigned i = (unsigned)-(int)code;
    return i < sizeof names / sizeof *names ? names[i] : "failed";
}
