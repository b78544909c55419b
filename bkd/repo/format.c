#include "bkd/repo/format.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/codec/sshsig.h"
#include "bkd/repo/lines.h"
#include "bkd/repo/recipe.h"

#define SIZE_MAX_BYTES ((uint64_t)INT64_MAX)
#define OBJECT_SIZE_MAX (UINT64_C(1) << 40)
#define MANIFEST_SIZE_MAX ((uint64_t)RECIPE_PIECES_MAX * RECIPE_PIECE_SIZE)

// ---- bkd-repository

void format_repository_write(struct buf *out, const struct format_repository *r)
{
    buf_add_str(out, "bkd-repository/1\n");
    lines_add_hex(out, "repository", r->id, sizeof r->id);
    lines_add_time(out, "created", r->created_ns);
    buf_add_str(out, "read-requires -\nwrite-requires -\n");
    buf_addf(out, "encryption %s\n", r->encrypted ? "age" : "none");
    lines_add_number(out, "piece-size", r->piece_size);
    lines_add_number(out, "object-size", r->object_size);
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
    *ret_unknown = !lines_is_dash(value, n);
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
    int e = lines_take_first(&l, "bkd-repository/1", err);
    if (e < 0)
        return e;
    LINES_NEED(&l, "repository", LINES_ONLY(lines_hex(&v, &n, r.id, sizeof r.id)));
    LINES_NEED(&l, "created", lines_time(v, n, &r.created_ns));
    LINES_NEED(&l, "read-requires", parse_features(v, n, &read_unknown));
    if (read_unknown)
        return error_set(err, ERROR_USAGE, "this repository needs '%.*s' to be read; install a newer bkd that knows it",
                         n < 200 ? (int)n : 200, v);
    LINES_NEED(&l, "write-requires", parse_features(v, n, &r.writing_needs_newer));
    LINES_NEED(&l, "encryption", parse_encryption(v, n, &r.encrypted));
    LINES_NEED(&l, "piece-size", LINES_ONLY(lines_u64(&v, &n, RECIPE_PIECE_SIZE, &r.piece_size)) && r.piece_size == RECIPE_PIECE_SIZE);
    LINES_NEED(&l, "object-size", LINES_ONLY(lines_u64(&v, &n, OBJECT_SIZE_MAX, &r.object_size)) && r.object_size > 0);
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
    lines_add_hex(out, "repository", h->repository, sizeof h->repository);
    lines_add_hex(out, "chain", h->chain, sizeof h->chain);
    lines_add_label(out, "host", h->host);
    lines_add_label(out, "policy", h->policy);
    lines_add_number(out, "number", h->number);
    lines_add_hex(out, "previous", h->previous, sizeof h->previous);
    lines_add_time(out, "time", h->time_ns);
    if (h->next_by_ns == 0)
        buf_add_str(out, "next-by -\n");
    else
        lines_add_time(out, "next-by", h->next_by_ns);
    add_references(out, h);
    lines_add_number(out, "next-object", h->next_object);
    for (size_t i = 0; i < h->n_recipients; i++)
        buf_addf(out, "recipient %s\n", h->recipients[i]);
    lines_add_number(out, "files", h->files);
    lines_add_number(out, "entries", h->entries);
    lines_add_number(out, "bytes", h->bytes);
    lines_add_number(out, "stored", h->stored);
    assert(h->flags < sizeof flag_words / sizeof *flag_words);
    buf_addf(out, "flags %s\n", flag_words[h->flags]);
    lines_add_label(out, "tag", h->tag[0] == '\0' ? "-" : h->tag);
}

