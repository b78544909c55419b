#include "bkd/repo/marks.h"

#include <string.h>

#include "bkd/repo/holds.h"
#include "bkd/repo/manifest.h"
#include "bkd/repo/tags.h"

enum { SHOWN = 16 }; // holds of one snapshot

static void add_escaped(struct buf *out, const char *text) { manifest_escape(out, text, strlen(text)); }

void marks_add_json(struct json *line, const struct records *records, const struct repository_head *head)
{
    const struct records_item *holds[SHOWN];
    const char *tag;
    struct json *tags = json_add_array(line, "tags");
    for (size_t at = 0; (tag = tags_next(records, head, &at)) != NULL;)
        json_append_str(tags, tag);
    size_t n = holds_standing(records, head, holds, SHOWN);
    json_add_bool(line, "held", n > 0);
    struct json *list = n == 0 ? NULL : json_add_array(line, "holds");
    for (size_t i = 0; i < n && i < SHOWN; i++) {
        struct json *hold = json_append_object(list);
        const struct record *record = &holds[i]->record;
        json_add_str(hold, "reason", record->reason[0] == '\0' ? NULL : record->reason);
        json_add_str(hold, "by", record->by);
        json_add_time(hold, "time", record->time_ns);
    }
}

void marks_add_text(struct buf *out, const struct records *records, const struct repository_head *head)
{
    const struct records_item *holds[SHOWN];
    const char *tag, *separator = "  ";
    for (size_t at = 0; (tag = tags_next(records, head, &at)) != NULL; separator = ", ") {
        buf_add_str(out, separator);
        add_escaped(out, tag);
    }
    size_t n = holds_standing(records, head, holds, SHOWN);
    if (n > 0)
        buf_add_str(out, "  held");
    separator = " (";
    for (size_t i = 0; i < n && i < SHOWN; i++) {
        if (holds[i]->record.reason[0] == '\0')
            continue;
        buf_add_str(out, separator);
        separator = ", ";
        for (const char *c = holds[i]->record.reason; *c != '\0'; c++) // blanks stay readable
            if (*c == ' ')
                buf_add_char(out, ' ');
            else
                manifest_escape(out, c, 1);
    }
    if (separator[0] == ',')
        buf_add_char(out, ')');
}
