// How tags and holds of a snapshot are shown, the same by both programs.
#ifndef BKD_REPO_MARKS_H
#define BKD_REPO_MARKS_H

#include "bkd/base/json.h"
#include "bkd/repo/records.h"

// "tags":[…], "held":true|false and, when held, "holds":[{"reason","by","time"},…].
void marks_add_json(struct json *line, const struct records *records, const struct repository_head *head);
// Appends "  change-1234, golden  held (the reason)", escaped for a terminal; nothing when there are none.
void marks_add_text(struct buf *out, const struct records *records, const struct repository_head *head);

#endif
