// Calendars as crontab(5) writes them, read as Debian's cron does.
#include "bkd/policy/calendar_forms.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FIELDS 5u

struct field {
    const char *name;
    unsigned low, high;
    int (*name_at)(struct calendar_text *t); // NULL = only numbers
};

static int weekday_at(struct calendar_text *t) { return calendar_weekday_name(t, false); }

static const struct field fields[FIELDS] = {
    { "minute", 0, 59, NULL },
    { "hour", 0, 23, NULL },
    { "day of the month", 1, 31, NULL },
    { "month", 1, 12, calendar_month_name },
    { "day of the week", 0, 7, weekday_at }, // 0 and 7 are Sunday
};

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

// The end of the word that begins at s.
static const char *word_end(const char *s)
{
    while (*s && !is_blank(*s))
        s++;
    return s;
}

// Where a part of a field ends: at its comma, or with the field.
static const char *part_end(const char *s)
{
    while (*s && !is_blank(*s) && *s != ',')
        s++;
    return s;
}

// A number or a name.
static int read_value(struct calendar_text *t, const struct field *field, unsigned *ret_value)
{
    const char *start = t->at, *end = part_end(start);
    uint64_t number;
    if (calendar_number(t, &number)) {
        if (number < field->low || number > field->high)
            return calendar_refuse(t, start, t->at, NULL, "'%.*s' is no %s: they go from %u to %u", calendar_width(start, t->at), start, field->name, field->low, field->high);
        *ret_value = (unsigned)number;
        return 0;
    }
    if (end == start)
        return calendar_refuse(t, start, start + 1, NULL, "here a %s is missing", field->name);
    int name = field->name_at ? field->name_at(t) : -1;
    if (name < 0 || isalnum((unsigned char)*t->at))
        return calendar_refuse(t, start, end, field->name_at ? "names have three letters, such as jan or mon" : NULL, "'%.*s' is no %s", calendar_width(start, end), start, field->name);
    *ret_value = (unsigned)name;
    return 0;
}

// "/5" behind an asterisk or a range.
static int read_step(struct calendar_text *t, uint64_t *ret_step)
{
    const char *start = t->at++;
    if (!calendar_number(t, ret_step))
        return calendar_refuse(t, start, part_end(start), NULL, "behind '/' a number is missing");
    return *ret_step == 0 ? calendar_refuse(t, start, t->at, NULL, "a step of 0 never gets on") : 0;
}

static int refuse_backwards(const struct calendar_text *t, const char *start, const struct field *field, unsigned low, unsigned high)
{
    char hint[80];
    if (field->high == 7)
        (void)snprintf(hint, sizeof hint, high == 0 ? "Sunday is 7 at the end of a range: write %u-7" : "write %u-6,0-%u", low, high);
    else
        (void)snprintf(hint, sizeof hint, "write %u-%u,%u-%u", low, field->high, field->low, high);
    return calendar_refuse(t, start, t->at, hint, "this range goes backwards");
}

// "*", "5", "1-5", "mon-fri", "*/5", "0-30/5".
static int read_part(struct calendar_text *t, const struct field *field, uint64_t *bits)
{
    const char *start = t->at;
    unsigned low = field->low, high = field->high;
    uint64_t step = 1;
    bool several = *t->at == '*';
    int rc = 0;
    if (several)
        t->at++;
    else
        rc = read_value(t, field, &low);
    if (rc == 0 && !several) {
        high = low;
        if (*t->at == '-') {
            several = true;
            t->at++;
            rc = read_value(t, field, &high);
        }
    }
    if (rc == 0 && high < low)
        return refuse_backwards(t, start, field, low, high);
    if (rc == 0 && *t->at == '/') {
        if (!several) {
            char hint[40];
            (void)snprintf(hint, sizeof hint, "write %u-%u%.*s", low, field->high, (int)(part_end(t->at) - t->at < 8 ? part_end(t->at) - t->at : 8), t->at);
            return calendar_refuse(t, start, part_end(start), hint, "a step needs a range or '*' before it");
        }
        rc = read_step(t, &step);
    }
    if (rc == 0)
        *bits |= calendar_bits(low, high, step);
    return rc;
}

