#include "bkd/policy/units.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "bkd/base/bytes.h"

struct unit {
    const char *name;
    uint64_t factor;
    const char *typos; // what people write instead, each between spaces
};

struct dimension {
    const char *what;    // "a size"
    const char *example; // "512MiB"
    const char *list;    // for error texts
    uint64_t max;
    const char *max_text;
    const struct unit *units; // smallest first, ends with name NULL
};

static const struct unit size_units[] = {
    { "B", 1, " b byte bytes Byte Bytes " },
    { "KiB", UINT64_C(1) << 10, " k K kb KB Kb kB kib KIB Ki ki kiB " },
    { "MiB", UINT64_C(1) << 20, " m M mb MB Mb mB mib MIB Mi mi miB " },
    { "GiB", UINT64_C(1) << 30, " g G gb GB Gb gB gib GIB Gi gi giB " },
    { "TiB", UINT64_C(1) << 40, " t T tb TB Tb tB tib TIB Ti ti tiB " },
    { 0 },
};
static const struct unit duration_units[] = {
    { "s", 1, " S sec secs second seconds " },
    { "min", 60, " m M mins minute minutes Min " },
    { "h", 3600, " H hr hrs hour hours " },
    { "d", 86400, " D day days " },
    { "w", 604800, " W wk week weeks " },
    { 0 },
};
static const struct unit percent_units[] = { { "%", 1, " percent pct " }, { 0 } };

static const struct dimension size = { "a size", "512MiB", "B, KiB, MiB, GiB or TiB", INT64_MAX, "8388607TiB", size_units };
static const struct dimension duration = { "a duration", "24h", "s, min, h, d or w", UINT64_C(100) * 365 * 86400, "36500d", duration_units };
static const struct dimension percent = { "a share", "50%", "%", 100, "100%", percent_units };

static const struct unit *find_unit(const struct dimension *dimension, const char *text)
{
    for (const struct unit *unit = dimension->units; unit->name; unit++)
        if (strcmp(unit->name, text) == 0)
            return unit;
    return NULL;
}

static const struct unit *find_typo(const struct dimension *dimension, const char *text)
{
    char word[UNITS_TEXT_MAX];
    if (snprintf(word, sizeof word, " %s ", text) >= (int)sizeof word)
        return NULL;
    for (const struct unit *unit = dimension->units; unit->name; unit++)
        if (strstr(unit->typos, word))
            return unit;
    return NULL;
}

static void format_in_largest(const struct dimension *dimension, char ret_text[UNITS_TEXT_MAX], uint64_t value)
{
    const struct unit *best = &dimension->units[0];
    for (const struct unit *unit = best; value && unit->name; unit++)
        if (value % unit->factor == 0)
            best = unit;
    (void)snprintf(ret_text, UNITS_TEXT_MAX, "%" PRIu64 "%s", value / best->factor, best->name);
}

// "1.5GiB": says the same value as a whole number where there is one.
static int refuse_fraction(const struct dimension *dimension, const char *text, size_t whole_len, struct error *err)
{
    const char *fraction = text + whole_len + 1;
    size_t fraction_len = strspn(fraction, "0123456789");
    const struct unit *unit = find_unit(dimension, fraction + fraction_len);
    uint64_t whole, part, scale = 1, exact;
    char instead[UNITS_TEXT_MAX];
    bool sane = unit && fraction_len >= 1 && fraction_len <= 6 && parse_u64(text, whole_len, 1000000, &whole);
    if (!sane)
        return error_set(err, ERROR_USAGE, "'%s': %s is a whole number with a unit, such as %s", text, dimension->what, dimension->example);
    part = 0;
    for (size_t i = 0; i < fraction_len; i++) {
        part = part * 10 + (uint64_t)(fraction[i] - '0');
        scale *= 10;
    }
    exact = whole * unit->factor; // at most 10^6 × 2^40 < 2^60
    bool divides = part * unit->factor % scale == 0; // less than 10^6 × 2^40
    if (!divides)
        return error_set(err, ERROR_USAGE, "'%s': %s is a whole number%s", text, dimension->what, dimension->units[1].name ? "; write it in a smaller unit" : "");
    format_in_largest(dimension, instead, exact + part * unit->factor / scale);
    return error_set(err, ERROR_USAGE, "'%s': %s is a whole number; write '%s'", text, dimension->what, instead);
}

static int refuse_unit(const struct dimension *dimension, const char *text, size_t digits, struct error *err)
{
    const char *unit_text = text + digits;
    const char *word = unit_text + strspn(unit_text, " ");
    const struct unit *meant = find_unit(dimension, word);
    if (!meant)
        meant = find_typo(dimension, word);
    if (*word == '\0' && !dimension->units[1].name)
        return error_set(err, ERROR_USAGE, "'%s': %s needs a unit; write '%.*s%s'", text, dimension->what, (int)digits, text, dimension->units[0].name);
    if (*word == '\0')
        return error_set(err, ERROR_USAGE, "'%s': %s needs a unit: %s", text, dimension->what, dimension->list);
    if (word > unit_text && meant)
        return error_set(err, ERROR_USAGE, "'%s': no space before the unit; write '%.*s%s'", text, (int)digits, text, meant->name);
    if (meant)
        return error_set(err, ERROR_USAGE, "'%s': unknown unit '%s'; did you mean '%.*s%s'?", text, word, (int)digits, text, meant->name);
    return error_set(err, ERROR_USAGE, "'%s': unknown unit '%s'; units are %s", text, word, dimension->list);
}

static int parse(const struct dimension *dimension, const char *text, uint64_t *ret_value, struct error *err)
{
    size_t digits = strspn(text, "0123456789");
    if (text[0] == '-')
        return error_set(err, ERROR_USAGE, "'%s': %s cannot be negative", text, dimension->what);
    if (text[0] == '+')
        return error_set(err, ERROR_USAGE, "'%s': %s has no sign; write '%s'", text, dimension->what, text + 1);
    if (digits == 0)
        return error_set(err, ERROR_USAGE, "'%s': %s starts with a number, such as %s", text, dimension->what, dimension->example);
    if (text[digits] == '.' || text[digits] == ',')
        return refuse_fraction(dimension, text, digits, err);
    if (digits > 1 && text[0] == '0')
        return error_set(err, ERROR_USAGE, "'%s': a number has no leading zeros", text);
    const struct unit *unit = find_unit(dimension, text + digits);
    if (!unit)
        return refuse_unit(dimension, text, digits, err);
    uint64_t number;
    if (!parse_u64(text, digits, dimension->max / unit->factor, &number))
        return error_set(err, ERROR_USAGE, "'%s' is too large: %s is at most %s", text, dimension->what, dimension->max_text);
    *ret_value = number * unit->factor;
    return 0;
}

int units_parse_size(const char *text, uint64_t *ret_bytes, struct error *err)
{
    return parse(&size, text, ret_bytes, err);
}

int units_parse_duration(const char *text, uint64_t *ret_seconds, struct error *err)
{
    return parse(&duration, text, ret_seconds, err);
}

int units_parse_percent(const char *text, uint64_t *ret_percent, struct error *err)
{
    return parse(&percent, text, ret_percent, err);
}

void units_format_size(char ret_text[UNITS_TEXT_MAX], uint64_t bytes)
{
    format_in_largest(&size, ret_text, bytes);
}

void units_format_duration(char ret_text[UNITS_TEXT_MAX], uint64_t seconds)
{
    format_in_largest(&duration, ret_text, seconds);
}
