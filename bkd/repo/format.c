#include "bkd/repo/format.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/base/clock.h"
#include "bkd/codec/sshsig.h"
#include "bkd/repo/lines.h"
#include "bkd/repo/manifest.h"
#include "bkd/repo/recipe.h"

#define SIZE_MAX_BYTES ((uint64_t)INT64_MAX)
#define OBJECT_SIZE_MAX (UINT64_C(1) << 40)
#define MANIFEST_SIZE_MAX ((uint64_t)RECIPE_PIECES_MAX * RECIPE_PIECE_SIZE)

// Takes the next line, which must be "key " and something the condition accepts; *v and n hold the value.
#define NEED(l, key, condition) \
    do { \
        if (!lines_take(l, key, &v, &n) || !(condition)) \
            return lines_expected(l, key, err); \
    } while (0)
#define ONLY(condition) ((condition) && lines_no_more(v))

static void add_hex_line(struct buf *out, const char *key, const uint8_t *bytes, size_t n)
{
    buf_add_str(out, key);
    buf_add_char(out, ' ');
    buf_add_hex(out, bytes, n);
    buf_add_char(out, '\n');
}

static void add_number_line(struct buf *out, const char *key, uint64_t value)
{
    buf_addf(out, "%s %llu\n", key, (unsigned long long)value);
}

static void add_time_line(struct buf *out, const char *key, uint64_t time_ns)
{
    char text[CLOCK_TEXT_MAX];
    clock_format_utc(text, time_ns, false);
    buf_addf(out, "%s %s\n", key, text);
}

static void add_label_line(struct buf *out, const char *key, const char *label)
{
    buf_addf(out, "%s ", key);
    manifest_escape(out, label, strlen(label));
    buf_add_char(out, '\n');
}

static bool is_dash(const char *value, size_t n) { return n == 1 && value[0] == '-'; }

static bool parse_label(const char *value, size_t n, char ret_label[FORMAT_LABEL_MAX + 1])
{
    _cleanup_buf_ struct buf raw = { 0 };
    if (n == 0 || !manifest_unescape(&raw, value, n) || raw.len > FORMAT_LABEL_MAX || memchr(raw.data, '\0', raw.len) != NULL)
        return false;
    memcpy(ret_label, raw.data, raw.len + 1);
    return true;
}

static bool parse_time(const char *value, size_t n, uint64_t *ret_time_ns)
{
    return n > 0 && clock_parse_utc(value, n, ret_time_ns);
}

// The first line: the kind of text and its version. A later version gets a message of its own.
static int take_first_line(struct lines *l, const char *first, struct error *err)
{
    const char *v;
    size_t n, stem = strlen(first) - 1; // without the digit
    if (lines_take(l, first, &v, &n) && lines_no_more(v))
        return 0;
    if (l->line != NULL && l->len > stem && memcmp(l->line, first, stem) == 0)
        return error_set(err, ERROR_FORMAT, "%s: its first line '%.*s' is not '%s': a newer bkd is needed to read it", l->what,
                         l->len < 40 ? (int)l->len : 40, l->line, first);
    return lines_expected(l, first, err);
}

// ---- bkd-repository

void format_repository_write(struct buf *out, const struct format_repository *r)
{
    buf_add_str(out, "bkd-repository/1\n");
    add_hex_line(out, "repository", r->id, sizeof r->id);
    add_time_line(out, "created", r->created_ns);
    buf_add_str(out, "read-requires -\nwrite-requires -\n");
    buf_addf(out, "encryption %s\n", r->encrypted ? "age" : "none");
    add_number_line(out, "piece-size", r->piece_size);
    add_number_line(out, "object-size", r->object_size);
}

// "-" or names of [a-z0-9-], comma-separated. Version 1 knows none.
static bool parse_features(const char *value, size_t n, bool *ret_unknown)
{
    if (n == 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = value[i];
        bool name = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
        bool comma = c == ',' && i > 0 && i + 1 < n && value[i - 1] != ',';
        if (!name && !comma)
            return false;
    }
    *ret_unknown = !is_dash(value, n);
    return true;
}

static bool parse_encryption(const char *value, size_t n, bool *ret_encrypted)
{
    if (n == 3 && memcmp(value, "age", 3) == 0)
        *ret_encrypted = true;
    else if (n == 4 && memcmp(value, "none", 4) == 0)
        *ret_encrypted = false;
    else
        return false;
    return true;
}

