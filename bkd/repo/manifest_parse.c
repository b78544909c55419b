// The parser of manifest lines. A million of them are read every night, so it walks the line once, by hand.
#include <string.h>

#include "bkd/base/bytes.h"
#include "bkd/repo/manifest.h"

#define NAME_MAX_BYTES 4096u // of a user or group name
#define HARDLINK_MAX 64u

struct scan {
    const char *at;
    const char *end;
};

// Takes " key=" when it comes next.
#define TAKE_KEY(s, key) take_literal(s, " " key "=", sizeof(" " key "=") - 1)

static inline bool take_literal(struct scan *s, const char *literal, size_t n)
{
    if ((size_t)(s->end - s->at) < n || memcmp(s->at, literal, n) != 0)
        return false;
    s->at += n;
    return true;
}

// The value up to the next space or the end.
static inline size_t take_value(struct scan *s, const char **ret_value)
{
    const char *start = s->at;
    const char *p = start;
    while (p < s->end && *p != ' ')
        p++;
    s->at = p;
    *ret_value = start;
    return (size_t)(p - start);
}

static bool take_number(struct scan *s, uint64_t max, uint64_t *ret_value)
{
    const char *value;
    size_t n = take_value(s, &value);
    return parse_u64(value, n, max, ret_value);
}

static bool take_u32(struct scan *s, uint32_t max, uint32_t *ret_value)
{
    uint64_t value;
    if (!take_number(s, max, &value))
        return false;
    *ret_value = (uint32_t)value;
    return true;
}

// An escaped name that is not empty and holds no NUL.
static bool take_name(struct scan *s, size_t max, struct buf *ret_name)
{
    const char *value;
    size_t n = take_value(s, &value);
    buf_reset(ret_name);
    return n > 0 && manifest_unescape(ret_name, value, n) && ret_name->len <= max &&
           memchr(ret_name->data, '\0', ret_name->len) == NULL;
}

static bool take_place(struct scan *s, struct place *ret_place)
{
    const char *value;
    size_t n = take_value(s, &value);
    return place_parse(value, n, ret_place);
}

static bool take_mode(struct scan *s, uint32_t *ret_mode)
{
    const char *value;
    if (take_value(s, &value) != 4)
        return false;
    uint32_t mode = 0;
    for (int i = 0; i < 4; i++) {
        if (value[i] < '0' || value[i] > '7')
            return false;
        mode = mode << 3 | (uint32_t)(value[i] - '0');
    }
    *ret_mode = mode;
    return true;
}

static bool take_mtime(struct scan *s, int64_t *ret_seconds, uint32_t *ret_ns)
{
    const char *value;
    size_t n = take_value(s, &value);
    if (n < 11 || value[n - 10] != '.')
        return false;
    uint32_t ns = 0;
    for (size_t i = n - 9; i < n; i++) {
        if (value[i] < '0' || value[i] > '9')
            return false;
        ns = ns * 10 + (uint32_t)(value[i] - '0');
    }
    if (value[0] == '-' && value[1] == '0') // minus zero is written without the sign
        return false;
    if (!parse_i64(value, n - 10, ret_seconds))
        return false;
    *ret_ns = ns;
    return true;
}

static bool take_device(struct scan *s, uint32_t *ret_major, uint32_t *ret_minor)
{
    const char *value;
    size_t n = take_value(s, &value);
    const char *comma = memchr(value, ',', n);
    uint64_t major, minor;
    if (comma == NULL || !parse_u64(value, (size_t)(comma - value), UINT32_MAX, &major) ||
        !parse_u64(comma + 1, (size_t)(value + n - comma - 1), UINT32_MAX, &minor))
        return false;
    *ret_major = (uint32_t)major;
    *ret_minor = (uint32_t)minor;
    return true;
}

