#include "bkd/policy/policy_yaml.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct reading {
    yaml_parser_t parser;
    struct policy_errors *errors;
    bool complete;
};

void policy_node_free(struct policy_node **node_at)
{
    struct policy_node *node = TAKE(*node_at);
    if (!node)
        return;
    for (size_t i = 0; i < node->count; i++)
        policy_node_free(&node->items[i]); // at most POLICY_YAML_DEPTH_MAX deep
    free(node->items);
    free(node->text);
    free(node);
}

static unsigned line_of(yaml_mark_t mark)
{
    return (unsigned)mark.line + 1;
}

static unsigned column_of(yaml_mark_t mark)
{
    return (unsigned)mark.column + 1;
}

// libyaml's reader knows only the offset of a byte it does not accept.
static void report_reader_error(struct reading *reading)
{
    const char *text = buf_str(&reading->errors->text);
    unsigned line = 1, column = 1;
    for (size_t i = 0; i < reading->parser.problem_offset && i < reading->errors->text.len; i++) {
        bool starts_character = ((unsigned char)text[i] & 0xc0) != 0x80;
        column = text[i] == '\n' ? 1 : column + starts_character;
        line += text[i] == '\n';
    }
    if (!policy_errors_on_line(reading->errors, line))
        policy_errors_add(reading->errors, line, column, 1, NULL, "not valid YAML: %s", reading->parser.problem);
}

// What to do about a character that YAML keeps for itself.
static const char *quoting_hint(const yaml_parser_t *parser)
{
    const char *context = parser->context ? parser->context : "";
    if (strstr(context, "an alias"))
        return "put quotes around a value that starts with '*'";
    if (strstr(context, "an anchor"))
        return "put quotes around a value that starts with '&'";
    if (strstr(context, "a tag"))
        return "put quotes around a value that starts with '!'";
    if (strstr(parser->problem, "cannot start any token"))
        return "put quotes around the value";
    if (strstr(parser->problem, "mapping values are not allowed"))
        return "check the indentation, or put quotes around a value with ': ' in it";
    return NULL;
}

static void report_yaml_error(struct reading *reading)
{
    const yaml_parser_t *parser = &reading->parser;
    reading->complete = false;
    if (parser->error == YAML_READER_ERROR) {
        report_reader_error(reading);
        return;
    }
    unsigned line = line_of(parser->problem_mark), column = column_of(parser->problem_mark);
    if (policy_errors_on_line(reading->errors, line)) // what is wrong with this line was said better already
        return;
    const char *hint = quoting_hint(parser);
    if (parser->context && !strstr(parser->context, "next token"))
        policy_errors_add(reading->errors, line, column, 1, hint, "not valid YAML: %s %s that starts at %u:%u", parser->problem, parser->context,
                          line_of(parser->context_mark), column_of(parser->context_mark));
    else
        policy_errors_add(reading->errors, line, column, 1, hint, "not valid YAML: %s", parser->problem);
}

// The next event; false after a syntax error, which is then reported.
static bool next(struct reading *reading, yaml_event_t *ret_event)
{
    if (reading->complete && yaml_parser_parse(&reading->parser, ret_event))
        return true;
    if (reading->complete)
        report_yaml_error(reading);
    return false;
}

static struct policy_node *node_new(enum policy_node_kind kind, const yaml_event_t *event)
{
    struct policy_node *node = xcalloc(1, sizeof *node);
    node->kind = kind;
    node->line = line_of(event->start_mark);
    node->column = column_of(event->start_mark);
    bool one_line = event->end_mark.line == event->start_mark.line && event->end_mark.column > event->start_mark.column;
    node->width = one_line ? (unsigned)(event->end_mark.column - event->start_mark.column) : 1;
    return node;
}

static void node_add(struct policy_node *node, struct policy_node *item)
{
    if ((node->count & (node->count - 1)) == 0) // room is doubled at each power of two
        node->items = xrealloc(node->items, (node->count ? node->count * 2 : 1) * sizeof *node->items);
    node->items[node->count++] = item;
}

static const char *noun_of(const struct policy_errors *errors) { return errors->noun ? errors->noun : "policy"; }

static void refuse(struct reading *reading, struct policy_node *node, const char *what, const char *hint)
{
    policy_errors_add(reading->errors, node->line, node->column, node->width, hint, "%s cannot be used in a %s", what, noun_of(reading->errors));
}

static void refuse_extras(struct reading *reading, struct policy_node *node, const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor)
        refuse(reading, node, "an anchor ('&')", "write the value out, or quote it");
    if (tag)
        refuse(reading, node, "a tag ('!')", "quote a value that starts with '!'");
    node->spoiled = tag != NULL;
}