static int parse_names(struct lines *l, struct format_head *h, struct error *err)
{
    const char *v;
    size_t n;
    LINES_NEED(l, "repository", LINES_ONLY(lines_hex(&v, &n, h->repository, sizeof h->repository)));
    LINES_NEED(l, "chain", LINES_ONLY(lines_hex(&v, &n, h->chain, sizeof h->chain)));
    LINES_NEED(l, "host", lines_label(v, n, h->host));
    LINES_NEED(l, "policy", lines_label(v, n, h->policy));
    LINES_NEED(l, "number", LINES_ONLY(lines_u64(&v, &n, SIZE_MAX_BYTES, &h->number)) && h->number > 0);
    LINES_NEED(l, "previous", LINES_ONLY(lines_hex(&v, &n, h->previous, sizeof h->previous)));
    LINES_NEED(l, "time", lines_time(v, n, &h->time_ns));
    LINES_NEED(l, "next-by", lines_is_dash(v, n) || (lines_time(v, n, &h->next_by_ns) && h->next_by_ns > 0));
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
    LINES_NEED(l, "manifest", parse_manifest_reference(h, v, n));
    LINES_NEED(l, "refs", parse_refs_reference(h, v, n));
    LINES_NEED(l, "next-object", LINES_ONLY(lines_u64(&v, &n, PLACE_OBJECT_MAX, &next_object)) && next_object > h->manifest.object);
    h->next_object = (uint32_t)next_object;
    while (lines_take(l, "recipient", &v, &n))
        if (!add_recipient(h, v, n))
            return lines_expected(l, "recipient", err);
    LINES_NEED(l, "files", LINES_ONLY(lines_u64(&v, &n, SIZE_MAX_BYTES, &h->files)));
    LINES_NEED(l, "entries", LINES_ONLY(lines_u64(&v, &n, SIZE_MAX_BYTES, &h->entries)) && h->entries >= h->files);
    LINES_NEED(l, "bytes", LINES_ONLY(lines_u64(&v, &n, UINT64_MAX, &h->bytes)));
    LINES_NEED(l, "stored", LINES_ONLY(lines_u64(&v, &n, SIZE_MAX_BYTES, &h->stored)));
    LINES_NEED(l, "flags", parse_flags(v, n, &h->flags));
    LINES_NEED(l, "tag", lines_is_dash(v, n) || lines_label(v, n, h->tag));
    return lines_ended(l) ? 0 : lines_expected(l, "line", err);
}

int format_head_parse(const char *text, size_t n, struct format_head *ret_head, struct error *err)
{
    if (n > FORMAT_HEAD_MAX)
        return error_set(err, ERROR_FORMAT, "head: %zu bytes, more than the %u it may have", n, FORMAT_HEAD_MAX);
    _cleanup_format_head_ struct format_head h = { 0 };
    struct lines l;
    lines_init(&l, text, n, "head", true);
    int e = lines_take_first(&l, "bkd-head/1", err);
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

// "SIZE:SHA256", or "-".
static void write_opening(struct buf *out, const struct format_ref *ref)
{
    if (ref->opening_size == 0) {
        buf_add_str(out, "-\n");
        return;
    }
    buf_addf(out, "%u:", ref->opening_size);
    buf_add_hex(out, ref->opening_sha256, sizeof ref->opening_sha256);
    buf_add_char(out, '\n');
}

static bool parse_opening(const char *word, size_t n, struct format_ref *ref)
{
    const char *colon = memchr(word, ':', n);
    uint64_t size;
    if (n == 1 && word[0] == '-')
        return true;
    if (colon == NULL || !parse_u64(word, (size_t)(colon - word), FORMAT_OPENING_MAX, &size) || size == 0 ||
        !parse_hex(colon + 1, n - (size_t)(colon + 1 - word), ref->opening_sha256, sizeof ref->opening_sha256))
        return false;
    ref->opening_size = (uint32_t)size;
    return ref->opening_size <= ref->stored_size;
}

void format_refs_write(struct buf *out, const struct format_refs *r)
{
    buf_add_str(out, "bkd-refs/1\n");
    lines_add_hex(out, "chain", r->chain, sizeof r->chain);
    for (size_t i = 0; i < r->n; i++) {
        const struct format_ref *ref = &r->refs[i];
        buf_addf(out, "object %u ", ref->object);
        buf_add_hex(out, ref->sha256, sizeof ref->sha256);
        buf_addf(out, " %llu %llu ", (unsigned long long)ref->stored_size, (unsigned long long)ref->used);
        write_opening(out, ref);
    }
}

static bool add_ref(struct format_refs *r, size_t *cap, const char *v, size_t n)
{
    uint64_t object;
    struct format_ref ref = { 0 };
    const char *opening;
    size_t opening_len;
    if (!lines_u64(&v, &n, PLACE_OBJECT_MAX, &object) || object == 0 || !lines_hex(&v, &n, ref.sha256, sizeof ref.sha256) ||
        !lines_u64(&v, &n, OBJECT_SIZE_MAX, &ref.stored_size) || ref.stored_size == 0 ||
        !lines_u64(&v, &n, UINT64_MAX, &ref.used) || !lines_word(&v, &n, &opening, &opening_len) ||
        !parse_opening(opening, opening_len, &ref) || !lines_no_more(v))
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
    int e = lines_take_first(&l, "bkd-refs/1", err);
    if (e < 0)
        return e;
    LINES_NEED(&l, "chain", LINES_ONLY(lines_hex(&v, &n, refs.chain, sizeof refs.chain)));
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
