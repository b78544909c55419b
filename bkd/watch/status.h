// What `bkd status` prints of what watch_run.h found: for a person who has never seen it, and as JSON.
#ifndef BKD_WATCH_STATUS_H
#define BKD_WATCH_STATUS_H

#include "bkd/watch/watch_run.h"

struct status_options {
    const char *policy; // NULL = all
    bool check;         // print only what is wrong
    bool refresh;       // ask servers, too
};

// Looks, records alarms in the catalogue where it can, prints. *ret_exit_code: 0; 5: an objective is missed; 4: something is not as it was signed, or suspect.
MUST_USE int status_show(const struct context *ctx, const struct status_options *options, int *ret_exit_code, struct error *err);

// status_text.c: the overview, and one policy in detail. 80 columns; colours only on a terminal.
void status_text_overview(const struct watched *watched, bool only_wrong);
void status_text_detail(const struct watched *watched);
// status_json.c: a line for each policy, then one for each finding about the host, then a summary.
MUST_USE int status_json(const struct watched *watched, struct error *err);

#endif
