#include "bkd/engine/differ.h"

#include <stdio.h>
#include <string.h>

#include "bkd/base/clock.h"

static bool same_buf(const struct buf *a, const struct buf *b) { return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0); }

static bool same_time(const struct manifest_entry *a, const struct manifest_entry *b)
{
    bool is_way = a->source == MANIFEST_NO_SOURCE && b->source == MANIFEST_NO_SOURCE;
    return is_way || (a->mtime_s == b->mtime_s && a->mtime_ns == b->mtime_ns);
}

static bool same_device(const struct manifest_entry *a, const struct manifest_entry *b)
{
    bool is_device = a->type == MANIFEST_CHAR || a->type == MANIFEST_BLOCK;
    return !is_device || (a->device_major == b->device_major && a->device_minor == b->device_minor);
}

uint32_t differ_entries(const struct manifest_entry *a, const struct manifest_entry *b)
{
    if (a->type != b->type)
        return DIFFER_TYPE;
    bool is_file = a->type == MANIFEST_FILE, is_link = a->type == MANIFEST_LINK;
    return (is_file && a->size != b->size ? DIFFER_CONTENT : 0) | (is_link && !same_buf(&a->target, &b->target) ? DIFFER_TARGET : 0) |
           (same_device(a, b) ? 0 : DIFFER_DEVICE) | (a->mode != b->mode ? DIFFER_MODE : 0) | (a->uid != b->uid ? DIFFER_OWNER : 0) |
           (a->gid != b->gid ? DIFFER_GROUP : 0) | (same_time(a, b) ? 0 : DIFFER_MTIME) |
           ((a->hardlink.len > 0) != (b->hardlink.len > 0) ? DIFFER_LINKS : 0);
}

// ---- in words

static const struct {
    enum differ field;
    const char *name;
} fields_named[] = {
    { DIFFER_TYPE, "type" },   { DIFFER_CONTENT, "content" }, { DIFFER_TARGET, "target" }, { DIFFER_DEVICE, "device" },
    { DIFFER_MODE, "mode" },   { DIFFER_OWNER, "owner" },     { DIFFER_GROUP, "group" },   { DIFFER_MTIME, "mtime" },
    { DIFFER_XATTRS, "xattrs" }, { DIFFER_FLAGS, "flags" },   { DIFFER_LINKS, "links" },
};
enum { FIELDS = sizeof fields_named / sizeof *fields_named, VALUE = 40 };

// The value of a field where it fits into a few characters; else "".
static void value_of(enum differ field, const struct manifest_entry *e, char ret_value[VALUE])
{
    ret_value[0] = '\0';
    if (field == DIFFER_TYPE)
        (void)snprintf(ret_value, VALUE, "%c", (char)e->type);
    else if (field == DIFFER_MODE)
        (void)snprintf(ret_value, VALUE, "%04o", e->mode);
    else if (field == DIFFER_OWNER)
        (void)snprintf(ret_value, VALUE, "%u", e->uid);
    else if (field == DIFFER_GROUP)
        (void)snprintf(ret_value, VALUE, "%u", e->gid);
    else if (field == DIFFER_DEVICE)
        (void)snprintf(ret_value, VALUE, "%u,%u", e->device_major, e->device_minor);
    else if (field == DIFFER_CONTENT)
        (void)snprintf(ret_value, VALUE, "%llu", (unsigned long long)e->size);
}

void differ_add_text(struct buf *out, uint32_t fields, const struct manifest_entry *a, const struct manifest_entry *b)
{
    const char *separator = "";
    for (size_t i = 0; i < FIELDS; i++) {
        char from[VALUE], to[VALUE];
        if ((fields & fields_named[i].field) == 0)
            continue;
        value_of(fields_named[i].field, a, from);
        value_of(fields_named[i].field, b, to);
        buf_addf(out, "%s%s", separator, fields_named[i].name);
        if (strcmp(from, to) != 0)
            buf_addf(out, " %s -> %s%s", from, to, fields_named[i].field == DIFFER_CONTENT ? " bytes" : "");
        separator = ", ";
    }
}

void differ_add_json(struct json *line, uint32_t fields, const struct manifest_entry *a, const struct manifest_entry *b)
{
    struct json *names = json_add_array(line, "differs");
    for (size_t i = 0; i < FIELDS; i++)
        if ((fields & fields_named[i].field) != 0)
            json_append_str(names, fields_named[i].name);
    for (size_t i = 0; i < FIELDS; i++) {
        char from[VALUE], to[VALUE];
        value_of(fields_named[i].field, a, from);
        value_of(fields_named[i].field, b, to);
        if ((fields & fields_named[i].field) == 0 || strcmp(from, to) == 0)
            continue;
        struct json *values = json_add_object(line, fields_named[i].field == DIFFER_CONTENT ? "size_bytes" : fields_named[i].name);
        json_add_str(values, "from", from);
        json_add_str(values, "to", to);
    }
}