int format_repository_parse(const char *text, size_t text_len, struct format_repository *ret_repository, struct error *err)
{
    struct format_repository r = { 0 };
    struct lines l;
    const char *v;
    size_t n;
    bool read_unknown = false;
    lines_init(&l, text, text_len, "bkd-repository", true);
    int e = take_first_line(&l, "bkd-repository/1", err);
    if (e < 0)
        return e;
    NEED(&l, "repository", ONLY(lines_hex(&v, &n, r.id, sizeof r.id)));
    NEED(&l, "created", parse_time(v, n, &r.created_ns));
    NEED(&l, "read-requires", parse_features(v, n, &read_unknown));
    if (read_unknown)
        return error_set(err, ERROR_USAGE, "this repository needs '%.*s' to be read; install a newer bkd that knows it",
                         n < 200 ? (int)n : 200, v);
    NEED(&l, "write-requires", parse_features(v, n, &r.writing_needs_newer));
    NEED(&l, "encryption", parse_encryption(v, n, &r.encrypted));
    NEED(&l, "piece-size", ONLY(lines_u64(&v, &n, RECIPE_PIECE_SIZE, &r.piece_size)) && r.piece_size == RECIPE_PIECE_SIZE);
    NEED(&l, "object-size", ONLY(lines_u64(&v, &n, OBJECT_SIZE_MAX, &r.object_size)) && r.object_size > 0);
    if (!lines_ended(&l))
        return lines_expected(&l, "line", err);
    *ret_repository = r;
    return 0;
}

// ---- head

void format_head_done(struct format_head *h)
{
    for (size_t i = 0; i < h->n_recipients; i++)
        free(h->recipients[i]);
    *h = (struct format_head){ 0 };
}

static const char *const flag_words[] = {
    [0] = "-",
    [FORMAT_INCOMPLETE] = "incomplete",
    [FORMAT_SUSPECT] = "suspect",
    [FORMAT_INCOMPLETE | FORMAT_SUSPECT] = "incomplete,suspect",
};

static void add_references(struct buf *out, const struct format_head *h)
{
    buf_add_str(out, "manifest ");
    place_format(out, &h->manifest);
    buf_add_char(out, ' ');
    buf_add_hex(out, h->recipe_sha256, sizeof h->recipe_sha256);
    buf_addf(out, " %llu ", (unsigned long long)h->manifest_size);
    buf_add_hex(out, h->manifest_sha256, sizeof h->manifest_sha256);
    buf_add_str(out, "\nrefs ");
    buf_add_hex(out, h->refs, sizeof h->refs);
    buf_addf(out, " %llu\n", (unsigned long long)h->refs_size);
}

void format_head_write(struct buf *out, const struct format_head *h)
{
    buf_add_str(out, "bkd-head/1\n");
    add_hex_line(out, "repository", h->repository, sizeof h->repository);
    add_hex_line(out, "chain", h->chain, sizeof h->chain);
    add_label_line(out, "host", h->host);
    add_label_line(out, "policy", h->policy);
    add_number_line(out, "number", h->number);
    add_hex_line(out, "previous", h->previous, sizeof h->previous);
    add_time_line(out, "time", h->time_ns);
    if (h->next_by_ns == 0)
        buf_add_str(out, "next-by -\n");
    else
        add_time_line(out, "next-by", h->next_by_ns);
    add_references(out, h);
    add_number_line(out, "next-object", h->next_object);
    for (size_t i = 0; i < h->n_recipients; i++)
        buf_addf(out, "recipient %s\n", h->recipients[i]);
    add_number_line(out, "files", h->files);
    add_number_line(out, "entries", h->entries);
    add_number_line(out, "bytes", h->bytes);
    add_number_line(out, "stored", h->stored);
    assert(h->flags < sizeof flag_words / sizeof *flag_words);
    buf_addf(out, "flags %s\n", flag_words[h->flags]);
    add_label_line(out, "tag", h->tag[0] == '\0' ? "-" : h->tag);
}

