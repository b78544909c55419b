// Runs as people and programs see them: a line each, and all of one. For `bkd history` and `bkd runs`.
#ifndef BKD_HISTORY_HISTORY_H
#define BKD_HISTORY_HISTORY_H

#include "bkd/host/context.h"
#include "bkd/record/runs.h"

// Opens the catalogue to look at it: runs whose process is gone are settled first where this user may write, else it is read as it is.
MUST_USE int history_open(const struct context *ctx, struct catalogue *ret_catalogue, struct error *err);

// What the options --limit, --since, --kind, --failed and POLICY say. ERROR_USAGE.
MUST_USE int history_filter(const struct context *ctx, const struct cli_args *args, struct runs_filter *ret_filter, struct error *err);

// A run as a table's line, under history_print_title, or as a JSON line of type "run".
void history_print_title(void);
MUST_USE int history_print(const struct context *ctx, const struct run_record *run, struct error *err);

// "done", "incomplete (3)", "failed (1)", "killed", "running".
void history_result(const struct run_record *run, char ret_text[32]);
// The fields that every JSON object of a run has.
void history_add_json(struct json *line, const struct context *ctx, const struct run_record *run);

#endif
