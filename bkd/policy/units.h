// Values with units, as policies write them: sizes "512MiB", durations "24h", shares "50%". Pure.
//
// A value is a whole decimal number and a unit, without sign, space, fraction or leading zero. Every refusal is
// ERROR_USAGE and says what to write instead ("1.5GiB" → "1536MiB", "24hours" → "24h").
#ifndef BKD_POLICY_UNITS_H
#define BKD_POLICY_UNITS_H

#include <stdint.h>

#include "bkd/base/error.h"

#define UNITS_TEXT_MAX 32

// Bytes; units B, KiB, MiB, GiB, TiB (powers of 1024). At most INT64_MAX bytes.
MUST_USE int units_parse_size(const char *text, uint64_t *ret_bytes, struct error *err);
// Seconds; units s, min, h, d (24 h), w (7 d). At most 100 years of 365 days.
MUST_USE int units_parse_duration(const char *text, uint64_t *ret_seconds, struct error *err);
// Whole percent, 0 to 100.
MUST_USE int units_parse_percent(const char *text, uint64_t *ret_percent, struct error *err);

// The same values in the largest unit that divides them.
void units_format_size(char ret_text[UNITS_TEXT_MAX], uint64_t bytes);
void units_format_duration(char ret_text[UNITS_TEXT_MAX], uint64_t seconds);

#endif
