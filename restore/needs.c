#include "restore/needs.h"

#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

enum { SPILL_MEMORY = 4 << 20, KNOWN_TEXTS = 512 };

static const struct {
    const char *name, *text;
    bool entry; // the entry itself cannot be there
} table[NEEDS] = {
    [NEED_ACL] = { "acl", "ACLs", false },
    [NEED_USER_XATTR] = { "user_xattr", "extended attributes (user.*)", false },
    [NEED_TRUSTED_XATTR] = { "trusted_xattr", "extended attributes (trusted.*)", false },
    [NEED_SECURITY_XATTR] = { "security_xattr", "capabilities and labels (security.*)", false },
    [NEED_OWNER] = { "owner", "other owners than yourself", false },
    [NEED_MODE] = { "mode", "all modes", false },
    [NEED_NANOSECONDS] = { "nanoseconds", "times to the nanosecond", false },
    [NEED_TIME] = { "time_range", "times before 1970 or after 2038", false },
    [NEED_HARD_LINK] = { "hard_link", "hard links", true },
    [NEED_SYMLINK] = { "symlink", "symbolic links", true },
    [NEED_FIFO] = { "fifo", "FIFOs", true },
    [NEED_DEVICE] = { "device", "devices", true },
    [NEED_NAME] = { "name", "names with some of their bytes", true },
    [NEED_LONG_NAME] = { "name_length", "names so long", true },
    [NEED_LARGE_FILE] = { "file_size", "files so large", true },
    [NEED_FOLDED] = { "case", "names that differ only in case", true },
};

const char *needs_name(enum need need) { return table[need].name; }
const char *needs_text(enum need need) { return table[need].text; }
bool needs_is_entry(enum need need) { return table[need].entry; }

void needs_done(struct needs *n)
{
    for (int i = 0; i < NEEDS; i++)
        free(n->example[i]);
    free(n->folded_with);
    *n = (struct needs){ 0 };
}

// Which kinds of attributes a text has, remembered: few texts serve many entries.
struct known_text {
    struct place place;
    unsigned kinds; // bits of enum need
};

struct count {
    const struct needs_question *q;
    struct needs *needs;
    struct known_text known[KNOWN_TEXTS];
    struct spill *folded; // (folded path, NUL, path)
    locale_t locale;
};

static void need(struct count *c, enum need what, const struct manifest_entry *e)
{
    if (c->needs->count[what]++ == 0)
        c->needs->example[what] = xstrdup(buf_str(&e->path));
}

// ---- extended attributes

static unsigned kinds_of_text(const char *text, size_t n)
{
    _cleanup_buf_ struct buf name = { 0 };
    _cleanup_buf_ struct buf value = { 0 };
    unsigned kinds = 0;
    size_t at = 0;
    while (attrs_xattr_next(text, n, &at, &name, &value) > 0) {
        if (strncmp(buf_str(&name), "system.posix_acl_", 17) == 0)
            kinds |= 1u << NEED_ACL;
        else if (strncmp(buf_str(&name), "user.", 5) == 0)
            kinds |= 1u << NEED_USER_XATTR;
        else if (strncmp(buf_str(&name), "trusted.", 8) == 0)
            kinds |= 1u << NEED_TRUSTED_XATTR;
        else if (strncmp(buf_str(&name), "security.", 9) == 0)
            kinds |= 1u << NEED_SECURITY_XATTR;
    }
    return kinds;
}

static unsigned kinds_of(struct count *c, const struct place *place)
{
    struct known_text *known = &c->known[(place->offset / 512 + place->object) % KNOWN_TEXTS];
    const char *text;
    size_t n;
    struct error ignored; // a damaged text is reported when it is applied
    if (memcmp(&known->place, place, sizeof *place) == 0)
        return known->kinds;
    if (apply_xattr(c->q->apply, c->q->apply->n_workers - 1, place, &text, &n, &ignored) < 0)
        return 0;
    *known = (struct known_text){ .place = *place, .kinds = kinds_of_text(text, n) };
    return known->kinds;
}

