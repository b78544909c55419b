// Times as text and numbers. All times are UTC, nanoseconds since 1970 as int64_t (years 1677 to 2262) or seconds and
// nanoseconds apart where file times need the whole range.
#ifndef BKD_BASE_CLOCK_H
#define BKD_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOCK_TEXT_MAX 40

// "2026-11-23T08:00:00Z" (RFC 3339), with ".123" when with_ms.
void clock_format_utc(char ret_text[CLOCK_TEXT_MAX], uint64_t realtime_ns, bool with_ms);
// The inverse, seconds resolution, only the form "YYYY-MM-DDTHH:MM:SSZ".
bool clock_parse_utc(const char *text, size_t n, uint64_t *ret_realtime_ns);
// "1.2 s", "3 min 20 s", "2 h 5 min" for people.
void clock_format_duration(char ret_text[CLOCK_TEXT_MAX], uint64_t duration_ns);
// "a moment", "5 min", "3 h", "26 h", "3 days": how old something is, for people.
void clock_format_age(char ret_text[CLOCK_TEXT_MAX], uint64_t age_ns);
// "1.5 MiB" for people.
void clock_format_bytes(char ret_text[CLOCK_TEXT_MAX], uint64_t bytes);

// Does the kernel say that no time server keeps the clock right (adjtimex(2), STA_UNSYNC)? False when it cannot be asked.
bool clock_is_unsynchronised(void);

#endif
