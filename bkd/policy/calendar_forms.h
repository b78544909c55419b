// The two ways to write a calendar, for calendar_parse, and what reading them has in common. A form leaves it to calendar_parse to see
// whether what it names can happen.
#ifndef BKD_POLICY_CALENDAR_FORMS_H
#define BKD_POLICY_CALENDAR_FORMS_H

#include "bkd/policy/calendar.h"

// Text that is being read, and where its mistakes go.
struct calendar_text {
    const char *text; // from its beginning
    const char *at;   // what is read next
    struct calendar_mistake *mistake;
    struct error *err;
};

// Records what is wrong from `from` to `to`; returns ERROR_USAGE. `hint` may be NULL.
int calendar_refuse(const struct calendar_text *t, const char *from, const char *to, const char *hint, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

// The bytes from `from` to `to` as a printf width, short enough for a message.
int calendar_width(const char *from, const char *to);

// The decimal number at t->at, leading zeros included; false when there is none. What is too large becomes UINT32_MAX.
bool calendar_number(struct calendar_text *t, uint64_t *ret_number);
// The English name at t->at of a month (1 to 12) or a weekday (0 is Sunday): three letters, or the whole name where `whole`; any case. -1 when
// there is none; t->at moves behind it.
int calendar_month_name(struct calendar_text *t);
int calendar_weekday_name(struct calendar_text *t, bool whole);

// Bits low, low + step … up to high. Of 64 bits at most, and step is not 0.
uint64_t calendar_bits(unsigned low, unsigned high, uint64_t step);

// crontab(5): five fields, or "@daily" and the like.
MUST_USE int calendar_cron_parse(struct calendar_text *t, struct calendar *calendar);
// systemd.time(7), "Calendar Events".
MUST_USE int calendar_event_parse(struct calendar_text *t, struct calendar *calendar);

#endif
