#include "bkd/notify/exposition.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/printable.h"

void exposition_init(struct exposition *e, const struct exposition_family *families, size_t count)
{
    *e = (struct exposition){ .families = families, .count = count, .samples = xcalloc(count, sizeof *e->samples) };
}

void exposition_done(struct exposition *e)
{
    for (size_t i = 0; i < e->count; i++)
        buf_done(&e->samples[i]);
    free(e->samples);
}

// Backslash, quote and line feed are escaped; what remains may be any UTF-8.
static void add_label_value(const char *text, struct buf *ret_text)
{
    size_t n = strlen(text);
    for (size_t at = 0, len; at < n; at += len) {
        bool safe;
        len = printable_next(text + at, n - at, &safe);
        if (len == 1 && (unsigned char)text[at] >= 0x80)
            buf_add_str(ret_text, "\xef\xbf\xbd");
        else if (text[at] == '\n')
            buf_add_str(ret_text, "\\n");
        else if (text[at] == '\\' || text[at] == '"')
            buf_addf(ret_text, "\\%c", text[at]);
        else
            buf_add(ret_text, text + at, len);
    }
}

static struct buf *begin_sample(struct exposition *e, size_t index, const char *const *labels)
{
    struct buf *text = &e->samples[index];
    buf_add_str(text, e->families[index].name);
    for (size_t i = 0; labels[i] != NULL; i += 2) {
        buf_addf(text, "%s%s=\"", i == 0 ? "{" : ",", labels[i]);
        add_label_value(labels[i + 1], text);
        buf_add_char(text, '"');
    }
    buf_add_str(text, labels[0] != NULL ? "} " : " ");
    return text;
}

void exposition_add(struct exposition *e, size_t index, uint64_t value, const char *const *labels)
{
    buf_addf(begin_sample(e, index, labels), "%" PRIu64 "\n", value);
}

void exposition_add_milli(struct exposition *e, size_t index, uint64_t milli, const char *const *labels)
{
    buf_addf(begin_sample(e, index, labels), "%" PRIu64 ".%03u\n", milli / 1000, (unsigned)(milli % 1000));
}

void exposition_text(const struct exposition *e, struct buf *ret_text)
{
    for (size_t i = 0; i < e->count; i++) {
        const struct exposition_family *family = &e->families[i];
        if (e->samples[i].len > 0)
            buf_addf(ret_text, "# HELP %s %s\n# TYPE %s %s\n%s", family->name, family->help, family->name, family->type, buf_str(&e->samples[i]));
    }
}