static int parse_names(struct lines *l, struct format_head *h, struct error *err)
{
    const char *v;
    size_t n;
    NEED(l, "repository", ONLY(lines_hex(&v, &n, h->repository, sizeof h->repository)));
    NEED(l, "chain", ONLY(lines_hex(&v, &n, h->chain, sizeof h->chain)));
    NEED(l, "host", parse_label(v, n, h->host));
    NEED(l, "policy", parse_label(v, n, h->policy));
    NEED(l, "number", ONLY(lines_u64(&v, &n, SIZE_MAX_BYTES, &h->number)) && h->number > 0);
    NEED(l, "previous", ONLY(lines_hex(&v, &n, h->previous, sizeof h->previous)));
    NEED(l, "time", parse_time(v, n, &h->time_ns));
    NEED(l, "next-by", is_dash(v, n) || (parse_time(v, n, &h->next_by_ns) && h->next_by_ns > 0));
    return 0;
}

static bool parse_manifest_reference(struct format_head *h, const char *v, size_t n)
{
    return lines_place(&v, &n, &h->manifest) && h->manifest.object != 0 && h->manifest.length <= RECIPE_TEXT_MAX &&
           lines_hex(&v, &n, h->recipe_sha256, sizeof h->recipe_sha256) &&
           lines_u64(&v, &n, MANIFEST_SIZE_MAX, &h->manifest_size) &&
           lines_hex(&v, &n, h->manifest_sha256, sizeof h->manifest_sha256) && lines_no_more(v);
}

static bool parse_refs_reference(struct format_head *h, const char *v, size_t n)
{
    return lines_hex(&v, &n, h->refs, sizeof h->refs) && lines_u64(&v, &n, FORMAT_REFS_MAX, &h->refs_size) && lines_no_more(v);
}

static bool add_recipient(struct format_head *h, const char *value, size_t n)
{
    if (n < 5 || memcmp(value, "age1", 4) != 0 || h->n_recipients == FORMAT_RECIPIENTS_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!((value[i] >= 'a' && value[i] <= 'z') || (value[i] >= '0' && value[i] <= '9')))
            return false;
    h->recipients[h->n_recipients++] = xstrndup(value, n);
    return true;
}

static bool parse_flags(const char *value, size_t n, uint32_t *ret_flags)
{
    for (uint32_t flags = 0; flags < sizeof flag_words / sizeof *flag_words; flags++)
        if (strlen(flag_words[flags]) == n && memcmp(flag_words[flags], value, n) == 0) {
            *ret_flags = flags;
            return true;
        }
    return false;
}

static int parse_content(struct lines *l, struct format_head *h, struct error *err)
{
    const char *v;
    size_t n;
    uint64_t next_object;
    NEED(l, "manifest", parse_manifest_reference(h, v, n));
    NEED(l, "refs", parse_refs_reference(h, v, n));
    NEED(l, "next-object", ONLY(lines_u64(&v, &n, PLACE_OBJECT_MAX, &next_object)) && next_object > h->manifest.object);
    h->next_object = (uint32_t)next_object;
    while (lines_take(l, "recipient", &v, &n))
        if (!add_recipient(h, v, n))
            return lines_expected(l, "recipient", err);
    NEED(l, "files", ONLY(lines_u64(&v, &n, SIZE_MAX_BYTES, &h->files)));
    NEED(l, "entries", ONLY(lines_u64(&v, &n, SIZE_MAX_BYTES, &h->entries)) && h->entries >= h->files);
    NEED(l, "bytes", ONLY(lines_u64(&v, &n, UINT64_MAX, &h->bytes)));
    NEED(l, "stored", ONLY(lines_u64(&v, &n, SIZE_MAX_BYTES, &h->stored)));
    NEED(l, "flags", parse_flags(v, n, &h->flags));
    NEED(l, "tag", is_dash(v, n) || parse_label(v, n, h->tag));
    return lines_ended(l) ? 0 : lines_expected(l, "line", err);
}

int format_head_parse(const char *text, size_t n, struct format_head *ret_head, struct error *err)
{
    if (n > FORMAT_HEAD_MAX)
        return error_set(err, ERROR_FORMAT, "head: %zu bytes, more than the %u it may have", n, FORMAT_HEAD_MAX);
    _cleanup_format_head_ struct format_head h = { 0 };
    struct lines l;
    lines_init(&l, text, n, "head", true);
    int e = take_first_line(&l, "bkd-head/1", err);
    if (e == 0)
        e = parse_names(&l, &h, err);
    if (e == 0)
        e = parse_content(&l, &h, err);
    if (e < 0)
        return e;
    *ret_head = h;
    h = (struct format_head){ 0 };
    return 0;
}

