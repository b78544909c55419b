#include "bkd/repo/manifest.h"

#include <string.h>
#include <sys/stat.h>

#include "bkd/base/bytes.h"

enum manifest_type manifest_type_of(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return MANIFEST_DIR;
    case S_IFLNK:
        return MANIFEST_LINK;
    case S_IFIFO:
        return MANIFEST_FIFO;
    case S_IFCHR:
        return MANIFEST_CHAR;
    case S_IFBLK:
        return MANIFEST_BLOCK;
    case S_IFSOCK:
        return MANIFEST_SOCKET;
    default:
        return MANIFEST_FILE;
    }
}

void manifest_entry_done(struct manifest_entry *e)
{
    buf_done(&e->path);
    buf_done(&e->user);
    buf_done(&e->group);
    buf_done(&e->target);
    buf_done(&e->hardlink);
}

void manifest_entry_reset(struct manifest_entry *e)
{
    struct manifest_entry empty = {
        .path = e->path,
        .user = e->user,
        .group = e->group,
        .target = e->target,
        .hardlink = e->hardlink,
        .source = MANIFEST_NO_SOURCE,
    };
    *e = empty;
    buf_reset(&e->path);
    buf_reset(&e->user);
    buf_reset(&e->group);
    buf_reset(&e->target);
    buf_reset(&e->hardlink);
}

static void copy_buf(struct buf *to, const struct buf *memory, const struct buf *from)
{
    *to = *memory;
    buf_reset(to);
    buf_add(to, from->data, from->len);
}

void manifest_entry_copy(struct manifest_entry *to, const struct manifest_entry *from)
{
    if (to == from)
        return;
    struct manifest_entry memory = *to;
    *to = *from;
    copy_buf(&to->path, &memory.path, &from->path);
    copy_buf(&to->user, &memory.user, &from->user);
    copy_buf(&to->group, &memory.group, &from->group);
    copy_buf(&to->target, &memory.target, &from->target);
    copy_buf(&to->hardlink, &memory.hardlink, &from->hardlink);
}

int manifest_path_compare(const void *a, size_t a_len, const void *b, size_t b_len)
{
    const uint8_t *x = a, *y = b;
    size_t n = a_len < b_len ? a_len : b_len;
    size_t i = 0;
    // Neighbours in a manifest share most of their path: eight bytes at a time up to the difference.
    for (; i + 8 <= n; i += 8) {
        uint64_t p, q;
        memcpy(&p, x + i, 8);
        memcpy(&q, y + i, 8);
        if (p != q)
            break;
    }
    while (i < n && x[i] == y[i])
        i++;
    if (i == n)
        return a_len == b_len ? 0 : a_len < b_len ? -1 : 1;
    int p = x[i] == '/' ? -1 : x[i];
    int q = y[i] == '/' ? -1 : y[i];
    return p < q ? -1 : 1;
}

bool manifest_path_below(const char *path, size_t path_len, const char *dir, size_t dir_len)
{
    if (dir_len == 1 && dir[0] == '/')
        return path_len > 0 && path[0] == '/';
    if (path_len < dir_len || memcmp(path, dir, dir_len) != 0)
        return false;
    return path_len == dir_len || path[dir_len] == '/';
}

static bool is_escaped(uint8_t c) { return c <= 0x20 || c == '%' || c == 0x7f; }

void manifest_escape(struct buf *out, const void *raw, size_t n)
{
    static const char digits[] = "0123456789ABCDEF";
    const uint8_t *p = raw;
    size_t plain = 0; // bytes before p[i] not yet written
    for (size_t i = 0; i < n; i++) {
        if (!is_escaped(p[i]))
            continue;
        buf_add(out, p + plain, i - plain);
        char code[3] = { '%', digits[p[i] >> 4], digits[p[i] & 15] };
        buf_add(out, code, sizeof code);
        plain = i + 1;
    }
    if (plain < n)
        buf_add(out, p + plain, n - plain);
}