static void count_xattrs(struct count *c, const struct manifest_entry *e)
{
    const struct abilities *a = c->q->abilities;
    unsigned lost = (a->acls ? 0 : 1u << NEED_ACL) | (a->user_xattrs ? 0 : 1u << NEED_USER_XATTR) |
                    (a->trusted_xattrs ? 0 : 1u << NEED_TRUSTED_XATTR) | (a->security_xattrs ? 0 : 1u << NEED_SECURITY_XATTR);
    if (e->xattr.length == 0 || lost == 0)
        return;
    lost &= kinds_of(c, &e->xattr);
    for (int i = NEED_ACL; i <= NEED_SECURITY_XATTR; i++)
        if ((lost & 1u << i) != 0)
            need(c, i, e);
}

// ---- the rest of an entry

static void count_metadata(struct count *c, const struct manifest_entry *e)
{
    const struct abilities *a = c->q->abilities;
    struct attrs attrs;
    bool link = e->type == MANIFEST_LINK;
    attrs_of_entry(c->q->names, c->q->self, e, &attrs);
    if (!a->owners && (attrs.uid != c->q->self->uid || attrs.gid != c->q->self->gid))
        need(c, NEED_OWNER, e);
    if (!a->modes && !link && (e->mode & 07777) != (e->type == MANIFEST_DIR ? 0755u : 0644u))
        need(c, NEED_MODE, e);
    if (!a->nanoseconds && e->mtime_ns != 0)
        need(c, NEED_NANOSECONDS, e);
    if ((!a->times_before_1970 && e->mtime_s < 0) || (!a->times_after_2038 && e->mtime_s > INT32_MAX))
        need(c, NEED_TIME, e);
}

static void count_kind(struct count *c, const struct manifest_entry *e, bool further)
{
    const struct abilities *a = c->q->abilities;
    if (further && !a->hard_links)
        need(c, NEED_HARD_LINK, e);
    if (e->type == MANIFEST_LINK && !a->symlinks)
        need(c, NEED_SYMLINK, e);
    if (e->type == MANIFEST_FIFO && !a->fifos)
        need(c, NEED_FIFO, e);
    if ((e->type == MANIFEST_CHAR || e->type == MANIFEST_BLOCK) && !a->devices)
        need(c, NEED_DEVICE, e);
    if (e->type == MANIFEST_FILE && e->size > a->file_size_max)
        need(c, NEED_LARGE_FILE, e);
}

// A byte that is never UTF-8 was tried for all that are not.
static bool is_utf8(const char *name, size_t n, locale_t locale)
{
    mbstate_t state = { 0 };
    locale_t before = uselocale(locale);
    bool good = true;
    for (size_t i = 0; i < n && good;) {
        size_t step = mbrtowc(NULL, name + i, n - i, &state);
        good = step != (size_t)-1 && step != (size_t)-2 && step != 0;
        i += good ? step : 1;
    }
    (void)uselocale(before);
    return good;
}

static void count_name(struct count *c, const struct manifest_entry *e)
{
    const struct abilities *a = c->q->abilities;
    const char *path = buf_str(&e->path), *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    size_t n = strlen(name);
    bool bad = !a->trailing && n > 0 && (name[n - 1] == '.' || name[n - 1] == ' ');
    for (size_t i = 0; i < n && !bad; i++)
        bad = a->forbidden[(unsigned char)name[i]];
    if (bad || (a->forbidden[255] && !is_utf8(name, n, c->locale)))
        need(c, NEED_NAME, e);
    if (n > a->name_max)
        need(c, NEED_LONG_NAME, e);
}

// ---- names that are one