static struct policy_node *take_text(struct reading *reading, const yaml_event_t *event)
{
    struct policy_node *node = node_new(POLICY_NODE_TEXT, event);
    size_t len = event->data.scalar.length;
    const char *value = (const char *)event->data.scalar.value;
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->text = xstrndup(value, strnlen(value, len));
    refuse_extras(reading, node, event->data.scalar.anchor, event->data.scalar.tag);
    if (memchr(value, '\0', len)) {
        policy_errors_add(reading->errors, node->line, node->column, node->width, NULL, "the value contains a NUL character");
        node->spoiled = true;
    }
    return node;
}

static struct policy_node *take_node(struct reading *reading, yaml_event_t *event, unsigned depth);

// Items until `end`. A map whose last key got no value loses that key.
static void take_items(struct reading *reading, struct policy_node *node, yaml_event_type_t end, unsigned depth)
{
    yaml_event_t event;
    while (next(reading, &event)) {
        bool done = event.type == end;
        struct policy_node *item = done ? NULL : take_node(reading, &event, depth + 1);
        yaml_event_delete(&event);
        if (done)
            break;
        if (item)
            node_add(node, item);
    }
    if (node->kind == POLICY_NODE_MAP && node->count % 2 == 1)
        policy_node_free(&node->items[--node->count]);
}

static struct policy_node *take_collection(struct reading *reading, const yaml_event_t *event, unsigned depth)
{
    bool is_list = event->type == YAML_SEQUENCE_START_EVENT;
    struct policy_node *node = node_new(is_list ? POLICY_NODE_LIST : POLICY_NODE_MAP, event);
    if (depth > POLICY_YAML_DEPTH_MAX) {
        policy_errors_add(reading->errors, node->line, node->column, 1, NULL, "nested more than %d levels deep", POLICY_YAML_DEPTH_MAX);
        reading->complete = false;
        return node;
    }
    if (is_list)
        refuse_extras(reading, node, event->data.sequence_start.anchor, event->data.sequence_start.tag);
    else
        refuse_extras(reading, node, event->data.mapping_start.anchor, event->data.mapping_start.tag);
    take_items(reading, node, is_list ? YAML_SEQUENCE_END_EVENT : YAML_MAPPING_END_EVENT, depth);
    return node;
}

static struct policy_node *take_node(struct reading *reading, yaml_event_t *event, unsigned depth)
{
    if (event->type == YAML_SCALAR_EVENT)
        return take_text(reading, event);
    if (event->type == YAML_SEQUENCE_START_EVENT || event->type == YAML_MAPPING_START_EVENT)
        return take_collection(reading, event, depth);
    struct policy_node *node = node_new(POLICY_NODE_TEXT, event); // an alias is all that is left
    node->text = xstrdup("");
    node->spoiled = true;
    refuse(reading, node, "an alias ('*')", "write the value out, or quote a value that starts with '*'");
    return node;
}

static void check_document_start(struct reading *reading, const yaml_event_t *event, bool first)
{
    bool directives = event->data.document_start.version_directive ||
                      event->data.document_start.tag_directives.start != event->data.document_start.tag_directives.end;
    if (directives)
        policy_errors_add(reading->errors, line_of(event->start_mark), column_of(event->start_mark), 1, NULL,
                          "a '%%' directive cannot be used in a %s", noun_of(reading->errors));
    if (first)
        return;
    policy_errors_add(reading->errors, line_of(event->start_mark), column_of(event->start_mark), 3, NULL,
                      "a second document starts here; a file holds one %s", noun_of(reading->errors));
    reading->complete = false;
}

void policy_yaml_parse(struct policy_errors *errors, struct policy_node **ret_root, bool *ret_complete)
{
    struct reading reading = { .errors = errors, .complete = true };
    struct policy_node *root = NULL;
    if (!yaml_parser_initialize(&reading.parser))
        abort(); // out of memory, as xmalloc
    yaml_parser_set_encoding(&reading.parser, YAML_UTF8_ENCODING);
    const char *text = buf_str(&errors->text);
    size_t mark = strncmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; // reported already; libyaml would take it for a first line
    yaml_parser_set_input_string(&reading.parser, (const unsigned char *)text + mark, errors->text.len - mark);
    yaml_event_t event;
    bool at_end = false, first = true;
    while (!at_end && next(&reading, &event)) {
        at_end = event.type == YAML_STREAM_END_EVENT;
        if (event.type == YAML_DOCUMENT_START_EVENT) {
            check_document_start(&reading, &event, first);
            first = false;
        } else if (event.type == YAML_SCALAR_EVENT || event.type == YAML_SEQUENCE_START_EVENT || event.type == YAML_MAPPING_START_EVENT ||
                   event.type == YAML_ALIAS_EVENT) {
            root = take_node(&reading, &event, 1);
        }
        yaml_event_delete(&event);
    }
    *ret_root = root;
    *ret_complete = reading.complete;
    yaml_parser_delete(&reading.parser);
}