static bool take_flags(struct scan *s, uint32_t *ret_flags)
{
    const char *value;
    size_t n = take_value(s, &value);
    if (n == 0 || n > 8 || value[0] == '0')
        return false;
    uint32_t flags = 0;
    for (size_t i = 0; i < n; i++) {
        char c = value[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        flags = flags << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *ret_flags = flags;
    return true;
}

static bool take_sha256(struct scan *s, uint8_t ret_sha256[32])
{
    // One more than the value of each lower-case hex digit; 0 for all other bytes.
    static const uint8_t digit[256] = {
        ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
        ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    };
    if (s->end - s->at < 64)
        return false;
    const uint8_t *p = (const uint8_t *)s->at;
    unsigned wrong = 0;
    for (int i = 0; i < 32; i++) {
        unsigned high = digit[p[2 * i]] - 1u, low = digit[p[2 * i + 1]] - 1u;
        wrong |= high | low;
        ret_sha256[i] = (uint8_t)(high << 4 | low);
    }
    s->at += 64;
    return (wrong & 0xf0) == 0;
}

static bool take_notes(struct scan *s, uint32_t *ret_notes)
{
    const char *value;
    size_t n = take_value(s, &value);
    const char *end = value + n;
    uint32_t notes = 0;
    for (size_t i = 0; i < MANIFEST_NOTES && value < end; i++) {
        size_t len = strlen(manifest_note_names[i]), left = (size_t)(end - value);
        if (left < len || memcmp(value, manifest_note_names[i], len) != 0 || (left > len && (value[len] != ',' || left == len + 1)))
            continue;
        notes |= UINT32_C(1) << i;
        value += len + (left > len);
    }
    *ret_notes = notes;
    return value == end && notes != 0;
}

// Components are not empty, not "." and not "..": a restore must never leave its target because of a path.
static bool path_is_sound(const char *path, size_t n)
{
    if (n == 0 || memchr(path, '\0', n) != NULL)
        return false;
    if (n == 1 && path[0] == '/')
        return true;
    const char *end = path + n, *p = path + 1;
    if (path[0] != '/') { // a stream: one name below stream/
        p = path + sizeof "stream/" - 1;
        if (n <= sizeof "stream/" - 1 || memcmp(path, "stream/", sizeof "stream/" - 1) != 0 || memchr(p, '/', (size_t)(end - p)) != NULL)
            return false;
    }
    for (;;) {
        const char *slash = memchr(p, '/', (size_t)(end - p));
        size_t length = (size_t)((slash == NULL ? end : slash) - p);
        if (length == 0 || (p[0] == '.' && (length == 1 || (length == 2 && p[1] == '.'))))
            return false;
        if (slash == NULL)
            return true;
        p = slash + 1;
    }
}

static bool take_path_and_type(struct scan *s, struct manifest_entry *e, const char **ret_wrong)
{
    const char *value;
    size_t n = take_value(s, &value);
    if (!manifest_unescape(&e->path, value, n) || !path_is_sound((const char *)e->path.data, e->path.len)) {
        *ret_wrong = "path";
        return false;
    }
    bool is_stream = e->path.data[0] != '/';
    if (s->end - s->at < 2 || memchr("dflpcbs", s->at[1], 7) == NULL || (is_stream && s->at[1] != MANIFEST_FILE)) {
        *ret_wrong = "type";
        return false;
    }
    e->type = (enum manifest_type)s->at[1];
    s->at += 2;
    return true;
}

// Each step returns false with the name of the field that is wrong or missing.
#define NEED(condition, name) \
    do { \
        if (!(condition)) { \
            *ret_wrong = name; \
            return false; \
        } \
    } while (0)

static bool take_owner_and_time(struct scan *s, struct manifest_entry *e, const char **ret_wrong)
{
    NEED(TAKE_KEY(s, "mode") && take_mode(s, &e->mode), "mode");
    NEED(TAKE_KEY(s, "uid") && take_u32(s, UINT32_MAX, &e->uid), "uid");
    NEED(TAKE_KEY(s, "gid") && take_u32(s, UINT32_MAX, &e->gid), "gid");
    if (TAKE_KEY(s, "user"))
        NEED(take_name(s, NAME_MAX_BYTES, &e->user), "user");
    if (TAKE_KEY(s, "group"))
        NEED(take_name(s, NAME_MAX_BYTES, &e->group), "group");
    NEED(TAKE_KEY(s, "mtime") && take_mtime(s, &e->mtime_s, &e->mtime_ns), "mtime");
    return true;
}

static bool take_kind(struct scan *s, struct manifest_entry *e, const char **ret_wrong)
{
    switch (e->type) {
    case MANIFEST_FILE:
        NEED(TAKE_KEY(s, "size") && take_number(s, INT64_MAX, &e->size), "size");
        break;
    case MANIFEST_LINK:
        NEED(TAKE_KEY(s, "target") && take_name(s, MANIFEST_LINE_MAX, &e->target), "target");
        break;
    case MANIFEST_CHAR:
    case MANIFEST_BLOCK:
        NEED(TAKE_KEY(s, "device") && take_device(s, &e->device_major, &e->device_minor), "device");
        break;
    case MANIFEST_DIR:
    case MANIFEST_FIFO:
    case MANIFEST_SOCKET:
        break;
    }
    return true;
}

static bool take_rest(struct scan *s, struct manifest_entry *e, const char **ret_wrong)
{
    if (TAKE_KEY(s, "hardlink"))
        NEED(take_name(s, HARDLINK_MAX, &e->hardlink), "hardlink");
    if (TAKE_KEY(s, "flags"))
        NEED(take_flags(s, &e->flags), "flags");
    if (TAKE_KEY(s, "xattr"))
        NEED(take_place(s, &e->xattr) && e->xattr.object != 0, "xattr");
    if (e->type == MANIFEST_FILE) {
        e->has_sha256 = TAKE_KEY(s, "sha256");
        if (e->has_sha256)
            NEED(take_sha256(s, e->sha256), "sha256");
        if (TAKE_KEY(s, "at"))
            NEED(take_place(s, &e->at) && e->at.length == e->size, "at");
        else if (TAKE_KEY(s, "version"))
            NEED(take_place(s, &e->version) && e->version.object != 0, "version");
    }
    if (TAKE_KEY(s, "note"))
        NEED(take_notes(s, &e->notes), "note");
    if (TAKE_KEY(s, "source"))
        NEED(take_u32(s, UINT32_MAX - 1, &e->source), "source");
    NEED(s->at == s->end, "an unknown, doubled or misplaced key");
    return true;
}

int manifest_parse(const char *line, size_t n, struct manifest_entry *ret_entry, struct error *err)
{
    if (n > MANIFEST_LINE_MAX)
        return error_set(err, ERROR_FORMAT, "manifest line: longer than %u bytes", MANIFEST_LINE_MAX);
    struct scan s = { line, line + n };
    const char *wrong = NULL;
    manifest_entry_reset(ret_entry);
    if (take_path_and_type(&s, ret_entry, &wrong) && take_owner_and_time(&s, ret_entry, &wrong) &&
        take_kind(&s, ret_entry, &wrong) && take_rest(&s, ret_entry, &wrong))
        return 0;
    return error_set(err, ERROR_FORMAT, "manifest line '%.*s': wrong at: %s", n < 200 ? (int)n : 200, line, wrong);
}
