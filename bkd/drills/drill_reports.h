// Reports of drills, from what the catalogue and the journal of improvements have.
#ifndef BKD_DRILLS_DRILL_REPORTS_H
#define BKD_DRILLS_DRILL_REPORTS_H

#include "bkd/dr/drill_report.h"
#include "bkd/host/context.h"
#include "bkd/record/catalogue.h"

// The record of the drill whose id begins with `id`. ERROR_NOT_FOUND; ERROR_USAGE: several do. Free with json_free.
MUST_USE int drill_reports_find(struct catalogue *c, const char *id, struct json **ret_record, struct error *err);
// Adds the improvements that it asked for, with what became of them.
MUST_USE int drill_reports_add_improvements(const struct context *ctx, struct json *record, struct error *err);
// Its report, with the trend of the last drills of the same plan and kind.
MUST_USE int drill_reports_html(const struct context *ctx, struct catalogue *c, const struct json *record, enum drill_report_language language, struct buf *ret_html,
                                struct error *err);

#endif
