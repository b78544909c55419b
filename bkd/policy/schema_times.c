#include "bkd/policy/schema_times.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/policy/zone.h"

// The characters of the first n bytes.
static unsigned characters(const char *text, size_t n)
{
    unsigned count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

// Reports at the place in the expression where the file shows it as it is: a quoted text with escapes does not.
static void report_mistake(struct schema_reader *r, const struct policy_node *node, const struct calendar_mistake *mistake, const char *message)
{
    unsigned shown = characters(node->text, strlen(node->text)), quotes = node->plain ? 0 : 1;
    const char *hint = mistake->hint[0] ? mistake->hint : NULL;
    if (node->width == shown + 2 * quotes)
        policy_errors_add(r->errors, node->line, node->column + quotes + characters(node->text, mistake->offset),
                          characters(node->text + mistake->offset, strnlen(node->text + mistake->offset, mistake->length)), hint, "%s", message);
    else
        SCHEMA_REPORT(r, node, hint, "%s", message);
}

static void read_expression(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, struct policy_list *list)
{
    struct calendar calendar;
    struct calendar_mistake mistake;
    struct error err;
    if (node->spoiled)
        return;
    if (node->kind != POLICY_NODE_TEXT || schema_is_nothing(node)) {
        schema_report_form(r, key, node);
        return;
    }
    if (calendar_parse(node->text, &calendar, &mistake, &err) < 0)
        report_mistake(r, node, &mistake, err.text);
    else if (calendar.zone[0] && zone_check(calendar.zone, &err) < 0)
        SCHEMA_REPORT(r, node, NULL, "%s", err.text);
    else
        schema_list_add(list, node->text, node->line);
}

// One text or a list of texts, each handed to `read`.
static void read_each(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base, size_t max,
                      void (*read)(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, struct policy_list *list))
{
    struct policy_list *list = (struct policy_list *)((char *)base + key->offset);
    if (node->kind != POLICY_NODE_LIST)
        read(r, key, node, list);
    else if (schema_check_count(r, key, node, max))
        for (size_t i = 0; i < node->count; i++)
            read(r, key, node->items[i], list);
}

void schema_times_read_schedule(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    read_each(r, key, node, base, POLICY_SCHEDULES_MAX, read_expression);
}

static void read_policy_name(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, struct policy_list *list)
{
    if (node->spoiled)
        return;
    if (node->kind != POLICY_NODE_TEXT || schema_is_nothing(node)) {
        schema_report_form(r, key, node);
        return;
    }
    size_t length = strlen(node->text);
    bool file = length > 5 && strcmp(node->text + length - 5, ".yaml") == 0;
    if (file || !policy_is_name(node->text, length)) {
        SCHEMA_REPORT(r, node, file ? "write it without '.yaml'" : NULL, "'%.70s' is not the name of a policy", node->text);
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], node->text) == 0) {
            SCHEMA_REPORT(r, node, NULL, "'%.70s' is given twice", node->text);
            return;
        }
    }
    schema_list_add(list, node->text, node->line);
}

void schema_times_read_policies(struct schema_reader *r, const struct schema_key *key, const struct policy_node *node, void *base)
{
    read_each(r, key, node, base, POLICY_AFTER_MAX, read_policy_name);
}

int schema_times_set_zone(const struct schema_key *key, const char *text, char **at, struct error *err)
{
    int rc = strcmp(text, "host") == 0 ? 0 : zone_check(text, err);
    if (rc < 0)
        return error_prefix(err, "'%s'", schema_leaf(key));
    free(*at);
    *at = xstrdup(text);
    return 0;
}

int schema_times_set_minute(const struct schema_key *key, const char *text, uint64_t *at, struct error *err)
{
    bool form = strlen(text) == 5 && isdigit((unsigned char)text[0]) && isdigit((unsigned char)text[1]) && text[2] == ':' && isdigit((unsigned char)text[3]) &&
                isdigit((unsigned char)text[4]);
    unsigned hour = form ? (unsigned)(text[0] - '0') * 10 + (unsigned)(text[1] - '0') : 24, minute = form ? (unsigned)(text[3] - '0') * 10 + (unsigned)(text[4] - '0') : 60;
    if (strcmp(text, "none") == 0)
        *at = POLICY_NO_MINUTE;
    else if (hour <= 23 && minute <= 59)
        *at = hour * 60 + minute;
    else
        return error_set(err, ERROR_USAGE, "'%s' must be %s, not '%s'", schema_leaf(key), key->form, text);
    return 0;
}

void schema_times_get_minute(uint64_t minute, struct buf *ret_text)
{
    if (minute >= POLICY_NO_MINUTE)
        buf_add_str(ret_text, "none");
    else
        buf_addf(ret_text, "%02" PRIu64 ":%02" PRIu64, minute / 60, minute % 60);
}