static int read_field(struct calendar_text *t, const struct field *field, uint64_t *ret_bits, bool *ret_star)
{
    *ret_star = *t->at == '*'; // as Debian's cron has it: "*/2" counts as a wildcard, too, "0-59" does not
    for (*ret_bits = 0;; t->at++) {
        int rc = read_part(t, field, ret_bits);
        if (rc < 0)
            return rc;
        if (*t->at == '\0' || is_blank(*t->at))
            return 0;
        if (*t->at != ',')
            return calendar_refuse(t, t->at, part_end(t->at), NULL, "'%.*s' does not belong into a %s", calendar_width(t->at, part_end(t->at)), t->at, field->name);
    }
}

static int check_count(const struct calendar_text *t)
{
    static const char six[] = "there are no fields for seconds, years, users or commands here";
    const char *s = t->at, *fifth_end = t->at;
    unsigned count = 0;
    while (*(s += strspn(s, " \t"))) {
        s = word_end(s);
        if (++count <= FIELDS)
            fifth_end = s;
    }
    if (count == FIELDS)
        return 0;
    const char *more = count > FIELDS ? fifth_end + strspn(fifth_end, " \t") : t->at;
    return calendar_refuse(t, more, s, count > FIELDS ? six : "they are minute, hour, day of the month, month, day of the week",
                           "a cron expression has 5 fields, this one has %u", count);
}

static int read_fields(struct calendar_text *t, struct calendar *calendar)
{
    uint64_t bits[FIELDS];
    bool star[FIELDS];
    int rc = check_count(t);
    for (size_t i = 0; i < FIELDS && rc == 0; i++) {
        t->at += strspn(t->at, " \t");
        rc = read_field(t, &fields[i], &bits[i], &star[i]);
    }
    if (rc < 0)
        return rc;
    *calendar = (struct calendar){
        .any_year = true,
        .minutes = bits[0],
        .hours = bits[1],
        .days = (uint32_t)bits[2],
        .months = (uint32_t)bits[3],
        .weekdays = (uint32_t)((bits[4] | bits[4] >> 7) & 0x7f),
        .seconds = 1,
        .either_day = !star[2] && !star[4],
        .wildcard = star[0] || star[1],
    };
    return 0;
}

// "@daily" and its sisters stand for fields.
static int read_word(struct calendar_text *t, struct calendar *calendar)
{
    static const struct {
        const char *word, *fields;
    } words[] = {
        { "@yearly", "0 0 1 1 *" },
        { "@annually", "0 0 1 1 *" },
        { "@monthly", "0 0 1 * *" },
        { "@weekly", "0 0 * * 0" },
        { "@daily", "0 0 * * *" },
        { "@midnight", "0 0 * * *" },
        { "@hourly", "0 * * * *" },
    };
    const char *end = word_end(t->at);
    size_t length = (size_t)(end - t->at);
    if (end[strspn(end, " \t")])
        return calendar_refuse(t, end, end + strlen(end), NULL, "nothing follows a word such as @daily");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strlen(words[i].word) == length && strncasecmp(words[i].word, t->at, length) == 0) {
            struct calendar_text fields_text = { words[i].fields, words[i].fields, t->mistake, t->err };
            return read_fields(&fields_text, calendar);
        }
    }
    if (length == 7 && strncasecmp(t->at, "@reboot", length) == 0)
        return calendar_refuse(t, t->at, end, "'catch_up: once' makes up for what was missed while the host was off", "@reboot is no time, and not for backups");
    return calendar_refuse(t, t->at, end, "words are @hourly, @daily, @weekly, @monthly and @yearly", "'%.*s' is unknown", calendar_width(t->at, end), t->at);
}

int calendar_cron_parse(struct calendar_text *t, struct calendar *calendar)
{
    return *t->at == '@' ? read_word(t, calendar) : read_fields(t, calendar);
}