static void fold(struct buf *out, const char *path, locale_t locale)
{
    mbstate_t state = { 0 };
    size_t n = strlen(path);
    locale_t before = uselocale(locale);
    for (size_t i = 0; i < n;) {
        wchar_t wide;
        char bytes[MB_LEN_MAX];
        size_t step = mbrtowc(&wide, path + i, n - i, &state);
        size_t len = step == 0 || step > n - i ? 0 : wcrtomb(bytes, (wchar_t)towlower(towupper((wint_t)wide)), &(mbstate_t){ 0 });
        if (len == 0 || len == (size_t)-1) { // no UTF-8: as it is
            buf_add_char(out, path[i++]);
            state = (mbstate_t){ 0 };
            continue;
        }
        buf_add(out, bytes, len);
        i += step;
    }
    (void)uselocale(before);
}

static int compare_records(const void *a, size_t a_len, const void *b, size_t b_len)
{
    int c = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return c != 0 ? c : a_len < b_len ? -1 : a_len > b_len;
}

static int note_folded(struct count *c, const char *below, const struct manifest_entry *e, struct error *err)
{
    _cleanup_buf_ struct buf record = { 0 };
    if (c->folded == NULL)
        return 0;
    fold(&record, below, c->locale);
    buf_add_char(&record, '\0');
    buf_add(&record, e->path.data, e->path.len + 1);
    return spill_add(c->folded, record.data, record.len, err);
}

static int count_folded(struct count *c, struct error *err)
{
    _cleanup_buf_ struct buf last = { 0 };
    const void *record;
    size_t n;
    int r = spill_sort(c->folded, err);
    while (r == 0 && (r = spill_next(c->folded, &record, &n, err)) == 0 && record != NULL) {
        const char *folded = record, *path = folded + strlen(folded) + 1;
        if (last.len > 0 && strcmp(folded, buf_str(&last)) == 0 && c->needs->count[NEED_FOLDED]++ == 0) {
            c->needs->example[NEED_FOLDED] = xstrdup(path);
            c->needs->folded_with = xstrdup(buf_str(&last) + strlen(buf_str(&last)) + 1);
        }
        buf_reset(&last);
        buf_add(&last, record, n);
    }
    return r;
}

// ---- all of it

static bool holds_everything(const struct abilities *a, const struct plan_totals *t)
{
    for (int c = 1; c < 256; c++)
        if (a->forbidden[c])
            return false;
    return !a->folds_case && a->symlinks && a->hard_links && a->fifos && a->devices && a->acls && a->user_xattrs && a->trusted_xattrs &&
           a->security_xattrs && a->owners && a->modes && a->nanoseconds && a->times_before_1970 && a->times_after_2038 && a->trailing &&
           a->name_max >= 255 && a->file_size_max >= t->largest;
}

static int count_entries(struct count *c, struct error *err)
{
    const struct manifest_entry *e;
    enum plan_role role;
    bool later;
    int r = plan_rewind(c->q->plan, err);
    while (r == 0 && (r = plan_next(c->q->plan, &e, &role, &later, err)) == 0 && e != NULL) {
        const char *below = plan_strip(buf_str(&e->path), c->q->strip);
        if (below == NULL || e->type == MANIFEST_SOCKET)
            continue;
        count_name(c, e);
        count_kind(c, e, later);
        if (!later && role == PLAN_SELECTED) {
            count_xattrs(c, e);
            count_metadata(c, e);
        }
        r = note_folded(c, below, e, err);
    }
    return r;
}

int needs_count(const struct needs_question *q, struct needs *ret_needs, struct error *err)
{
    *ret_needs = (struct needs){ 0 };
    if (holds_everything(q->abilities, &q->plan->totals))
        return 0;
    struct count *c = xcalloc(1, sizeof *c);
    c->q = q;
    c->needs = ret_needs;
    c->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0); // without it, only ASCII is folded
    if (q->abilities->folds_case)
        c->folded = spill_new(q->io, q->plan->scratch_dirfd, compare_records, SPILL_MEMORY);
    int r = count_entries(c, err);
    if (r == 0 && c->folded != NULL)
        r = count_folded(c, err);
    spill_free(c->folded);
    if (c->locale != (locale_t)0)
        freelocale(c->locale);
    free(c);
    return r;
}
