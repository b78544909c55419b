#include "bkd/repo/place.h"

#include <string.h>

#include "bkd/base/bytes.h"

bool place_parse(const char *text, size_t n, struct place *ret_place)
{
    const char *end = text + n;
    const char *colon = memchr(text, ':', n);
    if (colon == NULL)
        return false;
    const char *plus = memchr(colon, '+', (size_t)(end - colon));
    if (plus == NULL)
        return false;
    uint64_t object, offset, length;
    if (!parse_u64(text, (size_t)(colon - text), PLACE_OBJECT_MAX, &object) ||
        !parse_u64(colon + 1, (size_t)(plus - colon - 1), PLACE_OFFSET_MAX, &offset) ||
        !parse_u64(plus + 1, (size_t)(end - plus - 1), PLACE_OFFSET_MAX, &length))
        return false;
    // Nothing is stored in no bytes, and zeros have no offset: one way to write each place.
    if (length == 0 || (object == 0 && offset != 0) || (object != 0 && length > PLACE_OFFSET_MAX - offset))
        return false;
    *ret_place = (struct place){ .object = (uint32_t)object, .offset = offset, .length = length };
    return true;
}

void place_format(struct buf *out, const struct place *place)
{
    buf_add_u64(out, place->object);
    buf_add_char(out, ':');
    buf_add_u64(out, place->offset);
    buf_add_char(out, '+');
    buf_add_u64(out, place->length);
}
