// What a restore would meet, without writing anything: names the target has already.
#ifndef BKD_RESTORE_REHEARSE_H
#define BKD_RESTORE_REHEARSE_H

#include "restore/plan.h"
#include "restore/report.h"

// Reports REPORT_EXISTS for each entry whose name is taken below `target`, and counts directories that are there. A target that does not exist
// is fine. Errors are those of reading the plan.
MUST_USE int rehearse_run(const struct io *io, struct plan *plan, const char *target, unsigned strip, struct report *report,
                          struct error *err);

#endif