int format_split_signed(const char *file, size_t n, size_t *ret_text_len, struct error *err)
{
    if (!sshsig_split(file, n, ret_text_len))
        return error_set(err, ERROR_FORMAT, "no line '-----BEGIN SSH SIGNATURE-----': cut off, or not a signed file");
    return 0;
}

// ---- refs

void format_refs_done(struct format_refs *r)
{
    free(r->refs);
    *r = (struct format_refs){ 0 };
}

void format_refs_write(struct buf *out, const struct format_refs *r)
{
    buf_add_str(out, "bkd-refs/1\n");
    add_hex_line(out, "chain", r->chain, sizeof r->chain);
    for (size_t i = 0; i < r->n; i++) {
        const struct format_ref *ref = &r->refs[i];
        buf_addf(out, "object %u ", ref->object);
        buf_add_hex(out, ref->sha256, sizeof ref->sha256);
        buf_addf(out, " %llu %llu\n", (unsigned long long)ref->stored_size, (unsigned long long)ref->used);
    }
}

static bool add_ref(struct format_refs *r, size_t *cap, const char *v, size_t n)
{
    uint64_t object;
    struct format_ref ref;
    if (!lines_u64(&v, &n, PLACE_OBJECT_MAX, &object) || object == 0 || !lines_hex(&v, &n, ref.sha256, sizeof ref.sha256) ||
        !lines_u64(&v, &n, OBJECT_SIZE_MAX, &ref.stored_size) || ref.stored_size == 0 ||
        !lines_u64(&v, &n, UINT64_MAX, &ref.used) || !lines_no_more(v))
        return false;
    if (r->n > 0 && r->refs[r->n - 1].object >= object)
        return false;
    if (r->n == *cap) {
        *cap = *cap == 0 ? 16 : 2 * *cap;
        r->refs = xrealloc(r->refs, *cap * sizeof *r->refs);
    }
    ref.object = (uint32_t)object;
    r->refs[r->n++] = ref;
    return true;
}

int format_refs_parse(const char *text, size_t text_len, struct format_refs *ret_refs, struct error *err)
{
    if (text_len > FORMAT_REFS_MAX)
        return error_set(err, ERROR_FORMAT, "refs: %zu bytes, more than the %u it may have", text_len, FORMAT_REFS_MAX);
    _cleanup_format_refs_ struct format_refs refs = { 0 };
    struct lines l;
    const char *v;
    size_t n, cap = 0;
    lines_init(&l, text, text_len, "refs", true);
    int e = take_first_line(&l, "bkd-refs/1", err);
    if (e < 0)
        return e;
    NEED(&l, "chain", ONLY(lines_hex(&v, &n, refs.chain, sizeof refs.chain)));
    while (lines_take(&l, "object", &v, &n))
        if (!add_ref(&refs, &cap, v, n))
            return lines_expected(&l, "object", err);
    if (!lines_ended(&l))
        return lines_expected(&l, "line", err);
    *ret_refs = refs;
    refs = (struct format_refs){ 0 };
    return 0;
}

const struct format_ref *format_refs_find(const struct format_refs *r, uint32_t object)
{
    size_t low = 0, high = r->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (r->refs[middle].object < object)
            low = middle + 1;
        else
            high = middle;
    }
    return low < r->n && r->refs[low].object == object ? &r->refs[low] : NULL;
}

// ---- names

char *format_object_name(const uint8_t sha256[32], bool encrypted)
{
    char hex[65];
    format_hex(hex, sha256, 32);
    return xasprintf("objects/%.2s/%s.tar.zst%s", hex, hex, encrypted ? ".age" : "");
}

char *format_head_name(const uint8_t chain[16], uint64_t number)
{
    char hex[33];
    format_hex(hex, chain, 16);
    return xasprintf("heads/%s/%llu", hex, (unsigned long long)number);
}

char *format_refs_name(const uint8_t sha256[32])
{
    char hex[65];
    format_hex(hex, sha256, 32);
    return xasprintf("refs/%s", hex);
}
