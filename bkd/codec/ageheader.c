#include "bkd/codec/ageheader.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/base/buf.h"
#include "bkd/base/bytes.h"

#define BODY_COLUMNS 64
#define BODY_LINE_BYTES (BODY_COLUMNS / 4 * 3)

bool ageheader_find_end(const uint8_t *data, size_t n, size_t *ret_size)
{
    struct cursor c = cursor_of(data, n);
    const char *line;
    size_t len;
    while (cursor_line(&c, &line, &len)) {
        if (len >= 3 && memcmp(line, "---", 3) == 0) {
            *ret_size = (size_t)(c.at - data);
            return true;
        }
    }
    return false;
}

// One or more arguments of visible characters, separated by single spaces.
static bool split_args(const char *text, size_t len, struct ageheader_stanza *s)
{
    size_t count = 1;
    for (size_t i = 0; i < len; i++) {
        bool space = text[i] == ' ';
        if (!space && (text[i] < 33 || text[i] > 126))
            return false;
        if (space && (i == 0 || i + 1 == len || text[i - 1] == ' '))
            return false;
        count += space;
    }
    if (len == 0)
        return false;
    const char *space = memchr(text, ' ', len);
    s->type = text;
    s->type_len = space == NULL ? len : (size_t)(space - text);
    s->args = space == NULL ? NULL : space + 1;
    s->args_len = space == NULL ? 0 : len - s->type_len - 1;
    s->n_args = count - 1;
    return true;
}

// The body: full lines, then one that is shorter (perhaps empty).
static bool parse_body(struct cursor *c, struct ageheader_stanza *s)
{
    const char *line;
    size_t len;
    do {
        uint8_t bytes[BODY_LINE_BYTES];
        size_t n = 0;
        if (!cursor_line(c, &line, &len) || len > BODY_COLUMNS || !base64_decode(line, len, false, bytes, sizeof bytes, &n))
            return false;
        size_t keep = s->body_len >= AGEHEADER_BODY_MAX ? 0 : AGEHEADER_BODY_MAX - s->body_len;
        if (keep > 0)
            memcpy(s->body + s->body_len, bytes, n < keep ? n : keep);
        s->body_len += n;
    } while (len == BODY_COLUMNS);
    return true;
}

static bool parse_mac(const char *line, size_t len, uint8_t ret_mac[CRYPTO_SHA256_SIZE])
{
    uint8_t mac[CRYPTO_SHA256_SIZE];
    size_t n = 0;
    if (len < 4 || memcmp(line, "--- ", 4) != 0 || !base64_decode(line + 4, len - 4, false, mac, sizeof mac, &n) ||
        n != sizeof mac)
        return false;
    memcpy(ret_mac, mac, sizeof mac);
    return true;
}

static int parse_stanzas(struct cursor *c, size_t max_stanzas, struct ageheader *h, struct error *err)
{
    const uint8_t *start = c->at;
    for (;;) {
        const char *line;
        size_t len;
        if (!cursor_line(c, &line, &len))
            return error_set(err, ERROR_FORMAT, "the age header is cut off or too long");
        if (len >= 3 && memcmp(line, "---", 3) == 0) {
            h->mac_input_len = (size_t)((const uint8_t *)line + 3 - start);
            if (!parse_mac(line, len, h->mac))
                return error_set(err, ERROR_FORMAT, "the age header's last line is malformed");
            break;
        }
        if (h->n_stanzas == max_stanzas)
            return error_set(err, ERROR_FORMAT, "the age header has more than %zu recipients", max_stanzas);
        struct ageheader_stanza s = { 0 };
        if (len < 3 || memcmp(line, "-> ", 3) != 0 || !split_args(line + 3, len - 3, &s) || !parse_body(c, &s))
            return error_set(err, ERROR_FORMAT, "recipient %zu of the age header is malformed", h->n_stanzas + 1);
        h->stanzas = xrealloc(h->stanzas, (h->n_stanzas + 1) * sizeof *h->stanzas);
        h->stanzas[h->n_stanzas++] = s;
    }
    if (h->n_stanzas == 0)
        return error_set(err, ERROR_FORMAT, "the age header has no recipient");
    return 0;
}

int ageheader_parse(const uint8_t *data, size_t n, size_t max_size, size_t max_stanzas, struct ageheader *ret_header,
                    struct error *err)
{
    const size_t version = strlen(AGEHEADER_VERSION_LINE);
    struct cursor c = cursor_of(data, n < max_size ? n : max_size);
    const uint8_t *first;
    if (!cursor_take(&c, version, &first) || memcmp(first, AGEHEADER_VERSION_LINE, version) != 0)
        return error_set(err, ERROR_FORMAT, "not an age v1 file");
    _cleanup_ageheader_ struct ageheader h = { 0 };
    int r = parse_stanzas(&c, max_stanzas, &h, err);
    if (r < 0)
        return r;
    h.mac_input_len += version;
    h.size = (size_t)(c.at - data);
    *ret_header = h;
    h.stanzas = NULL;
    return 0;
}

void ageheader_done(struct ageheader *header)
{
    free(header->stanzas);
    *header = (struct ageheader){ 0 };
}

bool ageheader_is(const struct ageheader_stanza *stanza, const char *type)
{
    return stanza->type_len == strlen(type) && memcmp(stanza->type, type, stanza->type_len) == 0;
}

bool ageheader_arg(const struct ageheader_stanza *stanza, size_t index, const char **ret_arg, size_t *ret_len)
{
    const char *at = stanza->args, *end = at == NULL ? NULL : at + stanza->args_len;
    for (size_t i = 0; at != NULL && at < end; i++) {
        const char *space = memchr(at, ' ', (size_t)(end - at));
        const char *stop = space == NULL ? end : space;
        if (i == index) {
            *ret_arg = at;
            *ret_len = (size_t)(stop - at);
            return true;
        }
        at = space == NULL ? NULL : space + 1;
    }
    return false;
}
