#include "bkd/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bkd/base/printable.h"

static enum log_level current_level = LOG_LEVEL_WARN;

void log_set_level(enum log_level level) { current_level = level; }
enum log_level log_get_level(void) { return current_level; }

// One message is one write, so that lines of several threads and processes do not mix.
__attribute__((format(printf, 3, 0))) static void log_line(enum log_level level, const char *word, const char *format, va_list args)
{
    if (level > current_level)
        return;
    char text[4096];
    int n = snprintf(text, sizeof text, "%s", word);
    (void)vsnprintf(text + n, sizeof text - (size_t)n, format, args);
    char line[sizeof text * 4 + 2];
    size_t out = 0, length = strlen(text);
    for (size_t at = 0, len; at < length; at += len) {
        bool safe;
        len = printable_next(text + at, length - at, &safe);
        for (size_t i = at; i < at + len; i++)
            out += (size_t)snprintf(line + out, 5, safe ? "%c" : "\\x%02x", (unsigned char)text[i]);
    }
    line[out++] = '\n';
    (void)!write(STDERR_FILENO, line, out); // nowhere else to report it
}

#define LOG_FUNCTION(name, level, word)                                                                                                              \
    void name(const char *format, ...)                                                                                                               \
    {                                                                                                                                                \
        va_list args;                                                                                                                                \
        va_start(args, format);                                                                                                                      \
        log_line(level, word, format, args);                                                                                                         \
        va_end(args);                                                                                                                                \
    }

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR, "error: ")
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN, "warning: ")
LOG_FUNCTION(log_info, LOG_LEVEL_INFO, "")
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG, "debug: ")
