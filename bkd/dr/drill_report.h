// The report of a drill as a page that stands by itself: for the screen and for paper, to be signed. English or Chinese; what was said in the drill itself stays as
// it was said.
#ifndef BKD_DR_DRILL_REPORT_H
#define BKD_DR_DRILL_REPORT_H

#include "bkd/base/json.h"
#include "bkd/dr/improvements.h"

enum drill_report_language { DRILL_REPORT_ENGLISH, DRILL_REPORT_CHINESE };
// "en", "zh". ERROR_USAGE.
MUST_USE int drill_report_language(const char *name, enum drill_report_language *ret_language, struct error *err);

struct drill_report {
    const struct json *record;
    const struct improvements *improvements; // those of this drill are shown
    const struct json *const *earlier;       // records of the same plan and kind, the newest first, this one among them
    size_t n_earlier;
    enum drill_report_language language;
};
void drill_report_html(const struct drill_report *report, struct buf *ret_html);

#endif
