#include "bkd/codec/rdelta.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/bytes.h"

#define OP_END 0x00u
#define OP_LITERAL_1 0x01u
#define OP_LITERAL_64 0x40u
#define OP_LITERAL_N1 0x41u
#define OP_LITERAL_N8 0x44u
#define OP_COPY_N1_N1 0x45u
#define OP_COPY_N8_N8 0x54u
#define LENGTH_MAX (UINT64_C(1) << 31)

void rdelta_list_done(struct rdelta_list *list)
{
    free(list->items);
    *list = (struct rdelta_list){ 0 };
}

void rdelta_list_reset(struct rdelta_list *list) { list->count = 0; }

void rdelta_list_push(struct rdelta_list *list, const struct rdelta_command *command)
{
    struct rdelta_command kept = *command; // it may lie in this very list
    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 64 : list->cap * 2;
        list->items = xrealloc(list->items, list->cap * sizeof(*list->items));
    }
    list->items[list->count++] = kept;
}

void rdelta_list_add(struct rdelta_list *list, bool is_copy, uint64_t offset, uint32_t length)
{
    assert(length > 0);
    if (list->count > 0) {
        struct rdelta_command *last = &list->items[list->count - 1];
        if (last->is_copy == is_copy && last->offset + last->length == offset && length <= LENGTH_MAX - last->length) {
            last->length += length;
            return;
        }
    }
    rdelta_list_push(list, &(struct rdelta_command){ .is_copy = is_copy, .length = length, .offset = offset });
}

// Log2 of the bytes a number is written with: 1, 2, 4 or 8.
static unsigned width_log(uint64_t value)
{
    return value <= 0xff ? 0 : value <= 0xffff ? 1 : value <= 0xffffffff ? 2 : 3;
}

static void put_number(uint8_t *place, uint64_t value, unsigned width)
{
    for (unsigned i = width; i-- > 0; value >>= 8)
        place[i] = (uint8_t)value;
}

void rdelta_begin(struct buf *out) { put_u32be(buf_extend(out, 4), RDELTA_MAGIC); }

void rdelta_put_copy(struct buf *out, uint64_t base_offset, uint64_t length)
{
    assert(length > 0);
    unsigned offset_log = width_log(base_offset), length_log = width_log(length);
    uint8_t *p = buf_extend(out, 1 + (1u << offset_log) + (1u << length_log));
    p[0] = (uint8_t)(OP_COPY_N1_N1 + 4 * offset_log + length_log);
    put_number(p + 1, base_offset, 1u << offset_log);
    put_number(p + 1 + (1u << offset_log), length, 1u << length_log);
}

void rdelta_put_literal(struct buf *out, const void *data, size_t n, uint64_t *ret_offset)
{
    assert(n > 0);
    if (n <= OP_LITERAL_64) {
        buf_extend(out, 1)[0] = (uint8_t)n;
    } else {
        unsigned length_log = width_log(n);
        uint8_t *p = buf_extend(out, 1 + (1u << length_log));
        p[0] = (uint8_t)(OP_LITERAL_N1 + length_log);
        put_number(p + 1, n, 1u << length_log);
    }
    if (ret_offset != NULL)
        *ret_offset = out->len;
    buf_add(out, data, n);
}

void rdelta_end(struct buf *out) { buf_extend(out, 1)[0] = OP_END; }

int rdelta_parse_begin(struct rdelta_parser *p, const void *delta, size_t n, struct error *err)
{
    if (n < 5 || get_u32be(delta) != RDELTA_MAGIC)
        return error_set(err, ERROR_FORMAT, "not a librsync delta");
    *p = (struct rdelta_parser){ .data = delta, .n = n, .at = 4 };
    return 0;
}

static int truncated(const struct rdelta_parser *p, struct error *err)
{
    return error_set(err, ERROR_FORMAT, "delta is cut short at byte %zu of %zu", p->at, p->n);
}

