#include "bkd/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

#define NS_PER_S 1000000000ull

void clock_format_utc(char ret_text[CLOCK_TEXT_MAX], uint64_t realtime_ns, bool with_ms)
{
    time_t seconds = (time_t)(realtime_ns / NS_PER_S);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t n = strftime(ret_text, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    if (with_ms)
        n += (size_t)snprintf(ret_text + n, CLOCK_TEXT_MAX - n, ".%03u", (unsigned)(realtime_ns % NS_PER_S / 1000000));
    (void)snprintf(ret_text + n, CLOCK_TEXT_MAX - n, "Z");
}

bool clock_parse_utc(const char *text, size_t n, uint64_t *ret_realtime_ns)
{
    char copy[CLOCK_TEXT_MAX];
    if (n != strlen("YYYY-MM-DDTHH:MM:SSZ"))
        return false;
    memcpy(copy, text, n);
    copy[n] = '\0';
    struct tm tm = { 0 };
    const char *end = strptime(copy, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (end == NULL || *end != '\0')
        return false;
    time_t seconds = timegm(&tm);
    if (seconds < 0 || (uint64_t)seconds > UINT64_MAX / NS_PER_S)
        return false;
    // The text must be the one we would write: refuses "2026-02-31" and single digits.
    char again[CLOCK_TEXT_MAX];
    clock_format_utc(again, (uint64_t)seconds * NS_PER_S, false);
    if (strcmp(again, copy) != 0)
        return false;
    *ret_realtime_ns = (uint64_t)seconds * NS_PER_S;
    return true;
}

void clock_format_duration(char ret_text[CLOCK_TEXT_MAX], uint64_t duration_ns)
{
    double s = (double)duration_ns / 1e9;
    uint64_t whole = duration_ns / NS_PER_S;
    if (s < 1)
        (void)snprintf(ret_text, CLOCK_TEXT_MAX, "%.0f ms", s * 1000);
    else if (s < 60)
        (void)snprintf(ret_text, CLOCK_TEXT_MAX, "%.1f s", s);
    else if (whole < 3600)
        (void)snprintf(ret_text, CLOCK_TEXT_MAX, "%u min %u s", (unsigned)(whole / 60), (unsigned)(whole % 60));
    else
        (void)snprintf(ret_text, CLOCK_TEXT_MAX, "%llu h %u min", (unsigned long long)(whole / 3600), (unsigned)(whole % 3600 / 60));
}

void clock_format_age(char ret_text[CLOCK_TEXT_MAX], uint64_t age_ns)
{
    uint64_t minutes = age_ns / NS_PER_S / 60, hours = minutes / 60, days = hours / 24;
    if (minutes < 1)
        (void)snprintf(ret_text, CLOCK_TEXT_MAX, "a moment");
    else if (hours < 1)
        (void)snprintf(ret_text, CLOCK_TEXT_MAX, "%llu min", (unsigned long long)minutes);
    else if (days < 2)
        (void)snprintf(ret_text, CLOCK_TEXT_MAX, "%llu h", (unsigned long long)hours);
    else
        (void)snprintf(ret_text, CLOCK_TEXT_MAX, "%llu days", (unsigned long long)days);
}

void clock_format_bytes(char ret_text[CLOCK_TEXT_MAX], uint64_t bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double v = (double)bytes;
    size_t u = 0;
    while (v >= 1024 && u + 1 < sizeof units / sizeof *units) {
        v /= 1024;
        u++;
    }
    (void)snprintf(ret_text, CLOCK_TEXT_MAX, u == 0 ? "%.0f %s" : "%.1f %s", v, units[u]);
}

bool clock_is_unsynchronised(void)
{
    struct timex asked = { .modes = 0 };
    return adjtimex(&asked) >= 0 && (asked.status & STA_UNSYNC) != 0;
}
