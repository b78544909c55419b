// A recovery plan as a handbook for the emergency: HTML for paper, complete in one file, in English or Chinese. Pure: facts in, text out.
#ifndef BKD_PLANS_HANDBOOK_H
#define BKD_PLANS_HANDBOOK_H

#include "bkd/plans/plan_times.h"

enum handbook_language { HANDBOOK_ENGLISH, HANDBOOK_CHINESE, HANDBOOK_LANGUAGES };
// "en", "zh"; false: it is in neither.
bool handbook_parse_language(const char *text, enum handbook_language *ret_language);

struct handbook {
    const struct recovery *plan;
    const struct plan_times *times;
    enum handbook_language language;
    const char *host, *printed; // where and when: "2026-11-26T08:00:00Z"
    const char *rehearsed;      // when this very text was rehearsed; NULL = it was not
    const char *scenario;       // that it is printed for; NULL = none in particular
    char *const *commands;      // of each step, for who does it by hand (handbook_command.h); "" = it has none
};

// Appends the page. ERROR_FAILED: a QR code cannot be made.
MUST_USE int handbook_format(const struct handbook *handbook, struct buf *ret_html, struct error *err);

#endif