static int upper_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool manifest_unescape(struct buf *out, const char *text, size_t n)
{
    size_t before = out->len;
    for (size_t i = 0; i < n;) {
        size_t start = i;
        while (i < n && !is_escaped((uint8_t)text[i]))
            i++;
        buf_add(out, text + start, i - start);
        if (i == n)
            break;
        int high = -1, low = -1;
        if (text[i] == '%' && n - i >= 3) {
            high = upper_hex(text[i + 1]);
            low = upper_hex(text[i + 2]);
        }
        // Only what has to be escaped may be: one way to write each name.
        if (high < 0 || low < 0 || !is_escaped((uint8_t)(high << 4 | low))) {
            out->len = before;
            if (out->data != NULL)
                out->data[before] = '\0';
            return false;
        }
        buf_add_char(out, (char)(high << 4 | low));
        i += 3;
    }
    return true;
}

static void add_number(struct buf *out, const char *key, uint64_t value)
{
    buf_add_str(out, key);
    buf_add_u64(out, value);
}

static void add_escaped(struct buf *out, const char *key, const struct buf *raw)
{
    if (raw->len == 0)
        return;
    buf_add_str(out, key);
    manifest_escape(out, raw->data, raw->len);
}

static void add_place(struct buf *out, const char *key, const struct place *place)
{
    if (!place_is_set(place))
        return;
    buf_add_str(out, key);
    place_format(out, place);
}

static void add_mode(struct buf *out, uint32_t mode)
{
    char digits[4] = { (char)('0' + (mode >> 9 & 7)), (char)('0' + (mode >> 6 & 7)), (char)('0' + (mode >> 3 & 7)),
                       (char)('0' + (mode & 7)) };
    buf_add_str(out, " mode=");
    buf_add(out, digits, sizeof digits);
}

static void add_mtime(struct buf *out, int64_t seconds, uint32_t ns)
{
    buf_add_str(out, seconds < 0 ? " mtime=-" : " mtime=");
    buf_add_u64(out, seconds < 0 ? 0 - (uint64_t)seconds : (uint64_t)seconds);
    char fraction[10] = ".";
    for (int i = 9; i >= 1; i--, ns /= 10)
        fraction[i] = (char)('0' + ns % 10);
    buf_add(out, fraction, sizeof fraction);
}

static void add_content(struct buf *out, const struct manifest_entry *e)
{
    if (e->has_sha256) {
        buf_add_str(out, " sha256=");
        buf_add_hex(out, e->sha256, sizeof e->sha256);
    }
    add_place(out, " at=", &e->at);
    add_place(out, " version=", &e->version);
}

const char *const manifest_note_names[MANIFEST_NOTES] = { "unstable", "mount", "excluded", "preallocated" };

static void add_notes(struct buf *out, uint32_t notes)
{
    if (notes == 0)
        return;
    const char *before = " note=";
    for (size_t i = 0; i < MANIFEST_NOTES; i++) {
        if ((notes >> i & 1) == 0)
            continue;
        buf_add_str(out, before);
        buf_add_str(out, manifest_note_names[i]);
        before = ",";
    }
}

void manifest_format(struct buf *out, const struct manifest_entry *e)
{
    buf_reserve(out, 3 * e->path.len + 320); // one step for most lines
    manifest_escape(out, e->path.data, e->path.len);
    buf_add_char(out, ' ');
    buf_add_char(out, (char)e->type);
    add_mode(out, e->mode);
    add_number(out, " uid=", e->uid);
    add_number(out, " gid=", e->gid);
    add_escaped(out, " user=", &e->user);
    add_escaped(out, " group=", &e->group);
    add_mtime(out, e->mtime_s, e->mtime_ns);
    if (e->type == MANIFEST_FILE)
        add_number(out, " size=", e->size);
    if (e->type == MANIFEST_LINK)
        add_escaped(out, " target=", &e->target);
    if (e->type == MANIFEST_CHAR || e->type == MANIFEST_BLOCK) {
        add_number(out, " device=", e->device_major);
        add_number(out, ",", e->device_minor);
    }
    add_escaped(out, " hardlink=", &e->hardlink);
    if (e->flags != 0)
        buf_addf(out, " flags=%x", e->flags);
    add_place(out, " xattr=", &e->xattr);
    if (e->type == MANIFEST_FILE)
        add_content(out, e);
    add_notes(out, e->notes);
    if (e->source != MANIFEST_NO_SOURCE)
        add_number(out, " source=", e->source);
    buf_add_char(out, '\n');
}