static int check_length(const struct rdelta_parser *p, uint64_t length, struct error *err)
{
    if (length == 0 || length > LENGTH_MAX)
        return error_set(err, ERROR_FORMAT, "delta command at byte %zu makes %llu bytes", p->at, (unsigned long long)length);
    return 0;
}

static int parse_literal(struct rdelta_parser *p, struct cursor c, uint8_t op, struct rdelta_command *command, struct error *err)
{
    uint64_t length = op;
    if (op >= OP_LITERAL_N1 && !cursor_ube(&c, (size_t)1 << (op - OP_LITERAL_N1), &length))
        return truncated(p, err);
    int rc = check_length(p, length, err);
    if (rc < 0)
        return rc;
    if (length > cursor_left(&c))
        return truncated(p, err);
    uint64_t data_at = (uint64_t)(c.at - p->data);
    *command = (struct rdelta_command){ .is_copy = false, .length = (uint32_t)length, .offset = data_at };
    p->at = (size_t)(data_at + length);
    return 0;
}

static int parse_copy(struct rdelta_parser *p, struct cursor c, uint8_t op, struct rdelta_command *command, struct error *err)
{
    unsigned form = op - OP_COPY_N1_N1;
    uint64_t offset, length;
    if (!cursor_ube(&c, (size_t)1 << (form / 4), &offset) || !cursor_ube(&c, (size_t)1 << (form % 4), &length))
        return truncated(p, err);
    int rc = check_length(p, length, err);
    if (rc < 0)
        return rc;
    if (offset > RDELTA_BASE_MAX - length)
        return error_set(err, ERROR_FORMAT, "delta command at byte %zu copies from %llu", p->at, (unsigned long long)offset);
    *command = (struct rdelta_command){ .is_copy = true, .length = (uint32_t)length, .offset = offset };
    p->at = (size_t)(c.at - p->data);
    return 0;
}

int rdelta_parse_next(struct rdelta_parser *p, struct rdelta_command *ret_command, bool *ret_more, struct error *err)
{
    struct cursor c = cursor_of(p->data + p->at, p->n - p->at);
    uint8_t op;
    if (p->ended || !cursor_u8(&c, &op))
        return truncated(p, err);
    if (op == OP_END) {
        if (cursor_left(&c) != 0)
            return error_set(err, ERROR_FORMAT, "%zu bytes after the end of a delta", cursor_left(&c));
        p->at = p->n;
        p->ended = true;
        *ret_more = false;
        return 0;
    }
    if (op > OP_COPY_N8_N8)
        return error_set(err, ERROR_FORMAT, "delta command 0x%02x at byte %zu is unknown", op, p->at);
    int rc = op <= OP_LITERAL_N8 ? parse_literal(p, c, op, ret_command, err) : parse_copy(p, c, op, ret_command, err);
    if (rc < 0)
        return rc;
    *ret_more = true;
    return 0;
}

int rdelta_parse(const void *delta, size_t n, uint64_t base_size, uint64_t size, struct rdelta_list *ret_list, struct error *err)
{
    struct rdelta_parser p;
    int rc = rdelta_parse_begin(&p, delta, n, err);
    if (rc < 0)
        return rc;
    size_t before = ret_list->count;
    uint64_t made = 0;
    for (;;) {
        struct rdelta_command command;
        bool more;
        rc = rdelta_parse_next(&p, &command, &more, err);
        if (rc == 0 && !more && made == size)
            return 0;
        if (rc == 0 && (!more || command.length > size - made))
            rc = error_set(err, ERROR_FORMAT, "delta makes %s than %llu bytes", more ? "more" : "less", (unsigned long long)size);
        if (rc == 0 && command.is_copy && (command.offset > base_size || command.length > base_size - command.offset))
            rc = error_set(err, ERROR_FORMAT, "delta copies beyond the base's %llu bytes", (unsigned long long)base_size);
        if (rc < 0) {
            ret_list->count = before;
            return rc;
        }
        rdelta_list_push(ret_list, &command);
        made += command.length;
    }
}
